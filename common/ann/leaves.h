/* Leaves in the order of their centroids' distance from a query, taken one at a time: a heap, since few are
 * wanted. */
#ifndef CF_ANN_LEAVES_H
#define CF_ANN_LEAVES_H

#include "common/ann/distance.h"
#include "common/ann/image.h"

struct cf_ann_leaf {
    float key; /* squared distance to the centroid; never NaN */
    uint32_t leaf;
};

struct cf_ann_leaves {
    struct cf_ann_leaf *entries; /* room for every leaf; borrowed */
    size_t count;
};

/* `query` in the scale of the rows. */
void cf_ann_leaves_rank(struct cf_ann_leaves *leaves, const struct cf_ann *ann, const float *query,
                        cf_ann_distance_fn *distance);
/* The nearest that is left; ties by number. Only while count > 0. */
struct cf_ann_leaf cf_ann_leaves_pop(struct cf_ann_leaves *leaves);

#endif
