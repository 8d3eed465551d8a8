/* Whole files of vectors in memory (common/vecfile reads and writes them). */
#ifndef CF_BENCH_ANN_VECS_H
#define CF_BENCH_ANN_VECS_H

#include <stdint.h>

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

/* At most the first `count_max` vectors; the errors of cf_vecfile_open and cf_vecfile_read. */
enum cf_err bench_floats_read(const char *path, size_t count_max, struct bench_floats *floats,
                              struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err bench_ints_read(const char *path, size_t count_max, struct bench_ints *ints,
                            struct cf_detail *detail) CF_MUST_CHECK;
/* The errors of cf_vecwriter_*. */
enum cf_err bench_floats_write(const char *path, const struct bench_floats *floats,
                               struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err bench_ints_write(const char *path, const struct bench_ints *ints,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* One vector at its place in an open .fvecs file, from any thread: common/vecfile writes them one after the
 * other. */
enum cf_err bench_floats_put(int fd, size_t at, const float *values, uint32_t dim,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* Says the sentence and exits 1. */
_Noreturn void bench_give_up(const char *sentence);
void bench_must(enum cf_err err, const struct cf_detail *detail);
/* calloc that gives up. */
void *bench_alloc(size_t count, size_t size);

#endif
