#include "common/recommend/model_inside.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"

enum { FACTORS = 40 };

static const struct {
    const char *name;
    cf_model_trainer *train;
    bool has_factors;
} kinds[CF_MODEL_KIND_COUNT] = {
    [CF_MODEL_POPULARITY] = {"popularity", cf_train_popularity, false},
    [CF_MODEL_ITEM_ITEM] = {"item_item", cf_train_item_item, false},
    [CF_MODEL_KOREN] = {"koren", cf_train_koren, true},
    [CF_MODEL_VECTOR_EXP] = {"vector_exp", cf_train_vector_exp, true},
    [CF_MODEL_RNN] = {"rnn", cf_train_rnn, true},
};

const char *cf_model_name(enum cf_model_kind kind)
{
    return kinds[kind].name;
}

struct cf_model_options cf_model_options(enum cf_model_kind kind)
{
    return (struct cf_model_options){
        .factors = kinds[kind].has_factors ? FACTORS : 0, .threads = 1, .seed = 1};
}

enum cf_err cf_model_train(enum cf_model_kind kind, const struct cf_training *training,
                           const struct cf_model_options *options, struct cf_model **model,
                           struct cf_detail *detail)
{
    if (kinds[kind].has_factors && (options->factors < 1 || options->factors > CF_MODEL_FACTORS_MAX))
        return cf_fail(detail, CF_E_INVALID, "%u factors: 1 to %d are possible", options->factors,
                       CF_MODEL_FACTORS_MAX);
    if (options->threads < 1)
        return cf_fail(detail, CF_E_INVALID, "training needs at least one thread");
    return kinds[kind].train(training, options, model, detail);
}

uint64_t cf_model_bytes(enum cf_model_kind kind, const struct cf_training *training,
                        const struct cf_model_options *options)
{
    uint64_t rows = (uint64_t)training->user_count + training->album_count;
    uint64_t bytes = rows * (1 + (uint64_t)options->factors * sizeof(float));
    if (kind == CF_MODEL_ITEM_ITEM) /* its lists of similar albums, and a copy of what was listened to */
        bytes += training->album_count * (uint64_t)CF_MODEL_SIMILAR_MAX * 8 +
                 cf_matrix_nonzeros(training->by_user) * 8;
    if (kind == CF_MODEL_RNN) /* two rows an album, a bias, and Adam's two moments of each; the sequences */
        bytes += training->album_count * (2 * (uint64_t)options->factors + 1) * 3 * sizeof(float) +
                 training->listens->count * (sizeof(uint32_t) + sizeof(uint64_t));
    if (kind == CF_MODEL_VECTOR_EXP) /* what its steps remember of a user */
        bytes += training->user_count * (uint64_t)(sizeof(uint32_t) + 2 * sizeof(double));
    return bytes;
}

static void mark_known(const struct cf_matrix *rows, uint8_t *known)
{
    for (uint32_t i = 0; i < rows->row_count; i++)
        known[i] = rows->first[i + 1] > rows->first[i];
}

enum cf_err cf_model_new(enum cf_model_kind kind, const struct cf_training *training, uint32_t factors,
                         bool biases, struct cf_model **out, struct cf_detail *detail)
{
    struct cf_model *model = calloc(1, sizeof *model);
    if (!model)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a model");
    model->kind = kind;
    model->user_count = training->user_count;
    model->album_count = training->album_count;
    model->factors = factors;
    model->user_known = calloc((size_t)model->user_count + 1, 1);
    model->album_known = calloc((size_t)model->album_count + 1, 1);
    bool complete = model->user_known && model->album_known;
    if (factors) {
        model->user_factors = calloc((size_t)model->user_count * factors + 1, sizeof(float));
        model->album_factors = calloc((size_t)model->album_count * factors + 1, sizeof(float));
        complete = complete && model->user_factors && model->album_factors;
    }
    if (biases) {
        model->album_biases = calloc((size_t)model->album_count + 1, sizeof(float));
        complete = complete && model->album_biases;
    }
    if (!complete) {
        cf_model_free(model);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a model of %u users and %u albums",
                       training->user_count, training->album_count);
    }
    mark_known(training->by_user, model->user_known);
    mark_known(training->by_album, model->album_known);
    *out = model;
    return CF_OK;
}

void cf_model_free(struct cf_model *model)
{
    if (!model)
        return;
    free(model->user_known);
    free(model->album_known);
    free(model->user_factors);
    free(model->album_factors);
    free(model->album_biases);
    free(model->extra);
    cf_matrix_fini(&model->similar);
    cf_matrix_fini(&model->history);
    free(model);
}

