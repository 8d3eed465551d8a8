/* The models of listening, and chance. */
#include "common/base/clock.h"
#include "common/base/rng.h"
#include "deploy/cli/eval.h"

#include <stdlib.h>

static bool on_sweep(void *arg, uint32_t sweep, uint32_t sweeps, double objective)
{
    struct cf_eval_watch *watch = arg;
    char words[64];
    snprintf(words, sizeof words, "sweeps of %s, objective %.6g", watch->name, objective);
    cf_progress_show(&watch->progress, sweep, sweeps, words, cf_clock_mono_ms());
    return true;
}

void cf_eval_watch(const struct cf_eval *eval, enum cf_model_kind kind, struct cf_model_options *options,
                   struct cf_eval_watch *watch)
{
    watch->name = cf_model_name(kind);
    cf_progress_init(&watch->progress, stderr, eval->options.json, cf_clock_mono_ms());
    options->sweep = on_sweep;
    options->sweep_arg = watch;
}

static enum cf_err score_thumbs(struct cf_eval *eval, const struct cf_model *model,
                                struct cf_eval_result *result, struct cf_detail *detail)
{
    struct cf_scorer *scorer = cf_scorer_new(model);
    if (!scorer)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to score %zu thumbs", eval->thumbs.count);
    for (size_t i = 0; i < eval->thumbs.count; i++) {
        bool known = false;
        cf_score(scorer, eval->thumbs.items[i].user, &eval->thumbs.items[i].album, 1,
                 &result->scored[i].score, &known);
        result->unknown += !known;
    }
    cf_scorer_free(scorer);
    return CF_OK;
}

static void describe_choice(const struct cf_eval_choice *choice, char *how, size_t room)
{
    int at = snprintf(how, room, "%s", choice->source == CF_EVAL_LIKES ? "likes" : "listens");
    if (choice->alpha > 0)
        at += snprintf(how + at, room - (size_t)at, ", alpha %g", choice->alpha);
    if (choice->lambda > 0)
        at += snprintf(how + at, room - (size_t)at, ", lambda %g", choice->lambda);
    if (choice->auc > 0)
        snprintf(how + at, room - (size_t)at, ": %.3f on held-out likes", choice->auc);
}

static enum cf_err train_and_score(struct cf_eval *eval, enum cf_model_kind kind,
                                   const struct cf_eval_choice *choice, struct cf_eval_result *result,
                                   struct cf_detail *detail)
{
    struct cf_model_options options = cf_eval_options_of(eval, kind, choice);
    struct cf_eval_watch watch;
    struct cf_eval_data data;
    struct cf_model *model = NULL;
    cf_eval_watch(eval, kind, &options, &watch);
    enum cf_err err =
        cf_eval_data_init(eval, choice->source, CF_EVAL_NO_FOLD, CF_EVAL_NO_FOLD, &data, detail);
    if (!err)
        err = cf_model_train(kind, &data.training, &options, &model, detail);
    cf_progress_clear(&watch.progress);
    if (!err)
        err = score_thumbs(eval, model, result, detail);
    cf_model_free(model);
    cf_eval_data_fini(&data);
    return err;
}

static enum cf_err judge_model(struct cf_eval *eval, enum cf_model_kind kind, struct cf_detail *detail)
{
    struct cf_eval_result *result = cf_eval_add(eval, cf_model_name(kind), CF_EVAL_BY_LISTENING);
    struct cf_eval_choice *choice = &eval->choices[kind];
    uint64_t began = cf_clock_mono_ms();
    if (!result)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the scores of %s", cf_model_name(kind));
    enum cf_err err = cf_eval_choose(eval, kind, choice, detail);
    if (!err)
        err = train_and_score(eval, kind, choice, result, detail);
    describe_choice(choice, result->how, sizeof result->how);
    result->seconds = (double)(cf_clock_mono_ms() - began) / 1000;
    return err;
}

static enum cf_err judge_chance(struct cf_eval *eval, struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(eval->options.seed ^ 0xC4A9CE);
    struct cf_eval_result *result = cf_eval_add(eval, "random", CF_EVAL_BY_NOTHING);
    if (!result)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for random scores");
    for (size_t i = 0; i < eval->thumbs.count; i++)
        result->scored[i].score = cf_rng_unit(&rng);
    return CF_OK;
}

enum cf_err cf_eval_models(struct cf_eval *eval, struct cf_detail *detail)
{
    static const enum cf_model_kind kinds[] = {CF_MODEL_POPULARITY, CF_MODEL_ITEM_ITEM, CF_MODEL_RNN,
                                               CF_MODEL_KOREN, CF_MODEL_VECTOR_EXP};
    enum cf_err err = judge_chance(eval, detail);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !err; i++)
        err = judge_model(eval, kinds[i], detail);
    return err;
}
