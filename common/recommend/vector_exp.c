/* Factors under a softmax, as in the post: P(album i | user u) = exp(a_u·b_i) / Z_u.
 *
 *     maximise sum over listens of n_ui a_u·b_i - sum n_u log Z_u - lambda/2 (sum |a|² + sum |b|²)
 *
 * A thumb down says nothing of P(i|u), the chance that what u likes is i: n_ui is 0 there. But where there
 * are both signs the factors tell tastes only, P(i|u) = p_i exp(a_u·b_i) / Z_u, p_i from the thumbs up on i;
 * and since i has a chance q_i of being thumbed at all, a thumb on it is up in proportion to P(i|u) / q_i
 * (Bayes): the score is a_u·b_i + log p_i / q_i. p and q count the album's thumbs and PRIOR of the average
 * album.
 *
 * Users and albums in turn. Given the albums every user's part is concave in a_u, and given the users all of
 * it is in b: both take steps of gradient ascent, scaled by a bound of the curvature, whose length is halved
 * until the objective grows. So it never falls where Z_u is summed over all albums.
 *
 * Of more than SAMPLE albums each sweep draws SAMPLE of them: Z_u is their sum times how many each stands
 * for, and only those albums move. The objective of a sweep is then that of its sample. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recommend/blas.h"
#include "common/recommend/softmax.h"
#include "common/recommend/vector_exp_inside.h"

enum { SWEEPS = 60, SAMPLE = 4096, HALVINGS = 12, ALBUMS_A_PIECE = 256 };
#define LAMBDA  1.0
#define PRIOR   5.0
#define SCATTER .1
#define ENOUGH  1e-4 /* of the growth that the gradient promises (Armijo) */

static double weight_of(float value)
{
    return value > 0 ? (double)value : 0;
}

/* ---- blocks of users ---- */

/* Some users who are worked on together, and what a slot needs for that. */
struct block {
    uint32_t begin, count; /* in `users` */
    float *at;             /* [count][factors]: where they are */
    float *shares;         /* [count][sample_count]: after partition_of, P(i|u) times sums[u] */
    double log_z[CF_VEXP_BLOCK], sums[CF_VEXP_BLOCK];
    float *mean; /* [count][factors + 1]: E[b], or [a, |a|²] */
    float *trial;
    double *gradient; /* [count][factors] */
    double curvature[CF_VEXP_BLOCK], square[CF_VEXP_BLOCK];
};

static bool block_init(const struct cf_vexp *t, struct block *b)
{
    size_t f = t->factors;
    b->at = calloc(CF_VEXP_BLOCK * (3 * f + 1 + t->sample_count), sizeof *b->at);
    b->gradient = calloc(CF_VEXP_BLOCK * f, sizeof *b->gradient);
    if (!b->at || !b->gradient)
        return false;
    b->trial = b->at + CF_VEXP_BLOCK * f;
    b->mean = b->trial + CF_VEXP_BLOCK * f;
    b->shares = b->mean + CF_VEXP_BLOCK * (f + 1);
    return true;
}

static void block_fini(struct block *b)
{
    free(b->at);
    free(b->gradient);
}

static float *user_at(const struct cf_vexp *t, uint32_t place)
{
    return t->model->user_factors + (size_t)t->users[place] * t->factors;
}

static void block_take(const struct cf_vexp *t, struct block *b, uint32_t begin)
{
    uint32_t left = t->user_count - begin;
    b->begin = begin;
    b->count = left < CF_VEXP_BLOCK ? left : CF_VEXP_BLOCK;
    for (uint32_t i = 0; i < b->count; i++)
        memcpy(b->at + (size_t)i * t->factors, user_at(t, begin + i), t->factors * sizeof *b->at);
}

static double dot(const float *a, const float *b, uint32_t f)
{
    double sum = 0;
    for (uint32_t j = 0; j < f; j++)
        sum += (double)a[j] * (double)b[j];
    return sum;
}

static double dot_mixed(const double *a, const float *b, uint32_t f)
{
    double sum = 0;
    for (uint32_t j = 0; j < f; j++)
        sum += a[j] * (double)b[j];
    return sum;
}

