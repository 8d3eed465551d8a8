#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/crew.h"
#include "common/vecfile/fresh.h"
#include "deploy/cli/ann.h"
#include "deploy/cli/idtable.h"
#include "deploy/cli/progress.h"

enum { LOOK_EVERY = 256 };

struct build {
    const char *input, *out, *ids, *metric;
    uint64_t threads, seed;
    bool full, json;

    struct cf_vecfile *vectors;
    struct cf_vecstream *stream;
    struct cf_idtable *table;
    struct cf_vecwriter *copy; /* --full */
    struct cf_origin origin;
    struct cf_progress progress;
    uint64_t passes, rows; /* begun; read in this one */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The first one ends the build in order, so that its unfinished file goes; a second one ends the process. */
static void watch_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    interrupted = 0;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++)
        sigaction(ending[i], &action, NULL);
}

static bool is_cancelled(void *arg)
{
    (void)arg;
    return interrupted;
}

static enum cf_err look(struct build *build, struct cf_detail *detail)
{
    char words[64];
    if (build->rows++ % LOOK_EVERY != 0)
        return CF_OK;
    if (interrupted)
        return cf_fail(detail, CF_E_SHUTTING_DOWN, "interrupted: nothing was written");
    snprintf(words, sizeof words, build->passes == 1 ? "checking" : "building, pass %llu",
             (unsigned long long)build->passes - 1);
    cf_progress_show(&build->progress, build->rows, cf_vecfile_count(build->vectors), words,
                     cf_clock_mono_ms());
    return CF_OK;
}

/* ---- the source ---- */

static enum cf_err rewind_all(void *arg, struct cf_detail *detail)
{
    struct build *build = arg;
    build->passes++;
    build->rows = 0;
    cf_vecstream_rewind(build->stream);
    return build->table ? cf_idtable_rewind(build->table, detail) : CF_OK;
}

static enum cf_err uneven(const struct build *build, const char *what, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_INVALID, "%.120s has %s ids than %.120s vectors (%llu)", build->ids, what,
                   build->input, (unsigned long long)cf_vecfile_count(build->vectors));
}

static enum cf_err next_id(struct build *build, bool at_end, struct cf_ann_item *item,
                           struct cf_detail *detail)
{
    struct cf_str id;
    bool end;
    enum cf_err err = cf_idtable_next(build->table, &id, &end, detail);
    if (err)
        return err;
    if (end != at_end)
        return uneven(build, end ? "fewer" : "more", detail);
    if (!end)
        item->id = (struct cf_bytes){(const uint8_t *)id.data, id.len};
    return CF_OK;
}

static enum cf_err next_item(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct build *build = arg;
    const void *row;
    enum cf_err err = cf_vecstream_next(build->stream, &row, detail);
    *item = (struct cf_ann_item){.vector = row};
    if (!err && build->table)
        err = next_id(build, row == NULL, item, detail);
    if (!err && row)
        err = look(build, detail);
    return err ? err : row ? CF_OK : CF_E_NOT_FOUND;
}

/* ---- the build ---- */

static enum cf_err check_dim(const struct build *build, struct cf_detail *detail)
{
    uint32_t dim = cf_vecfile_dim(build->vectors);
    if (dim == 0)
        return cf_fail(detail, CF_E_INVALID, "%.200s is empty: it has no vectors, and so no dimension",
                       build->input);
    if (dim > CF_ANN_DIM_MAX)
        return cf_fail(detail, CF_E_INVALID, "%.200s has vectors of dimension %u: at most %d are indexed",
                       build->input, dim, CF_ANN_DIM_MAX);
    return CF_OK;
}

static enum cf_err open_copy(struct build *build, struct cf_detail *detail)
{
    char path[PATH_MAX];
    enum cf_err err = cf_origin_full_path(build->out, path, sizeof path, detail);
    return err ? err
               : cf_vecwriter_new(path, CF_VECFILE_FLOATS, cf_vecfile_dim(build->vectors), &build->copy,
                                  detail);
}

static enum cf_err open_all(struct build *build, struct cf_detail *detail)
{
    enum cf_err err = cf_fresh_check(build->out, detail);
    if (!err)
        err = cf_vecfile_open(build->input, CF_VECFILE_FLOATS, &build->vectors, detail);
    if (!err)
        err = check_dim(build, detail);
    if (!err && build->ids)
        err = cf_idtable_open(build->ids, &build->table, detail);
    if (!err && build->full)
        err = open_copy(build, detail);
    if (err)
        return err;
    build->stream = cf_vecstream_new(build->vectors);
    return build->stream ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
}

/* Once over everything before the long work begins: what is wrong shows at once, and the sum is needed. */
static enum cf_err check_all(struct build *build, struct cf_detail *detail)
{
    struct cf_ann_item item;
    uint32_t dim = cf_vecfile_dim(build->vectors);
    enum cf_err err = rewind_all(build, detail);
    build->origin = (struct cf_origin){.count = cf_vecfile_count(build->vectors), .dim = dim};
    while (!err && (err = next_item(build, &item, detail)) == CF_OK) {
        cf_vecfile_sum_row(&build->origin.sum, item.vector, dim);
        if (build->copy)
            err = cf_vecwriter_append(build->copy, item.vector, 1, detail);
    }
    return err == CF_E_NOT_FOUND ? CF_OK : err;
}

/* Vectors and ids are right one by one, so what is wrong with them now is an id that comes twice. */
static enum cf_err blame_ids(const struct build *build, enum cf_err err, struct cf_detail *detail)
{
    struct cf_detail said = *detail;
    return err == CF_E_INVALID && build->ids ? cf_fail(detail, err, "%.120s: %s", build->ids, said.text)
                                             : err;
}

