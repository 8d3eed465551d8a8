#include "deploy/cli/query_targets.h"

#include <stdlib.h>

#include "deploy/cli/fleet.h"
#include "deploy/cli/query_choice.h"
#include "deploy/cli/query_wish.h"
#include "deploy/cli/sure.h"
#include "deploy/cli/view.h"

/* A target: its result, which borrows from a reply or, when it never was sent, from `detail`. */
struct outcome {
    struct cf_answer_result result;
    struct cf_detail detail;
};

struct query_call {
    struct cf_fleet fleet;
    struct cf_query query; /* everything but the targets */
    struct cf_targets targets;
    struct cf_wish wish;
    const char *space; /* NULL: not given */
    const char *purpose, *collapse_space;
    bool is_auto;
    enum cf_purpose wanted;  /* of is_auto */
    struct cf_choice choice; /* likewise */
    struct cf_texts images, vectors;
    const char **names; /* of the pictures, or of the albums */

    struct outcome *outcomes; /* one a target */
    struct cf_reply **replies;
    size_t reply_count;
    struct cf_answer_whole whole;
};

/* ---- asking ---- */

static void merge(struct query_call *call, const struct cf_answer *answer)
{
    struct cf_answer_whole *whole = &call->whole;
    bool first = call->reply_count == 1;
    whole->space = answer->space;
    whole->generation =
        first || answer->generation < whole->generation ? answer->generation : whole->generation;
    whole->exact = (first || whole->exact) && answer->exact;
    if (answer->unreadable_shards > whole->unreadable_shards)
        whole->unreadable_shards = answer->unreadable_shards;
    whole->stale_ms = answer->stale_ms > whole->stale_ms ? answer->stale_ms : whole->stale_ms;
}

/* The targets of one message. */
struct batch {
    struct cf_target targets[CF_QUERY_BATCH_TARGETS];
    struct cf_buf files[CF_QUERY_BATCH_TARGETS];
    struct cf_space_vector vectors[CF_QUERY_BATCH_TARGETS][CF_SPACES_MAX];
    size_t index[CF_QUERY_BATCH_TARGETS]; /* into the outcomes */
    size_t count, bytes;
};

/* Takes targets from `*at` on; those that cannot be read have their outcome already. */
static void batch_fill(struct query_call *call, struct batch *batch, size_t *at)
{
    while (*at < call->targets.count && batch->count < CF_QUERY_BATCH_TARGETS &&
           batch->bytes < CF_QUERY_BATCH_BYTES) {
        struct outcome *outcome = &call->outcomes[*at];
        struct cf_buf *file = &batch->files[batch->count];
        enum cf_err err = cf_targets_get(&call->targets, *at, file, batch->vectors[batch->count],
                                         &batch->targets[batch->count], &outcome->detail);
        if (err) {
            cf_buf_fini(file);
            outcome->result.error = cf_str(cf_err_name(err));
            outcome->result.detail = cf_str(outcome->detail.text);
        } else {
            batch->bytes += file->len;
            batch->index[batch->count++] = *at;
        }
        ++*at;
    }
}

static enum cf_exit batch_ask(struct query_call *call, struct batch *batch)
{
    struct cf_msg request = {.kind = CF_KIND_QUERY, .query = call->query};
    struct cf_reply *reply = NULL;
    request.query.targets = batch->targets;
    request.query.target_count = batch->count;
    struct cf_str subject = batch->count == 1 ? cf_targets_name(&call->targets, batch->index[0]) : cf_str("");
    enum cf_exit result = cf_fleet_call(&call->fleet, &request, subject, &reply);
    if (result)
        return result;
    const struct cf_answer *answer = &reply->msg.answer;
    call->replies[call->reply_count++] = reply;
    merge(call, answer);
    if (answer->result_count != batch->count) {
        struct cf_detail detail;
        (void)cf_fail(&detail, CF_E_INVALID, "the fleet answered %zu targets with %zu results", batch->count,
                      answer->result_count);
        return cf_fleet_tell(&call->fleet, subject, CF_E_INVALID, &detail);
    }
    for (size_t i = 0; i < batch->count; i++)
        call->outcomes[batch->index[i]].result = answer->results[i];
    return CF_EXIT_DONE;
}

