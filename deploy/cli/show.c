#include "common/base/hash.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/space.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"
#include "deploy/cli/why.h"

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

/* ---- why two albums are as far apart as they are ---- */

/* The fleet's vectors are read on any machine as they are on the wire: little-endian. */
static enum cf_err read_vector(const struct cf_space *space, struct cf_bytes bytes, float *out,
                               struct cf_detail *detail)
{
    if (bytes.len != space->dim * sizeof *out)
        return cf_fail(detail, CF_E_BAD_VECTOR, "the fleet sent %zu bytes: a vector of %s is %zu", bytes.len,
                       space->name, space->dim * sizeof *out);
    struct cf_cursor cursor = cf_cursor(bytes);
    for (uint32_t i = 0; i < space->dim; i++) {
        uint32_t bits = cf_cursor_u32(&cursor);
        memcpy(&out[i], &bits, sizeof bits);
    }
    return CF_OK;
}

static enum cf_err check_vectors(const struct cf_space *space, const struct cf_vectors *vectors,
                                 struct cf_detail *detail)
{
    if (vectors->result_count != 2)
        return cf_fail(detail, CF_E_INVALID, "the fleet answered 2 albums with %zu results",
                       vectors->result_count);
    if (vectors->space_version != space->version)
        return cf_fail(detail, CF_E_BAD_VERSION,
                       "the fleet has version %llu of %s, this program knows version %u",
                       (unsigned long long)vectors->space_version, space->name, space->version);
    return CF_OK;
}

static enum cf_err print_why(const struct cf_why *why, const struct cf_str albums[2], bool as_json,
                             struct cf_detail *detail)
{
    if (!as_json) {
        cf_text_put(stdout, albums[0]);
        fputs(" and ", stdout);
        cf_text_put(stdout, albums[1]);
        fputs(": ", stdout);
        return cf_why_text(why, stdout);
    }
    struct cf_json *json = cf_json_new();
    cf_json_array(json, "albums");
    for (size_t i = 0; i < 2; i++)
        cf_json_text(json, NULL, albums[i]);
    cf_json_end(json);
    cf_why_json(json, why);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_exit explain(struct cf_fleet *fleet, const struct cf_space *space,
                            const struct cf_str albums[2], const struct cf_vectors *vectors)
{
    static float values[2][CF_DIM_MAX];
    struct cf_detail detail = {""};
    struct cf_why why;
    enum cf_err err = check_vectors(space, vectors, &detail);
    for (size_t i = 0; !err && i < 2; i++) {
        const struct cf_vector_result *result = &vectors->results[i];
        if (result->error.len > 0) {
            err = cf_err_from_name(result->error.data, result->error.len);
            err = cf_fail(&detail, err, "%.*s", CF_STR_ARG(result->detail));
            return cf_fleet_tell(fleet, albums[i], err, &detail);
        }
        err = read_vector(space, result->vector, values[i], &detail);
    }
    if (!err)
        err = cf_why_of(space, values[0], values[1], &why, &detail);
    if (!err)
        err = print_why(&why, albums, fleet->json, &detail);
    return err ? cf_fleet_tell(fleet, cf_str(""), err, &detail) : CF_EXIT_DONE;
}

static enum cf_exit show_why(struct cf_fleet *fleet, const char *space_name, const char *const *names)
{
    struct cf_str albums[2] = {cf_str(names[0]), cf_str(names[1])};
    struct cf_msg request = {.kind = CF_KIND_VECTOR,
                             .wanted = {.space = cf_str(space_name), .albums = albums, .album_count = 2}};
    struct cf_reply *reply = NULL;
    struct cf_detail detail = {""};
    const struct cf_space *space = NULL;
    enum cf_err err = cf_cli_space(space_name, &space, &detail);
    for (size_t i = 0; !err && i < 2; i++)
        err = cf_album_check(albums[i], &detail);
    if (err)
        return cf_fleet_tell(fleet, cf_str(""), err, &detail);
    enum cf_exit result = cf_fleet_open(fleet);
    if (!result)
        result = cf_fleet_call(fleet, &request, cf_str(""), &reply);
    if (!result)
        result = explain(fleet, space, albums, &reply->msg.vectors);
    cf_reply_free(reply);
    return result;
}

static enum cf_exit choose(const struct cf_command *command, struct cf_fleet *fleet,
                           const struct cf_args *args, bool why, const char *space)
{
    if (why)
        return args->rest_count == 2 ? show_why(fleet, space ? space : "gist", args->rest)
                                     : cf_command_misuse(command, "name two albums after --why");
    if (space)
        return cf_command_misuse(command, "--space goes with --why");
    return args->rest_count == 1 ? show(fleet, cf_str(args->rest[0]))
                                 : cf_command_misuse(command, "name one album");
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_fleet fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS};
    bool why = false;
    const char *space = NULL;
    const struct cf_opt opts[] = {
        {.name = "why",
         .kind = CF_OPT_FLAG,
         .value = &why,
         .help = "of two albums: what of their covers makes up the distance between them"},
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &space,
         .placeholder = "SPACE",
         .help = "with --why: gray16, gist (default), copy or style"},
        CF_OPT_JSON(&fleet.json),
        CF_FLEET_OPTS(&fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = choose(command, &fleet, &args, why, space);
    cf_fleet_close(&fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_show = {
    .name = "show",
    .usage = "ALBUM [--json] | --why ALBUM ALBUM [--space SPACE]",
    .summary = "The whole story of one album, or why two look alike",
    .about = "State, version, attempts, who described it and where it rests, its warnings, spaces and index "
             "generations. With\n"
             "--json an album that cannot be shown is {\"error\":…,\"detail\":…} there, and still a line on "
             "standard error.\n"
             "\n"
             "--why takes the distance of two albums apart, as shares of its square: by 4 x 4 blocks of the "
             "cover, as a\n"
             "picture that is dark where they differ most; in gist also by scale and orientation of lines, "
             "and by colour.",
    .run = run,
};
