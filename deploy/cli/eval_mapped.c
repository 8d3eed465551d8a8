/* How an album looks, mapped to how it is listened to: every album's mapped vector comes from a mapping that
 * never saw it. Twice: `mapped`, where the users' factors know of the album's listeners, and `mapped cold`,
 * where all listens and likes of a fold's albums were held out from koren, too, as if nobody had played them
 * yet. */
#include <math.h>
#include <stdlib.h>

#include "deploy/cli/eval_map.h"

static double dot(const float *a, const float *b, uint32_t count)
{
    double sum = 0;
    for (uint32_t j = 0; j < count; j++)
        sum += (double)a[j] * (double)b[j];
    return sum;
}

/* Thumbs on albums of `fold` (CF_EVAL_NO_FOLD: on all) by the user's factors and the mapped vectors. */
static void score_thumbs(const struct cf_eval *eval, const struct cf_eval_rows *rows,
                         const struct cf_model *koren, size_t fold, const float *mapped,
                         struct cf_eval_result *result)
{
    for (size_t i = 0; i < eval->thumbs.count; i++) {
        const struct cf_thumb *t = &eval->thumbs.items[i];
        const float *user = cf_model_user_factors(koren, t->user);
        uint32_t row = rows->places[t->album];
        if (fold != CF_EVAL_NO_FOLD && cf_eval_album_fold(t->album) != fold)
            continue;
        result->scored[i].score = user && row != CF_NO_NUMBER
                                      ? dot(user, mapped + (size_t)row * rows->outputs, rows->outputs)
                                      : (double)NAN;
    }
}

static struct cf_eval_result *add_result(struct cf_eval *eval, const char *name, bool cold,
                                         enum cf_mapping_kind kind)
{
    struct cf_eval_result *result = cf_eval_add(eval, name, CF_EVAL_BY_MAPPING);
    if (!result)
        return NULL;
    result->folded = true;
    result->cold = cold;
    for (size_t i = 0; i < eval->thumbs.count && cold; i++)
        result->scored[i].group =
            eval->groups.of[i] * CF_EVAL_FOLDS + cf_eval_album_fold(eval->thumbs.items[i].album);
    snprintf(result->how, sizeof result->how, "koren's factors from %s%s", cf_mapping_kind_name(kind),
             cold ? ", listens held out" : "");
    return result;
}

static enum cf_err judge_warm(struct cf_eval *eval, struct cf_eval_rows *rows, const struct cf_model *koren,
                              enum cf_mapping_kind *kind, struct cf_detail *detail)
{
    float *mapped = NULL;
    enum cf_err err = cf_eval_map_folds(eval, rows, koren, kind, &mapped, detail);
    struct cf_eval_result *result = err ? NULL : add_result(eval, "mapped", false, *kind);
    if (!err && !result)
        err = cf_fail(detail, CF_E_NO_MEMORY, "no memory for mapped scores");
    if (!err) {
        score_thumbs(eval, rows, koren, CF_EVAL_NO_FOLD, mapped, result);
        err = cf_eval_fill_unknown(result->scored, eval->thumbs.count, &result->unknown, detail);
    }
    free(mapped);
    return err;
}

static enum cf_err judge_cold(struct cf_eval *eval, struct cf_eval_rows *rows, enum cf_mapping_kind kind,
                              struct cf_detail *detail)
{
    struct cf_eval_result *result = add_result(eval, "mapped cold", true, kind);
    enum cf_err err = result ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for mapped scores");
    for (size_t fold = 0; fold < CF_EVAL_FOLDS && !err; fold++) {
        struct cf_model *koren = NULL;
        float *mapped = NULL;
        err = cf_eval_train_koren(eval, fold, &koren, detail);
        if (!err)
            err = cf_eval_map_fold(eval, rows, koren, kind, fold, &mapped, detail);
        if (!err)
            score_thumbs(eval, rows, koren, fold, mapped, result);
        free(mapped);
        cf_model_free(koren);
    }
    if (!err)
        err = cf_eval_fill_unknown(result->scored, eval->thumbs.count, &result->unknown, detail);
    return err;
}

/* Too little to learn a mapping from is no error of the others. */
static void tell_passed_over(const struct cf_eval *eval)
{
    char sentence[128];
    snprintf(sentence, sizeof sentence,
             "fewer than %d albums have both listens and a vector in every space: passed over",
             CF_EVAL_MAP_ROWS_MIN);
    cf_say_named(eval->command->name, cf_str("mapped"), cf_str(""), cf_str(sentence));
}

enum cf_err cf_eval_mapped(struct cf_eval *eval, struct cf_detail *detail)
{
    struct cf_eval_rows rows;
    struct cf_model *koren = NULL;
    enum cf_mapping_kind kind;
    enum cf_err err = cf_eval_rows_init(eval, &rows, detail);
    if (!err && rows.count >= CF_EVAL_MAP_ROWS_MIN)
        err = cf_eval_train_koren(eval, CF_EVAL_NO_FOLD, &koren, detail);
    if (!err && koren && cf_eval_can_map(&rows, koren)) {
        err = judge_warm(eval, &rows, koren, &kind, detail);
        if (!err)
            err = judge_cold(eval, &rows, kind, detail);
    } else if (!err && eval->look_count) {
        tell_passed_over(eval);
    }
    cf_model_free(koren);
    cf_eval_rows_fini(&rows);
    return err;
}
