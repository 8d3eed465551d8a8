/* Logistic regression: P(up) = 1 / (1 + exp(-(w_0 + w·x))), fitted by Newton's method on
 *
 *     minimise sum log(1 + exp(-y (w_0 + w·x))) + lambda/2 |w|²        (y = 1 or -1; w_0 goes free)
 *
 * which is convex: there is one answer, whatever the start. Any thread. */
#ifndef CF_RECOMMEND_LOGISTIC_H
#define CF_RECOMMEND_LOGISTIC_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

enum { CF_LOGISTIC_WIDTH_MAX = 64 };

/* rows[count][width]; weights[width + 1], w_0 first. CF_E_INVALID when `up` is of one kind only, or lambda
 * not above 0. */
enum cf_err cf_logistic_fit(const double *rows, const bool *up, size_t count, size_t width, double lambda,
                            double *weights, struct cf_detail *detail) CF_MUST_CHECK;
/* w_0 + w·x: the higher, the likelier. */
double cf_logistic_score(const double *weights, const double *row, size_t width);

#endif
