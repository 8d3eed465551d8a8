/* Query messages in, answers out: every refusal by name, batches in which one target fails, answers by album,
 * picture and vector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/unit/query_world.h"
#include "workers/query/search.h"

enum {
    K_MAX = 20,
    BATCH_MAX = 4,
    GRAY = 0,
    ALBUM_FLAGGED = 30,
    ALBUM_REMOVED = 31,
    FAR_MS = 60000,
    QUERY_ID = 77
};

struct desk {
    struct world *world;
    struct cf_search_context *context;
    struct cf_arena *arena;
    struct cf_buf body, reply;
    struct cf_msg answer;
    enum cf_err err;
};

/* A picture of ours: 'r' is a ramp, 'c' is one colour, anything else is refused. */
static enum cf_err fake_picture(void *arg, struct cf_bytes file, uint8_t rgb[CF_THUMB_RGB_BYTES],
                                struct cf_detail *detail)
{
    (void)arg;
    if (file.len != 1 || (file.data[0] != 'r' && file.data[0] != 'c'))
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "neither a JPEG nor a PNM");
    for (size_t i = 0; i < CF_THUMB_RGB_BYTES; i++)
        rgb[i] = file.data[0] == 'c' ? 200 : (uint8_t)(i / 3 % CF_THUMB_SIDE * 4);
    return CF_OK;
}

static void start(struct desk *desk, size_t reply_bytes_max)
{
    *desk = (struct desk){.world = world_new(), .arena = cf_arena_new()};
    for (size_t i = 0; i < 20; i++)
        world_store(desk->world, i, i % WORLD_SHARDS, ++desk->world->seq, false, 0);
    world_build(desk->world, GRAY, 0);
    world_publish(desk->world, GRAY);
    for (size_t i = 20; i < 25; i++)
        world_store(desk->world, i, i % WORLD_SHARDS, ++desk->world->seq, false, 0);
    world_store(desk->world, ALBUM_FLAGGED, 0, ++desk->world->seq, false, CF_FLAG_CONSTANT);
    world_store(desk->world, ALBUM_REMOVED, 0, ++desk->world->seq, true, 0);
    world_open(desk->world);
    world_step(desk->world);
    const struct cf_search_options options = {.engine = desk->world->engine,
                                              .picture = fake_picture,
                                              .k_max = K_MAX,
                                              .batch_max = BATCH_MAX,
                                              .recall_default = 0.95,
                                              .reply_bytes_max = reply_bytes_max};
    assert_int_equal(cf_search_context_new(&options, &desk->context, NULL), CF_OK);
    cf_buf_init(&desk->body);
    cf_buf_init(&desk->reply);
}

static void finish(struct desk *desk)
{
    cf_search_context_free(desk->context);
    cf_buf_fini(&desk->body);
    cf_buf_fini(&desk->reply);
    cf_arena_free(desk->arena);
    world_free(desk->world);
}

static void ask_bytes(struct desk *desk, uint64_t deadline_ms)
{
    cf_arena_reset(desk->arena);
    desk->err = cf_search_answer(desk->context, cf_buf_bytes(&desk->body), deadline_ms, &desk->reply);
    assert_int_equal(cf_msg_decode(cf_buf_bytes(&desk->reply), desk->arena, &desk->answer, NULL), CF_OK);
}

static void ask(struct desk *desk, struct cf_query query, struct cf_target *targets, size_t count)
{
    query.targets = targets;
    query.target_count = count;
    struct cf_msg msg = {.kind = CF_KIND_QUERY, .id = QUERY_ID, .query = query};
    assert_int_equal(cf_msg_encode(&msg, &desk->body, NULL), CF_OK);
    ask_bytes(desk, cf_clock_mono_ms() + FAR_MS);
    assert_int_equal(desk->answer.id, QUERY_ID);
}

static void expect_error(const struct desk *desk, enum cf_err err, const char *word)
{
    assert_int_equal(desk->err, err);
    assert_int_equal(desk->answer.kind, CF_KIND_ERROR);
    assert_true(cf_str_is(desk->answer.error.error, cf_err_name(err)));
    struct cf_str detail = desk->answer.error.detail;
    if (!memmem(detail.data, detail.len, word, strlen(word)))
        fail_msg("\"%.*s\" does not say %s", CF_STR_ARG(detail), word);
}

static struct cf_query query_k(uint64_t k)
{
    return (struct cf_query){.space = cf_str("gray16"), .k = k, .exact = true};
}

static struct cf_target by_album(size_t album)
{
    return (struct cf_target){.album = world_id(album)};
}

static struct cf_target by_vector(const float *vector, size_t count)
{
    return (struct cf_target){.vector = {(const uint8_t *)vector, count * sizeof *vector}};
}

static struct cf_target by_image(const char *image)
{
    return (struct cf_target){.image = {(const uint8_t *)image, strlen(image)}};
}

