/* Drawing in integers, so that a picture is the same on every machine: a canvas of twice the size in both
 * directions, averaged down at the end. Coordinates may lie outside; what does is not drawn. */
#ifndef CF_SAMPLES_CANVAS_H
#define CF_SAMPLES_CANVAS_H

#include <stdint.h>

#include "deploy/samples/sample.h"

enum { CF_CANVAS_SIDE = 2 * CF_SAMPLE_SIDE };

struct cf_color {
    int r, g, b; /* 0 to 255; beyond is cut */
};

struct cf_canvas {
    uint8_t rgb[CF_CANVAS_SIDE][CF_CANVAS_SIDE][3];
};

void cf_canvas_point(struct cf_canvas *canvas, int x, int y, struct cf_color color);
/* Corners left, top (included) and right, bottom (not included). */
void cf_canvas_rect(struct cf_canvas *canvas, int left, int top, int right, int bottom,
                    struct cf_color color);
/* From `above` at row `top` to `below` at row `bottom`. */
void cf_canvas_fade(struct cf_canvas *canvas, int top, int bottom, struct cf_color above,
                    struct cf_color below);
void cf_canvas_ellipse(struct cf_canvas *canvas, int x, int y, int radius_x, int radius_y,
                       struct cf_color color);
/* Isosceles, standing on row `base`. */
void cf_canvas_peak(struct cf_canvas *canvas, int x, int top, int base, int half_width,
                    struct cf_color color);

void cf_canvas_finish(const struct cf_canvas *canvas, uint8_t rgb[CF_SAMPLE_BYTES]);

#endif
