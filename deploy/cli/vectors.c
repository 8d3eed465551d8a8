#include "deploy/cli/vectors.h"

#include "common/vecfile/fresh.h"
#include "deploy/cli/space.h"

enum { BATCH_ITEMS = 256, OPEN_MAX = 4096 };

struct call {
    struct cf_pusher pusher;
    const char *space, *ids, *meta, *out;
};

static enum cf_exit find_space(const struct cf_command *command, const char *name,
                               const struct cf_space **space)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_cli_space(name, space, &detail);
    return err ? cf_command_misuse(command, "%s", detail.text) : CF_EXIT_DONE;
}

static enum cf_exit import_all(const struct cf_command *command, struct call *call,
                               const struct cf_args *args)
{
    struct cf_vectors_options options = {.ids = call->ids, .meta = call->meta};
    if (args->rest_count != 2 || !call->ids)
        return cf_command_misuse(
            command, "import takes one file of vectors, .npy or .fvecs, and --ids with its table");
    if (call->out)
        return cf_command_misuse(command, "--out goes with export");
    options.file = args->rest[1];
    enum cf_exit result = find_space(command, call->space, &options.space);
    return result ? result : cf_vectors_import(&options, &call->pusher);
}

static enum cf_exit export_all(const struct cf_command *command, struct call *call,
                               const struct cf_args *args)
{
    struct cf_vectors_options options = {.file = call->out, .ids = call->ids};
    if (args->rest_count != 1 || !call->out || !call->ids)
        return cf_command_misuse(command,
                                 "export takes --out with a file, .npy or .fvecs, and --ids with another");
    if (cf_fresh_same(call->out, call->ids))
        return cf_command_misuse(command, "--out and --ids must be different files");
    if (call->meta)
        return cf_command_misuse(command, "--meta goes with import");
    enum cf_exit result = find_space(command, call->space, &options.space);
    return result ? result : cf_vectors_export(&options, command->name, call->pusher.fleet.json);
}

static enum cf_exit start(const struct cf_command *command, struct call *call, const struct cf_args *args)
{
    const char *operation = args->rest_count > 0 ? args->rest[0] : "";
    call->pusher.fleet.json = call->pusher.options.json;
    if (strcmp(operation, "import") == 0)
        return import_all(command, call, args);
    if (strcmp(operation, "export") == 0)
        return export_all(command, call, args);
    return cf_command_misuse(command, "%s%.60s: the operation is import or export",
                             operation[0] ? "unknown operation " : "no operation", operation);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct call call = {.pusher = {.fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS},
                                   .options = {.priority = CF_PRIORITY_DEFAULT,
                                               .wait = true,
                                               .batch_items = BATCH_ITEMS,
                                               .open_max = OPEN_MAX}},
                        .space = "gist"};
    struct cf_push_options *options = &call.pusher.options;
    const struct cf_opt opts[] = {
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &call.space,
         .placeholder = "SPACE",
         .help = "gray16 or gist (default)"},
        {.name = "ids",
         .kind = CF_OPT_TEXT,
         .value = &call.ids,
         .placeholder = "FILE",
         .help = "tab-separated, with a header row: the column album names each vector's"},
        {.name = "meta",
         .kind = CF_OPT_TEXT,
         .value = &call.meta,
         .placeholder = "FILE",
         .help = "import: a table of metadata: album, others are its keys"},
        {.name = "out",
         .kind = CF_OPT_TEXT,
         .value = &call.out,
         .placeholder = "FILE",
         .help = "export: the file of vectors, .npy or .fvecs"},
        {.name = "priority",
         .kind = CF_OPT_UINT,
         .value = &options->priority,
         .high = CF_PRIORITY_MAX,
         .placeholder = "0-9",
         .help = "import: 0 is the most urgent (default 5)"},
        {.name = "timeout",
         .kind = CF_OPT_DURATION,
         .value = &options->timeout_ms,
         .low = 1,
         .high = CF_DELAY_MS_MAX,
         .placeholder = "TIME",
         .help = "import: give up after that (default: 60s without progress)"},
        CF_OPT_JSON(&options->json),
        CF_FLEET_OPTS(&call.pusher.fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = start(command, &call, &args);
    cf_fleet_close(&call.pusher.fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_vectors = {
    .name = "vectors",
    .usage =
        "import FILE --ids FILE [--space SPACE] [--meta FILE] | export --out FILE --ids FILE [--space SPACE]",
    .summary = "Vectors that were computed elsewhere, in and out",
    .about = "Files are .npy (two dimensions) or .fvecs, a row a vector; line N of the table behind its "
             "header is row N.\n"
             "import pushes each row as an album that is described in this space only, and waits until all "
             "are. The same again\n"
             "is unchanged, so an import that was interrupted is repeated. Its last line with --json, and "
             "its exit code, are\n"
             "those of push.\n"
             "export reads the data of COVERFLEET_HOME, beside a running fleet or without one: every album "
             "once, its newest\n"
             "version, in the order of ids, without those that are removed, flagged or not described in this "
             "space. With --json\n"
             "it prints {\"exported\":…,\"flagged\":…,\"not_described\":…}.",
    .run = run,
};
