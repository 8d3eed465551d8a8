#include "common/ann/leaves.h"

#include <math.h>

static bool before(struct cf_ann_leaf a, struct cf_ann_leaf b)
{
    return a.key < b.key || (a.key == b.key && a.leaf < b.leaf);
}

static void sift_down(struct cf_ann_leaves *leaves, size_t at)
{
    struct cf_ann_leaf *e = leaves->entries, moving = e[at];

    for (size_t child; (child = 2 * at + 1) < leaves->count; at = child) {
        if (child + 1 < leaves->count && before(e[child + 1], e[child]))
            child++;
        if (!before(e[child], moving))
            break;
        e[at] = e[child];
    }
    e[at] = moving;
}

void cf_ann_leaves_rank(struct cf_ann_leaves *leaves, const struct cf_ann *ann, const float *query,
                        cf_ann_distance_fn *distance)
{
    uint32_t dim = ann->header.dim;

    leaves->count = ann->header.leaf_count;
    for (uint32_t i = 0; i < leaves->count; i++) {
        float key = distance(query, ann->centroids + (size_t)i * dim, dim);
        leaves->entries[i] = (struct cf_ann_leaf){key >= 0 ? key : INFINITY, i};
    }
    for (size_t i = leaves->count / 2; i-- > 0;)
        sift_down(leaves, i);
}

struct cf_ann_leaf cf_ann_leaves_pop(struct cf_ann_leaves *leaves)
{
    struct cf_ann_leaf nearest = leaves->entries[0];

    leaves->entries[0] = leaves->entries[--leaves->count];
    if (leaves->count)
        sift_down(leaves, 0);
    return nearest;
}
