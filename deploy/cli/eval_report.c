/* From scores to figures, and from figures to a table, JSON and a chart. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "deploy/cli/chart.h"
#include "deploy/cli/eval.h"
#include "deploy/cli/json.h"

/* Bands of popularity: albums with at most so many listeners. */
static const struct {
    const char *name;
    uint64_t most;
} bands[CF_EVAL_BANDS] = {{"cold (0)", 0}, {"1-20", 20}, {"21-100", 100}, {"over 100", UINT64_MAX}};

static int band_of(const struct cf_eval *eval, uint32_t album)
{
    uint64_t listeners = eval->by_album.first[album + 1] - eval->by_album.first[album];
    int band = 0;
    while (listeners > bands[band].most)
        band++;
    return band;
}

/* A band may hold too little to measure: that is no error of the whole. */
static struct cf_auc auc_of(struct cf_scored *scored, size_t count, const struct cf_auc_options *options)
{
    struct cf_auc auc;
    struct cf_detail ignored;
    if (cf_auc_per_user(scored, count, options, &auc, &ignored))
        auc.value = auc.low = auc.high = NAN;
    return auc;
}

/* Thumb `i` as the result scored it, a group's albums apart by their folds with `in_folds`. */
static struct cf_scored scored_at(const struct cf_eval *eval, const struct cf_eval_result *result,
                                  bool in_folds, size_t i)
{
    struct cf_scored scored = result->scored[i];
    if (in_folds)
        scored.group = eval->groups.of[i] * CF_EVAL_FOLDS + cf_eval_album_fold(eval->thumbs.items[i].album);
    return scored;
}

static void judge_bands(const struct cf_eval *eval, struct cf_eval_result *result, struct cf_scored *copy,
                        const struct cf_auc_options *options)
{
    for (int band = 0; band < CF_EVAL_BANDS; band++) {
        size_t count = 0;
        for (size_t i = 0; i < eval->thumbs.count; i++)
            if (band_of(eval, eval->thumbs.items[i].album) == band)
                copy[count++] = scored_at(eval, result, result->cold, i);
        result->bands[band] = auc_of(copy, count, options);
    }
}

static void copy_scored(const struct cf_eval *eval, const struct cf_eval_result *result, bool in_folds,
                        struct cf_scored *copy)
{
    for (size_t i = 0; i < eval->thumbs.count; i++)
        copy[i] = scored_at(eval, result, in_folds, i);
}

static enum cf_err judge_one(struct cf_eval *eval, struct cf_eval_result *result, struct cf_scored *copy,
                             struct cf_detail *detail)
{
    const struct cf_auc_options options = {1000, eval->options.seed};
    size_t count = eval->thumbs.count;
    result->pooled = (struct cf_auc){NAN, NAN, NAN, 0, 0, 0};
    copy_scored(eval, result, false, copy);
    enum cf_err err = result->folded || result->cold
                          ? CF_OK
                          : cf_auc_pooled(copy, count, &options, &result->pooled, detail);
    copy_scored(eval, result, true, copy);
    result->in_folds = auc_of(copy, count, &options);
    copy_scored(eval, result, result->cold, copy);
    if (!err)
        err = cf_auc_per_user(copy, count, &options, &result->per_user, detail);
    if (!err)
        judge_bands(eval, result, copy, &options);
    return err;
}

static enum cf_err judge_pair(struct cf_eval *eval, size_t a, size_t b, struct cf_scored *copies,
                              struct cf_detail *detail)
{
    const struct cf_auc_options options = {1000, eval->options.seed};
    const struct cf_eval_result *left = &eval->results[a], *right = &eval->results[b];
    struct cf_scored *other = copies + eval->thumbs.count;
    copy_scored(eval, left, left->cold || right->cold, copies);
    copy_scored(eval, right, left->cold || right->cold, other);
    enum cf_err err =
        cf_auc_difference(copies, other, eval->thumbs.count, &options, &eval->differences[a][b], detail);
    const struct cf_auc *d = &eval->differences[a][b];
    eval->differences[b][a] = (struct cf_auc){-d->value, -d->high, -d->low, d->ups, d->downs, d->groups};
    return err;
}

