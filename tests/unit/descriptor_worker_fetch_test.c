/* Files by path: below the roots only, whatever links and dots say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "tests/unit/store_folder.h"
#include "workers/descriptor/fetch.h"

static struct cf_config config;
static bool ours; /* what the last fetch said */

static void write_text(const char *name, const char *text)
{
    char path[STORE_PATH_MAX];
    store_folder_path(path, name);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)text, strlen(text)}, NULL),
                     CF_OK);
}

static void link_to(const char *target, const char *name)
{
    char path[STORE_PATH_MAX];
    store_folder_path(path, name);
    assert_int_equal(symlink(target, path), 0);
}

static int set_up(void **state)
{
    if (store_folder_make(state) != 0)
        return -1;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "root/sub");
    if (cf_file_make_dirs(path, NULL) != CF_OK)
        return -1;
    store_folder_path(path, "root-other");
    if (cf_file_make_dirs(path, NULL) != CF_OK)
        return -1;
    write_text("root/a.jpg", "inside");
    write_text("root/sub/b.jpg", "deeper");
    write_text("root-other/c.jpg", "outside");
    write_text("secret", "outside");
    link_to("sub/b.jpg", "root/good-link");
    link_to("../secret", "root/bad-link");
    link_to("..", "root/up");
    link_to("/etc/passwd", "root/absolute-link");
    link_to("loop", "root/loop");
    store_folder_path(path, "root/fifo");
    if (mkfifo(path, 0600) != 0)
        return -1;
    config.image_bytes_max = 64;
    config.root_count = 1;
    snprintf(config.roots[0], sizeof config.roots[0], "%s/root/", store_folder);
    return 0;
}

static enum cf_err fetch(const char *name, const char *expected)
{
    char path[STORE_PATH_MAX];
    store_folder_path(path, name);
    struct cf_buf buf;
    struct cf_detail detail = {""};
    cf_buf_init(&buf);
    enum cf_err err = cf_fetch_file(&config, cf_str(path), &buf, &ours, &detail);
    if (err == CF_OK) {
        assert_non_null(expected);
        assert_int_equal(buf.len, strlen(expected));
        assert_memory_equal(buf.data, expected, buf.len);
    } else {
        assert_int_equal(buf.len, 0);
        assert_true(detail.text[0] != '\0');
    }
    cf_buf_fini(&buf);
    return err;
}

static void files_below_a_root(void **state)
{
    (void)state;
    assert_int_equal(fetch("root/a.jpg", "inside"), CF_OK);
    assert_int_equal(fetch("root//sub/b.jpg", "deeper"), CF_OK);
    assert_int_equal(fetch("root/sub/../a.jpg", "inside"), CF_OK);
    assert_int_equal(fetch("root/good-link", "deeper"), CF_OK);
    assert_int_equal(fetch("root/none.jpg", NULL), CF_E_NOT_FOUND);
    assert_int_equal(fetch("root/a.jpg/x", NULL), CF_E_NOT_FOUND);
    assert_int_equal(fetch("root/loop", NULL), CF_E_NOT_FOUND);
}

