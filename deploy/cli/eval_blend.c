/* Look and listening together: a logistic blend of the models' scores, fitted on other users' thumbs than
 * those it scores (folds of users). Every score enters as its distance from the user's mean (or that of
 * the user's seed) in the standard deviations there, so that no offset is learned; how an album looks may
 * count the more, the fewer listened to it. */
#include <math.h>
#include <stdlib.h>

#include "common/recommend/logistic.h"
#include "deploy/cli/eval.h"

enum { LISTENERS_HALF = 10 }; /* so many listeners, and it looks half as cold */
#define LAMBDA 10.0

struct blend {
    struct cf_eval *eval;
    const struct cf_eval_result *members[CF_LOGISTIC_WIDTH_MAX];
    size_t member_count, width;
    double *rows;   /* [thumbs][width] */
    double *others; /* the rows of the users that the blend is fitted on */
    bool *up;
};

/* What a blend is made of. */
struct parts {
    const char *name;
    bool look, listening;
};

static bool is_member(const struct cf_eval_result *result, const struct parts *parts)
{
    switch (result->cold ? CF_EVAL_BY_NOTHING : result->by) {
    case CF_EVAL_BY_LOOK:
        return parts->look;
    case CF_EVAL_BY_LISTENING:
        return parts->listening;
    case CF_EVAL_BY_MAPPING:
        return parts->look && parts->listening;
    default:
        return false;
    }
}

static bool is_look(const struct cf_eval_result *result)
{
    return result->by == CF_EVAL_BY_LOOK || result->by == CF_EVAL_BY_MAPPING;
}

static void add_to(double *sums, double value)
{
    sums[0] += 1;
    sums[1] += value;
    sums[2] += value * value;
}

/* Column `column` of the rows: the member's scores, each group's with mean 0 and variance 1. */
static void put_scores(struct blend *b, size_t column, const struct cf_scored *scored, double *sums)
{
    size_t count = b->eval->thumbs.count;
    for (size_t i = 0; i < count; i++)
        memset(sums + 3 * (size_t)scored[i].group, 0, 3 * sizeof *sums);
    for (size_t i = 0; i < count; i++)
        add_to(sums + 3 * (size_t)scored[i].group, scored[i].score);
    for (size_t i = 0; i < count; i++) {
        const double *s = sums + 3 * (size_t)scored[i].group;
        double mean = s[1] / s[0], variance = s[2] / s[0] - mean * mean;
        b->rows[i * b->width + column] =
            variance > 1e-12 * (1 + mean * mean) ? (scored[i].score - mean) / sqrt(variance) : 0;
    }
}

/* How cold an album is: 1 without listeners, then ever less. */
static double coldness_of(const struct cf_eval *eval, uint32_t album)
{
    double listeners = (double)(eval->by_album.first[album + 1] - eval->by_album.first[album]);
    return LISTENERS_HALF / (LISTENERS_HALF + listeners);
}

static enum cf_err fill_rows(struct blend *b, struct cf_detail *detail)
{
    const struct cf_eval *eval = b->eval;
    double *sums = calloc(3 * ((size_t)eval->groups.count + 1), sizeof *sums);
    size_t column = b->member_count;
    if (!sums)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a blend");
    for (size_t m = 0; m < b->member_count; m++)
        put_scores(b, m, b->members[m]->scored, sums);
    for (size_t m = 0; m < b->member_count && b->width > b->member_count; m++) {
        if (!is_look(b->members[m]))
            continue;
        for (size_t i = 0; i < eval->thumbs.count; i++)
            b->rows[i * b->width + column] =
                b->rows[i * b->width + m] * coldness_of(eval, eval->thumbs.items[i].album);
        column++;
    }
    free(sums);
    return CF_OK;
}

static enum cf_err score_fold(struct blend *b, uint32_t fold, struct cf_scored *scored,
                              struct cf_detail *detail)
{
    const struct cf_eval *eval = b->eval;
    double weights[CF_LOGISTIC_WIDTH_MAX + 1];
    size_t others = 0;
    for (size_t i = 0; i < eval->thumbs.count; i++)
        if (eval->thumbs.items[i].user % CF_EVAL_FOLDS != fold) {
            memcpy(b->others + others * b->width, b->rows + i * b->width, b->width * sizeof *b->rows);
            b->up[others++] = eval->thumbs.items[i].up;
        }
    enum cf_err err = cf_logistic_fit(b->others, b->up, others, b->width, LAMBDA, weights, detail);
    for (size_t i = 0; i < eval->thumbs.count && !err; i++)
        if (eval->thumbs.items[i].user % CF_EVAL_FOLDS == fold)
            scored[i].score = cf_logistic_score(weights, b->rows + i * b->width, b->width);
    return err;
}

static enum cf_err blend_members(struct blend *b, const char *name, struct cf_detail *detail)
{
    size_t count = b->eval->thumbs.count;
    struct cf_eval_result *result = cf_eval_add(b->eval, name, CF_EVAL_BY_NOTHING);
    b->rows = calloc(count * b->width + 1, sizeof *b->rows);
    b->others = calloc(count * b->width + 1, sizeof *b->others);
    b->up = calloc(count + 1, sizeof *b->up);
    enum cf_err err = result && b->rows && b->others && b->up
                          ? fill_rows(b, detail)
                          : cf_fail(detail, CF_E_NO_MEMORY, "no memory for a blend");
    for (uint32_t fold = 0; fold < CF_EVAL_FOLDS && !err; fold++)
        err = score_fold(b, fold, result->scored, detail);
    if (!err) {
        result->folded = true;
        snprintf(result->how, sizeof result->how, "a blend of %zu, fitted on the other users",
                 b->member_count);
    }
    free(b->rows);
    free(b->others);
    free(b->up);
    return err;
}

static enum cf_err blend_parts(struct cf_eval *eval, const struct parts *parts, struct cf_detail *detail)
{
    struct blend b = {.eval = eval};
    size_t looks = 0;
    for (size_t i = 0; i < eval->result_count; i++)
        if (is_member(&eval->results[i], parts)) {
            b.members[b.member_count++] = &eval->results[i];
            looks += is_look(&eval->results[i]);
        }
    b.width = b.member_count + (parts->listening ? looks : 0);
    return blend_members(&b, parts->name, detail);
}

/* Every fold leaves users with thumbs of both kinds to fit on. */
static bool can_blend(const struct cf_eval *eval)
{
    size_t ups[CF_EVAL_FOLDS] = {0}, downs[CF_EVAL_FOLDS] = {0};
    for (size_t i = 0; i < eval->thumbs.count; i++)
        for (uint32_t fold = 0; fold < CF_EVAL_FOLDS; fold++)
            if (eval->thumbs.items[i].user % CF_EVAL_FOLDS != fold)
                *(eval->thumbs.items[i].up ? &ups[fold] : &downs[fold]) += 1;
    for (int fold = 0; fold < CF_EVAL_FOLDS; fold++)
        if (!ups[fold] || !downs[fold])
            return false;
    return true;
}

enum cf_err cf_eval_blends(struct cf_eval *eval, struct cf_detail *detail)
{
    static const struct parts blends[] = {
        {"look", true, false}, {"listening", false, true}, {"both", true, true}};
    enum cf_err err = CF_OK;
    bool looks = false;
    for (size_t i = 0; i < eval->result_count; i++)
        looks = looks || is_look(&eval->results[i]);
    for (size_t i = 0; i < sizeof blends / sizeof *blends && !err && can_blend(eval); i++)
        if (looks || !blends[i].look)
            err = blend_parts(eval, &blends[i], detail);
    return err;
}
