#include "deploy/cli/ann.h"

#include "common/base/buf.h"
#include "deploy/cli/text.h"

static const struct cf_command *const operations[] = {
    &cf_command_ann_build, &cf_command_ann_search, &cf_command_ann_pairs,
    &cf_command_ann_info,  &cf_command_ann_verify,
};
enum { OPERATION_COUNT = sizeof operations / sizeof operations[0] };

enum cf_exit cf_ann_refuse(const struct cf_command *command, bool json, enum cf_err err,
                           const struct cf_detail *detail)
{
    cf_say(command->name, cf_str(""), err, detail);
    if (json)
        cf_say_json(cf_str(cf_err_name(err)), cf_str(detail->text));
    return cf_exit_of(err);
}

/* ---- info and verify ---- */

double cf_ann_bytes_per_vector(const struct cf_ann_info *info)
{
    return info->count ? (double)info->file_bytes / (double)info->count : 0;
}

static const char *metric_name(enum cf_ann_metric metric)
{
    return metric == CF_ANN_COSINE ? "cosine" : "l2";
}

void cf_ann_info_json(struct cf_json *json, const struct cf_ann *ann)
{
    struct cf_ann_info info = cf_ann_info(ann);
    cf_json_uint(json, "count", info.count);
    cf_json_uint(json, "dim", info.dim);
    cf_json_word(json, "metric", metric_name(info.metric));
    cf_json_bool(json, "ids", info.has_ids);
    cf_json_uint(json, "leaves", info.leaf_count);
    cf_json_uint(json, "seed", info.seed);
    cf_json_uint(json, "bytes", info.file_bytes);
    cf_json_real(json, "bytes_per_vector", cf_ann_bytes_per_vector(&info));
    cf_json_real(json, "build_seconds", (double)info.build_ms / 1000);
}

static void print_info_text(const char *path, const struct cf_ann *ann)
{
    struct cf_ann_info info = cf_ann_info(ann);
    char size[CF_TEXT_NUMBER_MAX], build[CF_TEXT_NUMBER_MAX];
    cf_text_size(info.file_bytes, size);
    cf_text_duration(info.build_ms, build);
    cf_text_put(stdout, cf_str(path));
    printf(": %llu vectors of dimension %u, %s, %s, %llu leaves\n%s, %.0f bytes a vector; built in %s, seed "
           "%llu\n",
           (unsigned long long)info.count, info.dim, metric_name(info.metric),
           info.has_ids ? "with ids" : "without ids", (unsigned long long)info.leaf_count, size,
           cf_ann_bytes_per_vector(&info), build, (unsigned long long)info.seed);
}

static enum cf_err print_info(const char *path, const struct cf_ann *ann, bool as_json,
                              struct cf_detail *detail)
{
    if (!as_json) {
        print_info_text(path, ann);
        return CF_OK;
    }
    struct cf_json *json = cf_json_new();
    cf_json_text(json, "index", cf_str(path));
    cf_ann_info_json(json, ann);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_exit run_info(const struct cf_command *command, int argc, const char *const *argv)
{
    bool json = false;
    const struct cf_opt opts[] = {CF_OPT_JSON(&json), {.name = NULL}};
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        struct cf_ann *ann = NULL;
        struct cf_detail detail = {""};
        if (args.rest_count != 1) {
            result = cf_command_misuse(command, "name one index");
        } else {
            enum cf_err err = cf_ann_open(args.rest[0], &ann, &detail);
            if (!err)
                err = print_info(args.rest[0], ann, json, &detail);
            result = err ? cf_ann_refuse(command, json, err, &detail) : CF_EXIT_DONE;
        }
        cf_ann_free(ann);
    }
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_ann_info = {
    .name = "ann info",
    .usage = "X.idx [--json]",
    .summary = "What an index holds",
    .about = "Of the fleet's generations (data/index/SPACE/*.idx) as well.",
    .run = run_info,
};

static enum cf_err verify(const char *path, const char *vectors, bool as_json, struct cf_detail *detail)
{
    struct cf_ann *ann = NULL;
    struct cf_vecfile *file = NULL;
    enum cf_err err = cf_ann_open(path, &ann, detail);
    if (!err)
        err = cf_ann_verify(ann, detail);
    if (!err && vectors)
        err = cf_origin_open(ann, path, vectors, as_json, &file, detail);
    cf_vecfile_free(file);
    cf_ann_free(ann);
    return err;
}

static enum cf_err print_verified(const char *path, const char *vectors, bool as_json,
                                  struct cf_detail *detail)
{
    if (!as_json) {
        cf_text_put(stdout, cf_str(path));
        printf(": whole and in order%s\n", vectors ? ", built from these vectors" : "");
        return CF_OK;
    }
    struct cf_json *json = cf_json_new();
    cf_json_text(json, "index", cf_str(path));
    cf_json_bool(json, "verified", true);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_exit run_verify(const struct cf_command *command, int argc, const char *const *argv)
{
    bool json = false;
    const char *vectors = NULL;
    const struct cf_opt opts[] = {
        {.name = "vectors",
         .kind = CF_OPT_TEXT,
         .value = &vectors,
         .placeholder = "FILE",
         .help = "whether it was built from these, too"},
        CF_OPT_JSON(&json),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        struct cf_detail detail = {""};
        if (args.rest_count != 1) {
            result = cf_command_misuse(command, "name one index");
        } else {
            enum cf_err err = verify(args.rest[0], vectors, json, &detail);
            if (!err)
                err = print_verified(args.rest[0], vectors, json, &detail);
            result = err ? cf_ann_refuse(command, json, err, &detail) : CF_EXIT_DONE;
        }
    }
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_ann_verify = {
    .name = "ann verify",
    .usage = "X.idx [--vectors FILE] [--json]",
    .summary = "Whether every byte of an index is as it was written",
    .about = "Exits 1 when it is damaged, foreign, or not built from the vectors given.",
    .run = run_verify,
};

/* ---- the command ---- */

static void print_overview(const struct cf_command *command, FILE *out)
{
    fprintf(out, "usage: coverfleet ann OPERATION %s\n\n%s\n\n", command->usage, command->summary);
    for (size_t i = 0; i < OPERATION_COUNT; i++)
        fprintf(out, "  %-8s %s\n", operations[i]->name + strlen("ann "), operations[i]->summary);
    fprintf(out, "\n%s\n", command->about);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < OPERATION_COUNT; i++)
        if (strcmp(operations[i]->name + strlen("ann "), name) == 0)
            return operations[i]->run(operations[i], argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_overview(command, stdout);
        return CF_EXIT_DONE;
    }
    return cf_command_misuse(command, "%s%.60s: the operation is build, search, pairs, info or verify",
                             name[0] ? "unknown operation " : "no operation", name);
}

const struct cf_command cf_command_ann = {
    .name = "ann",
    .usage = "[ARGUMENT...]",
    .summary = "Nearest neighbours in files of vectors, without a fleet",
    .about = "`coverfleet ann OPERATION --help` explains each. Vectors are .npy or .fvecs files (`coverfleet "
             "describe`\n"
             "makes them from folders of pictures, any other tool from anything). Exits 0 done, 1 refused or "
             "not\n"
             "found (the error is named), 2 wrong call or vectors that are no numbers.",
    .run = run,
};
