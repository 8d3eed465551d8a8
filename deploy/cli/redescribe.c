#include <poll.h>

#include "common/base/clock.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/progress.h"
#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"

enum { POLL_MS = 200 };

struct sums {
    uint64_t total, done, no_thumbnail, failed;
};

static struct sums sum_up(const struct cf_redescribed *redescribed)
{
    struct sums sums = {0, 0, 0, 0};
    for (size_t i = 0; i < redescribed->shard_count; i++) {
        sums.total += redescribed->shards[i].total;
        sums.done += redescribed->shards[i].done;
        sums.no_thumbnail += redescribed->shards[i].no_thumbnail;
        sums.failed += redescribed->shards[i].failed;
    }
    return sums;
}

static void shard_json(struct cf_json *json, const struct cf_redescribe_shard *shard)
{
    cf_json_object(json, NULL);
    cf_json_text(json, "shard", shard->shard);
    cf_json_uint(json, "total", shard->total);
    cf_json_uint(json, "done", shard->done);
    cf_json_uint(json, "no_thumbnail", shard->no_thumbnail);
    cf_json_uint(json, "failed", shard->failed);
    cf_json_bool(json, "finished", shard->finished);
    cf_json_end(json);
}

void cf_view_redescribed_json(struct cf_json *json, const struct cf_redescribed *redescribed)
{
    const struct sums sums = sum_up(redescribed);
    cf_json_uint(json, "order", redescribed->order);
    cf_json_bool(json, "finished", redescribed->finished);
    cf_json_array(json, "spaces");
    for (size_t i = 0; i < redescribed->space_count; i++)
        cf_json_text(json, NULL, redescribed->spaces[i]);
    cf_json_end(json);
    cf_json_uint(json, "total", sums.total);
    cf_json_uint(json, "done", sums.done);
    cf_json_uint(json, "no_thumbnail", sums.no_thumbnail);
    cf_json_uint(json, "failed", sums.failed);
    cf_json_array(json, "shards");
    for (size_t i = 0; i < redescribed->shard_count; i++)
        shard_json(json, &redescribed->shards[i]);
    cf_json_end(json);
}

static void print_spaces(const struct cf_redescribed *redescribed, FILE *out)
{
    for (size_t i = 0; i < redescribed->space_count; i++) {
        fputs(i ? ", " : " in ", out);
        cf_text_put(out, redescribed->spaces[i]);
    }
}

static void print_waiting(const struct cf_redescribed *redescribed, FILE *out)
{
    size_t count = 0;
    for (size_t i = 0; !redescribed->finished && i < redescribed->shard_count; i++) {
        if (redescribed->shards[i].finished)
            continue;
        fputs(count++ ? ", " : "; unfinished: ", out);
        cf_text_put(out, redescribed->shards[i].shard);
    }
}

void cf_view_redescribed_text(const struct cf_redescribed *redescribed, FILE *out)
{
    const struct sums sums = sum_up(redescribed);
    if (redescribed->order == 0) {
        fputs("nothing was ordered to be described again\n", out);
        return;
    }
    fprintf(out, "%s: %llu of %llu albums described again", redescribed->finished ? "finished" : "going on",
            (unsigned long long)sums.done, (unsigned long long)sums.total);
    print_spaces(redescribed, out);
    if (sums.no_thumbnail)
        fprintf(out, "; %llu have no thumbnail (they were imported as vectors)",
                (unsigned long long)sums.no_thumbnail);
    if (sums.failed)
        fprintf(out, "; %llu FAILED: the workers' logs name them", (unsigned long long)sums.failed);
    print_waiting(redescribed, out);
    putc('\n', out);
}

/* ---- the command ---- */

struct call {
    struct cf_fleet fleet;
    const char *spaces;
    bool status, wait;
    struct cf_str names[CF_SPACES_MAX];
    size_t name_count;
};

static enum cf_exit print(const struct call *call, const struct cf_redescribed *redescribed)
{
    if (!call->fleet.json) {
        cf_view_redescribed_text(redescribed, stdout);
    } else {
        struct cf_detail detail = {""};
        struct cf_json *json = cf_json_new();
        cf_view_redescribed_json(json, redescribed);
        enum cf_err err = cf_json_print(json, stdout, &detail);
        cf_json_free(json);
        if (err) {
            cf_say("redescribe", cf_str(""), err, &detail);
            return cf_exit_of(err);
        }
    }
    return redescribed->finished && sum_up(redescribed).failed ? CF_EXIT_PARTLY : CF_EXIT_DONE;
}

