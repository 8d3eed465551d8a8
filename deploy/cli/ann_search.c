#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/cpu.h"
#include "common/base/crew.h"
#include "common/vecfile/fresh.h"
#include "deploy/cli/ann_answers.h"
#include "deploy/cli/latency.h"
#include "deploy/cli/progress.h"

enum { BLOCK_QUERIES_MAX = 2048, BLOCK_HITS_MAX = 1 << 20, BLOCK_VALUES_MAX = 1 << 22 };

struct options {
    const char *index, *queries, *vectors;
    struct cf_answers_options answers;
    uint64_t k, threads;
    double recall;
    bool exact, stats, json, pairs;
};

/* What one thread has for itself. */
struct member {
    struct cf_ann_searcher *searcher;
    struct cf_latency latency;
};

struct search {
    const struct options *options;
    struct cf_ann *ann;
    struct cf_vecfile *queries; /* NULL: the items themselves */
    struct cf_vecfile *full;    /* NULL: not asked exactly */
    struct cf_answers *answers;
    struct member *members;
    uint32_t dim;
    uint64_t total;
    /* Of one block. */
    uint64_t first;
    size_t block;
    float *vectors;
    struct cf_ann_hit *hits;
    struct answer {
        size_t count;
        bool exact;
        enum cf_err err;
        struct cf_detail detail;
    } * slots;
    /* Of all. */
    struct cf_latency latency;
    uint64_t ns;
    bool exact;
};

static uint64_t mono_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- one query ---- */

static enum cf_err full_vector(void *arg, uint64_t item, float *out, struct cf_detail *detail)
{
    return cf_vecfile_read(arg, item, 1, out, detail);
}

static bool is_another(void *arg, uint64_t item)
{
    return item != *(const uint64_t *)arg;
}

static enum cf_err load_item(const struct search *search, uint64_t item, float *out, struct cf_detail *detail)
{
    if (search->full)
        return cf_vecfile_read(search->full, item, 1, out, detail);
    cf_ann_vector(search->ann, item, out);
    return CF_OK;
}

static void ask(void *arg, unsigned thread, size_t i)
{
    struct search *search = arg;
    const struct options *options = search->options;
    struct member *member = &search->members[thread];
    struct answer *slot = &search->slots[i];
    uint64_t self = search->first + i;
    struct cf_ann_query query = {.vector = search->vectors + i * search->dim,
                                 .k = (uint32_t)options->k,
                                 .recall = options->recall,
                                 .exact = options->exact,
                                 .full = search->full ? full_vector : NULL,
                                 .full_arg = search->full};
    slot->err = CF_OK;
    if (options->pairs) {
        query.keep = is_another;
        query.keep_arg = &self;
        slot->err = load_item(search, self, search->vectors + i * search->dim, &slot->detail);
    }
    if (slot->err)
        return;
    uint64_t begun = mono_ns();
    slot->err = cf_ann_search(search->ann, member->searcher, &query, search->hits + i * options->k,
                              &slot->count, &slot->exact, &slot->detail);
    cf_latency_add(&member->latency, mono_ns() - begun);
}

/* ---- blocks of them ---- */

static enum cf_err collect(struct search *search, size_t count, struct cf_detail *detail)
{
    for (size_t i = 0; i < count; i++) {
        const struct answer *slot = &search->slots[i];
        if (slot->err)
            return cf_fail(detail, slot->err, "query %llu: %.280s", (unsigned long long)(search->first + i),
                           slot->detail.text);
        search->exact = search->exact && slot->exact;
        enum cf_err err =
            cf_answers_add(search->answers, search->hits + i * search->options->k, slot->count, detail);
        if (err)
            return err;
    }
    return CF_OK;
}

static enum cf_err run_block(struct search *search, size_t count, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    if (search->queries)
        err = cf_vecfile_read(search->queries, search->first, count, search->vectors, detail);
    if (err)
        return err;
    uint64_t begun = mono_ns();
    cf_crew_run_numbered((unsigned)search->options->threads, count, ask, search);
    search->ns += mono_ns() - begun;
    return collect(search, count, detail);
}

