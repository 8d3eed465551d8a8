/* The projection: mean out, then the leading principal directions (orthogonal iteration on a sample: Golub
 * and Van Loan, Matrix Computations, 8.2), which carry most of what tells pictures apart. Directions are
 * mixed by random rotations inside groups that share a code width, so that no dimension of a group is wider
 * than another. Applied in integers: exact, and fast enough for queries. */
#ifndef CF_ANN_PROJECT_H
#define CF_ANN_PROJECT_H

#include "common/ann/kernels.h"
#include "common/ann/parallel.h"
#include "common/ann/tree.h"

enum { CF_ANN_PROJ_MAX = 256, CF_ANN_LEAF_DIMS_MAX = 128 };

/* Fills mean[dim] and matrix[proj][width], width = dim rounded up to 32; rows beyond dim are zero. Held
 * points have no part. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_project_train(const struct cf_ann_points *points, uint32_t proj, uint64_t seed,
                                 const struct cf_ann_crew *crew, float *mean, int16_t *matrix) CF_MUST_CHECK;

struct cf_ann_projection {
    const float *mean;
    const int16_t *matrix;
    uint32_t dim, proj;
};

/* x[dim] into out[proj]; `wide` is scratch of dim rounded up to 32. Returns the square of x's distance from
 * the mean. */
float cf_ann_project(const struct cf_ann_projection *projection, const struct cf_ann_kernels *kernels,
                     const float *x, int16_t *wide, float *out);

#endif
