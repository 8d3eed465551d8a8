/* Recall, not knobs: how many leaves, and how many survivors of each ranking, a recall takes; measured when
 * the index is built, on four kinds of queries that it makes itself: vectors held back from shaping the
 * leaves (other copies of known pictures), the same as if their own copies were not there (new pictures), a
 * little perturbed (closer copies), and mixtures of coordinates of several (nothing like the collection).
 *
 * For each, the true neighbours are found by measuring every row (truth.h), and one wide search tells at
 * which leaf, which place among the codes and which among the shorts each of them turned up: that gives the
 * recall of every narrower search. A plan is the least costly one at which the lower confidence bound
 * (one-sided, 95 %) of the mean recall reaches the grid's value, for all kinds but the mixtures alike; for
 * queries that are farther from all leaves than nearly all of these, the mixtures count too. What costs as
 * much as measuring every row is not planned. Rows may lose some of the order by themselves: for a recall
 * that measuring all of them would not give, a plan may lose a quarter of the allowance on top of their loss.
 * Between two points of the grid plans are interpolated, towards a larger k twice as fast as in proportion.
 */
#ifndef CF_ANN_CALIBRATE_H
#define CF_ANN_CALIBRATE_H

#include "common/ann/image.h"
#include "common/base/crew.h"

/* Below this many items there are no leaves, every row is looked at, and nothing is held back. */
enum { CF_ANN_CALIBRATED_MIN = 1024 };

/* How many leaves are looked at, nearest first; how many entries survive the codes, and how many items the
 * shorts. No leaves: only measuring every row does it. */
struct cf_ann_widths {
    uint32_t leaves, codes, shorts;
};

enum { CF_ANN_GRID_K = 3, CF_ANN_GRID_RECALL = 14, CF_ANN_CLASS_COUNT = 2 };
struct cf_ann_calibration {
    /* A query whose nearest centroid is within reach[c] (a squared distance) belongs to class c, the first
     * that fits; a little beyond, the last class's widths are taken several times over; far beyond, every row
     * is measured. */
    float reach[CF_ANN_CLASS_COUNT];
    struct cf_ann_widths plans[CF_ANN_CLASS_COUNT][CF_ANN_GRID_K][CF_ANN_GRID_RECALL];
};

/* Items that had no part in training: their vectors in the scale of the rows, and their numbers. */
struct cf_ann_held {
    const float *vectors; /* [count][dim] */
    const uint32_t *items;
    uint32_t count;
};

/* `ann` complete but for this table. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const struct cf_ann_held *held,
                             const struct cf_crew *crew, struct cf_ann_calibration *out) CF_MUST_CHECK;

/* For `k` results at `recall`, of a query that is `reach` from the nearest centroid (cf_ann_reach). Within
 * the index's numbers, whatever the table says. */
struct cf_ann_widths cf_ann_widths(const struct cf_ann *ann, double reach, uint64_t k, double recall);

#endif
