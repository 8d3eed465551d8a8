/* common/base: spans, buffers, arenas, album ids, errors, files, configuration. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/album.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/config.h"
#include "common/base/cpu.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/rng.h"

static char folder[] = "/tmp/cf-base-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void names_round_trip(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CF_ERR_COUNT; i++) {
        const char *name = cf_err_name((enum cf_err)i);
        assert_non_null(name);
        assert_int_equal(cf_err_from_name(name, strlen(name)), i);
    }
    assert_int_equal(cf_err_from_name("nonsense", 8), CF_E_INVALID);
    for (unsigned i = 0; i < CF_STATE_COUNT; i++)
        assert_int_equal(cf_state_from_name(cf_str(cf_state_name((enum cf_state)i))), i);
    assert_int_equal(cf_state_from_name(cf_str("lost")), CF_STATE_COUNT);
}

static void errno_becomes_an_error(void **state)
{
    (void)state;
    struct cf_detail detail;
    errno = ENOSPC;
    assert_int_equal(cf_fail_errno(&detail, "a file"), CF_E_DISK_FULL);
    assert_non_null(strstr(detail.text, "a file: "));
    errno = ENOENT;
    assert_int_equal(cf_fail_errno(NULL, "a file"), CF_E_NOT_FOUND);
    errno = EACCES;
    assert_int_equal(cf_fail_errno(NULL, "a file"), CF_E_IO);
}

static void album_ids_are_checked(void **state)
{
    (void)state;
    struct cf_detail detail;
    char longest[CF_ALBUM_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(cf_album_check(cf_str("R-123 Übermut 東京"), NULL), CF_OK);
    assert_int_equal(cf_album_check((struct cf_str){longest, CF_ALBUM_BYTES_MAX}, NULL), CF_OK);
    assert_int_equal(cf_album_check((struct cf_str){longest, sizeof longest}, &detail), CF_E_BAD_ALBUM);
    assert_non_null(strstr(detail.text, "256 bytes"));
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {{"", 0},         {"a\nb", 3},        {"a\0b", 3},        {"\x7f", 1},     {"\xc2\x85", 2},
               {"\xc0\x80", 2}, {"\xed\xa0\x80", 3}, {"\xf5\x80\x80\x80", 4}, {"a\xe2\x82", 3}, {"\x80", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(cf_album_check((struct cf_str){bad[i].text, bad[i].len}, NULL), CF_E_BAD_ALBUM);
}

static void versions_order_by_epoch_first(void **state)
{
    (void)state;
    struct cf_version old = {1, 900}, lost = {2, 1}, next = {2, 2};
    assert_true(cf_version_compare(old, lost) < 0);
    assert_true(cf_version_compare(next, lost) > 0);
    assert_int_equal(cf_version_compare(next, next), 0);
}

static void labels_come_from_metadata(void **state)
{
    (void)state;
    struct cf_pair meta[] = {{cf_str("title"), cf_str("Nevermind")},
                             {cf_str("genre"), cf_str("")},
                             {cf_str("genre"), cf_str("rock")},
                             {cf_str("genre"), cf_str("grunge")}};
    uint32_t labels[CF_LABEL_COUNT];
    cf_labels_of(meta, 4, labels);
    assert_int_equal(labels[CF_LABEL_ARTIST], 0);
    assert_int_equal(labels[CF_LABEL_GENRE], cf_label(cf_str("rock")));
    assert_int_equal(cf_label(cf_str("rock")), 0xB4759511u); /* low half of XXH3_64bits by libxxhash 0.8 */
    assert_int_not_equal(cf_label(cf_str("Rock")), cf_label(cf_str("rock")));
    assert_int_equal(cf_label(cf_str("")), 0);
    cf_labels_of(NULL, 0, labels);
    assert_int_equal(labels[CF_LABEL_GENRE], 0);
}

