/* Our index and its peers on one set, in one run.
 *
 *     ann_compare --set FOLDER --out FOLDER [--spaces gist,gray16] [--peers NAME,...|all] [--count N]
 *                 [--threads T] [--rounds R] [--point-seconds S] [--build-seconds S] [--scale N,N,...]
 *                 [--long] [--processor-time] [--list]
 *
 * The set is what ann_set wrote; --count takes the first N vectors of its base and finds their truth anew.
 * Every index is built by T threads (default 2) and given up beyond --build-seconds of processor time a
 * thread (default 600), then every setting of every knob is timed in R rounds (default 3), one query a call,
 * by one thread and by T, for at most S seconds a round (default 1.5; at least 100 queries). Ours is asked
 * for a recall, and what it got is printed beside it; the figures of the peers at a recall are interpolated
 * on their sweeps, which is as if they had been tuned on the very queries.
 *
 * Writes table.md, table.json and SPACE.svg into the folder, and the table to stdout. --scale measures the
 * named sizes (the peers that were named; by default ours alone) one after the other instead; --long adds ten
 * million vectors of 96 dimensions from a seed (8 GB of memory). --processor-time counts the time that a
 * searching thread had the processor, for a machine that does other work meanwhile; without it a dagger marks
 * what such work disturbed. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cpu.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "tests/bench/ann/plot.h"
#include "tests/bench/ann/truth.h"

enum { SIZES_MAX = 8, LONG_COUNT = 10000000, LONG_DIM = 96, TRUTH_K = 10 };

struct options {
    const char *set, *out, *spaces, *peers;
    size_t count, sizes[SIZES_MAX], size_count;
    bool list, lengthy;
    struct bench_limits limits;
};

/* ---- who takes part ---- */

typedef const struct peer *table_of_peers(size_t *count);
#ifdef BENCH_FAISS
#define FAISS_TABLE peers_faiss,
#else
#define FAISS_TABLE
#endif
#ifdef BENCH_HNSWLIB
const struct peer *peers_hnswlib_native(size_t *count);
const struct peer *peers_hnswlib_portable(size_t *count);
#define HNSWLIB_TABLES peers_hnswlib_native, peers_hnswlib_portable,
#else
#define HNSWLIB_TABLES
#endif
#ifdef BENCH_FLANN
#define FLANN_TABLE peers_flann,
#else
#define FLANN_TABLE
#endif
static table_of_peers *const tables[] = {peers_ours, FAISS_TABLE HNSWLIB_TABLES FLANN_TABLE};

/* Is `name` one of the words of a list with commas? */
static bool named(const char *list, const char *name)
{
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ",");
        if (len == strlen(name) && strncmp(at, name, len) == 0)
            return true;
        at += len + (at[len] == ',');
    }
    return false;
}

static bool wanted(const struct options *options, const struct peer *peer)
{
    if (!options->peers)
        return options->size_count ? peer->by_recall : peer->by_default;
    return strcmp(options->peers, "all") == 0 || named(options->peers, peer->name);
}

static size_t choose(const struct options *options, struct bench_contestant *contestants)
{
    size_t chosen = 0;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        size_t count = 0;
        const struct peer *peers = tables[t](&count);
        for (size_t i = 0; i < count; i++) {
            if (options->list)
                printf("%-18s %s%s\n", peers[i].name, peers[i].what,
                       peers[i].by_default ? "" : " (when named)");
            else if (wanted(options, &peers[i]) && chosen < BENCH_CONTESTANTS_MAX)
                contestants[chosen++] = (struct bench_contestant){.peer = &peers[i]};
        }
    }
    return chosen;
}

/* ---- what is searched ---- */

static void load_queries(struct bench_task *task, const struct options *options, bool whole)
{
    char path[BENCH_PATH_BYTES];
    struct cf_detail detail = {""};
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++) {
        const char *name = bench_query_names[kind];
        bench_path(path, options->set, task->space, "query", name, "fvecs");
        bench_must(bench_floats_read(path, BENCH_QUERIES, &task->queries[kind], &detail), &detail);
        bench_path(path, options->set, task->space, "truth", name, "ivecs");
        if (whole)
            bench_must(bench_ints_read(path, BENCH_QUERIES, &task->truths[kind], &detail), &detail);
        else
            task->truths[kind] =
                bench_truth(&task->base, &task->queries[kind], TRUTH_K, options->limits.threads);
        if (task->queries[kind].dim != task->base.dim ||
            task->truths[kind].count != task->queries[kind].count)
            bench_give_up("the files of the set do not belong together: make it again with ann_set");
    }
}

