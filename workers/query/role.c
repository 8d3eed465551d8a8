#include "workers/query/role.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/io/pool.h"

/* Three, so that a query waits neither for one that waits for a processor nor for two that take long: what is
 * far from all albums is compared with every one of them. */
enum { SEARCH_THREADS = 3, LOOK_MS = 1000, LEAVE_JITTER_MS = 2000 };

struct cf_query_role {
    struct cf_engine *engine;
    struct cf_follower *follower;
    struct cf_decoder *decoder;
    pthread_mutex_t decoder_lock; /* one picture at a time, however many search */
    struct cf_decoded decoded;
    pthread_mutex_t context_lock;
    struct cf_search_context *contexts[SEARCH_THREADS]; /* those that no thread has, at the front */
    size_t context_count;
    struct cf_pool *pool;
    struct cf_arena *arena;  /* of a refusal */
    struct search_job *jobs; /* in flight: a list, so that ending early frees them */
    uint64_t job_count, job_count_max;
    struct cf_index_status status[CF_SPACE_COUNT]; /* of the last heartbeat */
    uint64_t leave_ms;                             /* the home has other models than this process; 0: no */
};

struct search_job {
    struct search_job *next, **link;
    uint64_t id, deadline_ms;
    enum cf_err err;
    struct cf_buf body, reply;
};

static enum cf_err decode_picture(void *arg, struct cf_bytes file, uint8_t rgb[CF_THUMB_RGB_BYTES],
                                  struct cf_detail *detail)
{
    struct cf_query_role *role = arg;
    pthread_mutex_lock(&role->decoder_lock);
    enum cf_err err = cf_decoder_decode(role->decoder, file, &role->decoded, detail);
    if (err == CF_OK)
        memcpy(rgb, role->decoded.rgb, CF_THUMB_RGB_BYTES);
    pthread_mutex_unlock(&role->decoder_lock);
    return err;
}

/* On a searching thread. There is a context for each. */
static void search(void *arg, void *item)
{
    struct cf_query_role *role = arg;
    struct search_job *job = item;
    pthread_mutex_lock(&role->context_lock);
    struct cf_search_context *context = role->contexts[--role->context_count];
    pthread_mutex_unlock(&role->context_lock);
    job->err = cf_search_answer(context, cf_buf_bytes(&job->body), job->deadline_ms, &job->reply);
    pthread_mutex_lock(&role->context_lock);
    role->contexts[role->context_count++] = context;
    pthread_mutex_unlock(&role->context_lock);
}

static bool refresh(void *arg, uint64_t until_ms)
{
    return cf_follower_refresh(arg, until_ms);
}

enum cf_err cf_query_role_new(struct cf_loop *loop, const struct cf_config *config, struct cf_engine *engine,
                              struct cf_follower *follower, struct cf_decoder *decoder,
                              struct cf_query_role **role, struct cf_detail *detail)
{
    struct cf_query_role *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the query worker");
    pthread_mutex_init(&made->decoder_lock, NULL);
    pthread_mutex_init(&made->context_lock, NULL);
    made->engine = engine;
    made->follower = follower;
    made->decoder = decoder;
    made->job_count_max = (uint64_t)config->broker_query_outstanding_max;
    made->arena = cf_arena_new();
    const struct cf_search_options options = {.engine = engine,
                                              .refresh = refresh,
                                              .refresh_arg = follower,
                                              .picture = decode_picture,
                                              .picture_arg = made,
                                              .k_max = (uint64_t)config->query_k_max,
                                              .batch_max = (uint64_t)config->query_batch_max,
                                              .recall_default = config->query_recall_default,
                                              .reply_bytes_max = (size_t)config->broker_message_bytes_max};
    enum cf_err err = made->arena ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for the query worker");
    for (; err == CF_OK && made->context_count < SEARCH_THREADS; made->context_count += err == CF_OK)
        err = cf_search_context_new(&options, &made->contexts[made->context_count], detail);
    if (err == CF_OK)
        err =
            cf_pool_new(loop, SEARCH_THREADS, (size_t)made->job_count_max, search, made, &made->pool, detail);
    if (err == CF_OK && config->query_recall_check_one_in)
        err = cf_engine_check_recall(engine, (uint64_t)config->query_recall_check_one_in, detail);
    if (err == CF_OK)
        *role = made;
    else
        cf_query_role_free(made);
    return err;
}

static void free_job(struct cf_query_role *role, struct search_job *job)
{
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
    role->job_count--;
    cf_buf_fini(&job->body);
    cf_buf_fini(&job->reply);
    free(job);
}

void cf_query_role_free(struct cf_query_role *role)
{
    if (!role)
        return;
    cf_pool_free(role->pool);
    cf_engine_end_checks(role->engine); /* before anybody closes the shards */
    while (role->jobs)
        free_job(role, role->jobs);
    for (size_t i = 0; i < role->context_count; i++)
        cf_search_context_free(role->contexts[i]);
    cf_arena_free(role->arena);
    pthread_mutex_destroy(&role->decoder_lock);
    pthread_mutex_destroy(&role->context_lock);
    free(role);
}

/* ---- messages ---- */

static void send_reply(struct cf_runner *runner, uint64_t id, enum cf_err err, const struct cf_buf *reply)
{
    struct cf_detail detail = {{0}};
    const struct cf_msg msg = {.kind = CF_KIND_SEARCH_DONE,
                               .id = id,
                               .search = {.error = err == CF_OK ? cf_str("") : cf_str(cf_err_name(err))}};
    enum cf_err sent = cf_buf_ok(reply) && reply->len
                           ? cf_runner_send(runner, &msg, cf_buf_bytes(reply), &detail)
                           : cf_fail(&detail, CF_E_NO_MEMORY, "no memory for a reply");
    /* The broker's own deadline answers the asker then. */
    if (sent != CF_OK)
        cf_log(CF_LOG_WARN, "answer_not_sent", "query=%llu error=%s detail=\"%s\"", (unsigned long long)id,
               cf_err_name(sent), detail.text);
}

