/* The inner loops of a build, once a SIMD level, exact in integers, so that every level builds the same file.
 * Things lie in blocks of sixteen as in kernels.h, in bytes 1 to 127 around CF_ANN_BLOCK_ZERO. */
#ifndef CF_ANN_TRAIN_KERNELS_H
#define CF_ANN_TRAIN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { CF_ANN_SMALL_MOST = 64 };

struct cf_ann_vectors8 {
    const int8_t *first; /* values -127 to 127 */
    size_t pitch;        /* bytes from one vector to the next */
    size_t count;
};

struct cf_ann_fit {
    float with, square;
};

struct cf_ann_train_kernels {
    /* sums[v * stride + i] += the product of vector v with the bytes of thing i, for all things of `block_count`
     * blocks; width a multiple of 4. Bytes as they are: take 64 times the sum of the vector off afterwards. */
    void (*dots)(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count, size_t width,
                 int32_t *sums, size_t stride);
    /* The same of bytes 0 to CF_ANN_SMALL_MOST; width a multiple of 8. Four products of these fit 16 bits. */
    void (*dots_small)(struct cf_ann_vectors8 vectors, const uint8_t *blocks, size_t block_count, size_t width,
                       int32_t *sums, size_t stride);
    /* keys[i] = norms[i] - factor * sums[i]; returns the least. Count a multiple of 16. */
    float (*keys)(const float *norms, const int32_t *sums, float factor, size_t count, float *keys);
    /* keys[i] += (factor * (offset - sums[i]))²; returns the least. */
    float (*shadow)(float *keys, const int32_t *sums, float factor, float offset, size_t count);
    /* Levels of values: odd numbers -15 to 15 nearest to x[j] * factor; and the products of x with them and of them
     * with themselves, each dimension times its weight. Count a multiple of 16. */
    struct cf_ann_fit (*levels)(const float *x, const float *weights, float factor, size_t count, float *levels);
    /* In floats, with sixteen running sums: counts are multiples of 16. */
    float (*dot)(const float *a, const float *b, size_t count);
    void (*add_scaled)(float *out, const float *x, float a, size_t count);
    /* out[rows][columns] = a[rows][width] times b[width][columns]; rows a multiple of 4, columns of 16. */
    void (*multiply)(const float *a, size_t rows, size_t width, const float *b, size_t columns, float *out);
    /* In size; not finite when one of them is not. Any count. */
    float (*largest)(const float *x, size_t count);
    /* out[i] = (x[i] - zero) * factor to the nearest whole number within 127; any count. */
    void (*round)(const float *x, float zero, float factor, size_t count, int8_t *out);
    /* out[i] = x[i] / by[i], the least and the most of them; count at least 1. */
    void (*divide)(const float *x, const float *by, size_t count, float *out, float *least, float *most);
};

extern const struct cf_ann_train_kernels cf_ann_train_kernels_scalar;
#if defined(__x86_64__)
extern const struct cf_ann_train_kernels cf_ann_train_kernels_avx2, cf_ann_train_kernels_avx512;
#endif

/* Those of the level in force. */
const struct cf_ann_train_kernels *cf_ann_train_kernels(void);

#endif
