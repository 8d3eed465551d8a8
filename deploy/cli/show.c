#include "common/base/hash.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"

static void sha256_text(const struct cf_story *story, char text[2 * CF_SHA256_BYTES + 1])
{
    text[0] = '\0';
    if (story->sha256.len == CF_SHA256_BYTES)
        cf_hex(story->sha256, text);
}

static void rest_json(struct cf_json *json, const struct cf_story *story)
{
    cf_json_array(json, "warnings");
    for (size_t i = 0; i < story->warning_count; i++)
        cf_json_text(json, NULL, story->warnings[i]);
    cf_json_end(json);
    cf_json_array(json, "spaces");
    for (size_t i = 0; i < story->space_count; i++) {
        cf_json_object(json, NULL);
        cf_json_text(json, "space", story->spaces[i].space);
        cf_json_uint(json, "generation", story->spaces[i].generation);
        cf_json_end(json);
    }
    cf_json_end(json);
    cf_json_object(json, "meta");
    for (size_t i = 0; i < story->meta_count; i++)
        cf_json_pair(json, story->meta[i]);
    cf_json_end(json);
}

void cf_view_story_json(struct cf_json *json, const struct cf_story *story)
{
    char sha256[2 * CF_SHA256_BYTES + 1];
    sha256_text(story, sha256);
    cf_json_text(json, "album", story->album);
    cf_json_word(json, "state", cf_state_name((enum cf_state)story->state));
    cf_json_version(json, story->version);
    cf_json_uint(json, "attempts", story->attempts);
    cf_json_uint(json, "priority", story->priority);
    cf_json_text(json, "worker", story->worker);
    cf_json_text(json, "shard", story->shard);
    cf_json_uint(json, "log_seq", story->log_seq);
    cf_json_bool(json, "constant", story->constant);
    cf_json_bool(json, "partial", story->partial);
    cf_json_text(json, "error", story->error);
    cf_json_text(json, "detail", story->detail);
    cf_json_text(json, "source", story->source);
    cf_json_word(json, "sha256", sha256);
    cf_json_uint(json, "pushed_ms", story->pushed_ms);
    cf_json_uint(json, "settled_ms", story->settled_ms);
    cf_json_uint(json, "due_ms", story->due_ms);
    rest_json(json, story);
}

static void line(FILE *out, const char *name, struct cf_str text)
{
    if (text.len == 0)
        return;
    fprintf(out, "  %-12s", name);
    cf_text_put(out, text);
    putc('\n', out);
}

static void time_line(FILE *out, const char *name, uint64_t wall_ms)
{
    char text[CF_TEXT_NUMBER_MAX];
    if (wall_ms == 0)
        return;
    cf_text_time(wall_ms, text);
    line(out, name, cf_str(text));
}

/* What the state means, and what became or will become of the album. */
static const char *meaning(const struct cf_story *story)
{
    switch (story->state) {
    case CF_STATE_QUEUED:
        return "waits for a descriptor worker";
    case CF_STATE_DELAYED:
        return story->attempts > 0 ? "waits for another attempt" : "waits until it is due";
    case CF_STATE_LEASED:
        return "is with a worker";
    case CF_STATE_DESCRIBED:
        return "is found by queries, not in an index yet";
    case CF_STATE_INDEXED:
        return "is found by queries, through an index";
    case CF_STATE_DEAD:
        return "could not be described and is not tried again (coverfleet queue retry)";
    case CF_STATE_REMOVED:
        return "was removed and is not found";
    default:
        return "was never heard of";
    }
}

static void spaces_text(const struct cf_story *story, FILE *out)
{
    for (size_t i = 0; i < story->space_count; i++) {
        fprintf(out, "  %-12s", i ? "" : "spaces");
        cf_text_put(out, story->spaces[i].space);
        if (story->spaces[i].generation > 0)
            fprintf(out, ", in index generation %llu\n", (unsigned long long)story->spaces[i].generation);
        else
            fputs(", not in an index yet\n", out);
    }
}

