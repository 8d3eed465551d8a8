#include "deploy/cli/chart.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    WIDTH = 760,
    LEFT = 130,
    RIGHT = 110,
    TOP = 60,
    ROW = 38,
    BAR = 22,
    BOTTOM = 70,
    SCALE = 2,
    TICKS = 5
};

static double x_of(const struct cf_chart *chart, double value)
{
    double share = (value - chart->from) / (chart->to - chart->from);
    return LEFT + fmin(1, fmax(0, share)) * (WIDTH - LEFT - RIGHT);
}

static double height_of(const struct cf_chart *chart)
{
    return TOP + ROW * (double)chart->bar_count + BOTTOM;
}

enum align { ALIGN_LEFT, ALIGN_CENTRE, ALIGN_RIGHT };

static void text(cairo_t *c, double x, double y, double size, enum align align, const char *words)
{
    cairo_text_extents_t extents;
    cairo_set_font_size(c, size);
    cairo_text_extents(c, words, &extents);
    cairo_move_to(c, align == ALIGN_LEFT ? x : x - extents.x_advance / (align == ALIGN_CENTRE ? 2 : 1), y);
    cairo_show_text(c, words);
}

static void line(cairo_t *c, double x, double y, double to_x, double to_y, double width)
{
    cairo_set_line_width(c, width);
    cairo_move_to(c, x, y);
    cairo_line_to(c, to_x, to_y);
    cairo_stroke(c);
}

static void draw_axis(cairo_t *c, const struct cf_chart *chart)
{
    double bottom = TOP + ROW * (double)chart->bar_count;
    for (int i = 0; i <= TICKS; i++) {
        double value = chart->from + (chart->to - chart->from) * i / TICKS, x = x_of(chart, value);
        char words[32];
        snprintf(words, sizeof words, "%.2f", value);
        cairo_set_source_rgb(c, .87, .87, .87);
        line(c, x, TOP, x, bottom, 1);
        cairo_set_source_rgb(c, .25, .25, .25);
        text(c, x, bottom + 18, 12, ALIGN_CENTRE, words);
    }
    text(c, x_of(chart, (chart->from + chart->to) / 2), bottom + 38, 13, ALIGN_CENTRE, chart->axis);
    cairo_set_source_rgb(c, .45, .45, .45);
    text(c, LEFT, bottom + 58, 11, ALIGN_LEFT, chart->note);
}

static void draw_interval(cairo_t *c, const struct cf_chart *chart, const struct cf_chart_bar *bar,
                          double middle)
{
    double low = x_of(chart, bar->low), high = x_of(chart, bar->high);
    cairo_set_source_rgb(c, .1, .1, .1);
    line(c, low, middle, high, middle, 1.5);
    line(c, low, middle - 5, low, middle + 5, 1.5);
    line(c, high, middle - 5, high, middle + 5, 1.5);
}

static void draw_bar(cairo_t *c, const struct cf_chart *chart, size_t number)
{
    const struct cf_chart_bar *bar = &chart->bars[number];
    double middle = TOP + ROW * ((double)number + .5);
    char words[64];
    cairo_set_source_rgb(c, .1, .1, .1);
    text(c, LEFT - 10, middle + 5, 14, ALIGN_RIGHT, bar->name);
    cairo_set_source_rgb(c, .27, .47, .67);
    cairo_rectangle(c, LEFT, middle - BAR / 2.0, x_of(chart, bar->value) - LEFT, BAR);
    cairo_fill(c);
    if (isfinite(bar->low) && isfinite(bar->high))
        draw_interval(c, chart, bar, middle);
    if (isfinite(bar->low) && isfinite(bar->high))
        snprintf(words, sizeof words, "%.3f  ±%.3f", bar->value, (bar->high - bar->low) / 2);
    else if (isfinite(bar->value))
        snprintf(words, sizeof words, "%.3f", bar->value);
    else
        snprintf(words, sizeof words, "too few");
    cairo_set_source_rgb(c, .1, .1, .1);
    text(c, WIDTH - RIGHT + 12, middle + 5, 12, ALIGN_LEFT, words);
}

static void draw(cairo_t *c, const struct cf_chart *chart)
{
    static const double dashes[] = {5, 4};
    double bottom = TOP + ROW * (double)chart->bar_count, reference = x_of(chart, chart->reference);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_source_rgb(c, .1, .1, .1);
    text(c, LEFT, 34, 17, ALIGN_LEFT, chart->title);
    draw_axis(c, chart);
    for (size_t i = 0; i < chart->bar_count; i++)
        draw_bar(c, chart, i);
    cairo_set_source_rgb(c, .75, .2, .2);
    cairo_set_dash(c, dashes, 2, 0);
    line(c, reference, TOP, reference, bottom, 1.5);
}

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), end_len = strlen(end);
    return len > end_len && strcmp(path + len - end_len, end) == 0;
}

enum cf_err cf_chart_write(const struct cf_chart *chart, const char *path, struct cf_detail *detail)
{
    bool svg = ends_with(path, ".svg");
    if (!svg && !ends_with(path, ".png"))
        return cf_fail(detail, CF_E_INVALID, "%.200s: a chart's name ends in .svg or .png", path);
    double height = height_of(chart);
    cairo_surface_t *surface =
        svg ? cairo_svg_surface_create(path, WIDTH, height)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH * SCALE, (int)(height * SCALE));
    cairo_t *c = cairo_create(surface);
    if (!svg)
        cairo_scale(c, SCALE, SCALE);
    draw(c, chart);
    cairo_status_t status = cairo_status(c);
    cairo_destroy(c);
    if (!status && !svg)
        status = cairo_surface_write_to_png(surface, path);
    cairo_surface_finish(surface);
    if (!status)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return status ? cf_fail(detail, CF_E_IO, "%.200s: %s", path, cairo_status_to_string(status)) : CF_OK;
}
