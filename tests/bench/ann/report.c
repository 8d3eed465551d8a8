#include "tests/bench/ann/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/base/cpu.h"

#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown flags"
#endif

static const double recalls[] = {.90, .95, .99};
enum { RECALLS = sizeof recalls / sizeof recalls[0] };
/* A measured thread that had less of a processor than this was disturbed. */
#define BUSY_MIN .97

static void processor_name(char *name, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(name, size, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value) {
            snprintf(name, size, "%s", value + 2);
            name[strcspn(name, "\n")] = '\0';
            break;
        }
    }
    if (file)
        fclose(file);
}

void bench_report_machine(FILE *out)
{
    char name[256];
    processor_name(name, sizeof name);
    fprintf(out, "%s, %ld cores; ours at %s; %s.\n", name, sysconf(_SC_NPROCESSORS_ONLN),
            cf_simd_name(cf_cpu_simd()), BENCH_FLAGS);
}

/* 12,345, or a dash for what was not reached. */
static const char *grouped(double value, char text[32])
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%.0f", value), at = 0;
    if (!isfinite(value))
        return "–";
    for (int i = 0; i < len; i++) {
        text[at++] = digits[i];
        if (i + 1 < len && (len - 1 - i) % 3 == 0)
            text[at++] = ',';
    }
    text[at] = '\0';
    return text;
}

static bool disturbed(const struct bench_field *field, const struct bench_contestant *contestant)
{
    if (field->limits->processor_time)
        return false;
    for (size_t i = 0; contestant->built && i < contestant->peer->knob_count; i++)
        if (contestant->results[i].busy < BUSY_MIN)
            return true;
    return false;
}

static void print_got(const struct bench_contestant *contestant, FILE *out)
{
    for (int i = 0; i < RECALLS; i++) {
        const struct bench_result *result = bench_result_for(contestant, recalls[i]);
        if (result)
            fprintf(out, "%s%.4f", i ? " / " : "", result->recall);
        else
            fprintf(out, "%s–", i ? " / " : "");
    }
}

static void print_row(const struct bench_field *field, const struct bench_contestant *contestant, FILE *out)
{
    char text[32];
    fprintf(out, "| %s%s |", contestant->peer->what, disturbed(field, contestant) ? " †" : "");
    if (!contestant->built) {
        fprintf(out, " %s | | | | | | | %.0f |\n", contestant->sentence, contestant->build_seconds);
        return;
    }
    for (int i = 0; i < RECALLS; i++)
        fprintf(out, " %s |", grouped(bench_result_at(contestant, BENCH_ALONE, recalls[i]), text));
    fprintf(out, " %s |", grouped(bench_result_at(contestant, BENCH_TOGETHER, .95), text));
    const struct bench_result *result = bench_result_for(contestant, .95);
    if (result)
        fprintf(out, " %.0f / %.0f | ", result->p50_us, result->p99_us);
    else
        fprintf(out, " – | ");
    if (contestant->peer->by_recall)
        print_got(contestant, out);
    fprintf(out, " | %s | %.1f (%.1f) |\n", grouped(contestant->bytes_per_vector, text),
            contestant->build_seconds, contestant->build_processor_seconds);
}

/* Below what was asked for by more than the choice of queries explains. */
static bool falls_short(const struct bench_result *result)
{
    return result->recall + 2 * result->recall_error < result->knob.first;
}

/* Recall of each kind of query at what was asked for. */
static void print_kinds(const struct bench_contestant *contestant, FILE *out)
{
    fprintf(out,
            "\nRecall of %s, asked and got (held-out pictures / perturbed copies):", contestant->peer->name);
    for (size_t i = 0; i < contestant->peer->knob_count; i++) {
        const struct bench_result *result = &contestant->results[i];
        fprintf(out, "%s %g: %.4f (%.4f / %.4f)%s", i ? ";" : "", result->knob.first, result->recall,
                result->recall_of[BENCH_HELD], result->recall_of[BENCH_PERT],
                falls_short(result) ? " **short**" : "");
    }
    fprintf(out, ".\n");
}

static double best_of(const struct bench_field *field, const char *prefix, double recall)
{
    double best = NAN;
    for (size_t i = 0; i < field->count; i++)
        if (strncmp(field->contestants[i].peer->name, prefix, strlen(prefix)) == 0)
            best = fmax(best, bench_result_at(&field->contestants[i], BENCH_ALONE, recall));
    return best;
}

static void print_ratios(const struct bench_field *field, FILE *out)
{
    static const char *const families[][2] = {
        {"hnswlib", "hnswlib"}, {"faiss", "the best of faiss"}, {"flann", "FLANN"}};
    double ours = best_of(field, "ours", .95);
    const char *before = "\nAt .95, one thread, ours answers";
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        double theirs = best_of(field, families[i][0], .95);
        if (!isfinite(ours / theirs))
            continue;
        fprintf(out, "%s %.1f times as many queries as %s", before, ours / theirs, families[i][1]);
        before = ",";
    }
    if (*before == ',')
        fprintf(out, ".\n");
}