static void refusals_are_named(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    struct cf_target album = by_album(1), targets[BATCH_MAX + 1];
    for (size_t i = 0; i <= BATCH_MAX; i++)
        targets[i] = album;

    struct cf_query nowhere = query_k(3);
    nowhere.space = cf_str("taste");
    ask(&desk, nowhere, &album, 1);
    expect_error(&desk, CF_E_UNKNOWN_SPACE, "gray16");
    ask(&desk, query_k(0), &album, 1);
    expect_error(&desk, CF_E_BAD_K, "1 to 20");
    ask(&desk, query_k(K_MAX + 1), &album, 1);
    expect_error(&desk, CF_E_BAD_K, "21");
    ask(&desk, query_k(3), targets, BATCH_MAX + 1);
    expect_error(&desk, CF_E_TOO_LARGE, "at most 4");
    ask(&desk, query_k(3), targets, 0);
    expect_error(&desk, CF_E_INVALID, "targets");

    struct cf_target nothing = {.album = {NULL, 0}}, both = by_image("r");
    both.album = world_id(1);
    ask(&desk, query_k(3), &nothing, 1);
    expect_error(&desk, CF_E_INVALID, "exactly one");
    ask(&desk, query_k(3), &both, 1);
    expect_error(&desk, CF_E_INVALID, "not 2");

    struct cf_target unknown = by_album(40), flagged = by_album(ALBUM_FLAGGED),
                     removed = by_album(ALBUM_REMOVED);
    struct cf_target control = {.album = cf_str("a\nb")};
    ask(&desk, query_k(3), &unknown, 1);
    expect_error(&desk, CF_E_NOT_FOUND, "not known");
    ask(&desk, query_k(3), &removed, 1);
    expect_error(&desk, CF_E_NOT_FOUND, "removed");
    ask(&desk, query_k(3), &flagged, 1);
    expect_error(&desk, CF_E_FLAGGED, "contrast");
    ask(&desk, query_k(3), &control, 1);
    expect_error(&desk, CF_E_BAD_ALBUM, "");
    finish(&desk);
}

static void vectors_are_checked(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    float vector[257] = {0};
    struct cf_target short_one = by_vector(vector, 255), long_one = by_vector(vector, 257),
                     right = by_vector(vector, 256);
    struct cf_target odd = right;
    odd.vector.len -= 1;
    ask(&desk, query_k(3), &short_one, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "256 floats");
    ask(&desk, query_k(3), &long_one, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "256 floats");
    ask(&desk, query_k(3), &odd, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "256 floats");
    vector[255] = NAN;
    ask(&desk, query_k(3), &right, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "element 255");
    vector[255] = -INFINITY;
    ask(&desk, query_k(3), &right, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "element 255");
    vector[255] = 3e38f;
    ask(&desk, query_k(3), &right, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "squared length");
    for (size_t i = 0; i < 256; i++)
        vector[i] = 1.2e18f; /* each square fits, their sum does not */
    ask(&desk, query_k(3), &right, 1);
    expect_error(&desk, CF_E_BAD_VECTOR, "squared length");
    memset(vector, 0, sizeof vector);
    vector[255] = 1e18f;
    ask(&desk, query_k(3), &right, 1);
    assert_int_equal(desk.err, CF_OK);
    vector[255] = 1;
    ask(&desk, query_k(3), &right, 1);
    assert_int_equal(desk.err, CF_OK);
    finish(&desk);
}

static void pictures_are_described_or_refused(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    struct cf_target ramp = by_image("r"), plain = by_image("c"), junk = by_image("x");
    ask(&desk, query_k(3), &ramp, 1);
    assert_int_equal(desk.err, CF_OK);
    assert_int_equal(desk.answer.answer.results[0].neighbor_count, 3);
    ask(&desk, query_k(3), &junk, 1);
    expect_error(&desk, CF_E_NOT_AN_IMAGE, "JPEG");
    ask(&desk, query_k(3), &plain, 1);
    expect_error(&desk, CF_E_FLAGGED, "contrast");
    finish(&desk);
}

static void answer_says_what_it_is(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    float vector[256];
    world_vector(22, desk.world->seen[22].version.seq, GRAY, vector);
    struct cf_target targets[] = {by_album(22), by_vector(vector, 256)};
    ask(&desk, query_k(5), targets, 2);
    const struct cf_answer *answer = &desk.answer.answer;
    assert_int_equal(desk.err, CF_OK);
    assert_int_equal(desk.answer.kind, CF_KIND_QUERY_OK);
    assert_true(cf_str_is(answer->space, "gray16"));
    assert_int_equal(answer->generation, 1);
    assert_true(answer->exact);
    assert_true(answer->stale_ms < 30000);
    assert_int_equal(answer->result_count, 2);
    /* By album the album itself is left out, by its vector it comes first; then they agree. */
    assert_true(cf_str_equal(answer->results[1].neighbors[0].album, world_id(22)));
    assert_true(answer->results[1].neighbors[0].distance == 0);
    for (size_t i = 0; i < 4; i++)
        assert_true(
            cf_str_equal(answer->results[0].neighbors[i].album, answer->results[1].neighbors[i + 1].album));
    assert_true(cf_str_is(answer->results[0].neighbors[0].artist, "Artist"));
    struct cf_query gist = query_k(5);
    gist.space = cf_str("gist");
    ask(&desk, gist, targets, 1);
    assert_int_equal(desk.answer.answer.generation, 0); /* all of it is tail */
    assert_true(desk.answer.answer.exact);
    assert_int_equal(desk.answer.answer.results[0].neighbor_count, 5);
    finish(&desk);
}

