/* What the nearest rows of many queries are: every row against every query, in bytes, a few hundred
 * candidates each; these ranked by rows as a search would. */
#ifndef CF_ANN_TRUTH_H
#define CF_ANN_TRUTH_H

#include "common/ann/query.h"
#include "common/base/crew.h"

enum { CF_ANN_TRUTH_MAX = 120 };

struct cf_ann_neighbour {
    double key; /* the distance, but for what the row has lost: estimated as a random part of its slack */
    uint32_t item;
    uint32_t rank; /* how many rows are measured nearer */
};

struct cf_ann_probe_query {
    const float *vector; /* in the scale of the rows */
    uint32_t self;       /* an item that does not count, or UINT32_MAX */
    uint32_t count;      /* of neighbours: nearest first */
    struct cf_ann_neighbour neighbours[CF_ANN_TRUTH_MAX];
};

/* Sets count and neighbours of all. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_truth(const struct cf_ann *ann, const struct cf_crew *crew,
                         struct cf_ann_probe_query *queries, size_t count) CF_MUST_CHECK;

/* A target for a vector that is in the scale of the rows already. CF_E_NO_MEMORY. */
enum cf_err cf_ann_target_scaled(struct cf_ann_target *target, const struct cf_ann *ann,
                                 struct cf_ann_scratch *scratch, const float *vector) CF_MUST_CHECK;

#endif
