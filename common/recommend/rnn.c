/* The next album of a user's sequence, by a plain recurrent network (Elman 1990) trained through time.
 *
 *     h_0 = 0,  h_t = tanh(E[x_t] + W h_{t-1} + c),  P(x_{t+1} = i) = exp(o_i·d_t + b_i) / sum
 *
 * d_t is h_t with some of it dropped while training. Listens of the same album one after the other count once: without that
 * the network learns little but repetition. Long sequences are cut into windows of WINDOW steps; gradients stay within one.
 * Of more than SAMPLE albums every batch draws SAMPLE of them to stand for all in the sum (sampled softmax: Bengio and Senécal
 * 2008). Adam (Kingma and Ba 2015) on batches of BATCH windows, whose gradients are added up in their order, so that threads do
 * not matter; rows of albums that a batch does not touch stay as they are.
 *
 * The finished model scores an album by o_i·h + b_i after all of the user's listens. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recommend/model_inside.h"

enum { SWEEPS = 12, WINDOW = 64, BATCH = 16, SAMPLE = 2048 };
#define RATE       .003f
#define MOMENTUM   .9f
#define MOMENTUM_2 .999f
#define DROPPED    .2
#define DECAY      1e-5f
#define SCATTER    .05

/* A part of a user's sequence: `steps` albums, each followed by the next. */
struct window {
    uint64_t begin; /* in `albums` */
    uint32_t steps; /* targets: at most WINDOW */
};

/* Parameters, or their gradients, or their moments: one block of floats. */
struct params {
    float *all;
    float *in, *out, *biases; /* [albums][f], [albums][f], [albums] */
    float *loop, *shift;      /* [f][f], [f] */
};

struct training {
    const struct cf_training *data;
    const struct cf_model_options *options;
    struct cf_crew crew;
    uint32_t factors, album_count;
    size_t param_count;
    uint32_t *albums; /* all sequences, repeats left out, user after user */
    uint64_t *first;  /* [users + 1] into them */
    struct window *windows;
    size_t window_count;
    struct params now, mean, square; /* Adam's moments */
    uint32_t steps;
    uint32_t *sample; /* of this batch */
    uint32_t sample_count;
    double stands_for;
    struct slot *slots; /* [BATCH] */
};

/* What one window of a batch works with and comes to. */
struct slot {
    const struct window *window;
    uint64_t seed;
    struct training *training;
    float *hidden;  /* [WINDOW + 1][f]: h_0 … */
    float *dropped; /* [WINDOW][f]: factors of what is kept */
    float *pull;    /* [WINDOW][f]: of the loss on h_t */
    float *scores;  /* [sample + 1] */
    /* Gradients: of the albums of the sample (and of the targets), of the steps' inputs, of the rest. */
    float *out, *biases; /* [sample + WINDOW][f], [sample + WINDOW] */
    float *in;           /* [WINDOW][f] */
    float *loop, *shift;
    double loss;
};