static enum cf_err run_blocks(struct search *search, struct cf_detail *detail)
{
    struct cf_progress progress;
    enum cf_err err = CF_OK;
    cf_progress_init(&progress, stderr, search->options->json, cf_clock_mono_ms());
    for (size_t count; search->first < search->total && !err; search->first += count) {
        uint64_t left = search->total - search->first;
        count = left < search->block ? (size_t)left : search->block;
        err = run_block(search, count, detail);
        cf_progress_show(&progress, search->first + count, search->total, "", cf_clock_mono_ms());
    }
    cf_progress_clear(&progress);
    return err;
}

/* ---- begin and end ---- */

static enum cf_err open_queries(struct search *search, struct cf_detail *detail)
{
    const struct options *options = search->options;
    enum cf_err err = CF_OK;
    search->total = cf_ann_info(search->ann).count;
    if (options->pairs)
        return CF_OK;
    err = cf_vecfile_open(options->queries, CF_VECFILE_FLOATS, &search->queries, detail);
    if (err)
        return err;
    search->total = cf_vecfile_count(search->queries);
    uint32_t dim = cf_vecfile_dim(search->queries);
    if (search->total > 0 && dim != search->dim)
        return cf_fail(detail, CF_E_BAD_VECTOR, "%.100s has vectors of dimension %u, %.100s of %u",
                       options->queries, dim, options->index, search->dim);
    return CF_OK;
}

static size_t block_of(const struct search *search)
{
    size_t block = BLOCK_HITS_MAX / (size_t)search->options->k;
    size_t by_values = BLOCK_VALUES_MAX / search->dim;
    if (block > by_values)
        block = by_values;
    if (block > BLOCK_QUERIES_MAX)
        block = BLOCK_QUERIES_MAX;
    return block < search->total ? block : (size_t)search->total + 1;
}

static bool allocate(struct search *search)
{
    search->block = block_of(search);
    search->vectors = malloc(search->block * search->dim * sizeof *search->vectors);
    search->hits = malloc(search->block * (size_t)search->options->k * sizeof *search->hits);
    search->slots = calloc(search->block, sizeof *search->slots);
    search->members = calloc((size_t)search->options->threads, sizeof *search->members);
    bool whole = search->vectors && search->hits && search->slots && search->members;
    for (uint64_t i = 0; i < search->options->threads && whole; i++) {
        search->members[i].searcher = cf_ann_searcher_new();
        whole = search->members[i].searcher != NULL;
    }
    return whole;
}

static enum cf_err open_all(struct search *search, struct cf_detail *detail)
{
    const struct options *options = search->options;
    enum cf_err err = cf_ann_open(options->index, &search->ann, detail);
    if (err)
        return err;
    search->dim = cf_ann_info(search->ann).dim;
    err = open_queries(search, detail);
    if (!err && options->exact)
        err = cf_origin_open(search->ann, options->index, options->vectors, options->json, &search->full,
                             detail);
    if (!err && !allocate(search))
        err = cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!err)
        err = cf_answers_new(search->ann, &options->answers, &search->answers, detail);
    return err;
}

static void fini(struct search *search)
{
    for (uint64_t i = 0; search->members && i < search->options->threads; i++)
        cf_ann_searcher_free(search->members[i].searcher);
    free(search->members);
    free(search->slots);
    free(search->hits);
    free(search->vectors);
    cf_answers_free(search->answers);
    cf_vecfile_free(search->full);
    cf_vecfile_free(search->queries);
    cf_ann_free(search->ann);
}

/* ---- the report ---- */

static double milliseconds(const struct cf_latency *latency, double quantile)
{
    return (double)cf_latency_quantile(latency, quantile) / 1e6;
}

static double rate(const struct search *search)
{
    return search->ns ? (double)search->total * 1e9 / (double)search->ns : 0;
}

