/* AVX2: halves of the blocks, and pairs of bytes by maddubs (0 to 127 times -127 to 127 twice fits 16 bits).
 */
#include "common/ann/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define CF_TARGET __attribute__((target("avx2,popcnt,bmi2,f16c")))

CF_TARGET static inline __m256i load(const void *from)
{
    return _mm256_loadu_si256(from);
}

CF_TARGET static inline int32_t sum_lanes(__m256i v)
{
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));

    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

CF_TARGET static int32_t dot_i16_i8(const int16_t *a, const int8_t *row, size_t width)
{
    __m256i sum = _mm256_setzero_si256();

    for (size_t j = 0; j < width; j += 16) {
        __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(row + j)));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(load(a + j), wide));
    }
    return sum_lanes(sum);
}

CF_TARGET static inline __m256i four_values(const int8_t *a)
{
    int32_t word;

    memcpy(&word, a, sizeof word);
    return _mm256_set1_epi32(word);
}

/* sum + the dot products of four bytes a lane */
CF_TARGET static inline __m256i add_dots(__m256i sum, __m256i bytes, __m256i values)
{
    return _mm256_add_epi32(sum,
                            _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, values), _mm256_set1_epi16(1)));
}

CF_TARGET static void dots_blocks(const int8_t *a, const uint8_t *blocks, size_t block_count, size_t width,
                                  int32_t *out)
{
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * width * CF_ANN_LANE_COUNT;
        __m256i left = _mm256_setzero_si256(), right = _mm256_setzero_si256();
        for (size_t j = 0; j < width; j += 4) {
            __m256i values = four_values(a + j);
            left = add_dots(left, load(block + 16 * j), values);
            right = add_dots(right, load(block + 16 * j + 32), values);
        }
        _mm256_storeu_si256((__m256i *)(void *)(out + b * CF_ANN_LANE_COUNT), left);
        _mm256_storeu_si256((__m256i *)(void *)(out + b * CF_ANN_LANE_COUNT + 8), right);
    }
}

CF_TARGET static void keys_of_dots(const int32_t *dots, const float *norms, size_t count, float factor,
                                   int32_t shift, float *keys)
{
    for (size_t i = 0; i < count; i += 8) {
        __m256i dot = _mm256_sub_epi32(load(dots + i), _mm256_set1_epi32(shift));
        __m256 scaled = _mm256_mul_ps(_mm256_set1_ps(factor), _mm256_cvtepi32_ps(dot));
        _mm256_storeu_ps(keys + i, _mm256_sub_ps(_mm256_loadu_ps(norms + i), scaled));
    }
}

/* The sums of four registers. */
CF_TARGET static inline __m128i sums_of(const __m256i sum[4])
{
    __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));

    return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

CF_TARGET static void dots_rows(const int16_t *a, const int8_t *const rows[4], size_t width, int32_t out[4])
{
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};

    for (size_t j = 0; j < width; j += 16) {
        __m256i values = load(a + j);
        for (unsigned i = 0; i < 4; i++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(rows[i] + j));
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(values, _mm256_cvtepi8_epi16(bytes)));
        }
    }
    _mm_storeu_si128((__m128i *)(void *)out, sums_of(sum));
}

/* Sums of 16 bits: eight steps of two products of at most 15 * 127 fit. */
CF_TARGET static void dots_nibbles(const int8_t *even, const int8_t *odd, const uint8_t *const rows[4],
                                   size_t bytes, int32_t out[4])
{
    const __m256i low_bits = _mm256_set1_epi8(0x0f), ones = _mm256_set1_epi16(1);
    __m256i sum[4];

    for (unsigned i = 0; i < 4; i++) {
        __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
        for (size_t j = 0; j < bytes; j += 32) {
            __m256i pairs = load(rows[i] + j),
                    upper = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low_bits);
            low = _mm256_add_epi16(low,
                                   _mm256_maddubs_epi16(_mm256_and_si256(pairs, low_bits), load(even + j)));
            high = _mm256_add_epi16(high, _mm256_maddubs_epi16(upper, load(odd + j)));
        }
        sum[i] = _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
    }
    _mm_storeu_si128((__m128i *)(void *)out, sums_of(sum));
}