static void refuse(struct cf_query_role *role, struct cf_runner *runner, uint64_t id, struct cf_bytes body,
                   enum cf_err err, const struct cf_detail *detail)
{
    struct cf_buf reply;
    cf_buf_init(&reply);
    cf_arena_reset(role->arena);
    cf_search_refuse(role->arena, body, err, detail, &reply);
    send_reply(runner, id, err, &reply);
    cf_buf_fini(&reply);
}

static struct search_job *new_job(struct cf_query_role *role, const struct cf_msg *msg, struct cf_bytes body)
{
    struct search_job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    cf_buf_init(&job->body);
    cf_buf_init(&job->reply);
    cf_buf_append(&job->body, body.data, body.len);
    if (!cf_buf_ok(&job->body)) {
        free(job);
        return NULL;
    }
    job->id = msg->id;
    job->deadline_ms = cf_clock_mono_ms() + msg->search.deadline_ms;
    job->next = role->jobs;
    job->link = &role->jobs;
    if (job->next)
        job->next->link = &job->next;
    role->jobs = job;
    role->job_count++;
    return job;
}

static void on_search(struct cf_query_role *role, struct cf_runner *runner, const struct cf_msg *msg,
                      struct cf_bytes body)
{
    struct cf_detail detail = {{0}};
    if (role->job_count >= role->job_count_max) {
        enum cf_err busy = cf_fail(&detail, CF_E_BUSY, "%llu queries are in hand already: try again later",
                                   (unsigned long long)role->job_count);
        refuse(role, runner, msg->id, body, busy, &detail);
        return;
    }
    struct search_job *job = new_job(role, msg, body);
    enum cf_err err = job ? cf_pool_submit(role->pool, job) : CF_E_NO_MEMORY;
    if (err == CF_OK)
        return;
    if (job)
        free_job(role, job);
    err = cf_fail(&detail, err, "the query cannot be taken on now: try again later");
    refuse(role, runner, msg->id, body, err, &detail);
}

/* Before any search that follows on the socket. */
static void on_removed(struct cf_query_role *role, const struct cf_removed *removed)
{
    for (size_t i = 0; i < removed->item_count; i++) {
        enum cf_err err = cf_engine_remove(role->engine, &removed->items[i]);
        if (err != CF_OK)
            cf_log(CF_LOG_ERROR, "removal_not_honoured", "album=\"%.*s\" error=%s",
                   CF_STR_ARG(removed->items[i].album), cf_err_name(err));
    }
}

static void on_message(void *arg, struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body)
{
    struct cf_query_role *role = arg;
    if (msg->kind == CF_KIND_SEARCH)
        on_search(role, runner, msg, body);
    else if (msg->kind == CF_KIND_REMOVED)
        on_removed(role, &msg->removed);
    else if (msg->kind == CF_KIND_PUBLISHED)
        cf_follower_poke(role->follower);
    else
        cf_log(CF_LOG_WARN, "message_ignored", "kind=%s", cf_kind_name(msg->kind));
}

static void on_registered(void *arg, struct cf_runner *runner)
{
    struct cf_query_role *role = arg;
    enum cf_err err = cf_runner_ready(runner, role->job_count_max);
    if (err != CF_OK)
        cf_log(CF_LOG_WARN, "ready_not_sent", "error=%s", cf_err_name(err));
}

/* A process keeps the models of its start: one that finds others leaves, and its supervisor starts it anew.
 * Not all at once, so that the others answer meanwhile. */
static uint64_t on_tick(void *arg, struct cf_runner *runner, uint64_t now_ms)
{
    struct cf_query_role *role = arg;
    if (role->leave_ms == 0 && cf_spaces_are_stale()) {
        struct cf_rng rng = cf_rng(now_ms ^ (uint64_t)getpid());
        role->leave_ms = now_ms + 1 + cf_rng_below(&rng, LEAVE_JITTER_MS);
    }
    if (role->leave_ms && now_ms >= role->leave_ms && !cf_runner_is_draining(runner)) {
        cf_log(CF_LOG_INFO, "models_changed", "detail=\"the worker leaves, to be started with them\"");
        cf_runner_drain(runner);
    }
    return LOOK_MS;
}

static void on_heartbeat(void *arg, struct cf_heartbeat *heartbeat)
{
    struct cf_query_role *role = arg;
    cf_engine_status(role->engine, role->status);
    size_t count = 0;
    for (size_t i = cf_space_from(0); i < CF_SPACE_CF_NEXT; i = cf_space_from(i + 1))
        role->status[count++] = role->status[i];
    heartbeat->indexes = role->status;
    heartbeat->index_count = count;
    heartbeat->unreadable_shards = cf_engine_unreadable(role->engine);
}

static void on_posted(void *arg, struct cf_runner *runner, void *item)
{
    struct search_job *job = item;
    send_reply(runner, job->id, job->err, &job->reply);
    free_job(arg, job);
}

static bool is_drained(void *arg, struct cf_runner *runner)
{
    const struct cf_query_role *role = arg;
    (void)runner;
    return role->job_count == 0;
}

struct cf_role_ops cf_query_role_ops(const char *name)
{
    return (struct cf_role_ops){.role = CF_ROLE_QUERY,
                                .registered = on_registered,
                                .message = on_message,
                                .heartbeat = on_heartbeat,
                                .tick = on_tick,
                                .posted = on_posted,
                                .drained = is_drained,
                                .name = name};
}