/* log Z of `count` users at `rows`, and the shares of the sample, with the albums at `albums`. */
static void partition_of(const struct cf_vexp *t, struct block *b, const float *rows, uint32_t count,
                         const float *albums)
{
    cf_blas_scores(rows, albums, count, t->sample_count, t->factors, b->shares);
    for (uint32_t i = 0; i < count; i++) {
        float *shares = b->shares + (size_t)i * t->sample_count;
        for (uint32_t s = 0; s < t->sample_count && t->bases; s++)
            shares[s] += t->bases[t->sample[s]];
        float most = cf_softmax_most(shares, t->sample_count);
        b->sums[i] = cf_softmax_exp(shares, t->sample_count, most);
        b->log_z[i] = (double)most + log(b->sums[i] * t->stands_for);
    }
}

/* Every block of slot, slot + CF_VEXP_SLOTS, … in turn. Slots are worked on at the same time, their results
 * are added up in order: so many whatever the threads. */
static void each_block(struct cf_vexp *t, size_t slot,
                       void (*visit)(struct cf_vexp *t, size_t slot, struct block *b))
{
    struct block b = {0};
    t->errors[slot] = block_init(t, &b) ? CF_OK : CF_E_NO_MEMORY;
    for (size_t begin = slot * CF_VEXP_BLOCK; begin < t->user_count && !t->errors[slot];
         begin += (size_t)CF_VEXP_SLOTS * CF_VEXP_BLOCK) {
        block_take(t, &b, (uint32_t)begin);
        visit(t, slot, &b);
    }
    block_fini(&b);
}

static enum cf_err in_slots(struct cf_vexp *t, void (*work)(void *arg, size_t slot))
{
    enum cf_err err = cf_crew_run(&t->crew, CF_VEXP_SLOTS, work, t);
    for (size_t i = 0; i < CF_VEXP_SLOTS && !err; i++)
        err = t->errors[i];
    return err;
}

/* ---- users ---- */

/* sum n_ui b_i into `wanted` */
static void sum_wanted(const struct cf_vexp *t, uint32_t place, double *wanted)
{
    const struct cf_matrix *m = t->data->by_user;
    memset(wanted, 0, t->factors * sizeof *wanted);
    for (uint64_t i = m->first[t->users[place]]; i < m->first[t->users[place] + 1]; i++) {
        const float *b = t->model->album_factors + (size_t)m->columns[i] * t->factors;
        for (uint32_t j = 0; j < t->factors; j++)
            wanted[j] += weight_of(m->values[i]) * (double)b[j];
    }
}

/* wanted - n E[b] - lambda a, its square, and a bound of the curvature along it: lambda + n E|b|². */
static void find_gradients(const struct cf_vexp *t, struct block *b)
{
    uint32_t f = t->factors;
    cf_blas_mix(b->shares, t->here, b->count, f, t->sample_count, b->mean);
    for (uint32_t i = 0; i < b->count; i++) {
        double n = t->listens[b->begin + i], *gradient = b->gradient + (size_t)i * f;
        sum_wanted(t, b->begin + i, gradient);
        b->square[i] = 0;
        for (uint32_t j = 0; j < f; j++) {
            size_t at = (size_t)i * f + j;
            gradient[j] -= n * (double)b->mean[at] / b->sums[i] + t->lambda * (double)b->at[at];
            b->square[i] += gradient[j] * gradient[j];
        }
        b->curvature[i] =
            t->lambda +
            n * dot(b->shares + (size_t)i * t->sample_count, t->norms, t->sample_count) / b->sums[i];
    }
}

/* What a user at `a` brings, less `wanted`·a, which is asked for apart. */
static double value_of(const struct cf_vexp *t, uint32_t place, const float *a, double log_z)
{
    return -t->listens[place] * log_z - .5 * t->lambda * dot(a, a, t->factors);
}

/* What the user gains by a move from `at` to `trial`. */
static double gain_of(const struct cf_vexp *t, uint32_t place, const float *at, double log_z,
                      const float *trial, double trial_log_z, double *wanted)
{
    sum_wanted(t, place, wanted);
    return value_of(t, place, trial, trial_log_z) + dot_mixed(wanted, trial, t->factors) -
           value_of(t, place, at, log_z) - dot_mixed(wanted, at, t->factors);
}

