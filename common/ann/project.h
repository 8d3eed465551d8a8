/* The projection: mean out, then the leading principal directions (orthogonal iteration on the covariance of a
 * sample: Golub and Van Loan, Matrix Computations, 8.2), which carry most of what tells pictures apart.
 * Directions are mixed by random rotations inside the groups of dimensions that codes treat alike, so that no
 * dimension of a group is wider than another. Applied in integers: exact, and fast enough for queries. */
#ifndef CF_ANN_PROJECT_H
#define CF_ANN_PROJECT_H

#include "common/ann/train_kernels.h"
#include "common/base/crew.h"

enum { CF_ANN_PROJ_MAX = 256, CF_ANN_LEAF_DIMS_MAX = 128 };

struct cf_ann_sample {
    const float *vectors; /* [count][dim] */
    uint32_t count, dim;
};

/* From the sample and its mean: matrix, blocks of bytes of proj rows (image.h), and steps[proj]; rows beyond dim are
 * zero. Deterministic by seed. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_project_train(const struct cf_ann_sample *sample, const float *mean, uint32_t proj, uint64_t seed,
                                 const struct cf_crew *crew, uint8_t *matrix, float *steps) CF_MUST_CHECK;

struct cf_ann_projection {
    const uint8_t *matrix;
    const float *steps;
    uint32_t row_dims, proj;
};

/* A vector in signed bytes, width >= dim of them, zero beyond dim; returns what a unit is worth. */
float cf_ann_bytes_of(const float *x, uint32_t dim, uint32_t width, int8_t *out);

/* Vectors of bytes, row_dims each and `pitch` apart, whose units are worth units[v], into out[v][proj]; `sums` is
 * scratch of as many. */
void cf_ann_project(const struct cf_ann_projection *projection, struct cf_ann_vectors8 vectors, const float *units,
                    int32_t *sums, float *out);

#endif
