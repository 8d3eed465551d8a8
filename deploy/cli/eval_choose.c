/* With what a model is trained: the candidate that serves best on likes that were held out. The thumbs that
 * are judged have no say. */
#include <stdlib.h>

#include "common/base/clock.h"
#include "deploy/cli/eval.h"
#include "deploy/cli/progress.h"

/* Folds that a choice looks at, of CF_EVAL_FOLDS; and sweeps (0: the kind's own), fewer where they take long.
 */
static const struct effort {
    size_t folds;
    uint32_t sweeps;
} efforts[CF_MODEL_KIND_COUNT] = {[CF_MODEL_POPULARITY] = {5, 0},
                                  [CF_MODEL_ITEM_ITEM] = {2, 0},
                                  [CF_MODEL_KOREN] = {2, 8},
                                  [CF_MODEL_VECTOR_EXP] = {1, 0},
                                  [CF_MODEL_RNN] = {1, 3}};

static const struct candidate {
    enum cf_model_kind kind;
    struct cf_eval_choice choice;
} candidates[] = {
    {CF_MODEL_POPULARITY, {CF_EVAL_LISTENS, 0, 0, 0}},  {CF_MODEL_POPULARITY, {CF_EVAL_LIKES, 0, 1, 0}},
    {CF_MODEL_POPULARITY, {CF_EVAL_LIKES, 0, 5, 0}},    {CF_MODEL_POPULARITY, {CF_EVAL_LIKES, 0, 25, 0}},
    {CF_MODEL_ITEM_ITEM, {CF_EVAL_LISTENS, 0, 0, 0}},   {CF_MODEL_ITEM_ITEM, {CF_EVAL_LIKES, 0, 0, 0}},
    {CF_MODEL_KOREN, {CF_EVAL_LISTENS, 10, 30, 0}},     {CF_MODEL_KOREN, {CF_EVAL_LISTENS, 10, 100, 0}},
    {CF_MODEL_KOREN, {CF_EVAL_LISTENS, 40, 100, 0}},    {CF_MODEL_KOREN, {CF_EVAL_LIKES, 10, 100, 0}},
    {CF_MODEL_KOREN, {CF_EVAL_LIKES, 40, 300, 0}},      {CF_MODEL_KOREN, {CF_EVAL_LIKES, 100, 1000, 0}},
    {CF_MODEL_KOREN, {CF_EVAL_LIKES, 100, 2000, 0}},    {CF_MODEL_VECTOR_EXP, {CF_EVAL_LISTENS, 0, 1, 0}},
    {CF_MODEL_VECTOR_EXP, {CF_EVAL_LISTENS, 0, 10, 0}}, {CF_MODEL_VECTOR_EXP, {CF_EVAL_LIKES, 0, 6, 0}},
    {CF_MODEL_VECTOR_EXP, {CF_EVAL_LIKES, 0, 12, 0}},   {CF_MODEL_VECTOR_EXP, {CF_EVAL_LIKES, 0, 25, 0}},
    {CF_MODEL_RNN, {CF_EVAL_LISTENS, 0, 0, 0}},         {CF_MODEL_RNN, {CF_EVAL_LIKES, 0, 0, 0}},
};
enum { CANDIDATE_COUNT = sizeof candidates / sizeof *candidates };

struct cf_model_options cf_eval_options_of(const struct cf_eval *eval, enum cf_model_kind kind,
                                           const struct cf_eval_choice *choice)
{
    struct cf_model_options options = cf_model_options(kind);
    options.threads = (unsigned)eval->options.threads;
    options.seed = eval->options.seed;
    options.alpha = choice->alpha;
    options.lambda = choice->lambda;
    return options;
}

