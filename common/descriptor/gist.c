#include "common/descriptor/gist.h"

#include <stdlib.h>

#include "common/descriptor/gist_fast.h"
#include "common/descriptor/gist_plain.h"

struct cf_gist {
    struct cf_gist_plain *plain; /* one of the two */
    struct cf_gist_fast *fast;
};

struct cf_gist *cf_gist_new(uint32_t width, uint32_t height)
{
    struct cf_gist *gist = calloc(1, sizeof *gist);
    if (!gist)
        return NULL;
    if (cf_gist_fast_takes(width, height))
        gist->fast = cf_gist_fast_new(width);
    else
        gist->plain = cf_gist_plain_new(width, height);
    if (!gist->fast && !gist->plain) {
        free(gist);
        return NULL;
    }
    return gist;
}

void cf_gist_free(struct cf_gist *gist)
{
    if (!gist)
        return;
    cf_gist_plain_free(gist->plain);
    cf_gist_fast_free(gist->fast);
    free(gist);
}

void cf_gist(struct cf_gist *gist, const uint8_t *rgb, float out[CF_GIST_DIM])
{
    if (gist->fast)
        cf_gist_fast(gist->fast, rgb, out);
    else
        cf_gist_plain(gist->plain, rgb, out);
}
