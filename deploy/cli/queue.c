#include <stdlib.h>

#include "common/base/clock.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"

enum { LIST_DEFAULT = 100, LIST_MAX = 100000 };

struct queue_call {
    struct cf_fleet fleet;
    const struct cf_command *command;
    const char *op_name, *state_name;
    enum cf_queue_op op;
    enum cf_state state;
    uint64_t limit;
    bool all;
    struct cf_str *albums;
    size_t album_count;
};

void cf_view_job_json(struct cf_json *json, const struct cf_queue_job *job)
{
    cf_json_object(json, NULL);
    cf_json_text(json, "album", job->album);
    cf_json_word(json, "state", cf_state_name((enum cf_state)job->state));
    cf_json_word(json, "action", job->action == CF_ACTION_REMOVE ? "remove" : "describe");
    cf_json_version(json, job->version);
    cf_json_uint(json, "priority", job->priority);
    cf_json_uint(json, "attempts", job->attempts);
    cf_json_uint(json, "bytes", job->bytes);
    cf_json_uint(json, "pushed_ms", job->pushed_ms);
    cf_json_uint(json, "due_ms", job->due_ms);
    cf_json_text(json, "worker", job->worker);
    cf_json_text(json, "error", job->error);
    cf_json_text(json, "detail", job->detail);
    cf_json_end(json);
}

static void job_note(struct cf_tabular *tabular, const struct cf_queue_job *job, uint64_t now_ms)
{
    char due[CF_TEXT_NUMBER_MAX];
    if (job->error.len > 0)
        cf_tabular_cellf(tabular, "%.*s%s%.*s", CF_STR_ARG(job->error), job->detail.len ? ": " : "",
                         CF_STR_ARG(job->detail));
    else if (job->state == CF_STATE_LEASED)
        cf_tabular_cellf(tabular, "with %.*s", CF_STR_ARG(job->worker));
    else if (job->state == CF_STATE_DELAYED && job->due_ms > now_ms) {
        cf_text_duration(job->due_ms - now_ms, due);
        cf_tabular_cellf(tabular, "due in %s", due);
    } else {
        cf_tabular_cell(tabular, cf_str(""));
    }
}

enum cf_err cf_view_jobs_text(const struct cf_queue_job *jobs, size_t count, uint64_t now_ms, FILE *out)
{
    static const char *const headings[] = {"ALBUM", "STATE", "ACTION", ">PRIORITY", ">ATTEMPTS",
                                           ">AGE",  ">SIZE", "NOTE",   NULL};
    struct cf_tabular *tabular = cf_tabular_new(headings);
    for (size_t i = 0; i < count; i++) {
        char age[CF_TEXT_NUMBER_MAX] = "", size[CF_TEXT_NUMBER_MAX];
        if (jobs[i].pushed_ms > 0)
            cf_text_duration(now_ms > jobs[i].pushed_ms ? now_ms - jobs[i].pushed_ms : 0, age);
        cf_text_size(jobs[i].bytes, size);
        cf_tabular_cell(tabular, jobs[i].album);
        cf_tabular_cell(tabular, cf_str(cf_state_name((enum cf_state)jobs[i].state)));
        cf_tabular_cell(tabular, cf_str(jobs[i].action == CF_ACTION_REMOVE ? "remove" : "describe"));
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)jobs[i].priority);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)jobs[i].attempts);
        cf_tabular_cell(tabular, cf_str(age));
        cf_tabular_cell(tabular, cf_str(size));
        job_note(tabular, &jobs[i], now_ms);
    }
    enum cf_err err = cf_tabular_print(tabular, "", out);
    cf_tabular_free(tabular);
    return err;
}

static enum cf_exit print_json(const struct queue_call *call, const struct cf_queue_ok *answer)
{
    struct cf_detail detail = {""};
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "count", answer->count);
    cf_json_array(json, "jobs");
    for (size_t i = 0; i < answer->job_count; i++)
        cf_view_job_json(json, &answer->jobs[i]);
    cf_json_end(json);
    enum cf_err err = cf_json_print(json, stdout, &detail);
    cf_json_free(json);
    if (err)
        cf_say(call->command->name, cf_str(""), err, &detail);
    return cf_exit_of(err);
}

static enum cf_exit print_text(const struct queue_call *call, const struct cf_queue_ok *answer)
{
    unsigned long long count = answer->count;
    enum cf_err err = CF_OK;
    switch (call->op) {
    case CF_QUEUE_LIST:
    case CF_QUEUE_PEEK:
        if (answer->job_count > 0)
            err = cf_view_jobs_text(answer->jobs, answer->job_count, cf_clock_wall_ms(), stdout);
        if (call->op == CF_QUEUE_LIST)
            printf("%zu of %llu job%s\n", answer->job_count, count, count == 1 ? "" : "s");
        break;
    case CF_QUEUE_RETRY:
    case CF_QUEUE_PURGE:
        if (count > 0 || call->album_count == 0)
            printf("%llu job%s %s\n", count, count == 1 ? "" : "s",
                   call->op == CF_QUEUE_RETRY ? "queued again" : "purged");
        break;
    case CF_QUEUE_PAUSE:
    case CF_QUEUE_RESUME:
        printf("the queue is %s\n",
               call->op == CF_QUEUE_PAUSE ? "paused: nothing is given to workers" : "running");
        break;
    }
    if (err)
        cf_say(call->command->name, cf_str(""), err, NULL);
    return cf_exit_of(err);
}

