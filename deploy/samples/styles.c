#include "deploy/samples/styles.h"

enum { SIDE = CF_CANVAS_SIDE };

static int from_to(struct cf_rng *rng, int low, int high)
{
    return low + (int)cf_rng_below(rng, (uint64_t)(high - low + 1));
}

static struct cf_color near(struct cf_rng *rng, struct cf_color color, int by)
{
    return (struct cf_color){color.r + from_to(rng, -by, by), color.g + from_to(rng, -by, by),
                             color.b + from_to(rng, -by, by)};
}

static struct cf_color dark(struct cf_rng *rng)
{
    static const struct cf_color colors[] = {
        {18, 18, 22}, {40, 22, 30}, {20, 34, 52}, {28, 44, 34}, {52, 40, 24}};
    return near(rng, colors[cf_rng_below(rng, 5)], 10);
}

static struct cf_color vivid(struct cf_rng *rng)
{
    static const struct cf_color colors[] = {{200, 60, 50},  {220, 150, 40}, {60, 140, 90},
                                             {50, 110, 190}, {140, 80, 170}, {210, 90, 140}};
    return near(rng, colors[cf_rng_below(rng, 6)], 20);
}

static struct cf_color light(struct cf_rng *rng)
{
    static const struct cf_color colors[] = {
        {240, 236, 224}, {226, 234, 240}, {244, 228, 200}, {230, 240, 226}};
    return near(rng, colors[cf_rng_below(rng, 4)], 10);
}

static void paper(struct cf_canvas *canvas, struct cf_color color)
{
    cf_canvas_rect(canvas, 0, 0, SIDE, SIDE, color);
}

/* Minimal techno: a light disc on black. */
static void disc(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int radius = from_to(rng, 42, 78), ink = from_to(rng, 2, 16);
    paper(canvas, (struct cf_color){ink, ink, ink + 4});
    int x = SIDE / 2 + from_to(rng, -18, 18), y = SIDE / 2 + from_to(rng, -18, 18);
    cf_canvas_ellipse(canvas, x, y, radius, radius, light(rng));
}

static void stripes(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int width = from_to(rng, 9, 24), shift = from_to(rng, 0, 47);
    paper(canvas, light(rng));
    struct cf_color color = vivid(rng);
    for (int x = -shift; x < SIDE; x += 2 * width)
        cf_canvas_rect(canvas, x, 0, x + width, SIDE, color);
}

/* A landscape: sky, a low sun, ground. */
static void horizon(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int line = from_to(rng, 150, 190), sun = from_to(rng, 14, 26);
    struct cf_color high = near(rng, (struct cf_color){60, 90, 150}, 30);
    cf_canvas_fade(canvas, 0, line, high, near(rng, (struct cf_color){250, 190, 140}, 25));
    cf_canvas_ellipse(canvas, from_to(rng, 50, SIDE - 50), line, sun, sun, (struct cf_color){255, 240, 210});
    cf_canvas_fade(canvas, line, SIDE, near(rng, (struct cf_color){60, 70, 50}, 20), dark(rng));
}

static void grid(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int count = from_to(rng, 4, 6), pitch = SIDE / count, gap = from_to(rng, 6, 12);
    paper(canvas, dark(rng));
    for (int row = 0; row < count; row++)
        for (int column = 0; column < count; column++) {
            int x = column * pitch + gap / 2 + SIDE % count / 2, y = row * pitch + gap / 2 + SIDE % count / 2;
            cf_canvas_rect(canvas, x, y, x + pitch - gap, y + pitch - gap, vivid(rng));
        }
}

static void rings(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int width = from_to(rng, 11, 18), x = SIDE / 2 + from_to(rng, -12, 12),
        y = SIDE / 2 + from_to(rng, -12, 12);
    struct cf_color color = vivid(rng), ground = light(rng);
    paper(canvas, ground);
    int count = 116 / width;
    for (int i = 0; i < count; i++)
        cf_canvas_ellipse(canvas, x, y, (count - i) * width, (count - i) * width, i % 2 ? ground : color);
}

/* A page of type: a heading and lines of words. */
static void type(struct cf_canvas *canvas, struct cf_rng *rng)
{
    struct cf_color ink = dark(rng);
    paper(canvas, light(rng));
    int left = from_to(rng, 18, 34), y = from_to(rng, 22, 40), heading = from_to(rng, 22, 36);
    cf_canvas_rect(canvas, left, y, from_to(rng, 130, 225), y + heading, ink);
    for (y += heading + 18; y < SIDE - 26; y += 16) {
        int end = from_to(rng, 170, 230);
        for (int x = left; x < end;) {
            int word = from_to(rng, 14, 44);
            cf_canvas_rect(canvas, x, y, x + word < end ? x + word : end, y + 8, ink);
            x += word + 7;
        }
    }
}