static enum cf_exit ask_all(struct query_call *call)
{
    struct batch *batch = malloc(sizeof *batch);
    enum cf_exit result = batch ? CF_EXIT_DONE : CF_EXIT_REFUSED;
    if (!batch)
        cf_say("query", cf_str(""), CF_E_NO_MEMORY, NULL);
    for (size_t at = 0; at < call->targets.count && !result;) {
        *batch = (struct batch){.count = 0};
        batch_fill(call, batch, &at);
        if (batch->count > 0)
            result = batch_ask(call, batch);
        for (size_t i = 0; i < batch->count; i++)
            cf_buf_fini(&batch->files[i]);
    }
    free(batch);
    return result;
}

/* ---- which spaces ---- */

/* What was left to us is chosen by what the fleet has: the space for a purpose, and in which covers are made
 * one. */
static enum cf_exit settle_spaces(struct query_call *call)
{
    struct cf_reply *reply = NULL;
    struct cf_detail detail = {""};
    bool to_copy = call->query.collapse > 0 && !call->collapse_space;
    if (call->collapse_space && strcmp(call->collapse_space, "own") != 0)
        call->query.collapse_space = cf_str(call->collapse_space);
    if (!call->is_auto && !to_copy)
        return CF_EXIT_DONE;
    struct cf_msg request = {.kind = CF_KIND_INDEX, .index = {.op = CF_INDEX_STATUS}};
    enum cf_exit result = cf_fleet_call(&call->fleet, &request, cf_str(""), &reply);
    if (result)
        return result;
    const struct cf_indexes *indexes = &reply->msg.indexes;
    enum cf_err err = CF_OK;
    if (call->is_auto)
        err = cf_choice_make(call->wanted, indexes->indexes, indexes->index_count, &call->choice, &detail);
    if (!err && call->is_auto)
        cf_choice_apply(&call->choice, &call->query);
    if (to_copy && cf_choice_has(indexes->indexes, indexes->index_count, "copy"))
        call->query.collapse_space = cf_str("copy");
    cf_reply_free(reply);
    return err ? cf_fleet_tell(&call->fleet, cf_str(""), err, &detail) : CF_EXIT_DONE;
}

/* ---- printing ---- */

/* Its distances say how sure sameness is. */
static bool is_sure(const struct query_call *call)
{
    return call->query.space_count == 0 && cf_sure_in(call->query.space);
}

static void chosen_json(struct cf_json *json, const struct query_call *call)
{
    if (call->is_auto) {
        cf_json_word(json, "for", cf_purpose_name(call->wanted));
        cf_json_object(json, "chosen");
        for (size_t i = 0; i < call->choice.count; i++)
            cf_json_real(json, call->choice.weights[i].space.data, call->choice.weights[i].weight);
        cf_json_end(json);
    }
    if (call->query.collapse_space.len > 0)
        cf_json_text(json, "collapse_space", call->query.collapse_space);
}

static void chosen_text(const struct query_call *call)
{
    for (size_t i = 0; call->is_auto && i < call->choice.count; i++)
        printf("%s%.*s=%g", i ? "," : "chosen: ", CF_STR_ARG(call->choice.weights[i].space),
               call->choice.weights[i].weight);
    if (call->is_auto)
        printf(" for %s%s\n", cf_purpose_name(call->wanted),
               call->choice.best ? "" : ", for want of a better space in this fleet");
    if (call->query.collapse_space.len > 0)
        printf("made one in %.*s\n", CF_STR_ARG(call->query.collapse_space));
}

static void result_json(struct cf_json *json, const struct query_call *call,
                        const struct cf_answer_result *result)
{
    if (is_sure(call) && call->targets.kind == CF_TARGET_IMAGE)
        cf_view_verdict_json(json, result);
    cf_view_result_json(json, result, is_sure(call));
}

