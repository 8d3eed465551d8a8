/* A logistic blend: what can be worked out by hand, the slope that vanishes at the answer, and what is
 * refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/recommend/logistic.h"

/* Of x = 0, one in four is up; of x = 1, three in four: with almost no ridge the chances are those. */
static void chances_are_those_of_the_counts(void **state)
{
    (void)state;
    const double rows[] = {0, 0, 0, 0, 1, 1, 1, 1};
    const bool up[] = {true, false, false, false, true, true, true, false};
    double weights[2];
    struct cf_detail detail;
    assert_int_equal(cf_logistic_fit(rows, up, 8, 1, 1e-9, weights, &detail), CF_OK);
    assert_true(fabs(weights[0] - log(1. / 3)) < 1e-5);
    assert_true(fabs(weights[1] - 2 * log(3)) < 1e-5);
    assert_true(fabs(cf_logistic_score(weights, (const double[]){1}, 1) - log(3)) < 1e-5);
}

static void the_slope_vanishes_at_the_answer(void **state)
{
    (void)state;
    enum { COUNT = 400, WIDTH = 5 };
    struct cf_rng rng = cf_rng(5);
    double rows[COUNT * WIDTH], weights[WIDTH + 1], slope[WIDTH + 1] = {0};
    bool up[COUNT];
    struct cf_detail detail;
    for (size_t i = 0; i < COUNT; i++) {
        double sum = .5;
        for (size_t j = 0; j < WIDTH; j++) {
            rows[i * WIDTH + j] = cf_rng_unit(&rng) * 4 - 2;
            sum += (double)j * rows[i * WIDTH + j] / 2;
        }
        up[i] = cf_rng_unit(&rng) < 1 / (1 + exp(-sum));
    }
    assert_int_equal(cf_logistic_fit(rows, up, COUNT, WIDTH, 3, weights, &detail), CF_OK);
    for (size_t i = 0; i < COUNT; i++) {
        double miss = up[i] - 1 / (1 + exp(-cf_logistic_score(weights, rows + i * WIDTH, WIDTH)));
        slope[0] += miss;
        for (size_t j = 0; j < WIDTH; j++)
            slope[j + 1] += miss * rows[i * WIDTH + j];
    }
    for (size_t j = 0; j <= WIDTH; j++)
        assert_true(fabs(slope[j] - (j ? 3 * weights[j] : 0)) < 1e-5);
    assert_true(weights[5] > weights[1] + 1);
}

/* Rows that a line parts would have weights without end; the ridge holds them. */
static void parted_rows_have_an_answer(void **state)
{
    (void)state;
    const double rows[] = {-1, -2, -3, 1, 2, 3};
    const bool up[] = {false, false, false, true, true, true};
    double weights[2];
    struct cf_detail detail;
    assert_int_equal(cf_logistic_fit(rows, up, 6, 1, .01, weights, &detail), CF_OK);
    assert_true(isfinite(weights[1]) && weights[1] > 1 && fabs(weights[0]) < 1e-6);
}

static void what_cannot_be_fitted_is_refused(void **state)
{
    (void)state;
    const double rows[] = {1, 2};
    const bool up[] = {true, true};
    double weights[2];
    struct cf_detail detail;
    assert_int_equal(cf_logistic_fit(rows, up, 2, 1, 1, weights, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "of 2 thumbs all are up"));
    assert_int_equal(cf_logistic_fit(rows, (const bool[]){true, false}, 2, 1, 0, weights, &detail),
                     CF_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chances_are_those_of_the_counts),
        cmocka_unit_test(the_slope_vanishes_at_the_answer),
        cmocka_unit_test(parted_rows_have_an_answer),
        cmocka_unit_test(what_cannot_be_fitted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
