/* Every level of the kernels of a build that the machine has gives the numbers of the scalar one to the bit,
 * at odd alignments; and numbers are ordered by their keys as comparisons would. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/ann/order.h"
#include "common/ann/train_kernels.h"
#include "common/base/cpu.h"
#include "common/base/rng.h"

enum { COUNT_MAX = 256, ROWS = 8, COLUMNS_MAX = 80, WIDTH_MAX = 320, KEYED = 5000 };

static struct cf_rng rng = {43};

/* Those of the machine beside the scalar ones; the last is NULL. */
static const struct cf_ann_train_kernels *levels[4];

static void list_levels(void)
{
    enum cf_simd machine = cf_cpu_simd();
    size_t count = 0;

    for (int simd = CF_SIMD_AVX2; simd <= (int)machine; simd++) {
        cf_cpu_simd_limit((enum cf_simd)simd);
        levels[count++] = cf_ann_train_kernels();
        cf_cpu_simd_limit(machine);
    }
}

static void fill(float *x, size_t count, double size)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(size * (2 * cf_rng_unit(&rng) - 1));
}

/* Beyond the range, no number, and halfway between two whole ones too. */
static void rounding(void **state)
{
    (void)state;
    float x[COUNT_MAX + 1];
    int8_t expected[COUNT_MAX + 1], got[COUNT_MAX + 1];

    for (size_t count = 0; count <= 130; count++) {
        fill(x, COUNT_MAX + 1, 150);
        x[3] = NAN;
        x[17] = INFINITY;
        x[40] = 2.5f;
        x[41] = -3.5f;
        memset(expected, 99, sizeof expected);
        cf_ann_train_kernels_scalar.round(x + 1, count % 2 ? .25f : 0, 1, count, expected + 1);
        for (const struct cf_ann_train_kernels **level = levels; *level; level++) {
            memset(got, 99, sizeof got);
            (*level)->round(x + 1, count % 2 ? .25f : 0, 1, count, got + 1);
            assert_memory_equal(expected, got, sizeof got);
        }
    }
}

static void fitting(void **state)
{
    (void)state;
    float x[COUNT_MAX + 1], weights[COUNT_MAX + 1], expected[COUNT_MAX + 1] = {0}, got[COUNT_MAX + 1] = {0};

    for (size_t count = 16; count <= COUNT_MAX; count += 16) {
        fill(x, COUNT_MAX + 1, 20);
        fill(weights, COUNT_MAX + 1, 3);
        x[2] = 0; /* halfway between two levels */
        struct cf_ann_fit fit =
            cf_ann_train_kernels_scalar.levels(x + 1, weights + 1, 1.1f, count, expected + 1);
        for (const struct cf_ann_train_kernels **level = levels; *level; level++) {
            struct cf_ann_fit other = (*level)->levels(x + 1, weights + 1, 1.1f, count, got + 1);
            assert_memory_equal(&fit, &other, sizeof fit);
            assert_memory_equal(expected, got, sizeof got);
        }
    }
}

static void multiplying(void **state)
{
    (void)state;
    static float a[ROWS * WIDTH_MAX], b[WIDTH_MAX * COLUMNS_MAX + 1], expected[ROWS * COLUMNS_MAX],
        got[ROWS * COLUMNS_MAX];

    for (size_t width = 64; width <= WIDTH_MAX; width += 64)
        for (size_t columns = 16; columns <= COLUMNS_MAX; columns += 16) {
            fill(a, ROWS * WIDTH_MAX, 1);
            fill(b, WIDTH_MAX * COLUMNS_MAX + 1, 1);
            cf_ann_train_kernels_scalar.multiply(a, ROWS, width, b + 1, columns, expected);
            for (const struct cf_ann_train_kernels **level = levels; *level; level++) {
                (*level)->multiply(a, ROWS, width, b + 1, columns, got);
                assert_memory_equal(expected, got, ROWS * columns * sizeof *got);
            }
        }
}

typedef void dots_kernel(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count,
                         size_t width, int32_t *sums, size_t stride);
static dots_kernel *of_bytes(const struct cf_ann_train_kernels *level)
{
    return level->dots;
}
static dots_kernel *of_small(const struct cf_ann_train_kernels *level)
{
    return level->dots_small;
}

/* Every other width has all bytes at their largest: where sixteen bits would overflow if they could. */
static void check_dots(dots_kernel *(*kernel)(const struct cf_ann_train_kernels *level), unsigned most)
{
    static int8_t vectors[7 * 257];
    static uint8_t blocks[3 * 16 * 256];
    int32_t expected[7 * 50], got[7 * 50];

    for (size_t width = 8; width <= 256; width += 8) {
        bool extreme = width % 16 == 0;
        for (size_t i = 0; i < sizeof vectors; i++)
            vectors[i] = (int8_t)(!extreme ? (int)cf_rng_below(&rng, 255) - 127 : width % 32 ? 127 : -127);
        for (size_t i = 0; i < sizeof blocks; i++)
            blocks[i] = (uint8_t)(extreme ? most : cf_rng_below(&rng, most + 1));
        for (size_t i = 0; i < 7 * 50; i++)
            expected[i] = (int32_t)i;
        struct cf_ann_vectors8 all = {vectors, 257, 7};
        kernel (&cf_ann_train_kernels_scalar)(all, blocks, 3, width, expected, 50);
        for (const struct cf_ann_train_kernels **level = levels; *level; level++) {
            for (size_t i = 0; i < 7 * 50; i++)
                got[i] = (int32_t)i;
            dots_kernel *under_test = kernel(*level);
            under_test(all, blocks, 3, width, got, 50);
            assert_memory_equal(expected, got, sizeof got);
        }
    }
}

static void dots(void **state)
{
    (void)state;
    check_dots(of_bytes, 127);
    check_dots(of_small, CF_ANN_SMALL_MOST);
}

static float keys[KEYED];

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    if (keys[x] != keys[y])
        return keys[x] < keys[y] ? -1 : 1;
    return (x > y) - (x < y);
}

/* Few keys, so that many are equal: they stay as they were, or go by their numbers. */
static void ordering(void **state)
{
    (void)state;
    static uint64_t values[KEYED], spare[KEYED];
    static uint32_t expected[KEYED];

    for (size_t count = 0; count <= KEYED; count = count * 3 + 1) {
        for (uint32_t i = 0; i < count; i++) {
            keys[i] = (float)((double)cf_rng_below(&rng, 600) - 300) * (i % 2 ? 1e10f : 1e-3f);
            keys[i] = i % 64 == 5 ? -0.0f : i % 64 == 9 ? INFINITY : keys[i];
            expected[i] = i;
        }
        qsort(expected, count, sizeof *expected, compare_numbers);
        for (unsigned turn = 0; turn < 2; turn++) {
            for (uint32_t i = 0; i < count; i++) { /* by number, or from the last to the first */
                uint32_t number = turn ? (uint32_t)count - 1 - i : i;
                values[i] = cf_ann_keyed(keys[number], number);
            }
            cf_ann_order(values, spare, count, turn ? CF_ANN_ORDER_ALL : CF_ANN_ORDER_KEYS);
            for (size_t i = 0; i < count; i++)
                assert_int_equal((uint32_t)values[i], expected[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rounding), cmocka_unit_test(fitting),
                                       cmocka_unit_test(multiplying), cmocka_unit_test(dots),
                                       cmocka_unit_test(ordering)};

    list_levels();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