static void cursor_reads_what_buf_wrote(void **state)
{
    (void)state;
    struct cf_buf buf;
    cf_buf_init(&buf);
    cf_buf_u8(&buf, 200);
    cf_buf_u32(&buf, 0xDEADBEEF);
    cf_buf_u64(&buf, UINT64_MAX - 1);
    cf_buf_u64_be(&buf, 0x0102030405060708u);
    cf_buf_str(&buf, cf_str("cover"));
    assert_true(cf_buf_ok(&buf));
    assert_int_equal(buf.data[1], 0xEF); /* little-endian */
    assert_int_equal(buf.data[13], 1);   /* big-endian */
    for (size_t len = 0; len <= buf.len; len++) {
        struct cf_cursor cursor = cf_cursor((struct cf_bytes){buf.data, len});
        uint8_t a = cf_cursor_u8(&cursor);
        uint32_t b = cf_cursor_u32(&cursor);
        uint64_t c = cf_cursor_u64(&cursor), d = cf_cursor_u64_be(&cursor);
        struct cf_str e = cf_cursor_str(&cursor);
        assert_int_equal(cf_cursor_ok(&cursor), len == buf.len);
        if (len < buf.len)
            continue;
        assert_int_equal(a, 200);
        assert_int_equal(b, 0xDEADBEEF);
        assert_true(c == UINT64_MAX - 1 && d == 0x0102030405060708u);
        assert_true(cf_str_is(e, "cover"));
        assert_int_equal(cf_cursor_left(&cursor), 0);
    }
    cf_buf_fini(&buf);
}

static void arena_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    struct cf_arena *arena = cf_arena_new();
    assert_non_null(arena);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 40000; size = size * 3 + 1) {
            uint8_t *memory = cf_arena_alloc(arena, size, 1);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % 16, 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(memory[i], 0);
            memset(memory, 0xAA, size);
        }
        cf_arena_reset(arena);
    }
    assert_null(cf_arena_alloc(arena, SIZE_MAX / 2, 4));
    struct cf_str copy = cf_arena_str(arena, cf_str("gist"));
    assert_string_equal(copy.data, "gist");
    cf_arena_free(arena);
}

static void sha256_of_abc(void **state)
{
    (void)state;
    uint8_t digest[CF_SHA256_BYTES];
    char hex[2 * CF_SHA256_BYTES + 1];
    cf_sha256((struct cf_bytes){(const uint8_t *)"abc", 3}, digest); /* FIPS 180-4, example */
    cf_hex((struct cf_bytes){digest, sizeof digest}, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void rng_is_splitmix64(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(1234567);
    assert_true(cf_rng_u64(&rng) == 6457827717110365317u); /* the published first outputs for this seed */
    assert_true(cf_rng_u64(&rng) == 3203168211198807973u);
    for (int i = 0; i < 1000; i++) {
        assert_true(cf_rng_below(&rng, 7) < 7);
        double unit = cf_rng_unit(&rng);
        assert_true(unit >= 0 && unit < 1);
    }
}

static void simd_level_is_only_lowered(void **state)
{
    (void)state;
    enum cf_simd machine = cf_cpu_simd();
    cf_cpu_simd_limit(CF_SIMD_SCALAR);
    assert_int_equal(cf_cpu_simd(), CF_SIMD_SCALAR);
    cf_cpu_simd_limit(CF_SIMD_AVX512);
    assert_int_equal(cf_cpu_simd(), machine);
    struct cf_detail detail;
    setenv("COVERFLEET_SIMD", "mmx", 1);
    assert_int_equal(cf_cpu_init(&detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "mmx"));
    unsetenv("COVERFLEET_SIMD");
    assert_int_equal(cf_cpu_init(NULL), CF_OK);
}

static void files_are_published_whole(void **state)
{
    (void)state;
    char path[256], deep[128];
    struct cf_detail detail;
    struct cf_buf buf;
    cf_buf_init(&buf);
    snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    assert_int_equal(cf_file_make_dirs(deep, &detail), CF_OK);
    snprintf(path, sizeof path, "%s/file", deep);
    assert_int_equal(cf_file_read(path, 10, &buf, &detail), CF_E_NOT_FOUND);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)"old content", 11}, &detail), CF_OK);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)"new", 3}, &detail), CF_OK);
    assert_int_equal(cf_file_read(path, 3, &buf, &detail), CF_OK);
    assert_memory_equal(buf.data, "new", 3);
    assert_int_equal(cf_file_read(path, 2, &buf, &detail), CF_E_TOO_LARGE);
    assert_int_equal(cf_file_make_dirs(path, &detail), CF_E_IO);
    assert_non_null(strstr(detail.text, path));
    snprintf(path, sizeof path, "%s/missing/file", folder);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){0}, &detail), CF_E_NOT_FOUND);
    struct stat info;
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 0027, 0);
    cf_buf_fini(&buf);
}

