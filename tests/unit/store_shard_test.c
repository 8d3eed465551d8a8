/* One shard: records, log, idempotence; and the merge over several. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/store/album_record.h"
#include "common/store/shards.h"
#include "tests/unit/store_folder.h"

enum { DIM = 4 };

static struct cf_shard *open_shard(const char *path)
{
    struct cf_detail detail = {""};
    struct cf_shard *shard = NULL;
    if (cf_shard_open(path, &shard, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    return shard;
}

static struct cf_shard_album album_of(uint64_t epoch, uint64_t seq)
{
    return (struct cf_shard_album){.version = {epoch, seq}, .source = cf_str("bytes"), .stored_ms = 5};
}

/* Every value of the vector is `value`. */
static enum cf_err put(struct cf_shard *shard, const char *id, struct cf_shard_album *album, float value)
{
    float values[DIM] = {value, value, value, value};
    struct cf_shard_vector vector = {cf_str("gray16"), 1, values, DIM};
    struct cf_bytes thumb = {(const uint8_t *)"jpeg", 4};
    if (album->removed)
        return cf_shard_put(shard, cf_str(id), album, NULL, 0, (struct cf_bytes){0}, NULL);
    return cf_shard_put(shard, cf_str(id), album, &vector, 1, thumb, NULL);
}

static void put_now(struct cf_shard *shard, const char *id, uint64_t seq, float value)
{
    struct cf_shard_album album = album_of(1, seq);
    assert_int_equal(put(shard, id, &album, value), CF_OK);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
}

static enum cf_err vector_of(struct cf_shard *shard, const char *id, float *value)
{
    float out[DIM] = {0};
    enum cf_err err = cf_shard_vector(shard, cf_str(id), cf_str("gray16"), 1, out, DIM, NULL);
    *value = out[DIM - 1];
    return err;
}

struct entries {
    uint64_t numbers[16];
    char ids[16][8];
    size_t count;
};

static enum cf_err note_entry(void *arg, uint64_t log_seq, struct cf_str id)
{
    struct entries *entries = arg;
    assert_true(entries->count < 16 && id.len < 8);
    entries->numbers[entries->count] = log_seq;
    memcpy(entries->ids[entries->count], id.data, id.len);
    entries->ids[entries->count++][id.len] = '\0';
    return CF_OK;
}

static void record_comes_back(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/full");
    struct cf_shard *shard = open_shard(path);
    struct cf_str warnings[] = {cf_str("premature end")};
    struct cf_pair meta[] = {{cf_str("artist"), cf_str("Ø")}, {cf_str("title"), cf_str("")}};
    struct cf_shard_album album = album_of(3, 9);
    album.flags = CF_FLAG_PARTIAL;
    album.width = 300;
    album.height = 299;
    memset(album.sha256, 0xA5, sizeof album.sha256);
    album.warnings = warnings;
    album.warning_count = 1;
    album.meta = meta;
    album.meta_count = 2;
    assert_int_equal(put(shard, "R-1", &album, 0.5f), CF_OK);
    assert_int_equal(album.log_seq, 1);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
    cf_shard_free(shard);

    shard = open_shard(path);
    struct cf_arena *arena = cf_arena_new();
    struct cf_shard_album read;
    assert_int_equal(cf_shard_album(shard, cf_str("R-1"), arena, &read, NULL), CF_OK);
    assert_int_equal(read.version.epoch, 3);
    assert_int_equal(read.version.seq, 9);
    assert_false(read.removed);
    assert_int_equal(read.flags, CF_FLAG_PARTIAL);
    assert_int_equal(read.log_seq, 1);
    assert_int_equal(read.stored_ms, 5);
    assert_int_equal(read.width, 300);
    assert_int_equal(read.height, 299);
    assert_memory_equal(read.sha256, album.sha256, sizeof read.sha256);
    assert_true(cf_str_is(read.source, "bytes"));
    assert_int_equal(read.warning_count, 1);
    assert_true(cf_str_is(read.warnings[0], "premature end"));
    assert_int_equal(read.meta_count, 2);
    assert_true(cf_str_is(read.meta[0].value, "Ø"));
    assert_true(cf_str_is(read.meta[1].key, "title"));
    float value;
    assert_int_equal(vector_of(shard, "R-1", &value), CF_OK);
    assert_true(value == 0.5f);
    float wrong[DIM + 1];
    assert_int_equal(cf_shard_vector(shard, cf_str("R-1"), cf_str("gray16"), 1, wrong, DIM + 1, NULL),
                     CF_E_CORRUPT);
    assert_int_equal(cf_shard_vector(shard, cf_str("R-1"), cf_str("gray16"), 2, wrong, DIM, NULL),
                     CF_E_NOT_FOUND);
    struct cf_buf thumb;
    cf_buf_init(&thumb);
    assert_int_equal(cf_shard_thumb(shard, cf_str("R-1"), &thumb, NULL), CF_OK);
    assert_memory_equal(thumb.data, "jpeg", 4);
    cf_buf_fini(&thumb);
    assert_int_equal(cf_shard_album(shard, cf_str("R-2"), arena, &read, NULL), CF_E_NOT_FOUND);
    cf_arena_free(arena);
    cf_shard_free(shard);
}

