/* The true neighbours, and how much of them an answer holds. */
#ifndef CF_BENCH_ANN_TRUTH_H
#define CF_BENCH_ANN_TRUTH_H

#include "tests/bench/ann/vecs.h"

/* The k nearest of `base` to each query, Euclidean, nearest first, ties by number: queries->count * min(k,
 * base->count) numbers. A scan in single precision in blocks, its best k and a margin measured again in
 * double. */
struct bench_ints bench_truth(const struct bench_floats *base, const struct bench_floats *queries, uint32_t k,
                              unsigned threads);

/* Squared, in double, in a fixed order. */
double bench_distance2(const float *a, const float *b, uint32_t dim);

/* How many of the true k an answer of `count` numbers found: distinct vectors of it that are no further than
 * the k-th true neighbour (another at the very same distance is as good), at most k. Numbers outside of
 * `base` count for nothing. `truth` holds at least k. */
size_t bench_found(const struct bench_floats *base, const float *query, const int32_t *truth, size_t k,
                   const int32_t *answer, size_t count);

#endif