static void only_regular_files_are_read(void **state)
{
    (void)state;
    char path[256];
    struct cf_detail detail;
    struct cf_buf buf;
    cf_buf_init(&buf);
    snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    const char *const others[] = {path, folder, "/dev/zero"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(cf_file_read(others[i], 10, &buf, &detail), CF_E_INVALID);
        assert_non_null(strstr(detail.text, "not a regular file"));
    }
    assert_int_equal(buf.len, 0);
    cf_buf_fini(&buf);
}

static void homes_are_private(void **state)
{
    (void)state;
    char root[128], data[160];
    struct cf_home home;
    struct stat info;
    snprintf(root, sizeof root, "%s/open-home", folder);
    snprintf(data, sizeof data, "%s/data", root);
    setenv("COVERFLEET_HOME", root, 1);
    assert_int_equal(cf_home_resolve(&home, NULL), CF_OK);
    assert_int_equal(cf_home_create(&home, NULL), CF_OK);
    assert_int_equal(stat(root, &info), 0);
    assert_int_equal(info.st_mode & 0027, 0);
    assert_int_equal(stat(data, &info), 0);
    assert_int_equal(info.st_mode & 0027, 0);
    assert_int_equal(chmod(data, 0755), 0);
    assert_int_equal(cf_home_create(&home, NULL), CF_OK);
    assert_int_equal(stat(data, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0755); /* somebody's decision */
}

static void installed_is_what_lies_in_bin(void **state)
{
    (void)state;
    char program[256], mark[256];
    snprintf(program, sizeof program, "%s/prefix/bin/coverfleet", folder);
    assert_true(cf_home_is_installed(program));
    assert_true(cf_home_is_installed("/usr/bin/coverfleet"));
    assert_false(cf_home_is_installed("/opt/cabin/coverfleet"));
    assert_false(cf_home_is_installed("coverfleet"));
    snprintf(mark, sizeof mark, "%s/prefix", folder);
    assert_int_equal(cf_file_make_dirs(mark, NULL), CF_OK);
    snprintf(mark, sizeof mark, "%s/prefix/CMakeCache.txt", folder);
    assert_int_equal(cf_file_publish(mark, (struct cf_bytes){0}, NULL), CF_OK);
    assert_false(cf_home_is_installed(program));
}

static const struct cf_home *test_home(void)
{
    static struct cf_home home;
    struct cf_detail detail;
    setenv("COVERFLEET_HOME", folder, 1);
    assert_int_equal(cf_home_resolve(&home, &detail), CF_OK);
    return &home;
}

static enum cf_err load_text(const char *text, struct cf_config *config, struct cf_detail *detail)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/coverfleet.conf", folder);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)text, strlen(text)}, NULL), CF_OK);
    return cf_config_load(config, test_home(), detail);
}

static void long_homes_get_short_sockets(void **state)
{
    (void)state;
    char deep[600];
    struct cf_home home;
    snprintf(deep, sizeof deep, "%s/%0250d/%0100d", folder, 1, 2);
    setenv("COVERFLEET_HOME", deep, 1);
    assert_int_equal(cf_home_resolve(&home, NULL), CF_OK);
    assert_string_equal(home.root, deep);
    assert_true(strlen(home.run) + strlen("/broker-worker.sock") < 108);
    char huge[2000];
    memset(huge, 'x', sizeof huge - 1);
    huge[0] = '/';
    huge[sizeof huge - 1] = '\0';
    setenv("COVERFLEET_HOME", huge, 1);
    assert_int_equal(cf_home_resolve(&home, NULL), CF_E_INVALID);
}

