/* Mappings: ridge against elimination and against leaving every row out in turn, a hidden layer on what no
 * line tells, and what they promise alike. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/recommend/mapping.h"

enum { INPUTS = 4, OUTPUTS = 3, COUNT_MAX = 3000 };

struct rows {
    float x[COUNT_MAX * INPUTS], b[COUNT_MAX * OUTPUTS];
    struct cf_mapping_rows rows;
};

static double normal(struct cf_rng *rng)
{
    return 1.7 * (cf_rng_unit(rng) + cf_rng_unit(rng) + cf_rng_unit(rng) + cf_rng_unit(rng) - 2);
}

static struct rows *rows_new(size_t count, uint64_t seed)
{
    struct rows *r = calloc(1, sizeof *r);
    struct cf_rng rng = cf_rng(seed);
    for (size_t i = 0; i < count * INPUTS; i++)
        r->x[i] = (float)(3 + (double)(1 + i % INPUTS) * normal(&rng)); /* not of one scale */
    r->rows = (struct cf_mapping_rows){r->x, r->b, count, INPUTS, OUTPUTS};
    return r;
}

/* b = A x + shift + noise */
static struct rows *linear_rows(size_t count, double noise, uint64_t seed)
{
    struct rows *r = rows_new(count, seed);
    struct cf_rng rng = cf_rng(seed + 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < OUTPUTS; k++) {
            double sum = (double)k + noise * normal(&rng);
            for (size_t j = 0; j < INPUTS; j++)
                sum += ((double)j - 1.3 * (double)k) * (double)r->x[i * INPUTS + j];
            r->b[i * OUTPUTS + k] = (float)sum;
        }
    return r;
}

static double error_of(const struct cf_mapping *m, const struct rows *r, size_t begin, size_t count)
{
    float *y = calloc(count * OUTPUTS, sizeof *y);
    double sum = 0;
    struct cf_detail detail;
    assert_int_equal(cf_mapping_apply(m, r->x + begin * INPUTS, count, y, &detail), CF_OK);
    for (size_t i = 0; i < count * OUTPUTS; i++) {
        double miss = (double)y[i] - (double)r->b[begin * OUTPUTS + i];
        sum += miss * miss;
    }
    free(y);
    return sum / (double)count;
}

static void ridge_finds_a_planted_line(void **state)
{
    (void)state;
    struct rows *r = linear_rows(2500, 0, 3); /* more than a block */
    struct cf_mapping m;
    struct cf_detail detail;
    assert_int_equal(cf_mapping_ridge(&r->rows, &m, &detail), CF_OK);
    assert_true(error_of(&m, r, 0, 2500) < 1e-2);
    assert_true(m.hidden == 0 && m.inputs == INPUTS && m.outputs == OUTPUTS && m.lambda > 0);
    cf_mapping_fini(&m);
    free(r);
}

/* Gauss and Jordan on the scaled and centred rows but one; the squared miss on that one. */
static double left_out_error(const struct rows *r, const struct cf_mapping *m, size_t out)
{
    double a[INPUTS][INPUTS + OUTPUTS] = {{0}}, mean[OUTPUTS] = {0}, z_mean[INPUTS] = {0}, error = 0;
    size_t n = r->rows.count;
    double z[COUNT_MAX][INPUTS];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < INPUTS; j++)
            z[i][j] = ((double)r->x[i * INPUTS + j] - (double)m->means[j]) * (double)m->scales[j];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; i != out && j < INPUTS; j++)
            z_mean[j] += z[i][j] / (double)(n - 1);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; i != out && k < OUTPUTS; k++)
            mean[k] += (double)r->b[i * OUTPUTS + k] / (double)(n - 1);
    for (size_t j = 0; j < INPUTS; j++)
        a[j][j] = m->lambda;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; i != out && j < INPUTS; j++) {
            double x = z[i][j] - z_mean[j];
            for (size_t k = 0; k < INPUTS; k++)
                a[j][k] += x * (z[i][k] - z_mean[k]);
            for (size_t k = 0; k < OUTPUTS; k++)
                a[j][INPUTS + k] += x * ((double)r->b[i * OUTPUTS + k] - mean[k]);
        }
    for (size_t p = 0; p < INPUTS; p++)
        for (size_t row = 0; row < INPUTS; row++) {
            double share = row == p ? 0 : a[row][p] / a[p][p];
            for (size_t k = 0; k < INPUTS + OUTPUTS; k++)
                a[row][k] -= share * a[p][k];
        }
    for (size_t k = 0; k < OUTPUTS; k++) {
        double y = mean[k];
        for (size_t j = 0; j < INPUTS; j++)
            y += a[j][INPUTS + k] / a[j][j] * (z[out][j] - z_mean[j]);
        double miss = y - (double)r->b[out * OUTPUTS + k];
        error += miss * miss;
    }
    return error;
}