static void newer_replaces_older_is_refused(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/replace");
    struct cf_shard *shard = open_shard(path);
    put_now(shard, "a", 1, 1);
    put_now(shard, "b", 2, 1);
    put_now(shard, "a", 3, 2);
    struct cf_shard_album album = album_of(1, 2);
    assert_int_equal(put(shard, "a", &album, 9), CF_E_SUPERSEDED);
    album = album_of(1, 3);
    assert_int_equal(put(shard, "a", &album, 9), CF_OK);
    assert_int_equal(album.log_seq, 3);
    /* The epoch counts before the sequence. */
    album = album_of(2, 1);
    assert_int_equal(put(shard, "b", &album, 7), CF_OK);
    assert_int_equal(album.log_seq, 4);
    /* The open batch is seen. */
    assert_int_equal(put(shard, "b", &album, 8), CF_OK);
    assert_int_equal(album.log_seq, 4);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
    struct entries entries = {0};
    assert_int_equal(cf_shard_log(shard, 0, note_entry, &entries, NULL), CF_OK);
    assert_int_equal(entries.count, 2);
    assert_int_equal(entries.numbers[0], 3);
    assert_string_equal(entries.ids[0], "a");
    assert_int_equal(entries.numbers[1], 4);
    assert_string_equal(entries.ids[1], "b");
    memset(&entries, 0, sizeof entries);
    assert_int_equal(cf_shard_log(shard, 3, note_entry, &entries, NULL), CF_OK);
    assert_int_equal(entries.count, 1);
    float value;
    assert_int_equal(vector_of(shard, "a", &value), CF_OK);
    assert_true(value == 2);
    assert_int_equal(vector_of(shard, "b", &value), CF_OK);
    assert_true(value == 7);
    cf_shard_free(shard);
}

static void removal_takes_the_vectors_away(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/remove");
    struct cf_shard *shard = open_shard(path);
    put_now(shard, "a", 1, 1);
    struct cf_shard_album gone = album_of(1, 2);
    gone.removed = true;
    assert_int_equal(put(shard, "a", &gone, 0), CF_OK);
    assert_int_equal(gone.log_seq, 2);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
    float value;
    assert_int_equal(vector_of(shard, "a", &value), CF_E_NOT_FOUND);
    struct cf_buf thumb;
    cf_buf_init(&thumb);
    assert_int_equal(cf_shard_thumb(shard, cf_str("a"), &thumb, NULL), CF_E_NOT_FOUND);
    cf_buf_fini(&thumb);
    struct cf_arena *arena = cf_arena_new();
    struct cf_shard_album read;
    assert_int_equal(cf_shard_album(shard, cf_str("a"), arena, &read, NULL), CF_OK);
    assert_true(read.removed);
    cf_arena_free(arena);
    put_now(shard, "a", 3, 6);
    assert_int_equal(vector_of(shard, "a", &value), CF_OK);
    uint64_t last = 0;
    assert_int_equal(cf_shard_log_last(shard, &last, NULL), CF_OK);
    assert_int_equal(last, 3);
    cf_shard_free(shard);
}

static void rollback_forgets(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/rollback");
    struct cf_shard *shard = open_shard(path);
    struct cf_shard_album album = album_of(1, 1);
    assert_int_equal(put(shard, "a", &album, 1), CF_OK);
    cf_shard_rollback(shard);
    album = album_of(1, 2);
    assert_int_equal(put(shard, "b", &album, 1), CF_OK);
    assert_int_equal(album.log_seq, 1);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
    float value;
    assert_int_equal(vector_of(shard, "a", &value), CF_E_NOT_FOUND);
    cf_shard_free(shard);
}

