#include "deploy/cli/fleet.h"
#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"

void cf_view_indexes_json(struct cf_json *json, const struct cf_index_status *indexes, size_t count)
{
    cf_json_array(json, "indexes");
    for (size_t i = 0; i < count; i++) {
        cf_json_object(json, NULL);
        cf_json_text(json, "space", indexes[i].space);
        cf_json_uint(json, "generation", indexes[i].generation);
        cf_json_uint(json, "count", indexes[i].count);
        cf_json_uint(json, "tail", indexes[i].tail);
        cf_json_uint(json, "build_ms", indexes[i].build_ms);
        cf_json_uint(json, "published_ms", indexes[i].published_ms);
        cf_json_real(json, "recall", indexes[i].recall);
        cf_json_uint(json, "recall_checks", indexes[i].recall_checks);
        cf_json_end(json);
    }
    cf_json_end(json);
}

enum cf_err cf_view_indexes_text(const struct cf_index_status *indexes, size_t count, FILE *out)
{
    static const char *const headings[] = {"INDEX",   ">GENERATION", ">ALBUMS",   ">NOT YET IN IT",
                                           ">RECALL", ">BUILT IN",   "PUBLISHED", NULL};
    struct cf_tabular *tabular = cf_tabular_new(headings);
    for (size_t i = 0; i < count; i++) {
        char build[CF_TEXT_NUMBER_MAX] = "", published[CF_TEXT_NUMBER_MAX] = "never";
        char recall[CF_TEXT_NUMBER_MAX] = "";
        if (indexes[i].recall_checks > 0)
            snprintf(recall, sizeof recall, "%.3f", indexes[i].recall);
        if (indexes[i].generation > 0)
            cf_text_duration(indexes[i].build_ms, build);
        if (indexes[i].published_ms > 0)
            cf_text_time(indexes[i].published_ms, published);
        cf_tabular_cell(tabular, indexes[i].space);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)indexes[i].generation);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)indexes[i].count);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)indexes[i].tail);
        cf_tabular_cell(tabular, cf_str(recall));
        cf_tabular_cell(tabular, cf_str(build));
        cf_tabular_cell(tabular, cf_str(published));
    }
    enum cf_err err = cf_tabular_print(tabular, "", out);
    cf_tabular_free(tabular);
    return err;
}

static enum cf_exit print(const struct cf_indexes *indexes, bool as_json)
{
    struct cf_detail detail = {""};
    enum cf_err err;
    if (as_json) {
        struct cf_json *json = cf_json_new();
        cf_view_indexes_json(json, indexes->indexes, indexes->index_count);
        err = cf_json_print(json, stdout, &detail);
        cf_json_free(json);
    } else {
        err = cf_view_indexes_text(indexes->indexes, indexes->index_count, stdout);
    }
    if (err)
        cf_say("index", cf_str(""), err, &detail);
    return cf_exit_of(err);
}

static enum cf_exit operate(struct cf_fleet *fleet, enum cf_index_op op, const char *space)
{
    struct cf_reply *reply = NULL;
    struct cf_msg request = {.kind = CF_KIND_INDEX, .index = {.op = (int)op, .space = cf_str(space)}};
    enum cf_exit result = cf_fleet_open(fleet);
    if (!result)
        result = cf_fleet_call(fleet, &request, cf_str(""), &reply);
    if (!result)
        result = print(&reply->msg.indexes, fleet->json);
    cf_reply_free(reply);
    return result;
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_fleet fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS};
    const char *space = "";
    const struct cf_opt opts[] = {
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &space,
         .placeholder = "SPACE",
         .help = "only that one"},
        CF_OPT_JSON(&fleet.json),
        CF_FLEET_OPTS(&fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        const char *op = args.rest_count > 0 ? args.rest[0] : "";
        if (args.rest_count > 1)
            result =
                cf_command_misuse(command, "one operation at a time, but got %.60s as well", args.rest[1]);
        else if (strcmp(op, "status") == 0)
            result = operate(&fleet, CF_INDEX_STATUS, space);
        else if (strcmp(op, "rebuild") == 0)
            result = operate(&fleet, CF_INDEX_REBUILD, space);
        else
            result = cf_command_misuse(command, "%s%.60s: the operation is status or rebuild",
                                       op[0] ? "unknown operation " : "no operation", op);
    }
    cf_fleet_close(&fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_index = {
    .name = "index",
    .usage = "status | rebuild [--space SPACE] [--json]",
    .summary = "Generations of the indexes; order a rebuild",
    .about = "rebuild returns when it is ordered; the new generation shows in `coverfleet index status` once "
             "it is\n"
             "published. Queries go on meanwhile, on the old generation and on what is not in it yet.",
    .run = run,
};
