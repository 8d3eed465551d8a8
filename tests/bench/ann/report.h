/* What was measured, for people (a table of Markdown), for programs (JSON) and as a picture (plot.h). */
#ifndef CF_BENCH_ANN_REPORT_H
#define CF_BENCH_ANN_REPORT_H

#include <stdio.h>

#include "tests/bench/ann/measure.h"

/* One task and all who took part. */
struct bench_field {
    const struct bench_task *task;
    const struct bench_contestant *contestants;
    size_t count;
    const struct bench_limits *limits;
};

/* The processor, its cores, the SIMD level of ours and the compilers' flags, in one sentence. */
void bench_report_machine(FILE *out);
void bench_report_table(const struct bench_field *field, FILE *out);

/* A row a size of the base: ours alone, or whoever took part in all of them. */
void bench_report_scaling_head(FILE *out);
void bench_report_scaling_rows(const struct bench_field *field, FILE *out);

struct bench_json;
struct bench_json *bench_json_new(void);
void bench_json_add(struct bench_json *json, const struct bench_field *field);
/* Writes it and lets it go. */
enum cf_err bench_json_finish(struct bench_json *json, const char *path,
                              struct cf_detail *detail) CF_MUST_CHECK;

#endif
