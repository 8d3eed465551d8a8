#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recommend/blas.h"
#include "common/recommend/model_inside.h"
#include "common/recommend/rnn_inside.h"
#include "common/recommend/softmax.h"

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

/* ---- memory ---- */

bool cf_rnn_params_init(struct cf_rnn_params *p, uint32_t albums, uint32_t factors)
{
    size_t f = factors, rows = (size_t)albums * f;
    p->albums = albums;
    p->factors = factors;
    p->count = 2 * rows + albums + f * f + f;
    p->all = calloc(p->count + 1, sizeof *p->all);
    if (!p->all)
        return false;
    p->in = p->all;
    p->out = p->in + rows;
    p->biases = p->out + rows;
    p->loop = p->biases + albums;
    p->shift = p->loop + f * f;
    return true;
}

void cf_rnn_params_fini(struct cf_rnn_params *p)
{
    free(p->all);
    *p = (struct cf_rnn_params){0};
}

/* Room of `count` floats, at least one. */
static float *room(size_t count)
{
    return calloc(count + 1, sizeof(float));
}

bool cf_rnn_net_init(struct cf_rnn_net *net, const struct cf_rnn_params *now, uint32_t drawn_max)
{
    size_t f = now->factors, steps = (size_t)CF_RNN_BATCH * CF_RNN_WINDOW, rows = drawn_max + steps;
    rows = rows < now->albums ? rows : now->albums;
    net->now = now;
    net->drawn_max = drawn_max;
    net->rows = calloc(rows + 1, sizeof *net->rows);
    net->places = malloc(((size_t)now->albums + 1) * sizeof *net->places);
    for (uint32_t i = 0; net->places && i < now->albums; i++)
        net->places[i] = CF_NO_NUMBER;
    net->out = room(rows * f);
    net->biases = room(rows);
    net->hidden = room((steps + CF_RNN_BATCH) * f);
    net->kept = room(steps * f);
    net->factor = room(steps * f);
    net->pull = room(steps * f);
    net->shares = room(steps * rows);
    net->out_gradient = room(rows * f);
    net->bias_gradient = room(rows);
    net->in_gradient = room(steps * f);
    net->loop_gradient = room(CF_RNN_BATCH * f * f);
    net->shift_gradient = room(CF_RNN_BATCH * f);
    return net->rows && net->places && net->out && net->biases && net->hidden && net->kept && net->factor &&
           net->pull && net->shares && net->out_gradient && net->bias_gradient && net->in_gradient &&
           net->loop_gradient && net->shift_gradient;
}

void cf_rnn_net_fini(struct cf_rnn_net *net)
{
    float *all[] = {net->out,           net->biases,      net->hidden,        net->kept,
                    net->factor,        net->pull,        net->shares,        net->out_gradient,
                    net->bias_gradient, net->in_gradient, net->loop_gradient, net->shift_gradient};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(net->rows);
    free(net->places);
    *net = (struct cf_rnn_net){0};
}

/* ---- forward ---- */

/* By tanh x = (1 - e) / (1 + e), e = exp(-2 |x|), many at once. */
static void tanh_all(float *x, uint32_t count)
{
    float e[CF_MODEL_FACTORS_MAX];
    for (uint32_t j = 0; j < count; j++)
        e[j] = -2 * fabsf(x[j]);
    cf_softmax_exp(e, count, 0);
    for (uint32_t j = 0; j < count; j++)
        x[j] = copysignf((1 - e[j]) / (1 + e[j]), x[j]);
}

void cf_rnn_step(const struct cf_rnn_params *p, const float *before, uint32_t album, float *after)
{
    const float *in = p->in + (size_t)album * p->factors;
    for (uint32_t j = 0; j < p->factors; j++)
        after[j] = in[j] + p->shift[j] + dot(p->loop + (size_t)j * p->factors, before, p->factors);
    tanh_all(after, p->factors);
}

static float *hidden_of(const struct cf_rnn_net *net, size_t window)
{
    return net->hidden + window * (CF_RNN_WINDOW + 1) * net->now->factors;
}

static void run_forward(struct cf_rnn_net *net, size_t number)
{
    const struct cf_rnn_window *w = &net->windows[number];
    struct cf_rng rng = cf_rng(w->seed);
    uint32_t f = net->now->factors;
    float *h = hidden_of(net, number);
    memset(h, 0, f * sizeof *h);
    for (uint32_t i = 0; i < w->steps; i++, h += f) {
        size_t at = (size_t)(w->at + i) * f;
        cf_rnn_step(net->now, h, net->sequences[w->begin + i], h + f);
        for (uint32_t j = 0; j < f; j++) {
            bool drop = cf_rng_unit(&rng) < net->dropped;
            net->factor[at + j] = drop ? 0 : (float)(1 / (1 - net->dropped));
            net->kept[at + j] = h[f + j] * net->factor[at + j];
        }
    }
}

/* From the scores of one step to the loss's gradients on them; returns the loss. Targets beyond the drawn
 * count for nobody but those whose target they are. */
