#include "tests/bench/ann/plot.h"

#include <math.h>
#include <stdlib.h>

#include "tests/bench/ann/curve.h"

/* The frame in the picture. */
enum { WIDTH = 960, HEIGHT = 600, LEFT = 80, RIGHT = 680, TOP = 56, BOTTOM = 536, LABEL_LINES = 17 };
#define RECALL_LOW  .5
#define RECALL_HIGH .999

/* Told apart with the eyes of most (Okabe and Ito, with a strong red for ours). */
static const char *const colours[] = {"#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9",
                                      "#7f7f7f", "#8c564b", "#b8a800", "#332288"};
#define OURS_COLOUR "#d00000"

struct scale {
    double low, high; /* of the logarithm of queries a second */
};

/* What is missing to a recall of one counts on a logarithmic axis. */
static double x_of(double recall)
{
    double at = (log(1 - RECALL_LOW) - log(1 - fmin(recall, RECALL_HIGH))) /
                (log(1 - RECALL_LOW) - log(1 - RECALL_HIGH));
    return LEFT + at * (RIGHT - LEFT);
}

static double y_of(const struct scale *scale, double qps)
{
    return BOTTOM - (log10(qps) - scale->low) / (scale->high - scale->low) * (BOTTOM - TOP);
}

struct line {
    struct bench_point points[BENCH_KNOBS_MAX];
    size_t count;
    const char *colour, *name;
    bool ours;
    double label_y;
};

/* What lies below the axis' first recall is left out. */
static struct line line_of(const struct bench_contestant *contestant, size_t number)
{
    struct line line = {.name = contestant->peer->name, .ours = contestant->peer->by_recall};
    line.colour = line.ours ? OURS_COLOUR : colours[number % (sizeof colours / sizeof colours[0])];
    for (size_t i = 0; contestant->built && i < contestant->peer->knob_count; i++)
        if (contestant->results[i].recall >= RECALL_LOW)
            line.points[line.count++] =
                (struct bench_point){contestant->results[i].recall, contestant->results[i].qps[BENCH_ALONE]};
    line.count = bench_front(line.points, line.count);
    return line;
}

static struct scale fit(const struct line *lines, size_t count)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < lines[i].count; j++) {
            low = fmin(low, lines[i].points[j].qps);
            high = fmax(high, lines[i].points[j].qps);
        }
    if (!isfinite(low))
        return (struct scale){0, 1};
    return (struct scale){floor(log10(low)), fmax(ceil(log10(high)), floor(log10(low)) + 1)};
}

static void draw_axes(FILE *out, const struct scale *scale)
{
    static const double recalls[] = {.5, .7, .8, .9, .95, .98, .99, .995, .999};
    for (size_t i = 0; i < sizeof recalls / sizeof recalls[0]; i++) {
        double x = x_of(recalls[i]);
        fprintf(out,
                "<path class=\"grid\" d=\"M%.1f %d V%d\"/><text x=\"%.1f\" y=\"%d\" "
                "text-anchor=\"middle\">%s%g</text>\n",
                x, TOP, BOTTOM, x, BOTTOM + 20, recalls[i] < RECALL_HIGH ? "" : "≥", recalls[i]);
    }
    for (double power = scale->low; power < scale->high + .5; power++) {
        double y = y_of(scale, pow(10, power));
        fprintf(out,
                "<path class=\"grid\" d=\"M%d %.1f H%d\"/><text x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%.0f</text>\n",
                LEFT, y, RIGHT, LEFT - 8, y + 4, pow(10, power));
        for (int digit = 2; digit < 10 && power + .5 < scale->high; digit++) {
            y = y_of(scale, digit * pow(10, power));
            fprintf(out, "<path class=\"minor\" d=\"M%d %.1f H%d\"/>\n", LEFT, y, RIGHT);
        }
    }
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#333\"/>\n", LEFT,
            TOP, RIGHT - LEFT, BOTTOM - TOP);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">recall@%d</text>\n", (LEFT + RIGHT) / 2,
            BOTTOM + 44, BENCH_K);
    fprintf(out,
            "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">queries a second, one "
            "thread</text>\n",
            (TOP + BOTTOM) / 2);
}

static void draw_line(FILE *out, const struct scale *scale, const struct line *line)
{
    fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%g\" points=\"", line->colour,
            line->ours ? 3.5 : 1.8);
    for (size_t i = 0; i < line->count; i++)
        fprintf(out, "%.1f,%.1f ", x_of(line->points[i].recall), y_of(scale, line->points[i].qps));
    fprintf(out, "\"/>\n");
    for (size_t i = 0; i < line->count; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%g\" fill=\"%s\"/>\n", x_of(line->points[i].recall),
                y_of(scale, line->points[i].qps), line->ours ? 4.5 : 3., line->colour);
}

static int by_label(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    return (x->label_y > y->label_y) - (x->label_y < y->label_y);
}

/* At the right of the frame, in the order of the lines' ends, moved apart, a thin leader to each end. */
static void draw_labels(FILE *out, const struct scale *scale, struct line *lines, size_t count)
{
    double free_from = TOP;
    for (size_t i = 0; i < count; i++)
        lines[i].label_y = lines[i].count ? y_of(scale, lines[i].points[lines[i].count - 1].qps) : BOTTOM;
    qsort(lines, count, sizeof *lines, by_label);
    for (size_t i = 0; i < count; i++) {
        double room = BOTTOM - (double)(count - 1 - i) * LABEL_LINES;
        double y = fmin(fmax(lines[i].label_y, free_from), room);
        free_from = y + LABEL_LINES;
        if (lines[i].count) {
            const struct bench_point *last = &lines[i].points[lines[i].count - 1];
            fprintf(
                out,
                "<path d=\"M%.1f %.1f L%d %.1f L%d %.1f\" fill=\"none\" stroke=\"%s\" stroke-width=\".7\" "
                "stroke-dasharray=\"2 3\"/>\n",
                x_of(last->recall), y_of(scale, last->qps), RIGHT + 4, lines[i].label_y, RIGHT + 26, y,
                lines[i].colour);
        }
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" fill=\"%s\"%s>%s%s</text>\n", RIGHT + 32, y + 4,
                lines[i].colour, lines[i].ours ? " font-weight=\"bold\" font-size=\"16\"" : "", lines[i].name,
                lines[i].count ? "" : " (nothing to show)");
    }
}

enum cf_err bench_plot(const struct bench_field *field, const char *path, struct cf_detail *detail)
{
    struct line *lines = bench_alloc(field->count, sizeof *lines);
    FILE *out = fopen(path, "we");
    if (!out) {
        free(lines);
        return cf_fail_errno(detail, path);
    }
    for (size_t i = 0; i < field->count; i++)
        lines[i] = line_of(&field->contestants[i], i);
    struct scale scale = fit(lines, field->count);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
            "<style>.grid{stroke:#ccc}.minor{stroke:#eee}</style>\n<rect width=\"%d\" height=\"%d\" "
            "fill=\"#fff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    fprintf(out,
            "<text x=\"%d\" y=\"32\" font-size=\"18\">%s: %zu vectors of %u dimensions, up and to the right "
            "is better</text>\n",
            LEFT, field->task->space, field->task->base.count, field->task->base.dim);
    draw_axes(out, &scale);
    for (size_t i = field->count; i-- > 0;) /* ours, the first, on top */
        draw_line(out, &scale, &lines[i]);
    draw_labels(out, &scale, lines, field->count);
    fprintf(out, "</svg>\n");
    free(lines);
    return fclose(out) ? cf_fail_errno(detail, path) : CF_OK;
}
