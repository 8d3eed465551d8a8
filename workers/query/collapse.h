/* Albums that look the same as one: groups of vectors no farther than a limit from the one that came first.
 * For reissues under one cover among the neighbours of a query. Vectors are offered nearest first; each joins
 * the first group whose leader is within the limit, or leads a new one. By the triangle inequality only
 * leaders about as far from the query are measured; whoever does not know how far they are in this space says
 * 0 of each. */
#ifndef CF_WORKERS_QUERY_COLLAPSE_H
#define CF_WORKERS_QUERY_COLLAPSE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct cf_collapse {
    uint32_t dim;
    float limit;
    float *leaders;   /* `count` rows of `dim` */
    float *distances; /* of each from the query */
    size_t count, capacity;
};

/* Zeroed is empty. Keeps the memory of before. */
void cf_collapse_begin(struct cf_collapse *collapse, uint32_t dim, float limit);
void cf_collapse_fini(struct cf_collapse *collapse);

/* A group of one that nothing joins, for what has no vector. As the offer below. */
enum cf_err cf_collapse_alone(struct cf_collapse *collapse, size_t group_count_max,
                              size_t *group) CF_MUST_CHECK;

/* `*group` becomes the number of the group. A new one, the next number, is made only while there are fewer
 * than `group_count_max`; otherwise that number says that the vector belongs to none. CF_E_NO_MEMORY. */
enum cf_err cf_collapse_offer(struct cf_collapse *collapse, const float *vector, float distance,
                              size_t group_count_max, size_t *group) CF_MUST_CHECK;

#endif
