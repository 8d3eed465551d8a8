/* Index generations: attachment, tags, file names, the newest and the pruned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/store/generation.h"
#include "tests/unit/store_folder.h"

static struct cf_home home;

static void attachment_comes_back(void **state)
{
    (void)state;
    struct cf_generation_mark marks[] = {{cf_str("descriptor-0"), 7}, {cf_str("descriptor-11"), UINT64_MAX}};
    struct cf_str hidden[] = {cf_str("gone"), cf_str("grey")};
    struct cf_generation generation = {.space = cf_str("gist"),
                                       .space_version = 3,
                                       .generation = 42,
                                       .base = 40,
                                       .built_ms = 1234567890123,
                                       .marks = marks,
                                       .mark_count = 2,
                                       .hidden = hidden,
                                       .hidden_count = 2},
                         read;
    struct cf_buf buf;
    cf_buf_init(&buf);
    assert_int_equal(cf_generation_encode(&generation, &buf, NULL), CF_OK);
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(cf_generation_decode(cf_buf_bytes(&buf), arena, &read, NULL), CF_OK);
    assert_true(cf_str_is(read.space, "gist"));
    assert_int_equal(read.space_version, 3);
    assert_int_equal(read.generation, 42);
    assert_int_equal(read.base, 40);
    assert_int_equal(read.hidden_count, 2);
    assert_true(cf_str_is(read.hidden[0], "gone") && cf_str_is(read.hidden[1], "grey"));
    assert_int_equal(read.built_ms, 1234567890123);
    assert_int_equal(read.mark_count, 2);
    assert_int_equal(cf_generation_mark(&read, cf_str("descriptor-0")), 7);
    assert_true(cf_generation_mark(&read, cf_str("descriptor-11")) == UINT64_MAX);
    assert_int_equal(cf_generation_mark(&read, cf_str("descriptor-1")), 0);
    for (size_t len = 0; len < buf.len; len++)
        assert_int_equal(cf_generation_decode((struct cf_bytes){buf.data, len}, arena, &read, NULL),
                         CF_E_CORRUPT);
    cf_buf_u8(&buf, 0);
    assert_int_equal(cf_generation_decode(cf_buf_bytes(&buf), arena, &read, NULL), CF_E_CORRUPT);
    struct cf_detail detail = {""};
    buf.data[0] = 1; /* the one before this: its tags have no labels */
    assert_int_equal(cf_generation_decode(cf_buf_bytes(&buf), arena, &read, &detail), CF_E_BAD_VERSION);
    assert_string_equal(detail.text, "the index's attachment has format 1: this program reads 2");
    cf_arena_free(arena);
    cf_buf_fini(&buf);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct cf_str hidden[] = {cf_str("gone")};
    struct cf_buf buf;
    cf_buf_init(&buf);
    struct cf_generation generation = {
        .space = cf_str("gist"), .generation = 1, .hidden = hidden, .hidden_count = 1};
    assert_int_equal(cf_generation_encode(&generation, &buf, NULL),
                     CF_E_INVALID); /* a whole one hides nothing */
    generation.base = 1;
    generation.hidden_count = CF_GENERATION_HIDDEN_MAX + 1;
    assert_int_equal(cf_generation_encode(&generation, &buf, NULL), CF_E_INVALID);
    generation.hidden_count = 0;
    generation.mark_count = CF_GENERATION_MARKS_MAX + 1;
    assert_int_equal(cf_generation_encode(&generation, &buf, NULL), CF_E_INVALID);
    cf_buf_fini(&buf);
}

