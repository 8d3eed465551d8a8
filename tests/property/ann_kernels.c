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

enum { WIDTH_MAX = 256, BLOCKS = 7 };

static struct cf_rng rng = {42};

/* Those of the machine beside the scalar ones; the last is NULL. */
static const struct cf_ann_kernels *levels[4];

static void list_levels(void)
{
    enum cf_simd machine = cf_cpu_simd();
    size_t count = 0;

#if defined(__aarch64__)
    levels[count++] = &cf_ann_kernels_neon;
#endif
    for (int simd = CF_SIMD_AVX2; simd <= (int)machine; simd++) {
        cf_cpu_simd_limit((enum cf_simd)simd);
        levels[count++] = cf_ann_kernels();
        cf_cpu_simd_limit(machine);
    }
}

static int value(int low, int high)
{
    return low + (int)cf_rng_below(&rng, (uint64_t)(high - low + 1));
}

static void dots(void **state)
{
    (void)state;
    static int16_t a[WIDTH_MAX + 1];
    static int8_t bytes[WIDTH_MAX + 1];

    for (size_t width = 64; width <= WIDTH_MAX; width += 64) {
        for (size_t i = 0; i <= WIDTH_MAX; i++) {
            a[i] = (int16_t)value(-2000, 2000);
            bytes[i] = (int8_t)value(-127, 127);
        }
        for (const struct cf_ann_kernels **level = levels; *level; level++)
            assert_int_equal((*level)->dot_i16_i8(a + 1, bytes + 1, width),
                             cf_ann_kernels_scalar.dot_i16_i8(a + 1, bytes + 1, width));
    }
}

/* All bytes at their largest: where sixteen bits would overflow if they could. */
static void blocks(void **state)
{
    (void)state;
    static uint8_t packed[BLOCKS * CF_ANN_LANE_COUNT * 128 + 1];
    static int8_t values[128];
    float norms[BLOCKS * CF_ANN_LANE_COUNT];

    for (int turn = 0; turn < 40; turn++) {
        size_t width = turn % 2 ? 128 : 64;
        int32_t expected[BLOCKS * CF_ANN_LANE_COUNT], got[BLOCKS * CF_ANN_LANE_COUNT];
        for (size_t i = 0; i < sizeof packed; i++)
            packed[i] = (uint8_t)(turn < 2 ? 127 : value(0, 127));
        for (size_t i = 0; i < sizeof values; i++)
            values[i] = (int8_t)(turn < 2 ? -127 : value(-127, 127));
        for (size_t i = 0; i < BLOCKS * CF_ANN_LANE_COUNT; i++)
            norms[i] = turn % 3 == 0 ? 1 : i > 100 ? INFINITY : (float)value(0, 5);
        float keys[2][BLOCKS * CF_ANN_LANE_COUNT];
        cf_ann_kernels_scalar.dots_blocks(values, packed + 1, BLOCKS, width, expected);
        for (const struct cf_ann_kernels **level = levels; *level; level++) {
            (*level)->dots_blocks(values, packed + 1, BLOCKS, width, got);
            assert_memory_equal(expected, got, sizeof got);
            cf_ann_kernels_scalar.keys_of_dots(got, norms, BLOCKS * CF_ANN_LANE_COUNT, .37f, 99, keys[0]);
            (*level)->keys_of_dots(got, norms, BLOCKS * CF_ANN_LANE_COUNT, .37f, 99, keys[1]);
            assert_memory_equal(keys[0], keys[1], sizeof keys[0]);
        }
    }
}

static void four_rows(void **state)
{
    (void)state;
    static int16_t a[WIDTH_MAX + 1];
    static int8_t bytes[4][WIDTH_MAX + 1], values[2][WIDTH_MAX + 1];
    const int8_t *const rows[4] = {bytes[0] + 1, bytes[1], bytes[2] + 1, bytes[3]};
    const uint8_t *const pairs[4] = {(const uint8_t *)rows[3], (const uint8_t *)rows[0],
                                     (const uint8_t *)rows[1], (const uint8_t *)rows[2]};

    for (int turn = 0; turn < 20; turn++) {
        int32_t expected[4], got[4];
        for (size_t i = 0; i <= WIDTH_MAX; i++) {
            a[i] = (int16_t)value(-32000, 32000);
            for (size_t r = 0; r < 4; r++)
                bytes[r][i] = (int8_t)(turn == 0 ? -1 : value(-127, 127)); /* -1: all nibbles at their most */
            for (size_t v = 0; v < 2; v++)
                values[v][i] = (int8_t)(turn == 0 ? -127 : value(-127, 127));
        }
        for (size_t width = 32; width <= WIDTH_MAX; width += 32)
            for (const struct cf_ann_kernels **level = levels; *level; level++) {
                cf_ann_kernels_scalar.dots_nibbles(values[0], values[1] + 1, pairs, width, expected);
                (*level)->dots_nibbles(values[0], values[1] + 1, pairs, width, got);
                assert_memory_equal(expected, got, sizeof got);
                if (width % 64)
                    continue;
                cf_ann_kernels_scalar.dots_rows(a + 1, rows, width, expected);
                (*level)->dots_rows(a + 1, rows, width, got);
                assert_memory_equal(expected, got, sizeof got);
            }
    }
}

