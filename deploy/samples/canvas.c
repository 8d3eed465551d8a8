#include "deploy/samples/canvas.h"

static uint8_t cut(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int clip(int value)
{
    return value < 0 ? 0 : value > CF_CANVAS_SIDE ? CF_CANVAS_SIDE : value;
}

void cf_canvas_point(struct cf_canvas *canvas, int x, int y, struct cf_color color)
{
    if (x < 0 || y < 0 || x >= CF_CANVAS_SIDE || y >= CF_CANVAS_SIDE)
        return;
    uint8_t *pixel = canvas->rgb[y][x];
    pixel[0] = cut(color.r);
    pixel[1] = cut(color.g);
    pixel[2] = cut(color.b);
}

void cf_canvas_rect(struct cf_canvas *canvas, int left, int top, int right, int bottom, struct cf_color color)
{
    for (int y = clip(top); y < clip(bottom); y++)
        for (int x = clip(left); x < clip(right); x++)
            cf_canvas_point(canvas, x, y, color);
}

static int between(int from, int to, int step, int steps)
{
    return from + (to - from) * step / steps;
}

void cf_canvas_fade(struct cf_canvas *canvas, int top, int bottom, struct cf_color above,
                    struct cf_color below)
{
    int steps = bottom > top ? bottom - top : 1;
    for (int y = top; y < bottom; y++) {
        struct cf_color color = {between(above.r, below.r, y - top, steps),
                                 between(above.g, below.g, y - top, steps),
                                 between(above.b, below.b, y - top, steps)};
        cf_canvas_rect(canvas, 0, y, CF_CANVAS_SIDE, y + 1, color);
    }
}

void cf_canvas_ellipse(struct cf_canvas *canvas, int x, int y, int radius_x, int radius_y,
                       struct cf_color color)
{
    int64_t rx = radius_x, ry = radius_y, edge = rx * rx * ry * ry;
    for (int64_t dy = -ry; dy <= ry; dy++)
        for (int64_t dx = -rx; dx <= rx; dx++)
            if (dx * dx * ry * ry + dy * dy * rx * rx <= edge)
                cf_canvas_point(canvas, x + (int)dx, y + (int)dy, color);
}

void cf_canvas_peak(struct cf_canvas *canvas, int x, int top, int base, int half_width, struct cf_color color)
{
    int height = base > top ? base - top : 1;
    for (int y = top; y < base; y++) {
        int half = half_width * (y - top) / height;
        cf_canvas_rect(canvas, x - half, y, x + half + 1, y + 1, color);
    }
}

void cf_canvas_finish(const struct cf_canvas *canvas, uint8_t rgb[CF_SAMPLE_BYTES])
{
    for (int y = 0; y < CF_SAMPLE_SIDE; y++)
        for (int x = 0; x < CF_SAMPLE_SIDE; x++)
            for (int c = 0; c < 3; c++) {
                unsigned sum = 2u + canvas->rgb[2 * y][2 * x][c] + canvas->rgb[2 * y][2 * x + 1][c] +
                               canvas->rgb[2 * y + 1][2 * x][c] + canvas->rgb[2 * y + 1][2 * x + 1][c];
                rgb[(y * CF_SAMPLE_SIDE + x) * 3 + c] = (uint8_t)(sum / 4);
            }
}
