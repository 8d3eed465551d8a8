/* The next album of a user's sequence, by a plain recurrent network (Elman 1990) trained through time.
 *
 *     h_0 = 0,  h_t = tanh(E[x_t] + W h_{t-1} + c),  P(x_{t+1} = i) = exp(o_i·d_t + b_i) / sum
 *
 * d_t is h_t with some of it dropped while training. Listens of the same album one after the other count
 * once: without that the network learns little but repetition. Long sequences are cut into windows of
 * CF_RNN_WINDOW steps; gradients stay within one. Of more than SAMPLE albums every batch draws SAMPLE of them
 * to stand for all in the sum (sampled softmax: Bengio and Senécal 2008). Adam (Kingma and Ba 2015) on
 * batches of CF_RNN_BATCH windows, whose gradients are added up in their order, so that threads do not
 * matter; rows of albums that a batch does not touch stay as they are.
 *
 * The finished model scores an album by o_i·h_t + b_i, averaged over all of the user's listens. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recommend/model_inside.h"
#include "common/recommend/rnn_inside.h"

enum { SWEEPS = 12, SAMPLE = 2048, ROWS_A_PIECE = 256 };
#define RATE       .003f
#define MOMENTUM   .9f
#define MOMENTUM_2 .999f
#define DROPPED    .2
#define DECAY      1e-5f
#define SCATTER    .05

struct training {
    const struct cf_training *data;
    const struct cf_model_options *options;
    uint32_t *albums; /* all sequences, repeats left out, user after user */
    uint64_t *first;  /* [users + 1] into them */
    struct cf_rnn_window *windows;
    size_t window_count;
    struct cf_rnn_params now, mean, square; /* Adam's moments */
    struct cf_rnn_net net;
    uint32_t batches;
    float scale, warm, warm_2; /* of this batch: one over its steps; how far the moments are warm */
    float *in;                 /* gradients of inputs, gathered by album: [steps][factors] */
    uint32_t *in_albums, *in_places;
};

/* ---- Adam ---- */

/* Gradients of `count` parameters from `at` on, of a sum over the batch. */
static void adapt(struct training *t, size_t at, const float *gradient, size_t count)
{
    float *now = t->now.all + at, *mean = t->mean.all + at, *square = t->square.all + at;
    for (size_t i = 0; i < count; i++) {
        float g = t->scale * gradient[i] + DECAY * now[i];
        mean[i] = MOMENTUM * mean[i] + (1 - MOMENTUM) * g;
        square[i] = MOMENTUM_2 * square[i] + (1 - MOMENTUM_2) * g * g;
        now[i] -= RATE * (mean[i] / t->warm) / (sqrtf(square[i] / t->warm_2) + 1e-8f);
    }
}

static void adapt_row(struct training *t, const float *params, uint32_t album, const float *gradient,
                      uint32_t width)
{
    adapt(t, (size_t)(params - t->now.all) + (size_t)album * width, gradient, width);
}

static void adapt_outputs(void *arg, size_t piece)
{
    struct training *t = arg;
    struct cf_rnn_net *net = &t->net;
    uint32_t begin = (uint32_t)piece * ROWS_A_PIECE, left = net->row_count - begin;
    uint32_t count = left < ROWS_A_PIECE ? left : ROWS_A_PIECE, f = t->now.factors;
    cf_rnn_learn_rows(net, begin, count);
    for (uint32_t i = begin; i < begin + count; i++) {
        adapt_row(t, t->now.out, net->rows[i], net->out_gradient + (size_t)i * f, f);
        adapt_row(t, t->now.biases, net->rows[i], net->bias_gradient + i, 1);
    }
}

static void add(float *to, const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] += x[i];
}

/* Several steps of a batch may have the same album as their input: their gradients are added up first. */
static void adapt_inputs(struct training *t)
{
    uint32_t f = t->now.factors, found = 0;
    for (uint32_t w = 0; w < t->net.window_count; w++)
        for (uint32_t i = 0; i < t->net.windows[w].steps; i++) {
            uint32_t album = t->albums[t->net.windows[w].begin + i], *place = &t->in_places[album];
            if (*place == CF_NO_NUMBER) {
                *place = found;
                t->in_albums[found++] = album;
                memset(t->in + (size_t)*place * f, 0, f * sizeof *t->in);
            }
            add(t->in + (size_t)*place * f, t->net.in_gradient + (size_t)(t->net.windows[w].at + i) * f, f);
        }
    for (uint32_t i = 0; i < found; i++) {
        adapt_row(t, t->now.in, t->in_albums[i], t->in + (size_t)i * f, f);
        t->in_places[t->in_albums[i]] = CF_NO_NUMBER;
    }
}

