/* Which vector belongs to which leaves: k-means (Lloyd 1982) on the leading dimensions of the projection,
 * distances in integers; then every vector goes to its nearest leaf and to a second one whose residual points
 * elsewhere (SOAR: Sun et al. 2023), so that a query which is badly placed for the one is well placed for the
 * other. */
#ifndef CF_ANN_PARTITION_H
#define CF_ANN_PARTITION_H

#include "common/ann/train_kernels.h"
#include "common/base/crew.h"

/* Leaves of about LEAF_MEAN items, and twice as many entries. */
enum { CF_ANN_LEAF_MEAN = 50 };

/* Projected vectors as a build keeps them: `count` records, `pitch` bytes apart, each a head and dim signed
 * bytes. */
struct cf_ann_point {
    float unit; /* what a unit of its bytes is worth */
    float norm; /* square of the whole vector's distance from the mean */
};
struct cf_ann_points {
    const uint8_t *records;
    uint32_t count, dim;
    const uint8_t *held; /* a bit an item: what must not shape the leaves */
};
static inline size_t cf_ann_point_pitch(uint32_t dim)
{
    return sizeof(struct cf_ann_point) + dim;
}

struct cf_ann_leaves {
    uint32_t count, padded; /* padded to whole blocks */
    float step;             /* of the blocks */
    uint8_t *blocks;        /* as the file has them */
    float *norms;           /* of what the blocks say; infinite for leaves that do not exist */
};

/* Leaves by the nearest of a few centroids: where leaves are many, a vector is measured against those of the
 * groups around its own only. No groups (count 0): against all. */
enum { CF_ANN_GROUPS_NEAR = 24 };
struct cf_ann_groups {
    struct cf_ann_leaves middles;
    uint32_t *first;                      /* [count + 1] into the leaves: multiples of 16 but for the last */
    uint32_t (*near)[CF_ANN_GROUPS_NEAR]; /* of each, its own number first, then the nearest others */
    uint32_t near_count;
};

/* Deterministic by seed. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN; fini in any case. `group_count`: 0, or at most
 * count / 16. */
enum cf_err cf_ann_leaves_train(struct cf_ann_leaves *leaves, struct cf_ann_groups *groups,
                                const struct cf_ann_points *points, uint32_t count, uint32_t group_count,
                                uint64_t seed, const struct cf_crew *crew) CF_MUST_CHECK;
void cf_ann_leaves_fini(struct cf_ann_leaves *leaves);
void cf_ann_groups_fini(struct cf_ann_groups *groups);

/* leaf_of[i][2] of all points; the second is the first where there is no other. `order`: scratch,
 * [points->count]. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_leaves_assign(const struct cf_ann_leaves *leaves, const struct cf_ann_groups *groups,
                                 const struct cf_ann_points *points, const struct cf_crew *crew,
                                 uint32_t (*leaf_of)[2], uint32_t *order) CF_MUST_CHECK;

/* What the blocks say of a centroid. */
void cf_ann_centroid_unpack(const struct cf_ann_leaves *leaves, uint32_t dim, uint32_t leaf, float *out);

#endif
