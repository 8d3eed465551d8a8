#include "common/ann/project.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/distance.h"
#include "common/base/rng.h"

/* SAMPLE rows; ROUNDS of multiplying by the covariance; rows and directions are worked on in slices of SLICE.
 */
enum { SAMPLE = 8192, ROUNDS = 4, SLICE = 64, MATRIX_UNIT = 32767 };
#define QUERY_NORM 32000.0f

struct training {
    const struct cf_ann_kernels *kernels;
    uint32_t dim, count, kept; /* of the sample; directions sought */
    float *centred;            /* [count][dim] */
    float *directions;         /* [dim][kept] */
    float *products;           /* [count][kept] */
};

/* Products of a slice of the sample with all directions. */
static void multiply_rows(void *arg, size_t slice)
{
    struct training *t = arg;
    size_t end = (slice + 1) * SLICE < t->count ? (slice + 1) * SLICE : t->count;

    for (size_t i = slice * SLICE; i < end; i++) {
        memset(t->products + i * t->kept, 0, t->kept * sizeof(float));
        for (uint32_t j = 0; j < t->dim; j++)
            t->kernels->add_scaled(t->products + i * t->kept, t->directions + (size_t)j * t->kept,
                                   t->centred[i * t->dim + j], t->kept);
    }
}

/* And back: a slice of dimensions of the next directions. */
static void multiply_columns(void *arg, size_t slice)
{
    struct training *t = arg;
    size_t begin = slice * SLICE, end = begin + SLICE < t->dim ? begin + SLICE : t->dim;

    memset(t->directions + begin * t->kept, 0, (end - begin) * t->kept * sizeof(float));
    for (uint32_t i = 0; i < t->count; i++)
        for (size_t j = begin; j < end; j++)
            t->kernels->add_scaled(t->directions + j * t->kept, t->products + (size_t)i * t->kept,
                                   t->centred[(size_t)i * t->dim + j], t->kept);
}

static double dot(const double *a, const double *b, uint32_t count)
{
    double sum[4] = {0, 0, 0, 0};
    uint32_t i = 0;

    for (; i + 4 <= count; i += 4)
        for (unsigned j = 0; j < 4; j++)
            sum[j] += a[i + j] * b[i + j];
    for (; i < count; i++)
        sum[0] += a[i] * b[i];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* Gram and Schmidt; two passes for rows that must stay so ("twice is enough"), one between rounds. What
 * vanishes is replaced by something random. */
static void orthonormalize(double *rows, uint32_t count, uint32_t width, unsigned passes, struct cf_rng *rng)
{
    for (uint32_t i = 0; i < count; i++) {
        double *row = rows + (size_t)i * width;
        double before = dot(row, row, width), after = 0;
        for (int turn = 0; turn < 40 && !(after > 1e-10 * before && before > 0); turn++) {
            for (uint32_t j = 0; turn > 0 && j < width; j++)
                row[j] = cf_rng_unit(rng) - .5;
            before = dot(row, row, width);
            for (unsigned pass = 0; pass < passes; pass++)
                for (uint32_t o = 0; o < i; o++) {
                    const double *other = rows + (size_t)o * width;
                    double share = dot(row, other, width);
                    for (uint32_t j = 0; j < width; j++)
                        row[j] -= share * other[j];
                }
            after = dot(row, row, width);
        }
        double scale = after > 0 ? 1 / sqrt(after) : 0;
        for (uint32_t j = 0; j < width; j++)
            row[j] *= scale;
    }
}

/* directions[dim][kept] through rows[kept][dim], where they are orthonormalized. */
static void straighten(struct training *t, double *rows, unsigned passes, struct cf_rng *rng)
{
    for (uint32_t p = 0; p < t->kept; p++)
        for (uint32_t j = 0; j < t->dim; j++)
            rows[(size_t)p * t->dim + j] = (double)t->directions[(size_t)j * t->kept + p];
    orthonormalize(rows, t->kept, t->dim, passes, rng);
    for (uint32_t p = 0; p < t->kept; p++)
        for (uint32_t j = 0; j < t->dim; j++)
            t->directions[(size_t)j * t->kept + p] = (float)rows[(size_t)p * t->dim + j];
}

static void take_sample(struct training *t, const struct cf_ann_points *points, float *mean)
{
    uint32_t dim = points->dim;

    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t at = (uint32_t)((uint64_t)points->count * i / t->count);
        while (points->held[at] && at + 1 < points->count)
            at++;
        memcpy(t->centred + (size_t)i * dim, points->vectors + (size_t)at * dim, dim * sizeof(float));
    }
    memset(mean, 0, dim * sizeof *mean);
    for (uint32_t i = 0; i < t->count; i++)
        t->kernels->add_scaled(mean, t->centred + (size_t)i * dim, 1.0f / (float)t->count, dim);
    for (uint32_t i = 0; i < t->count; i++)
        t->kernels->add_scaled(t->centred + (size_t)i * dim, mean, -1, dim);
}

