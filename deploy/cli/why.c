#include "deploy/cli/why.h"

#include <math.h>

#include "common/descriptor/gray16.h"
#include "deploy/cli/tabular.h"

enum { FILTERS_A_SCALE = 8, CELL_COLUMNS = 6, CELL_ROWS = 3 };

static const char *const channel_names[CF_WHY_CHANNELS] = {"red", "green", "blue"};
/* Cycles that the filters of a scale answer to most, a picture of 64 pixels. */
static const double cycles[CF_WHY_SCALES] = {19.2, 10.4, 5.6};

size_t cf_why_orientations(size_t scale)
{
    return scale < 2 ? 8 : 4;
}

static double square(const float *a, const float *b, size_t i)
{
    return pow((double)a[i] - (double)b[i], 2);
}

static double add_gray16(const float *a, const float *b, struct cf_why *why)
{
    enum { CELLS = CF_GRAY16_SIDE / CF_WHY_BLOCKS };
    double sum = 0;
    for (size_t i = 0; i < CF_GRAY16_DIM; i++) {
        double part = square(a, b, i);
        why->blocks[i / CF_GRAY16_SIDE / CELLS][i % CF_GRAY16_SIDE / CELLS] += part;
        sum += part;
    }
    return sum;
}

/* The order of elements is gist.h's: channel, filter, column of blocks, row of blocks. */
static double add_gist(const float *a, const float *b, struct cf_why *why)
{
    enum { BLOCKS = CF_GIST_BLOCKS * CF_GIST_BLOCKS };
    double sum = 0;
    for (size_t i = 0; i < CF_GIST_DIM; i++) {
        double part = square(a, b, i);
        size_t filter = i / BLOCKS % CF_GIST_FILTERS;
        why->blocks[i % CF_GIST_BLOCKS][i / CF_GIST_BLOCKS % CF_GIST_BLOCKS] += part;
        why->filters[filter / FILTERS_A_SCALE][filter % FILTERS_A_SCALE] += part;
        why->channels[i / BLOCKS / CF_GIST_FILTERS] += part;
        sum += part;
    }
    return sum;
}

/* A learned space has no parts that mean something by themselves. */
static double add_all(const struct cf_space *space, const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < space->dim; i++)
        sum += square(a, b, i);
    return sum;
}

static bool has_parts(const struct cf_why *why)
{
    return why->space->metric != CF_METRIC_COSINE;
}

/* Of vectors of unit length. */
static double cosine_of(const struct cf_why *why)
{
    return 1 - why->distance * why->distance / 2;
}

static void to_shares(double *values, size_t count, double sum)
{
    for (size_t i = 0; i < count; i++)
        values[i] = sum > 0 ? values[i] / sum : 0;
}

enum cf_err cf_why_of(const struct cf_space *space, const float *a, const float *b, struct cf_why *why,
                      struct cf_detail *detail)
{
    double sum;
    *why = (struct cf_why){.space = space};
    if (cf_str_is(cf_str("gist"), space->name))
        sum = add_gist(a, b, why);
    else if (cf_str_is(cf_str("gray16"), space->name))
        sum = add_gray16(a, b, why);
    else if (space->metric == CF_METRIC_COSINE)
        sum = add_all(space, a, b);
    else
        return cf_fail(detail, CF_E_INVALID,
                       "distances of %s cannot be taken apart: those of gist and gray16 can", space->name);
    why->distance = sqrt(sum);
    to_shares(&why->blocks[0][0], CF_WHY_BLOCKS * CF_WHY_BLOCKS, sum);
    to_shares(&why->filters[0][0], CF_WHY_SCALES * CF_WHY_ORIENTATIONS, sum);
    to_shares(why->channels, CF_WHY_CHANNELS, sum);
    return CF_OK;
}

static bool has_filters(const struct cf_why *why)
{
    return strcmp(why->space->name, "gist") == 0;
}

static double scale_share(const struct cf_why *why, size_t scale)
{
    double sum = 0;
    for (size_t i = 0; i < cf_why_orientations(scale); i++)
        sum += why->filters[scale][i];
    return sum;
}

static double angle_of(size_t scale, size_t orientation)
{
    return (double)orientation * 180 / (double)cf_why_orientations(scale);
}

/* ---- JSON ---- */

static void scale_json(struct cf_json *json, const struct cf_why *why, size_t scale)
{
    cf_json_object(json, NULL);
    cf_json_real(json, "cycles", cycles[scale]);
    cf_json_real(json, "share", scale_share(why, scale));
    cf_json_array(json, "orientations");
    for (size_t i = 0; i < cf_why_orientations(scale); i++) {
        cf_json_object(json, NULL);
        cf_json_real(json, "angle", angle_of(scale, i));
        cf_json_real(json, "share", why->filters[scale][i]);
        cf_json_end(json);
    }
    cf_json_end(json);
    cf_json_end(json);
}