static void tag_bytes_are_fixed(void **state)
{
    (void)state;
    static const uint8_t expected[CF_GENERATION_TAG_BYTES] = {
        2, 0, 0, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 3, 2, 1, 0xEF, 0xCD, 0xAB, 0x89};
    uint8_t bytes[CF_GENERATION_TAG_BYTES];
    struct cf_generation_tag tag = {{2, 0x1234}, 5, {0x01020304, 0x89ABCDEF}}, read;
    cf_generation_tag_encode(&tag, bytes);
    assert_memory_equal(bytes, expected, sizeof bytes);
    assert_int_equal(cf_generation_tag_decode((struct cf_bytes){bytes, sizeof bytes}, &read, NULL), CF_OK);
    assert_int_equal(read.version.epoch, 2);
    assert_int_equal(read.version.seq, 0x1234);
    assert_int_equal(read.shard, 5);
    assert_int_equal(read.labels[CF_LABEL_ARTIST], 0x01020304);
    assert_int_equal(read.labels[CF_LABEL_GENRE], 0x89ABCDEF);
    assert_int_equal(cf_generation_tag_decode((struct cf_bytes){bytes, 24}, &read, NULL), CF_E_CORRUPT);
}

static void touch(const char *path)
{
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)"x", 1}, NULL), CF_OK);
}

static bool exists(uint64_t generation)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    assert_int_equal(cf_generation_path(&home, "gray16", generation, path, sizeof path, NULL), CF_OK);
    return stat(path, &info) == 0;
}

static void newest_and_pruned(void **state)
{
    (void)state;
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    uint64_t newest = 0;
    assert_int_equal(cf_generation_newest(&home, "gray16", 0, &newest, NULL), CF_E_NOT_FOUND);
    assert_int_equal(cf_generation_prune(&home, "gray16", 5, 2, NULL), CF_OK);
    char path[CF_HOME_PATH_MAX];
    store_folder_path(path, "data/index/gray16");
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    static const uint64_t numbers[] = {1, 2, 9, 10, 123456789};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(cf_generation_path(&home, "gray16", numbers[i], path, sizeof path, NULL), CF_OK);
        touch(path);
    }
    assert_non_null(strstr(path, "data/index/gray16/123456789.idx"));
    store_folder_path(path, "data/index/gray16/00000099.idx.tmp.7");
    touch(path);
    store_folder_path(path, "data/index/gray16/999.idx");
    touch(path);
    assert_int_equal(cf_generation_newest(&home, "gray16", 0, &newest, NULL), CF_OK);
    assert_int_equal(newest, 123456789);
    assert_int_equal(cf_generation_newest(&home, "gray16", newest, &newest, NULL), CF_OK);
    assert_int_equal(newest, 10);
    assert_int_equal(cf_generation_newest(&home, "gray16", 1, &newest, NULL), CF_E_NOT_FOUND);
    /* One newer than `newest` is left alone: it may be a damaged one that somebody wants to look at. */
    assert_int_equal(cf_generation_prune(&home, "gray16", 10, 2, NULL), CF_OK);
    assert_true(exists(123456789) && exists(10) && exists(9));
    assert_false(exists(2) || exists(1));
    struct stat info;
    store_folder_path(path, "data/index/gray16/00000099.idx.tmp.7");
    assert_int_equal(stat(path, &info), 0);
    char beside[CF_HOME_PATH_MAX], foreign[CF_HOME_PATH_MAX];
    store_folder_path(beside, "data/index/gray16/00000099+00000010.idx.rows");
    touch(beside);
    store_folder_path(foreign, "data/index/gray16/notes.idx.txt");
    touch(foreign);
    assert_int_equal(cf_generation_sweep(&home, "gray16", NULL), CF_OK);
    assert_int_equal(stat(path, &info), -1);
    assert_int_equal(stat(beside, &info), -1);
    assert_int_equal(stat(foreign, &info), 0);
    assert_true(exists(10) && exists(9));
}