static float dot(const float *a, const float *b, uint32_t f)
{
    float sum[4] = {0, 0, 0, 0};
    uint32_t j = 0;
    for (; j + 4 <= f; j += 4)
        for (unsigned i = 0; i < 4; i++)
            sum[i] += a[j + i] * b[j + i];
    for (; j < f; j++)
        sum[0] += a[j] * b[j];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static void add(float *to, const float *x, float scale, uint32_t f)
{
    for (uint32_t j = 0; j < f; j++)
        to[j] += scale * x[j];
}

/* ---- forward ---- */

static void step_forward(const struct training *t, const float *before, uint32_t album, float *after)
{
    const float *in = t->now.in + (size_t)album * t->factors;
    for (uint32_t j = 0; j < t->factors; j++)
        after[j] = tanhf(in[j] + t->now.shift[j] + dot(t->now.loop + (size_t)j * t->factors, before, t->factors));
}

static void drop(struct slot *s, uint32_t steps, uint32_t f)
{
    struct cf_rng rng = cf_rng(s->seed);
    for (size_t i = 0; i < (size_t)steps * f; i++)
        s->dropped[i] = cf_rng_unit(&rng) < DROPPED ? 0 : (float)(1 / (1 - DROPPED));
}

/* The softmax of one step over the sample and the target: its loss, and gradients on d, the outputs and biases. */
static double predict(struct slot *s, uint32_t step, uint32_t target, const float *d, float *pull)
{
    const struct training *t = s->training;
    uint32_t f = t->factors, n = t->sample_count, own = n + step; /* the target's place among the gradients */
    const float *o = t->now.out + (size_t)target * f;
    float most = s->scores[n] = dot(o, d, f) + t->now.biases[target];
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t album = t->sample[i];
        s->scores[i] = album == target ? -INFINITY
                                       : dot(t->now.out + (size_t)album * f, d, f) + t->now.biases[album];
        most = fmaxf(most, s->scores[i]);
    }
    float hit = expf(s->scores[n] - most);
    for (uint32_t i = 0; i < n; i++)
        sum += (double)(s->scores[i] = expf(s->scores[i] - most));
    sum = sum * t->stands_for + (double)hit;
    for (uint32_t i = 0; i < n; i++) {
        float share = (float)((double)s->scores[i] * t->stands_for / sum);
        add(pull, t->now.out + (size_t)t->sample[i] * f, share, f);
        add(s->out + (size_t)i * f, d, share, f);
        s->biases[i] += share;
    }
    float missing = (float)((double)hit / sum) - 1;
    add(pull, o, missing, f);
    add(s->out + (size_t)own * f, d, missing, f);
    s->biases[own] += missing;
    return log(sum) - log((double)hit);
}

/* ---- backward ---- */

/* From the gradients on h_t to those of what made it; what h_{t-1} is pulled by comes on top of its own. */
static void step_backward(struct slot *s, uint32_t step)
{
    const struct training *t = s->training;
    uint32_t f = t->factors;
    const float *after = s->hidden + (size_t)(step + 1) * f, *before = s->hidden + (size_t)step * f;
    float *pull = s->pull + (size_t)step * f, *in = s->in + (size_t)step * f;
    for (uint32_t j = 0; j < f; j++)
        in[j] = pull[j] * (1 - after[j] * after[j]);
    for (uint32_t j = 0; j < f; j++) {
        add(s->loop + (size_t)j * f, before, in[j], f);
        if (step)
            add(pull - f, t->now.loop + (size_t)j * f, in[j], f);
    }
    add(s->shift, in, 1, f);
}

static void clear(struct slot *s)
{
    const struct training *t = s->training;
    size_t f = t->factors, rows = t->sample_count + WINDOW;
    memset(s->hidden, 0, f * sizeof(float));
    memset(s->pull, 0, WINDOW * f * sizeof(float));
    memset(s->out, 0, rows * f * sizeof(float));
    memset(s->biases, 0, rows * sizeof(float));
    memset(s->loop, 0, f * f * sizeof(float));
    memset(s->shift, 0, f * sizeof(float));
    s->loss = 0;
}

static void learn_window(void *arg, size_t number)
{
    struct training *t = arg;
    struct slot *s = &t->slots[number];
    uint32_t f = t->factors, steps = s->window->steps;
    const uint32_t *albums = t->albums + s->window->begin;
    float kept[1024];
    clear(s);
    drop(s, steps, f);
    for (uint32_t i = 0; i < steps; i++) {
        float *h = s->hidden + (size_t)(i + 1) * f, *pull = s->pull + (size_t)i * f;
        step_forward(t, h - f, albums[i], h);
        for (uint32_t j = 0; j < f; j++)
            kept[j] = h[j] * s->dropped[(size_t)i * f + j];
        s->loss += predict(s, i, albums[i + 1], kept, pull);
        for (uint32_t j = 0; j < f; j++)
            pull[j] *= s->dropped[(size_t)i * f + j];
    }
    for (uint32_t i = steps; i-- > 0;)
        step_backward(s, i);
}

/* ---- Adam ---- */

static void adapt(struct training *t, size_t at, const float *gradient, size_t count)
{
    float *now = t->now.all + at, *mean = t->mean.all + at, *square = t->square.all + at;
    float warm = 1 - powf(MOMENTUM, (float)t->steps), warm_2 = 1 - powf(MOMENTUM_2, (float)t->steps);
    for (size_t i = 0; i < count; i++) {
        float g = gradient[i] + DECAY * now[i];
        mean[i] = MOMENTUM * mean[i] + (1 - MOMENTUM) * g;
        square[i] = MOMENTUM_2 * square[i] + (1 - MOMENTUM_2) * g * g;
        now[i] -= RATE * (mean[i] / warm) / (sqrtf(square[i] / warm_2) + 1e-8f);
    }
}

