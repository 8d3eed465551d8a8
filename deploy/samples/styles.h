/* The styles: each draws over the whole canvas, varying what leaves the style recognisable. */
#ifndef CF_SAMPLES_STYLES_H
#define CF_SAMPLES_STYLES_H

#include "common/base/rng.h"
#include "deploy/samples/canvas.h"

struct cf_style {
    const char *name;
    void (*draw)(struct cf_canvas *canvas, struct cf_rng *rng);
};

extern const struct cf_style cf_styles[CF_SAMPLE_STYLES];

#endif
