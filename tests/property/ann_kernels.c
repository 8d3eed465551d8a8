/* Every level of the integer kernels that the machine has gives the numbers of the scalar one, at odd
 * alignments. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/ann/kernels.h"
#include "common/base/cpu.h"
#include "common/base/rng.h"

enum { ROWS = 9, WIDTH_MAX = 256, BLOCKS = 7 };

static enum cf_simd machine;
static struct cf_rng rng = {42};

static const struct cf_ann_kernels *level(int simd)
{
    cf_cpu_simd_limit((enum cf_simd)simd);
    const struct cf_ann_kernels *kernels = cf_ann_kernels();
    cf_cpu_simd_limit(machine);
    return kernels;
}

static int value(int low, int high)
{
    return low + (int)cf_rng_below(&rng, (uint64_t)(high - low + 1));
}

static void dots(void **state)
{
    (void)state;
    static int16_t a[WIDTH_MAX + 1], rows[ROWS * WIDTH_MAX + 1];
    static int8_t bytes[WIDTH_MAX + 1];

    for (size_t width = 32; width <= WIDTH_MAX; width += 32) {
        int32_t expected[ROWS], got[ROWS];
        for (size_t i = 0; i <= WIDTH_MAX; i++) {
            a[i] = (int16_t)value(-2000, 2000);
            bytes[i] = (int8_t)value(-127, 127);
        }
        for (size_t i = 0; i <= ROWS * WIDTH_MAX; i++)
            rows[i] = (int16_t)value(-2000, 2000);
        cf_ann_kernels_scalar.dots_i16(a + 1, rows + 1, ROWS, width, expected);
        for (int simd = CF_SIMD_AVX2; simd <= (int)machine; simd++) {
            level(simd)->dots_i16(a + 1, rows + 1, ROWS, width, got);
            assert_memory_equal(expected, got, sizeof got);
            if (width % 64 == 0)
                assert_int_equal(level(simd)->dot_i16_i8(a + 1, bytes + 1, width),
                                 cf_ann_kernels_scalar.dot_i16_i8(a + 1, bytes + 1, width));
        }
    }
}

/* All bytes at their largest: where sixteen bits would overflow if they could. */
static void blocks(void **state)
{
    (void)state;
    static uint8_t packed[BLOCKS * CF_ANN_LANE_COUNT * 128 + 1];
    static int8_t values[4][128];
    const int8_t *const vectors[4] = {values[0], values[1], values[2], values[3]};
    const float factors[4] = {.5f, 1, 2, 0};
    float norms[BLOCKS * CF_ANN_LANE_COUNT];

    for (int turn = 0; turn < 40; turn++) {
        size_t width = turn % 2 ? 128 : 64;
        int32_t expected[BLOCKS * CF_ANN_LANE_COUNT], got[BLOCKS * CF_ANN_LANE_COUNT];
        uint32_t nearest_expected[4], nearest[4];
        for (size_t i = 0; i < sizeof packed; i++)
            packed[i] = (uint8_t)(turn < 2 ? 127 : value(0, 127));
        for (size_t i = 0; i < sizeof values; i++)
            values[i / 128][i % 128] = (int8_t)(turn < 2 ? -127 : value(-127, 127));
        for (size_t i = 0; i < BLOCKS * CF_ANN_LANE_COUNT; i++)
            norms[i] = turn % 3 == 0 ? 1 : i > 100 ? INFINITY : (float)value(0, 5);
        cf_ann_kernels_scalar.dots_blocks(values[0], packed + 1, BLOCKS, width, expected);
        cf_ann_kernels_scalar.nearest_blocks(vectors, factors, packed + 1, norms, BLOCKS, width,
                                             nearest_expected);
        for (int simd = CF_SIMD_AVX2; simd <= (int)machine; simd++) {
            level(simd)->dots_blocks(values[0], packed + 1, BLOCKS, width, got);
            assert_memory_equal(expected, got, sizeof got);
            level(simd)->nearest_blocks(vectors, factors, packed + 1, norms, BLOCKS, width, nearest);
            assert_memory_equal(nearest_expected, nearest, sizeof nearest);
        }
    }
}

static void codes(void **state)
{
    (void)state;
    static struct cf_ann_block block;
    struct cf_ann_probe probe = {.step = .37f};

    for (int turn = 0; turn < 100; turn++) {
        float expected[CF_ANN_LANE_COUNT], got[CF_ANN_LANE_COUNT];
        for (size_t i = 0; i < sizeof block.codes; i++)
            block.codes[i] = (uint8_t)(turn == 0 ? 255 : value(0, 255));
        probe.sum = 0;
        for (size_t i = 0; i < CF_ANN_CODE_DIMS; i++) {
            probe.values[i] = (int8_t)(turn == 0 ? 127 : value(-127, 127));
            probe.sum += probe.values[i];
        }
        for (size_t e = 0; e < CF_ANN_LANE_COUNT; e++) {
            block.norm[e] = e == 13 ? INFINITY : (float)value(0, 1000);
            block.scale[e] = (float)value(0, 100) / 64;
        }
        probe.limit = turn % 5 == 0 ? INFINITY : (float)value(0, 1000);
        uint32_t mask = cf_ann_kernels_scalar.scan_block(&block, &probe, -3, expected);
        assert_false(mask >> 13 & 1);
        for (int simd = CF_SIMD_AVX2; simd <= (int)machine; simd++) {
            assert_int_equal(level(simd)->scan_block(&block, &probe, -3, got), mask);
            assert_memory_equal(expected, got, sizeof got);
        }
    }
}

static void floats(void **state)
{
    (void)state;
    float x[68], expected[68], got[68];

    for (size_t count = 0; count < 67; count++) {
        for (size_t i = 0; i < 68; i++) {
            x[i] = (float)value(-50, 50) / 7;
            expected[i] = got[i] = (float)value(-50, 50) / 3;
        }
        for (int simd = CF_SIMD_AVX2; simd <= (int)machine; simd++) {
            assert_int_equal(level(simd)->count_below(x + 1, count, 1),
                             cf_ann_kernels_scalar.count_below(x + 1, count, 1));
            memcpy(got, expected, sizeof got);
            float reference[68];
            memcpy(reference, expected, sizeof reference);
            cf_ann_kernels_scalar.add_scaled(reference + 1, x, 1.7f, count);
            level(simd)->add_scaled(got + 1, x, 1.7f, count);
            assert_memory_equal(reference, got, sizeof got);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dots), cmocka_unit_test(blocks),
                                       cmocka_unit_test(codes), cmocka_unit_test(floats)};

    machine = cf_cpu_simd();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