/* Gradients of rows, gathered by album: several steps and windows of a batch may touch the same. */
struct gathered {
    float *rows; /* [room][width] */
    uint32_t *albums, *places;
    uint32_t count;
};

static float *row_of(struct gathered *g, uint32_t album, uint32_t width)
{
    uint32_t *place = &g->places[album];
    if (*place == CF_NO_NUMBER) {
        *place = g->count;
        g->albums[g->count++] = album;
        memset(g->rows + (size_t)*place * width, 0, width * sizeof *g->rows);
    }
    return g->rows + (size_t)*place * width;
}

static void adapt_rows(struct training *t, struct gathered *g, const float *params, uint32_t width, float scale)
{
    for (uint32_t i = 0; i < g->count; i++) {
        float *row = g->rows + (size_t)i * width;
        for (uint32_t j = 0; j < width; j++)
            row[j] *= scale;
        adapt(t, (size_t)(params - t->now.all) + (size_t)g->albums[i] * width, row, width);
        g->places[g->albums[i]] = CF_NO_NUMBER;
    }
    g->count = 0;
}

static void apply_inputs(struct training *t, struct gathered *g, size_t used, float scale)
{
    for (size_t w = 0; w < used; w++)
        for (uint32_t i = 0; i < t->slots[w].window->steps; i++)
            add(row_of(g, t->albums[t->slots[w].window->begin + i], t->factors),
                t->slots[w].in + (size_t)i * t->factors, 1, t->factors);
    adapt_rows(t, g, t->now.in, t->factors, scale);
}

/* `values`: of a slot, a row for each of the sample and each target. */
static void gather_outputs(struct training *t, struct gathered *g, const struct slot *s, const float *values,
                           uint32_t width)
{
    for (uint32_t i = 0; i < t->sample_count; i++)
        add(row_of(g, t->sample[i], width), values + (size_t)i * width, 1, width);
    for (uint32_t i = 0; i < s->window->steps; i++)
        add(row_of(g, t->albums[s->window->begin + i + 1], width), values + (size_t)(t->sample_count + i) * width, 1,
            width);
}

static void apply_shared(struct training *t, size_t used, float scale)
{
    uint32_t f = t->factors;
    struct slot *sum = &t->slots[0];
    for (size_t w = 1; w < used; w++) {
        add(sum->loop, t->slots[w].loop, 1, f * f);
        add(sum->shift, t->slots[w].shift, 1, f);
    }
    for (uint32_t j = 0; j < f * f; j++)
        sum->loop[j] *= scale;
    for (uint32_t j = 0; j < f; j++)
        sum->shift[j] *= scale;
    adapt(t, (size_t)(t->now.loop - t->now.all), sum->loop, (size_t)f * f);
    adapt(t, (size_t)(t->now.shift - t->now.all), sum->shift, f);
}

static void apply(struct training *t, struct gathered *g, size_t used)
{
    uint32_t targets = 0;
    t->steps++;
    for (size_t w = 0; w < used; w++)
        targets += t->slots[w].window->steps;
    float scale = 1 / (float)targets;
    apply_inputs(t, g, used, scale);
    for (size_t w = 0; w < used; w++)
        gather_outputs(t, g, &t->slots[w], t->slots[w].out, t->factors);
    adapt_rows(t, g, t->now.out, t->factors, scale);
    for (size_t w = 0; w < used; w++)
        gather_outputs(t, g, &t->slots[w], t->slots[w].biases, 1);
    adapt_rows(t, g, t->now.biases, 1, scale);
    apply_shared(t, used, scale);
}

/* ---- sweeps ---- */

static void draw_sample(struct training *t, struct cf_rng *rng)
{
    uint32_t taken = 0;
    for (uint32_t album = 0; taken < t->sample_count; album++)
        if (cf_rng_below(rng, t->album_count - album) < t->sample_count - taken)
            t->sample[taken++] = album;
}

