/* AVX-512 with VNNI. */
#include "common/ann/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define CF_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))

CF_TARGET static int32_t dot_i16_i8(const int16_t *a, const int8_t *row, size_t width)
{
    __m512i sum = _mm512_setzero_si512(), more = _mm512_setzero_si512();

    for (size_t j = 0; j < width; j += 64) {
        __m512i low = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(row + j)));
        __m512i high =
            _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(row + j + 32)));
        sum = _mm512_dpwssd_epi32(sum, _mm512_loadu_si512(a + j), low);
        more = _mm512_dpwssd_epi32(more, _mm512_loadu_si512(a + j + 32), high);
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(sum, more));
}

CF_TARGET static inline __m512i four_values(const int8_t *a)
{
    int32_t word;

    memcpy(&word, a, sizeof word);
    return _mm512_set1_epi32(word);
}

CF_TARGET static void dots_blocks(const int8_t *a, const uint8_t *blocks, size_t block_count, size_t width,
                                  int32_t *out)
{
    size_t bytes = width * CF_ANN_LANE_COUNT, b = 0;

    for (; b + 4 <= block_count; b += 4) {
        const uint8_t *at = blocks + b * bytes;
        __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                          _mm512_setzero_si512()};
        for (size_t j = 0; j < width; j += 4) {
            __m512i values = four_values(a + j);
            for (unsigned i = 0; i < 4; i++)
                sum[i] = _mm512_dpbusd_epi32(sum[i], _mm512_loadu_si512(at + i * bytes + 16 * j), values);
        }
        for (unsigned i = 0; i < 4; i++)
            _mm512_storeu_si512(out + (b + i) * CF_ANN_LANE_COUNT, sum[i]);
    }
    for (; b < block_count; b++) {
        __m512i sum = _mm512_setzero_si512();
        for (size_t j = 0; j < width; j += 4)
            sum =
                _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(blocks + b * bytes + 16 * j), four_values(a + j));
        _mm512_storeu_si512(out + b * CF_ANN_LANE_COUNT, sum);
    }
}

CF_TARGET static void keys_of_dots(const int32_t *dots, const float *norms, size_t count, float factor,
                                   int32_t shift, float *keys)
{
    for (size_t i = 0; i < count; i += 16) {
        __m512i dot = _mm512_sub_epi32(_mm512_loadu_si512(dots + i), _mm512_set1_epi32(shift));
        __m512 scaled = _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_cvtepi32_ps(dot));
        _mm512_storeu_ps(keys + i, _mm512_sub_ps(_mm512_loadu_ps(norms + i), scaled));
    }
}

/* The sums of four registers. */
CF_TARGET static inline __m128i sums_of(const __m512i sum[4])
{
    __m256i half[4];

    for (unsigned i = 0; i < 4; i++)
        half[i] = _mm256_add_epi32(_mm512_castsi512_si256(sum[i]), _mm512_extracti64x4_epi64(sum[i], 1));
    __m256i pairs =
        _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

CF_TARGET static void dots_rows(const int16_t *a, const int8_t *const rows[4], size_t width, int32_t out[4])
{
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};

    for (size_t j = 0; j < width; j += 32) {
        __m512i values = _mm512_loadu_si512(a + j);
        for (unsigned i = 0; i < 4; i++) {
            __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(rows[i] + j));
            sum[i] = _mm512_dpwssd_epi32(sum[i], values, _mm512_cvtepi8_epi16(bytes));
        }
    }
    _mm_storeu_si128((__m128i *)(void *)out, sums_of(sum));
}

CF_TARGET static inline __m512i load_part(const void *from, size_t left)
{
    return left >= 64 ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(0xffffffff, from);
}

/* High nibbles count sixteen times too much, put right at the end. */
CF_TARGET static void dots_nibbles(const int8_t *even, const int8_t *odd, const uint8_t *const rows[4],
                                   size_t bytes, int32_t out[4])
{
    const __m512i low_bits = _mm512_set1_epi8(0x0f), high_bits = _mm512_set1_epi8((char)0xf0);
    __m512i low[4], high[4];

    for (unsigned i = 0; i < 4; i++)
        low[i] = high[i] = _mm512_setzero_si512();
    for (size_t j = 0; j < bytes; j += 64) {
        __m512i first = load_part(even + j, bytes - j), second = load_part(odd + j, bytes - j);
        for (unsigned i = 0; i < 4; i++) {
            __m512i pairs = load_part(rows[i] + j, bytes - j);
            low[i] = _mm512_dpbusd_epi32(low[i], _mm512_and_si512(pairs, low_bits), first);
            high[i] = _mm512_dpbusd_epi32(high[i], _mm512_and_si512(pairs, high_bits), second);
        }
    }
    for (unsigned i = 0; i < 4; i++)
        low[i] = _mm512_add_epi32(low[i], _mm512_srai_epi32(high[i], 4));
    _mm_storeu_si128((__m128i *)(void *)out, sums_of(low));
}

/* Compressing to memory is slow on some processors, and what lies behind is free. */
CF_TARGET static inline size_t append(float *keys, uint32_t *entries, size_t count, __mmask16 mask,
                                      __m512 key, __m512i entry)
{
    _mm512_storeu_ps(keys + count, _mm512_maskz_compress_ps(mask, key));
    _mm512_storeu_si512(entries + count, _mm512_maskz_compress_epi32(mask, entry));
    return count + (unsigned)__builtin_popcount(mask);
}

