/* Real files, where they are at hand: the odd JPEGs decode and describe or are refused by name, and the
 * library answers for every file of the folder. Skipped (77) without the folder, which is no part of the
 * project. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/descriptor/space.h"
#include "tests/unit/image_make.h"

static char folder[512];

static void describe(const char *name, const struct cf_image *image)
{
    static uint8_t rgb[CF_THUMB_RGB_BYTES];
    struct cf_buf jpeg = {0};
    struct cf_describer *describer = cf_describer_new();
    float out[960];
    assert_non_null(describer);
    assert_int_equal(cf_image_resize(image->rgb, image->width, image->height, rgb, 64, 64, NULL), CF_OK);
    assert_int_equal(cf_thumb_encode(rgb, &jpeg, NULL), CF_OK);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, NULL), CF_OK);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        bool constant = true;
        assert_int_equal(cf_describe(describer, &cf_spaces[i], rgb, 64, 64, out, &constant, NULL), CF_OK);
        if (constant)
            fail_msg("%s is constant", name);
    }
    cf_describer_free(describer);
    cf_buf_fini(&jpeg);
}

static void check(const char *name)
{
    char path[1024];
    struct cf_buf file = {0};
    struct cf_image image;
    struct cf_detail detail = {""};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(cf_file_read(path, 64 << 20, &file, &detail), CF_OK);
    bool jpeg = strncmp(name, "jpeg_", 5) == 0;
    enum cf_err err = cf_image_decode(cf_buf_bytes(&file), &make_limits, true, &image, &detail);
    if (jpeg != (err == CF_OK) || (err && err != CF_E_NOT_AN_IMAGE))
        fail_msg("%s: %s: %s", name, cf_err_name(err), detail.text);
    if (!err) {
        describe(name, &image);
        cf_image_fini(&image);
    }
    cf_buf_fini(&file);
}

static void odd_files(void **state)
{
    (void)state;
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "INDEX.tsv") != 0) {
            check(entry->d_name);
            count++;
        }
    closedir(dir);
    assert_true(count >= 50);
}

int main(void)
{
    const char *shared = getenv("COVERFLEET_SHARED");
    snprintf(folder, sizeof folder, "%s/data/odd", shared ? shared : CF_TESTS_DIR "/../../shared");
    DIR *dir = opendir(folder);
    if (!dir) {
        printf("image_real: skipped, no folder %s\n", folder);
        return 77;
    }
    closedir(dir);
    const struct CMUnitTest tests[] = {cmocka_unit_test(odd_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