enum cf_err cf_model_sweep(const struct cf_model_options *options, uint32_t sweep, uint32_t sweeps,
                           double objective, struct cf_detail *detail)
{
    if (!options->sweep || options->sweep(options->sweep_arg, sweep, sweeps, objective))
        return CF_OK;
    return cf_fail(detail, CF_E_SHUTTING_DOWN, "training was ended after sweep %u of %u", sweep, sweeps);
}

void cf_model_scatter(float *values, size_t count, double scale, uint64_t seed)
{
    struct cf_rng rng = cf_rng(seed);
    for (size_t i = 0; i < count; i++) /* the sum of four is near enough to a normal distribution */
        values[i] = (float)(scale * (cf_rng_unit(&rng) + cf_rng_unit(&rng) + cf_rng_unit(&rng) +
                                     cf_rng_unit(&rng) - 2));
}

enum cf_model_kind cf_model_kind(const struct cf_model *model)
{
    return model->kind;
}

uint32_t cf_model_factor_count(const struct cf_model *model)
{
    return model->factors;
}

const float *cf_model_album_factors(const struct cf_model *model, uint32_t album)
{
    bool known = model->factors && album < model->album_count && model->album_known[album];
    return known ? model->album_factors + (size_t)album * model->factors : NULL;
}

const float *cf_model_user_factors(const struct cf_model *model, uint32_t user)
{
    bool known = model->factors && user < model->user_count && model->user_known[user];
    return known ? model->user_factors + (size_t)user * model->factors : NULL;
}

/* ---- scores ---- */

struct cf_scorer {
    const struct cf_model *model;
    float *sums;   /* item_item: by album, of the user `summed` */
    bool has_sums; /* else they are all zero */
    uint32_t summed;
};

struct cf_scorer *cf_scorer_new(const struct cf_model *model)
{
    struct cf_scorer *scorer = calloc(1, sizeof *scorer);
    if (!scorer)
        return NULL;
    scorer->model = model;
    scorer->sums = calloc((size_t)model->album_count + 1, sizeof *scorer->sums);
    if (scorer->sums)
        return scorer;
    free(scorer);
    return NULL;
}

void cf_scorer_free(struct cf_scorer *scorer)
{
    if (!scorer)
        return;
    free(scorer->sums);
    free(scorer);
}

/* How much each album is like the user's together; or, with `clear`, nothing again. */
static void sum_similar(struct cf_scorer *scorer, uint32_t user, bool clear)
{
    const struct cf_matrix *history = &scorer->model->history, *similar = &scorer->model->similar;
    if (user >= history->row_count)
        return;
    for (uint64_t i = history->first[user]; i < history->first[user + 1]; i++) {
        uint32_t album = history->columns[i];
        float sign = history->values[i] < 0 ? -1 : 1;
        for (uint64_t s = similar->first[album]; s < similar->first[album + 1]; s++)
            scorer->sums[similar->columns[s]] =
                clear ? 0 : scorer->sums[similar->columns[s]] + sign * similar->values[s];
    }
}

/* Users come one after the other, each with many calls: a history may be long. */
static void sum_of_user(struct cf_scorer *scorer, uint32_t user)
{
    if (scorer->has_sums && scorer->summed == user)
        return;
    if (scorer->has_sums)
        sum_similar(scorer, scorer->summed, true);
    sum_similar(scorer, user, false);
    scorer->has_sums = true;
    scorer->summed = user;
}

static double score_of(const struct cf_scorer *scorer, uint32_t user, uint32_t album)
{
    const struct cf_model *m = scorer->model;
    const float *x = cf_model_user_factors(m, user), *y = cf_model_album_factors(m, album);
    double score = 0;
    if (album >= m->album_count)
        return 0;
    if (m->kind == CF_MODEL_ITEM_ITEM)
        return (double)scorer->sums[album];
    if (m->album_biases && (m->kind == CF_MODEL_POPULARITY || m->album_known[album]))
        score = (double)m->album_biases[album];
    for (uint32_t j = 0; x && y && j < m->factors; j++)
        score += (double)x[j] * (double)y[j];
    return score;
}

void cf_score(struct cf_scorer *scorer, uint32_t user, const uint32_t *albums, size_t count, double *scores,
              bool *known)
{
    const struct cf_model *m = scorer->model;
    bool user_known = m->kind == CF_MODEL_POPULARITY || (user < m->user_count && m->user_known[user]);
    if (m->kind == CF_MODEL_ITEM_ITEM)
        sum_of_user(scorer, user);
    for (size_t i = 0; i < count; i++) {
        scores[i] = score_of(scorer, user, albums[i]);
        if (known)
            known[i] = user_known && albums[i] < m->album_count && m->album_known[albums[i]];
    }
}