static enum cf_err print_json(const struct search *search, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "queries", search->total);
    cf_json_uint(json, "k", search->options->k);
    cf_json_real(json, "recall", search->options->recall);
    cf_json_bool(json, "exact", search->exact && search->total > 0);
    cf_json_uint(json, "threads", search->options->threads);
    cf_json_word(json, "simd", cf_simd_name(cf_cpu_simd()));
    cf_json_real(json, "seconds", (double)search->ns / 1e9);
    cf_json_real(json, "queries_per_second", rate(search));
    cf_json_object(json, "latency_ms");
    cf_json_real(json, "p50", milliseconds(&search->latency, 0.50));
    cf_json_real(json, "p90", milliseconds(&search->latency, 0.90));
    cf_json_real(json, "p99", milliseconds(&search->latency, 0.99));
    cf_json_real(json, "max", milliseconds(&search->latency, 1));
    cf_json_end(json);
    cf_json_object(json, "index");
    cf_ann_info_json(json, search->ann);
    cf_json_end(json);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_err report(struct search *search, struct cf_detail *detail)
{
    for (uint64_t i = 0; i < search->options->threads; i++)
        cf_latency_merge(&search->latency, &search->members[i].latency);
    if (search->options->json || search->options->stats)
        return print_json(search, detail);
    printf("%llu queries, the %llu nearest each, %s: %.0f a second; p50 %.3f ms, p99 %.3f ms\n",
           (unsigned long long)search->total, (unsigned long long)search->options->k,
           search->options->exact ? "exact" : "approximate", rate(search),
           milliseconds(&search->latency, 0.50), milliseconds(&search->latency, 0.99));
    return CF_OK;
}

static enum cf_exit search_all(const struct cf_command *command, const struct options *options)
{
    struct cf_detail detail = {""};
    struct search search = {.options = options, .exact = true};
    enum cf_err err = open_all(&search, &detail);
    if (!err)
        err = run_blocks(&search, &detail);
    if (!err)
        err = cf_answers_finish(search.answers, &detail);
    if (!err)
        err = report(&search, &detail);
    fini(&search);
    return err ? cf_ann_refuse(command, options->json, err, &detail) : CF_EXIT_DONE;
}

/* ---- the call ---- */

/* The file among those that are written that would replace another one; NULL when there is none. */
static const char *clash_of(const struct options *options)
{
    const char *written[] = {options->answers.out, options->answers.distances};
    const char *read[] = {options->index, options->queries, options->vectors, options->answers.query_ids};
    for (size_t i = 0; i < sizeof written / sizeof written[0]; i++)
        for (size_t j = 0; j < sizeof read / sizeof read[0]; j++)
            if (cf_fresh_same(written[i], read[j]))
                return written[i];
    return cf_fresh_same(written[0], written[1]) ? written[0] : NULL;
}

static enum cf_exit check_and_search(const struct cf_command *command, const struct cf_args *args,
                                     struct options *options)
{
    if (args->rest_count != 1)
        return cf_command_misuse(command, "name one index");
    if (!options->pairs && !options->queries)
        return cf_command_misuse(command, "--queries is missing");
    if (!options->answers.out && !options->answers.distances && !options->stats && !options->json)
        return cf_command_misuse(command, "--out is missing (or --stats, to measure only)");
    if (options->answers.query_ids && !(options->answers.out && cf_answers_is_table(options->answers.out)))
        return cf_command_misuse(command, "--ids goes with --out in .tsv");
    if (options->vectors && !options->exact)
        return cf_command_misuse(command, "--vectors goes with --exact");
    options->index = args->rest[0];
    options->answers.k = (uint32_t)options->k;
    options->answers.pairs = options->pairs;
    const char *clash = clash_of(options);
    if (clash)
        return cf_command_misuse(command, "%.120s would replace another file of this call", clash);
    return search_all(command, options);
}