static void answer_says_what_it_may_miss(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    struct cf_target known = by_album(22), unknown = {.album = cf_str("never")};
    cf_engine_set_unreadable(desk.world->engine, 2, "descriptor-9");
    ask(&desk, query_k(5), &known, 1);
    assert_int_equal(desk.err, CF_OK);
    assert_false(desk.answer.answer.exact);
    assert_int_equal(desk.answer.answer.unreadable_shards, 2);
    ask(&desk, query_k(5), &unknown, 1);
    expect_error(&desk, CF_E_IO, "descriptor-9");
    struct cf_target both[] = {unknown, unknown};
    ask(&desk, query_k(5), both, 2); /* nothing found says so, too */
    assert_int_equal(desk.answer.answer.unreadable_shards, 2);
    assert_true(cf_str_is(desk.answer.answer.results[0].error, "io"));
    cf_engine_set_unreadable(desk.world->engine, 0, "");
    ask(&desk, query_k(5), &known, 1);
    assert_true(desk.answer.answer.exact);
    assert_int_equal(desk.answer.answer.unreadable_shards, 0);
    ask(&desk, query_k(5), &unknown, 1);
    expect_error(&desk, CF_E_NOT_FOUND, "not known");
    finish(&desk);
}

static void bad_target_fails_alone(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    struct cf_target targets[] = {by_album(1), by_album(40), by_image("x"), by_album(2)};
    ask(&desk, query_k(2), targets, 4);
    const struct cf_answer *answer = &desk.answer.answer;
    assert_int_equal(desk.err, CF_OK);
    assert_int_equal(answer->result_count, 4);
    assert_int_equal(answer->results[0].neighbor_count, 2);
    assert_true(cf_str_is(answer->results[1].error, "not_found"));
    assert_true(answer->results[1].detail.len > 0);
    assert_int_equal(answer->results[1].neighbor_count, 0);
    assert_true(cf_str_is(answer->results[2].error, "not_an_image"));
    assert_int_equal(answer->results[3].neighbor_count, 2);
    assert_int_equal(answer->results[3].error.len, 0);
    finish(&desk);
}

static void late_and_oversized_are_refused(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 600);
    struct cf_target album = by_album(1);
    ask(&desk, query_k(2), &album, 1);
    assert_int_equal(desk.err, CF_OK);
    ask_bytes(&desk, cf_clock_mono_ms());
    expect_error(&desk, CF_E_DEADLINE, "0 of 1");
    assert_int_equal(desk.answer.id, QUERY_ID);
    ask(&desk, query_k(20), &album, 1);
    expect_error(&desk, CF_E_TOO_LARGE, "600 bytes");
    finish(&desk);
}

static void messages_of_another_kind_or_none_are_refused(void **state)
{
    (void)state;
    struct desk desk;
    start(&desk, 1 << 20);
    struct cf_msg status = {.kind = CF_KIND_STATUS, .id = QUERY_ID};
    assert_int_equal(cf_msg_encode(&status, &desk.body, NULL), CF_OK);
    ask_bytes(&desk, cf_clock_mono_ms() + FAR_MS);
    expect_error(&desk, CF_E_INVALID, "status");
    cf_buf_clear(&desk.body);
    cf_buf_append(&desk.body, "\x81\xa1", 2);
    ask_bytes(&desk, cf_clock_mono_ms() + FAR_MS);
    expect_error(&desk, CF_E_INVALID, "");
    struct cf_detail detail = {"too many"};
    struct cf_target album = by_album(1);
    ask(&desk, query_k(2), &album, 1);
    cf_arena_reset(desk.arena);
    cf_search_refuse(desk.arena, cf_buf_bytes(&desk.body), CF_E_BUSY, &detail, &desk.reply);
    assert_int_equal(cf_msg_decode(cf_buf_bytes(&desk.reply), desk.arena, &desk.answer, NULL), CF_OK);
    desk.err = CF_E_BUSY;
    expect_error(&desk, CF_E_BUSY, "too many");
    assert_int_equal(desk.answer.id, QUERY_ID);
    finish(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_named),
        cmocka_unit_test(vectors_are_checked),
        cmocka_unit_test(pictures_are_described_or_refused),
        cmocka_unit_test(answer_says_what_it_is),
        cmocka_unit_test(answer_says_what_it_may_miss),
        cmocka_unit_test(bad_target_fails_alone),
        cmocka_unit_test(late_and_oversized_are_refused),
        cmocka_unit_test(messages_of_another_kind_or_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
