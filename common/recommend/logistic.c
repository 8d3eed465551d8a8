#include "common/recommend/logistic.h"

#include <math.h>
#include <string.h>

#include "common/recommend/blas.h"

enum { ROOM = CF_LOGISTIC_WIDTH_MAX + 1, STEPS_MAX = 50, HALVINGS = 30 };

double cf_logistic_score(const double *weights, const double *row, size_t width)
{
    double score = weights[0];
    for (size_t j = 0; j < width; j++)
        score += weights[j + 1] * row[j];
    return score;
}

struct fit {
    const double *rows;
    const bool *up;
    size_t count, width;
    double lambda;
};

static double loss_of(const struct fit *f, const double *weights)
{
    double loss = 0;
    for (size_t i = 0; i < f->count; i++) {
        double score = cf_logistic_score(weights, f->rows + i * f->width, f->width);
        double margin = f->up[i] ? score : -score;
        loss += margin > 0 ? log1p(exp(-margin)) : log1p(exp(margin)) - margin;
    }
    for (size_t j = 1; j <= f->width; j++)
        loss += .5 * f->lambda * weights[j] * weights[j];
    return loss;
}

/* Downhill direction and curvature, upper triangle. */
static void differentiate(const struct fit *f, const double *weights, double *downhill, double *curvature)
{
    size_t w = f->width + 1;
    memset(downhill, 0, w * sizeof *downhill);
    memset(curvature, 0, w * w * sizeof *curvature);
    for (size_t i = 0; i < f->count; i++) {
        double x[ROOM] = {1};
        memcpy(x + 1, f->rows + i * f->width, f->width * sizeof *x);
        double chance = 1 / (1 + exp(-cf_logistic_score(weights, x + 1, f->width)));
        for (size_t j = 0; j < w; j++) {
            downhill[j] += ((f->up[i] ? 1 : 0) - chance) * x[j];
            for (size_t k = j; k < w; k++)
                curvature[j * w + k] += chance * (1 - chance) * x[j] * x[k];
        }
    }
    curvature[0] += 1e-9; /* of certain answers there is none left */
    for (size_t j = 1; j < w; j++) {
        downhill[j] -= f->lambda * weights[j];
        curvature[j * w + j] += f->lambda;
    }
}

/* One step of Newton's, halved until the loss falls; false when it falls no more. */
static bool improve(const struct fit *f, double *weights, double *loss)
{
    double step[ROOM], trial[ROOM], curvature[ROOM * ROOM];
    differentiate(f, weights, step, curvature);
    if (!cf_blas_solve(curvature, f->width + 1, step, 1))
        return false;
    double length = 1;
    for (int i = 0; i < HALVINGS; i++, length /= 2) {
        for (size_t j = 0; j <= f->width; j++)
            trial[j] = weights[j] + length * step[j];
        double there = loss_of(f, trial);
        if (there < *loss) {
            bool much = *loss - there > 1e-12 * (1 + *loss);
            memcpy(weights, trial, (f->width + 1) * sizeof *weights);
            *loss = there;
            return much;
        }
    }
    return false;
}

enum cf_err cf_logistic_fit(const double *rows, const bool *up, size_t count, size_t width, double lambda,
                            double *weights, struct cf_detail *detail)
{
    const struct fit fit = {rows, up, count, width, lambda};
    size_t ups = 0;
    for (size_t i = 0; i < count; i++)
        ups += up[i];
    if (width < 1 || width > CF_LOGISTIC_WIDTH_MAX || !(lambda > 0))
        return cf_fail(detail, CF_E_INVALID, "a blend of %zu scores with lambda %g: 1 to %d, lambda above 0",
                       width, lambda, CF_LOGISTIC_WIDTH_MAX);
    if (ups == 0 || ups == count)
        return cf_fail(detail, CF_E_INVALID, "of %zu thumbs all are %s: a blend needs both kinds", count,
                       ups ? "up" : "down");
    memset(weights, 0, (width + 1) * sizeof *weights);
    double loss = loss_of(&fit, weights);
    for (int i = 0; i < STEPS_MAX && improve(&fit, weights, &loss); i++) {
    }
    return CF_OK;
}
