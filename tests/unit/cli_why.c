/* Distances taken apart: shares add up, and stand for the part of the picture, the scale, the orientation and
 * the colour that the covers really differ in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cpu.h"
#include "common/base/rng.h"
#include "deploy/cli/why.h"

enum { SIDE = 64 };

struct cover {
    uint8_t rgb[SIDE * SIDE * 3];
    float vector[CF_GIST_DIM];
};

typedef double pattern(double x, double y);

static void paint(struct cover *cover, pattern *pattern_at, const struct cf_space *space)
{
    bool constant;
    struct cf_describer *describer = cf_describer_new();
    for (size_t i = 0; i < SIDE * SIDE; i++)
        for (size_t c = 0; c < 3; c++)
            cover->rgb[3 * i + c] = (uint8_t)(128 + 100 * pattern_at((double)(i % SIDE), (double)(i / SIDE)));
    assert_int_equal(cf_describe(describer, space, cover->rgb, SIDE, SIDE, cover->vector, &constant, NULL),
                     CF_OK);
    cf_describer_free(describer);
}

static struct cf_why why_of(pattern *a, pattern *b, const char *name)
{
    static struct cover first, second;
    struct cf_why why;
    const struct cf_space *space = cf_space_find(cf_str(name));
    paint(&first, a, space);
    paint(&second, b, space);
    assert_int_equal(cf_why_of(space, first.vector, second.vector, &why, NULL), CF_OK);
    return why;
}

static const double wave = 2 * 3.14159265358979 * 10.4 / SIDE; /* of the middle scale */

static double plain(double x, double y)
{
    return 0.01 * (x > y);
}
static double vertical(double x, double y)
{
    return 0 * y + sin(wave * x);
}
static double horizontal(double x, double y)
{
    return 0 * x + sin(wave * y);
}
/* Lines from the upper left to the lower right: y grows downwards. */
static double falling(double x, double y)
{
    return sin(wave * (x - y) / sqrt(2));
}
static double rising(double x, double y)
{
    return sin(wave * (x + y) / sqrt(2));
}
static double fine(double x, double y)
{
    return 0 * y + sin(wave * 19.2 / 10.4 * x);
}
static double coarse(double x, double y)
{
    return 0 * x + sin(wave * 5.6 / 10.4 * y);
}
/* The stripes with another corner: lower left. */
static double patched(double x, double y)
{
    return x < 16 && y >= 48 ? horizontal(x, y) : vertical(x, y);
}
static double ramp(double x, double y)
{
    return (x + y) / 64 - 1;
}
static double ramp_patched(double x, double y)
{
    return x >= 16 && x < 32 && y < 16 ? 1 : ramp(x, y);
}

static void answers_to(pattern *lines, size_t scale, size_t orientation)
{
    struct cf_why why = why_of(lines, plain, "gist");
    double most = why.filters[scale][orientation];
    for (size_t s = 0; s < CF_WHY_SCALES; s++)
        for (size_t o = 0; o < cf_why_orientations(s); o++)
            if ((s != scale || o != orientation) && why.filters[s][o] >= most)
                fail_msg("lines of scale %zu, orientation %zu: %.3f, but %.3f of %zu, %zu", scale,
                         orientation, most, why.filters[s][o], s, o);
}

static void filters_stand_for_their_lines(void **state)
{
    (void)state;
    answers_to(vertical, 1, 0);
    answers_to(falling, 1, 2);
    answers_to(horizontal, 1, 4);
    answers_to(rising, 1, 6);
    answers_to(fine, 0, 0);
    answers_to(coarse, 2, 2);
}

static double sum_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void blocks_stand_for_their_place(void **state)
{
    (void)state;
    struct cf_why why = why_of(vertical, patched, "gist");
    assert_true(why.blocks[3][0] > 0.4);
    assert_true(fabs(sum_of(&why.blocks[0][0], 16) - 1) < 1e-9);
    assert_true(fabs(sum_of(&why.filters[0][0], 24) - 1) < 1e-9);
    assert_true(fabs(sum_of(why.channels, 3) - 1) < 1e-9);
    assert_true(fabs(why.channels[0] - 1.0 / 3) < 1e-6);
    why = why_of(ramp, ramp_patched, "gray16");
    assert_true(why.blocks[0][1] > 0.7);
    assert_true(fabs(sum_of(&why.blocks[0][0], 16) - 1) < 1e-9);
    assert_true(sum_of(why.channels, 3) == 0);
}

