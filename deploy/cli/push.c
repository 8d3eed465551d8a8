#include "deploy/cli/push.h"

#include <poll.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/config.h"
#include "deploy/cli/text.h"

enum { POLL_MS_MAX = 100, ENVELOPE_BYTES = 64 * 1024 };

/* A picture must fit into a message with its envelope. */
static size_t parcel_bytes_max(void)
{
    struct cf_home home;
    size_t message_bytes = 64 << 20;
    struct cf_config *config = malloc(sizeof *config);
    if (config && !cf_home_resolve(&home, NULL) && !cf_config_load(config, &home, NULL))
        message_bytes = (size_t)config->broker_message_bytes_max;
    free(config);
    return message_bytes > 2 * ENVELOPE_BYTES ? message_bytes - ENVELOPE_BYTES : message_bytes / 2;
}

static enum cf_exit ping(struct cf_pusher *pusher)
{
    struct cf_reply *reply = NULL;
    enum cf_exit result =
        cf_fleet_call(&pusher->fleet, &(struct cf_msg){.kind = CF_KIND_STATUS}, cf_str(""), &reply);
    cf_reply_free(reply);
    return result;
}

/* CF_OK to go on. */
static enum cf_err is_over(const struct cf_pusher *pusher, uint64_t now_ms, struct cf_detail *detail)
{
    const struct cf_push_options *options = &pusher->options;
    char time[CF_TEXT_NUMBER_MAX];
    if (options->timeout_ms && now_ms - pusher->started_ms >= options->timeout_ms) {
        if (now_ms - pusher->contact_ms > pusher->fleet.deadline_ms)
            return cf_fail(detail, CF_E_UNREACHABLE, "the fleet answers no more");
        cf_text_duration(options->timeout_ms, time);
        return cf_fail(detail, CF_E_DEADLINE, "not done within %s (--timeout)%s", time,
                       pusher->again.head ? ": the fleet is busy" : "");
    }
    if (options->timeout_ms)
        return CF_OK;
    cf_text_duration(CF_PUSH_STALL_MS, time);
    if (now_ms - pusher->contact_ms > CF_PUSH_STALL_MS)
        return cf_fail(detail, CF_E_UNREACHABLE, "the fleet has not answered for %s", time);
    if (pusher->again.head && now_ms - pusher->advanced_ms > CF_PUSH_STALL_MS)
        return cf_fail(detail, CF_E_BUSY, "the fleet has taken nothing for %s", time);
    return CF_OK;
}

static uint64_t poll_ms(const struct cf_pusher *pusher, uint64_t now_ms)
{
    uint64_t wait_ms = POLL_MS_MAX;
    if (pusher->again.head && pusher->again_at_ms < now_ms + wait_ms)
        wait_ms = pusher->again_at_ms > now_ms ? pusher->again_at_ms - now_ms : 0;
    if (pusher->open_count > 0 && !pusher->asking && pusher->ask_at_ms < now_ms + wait_ms)
        wait_ms = pusher->ask_at_ms > now_ms ? pusher->ask_at_ms - now_ms : 0;
    return wait_ms;
}

/* Until a reply or the time of the next question. The client returns at once when nothing is in flight: then only time
 * can pass, and going round for it would take the processor from the workers. */
static enum cf_err wait_a_turn(struct cf_pusher *pusher, uint64_t now_ms)
{
    uint64_t wait_ms = poll_ms(pusher, now_ms);
    if (cf_client_pending(pusher->fleet.client) == 0)
        (void)poll(NULL, 0, (int)wait_ms);
    return cf_client_poll(pusher->fleet.client, wait_ms, &pusher->failed_detail);
}

static bool is_done(const struct cf_pusher *pusher)
{
    return cf_push_is_sent(pusher) && pusher->open_count == 0 && pusher->shows_in_flight == 0;
}

static void push_all(struct cf_pusher *pusher)
{
    for (;;) {
        uint64_t now_ms = cf_clock_mono_ms();
        pusher->over = is_over(pusher, now_ms, &pusher->over_detail);
        if (pusher->over || pusher->failed)
            return;
        cf_push_send(pusher, now_ms);
        cf_push_ask(pusher, now_ms);
        if (is_done(pusher) || pusher->failed)
            return;
        enum cf_err err = wait_a_turn(pusher, now_ms);
        if (err)
            pusher->failed = err;
        cf_push_show_progress(pusher, cf_clock_mono_ms());
    }
}

