/* deploy/cli: the shapes of JSON that scripts rely on, and the words for people, from canned replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "deploy/cli/push.h"
#include "deploy/cli/view.h"

/* Frees the writer; one line of text. */
static char *printed(struct cf_json *json)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    assert_int_equal(cf_json_print(json, file, NULL), CF_OK);
    fclose(file);
    cf_json_free(json);
    assert_ptr_equal(strchr(out, '\n'), out + size - 1);
    return out;
}

static json_t *parsed(struct cf_json *json)
{
    char *text = printed(json);
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    free(text);
    return value;
}

static void prints(struct cf_json *json, const char *expected)
{
    char *text = printed(json);
    assert_string_equal(text, expected);
    free(text);
}

static void writer_nests_repairs_and_rounds(void **state)
{
    (void)state;
    struct cf_json *json = cf_json_new();
    cf_json_array(json, "a");
    cf_json_uint(json, NULL, 7);
    cf_json_object(json, NULL);
    cf_json_bool(json, "yes", true);
    cf_json_end(json);
    cf_json_real(json, NULL, 0.25);
    cf_json_real(json, NULL, (double)0.1f);
    cf_json_real(json, NULL, 0.0 / 0.0);
    cf_json_end(json);
    cf_json_text(json, "t", cf_str("q\"\xFF\n\xC3\xB6"));
    cf_json_text(json, "none", (struct cf_str){NULL, 0});
    cf_json_pair(json, (struct cf_pair){cf_str("k\xFF"), cf_str("v")});
    cf_json_version(json, (struct cf_version){2, 9});
    prints(json, "{\"a\":[7,{\"yes\":true},0.25,0.100000001,null],\"t\":\"q\\\"?\\n\xC3\xB6\",\"none\":\"\","
                 "\"k?\":\"v\","
                 "\"version\":{\"epoch\":2,\"seq\":9}}\n");
    json = cf_json_new();
    cf_json_uint(json, "huge", UINT64_MAX);
    prints(json, "{\"huge\":1.84467441e19}\n");
    assert_int_equal(cf_json_print(NULL, stdout, NULL), CF_E_NO_MEMORY);
    cf_json_object(NULL, "x");
    cf_json_end(NULL);
    cf_json_free(NULL);
}

static void push_ends_with_exactly_five_counts(void **state)
{
    (void)state;
    const struct cf_push_counts counts = {
        .accepted = 5, .unchanged = 4, .refused = 3, .described = 2, .dead = 1, .superseded = 9};
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    assert_int_equal(cf_push_print_counts(&counts, file, NULL), CF_OK);
    fclose(file);
    assert_string_equal(out, "{\"accepted\":5,\"unchanged\":4,\"refused\":3,\"described\":2,\"dead\":1}\n");
    free(out);
}

static void answers_have_the_promised_shape(void **state)
{
    (void)state;
    struct cf_str same[] = {cf_str("R-4"), cf_str("R-5")};
    struct cf_neighbor neighbors[] = {
        {.album = cf_str("R-2"), .distance = 0.5, .title = cf_str("Two"), .artist = cf_str("B")},
        {.album = cf_str("R-3"),
         .distance = 1.25,
         .genre = cf_str("Dub"),
         .same = same,
         .same_listed = 2,
         .same_count = 70}};
    const struct cf_answer_result good = {.neighbors = neighbors, .neighbor_count = 2},
                                  bad = {.error = cf_str("flagged"), .detail = cf_str("no contrast")};
    const struct cf_answer_whole whole = {
        .space = cf_str("gist"), .generation = 3, .exact = true, .stale_ms = 12};
    struct cf_json *json = cf_json_new();
    cf_view_answer_json(json, &whole);
    cf_view_result_json(json, &good, false);
    prints(json, "{\"space\":\"gist\",\"generation\":3,\"exact\":true,\"stale_ms\":12,\"neighbors\":["
                 "{\"album\":\"R-2\",\"distance\":0.5,\"title\":\"Two\",\"artist\":\"B\"},"
                 "{\"album\":\"R-3\",\"distance\":1.25,\"title\":\"\",\"genre\":\"Dub\",\"same_count\":70,"
                 "\"same\":[\"R-4\",\"R-5\"]}]}\n");
    char *text = NULL;
    size_t size = 0;
    FILE *table = open_memstream(&text, &size);
    assert_int_equal(cf_view_neighbors_text(neighbors, 2, false, table), CF_OK);
    fclose(table);
    assert_non_null(strstr(text, "70 more"));
    free(text);
    struct cf_answer_whole partial = whole;
    partial.exact = false;
    partial.unreadable_shards = 1;
    json = cf_json_new();
    cf_view_answer_json(json, &partial);
    prints(json,
           "{\"space\":\"gist\",\"generation\":3,\"exact\":false,\"stale_ms\":12,\"unreadable_shards\":1}\n");
    json = cf_json_new();
    cf_view_result_json(json, &bad, false);
    prints(json, "{\"error\":\"flagged\",\"detail\":\"no contrast\"}\n");
}

