/* From the vectors of a target to the neighbours that are answered: searched wider and wider until enough of
 * them pass what the query selects and, collapsed, are different covers; then with titles. One picker a
 * searching thread. */
#ifndef CF_WORKERS_QUERY_PICK_H
#define CF_WORKERS_QUERY_PICK_H

#include "workers/query/blend.h"
#include "workers/query/collapse.h"
#include "workers/query/selection.h"

struct cf_picker {
    struct cf_engine *engine;
    struct cf_engine_scratch *scratch;
    struct cf_arena *work; /* emptied by every round */
    struct cf_collapse groups;
    float vector[CF_BLEND_DIM_MAX]; /* joint, of the neighbour at hand */
};

/* What is borrowed for the call. */
struct cf_pick {
    const struct cf_blend *blend;
    struct cf_selection *selection;
    float (*vectors)[CF_DIM_MAX]; /* of the target in each space, by its number */
    const float *joint;           /* the same as one */
    float collapse;               /* 0: each album for itself */
    const struct cf_blend *among; /* what `collapse` is a distance of: `blend`, or a space of its own */
    uint64_t deadline_ms;         /* monotonic */
    struct cf_engine_query ask;   /* k, radius, recall, exact, self, include_self */
};

/* Neighbours come from `arena`. What cf_blend_search fails with. */
enum cf_err cf_pick(struct cf_picker *picker, const struct cf_pick *pick, struct cf_arena *arena,
                    struct cf_engine_answer *answer, struct cf_detail *detail) CF_MUST_CHECK;

#endif
