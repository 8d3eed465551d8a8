#include "workers/indexer/role.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"

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
        if (!indexer->published[i] || indexer->told[i])
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

static uint64_t on_tick(void *arg, struct cf_runner *runner, uint64_t now_ms)
{
    struct cf_indexer *indexer = arg;
    tell(indexer, runner);
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
        if (msg->rebuild.space.len == 0 || cf_str_is(msg->rebuild.space, cf_spaces[i].name))
            indexer->forced[i] = true;
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