static void verdict_is(double distance, const char *word, const char *sentence)
{
    struct cf_neighbor neighbor = {.album = cf_str("R-2"), .distance = distance};
    const struct cf_answer_result result = {.neighbors = &neighbor, .neighbor_count = distance >= 0 ? 1 : 0};
    char *text = NULL, expected[64];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cf_view_verdict_text(&result, out);
    fclose(out);
    assert_string_equal(text, sentence);
    free(text);
    struct cf_json *json = cf_json_new();
    cf_view_verdict_json(json, &result);
    snprintf(expected, sizeof expected, "{\"verdict\":\"%s\"}\n", word);
    prints(json, expected);
}

static void answers_say_how_sure_they_are(void **state)
{
    (void)state;
    struct cf_neighbor neighbors[] = {{.album = cf_str("R-2"), .distance = 0.5},
                                      {.album = cf_str("R-3"), .distance = 1, .same_count = 2}};
    const struct cf_answer_result result = {.neighbors = neighbors, .neighbor_count = 2};
    struct cf_json *json = cf_json_new();
    cf_view_result_json(json, &result, true);
    prints(json,
           "{\"neighbors\":[{\"album\":\"R-2\",\"distance\":0.5,\"cosine\":0.875,\"sure\":\"same\",\"title\":"
           "\"\"},"
           "{\"album\":\"R-3\",\"distance\":1.0,\"cosine\":0.5,\"sure\":\"no\",\"title\":\"\",\"same_count\":2,"
           "\"same\":[]}]}\n");
    char *text = NULL;
    size_t size = 0;
    FILE *table = open_memstream(&text, &size);
    assert_int_equal(cf_view_neighbors_text(neighbors, 2, true, table), CF_OK);
    fclose(table);
    assert_non_null(strstr(text, "SURE"));
    assert_non_null(strstr(text, "same"));
    free(text);
    verdict_is(0.5, "same", "the cover of R-2 (cosine 0.88)\n");
    verdict_is(0.7, "probably", "probably the cover of R-2 (cosine 0.76)\n");
    verdict_is(0.8, "look yourself", "perhaps, look yourself, the cover of R-2 (cosine 0.68)\n");
    verdict_is(1, "no", "no cover that the fleet knows (cosine 0.50)\n");
    verdict_is(-1, "no", "no cover that the fleet knows\n");
}

static struct cf_worker_status workers[] = {
    {.name = {"descriptor-0", 12},
     .role = CF_ROLE_DESCRIPTOR,
     .pid = 42,
     .credit = 64,
     .leased = 3,
     .done = 100,
     .rate = 12.5,
     .age_ms = 65000},
    {.name = {"query-0", 7}, .role = CF_ROLE_QUERY, .failed = 1, .unreadable_shards = 2},
};
static struct cf_index_status indexes[] = {{.space = {"gist", 4},
                                            .generation = 2,
                                            .count = 90,
                                            .build_ms = 1500,
                                            .tail = 10,
                                            .published_ms = 1767323045678}};