static void damaged_records_are_refused(void **state)
{
    (void)state;
    struct cf_vector_name vector = {cf_str("gist"), 1};
    struct cf_pair meta = {cf_str("k"), cf_str("v")};
    struct cf_album_record record = {album_of(1, 2), &vector, 1}, read;
    record.album.meta = &meta;
    record.album.meta_count = 1;
    struct cf_buf buf;
    cf_buf_init(&buf);
    cf_album_record_encode(&record, &buf);
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(cf_album_record_decode(cf_buf_bytes(&buf), arena, &read, NULL), CF_OK);
    for (size_t len = 0; len < buf.len; len++)
        assert_int_equal(cf_album_record_decode((struct cf_bytes){buf.data, len}, arena, &read, NULL),
                         CF_E_CORRUPT);
    cf_buf_u8(&buf, 0);
    assert_int_equal(cf_album_record_decode(cf_buf_bytes(&buf), arena, &read, NULL), CF_E_CORRUPT);
    buf.data[0] = 2;
    assert_int_equal(cf_album_record_decode(cf_buf_bytes(&buf), arena, &read, NULL), CF_E_BAD_VERSION);
    cf_arena_free(arena);
    cf_buf_fini(&buf);
}

/* ---- several ---- */

struct problems {
    int count;
    char shard[32];
    enum cf_err err;
};

static void note_problem(void *arg, const char *shard, enum cf_err err, const struct cf_detail *detail)
{
    struct problems *problems = arg;
    problems->count++;
    problems->err = err;
    snprintf(problems->shard, sizeof problems->shard, "%s", shard);
    assert_true(detail->text[0] != '\0');
}

struct merged {
    char text[256];
};

static void note_album(struct merged *merged, size_t shard, struct cf_str id,
                       const struct cf_shard_album *album, const float *vector)
{
    size_t len = strlen(merged->text);
    snprintf(merged->text + len, sizeof merged->text - len, "%.*s%s@%zu=%llu:%g ", CF_STR_ARG(id),
             album->removed ? "-" : "", shard, (unsigned long long)album->version.seq,
             vector ? (double)vector[DIM - 1] : -1.0);
}

/* All albums with their vectors; of every `each`-th only the vector is asked for. */
static struct merged merge(struct cf_shards *shards, size_t each)
{
    struct merged merged = {""};
    struct cf_shards_walk *walk = NULL;
    assert_int_equal(cf_shards_walk_new(shards, &walk, NULL), CF_OK);
    assert_int_equal(cf_shards_walk_with(walk, cf_str("gray16"), 1, NULL), CF_OK);
    for (size_t i = 0;; i++) {
        size_t shard = 0;
        struct cf_str id;
        struct cf_shard_album album;
        enum cf_err err = cf_shards_walk_next(walk, &shard, &id, &album, NULL);
        if (err == CF_E_NOT_FOUND)
            break;
        assert_int_equal(err, CF_OK);
        float vector[DIM];
        err = i % each == 0 ? cf_shards_walk_vector(walk, vector, DIM, NULL) : CF_E_NOT_FOUND;
        assert_true(err == CF_OK || err == CF_E_NOT_FOUND);
        note_album(&merged, shard, id, &album, err == CF_OK ? vector : NULL);
    }
    cf_shards_walk_free(walk);
    return merged;
}

static struct cf_shards *open_shards(const char *folder, struct problems *problems)
{
    char path[STORE_PATH_MAX], private_path[STORE_PATH_MAX];
    store_folder_path(path, folder);
    store_folder_path(private_path, "private/reader");
    struct cf_shards *shards = NULL;
    assert_int_equal(cf_shards_open(path, private_path, note_problem, problems, &shards, NULL), CF_OK);
    return shards;
}

static struct cf_shard *open_in(const char *folder, const char *name)
{
    char path[STORE_PATH_MAX], both[128];
    snprintf(both, sizeof both, "%s/%s", folder, name);
    store_folder_path(path, both);
    return open_shard(path);
}

