#include "common/base/album.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/json.h"

struct removal {
    struct cf_fleet fleet;
    bool json;
    size_t removed, refused;
    enum cf_err first; /* the error of the first that was refused */
};

static void refuse(struct removal *removal, struct cf_str album, struct cf_str error, struct cf_str detail)
{
    if (removal->refused++ == 0)
        removal->first = cf_err_from_name(error.len ? error.data : "", error.len);
    cf_say_named("remove", album, error, detail);
}

static void count(struct removal *removal, struct cf_str album, const struct cf_result *result)
{
    if (result->status == CF_PUSH_REFUSED)
        refuse(removal, album, result->error, result->detail);
    else if (result->status == CF_PUSH_UNCHANGED)
        refuse(removal, album, cf_str(cf_err_name(CF_E_NOT_FOUND)), cf_str("it is removed already"));
    else
        removal->removed++;
}

static enum cf_exit remove_batch(struct removal *removal, const struct cf_str *albums, size_t album_count)
{
    struct cf_str asked[CF_BATCH_MAX];
    memcpy(asked, albums, album_count * sizeof *albums);
    struct cf_msg request = {.kind = CF_KIND_REMOVE, .albums = {.albums = asked, .album_count = album_count}};
    struct cf_reply *reply = NULL;
    enum cf_exit result = cf_fleet_call(&removal->fleet, &request, cf_str(""), &reply);
    if (result)
        return result;
    const struct cf_results *results = &reply->msg.results;
    for (size_t i = 0; i < album_count && i < results->result_count; i++)
        count(removal, albums[i], &results->results[i]);
    cf_reply_free(reply);
    return CF_EXIT_DONE;
}

static enum cf_exit remove_all(struct removal *removal, const char *const *names, size_t name_count)
{
    struct cf_str batch[CF_BATCH_MAX];
    size_t filled = 0;
    enum cf_exit result = cf_fleet_open(&removal->fleet);
    for (size_t i = 0; i < name_count && !result; i++) {
        struct cf_detail detail = {""};
        enum cf_err err = cf_album_check(cf_str(names[i]), &detail);
        if (err)
            refuse(removal, cf_str(names[i]), cf_str(cf_err_name(err)), cf_str(detail.text));
        else
            batch[filled++] = cf_str(names[i]);
        if (filled == CF_BATCH_MAX || (filled > 0 && i + 1 == name_count)) {
            result = remove_batch(removal, batch, filled);
            filled = 0;
        }
    }
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
