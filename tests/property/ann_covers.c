/* Real covers in both spaces: by default 95 % of the true ten are found, for covers that the index has not
 * seen. The pictures are no part of this project; without them the test is skipped. */
#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/descriptor/space.h"
#include "common/image/image.h"
#include "tests/unit/ann_fixture.h"

enum { COVERS_MAX = 3007, HELD_OUT = 300, SIDE = 32 };

static char folder[PATH_MAX];
static uint8_t (*pictures)[SIDE * SIDE * 3];
static size_t picture_count;

static bool find_folder(void)
{
    const char *shared = getenv("COVERFLEET_SHARED");

    if (shared)
        snprintf(folder, sizeof folder, "%s/data/covers", shared);
    else
        snprintf(folder, sizeof folder, "%s/../../shared/data/covers", CF_TESTS_DIR);
    DIR *dir = opendir(folder);
    if (dir)
        closedir(dir);
    return dir != NULL;
}

static void load_picture(const char *name)
{
    const struct cf_image_limits limits = {1 << 26, 10000, 100000000, 200, (size_t)1 << 30};
    char path[2 * PATH_MAX];
    struct cf_image image;
    struct cf_buf file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    cf_buf_init(&file);
    if (cf_file_read(path, 1 << 26, &file, NULL) == CF_OK &&
        cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, NULL) == CF_OK) {
        assert_int_equal(cf_image_resize(image.rgb, image.width, image.height, pictures[picture_count++],
                                         SIDE, SIDE, NULL),
                         CF_OK);
        cf_image_fini(&image);
    }
    cf_buf_fini(&file);
}

static int load(void **state)
{
    (void)state;
    struct dirent **names;
    int count = scandir(folder, &names, NULL, alphasort);

    pictures = calloc(COVERS_MAX, sizeof *pictures);
    for (int i = 0; i < count; i++) {
        if (pictures && names[i]->d_name[0] != '.' && picture_count < COVERS_MAX)
            load_picture(names[i]->d_name);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
    return picture_count > 2 * HELD_OUT ? 0 : -1;
}

static void check_space(const char *name)
{
    const struct cf_space *space = cf_space_find(cf_str(name));
    struct cf_describer *describer = cf_describer_new();
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();

    assert_true(space && describer && searcher);
    struct ann_set set = ann_set_make(ANN_ZERO, picture_count, space->dim, 0, 1, 1);
    double sum = 0;
    bool constant;
    for (size_t i = 0; i < picture_count; i++)
        assert_int_equal(cf_describe(describer, space, pictures[i], SIDE, SIDE, set.vectors + i * space->dim,
                                     &constant, NULL),
                         CF_OK);
    set.count -= HELD_OUT;
    struct cf_ann *ann = ann_build_open(ann_path(name), &set, 2, 1);
    for (size_t q = set.count; q < picture_count; q++)
        sum += ann_recall(ann, &set, set.vectors + q * space->dim, 10, .95, searcher);
    print_message("%s: recall %.4f\n", name, sum / HELD_OUT);
    assert_true(sum / HELD_OUT >= .95);
    cf_ann_free(ann);
    cf_ann_searcher_free(searcher);
    cf_describer_free(describer);
    ann_set_free(&set);
}

static void gray16(void **state)
{
    (void)state;
    check_space("gray16");
}

static void gist(void **state)
{
    (void)state;
    check_space("gist");
}

static int teardown(void **state)
{
    (void)state;
    free(pictures);
    ann_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gray16), cmocka_unit_test(gist)};

    if (!find_folder()) {
        puts("skipped: no covers in ../shared/data/covers or "
             "$COVERFLEET_SHARED/data/covers");
        return 77;
    }
    return cmocka_run_group_tests(tests, load, teardown);
}
