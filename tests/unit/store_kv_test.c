/* The database behind the shards and the journal: batches, families, secondaries, and how it fails. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/store/kv.h"
#include "tests/unit/store_folder.h"

static const char *const families[] = {"jobs", "albums"};
static const struct cf_kv_options options = {.families = families, .family_count = 2};

static struct cf_bytes bytes(const char *text)
{
    return (struct cf_bytes){(const uint8_t *)text, strlen(text)};
}

static struct cf_kv *open_kv(const char *path)
{
    struct cf_detail detail = {""};
    struct cf_kv *kv = NULL;
    if (cf_kv_open(path, &options, &kv, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    return kv;
}

static struct cf_kv *open_secondary(const char *path, const char *private_path)
{
    struct cf_detail detail = {""};
    struct cf_kv *kv = NULL;
    if (cf_kv_open_secondary(path, private_path, &options, &kv, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    return kv;
}

static void check_value(struct cf_kv *kv, size_t family, const char *key, const char *value)
{
    struct cf_buf buf;
    cf_buf_init(&buf);
    enum cf_err err = cf_kv_get(kv, family, bytes(key), &buf, NULL);
    if (!value) {
        assert_int_equal(err, CF_E_NOT_FOUND);
        assert_int_equal(buf.len, 0);
    } else {
        assert_int_equal(err, CF_OK);
        assert_int_equal(buf.len, strlen(value));
        assert_memory_equal(buf.data, value, buf.len);
    }
    cf_buf_fini(&buf);
}

static void *read_elsewhere(void *arg)
{
    check_value(arg, 0, "open", NULL);
    return NULL;
}

static void batch_is_seen_by_its_writer_only(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "kv/a");
    struct cf_kv *kv = open_kv(path);
    cf_kv_put(kv, 0, bytes("open"), bytes("1"));
    cf_kv_put(kv, 1, bytes("open"), bytes("2"));
    assert_int_equal(cf_kv_batch_count(kv), 2);
    check_value(kv, 0, "open", "1");
    check_value(kv, 1, "open", "2");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_elsewhere, kv), 0);
    pthread_join(thread, NULL);
    cf_kv_rollback(kv);
    assert_int_equal(cf_kv_batch_count(kv), 0);
    check_value(kv, 0, "open", NULL);

    cf_kv_put(kv, 0, bytes("k"), bytes("old"));
    assert_int_equal(cf_kv_commit(kv, true, NULL), CF_OK);
    cf_kv_delete(kv, 0, bytes("k"));
    check_value(kv, 0, "k", NULL);
    cf_kv_put(kv, 0, bytes("k"), bytes("new"));
    check_value(kv, 0, "k", "new");
    assert_int_equal(cf_kv_commit(kv, false, NULL), CF_OK);
    check_value(kv, 0, "k", "new");
    cf_kv_free(kv);
    kv = open_kv(path);
    check_value(kv, 0, "k", "new");
    check_value(kv, 1, "k", NULL);
    cf_kv_free(kv);
}

static void iterator_walks_in_key_order(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "kv/b");
    struct cf_kv *kv = open_kv(path);
    for (const char *key = "cabd"; *key; key++)
        cf_kv_put(kv, 1, (struct cf_bytes){(const uint8_t *)key, 1}, bytes("v"));
    assert_int_equal(cf_kv_commit(kv, false, NULL), CF_OK);
    cf_kv_put(kv, 1, bytes("bb"), bytes("not committed"));
    struct cf_kv_iter *iter = NULL;
    assert_int_equal(cf_kv_iter_new(kv, 1, bytes("b"), &iter, NULL), CF_OK);
    char seen[8] = "";
    for (; cf_kv_iter_valid(iter); cf_kv_iter_next(iter)) {
        assert_int_equal(cf_kv_iter_key(iter).len, 1);
        assert_int_equal(cf_kv_iter_value(iter).len, 1);
        strncat(seen, (const char *)cf_kv_iter_key(iter).data, 1);
    }
    assert_string_equal(seen, "bcd");
    assert_int_equal(cf_kv_iter_error(iter, NULL), CF_OK);
    cf_kv_iter_seek_last(iter);
    assert_memory_equal(cf_kv_iter_key(iter).data, "d", 1);
    cf_kv_iter_seek(iter, (struct cf_bytes){0});
    assert_memory_equal(cf_kv_iter_key(iter).data, "a", 1);
    cf_kv_iter_free(iter);
    cf_kv_free(kv);
}

static void secondary_follows(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX], private_path[STORE_PATH_MAX];
    store_folder_path(path, "kv/c");
    store_folder_path(private_path, "private/c");
    struct cf_kv *kv = NULL, *follower;
    assert_int_equal(cf_kv_open_secondary(path, private_path, &options, &kv, NULL), CF_E_NOT_FOUND);
    kv = open_kv(path);
    follower = open_secondary(path, private_path);
    /* Far more than the log's limit, so that files are flushed and logs deleted under the follower. */
    char *value = calloc(1, 64 << 10);
    for (unsigned i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof key, "%04u", i);
        cf_kv_put(kv, i % 2, bytes(key), (struct cf_bytes){(uint8_t *)value, 64 << 10});
        assert_int_equal(cf_kv_commit(kv, false, NULL), CF_OK);
        if (i % 50 == 49)
            assert_int_equal(cf_kv_catch_up(follower, NULL), CF_OK);
    }
    cf_kv_put(kv, 0, bytes("last"), bytes("seen"));
    assert_int_equal(cf_kv_commit(kv, true, NULL), CF_OK);
    check_value(follower, 0, "last", NULL);
    assert_int_equal(cf_kv_catch_up(follower, NULL), CF_OK);
    check_value(follower, 0, "last", "seen");
    for (int family = 0; family < 2; family++) {
        struct cf_kv_iter *iter = NULL;
        assert_int_equal(cf_kv_iter_new(follower, (size_t)family, (struct cf_bytes){0}, &iter, NULL), CF_OK);
        int count = 0;
        for (; cf_kv_iter_valid(iter); cf_kv_iter_next(iter))
            count++;
        assert_int_equal(cf_kv_iter_error(iter, NULL), CF_OK);
        assert_int_equal(count, family == 0 ? 251 : 250);
        cf_kv_iter_free(iter);
    }
    free(value);
    cf_kv_free(follower);
    cf_kv_free(kv);
}

