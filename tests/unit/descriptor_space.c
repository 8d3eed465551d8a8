/* The spaces' table, gray16 against a naive model, and pictures without contrast. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/descriptor/space.h"

enum { SIDE_MAX = 80 };

static struct cf_describer *describer;
static uint8_t rgb[SIDE_MAX * SIDE_MAX * 3];

static int set_up(void **state)
{
    (void)state;
    describer = cf_describer_new();
    return describer ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    cf_describer_free(describer);
    return 0;
}

static void noise(uint64_t seed)
{
    struct cf_rng rng = cf_rng(seed);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)cf_rng_u64(&rng);
}

static const struct cf_space *space(const char *name)
{
    const struct cf_space *found = cf_space_find(cf_str(name));
    assert_non_null(found);
    return found;
}

static void table(void **state)
{
    (void)state;
    assert_int_equal(space("gray16")->dim, 256);
    assert_int_equal(space("gist")->dim, 960);
    assert_null(cf_space_find(cf_str("gis")));
    assert_null(cf_space_find(cf_str("")));
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++) {
        assert_non_null(strstr(cf_space_names(), cf_spaces[i].name));
        assert_true(cf_spaces[i].version > 0);
    }
}

static double overlap(double a0, double a1, double b0, double b1)
{
    double low = fmax(a0, b0), high = fmin(a1, b1);
    return high > low ? high - low : 0;
}

static double cell(uint32_t width, uint32_t height, int x, int y)
{
    double sum = 0, area = 0;
    for (uint32_t j = 0; j < height; j++)
        for (uint32_t i = 0; i < width; i++) {
            const uint8_t *p = rgb + ((size_t)j * width + i) * 3;
            double w = overlap(i, i + 1.0, x * (double)width / 16, (x + 1) * (double)width / 16) *
                       overlap(j, j + 1.0, y * (double)height / 16, (y + 1) * (double)height / 16);
            sum += w * (0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]);
            area += w;
        }
    return sum / area;
}

static void gray16_agrees_with_the_model(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{64, 64}, {16, 16}, {80, 33}, {7, 50}, {2, 1}, {31, 31}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        double cells[256], mean = 0, square = 0;
        float out[256];
        bool constant = true;
        noise(s);
        assert_int_equal(
            cf_describe(describer, space("gray16"), rgb, sizes[s][0], sizes[s][1], out, &constant, NULL),
            CF_OK);
        assert_false(constant);
        for (int i = 0; i < 256; i++)
            mean += (cells[i] = cell(sizes[s][0], sizes[s][1], i % 16, i / 16)) / 256;
        for (int i = 0; i < 256; i++)
            square += (cells[i] - mean) * (cells[i] - mean) / 256;
        for (int i = 0; i < 256; i++)
            assert_true(fabs(out[i] - (cells[i] - mean) / sqrt(square)) < 1e-5);
    }
}

/* d² = 512 (1 - correlation): the same picture with other brightness and contrast has distance zero, its
 * negative 2 * 512. */
static void gray16_distances(void **state)
{
    (void)state;
    float a[256], b[256];
    bool constant;
    noise(9);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = rgb[i] / 2;
    assert_int_equal(cf_describe(describer, space("gray16"), rgb, 64, 64, a, &constant, NULL), CF_OK);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(rgb[i] + 100);
    assert_int_equal(cf_describe(describer, space("gray16"), rgb, 64, 64, b, &constant, NULL), CF_OK);
    for (int i = 0; i < 256; i++)
        assert_true(fabsf(a[i] - b[i]) < 1e-4f);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(255 - rgb[i]);
    assert_int_equal(cf_describe(describer, space("gray16"), rgb, 64, 64, b, &constant, NULL), CF_OK);
    double square = 0;
    for (int i = 0; i < 256; i++)
        square += (double)(a[i] - b[i]) * (a[i] - b[i]);
    assert_true(fabs(square - 1024) < 0.01);
}

static void constant_pictures(void **state)
{
    (void)state;
    static const uint8_t colours[][3] = {{0, 0, 0}, {255, 255, 255}, {200, 30, 77}, {1, 1, 1}};
    static const uint32_t sides[] = {8, 16, 31, 32, 64, 80};
    for (size_t k = 0; k < sizeof colours / sizeof colours[0]; k++)
        for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++) {
            float out[960];
            bool constant = false;
            for (size_t i = 0; i < sizeof rgb; i++)
                rgb[i] = colours[k][i % 3];
            assert_int_equal(
                cf_describe(describer, space("gray16"), rgb, sides[s], sides[s], out, &constant, NULL),
                CF_OK);
            assert_true(constant);
            for (int i = 0; i < 256; i++)
                assert_true(out[i] == 0);
            constant = false;
            assert_int_equal(
                cf_describe(describer, space("gist"), rgb, sides[s], sides[s], out, &constant, NULL), CF_OK);
            assert_true(constant);
            for (int i = 0; i < 960; i++)
                assert_true(isfinite(out[i]) && out[i] >= 0 && (sides[s] % 2 || out[i] < 1e-5f));
        }
}

static void one_pixel_is_contrast(void **state)
{
    (void)state;
    float out[960];
    bool constant = true;
    memset(rgb, 0, sizeof rgb);
    rgb[(30 * 64 + 30) * 3 + 1] = 1;
    assert_int_equal(cf_describe(describer, space("gray16"), rgb, 64, 64, out, &constant, NULL), CF_OK);
    assert_false(constant);
    constant = true;
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 64, 64, out, &constant, NULL), CF_OK);
    assert_false(constant);
}

static void sides_out_of_range(void **state)
{
    (void)state;
    float out[960] = {7};
    bool constant = true;
    struct cf_detail detail = {""};
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 7, 64, out, &constant, &detail),
                     CF_E_INVALID);
    assert_non_null(strstr(detail.text, "7 x 64"));
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 64, 7, out, &constant, NULL), CF_E_INVALID);
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 64, 100000, out, &constant, NULL),
                     CF_E_INVALID);
    assert_int_equal(cf_describe(describer, space("gray16"), rgb, 0, 64, out, &constant, NULL), CF_E_INVALID);
    assert_true(out[0] == 7);
    assert_int_equal(cf_describe(describer, space("gray16"), rgb, 1, 1, out, &constant, NULL), CF_OK);
    assert_true(constant);
}

/* The same describer, other sizes in between: the same numbers to the last bit. */
static void sizes_do_not_disturb_each_other(void **state)
{
    (void)state;
    float first[960], again[960];
    bool constant;
    noise(4);
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 64, 64, first, &constant, NULL), CF_OK);
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 32, 32, again, &constant, NULL), CF_OK);
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 40, 64, again, &constant, NULL), CF_OK);
    assert_int_equal(cf_describe(describer, space("gist"), rgb, 64, 64, again, &constant, NULL), CF_OK);
    assert_memory_equal(first, again, sizeof first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(gray16_agrees_with_the_model),
        cmocka_unit_test(gray16_distances),
        cmocka_unit_test(constant_pictures),
        cmocka_unit_test(one_pixel_is_contrast),
        cmocka_unit_test(sides_out_of_range),
        cmocka_unit_test(sizes_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