static struct cf_str roots[] = {{"/covers", 7}};
static const struct cf_status status = {
    .queued = 1,
    .delayed = 2,
    .leased = 3,
    .described = 4,
    .indexed = 5,
    .dead = 6,
    .removed = 7,
    .quarantined = 8,
    .oldest_ms = 4260,
    .queue_bytes = 3400,
    .queue_jobs_max = 1000,
    .paused = true,
    .refusing = {"disk_full", 9},
    .workers = workers,
    .worker_count = 2,
    .indexes = indexes,
    .index_count = 1,
    .queries_answered = 11,
    .pushes_accepted = 12,
    .epoch = 1,
    .version = {"0.1.0", 5},
    .roots = roots,
    .root_count = 1,
};

static void status_has_the_promised_shape(void **state)
{
    (void)state;
    struct cf_json *json = cf_json_new();
    cf_view_status_json(json, &status);
    json_t *value = parsed(json);
    char *albums = json_dumps(json_object_get(value, "albums"), JSON_COMPACT);
    assert_string_equal(
        albums,
        "{\"queued\":1,\"delayed\":2,\"leased\":3,\"described\":4,\"indexed\":5,\"dead\":6,\"removed\":7}");
    free(albums);
    assert_int_equal(json_integer_value(json_object_get(value, "quarantined")), 8);
    json_t *queue = json_object_get(value, "queue"),
           *worker = json_array_get(json_object_get(value, "workers"), 0);
    assert_int_equal(json_integer_value(json_object_get(queue, "oldest_ms")), 4260);
    assert_true(json_is_true(json_object_get(queue, "paused")));
    assert_string_equal(json_string_value(json_object_get(value, "refusing")), "disk_full");
    assert_int_equal(json_array_size(json_object_get(value, "workers")), 2);
    assert_string_equal(json_string_value(json_object_get(worker, "name")), "descriptor-0");
    assert_string_equal(json_string_value(json_object_get(worker, "role")), "descriptor");
    assert_true(json_real_value(json_object_get(worker, "rate")) == 12.5);
    assert_null(json_object_get(worker, "unreadable_shards"));
    worker = json_array_get(json_object_get(value, "workers"), 1);
    assert_int_equal(json_integer_value(json_object_get(worker, "unreadable_shards")), 2);
    json_t *index = json_array_get(json_object_get(value, "indexes"), 0);
    assert_int_equal(json_integer_value(json_object_get(index, "generation")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(value, "queries"), "answered")), 11);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(value, "pushes"), "accepted")), 12);
    json_decref(value);
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void status_tells_people_what_matters(void **state)
{
    (void)state;
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    assert_int_equal(cf_view_status_text(&status, file), CF_OK);
    fclose(file);
    has(out, "1 queued, 2 delayed, 3 leased, 4 described, 5 indexed, 6 dead, 7 removed");
    has(out, "8 in quarantine");
    has(out, "PAUSED");
    has(out, "REFUSED: disk_full");
    has(out, "the oldest waits for 4.2 s");
    has(out, "descriptor-0  descriptor   42  12.5/s");
    has(out, "1 min 5 s");
    has(out, "2026-01-02 03:04:05 UTC");
    free(out);
}

static struct cf_str warnings[] = {{"premature end", 13}};
static struct cf_pair meta[] = {{{"title", 5}, {"A\x1BTitle", 7}}};
static struct cf_story_space spaces[] = {{{"gist", 4}, 3}, {{"gray16", 6}, 0}};

static struct cf_story story(enum cf_state at)
{
    return (struct cf_story){.album = cf_str("R-1"),
                             .state = (int)at,
                             .version = {2, 77},
                             .attempts = 1,
                             .priority = 5,
                             .worker = cf_str("descriptor-0"),
                             .shard = cf_str("descriptor-0"),
                             .partial = true,
                             .warnings = warnings,
                             .warning_count = 1,
                             .source = cf_str("bytes"),
                             .meta = meta,
                             .meta_count = 1,
                             .spaces = spaces,
                             .space_count = 2,
                             .pushed_ms = 1767323045678,
                             .sha256 = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32}};
}

