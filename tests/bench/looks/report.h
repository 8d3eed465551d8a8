/* What was measured, for people (tables of Markdown), for programs (JSON) and as a picture (SVG and PNG). */
#ifndef CF_BENCH_LOOKS_REPORT_H
#define CF_BENCH_LOOKS_REPORT_H

#include <stdio.h>

#include "tests/bench/looks/measure.h"

struct looks_report {
    const struct looks_gallery *gallery;
    const struct looks_options *options;
    const struct looks_result *result;
};

void looks_report_tables(const struct looks_report *report, FILE *out);
enum cf_err looks_report_json(const struct looks_report *report, const char *path,
                              struct cf_detail *detail) CF_MUST_CHECK;

/* recall@1 of each attack in each space, a row an attack. `path` ends in .svg or .png. CF_E_IO,
 * CF_E_NO_MEMORY. */
enum cf_err looks_plot(const struct looks_report *report, const char *path,
                       struct cf_detail *detail) CF_MUST_CHECK;

#endif
