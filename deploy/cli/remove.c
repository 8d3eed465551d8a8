#include <stdio.h>

#include "common/base/album.h"
#include "common/base/clock.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/json.h"

enum { LINES_MAX = 20, AGAIN_FIRST_MS = 20, AGAIN_LAST_MS = 1000, STALL_MS = 60000 };

struct removal {
    struct cf_fleet fleet;
    bool json;
    size_t removed, refused;
    enum cf_err first; /* the error of the first that was refused */
    uint64_t advanced_ms, again_wait_ms;
    struct cf_str batch[CF_BATCH_MAX]; /* to be asked next; those that met a full queue stay in it */
    size_t filled;
};

static void refuse(struct removal *removal, struct cf_str album, struct cf_str error, struct cf_str detail)
{
    if (removal->refused++ == 0)
        removal->first = cf_err_from_name(error.len ? error.data : "", error.len);
    if (removal->refused <= LINES_MAX)
        cf_say_named("remove", album, error, detail);
}

/* False when the queue was full and there is still time to try again. */
static bool take(struct removal *removal, struct cf_str album, const struct cf_result *result,
                 uint64_t now_ms)
{
    if (result->status == CF_PUSH_REFUSED) {
        bool is_busy = cf_str_is(result->error, cf_err_name(CF_E_BUSY));
        if (is_busy && now_ms - removal->advanced_ms < STALL_MS)
            return false;
        refuse(removal, album, result->error, result->detail);
    } else if (result->status == CF_PUSH_UNCHANGED) {
        refuse(removal, album, cf_str(cf_err_name(CF_E_NOT_FOUND)), cf_str("it is removed already"));
    } else {
        removal->removed++;
        removal->advanced_ms = now_ms;
    }
    return true;
}

/* Doubling waits, as long as nothing goes. */
static enum cf_exit wait_a_little(struct removal *removal, bool advanced)
{
    struct cf_detail detail = {""};
    uint64_t wait_ms = advanced || removal->again_wait_ms == 0 ? AGAIN_FIRST_MS : 2 * removal->again_wait_ms;
    removal->again_wait_ms = wait_ms < AGAIN_LAST_MS ? wait_ms : AGAIN_LAST_MS;
    enum cf_err err = cf_client_poll(removal->fleet.client, removal->again_wait_ms, &detail);
    return err ? cf_fleet_say(&removal->fleet, cf_str(""), err, &detail) : CF_EXIT_DONE;
}

static enum cf_exit ask(struct removal *removal)
{
    size_t asked = removal->filled, kept = 0;
    struct cf_msg request = {.kind = CF_KIND_REMOVE,
                             .albums = {.albums = removal->batch, .album_count = asked}};
    struct cf_reply *reply = NULL;
    enum cf_exit result = cf_fleet_call(&removal->fleet, &request, cf_str(""), &reply);
    if (result)
        return result;
    const struct cf_results *results = &reply->msg.results;
    uint64_t now_ms = cf_clock_mono_ms();
    struct cf_detail detail;
    if (results->result_count != asked) {
        enum cf_err err = cf_fail(&detail, CF_E_INVALID, "the fleet answered %zu albums with %zu results",
                                  asked, results->result_count);
        result = cf_fleet_say(&removal->fleet, cf_str(""), err, &detail);
    }
    for (size_t i = 0; i < asked && !result; i++)
        if (!take(removal, removal->batch[i], &results->results[i], now_ms))
            removal->batch[kept++] = removal->batch[i];
    removal->filled = kept;
    cf_reply_free(reply);
    return result || kept == 0 ? result : wait_a_little(removal, kept < asked);
}

static enum cf_exit remove_all(struct removal *removal, const char *const *names, size_t name_count)
{
    enum cf_exit result = cf_fleet_open(&removal->fleet);
    removal->advanced_ms = cf_clock_mono_ms();
    for (size_t i = 0; !result && (i < name_count || removal->filled > 0);) {
        for (; i < name_count && removal->filled < CF_BATCH_MAX; i++) {
            struct cf_detail detail = {""};
            enum cf_err err = cf_album_check(cf_str(names[i]), &detail);
            if (err)
                refuse(removal, cf_str(names[i]), cf_str(cf_err_name(err)), cf_str(detail.text));
            else
                removal->batch[removal->filled++] = cf_str(names[i]);
        }
        if (removal->filled > 0)
            result = ask(removal);
    }
    if (removal->refused > LINES_MAX)
        fprintf(stderr, "coverfleet remove: and %zu more\n", removal->refused - LINES_MAX);
    return result;
}

static enum cf_exit report(const struct removal *removal)
{
    if (!removal->json)
        return cf_exit_of_many(removal->removed, removal->refused, removal->first);
    struct cf_detail detail = {""};
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "removed", removal->removed);
    cf_json_uint(json, "refused", removal->refused);
    enum cf_err err = cf_json_print(json, stdout, &detail);
    cf_json_free(json);
    if (err) {
        cf_say("remove", cf_str(""), err, &detail);
        return cf_exit_of(err);
    }
    return cf_exit_of_many(removal->removed, removal->refused, removal->first);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct removal removal = {.fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS}};
    const struct cf_opt opts[] = {CF_OPT_JSON(&removal.json), CF_FLEET_OPTS(&removal.fleet), {.name = NULL}};
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        result = args.rest_count > 0 ? remove_all(&removal, args.rest, args.rest_count)
                                     : cf_command_misuse(command, "name the albums to remove");
        if (!result)
            result = report(&removal);
    }
    cf_fleet_close(&removal.fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_remove = {
    .name = "remove",
    .usage = "ALBUM... [--json]",
    .summary = "Remove albums: queries find them no more",
    .about = "Acknowledged from disk; query workers honour it at once. An album that is not there is "
             "\"not_found\".",
    .run = run,
};