static void nothing_else(void **state)
{
    (void)state;
    assert_int_equal(fetch("secret", NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(fetch("none", NULL), CF_E_OUTSIDE_ROOTS); /* and nobody learns whether it is there */
    assert_int_equal(fetch("root-other/c.jpg", NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(fetch("root", NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(fetch("root/../secret", NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(fetch("root/bad-link", NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(fetch("root/up/secret", NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(fetch("root/absolute-link", NULL), CF_E_OUTSIDE_ROOTS);
}

static void only_regular_files_within_the_limit(void **state)
{
    (void)state;
    assert_int_equal(fetch("root/fifo", NULL), CF_E_UNSUPPORTED);
    assert_int_equal(fetch("root/sub", NULL), CF_E_UNSUPPORTED);
    char text[66] = "";
    memset(text, 'x', 65);
    write_text("root/large", text);
    assert_int_equal(fetch("root/large", NULL), CF_E_TOO_LARGE);
    text[64] = '\0';
    write_text("root/large", text);
    assert_int_equal(fetch("root/large", text), CF_OK);
}

static void any_root_will_do(void **state)
{
    (void)state;
    config.root_count = 2;
    snprintf(config.roots[1], sizeof config.roots[1], "%s", store_folder);
    assert_int_equal(fetch("secret", "outside"), CF_OK);
    assert_int_equal(fetch("root/bad-link", "outside"), CF_OK); /* it stays below the second root */
    config.root_count = 0;
    assert_int_equal(fetch("root/a.jpg", NULL), CF_E_OUTSIDE_ROOTS);
    config.root_count = 1;
}

/* What is not mounted or cannot be opened is no fault of a cover's. */
static void a_root_that_fails_is_ours(void **state)
{
    (void)state;
    char root[sizeof config.roots[0]], gone[STORE_PATH_MAX], path[STORE_PATH_MAX];
    memcpy(root, config.roots[0], sizeof root);
    store_folder_path(gone, "unmounted");
    snprintf(config.roots[0], sizeof config.roots[0], "%s", gone);
    ours = false;
    assert_int_equal(fetch("unmounted/a.jpg", NULL), CF_E_IO);
    assert_true(ours);
    struct cf_buf buf;
    struct cf_detail detail;
    cf_buf_init(&buf);
    store_folder_path(path, "unmounted/a.jpg");
    assert_int_equal(cf_fetch_file(&config, cf_str(path), &buf, &ours, &detail), CF_E_IO);
    assert_non_null(strstr(detail.text, gone)); /* it names the root */
    cf_buf_fini(&buf);
    write_text("unmounted", "no folder");
    ours = false;
    assert_int_equal(fetch("unmounted/a.jpg", NULL), CF_E_IO);
    assert_true(ours);
    assert_int_equal(unlink(gone), 0);
    /* The other root does not have it: the bad one might. */
    config.root_count = 2;
    snprintf(config.roots[1], sizeof config.roots[1], "%s", store_folder);
    assert_int_equal(fetch("unmounted/a.jpg", NULL), CF_E_IO);
    assert_true(ours);
    config.root_count = 1;
    memcpy(config.roots[0], root, sizeof root);
    assert_int_equal(fetch("root/none.jpg", NULL), CF_E_NOT_FOUND);
    assert_false(ours);
    assert_int_equal(fetch("secret", NULL), CF_E_OUTSIDE_ROOTS);
    assert_false(ours);
}

static void no_descriptor_left_is_ours(void **state)
{
    (void)state;
    struct rlimit files, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    few = files;
    few.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    enum cf_err err = fetch("root/a.jpg", "inside");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(err, CF_E_IO);
    assert_true(ours);
    assert_int_equal(fetch("root/a.jpg", "inside"), CF_OK);
    assert_false(ours);
}

static void odd_paths(void **state)
{
    (void)state;
    struct cf_buf buf;
    cf_buf_init(&buf);
    assert_int_equal(cf_fetch_file(&config, cf_str(""), &buf, &ours, NULL), CF_E_NOT_FOUND);
    assert_int_equal(cf_fetch_file(&config, cf_str("a.jpg"), &buf, &ours, NULL), CF_E_OUTSIDE_ROOTS);
    assert_int_equal(cf_fetch_file(&config, (struct cf_str){"/x\0y", 4}, &buf, &ours, NULL), CF_E_NOT_FOUND);
    static char longest[5000];
    memset(longest, '/', sizeof longest - 1);
    assert_int_equal(cf_fetch_file(&config, cf_str(longest), &buf, &ours, NULL), CF_E_NOT_FOUND);
    cf_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_below_a_root),
                                       cmocka_unit_test(nothing_else),
                                       cmocka_unit_test(only_regular_files_within_the_limit),
                                       cmocka_unit_test(any_root_will_do),
                                       cmocka_unit_test(odd_paths),
                                       cmocka_unit_test(a_root_that_fails_is_ours),
                                       cmocka_unit_test(no_descriptor_left_is_ours)};
    return cmocka_run_group_tests(tests, set_up, store_folder_remove);
}