#define SEARCH_OPTS(options)                                                                                 \
    {.name = "k",                                                                                            \
     .letter = 'k',                                                                                          \
     .kind = CF_OPT_UINT,                                                                                    \
     .value = &(options)->k,                                                                                 \
     .low = 1,                                                                                               \
     .high = CF_ANN_K_MAX,                                                                                   \
     .placeholder = "K",                                                                                     \
     .help = "how many neighbours, default 10"},                                                             \
        {.name = "recall",                                                                                   \
         .kind = CF_OPT_REAL,                                                                                \
         .value = &(options)->recall,                                                                        \
         .real_high = 1,                                                                                     \
         .placeholder = "R",                                                                                 \
         .help = "share of the true neighbours to be found, default 0.95"},                                  \
        {.name = "exact",                                                                                    \
         .kind = CF_OPT_FLAG,                                                                                \
         .value = &(options)->exact,                                                                         \
         .help = "certainly the nearest, ranked by the vectors themselves"},                                 \
        {.name = "vectors",                                                                                  \
         .kind = CF_OPT_TEXT,                                                                                \
         .value = &(options)->vectors,                                                                       \
         .placeholder = "FILE",                                                                              \
         .help = "for --exact: the input of the build (default X.idx.full.npy)"},                            \
        {.name = "threads",                                                                                  \
         .kind = CF_OPT_UINT,                                                                                \
         .value = &(options)->threads,                                                                       \
         .low = 1,                                                                                           \
         .high = CF_CREW_THREADS_MAX,                                                                        \
         .placeholder = "N",                                                                                 \
         .help = "queries at a time, default 1"},                                                            \
        {.name = "out",                                                                                      \
         .kind = CF_OPT_TEXT,                                                                                \
         .value = &(options)->answers.out,                                                                   \
         .placeholder = "FILE",                                                                              \
         .help = "neighbours: .ivecs or .npy (row numbers), or .tsv (ids and distances)"},                   \
        {.name = "distances",                                                                                \
         .kind = CF_OPT_TEXT,                                                                                \
         .value = &(options)->answers.distances,                                                             \
         .placeholder = "FILE",                                                                              \
         .help = "their distances: .fvecs or .npy"},                                                         \
        {.name = "stats",                                                                                    \
         .kind = CF_OPT_FLAG,                                                                                \
         .value = &(options)->stats,                                                                         \
         .help = "print rate, latencies and the index's facts as JSON"},                                     \
    {                                                                                                        \
        .name = "json", .kind = CF_OPT_FLAG, .value = &(options)->json, .help = "the same, and no progress"  \
    }

static const struct options standard = {.k = 10, .recall = 0.95, .threads = 1};

static enum cf_exit run_search(const struct cf_command *command, int argc, const char *const *argv)
{
    struct options options = standard;
    const struct cf_opt opts[] = {
        {.name = "queries",
         .kind = CF_OPT_TEXT,
         .value = &options.queries,
         .placeholder = "FILE",
         .help = "vectors to search for: .npy or .fvecs"},
        {.name = "ids",
         .kind = CF_OPT_TEXT,
         .value = &options.answers.query_ids,
         .placeholder = "T.tsv",
         .help = "ids of the queries, for --out in .tsv (default: row numbers)"},
        SEARCH_OPTS(&options),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = check_and_search(command, &args, &options);
    cf_args_free(&args);
    return result;
}

static enum cf_exit run_pairs(const struct cf_command *command, int argc, const char *const *argv)
{
    struct options options = standard;
    options.pairs = true;
    options.threads = cf_crew_processors();
    const struct cf_opt opts[] = {SEARCH_OPTS(&options), {.name = NULL}};
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = check_and_search(command, &args, &options);
    cf_args_free(&args);
    return result;
}

#define SEARCH_ABOUT                                                                                                   \
    "Rows of --out are in the order of the queries, neighbours by distance, named by their row number in "             \
    "the "                                                                                                             \
    "build's\ninput, from 0; where there are fewer than k, a row ends in -1 (and the largest float32 in "              \
    "--distances).\n--stats: {\"queries\":…,\"k\":…,\"recall\":…,\"exact\":…,\"threads\":…,\"seconds\":…," \
    "\"queries_per_second\":…,\n\"latency_ms\":{\"p50\":…,\"p90\":…,\"p99\":…,\"max\":…},\"index\":{…,"    \
    "\"bytes_per_vector\":…,\"build_seconds\":…}}.\nExits 1 when a file is refused, 2 also for queries of "        \
    "another dimension or that are not finite."

const struct cf_command cf_command_ann_search = {
    .name = "ann search",
    .usage =
        "X.idx --queries Q.npy|Q.fvecs [-k K] [--recall R | --exact [--vectors FILE]] [--threads N]\n"
        "       [--out R.ivecs|R.npy|R.tsv] [--ids T.tsv] [--distances D.fvecs|D.npy] [--stats] [--json]",
    .summary = "The nearest vectors of an index for a file of queries",
    .about = SEARCH_ABOUT,
    .run = run_search,
};

const struct cf_command cf_command_ann_pairs = {
    .name = "ann pairs",
    .usage = "X.idx [-k K] [--recall R | --exact [--vectors FILE]] [--threads N]\n"
             "       [--out R.ivecs|R.npy|R.tsv] [--distances D.fvecs|D.npy] [--stats] [--json]",
    .summary = "The nearest neighbours of each vector of an index, itself left out",
    .about = SEARCH_ABOUT,
    .run = run_pairs,
};
