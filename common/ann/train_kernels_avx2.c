/* AVX2: products of bytes in pairs, which cannot saturate: 2 * 127 * 127 fits 16 bits. */
#include "common/ann/train_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "common/ann/kernels.h"
#include "common/ann/train_loops.h"

#define CF_TARGET __attribute__((target("avx2")))

/* A block is two registers wide. */
enum { VECTORS = 4, HALVES = 2 };

CF_TARGET CF_INLINE __m256i four_values(const int8_t *a)
{
    int32_t word;

    memcpy(&word, a, sizeof word);
    return _mm256_set1_epi32(word);
}

CF_TARGET CF_INLINE void tile(struct cf_ann_vectors8 vectors, const uint8_t *block, size_t width, int32_t *sums,
                              size_t stride, unsigned v_count)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[VECTORS][HALVES];

    for (unsigned v = 0; v < v_count; v++)
        for (unsigned h = 0; h < HALVES; h++)
            sum[v][h] = _mm256_loadu_si256((const __m256i *)(const void *)(sums + v * stride + 8 * h));
    for (size_t j = 0; j < width; j += 4) {
        __m256i things[HALVES];
        for (unsigned h = 0; h < HALVES; h++)
            things[h] = _mm256_loadu_si256((const __m256i *)(const void *)(block + 16 * j + 32 * h));
        for (unsigned v = 0; v < v_count; v++) {
            __m256i values = four_values(vectors.first + v * vectors.pitch + j);
            for (unsigned h = 0; h < HALVES; h++)
                sum[v][h] = _mm256_add_epi32(
                    sum[v][h], _mm256_madd_epi16(_mm256_maddubs_epi16(things[h], values), ones));
        }
    }
    for (unsigned v = 0; v < v_count; v++)
        for (unsigned h = 0; h < HALVES; h++)
            _mm256_storeu_si256((__m256i *)(void *)(sums + v * stride + 8 * h), sum[v][h]);
}

CF_TARGET static void dots(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count, size_t width,
                           int32_t *sums, size_t stride)
{
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * width * CF_ANN_LANE_COUNT;
        int32_t *out = sums + b * CF_ANN_LANE_COUNT;
        struct cf_ann_vectors8 part = vectors;
        for (; part.count >= VECTORS; part.count -= VECTORS) {
            tile(part, block, width, out, stride, VECTORS);
            part.first += VECTORS * part.pitch;
            out += VECTORS * stride;
        }
        for (; part.count; part.count--) {
            tile(part, block, width, out, stride, 1);
            part.first += part.pitch;
            out += stride;
        }
    }
}

CF_TARGET static float least_of(__m256 values)
{
    __m128 four = _mm_min_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
    __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_min_ss(two, _mm_shuffle_ps(two, two, 1)));
}

CF_TARGET static float keys_of(const float *norms, const int32_t *sums, float factor, size_t count, float *keys)
{
    __m256 least = _mm256_set1_ps(INFINITY), times = _mm256_set1_ps(factor);

    for (size_t i = 0; i < count; i += 8) {
        __m256 part = _mm256_mul_ps(times, _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(const void *)(sums + i))));
        __m256 key = _mm256_sub_ps(_mm256_loadu_ps(norms + i), part);
        _mm256_storeu_ps(keys + i, key);
        least = _mm256_min_ps(key, least);
    }
    return least_of(least);
}

CF_TARGET static float shadow(float *keys, const int32_t *sums, float factor, float offset, size_t count)
{
    __m256 least = _mm256_set1_ps(INFINITY), times = _mm256_set1_ps(factor), from = _mm256_set1_ps(offset);

    for (size_t i = 0; i < count; i += 8) {
        __m256 sum = _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(const void *)(sums + i)));
        __m256 part = _mm256_mul_ps(times, _mm256_sub_ps(from, sum));
        __m256 key = _mm256_add_ps(_mm256_loadu_ps(keys + i), _mm256_mul_ps(part, part));
        _mm256_storeu_ps(keys + i, key);
        least = _mm256_min_ps(key, least);
    }
    return least_of(least);
}

CF_TARGET static struct cf_ann_fit levels_of(const float *x, const float *weights, float factor, size_t count, float *levels)
{
    return cf_ann_loop_levels(x, weights, factor, count, levels);
}

CF_TARGET static float dot(const float *a, const float *b, size_t count)
{
    return cf_ann_loop_dot(a, b, count);
}

CF_TARGET static void add_scaled(float *out, const float *x, float a, size_t count)
{
    cf_ann_loop_add_scaled(out, x, a, count);
}

CF_TARGET static void multiply(const float *a, size_t rows, size_t width, const float *b, size_t columns, float *out)
{
    cf_ann_loop_multiply(a, rows, width, b, columns, out);
}

CF_TARGET static float largest(const float *x, size_t count)
{
    return cf_ann_loop_largest(x, count);
}

CF_TARGET static void round_bytes(const float *x, float zero, float factor, size_t count, int8_t *out)
{
    cf_ann_loop_round(x, zero, factor, count, out);
}

CF_TARGET static void divide(const float *x, const float *by, size_t count, float *out, float *least, float *most)
{
    cf_ann_loop_divide(x, by, count, out, least, most);
}

const struct cf_ann_train_kernels cf_ann_train_kernels_avx2 = {dots,       keys_of,  shadow,  levels_of,  dot,
    add_scaled, multiply, largest, round_bytes, divide};
#endif
