/* The best of many by counting: a bound that about so many keys are below is found by halving, and what is
 * above it goes. No order is made that nobody asked for. */
#ifndef CF_ANN_POOL_H
#define CF_ANN_POOL_H

#include "common/ann/kernels.h"

/* A bound that at least `wanted` of the keys, whose range that is, are below, and few more; infinite when
 * that is all of them. More than a few only where so many are equal. */
float cf_ann_pool_bound(const struct cf_ann_kernels *kernels, const float *keys, size_t count,
                        struct cf_ann_range range, size_t wanted);

/* Keeps the best, `wanted` or few more; of equals those that came first. From then on, only what is better
 * than the worst of them is let in. */
void cf_ann_pool_shrink(const struct cf_ann_kernels *kernels, struct cf_ann_pool *pool, size_t wanted);

#endif