static void newest_version_wins_over_all_shards(void **state)
{
    (void)state;
    struct problems problems = {0};
    struct cf_shards *shards = open_shards("merge", &problems);
    assert_int_equal(cf_shards_count(shards), 0); /* no such folder yet */
    struct cf_shard *a = open_in("merge", "descriptor-0"), *b = open_in("merge", "descriptor-1");
    put_now(a, "both", 1, 1);
    put_now(a, "gone", 2, 1);
    put_now(a, "only-a", 3, 1);
    put_now(b, "both", 4, 2);
    struct cf_shard_album gone = album_of(1, 5);
    gone.removed = true;
    assert_int_equal(put(b, "gone", &gone, 0), CF_OK);
    assert_int_equal(cf_shard_commit(b, NULL), CF_OK);
    put_now(b, "same", 6, 1);
    put_now(a, "same", 6, 1);
    cf_shards_catch_up(shards);
    assert_int_equal(cf_shards_count(shards), 2);
    assert_string_equal(cf_shards_name(shards, 0), "descriptor-0");
    assert_string_equal(cf_shards_name(shards, 1), "descriptor-1");
    struct merged merged = merge(shards, 1);
    assert_string_equal(merged.text, "both@1=4:2 gone-@1=5:-1 only-a@0=3:1 same@0=6:1 ");
    merged = merge(shards, 3);
    assert_string_equal(merged.text, "both@1=4:2 gone-@1=5:-1 only-a@0=3:-1 same@0=6:1 ");

    put_now(a, "both", 7, 3);
    cf_shards_catch_up(shards);
    struct cf_arena *arena = cf_arena_new();
    struct cf_shard_album album;
    size_t shard = 9;
    assert_int_equal(cf_shards_album(shards, cf_str("both"), arena, &album, &shard, NULL), CF_OK);
    assert_int_equal(shard, 0);
    assert_int_equal(album.version.seq, 7);
    float value;
    assert_int_equal(vector_of(cf_shards_get(shards, shard), "both", &value), CF_OK);
    assert_true(value == 3);
    assert_int_equal(cf_shards_album(shards, cf_str("none"), arena, &album, &shard, NULL), CF_E_NOT_FOUND);
    /* A shard that nobody owns any more stays readable, a new one appears. */
    cf_shard_free(a);
    struct cf_shard *c = open_in("merge", "descriptor-2");
    put_now(c, "new", 8, 4);
    cf_shards_catch_up(shards);
    assert_int_equal(cf_shards_count(shards), 3);
    assert_int_equal(cf_shards_album(shards, cf_str("new"), arena, &album, &shard, NULL), CF_OK);
    assert_int_equal(shard, 2);
    assert_int_equal(cf_shards_album(shards, cf_str("only-a"), arena, &album, &shard, NULL), CF_OK);
    cf_arena_free(arena);
    assert_int_equal(problems.count, 0);
    cf_shards_free(shards);
    cf_shard_free(b);
    cf_shard_free(c);
}

static void broken_shard_is_reported_once_and_others_go_on(void **state)
{
    (void)state;
    struct cf_shard *good = open_in("broken", "descriptor-1");
    put_now(good, "a", 1, 1);
    char path[STORE_PATH_MAX];
    store_folder_path(path, "broken/descriptor-0/CURRENT");
    char folder[STORE_PATH_MAX];
    store_folder_path(folder, "broken/descriptor-0");
    assert_int_equal(cf_file_make_dirs(folder, NULL), CF_OK);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)"garbage", 7}, NULL), CF_OK);
    struct problems problems = {0};
    struct cf_shards *shards = open_shards("broken", &problems);
    assert_int_equal(cf_shards_count(shards), 1);
    uint64_t give_up = cf_clock_mono_ms() + 8000;
    while (problems.count == 0 && cf_clock_mono_ms() < give_up)
        cf_shards_catch_up(shards);
    assert_int_equal(problems.count, 1);
    assert_string_equal(problems.shard, "descriptor-0");
    assert_int_equal(problems.err, CF_E_CORRUPT);
    for (int i = 0; i < 100; i++)
        cf_shards_catch_up(shards);
    assert_int_equal(problems.count, 1);
    struct merged merged = merge(shards, 1);
    assert_string_equal(merged.text, "a@0=1:1 ");
    cf_shards_free(shards);
    cf_shard_free(good);
}