static enum cf_err make_index(struct build *build, struct cf_detail *detail)
{
    struct cf_buf attachment;
    cf_buf_init(&attachment);
    enum cf_err err = cf_origin_encode(&build->origin, &attachment);
    const struct cf_ann_params params = {
        .dim = build->origin.dim,
        .metric = strcmp(build->metric, "cosine") == 0 ? CF_ANN_COSINE : CF_ANN_L2,
        .seed = build->seed,
        .threads = (unsigned)build->threads,
        .attachment = cf_buf_bytes(&attachment),
    };
    const struct cf_ann_source source = {rewind_all, next_item, build};
    if (!err)
        err =
            blame_ids(build, cf_ann_build(build->out, &params, &source, is_cancelled, NULL, detail), detail);
    cf_buf_fini(&attachment);
    return err;
}

static enum cf_err report(const struct build *build, struct cf_detail *detail)
{
    struct cf_ann *ann = NULL;
    enum cf_err err = cf_ann_open(build->out, &ann, detail);
    if (err)
        return err;
    struct cf_ann_info info = cf_ann_info(ann);
    if (build->json) {
        struct cf_json *json = cf_json_new();
        cf_json_text(json, "index", cf_str(build->out));
        cf_ann_info_json(json, ann);
        err = cf_json_print(json, stdout, detail);
        cf_json_free(json);
    } else {
        printf("%llu vectors of dimension %u in %.2f s: %.0f bytes a vector\n",
               (unsigned long long)info.count, info.dim, (double)info.build_ms / 1000,
               cf_ann_bytes_per_vector(&info));
    }
    cf_ann_free(ann);
    return err;
}

static enum cf_err build_all(struct build *build, struct cf_detail *detail)
{
    watch_signals();
    cf_progress_init(&build->progress, stderr, build->json, cf_clock_mono_ms());
    enum cf_err err = open_all(build, detail);
    if (!err)
        err = check_all(build, detail);
    if (!err && build->copy)
        err = cf_vecwriter_sync(build->copy, detail);
    if (!err)
        err = make_index(build, detail);
    if (!err && build->copy)
        err = cf_vecwriter_finish(build->copy, detail);
    cf_progress_clear(&build->progress);
    return err ? err : report(build, detail);
}

static void fini(struct build *build)
{
    cf_vecwriter_free(build->copy);
    cf_idtable_free(build->table);
    cf_vecstream_free(build->stream);
    cf_vecfile_free(build->vectors);
}

static enum cf_exit check_and_build(const struct cf_command *command, const struct cf_args *args,
                                    struct build *build)
{
    struct cf_detail detail = {""};
    if (args->rest_count > 0)
        return cf_command_misuse(command, "\"%.60s\" is too much: the vectors are named by --input",
                                 args->rest[0]);
    if (!build->input || !build->out)
        return cf_command_misuse(command, "%s is missing", build->input ? "--out" : "--input");
    if (strcmp(build->metric, "l2") != 0 && strcmp(build->metric, "cosine") != 0)
        return cf_command_misuse(command, "--metric %.40s: it is l2 or cosine", build->metric);
    if (cf_fresh_same(build->out, build->input) || cf_fresh_same(build->out, build->ids))
        return cf_command_misuse(command, "--out %.120s would replace what is read", build->out);
    enum cf_err err = build_all(build, &detail);
    fini(build);
    return err ? cf_ann_refuse(command, build->json, err, &detail) : CF_EXIT_DONE;
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct build build = {.metric = "l2", .threads = cf_crew_processors(), .seed = 1};
    const struct cf_opt opts[] = {
        {.name = "input",
         .kind = CF_OPT_TEXT,
         .value = &build.input,
         .placeholder = "FILE",
         .help = "vectors: .npy or .fvecs"},
        {.name = "out",
         .kind = CF_OPT_TEXT,
         .value = &build.out,
         .placeholder = "X.idx",
         .help = "the index; an older one is replaced when the new one is whole"},
        {.name = "ids",
         .kind = CF_OPT_TEXT,
         .value = &build.ids,
         .placeholder = "T.tsv",
         .help = "their ids: a column \"album\" or \"id\", or an id a line"},
        {.name = "metric",
         .kind = CF_OPT_TEXT,
         .value = &build.metric,
         .placeholder = "METRIC",
         .help = "l2 (default) or cosine (distances are then sqrt(2 - 2 cos))"},
        {.name = "threads",
         .kind = CF_OPT_UINT,
         .value = &build.threads,
         .low = 1,
         .high = CF_CREW_THREADS_MAX,
         .placeholder = "N",
         .help = "default: a thread for each processor; the index is the same with any"},
        {.name = "seed",
         .kind = CF_OPT_UINT,
         .value = &build.seed,
         .high = UINT64_MAX,
         .placeholder = "S",
         .help = "of what is drawn by lot, default 1: the same seed, the same index"},
        {.name = "full",
         .kind = CF_OPT_FLAG,
         .value = &build.full,
         .help = "write X.idx.full.npy too: the vectors as they were, for --exact"},
        CF_OPT_JSON(&build.json),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = check_and_build(command, &args, &build);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_ann_build = {
    .name = "ann build",
    .usage = "--input X.npy|X.fvecs --out X.idx [--ids T.tsv] [--metric l2|cosine]\n"
             "       [--threads N] [--seed S] [--full] [--json]",
    .summary = "An index over a file of vectors",
    .about =
        "Vectors are streamed: memory does not grow with their number. Without --ids an item is named by "
        "the\n"
        "number of its row, from 0. Exits 1 when the input is refused (file and row are named), 2 also "
        "for\n"
        "vectors that are not finite. On failure or Ctrl-C nothing is left behind.",
    .run = run,
};