/* The AUC per user on a fold of the likes, of a model trained without it. */
static enum cf_err score_fold(const struct cf_eval *eval, const struct cf_model *model, size_t fold,
                              struct cf_scored *scored, double *value, struct cf_detail *detail)
{
    const struct cf_auc_options quick = {.resamples = 1, .seed = eval->options.seed};
    struct cf_auc auc;
    size_t count = 0, unknown;
    for (size_t i = fold; i < eval->liked.count; i += CF_EVAL_FOLDS, count++) {
        const struct cf_thumb *t = &eval->liked.items[i];
        scored[count] = (struct cf_scored){.user = t->user, .group = t->user, .up = t->up};
    }
    enum cf_err err = cf_eval_score(model, &eval->liked, fold, CF_EVAL_FOLDS, scored, &unknown, detail);
    if (!err)
        err = cf_auc_per_user(scored, count, &quick, &auc, detail);
    if (!err)
        *value = auc.value;
    return err;
}

static enum cf_err try_fold(const struct cf_eval *eval, const struct candidate *candidate, size_t fold,
                            struct cf_scored *scored, double *sum, struct cf_detail *detail)
{
    struct cf_eval_data data;
    struct cf_model *model = NULL;
    struct cf_model_options options = cf_eval_options_of(eval, candidate->kind, &candidate->choice);
    double value = 0;
    options.sweeps = efforts[candidate->kind].sweeps;
    enum cf_err err = cf_eval_data_init(eval, candidate->choice.source, fold, CF_EVAL_NO_FOLD, &data, detail);
    if (!err)
        err = cf_model_train(candidate->kind, &data.training, &options, &model, detail);
    if (!err)
        err = score_fold(eval, model, fold, scored, &value, detail);
    *sum += value;
    cf_model_free(model);
    cf_eval_data_fini(&data);
    return err;
}

static size_t candidates_of(enum cf_model_kind kind)
{
    size_t count = 0;
    for (size_t c = 0; c < CANDIDATE_COUNT; c++)
        count += candidates[c].kind == kind;
    return count;
}

/* Likes of both kinds, in every fold that is looked at, and enough of them that an AUC says something. */
static bool can_choose(const struct cf_eval *eval, enum cf_model_kind kind)
{
    enum { EACH_MIN = 50 };
    size_t ups = 0, downs = 0;
    for (size_t i = 0; i < eval->liked.count; i++)
        *(eval->liked.items[i].up ? &ups : &downs) += 1;
    for (size_t fold = 0; fold < efforts[kind].folds; fold++)
        if (!cf_eval_fold_tells(eval, fold))
            return false;
    return ups >= EACH_MIN && downs >= EACH_MIN;
}

enum cf_err cf_eval_choose(const struct cf_eval *eval, enum cf_model_kind kind, struct cf_eval_choice *choice,
                           struct cf_detail *detail)
{
    *choice = (struct cf_eval_choice){.source = CF_EVAL_LISTENS};
    if (!can_choose(eval, kind))
        return CF_OK;
    struct cf_scored *scored = calloc(eval->liked.count + 1, sizeof *scored);
    enum cf_err err = scored ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory to choose by likes");
    struct cf_progress progress;
    size_t done = 0, folds = efforts[kind].folds, all = candidates_of(kind) * folds;
    char words[64];
    snprintf(words, sizeof words, "trainings to choose %s by", cf_model_name(kind));
    cf_progress_init(&progress, stderr, eval->options.json, cf_clock_mono_ms());
    for (size_t c = 0; c < CANDIDATE_COUNT && !err; c++) {
        double sum = 0;
        if (candidates[c].kind != kind)
            continue;
        for (size_t fold = 0; fold < folds && !err; fold++) {
            err = try_fold(eval, &candidates[c], fold, scored, &sum, detail);
            cf_progress_show(&progress, ++done, all, words, cf_clock_mono_ms());
        }
        if (!err && sum / (double)folds > choice->auc) {
            *choice = candidates[c].choice;
            choice->auc = sum / (double)folds;
        }
    }
    cf_progress_clear(&progress);
    free(scored);
    return err;
}
