/* AVX2: products of bytes in pairs, which cannot saturate: 2 * 127 * 127 fits 16 bits. */
#include "common/ann/train_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdbool.h>
#include <math.h>
#include <string.h>

#include "common/ann/kernels.h"
#include "common/ann/train_loops.h"

#define CF_TARGET __attribute__((target("avx2")))

/* A block is two registers wide. */
enum { VECTORS = 4, HALVES = 2, DEPTH = 128 };

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

/* Two steps of four bytes are added before they are widened. */
CF_TARGET CF_INLINE void tile_small(struct cf_ann_vectors8 vectors, const uint8_t *block, size_t width,
                                    int32_t *sums, size_t stride, unsigned v_count)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sum[VECTORS][HALVES];

    for (unsigned v = 0; v < v_count; v++)
        for (unsigned h = 0; h < HALVES; h++)
            sum[v][h] = _mm256_loadu_si256((const __m256i *)(const void *)(sums + v * stride + 8 * h));
    for (size_t j = 0; j < width; j += 8) {
        __m256i things[2 * HALVES];
        for (unsigned i = 0; i < 2 * HALVES; i++)
            things[i] = _mm256_loadu_si256((const __m256i *)(const void *)(block + 16 * j + 32 * i));
        for (unsigned v = 0; v < v_count; v++) {
            const int8_t *at = vectors.first + v * vectors.pitch + j;
            __m256i first = four_values(at), second = four_values(at + 4);
            for (unsigned h = 0; h < HALVES; h++) {
                __m256i both = _mm256_add_epi16(_mm256_maddubs_epi16(things[h], first),
                                                _mm256_maddubs_epi16(things[HALVES + h], second));
                sum[v][h] = _mm256_add_epi32(sum[v][h], _mm256_madd_epi16(both, ones));
            }
        }
    }
    for (unsigned v = 0; v < v_count; v++)
        for (unsigned h = 0; h < HALVES; h++)
            _mm256_storeu_si256((__m256i *)(void *)(sums + v * stride + 8 * h), sum[v][h]);
}

/* `small` is known where this is used, so that one of the tiles remains. */
CF_TARGET CF_INLINE void dots_by(bool small, struct cf_ann_vectors8 vectors, const uint8_t *blocks,
                                 size_t block_count, size_t width, int32_t *sums, size_t stride)
{
    for (size_t b = 0; b < block_count; b++) {
        const uint8_t *block = blocks + b * width * CF_ANN_LANE_COUNT;
        int32_t *out = sums + b * CF_ANN_LANE_COUNT;
        struct cf_ann_vectors8 part = vectors;
        for (; part.count >= VECTORS; part.count -= VECTORS) {
            (small ? tile_small : tile)(part, block, width, out, stride, VECTORS);
            part.first += VECTORS * part.pitch;
            out += VECTORS * stride;
        }
        for (; part.count; part.count--) {
            (small ? tile_small : tile)(part, block, width, out, stride, 1);
            part.first += part.pitch;
            out += stride;
        }
    }
}

CF_TARGET static void dots(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count, size_t width,
                           int32_t *sums, size_t stride)
{
    dots_by(false, vectors, blocks, block_count, width, sums, stride);
}

CF_TARGET static void dots_small(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count,
                                 size_t width, int32_t *sums, size_t stride)
{
    dots_by(true, vectors, blocks, block_count, width, sums, stride);
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

CF_TARGET CF_INLINE __m256 levels_at(const float *x, __m256 factor)
{
    const __m256 half = _mm256_set1_ps(.5f), middle = _mm256_set1_ps(7.5f), most = _mm256_set1_ps(15);
    __m256 n = _mm256_add_ps(_mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x), factor), half), middle);
    __m256 both = _mm256_min_ps(_mm256_max_ps(n, _mm256_setzero_ps()), most);
    __m256 whole = _mm256_round_ps(both, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);

    return _mm256_sub_ps(_mm256_mul_ps(_mm256_set1_ps(2), whole), most);
}

CF_TARGET CF_INLINE float sum_of(const __m256 halves[HALVES])
{
    cf_ann_lanes sum;

    memcpy(&sum, halves, sizeof sum);
    return cf_ann_loop_sum(sum);
}

