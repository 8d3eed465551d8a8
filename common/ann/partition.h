/* Which vector belongs to which leaf: k-means (Lloyd 1982) on the leading dimensions of the projection,
 * started from a balanced tree; assignments are made in integers, a million distances a millisecond. */
#ifndef CF_ANN_PARTITION_H
#define CF_ANN_PARTITION_H

#include "common/ann/kernels.h"
#include "common/ann/tree.h"

/* Leaves of about LEAF_MEAN points, LEAF_COUNT_MAX of them at most; none over LEAF_MAX_TIMES the mean. */
enum { CF_ANN_LEAF_MEAN = 48, CF_ANN_LEAF_COUNT_MAX = 8192, CF_ANN_LEAF_MAX_TIMES = 8 };

/* Points of projected vectors, `dim` a multiple of 64. Deterministic by seed; every point is in one leaf,
 * none is empty. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN; cf_ann_tree_fini in any case. */
enum cf_err cf_ann_partition(struct cf_ann_tree *leaves, const struct cf_ann_points *points, uint64_t seed,
                             const struct cf_ann_crew *crew) CF_MUST_CHECK;

/* Centroids as the kernels want them: blocks of bytes, norms (infinite for those that fill up the last
 * block). Returns what a unit of the bytes is worth. */
float cf_ann_centroids_pack(const float *centroids, uint32_t count, uint32_t dim, uint8_t *blocks,
                            float *norms);

/* A vector in signed bytes; returns what a unit is worth. */
float cf_ann_bytes_of(const float *x, uint32_t dim, int8_t *out);

#endif
