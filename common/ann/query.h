/* A query made ready for one index: taken to its scale and mean, projected, and put into the integers that
 * every step multiplies by. */
#ifndef CF_ANN_QUERY_H
#define CF_ANN_QUERY_H

#include "common/ann/image.h"
#include "common/ann/pool.h"
#include "common/ann/project.h"

struct cf_ann_leaf {
    float key; /* about |c|² - 2 q·c: the squared distance to the centroid, but for |q|² */
    uint32_t leaf;
};

/* Scratch of one thread, grown as needed and kept from query to query. */
struct cf_ann_scratch {
    float *query, *full, *centred, *scaled;
    int16_t *wide;
    int8_t *bytes;
    int32_t *dots;
    float *keys, *group_keys, *front_keys;
    uint32_t *front_leaves;
    double *squares;
    struct cf_ann_leaf *leaves;
    struct cf_ann_visit *visits;
    float *pool_keys;
    uint32_t *pool_entries, *seen;
    struct cf_ann_candidate *best;
    struct cf_ann_survivor *survivors;
    size_t centred_room, scaled_room, wide_room, bytes_room, dots_room, keys_room, group_keys_room,
        front_keys_room, front_leaves_room, squares_room, leaves_room, visits_room, pool_keys_room,
        pool_entries_room, seen_room, best_room, query_room, full_room, survivors_room;
};
void cf_ann_scratch_fini(struct cf_ann_scratch *scratch);

bool cf_ann_reserve(void **memory, size_t *room, size_t count, size_t size);
/* In functions that return enum cf_err; the macro keeps the types of the members. */
#define CF_ANN_RESERVE(s, member, count)                                                                     \
    do {                                                                                                     \
        void *memory_ = (s)->member;                                                                         \
        if (!cf_ann_reserve(&memory_, &(s)->member##_room, (count), sizeof *(s)->member))                    \
            return CF_E_NO_MEMORY;                                                                           \
        (s)->member = memory_;                                                                               \
    } while (0)

/* The first leaf_dims of a projection in bytes, what one is worth, and what the blocks' zero adds to
 * products. */
struct cf_ann_pointer {
    int8_t values[CF_ANN_LEAF_DIMS_MAX];
    float unit;
    int32_t shift;
};

/* The leaves whose centroids have been measured: leaf i (or the one that `leaves` names) has keys[i]. */
struct cf_ann_front {
    float *keys;
    const uint32_t *leaves; /* NULL: all of them, in order */
    size_t count;
    struct cf_ann_range range; /* of the keys */
};

struct cf_ann_target {
    const struct cf_ann *ann;
    const struct cf_ann_kernels *kernels;
    struct cf_ann_scratch *scratch;
    const float *centred; /* row_dims values: the query less the mean, in the scale of the rows */
    double norm;          /* its square */
    /* For rows: the query times their steps is row_unit * wide, and its product with a row of scale 1 is off
     * by no more than row_error. */
    const int16_t *wide; /* [row_codes]: for second codes the same again, less CF_ANN_FINE times */
    double row_unit, row_error;
    double row_sum; /* of the query times the steps: its product with a row that is all ones */
    /* For what lies behind leaves; not set where there are none. */
    float proj[CF_ANN_PROJ_MAX];
    int8_t even[CF_ANN_PROJ_MAX / 2], odd[CF_ANN_PROJ_MAX / 2];
    float short_unit;
    int32_t short_sum;
    struct cf_ann_probe probe;
    struct cf_ann_pointer pointer;
    struct cf_ann_front front;
};

/* `query`: dim finite floats in the scale of the caller, none beyond CF_ANN_NEAR_MAX in that of the rows.
 * Borrows the scratch until another query uses it. CF_E_NO_MEMORY. */
#define CF_ANN_NEAR_MAX 0x1p50
enum cf_err cf_ann_target_init(struct cf_ann_target *target, const struct cf_ann *ann,
                               struct cf_ann_scratch *scratch, const float *query) CF_MUST_CHECK;

#endif
