/* Recall, not knobs: how many leaves and how much effort a recall takes, measured when the index is built, on
 * three kinds of queries that it makes itself: vectors held back from shaping the partition (new pictures),
 * the same a little perturbed (other copies of known pictures), and mixtures of coordinates of several
 * (nothing like the collection).
 *
 * Each is answered exactly, and then by codes over many leaves, once an effort: a true neighbour counts at m
 * leaves when its leaf is among the first m and it survived the competition of all those. A plan is the least
 * effort and number of leaves at which the lower confidence bound (one-sided, 99 %) of the mean recall
 * reaches the grid's value, for every kind. What lies between two points of the grid is taken from the harder
 * one. */
#ifndef CF_ANN_CALIBRATE_H
#define CF_ANN_CALIBRATE_H

#include "common/ann/image.h"
#include "common/ann/parallel.h"

/* Below this many items there are no leaves, every row is looked at, and nothing is held back. */
enum { CF_ANN_CALIBRATED_MIN = 1024, CF_ANN_HELD_MAX = 1000 };

/* How many leaves, nearest centroid first, and how much effort for a recall at a k. Measured on the index's
 * own vectors. No leaves: only an exact scan does it. */
enum { CF_ANN_GRID_K = 4, CF_ANN_GRID_RECALL = 14, CF_ANN_CLASS_COUNT = 2, CF_ANN_EFFORT_COUNT = 3 };
struct cf_ann_plan {
    uint32_t leaves, effort;
};
struct cf_ann_calibration {
    /* A query whose nearest centroid is within reach[c] (a squared distance) belongs to class c, the first
     * that fits; beyond all, the scan is exact. */
    float reach[CF_ANN_CLASS_COUNT];
    struct cf_ann_plan plans[CF_ANN_CLASS_COUNT][CF_ANN_GRID_K][CF_ANN_GRID_RECALL];
};

/* Items that had no part in training: their vectors in the scale of the rows, and their numbers. */
struct cf_ann_held {
    const float *vectors; /* [count][dim] */
    const uint32_t *items;
    uint32_t count;
};

/* `ann` complete but for this table. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const struct cf_ann_held *held,
                             const struct cf_ann_crew *crew, struct cf_ann_calibration *out) CF_MUST_CHECK;

/* For `k` results at `recall`, of a query whose target has this reach (below 0: the most favourable). Checked
 * against the number of leaves, whatever the table says; no leaves means that only an exact scan does it. */
struct cf_ann_plan cf_ann_plan(const struct cf_ann *ann, float reach, uint64_t k, double recall);

#endif
