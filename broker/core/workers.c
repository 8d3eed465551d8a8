/* Sessions of workers: register, credit, heartbeat, goodbye, eviction. */
#include "broker/core/state.h"

#include <stdlib.h>

struct cf_bytes worker_peer(const struct worker *worker)
{
    return (struct cf_bytes){worker->peer, worker->peer_len};
}

struct worker *worker_find(struct cf_core *core, struct cf_bytes peer)
{
    struct worker *worker = NULL;
    HASH_FIND(hh, core->workers, peer.data, peer.len, worker);
    return worker;
}

struct worker *worker_named(const struct cf_core *core, struct cf_str name)
{
    for (struct worker *worker = core->workers; worker; worker = worker->hh.next)
        if (cf_str_is(name, worker->name))
            return worker;
    return NULL;
}

enum { RATE_SECONDS = 10, RATE_SLOTS = 11 };

static void rate_advance(struct rate *rate, uint64_t second)
{
    uint64_t steps = second > rate->second ? second - rate->second : 0;
    for (uint64_t i = 1; i <= steps && i <= RATE_SLOTS; i++)
        rate->slots[(rate->second + i) % RATE_SLOTS] = 0;
    if (steps)
        rate->second = second;
}

void rate_add(struct rate *rate, uint64_t now_ms, uint32_t count)
{
    rate_advance(rate, now_ms / 1000);
    rate->slots[rate->second % RATE_SLOTS] += count;
}

/* Over the ten whole seconds before the current one. */
double rate_get(const struct rate *rate, uint64_t now_ms)
{
    struct rate copy = *rate;
    rate_advance(&copy, now_ms / 1000);
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= RATE_SECONDS; i++)
        sum += copy.slots[(copy.second + RATE_SLOTS - i) % RATE_SLOTS];
    return (double)sum / RATE_SECONDS;
}

static void event_of_worker(struct cf_core *core, struct cf_now now, const char *name,
                            const struct worker *worker, struct cf_out *out)
{
    struct cf_event *event = event_add(core, now, name, false, out);
    event->worker = cf_out_str(out, cf_str(worker->name));
}

void worker_end(struct cf_core *core, struct cf_now now, struct worker *worker, enum cf_leave why,
                struct cf_out *out)
{
    struct job *job, *next;
    DL_FOREACH_SAFE(worker->leases, job, next)
    {
        bool unseen = why == LEAVE_UNREACHABLE && worker->seen_ms <= job->leased_ms;
        lease_lost(core, now, job, why != LEAVE_GOODBYE && !unseen, CF_E_WORKER_DIED, out);
    }
    queries_orphan(core, worker, out);
    event_of_worker(core, now, "left", worker, out);
    HASH_DEL(core->workers, worker);
    bool descriptor = worker->role == CF_ROLE_DESCRIPTOR;
    free(worker);
    if (descriptor) /* somebody else may have to look after shards without an owner */
        redescribe_tell(core, out);
}

static struct cf_removed_item removed_item(const struct removal *removal, struct cf_out *out)
{
    return (struct cf_removed_item){cf_out_str(out, (struct cf_str){removal->album, removal->album_len}),
                                    removal->version};
}

/* Removals that no shard has yet, for a query worker that may not have heard of them. Those of this wake are
 * not told here: they are not on disk, and reach all by removals_tell. */
static void removals_replay(struct cf_core *core, struct cf_bytes peer, struct cf_out *out)
{
    struct cf_removed_item *items = NULL;
    struct cf_out_item *message = NULL;
    const struct removal *removal;
    size_t count = 0;
    DL_FOREACH(core->removals, removal)
    {
        if (removal->version.seq >= core->removals_told_seq)
            continue;
        if (count == 0) {
            items = cf_out_alloc(out, CF_BATCH_MAX, sizeof *items);
            if (!items)
                return;
            message = cf_out_add(out, CF_OUT_WORKER, peer, CF_KIND_REMOVED, 0);
            message->msg.removed.items = items;
        }
        items[count] = removed_item(removal, out);
        message->msg.removed.item_count = ++count;
        count %= CF_BATCH_MAX;
    }
}

/* The removals of this wake, newest at the end of the list. */
static struct cf_removed_item *removals_fresh(struct cf_core *core, size_t *count, struct cf_out *out)
{
    const struct removal *last = core->removals ? core->removals->prev : NULL;
    const struct removal *removal = last;
    size_t found = 0;
    while (removal && removal->version.seq >= core->removals_told_seq) {
        found++;
        removal = removal == core->removals ? NULL : removal->prev;
    }
    struct cf_removed_item *items = found ? cf_out_alloc(out, found, sizeof *items) : NULL;
    removal = last;
    for (size_t i = found; items && i-- > 0; removal = removal->prev)
        items[i] = removed_item(removal, out);
    *count = items ? found : 0;
    return items;
}

