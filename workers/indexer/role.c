#include "workers/indexer/role.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { LOOK_MS = 1000 };

struct cf_indexer {
    const char *name;
    struct cf_indexing *indexing;
    struct cf_pool *pool;
    uint64_t poll_ms, next_ms;
    bool busy;
    struct cf_index_round round; /* the compute thread's while busy */
    bool forced[CF_SPACE_COUNT]; /* for the next round */
    /* The newest generations, and whether this registration has heard of them. */
    struct cf_publication *published[CF_SPACE_COUNT];
    bool told[CF_SPACE_COUNT];
    uint64_t unreadable_shards; /* as of the last round */
    bool promotes;              /* the next whole generation of cf's next version makes that one the served */
    bool stale;                 /* the home has other models than this process */
    uint64_t look_ms;
};

static void work(void *arg, void *item)
{
    struct cf_indexer *indexer = arg;
    cf_indexing_run(indexer->indexing, item);
}

enum cf_err cf_indexer_new(struct cf_loop *loop, const struct cf_config *config, struct cf_indexing *indexing,
                           const char *name, struct cf_indexer **out, struct cf_detail *detail)
{
    struct cf_indexer *indexer = calloc(1, sizeof *indexer);
    if (!indexer)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an indexer");
    indexer->name = name;
    indexer->indexing = indexing;
    indexer->poll_ms = (uint64_t)config->indexer_poll_ms;
    enum cf_err err = cf_pool_new(loop, 1, 1, work, indexer, &indexer->pool, detail);
    if (err != CF_OK) {
        free(indexer);
        return err;
    }
    *out = indexer;
    return CF_OK;
}

void cf_indexer_free(struct cf_indexer *indexer)
{
    if (!indexer)
        return;
    cf_indexing_cancel(indexer->indexing);
    cf_pool_free(indexer->pool);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        cf_publication_free(indexer->round.published[i]);
        cf_publication_free(indexer->published[i]);
    }
    free(indexer);
}

/* ---- telling ---- */

static void tell(struct cf_indexer *indexer, struct cf_runner *runner)
{
    for (size_t i = 0; i < CF_SPACE_COUNT && cf_runner_is_registered(runner); i++) {
        if (!indexer->published[i] || indexer->told[i] || i == CF_SPACE_CF_NEXT)
            continue;
        const struct cf_msg msg = {.kind = CF_KIND_PUBLISHED, .published = indexer->published[i]->msg};
        struct cf_detail detail = {""};
        enum cf_err err = cf_runner_send(runner, &msg, (struct cf_bytes){0}, &detail);
        if (err == CF_E_BUSY || err == CF_E_UNREACHABLE || err == CF_E_NO_MEMORY)
            return; /* again by the next tick */
        if (err != CF_OK)
            cf_log(CF_LOG_ERROR, "publication_untold", "space=%.*s error=%s detail=\"%s\"",
                   CF_STR_ARG(msg.published.space), cf_err_name(err), detail.text);
        indexer->told[i] = true;
    }
}

/* ---- rounds ---- */

static void start_round(struct cf_indexer *indexer)
{
    indexer->round = (struct cf_index_round){0};
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        indexer->round.forced[i] = indexer->forced[i];
    if (cf_pool_submit(indexer->pool, &indexer->round) != CF_OK)
        return; /* short of memory: again by the next tick */
    indexer->busy = true;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        indexer->forced[i] = false;
}

static bool is_forced(const struct cf_indexer *indexer)
{
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        if (indexer->forced[i])
            return true;
    return false;
}

/* A process keeps the models of its start: one that finds others leaves, and its supervisor starts it anew.
 */
static void leave_if_stale(struct cf_indexer *indexer, struct cf_runner *runner, uint64_t now_ms)
{
    if (indexer->stale || now_ms < indexer->look_ms)
        return;
    indexer->look_ms = now_ms + LOOK_MS;
    indexer->stale = cf_spaces_are_stale();
    if (!indexer->stale)
        return;
    cf_log(CF_LOG_INFO, "models_changed", "detail=\"the worker leaves, to be started with them\"");
    cf_runner_drain(runner);
}