static void adapt_shared(struct training *t)
{
    size_t f = t->now.factors;
    for (size_t w = 1; w < t->net.window_count; w++) {
        add(t->net.loop_gradient, t->net.loop_gradient + w * f * f, f * f);
        add(t->net.shift_gradient, t->net.shift_gradient + w * f, f);
    }
    adapt_row(t, t->now.loop, 0, t->net.loop_gradient, (uint32_t)(f * f));
    adapt_row(t, t->now.shift, 0, t->net.shift_gradient, (uint32_t)f);
}

static enum cf_err learn_batch(struct training *t)
{
    enum cf_err err = cf_rnn_learn(&t->net);
    t->batches++;
    t->scale = 1 / (float)t->net.step_count;
    t->warm = 1 - powf(MOMENTUM, (float)t->batches);
    t->warm_2 = 1 - powf(MOMENTUM_2, (float)t->batches);
    if (!err)
        err = cf_crew_run(&t->net.crew, ((size_t)t->net.row_count + ROWS_A_PIECE - 1) / ROWS_A_PIECE,
                          adapt_outputs, t);
    if (!err) {
        adapt_inputs(t);
        adapt_shared(t);
    }
    cf_rnn_clear(&t->net);
    return err;
}

/* ---- sweeps ---- */

/* Without replacement, ascending (Knuth, algorithm S). */
static void draw_sample(struct training *t, struct cf_rng *rng)
{
    uint32_t taken = 0, wanted = t->net.drawn_max;
    for (uint32_t album = 0; taken < wanted; album++)
        if (cf_rng_below(rng, t->now.albums - album) < wanted - taken)
            t->net.rows[taken++] = album;
    t->net.drawn_count = taken;
}

static void shuffle(struct training *t, struct cf_rng *rng)
{
    for (size_t i = t->window_count; i > 1; i--) {
        size_t other = cf_rng_below(rng, i);
        struct cf_rnn_window moved = t->windows[i - 1];
        t->windows[i - 1] = t->windows[other];
        t->windows[other] = moved;
    }
}

/* One pass over all windows; `*loss` is the mean of a prediction's, as it was when its turn came. */
static enum cf_err sweep_once(struct training *t, struct cf_rng *rng, double *loss)
{
    enum cf_err err = CF_OK;
    uint64_t targets = 0;
    *loss = 0;
    shuffle(t, rng);
    for (size_t begin = 0; begin < t->window_count && !err; begin += CF_RNN_BATCH) {
        size_t left = t->window_count - begin;
        t->net.window_count = left < CF_RNN_BATCH ? (uint32_t)left : CF_RNN_BATCH;
        draw_sample(t, rng);
        for (uint32_t w = 0; w < t->net.window_count; w++) {
            t->net.windows[w] = t->windows[begin + w];
            t->net.windows[w].seed = cf_rng_u64(rng);
        }
        err = learn_batch(t);
        for (uint32_t w = 0; w < t->net.window_count && !err; w++)
            *loss += t->net.windows[w].loss;
        targets += t->net.step_count;
    }
    *loss /= targets ? (double)targets : 1;
    return err;
}

static enum cf_err sweep_all(struct training *t, struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(t->options->seed ^ 0x4E4Eu);
    uint32_t sweeps = t->options->sweeps ? t->options->sweeps : SWEEPS;
    enum cf_err err = CF_OK;
    for (uint32_t sweep = 1; sweep <= sweeps && !err; sweep++) {
        double loss = 0;
        err = sweep_once(t, &rng, &loss);
        if (!err)
            err = cf_model_sweep(t->options, sweep, sweeps, loss, detail);
    }
    return err;
}

/* ---- sequences ---- */

