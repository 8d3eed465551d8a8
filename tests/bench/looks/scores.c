#include "tests/bench/looks/scores.h"

#include <math.h>
#include <stdlib.h>

#include "common/recommend/auc.h"

static int by_distance(const void *a, const void *b)
{
    const struct looks_hit *x = a, *y = b;
    if (x->distance < y->distance || x->distance > y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (int)x->right - (int)y->right;
}

double looks_uap(struct looks_hit *hits, size_t count, size_t query_count)
{
    double sum = 0;
    size_t right = 0;
    if (count > 0)
        qsort(hits, count, sizeof *hits, by_distance);
    for (size_t i = 0; i < count; i++)
        if (hits[i].right)
            sum += (double)++right / (double)(i + 1);
    return query_count ? sum / (double)query_count : 0;
}

static double auc_of(const double *scores, const size_t *labels, size_t count, size_t label_count,
                     size_t label, struct cf_scored *scored)
{
    static const struct cf_auc_options options = {.resamples = 1, .seed = 1};
    struct cf_auc auc;
    for (size_t i = 0; i < count; i++)
        scored[i] = (struct cf_scored){.score = scores[i * label_count + label], .up = labels[i] == label};
    return cf_auc_pooled(scored, count, &options, &auc, NULL) == CF_OK ? auc.value : NAN;
}

double looks_mean_auc(const double *scores, const size_t *labels, size_t count, size_t label_count)
{
    struct cf_scored *scored = calloc(count + 1, sizeof *scored);
    double sum = 0;
    size_t used = 0;
    for (size_t label = 0; scored && label < label_count; label++) {
        double value = auc_of(scores, labels, count, label_count, label, scored);
        sum += isfinite(value) ? value : 0;
        used += isfinite(value);
    }
    free(scored);
    return used ? sum / (double)used : NAN;
}
