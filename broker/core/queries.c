/* Queries and requests for vectors on their way to a query worker and back. Each gets exactly one reply: its
 * answer, or an error. */
#include "broker/core/state.h"

#include <stdlib.h>

static struct cf_bytes query_peer(const struct query *query)
{
    return (struct cf_bytes){query->peer, query->peer_len};
}

/* Its bytes stay counted until the query has ended: they lie on their way to the worker, or with it. */
static void frame_drop(struct query *query)
{
    free(query->frame);
    query->frame = NULL;
}

static void wait_end(struct cf_core *core, struct query *query)
{
    DL_DELETE(core->waiting, query);
    core->waiting_count--;
}

static void query_free(struct cf_core *core, struct query *query)
{
    if (query->worker)
        query->worker->searches--;
    else
        wait_end(core, query);
    if (query->node.at)
        cf_heap_remove(&core->query_deadlines, &query->node);
    frame_drop(query);
    core->query_bytes -= query->frame_len;
    HASH_DEL(core->queries, query);
    free(query);
}

static void query_tell(struct cf_core *core, const struct query *query, enum cf_err err, const char *sentence,
                       struct cf_out *out)
{
    struct cf_detail detail;
    (void)cf_fail(&detail, err, "%s", sentence);
    core->counters.failed++;
    cf_out_error(out, CF_OUT_CLIENT, query_peer(query), query->client_id, err, &detail);
}

static void query_fail(struct cf_core *core, struct query *query, enum cf_err err, const char *sentence,
                       struct cf_out *out)
{
    query_tell(core, query, err, sentence, out);
    query_free(core, query);
}

void queries_clear(struct cf_core *core)
{
    struct query *query, *next;
    HASH_ITER(hh, core->queries, query, next)
    query_free(core, query);
}

/* The least outstanding; of equals the one that waited longest for a query. */
static struct worker *pick(struct cf_core *core)
{
    struct worker *best = NULL;
    for (struct worker *worker = core->workers; worker; worker = worker->hh.next) {
        if (worker->role != CF_ROLE_QUERY || worker->searches >= core->config.query_outstanding_max)
            continue;
        if (!best || worker->searches < best->searches ||
            (worker->searches == best->searches && worker->used < best->used))
            best = worker;
    }
    return best;
}

static void give(struct cf_core *core, struct cf_now now, struct query *query, struct worker *worker,
                 struct cf_out *out)
{
    struct cf_out_item *item =
        cf_out_add(out, CF_OUT_WORKER, worker_peer(worker), CF_KIND_SEARCH, query->qid);
    item->msg.search.deadline_ms = query->deadline_ms - now.mono_ms;
    item->body = cf_out_bytes(out, (struct cf_bytes){query->frame, query->frame_len});
    wait_end(core, query);
    query->worker = worker;
    worker->searches++;
    worker->used = ++core->searches_given;
    /* A picture that kills its reader must not meet the next one: it is never sent again. */
    if (query->has_image || query->resent)
        frame_drop(query);
}

static void give_waiting(struct cf_core *core, struct cf_now now, struct cf_out *out)
{
    while (core->waiting && core->waiting->deadline_ms > now.mono_ms) {
        struct worker *worker = pick(core);
        if (!worker)
            return;
        give(core, now, core->waiting, worker, out);
    }
}

/* What counts here of a query or a request for vectors. */
struct asked {
    uint64_t deadline_ms;
    size_t target_count;
    bool has_image;
};

static enum cf_err query_check(const struct cf_core *core, const struct asked *asked, size_t bytes,
                               struct cf_detail *detail)
{
    if (asked->target_count == 0)
        return cf_fail(detail, CF_E_INVALID, "a query needs at least one target");
    if (core->waiting_count >= core->config.query_waiting_max)
        return cf_fail(detail, CF_E_BUSY, "%llu queries wait already (broker.query_waiting_max): try later",
                       (unsigned long long)core->waiting_count);
    if (core->query_bytes + bytes > core->config.query_bytes_max)
        return cf_fail(detail, CF_E_BUSY, "queries of %llu bytes wait already: try later",
                       (unsigned long long)core->query_bytes);
    return CF_OK;
}

static bool has_image(const struct cf_query *query)
{
    for (size_t i = 0; i < query->target_count; i++)
        if (query->targets[i].image.len)
            return true;
    return false;
}

static struct asked asked_of(const struct cf_msg *msg)
{
    if (msg->kind == CF_KIND_VECTOR)
        return (struct asked){msg->wanted.deadline_ms, msg->wanted.album_count, false};
    return (struct asked){msg->query.deadline_ms, msg->query.target_count, has_image(&msg->query)};
}

static struct query *query_new(struct cf_core *core, struct cf_bytes peer, struct cf_bytes frame)
{
    struct query *query = calloc(1, sizeof *query + peer.len);
    if (!query)
        return NULL;
    query->frame = malloc(frame.len ? frame.len : 1);
    if (!query->frame || cf_heap_reserve(&core->query_deadlines, HASH_COUNT(core->queries) + 1))
        goto fail;
    query->qid = ++core->query_ids;
    HASH_ADD(hh, core->queries, qid, sizeof query->qid, query);
    if (!query->hh.tbl)
        goto fail;
    memcpy(query->frame, frame.data, frame.len);
    query->frame_len = frame.len;
    memcpy(query->peer, peer.data, peer.len);
    query->peer_len = peer.len;
    core->query_bytes += frame.len;
    DL_APPEND(core->waiting, query);
    core->waiting_count++;
    return query;
fail:
    free(query->frame);
    free(query);
    return NULL;
}