/* All albums that can have a vector of cf's next version have it, and it is indexed: it is the served one
 * now, and all who see that start anew with it. */
static void promote(struct cf_indexer *indexer)
{
    struct cf_detail detail = {""};
    if (!indexer->promotes || !indexer->published[CF_SPACE_CF_NEXT])
        return;
    enum cf_err err = cf_spaces_promote(&detail);
    if (err == CF_OK)
        cf_log(CF_LOG_INFO, "version_served", "space=cf version=%u", cf_spaces[CF_SPACE_CF_NEXT].version);
    else
        cf_log(CF_LOG_ERROR, "version_not_served", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
    indexer->promotes = err != CF_OK;
}

static uint64_t on_tick(void *arg, struct cf_runner *runner, uint64_t now_ms)
{
    struct cf_indexer *indexer = arg;
    tell(indexer, runner);
    leave_if_stale(indexer, runner, now_ms);
    bool due = now_ms >= indexer->next_ms || is_forced(indexer);
    if (!indexer->busy && due && !cf_runner_is_draining(runner)) {
        indexer->next_ms = now_ms + indexer->poll_ms;
        start_round(indexer);
    }
    return indexer->next_ms > now_ms ? indexer->next_ms - now_ms : indexer->poll_ms;
}

static void on_posted(void *arg, struct cf_runner *runner, void *item)
{
    struct cf_indexer *indexer = arg;
    struct cf_index_round *round = item;
    indexer->busy = false;
    indexer->unreadable_shards = round->unreadable_shards;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        if (!round->published[i])
            continue;
        cf_publication_free(indexer->published[i]);
        indexer->published[i] = round->published[i];
        round->published[i] = NULL;
        indexer->told[i] = false;
    }
    promote(indexer);
    tell(indexer, runner);
}

/* ---- what else the runner calls ---- */

/* A restarted broker knows nothing: everything again. */
static void on_registered(void *arg, struct cf_runner *runner)
{
    struct cf_indexer *indexer = arg;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        indexer->told[i] = false;
    tell(indexer, runner);
}

static void on_message(void *arg, struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body)
{
    (void)body;
    struct cf_indexer *indexer = arg;
    if (msg->kind != CF_KIND_REBUILD)
        return;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        if (msg->rebuild.redescribed == 0 &&
            (msg->rebuild.space.len == 0 || cf_str_is(msg->rebuild.space, cf_spaces[i].name)))
            indexer->forced[i] = true;
    if (msg->rebuild.redescribed && cf_space_is_enabled(CF_SPACE_CF_NEXT) &&
        msg->rebuild.redescribed >= cf_spaces_next_put_ms())
        indexer->forced[CF_SPACE_CF_NEXT] = indexer->promotes = true;
    if (!indexer->busy && !cf_runner_is_draining(runner))
        start_round(indexer);
}

static void on_heartbeat(void *arg, struct cf_heartbeat *heartbeat)
{
    const struct cf_indexer *indexer = arg;
    heartbeat->unreadable_shards = indexer->unreadable_shards;
}

static bool on_drained(void *arg, struct cf_runner *runner)
{
    (void)runner;
    struct cf_indexer *indexer = arg;
    cf_indexing_cancel(indexer->indexing);
    return !indexer->busy;
}

struct cf_role_ops cf_indexer_ops(const struct cf_indexer *indexer)
{
    return (struct cf_role_ops){
        .role = CF_ROLE_INDEXER,
        .registered = on_registered,
        .message = on_message,
        .tick = on_tick,
        .heartbeat = on_heartbeat,
        .posted = on_posted,
        .drained = on_drained,
        .name = indexer->name,
    };
}