static enum cf_err iterate(struct training *t, double *rows, struct cf_rng *rng,
                           const struct cf_ann_crew *crew)
{
    enum cf_err err = CF_OK;

    for (size_t i = 0; i < (size_t)t->dim * t->kept; i++)
        t->directions[i] = (float)(cf_rng_unit(rng) - .5);
    straighten(t, rows, 1, rng);
    for (int round = 0; round < ROUNDS && t->count && !err; round++) {
        err = cf_ann_crew_run(crew, (t->count + SLICE - 1) / SLICE, multiply_rows, t);
        if (!err)
            err = cf_ann_crew_run(crew, (t->dim + SLICE - 1) / SLICE, multiply_columns, t);
        if (!err)
            straighten(t, rows, round + 1 < ROUNDS ? 1 : 2, rng);
    }
    return err;
}

/* Row by row: matrix = rotation within the group times directions, in units of 1 / 32767. */
static void rotate_group(const double *rows, uint32_t dim, uint32_t begin, uint32_t end, uint32_t width,
                         struct cf_rng *rng, double *rotation, double *mixed, int16_t *matrix)
{
    uint32_t size = end - begin;

    for (size_t i = 0; i < (size_t)size * size; i++)
        rotation[i] = cf_rng_unit(rng) + cf_rng_unit(rng) + cf_rng_unit(rng) - 1.5;
    orthonormalize(rotation, size, size, 2, rng);
    for (uint32_t p = 0; p < size; p++) {
        memset(mixed, 0, dim * sizeof *mixed);
        for (uint32_t o = 0; o < size; o++)
            for (uint32_t j = 0; j < dim; j++)
                mixed[j] += rotation[(size_t)p * size + o] * rows[(size_t)(begin + o) * dim + j];
        for (uint32_t j = 0; j < dim; j++)
            matrix[(size_t)(begin + p) * width + j] = (int16_t)lrint(mixed[j] * MATRIX_UNIT);
    }
}

static void rotate(const double *rows, uint32_t dim, uint32_t kept, uint32_t width, struct cf_rng *rng,
                   double *scratch, int16_t *matrix)
{
    const uint32_t ends[] = {CF_ANN_CODE_DIMS, CF_ANN_LEAF_DIMS_MAX, CF_ANN_PROJ_MAX};
    uint32_t begin = 0;

    for (unsigned g = 0; g < 3 && begin < kept; g++) {
        uint32_t end = ends[g] < kept ? ends[g] : kept;
        rotate_group(rows, dim, begin, end, width, rng, scratch, scratch + CF_ANN_PROJ_MAX * CF_ANN_PROJ_MAX,
                     matrix);
        begin = end;
    }
}

enum cf_err cf_ann_project_train(const struct cf_ann_points *points, uint32_t proj, uint64_t seed,
                                 const struct cf_ann_crew *crew, float *mean, int16_t *matrix)
{
    uint32_t dim = points->dim, width = (dim + 31) / 32 * 32;
    struct training t = {.kernels = cf_ann_kernels(), .dim = dim, .kept = proj < dim ? proj : dim};
    struct cf_rng rng = cf_rng(seed ^ 0x9C0A11u);
    enum cf_err err = CF_E_NO_MEMORY;

    t.count = points->count < SAMPLE ? points->count : SAMPLE;
    t.centred = calloc((size_t)t.count * dim + 1, sizeof *t.centred);
    t.directions = calloc((size_t)dim * t.kept, sizeof *t.directions);
    t.products = calloc((size_t)t.count * t.kept + 1, sizeof *t.products);
    double *rows = calloc((size_t)t.kept * dim, sizeof *rows);
    double *scratch = calloc(CF_ANN_PROJ_MAX * CF_ANN_PROJ_MAX + (size_t)dim, sizeof *scratch);
    if (!t.centred || !t.directions || !t.products || !rows || !scratch)
        goto out;
    take_sample(&t, points, mean);
    err = iterate(&t, rows, &rng, crew);
    if (!err)
        rotate(rows, dim, t.kept, width, &rng, scratch, matrix);
out:
    free(t.centred);
    free(t.directions);
    free(t.products);
    free(rows);
    free(scratch);
    return err;
}

float cf_ann_project(const struct cf_ann_projection *projection, const struct cf_ann_kernels *kernels,
                     const float *x, int16_t *wide, float *out)
{
    uint32_t dim = projection->dim, width = (dim + 31) / 32 * 32;
    float norm = cf_ann_distance_kernel()(x, projection->mean, dim);
    float scale = norm > 0 && isfinite(norm) ? QUERY_NORM / sqrtf(norm) : 0;
    int32_t dots[CF_ANN_PROJ_MAX];

    if (!isfinite(scale))
        scale = 0;
    for (uint32_t j = 0; j < width; j++) {
        float value = j < dim ? (x[j] - projection->mean[j]) * scale : 0;
        wide[j] = (int16_t)(value > QUERY_NORM    ? QUERY_NORM
                            : value > -QUERY_NORM ? rintf(value)
                                                  : -QUERY_NORM);
    }
    kernels->dots_i16(wide, projection->matrix, projection->proj, width, dots);
    for (uint32_t p = 0; p < projection->proj; p++)
        out[p] = scale > 0 ? (float)dots[p] / (scale * (float)MATRIX_UNIT) : 0;
    return norm;
}
