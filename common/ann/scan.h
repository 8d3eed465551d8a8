/* One query over the compact codes: leaves nearest first, their entries in blocks; the best of those by short
 * projections, and the best of these by rows. Used by the search and by the calibration that it relies on. */
#ifndef CF_ANN_SCAN_H
#define CF_ANN_SCAN_H

#include "common/ann/calibrate.h"
#include "common/ann/heap.h"
#include "common/ann/query.h"

/* Which items count, and how often it was asked. */
struct cf_ann_sieve {
    bool (*keep)(void *arg, uint64_t item); /* NULL: all */
    void *arg;
    uint64_t kept, rejected;
};

static inline bool cf_ann_sieve_keeps(struct cf_ann_sieve *sieve, uint64_t item)
{
    bool keeps = !sieve->keep || sieve->keep(sieve->arg, item);

    sieve->kept += keeps;
    sieve->rejected += !keeps;
    return keeps;
}

/* Measures the centroids, or those of the nearest groups. CF_E_NO_MEMORY. */
enum cf_err cf_ann_front_measure(struct cf_ann_target *target) CF_MUST_CHECK;
/* About the square of the distance to the nearest centroid. */
double cf_ann_reach(const struct cf_ann_target *target);
/* The nearest leaves, `wanted` of them or few more, of about an eighth the nearest first, into
 * scratch->leaves. CF_E_NO_MEMORY. */
enum cf_err cf_ann_leaves_choose(struct cf_ann_target *target, size_t wanted, size_t *count) CF_MUST_CHECK;
/* How many leaves must be wanted for the leaf at place `at` of a front that is made of groups to be measured.
 */
size_t cf_ann_front_wanted(size_t at);
/* Of the entries of chosen leaves the best, `wanted` of them or few more, in no order. The pool lies in the
 * scratch. CF_E_NO_MEMORY. */
enum cf_err cf_ann_codes_scan(const struct cf_ann_target *target, size_t leaf_count, size_t wanted,
                              struct cf_ann_sieve *sieve, struct cf_ann_pool *pool) CF_MUST_CHECK;

/* Offers the heap (k of it set) what is found; after cf_ann_front_measure. CF_E_NO_MEMORY. */
enum cf_err cf_ann_scan(struct cf_ann_target *target, struct cf_ann_widths widths, struct cf_ann_sieve *sieve,
                        struct cf_ann_heap *heap) CF_MUST_CHECK;

/* The item of an entry; of a damaged file at least some item. */
static inline uint32_t cf_ann_item_of(const struct cf_ann *ann, uint32_t entry)
{
    uint32_t item = ann->entries[entry];

    return item < ann->header.count ? item : 0;
}
/* By shorts: squared distances, but for |q|²; into keys. */
void cf_ann_measure_shorts(const struct cf_ann_target *target, const uint32_t *items, size_t count,
                           float *keys);
/* By rows: squared distances in the scale of the rows, into squares; never NaN. */
void cf_ann_measure_rows(const struct cf_ann_target *target, const uint32_t *items, size_t count,
                         double *squares);
/* What a square of these may be off by, from the distance to the row: its integers are those of a difference
 * of large numbers. One that is smaller than that is taken anew from the decoded row, so that what is the
 * same lies at 0. */
double cf_ann_square_error(const struct cf_ann_target *target, const struct cf_ann_row_head *head);
double cf_ann_square_refined(const struct cf_ann_target *target, uint32_t item, double square);

#endif
