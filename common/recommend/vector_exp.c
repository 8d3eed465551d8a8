/* Factors under a softmax, as in the post: P(album i | user u) = exp(a_u·b_i) / Z_u.
 *
 *     maximise sum over listens of n_ui a_u·b_i - sum n_u log Z_u - lambda/2 (sum |a|² + sum |b|²)
 *
 * Users and albums in turn. Given the albums every user's part is concave in a_u, and given the users all of it is in b: both
 * take steps of gradient ascent, scaled by a bound of the curvature, whose length is halved until the objective grows. So it
 * never falls where Z_u is summed over all albums.
 *
 * Of more than SAMPLE albums each sweep draws SAMPLE of them: Z_u is their sum times how many each stands for, and only
 * those albums move. The objective of a sweep is then that of its sample. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/recommend/model_inside.h"

enum { SWEEPS = 60, SAMPLE = 4096, HALVINGS = 12, SLOTS = 16 };
#define LAMBDA    1.0
#define SCATTER   .1
#define ENOUGH    1e-4 /* of the growth that the gradient promises (Armijo) */

struct training {
    const struct cf_training *data;
    const struct cf_model_options *options;
    struct cf_crew crew;
    struct cf_model *model;
    uint32_t factors, sample_count;
    uint32_t *sample; /* [sample_count]: albums, ascending */
    double stands_for; /* albums for each of the sample */
    double lambda;
    double *user_steps; /* [users]: the length that served last */
    double album_step;
    float *trial;      /* [sample_count][factors]: where the albums might go */
    double *partial;   /* of every slot: gradient [sample_count][factors], curvature [sample_count] */
    double sums[SLOTS]; /* of every slot: a part of the objective */
    enum cf_err errors[SLOTS];
};

