/* A picture of one task: queries a second against recall, a line a contestant. */
#ifndef CF_BENCH_ANN_PLOT_H
#define CF_BENCH_ANN_PLOT_H

#include "tests/bench/ann/report.h"

/* SVG 1.1, 960 x 600, no scripts and no fonts of its own. */
enum cf_err bench_plot(const struct bench_field *field, const char *path,
                       struct cf_detail *detail) CF_MUST_CHECK;

#endif
