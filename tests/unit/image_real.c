/* Real files, where they are at hand: each decodes to the size that the folder's index says, describes and is
 * whole, or is refused by name. Skipped (77) without the folder, which is no part of the project. */
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
static size_t constants; /* spaces in which a picture has no direction */

static void describe(const struct cf_image *image)
{
    static uint8_t rgb[CF_THUMB_RGB_BYTES];
    struct cf_buf jpeg = {0};
    assert_int_equal(cf_spaces_load(NULL, NULL), CF_OK);
    struct cf_describer *describer = cf_describer_new();
    float out[960];
    assert_non_null(describer);
    assert_int_equal(cf_image_resize(image->rgb, image->width, image->height, rgb, 64, 64, NULL), CF_OK);
    assert_int_equal(cf_thumb_encode(rgb, &jpeg, NULL), CF_OK);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, NULL), CF_OK);
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++) {
        bool constant = true;
        assert_int_equal(cf_describe(describer, &cf_spaces[i], rgb, 64, 64, out, &constant, NULL), CF_OK);
        constants += constant;
    }
    cf_describer_free(describer);
    cf_buf_fini(&jpeg);
}

static void check(const char *name, const char *format, unsigned width, unsigned height)
{
    char path[1024];
    struct cf_buf file = {0};
    struct cf_image image = {0};
    struct cf_detail detail = {""};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(cf_file_read(path, 64 << 20, &file, &detail), CF_OK);
    enum cf_err err = cf_image_decode(cf_buf_bytes(&file), &make_limits, true, &image, &detail);
    if (err != (format[0] ? CF_OK : CF_E_NOT_AN_IMAGE))
        fail_msg("%s: %s: %s", name, cf_err_name(err), detail.text);
    if (!err) {
        if (image.source_width != width || image.source_height != height || image.partial)
            fail_msg("%s: %u x %u, \"%s\"", name, image.source_width, image.source_height, image.warning);
        describe(&image);
        cf_image_fini(&image);
    }
    cf_buf_fini(&file);
}

/* One line of the index: file, format, mode, width, height, bytes. */
static bool check_line(char *line)
{
    char *field[6];
    int count = 0;
    for (char *next = line; next && count < 6; count++)
        field[count] = strsep(&next, "\t\n");
    assert_int_equal(count, 6);
    if (strcmp(field[0], "file") == 0)
        return false;
    check(field[0], field[1], (unsigned)strtoul(field[3], NULL, 10), (unsigned)strtoul(field[4], NULL, 10));
    return true;
}

static void odd_files(void **state)
{
    (void)state;
    char path[1024], line[1024];
    int count = 0;
    snprintf(path, sizeof path, "%s/INDEX.tsv", folder);
    FILE *index = fopen(path, "r");
    assert_non_null(index);
    while (fgets(line, sizeof line, index))
        count += check_line(line);
    fclose(index);
    assert_true(count >= 50);
    assert_true(constants <= CF_SPACE_FIXED_COUNT); /* one of the files is of one colour */
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