static double dot(const float *a, const float *b, uint32_t f)
{
    double sum[4] = {0, 0, 0, 0};
    uint32_t j = 0;
    for (; j + 4 <= f; j += 4)
        for (unsigned i = 0; i < 4; i++)
            sum[i] += (double)a[j + i] * (double)b[j + i];
    for (; j < f; j++)
        sum[0] += (double)a[j] * (double)b[j];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static const float *album_at(const struct training *t, uint32_t place)
{
    return t->model->album_factors + (size_t)t->sample[place] * t->factors;
}

/* log Z_u, and the probability of each album of the sample (as one of those that it stands for). `trial`: where the albums
 * of the sample might be; NULL: where they are. */
static double partition_of(const struct training *t, const float *a, const float *trial, double *shares)
{
    double most = -INFINITY, sum = 0;
    for (uint32_t s = 0; s < t->sample_count; s++) {
        shares[s] = dot(a, trial ? trial + (size_t)s * t->factors : album_at(t, s), t->factors);
        most = shares[s] > most ? shares[s] : most;
    }
    for (uint32_t s = 0; s < t->sample_count; s++)
        sum += shares[s] = exp(shares[s] - most);
    for (uint32_t s = 0; s < t->sample_count; s++)
        shares[s] /= sum;
    return most + log(sum * t->stands_for);
}

/* ---- users ---- */

struct user {
    uint32_t number;
    double listens;  /* n_u */
    float *a;        /* where the user is */
    double *wanted;  /* [factors]: sum n_ui b_i */
    double *shares;  /* [sample_count] */
    double *gradient;
    float *trial;
};

static double user_objective(const struct training *t, const struct user *u, const float *a, double log_z)
{
    double value = -u->listens * log_z - .5 * t->lambda * dot(a, a, t->factors);
    for (uint32_t j = 0; j < t->factors; j++)
        value += u->wanted[j] * (double)a[j];
    return value;
}

static void sum_wanted(const struct training *t, struct user *u)
{
    const struct cf_matrix *m = t->data->by_user;
    u->listens = 0;
    memset(u->wanted, 0, t->factors * sizeof *u->wanted);
    for (uint64_t i = m->first[u->number]; i < m->first[u->number + 1]; i++) {
        const float *b = t->model->album_factors + (size_t)m->columns[i] * t->factors;
        u->listens += (double)m->values[i];
        for (uint32_t j = 0; j < t->factors; j++)
            u->wanted[j] += (double)m->values[i] * (double)b[j];
    }
}

/* wanted - n E[b] - lambda a; returns its square. The curvature along it is at most lambda + n E|b|², which scales it. */
static double user_gradient(const struct training *t, struct user *u, double *curvature)
{
    double square = 0, spread = 0;
    for (uint32_t j = 0; j < t->factors; j++)
        u->gradient[j] = u->wanted[j] - t->lambda * (double)u->a[j];
    for (uint32_t s = 0; s < t->sample_count; s++) {
        const float *b = album_at(t, s);
        double share = u->listens * u->shares[s];
        for (uint32_t j = 0; j < t->factors; j++)
            u->gradient[j] -= share * (double)b[j];
        spread += u->shares[s] * dot(b, b, t->factors);
    }
    for (uint32_t j = 0; j < t->factors; j++)
        square += u->gradient[j] * u->gradient[j];
    *curvature = t->lambda + u->listens * spread;
    return square;
}

static void move_user(struct training *t, struct user *u)
{
    double *step = &t->user_steps[u->number], curvature, log_z = partition_of(t, u->a, NULL, u->shares);
    double here = user_objective(t, u, u->a, log_z), square = user_gradient(t, u, &curvature);
    for (int i = 0; i < HALVINGS; i++, *step /= 2) {
        double length = *step / curvature;
        for (uint32_t j = 0; j < t->factors; j++)
            u->trial[j] = u->a[j] + (float)(length * u->gradient[j]);
        double there_z = partition_of(t, u->trial, NULL, u->shares), there = user_objective(t, u, u->trial, there_z);
        if (there >= here + ENOUGH * length * square) {
            memcpy(u->a, u->trial, t->factors * sizeof *u->a);
            *step *= 1.5;
            return;
        }
    }
    *step = 1;
}

/* Room for one slot's users, in one allocation. */
static bool user_init(const struct training *t, struct user *u)
{
    double *memory = calloc((size_t)t->sample_count + 3 * (size_t)t->factors, sizeof *memory);
    u->shares = memory;
    if (!memory)
        return false;
    u->wanted = memory + t->sample_count;
    u->gradient = u->wanted + t->factors;
    u->trial = (float *)(void *)(u->gradient + t->factors);
    return true;
}

/* Every user of slot, slot + SLOTS, … in pieces. Slots are worked on at the same time, their results are added up in order:
 * so many whatever the threads. */
static void each_user(struct training *t, size_t slot, void (*visit)(struct training *t, size_t slot, struct user *u))
{
    struct user u = {0};
    if (!user_init(t, &u)) {
        t->errors[slot] = CF_E_NO_MEMORY;
        return;
    }
    for (uint32_t i = (uint32_t)slot; i < t->data->user_count; i += SLOTS) {
        if (!t->model->user_known[i])
            continue;
        u.number = i;
        u.a = t->model->user_factors + (size_t)i * t->factors;
        sum_wanted(t, &u);
        visit(t, slot, &u);
    }
    free(u.shares);
}

static enum cf_err in_slots(struct training *t, void (*work)(void *arg, size_t slot))
{
    enum cf_err err = cf_crew_run(&t->crew, SLOTS, work, t);
    for (size_t i = 0; i < SLOTS && !err; i++)
        err = t->errors[i];
    return err;
}

static void move_one(struct training *t, size_t slot, struct user *u)
{
    (void)slot;
    move_user(t, u);
}

static void move_users(void *arg, size_t slot)
{
    each_user(arg, slot, move_one);
}

/* ---- albums ---- */

static size_t partial_size(const struct training *t)
{
    return (size_t)t->sample_count * (t->factors + 1);
}

/* What a user asks of the albums of the sample: -n P(i|u) a, and that much curvature. */
static void pull_one(struct training *t, size_t slot, struct user *u)
{
    double *gradient = t->partial + slot * partial_size(t), *curvature = gradient + (size_t)t->sample_count * t->factors;
    double square = dot(u->a, u->a, t->factors);
    partition_of(t, u->a, NULL, u->shares);
    for (uint32_t s = 0; s < t->sample_count; s++) {
        double share = u->listens * u->shares[s];
        for (uint32_t j = 0; j < t->factors; j++)
            gradient[(size_t)s * t->factors + j] -= share * (double)u->a[j];
        curvature[s] += share * square;
    }
}

static void pull_albums(void *arg, size_t slot)
{
    struct training *t = arg;
    memset(t->partial + slot * partial_size(t), 0, partial_size(t) * sizeof *t->partial);
    each_user(t, slot, pull_one);
}

/* The gradient of one album of the sample into the first slot, with what its listeners ask for. */
static void finish_gradient(struct training *t, uint32_t s)
{
    const struct cf_matrix *m = t->data->by_album;
    double *gradient = t->partial + (size_t)s * t->factors;
    const float *b = album_at(t, s);
    for (size_t slot = 1; slot < SLOTS; slot++)
        for (uint32_t j = 0; j < t->factors; j++)
            gradient[j] += t->partial[slot * partial_size(t) + (size_t)s * t->factors + j];
    for (uint64_t i = m->first[t->sample[s]]; i < m->first[t->sample[s] + 1]; i++) {
        const float *a = t->model->user_factors + (size_t)m->columns[i] * t->factors;
        for (uint32_t j = 0; j < t->factors; j++)
            gradient[j] += (double)m->values[i] * (double)a[j];
    }
    for (uint32_t j = 0; j < t->factors; j++)
        gradient[j] -= t->lambda * (double)b[j];
}

/* Makes directions of the gradients, each over its curvature; returns how fast the objective grows along them. */
static double make_directions(struct training *t)
{
    double *curvature = t->partial + (size_t)t->sample_count * t->factors, growth = 0;
    for (uint32_t s = 0; s < t->sample_count; s++) {
        double *gradient = t->partial + (size_t)s * t->factors;
        finish_gradient(t, s);
        for (size_t slot = 1; slot < SLOTS; slot++)
            curvature[s] += t->partial[slot * partial_size(t) + (size_t)t->sample_count * t->factors + s];
        for (uint32_t j = 0; j < t->factors; j++) {
            double square = gradient[j] * gradient[j];
            gradient[j] /= t->lambda + curvature[s];
            growth += square / (t->lambda + curvature[s]);
        }
    }
    return growth;
}

static void weigh_one(struct training *t, size_t slot, struct user *u)
{
    t->sums[slot] -= u->listens * partition_of(t, u->a, t->trial, u->shares) + .5 * t->lambda * dot(u->a, u->a, t->factors);
}

static void weigh_users(void *arg, size_t slot)
{
    struct training *t = arg;
    t->sums[slot] = 0;
    each_user(t, slot, weigh_one);
}

/* What the listens and the albums' own lengths bring, with the albums of the sample at `trial`. */
static double weigh_albums(const struct training *t)
{
    const struct cf_matrix *m = t->data->by_album;
    double sum = 0;
    for (uint32_t album = 0, s = 0; album < t->data->album_count; album++) {
        bool sampled = s < t->sample_count && t->sample[s] == album;
        const float *b = sampled ? t->trial + (size_t)s * t->factors
                                 : t->model->album_factors + (size_t)album * t->factors;
        s += sampled;
        sum -= .5 * t->lambda * dot(b, b, t->factors);
        for (uint64_t i = m->first[album]; i < m->first[album + 1]; i++)
            sum += (double)m->values[i] *
                   dot(t->model->user_factors + (size_t)m->columns[i] * t->factors, b, t->factors);
    }
    return sum;
}

static enum cf_err objective_at_trial(struct training *t, double *objective)
{
    enum cf_err err = in_slots(t, weigh_users);
    *objective = weigh_albums(t);
    for (size_t i = 0; i < SLOTS; i++)
        *objective += t->sums[i];
    return err;
}

static void place_trial(struct training *t, double length)
{
    for (uint32_t s = 0; s < t->sample_count; s++) {
        const float *b = album_at(t, s);
        for (uint32_t j = 0; j < t->factors; j++) {
            size_t at = (size_t)s * t->factors + j;
            t->trial[at] = length > 0 ? b[j] + (float)(length * t->partial[at]) : b[j];
        }
    }
}

static void adopt_trial(struct training *t)
{
    for (uint32_t s = 0; s < t->sample_count; s++)
        memcpy(t->model->album_factors + (size_t)t->sample[s] * t->factors, t->trial + (size_t)s * t->factors,
               t->factors * sizeof *t->trial);
}

/* `*objective` afterwards is that of where the albums are. */
static enum cf_err move_albums(struct training *t, double *objective)
{
    double there = 0;
    enum cf_err err = in_slots(t, pull_albums);
    if (err)
        return err;
    double growth = make_directions(t);
    place_trial(t, 0);
    err = objective_at_trial(t, objective);
    for (int i = 0; i < HALVINGS && !err; i++, t->album_step /= 2) {
        place_trial(t, t->album_step);
        err = objective_at_trial(t, &there);
        if (!err && there >= *objective + ENOUGH * t->album_step * growth) {
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

/* Without replacement, ascending (Knuth, algorithm S). */
static void draw_sample(struct training *t, struct cf_rng *rng)
{
    uint32_t taken = 0;
    for (uint32_t album = 0; taken < t->sample_count; album++)
        if (cf_rng_below(rng, t->data->album_count - album) < t->sample_count - taken)
            t->sample[taken++] = album;
}

static enum cf_err sweep_all(struct training *t, struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(t->options->seed ^ 0x5A3913u);
    uint32_t sweeps = t->options->sweeps ? t->options->sweeps : SWEEPS;
    double listens = 0;
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < t->data->listens->count; i++)
        listens += (double)t->data->listens->items[i].count;
    for (uint32_t sweep = 1; sweep <= sweeps && !err; sweep++) {
        double objective = 0;
        draw_sample(t, &rng);
        err = in_slots(t, move_users);
        if (!err)
            err = move_albums(t, &objective);
        if (!err)
            err = cf_model_sweep(t->options, sweep, sweeps, objective / fmax(listens, 1), detail);
        else
            cf_fail(detail, err, "no memory to train vector_exp");
    }
    return err;
}

static bool training_init(struct training *t)
{
    uint32_t albums = t->data->album_count;
    t->sample_count = albums < SAMPLE ? albums : SAMPLE;
    t->stands_for = (double)albums / fmax(t->sample_count, 1);
    t->album_step = 1;
    t->sample = calloc((size_t)t->sample_count + 1, sizeof *t->sample);
    t->user_steps = malloc(((size_t)t->data->user_count + 1) * sizeof *t->user_steps);
    t->trial = calloc((size_t)t->sample_count * t->factors + 1, sizeof *t->trial);
    t->partial = calloc(SLOTS * partial_size(t) + 1, sizeof *t->partial);
    for (uint32_t i = 0; t->user_steps && i < t->data->user_count; i++)
        t->user_steps[i] = 1;
    return t->sample && t->user_steps && t->trial && t->partial;
}

enum cf_err cf_train_vector_exp(const struct cf_training *data, const struct cf_model_options *options,
                                struct cf_model **out, struct cf_detail *detail)
{
    struct training t = {.data = data,
                         .options = options,
                         .crew = {options->threads, NULL, NULL},
                         .factors = options->factors,
                         .lambda = options->lambda > 0 ? options->lambda : LAMBDA};
    enum cf_err err = cf_model_new(CF_MODEL_VECTOR_EXP, data, options->factors, false, &t.model, detail);
    if (err)
        return err;
    cf_model_scatter(t.model->album_factors, (size_t)data->album_count * t.factors, SCATTER, options->seed);
    err = training_init(&t) ? sweep_all(&t, detail) : cf_fail(detail, CF_E_NO_MEMORY, "no memory to train vector_exp");
    free(t.sample);
    free(t.user_steps);
    free(t.trial);
    free(t.partial);
    if (err)
        cf_model_free(t.model);
    else
        *out = t.model;
    return err;
}
