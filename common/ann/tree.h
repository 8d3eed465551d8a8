/* The partition: a balanced tree of two-means splits, cut at the median, down to small leaves. Only its
 * leaves are kept: a query measures every centroid (one in CF_ANN_LEAF_MAX / 2 of the rows at most) and takes
 * leaves nearest first. Duplicates and constants split as well as anything: ties go by position. */
#ifndef CF_ANN_TREE_H
#define CF_ANN_TREE_H

#include "common/ann/parallel.h"

#include <stdint.h>

enum { CF_ANN_LEAF_MAX = 64 };

struct cf_ann_points {
    const float *vectors; /* [count][dim] */
    const uint8_t *held;  /* [count]: 1 for what must not shape the partition (the calibration's queries) */
    uint32_t count, dim;
};

struct cf_ann_tree {
    uint32_t *order; /* [count]: points, leaf after leaf, by number within a leaf */
    uint32_t *first; /* [leaf_count + 1] into order */
    uint32_t leaf_count;
};

/* Deterministic by seed. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN; free in any case. */
enum cf_err cf_ann_tree_grow(struct cf_ann_tree *tree, const struct cf_ann_points *points, uint64_t seed,
                             const struct cf_ann_crew *crew) CF_MUST_CHECK;
void cf_ann_tree_fini(struct cf_ann_tree *tree);

/* The centroid of a leaf's points (held ones left out, unless there are no others) and the largest distance
 * from it. */
void cf_ann_tree_centroid(const struct cf_ann_tree *tree, const struct cf_ann_points *points, uint32_t leaf,
                          float *centroid, float *radius);

#endif