static void second_owner_is_refused(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "kv/d");
    struct cf_kv *kv = open_kv(path), *other = NULL;
    struct cf_detail detail = {""};
    assert_int_equal(cf_kv_open(path, &options, &other, &detail), CF_E_LOCKED);
    assert_null(other);
    assert_non_null(strstr(detail.text, path));
    cf_kv_free(kv);
}

static void damage_is_named(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX], current[STORE_PATH_MAX + 16];
    store_folder_path(path, "kv/e");
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    snprintf(current, sizeof current, "%s/CURRENT", path);
    assert_int_equal(cf_file_publish(current, bytes("garbage"), NULL), CF_OK);
    struct cf_kv *kv = NULL;
    struct cf_detail detail = {""};
    assert_int_equal(cf_kv_open(path, &options, &kv, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, path));
}

static void foreign_families_are_refused(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "kv/f");
    cf_kv_free(open_kv(path));
    static const char *const others[] = {"something"};
    struct cf_kv *kv = NULL;
    assert_int_equal(
        cf_kv_open(path, &(struct cf_kv_options){.families = others, .family_count = 1}, &kv, NULL),
        CF_E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_is_seen_by_its_writer_only),
        cmocka_unit_test(iterator_walks_in_key_order),
        cmocka_unit_test(secondary_follows),
        cmocka_unit_test(second_owner_is_refused),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(foreign_families_are_refused),
    };
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