static void place_trial(const struct cf_vexp *t, const struct block *b, uint32_t i, float *trial)
{
    double length = t->user_steps[b->begin + i] / b->curvature[i];
    for (uint32_t j = 0; j < t->factors; j++) {
        size_t at = (size_t)i * t->factors + j;
        trial[j] = b->at[at] + (float)(length * b->gradient[at]);
    }
}

/* Users whose step was too long halve it and try again, together, until nobody is left. */
static void move_block(struct cf_vexp *t, size_t slot, struct block *b)
{
    uint32_t pending[CF_VEXP_BLOCK], count = b->count, f = t->factors;
    double here[CF_VEXP_BLOCK], wanted[CF_MODEL_FACTORS_MAX];
    (void)slot;
    partition_of(t, b, b->at, b->count, t->here);
    memcpy(here, b->log_z, sizeof here);
    find_gradients(t, b);
    for (uint32_t i = 0; i < count; i++)
        pending[i] = i;
    for (int tries = 0; tries < HALVINGS && count; tries++) {
        uint32_t left = 0;
        for (uint32_t k = 0; k < count; k++)
            place_trial(t, b, pending[k], b->trial + (size_t)k * f);
        partition_of(t, b, b->trial, count, t->here);
        for (uint32_t k = 0; k < count; k++) {
            uint32_t i = pending[k], place = b->begin + i;
            const float *trial = b->trial + (size_t)k * f;
            double promise = t->user_steps[place] / b->curvature[i] * b->square[i];
            bool enough = gain_of(t, place, b->at + (size_t)i * f, here[i], trial, b->log_z[k], wanted) >=
                          ENOUGH * promise;
            t->user_steps[place] *= enough ? 1.5 : .5;
            if (enough)
                memcpy(user_at(t, place), trial, f * sizeof *trial);
            else
                pending[left++] = i;
        }
        count = left;
    }
    for (uint32_t k = 0; k < count; k++)
        t->user_steps[b->begin + pending[k]] = 1;
}

static void move_users(void *arg, size_t slot)
{
    each_block(arg, slot, move_block);
}

enum cf_err cf_vexp_user_gradient(struct cf_vexp *t, uint32_t place, double *gradient)
{
    struct block b = {0};
    enum cf_err err = block_init(t, &b) ? CF_OK : CF_E_NO_MEMORY;
    if (!err) {
        block_take(t, &b, place);
        partition_of(t, &b, b.at, b.count, t->here);
        find_gradients(t, &b);
        memcpy(gradient, b.gradient, t->factors * sizeof *gradient);
    }
    block_fini(&b);
    return err;
}

/* ---- albums ---- */

static size_t partial_size(const struct cf_vexp *t)
{
    return (size_t)t->sample_count * (t->factors + 1);
}

static void weigh_block(struct cf_vexp *t, size_t slot, const struct block *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        t->sums[slot] += value_of(t, b->begin + i, b->at + (size_t)i * t->factors, b->log_z[i]);
}

/* What users ask of the albums of the sample: to go away by n P(i|u) a, with a curvature of n P(i|u) |a|² at
 * most. */
static void pull_block(struct cf_vexp *t, size_t slot, struct block *b)
{
    size_t f = t->factors;
    partition_of(t, b, b->at, b->count, t->here);
    weigh_block(t, slot, b);
    for (uint32_t i = 0; i < b->count; i++) {
        const float *a = b->at + i * f;
        double weight = t->listens[b->begin + i] / b->sums[i];
        for (size_t j = 0; j < f; j++)
            b->mean[i * (f + 1) + j] = (float)(weight * (double)a[j]);
        b->mean[i * (f + 1) + f] = (float)(weight * dot(a, a, t->factors));
    }
    cf_blas_add_turned(b->shares, t->sample_count, b->mean, b->count, f + 1, t->sample_count,
                       t->partial + slot * partial_size(t));
}

