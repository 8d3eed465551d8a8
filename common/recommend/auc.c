#include "common/recommend/auc.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/rng.h"

/* What one user brings to an average: over the user's groups with both signs. */
struct share {
    double sum;
    uint64_t groups;
};

static int compare_scores(const void *a, const void *b)
{
    const struct cf_scored *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

static int compare_groups(const void *a, const void *b)
{
    const struct cf_scored *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return compare_scores(a, b);
}

/* Of thumbs in order of their scores; each may count several times (`weights`, by user; NULL: once). NaN with
 * one class only. */
static double area(const struct cf_scored *scored, size_t count, const uint32_t *weights)
{
    double ups = 0, downs = 0, wins = 0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        double tied_ups = 0, tied_downs = 0;
        for (end = begin; end < count && (end == begin || scored[end].score == scored[begin].score); end++) {
            double weight = weights ? weights[scored[end].user] : 1;
            *(scored[end].up ? &tied_ups : &tied_downs) += weight;
        }
        /* An up wins against every down below it, and half against those that are level: midranks. */
        wins += tied_ups * (downs + tied_downs / 2);
        ups += tied_ups;
        downs += tied_downs;
    }
    return wins / (ups * downs);
}

static void count_classes(const struct cf_scored *scored, size_t count, struct cf_auc *auc)
{
    *auc = (struct cf_auc){NAN, NAN, NAN, 0, 0, 0};
    for (size_t i = 0; i < count; i++)
        *(scored[i].up ? &auc->ups : &auc->downs) += 1;
}

static enum cf_err check_classes(const struct cf_auc *auc, struct cf_detail *detail)
{
    if (auc->ups && auc->downs)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID, "of %llu thumbs all are %s: an AUC needs both kinds",
                   (unsigned long long)(auc->ups + auc->downs), auc->ups ? "up" : "down");
}

static uint32_t users_of(const struct cf_scored *scored, size_t count)
{
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = scored[i].user + 1 > most ? scored[i].user + 1 : most;
    return most;
}

static int compare_doubles(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The middle 95 % of the samples that could be measured. One user, drawn again and again, says nothing of
 * others: no samples are given then. */
static void set_interval(double *samples, size_t count, struct cf_auc *auc)
{
    size_t finite = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(samples[i]))
            samples[finite++] = samples[i];
    if (!finite)
        return;
    qsort(samples, finite, sizeof *samples, compare_doubles);
    auc->low = samples[(size_t)(.025 * (double)(finite - 1) + .5)];
    auc->high = samples[(size_t)(.975 * (double)(finite - 1) + .5)];
}

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an AUC's interval");
}

/* Users that have a thumb, to draw from. */
static size_t list_users(const struct cf_scored *scored, size_t count, uint32_t *weights, uint32_t *users)
{
    size_t listed = 0;
    for (size_t i = 0; i < count; i++)
        if (weights[scored[i].user]++ == 0)
            users[listed++] = scored[i].user;
    return listed;
}

