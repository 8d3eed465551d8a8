/* The judge's measure: the area under the ROC curve on users' thumbs, with intervals.
 *
 *   pooled    (sum of ranks of ups - n+ (n+ + 1) / 2) / (n+ n-) over all thumbs, midranks for ties
 *   per user  the same within each user (or seed), averaged over those with both signs: the figure to quote
 *
 * Intervals are bootstrap percentiles: users are drawn with replacement (Efron 1979), so that thumbs of one
 * user stay together. Differences between two models are drawn on the same users. */
#ifndef CF_RECOMMEND_AUC_H
#define CF_RECOMMEND_AUC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

/* One scored thumb. `group`: the user (or the user's seed) it belongs to; groups of one user have the same
 * `user`. */
struct cf_scored {
    uint32_t user, group;
    double score;
    bool up;
};

struct cf_auc {
    double value, low, high; /* the 95 % interval; NaN where there is nothing to measure; the
                                interval also where it is of one user */
    uint64_t ups, downs;     /* thumbs that count */
    uint64_t groups;         /* per user: with both signs */
};

struct cf_auc_options {
    uint32_t resamples; /* 1,000 */
    uint64_t seed;
};

/* Scores are finite. `scored` is reordered (by group). CF_E_INVALID when there is only one class: the
 * sentence says which. */
enum cf_err cf_auc_pooled(struct cf_scored *scored, size_t count, const struct cf_auc_options *options,
                          struct cf_auc *auc, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_auc_per_user(struct cf_scored *scored, size_t count, const struct cf_auc_options *options,
                            struct cf_auc *auc, struct cf_detail *detail) CF_MUST_CHECK;
/* a - b per user, on the same resamples. Both hold the same thumbs in the same order. */
enum cf_err cf_auc_difference(const struct cf_scored *a, const struct cf_scored *b, size_t count,
                              const struct cf_auc_options *options, struct cf_auc *difference,
                              struct cf_detail *detail) CF_MUST_CHECK;

#endif