static void pull_albums(void *arg, size_t slot)
{
    struct cf_vexp *t = arg;
    t->sums[slot] = 0;
    memset(t->partial + slot * partial_size(t), 0, partial_size(t) * sizeof *t->partial);
    each_block(t, slot, pull_block);
}

static void try_block(struct cf_vexp *t, size_t slot, struct block *b)
{
    partition_of(t, b, b->at, b->count, t->trial);
    weigh_block(t, slot, b);
}

static void weigh_trial(void *arg, size_t slot)
{
    struct cf_vexp *t = arg;
    t->sums[slot] = 0;
    each_block(t, slot, try_block);
}

/* sum n_ui a_u of some albums. Those outside the sample only bring that times b, less what their length
 * costs. */
static void want_piece(void *arg, size_t piece)
{
    struct cf_vexp *t = arg;
    const struct cf_matrix *m = t->data->by_album;
    uint32_t f = t->factors, begin = (uint32_t)piece * ALBUMS_A_PIECE;
    double own[CF_MODEL_FACTORS_MAX];
    t->others[piece] = 0;
    for (uint32_t album = begin; album < t->data->album_count && album < begin + ALBUMS_A_PIECE; album++) {
        bool sampled = t->places[album] != CF_NO_NUMBER;
        const float *b = t->model->album_factors + (size_t)album * f;
        double *wanted = sampled ? t->wanted + (size_t)t->places[album] * f : own;
        memset(wanted, 0, f * sizeof *wanted);
        for (uint64_t i = m->first[album]; i < m->first[album + 1]; i++) {
            const float *a = t->model->user_factors + (size_t)m->columns[i] * f;
            for (uint32_t j = 0; j < f; j++)
                wanted[j] += weight_of(m->values[i]) * (double)a[j];
        }
        if (!sampled)
            t->others[piece] += dot_mixed(wanted, b, f) - .5 * t->lambda * dot(b, b, f);
    }
}

static size_t album_pieces(const struct cf_vexp *t)
{
    return ((size_t)t->data->album_count + ALBUMS_A_PIECE - 1) / ALBUMS_A_PIECE;
}

/* With the albums of the sample at `albums`, once the slots' sums are there. */
static double add_up(const struct cf_vexp *t, const float *albums)
{
    double sum = 0;
    for (size_t i = 0; i < CF_VEXP_SLOTS; i++)
        sum += t->sums[i];
    for (size_t i = 0; i < album_pieces(t); i++)
        sum += t->others[i];
    for (uint32_t s = 0; s < t->sample_count; s++) {
        const float *b = albums + (size_t)s * t->factors;
        sum += dot_mixed(t->wanted + (size_t)s * t->factors, b, t->factors) -
               .5 * t->lambda * dot(b, b, t->factors);
    }
    return sum;
}

static void finish_gradient(struct cf_vexp *t, uint32_t s)
{
    uint32_t f = t->factors;
    double *gradient = t->gradient + (size_t)s * f;
    t->curvature[s] = t->lambda;
    for (uint32_t j = 0; j < f; j++)
        gradient[j] = t->wanted[(size_t)s * f + j] - t->lambda * (double)t->here[(size_t)s * f + j];
    for (size_t slot = 0; slot < CF_VEXP_SLOTS; slot++) {
        const float *partial = t->partial + slot * partial_size(t) + (size_t)s * (f + 1);
        for (uint32_t j = 0; j < f; j++)
            gradient[j] -= (double)partial[j];
        t->curvature[s] += (double)partial[f];
    }
}

enum cf_err cf_vexp_album_gradients(struct cf_vexp *t, double *objective)
{
    enum cf_err err = cf_crew_run(&t->crew, album_pieces(t), want_piece, t);
    if (!err)
        err = in_slots(t, pull_albums);
    if (err)
        return err;
    for (uint32_t s = 0; s < t->sample_count; s++)
        finish_gradient(t, s);
    *objective = add_up(t, t->here);
    return CF_OK;
}

/* Puts the albums of the sample `album_step` along their gradients, each over its curvature; returns how much
 * the objective would grow if it were straight. */
