/* Loops that a compiler turns into the instructions of whichever level includes them. */
#ifndef CF_ANN_TRAIN_LOOPS_H
#define CF_ANN_TRAIN_LOOPS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CF_INLINE static inline __attribute__((always_inline))

CF_INLINE void cf_ann_loop_keys(const float *norms, const int32_t *sums, float factor, size_t count, float *keys)
{
    for (size_t i = 0; i < count; i++) {
        float part = factor * (float)sums[i];
        keys[i] = norms[i] - part;
    }
}

CF_INLINE void cf_ann_loop_shadow(float *keys, const int32_t *sums, float factor, float offset, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float part = factor * (offset - (float)sums[i]), square = part * part;
        keys[i] = keys[i] + square;
    }
}

/* Sixteen columns, each with its least; then the least of those. */
CF_INLINE uint32_t cf_ann_loop_least(const float *keys, size_t count)
{
    float best[16];
    uint32_t at[16], found = 0;

    for (unsigned e = 0; e < 16; e++) {
        best[e] = keys[e];
        at[e] = e;
    }
    for (size_t i = 16; i < count; i += 16)
        for (unsigned e = 0; e < 16; e++) {
            at[e] = keys[i + e] < best[e] ? (uint32_t)i + e : at[e];
            best[e] = keys[i + e] < best[e] ? keys[i + e] : best[e];
        }
    for (unsigned e = 1; e < 16; e++)
        if (best[e] < best[found] || (best[e] == best[found] && at[e] < at[found]))
            found = e;
    return at[found];
}

/* Sixteen floats, wherever they lie. */
typedef float cf_ann_lanes __attribute__((vector_size(64), aligned(4)));

/* Sixteen running sums, folded in halves; count a multiple of 16. */
CF_INLINE float cf_ann_loop_dot(const float *a, const float *b, size_t count)
{
    cf_ann_lanes sum = {0};
    float lanes[16];

    for (size_t i = 0; i < count; i += 16)
        sum += *(const cf_ann_lanes *)(a + i) * *(const cf_ann_lanes *)(b + i);
    memcpy(lanes, &sum, sizeof lanes);
    for (unsigned half = 8; half; half /= 2)
        for (unsigned i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
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
CF_INLINE void cf_ann_loop_round(const float *x, float factor, size_t count, int8_t *out)
{
    for (size_t i = 0; i < count; i++) {
        float value = x[i] * factor, low = value > -127 ? value : -127, both = low < 127 ? low : 127;
        out[i] = (int8_t)(int32_t)((both + 0x1.8p23f) - 0x1.8p23f);
    }
}

#endif