static double predict(const struct cf_rnn_net *net, uint32_t target, float *scores)
{
    uint32_t own = net->places[target], drawn = net->drawn_count;
    for (uint32_t i = 0; i < net->row_count; i++)
        scores[i] += net->biases[i];
    float most = fmaxf(cf_softmax_most(scores, drawn), scores[own]), hit = scores[own];
    double sum = cf_softmax_exp(scores, drawn, most), chance;
    if (own >= drawn)
        cf_softmax_exp(&hit, 1, most);
    else
        hit = scores[own];
    sum = net->stands_for * (own < drawn ? sum - (double)hit : sum) + (double)hit;
    chance = (double)hit / sum;
    for (uint32_t i = 0; i < drawn; i++)
        scores[i] *= (float)(net->stands_for / sum);
    memset(scores + drawn, 0, (net->row_count - drawn) * sizeof *scores);
    scores[own] = (float)(chance - 1);
    return -log(chance);
}

/* ---- backward ---- */

/* From the gradients on h_t to those of what made it; what h_{t-1} is pulled by comes on top of its own. */
static void run_backward(struct cf_rnn_net *net, size_t number)
{
    const struct cf_rnn_window *w = &net->windows[number];
    uint32_t f = net->now->factors;
    const float *h = hidden_of(net, number);
    float *loop = net->loop_gradient + number * f * f, *shift = net->shift_gradient + number * f;
    memset(loop, 0, (size_t)f * f * sizeof *loop);
    memset(shift, 0, f * sizeof *shift);
    for (uint32_t i = w->steps; i-- > 0;) {
        const float *after = h + (size_t)(i + 1) * f;
        float *pull = net->pull + (size_t)(w->at + i) * f, *in = net->in_gradient + (size_t)(w->at + i) * f;
        for (uint32_t j = 0; j < f; j++)
            shift[j] += in[j] = pull[j] * (1 - after[j] * after[j]);
        for (uint32_t k = 0; i > 0 && k < f; k++)
            for (uint32_t j = 0; j < f; j++)
                pull[(ptrdiff_t)j - (ptrdiff_t)f] += in[k] * net->now->loop[(size_t)k * f + j];
    }
    cf_blas_add_turned(net->in_gradient + (size_t)w->at * f, f, h, w->steps, f, f, loop);
}

static void learn_window(void *arg, size_t number)
{
    struct cf_rnn_net *net = arg;
    struct cf_rnn_window *w = &net->windows[number];
    size_t f = net->now->factors, at = w->at * f;
    float *shares = net->shares + (size_t)w->at * net->row_count;
    run_forward(net, number);
    cf_blas_scores(net->kept + at, net->out, w->steps, net->row_count, f, shares);
    w->loss = 0;
    for (uint32_t i = 0; i < w->steps; i++)
        w->loss += predict(net, net->sequences[w->begin + i + 1], shares + (size_t)i * net->row_count);
    cf_blas_mix(shares, net->out, w->steps, f, net->row_count, net->pull + at);
    for (size_t i = 0; i < w->steps * f; i++)
        net->pull[at + i] *= net->factor[at + i];
    run_backward(net, number);
}

/* ---- a batch ---- */

static void place(struct cf_rnn_net *net, uint32_t album)
{
    size_t f = net->now->factors;
    if (net->places[album] != CF_NO_NUMBER)
        return;
    net->rows[net->row_count] = album;
    net->places[album] = net->row_count;
    net->biases[net->row_count] = net->now->biases[album];
    memcpy(net->out + net->row_count * f, net->now->out + album * f, f * sizeof *net->out);
    net->row_count++;
}

static void gather_rows(struct cf_rnn_net *net)
{
    net->row_count = 0;
    for (uint32_t i = 0; i < net->drawn_count; i++)
        place(net, net->rows[i]);
    for (uint32_t w = 0; w < net->window_count; w++)
        for (uint32_t i = 1; i <= net->windows[w].steps; i++)
            place(net, net->sequences[net->windows[w].begin + i]);
}

enum cf_err cf_rnn_learn(struct cf_rnn_net *net)
{
    gather_rows(net);
    net->step_count = 0;
    for (uint32_t w = 0; w < net->window_count; w++) {
        net->windows[w].at = net->step_count;
        net->step_count += net->windows[w].steps;
    }
    return cf_crew_run(&net->crew, net->window_count, learn_window, net);
}

void cf_rnn_learn_rows(struct cf_rnn_net *net, uint32_t begin, uint32_t count)
{
    size_t f = net->now->factors;
    float *biases = net->bias_gradient + begin;
    memset(net->out_gradient + begin * f, 0, count * f * sizeof *net->out_gradient);
    memset(biases, 0, count * sizeof *biases);
    cf_blas_add_turned(net->shares + begin, net->row_count, net->kept, net->step_count, f, count,
                       net->out_gradient + begin * f);
    for (size_t step = 0; step < net->step_count; step++) {
        const float *shares = net->shares + step * net->row_count + begin;
        for (uint32_t i = 0; i < count; i++)
            biases[i] += shares[i];
    }
}

void cf_rnn_clear(struct cf_rnn_net *net)
{
    for (uint32_t i = 0; i < net->row_count; i++)
        net->places[net->rows[i]] = CF_NO_NUMBER;
    net->row_count = 0;
}