static void shuffle(struct training *t, struct cf_rng *rng)
{
    for (size_t i = t->window_count; i > 1; i--) {
        size_t other = cf_rng_below(rng, i);
        struct window moved = t->windows[i - 1];
        t->windows[i - 1] = t->windows[other];
        t->windows[other] = moved;
    }
}

/* One pass over all windows; `*loss` is the mean of a prediction's, as it was when its turn came. */
static enum cf_err sweep_once(struct training *t, struct gathered *g, struct cf_rng *rng, double *loss)
{
    enum cf_err err = CF_OK;
    uint64_t targets = 0;
    *loss = 0;
    shuffle(t, rng);
    for (size_t begin = 0; begin < t->window_count && !err; begin += BATCH) {
        size_t used = t->window_count - begin < BATCH ? t->window_count - begin : BATCH;
        draw_sample(t, rng);
        for (size_t w = 0; w < used; w++) {
            t->slots[w].window = &t->windows[begin + w];
            t->slots[w].seed = cf_rng_u64(rng);
        }
        err = cf_crew_run(&t->crew, used, learn_window, t);
        for (size_t w = 0; w < used && !err; w++) {
            *loss += t->slots[w].loss;
            targets += t->slots[w].window->steps;
        }
        if (!err)
            apply(t, g, used);
    }
    *loss /= targets ? (double)targets : 1;
    return err;
}

static enum cf_err sweep_all(struct training *t, struct gathered *g, struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(t->options->seed ^ 0x4E4Eu);
    uint32_t sweeps = t->options->sweeps ? t->options->sweeps : SWEEPS;
    enum cf_err err = CF_OK;
    for (uint32_t sweep = 1; sweep <= sweeps && !err; sweep++) {
        double loss = 0;
        err = sweep_once(t, g, &rng, &loss);
        if (!err)
            err = cf_model_sweep(t->options, sweep, sweeps, loss, detail);
    }
    return err;
}

/* ---- sequences ---- */

/* Repeats left out; windows of a user follow one another, each beginning where the last one's targets ended. */
static void make_sequences(struct training *t)
{
    const struct cf_listens *l = t->data->listens;
    uint64_t at = 0;
    for (size_t i = 0; i < l->count; i++) {
        bool new_user = i == 0 || l->items[i].user != l->items[i - 1].user;
        if (new_user || l->items[i].album != l->items[i - 1].album) {
            t->albums[at++] = l->items[i].album;
            t->first[l->items[i].user + 1]++;
        }
    }
    for (uint32_t user = 0; user < t->data->user_count; user++)
        t->first[user + 1] += t->first[user];
    for (uint32_t user = 0; user < t->data->user_count; user++)
        for (uint64_t begin = t->first[user]; begin + 1 < t->first[user + 1]; begin += WINDOW) {
            uint64_t left = t->first[user + 1] - begin - 1;
            t->windows[t->window_count++] = (struct window){begin, (uint32_t)(left < WINDOW ? left : WINDOW)};
        }
}

/* Where every user has come to: the state after all listens. */
static void finish_users(struct training *t, struct cf_model *model)
{
    float state[2][1024];
    for (uint32_t user = 0; user < t->data->user_count; user++) {
        float *before = state[0], *after = state[1];
        memset(before, 0, t->factors * sizeof *before);
        for (uint64_t i = t->first[user]; i < t->first[user + 1]; i++) {
            step_forward(t, before, t->albums[i], after);
            float *turned = before;
            before = after;
            after = turned;
        }
        memcpy(model->user_factors + (size_t)user * t->factors, before, t->factors * sizeof *before);
    }
}

/* ---- memory ---- */

static bool params_init(const struct training *t, struct params *p)
{
    size_t f = t->factors, rows = (size_t)t->album_count * f;
    p->all = calloc(t->param_count + 1, sizeof *p->all);
    p->in = p->all;
    p->out = p->in + rows;
    p->biases = p->out + rows;
    p->loop = p->biases + t->album_count;
    p->shift = p->loop + f * f;
    return p->all;
}

