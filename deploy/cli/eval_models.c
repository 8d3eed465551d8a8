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

static int compare_users(const void *a, const void *b, void *arg)
{
    const struct cf_thumbs *thumbs = arg;
    uint32_t x = thumbs->items[*(const size_t *)a].user, y = thumbs->items[*(const size_t *)b].user;
    return (x > y) - (x < y);
}

enum cf_err cf_eval_score(const struct cf_model *model, const struct cf_thumbs *thumbs, size_t from,
                          size_t step, struct cf_scored *scored, size_t *unknown, struct cf_detail *detail)
{
    struct cf_scorer *scorer = cf_scorer_new(model);
    size_t *order = calloc(thumbs->count + 1, sizeof *order), count = 0;
    enum cf_err err = scorer && order
                          ? CF_OK
                          : cf_fail(detail, CF_E_NO_MEMORY, "no memory to score %zu thumbs", thumbs->count);
    *unknown = 0;
    for (size_t i = from; !err && i < thumbs->count; i += step)
        order[count++] = i;
    if (!err)
        qsort_r(order, count, sizeof *order, compare_users, (void *)(uintptr_t)thumbs);
    for (size_t i = 0; i < count; i++) {
        const struct cf_thumb *t = &thumbs->items[order[i]];
        bool known = false;
        cf_score(scorer, t->user, &t->album, 1, &scored[(order[i] - from) / step].score, &known);
        *unknown += !known;
    }
    cf_scorer_free(scorer);
    free(order);
    return err;
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
        err = cf_eval_score(model, &eval->thumbs, 0, 1, result->scored, &result->unknown, detail);
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