enum { QUERY_DEADLINE_MS_MAX = 600000, EXPIRED_KEPT_MS = 60000 };

void on_query(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
              struct cf_bytes frame, struct cf_out *out)
{
    struct cf_detail detail = {0};
    struct asked asked = asked_of(msg);
    enum cf_err err = query_check(core, &asked, frame.len, &detail);
    struct query *query = err ? NULL : query_new(core, peer, frame);
    if (!err && !query)
        err = cf_fail(&detail, CF_E_NO_MEMORY, "memory is short");
    if (err) {
        core->counters.failed++;
        cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, err, &detail);
        return;
    }
    uint64_t left = asked.deadline_ms ? asked.deadline_ms : core->config.query_deadline_ms;
    query->client_id = msg->id;
    query->has_image = asked.has_image;
    query->deadline_ms = now.mono_ms + (left < QUERY_DEADLINE_MS_MAX ? left : QUERY_DEADLINE_MS_MAX);
    cf_heap_insert(&core->query_deadlines, &query->node, query->deadline_ms, query->qid);
    give_waiting(core, now, out);
}

void on_search_done(struct cf_core *core, struct cf_now now, struct worker *worker, const struct cf_msg *msg,
                    struct cf_bytes body, struct cf_out *out)
{
    struct query *query = NULL;
    uint64_t qid = msg->id;
    HASH_FIND(hh, core->queries, &qid, sizeof qid, query);
    if (!query || query->worker != worker) {
        core->counters.late++;
        return;
    }
    if (query->expired) {
        core->counters.late++;
        query_free(core, query);
        give_waiting(core, now, out);
        return;
    }
    if (body.len == 0) {
        query_fail(core, query, CF_E_INVALID, "the query worker answered without an answer", out);
        return;
    }
    struct cf_out_item *item =
        cf_out_add(out, CF_OUT_CLIENT, query_peer(query), CF_KIND_QUERY_OK, query->client_id);
    item->raw = true;
    item->body = cf_out_bytes(out, body);
    if (msg->search.error.len)
        core->counters.failed++;
    else
        core->counters.answered++;
    worker->done++;
    rate_add(&worker->rate, now.mono_ms, 1);
    query_free(core, query);
    give_waiting(core, now, out);
}

/* The worker is gone: what it had goes to another one, once, ahead of those that wait. */
void queries_orphan(struct cf_core *core, struct worker *worker, struct cf_out *out)
{
    struct query *query, *next;
    HASH_ITER(hh, core->queries, query, next)
    {
        if (query->worker != worker)
            continue;
        if (query->expired) {
            query_free(core, query);
            continue;
        }
        if (!query->frame) {
            query_fail(core, query, CF_E_NO_WORKER,
                       query->has_image ? "the query worker died; a query with a picture is not sent again"
                                        : "the query worker died, and so did the one before it",
                       out);
            continue;
        }
        worker->searches--;
        query->worker = NULL;
        query->resent = true;
        core->counters.resent++;
        DL_PREPEND(core->waiting, query);
        core->waiting_count++;
    }
}

static bool has_query_worker(const struct cf_core *core)
{
    for (const struct worker *worker = core->workers; worker; worker = worker->hh.next)
        if (worker->role == CF_ROLE_QUERY)
            return true;
    return false;
}

/* A worker that lets a query expire is still busy with it, or stuck: until it answers, or is gone, the place
 * stays taken, so that it does not look like the idlest of all. Not for ever: the answer may have been lost.
 */
static void query_expire(struct cf_core *core, struct cf_now now, struct query *query, struct cf_out *out)
{
    if (query->expired || !query->worker) {
        if (!query->expired)
            query_tell(core, query, CF_E_DEADLINE, "the deadline passed before an answer came", out);
        query_free(core, query);
        return;
    }
    query_tell(core, query, CF_E_DEADLINE, "the deadline passed before an answer came", out);
    query->expired = true;
    frame_drop(query);
    cf_heap_remove(&core->query_deadlines, &query->node);
    query->deadline_ms = now.mono_ms + EXPIRED_KEPT_MS;
    cf_heap_insert(&core->query_deadlines, &query->node, query->deadline_ms, query->qid);
}

void queries_run(struct cf_core *core, struct cf_now now, struct cf_out *out)
{
    for (;;) {
        struct query *query = (struct query *)cf_heap_top(&core->query_deadlines);
        if (!query || query->deadline_ms > now.mono_ms)
            break;
        if (!query->worker && !has_query_worker(core))
            query_fail(core, query, CF_E_NO_WORKER, "no query worker came in time: is one running?", out);
        else
            query_expire(core, now, query, out);
    }
    give_waiting(core, now, out);
}