static void blocks_json(struct cf_json *json, const struct cf_why *why)
{
    cf_json_array(json, "blocks");
    for (size_t row = 0; row < CF_WHY_BLOCKS; row++) {
        cf_json_array(json, NULL);
        for (size_t column = 0; column < CF_WHY_BLOCKS; column++)
            cf_json_real(json, NULL, why->blocks[row][column]);
        cf_json_end(json);
    }
    cf_json_end(json);
}

void cf_why_json(struct cf_json *json, const struct cf_why *why)
{
    cf_json_word(json, "space", why->space->name);
    cf_json_real(json, "distance", why->distance);
    if (!has_parts(why)) {
        cf_json_real(json, "cosine", cosine_of(why));
        return;
    }
    blocks_json(json, why);
    if (!has_filters(why))
        return;
    cf_json_array(json, "scales");
    for (size_t scale = 0; scale < CF_WHY_SCALES; scale++)
        scale_json(json, why, scale);
    cf_json_end(json);
    cf_json_object(json, "channels");
    for (size_t i = 0; i < CF_WHY_CHANNELS; i++)
        cf_json_real(json, channel_names[i], why->channels[i]);
    cf_json_end(json);
}

/* ---- text ---- */

static double largest_block(const struct cf_why *why)
{
    double largest = 0;
    for (size_t row = 0; row < CF_WHY_BLOCKS; row++)
        for (size_t column = 0; column < CF_WHY_BLOCKS; column++)
            largest = fmax(largest, why->blocks[row][column]);
    return largest;
}

/* Where the two differ, dark where they differ most; beside it the shares. */
static void picture(const struct cf_why *why, FILE *out)
{
    static const char shades[] = " .:-=+*#%@";
    double largest = largest_block(why);
    for (size_t line = 0; line < CF_WHY_BLOCKS * CELL_ROWS; line++) {
        const double *row = why->blocks[line / CELL_ROWS];
        fputs("  |", out);
        for (size_t i = 0; i < CF_WHY_BLOCKS * CELL_COLUMNS; i++) {
            double dark = largest > 0 ? row[i / CELL_COLUMNS] / largest : 0;
            fputc(shades[(size_t)(dark * (sizeof shades - 2) + 0.5)], out);
        }
        fputc('|', out);
        for (size_t column = 0; line % CELL_ROWS == 1 && column < CF_WHY_BLOCKS; column++)
            fprintf(out, " %5.1f %%", 100 * row[column]);
        fputc('\n', out);
    }
}

static enum cf_err filters_text(const struct cf_why *why, FILE *out)
{
    static const char *const headings[] = {"SCALE", ">SHARE", ">0 |",   ">22.5",  ">45 \\", ">67.5",
                                           ">90 -", ">112.5", ">135 /", ">157.5", NULL};
    static const char *const names[CF_WHY_SCALES] = {"fine", "middle", "coarse"};
    struct cf_tabular *tabular = cf_tabular_new(headings);
    for (size_t scale = 0; scale < CF_WHY_SCALES; scale++) {
        size_t step = CF_WHY_ORIENTATIONS / cf_why_orientations(scale);
        cf_tabular_cellf(tabular, "%s, %.0f cycles", names[scale], cycles[scale]);
        cf_tabular_cellf(tabular, "%.1f %%", 100 * scale_share(why, scale));
        for (size_t i = 0; i < CF_WHY_ORIENTATIONS; i++) {
            if (i % step == 0)
                cf_tabular_cellf(tabular, "%.1f", 100 * why->filters[scale][i / step]);
            else
                cf_tabular_cellf(tabular, "%s", "");
        }
    }
    enum cf_err err = cf_tabular_print(tabular, "  ", out);
    cf_tabular_free(tabular);
    return err;
}

enum cf_err cf_why_text(const struct cf_why *why, FILE *out)
{
    if (!has_parts(why)) {
        fprintf(out, "distance %.4f in %s, cosine %.4f; a learned space cannot be taken apart\n",
                why->distance, why->space->name, cosine_of(why));
        return CF_OK;
    }
    fprintf(out, "distance %.4f in %s; shares of its square\n\nby block, as the covers lie:\n", why->distance,
            why->space->name);
    picture(why, out);
    if (!has_filters(why))
        return CF_OK;
    fputs("\nby scale and by orientation of lines (degrees, anti-clockwise from the vertical), in percent:\n",
          out);
    enum cf_err err = filters_text(why, out);
    fputs("\nby colour:", out);
    for (size_t i = 0; i < CF_WHY_CHANNELS; i++)
        fprintf(out, "  %s %.1f %%", channel_names[i], 100 * why->channels[i]);
    fputc('\n', out);
    return err;
}
