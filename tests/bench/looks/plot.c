#include <math.h>
#include <string.h>

#include <cairo-svg.h>
#include <cairo.h>

#include "tests/bench/looks/report.h"

enum {
    WIDTH = 760,
    LEFT = 150,
    RIGHT = 40,
    TOP = 74,
    ROW = 21,
    BOTTOM = 58,
    SCALE = 2,
    TICKS = 5,
    RADIUS = 5
};

/* Told apart with the eyes of most (Okabe and Ito), a space each. */
static const double colours[][3] = {{.34, .71, .91}, {.90, .62, .00}, {.82, .00, .00}, {.00, .62, .45},
                                    {.80, .47, .65}, {.00, .45, .70}, {.50, .50, .50}, {.20, .13, .53}};
enum { COLOURS = sizeof colours / sizeof colours[0] };

/* A row for the mean stands below the attacks. */
static double row_middle(size_t row)
{
    return TOP + ROW * ((double)row + .5);
}

static double bottom_of(void)
{
    return TOP + ROW * (double)(looks_attack_count + 1);
}

static double x_of(double share)
{
    return LEFT + share * (WIDTH - LEFT - RIGHT);
}

static void set_colour(cairo_t *c, size_t space)
{
    const double *colour = colours[space % COLOURS];
    cairo_set_source_rgb(c, colour[0], colour[1], colour[2]);
}

/* `align` of the text's width lies left of x: 0, .5 or 1. */
static void text(cairo_t *c, double x, double y, double size, double align, const char *words)
{
    cairo_text_extents_t extents;
    cairo_set_font_size(c, size);
    cairo_text_extents(c, words, &extents);
    cairo_move_to(c, x - align * extents.x_advance, y);
    cairo_show_text(c, words);
}

static void dot(cairo_t *c, double x, double y)
{
    cairo_arc(c, x, y, RADIUS, 0, 6.28318530717958648);
    cairo_fill(c);
}

static void draw_axis(cairo_t *c)
{
    for (int i = 0; i <= TICKS; i++) {
        char words[16];
        double x = x_of((double)i / TICKS);
        snprintf(words, sizeof words, "%.1f", (double)i / TICKS);
        cairo_set_source_rgb(c, .85, .85, .85);
        cairo_set_line_width(c, 1);
        cairo_move_to(c, x, TOP);
        cairo_line_to(c, x, bottom_of());
        cairo_stroke(c);
        cairo_set_source_rgb(c, .25, .25, .25);
        text(c, x, bottom_of() + 17, 12, .5, words);
    }
    text(c, x_of(.5), bottom_of() + 38, 13, .5, "recall@1");
}

static void draw_legend(cairo_t *c, const struct looks_report *report)
{
    double x = LEFT;
    for (size_t s = 0; s < CF_SPACE_COUNT; s++) {
        if (!report->options->spaces[s])
            continue;
        set_colour(c, s);
        dot(c, x + RADIUS, 54);
        cairo_set_source_rgb(c, .1, .1, .1);
        text(c, x + 3 * RADIUS, 58, 13, 0, cf_spaces[s].name);
        x += 90;
    }
}

static void draw_row(cairo_t *c, const struct looks_report *report, size_t row, const char *name,
                     const struct looks_score *scores)
{
    double y = row_middle(row);
    cairo_set_source_rgb(c, .1, .1, .1);
    text(c, LEFT - 10, y + 4, 12.5, 1, name);
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        if (report->options->spaces[s]) {
            set_colour(c, s);
            dot(c, x_of(scores[s].recall1), y);
        }
}

static void draw(cairo_t *c, const struct looks_report *report)
{
    struct looks_score means[CF_SPACE_COUNT];
    char title[128];
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    snprintf(title, sizeof title, "%zu attacked covers, each found first among %zu albums?",
             report->result->query_count, report->gallery->found_count);
    cairo_set_source_rgb(c, .1, .1, .1);
    text(c, LEFT, 32, 17, 0, title);
    draw_legend(c, report);
    draw_axis(c);
    for (size_t a = 0; a < looks_attack_count; a++)
        draw_row(c, report, a, looks_attacks[a].name, report->result->scores[a]);
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        means[s] = looks_mean(report->result, s);
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
    draw_row(c, report, looks_attack_count, "mean of singles", means);
}

static bool is_svg(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".svg") == 0;
}

enum cf_err looks_plot(const struct looks_report *report, const char *path, struct cf_detail *detail)
{
    bool svg = is_svg(path);
    double height = bottom_of() + BOTTOM;
    cairo_surface_t *surface =
        svg ? cairo_svg_surface_create(path, WIDTH, height)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH * SCALE, (int)(height * SCALE));
    cairo_t *c = cairo_create(surface);
    if (!svg)
        cairo_scale(c, SCALE, SCALE);
    draw(c, report);
    cairo_status_t status = cairo_status(c);
    cairo_destroy(c);
    if (!status && !svg)
        status = cairo_surface_write_to_png(surface, path);
    cairo_surface_finish(surface);
    if (!status)
        status = cairo_surface_status(surface);
    cairo_surface_destroy(surface);
    return status ? cf_fail(detail, status == CAIRO_STATUS_NO_MEMORY ? CF_E_NO_MEMORY : CF_E_IO, "%.200s: %s",
                            path, cairo_status_to_string(status))
                  : CF_OK;
}