void removals_tell(struct cf_core *core, struct cf_out *out)
{
    size_t count = 0;
    struct cf_removed_item *items = removals_fresh(core, &count, out);
    core->removals_safe_seq = core->removals_told_seq; /* the wake before was committed */
    core->removals_told_seq = core->next_seq;
    for (struct worker *worker = core->workers; worker && count; worker = worker->hh.next) {
        if (worker->role != CF_ROLE_QUERY)
            continue;
        for (size_t at = 0; at < count; at += CF_BATCH_MAX) {
            struct cf_out_item *item =
                cf_out_add(out, CF_OUT_WORKER, worker_peer(worker), CF_KIND_REMOVED, 0);
            item->durable = true;
            item->msg.removed.items = items + at;
            item->msg.removed.item_count = count - at < CF_BATCH_MAX ? count - at : CF_BATCH_MAX;
        }
    }
}

/* In containers every process has the same pid: the instance tells. */
static bool is_same_process(const struct worker *worker, const struct cf_registration *registration)
{
    return worker->pid == registration->pid && worker->instance == registration->instance;
}

/* A process that registers again has not died: only another one under its name shows that. */
static void evict_namesakes(struct cf_core *core, struct cf_now now, struct cf_bytes peer,
                            const struct cf_registration *registration, struct cf_out *out)
{
    struct worker *old = worker_find(core, peer);
    if (old)
        worker_end(core, now, old, LEAVE_GOODBYE, out);
    old = worker_named(core, registration->name);
    if (old)
        worker_end(core, now, old, is_same_process(old, registration) ? LEAVE_GOODBYE : LEAVE_DEATH, out);
}

static struct worker *worker_new(struct cf_core *core, struct cf_now now, struct cf_bytes peer,
                                 const struct cf_registration *registration)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    memcpy(worker->peer, peer.data, peer.len);
    worker->peer_len = peer.len;
    memcpy(worker->name, registration->name.data, registration->name.len);
    worker->role = registration->role;
    worker->pid = registration->pid;
    worker->instance = registration->instance;
    worker->session = ++core->sessions;
    worker->registered_ms = worker->seen_ms = now.mono_ms;
    HASH_ADD(hh, core->workers, peer, (unsigned)worker->peer_len, worker);
    if (!worker->hh.tbl) {
        free(worker);
        return NULL;
    }
    return worker;
}

static bool registration_is_sane(const struct cf_registration *registration)
{
    return registration->role >= 0 && registration->role < CF_ROLE_COUNT && is_plain_name(registration->name);
}

static void on_register(struct cf_core *core, struct cf_now now, struct cf_bytes peer,
                        const struct cf_msg *msg, struct cf_out *out)
{
    const struct cf_registration *registration = &msg->registration;
    struct cf_detail detail = {0};
    if (!registration_is_sane(registration)) {
        (void)cf_fail(&detail, CF_E_INVALID,
                      "a registration needs a role and a name of letters, digits, '-' and '_'");
        cf_core_bad(core, CF_OUT_WORKER, peer, msg->id, CF_E_INVALID, &detail, out);
        return;
    }
    evict_namesakes(core, now, peer, registration, out);
    if (HASH_COUNT(core->workers) >= CF_CORE_WORKERS_MAX) {
        (void)cf_fail(&detail, CF_E_BUSY, "%d workers are registered, the most: scale down",
                      CF_CORE_WORKERS_MAX);
        cf_out_error(out, CF_OUT_WORKER, peer, msg->id, CF_E_BUSY, &detail);
        return;
    }
    struct worker *worker = worker_new(core, now, peer, registration);
    if (!worker) {
        cf_out_error(out, CF_OUT_WORKER, peer, msg->id, CF_E_NO_MEMORY, NULL);
        return;
    }
    struct cf_out_item *reply = cf_out_add(out, CF_OUT_WORKER, peer, CF_KIND_REGISTERED, msg->id);
    reply->msg.registered = (struct cf_registered){
        .session = worker->session,
        .heartbeat_ms = core->config.heartbeat_ms,
        .heartbeat_timeout_ms = core->config.heartbeat_timeout_ms,
        .lease_ms = core->config.lease_ms,
    };
    if (worker->role == CF_ROLE_QUERY)
        removals_replay(core, peer, out);
    if (worker->role == CF_ROLE_DESCRIPTOR)
        redescribe_tell(core, out);
    if (worker->role == CF_ROLE_INDEXER)
        redescribe_news(core, worker, out);
    event_of_worker(core, now, "joined", worker, out);
}