static double place_albums(struct cf_vexp *t)
{
    double growth = 0;
    for (uint32_t s = 0; s < t->sample_count; s++)
        for (uint32_t j = 0; j < t->factors; j++) {
            size_t at = (size_t)s * t->factors + j;
            double move = t->album_step * t->gradient[at] / t->curvature[s];
            t->trial[at] = t->here[at] + (float)move;
            growth += move * t->gradient[at];
        }
    return growth;
}

static void adopt_trial(struct cf_vexp *t)
{
    float *moved = t->here;
    t->here = t->trial;
    t->trial = moved;
    for (uint32_t s = 0; s < t->sample_count; s++)
        memcpy(t->model->album_factors + (size_t)t->sample[s] * t->factors, t->here + (size_t)s * t->factors,
               t->factors * sizeof *t->here);
}

static enum cf_err move_albums(struct cf_vexp *t, double *objective)
{
    enum cf_err err = cf_vexp_album_gradients(t, objective);
    for (int i = 0; i < HALVINGS && !err; i++, t->album_step /= 2) {
        double growth = place_albums(t), there;
        err = in_slots(t, weigh_trial);
        there = add_up(t, t->trial);
        if (!err && there >= *objective + ENOUGH * growth) {
            adopt_trial(t);
            *objective = there;
            t->album_step *= 1.5;
            return CF_OK;
        }
    }
    t->album_step = 1;
    return err;
}

/* ---- sweeps ---- */

enum cf_err cf_vexp_sweep(struct cf_vexp *t, double *objective)
{
    enum cf_err err = in_slots(t, move_users);
    return err ? err : move_albums(t, objective);
}

/* Without replacement, ascending (Knuth, algorithm S). */
static void draw_sample(struct cf_vexp *t, struct cf_rng *rng)
{
    uint32_t taken = 0;
    for (uint32_t album = 0; taken < t->sample_count; album++)
        if (cf_rng_below(rng, t->data->album_count - album) < t->sample_count - taken)
            t->sample[taken++] = album;
    cf_vexp_take_sample(t);
}

void cf_vexp_take_sample(struct cf_vexp *t)
{
    memset(t->places, 0xFF, (size_t)t->data->album_count * sizeof *t->places); /* CF_NO_NUMBER */
    for (uint32_t s = 0; s < t->sample_count; s++) {
        float *b = t->here + (size_t)s * t->factors;
        t->places[t->sample[s]] = s;
        memcpy(b, t->model->album_factors + (size_t)t->sample[s] * t->factors, t->factors * sizeof *b);
        t->norms[s] = (float)dot(b, b, t->factors);
    }
}

static enum cf_err sweep_all(struct cf_vexp *t, const struct cf_model_options *options,
                             struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(options->seed ^ 0x5A3913u);
    uint32_t sweeps = options->sweeps ? options->sweeps : SWEEPS;
    double listens = 0;
    enum cf_err err = CF_OK;
    for (uint32_t i = 0; i < t->user_count; i++)
        listens += t->listens[i];
    for (uint32_t sweep = 1; sweep <= sweeps && !err; sweep++) {
        double objective = 0;
        draw_sample(t, &rng);
        err = cf_vexp_sweep(t, &objective);
        if (!err)
            err = cf_model_sweep(options, sweep, sweeps, objective / fmax(listens, 1), detail);
        else
            cf_fail(detail, err, "no memory to train vector_exp");
    }
    return err;
}

/* ---- where there are thumbs down ---- */

static bool has_downs(const struct cf_matrix *m)
{
    for (uint64_t i = 0; i < cf_matrix_nonzeros(m); i++)
        if (m->values[i] < 0)
            return true;
    return false;
}

/* log p_i into `bases`, and what the score adds, log p_i / q_i, into `biases`. */
static void set_bases(const struct cf_matrix *by_album, float *bases, float *biases)
{
    double ups = 0, all = (double)cf_matrix_nonzeros(by_album);
    for (uint64_t i = 0; i < cf_matrix_nonzeros(by_album); i++)
        ups += by_album->values[i] > 0;
    for (uint32_t album = 0; album < by_album->row_count; album++) {
        double own = PRIOR * fmax(ups, 1) / fmax(all, 1), thumbs = PRIOR;
        for (uint64_t i = by_album->first[album]; i < by_album->first[album + 1]; i++, thumbs++)
            own += by_album->values[i] > 0;
        bases[album] = (float)log(own);
        biases[album] = (float)log(own / thumbs);
    }
}