/* When all failed the answer's own members give way to the first one's error. */
static enum cf_err print_json(const struct query_call *call, bool all_failed, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    if (!all_failed) {
        cf_view_answer_json(json, &call->whole);
        chosen_json(json, call);
    }
    if (all_failed || call->targets.count == 1)
        result_json(json, call, &call->outcomes[0].result);
    if (call->targets.count > 1) {
        cf_json_array(json, "results");
        for (size_t i = 0; i < call->targets.count; i++) {
            cf_json_object(json, NULL);
            result_json(json, call, &call->outcomes[i].result);
            cf_json_end(json);
        }
        cf_json_end(json);
    }
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_err print_text(const struct query_call *call)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < call->targets.count && !err; i++) {
        const struct cf_answer_result *result = &call->outcomes[i].result;
        if (result->error.len > 0)
            continue;
        if (call->targets.count > 1)
            printf("%s%.*s\n", i ? "\n" : "", CF_STR_ARG(cf_targets_name(&call->targets, i)));
        if (is_sure(call) && call->targets.kind == CF_TARGET_IMAGE)
            cf_view_verdict_text(result, stdout);
        err = cf_view_neighbors_text(result->neighbors, result->neighbor_count, is_sure(call), stdout);
    }
    if (err)
        return err;
    cf_view_answer_text(&call->whole, stdout);
    chosen_text(call);
    return err;
}

/* Says what failed, prints what did not. */
static enum cf_exit report(const struct query_call *call)
{
    size_t failed = 0;
    enum cf_err first = CF_OK;
    for (size_t i = 0; i < call->targets.count; i++) {
        const struct cf_answer_result *result = &call->outcomes[i].result;
        if (result->error.len == 0)
            continue;
        if (failed++ == 0)
            first = cf_err_from_name(result->error.data, result->error.len);
        cf_say_named("query", cf_targets_name(&call->targets, i), result->error, result->detail);
    }
    size_t done = call->targets.count - failed;
    struct cf_detail detail = {""};
    enum cf_err err = CF_OK;
    if (call->fleet.json)
        err = print_json(call, done == 0, &detail);
    else if (done > 0)
        err = print_text(call);
    if (err) {
        cf_say("query", cf_str(""), err, &detail);
        return cf_exit_of(err);
    }
    return cf_exit_of_many(done, failed, first);
}

static enum cf_exit query(struct query_call *call)
{
    size_t count = call->targets.count;
    call->outcomes = calloc(count, sizeof *call->outcomes);
    call->replies = calloc(count, sizeof(struct cf_reply *));
    if (!call->outcomes || !call->replies) {
        cf_say("query", cf_str(""), CF_E_NO_MEMORY, NULL);
        return CF_EXIT_REFUSED;
    }
    /* The fleet says itself that it was late: it must be given the time to. */
    uint64_t deadline_ms = call->query.deadline_ms;
    call->fleet.deadline_ms = (deadline_ms ? deadline_ms : call->fleet.deadline_ms) + 1000;
    enum cf_exit result = cf_fleet_open(&call->fleet);
    if (!result)
        result = settle_spaces(call);
    if (!result)
        result = ask_all(call);
    if (!result)
        result = report(call);
    return result;
}

/* ---- arguments ---- */

/* After --image whatever is no option is a picture too. */
static bool take_names(struct query_call *call, const struct cf_args *args)
{
    size_t image_count = call->images.count, count = image_count + args->rest_count;
    call->names = calloc(count + 1, sizeof *call->names);
    if (!call->names)
        return false;
    for (size_t i = 0; i < count; i++)
        call->names[i] = i < image_count ? call->images.items[i] : args->rest[i - image_count];
    call->targets.names = call->names;
    call->targets.count = count;
    call->targets.kind = image_count > 0 ? CF_TARGET_IMAGE : CF_TARGET_ALBUM;
    return true;
}

/* "FILE", or with several spaces "SPACE=FILE" for each. */
static enum cf_exit read_vectors(const struct cf_command *command, struct query_call *call)
{
    struct cf_detail detail = {""};
    enum cf_err err = CF_OK;
    call->targets.kind = CF_TARGET_VECTOR;
    call->targets.several = call->query.space_count > 0;
    if (!call->targets.several && call->vectors.count > 1)
        return cf_command_misuse(command, "one --vector FILE in one space (--spaces takes several)");
    for (size_t i = 0; !err && i < call->vectors.count; i++) {
        const char *text = call->vectors.items[i], *sign = strchr(text, '=');
        if (call->targets.several && (!sign || sign == text))
            return cf_command_misuse(command, "with --spaces it is --vector SPACE=FILE, not \"%.60s\"", text);
        err = call->targets.several
                  ? cf_targets_read_vectors(&call->targets, sign + 1,
                                            (struct cf_str){text, (size_t)(sign - text)}, &detail)
                  : cf_targets_read_vectors(&call->targets, text, call->query.space, &detail);
    }
    return err ? cf_fleet_tell(&call->fleet, cf_str(""), err, &detail) : CF_EXIT_DONE;
}