/* For a mask of eight: the lanes of its bits, in order. */
CF_TARGET static inline __m256i lanes_of(unsigned mask)
{
    uint64_t bytes = _pdep_u64(mask, 0x0101010101010101u) * 0xff;
    uint64_t lanes = _pext_u64(0x0706050403020100u, bytes);

    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)lanes));
}

CF_TARGET static inline size_t append(float *keys, uint32_t *entries, size_t count, unsigned mask, __m256 key,
                                      __m256i entry)
{
    __m256i order = lanes_of(mask);

    _mm256_storeu_ps(keys + count, _mm256_permutevar8x32_ps(key, order));
    _mm256_storeu_si256((__m256i *)(void *)(entries + count), _mm256_permutevar8x32_epi32(entry, order));
    return count + (unsigned)__builtin_popcount(mask);
}

CF_TARGET static inline __m256 halves_at(const uint16_t *from)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from));
}

struct halves {
    __m256i left, right;
};

/* Products of sixteen entries' levels with the values; sums of 16 bits hold eight steps. Unrolled, compilers
 * spread the sums over more registers than there are. */
CF_TARGET static inline struct halves dot_block(const uint8_t *codes, const int8_t *values)
{
    const __m256i low_bits = _mm256_set1_epi8(0x0f), ones = _mm256_set1_epi16(1);
    __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()}, high[2] = {low[0], low[0]};

#pragma GCC unroll 1
    for (unsigned r = 0; r < CF_ANN_CODE_DIMS / 8; r++) {
        __m256i even = four_values(values + 8 * r), odd = four_values(values + 8 * r + 4);
        for (unsigned i = 0; i < 2; i++) {
            __m256i pairs = load(codes + 64 * r + 32 * i), lower = _mm256_and_si256(pairs, low_bits);
            __m256i upper = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low_bits);
            low[i] = _mm256_add_epi16(low[i], _mm256_maddubs_epi16(lower, even));
            high[i] = _mm256_add_epi16(high[i], _mm256_maddubs_epi16(upper, odd));
        }
    }
    return (struct halves){
        _mm256_add_epi32(_mm256_madd_epi16(low[0], ones), _mm256_madd_epi16(high[0], ones)),
        _mm256_add_epi32(_mm256_madd_epi16(low[1], ones), _mm256_madd_epi16(high[1], ones))};
}

/* Of the entries from `first` on, by their products. */
CF_TARGET static inline __m256 keys_of_entries(const struct cf_ann_block *block, unsigned first, __m256i dot,
                                               __m256i shift, __m256 worth, __m256 base)
{
    __m256 scaled =
        _mm256_mul_ps(worth, _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_slli_epi32(dot, 1), shift)));

    return _mm256_sub_ps(_mm256_add_ps(base, halves_at(block->norm + first)),
                         _mm256_mul_ps(halves_at(block->scale + first), scaled));
}

enum { BLOCKS_AHEAD = 4, LINE = 64 };

/* Which entries are below the limit is anybody's guess: where one of a block is, both halves are appended
 * without asking. */
