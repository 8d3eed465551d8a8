/* From how an album looks to how it is listened to: a function from vectors of covers to the factors of an
 * album, scaled to unit norm (van den Oord, Dieleman, Schrauwen, "Deep content-based music recommendation",
 * NIPS 2013; popularity lives in the norm, so it is left out). Two kinds:
 *
 *   ridge   W = (XᵀX + lambda I)⁻¹ XᵀB in closed form; lambda is the one of a ladder whose error is least
 * when every row is left out once (Allen's PRESS: the left-out errors follow from one decomposition) hidden
 * one hidden layer of rectified units, by Adam on mini-batches; trained until an inner tenth of the rows,
 * which it is not fitted on, gets no better, and given back as it was at its best
 *
 * Inputs are z-scored by the training rows' means and deviations first. What a mapping holds is plain arrays,
 * so that whoever serves it may keep it in a file of its own. Deterministic by seed. One thread a training.
 */
#ifndef CF_RECOMMEND_MAPPING_H
#define CF_RECOMMEND_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

enum { CF_MAPPING_HIDDEN_MAX = 1024, CF_MAPPING_ROWS_MIN = 10 };

struct cf_mapping {
    uint32_t inputs, hidden, outputs; /* hidden 0: linear */
    float *means, *scales;            /* [inputs]: z = (x - mean) * scale */
    float *first, *first_shift;       /* [inputs][hidden], [hidden]; NULL when linear */
    float *last, *last_shift;         /* [hidden, or inputs][outputs], [outputs] */
    double lambda;                    /* of ridge: the one chosen; of hidden: 0 */
    double inner_error; /* mean squared error of rows that were left out; by it kinds may be compared */
};

/* Rows of `x` with their rows of `b`. */
struct cf_mapping_rows {
    const float *x; /* [count][inputs] */
    const float *b; /* [count][outputs] */
    size_t count;
    uint32_t inputs, outputs;
};

/* CF_E_INVALID (fewer than CF_MAPPING_ROWS_MIN rows), CF_E_NO_MEMORY. cf_mapping_fini when done, also after
 * an error. */
enum cf_err cf_mapping_ridge(const struct cf_mapping_rows *rows, struct cf_mapping *mapping,
                             struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_mapping_hidden(const struct cf_mapping_rows *rows, uint32_t hidden, uint64_t seed,
                              struct cf_mapping *mapping, struct cf_detail *detail) CF_MUST_CHECK;
void cf_mapping_fini(struct cf_mapping *mapping);

/* y[count][outputs] of x[count][inputs], not scaled to any norm. CF_E_NO_MEMORY. */
enum cf_err cf_mapping_apply(const struct cf_mapping *mapping, const float *x, size_t count, float *y,
                             struct cf_detail *detail) CF_MUST_CHECK;
/* Scales a vector to unit norm; false, and all zero, when it has none. */
bool cf_mapping_unit(float *vector, uint32_t count);

#endif