/* More vectors beside a record: the same version, a new log entry, and all else as it was. */
static void vectors_are_added(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/added");
    struct cf_shard *shard = open_shard(path);
    put_now(shard, "a", 1, 0.5f);
    put_now(shard, "b", 2, 1);
    float more[2] = {3, 4}, out[2];
    const struct cf_shard_vector vector = {cf_str("copy"), 7, more, 2};
    const struct cf_vector_name old = {cf_str("gray16"), 1};
    assert_int_equal(cf_shard_add(shard, cf_str("a"), (struct cf_version){1, 9}, &vector, 1, NULL, 0, NULL),
                     CF_E_SUPERSEDED);
    assert_int_equal(cf_shard_add(shard, cf_str("z"), (struct cf_version){1, 1}, &vector, 1, NULL, 0, NULL),
                     CF_E_NOT_FOUND);
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(
            cf_shard_add(shard, cf_str("a"), (struct cf_version){1, 1}, &vector, 1, NULL, 0, NULL), CF_OK);
    assert_int_equal(cf_shard_add(shard, cf_str("b"), (struct cf_version){1, 2}, &vector, 1, &old, 1, NULL),
                     CF_OK);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
    struct entries entries = {.count = 0};
    assert_int_equal(cf_shard_log(shard, 0, note_entry, &entries, NULL), CF_OK);
    assert_int_equal(entries.count, 2);
    assert_string_equal(entries.ids[0], "a");
    assert_int_equal(entries.numbers[0], 4);
    assert_int_equal(entries.numbers[1], 5);
    assert_int_equal(cf_shard_check(shard, NULL), CF_OK);
    struct cf_arena *arena = cf_arena_new();
    struct cf_shard_album album;
    assert_int_equal(cf_shard_album(shard, cf_str("a"), arena, &album, NULL), CF_OK);
    assert_int_equal(album.version.seq, 1);
    assert_int_equal(album.log_seq, 4);
    assert_int_equal(album.stored_ms, 5);
    assert_int_equal(album.vector_count, 2);
    float value;
    assert_int_equal(vector_of(shard, "a", &value), CF_OK);
    assert_true(value == 0.5f);
    assert_int_equal(cf_shard_vector(shard, cf_str("a"), cf_str("copy"), 7, out, 2, NULL), CF_OK);
    assert_memory_equal(out, more, sizeof more);
    struct cf_buf thumb = {0};
    assert_int_equal(cf_shard_thumb(shard, cf_str("a"), &thumb, NULL), CF_OK);
    assert_int_equal(thumb.len, 4);
    /* What is dropped is gone, in name and in fact. */
    assert_int_equal(vector_of(shard, "b", &value), CF_E_NOT_FOUND);
    assert_int_equal(cf_shard_album(shard, cf_str("b"), arena, &album, NULL), CF_OK);
    assert_false(cf_shard_album_has(&album, cf_str("gray16"), 1));
    assert_true(cf_shard_album_has(&album, cf_str("copy"), 7));
    cf_buf_fini(&thumb);
    cf_arena_free(arena);
    cf_shard_free(shard);
}

static void a_walk_goes_on_behind_an_album(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/behind");
    struct cf_shard *shard = open_shard(path);
    static const char *const ids[] = {"a", "ab", "b"};
    for (uint64_t i = 0; i < 3; i++)
        put_now(shard, ids[i], i + 1, 1);
    static const struct {
        const char *after;
        size_t first;
    } cases[] = {{"", 0}, {"a", 1}, {"aa", 1}, {"ab", 2}, {"b", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cf_shard_walk *walk = NULL;
        struct cf_str id;
        struct cf_shard_album album;
        assert_int_equal(cf_shard_walk_after(shard, cf_str(cases[i].after), &walk, NULL), CF_OK);
        for (size_t next = cases[i].first; next < 3; next++) {
            assert_int_equal(cf_shard_walk_next(walk, &id, &album, NULL), CF_OK);
            assert_true(cf_str_is(id, ids[next]));
        }
        assert_int_equal(cf_shard_walk_next(walk, &id, &album, NULL), CF_E_NOT_FOUND);
        cf_shard_walk_free(walk);
    }
    cf_shard_free(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_comes_back),
        cmocka_unit_test(newer_replaces_older_is_refused),
        cmocka_unit_test(removal_takes_the_vectors_away),
        cmocka_unit_test(rollback_forgets),
        cmocka_unit_test(damaged_records_are_refused),
        cmocka_unit_test(newest_version_wins_over_all_shards),
        cmocka_unit_test(broken_shard_is_reported_once_and_others_go_on),
        cmocka_unit_test(vectors_are_added),
        cmocka_unit_test(a_walk_goes_on_behind_an_album),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