static void stories_are_whole(void **state)
{
    (void)state;
    struct cf_story indexed = story(CF_STATE_INDEXED);
    struct cf_json *json = cf_json_new();
    cf_view_story_json(json, &indexed);
    json_t *value = parsed(json);
    assert_string_equal(json_string_value(json_object_get(value, "state")), "indexed");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(value, "version"), "seq")), 77);
    assert_int_equal(strlen(json_string_value(json_object_get(value, "sha256"))), 64);
    assert_string_equal(json_string_value(json_object_get(json_object_get(value, "meta"), "title")),
                        "A\x1BTitle");
    assert_int_equal(json_array_size(json_object_get(value, "warnings")), 1);
    assert_int_equal(json_integer_value(
                         json_object_get(json_array_get(json_object_get(value, "spaces"), 0), "generation")),
                     3);
    json_decref(value);
}

static void stories_are_told_in_plain_words(void **state)
{
    (void)state;
    for (int at = CF_STATE_NONE; at < CF_STATE_COUNT; at++) {
        struct cf_story told = story((enum cf_state)at);
        told.error = cf_str("not_an_image");
        told.detail = cf_str("neither JPEG nor PNM");
        char *out = NULL;
        size_t size = 0;
        FILE *file = open_memstream(&out, &size);
        cf_view_story_text(&told, file);
        fclose(file);
        has(out, cf_state_name((enum cf_state)at));
        has(out,
            at == CF_STATE_DEAD ? "reason      not_an_image: neither" : "last error  not_an_image: neither");
        has(out, "gist, in index generation 3");
        has(out, "gray16, not in an index yet");
        has(out, "2.77");
        has(out, "title = A?Title");
        has(out, "premature end");
        free(out);
    }
}

static void jobs_have_the_promised_shape(void **state)
{
    (void)state;
    const struct cf_queue_job jobs[] = {{.album = cf_str("R-1"),
                                         .version = {1, 2},
                                         .state = CF_STATE_DEAD,
                                         .priority = 5,
                                         .attempts = 3,
                                         .error = cf_str("not_an_image"),
                                         .detail = cf_str("why")},
                                        {.album = cf_str("R-2"),
                                         .version = {1, 3},
                                         .state = CF_STATE_DELAYED,
                                         .due_ms = 70000,
                                         .pushed_ms = 1000,
                                         .action = CF_ACTION_REMOVE},
                                        {.album = cf_str("R-3"),
                                         .version = {1, 4},
                                         .state = CF_STATE_LEASED,
                                         .worker = cf_str("descriptor-1")}};
    struct cf_json *json = cf_json_new();
    cf_json_array(json, "jobs");
    cf_view_job_json(json, &jobs[0]);
    cf_json_end(json);
    prints(json, "{\"jobs\":[{\"album\":\"R-1\",\"state\":\"dead\",\"action\":\"describe\",\"version\":{"
                 "\"epoch\":1,\"seq\":2},"
                 "\"priority\":5,\"attempts\":3,\"bytes\":0,\"pushed_ms\":0,\"due_ms\":0,\"worker\":\"\","
                 "\"error\":\"not_an_image\",\"detail\":\"why\"}]}\n");
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    assert_int_equal(cf_view_jobs_text(jobs, 3, 5000, file), CF_OK);
    fclose(file);
    has(out, "not_an_image: why");
    has(out, "due in 1 min 5 s");
    has(out, "4 s");
    has(out, "remove");
    has(out, "with descriptor-1");
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_nests_repairs_and_rounds),
        cmocka_unit_test(push_ends_with_exactly_five_counts),
        cmocka_unit_test(answers_have_the_promised_shape),
        cmocka_unit_test(answers_say_how_sure_they_are),
        cmocka_unit_test(status_has_the_promised_shape),
        cmocka_unit_test(status_tells_people_what_matters),
        cmocka_unit_test(stories_are_whole),
        cmocka_unit_test(stories_are_told_in_plain_words),
        cmocka_unit_test(jobs_have_the_promised_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