/* --for alone means --space auto, and that alone means what is similar. */
static enum cf_exit take_purpose(const struct cf_command *command, struct query_call *call)
{
    struct cf_detail detail = {""};
    bool named_auto = call->space && strcmp(call->space, "auto") == 0;
    call->is_auto = named_auto || call->purpose;
    call->wanted = CF_PURPOSE_SIMILAR;
    if (!call->is_auto)
        return CF_EXIT_DONE;
    if (call->purpose && cf_purpose_of(call->purpose, &call->wanted, &detail))
        return cf_say_usage(command->name, &detail);
    if (call->wish.spaces || (call->space && !named_auto))
        return cf_command_misuse(
            command, "--for chooses the space: it goes with no --space but auto, and no --spaces");
    if (call->vectors.count > 0)
        return cf_command_misuse(command,
                                 "a --vector is of one space: name it, --space auto does not go with it");
    return CF_EXIT_DONE;
}

static enum cf_exit choose(const struct cf_command *command, struct query_call *call,
                           const struct cf_args *args)
{
    struct cf_detail detail = {""};
    enum cf_exit misuse = take_purpose(command, call);
    if (misuse)
        return misuse;
    if (call->collapse_space && !(call->query.collapse > 0))
        return cf_command_misuse(command, "--collapse-space goes with --collapse");
    call->query.space = cf_str(call->space ? call->space : "gist");
    if (!take_names(call, args)) {
        cf_say(command->name, cf_str(""), CF_E_NO_MEMORY, NULL);
        return CF_EXIT_REFUSED;
    }
    if (call->vectors.count == 0 && call->targets.count == 0)
        return cf_command_misuse(command, "name albums, or --image FILE, or --vector FILE");
    if (call->vectors.count > 0 && call->targets.count > 0)
        return cf_command_misuse(command, "--vector goes with no albums or pictures");
    if (call->wish.spaces && call->space)
        return cf_command_misuse(command, "--space goes with no --spaces");
    if (cf_wish_apply(&call->wish, &call->query, &detail))
        return cf_say_usage(command->name, &detail);
    enum cf_exit result = call->vectors.count > 0 ? read_vectors(command, call) : CF_EXIT_DONE;
    return result ? result : query(call);
}

