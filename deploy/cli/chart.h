/* A bar chart with intervals, the same drawing as SVG and as PNG. The one home of cairo. */
#ifndef CF_CLI_CHART_H
#define CF_CLI_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

struct cf_chart_bar {
    const char *name;
    double value, low, high; /* low and high NaN: no interval is drawn */
};

struct cf_chart {
    const char *title, *axis, *note; /* the note stands below */
    double from, to;                 /* of the axis */
    double reference;                /* a dashed line, such as chance */
    const struct cf_chart_bar *bars;
    size_t bar_count;
};

/* By the end of the name, .svg or .png. CF_E_INVALID, CF_E_NO_MEMORY, CF_E_IO; the sentence names the file.
 */
enum cf_err cf_chart_write(const struct cf_chart *chart, const char *path,
                           struct cf_detail *detail) CF_MUST_CHECK;

#endif
