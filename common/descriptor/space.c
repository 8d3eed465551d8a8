#include "common/descriptor/space.h"

#include <stdlib.h>

#include "common/descriptor/gist.h"
#include "common/descriptor/gray16.h"

const struct cf_space cf_spaces[CF_SPACE_COUNT] = {
    {"gray16", 1, CF_GRAY16_DIM, CF_METRIC_L2, 22.5},
    {"gist", 1, CF_GIST_DIM, CF_METRIC_L2, 2},
};

struct cf_describer {
    struct cf_gist *gist; /* of the last size asked for */
    uint32_t width, height;
};

const struct cf_space *cf_space_find(struct cf_str name)
{
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        if (cf_str_is(name, cf_spaces[i].name))
            return &cf_spaces[i];
    return NULL;
}

const char *cf_space_names(void)
{
    return "gray16, gist";
}

struct cf_describer *cf_describer_new(void)
{
    return calloc(1, sizeof(struct cf_describer));
}

void cf_describer_free(struct cf_describer *describer)
{
    if (!describer)
        return;
    cf_gist_free(describer->gist);
    free(describer);
}

static bool one_colour(const uint8_t *rgb, size_t pixels)
{
    return memcmp(rgb, rgb + 3, (pixels - 1) * 3) == 0;
}

static enum cf_err describe_gist(struct cf_describer *d, const uint8_t *rgb, uint32_t width, uint32_t height,
                                 float *out, bool *constant, struct cf_detail *detail)
{
    if (width < CF_GIST_SIDE_MIN || height < CF_GIST_SIDE_MIN || width > CF_GIST_SIDE_MAX ||
        height > CF_GIST_SIDE_MAX)
        return cf_fail(detail, CF_E_INVALID, "gist takes sides of %d to %d pixels: this picture is %u x %u",
                       CF_GIST_SIDE_MIN, CF_GIST_SIDE_MAX, width, height);
    if (!d->gist || d->width != width || d->height != height) {
        cf_gist_free(d->gist);
        d->gist = cf_gist_new(width, height);
        if (!d->gist)
            return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the gist of %u x %u pixels", width, height);
        d->width = width;
        d->height = height;
    }
    cf_gist(d->gist, rgb, out);
    *constant = one_colour(rgb, (size_t)width * height);
    return CF_OK;
}

static enum cf_err describe_gray16(const uint8_t *rgb, uint32_t width, uint32_t height, float *out,
                                   bool *constant, struct cf_detail *detail)
{
    if (width == 0 || height == 0 || width > CF_GRAY16_PICTURE_SIDE_MAX ||
        height > CF_GRAY16_PICTURE_SIDE_MAX)
        return cf_fail(detail, CF_E_INVALID, "gray16 takes sides of 1 to %d pixels: this picture is %u x %u",
                       CF_GRAY16_PICTURE_SIDE_MAX, width, height);
    *constant = !cf_gray16(rgb, width, height, out);
    return CF_OK;
}

enum cf_err cf_describe(struct cf_describer *describer, const struct cf_space *space, const uint8_t *rgb,
                        uint32_t width, uint32_t height, float *out, bool *constant, struct cf_detail *detail)
{
    if (space == &cf_spaces[0])
        return describe_gray16(rgb, width, height, out, constant, detail);
    CF_CHECK(space == &cf_spaces[1]);
    return describe_gist(describer, rgb, width, height, out, constant, detail);
}