static void free_all(struct query_call *call)
{
    for (size_t i = 0; i < call->reply_count; i++)
        cf_reply_free(call->replies[i]);
    free(call->replies);
    free(call->outcomes);
    free(call->names);
    cf_targets_fini(&call->targets);
    cf_wish_fini(&call->wish);
    cf_fleet_close(&call->fleet);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct query_call call = {.fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS},
                              .query = {.k = 10}};
    const struct cf_opt opts[] = {
        {.name = "image",
         .kind = CF_OPT_TEXTS,
         .value = &call.images,
         .placeholder = "FILE",
         .help = "a picture; further arguments are pictures too"},
        {.name = "vector",
         .kind = CF_OPT_TEXTS,
         .value = &call.vectors,
         .placeholder = "FILE",
         .help = "raw little-endian float32, one or more rows of the space; with --spaces it is SPACE=FILE "
                 "for each"},
        {.name = "k",
         .letter = 'k',
         .kind = CF_OPT_UINT,
         .value = &call.query.k,
         .low = 1,
         .high = CF_K_MAX,
         .placeholder = "N",
         .help = "neighbours wanted (default 10)"},
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &call.space,
         .placeholder = "SPACE",
         .help = "gray16, gist (default), copy or style; auto: by --for"},
        {.name = "for",
         .kind = CF_OPT_TEXT,
         .value = &call.purpose,
         .placeholder = "PURPOSE",
         .help = "duplicates, similar (default of --space auto) or listening: chooses the space"},
        {.name = "collapse-space",
         .kind = CF_OPT_TEXT,
         .value = &call.collapse_space,
         .placeholder = "SPACE",
         .help = "that --collapse is a distance of (default: copy where the fleet has it); own: the query's"},
        {.name = "recall",
         .kind = CF_OPT_REAL,
         .value = &call.query.recall,
         .real_low = 0.01,
         .real_high = 1,
         .placeholder = "SHARE",
         .help = "of the true neighbours, on average (default: the fleet's)"},
        {.name = "exact",
         .kind = CF_OPT_FLAG,
         .value = &call.query.exact,
         .help = "all of the true neighbours"},
        {.name = "include-self",
         .kind = CF_OPT_FLAG,
         .value = &call.query.include_self,
         .help = "the album itself among them"},
        {.name = "deadline-ms",
         .kind = CF_OPT_UINT,
         .value = &call.query.deadline_ms,
         .low = 1,
         .high = CF_DEADLINE_MS_MAX,
         .placeholder = "MS",
         .help = "an answer after that is of no use (default: the fleet's)"},
        CF_WISH_OPTS(&call.wish, &call.query),
        CF_OPT_JSON(&call.fleet.json),
        CF_FLEET_OPTS(&call.fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = choose(command, &call, &args);
    free_all(&call);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_query = {
    .name = "query",
    .usage = "ALBUM... | --image FILE... | --vector FILE",
    .summary = "Which albums look like this one?",
    .about =
        "Neighbours by look, nearest first; distances are Euclidean in the space's own units.\n"
        "\n"
        "--radius, --filter and --exclude say which albums may be neighbours at all; -k counts those "
        "that may.\n"
        "--collapse makes reissues under one cover one result, which tells how many more it stands for. Its "
        "distance is\n"
        "one in copy where the fleet has that space, whatever space neighbours are searched in: 0.63 (cosine "
        "0.8) "
        "takes in\n"
        "the same artwork cropped, framed, compressed. With --collapse-space own it is one of the query's "
        "space: "
        "0.5 in\n"
        "gist and 6 in gray16 take in a cover that was cropped by 2 % and compressed again. With --spaces "
        "the\n"
        "distance is sqrt(sum of weight * (distance / scale)^2 / sum of weights), scale 2 of gist, 22.5 "
        "of gray16.\n"
        "\n"
        "In copy each neighbour says how sure it is that the artwork is the same: \"same\" above a cosine of "
        "0.8,\n"
        "\"probably\" above 0.7, \"look yourself\" above 0.6, else \"no\"; of a picture there is a verdict "
        "on "
        "the nearest.\n"
        "--for chooses the space by the purpose, and says which: duplicates (copy), similar (style), "
        "listening (cf "
        "where\n"
        "the fleet has it, else style and copy); gist, then gray16, where the fleet has none of these.\n"
        "\n"
        "  coverfleet query --image photo.jpg --space copy\n"
        "  coverfleet query R-1 --for similar --collapse 0.63\n"
        "  coverfleet query R-1 --collapse 0.5 --collapse-space own\n"
        "  coverfleet query R-1 --filter genre=Dub --filter genre=Techno -k 50\n"
        "  coverfleet query R-1 --spaces gist=2,gray16=1 --radius 0.5 --exclude R-2\n"
        "\n"
        "With --json one target gives {\"space\":…,\"generation\":…,\"exact\":…,\"stale_ms\":…,\n"
        "\"neighbors\":[{\"album\":…,\"distance\":…,…}]}, several give "
        "\"results\":[{\"neighbors\":[…]},…] instead.\n"
        "In copy a neighbour has \"cosine\" and \"sure\", a picture's result \"verdict\"; \"for\" and "
        "\"chosen\" "
        "tell what\n"
        "was chosen, \"collapse_space\" where covers were made one.\n"
        "A neighbour that stands for others has \"same_count\" and \"same\":[…], the first 64 of them. "
        "When all\n"
        "failed it is {\"error\":…,\"detail\":…} (of the first, with \"results\" when there are "
        "several), and still\n"
        "a line each on standard error. Exits 2 for a k, space or vector that is wrong.",
    .run = run,
};