static void the_inner_error_is_that_of_rows_left_out(void **state)
{
    (void)state;
    struct rows *r = linear_rows(60, 9, 8);
    struct cf_mapping m;
    struct cf_detail detail;
    double sum = 0;
    assert_int_equal(cf_mapping_ridge(&r->rows, &m, &detail), CF_OK);
    for (size_t i = 0; i < 60; i++)
        sum += left_out_error(r, &m, i) / 60;
    if (!(fabs(sum - m.inner_error) < 1e-3 * sum))
        fail_msg("inner error %.6f, by leaving rows out %.6f", m.inner_error, sum);
    cf_mapping_fini(&m);
    free(r);
}

/* Pure noise is best told by its mean: the strongest ridge wins. */
static void noise_is_held_back(void **state)
{
    (void)state;
    struct rows *noise = rows_new(80, 4), *line = linear_rows(80, .1, 4);
    struct cf_rng rng = cf_rng(77);
    struct cf_mapping a, b;
    struct cf_detail detail;
    for (size_t i = 0; i < 80 * OUTPUTS; i++)
        noise->b[i] = (float)normal(&rng);
    assert_int_equal(cf_mapping_ridge(&noise->rows, &a, &detail), CF_OK);
    assert_int_equal(cf_mapping_ridge(&line->rows, &b, &detail), CF_OK);
    assert_true(a.lambda > 100 * b.lambda);
    cf_mapping_fini(&a);
    cf_mapping_fini(&b);
    free(noise);
    free(line);
}

/* |z|: a line through it is flat. */
static struct rows *bent_rows(size_t count)
{
    struct rows *r = rows_new(count, 21);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < OUTPUTS; k++)
            r->b[i * OUTPUTS + k] = fabsf(r->x[i * INPUTS + k] - 3) / (float)(k + 1);
    return r;
}

static void a_hidden_layer_learns_what_no_line_tells(void **state)
{
    (void)state;
    struct rows *r = bent_rows(2000);
    struct cf_mapping line, net, again, other;
    struct cf_detail detail;
    r->rows.count = 1500; /* the rest is to measure by */
    assert_int_equal(cf_mapping_ridge(&r->rows, &line, &detail), CF_OK);
    assert_int_equal(cf_mapping_hidden(&r->rows, 48, 5, &net, &detail), CF_OK);
    assert_int_equal(cf_mapping_hidden(&r->rows, 48, 5, &again, &detail), CF_OK);
    assert_int_equal(cf_mapping_hidden(&r->rows, 48, 6, &other, &detail), CF_OK);
    double by_line = error_of(&line, r, 1500, 500), by_net = error_of(&net, r, 1500, 500);
    if (!(by_net < by_line / 2))
        fail_msg("the line misses by %.4f, the hidden layer by %.4f", by_line, by_net);
    assert_true(fabs(net.inner_error - by_net) < by_net); /* inner rows are like those it never saw */
    assert_memory_equal(net.first, again.first, INPUTS * 48 * sizeof(float));
    assert_memory_equal(net.last, again.last, OUTPUTS * 48 * sizeof(float));
    assert_memory_not_equal(net.first, other.first, INPUTS * 48 * sizeof(float));
    cf_mapping_fini(&line);
    cf_mapping_fini(&net);
    cf_mapping_fini(&again);
    cf_mapping_fini(&other);
    free(r);
}

static void what_never_varies_does_no_harm(void **state)
{
    (void)state;
    struct rows *r = linear_rows(100, 0, 6);
    struct cf_mapping m;
    struct cf_detail detail;
    for (size_t i = 0; i < 100; i++)
        r->x[i * INPUTS + 2] = 7;
    assert_int_equal(cf_mapping_ridge(&r->rows, &m, &detail), CF_OK);
    assert_true(m.scales[2] == 0 && isfinite(m.last[2 * OUTPUTS]) && isfinite(m.inner_error));
    cf_mapping_fini(&m);
    free(r);
}

static void too_little_is_refused(void **state)
{
    (void)state;
    struct rows *r = linear_rows(9, 0, 6);
    struct cf_mapping m;
    struct cf_detail detail;
    assert_int_equal(cf_mapping_ridge(&r->rows, &m, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "9 albums have both a vector and listens"));
    cf_mapping_fini(&m);
    assert_int_equal(cf_mapping_hidden(&r->rows, 8, 1, &m, &detail), CF_E_INVALID);
    cf_mapping_fini(&m);
    assert_int_equal(cf_mapping_hidden(&r->rows, 1025, 1, &m, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "1025 hidden units"));
    cf_mapping_fini(&m);
    free(r);
}

static void vectors_get_unit_norm(void **state)
{
    (void)state;
    float v[] = {3, 0, 4}, nothing[] = {0, 0};
    assert_true(cf_mapping_unit(v, 3));
    assert_true(fabsf(v[0] - .6f) < 1e-6f && v[1] == 0 && fabsf(v[2] - .8f) < 1e-6f);
    assert_false(cf_mapping_unit(nothing, 2));
    assert_true(nothing[0] == 0 && nothing[1] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ridge_finds_a_planted_line),
        cmocka_unit_test(the_inner_error_is_that_of_rows_left_out),
        cmocka_unit_test(noise_is_held_back),
        cmocka_unit_test(a_hidden_layer_learns_what_no_line_tells),
        cmocka_unit_test(what_never_varies_does_no_harm),
        cmocka_unit_test(too_little_is_refused),
        cmocka_unit_test(vectors_get_unit_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
