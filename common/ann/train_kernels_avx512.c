/* AVX-512 with VNNI. */
#include "common/ann/train_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "common/ann/kernels.h"
#include "common/ann/train_loops.h"

#define CF_FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#ifdef __clang__ /* which does not know the wish, and takes none of the string then */
#define CF_TARGET __attribute__((target(CF_FEATURES)))
#else
#define CF_TARGET __attribute__((target(CF_FEATURES ",prefer-vector-width=512")))
#endif

enum { VECTORS = 4, BLOCKS = 4 };

CF_TARGET CF_INLINE __m512i four_values(const int8_t *a)
{
    int32_t word;

    memcpy(&word, a, sizeof word);
    return _mm512_set1_epi32(word);
}

/* `v_count` vectors with `b_count` blocks, both constants where this is inlined. */
CF_TARGET CF_INLINE void tile(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t width, int32_t *sums,
                              size_t stride, unsigned v_count, unsigned b_count)
{
    __m512i sum[VECTORS][BLOCKS];
    size_t bytes = width * CF_ANN_LANE_COUNT;

    for (unsigned v = 0; v < v_count; v++)
        for (unsigned b = 0; b < b_count; b++)
            sum[v][b] = _mm512_loadu_si512(sums + v * stride + b * CF_ANN_LANE_COUNT);
    for (size_t j = 0; j < width; j += 4) {
        __m512i things[BLOCKS];
        for (unsigned b = 0; b < b_count; b++)
            things[b] = _mm512_loadu_si512(blocks + b * bytes + 16 * j);
        for (unsigned v = 0; v < v_count; v++) {
            __m512i values = four_values(vectors.first + v * vectors.pitch + j);
            for (unsigned b = 0; b < b_count; b++)
                sum[v][b] = _mm512_dpbusd_epi32(sum[v][b], things[b], values);
        }
    }
    for (unsigned v = 0; v < v_count; v++)
        for (unsigned b = 0; b < b_count; b++)
            _mm512_storeu_si512(sums + v * stride + b * CF_ANN_LANE_COUNT, sum[v][b]);
}

CF_TARGET CF_INLINE void column(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t width, int32_t *sums,
                                size_t stride, unsigned b_count)
{
    size_t v = 0;

    for (; v + VECTORS <= vectors.count; v += VECTORS) {
        struct cf_ann_vectors8 four = {vectors.first + v * vectors.pitch, vectors.pitch, VECTORS};
        tile(four, blocks, width, sums + v * stride, stride, VECTORS, b_count);
    }
    for (; v < vectors.count; v++) {
        struct cf_ann_vectors8 one = {vectors.first + v * vectors.pitch, vectors.pitch, 1};
        tile(one, blocks, width, sums + v * stride, stride, 1, b_count);
    }
}

CF_TARGET static void dots(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count, size_t width,
                           int32_t *sums, size_t stride)
{
    size_t b = 0, bytes = width * CF_ANN_LANE_COUNT;

    for (; b + BLOCKS <= block_count; b += BLOCKS)
        column(vectors, blocks + b * bytes, width, sums + b * CF_ANN_LANE_COUNT, stride, BLOCKS);
    for (; b < block_count; b++)
        column(vectors, blocks + b * bytes, width, sums + b * CF_ANN_LANE_COUNT, stride, 1);
}

CF_TARGET static float keys_of(const float *norms, const int32_t *sums, float factor, size_t count, float *keys)
{
    __m512 least = _mm512_set1_ps(INFINITY), times = _mm512_set1_ps(factor);

    for (size_t i = 0; i < count; i += 16) {
        __m512 part = _mm512_mul_ps(times, _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + i)));
        __m512 key = _mm512_sub_ps(_mm512_loadu_ps(norms + i), part);
        _mm512_storeu_ps(keys + i, key);
        least = _mm512_min_ps(key, least);
    }
    return _mm512_reduce_min_ps(least);
}

CF_TARGET static float shadow(float *keys, const int32_t *sums, float factor, float offset, size_t count)
{
    __m512 least = _mm512_set1_ps(INFINITY), times = _mm512_set1_ps(factor), from = _mm512_set1_ps(offset);

    for (size_t i = 0; i < count; i += 16) {
        __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(sums + i));
        __m512 part = _mm512_mul_ps(times, _mm512_sub_ps(from, sum));
        __m512 key = _mm512_add_ps(_mm512_loadu_ps(keys + i), _mm512_mul_ps(part, part));
        _mm512_storeu_ps(keys + i, key);
        least = _mm512_min_ps(key, least);
    }
    return _mm512_reduce_min_ps(least);
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

const struct cf_ann_train_kernels cf_ann_train_kernels_avx512 = {
    dots, dots, keys_of, shadow, levels_of, dot, add_scaled, multiply, largest, round_bytes, divide};
#endif
