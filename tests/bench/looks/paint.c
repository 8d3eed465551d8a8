#include <math.h>

#include <cairo.h>

#include "tests/bench/looks/pixels.h"

static const double pi = 3.14159265358979323846;

static const char *const lines[] = {
    "Out now",         "The best of 1997", "Limited edition", "Remastered", "Available everywhere",
    "Includes poster", "Live at the hall", "Compilation",     "Bonus disc", "New album",
};
static const char *const capitals[] = {
    "SALE", "OUT NOW", "REMIX", "LIVE", "BEST OF", "FREE CD", "NUMBER 1", "SOLD OUT", "GOLD", "MIXTAPE",
};
enum { LINES = sizeof lines / sizeof lines[0], CAPITALS = sizeof capitals / sizeof capitals[0] };

/* ---- to cairo's pixels (32 bits, red above green above blue) and back ---- */

static void load(const struct cf_image *image, cairo_surface_t *surface)
{
    unsigned char *data = cairo_image_surface_get_data(surface);
    size_t stride = (size_t)cairo_image_surface_get_stride(surface);
    for (size_t y = 0; y < image->height; y++)
        for (size_t x = 0; x < image->width; x++) {
            const uint8_t *from = image->rgb + (y * image->width + x) * 3;
            uint32_t pixel = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
            memcpy(data + y * stride + x * 4, &pixel, sizeof pixel);
        }
    cairo_surface_mark_dirty(surface);
}

static void store(cairo_surface_t *surface, struct cf_image *image)
{
    cairo_surface_flush(surface);
    const unsigned char *data = cairo_image_surface_get_data(surface);
    size_t stride = (size_t)cairo_image_surface_get_stride(surface);
    for (size_t y = 0; y < image->height; y++)
        for (size_t x = 0; x < image->width; x++) {
            uint8_t *to = image->rgb + (y * image->width + x) * 3;
            uint32_t pixel;
            memcpy(&pixel, data + y * stride + x * 4, sizeof pixel);
            to[0] = (uint8_t)(pixel >> 16);
            to[1] = (uint8_t)(pixel >> 8);
            to[2] = (uint8_t)pixel;
        }
}

/* NULL when memory is short. */
static cairo_t *begin(const struct cf_image *image)
{
    cairo_surface_t *surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)image->width, (int)image->height);
    cairo_t *c = NULL;
    if (cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS) {
        load(image, surface);
        c = cairo_create(surface);
    }
    cairo_surface_destroy(surface); /* the context holds it */
    return c;
}

static enum cf_err finish(cairo_t *c, struct cf_image *image)
{
    bool drawn = cairo_status(c) == CAIRO_STATUS_SUCCESS;
    if (drawn)
        store(cairo_get_target(c), image);
    cairo_destroy(c);
    return drawn ? CF_OK : CF_E_NO_MEMORY;
}

/* ---- drawing ---- */

static void draw_colour(cairo_t *c, struct cf_rng *rng)
{
    double red = cf_rng_unit(rng), green = cf_rng_unit(rng), blue = cf_rng_unit(rng);
    cairo_set_source_rgb(c, red, green, blue);
}

enum cf_err looks_sticker(struct cf_image *image, double share, struct cf_rng *rng)
{
    double radius = share * fmin(image->width, image->height) / 2;
    double x = radius + (image->width - 2 * radius) * cf_rng_unit(rng);
    double y = radius + (image->height - 2 * radius) * cf_rng_unit(rng);
    cairo_t *c = begin(image);
    if (!c)
        return CF_E_NO_MEMORY;
    draw_colour(c, rng);
    cairo_arc(c, x, y, radius, 0, 2 * pi);
    cairo_fill(c);
    draw_colour(c, rng);
    cairo_set_line_width(c, radius / 8);
    cairo_arc(c, x, y, radius * .8, 0, 2 * pi);
    cairo_stroke(c);
    return finish(c, image);
}

/* Of the height asked for, or smaller, so that it is no wider than the picture. */
static void set_size(cairo_t *c, const char *text, double height, double width)
{
    cairo_text_extents_t extents;
    cairo_set_font_size(c, height);
    cairo_text_extents(c, text, &extents);
    if (extents.width > .96 * width)
        cairo_set_font_size(c, height * .96 * width / extents.width);
}

/* With its upper edge at `top`, anywhere across. */
static void draw_line(cairo_t *c, const char *text, const struct cf_image *image, double top, bool outlined,
                      struct cf_rng *rng)
{
    cairo_text_extents_t extents;
    cairo_text_extents(c, text, &extents);
    double left = fmax(0, image->width - extents.width) * cf_rng_unit(rng);
    cairo_move_to(c, left - extents.x_bearing, top - extents.y_bearing);
    cairo_text_path(c, text);
    draw_colour(c, rng);
    cairo_fill_preserve(c);
    if (outlined) {
        draw_colour(c, rng);
        cairo_set_line_width(c, extents.height / 16);
        cairo_stroke(c);
    }
    cairo_new_path(c);
}

enum cf_err looks_text(struct cf_image *image, double share, bool bold, struct cf_rng *rng)
{
    size_t count = bold ? 2 : 1;
    double height = share * image->height;
    cairo_t *c = begin(image);
    if (!c)
        return CF_E_NO_MEMORY;
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    double top = fmax(0, image->height - (double)count * height) * cf_rng_unit(rng);
    for (size_t i = 0; i < count; i++) {
        const char *text = bold ? capitals[cf_rng_below(rng, CAPITALS)] : lines[cf_rng_below(rng, LINES)];
        set_size(c, text, height, image->width);
        draw_line(c, text, image, top + (double)i * height, bold, rng);
    }
    return finish(c, image);
}
