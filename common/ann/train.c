/* What is learned from the sample before the second pass. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/build.h"
#include "common/ann/distance.h"
#include "common/ann/project.h"

/* Steps of shorts follow the spread of a dimension, those of rows its square root; but none is narrower than
 * this share of the average. */
#define STEP_LEAST       .06f
#define SHORT_STEP_LEAST .01f

/* Vectors FAR times as far from the middle as half of all have no part in what is learned: one alone could
 * spoil it for the rest. The middle is the median of each dimension, of MIDDLE vectors. */
enum { MIDDLE = 255 };
#define FAR 32.0f

static int compare_float(const void *a, const void *b)
{
    float x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void find_middle(const struct cf_ann_survey *s, uint32_t dim, float *middle)
{
    uint32_t used = s->sample_count < MIDDLE ? s->sample_count : MIDDLE;
    float values[MIDDLE];

    for (uint32_t j = 0; j < dim; j++) {
        for (uint32_t i = 0; i < used; i++)
            values[i] = s->vectors[(size_t)((uint64_t)s->sample_count * i / used) * dim + j];
        qsort(values, used, sizeof *values, compare_float);
        middle[j] = values[used / 2];
    }
}

/* The median of what is not zero, in squares, times that of FAR; infinite when all is zero. */
static float far_limit(const struct cf_ann_survey *s, uint32_t dim, const float *middle, float *squares)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->sample_count; i++) {
        squares[count] = cf_ann_distance_kernel()(s->vectors + (size_t)i * dim, middle, dim);
        count += squares[count] > 0;
    }
    if (!count)
        return INFINITY;
    qsort(squares, count, sizeof *squares, compare_float);
    return FAR * FAR * squares[count / 2];
}

static bool is_far(const struct cf_ann_survey *s, uint32_t dim, const float *middle, float limit, uint32_t at)
{
    return cf_ann_distance_kernel()(s->vectors + (size_t)at * dim, middle, dim) > limit;
}

/* Takes the far ones out of the sample and of those that are held back; what they are far from is the limit
 * then. */
static enum cf_err leave_far_out(struct cf_ann_building *b)
{
    struct cf_ann_survey *s = &b->survey;
    uint32_t dim = b->params->dim;
    float middle[CF_ANN_DIM_MAX], *squares = calloc((size_t)s->sample_count + 1, sizeof *squares);

    b->far_norm = INFINITY;
    if (!squares)
        return CF_E_NO_MEMORY;
    if (s->sample_count) {
        find_middle(s, dim, middle);
        b->far_norm = far_limit(s, dim, middle, squares);
    }
    free(squares);
    for (uint32_t i = s->sample_count; i-- > 0;)
        if (is_far(s, dim, middle, b->far_norm, i) && s->sample_count > 1) {
            uint32_t last = --s->sample_count;
            cf_ann_survey_exchange(s, dim, i, last);
            cf_ann_survey_exchange(s, dim, last, last + s->held_count);
        }
    for (uint32_t i = s->held_count; i-- > 0;)
        if (is_far(s, dim, middle, b->far_norm, s->sample_count + i))
            cf_ann_survey_exchange(s, dim, s->sample_count + i, s->sample_count + --s->held_count);
    return CF_OK;
}

static void learn_mean(const struct cf_ann_survey *s, uint32_t dim, double *sums, float *mean)
{
    memset(sums, 0, dim * sizeof *sums);
    for (uint32_t i = 0; i < s->sample_count; i++)
        for (uint32_t j = 0; j < dim; j++)
            sums[j] += (double)s->vectors[(size_t)i * dim + j];
    for (uint32_t j = 0; j < dim; j++)
        mean[j] = s->sample_count ? (float)(sums[j] / s->sample_count) : 0;
}

/* Square roots of mean squares, none below a share of their average; ones where all is zero. */
static void steps_of(const double *squares, uint32_t dim, double count, float least, float *steps)
{
    double total = 0;

    for (uint32_t j = 0; j < dim; j++)
        total += squares[j];
    float average = count > 0 ? (float)sqrt(total / count / dim) : 0;
    for (uint32_t j = 0; j < dim; j++) {
        float step = count > 0 ? (float)sqrt(squares[j] / count) : 0;
        steps[j] = average > 0 ? fmaxf(step, least * average) : 1;
    }
}

static void learn_steps(const struct cf_ann_survey *s, const float *mean, uint32_t dim, double *squares,
                        float *steps)
{
    memset(squares, 0, dim * sizeof *squares);
    for (uint32_t i = 0; i < s->sample_count; i++)
        for (uint32_t j = 0; j < dim; j++) {
            double d = (double)s->vectors[(size_t)i * dim + j] - (double)mean[j];
            squares[j] += d * d;
        }
    steps_of(squares, dim, s->sample_count, STEP_LEAST, steps);
    for (uint32_t j = 0; j < dim; j++)
        steps[j] = sqrtf(steps[j]);
}