/* Albums that were named but have no such job. */
static enum cf_exit judge(const struct queue_call *call, const struct cf_queue_ok *answer)
{
    uint64_t found = call->op == CF_QUEUE_PEEK ? answer->job_count : answer->count;
    if (found >= call->album_count)
        return CF_EXIT_DONE;
    struct cf_detail detail;
    (void)cf_fail(&detail, CF_E_NOT_FOUND, "%llu of %zu albums have no job to %s",
                  (unsigned long long)(call->album_count - found), call->album_count, call->op_name);
    cf_say(call->command->name, call->album_count == 1 ? call->albums[0] : cf_str(""), CF_E_NOT_FOUND,
           &detail);
    return found > 0 ? CF_EXIT_PARTLY : CF_EXIT_REFUSED;
}

/* One order, or one page of a list. */
static enum cf_exit ask_once(struct queue_call *call, uint64_t limit, uint64_t after_seq, struct cf_reply **reply)
{
    struct cf_msg request = {.kind = CF_KIND_QUEUE,
                             .queue = {.op = (int)call->op,
                                       .state = (int)call->state,
                                       .albums = call->albums,
                                       .album_count = call->album_count,
                                       .limit = limit,
                                       .after_seq = after_seq}};
    return cf_fleet_call(&call->fleet, &request, call->album_count == 1 ? call->albums[0] : cf_str(""), reply);
}

/* The pages of a list, and what they add up to. The jobs borrow from the pages. */
struct listing {
    struct cf_reply **pages;
    size_t page_count;
    struct cf_queue_ok whole;
};

static void listing_fini(struct listing *listing)
{
    for (size_t i = 0; i < listing->page_count; i++)
        cf_reply_free(listing->pages[i]);
    free(listing->pages);
    free(listing->whole.jobs);
}

/* Takes the page over, whatever comes of it. */
static bool listing_add(struct listing *listing, struct cf_reply *page)
{
    const struct cf_queue_ok *answer = &page->msg.queue_ok;
    struct cf_queue_ok *whole = &listing->whole;
    struct cf_reply **pages = realloc(listing->pages, (listing->page_count + 1) * sizeof(struct cf_reply *));
    if (!pages) {
        cf_reply_free(page);
        return false;
    }
    listing->pages = pages;
    pages[listing->page_count++] = page;
    struct cf_queue_job *jobs = realloc(whole->jobs, (whole->job_count + answer->job_count + 1) * sizeof *jobs);
    if (!jobs)
        return false;
    whole->jobs = jobs;
    if (answer->job_count > 0)
        memcpy(jobs + whole->job_count, answer->jobs, answer->job_count * sizeof *jobs);
    whole->job_count += answer->job_count;
    if (listing->page_count == 1)
        whole->count = answer->count;
    return true;
}

/* A message carries so many jobs at most: a longer list is asked for page by page. */
static enum cf_exit list_pages(struct queue_call *call, struct listing *listing)
{
    uint64_t limit = call->limit ? call->limit : LIST_DEFAULT, after_seq = 0;
    while (listing->whole.job_count < limit) {
        uint64_t wanted = limit - listing->whole.job_count;
        wanted = wanted < CF_BATCH_MAX ? wanted : CF_BATCH_MAX;
        struct cf_reply *page = NULL;
        enum cf_exit result = ask_once(call, wanted, after_seq, &page);
        if (result)
            return result;
        size_t count = page->msg.queue_ok.job_count;
        uint64_t last_seq = count ? page->msg.queue_ok.jobs[count - 1].version.seq : 0;
        if (!listing_add(listing, page))
            return cf_fleet_tell(&call->fleet, cf_str(""), CF_E_NO_MEMORY, NULL);
        if (count < wanted || last_seq <= after_seq)
            break;
        after_seq = last_seq;
    }
    return CF_EXIT_DONE;
}

static enum cf_exit answer(struct queue_call *call, const struct cf_queue_ok *ok)
{
    enum cf_exit result = call->fleet.json ? print_json(call, ok) : print_text(call, ok);
    return result ? result : judge(call, ok);
}

