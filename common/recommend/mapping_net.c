/* The mapping with a hidden layer: y = V relu(W z + c) + s, least squares by Adam (Kingma and Ba 2015) with
 * weights that decay, some inputs and hidden units dropped while training (Srivastava 2014). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recommend/blas.h"
#include "common/recommend/mapping_inside.h"

enum { BATCH = 64, SWEEPS_MAX = 200, PATIENCE = 12, INNER_EVERY = 10, PARAMS = 4 };
#define RATE       .001f
#define MOMENTUM   .9f
#define MOMENTUM_2 .999f
#define DECAY      1e-4f
#define DROP_IN    .2
#define DROP       .3

/* One block of parameters, with its gradient and Adam's moments. */
struct block {
    float *now;
    float *gradient, *mean, *square, *best;
    size_t count;
};

struct net {
    const struct cf_mapping_rows *rows;
    struct cf_mapping *m;
    struct cf_rng rng;
    struct block blocks[PARAMS]; /* first, first_shift, last, last_shift */
    size_t *order;               /* rows to fit on, then inner ones */
    size_t fit_count;
    uint32_t step;
    float *x, *z, *between, *units, *y, *pull, *back; /* of a batch */
};

static bool block_init(struct block *b, float *now, size_t count)
{
    *b = (struct block){.now = now, .count = count};
    b->gradient = calloc(4 * count + 1, sizeof *b->gradient);
    b->mean = b->gradient + count;
    b->square = b->mean + count;
    b->best = b->square + count;
    return b->gradient;
}

static bool net_init(struct net *n)
{
    size_t d = n->m->inputs, h = n->m->hidden, f = n->m->outputs;
    bool complete =
        block_init(&n->blocks[0], n->m->first, d * h) & block_init(&n->blocks[1], n->m->first_shift, h) &
        block_init(&n->blocks[2], n->m->last, h * f) & block_init(&n->blocks[3], n->m->last_shift, f);
    n->order = calloc(n->rows->count, sizeof *n->order);
    n->x = calloc(BATCH * (2 * d + 3 * h + 2 * f), sizeof *n->x);
    n->z = n->x + BATCH * d;
    n->between = n->z + BATCH * d;
    n->units = n->between + BATCH * h;
    n->back = n->units + BATCH * h;
    n->y = n->back + BATCH * h;
    n->pull = n->y + BATCH * f;
    return complete && n->order && n->x;
}

static void net_fini(struct net *n)
{
    for (int i = 0; i < PARAMS; i++)
        free(n->blocks[i].gradient);
    free(n->order);
    free(n->x);
}

static void scatter(struct net *n, struct block *b, size_t fan)
{
    for (size_t i = 0; i < b->count; i++) /* of variance 2 / fan (He 2015) */
        b->now[i] = (float)((cf_rng_unit(&n->rng) * 2 - 1) * sqrt(6 / (double)fan));
}

/* Every tenth row, by chance, is for stopping. */
static void split(struct net *n)
{
    size_t count = n->rows->count;
    for (size_t i = 0; i < count; i++)
        n->order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t other = cf_rng_below(&n->rng, i), moved = n->order[i - 1];
        n->order[i - 1] = n->order[other];
        n->order[other] = moved;
    }
    n->fit_count = count - (count + INNER_EVERY - 1) / INNER_EVERY;
}

static void take_rows(struct net *n, size_t begin, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memcpy(n->x + i * n->m->inputs, n->rows->x + n->order[begin + i] * n->m->inputs,
               n->m->inputs * sizeof *n->x);
    cf_mapping_scale(n->m, n->x, count, n->z);
}

/* pull = y - b; returns the sum of squares. */
static double miss_of(struct net *n, size_t begin, size_t count)
{
    size_t f = n->m->outputs;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < f; k++) {
            float miss = n->y[i * f + k] - n->rows->b[n->order[begin + i] * f + k];
            n->pull[i * f + k] = miss;
            sum += (double)miss * (double)miss;
        }
    return sum;
}

static void drop(struct net *n, float *values, size_t count, double share)
{
    for (size_t i = 0; i < count; i++)
        values[i] = cf_rng_unit(&n->rng) < share ? 0 : values[i] * (float)(1 / (1 - share));
}

static void adapt(struct net *n, struct block *b, size_t rows, bool decays)
{
    float warm = 1 - powf(MOMENTUM, (float)n->step), warm_2 = 1 - powf(MOMENTUM_2, (float)n->step);
    for (size_t i = 0; i < b->count; i++) {
        float g = b->gradient[i] / (float)rows;
        b->mean[i] = MOMENTUM * b->mean[i] + (1 - MOMENTUM) * g;
        b->square[i] = MOMENTUM_2 * b->square[i] + (1 - MOMENTUM_2) * g * g;
        b->now[i] -= RATE * (b->mean[i] / warm) / (sqrtf(b->square[i] / warm_2) + 1e-8f) +
                     (decays ? RATE * DECAY * b->now[i] : 0);
    }
    memset(b->gradient, 0, b->count * sizeof *b->gradient);
}