enum cf_err cf_eval_judge(struct cf_eval *eval, struct cf_detail *detail)
{
    struct cf_scored *copies = calloc(2 * eval->thumbs.count + 1, sizeof *copies);
    enum cf_err err =
        copies ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory to judge %zu thumbs", eval->thumbs.count);
    for (size_t i = 0; i < eval->result_count && !err; i++)
        err = judge_one(eval, &eval->results[i], copies, detail);
    for (size_t a = 0; a < eval->result_count && !err; a++)
        for (size_t b = 0; b < a && !err; b++)
            err = judge_pair(eval, a, b, copies, detail);
    free(copies);
    return err;
}

/* ---- telling ---- */

static void print_auc(const struct cf_auc *auc)
{
    if (isfinite(auc->value) && !isfinite(auc->low))
        printf("  %6.3f %13s", auc->value, "of one user");
    else if (isfinite(auc->value))
        printf("  %6.3f %+.3f %+.3f", auc->value, auc->low - auc->value, auc->high - auc->value);
    else
        printf("  %20s", "too few");
}

static void print_results(const struct cf_eval *eval)
{
    printf("%-11s  %20s  %20s  %7s %7s\n", "", "per user", "pooled", "unknown", "seconds");
    for (size_t i = 0; i < eval->result_count; i++) {
        const struct cf_eval_result *r = &eval->results[i];
        printf("%-11s", r->name);
        print_auc(&r->per_user);
        if (r->folded || r->cold)
            printf("  %20s", "not one scale");
        else
            print_auc(&r->pooled);
        printf("  %7zu %7.1f%s%s\n", r->unknown, r->seconds, r->how[0] ? "  by " : "", r->how);
    }
}

static void print_differences(const struct cf_eval *eval)
{
    printf("\nper user, row less column; * where the interval is without 0\n%-11s", "");
    for (size_t b = 0; b + 1 < eval->result_count; b++)
        printf("  %11.11s", eval->results[b].name);
    putchar('\n');
    for (size_t a = 1; a < eval->result_count; a++) {
        printf("%-11s", eval->results[a].name);
        for (size_t b = 0; b < a; b++) {
            const struct cf_auc *d = &eval->differences[a][b];
            if (!isfinite(d->low))
                printf("  %11s ", "too few");
            else
                printf("  %+.3f±%.3f%c", d->value, (d->high - d->low) / 2,
                       d->low > 0 || d->high < 0 ? '*' : ' ');
        }
        putchar('\n');
    }
}

static void print_bands(const struct cf_eval *eval)
{
    printf("\nper user, by listeners of the album; last, each user's albums of one fold compared\n%-11s", "");
    for (int b = 0; b < CF_EVAL_BANDS; b++)
        printf("  %20s", bands[b].name);
    printf("  %20s\n", "within a fold");
    for (size_t i = 0; i < eval->result_count; i++) {
        printf("%-11s", eval->results[i].name);
        for (int b = 0; b < CF_EVAL_BANDS; b++)
            print_auc(&eval->results[i].bands[b]);
        print_auc(&eval->results[i].in_folds);
        putchar('\n');
    }
}

static void print_table(const struct cf_eval *eval)
{
    printf("%zu listens of %u users, %zu thumbs (%llu up, %llu down); AUC with 95 %% intervals\n",
           eval->listens.count, cf_names_count(eval->users), eval->thumbs.count,
           (unsigned long long)eval->results[0].per_user.ups,
           (unsigned long long)eval->results[0].per_user.downs);
    printf("%zu listens and likes are judged, or came after: they were not trained on\n", eval->leaks);
    if (eval->groups.seeded)
        printf("%zu thumbs have a seed: those of one user and one seed are compared, where it says \"per "
               "user\"\n",
               eval->groups.seeded);
    putchar('\n');
    print_results(eval);
    print_differences(eval);
    print_bands(eval);
}

static void json_auc(struct cf_json *json, const char *key, const struct cf_auc *auc)
{
    cf_json_object(json, key);
    cf_json_real(json, "value", auc->value);
    cf_json_real(json, "low", auc->low);
    cf_json_real(json, "high", auc->high);
    cf_json_uint(json, "ups", auc->ups);
    cf_json_uint(json, "downs", auc->downs);
    cf_json_uint(json, "users", auc->groups);
    cf_json_end(json);
}