/* Repeats left out; windows of a user follow one another, each beginning where the last one's targets ended.
 */
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
        for (uint64_t begin = t->first[user]; begin + 1 < t->first[user + 1]; begin += CF_RNN_WINDOW) {
            uint64_t left = t->first[user + 1] - begin - 1;
            t->windows[t->window_count++] = (struct cf_rnn_window){
                .begin = begin, .steps = (uint32_t)(left < CF_RNN_WINDOW ? left : CF_RNN_WINDOW)};
        }
}

/* Where every user has been: the mean of the states after each listen, so that scores are means too. The last
 * state alone knows what comes next in a session, and little of a taste. */
static void finish_users(struct training *t, struct cf_model *model)
{
    uint32_t f = t->now.factors;
    float state[2][CF_MODEL_FACTORS_MAX];
    double sum[CF_MODEL_FACTORS_MAX];
    for (uint32_t user = 0; user < t->data->user_count; user++) {
        uint64_t count = t->first[user + 1] - t->first[user];
        memset(state, 0, sizeof state);
        memset(sum, 0, sizeof sum);
        for (uint64_t i = 0; i < count; i++) {
            float *after = state[i % 2];
            cf_rnn_step(&t->now, state[1 - i % 2], t->albums[t->first[user] + i], after);
            for (uint32_t j = 0; j < f; j++)
                sum[j] += (double)after[j];
        }
        for (uint32_t j = 0; j < f && count; j++)
            model->user_factors[(size_t)user * f + j] = (float)(sum[j] / (double)count);
    }
}

/* ---- memory ---- */

static bool training_init(struct training *t, uint32_t factors)
{
    uint32_t albums = t->data->album_count, sample = albums < SAMPLE ? albums : SAMPLE;
    size_t steps = (size_t)CF_RNN_BATCH * CF_RNN_WINDOW;
    t->albums = calloc(t->data->listens->count + 1, sizeof *t->albums);
    t->first = calloc((size_t)t->data->user_count + 2, sizeof *t->first);
    t->windows = calloc(t->data->listens->count + 1, sizeof *t->windows);
    t->in = calloc(steps * factors, sizeof *t->in);
    t->in_albums = calloc(steps, sizeof *t->in_albums);
    t->in_places = malloc(((size_t)albums + 1) * sizeof *t->in_places);
    for (uint32_t i = 0; t->in_places && i < albums; i++)
        t->in_places[i] = CF_NO_NUMBER;
    bool complete =
        cf_rnn_params_init(&t->now, albums, factors) && cf_rnn_params_init(&t->mean, albums, factors) &&
        cf_rnn_params_init(&t->square, albums, factors) && cf_rnn_net_init(&t->net, &t->now, sample);
    t->net.sequences = t->albums;
    t->net.dropped = DROPPED;
    t->net.crew = (struct cf_crew){t->options->threads, NULL, NULL};
    t->net.stands_for = (double)albums / fmax(sample, 1);
    return complete && t->albums && t->first && t->windows && t->in && t->in_albums && t->in_places;
}

static void training_fini(struct training *t)
{
    cf_rnn_net_fini(&t->net);
    cf_rnn_params_fini(&t->now);
    cf_rnn_params_fini(&t->mean);
    cf_rnn_params_fini(&t->square);
    free(t->in);
    free(t->in_albums);
    free(t->in_places);
    free(t->windows);
    free(t->first);
    free(t->albums);
}

static enum cf_err train(struct training *t, struct cf_model *model, struct cf_detail *detail)
{
    if (!training_init(t, model->factors))
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to train rnn");
    make_sequences(t);
    cf_model_scatter(t->now.all, t->now.count, SCATTER, t->options->seed);
    memset(t->now.biases, 0, t->now.albums * sizeof *t->now.biases);
    enum cf_err err = sweep_all(t, detail);
    if (err)
        return err;
    finish_users(t, model);
    memcpy(model->album_factors, t->now.out, (size_t)t->now.albums * t->now.factors * sizeof(float));
    memcpy(model->album_biases, t->now.biases, t->now.albums * sizeof(float));
    return CF_OK;
}

enum cf_err cf_train_rnn(const struct cf_training *data, const struct cf_model_options *options,
                         struct cf_model **out, struct cf_detail *detail)
{
    struct training t = {.data = data, .options = options};
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