void bench_report_table(const struct bench_field *field, FILE *out)
{
    const struct bench_task *task = field->task;
    char text[32];
    fprintf(out, "\n### %s, %s vectors of %u\n\n", task->space, grouped((double)task->base.count, text),
            task->base.dim);
    fprintf(out,
            "Recall@%d over %zu queries, %zu of them held-out pictures, %zu perturbed copies; one query a "
            "call; medians of %u rounds of at most %.1f s a setting, %s.\n\n",
            BENCH_K, task->query_count, task->queries[BENCH_HELD].count, task->queries[BENCH_PERT].count,
            field->limits->rounds, field->limits->point_seconds,
            field->limits->processor_time ? "processor time" : "wall time");
    fprintf(out,
            "| index | queries/s at .90 | at .95 | at .99 | at .95, %u threads | µs p50 / p99 at .95 | "
            "recall got | "
            "bytes/vector | build s, %u threads (processor s) |\n|---|---|---|---|---|---|---|---|---|\n",
            field->limits->threads, field->limits->threads);
    for (size_t i = 0; i < field->count; i++)
        print_row(field, &field->contestants[i], out);
    print_ratios(field, out);
    for (size_t i = 0; i < field->count; i++)
        if (field->contestants[i].built && field->contestants[i].peer->by_recall)
            print_kinds(&field->contestants[i], out);
    for (size_t i = 0; i < field->count; i++)
        if (disturbed(field, &field->contestants[i])) {
            fprintf(out, "\n† something else had the processor for part of the time.\n");
            break;
        }
}

/* ---- scaling ---- */

void bench_report_scaling_head(FILE *out)
{
    fprintf(out, "\n| space | vectors | index | µs a query at .90 | at .95 | at .99 | recall got | "
                 "bytes/vector | build s (processor s) |\n"
                 "|---|---|---|---|---|---|---|---|---|\n");
}

void bench_report_scaling_rows(const struct bench_field *field, FILE *out)
{
    char text[32];
    for (size_t c = 0; c < field->count; c++) {
        const struct bench_contestant *contestant = &field->contestants[c];
        fprintf(out, "| %s | %s |", field->task->space, grouped((double)field->task->base.count, text));
        fprintf(out, " %s%s |", contestant->peer->what, disturbed(field, contestant) ? " †" : "");
        if (!contestant->built) {
            fprintf(out, " %s | | | | | %.0f |\n", contestant->sentence, contestant->build_seconds);
            continue;
        }
        for (int i = 0; i < RECALLS; i++)
            fprintf(out, " %s |", grouped(1e6 / bench_result_at(contestant, BENCH_ALONE, recalls[i]), text));
        fprintf(out, " ");
        print_got(contestant, out);
        fprintf(out, " | %s | %.1f (%.1f) |\n", grouped(contestant->bytes_per_vector, text),
                contestant->build_seconds, contestant->build_processor_seconds);
    }
}

/* ---- JSON ---- */

struct bench_json {
    json_t *spaces;
};

static json_t *must_json(json_t *value)
{
    if (!value)
        bench_give_up("out of memory");
    return value;
}

/* JSON has no NAN: null. */
static json_t *real(double value)
{
    return must_json(isfinite(value) ? json_real(value) : json_null());
}

struct bench_json *bench_json_new(void)
{
    struct bench_json *json = bench_alloc(1, sizeof *json);
    json->spaces = must_json(json_array());
    return json;
}

static json_t *point_json(const struct bench_result *result)
{
    return must_json(json_pack(
        "{s:f,s:i,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "knob", result->knob.first, "second",
        result->knob.second, "queries", (json_int_t)result->queries, "recall", real(result->recall),
        "recall_error", real(result->recall_error), "recall_held", real(result->recall_of[BENCH_HELD]),
        "recall_pert", real(result->recall_of[BENCH_PERT]), "qps", real(result->qps[BENCH_ALONE]),
        "qps_together", real(result->qps[BENCH_TOGETHER]), "p50_us", real(result->p50_us), "p99_us",
        real(result->p99_us), "busy", real(result->busy)));
}

static json_t *contestant_json(const struct bench_contestant *contestant)
{
    const struct peer *peer = contestant->peer;
    json_t *points = must_json(json_array()), *at = must_json(json_object());
    for (size_t i = 0; contestant->built && i < peer->knob_count; i++)
        json_array_append_new(points, point_json(&contestant->results[i]));
    for (int i = 0; i < RECALLS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%.2f", recalls[i]);
        json_object_set_new(at, key, real(bench_result_at(contestant, BENCH_ALONE, recalls[i])));
    }
    return must_json(json_pack(
        "{s:s,s:s,s:s,s:b,s:s,s:o,s:o,s:o,s:o,s:o}", "name", peer->name, "what", peer->what, "knob_name",
        peer->knob_name, "built", contestant->built, "sentence", contestant->sentence, "build_seconds",
        real(contestant->build_seconds), "build_processor_seconds", real(contestant->build_processor_seconds),
        "bytes_per_vector", real(contestant->built ? contestant->bytes_per_vector : NAN), "qps_at", at,
        "points", points));
}

void bench_json_add(struct bench_json *json, const struct bench_field *field)
{
    json_t *contestants = must_json(json_array());
    for (size_t i = 0; i < field->count; i++)
        json_array_append_new(contestants, contestant_json(&field->contestants[i]));
    json_array_append_new(
        json->spaces,
        must_json(json_pack("{s:s,s:I,s:i,s:I,s:i,s:i,s:i,s:o}", "space", field->task->space, "count",
                            (json_int_t)field->task->base.count, "dim", (int)field->task->base.dim, "queries",
                            (json_int_t)field->task->query_count, "k", BENCH_K, "threads",
                            (int)field->limits->threads, "rounds", (int)field->limits->rounds, "contestants",
                            contestants)));
}

enum cf_err bench_json_finish(struct bench_json *json, const char *path, struct cf_detail *detail)
{
    char name[256];
    processor_name(name, sizeof name);
    json_t *all = must_json(json_pack("{s:s,s:i,s:s,s:s,s:o}", "processor", name, "cores",
                                      (int)sysconf(_SC_NPROCESSORS_ONLN), "simd", cf_simd_name(cf_cpu_simd()),
                                      "flags", BENCH_FLAGS, "spaces", json->spaces));
    enum cf_err err = json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6))
                          ? cf_fail_errno(detail, path)
                          : CF_OK;
    json_decref(all);
    free(json);
    return err;
}