/* A blurred photograph with grain: random brightness on a coarse lattice, joined smoothly. */
static void grain(struct cf_canvas *canvas, struct cf_rng *rng)
{
    enum { CELLS = 6, CELL = 48 };
    int lattice[CELLS + 1][CELLS + 1];
    struct cf_color tint = near(rng, (struct cf_color){0, 0, 0}, 24);
    for (int i = 0; i <= CELLS; i++)
        for (int j = 0; j <= CELLS; j++)
            lattice[i][j] = from_to(rng, 50, 200);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            const int *upper = lattice[y / CELL], *lower = lattice[y / CELL + 1];
            int u = x % CELL, v = y % CELL, i = x / CELL;
            int top = upper[i] * (CELL - u) + upper[i + 1] * u,
                bottom = lower[i] * (CELL - u) + lower[i + 1] * u;
            int value = (top * (CELL - v) + bottom * v) / (CELL * CELL) + from_to(rng, -45, 45);
            cf_canvas_point(canvas, x, y, (struct cf_color){value + tint.r, value + tint.g, value + tint.b});
        }
}

static void peaks(struct cf_canvas *canvas, struct cf_rng *rng)
{
    cf_canvas_fade(canvas, 0, SIDE, light(rng), near(rng, (struct cf_color){190, 205, 220}, 15));
    int count = from_to(rng, 3, 4);
    for (int i = 0; i < count; i++) {
        int x = (2 * i + 1) * SIDE / (2 * count) + from_to(rng, -16, 16);
        cf_canvas_peak(canvas, x, from_to(rng, 50, 110), SIDE, from_to(rng, 60, 85),
                       near(rng, (struct cf_color){50, 64, 84}, 22));
    }
}

static void dots(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int pitch = from_to(rng, 34, 50), radius = pitch * from_to(rng, 26, 34) / 100, row = 0;
    struct cf_color color = light(rng);
    paper(canvas, vivid(rng));
    int start = from_to(rng, 0, pitch - 1);
    for (int y = start - pitch; y < SIDE + radius; y += pitch * 7 / 8, row++)
        for (int x = start - pitch + (row % 2) * pitch / 2; x < SIDE + radius; x += pitch)
            cf_canvas_ellipse(canvas, x, y, radius, radius, color);
}

/* A head and shoulders against a wall. */
static void portrait(struct cf_canvas *canvas, struct cf_rng *rng)
{
    struct cf_color figure = dark(rng);
    cf_canvas_fade(canvas, 0, SIDE, near(rng, (struct cf_color){180, 170, 160}, 24),
                   near(rng, (struct cf_color){140, 130, 124}, 24));
    int x = SIDE / 2 + from_to(rng, -16, 16), head = from_to(rng, 36, 46), y = from_to(rng, 88, 104);
    cf_canvas_ellipse(canvas, x, SIDE + 20, from_to(rng, 92, 110), from_to(rng, 84, 100), figure);
    cf_canvas_rect(canvas, x - head / 2, y, x + head / 2, SIDE - 40, figure);
    cf_canvas_ellipse(canvas, x, y, head, head * 5 / 4, figure);
}

static void stars(struct cf_canvas *canvas, struct cf_rng *rng)
{
    cf_canvas_fade(canvas, 0, SIDE, (struct cf_color){6, 8, 20},
                   near(rng, (struct cf_color){24, 22, 50}, 12));
    for (int i = from_to(rng, 90, 150); i > 0; i--) {
        int radius = from_to(rng, 1, 4), shine = from_to(rng, 150, 255);
        cf_canvas_ellipse(canvas, from_to(rng, 0, SIDE), from_to(rng, 0, SIDE), radius, radius,
                          (struct cf_color){shine, shine, shine - 15});
    }
}

static void cross(struct cf_canvas *canvas, struct cf_rng *rng)
{
    int half = from_to(rng, 14, 28), reach = from_to(rng, 88, 116);
    int x = SIDE / 2 + from_to(rng, -10, 10), y = SIDE / 2 + from_to(rng, -10, 10);
    struct cf_color color = light(rng);
    paper(canvas, vivid(rng));
    cf_canvas_rect(canvas, x - half, y - reach, x + half, y + reach, color);
    cf_canvas_rect(canvas, x - reach, y - half, x + reach, y + half, color);
}

const struct cf_style cf_styles[CF_SAMPLE_STYLES] = {
    {"disc", disc},   {"stripes", stripes},   {"horizon", horizon}, {"grid", grid},
    {"rings", rings}, {"type", type},         {"grain", grain},     {"peaks", peaks},
    {"dots", dots},   {"portrait", portrait}, {"stars", stars},     {"cross", cross},
};