/* ---- memory ---- */

static void list_users(struct cf_vexp *t)
{
    const struct cf_matrix *m = t->data->by_user;
    for (uint32_t user = 0; user < t->data->user_count; user++) {
        if (!t->model->user_known[user])
            continue;
        for (uint64_t i = m->first[user]; i < m->first[user + 1]; i++)
            t->listens[t->user_count] += weight_of(m->values[i]);
        t->user_steps[t->user_count] = 1;
        t->users[t->user_count++] = user;
    }
}

enum cf_err cf_vexp_init(struct cf_vexp *t, const struct cf_training *data, struct cf_model *model,
                         double lambda, unsigned threads, struct cf_detail *detail)
{
    uint32_t albums = data->album_count, sample = albums < SAMPLE ? albums : SAMPLE;
    size_t users = (size_t)data->user_count + 1, numbers = (size_t)sample * model->factors + 1;
    *t = (struct cf_vexp){
        .data = data, .model = model, .crew = {threads, NULL, NULL}, .factors = model->factors};
    t->lambda = lambda;
    t->sample_count = sample;
    t->stands_for = (double)albums / fmax(sample, 1);
    t->album_step = 1;
    t->sample = calloc((size_t)sample + 1, sizeof *t->sample);
    t->places = calloc((size_t)albums + 1, sizeof *t->places);
    t->users = calloc(users, sizeof *t->users);
    t->listens = calloc(users, sizeof *t->listens);
    t->user_steps = calloc(users, sizeof *t->user_steps);
    t->here = calloc(numbers, sizeof *t->here);
    t->trial = calloc(numbers, sizeof *t->trial);
    t->norms = calloc((size_t)sample + 1, sizeof *t->norms);
    t->wanted = calloc(numbers, sizeof *t->wanted);
    t->others = calloc(album_pieces(t) + 1, sizeof *t->others);
    t->gradient = calloc(numbers, sizeof *t->gradient);
    t->curvature = calloc((size_t)sample + 1, sizeof *t->curvature);
    t->partial = calloc(CF_VEXP_SLOTS * partial_size(t) + 1, sizeof *t->partial);
    if (!t->sample || !t->places || !t->users || !t->listens || !t->user_steps || !t->here || !t->trial ||
        !t->norms || !t->wanted || !t->others || !t->gradient || !t->curvature || !t->partial)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to train vector_exp");
    list_users(t);
    if (!has_downs(data->by_album))
        return CF_OK;
    t->bases = calloc((size_t)albums + 1, sizeof *t->bases);
    if (!t->bases)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to train vector_exp");
    set_bases(data->by_album, t->bases, model->album_biases);
    return CF_OK;
}

void cf_vexp_fini(struct cf_vexp *t)
{
    void *all[] = {t->sample, t->places, t->users,  t->listens,  t->user_steps, t->here,    t->trial,
                   t->norms,  t->wanted, t->others, t->gradient, t->curvature,  t->partial, t->bases};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    *t = (struct cf_vexp){0};
}

enum cf_err cf_train_vector_exp(const struct cf_training *data, const struct cf_model_options *options,
                                struct cf_model **out, struct cf_detail *detail)
{
    struct cf_vexp t = {0};
    struct cf_model *model = NULL;
    enum cf_err err = cf_model_new(CF_MODEL_VECTOR_EXP, data, options->factors, true, &model, detail);
    if (err)
        return err;
    cf_model_scatter(model->album_factors, (size_t)data->album_count * options->factors, SCATTER,
                     options->seed);
    err = cf_vexp_init(&t, data, model, options->lambda > 0 ? options->lambda : LAMBDA, options->threads,
                       detail);
    if (!err)
        err = sweep_all(&t, options, detail);
    cf_vexp_fini(&t);
    if (err)
        cf_model_free(model);
    else
        *out = model;
    return err;
}
