/* Recall, not knobs: how many leaves a recall takes, measured when the index is built, on three kinds of
 * queries that it makes itself: vectors held back from shaping the partition (new pictures), the same a
 * little perturbed (other copies of known pictures), and mixtures of coordinates of several (nothing like the
 * collection).
 *
 * A table entry is the smallest number of leaves at which the lower confidence bound (one-sided, 99 %) of the
 * mean recall reaches the grid's value, for every kind. What lies between two points of the grid is taken
 * from the harder one. */
#ifndef CF_ANN_CALIBRATE_H
#define CF_ANN_CALIBRATE_H

#include "common/ann/image.h"
#include "common/ann/parallel.h"

/* Below this many items every leaf is always looked at, and nothing is held back. */
enum { CF_ANN_CALIBRATED_MIN = 1024, CF_ANN_HELD_MAX = 320 };

/* How many points to hold back out of `count`. */
uint32_t cf_ann_held_count(uint64_t count);

/* `ann` complete but for this table; `held` the rows held back. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const uint32_t *held, uint32_t held_count,
                             const struct cf_ann_crew *crew, struct cf_ann_calibration *out) CF_MUST_CHECK;

/* Leaves for `k` results at `recall`, of `reach` the distance to the nearest centroid; at most leaf_count,
 * whatever the table says. */
uint64_t cf_ann_leaves_wanted(const struct cf_ann *ann, float reach, uint64_t k, double recall);

#endif
