/* Every row measured: by rows alone, or with a bound on how far the file's vectors are from the ones that
 * were given, so that few of these need to be asked for. */
#ifndef CF_ANN_EXACT_H
#define CF_ANN_EXACT_H

#include "common/ann/scan.h"

struct cf_ann_survivor {
    double lower; /* no nearer than this */
    uint32_t item;
};

struct cf_ann_exact {
    const struct cf_ann *ann;
    struct cf_ann_scratch *scratch;
    const struct cf_ann_target *target; /* NULL for a query that is too far out: doubles are used then */
    const float *query;                 /* dim values */
    struct cf_ann_sieve *sieve;
    double radius; /* infinite: any distance */
    cf_ann_full *full;
    void *full_arg;
};

/* Distances are the heap's keys, in the scale of the caller. Without `full` by rows, with it by what it
 * gives. CF_E_NO_MEMORY, or what `full` failed with. */
enum cf_err cf_ann_exact_rows(const struct cf_ann_exact *exact, struct cf_ann_heap *heap) CF_MUST_CHECK;
enum cf_err cf_ann_exact_full(const struct cf_ann_exact *exact, struct cf_ann_heap *heap,
                              struct cf_detail *detail) CF_MUST_CHECK;

#endif