static bool slot_init(struct training *t, struct slot *s)
{
    size_t f = t->factors, rows = (size_t)t->sample_count + WINDOW;
    size_t steps = 4 * (size_t)WINDOW * f + f;
    float *memory = calloc(steps + t->sample_count + 1 + rows * (f + 1) + f * f + f, sizeof *memory);
    s->training = t;
    s->hidden = memory;
    if (!memory)
        return false;
    s->dropped = s->hidden + (WINDOW + 1) * f;
    s->pull = s->dropped + WINDOW * f;
    s->in = s->pull + WINDOW * f;
    s->scores = s->in + WINDOW * f;
    s->out = s->scores + t->sample_count + 1;
    s->biases = s->out + rows * f;
    s->loop = s->biases + rows;
    s->shift = s->loop + f * f;
    return true;
}

static bool gathered_init(const struct training *t, struct gathered *g)
{
    size_t room = (size_t)t->sample_count + (size_t)BATCH * WINDOW;
    room = room < t->album_count ? room : t->album_count;
    g->rows = calloc(room * t->factors + 1, sizeof *g->rows);
    g->albums = calloc(room + 1, sizeof *g->albums);
    g->places = malloc(((size_t)t->album_count + 1) * sizeof *g->places);
    for (uint32_t i = 0; g->places && i < t->album_count; i++)
        g->places[i] = CF_NO_NUMBER;
    return g->rows && g->albums && g->places;
}

static bool training_init(struct training *t)
{
    size_t f = t->factors;
    bool complete = true;
    t->sample_count = t->album_count < SAMPLE ? t->album_count : SAMPLE;
    t->stands_for = (double)t->album_count / fmax(t->sample_count, 1);
    t->param_count = 2 * t->album_count * f + t->album_count + f * f + f;
    t->albums = calloc(t->data->listens->count + 1, sizeof *t->albums);
    t->first = calloc((size_t)t->data->user_count + 2, sizeof *t->first);
    t->windows = calloc(t->data->listens->count + 1, sizeof *t->windows);
    t->sample = calloc((size_t)t->sample_count + 1, sizeof *t->sample);
    t->slots = calloc(BATCH, sizeof *t->slots);
    complete = params_init(t, &t->now) & params_init(t, &t->mean) & params_init(t, &t->square);
    for (size_t i = 0; t->slots && i < BATCH; i++)
        complete = slot_init(t, &t->slots[i]) && complete;
    return complete && t->albums && t->first && t->windows && t->sample && t->slots;
}

static void training_fini(struct training *t)
{
    for (size_t i = 0; t->slots && i < BATCH; i++)
        free(t->slots[i].hidden);
    free(t->slots);
    free(t->sample);
    free(t->windows);
    free(t->first);
    free(t->albums);
    free(t->now.all);
    free(t->mean.all);
    free(t->square.all);
}

static enum cf_err train(struct training *t, struct cf_model *model, struct cf_detail *detail)
{
    struct gathered g = {0};
    enum cf_err err = training_init(t) && gathered_init(t, &g) ? CF_OK : CF_E_NO_MEMORY;
    if (!err) {
        make_sequences(t);
        cf_model_scatter(t->now.all, t->param_count, SCATTER, t->options->seed);
        memset(t->now.biases, 0, t->album_count * sizeof *t->now.biases);
        err = sweep_all(t, &g, detail);
    }
    if (err == CF_E_NO_MEMORY)
        cf_fail(detail, err, "no memory to train rnn");
    if (!err) {
        finish_users(t, model);
        memcpy(model->album_factors, t->now.out, (size_t)t->album_count * t->factors * sizeof(float));
        memcpy(model->album_biases, t->now.biases, t->album_count * sizeof(float));
    }
    free(g.rows);
    free(g.albums);
    free(g.places);
    return err;
}

enum cf_err cf_train_rnn(const struct cf_training *data, const struct cf_model_options *options, struct cf_model **out,
                         struct cf_detail *detail)
{
    struct training t = {.data = data,
                         .options = options,
                         .crew = {options->threads, NULL, NULL},
                         .factors = options->factors,
                         .album_count = data->album_count};
    struct cf_model *model = NULL;
    enum cf_err err = cf_model_new(CF_MODEL_RNN, data, options->factors, true, &model, detail);
    if (!err)
        err = train(&t, model, detail);
    training_fini(&t);
    if (err)
        cf_model_free(model);
    else
        *out = model;
    return err;
}