/* The first `count` vectors (0: all) of a space of the set. */
static struct bench_task load_task(const struct options *options, const char *space, size_t count)
{
    char path[BENCH_PATH_BYTES];
    struct cf_detail detail = {""};
    struct bench_task task = {.base = {0}};
    snprintf(task.space, sizeof task.space, "%s", space);
    bench_path(path, options->set, space, "base", NULL, "fvecs");
    bench_must(bench_floats_read(path, count ? count : SIZE_MAX, &task.base, &detail), &detail);
    if (task.base.count < count)
        fprintf(stderr, "ann bench: %s: the set has %zu vectors, not %zu\n", space, task.base.count, count);
    load_queries(&task, options, count == 0);
    bench_task_settle(&task);
    return task;
}

struct synthesis {
    struct bench_floats *floats;
    uint64_t seed;
};

static double normal(struct cf_rng *rng)
{
    return sqrt(-2 * log(1 - cf_rng_unit(rng))) * cos(6.283185307179586 * cf_rng_unit(rng));
}

/* Clusters, with a spectrum that falls as that of pictures does. */
static void synthesize(void *arg, unsigned thread, size_t i)
{
    const struct synthesis *synthesis = arg;
    struct cf_rng rng = cf_rng(synthesis->seed ^ (uint64_t)i << 20),
                  centre = cf_rng(cf_rng_u64(&rng) % 20000);
    float *x = synthesis->floats->values + i * synthesis->floats->dim;
    (void)thread;
    for (uint32_t j = 0; j < synthesis->floats->dim; j++)
        x[j] = (float)((normal(&centre) + .6 * normal(&rng)) / sqrt(1 + j / 4.0));
}

static struct bench_floats make_floats(size_t count, uint64_t seed, unsigned threads)
{
    struct bench_floats floats = bench_floats_new(count, LONG_DIM);
    struct synthesis synthesis = {&floats, seed};
    cf_crew_run_numbered(threads, count, synthesize, &synthesis);
    return floats;
}

static struct bench_task make_task(const struct options *options)
{
    struct bench_task task = {.space = "synthetic"};
    task.base = make_floats(LONG_COUNT, 1, options->limits.threads);
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++) {
        task.queries[kind] = make_floats(BENCH_QUERIES / 2, 2 + (uint64_t)kind, options->limits.threads);
        task.truths[kind] = bench_truth(&task.base, &task.queries[kind], TRUTH_K, options->limits.threads);
    }
    bench_task_settle(&task);
    return task;
}

/* ---- runs ---- */

struct output {
    FILE *table;
    struct bench_json *json;
};

static void measure_all(const struct options *options, struct bench_task *task, struct output *output,
                        bool scaling)
{
    struct bench_contestant *contestants = bench_alloc(BENCH_CONTESTANTS_MAX, sizeof *contestants);
    struct bench_field field = {task, contestants, choose(options, contestants), &options->limits};
    char path[BENCH_PATH_BYTES];
    struct cf_detail detail = {""};
    for (size_t i = 0; i < field.count; i++) {
        bench_build(&contestants[i], task, &options->limits);
        if (scaling) /* of large bases only one index at a time fits */
            bench_measure(&contestants[i], 1, task, &options->limits);
    }
    if (scaling) {
        bench_report_scaling_rows(&field, output->table);
    } else {
        bench_measure(contestants, field.count, task, &options->limits);
        bench_report_table(&field, output->table);
        snprintf(path, sizeof path, "%s/%s.svg", options->out, task->space);
        bench_must(bench_plot(&field, path, &detail), &detail);
    }
    fflush(output->table);
    bench_json_add(output->json, &field);
    bench_task_fini(task);
    free(contestants);
}

static void measure_space(const struct options *options, const char *space, struct output *output)
{
    for (size_t i = 0; i < options->size_count; i++) {
        struct bench_task task = load_task(options, space, options->sizes[i]);
        measure_all(options, &task, output, true);
    }
    if (options->size_count == 0) {
        struct bench_task task = load_task(options, space, options->count);
        measure_all(options, &task, output, false);
    }
}

static void measure_spaces(const struct options *options, struct output *output)
{
    if (options->size_count || options->lengthy)
        bench_report_scaling_head(output->table);
    for (const char *at = options->spaces; *at;) {
        char space[32];
        size_t len = strcspn(at, ",");
        snprintf(space, sizeof space, "%.*s", (int)len, at);
        measure_space(options, space, output);
        at += len + (at[len] == ',');
    }
    if (options->lengthy) {
        struct bench_task task = make_task(options);
        measure_all(options, &task, output, true);
    }
}

