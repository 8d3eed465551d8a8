/* How sure it is that two covers are the same artwork, by their cosine in the space `copy`: the thresholds of
 * the model card (common/descriptor/model/MODEL.md, "Thresholds"), measured on covers that no training had
 * seen. Pure. */
#ifndef CF_CLI_SURE_H
#define CF_CLI_SURE_H

#include "common/base/span.h"

#define CF_SURE_SAME     .8
#define CF_SURE_PROBABLY .7
#define CF_SURE_LOOK     .6

/* "same", "probably", "look yourself", and "no" from CF_SURE_LOOK down. */
const char *cf_sure_word(double cosine);

/* The only space that the thresholds hold in. */
bool cf_sure_in(struct cf_str space);

/* Distances of a cosine space are sqrt(2 - 2 cos). */
double cf_sure_cosine(double distance);
double cf_sure_distance(double cosine);

#endif