static void keep_recalls(const struct cf_core *core, struct worker *worker,
                         const struct cf_heartbeat *heartbeat)
{
    for (size_t i = 0; i < heartbeat->index_count; i++) {
        const struct cf_index_status *status = &heartbeat->indexes[i];
        for (size_t space = 0; space < core->config.space_count; space++)
            if (cf_str_equal(core->config.spaces[space], status->space))
                worker->recalls[space] = (struct recall){status->recall, status->recall_checks};
    }
}

static void on_registered_message(struct cf_core *core, struct cf_now now, struct worker *worker,
                                  const struct cf_msg *msg, struct cf_bytes body, struct cf_out *out)
{
    struct cf_bytes peer = worker_peer(worker);
    switch (msg->kind) {
    case CF_KIND_READY:
        worker->credit = msg->ready.credit;
        break;
    case CF_KIND_DONE:
        on_done(core, now, worker, peer, msg, out);
        break;
    case CF_KIND_FAILED:
        on_failed(core, now, worker, &msg->failed, out);
        break;
    case CF_KIND_HEARTBEAT:
        worker->unreadable_shards = msg->heartbeat.unreadable_shards;
        keep_recalls(core, worker, &msg->heartbeat);
        redescribe_progress(core, worker, &msg->heartbeat, out);
        (void)cf_out_add(out, CF_OUT_WORKER, peer, CF_KIND_HEARTBEAT, msg->id);
        break;
    case CF_KIND_GOODBYE:
        (void)cf_out_add(out, CF_OUT_WORKER, peer, CF_KIND_GOODBYE_OK, msg->id);
        worker_end(core, now, worker, LEAVE_GOODBYE, out);
        break;
    case CF_KIND_SEARCH_DONE:
        on_search_done(core, now, worker, msg, body, out);
        break;
    case CF_KIND_PUBLISHED:
        if (worker->role == CF_ROLE_INDEXER) {
            on_published(core, now, peer, msg, out);
            break;
        } /* fall through */
    default:
        cf_core_bad(core, CF_OUT_WORKER, peer, msg->id, CF_E_INVALID, NULL, out);
        break;
    }
}

void cf_core_worker(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                    struct cf_bytes body, struct cf_out *out)
{
    struct worker *worker = worker_find(core, peer);
    if (worker)
        worker->seen_ms = now.mono_ms;
    if (msg->kind == CF_KIND_REGISTER && peer.len && peer.len <= sizeof worker->peer) {
        on_register(core, now, peer, msg, out);
    } else if (worker) {
        on_registered_message(core, now, worker, msg, body, out);
    } else if (msg->kind == CF_KIND_GOODBYE) {
        (void)cf_out_add(out, CF_OUT_WORKER, peer, CF_KIND_GOODBYE_OK, msg->id);
    } else {
        /* What a forgotten worker has done, after a restart of the broker, is done all the same. */
        if (msg->kind == CF_KIND_DONE)
            on_done(core, now, NULL, peer, msg, out);
        (void)cf_out_add(out, CF_OUT_WORKER, peer, CF_KIND_UNREGISTERED, msg->id);
    }
}

void cf_core_unreachable(struct cf_core *core, struct cf_now now, struct cf_bytes peer, struct cf_out *out)
{
    struct worker *worker = worker_find(core, peer);
    if (worker)
        worker_end(core, now, worker, LEAVE_UNREACHABLE, out);
}

/* When the broker itself did not run for a while, nobody was silent: it did not listen. */
static uint64_t deaf_ms(const struct cf_core *core, struct cf_now now)
{
    uint64_t gap = now.mono_ms - core->last_run_ms;
    return gap > core->config.heartbeat_ms ? gap - core->config.heartbeat_ms : 0;
}

void workers_run(struct cf_core *core, struct cf_now now, struct cf_out *out)
{
    struct worker *worker, *next;
    uint64_t deaf = deaf_ms(core, now);
    HASH_ITER(hh, core->workers, worker, next)
    {
        worker->seen_ms = worker->seen_ms + deaf < now.mono_ms ? worker->seen_ms + deaf : now.mono_ms;
        if (now.mono_ms - worker->seen_ms >= core->config.heartbeat_timeout_ms)
            worker_end(core, now, worker, LEAVE_DEATH, out);
    }
}