/* Asks again and again until it is finished; another order in its place is an error. */
static enum cf_exit wait_for_end(struct call *call, struct cf_reply **reply)
{
    const struct cf_msg request = {.kind = CF_KIND_REDESCRIBE, .redescribe = {.op = CF_REDESCRIBE_STATUS}};
    const uint64_t order = (*reply)->msg.redescribed.order;
    struct cf_progress progress;
    cf_progress_init(&progress, stderr, call->fleet.json, cf_clock_mono_ms());
    enum cf_exit result = CF_EXIT_DONE;
    while (!result && !(*reply)->msg.redescribed.finished && (*reply)->msg.redescribed.order == order) {
        const struct sums sums = sum_up(&(*reply)->msg.redescribed);
        cf_progress_show(&progress, sums.done + sums.no_thumbnail + sums.failed, sums.total, "",
                         cf_clock_mono_ms());
        (void)poll(NULL, 0, POLL_MS);
        cf_reply_free(*reply);
        *reply = NULL;
        result = cf_fleet_call(&call->fleet, &request, cf_str(""), reply);
    }
    cf_progress_clear(&progress);
    if (!result && (*reply)->msg.redescribed.order != order) {
        struct cf_detail detail = {""};
        enum cf_err err = cf_fail(&detail, CF_E_SUPERSEDED,
                                  "a newer order took the place of this one before it was done: order its "
                                  "spaces again");
        result = cf_fleet_say(&call->fleet, cf_str(""), err, &detail);
    }
    return result;
}

/* Workers that left for a new model are back in a moment: who finds none asks again for as long as an answer
 * may take. */
static enum cf_exit ask(struct call *call, const struct cf_msg *request, struct cf_reply **reply)
{
    const uint64_t until_ms = cf_clock_mono_ms() + call->fleet.deadline_ms;
    struct cf_detail detail = {""};
    enum cf_err err;
    while ((err = cf_client_call(call->fleet.client, request, call->fleet.deadline_ms, reply, &detail)) ==
               CF_E_NO_WORKER &&
           cf_clock_mono_ms() < until_ms)
        (void)poll(NULL, 0, POLL_MS);
    return err ? cf_fleet_say(&call->fleet, cf_str(""), err, &detail) : CF_EXIT_DONE;
}

static enum cf_exit operate(struct call *call)
{
    struct cf_reply *reply = NULL;
    const struct cf_msg request = {
        .kind = CF_KIND_REDESCRIBE,
        .redescribe = {.op = call->status ? CF_REDESCRIBE_STATUS : CF_REDESCRIBE_START,
                       .spaces = call->names,
                       .space_count = call->name_count}};
    enum cf_exit result = cf_fleet_open(&call->fleet);
    if (!result)
        result = ask(call, &request, &reply);
    if (!result && call->wait && reply->msg.redescribed.order)
        result = wait_for_end(call, &reply);
    if (!result)
        result = print(call, &reply->msg.redescribed);
    cf_reply_free(reply);
    return result;
}

/* Names between commas; false when there are too many, or none at all. */
static bool split(struct call *call)
{
    for (const char *at = call->spaces; at && *at;) {
        size_t len = strcspn(at, ",");
        if (len && call->name_count == CF_SPACES_MAX)
            return false;
        if (len)
            call->names[call->name_count++] = (struct cf_str){at, len};
        at += len + (at[len] == ',');
    }
    return !call->spaces || call->name_count;
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct call call = {.fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS}};
    const struct cf_opt opts[] = {
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &call.spaces,
         .placeholder = "S,...",
         .help = "these only (default: every space of the fleet)"},
        {.name = "wait", .kind = CF_OPT_FLAG, .value = &call.wait, .help = "until all shards are done"},
        {.name = "status",
         .kind = CF_OPT_FLAG,
         .value = &call.status,
         .help = "order nothing: how far is the last order?"},
        CF_OPT_JSON(&call.fleet.json),
        CF_FLEET_OPTS(&call.fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        if (args.rest_count > 0)
            result = cf_command_misuse(command, "takes no arguments, but got %.60s", args.rest[0]);
        else if (call.status && call.spaces)
            result = cf_command_misuse(command, "--status is of the last order, whatever its spaces");
        else if (!split(&call))
            result = cf_command_misuse(command, "--space names 1 to %d spaces, between commas: not \"%.60s\"",
                                       CF_SPACES_MAX, call.spaces);
        else
            result = operate(&call);
    }
    cf_fleet_close(&call.fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_redescribe = {
    .name = "redescribe",
    .usage = "[--space S,...] [--wait] [--json]\n       coverfleet redescribe --status [--wait] [--json]",
    .summary = "Give albums the vectors that they lack, from their thumbnails",
    .about =
        "For a space that descriptor.spaces gained, or a new version of one. No cover is fetched: descriptor "
        "workers\n"
        "read the thumbnails of their shards, when they have no fresh cover in hand, and a little each "
        "second\n"
        "otherwise. Shards of slots that were removed are done by a worker that is there. An order survives "
        "any\n"
        "crash; one more changes nothing for albums that lack nothing. Albums that were imported as vectors "
        "have "
        "no\n"
        "thumbnail and are counted. Exits 4 when some failed.",
    .run = run,
};
