/* NEON: what every 64-bit ARM has. Bytes 0 to 127 are signed ones too, so that products are of signed bytes.
 */
#include "common/ann/kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <math.h>
#include <string.h>

static inline int32x4_t add_rows(int32x4_t sum, const int16_t *a, const int8_t *row)
{
    int8x16_t bytes = vld1q_s8(row);
    int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    int16x8_t first = vld1q_s16(a), second = vld1q_s16(a + 8);

    sum = vmlal_s16(sum, vget_low_s16(first), vget_low_s16(low));
    sum = vmlal_high_s16(sum, first, low);
    sum = vmlal_s16(sum, vget_low_s16(second), vget_low_s16(high));
    return vmlal_high_s16(sum, second, high);
}

static int32_t dot_i16_i8(const int16_t *a, const int8_t *row, size_t width)
{
    int32x4_t sum = vdupq_n_s32(0);

    for (size_t j = 0; j < width; j += 16)
        sum = add_rows(sum, a + j, row + j);
    return vaddvq_s32(sum);
}

static void dots_rows(const int16_t *a, const int8_t *const rows[4], size_t width, int32_t out[4])
{
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};

    for (size_t j = 0; j < width; j += 16)
        for (unsigned i = 0; i < 4; i++)
            sum[i] = add_rows(sum[i], a + j, rows[i] + j);
    for (unsigned i = 0; i < 4; i++)
        out[i] = vaddvq_s32(sum[i]);
}

/* Pairs of products, added to sums of 32 bits. */
static inline int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vpadalq_s16(sum, vmull_high_s8(a, b));
}

static inline int8x16_t low_nibbles(uint8x16_t pairs)
{
    return vreinterpretq_s8_u8(vandq_u8(pairs, vdupq_n_u8(15)));
}

static inline int8x16_t high_nibbles(uint8x16_t pairs)
{
    return vreinterpretq_s8_u8(vshrq_n_u8(pairs, 4));
}

static void dots_nibbles(const int8_t *even, const int8_t *odd, const uint8_t *const rows[4], size_t bytes,
                         int32_t out[4])
{
    for (unsigned i = 0; i < 4; i++) {
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t j = 0; j < bytes; j += 16) {
            uint8x16_t pairs = vld1q_u8(rows[i] + j);
            sum = add_products(sum, low_nibbles(pairs), vld1q_s8(even + j));
            sum = add_products(sum, high_nibbles(pairs), vld1q_s8(odd + j));
        }
        out[i] = vaddvq_s32(sum);
    }
}

static inline int8x16_t four_values(const int8_t *a)
{
    int32_t word;

    memcpy(&word, a, sizeof word);
    return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

/* Of four lanes: the sums of four products each. */
static inline int32x4_t add_lanes(int32x4_t sum, int8x16_t bytes, int8x16_t values)
{
    int16x8_t low = vmull_s8(vget_low_s8(bytes), vget_low_s8(values)), high = vmull_high_s8(bytes, values);

    return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}

static void dots_blocks(const int8_t *a, const uint8_t *blocks, size_t block_count, size_t width,
                        int32_t *out)
{
    for (size_t b = 0; b < block_count; b++) {
        const int8_t *block = (const int8_t *)blocks + b * width * CF_ANN_LANE_COUNT;
        int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
        for (size_t j = 0; j < width; j += 4) {
            int8x16_t values = four_values(a + j);
            for (unsigned q = 0; q < 4; q++)
                sum[q] = add_lanes(sum[q], vld1q_s8(block + 16 * j + (size_t)16 * q), values);
        }
        for (unsigned q = 0; q < 4; q++)
            vst1q_s32(out + b * CF_ANN_LANE_COUNT + (size_t)4 * q, sum[q]);
    }
}

static void keys_of_dots(const int32_t *dots, const float *norms, size_t count, float factor, int32_t shift,
                         float *keys)
{
    for (size_t i = 0; i < count; i += 4) {
        float32x4_t dot = vcvtq_f32_s32(vsubq_s32(vld1q_s32(dots + i), vdupq_n_s32(shift)));
        vst1q_f32(keys + i, vsubq_f32(vld1q_f32(norms + i), vmulq_f32(vdupq_n_f32(factor), dot)));
    }
}

static inline void append_one(struct cf_ann_pool *pool, float key, uint32_t entry)
{
    pool->keys[pool->count] = key;
    pool->entries[pool->count++] = entry;
}

static inline float32x4_t halves(const uint16_t *from)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
}

