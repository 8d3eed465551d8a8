#include "workers/query/sketch.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"

enum { ROUNDS = 3, LANES = 16, SEED = 1 };
/* Codes reach to twice what the sample does; their squared differences must fit 32 bits, all together. */
enum { CODE_MAX = 2047, SAMPLE_MAX = 1024 };
/* Directions are a little short of unit length, so that rounding in them never makes a distance longer; and
 * more than what sums of floats lose along all of them, of the lengths of what is summed. */
static const float length_of_direction = 1 - 0x1p-12f;
static const double rounding = 0x1p-12;

struct cf_sketch {
    _Atomic uint32_t refs;
    uint32_t dim;
    float step;        /* of a code */
    float *directions; /* [CF_SKETCH_DIMS][dim]: at right angles, or zero where the sample has no more */
    float origin[CF_SKETCH_DIMS]; /* the mean of the sample along them */
    double origin_length;         /* of the mean itself */
};

/* ---- arithmetic ---- */

/* In lanes, which compilers turn into vectors. */
static float dot(const float *a, const float *b, uint32_t dim)
{
    float sums[LANES] = {0}, rest = 0;
    uint32_t even = dim - dim % LANES;
    for (uint32_t i = 0; i < even; i += LANES)
        for (uint32_t lane = 0; lane < LANES; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (uint32_t i = even; i < dim; i++)
        rest += a[i] * b[i];
    for (uint32_t width = LANES / 2; width > 0; width /= 2)
        for (uint32_t lane = 0; lane < width; lane++)
            sums[lane] += sums[lane + width];
    return sums[0] + rest;
}

static void add(float *to, const float *from, float times, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++)
        to[i] += times * from[i];
}

static void scale(float *vector, float times, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++)
        vector[i] *= times;
}

/* ---- training ---- */

struct sample {
    float *vectors; /* [count][dim] */
    size_t count;
    uint32_t dim;
};

static void take_mean_out(struct sample sample, float *mean)
{
    for (size_t i = 0; i < sample.count; i++)
        add(mean, sample.vectors + i * sample.dim, 1 / (float)sample.count, sample.dim);
    for (size_t i = 0; i < sample.count; i++)
        add(sample.vectors + i * sample.dim, mean, -1, sample.dim);
}

/* Gram and Schmidt, twice, which is enough; what little is left of one that lies in the others is noise. */
static void straighten(float *directions, uint32_t dim)
{
    for (size_t i = 0; i < CF_SKETCH_DIMS; i++) {
        float *own = directions + i * dim, before = sqrtf(dot(own, own, dim));
        for (size_t j = 0; j < 2 * i; j++) {
            const float *other = directions + j % i * dim;
            add(own, other, -dot(own, other, dim), dim);
        }
        float after = sqrtf(dot(own, own, dim));
        scale(own, after > 0x1p-10f * before ? 1 / after : 0, dim);
    }
}

/* By the covariance of the sample, without ever writing that down. */
static void turn(struct sample sample, const float *directions, float *turned)
{
    uint32_t dim = sample.dim;
    memset(turned, 0, (size_t)CF_SKETCH_DIMS * dim * sizeof *turned);
    for (size_t i = 0; i < sample.count; i++)
        for (size_t j = 0; j < CF_SKETCH_DIMS; j++) {
            const float *vector = sample.vectors + i * dim;
            add(turned + j * dim, vector, dot(directions + j * dim, vector, dim), dim);
        }
}

static float widest(struct sample sample, const float *directions)
{
    float most = 0;
    for (size_t i = 0; i < sample.count; i++)
        for (size_t j = 0; j < CF_SKETCH_DIMS; j++)
            most = fmaxf(
                most, fabsf(dot(directions + j * sample.dim, sample.vectors + i * sample.dim, sample.dim)));
    return most;
}