static void json_result(struct cf_json *json, const struct cf_eval_result *r)
{
    cf_json_object(json, NULL);
    cf_json_word(json, "model", r->name);
    cf_json_word(json, "way", r->how);
    cf_json_uint(json, "unknown", r->unknown);
    cf_json_real(json, "seconds", r->seconds);
    json_auc(json, "per_user", &r->per_user);
    json_auc(json, "pooled", &r->pooled);
    json_auc(json, "within_a_fold", &r->in_folds);
    cf_json_array(json, "bands");
    for (int b = 0; b < CF_EVAL_BANDS; b++) {
        cf_json_object(json, NULL);
        cf_json_word(json, "listeners", bands[b].name);
        json_auc(json, "per_user", &r->bands[b]);
        cf_json_end(json);
    }
    cf_json_end(json);
    cf_json_end(json);
}

static void json_difference(struct cf_json *json, const struct cf_eval *eval, size_t a, size_t b)
{
    cf_json_object(json, NULL);
    cf_json_word(json, "model", eval->results[a].name);
    cf_json_word(json, "less", eval->results[b].name);
    json_auc(json, "per_user", &eval->differences[a][b]);
    cf_json_end(json);
}

static enum cf_err print_json(const struct cf_eval *eval, FILE *out, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "listens", eval->listens.count);
    cf_json_uint(json, "users", cf_names_count(eval->users));
    cf_json_uint(json, "albums", cf_names_count(eval->albums));
    cf_json_uint(json, "thumbs", eval->thumbs.count);
    cf_json_uint(json, "leaks", eval->leaks);
    cf_json_uint(json, "seeded", eval->groups.seeded);
    cf_json_array(json, "models");
    for (size_t i = 0; i < eval->result_count; i++)
        json_result(json, &eval->results[i]);
    cf_json_end(json);
    cf_json_array(json, "differences");
    for (size_t a = 0; a < eval->result_count; a++)
        for (size_t b = 0; b < a; b++)
            json_difference(json, eval, a, b);
    cf_json_end(json);
    enum cf_err err = cf_json_print(json, out, detail);
    cf_json_free(json);
    return err;
}

static enum cf_err write_chart(const struct cf_eval *eval, const char *path, struct cf_detail *detail)
{
    struct cf_chart_bar chart_bars[CF_EVAL_RESULTS_MAX];
    double least = .5, most = .5;
    for (size_t i = 0; i < eval->result_count; i++) {
        const struct cf_auc *auc = &eval->results[i].per_user;
        chart_bars[i] = (struct cf_chart_bar){eval->results[i].name, auc->value, auc->low, auc->high};
        least = fmin(least, auc->low);
        most = fmax(most, auc->high);
    }
    const struct cf_chart chart = {
        .title = "Can the cover recommend?",
        .axis = "AUC on users' thumbs, mean of users",
        .note = "bars: mean over users with both kinds of thumbs; whiskers: 95 % by drawing users "
                "again; dashed: chance",
        .from = floor(fmin(least, .45) * 20) / 20,
        .to = ceil(most * 20 + .2) / 20,
        .reference = .5,
        .bars = chart_bars,
        .bar_count = eval->result_count};
    return cf_chart_write(&chart, path, detail);
}

static enum cf_err write_files(const struct cf_eval *eval, struct cf_detail *detail)
{
    char path[4096];
    const char *out = eval->options.out;
    snprintf(path, sizeof path, "%s/auc.svg", out);
    enum cf_err err = write_chart(eval, path, detail);
    snprintf(path, sizeof path, "%s/auc.png", out);
    if (!err)
        err = write_chart(eval, path, detail);
    snprintf(path, sizeof path, "%s/auc.json", out);
    FILE *json = err ? NULL : fopen(path, "we");
    if (!err && !json)
        err = cf_fail_errno(detail, path);
    if (!err)
        err = print_json(eval, json, detail);
    if (json && fclose(json) != 0 && !err)
        err = cf_fail_errno(detail, path);
    return err;
}

enum cf_err cf_eval_report(const struct cf_eval *eval, struct cf_detail *detail)
{
    enum cf_err err = eval->options.out ? write_files(eval, detail) : CF_OK;
    if (err)
        return err;
    if (eval->options.json)
        return print_json(eval, stdout, detail);
    print_table(eval);
    if (eval->options.out)
        printf("\nthe chart: %s/auc.svg and auc.png\n", eval->options.out);
    return CF_OK;
}