static inline void scan_quarter(const struct cf_ann_block *block, unsigned first,
                                const struct cf_ann_visit *visit, const struct cf_ann_probe *probe,
                                struct cf_ann_pool *pool)
{
    int32x4_t dot = vdupq_n_s32(0);
    float keys[4];

    for (unsigned r = 0; r < CF_ANN_CODE_DIMS / 8; r++) {
        uint8x16_t pairs = vld1q_u8(block->codes + (size_t)64 * r + (size_t)4 * first);
        dot = add_lanes(dot, low_nibbles(pairs), four_values(probe->values + (size_t)8 * r));
        dot = add_lanes(dot, high_nibbles(pairs), four_values(probe->values + (size_t)8 * r + 4));
    }
    dot = vsubq_s32(vshlq_n_s32(dot, 1), vdupq_n_s32(15 * probe->sum));
    float32x4_t scaled = vmulq_f32(vdupq_n_f32(probe->worth), vcvtq_f32_s32(dot));
    float32x4_t key = vsubq_f32(vaddq_f32(vdupq_n_f32(visit->base), halves(block->norm + first)),
                                vmulq_f32(halves(block->scale + first), scaled));
    if (!vmaxvq_u32(vcltq_f32(key, vdupq_n_f32(pool->limit))))
        return;
    vst1q_f32(keys, key);
    for (unsigned e = 0; e < 4; e++)
        if (keys[e] < pool->limit)
            append_one(pool, keys[e], visit->block * CF_ANN_LANE_COUNT + first + e);
}

enum { BLOCKS_AHEAD = 4, LINE = 64 };

static size_t scan_blocks(const struct cf_ann_block *blocks, const struct cf_ann_visit *visits, size_t count,
                          const struct cf_ann_probe *probe, struct cf_ann_pool *pool)
{
    size_t i = 0;

    for (; i < count && pool->count < pool->room; i++) {
        if (i + BLOCKS_AHEAD < count)
            for (size_t at = 0; at < sizeof *blocks; at += LINE)
                __builtin_prefetch((const char *)&blocks[visits[i + BLOCKS_AHEAD].block] + at);
        for (unsigned first = 0; first < CF_ANN_LANE_COUNT; first += 4)
            scan_quarter(&blocks[visits[i].block], first, &visits[i], probe, pool);
    }
    return i;
}

static size_t count_below(const float *values, size_t count, float limit)
{
    uint32x4_t below = vdupq_n_u32(0);
    size_t i = 0, rest = 0;

    for (; i + 4 <= count; i += 4) /* a true lane is -1 */
        below = vsubq_u32(below, vcltq_f32(vld1q_f32(values + i), vdupq_n_f32(limit)));
    for (; i < count; i++)
        rest += values[i] < limit;
    return vaddvq_u32(below) + rest;
}

/* Where one of the two is no number, the other counts. */
static struct cf_ann_range range(const float *values, size_t count)
{
    float32x4_t low = vdupq_n_f32(INFINITY), high = vdupq_n_f32(-INFINITY);
    size_t i = 0;

    for (; i + 4 <= count; i += 4) {
        low = vminnmq_f32(low, vld1q_f32(values + i));
        high = vmaxnmq_f32(high, vld1q_f32(values + i));
    }
    struct cf_ann_range rest = cf_ann_kernels_scalar.range(values + i, count - i);
    float least = vminvq_f32(low), most = vmaxvq_f32(high);
    return (struct cf_ann_range){least < rest.least ? least : rest.least,
                                 most > rest.most ? most : rest.most};
}

static void pick_below(const float *values, size_t count, uint32_t first, struct cf_ann_pool *pool)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] < pool->limit)
            append_one(pool, values[i], first + (uint32_t)i);
}

static size_t keep_below(float *keys, uint32_t *entries, size_t count, float limit)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        keys[kept] = keys[i];
        entries[kept] = entries[i];
        kept += keys[i] < limit;
    }
    return kept;
}

const struct cf_ann_kernels cf_ann_kernels_neon = {
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
#endif
