/* The k nearest of whatever is offered: a bounded heap, ordered by distance, then by id. Ids are borrowed. */
#ifndef CF_WORKERS_QUERY_NEAREST_H
#define CF_WORKERS_QUERY_NEAREST_H

#include <math.h>

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_shard;

struct cf_near {
    float distance;
    struct cf_shard *shard; /* where the album rests; NULL when not known */
    struct cf_str id;
};

struct cf_nearest {
    struct cf_near *items; /* k of them, the caller's; the farthest first until sorted */
    size_t k, count;
};

/* What cannot be among the k nearest: nothing farther than this needs to be offered. */
static inline float cf_nearest_bound(const struct cf_nearest *nearest)
{
    return nearest->count < nearest->k ? INFINITY : nearest->items[0].distance;
}

void cf_nearest_offer(struct cf_nearest *nearest, struct cf_near item);
void cf_nearest_sort(struct cf_nearest *nearest); /* nearest first; nothing may be offered afterwards */

#endif