static void draw_weights(struct cf_rng *rng, const uint32_t *users, size_t count, uint32_t *weights)
{
    for (size_t i = 0; i < count; i++)
        weights[users[i]] = 0;
    for (size_t i = 0; i < count; i++)
        weights[users[cf_rng_below(rng, count)]]++;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

enum cf_err cf_auc_pooled(struct cf_scored *scored, size_t count, const struct cf_auc_options *options,
                          struct cf_auc *auc, struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(options->seed);
    uint32_t user_count = users_of(scored, count);
    count_classes(scored, count, auc);
    enum cf_err err = check_classes(auc, detail);
    if (err)
        return err;
    qsort(scored, count, sizeof *scored, compare_scores);
    auc->value = area(scored, count, NULL);
    uint32_t *weights = calloc(user_count, sizeof *weights), *users = calloc(user_count, sizeof *users);
    double *samples = calloc((size_t)options->resamples + 1, sizeof *samples);
    if (weights && users && samples) {
        size_t listed = list_users(scored, count, weights, users);
        qsort(users, listed, sizeof *users,
              compare_numbers); /* whatever the scores: the same draws for every model */
        for (uint32_t i = 0; i < options->resamples; i++) {
            draw_weights(&rng, users, listed, weights);
            samples[i] = area(scored, count, weights);
        }
        set_interval(samples, listed < 2 ? 0 : options->resamples, auc);
    } else {
        err = no_memory(detail);
    }
    free(weights);
    free(users);
    free(samples);
    return err;
}

/* One share a user that has a thumb, in order of users; `scored` is put in order of users and groups. */
static struct share *shares_of(struct cf_scored *scored, size_t count, size_t *share_count)
{
    struct share *shares = calloc(count + 1, sizeof *shares);
    size_t users = 0;
    if (!shares)
        return NULL;
    qsort(scored, count, sizeof *scored, compare_groups);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && scored[end].user == scored[begin].user &&
                          scored[end].group == scored[begin].group;)
            end++;
        if (begin == 0 || scored[begin].user != scored[begin - 1].user)
            users++;
        double value = area(scored + begin, end - begin, NULL);
        if (isfinite(value)) {
            shares[users - 1].sum += value;
            shares[users - 1].groups++;
        }
    }
    *share_count = users;
    return shares;
}

static double mean_of(const struct share *shares, size_t count, struct cf_rng *rng)
{
    struct share all = {0, 0};
    for (size_t i = 0; i < count; i++) {
        const struct share *share = &shares[rng ? cf_rng_below(rng, count) : i];
        all.sum += share->sum;
        all.groups += share->groups;
    }
    return all.groups ? all.sum / (double)all.groups : NAN;
}

static enum cf_err average(const struct share *shares, size_t count, const struct cf_auc_options *options,
                           struct cf_auc *auc, struct cf_detail *detail)
{
    struct cf_rng rng = cf_rng(options->seed);
    double *samples = calloc((size_t)options->resamples + 1, sizeof *samples);
    if (!samples)
        return no_memory(detail);
    size_t users = 0; /* that have something to measure */
    for (size_t i = 0; i < count; i++) {
        auc->groups += shares[i].groups;
        users += shares[i].groups > 0;
    }
    auc->value = mean_of(shares, count, NULL);
    for (uint32_t i = 0; i < options->resamples; i++)
        samples[i] = mean_of(shares, count, &rng);
    set_interval(samples, users < 2 ? 0 : options->resamples, auc);
    free(samples);
    return CF_OK;
}

enum cf_err cf_auc_per_user(struct cf_scored *scored, size_t count, const struct cf_auc_options *options,
                            struct cf_auc *auc, struct cf_detail *detail)
{
    size_t users = 0;
    count_classes(scored, count, auc);
    enum cf_err err = check_classes(auc, detail);
    if (err)
        return err;
    struct share *shares = shares_of(scored, count, &users);
    err = shares ? average(shares, users, options, auc, detail) : no_memory(detail);
    free(shares);
    return err;
}

static struct share *copy_shares(const struct cf_scored *scored, size_t count, size_t *users)
{
    struct cf_scored *copy = malloc((count + 1) * sizeof *copy);
    struct share *shares = NULL;
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = scored[i];
    if (copy)
        shares = shares_of(copy, count, users);
    free(copy);
    return shares;
}

enum cf_err cf_auc_difference(const struct cf_scored *a, const struct cf_scored *b, size_t count,
                              const struct cf_auc_options *options, struct cf_auc *difference,
                              struct cf_detail *detail)
{
    size_t users = 0;
    count_classes(a, count, difference);
    enum cf_err err = check_classes(difference, detail);
    if (err)
        return err;
    struct share *left = copy_shares(a, count, &users), *right = copy_shares(b, count, &users);
    for (size_t i = 0; left && right && i < users; i++) /* the same thumbs, so the same groups count */
        left[i].sum -= right[i].sum;
    err = left && right ? average(left, users, options, difference, detail) : no_memory(detail);
    free(left);
    free(right);
    return err;
}
