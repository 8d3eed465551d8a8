#include "common/ann/pool.h"

#include <math.h>

enum { HALVINGS = 48, SPARE_SHARE = 16 };

float cf_ann_pool_bound(const struct cf_ann_kernels *kernels, const float *keys, size_t count,
                        struct cf_ann_range range, size_t wanted)
{
    float low = range.least, high = nextafterf(range.most, INFINITY);

    if (wanted >= count || !isfinite(low) || !isfinite(high)) /* not finite: a damaged file */
        return INFINITY;
    for (int i = 0; i < HALVINGS; i++) {
        float middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) /* many equal keys lie between the two */
            break;
        size_t below = kernels->count_below(keys, count, middle);
        if (below < wanted) {
            low = middle;
            continue;
        }
        high = middle;
        if (below <= wanted + wanted / SPARE_SHARE)
            break;
    }
    return high;
}

void cf_ann_pool_shrink(const struct cf_ann_kernels *kernels, struct cf_ann_pool *pool, size_t wanted)
{
    if (pool->count <= wanted)
        return;
    float bound = cf_ann_pool_bound(kernels, pool->keys, pool->count, kernels->range(pool->keys, pool->count),
                                    wanted),
          worst = -INFINITY;

    pool->count = kernels->keep_below(pool->keys, pool->entries, pool->count, bound);
    if (pool->count > wanted + wanted / SPARE_SHARE)
        pool->count = wanted;
    for (size_t i = 0; i < pool->count; i++)
        worst = pool->keys[i] > worst ? pool->keys[i] : worst;
    pool->limit = bound < worst ? bound : worst;
}
