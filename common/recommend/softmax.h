/* Exponentials for a softmax, many at once: what models over all albums spend most of their time on. */
#ifndef CF_RECOMMEND_SOFTMAX_H
#define CF_RECOMMEND_SOFTMAX_H

#include <stddef.h>

/* Puts exp(x - most) in place of every x, to 2e-7 of it, and returns their sum. No x may be above `most`;
 * what is more than 87 below counts as if it were 87. Any thread. */
double cf_softmax_exp(float *values, size_t count, float most);
float cf_softmax_most(const float *values, size_t count); /* -INFINITY of none */

#endif