enum cf_exit cf_push_run(struct cf_pusher *pusher)
{
    enum cf_exit result = cf_fleet_open(&pusher->fleet);
    if (!result)
        result = ping(pusher);
    if (result)
        return result;
    uint64_t now_ms = cf_clock_mono_ms();
    pusher->started_ms = pusher->contact_ms = pusher->advanced_ms = now_ms;
    pusher->rng = cf_rng(now_ms ^ (uint64_t)(uintptr_t)pusher);
    pusher->parcel_bytes_max = parcel_bytes_max();
    cf_progress_init(&pusher->progress, stderr, pusher->options.json, now_ms);
    push_all(pusher);
    /* Ends what is in flight: its parcels come back to be sent again, and are refused. */
    cf_fleet_close(&pusher->fleet);
    cf_push_abandon(pusher);
    cf_push_summarize(pusher);
    return cf_push_exit(pusher);
}

static enum cf_exit start(const struct cf_command *command, struct cf_pusher *pusher,
                          const struct cf_args *args, const char *table, const char *root)
{
    if (args->rest_count == 0 && !table)
        return cf_command_misuse(command, "name what to push: ALBUM=FILE, a folder, - or --table");
    if (root && !table)
        return cf_command_misuse(command, "--root goes with --table");
    struct cf_detail detail = {""};
    enum cf_err err = cf_source_new(&pusher->source, args->rest, args->rest_count, table, root, &detail);
    if (err == CF_E_INVALID && !table)
        return cf_say_usage(command->name, &detail);
    if (err) {
        cf_say(command->name, cf_str(""), err, &detail);
        return CF_EXIT_REFUSED;
    }
    return cf_push_run(pusher);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_pusher pusher = {.fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS},
                               .options = {.priority = CF_PRIORITY_DEFAULT, .batch_items = CF_PUSH_BATCH_ITEMS}};
    struct cf_push_options *options = &pusher.options;
    const char *table = NULL, *root = NULL;
    const struct cf_opt opts[] = {
        {.name = "table",
         .kind = CF_OPT_TEXT,
         .value = &table,
         .placeholder = "FILE",
         .help = "tab-separated, with a header row: album, cover, others are metadata"},
        {.name = "root",
         .kind = CF_OPT_TEXT,
         .value = &root,
         .placeholder = "FOLDER",
         .help = "what the table's covers are relative to (default: its folder)"},
        {.name = "wait",
         .kind = CF_OPT_FLAG,
         .value = &options->wait,
         .help = "until all are described or dead"},
        {.name = "timeout",
         .kind = CF_OPT_DURATION,
         .value = &options->timeout_ms,
         .low = 1,
         .high = CF_DELAY_MS_MAX,
         .placeholder = "TIME",
         .help = "give up after that (default: 60s without progress)"},
        {.name = "priority",
         .kind = CF_OPT_UINT,
         .value = &options->priority,
         .high = CF_PRIORITY_MAX,
         .placeholder = "0-9",
         .help = "0 is the most urgent (default 5)"},
        {.name = "delay",
         .kind = CF_OPT_DURATION,
         .value = &options->delay_ms,
         .high = CF_DELAY_MS_MAX,
         .placeholder = "TIME",
         .help = "describe them no sooner than after that: 10s, 500ms"},
        {.name = "by-path",
         .kind = CF_OPT_FLAG,
         .value = &options->by_path,
         .help = "send paths; workers read them below descriptor.roots"},
        CF_OPT_JSON(&options->json),
        CF_FLEET_OPTS(&pusher.fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = start(command, &pusher, &args, table, root);
    cf_fleet_close(&pusher.fleet);
    cf_source_free(pusher.source);
    cf_push_wait_fini(&pusher);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_push = {
    .name = "push",
    .usage = "ALBUM=FILE... | FOLDER... | - | --table FILE [--root FOLDER]",
    .summary = "Push covers: each is acknowledged when it is on disk",
    .about =
        "A folder gives every file in it, album id = file name without extension; hidden files and those that are no\n"
        "pictures by their names (.tsv .txt .csv .json .md .html .xml .ini .log .db) are passed over. - reads lines\n"
        "ALBUM=FILE or ALBUM, a tab, FILE. A picture must be a regular file. The same picture with the same metadata\n"
        "again is unchanged and costs nothing.\n"
        "The last line with --json is {\"accepted\":…,\"unchanged\":…,\"refused\":…,\"described\":…,\"dead\":…};\n"
        "lines before it name each cover that was refused or is dead. A line that a later line of the same push\n"
        "supersedes counts as described when that later one is. Exits 4 when only some went well, 1 when none.",
    .run = run,
};