enum { ROOM = 40, LISTED = 12 };

struct pool_of_room {
    float keys[ROOM + 16];
    uint32_t entries[ROOM + 16];
    struct cf_ann_pool pool;
};

static void empty_pool(struct pool_of_room *p, float limit)
{
    memset(p, 0, sizeof *p);
    p->pool = (struct cf_ann_pool){p->keys, p->entries, 0, ROOM, limit};
}

static void assert_pools_equal(const struct pool_of_room *a, const struct pool_of_room *b)
{
    assert_int_equal(a->pool.count, b->pool.count);
    assert_memory_equal(a->keys, b->keys, a->pool.count * sizeof *a->keys);
    assert_memory_equal(a->entries, b->entries, a->pool.count * sizeof *a->entries);
}

/* Halves of every kind: normal, subnormal, infinite, none. */
static void fill_block(struct cf_ann_block *block, int turn)
{
    for (size_t i = 0; i < sizeof block->codes; i++)
        block->codes[i] = (uint8_t)(turn == 0 ? 255 : value(0, 255));
    for (size_t e = 0; e < CF_ANN_LANE_COUNT; e++) {
        block->norm[e] = (uint16_t)(e == 13 ? 0x7c00 : e == 12 ? 0x7e01 : value(0, 0x7bff));
        block->scale[e] = (uint16_t)value(0, turn % 2 ? 0x4000 : 0x0400);
    }
}

static void codes(void **state)
{
    (void)state;
    static struct cf_ann_block blocks[LISTED];
    struct cf_ann_probe probe = {.worth = .37f};
    struct cf_ann_visit visits[LISTED];
    static struct pool_of_room expected, got;

    for (int turn = 0; turn < 100; turn++) {
        probe.sum = 0;
        for (size_t i = 0; i < CF_ANN_CODE_DIMS; i++) {
            probe.values[i] = (int8_t)(turn == 0 ? 127 : value(-127, 127));
            probe.sum += probe.values[i];
        }
        for (uint32_t i = 0; i < LISTED; i++) {
            fill_block(&blocks[i], turn);
            visits[i] = (struct cf_ann_visit){(uint32_t)value(0, LISTED - 1), (float)value(-300, 300)};
        }
        float limit = turn % 5 == 0 ? INFINITY : (float)value(-1000, 1000);
        empty_pool(&expected, limit);
        size_t done = cf_ann_kernels_scalar.scan_blocks(blocks, visits, LISTED, &probe, &expected.pool);
        assert_true(done == LISTED || expected.pool.count >= ROOM);
        for (const struct cf_ann_kernels **level = levels; *level; level++) {
            empty_pool(&got, limit);
            assert_int_equal((*level)->scan_blocks(blocks, visits, LISTED, &probe, &got.pool), done);
            assert_pools_equal(&expected, &got);
        }
    }
}

static void picking(void **state)
{
    (void)state;
    float keys[ROOM];

    for (size_t count = 0; count <= ROOM; count++) {
        static struct pool_of_room expected, got;
        for (size_t i = 0; i < ROOM; i++)
            keys[i] = i == 7 ? NAN : i == 9 ? INFINITY : (float)value(0, 9);
        empty_pool(&expected, 5);
        cf_ann_kernels_scalar.pick_below(keys, count, 100, &expected.pool);
        for (const struct cf_ann_kernels **level = levels; *level; level++) {
            empty_pool(&got, 5);
            (*level)->pick_below(keys, count, 100, &got.pool);
            assert_pools_equal(&expected, &got);
            got.pool.count = (*level)->keep_below(got.keys, got.entries, got.pool.count, 3);
            struct pool_of_room kept = expected;
            kept.pool.count = cf_ann_kernels_scalar.keep_below(kept.keys, kept.entries, kept.pool.count, 3);
            assert_pools_equal(&kept, &got);
        }
    }
}

/* All finite halves against arithmetic. */
static void halves(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 1023);
        double size = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        double got = (double)cf_ann_float_of_half((uint16_t)half);
        if (exponent == 31)
            assert_true(fraction ? isnan(got) : isinf(got));
        else
            assert_true(got == (half & 0x8000 ? -size : size));
    }
}

static void counting(void **state)
{
    (void)state;
    float x[68];

    for (size_t count = 0; count < 67; count++) {
        for (size_t i = 0; i < 68; i++)
            x[i] = i == 30 ? NAN : (float)value(-50, 50) / 7;
        for (const struct cf_ann_kernels **level = levels; *level; level++) {
            assert_true((*level)->range(x + 1, count).least ==
                            cf_ann_kernels_scalar.range(x + 1, count).least &&
                        (*level)->range(x + 1, count).most == cf_ann_kernels_scalar.range(x + 1, count).most);
            assert_int_equal((*level)->count_below(x + 1, count, 1),
                             cf_ann_kernels_scalar.count_below(x + 1, count, 1));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dots),      cmocka_unit_test(blocks),
                                       cmocka_unit_test(codes),     cmocka_unit_test(counting),
                                       cmocka_unit_test(four_rows), cmocka_unit_test(picking),
                                       cmocka_unit_test(halves)};

    list_levels();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