CF_TARGET static size_t scan_blocks(const struct cf_ann_block *blocks, const struct cf_ann_visit *visits,
                                    size_t count, const struct cf_ann_probe *probe, struct cf_ann_pool *pool)
{
    const __m256 worth = _mm256_set1_ps(probe->worth), limit = _mm256_set1_ps(pool->limit);
    const __m256i shift = _mm256_set1_epi32(15 * probe->sum),
                  order = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    float *keys = pool->keys;
    uint32_t *entries = pool->entries;
    size_t i = 0, found = pool->count, room = pool->room;

    for (; i < count && found < room; i++) {
        const struct cf_ann_block *block = &blocks[visits[i].block];
        if (i + BLOCKS_AHEAD < count) {
            const char *next = (const char *)&blocks[visits[i + BLOCKS_AHEAD].block];
            for (size_t at = 0; at < sizeof *block; at += LINE)
                _mm_prefetch(next + at, _MM_HINT_T0);
        }
        struct halves dots = dot_block(block->codes, probe->values);
        __m256 base = _mm256_set1_ps(visits[i].base);
        __m256 left = keys_of_entries(block, 0, dots.left, shift, worth, base),
               right = keys_of_entries(block, 8, dots.right, shift, worth, base);
        unsigned in_left = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(left, limit, _CMP_LT_OQ)),
                 in_right = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(right, limit, _CMP_LT_OQ));
        if (!(in_left | in_right))
            continue;
        __m256i entry =
            _mm256_add_epi32(_mm256_set1_epi32((int)(visits[i].block * CF_ANN_LANE_COUNT)), order);
        found = append(keys, entries, found, in_left, left, entry);
        found = append(keys, entries, found, in_right, right, _mm256_add_epi32(entry, _mm256_set1_epi32(8)));
    }
    pool->count = found;
    return i;
}

/* Where one of the two is no number, the second counts. */
CF_TARGET static struct cf_ann_range range(const float *values, size_t count)
{
    __m256 low = _mm256_set1_ps(INFINITY), high = _mm256_set1_ps(-INFINITY);
    float lows[8], highs[8];
    size_t i = 0;

    for (; i + 8 <= count; i += 8) {
        low = _mm256_min_ps(_mm256_loadu_ps(values + i), low);
        high = _mm256_max_ps(_mm256_loadu_ps(values + i), high);
    }
    _mm256_storeu_ps(lows, low);
    _mm256_storeu_ps(highs, high);
    struct cf_ann_range rest = cf_ann_kernels_scalar.range(values + i, count - i);
    for (unsigned l = 0; l < 8; l++) {
        rest.least = lows[l] < rest.least ? lows[l] : rest.least;
        rest.most = highs[l] > rest.most ? highs[l] : rest.most;
    }
    return rest;
}

CF_TARGET static void pick_below(const float *values, size_t count, uint32_t first, struct cf_ann_pool *pool)
{
    __m256 bound = _mm256_set1_ps(pool->limit);
    size_t i = 0;

    for (; i + 8 <= count; i += 8) {
        __m256 key = _mm256_loadu_ps(values + i);
        int mask = _mm256_movemask_ps(_mm256_cmp_ps(key, bound, _CMP_LT_OQ));
        __m256i entry =
            _mm256_add_epi32(_mm256_set1_epi32((int)(first + i)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        if (mask)
            pool->count = append(pool->keys, pool->entries, pool->count, (unsigned)mask, key, entry);
    }
    for (; i < count; i++)
        if (values[i] < pool->limit) {
            pool->keys[pool->count] = values[i];
            pool->entries[pool->count++] = first + (uint32_t)i;
        }
}

CF_TARGET static size_t keep_below(float *keys, uint32_t *entries, size_t count, float limit)
{
    __m256 bound = _mm256_set1_ps(limit);
    size_t kept = 0, i = 0;

    for (; i + 8 <= count; i += 8) {
        __m256 key = _mm256_loadu_ps(keys + i);
        int mask = _mm256_movemask_ps(_mm256_cmp_ps(key, bound, _CMP_LT_OQ));
        kept = append(keys, entries, kept, (unsigned)mask, key, load(entries + i));
    }
    for (; i < count; i++)
        if (keys[i] < limit) {
            keys[kept] = keys[i];
            entries[kept++] = entries[i];
        }
    return kept;
}

CF_TARGET static size_t count_below(const float *values, size_t count, float limit)
{
    __m256 bound = _mm256_set1_ps(limit);
    size_t below = 0, i = 0;

    for (; i + 8 <= count; i += 8) {
        int mask = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(values + i), bound, _CMP_LT_OQ));
        below += (unsigned)__builtin_popcount((unsigned)mask);
    }
    for (; i < count; i++)
        below += values[i] < limit;
    return below;
}

const struct cf_ann_kernels cf_ann_kernels_avx2 = {
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
