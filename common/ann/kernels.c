/* The scalar level: the specification of the others; and the choice among them. */
#include "common/ann/kernels.h"

#include <math.h>
#include <string.h>

#include "common/base/cpu.h"

static int32_t dot_i16_i8(const int16_t *a, const int8_t *row, size_t width)
{
    int32_t sum = 0;

    for (size_t j = 0; j < width; j++)
        sum += a[j] * row[j];
    return sum;
}

static void dots_of_block(const int8_t *a, const uint8_t *block, size_t width, int32_t out[CF_ANN_LANE_COUNT])
{
    for (size_t e = 0; e < CF_ANN_LANE_COUNT; e++) {
        out[e] = 0;
        for (size_t j = 0; j < width; j++)
            out[e] += a[j] * block[j / 4 * 64 + 4 * e + j % 4];
    }
}

static void dots_blocks(const int8_t *a, const uint8_t *blocks, size_t block_count, size_t width,
                        int32_t *out)
{
    for (size_t b = 0; b < block_count; b++)
        dots_of_block(a, blocks + b * width * CF_ANN_LANE_COUNT, width, out + b * CF_ANN_LANE_COUNT);
}

static void keys_of_dots(const int32_t *dots, const float *norms, size_t count, float factor, int32_t shift,
                         float *keys)
{
    for (size_t i = 0; i < count; i++) {
        float scaled = factor * (float)(dots[i] - shift);
        keys[i] = norms[i] - scaled;
    }
}

float cf_ann_float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023, bits;
    float value;

    if (exponent == 31) /* a quiet NaN, as the processors make of any */
        bits = sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000u : 0);
    else if (exponent)
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    else {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

static int32_t dot_nibbles(const int8_t *even, const int8_t *odd, const uint8_t *row, size_t bytes)
{
    int32_t sum = 0;

    for (size_t j = 0; j < bytes; j++)
        sum += even[j] * (row[j] & 15) + odd[j] * (row[j] >> 4);
    return sum;
}

static void dots_nibbles(const int8_t *even, const int8_t *odd, const uint8_t *const rows[4], size_t bytes,
                         int32_t out[4])
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = dot_nibbles(even, odd, rows[i], bytes);
}

static void dots_rows(const int16_t *a, const int8_t *const rows[4], size_t width, int32_t out[4])
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = dot_i16_i8(a, rows[i], width);
}

static float key_of(const struct cf_ann_block *block, unsigned e, float base,
                    const struct cf_ann_probe *probe)
{
    int32_t dot = 0;

    for (unsigned j = 0; j < CF_ANN_CODE_DIMS; j++) {
        uint8_t pair = block->codes[j / 8 * 64 + 4 * e + j % 4];
        dot += probe->values[j] * (j & 4 ? pair >> 4 : pair & 15);
    }
    float worth = probe->worth * (float)(2 * dot - 15 * probe->sum);
    float part = cf_ann_float_of_half(block->scale[e]) * worth;
    return (base + cf_ann_float_of_half(block->norm[e])) - part;
}

static size_t scan_blocks(const struct cf_ann_block *blocks, const struct cf_ann_visit *visits, size_t count,
                          const struct cf_ann_probe *probe, struct cf_ann_pool *pool)
{
    size_t i = 0;

    for (; i < count && pool->count < pool->room; i++)
        for (unsigned e = 0; e < CF_ANN_LANE_COUNT; e++) {
            float key = key_of(&blocks[visits[i].block], e, visits[i].base, probe);
            if (key < pool->limit) {
                pool->keys[pool->count] = key;
                pool->entries[pool->count++] = visits[i].block * CF_ANN_LANE_COUNT + e;
            }
        }
    return i;
}

static struct cf_ann_range range(const float *values, size_t count)
{
    struct cf_ann_range range = {INFINITY, -INFINITY};

    for (size_t i = 0; i < count; i++) {
        range.least = values[i] < range.least ? values[i] : range.least;
        range.most = values[i] > range.most ? values[i] : range.most;
    }
    return range;
}

static void pick_below(const float *values, size_t count, uint32_t first, struct cf_ann_pool *pool)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] < pool->limit) {
            pool->keys[pool->count] = values[i];
            pool->entries[pool->count++] = first + (uint32_t)i;
        }
}

static size_t keep_below(float *keys, uint32_t *entries, size_t count, float limit)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (keys[i] < limit) {
            keys[kept] = keys[i];
            entries[kept++] = entries[i];
        }
    return kept;
}

static size_t count_below(const float *values, size_t count, float limit)
{
    size_t below = 0;

    for (size_t i = 0; i < count; i++)
        below += values[i] < limit;
    return below;
}

const struct cf_ann_kernels cf_ann_kernels_scalar = {
    .dot_i16_i8 = dot_i16_i8,
    .dots_rows = dots_rows,
    .dots_nibbles = dots_nibbles,
    .dots_blocks = dots_blocks,
    .keys_of_dots = keys_of_dots,
    .scan_blocks = scan_blocks,
    .range = range,
    .count_below = count_below,
    .pick_below = pick_below,
    .keep_below = keep_below,
};

const struct cf_ann_kernels *cf_ann_kernels(void)
{
#if defined(__x86_64__)
    if (cf_cpu_simd() == CF_SIMD_AVX512 && __builtin_cpu_supports("avx512vnni"))
        return &cf_ann_kernels_avx512;
    if (cf_cpu_simd() >= CF_SIMD_AVX2)
        return &cf_ann_kernels_avx2;
#elif defined(__aarch64__)
    return &cf_ann_kernels_neon;
#endif
    return &cf_ann_kernels_scalar;
}