static void small_ones_belong_to_a_base(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    uint64_t newest = 0;
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    store_folder_path(path, "data/index/small");
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    static const uint64_t pairs[][2] = {{12, 11}, {13, 11}, {15, 14}, {123456789, 14}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            cf_generation_small_path(&home, "small", pairs[i][0], pairs[i][1], path, sizeof path, NULL),
            CF_OK);
        touch(path);
    }
    assert_non_null(strstr(path, "data/index/small/123456789+00000014.idx"));
    static const char *const foreign[] = {"00000099+14.idx",
                                          "00000099+.idx",
                                          "00000099+00000014",
                                          "+00000014.idx",
                                          "00000099+00000014.idx.tmp.1",
                                          "00000000+00000014.idx"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "data/index/small/%s", foreign[i]);
        store_folder_path(path, name);
        touch(path);
    }
    assert_int_equal(cf_generation_newest(&home, "small", 0, &newest, NULL), CF_E_NOT_FOUND);
    assert_int_equal(cf_generation_newest_small(&home, "small", 14, 0, &newest, NULL), CF_OK);
    assert_int_equal(newest, 123456789);
    assert_int_equal(cf_generation_newest_small(&home, "small", 14, newest, &newest, NULL), CF_OK);
    assert_int_equal(newest, 15);
    assert_int_equal(cf_generation_newest_small(&home, "small", 14, newest, &newest, NULL), CF_E_NOT_FOUND);
    assert_int_equal(cf_generation_newest_small(&home, "small", 11, 0, &newest, NULL), CF_OK);
    assert_int_equal(newest, 13);
    assert_int_equal(cf_generation_newest_small(&home, "small", 7, 0, &newest, NULL), CF_E_NOT_FOUND);
}

static void small_ones_without_their_base_are_strays(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    uint64_t small = 0, base = 0;
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    assert_int_equal(cf_generation_stray(&home, "strays", 0, &small, &base, NULL), CF_E_NOT_FOUND);
    store_folder_path(path, "data/index/strays");
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    static const char *const names[] = {"00000011.idx",          "00000012+00000011.idx",
                                        "00000015+00000014.idx", "00000017+00000014.idx",
                                        "00000018+00000016.idx", "00000016.idx.new"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "data/index/strays/%s", names[i]);
        store_folder_path(path, name);
        touch(path);
    }
    static const uint64_t strays[][2] = {{18, 16}, {17, 14}, {15, 14}};
    uint64_t before = 0;
    for (size_t i = 0; i < 3; i++, before = small) {
        assert_int_equal(cf_generation_stray(&home, "strays", before, &small, &base, NULL), CF_OK);
        assert_int_equal(small, strays[i][0]);
        assert_int_equal(base, strays[i][1]);
    }
    assert_int_equal(cf_generation_stray(&home, "strays", before, &small, &base, NULL), CF_E_NOT_FOUND);
    assert_int_equal(small, 15);
}

static void small_ones_go_with_their_base(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    store_folder_path(path, "data/index/pruned");
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    /* Number, base, and whether it stays when 20 is the newest whole one and two are kept. */
    static const struct {
        uint64_t number, base;
        bool stays;
    } files[] = {{5, 0, false},  {6, 5, false},   {10, 0, true}, {11, 10, false},
                 {12, 10, true}, {14, 13, false}, {20, 0, true}, {21, 20, false},
                 {22, 20, true}, {23, 20, true},  {30, 0, true}, {31, 30, true}};
    char paths[sizeof files / sizeof files[0]][CF_HOME_PATH_MAX];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        enum cf_err err =
            files[i].base
                ? cf_generation_small_path(&home, "pruned", files[i].number, files[i].base, paths[i],
                                           sizeof paths[i], NULL)
                : cf_generation_path(&home, "pruned", files[i].number, paths[i], sizeof paths[i], NULL);
        assert_int_equal(err, CF_OK);
        touch(paths[i]);
    }
    assert_int_equal(cf_generation_prune(&home, "pruned", 20, 2, NULL), CF_OK);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct stat info;
        if ((stat(paths[i], &info) == 0) != files[i].stays)
            fail_msg("%s %s", paths[i], files[i].stays ? "is gone" : "stays");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attachment_comes_back),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(small_ones_belong_to_a_base),
        cmocka_unit_test(tag_bytes_are_fixed),
        cmocka_unit_test(newest_and_pruned),
        cmocka_unit_test(small_ones_go_with_their_base),
        cmocka_unit_test(small_ones_without_their_base_are_strays),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