static void the_distance_is_that_of_the_vectors(void **state)
{
    (void)state;
    static float a[CF_GIST_DIM], b[CF_GIST_DIM];
    struct cf_rng rng = cf_rng(4);
    double sum = 0;
    for (size_t i = 0; i < CF_GIST_DIM; i++) {
        a[i] = (float)cf_rng_unit(&rng);
        b[i] = (float)cf_rng_unit(&rng);
        sum += pow((double)a[i] - (double)b[i], 2);
    }
    struct cf_why why;
    assert_int_equal(cf_why_of(cf_space_find(cf_str("gist")), a, b, &why, NULL), CF_OK);
    assert_true(fabs(why.distance - sqrt(sum)) < 1e-9);
    assert_int_equal(cf_why_of(cf_space_find(cf_str("gist")), a, a, &why, NULL), CF_OK);
    assert_true(why.distance == 0 && sum_of(&why.blocks[0][0], 16) == 0);
    struct cf_space other = {.name = "taste"};
    assert_int_equal(cf_why_of(&other, a, b, &why, NULL), CF_E_INVALID);
}

static char *text_of(const struct cf_why *why)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(cf_why_text(why, out), CF_OK);
    fclose(out);
    return text;
}

static void people_see_where(void **state)
{
    (void)state;
    struct cf_why why = why_of(vertical, patched, "gist");
    char *text = text_of(&why);
    assert_non_null(strstr(text, "|@@@@@@")); /* the darkest block is at the left */
    assert_non_null(strstr(text, "middle, 10 cycles"));
    assert_non_null(strstr(text, "red 33.3 %"));
    free(text);
    why = why_of(ramp, ramp_patched, "gray16");
    text = text_of(&why);
    assert_null(strstr(text, "cycles"));
    free(text);
}

static void json_has_every_share(void **state)
{
    (void)state;
    struct cf_why why = why_of(vertical, patched, "gist");
    struct cf_json *json = cf_json_new();
    char *text = NULL;
    size_t size = 0, count = 0;
    cf_why_json(json, &why);
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(cf_json_print(json, out, NULL), CF_OK);
    fclose(out);
    cf_json_free(json);
    for (const char *at = text; (at = strstr(at, "\"angle\"")); at++)
        count++;
    assert_int_equal(count, CF_GIST_FILTERS);
    assert_non_null(strstr(text, "{\"space\":\"gist\",\"distance\":"));
    assert_non_null(strstr(text, "\"blocks\":[["));
    assert_non_null(strstr(text, "\"channels\":{\"red\":0.333"));
    free(text);
}

static void learned_spaces_have_a_cosine_and_no_parts(void **state)
{
    (void)state;
    const struct cf_space *copy = cf_space_find(cf_str("copy"));
    float a[128] = {1}, b[128] = {0.6f, 0.8f};
    struct cf_why why;
    struct cf_json *json = cf_json_new();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_int_equal(cf_why_of(copy, a, b, &why, NULL), CF_OK);
    assert_float_equal(why.distance, sqrt(2 - 2 * 0.6), 1e-6);
    cf_why_json(json, &why);
    assert_int_equal(cf_json_print(json, out, NULL), CF_OK);
    assert_int_equal(cf_why_text(&why, out), CF_OK);
    fclose(out);
    assert_non_null(strstr(text, "\"cosine\""));
    assert_null(strstr(text, "blocks"));
    assert_non_null(strstr(text, "cosine 0.6000"));
    free(text);
    cf_json_free(json);
}

int main(void)
{
    if (cf_cpu_init(NULL) != CF_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_stand_for_their_lines),
        cmocka_unit_test(blocks_stand_for_their_place),
        cmocka_unit_test(the_distance_is_that_of_the_vectors),
        cmocka_unit_test(people_see_where),
        cmocka_unit_test(json_has_every_share),
        cmocka_unit_test(learned_spaces_have_a_cosine_and_no_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
