#include "deploy/cli/duplicates.h"

#include "deploy/cli/sure.h"

#define RECALL .99
/* Below this two covers drawn by chance would be linked again and again. */
#define THRESHOLD_MIN .3
#define THRESHOLD_MAX .9999

/* What cannot be written is told before all albums were asked for. */
static enum cf_exit open_table(struct cf_duplicates *call)
{
    struct cf_detail detail = {""};
    enum cf_err err = call->out ? cf_fresh_new(call->out, &call->table, &detail) : CF_OK;
    return err ? cf_fleet_tell(&call->fleet, cf_str(call->out), err, &detail) : CF_EXIT_DONE;
}

static enum cf_exit find_duplicates(struct cf_duplicates *call)
{
    const struct cf_link_group *groups;
    size_t count;
    call->links = cf_links_new();
    if (!call->links)
        return cf_fleet_tell(&call->fleet, cf_str(""), CF_E_NO_MEMORY, NULL);
    enum cf_exit result = open_table(call);
    if (!result)
        result = cf_fleet_open(&call->fleet);
    if (!result)
        result = cf_duplicates_ask(call);
    if (!result && cf_links_group(call->links, &groups, &count))
        return cf_fleet_tell(&call->fleet, cf_str(""), CF_E_NO_MEMORY, NULL);
    return result ? result : cf_duplicates_print(call, groups, count);
}

static enum cf_exit choose(const struct cf_command *command, struct cf_duplicates *call, const char *space,
                           const struct cf_args *args)
{
    call->space = cf_space_find(cf_str(space));
    if (args->rest_count > 0)
        return cf_command_misuse(command, "it takes no albums: all of the catalogue are compared (\"%.60s\")",
                                 args->rest[0]);
    if (!call->space)
        return cf_command_misuse(command, "there is no space \"%.40s\": there are %s", space,
                                 cf_space_names());
    if (call->space->metric != CF_METRIC_COSINE)
        return cf_command_misuse(command, "duplicates are found by cosine: in copy or style, not in %s",
                                 space);
    return find_duplicates(call);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_duplicates call = {.fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS},
                                 .threshold = CF_SURE_SAME,
                                 .recall = RECALL};
    const char *space = "copy";
    const struct cf_opt opts[] = {
        {.name = "threshold",
         .kind = CF_OPT_REAL,
         .value = &call.threshold,
         .real_low = THRESHOLD_MIN,
         .real_high = THRESHOLD_MAX,
         .placeholder = "COSINE",
         .help = "albums more alike than this are linked (default 0.8)"},
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &space,
         .placeholder = "SPACE",
         .help = "copy (default), or style"},
        {.name = "recall",
         .kind = CF_OPT_REAL,
         .value = &call.recall,
         .real_low = 0.01,
         .real_high = 1,
         .placeholder = "SHARE",
         .help = "of the links, as seen from one end (default 0.99); each can be found from both"},
        {.name = "out",
         .kind = CF_OPT_TEXT,
         .value = &call.out,
         .placeholder = "FILE",
         .help = "the groups as a tab-separated table, a row an album; only the counts are printed then"},
        CF_OPT_JSON(&call.fleet.json),
        CF_FLEET_OPTS(&call.fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = choose(command, &call, space, &args);
    cf_fleet_close(&call.fleet);
    cf_links_free(call.links);
    cf_fresh_free(call.table);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_duplicates = {
    .name = "duplicates",
    .usage = "[--threshold COSINE] [--space copy|style] [--out FILE]",
    .summary = "Groups of albums with the same artwork",
    .about =
        "Reissues, stolen covers, one picture under two ids: every album is asked for what is near to it, "
        "and what is\n"
        "linked hangs together as a group. By their cosine in copy two covers are the same artwork above "
        "0.8,\n"
        "probably between 0.7 and 0.8; from 0.6 to 0.7 look yourself.\n"
        "\n"
        "A group may be a chain: A like B, B like C, A not like C. So each group tells its weakest link (the "
        "one that a\n"
        "higher threshold would cut first), each album its cosine with the group's first (the one with the "
        "most links),\n"
        "and a group with an album no nearer to the first than the threshold is called a chain. Largest "
        "groups first,\n"
        "then by album id.\n"
        "\n"
        "Albums are listed from the data of COVERFLEET_HOME, beside the running fleet that is asked. Memory "
        "grows with\n"
        "what is duplicated, not with the catalogue. Flagged albums, which have no contrast, are skipped.\n"
        "\n"
        "With --json: "
        "{\"space\":…,\"threshold\":…,\"groups\":[{\"size\":…,\"weakest\":…,\"sure\":\"same\",\"chained\":…,"
        "\n"
        "\"albums\":[{\"album\":…,\"cosine\":…,\"artist\":…,\"title\":…},…]},…],\"group_count\":…,"
        "\"grouped\":…,\n"
        "\"asked\":…,\"skipped\":…,\"not_described\":…}, without the groups when they go to --out.",
    .run = run,
};
