/* Rows outside of an index: what comes back is within the slack that they state, and so are distances. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/ann/ann.h"
#include "common/base/cpu.h"
#include "common/base/rng.h"

enum { ROWS = 7, DIM_MOST = CF_ANN_DIM_MAX };

struct rig {
    struct cf_ann_searcher *searcher;
    float *vectors, *query, *decoded;
    uint8_t *rows;
};

static struct rig rig;
static struct cf_rng rng = {7};

static int setup(void **state)
{
    (void)state;
    rig.searcher = cf_ann_searcher_new();
    rig.vectors = calloc((size_t)ROWS * DIM_MOST, sizeof(float));
    rig.query = calloc(DIM_MOST, sizeof(float));
    rig.decoded = calloc(DIM_MOST, sizeof(float));
    rig.rows = aligned_alloc(64, ROWS * cf_ann_row_bytes(DIM_MOST));
    return rig.searcher && rig.vectors && rig.query && rig.decoded && rig.rows ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    cf_ann_searcher_free(rig.searcher);
    free(rig.vectors);
    free(rig.query);
    free(rig.decoded);
    free(rig.rows);
    return 0;
}

static double distance_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

static void fill(float *out, size_t count, double centre, double spread)
{
    for (size_t j = 0; j < count; j++)
        out[j] = (float)(centre + spread * (2 * cf_rng_unit(&rng) - 1));
}

static void check_shape(uint32_t dim, double centre, double spread)
{
    float distances[ROWS], slack[ROWS];
    size_t bytes = cf_ann_row_bytes(dim);

    assert_int_equal(bytes % 64, 0);
    fill(rig.vectors, (size_t)ROWS * dim, centre, spread);
    fill(rig.query, dim, centre, spread);
    memcpy(rig.query, rig.vectors, dim / 2 * sizeof(float));
    for (size_t i = 0; i < ROWS; i++) {
        const float *x = rig.vectors + i * dim;
        assert_int_equal(cf_ann_row_encode(x, dim, rig.rows + i * bytes, NULL), CF_OK);
        double far = (double)cf_ann_row_decode(rig.rows + i * bytes, dim, rig.decoded);
        assert_true(distance_of(x, rig.decoded, dim) <= far);
        /* And the slack is not a way out: half a step of 254 a dimension, or rounding of the values. */
        assert_true(far <= sqrt(dim) * (spread / 250 + fabs(centre) * 0x1p-23 + 1e-44));
    }
    assert_int_equal(
        cf_ann_rows_measure(rig.searcher, rig.query, dim, rig.rows, ROWS, distances, slack, NULL), CF_OK);
    for (size_t i = 0; i < ROWS; i++) {
        double truth = distance_of(rig.query, rig.vectors + i * dim, dim);
        assert_true(fabs((double)distances[i] - truth) <= (double)slack[i]);
    }
}

static void within_slack(void **state)
{
    (void)state;
    for (uint32_t dim = 1; dim <= 130; dim++)
        check_shape(dim, 0, 1);
    check_shape(960, .1, .1);
    check_shape(DIM_MOST, 0, 1);
    check_shape(DIM_MOST, 1000, 1);
}

static void any_scale(void **state)
{
    (void)state;
    const double spreads[] = {1e-42, 1e-30, 1e-10, 1, 1e6, 1e12};

    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
        check_shape(100, 0, spreads[i]);
        check_shape(100, 1e9, spreads[i] < 1e11 ? spreads[i] : 1e11);
    }
    check_shape(33, 5, 0); /* constant */
    check_shape(33, 0, 0);
}

/* A query may be farther out than a row ever is. */
static void far_query(void **state)
{
    (void)state;
    float distance, slack;

    fill(rig.vectors, 10, 0, 1);
    fill(rig.query, 10, 0, (double)FLT_MAX);
    assert_int_equal(cf_ann_row_encode(rig.vectors, 10, rig.rows, NULL), CF_OK);
    assert_int_equal(cf_ann_rows_measure(rig.searcher, rig.query, 10, rig.rows, 1, &distance, &slack, NULL),
                     CF_OK);
    double truth = fmin(distance_of(rig.query, rig.vectors, 10), (double)FLT_MAX);
    assert_true(fabs((double)distance - truth) <= (double)slack);
}

static void refused(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 2e12f, -2e12f};
    float distance;
    struct cf_detail detail;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fill(rig.vectors, 20, 0, 1);
        rig.vectors[13] = bad[i];
        assert_int_equal(cf_ann_row_encode(rig.vectors, 20, rig.rows, &detail), CF_E_BAD_VECTOR);
        assert_non_null(strstr(detail.text, "value 13"));
    }
    fill(rig.vectors, 20, 0, 1);
    assert_int_equal(cf_ann_row_encode(rig.vectors, 20, rig.rows, NULL), CF_OK);
    rig.vectors[3] = NAN;
    assert_int_equal(cf_ann_rows_measure(rig.searcher, rig.vectors, 20, rig.rows, 1, &distance, NULL, NULL),
                     CF_E_BAD_VECTOR);
}

static void every_level_agrees(void **state)
{
    (void)state;
    enum cf_simd machine = cf_cpu_simd();

    for (uint32_t dim = 1; dim <= 200; dim += 3) {
        float expected[ROWS], got[ROWS], slack[ROWS], other[ROWS];
        check_shape(dim, 0, 1);
        cf_cpu_simd_limit(CF_SIMD_SCALAR);
        assert_int_equal(
            cf_ann_rows_measure(rig.searcher, rig.query, dim, rig.rows, ROWS, expected, slack, NULL), CF_OK);
        for (int level = CF_SIMD_AVX2; level <= (int)machine; level++) {
            cf_cpu_simd_limit((enum cf_simd)level);
            assert_int_equal(
                cf_ann_rows_measure(rig.searcher, rig.query, dim, rig.rows, ROWS, got, other, NULL), CF_OK);
            assert_memory_equal(expected, got, sizeof got);
            assert_memory_equal(slack, other, sizeof other);
        }
        cf_cpu_simd_limit(machine);
    }
}

static void unit_length(void **state)
{
    (void)state;
    const double spreads[] = {1e-44, 1e-20, 1, 1e20, 3e38};

    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
        double square = 0;
        fill(rig.query, 77, 0, spreads[i]);
        rig.query[0] = (float)spreads[i];
        cf_ann_normalize(rig.query, 77);
        for (uint32_t j = 0; j < 77; j++)
            square += (double)rig.query[j] * (double)rig.query[j];
        assert_true(fabs(square - 1) < 1e-6);
    }
    memset(rig.query, 0, 77 * sizeof(float));
    cf_ann_normalize(rig.query, 77);
    for (uint32_t j = 0; j < 77; j++)
        assert_true(rig.query[j] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_slack), cmocka_unit_test(any_scale),          cmocka_unit_test(far_query),
        cmocka_unit_test(refused),      cmocka_unit_test(every_level_agrees), cmocka_unit_test(unit_length),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
