/* A full disk is an error with a name, and nothing is left on it. Needs the right to mount a small file
 * system. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/ann_fixture.h"

static void disk_full(void **state)
{
    (void)state;
    struct ann_set small = ann_set_make(ANN_RANDOM, 100, 16, 0, 1, 1),
                   large = ann_set_make(ANN_RANDOM, 6000, 64, 0, 1, 1);
    struct cf_detail detail = {""};
    struct cf_ann *ann;

    assert_int_equal(ann_build(ann_path("index"), &small, 1, 1, NULL), CF_OK);
    assert_int_equal(ann_build(ann_path("index"), &large, 1, 1, &detail), CF_E_DISK_FULL);
    assert_non_null(strstr(detail.text, "index"));
    assert_int_equal(ann_folder_entries(), 1);
    assert_int_equal(cf_ann_open(ann_path("index"), &ann, NULL), CF_OK);
    assert_int_equal(cf_ann_verify(ann, NULL), CF_OK);
    assert_int_equal(cf_ann_info(ann).count, 100);
    cf_ann_free(ann);
    ann_set_free(&small);
    ann_set_free(&large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(disk_full)};
    int failed;

    /* In a mount namespace of its own: a crash leaves nothing mounted. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("cf-ann", ann_folder(), "tmpfs", 0, "size=512k") != 0) {
        puts("skipped: no right to mount a small file system");
        return 77;
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount2(ann_folder(), MNT_DETACH);
    rmdir(ann_folder());
    return failed;
}
