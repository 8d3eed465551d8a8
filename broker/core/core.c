#include "broker/core/core.h"

#include <stdlib.h>

#include "broker/core/state.h"

enum cf_err cf_core_new(const struct cf_core_config *config, const struct cf_store *store, struct cf_now now,
                        struct cf_core **out)
{
    struct cf_core *core = calloc(1, sizeof *core);
    if (!core)
        return CF_E_NO_MEMORY;
    core->config = *config;
    core->store = *store;
    core->rng = cf_rng(config->seed);
    core->started_ms = core->last_run_ms = now.mono_ms;
    core->offline = CF_E_BUSY;
    (void)cf_fail(&core->offline_detail, CF_E_BUSY, "the journal is being opened");
    core->disk_free = UINT64_MAX;
    core->next_seq = 1;
    *out = core;
    return CF_OK;
}

static void forget(struct cf_core *core)
{
    jobs_clear(core);
    tails_clear(core);
    contents_clear(core);
    memset(core->albums, 0, sizeof core->albums);
    core->loaded = false;
}

void cf_core_free(struct cf_core *core)
{
    if (!core)
        return;
    forget(core);
    removals_clear(core, 0);
    repeats_clear(core, 0);
    queries_clear(core);
    struct worker *worker, *next;
    HASH_ITER(hh, core->workers, worker, next)
    {
        HASH_DEL(core->workers, worker);
        free(worker);
    }
    indexes_clear(core);
    redescribe_clear(core);
    cf_heap_fini(&core->ready);
    cf_heap_fini(&core->suspects);
    cf_heap_fini(&core->delayed);
    cf_heap_fini(&core->leased);
    cf_heap_fini(&core->query_deadlines);
    free(core);
}

bool cf_core_is_loaded(const struct cf_core *core)
{
    return core->loaded;
}

void cf_core_disk_free(struct cf_core *core, uint64_t bytes)
{
    core->disk_free = bytes;
}

void cf_core_set_store(struct cf_core *core, const struct cf_store *store)
{
    CF_CHECK(!core->loaded);
    core->store = *store;
}

/* ---- from the store ---- */

struct load {
    struct cf_core *core;
    struct cf_now now;
};

static void seen_seq(struct cf_core *core, uint64_t seq)
{
    if (core->next_seq <= seq)
        core->next_seq = seq + 1;
}

static enum cf_err load_album(void *arg, struct cf_str id, const struct cf_album_record *record)
{
    struct load *load = arg;
    (void)id;
    seen_seq(load->core, record->seq);
    return album_enter(load->core, record);
}

static enum cf_err recount_album(void *arg, struct cf_str id, const struct cf_album_record *record)
{
    (void)id;
    return record->state == CF_STATE_DESCRIBED ? album_enter(arg, record) : CF_OK;
}

enum cf_err albums_recount(struct cf_core *core, struct cf_detail *detail)
{
    tails_count_begin(core);
    enum cf_err err = core->store.each_album(core->store.arg, recount_album, core, detail);
    tails_count_end(core);
    return err;
}

static enum cf_err load_job(void *arg, uint64_t seq, const struct cf_job_record *record)
{
    struct load *load = arg;
    seen_seq(load->core, seq);
    struct job *job = job_new(load->core, seq, record);
    if (!job)
        return CF_E_NO_MEMORY;
    if (record->due_ms > load->now.wall_ms)
        job_delay(load->core, job, load->now.mono_ms + (record->due_ms - load->now.wall_ms));
    else
        job_queue(load->core, job);
    return CF_OK;
}

static enum cf_err load_all(struct load *load, struct cf_out *out, struct cf_detail *detail)
{
    struct cf_core *core = load->core;
    struct cf_meta_record meta = {0};
    enum cf_err err = core->store.meta_get(core->store.arg, out->arena, &meta, detail);
    if (err)
        return err;
    core->epoch = meta.epoch;
    core->paused = meta.paused;
    if (meta.next_seq)
        seen_seq(core, meta.next_seq - 1);
    redescribe_load(core, &meta);
    err = indexes_load(core, &meta);
    if (!err)
        err = contents_load(core, detail);
    tails_count_begin(core);
    if (!err)
        err = core->store.each_album(core->store.arg, load_album, load, detail);
    tails_count_end(core);
    if (!err)
        err = core->store.each_job(core->store.arg, false, 0, load_job, load, detail);
    return err;
}

enum cf_err cf_core_load(struct cf_core *core, struct cf_now now, struct cf_out *out,
                         struct cf_detail *detail)
{
    struct load load = {core, now};
    struct removal *before = core->removals;
    bool had_indexes = core->indexes != NULL;
    forget(core);
    core->removals = NULL;
    enum cf_err err = load_all(&load, out, detail);
    if (err) {
        forget(core);
        removals_clear(core, 0);
        core->removals = before;
        core->offline = err;
        core->offline_detail = detail ? *detail : (struct cf_detail){0};
        return err;
    }
    struct removal *loaded = core->removals;
    core->removals = before;
    removals_clear(core, 0);
    core->removals = loaded;
    /* Who registered meanwhile heard of the same ones. */
    core->removals_told_seq = core->removals_safe_seq = core->next_seq;
    core->loaded = true;
    redescribe_tell(core, out);
    if (had_indexes)
        meta_save(core, out); /* what was published meanwhile */
    return CF_OK;
}

