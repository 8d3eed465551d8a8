/* The scalar level: the specification of the others; and the choice among them. */
#include "common/ann/train_kernels.h"

#include <math.h>

#include "common/ann/kernels.h"
#include "common/ann/train_loops.h"
#include "common/base/cpu.h"

static void dots_of_block(const int8_t *vector, const uint8_t *block, size_t width, int32_t *sums)
{
    for (size_t j = 0; j < width; j += 4)
        for (size_t e = 0; e < CF_ANN_LANE_COUNT; e++)
            for (size_t i = 0; i < 4; i++)
                sums[e] += vector[j + i] * block[16 * j + 4 * e + i];
}

static void dots(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count, size_t width,
                 int32_t *sums, size_t stride)
{
    for (size_t b = 0; b < block_count; b++)
        for (size_t v = 0; v < vectors.count; v++)
            dots_of_block(vectors.first + v * vectors.pitch, blocks + b * width * CF_ANN_LANE_COUNT, width,
                          sums + v * stride + b * CF_ANN_LANE_COUNT);
}

static float keys_of(const float *norms, const int32_t *sums, float factor, size_t count, float *keys)
{
    float least = INFINITY;

    for (size_t i = 0; i < count; i++) {
        float part = factor * (float)sums[i];
        keys[i] = norms[i] - part;
        least = keys[i] < least ? keys[i] : least;
    }
    return least;
}

static float shadow(float *keys, const int32_t *sums, float factor, float offset, size_t count)
{
    float least = INFINITY;

    for (size_t i = 0; i < count; i++) {
        float part = factor * (offset - (float)sums[i]), square = part * part;
        keys[i] = keys[i] + square;
        least = keys[i] < least ? keys[i] : least;
    }
    return least;
}

static struct cf_ann_fit levels_of(const float *x, const float *weights, float factor, size_t count, float *levels)
{
    return cf_ann_loop_levels(x, weights, factor, count, levels);
}

static float dot(const float *a, const float *b, size_t count)
{
    return cf_ann_loop_dot(a, b, count);
}

static void add_scaled(float *out, const float *x, float a, size_t count)
{
    cf_ann_loop_add_scaled(out, x, a, count);
}

static void multiply(const float *a, size_t rows, size_t width, const float *b, size_t columns, float *out)
{
    cf_ann_loop_multiply(a, rows, width, b, columns, out);
}

static float largest(const float *x, size_t count)
{
    return cf_ann_loop_largest(x, count);
}

static void round_bytes(const float *x, float zero, float factor, size_t count, int8_t *out)
{
    cf_ann_loop_round(x, zero, factor, count, out);
}

static void divide(const float *x, const float *by, size_t count, float *out, float *least, float *most)
{
    cf_ann_loop_divide(x, by, count, out, least, most);
}

const struct cf_ann_train_kernels cf_ann_train_kernels_scalar = {
    dots, dots, keys_of, shadow, levels_of, dot, add_scaled, multiply, largest, round_bytes, divide};

const struct cf_ann_train_kernels *cf_ann_train_kernels(void)
{
#if defined(__x86_64__)
    switch (cf_cpu_simd()) {
    case CF_SIMD_AVX512:
        return &cf_ann_train_kernels_avx512;
    case CF_SIMD_AVX2:
        return &cf_ann_train_kernels_avx2;
    case CF_SIMD_SCALAR:
        break;
    }
#endif
    return &cf_ann_train_kernels_scalar;
}
