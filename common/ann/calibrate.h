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

/* Below this many items every leaf is always looked at, and nothing is held back. */
enum { CF_ANN_CALIBRATED_MIN = 1024, CF_ANN_HELD_MAX = 192 };

/* How many points to hold back out of `count`. */
uint32_t cf_ann_held_count(uint64_t count);

/* `ann` complete but for this table; `held` the rows held back. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const uint32_t *held, uint32_t held_count,
                             const struct cf_ann_crew *crew, struct cf_ann_calibration *out) CF_MUST_CHECK;

/* For `k` results at `recall`, of a query whose target has this reach (below 0: the most favourable). Checked
 * against the number of leaves, whatever the table says; no leaves means that only an exact scan does it. */
struct cf_ann_plan cf_ann_plan(const struct cf_ann *ann, float reach, uint64_t k, double recall);

#endif