void cf_core_unload(struct cf_core *core, struct cf_now now, enum cf_err reason,
                    const struct cf_detail *detail, struct cf_out *out)
{
    struct worker *worker, *next;
    forget(core);
    removals_clear(core, core->removals_safe_seq); /* those never came to disk */
    repeats_clear(core, core->repeat_safe + 1);    /* likewise */
    core->offline = reason;
    core->offline_detail = *detail;
    HASH_ITER(hh, core->workers, worker, next)
    {
        if (worker->role != CF_ROLE_DESCRIPTOR)
            continue;
        (void)cf_out_add(out, CF_OUT_WORKER, worker_peer(worker), CF_KIND_UNREGISTERED, 0);
        worker_end(core, now, worker, LEAVE_GOODBYE, out);
    }
}

/* ---- messages ---- */

struct cf_event *event_add(struct cf_core *core, struct cf_now now, const char *event, bool durable,
                           struct cf_out *out)
{
    (void)core;
    struct cf_out_item *item = cf_out_add(out, CF_OUT_EVENT, (struct cf_bytes){0}, CF_KIND_EVENT, 0);
    item->durable = durable;
    item->msg.event.event = cf_str(event);
    item->msg.event.at_ms = now.wall_ms;
    return &item->msg.event;
}

void cf_core_bad(struct cf_core *core, enum cf_out_to from, struct cf_bytes peer, uint64_t id,
                 enum cf_err err, const struct cf_detail *detail, struct cf_out *out)
{
    struct cf_detail standard;
    if (!detail)
        (void)cf_fail(&standard, err, "a message of this kind does not belong on this socket");
    core->counters.bad_messages++;
    cf_out_error(out, from, peer, id, err, detail ? detail : &standard);
}

static void on_status(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                      struct cf_out *out)
{
    struct cf_out_item *item = cf_out_add(out, CF_OUT_CLIENT, peer, CF_KIND_STATUS_OK, msg->id);
    cf_core_status(core, now, &item->msg.status, out);
}

static bool needs_journal(enum cf_kind kind)
{
    return kind == CF_KIND_STATES || kind == CF_KIND_SHOW || kind == CF_KIND_QUEUE ||
           kind == CF_KIND_REDESCRIBE;
}

void cf_core_client(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                    struct cf_bytes frame, struct cf_out *out)
{
    if (!core->loaded && needs_journal(msg->kind)) {
        cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, core->offline, &core->offline_detail);
        return;
    }
    switch (msg->kind) {
    case CF_KIND_PUSH:
        on_push(core, now, peer, msg, out);
        break;
    case CF_KIND_REMOVE:
        on_remove(core, now, peer, msg, out);
        break;
    case CF_KIND_STATES:
        on_states(core, peer, msg, out);
        break;
    case CF_KIND_QUERY:
    case CF_KIND_VECTOR:
        on_query(core, now, peer, msg, frame, out);
        break;
    case CF_KIND_SHOW:
        on_show(core, now, peer, msg, out);
        break;
    case CF_KIND_STATUS:
        on_status(core, now, peer, msg, out);
        break;
    case CF_KIND_QUEUE:
        on_queue(core, now, peer, msg, out);
        break;
    case CF_KIND_INDEX:
        on_index(core, peer, msg, out);
        break;
    case CF_KIND_REDESCRIBE:
        on_redescribe(core, now, peer, msg, out);
        break;
    default:
        cf_core_bad(core, CF_OUT_CLIENT, peer, msg->id, CF_E_INVALID, NULL, out);
        break;
    }
}

/* ---- time ---- */

static void leases_expire(struct cf_core *core, struct cf_now now, struct cf_out *out)
{
    for (;;) {
        struct job *job = (struct job *)cf_heap_top(&core->leased);
        if (!job || job->node.major > now.mono_ms || out->err)
            return;
        lease_lost(core, now, job, true, CF_E_LEASE_EXPIRED, out);
    }
}

static void delayed_come_due(struct cf_core *core, struct cf_now now)
{
    for (;;) {
        struct job *job = (struct job *)cf_heap_top(&core->delayed);
        if (!job || job->node.major > now.mono_ms)
            return;
        job_queue(core, job);
    }
}

static uint64_t sooner(uint64_t wait_ms, const struct cf_heap *heap, struct cf_now now)
{
    const struct cf_heap_node *top = cf_heap_top(heap);
    if (!top)
        return wait_ms;
    uint64_t left = top->major > now.mono_ms ? top->major - now.mono_ms : 0;
    return left < wait_ms ? left : wait_ms;
}

uint64_t cf_core_run(struct cf_core *core, struct cf_now now, struct cf_out *out)
{
    bool more = false;
    workers_run(core, now, out);
    leases_expire(core, now, out);
    delayed_come_due(core, now);
    queries_run(core, now, out);
    lease_run(core, now, out, &more);
    removals_tell(core, out);
    core->repeat_safe = core->repeat_told; /* the wake before was committed */
    core->repeat_told = core->repeat_serial;
    core->last_run_ms = now.mono_ms;
    uint64_t wait_ms = more ? 0 : core->config.heartbeat_ms;
    wait_ms = sooner(wait_ms, &core->delayed, now);
    wait_ms = sooner(wait_ms, &core->leased, now);
    return sooner(wait_ms, &core->query_deadlines, now);
}