/* `mean` is zero, `turned` room for as many directions. */
static void train(struct cf_sketch *sketch, struct sample sample, float *mean, float *turned)
{
    uint32_t dim = sketch->dim;
    size_t bytes = (size_t)CF_SKETCH_DIMS * dim * sizeof *turned;
    struct cf_rng rng = cf_rng(SEED);
    take_mean_out(sample, mean);
    for (size_t i = 0; i < (size_t)CF_SKETCH_DIMS * dim; i++)
        sketch->directions[i] = (float)cf_rng_unit(&rng) - 0.5f;
    straighten(sketch->directions, dim);
    for (int round = 0; round < ROUNDS; round++) {
        turn(sample, sketch->directions, turned);
        memcpy(sketch->directions, turned, bytes);
        straighten(sketch->directions, dim);
    }
    scale(sketch->directions, length_of_direction, CF_SKETCH_DIMS * dim);
    float most = widest(sample, sketch->directions);
    sketch->step = most > FLT_MIN * SAMPLE_MAX ? most / SAMPLE_MAX : 1;
    for (size_t i = 0; i < CF_SKETCH_DIMS; i++)
        sketch->origin[i] = dot(sketch->directions + i * dim, mean, dim);
    sketch->origin_length = sqrt((double)dot(mean, mean, dim));
}

struct cf_sketch *cf_sketch_new(float *sample, size_t count, uint32_t dim)
{
    size_t values = (size_t)CF_SKETCH_DIMS * dim;
    struct cf_sketch *sketch = calloc(1, sizeof *sketch);
    float *directions = malloc(values * sizeof *directions), *turned = malloc(values * sizeof *turned);
    float *mean = calloc(dim, sizeof *mean);
    if (sketch && directions && turned && mean) {
        atomic_init(&sketch->refs, 1);
        sketch->dim = dim;
        sketch->directions = directions;
        train(sketch, (struct sample){sample, count, dim}, mean, turned);
    } else {
        free(directions);
        free(sketch);
        sketch = NULL;
    }
    free(turned);
    free(mean);
    return sketch;
}

struct cf_sketch *cf_sketch_share(struct cf_sketch *sketch)
{
    if (sketch)
        atomic_fetch_add(&sketch->refs, 1);
    return sketch;
}

void cf_sketch_free(struct cf_sketch *sketch)
{
    if (!sketch || atomic_fetch_sub(&sketch->refs, 1) > 1)
        return;
    free(sketch->directions);
    free(sketch);
}

/* ---- codes ---- */

void cf_sketch_code(const struct cf_sketch *sketch, const float *vector, float off,
                    struct cf_sketch_code *code)
{
    double off_square = 0, length = sqrt((double)dot(vector, vector, sketch->dim));
    for (size_t i = 0; i < CF_SKETCH_DIMS; i++) {
        float along = dot(sketch->directions + i * sketch->dim, vector, sketch->dim) - sketch->origin[i];
        float at = fmaxf(fminf(rintf(along / sketch->step), CODE_MAX), -CODE_MAX);
        double rest = (double)along - (double)sketch->step * (double)at;
        code->at[i] = (int16_t)at;
        off_square += rest * rest;
    }
    code->slack = (float)(sqrt(off_square) + rounding * (length + sketch->origin_length) + (double)off);
}

static int32_t square_of(const int16_t *a, const int16_t *b)
{
    int32_t sum = 0;
    for (size_t i = 0; i < CF_SKETCH_DIMS; i++) {
        int16_t apart = (int16_t)(a[i] - b[i]);
        sum += apart * apart;
    }
    return sum;
}

size_t cf_sketch_near(const struct cf_sketch *sketch, const struct cf_sketch_code *query,
                      const struct cf_sketch_code *codes, size_t count, float distance, uint32_t *near)
{
    size_t found = 0;
    double reach = (double)distance + (double)query->slack;
    for (size_t i = 0; i < count; i++) {
        double steps = (reach + (double)codes[i].slack) / (double)sketch->step;
        near[found] = (uint32_t)i;
        found += (double)square_of(query->at, codes[i].at) <= steps * steps;
    }
    return found;
}