/* From one in eight of the sample. */
static void learn_short_steps(struct cf_ann_building *b, double *squares)
{
    const struct cf_ann_header *h = &b->image.header;
    struct cf_ann_projection projection = {cf_ann_writable(b, CF_ANN_MATRIX),
                                           cf_ann_writable(b, CF_ANN_MATRIX_STEPS), h->row_dims, h->proj};
    const float *mean = cf_ann_writable(b, CF_ANN_MEAN);
    float centred[CF_ANN_DIM_MAX], y[CF_ANN_PROJ_MAX], unit;
    int8_t bytes[CF_ANN_DIM_MAX];
    int32_t sums[CF_ANN_PROJ_MAX];
    uint32_t used = 0;

    memset(squares, 0, h->proj * sizeof *squares);
    for (uint32_t i = 0; i < b->survey.sample_count; i += 8, used++) {
        for (uint32_t j = 0; j < h->dim; j++)
            centred[j] = b->survey.vectors[(size_t)i * h->dim + j] - mean[j];
        unit = cf_ann_bytes_of(centred, h->dim, h->row_dims, bytes);
        cf_ann_project(&projection, (struct cf_ann_vectors8){bytes, h->row_dims, 1}, &unit, sums, y);
        for (uint32_t p = 0; p < h->proj; p++)
            squares[p] += (double)y[p] * (double)y[p];
    }
    steps_of(squares, h->proj, used, SHORT_STEP_LEAST, cf_ann_writable(b, CF_ANN_SHORT_STEPS));
}

static bool is_alike(const struct cf_ann_header *h, const struct cf_ann *like)
{
    return like && h->proj && like->header.proj == h->proj && like->header.dim == h->dim &&
           like->header.metric == h->metric && like->header.scale_exponent == h->scale_exponent;
}

/* Whether no vector of the sample is far from the other's mean, by what is far here: a cluster of its own,
 * far from all of those, would be left out of everything. */
static bool is_near(const struct cf_ann_building *b, const struct cf_ann *like)
{
    const struct cf_ann_survey *s = &b->survey;
    uint32_t dim = b->params->dim;

    for (uint32_t i = 0; i < s->sample_count; i++)
        if (is_far(s, dim, like->mean, b->far_norm, i))
            return false;
    return true;
}

static void take_learned(struct cf_ann_building *b, const struct cf_ann *like)
{
    static const enum cf_ann_section learned[] = {CF_ANN_STEPS, CF_ANN_MEAN, CF_ANN_MATRIX,
                                                  CF_ANN_MATRIX_STEPS, CF_ANN_SHORT_STEPS};

    for (size_t i = 0; i < sizeof learned / sizeof *learned; i++) {
        struct cf_bytes section = cf_ann_section(like, learned[i]);
        memcpy(cf_ann_writable(b, learned[i]), section.data, section.len);
    }
}

static enum cf_err learn(struct cf_ann_building *b)
{
    const struct cf_ann_header *h = &b->image.header;
    struct cf_ann_sample sample = {b->survey.vectors, b->survey.sample_count, h->dim};
    float *mean = cf_ann_writable(b, CF_ANN_MEAN), *steps = cf_ann_writable(b, CF_ANN_STEPS);
    double *sums = calloc(h->dim > CF_ANN_PROJ_MAX ? h->dim : CF_ANN_PROJ_MAX, sizeof *sums);
    enum cf_err err = CF_OK;

    if (!sums)
        return CF_E_NO_MEMORY;
    learn_mean(&b->survey, h->dim, sums, mean);
    learn_steps(&b->survey, mean, h->dim, sums, steps);
    for (uint32_t j = h->dim; j < h->row_dims; j++)
        steps[j] = 1;
    if (h->proj)
        err =
            cf_ann_project_train(&sample, mean, h->proj, b->params->seed, &b->crew,
                                 cf_ann_writable(b, CF_ANN_MATRIX), cf_ann_writable(b, CF_ANN_MATRIX_STEPS));
    if (h->proj && !err)
        learn_short_steps(b, sums);
    free(sums);
    return err;
}

enum cf_err cf_ann_train(struct cf_ann_building *b)
{
    enum cf_err err = leave_far_out(b);

    if (err)
        return err;
    if (!is_alike(&b->image.header, b->params->like) || !is_near(b, b->params->like))
        return learn(b);
    take_learned(b, b->params->like);
    return CF_OK;
}
