/* One query over the compact codes: leaves nearest first, their codes in blocks, the best of those by bytes,
 * and the best of those by full vectors. Used by the search and by the calibration that it relies on. */
#ifndef CF_ANN_SCAN_H
#define CF_ANN_SCAN_H

#include "common/ann/distance.h"
#include "common/ann/heap.h"
#include "common/ann/project.h"

struct cf_ann_leaf {
    float key; /* squared distance to the centroid, in the projection */
    uint32_t leaf;
};

/* Scratch of one thread, grown as needed. */
struct cf_ann_scratch {
    int16_t *wide;
    int32_t *dots;
    float *keys, *query;
    struct cf_ann_leaf *leaves;
    struct cf_ann_candidate *pool, *best;
    size_t wide_room, dots_room, keys_room, query_room, leaves_room, pool_room, best_room;
};
void cf_ann_scratch_fini(struct cf_ann_scratch *scratch);

/* A query made ready; borrows the scratch. */
struct cf_ann_target {
    const struct cf_ann *ann;
    const struct cf_ann_kernels *kernels;
    cf_ann_distance_fn *distance;
    struct cf_ann_scratch *scratch;
    const float *query; /* in the scale of the rows */
    float proj[CF_ANN_PROJ_MAX];
    float norm;  /* square of the distance from the mean */
    float reach; /* about the square of the distance from the nearest centroid */
    float key_least,
        key_most; /* of scratch->keys, one a leaf: squares less a constant, in the precision of bytes */
    struct cf_ann_probe probe;
    int16_t fine[CF_ANN_PROJ_MAX];
    float fine_step;
    /* Which rows count; what it turns away is counted. */
    bool (*keep)(void *arg, uint64_t item);
    void *keep_arg;
    uint32_t skip; /* one row that does not, or UINT32_MAX */
    uint64_t kept, rejected;
};

/* `query` finite and not too far out. CF_E_NO_MEMORY. Sets all but keep, keep_arg (none) and skip (none). */
enum cf_err cf_ann_target_init(struct cf_ann_target *target, const struct cf_ann *ann,
                               struct cf_ann_scratch *scratch, const float *query) CF_MUST_CHECK;

/* Offers the heap (k of it set) what it finds in at least `leaves` leaves. CF_E_NO_MEMORY. */
enum cf_err cf_ann_scan(struct cf_ann_target *target, struct cf_ann_plan plan,
                        struct cf_ann_heap *heap) CF_MUST_CHECK;

/* Room in scratch. */
bool cf_ann_reserve(void **memory, size_t *room, size_t count, size_t size);

#endif