/* As cf_ann_loop_levels says. */
CF_TARGET static struct cf_ann_fit levels_of(const float *x, const float *weights, float factor, size_t count,
                                             float *levels)
{
    __m256 times = _mm256_set1_ps(factor), with[HALVES] = {_mm256_setzero_ps(), _mm256_setzero_ps()},
           square[HALVES] = {_mm256_setzero_ps(), _mm256_setzero_ps()};

    for (size_t j = 0; j < count; j += 16)
        for (size_t h = 0; h < HALVES; h++) {
            size_t at = j + 8 * h;
            __m256 level = levels_at(x + at, times),
                   weighted = _mm256_mul_ps(level, _mm256_loadu_ps(weights + at));
            _mm256_storeu_ps(levels + at, level);
            with[h] = _mm256_add_ps(with[h], _mm256_mul_ps(_mm256_loadu_ps(x + at), weighted));
            square[h] = _mm256_add_ps(square[h], _mm256_mul_ps(level, weighted));
        }
    return (struct cf_ann_fit){sum_of(with), sum_of(square)};
}

CF_TARGET static float dot(const float *a, const float *b, size_t count)
{
    return cf_ann_loop_dot(a, b, count);
}

CF_TARGET static void add_scaled(float *out, const float *x, float a, size_t count)
{
    cf_ann_loop_add_scaled(out, x, a, count);
}

/* Four rows times sixteen columns, added to what `out` holds; b: `depth` rows of these columns. */
CF_TARGET CF_INLINE void multiply_tile(const float *a, size_t width, const cf_ann_lanes *b, size_t depth,
                                       float *out, size_t columns)
{
    __m256 sum[VECTORS][HALVES];

    for (unsigned r = 0; r < VECTORS; r++)
        for (unsigned h = 0; h < HALVES; h++)
            sum[r][h] = _mm256_loadu_ps(out + r * columns + 8 * h);
    for (size_t j = 0; j < depth; j++) {
        __m256 left = _mm256_loadu_ps((const float *)(b + j)),
               right = _mm256_loadu_ps((const float *)(b + j) + 8);
        for (unsigned r = 0; r < VECTORS; r++) {
            __m256 value = _mm256_set1_ps(a[r * width + j]);
            sum[r][0] = _mm256_add_ps(sum[r][0], _mm256_mul_ps(value, left));
            sum[r][1] = _mm256_add_ps(sum[r][1], _mm256_mul_ps(value, right));
        }
    }
    for (unsigned r = 0; r < VECTORS; r++)
        for (unsigned h = 0; h < HALVES; h++)
            _mm256_storeu_ps(out + r * columns + 8 * h, sum[r][h]);
}

/* Sixteen columns of DEPTH rows at a time are laid side by side, so that they stay in the nearest cache. */
CF_TARGET static void multiply(const float *a, size_t rows, size_t width, const float *b, size_t columns,
                               float *out)
{
    cf_ann_lanes strip[DEPTH];

    memset(out, 0, rows * columns * sizeof *out);
    for (size_t j = 0; j < width; j += DEPTH) {
        size_t depth = width - j < DEPTH ? width - j : DEPTH;
        for (size_t c = 0; c < columns; c += 16) {
            for (size_t d = 0; d < depth; d++)
                memcpy(&strip[d], b + (j + d) * columns + c, sizeof *strip);
            for (size_t r = 0; r < rows; r += VECTORS)
                multiply_tile(a + r * width + j, width, strip, depth, out + r * columns + c, columns);
        }
    }
}

CF_TARGET static float largest(const float *x, size_t count)
{
    return cf_ann_loop_largest(x, count);
}

/* Eight as words of 32 bits. */
CF_TARGET CF_INLINE __m256i rounded_at(const float *x, __m256 zero, __m256 factor)
{
    __m256 value = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x), zero), factor);
    __m256 low = _mm256_max_ps(value, _mm256_set1_ps(-127)), both = _mm256_min_ps(low, _mm256_set1_ps(127));

    return _mm256_cvtps_epi32(_mm256_round_ps(both, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

CF_TARGET static void round_bytes(const float *x, float zero, float factor, size_t count, int8_t *out)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* packing goes by halves */
    __m256 from = _mm256_set1_ps(zero), times = _mm256_set1_ps(factor);
    size_t i = 0;

    for (; i + 32 <= count; i += 32) {
        __m256i first =
            _mm256_packs_epi32(rounded_at(x + i, from, times), rounded_at(x + i + 8, from, times));
        __m256i second =
            _mm256_packs_epi32(rounded_at(x + i + 16, from, times), rounded_at(x + i + 24, from, times));
        __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), order);
        _mm256_storeu_si256((__m256i *)(void *)(out + i), bytes);
    }
    cf_ann_loop_round(x + i, zero, factor, count - i, out + i);
}

CF_TARGET static void divide(const float *x, const float *by, size_t count, float *out, float *least, float *most)
{
    cf_ann_loop_divide(x, by, count, out, least, most);
}

const struct cf_ann_train_kernels cf_ann_train_kernels_avx2 = {
    dots, dots_small, keys_of, shadow, levels_of, dot, add_scaled, multiply, largest, round_bytes, divide};
#endif