void cf_view_story_text(const struct cf_story *story, FILE *out)
{
    char sha256[2 * CF_SHA256_BYTES + 1];
    sha256_text(story, sha256);
    cf_text_put(out, story->album);
    fprintf(out, " %s: it %s\n", cf_state_name((enum cf_state)story->state), meaning(story));
    if (story->error.len > 0) {
        fprintf(out, "  %-12s", story->state == CF_STATE_DEAD ? "reason" : "last error");
        cf_text_put(out, story->error);
        fputs(story->detail.len ? ": " : "", out);
        cf_text_put(out, story->detail);
        putc('\n', out);
    }
    fprintf(out, "  %-12s%llu.%llu (epoch.sequence)\n", "version", (unsigned long long)story->version.epoch,
            (unsigned long long)story->version.seq);
    time_line(out, "pushed", story->pushed_ms);
    time_line(out, "due", story->due_ms);
    time_line(out, "settled", story->settled_ms);
    fprintf(out, "  %-12s%llu\n  %-12s%llu\n", "attempts", (unsigned long long)story->attempts, "priority",
            (unsigned long long)story->priority);
    line(out, "worker", story->worker);
    line(out, "shard", story->shard);
    line(out, "source", story->source);
    line(out, "sha256", cf_str(sha256));
    spaces_text(story, out);
    if (story->constant)
        line(out, "flag", cf_str("constant: without contrast, so it is nobody's neighbour"));
    if (story->partial)
        line(out, "flag", cf_str("partial: the picture was truncated, what decoded was described"));
    for (size_t i = 0; i < story->warning_count; i++)
        line(out, "warning", story->warnings[i]);
    for (size_t i = 0; i < story->meta_count; i++) {
        fputs(i ? "              " : "  meta        ", out);
        cf_text_put(out, story->meta[i].key);
        fputs(" = ", out);
        cf_text_put(out, story->meta[i].value);
        putc('\n', out);
    }
}

static enum cf_exit print(const struct cf_story *story, bool as_json)
{
    if (!as_json) {
        cf_view_story_text(story, stdout);
        return CF_EXIT_DONE;
    }
    struct cf_detail detail = {""};
    struct cf_json *json = cf_json_new();
    cf_view_story_json(json, story);
    enum cf_err err = cf_json_print(json, stdout, &detail);
    cf_json_free(json);
    if (err)
        cf_say("show", cf_str(""), err, &detail);
    return cf_exit_of(err);
}

static enum cf_exit show(struct cf_fleet *fleet, struct cf_str album)
{
    struct cf_reply *reply = NULL;
    struct cf_msg request = {.kind = CF_KIND_SHOW, .show = {.album = album}};
    struct cf_detail detail = {""};
    enum cf_err err = cf_album_check(album, &detail);
    if (err)
        return cf_fleet_tell(fleet, album, err, &detail);
    enum cf_exit result = cf_fleet_open(fleet);
    if (!result)
        result = cf_fleet_call(fleet, &request, album, &reply);
    if (!result && reply->msg.story.state == CF_STATE_NONE) {
        (void)cf_fail(&detail, CF_E_NOT_FOUND, "no such album");
        result = cf_fleet_tell(fleet, album, CF_E_NOT_FOUND, &detail);
    } else if (!result) {
        result = print(&reply->msg.story, fleet->json);
    }
    cf_reply_free(reply);
    return result;
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_fleet fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS};
    const struct cf_opt opts[] = {CF_OPT_JSON(&fleet.json), CF_FLEET_OPTS(&fleet), {.name = NULL}};
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = args.rest_count == 1 ? show(&fleet, cf_str(args.rest[0]))
                                      : cf_command_misuse(command, "name one album");
    cf_fleet_close(&fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_show = {
    .name = "show",
    .usage = "ALBUM [--json]",
    .summary = "The whole story of one album",
    .about = "State, version, attempts, who described it and where it rests, its warnings, spaces and index "
             "generations. With\n"
             "--json an album that cannot be shown is {\"error\":…,\"detail\":…} there, and still a line on "
             "standard error.",
    .run = run,
};
