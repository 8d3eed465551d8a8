/* A full disk, on a small file system of its own: a write that does not fit is CF_E_DISK_FULL, nothing
 * committed before it is lost, and the shard works again once there is room. Needs the right to mount;
 * skipped by name without it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/store/shard.h"
#include "tests/unit/store_folder.h"

enum { DIM = 4096, SKIPPED = 77 };

static char disk[STORE_PATH_MAX];

static enum cf_err put_one(struct cf_shard *shard, uint64_t seq, struct cf_detail *detail)
{
    static float values[DIM];
    for (size_t i = 0; i < DIM; i++)
        values[i] = (float)(seq * 31 + i * i % 1009);
    struct cf_shard_vector vector = {cf_str("gist"), 1, values, DIM};
    char id[32];
    int len = snprintf(id, sizeof id, "%llu", (unsigned long long)seq);
    struct cf_shard_album album = {.version = {1, seq}};
    enum cf_err err = cf_shard_put(shard, (struct cf_str){id, (size_t)len}, &album, &vector, 1,
                                   (struct cf_bytes){0}, detail);
    return err == CF_OK ? cf_shard_commit(shard, detail) : err;
}

static void fill(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    static char block[64 << 10];
    while (write(fd, block, sizeof block) > 0)
        continue;
    close(fd);
}

static void expect_all(const char *path, uint64_t count)
{
    static float values[DIM];
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    for (uint64_t seq = 1; seq <= count; seq++) {
        char id[32];
        int len = snprintf(id, sizeof id, "%llu", (unsigned long long)seq);
        assert_int_equal(
            cf_shard_vector(shard, (struct cf_str){id, (size_t)len}, cf_str("gist"), 1, values, DIM, NULL),
            CF_OK);
    }
    cf_shard_free(shard);
}

static void full_disk_refuses_and_loses_nothing(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX + 16], filler[STORE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/shard", disk);
    snprintf(filler, sizeof filler, "%s/filler", disk);
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    uint64_t stored = 0;
    for (; stored < 50; stored++)
        assert_int_equal(put_one(shard, stored + 1, NULL), CF_OK);
    fill(filler);
    struct cf_detail detail = {""};
    enum cf_err err = CF_OK;
    while (stored < 5000 && err == CF_OK) { /* what RocksDB had reserved still fits */
        err = put_one(shard, stored + 1, &detail);
        stored += err == CF_OK;
    }
    assert_int_equal(err, CF_E_DISK_FULL);
    assert_non_null(strstr(detail.text, path));
    /* It stays refused until the shard is opened again. */
    unlink(filler);
    assert_int_equal(put_one(shard, stored + 1, NULL), CF_E_DISK_FULL);
    cf_shard_free(shard);
    expect_all(path, stored);
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    assert_int_equal(put_one(shard, stored + 1, NULL), CF_OK);
    cf_shard_free(shard);
    expect_all(path, stored + 1);
}

int main(void)
{
    if (store_folder_make(NULL) != 0)
        return 1;
    store_folder_path(disk, "disk");
    if (cf_file_make_dirs(disk, NULL) != CF_OK || mount("tmpfs", disk, "tmpfs", 0, "size=48m") != 0) {
        printf("skipped: store_full_test may not mount a small file system here\n");
        (void)store_folder_remove(NULL);
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(full_disk_refuses_and_loses_nothing)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)umount2(disk, MNT_DETACH);
    (void)store_folder_remove(NULL);
    return failed;
}