static void configuration_is_strict(void **state)
{
    (void)state;
    struct cf_config config, defaults;
    struct cf_detail detail;
    cf_config_default(&defaults, test_home());
    assert_int_equal(cf_config_load(&config, test_home(), &detail), CF_OK); /* no file at all */
    assert_memory_equal(&config, &defaults, sizeof config);
    assert_int_equal(load_text("broker { lease_ms = 1234 }\ndescriptor { roots = {\"/a\", \"/b\"} }\n", &config, &detail),
                     CF_OK);
    assert_int_equal(config.broker_lease_ms, 1234);
    assert_int_equal(config.root_count, 2);
    assert_string_equal(config.roots[1], "/b");
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"broker {\n  leese_ms = 5\n}\n", "leese_ms"},
        {"broker {\n  lease_ms = 1\n}\n", "lease_ms"},
        {"broker { lease_ms = soon }\n", ":1:"},
        {"brooker { }\n", "brooker"},
        {"query { recall_default = 1.5 }\n", "recall_default"},
        {"descriptor { roots = {\"relative\"} }\n", "relative"},
        {"broker = 5\n", "coverfleet.conf:1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cf_config before = config;
        assert_int_equal(load_text(bad[i].text, &config, &detail), CF_E_INVALID);
        assert_non_null(strstr(detail.text, bad[i].word));
        assert_memory_equal(&config, &before, sizeof config);
    }
}

struct loading {
    const struct cf_home *home;
    int right;
};

static void *load_often(void *arg)
{
    struct cf_config config;
    struct loading *load = arg;
    for (int i = 0; i < 40; i++)
        load->right += cf_config_load(&config, load->home, NULL) == CF_OK && config.broker_lease_ms == 1234;
    return NULL;
}

/* Every client that a program makes reads it. */
static void configuration_is_read_by_many_threads(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    struct loading loads[THREADS];
    struct cf_config config;
    assert_int_equal(load_text("broker { lease_ms = 1234 }\n", &config, NULL), CF_OK);
    const struct cf_home *home = test_home();
    for (size_t i = 0; i < THREADS; i++) {
        loads[i] = (struct loading){.home = home};
        assert_int_equal(pthread_create(&threads[i], NULL, load_often, &loads[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(loads[i].right, 40);
    }
}

/* The sample with every "# key = value" made active says exactly what the defaults are, and names every key. */
static void sample_is_the_manual(void **state)
{
    (void)state;
    FILE *sample = fopen(CF_TESTS_DIR "/../deploy/coverfleet.conf", "r");
    assert_non_null(sample);
    char line[512];
    struct cf_buf text;
    cf_buf_init(&text);
    while (fgets(line, sizeof line, sample)) {
        char key[64];
        int at = 0;
        if (sscanf(line, "    # %63[a-z_] = %n", key, &at) == 1 && at > 0)
            line[4] = ' ';
        cf_buf_append(&text, line, strlen(line));
    }
    fclose(sample);
    cf_buf_u8(&text, 0);
    struct cf_config config, defaults;
    struct cf_detail detail = {{0}};
    assert_int_equal(load_text((const char *)text.data, &config, &detail), CF_OK);
    cf_config_default(&defaults, test_home());
    assert_memory_equal(&config, &defaults, sizeof config);
#define ASSERT_NAMED(section, key, ...) assert_non_null(strstr((const char *)text.data, #key " = "));
    CF_CONFIG_NUMBERS(ASSERT_NAMED)
    cf_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(errno_becomes_an_error),
        cmocka_unit_test(album_ids_are_checked),
        cmocka_unit_test(versions_order_by_epoch_first),
        cmocka_unit_test(labels_come_from_metadata),
        cmocka_unit_test(cursor_reads_what_buf_wrote),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(sha256_of_abc),
        cmocka_unit_test(rng_is_splitmix64),
        cmocka_unit_test(simd_level_is_only_lowered),
        cmocka_unit_test(files_are_published_whole),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(homes_are_private),
        cmocka_unit_test(installed_is_what_lies_in_bin),
        cmocka_unit_test(long_homes_get_short_sockets),
        cmocka_unit_test(configuration_is_strict),
        cmocka_unit_test(configuration_is_read_by_many_threads),
        cmocka_unit_test(sample_is_the_manual),
    };
    return cmocka_run_group_tests_name("base", tests, make_folder, remove_folder);
}