static enum cf_exit ask(struct queue_call *call)
{
    struct cf_reply *reply = NULL;
    struct listing listing = {0};
    enum cf_exit result = cf_fleet_open(&call->fleet);
    if (!result && call->op == CF_QUEUE_LIST) {
        result = list_pages(call, &listing);
        if (!result)
            result = answer(call, &listing.whole);
    } else if (!result) {
        result = ask_once(call, 0, 0, &reply);
        if (!result)
            result = answer(call, &reply->msg.queue_ok);
    }
    listing_fini(&listing);
    cf_reply_free(reply);
    return result;
}

static bool find_op(struct queue_call *call)
{
    static const char *const names[] = {
        [CF_QUEUE_LIST] = "list",   [CF_QUEUE_PEEK] = "peek",   [CF_QUEUE_RETRY] = "retry",
        [CF_QUEUE_PURGE] = "purge", [CF_QUEUE_PAUSE] = "pause", [CF_QUEUE_RESUME] = "resume",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(call->op_name, names[i]) == 0) {
            call->op = (enum cf_queue_op)i;
            return true;
        }
    return false;
}

/* What goes with what; an order that would touch the whole queue must say so. */
static enum cf_exit check(struct queue_call *call)
{
    bool selects = call->op == CF_QUEUE_RETRY || call->op == CF_QUEUE_PURGE;
    call->state = CF_STATE_NONE;
    if (call->state_name)
        call->state = cf_state_from_name(cf_str(call->state_name));
    if (call->state_name && (call->state < CF_STATE_QUEUED || call->state > CF_STATE_DEAD ||
                             call->state == CF_STATE_DESCRIBED || call->state == CF_STATE_INDEXED))
        return cf_command_misuse(call->command, "--state %.40s: a job is queued, delayed, leased or dead",
                                 call->state_name);
    if (call->op == CF_QUEUE_PEEK && call->album_count == 0)
        return cf_command_misuse(call->command, "peek: name the albums");
    if (call->album_count > 0 && call->op != CF_QUEUE_PEEK && !selects)
        return cf_command_misuse(call->command, "%s takes no albums", call->op_name);
    if (selects && call->album_count == 0 && !call->state_name && !call->all)
        return cf_command_misuse(call->command, "%s: name albums, or --state STATE, or --all", call->op_name);
    if (call->all && (call->album_count > 0 || call->state_name || !selects))
        return cf_command_misuse(call->command, "--all goes with retry or purge alone");
    if (call->album_count > CF_BATCH_MAX)
        return cf_command_misuse(call->command, "%zu albums: at most %d at a time", call->album_count,
                                 CF_BATCH_MAX);
    return CF_EXIT_DONE;
}

static enum cf_exit choose(struct queue_call *call, const struct cf_args *args)
{
    call->op_name = args->rest_count > 0 ? args->rest[0] : "";
    if (!find_op(call))
        return cf_command_misuse(call->command, "%s%.60s: it is list, peek, retry, purge, pause or resume",
                                 call->op_name[0] ? "unknown operation " : "no operation", call->op_name);
    call->album_count = args->rest_count - 1;
    call->albums = calloc(call->album_count + 1, sizeof *call->albums);
    if (!call->albums) {
        cf_say(call->command->name, cf_str(""), CF_E_NO_MEMORY, NULL);
        return CF_EXIT_REFUSED;
    }
    for (size_t i = 0; i < call->album_count; i++)
        call->albums[i] = cf_str(args->rest[i + 1]);
    enum cf_exit result = check(call);
    return result ? result : ask(call);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct queue_call call = {.command = command,
                              .fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS}};
    const struct cf_opt opts[] = {
        {.name = "state",
         .kind = CF_OPT_TEXT,
         .value = &call.state_name,
         .placeholder = "STATE",
         .help = "only jobs that are queued, delayed, leased or dead"},
        {.name = "limit",
         .kind = CF_OPT_UINT,
         .value = &call.limit,
         .low = 1,
         .high = LIST_MAX,
         .placeholder = "N",
         .help = "list at most so many, 1 to 100000 (default 100)"},
        {.name = "all", .kind = CF_OPT_FLAG, .value = &call.all, .help = "retry or purge whatever can be"},
        CF_OPT_JSON(&call.fleet.json),
        CF_FLEET_OPTS(&call.fleet),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = choose(&call, &args);
    free(call.albums);
    cf_fleet_close(&call.fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_queue = {
    .name = "queue",
    .usage = "list | peek ALBUM... | retry ALBUM... | purge ALBUM... | pause | resume",
    .summary = "Look into the queue and the dead letters, and operate them",
    .about = "  list    jobs and dead letters in the order of their pushes\n"
             "  peek    the jobs of these albums\n"
             "  retry   give another chance: albums, --state STATE, or --all; lifts quarantine, too\n"
             "  purge   forget jobs: albums, --state STATE, or --all; what is described already stays\n"
             "  pause   give nothing more to workers; pushes are still accepted\n"
             "  resume  go on",
    .run = run,
};
