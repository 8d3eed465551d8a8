/* A balanced tree of two-means splits, cut at the median, down to leaves of at most leaf_max points. Only its
 * leaves are kept: where k-means starts (partition.h), and how it splits what is too large. Duplicates and
 * constants split as well as anything: ties go by position. */
#ifndef CF_ANN_TREE_H
#define CF_ANN_TREE_H

#include "common/ann/parallel.h"

#include <stdint.h>

struct cf_ann_points {
    const float *vectors; /* [count][stride] */
    const uint8_t *held;  /* [count]: 1 for what must not shape the partition (the calibration's queries) */
    uint32_t count, dim;
    uint32_t stride; /* floats from one vector to the next, at least dim */
};

struct cf_ann_tree {
    uint32_t *order; /* [count]: points, leaf after leaf, by number within a leaf */
    uint32_t *first; /* [leaf_count + 1] into order */
    uint32_t leaf_count;
};

/* Deterministic by seed. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN; free in any case. */
enum cf_err cf_ann_tree_grow(struct cf_ann_tree *tree, const struct cf_ann_points *points, uint32_t leaf_max,
                             uint64_t seed, const struct cf_ann_crew *crew) CF_MUST_CHECK;
void cf_ann_tree_fini(struct cf_ann_tree *tree);

/* The mean of a leaf's points (held ones left out, unless there are no others). */
void cf_ann_tree_centroid(const struct cf_ann_tree *tree, const struct cf_ann_points *points, uint32_t leaf,
                          float *centroid);

#endif
