/* Loops that a compiler turns into the instructions of whichever level includes them. */
#ifndef CF_ANN_TRAIN_LOOPS_H
#define CF_ANN_TRAIN_LOOPS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/ann/train_kernels.h"

#define CF_INLINE static inline __attribute__((always_inline))

/* Sixteen floats, wherever they lie. */
typedef float cf_ann_lanes __attribute__((vector_size(64), aligned(4)));

/* Folded in halves. */
CF_INLINE float cf_ann_loop_sum(cf_ann_lanes sum)
{
    float lanes[16];

    memcpy(lanes, &sum, sizeof lanes);
    for (unsigned half = 8; half; half /= 2)
        for (unsigned i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

CF_INLINE struct cf_ann_fit cf_ann_loop_levels(const float *x, const float *weights, float factor, size_t count,
                                               float *levels)
{
    cf_ann_lanes with = {0}, square = {0};

    for (size_t j = 0; j < count; j++) {
        /* To the nearest whole number as below. */
        float n = x[j] * factor * .5f + 7.5f, low = n > 0 ? n : 0, both = low < 15 ? low : 15;
        levels[j] = 2 * ((both + 0x1.8p23f) - 0x1.8p23f) - 15;
    }
    for (size_t j = 0; j < count; j += 16) {
        cf_ann_lanes level = *(const cf_ann_lanes *)(levels + j),
                     weighted = level * *(const cf_ann_lanes *)(weights + j);
        with += *(const cf_ann_lanes *)(x + j) * weighted;
        square += level * weighted;
    }
    return (struct cf_ann_fit){cf_ann_loop_sum(with), cf_ann_loop_sum(square)};
}

/* Sixteen running sums; count a multiple of 16. */
CF_INLINE float cf_ann_loop_dot(const float *a, const float *b, size_t count)
{
    cf_ann_lanes sum = {0};

    for (size_t i = 0; i < count; i += 16)
        sum += *(const cf_ann_lanes *)(a + i) * *(const cf_ann_lanes *)(b + i);
    return cf_ann_loop_sum(sum);
}

CF_INLINE void cf_ann_loop_add_scaled(float *out, const float *x, float a, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float part = a * x[i];
        out[i] = out[i] + part;
    }
}

/* `lanes` times 16 columns of four rows. */
CF_INLINE void cf_ann_loop_tile(const float *a, size_t width, const float *b, size_t columns, float *out,
                                unsigned lanes)
{
    cf_ann_lanes sum[4][4] = {{{0}}};

    for (size_t j = 0; j < width; j++)
        for (unsigned l = 0; l < lanes; l++) {
            cf_ann_lanes values = *(const cf_ann_lanes *)(b + j * columns + 16 * l);
            for (unsigned r = 0; r < 4; r++)
                sum[r][l] += a[r * width + j] * values;
        }
    for (unsigned r = 0; r < 4; r++)
        for (unsigned l = 0; l < lanes; l++)
            memcpy(out + r * columns + 16 * l, &sum[r][l], sizeof sum[r][l]);
}

CF_INLINE void cf_ann_loop_multiply(const float *a, size_t rows, size_t width, const float *b, size_t columns,
                                    float *out)
{
    size_t c = 0;

    for (; c + 64 <= columns; c += 64)
        for (size_t r = 0; r < rows; r += 4)
            cf_ann_loop_tile(a + r * width, width, b + c, columns, out + r * columns + c, 4);
    for (; c < columns; c += 16)
        for (size_t r = 0; r < rows; r += 4)
            cf_ann_loop_tile(a + r * width, width, b + c, columns, out + r * columns + c, 1);
}

/* By their bits, sizes of floats are in order as integers are, and what is not finite is above all. */
CF_INLINE float cf_ann_loop_largest(const float *x, size_t count)
{
    uint32_t most = 0;
    float size;

    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    memcpy(&size, &most, sizeof size);
    return size;
}

/* Adding and taking off 1.5 * 2^23 rounds to the nearest, ties to even, and vectorizes at every level. */
CF_INLINE void cf_ann_loop_round(const float *x, float zero, float factor, size_t count, int8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        float value = (x[i] - zero) * factor, low = value > -127 ? value : -127, both = low < 127 ? low : 127;
        out[i] = (int8_t)(int32_t)((both + 0x1.8p23f) - 0x1.8p23f);
    }
}

CF_INLINE void cf_ann_loop_divide(const float *x, const float *by, size_t count, float *out, float *least, float *most)
{
    float low[16], high[16];
    size_t i = 0;

    for (unsigned e = 0; e < 16; e++)
        low[e] = high[e] = x[0] / by[0];
    for (; i + 16 <= count; i += 16)
        for (unsigned e = 0; e < 16; e++) {
            float value = x[i + e] / by[i + e];
            out[i + e] = value;
            low[e] = value < low[e] ? value : low[e];
            high[e] = value > high[e] ? value : high[e];
        }
    for (; i < count; i++) {
        out[i] = x[i] / by[i];
        low[0] = out[i] < low[0] ? out[i] : low[0];
        high[0] = out[i] > high[0] ? out[i] : high[0];
    }
    *least = low[0];
    *most = high[0];
    for (unsigned e = 1; e < 16; e++) {
        *least = low[e] < *least ? low[e] : *least;
        *most = high[e] > *most ? high[e] : *most;
    }
}

#endif
