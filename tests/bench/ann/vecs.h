/* Vectors in memory and in the files that benchmarks exchange (http://corpus-texmex.irisa.fr): fvecs and
 * ivecs, each vector its length in 32 bits and then so many 32-bit floats or integers, little-endian. */
#ifndef CF_BENCH_ANN_VECS_H
#define CF_BENCH_ANN_VECS_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"

/* Row-major, count * dim, owned. */
struct bench_floats {
    uint32_t dim;
    size_t count;
    float *values;
};

struct bench_ints {
    uint32_t dim;
    size_t count;
    int32_t *values;
};

/* Zeros. Gives up when memory is short. */
struct bench_floats bench_floats_new(size_t count, uint32_t dim);
struct bench_ints bench_ints_new(size_t count, uint32_t dim);
void bench_floats_fini(struct bench_floats *floats);
void bench_ints_fini(struct bench_ints *ints);

/* Reads at most `count_max` vectors. CF_E_NOT_FOUND, CF_E_IO, CF_E_CORRUPT for a file that is not made of
 * vectors of one length (1 to 4,096), CF_E_INVALID for none. */
enum cf_err bench_floats_read(const char *path, size_t count_max, struct bench_floats *floats,
                              struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err bench_ints_read(const char *path, size_t count_max, struct bench_ints *ints,
                            struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err bench_floats_write(const char *path, const struct bench_floats *floats,
                               struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err bench_ints_write(const char *path, const struct bench_ints *ints,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* One vector at its place in an open file, from any thread. */
enum cf_err bench_floats_put(int fd, size_t at, const float *values, uint32_t dim,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* Says the sentence and exits 1. */
_Noreturn void bench_give_up(const char *sentence);
/* calloc that gives up. */
void *bench_alloc(size_t count, size_t size);

#endif