/* ---- the command ---- */

static _Noreturn void misuse(void)
{
    fprintf(stderr, "usage: ann_compare --set FOLDER --out FOLDER [--spaces gist,gray16] [--peers "
                    "NAME,...|all] [--count N]\n"
                    "           [--threads T] [--rounds R] [--point-seconds S] [--build-seconds S] [--scale "
                    "N,N,...] [--long]\n"
                    "       ann_compare --list\n");
    exit(2);
}

static void parse_sizes(struct options *options, const char *text)
{
    for (char *end; *text && options->size_count < SIZES_MAX; text = *end == ',' ? end + 1 : end) {
        options->sizes[options->size_count] = strtoull(text, &end, 10);
        if (end == text || options->sizes[options->size_count] < 100)
            misuse();
        options->size_count++;
    }
}

static void take(struct options *options, int option)
{
    struct bench_limits *limits = &options->limits;
    double value = optarg ? strtod(optarg, NULL) : 0;
    switch (option) {
    case 's':
        options->set = optarg;
        break;
    case 'o':
        options->out = optarg;
        break;
    case 'S':
        options->spaces = optarg;
        break;
    case 'p':
        options->peers = optarg;
        break;
    case 'n':
        options->count = (size_t)value;
        break;
    case 't':
        limits->threads = (unsigned)value;
        break;
    case 'r':
        limits->rounds = (unsigned)value;
        break;
    case 'P':
        limits->point_seconds = value;
        break;
    case 'B':
        limits->build_seconds = value;
        break;
    case 'z':
        parse_sizes(options, optarg);
        break;
    case 'l':
        options->lengthy = true;
        break;
    case 'c':
        limits->processor_time = true;
        break;
    case 'L':
        options->list = true;
        break;
    default:
        misuse();
    }
}

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = {{"set", 1, NULL, 's'},
                                          {"out", 1, NULL, 'o'},
                                          {"spaces", 1, NULL, 'S'},
                                          {"peers", 1, NULL, 'p'},
                                          {"count", 1, NULL, 'n'},
                                          {"threads", 1, NULL, 't'},
                                          {"rounds", 1, NULL, 'r'},
                                          {"scale", 1, NULL, 'z'},
                                          {"point-seconds", 1, NULL, 'P'},
                                          {"build-seconds", 1, NULL, 'B'},
                                          {"long", 0, NULL, 'l'},
                                          {"list", 0, NULL, 'L'},
                                          {"processor-time", 0, NULL, 'c'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {
        .spaces = "gist,gray16",
        .limits = {.threads = 2, .rounds = 3, .point_seconds = 1.5, .build_seconds = 600, .seed = 1},
    };
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;)
        take(&options, option);
    if (optind != argc || (!options.list && (!options.set || !options.out)) || options.limits.threads < 1 ||
        options.limits.threads > CF_CREW_THREADS_MAX || options.limits.rounds < 1 ||
        options.limits.rounds > BENCH_ROUNDS_MAX)
        misuse();
    options.limits.scratch = options.out;
    return options;
}

static void copy_to_stdout(const char *path)
{
    struct cf_buf buf;
    struct cf_detail detail = {""};
    cf_buf_init(&buf);
    bench_must(cf_file_read(path, 1 << 24, &buf, &detail), &detail);
    fwrite(buf.data, 1, buf.len, stdout);
    cf_buf_fini(&buf);
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    struct cf_detail detail = {""};
    char table[BENCH_PATH_BYTES], json[BENCH_PATH_BYTES];
    bench_must(cf_cpu_init(&detail), &detail);
    if (options.list) {
        choose(&options, NULL);
        return 0;
    }
    bench_must(cf_file_make_dirs(options.out, &detail), &detail);
    snprintf(table, sizeof table, "%s/table.md", options.out);
    snprintf(json, sizeof json, "%s/table.json", options.out);
    struct output output = {fopen(table, "we"), bench_json_new()};
    if (!output.table)
        bench_must(cf_fail_errno(&detail, table), &detail);
    bench_report_machine(output.table);
    measure_spaces(&options, &output);
    if (fclose(output.table))
        bench_must(cf_fail_errno(&detail, table), &detail);
    bench_must(bench_json_finish(output.json, json, &detail), &detail);
    copy_to_stdout(table);
    return 0;
}