CF_TARGET static inline __m512 keys_of(const struct cf_ann_block *block, __m512i dot, float base, float worth)
{
    __m512 scaled = _mm512_mul_ps(_mm512_set1_ps(worth), _mm512_cvtepi32_ps(dot));
    __m512 norm = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)block->norm));
    __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)block->scale));

    return _mm512_sub_ps(_mm512_add_ps(_mm512_set1_ps(base), norm), _mm512_mul_ps(scale, scaled));
}

enum { BLOCKS_AHEAD = 8, LINE = 64 };

CF_TARGET static inline void prefetch_block(const struct cf_ann_block *block)
{
    for (size_t i = 0; i < sizeof *block; i += LINE)
        _mm_prefetch((const char *)block + i, _MM_HINT_T0);
}

CF_TARGET static size_t scan_blocks(const struct cf_ann_block *blocks, const struct cf_ann_visit *visits,
                                    size_t count, const struct cf_ann_probe *probe, struct cf_ann_pool *pool)
{
    const __m512i low_bits = _mm512_set1_epi8(0x0f), high_bits = _mm512_set1_epi8((char)0xf0);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i shift = _mm512_set1_epi32(15 * probe->sum);
    const __m512 limit = _mm512_set1_ps(pool->limit);
    __m512i values[CF_ANN_CODE_DIMS / 4];
    size_t i = 0, found = pool->count;

    for (unsigned r = 0; r < CF_ANN_CODE_DIMS / 4; r++)
        values[r] = four_values(probe->values + 4 * r);
    for (; i < count && found < pool->room; i++) {
        const struct cf_ann_block *block = &blocks[visits[i].block];
        __m512i low = _mm512_setzero_si512(), high = _mm512_setzero_si512();
        if (i + BLOCKS_AHEAD < count)
            prefetch_block(&blocks[visits[i + BLOCKS_AHEAD].block]);
        for (unsigned r = 0; r < CF_ANN_CODE_DIMS / 8; r++) {
            __m512i pairs = _mm512_loadu_si512(block->codes + 64 * r);
            low = _mm512_dpbusd_epi32(low, _mm512_and_si512(pairs, low_bits), values[2 * r]);
            /* Sixteen times too much, put right once at the end. */
            high = _mm512_dpbusd_epi32(high, _mm512_and_si512(pairs, high_bits), values[2 * r + 1]);
        }
        __m512i dot = _mm512_add_epi32(low, _mm512_srai_epi32(high, 4));
        dot = _mm512_sub_epi32(_mm512_slli_epi32(dot, 1), shift);
        __m512 key = keys_of(block, dot, visits[i].base, probe->worth);
        __mmask16 mask = _mm512_cmp_ps_mask(key, limit, _CMP_LT_OQ);
        if (mask) {
            __m512i entry =
                _mm512_add_epi32(_mm512_set1_epi32((int)(visits[i].block * CF_ANN_LANE_COUNT)), lanes);
            found = append(pool->keys, pool->entries, found, mask, key, entry);
        }
    }
    pool->count = found;
    return i;
}

CF_TARGET static inline __mmask16 lanes_left(size_t left)
{
    uint32_t mask = left >= 16 ? 0xffffu : (1u << left) - 1;

    return (__mmask16)mask;
}

/* Where one of the two is no number, the second counts. */
CF_TARGET static struct cf_ann_range range(const float *values, size_t count)
{
    __m512 least = _mm512_set1_ps(INFINITY), most = _mm512_set1_ps(-INFINITY);

    for (size_t i = 0; i < count; i += 16) {
        __mmask16 here = lanes_left(count - i);
        __m512 value = _mm512_maskz_loadu_ps(here, values + i);
        least = _mm512_mask_min_ps(least, here, value, least);
        most = _mm512_mask_max_ps(most, here, value, most);
    }
    return (struct cf_ann_range){_mm512_reduce_min_ps(least), _mm512_reduce_max_ps(most)};
}

CF_TARGET static void pick_below(const float *values, size_t count, uint32_t first, struct cf_ann_pool *pool)
{
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512 bound = _mm512_set1_ps(pool->limit);

    for (size_t i = 0; i < count; i += 16) {
        __mmask16 here = lanes_left(count - i);
        __m512 key = _mm512_maskz_loadu_ps(here, values + i);
        __mmask16 mask = _mm512_mask_cmp_ps_mask(here, key, bound, _CMP_LT_OQ);
        __m512i entry = _mm512_add_epi32(_mm512_set1_epi32((int)(first + i)), lanes);
        if (mask)
            pool->count = append(pool->keys, pool->entries, pool->count, mask, key, entry);
    }
}

CF_TARGET static size_t keep_below(float *keys, uint32_t *entries, size_t count, float limit)
{
    __m512 bound = _mm512_set1_ps(limit);
    size_t kept = 0;

    for (size_t i = 0; i < count; i += 16) {
        __mmask16 here = lanes_left(count - i);
        __m512 key = _mm512_maskz_loadu_ps(here, keys + i);
        __m512i entry = _mm512_maskz_loadu_epi32(here, entries + i);
        kept = append(keys, entries, kept, _mm512_mask_cmp_ps_mask(here, key, bound, _CMP_LT_OQ), key, entry);
    }
    return kept;
}

CF_TARGET static size_t count_below(const float *values, size_t count, float limit)
{
    __m512 bound = _mm512_set1_ps(limit);
    size_t below = 0, i = 0;

    for (; i + 16 <= count; i += 16)
        below +=
            (unsigned)__builtin_popcount(_mm512_cmp_ps_mask(_mm512_loadu_ps(values + i), bound, _CMP_LT_OQ));
    for (; i < count; i++)
        below += values[i] < limit;
    return below;
}

const struct cf_ann_kernels cf_ann_kernels_avx512 = {
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
