/* A distance taken apart: which parts of two covers, and in gist which scales, orientations and colours, make
 * up how much of its square. Pure but for the stream. */
#ifndef CF_CLI_WHY_H
#define CF_CLI_WHY_H

#include <stdio.h>

#include "common/descriptor/gist.h"
#include "common/descriptor/space.h"
#include "deploy/cli/json.h"

enum { CF_WHY_BLOCKS = 4, CF_WHY_CHANNELS = 3, CF_WHY_SCALES = 3, CF_WHY_ORIENTATIONS = 8 };

struct cf_why {
    const struct cf_space *space;
    double distance;
    /* Shares of the squared distance; each group adds up to 1, or to 0 when there is no distance. */
    double blocks[CF_WHY_BLOCKS][CF_WHY_BLOCKS]; /* [row from the top][column from the left] */
    /* Of gist only. */
    double filters[CF_WHY_SCALES]
                  [CF_WHY_ORIENTATIONS]; /* [finest first][vertical lines first, then anti-clockwise] */
    double channels[CF_WHY_CHANNELS];    /* red, green, blue */
};

/* How many orientations a scale has; lines of the i-th are turned from the vertical by i * 180 / so many
 * degrees. */
size_t cf_why_orientations(size_t scale);

/* Of two vectors of the space. CF_E_INVALID for a space that cannot be taken apart. */
enum cf_err cf_why_of(const struct cf_space *space, const float *a, const float *b, struct cf_why *why,
                      struct cf_detail *detail) CF_MUST_CHECK;

/* `"space":…,"distance":…,"blocks":[[…]…]` and of gist
 * `"scales":[{"cycles":…,"share":…,"orientations":[{"angle":…, "share":…}…]}…],"channels":{…}` into the
 * object that is open. */
void cf_why_json(struct cf_json *json, const struct cf_why *why);
enum cf_err cf_why_text(const struct cf_why *why, FILE *out) CF_MUST_CHECK;

#endif