static void sum_rows(const float *rows, size_t count, size_t width, float *out)
{
    for (size_t i = 0; i < count * width; i++)
        out[i % width] += rows[i];
}

/* Gradients of half the squared misses, from `pull`, `units` (dropped and scaled) and `z`. */
static void differentiate(struct net *n, size_t count)
{
    size_t d = n->m->inputs, h = n->m->hidden, f = n->m->outputs;
    cf_blas_add_turned(n->units, h, n->pull, count, f, h, n->blocks[2].gradient);
    sum_rows(n->pull, count, f, n->blocks[3].gradient);
    cf_blas_scores(n->pull, n->m->last, count, h, f, n->back);
    for (size_t i = 0; i < count * h; i++) /* what was dropped or below 0 pulls at nothing */
        n->back[i] = n->units[i] > 0 ? n->back[i] * n->units[i] / n->between[i] : 0;
    cf_blas_add_turned(n->z, d, n->back, count, h, d, n->blocks[0].gradient);
    sum_rows(n->back, count, h, n->blocks[1].gradient);
}

static void learn_batch(struct net *n, size_t begin, size_t count)
{
    size_t d = n->m->inputs, h = n->m->hidden, f = n->m->outputs;
    take_rows(n, begin, count);
    drop(n, n->z, count * d, DROP_IN);
    cf_mapping_forward(n->m, n->z, count, n->between, n->y);
    memcpy(n->units, n->between, count * h * sizeof *n->units);
    drop(n, n->units, count * h, DROP);
    cf_blas_mix(n->units, n->m->last, count, f, h, n->y);
    for (size_t i = 0; i < count * f; i++)
        n->y[i] += n->m->last_shift[i % f];
    (void)miss_of(n, begin, count);
    differentiate(n, count);
    n->step++;
    for (int i = 0; i < PARAMS; i++)
        adapt(n, &n->blocks[i], count, i % 2 == 0);
}

static void learn_all(struct net *n)
{
    for (size_t i = n->fit_count; i > 1; i--) {
        size_t other = cf_rng_below(&n->rng, i), moved = n->order[i - 1];
        n->order[i - 1] = n->order[other];
        n->order[other] = moved;
    }
    for (size_t begin = 0; begin < n->fit_count; begin += BATCH)
        learn_batch(n, begin, n->fit_count - begin < BATCH ? n->fit_count - begin : BATCH);
}

static double inner_error(struct net *n)
{
    double sum = 0;
    for (size_t begin = n->fit_count; begin < n->rows->count; begin += BATCH) {
        size_t count = n->rows->count - begin < BATCH ? n->rows->count - begin : BATCH;
        take_rows(n, begin, count);
        cf_mapping_forward(n->m, n->z, count, n->between, n->y);
        sum += miss_of(n, begin, count);
    }
    return sum / (double)(n->rows->count - n->fit_count);
}

/* Stops when the inner rows got no better for some sweeps, and goes back to where they were best. */
static void learn_until_best(struct net *n)
{
    n->m->inner_error = INFINITY;
    for (int sweep = 0, since = 0; sweep < SWEEPS_MAX && since < PATIENCE; sweep++, since++) {
        learn_all(n);
        double error = inner_error(n);
        if (!(error < n->m->inner_error))
            continue;
        since = 0;
        n->m->inner_error = error;
        for (int i = 0; i < PARAMS; i++)
            memcpy(n->blocks[i].best, n->blocks[i].now, n->blocks[i].count * sizeof(float));
    }
    for (int i = 0; i < PARAMS; i++)
        memcpy(n->blocks[i].now, n->blocks[i].best, n->blocks[i].count * sizeof(float));
}

enum cf_err cf_mapping_hidden(const struct cf_mapping_rows *rows, uint32_t hidden, uint64_t seed,
                              struct cf_mapping *m, struct cf_detail *detail)
{
    struct net net = {.rows = rows, .m = m, .rng = cf_rng(seed)};
    if (hidden < 1 || hidden > CF_MAPPING_HIDDEN_MAX) {
        *m = (struct cf_mapping){0};
        return cf_fail(detail, CF_E_INVALID, "%u hidden units: 1 to %d are possible", hidden,
                       CF_MAPPING_HIDDEN_MAX);
    }
    enum cf_err err = cf_mapping_init(rows, hidden, m, detail);
    if (err)
        return err;
    err = net_init(&net) ? CF_OK : cf_mapping_no_memory(detail);
    if (!err) {
        cf_mapping_measure(rows, m);
        scatter(&net, &net.blocks[0], m->inputs);
        scatter(&net, &net.blocks[2], (size_t)hidden * 4);
        split(&net);
        learn_until_best(&net);
    }
    net_fini(&net);
    return err;
}
