#include "broker/broker.h"

#include <stdlib.h>

#include "broker/core/core.h"
#include "broker/journal.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/io/pool.h"

#ifndef CF_VERSION
#define CF_VERSION "unknown"
#endif

enum {
    DISK_POLL_MS = 200,
    REOPEN_MS = 1000,
    BATCH_BYTES_MAX = 16 << 20, /* written or to be sent: then a wake is ended early */
    ENVELOPE_BYTES = 64 << 10,  /* of a message around a picture: metadata, names */
    HIGH_WATER_MARK = 4096,
    CLIENT_HIGH_WATER_MARK = 1024,   /* replies, of a few hundred bytes mostly */
    CLIENT_SEND_BYTES_MAX = 8 << 20, /* of replies to a client that does not read; one may be longer */
    INBOUND_MARK = 8,                /* unread messages of a peer, any of which may be the longest */
    EVENT_HIGH_WATER_MARK = 16384,
    PEER_BYTES_MAX = 255,
};

/* Workers that a message could not be sent to: the core hears of them in the next wake. */
struct lost {
    uint8_t peer[PEER_BYTES_MAX];
    size_t peer_len;
};

/* What wakes had to say that waits for the disk, oldest first. */
struct held {
    struct cf_out *outs;
    size_t count, capacity, bytes;
};

/* The disk may take a tenth of a second to sync, in which queries go on: wakes commit without, and a thread
 * syncs for all that came while it did so before. Durable items go out in their order, none before what was
 * promised earlier is on the disk. */
struct syncer {
    struct cf_pool *pool;         /* NULL without a journal */
    bool busy;                    /* from a sync's start until the loop hears of its end */
    size_t stale;                 /* ends to be heard of from journals that are gone */
    struct held syncing, waiting; /* for the sync under way, for the next one */
    enum cf_err err;
    struct cf_detail detail;
};

struct cf_broker {
    struct cf_loop *loop;
    const struct cf_home *home;
    const struct cf_config *config;
    struct cf_socket *clients, *workers, *events;
    struct cf_core *core;
    struct cf_journal *journal; /* NULL while it cannot be opened */
    struct cf_out out;
    struct syncer syncer;
    struct cf_arena *arena; /* of one message */
    struct cf_buf frame;    /* of one message on its way out */
    struct lost *lost;
    size_t lost_count, lost_capacity;
    uint64_t disk_ms, reopen_ms; /* when to do it next */
    bool refusing;
    struct cf_str roots[CF_CONFIG_LIST_MAX];
    char data[CF_HOME_PATH_MAX];
};

static struct cf_now now_of(uint64_t mono_ms)
{
    return (struct cf_now){mono_ms, cf_clock_wall_ms()};
}

/* ---- sending ---- */

static void lose(struct cf_broker *broker, struct cf_bytes peer)
{
    if (broker->lost_count == CF_CORE_WORKERS_MAX || peer.len > PEER_BYTES_MAX)
        return; /* its heartbeat will end it */
    if (broker->lost_count == broker->lost_capacity) {
        size_t capacity = broker->lost_capacity ? broker->lost_capacity * 2 : 16;
        struct lost *lost = realloc(broker->lost, capacity * sizeof *lost);
        if (!lost)
            return;
        broker->lost = lost;
        broker->lost_capacity = capacity;
    }
    struct lost *lost = &broker->lost[broker->lost_count++];
    memcpy(lost->peer, peer.data, peer.len);
    lost->peer_len = peer.len;
}

static void log_unsent(const struct cf_out_item *item, enum cf_err err, const struct cf_detail *detail)
{
    cf_log(CF_LOG_WARN, "message_not_sent", "kind=%s to=%s reason=%s detail=\"%s\"",
           cf_kind_name(item->msg.kind), item->to == CF_OUT_CLIENT ? "client" : "worker", cf_err_name(err),
           detail->text);
}

static void send_event(struct cf_broker *broker, const struct cf_out_item *item)
{
    const struct cf_str name = item->msg.event.event;
    const struct cf_bytes frames[] = {{(const uint8_t *)name.data, name.len}, cf_buf_bytes(&broker->frame)};
    enum cf_err err = cf_socket_send(broker->events, frames, 2);
    if (err)
        log_unsent(item, err, &(struct cf_detail){{0}});
}

static void send_item(struct cf_broker *broker, const struct cf_out_item *item)
{
    struct cf_detail detail = {0};
    enum cf_err err = CF_OK;
    cf_buf_clear(&broker->frame);
    if (!item->raw)
        err = cf_msg_encode(&item->msg, &broker->frame, &detail);
    if (err) {
        log_unsent(item, err, &detail);
        return;
    }
    if (item->to == CF_OUT_EVENT) {
        send_event(broker, item);
        return;
    }
    const struct cf_bytes first = item->raw ? item->body : cf_buf_bytes(&broker->frame);
    const struct cf_bytes frames[] = {item->peer, first, item->body};
    size_t count = !item->raw && item->body.len ? 3 : 2;
    err = cf_socket_send(item->to == CF_OUT_CLIENT ? broker->clients : broker->workers, frames, count);
    if (err)
        log_unsent(item, err, &detail);
    if (err && item->to == CF_OUT_WORKER)
        lose(broker, item->peer);
}

static void log_event(const struct cf_event *event)
{
    if (cf_str_is(event->event, "dead"))
        cf_log(CF_LOG_WARN, "job_dead", "album=\"%.*s\" reason=%.*s worker=%.*s", CF_STR_ARG(event->album),
               CF_STR_ARG(event->error), CF_STR_ARG(event->worker));
    else if (cf_str_is(event->event, "joined") || cf_str_is(event->event, "left"))
        cf_log(CF_LOG_INFO, cf_str_is(event->event, "left") ? "worker_left" : "worker_joined", "worker=%.*s",
               CF_STR_ARG(event->worker));
    else if (cf_str_is(event->event, "published"))
        cf_log(CF_LOG_INFO, "index_published", "space=%.*s generation=%llu", CF_STR_ARG(event->space),
               (unsigned long long)event->generation);
}

static void send_all(struct cf_broker *broker, const struct cf_out *out, bool durable)
{
    for (size_t i = 0; i < out->count; i++) {
        const struct cf_out_item *item = &out->items[i];
        if (item->durable != durable)
            continue;
        if (item->to == CF_OUT_EVENT)
            log_event(&item->msg.event);
        send_item(broker, item);
    }
}

/* ---- when the journal fails ---- */

/* What would have been acknowledged is refused with the reason instead. */
static void refuse_item(struct cf_broker *broker, struct cf_out_item *item, enum cf_err err,
                        const struct cf_detail *detail)
{
    if (item->msg.kind != CF_KIND_PUSH_OK && item->msg.kind != CF_KIND_REMOVE_OK) {
        item->msg = cf_msg_error(item->msg.id, err, detail);
        send_item(broker, item);
        return;
    }
    for (size_t i = 0; i < item->msg.results.result_count; i++) {
        struct cf_result *result = &item->msg.results.results[i];
        if (result->status != CF_PUSH_REFUSED)
            *result = (struct cf_result){
                .status = CF_PUSH_REFUSED, .error = cf_str(cf_err_name(err)), .detail = cf_str(detail->text)};
    }
    send_item(broker, item);
}

static void refuse_all(struct cf_broker *broker, struct cf_out *out, enum cf_err err,
                       const struct cf_detail *detail)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->items[i].durable && out->items[i].to == CF_OUT_CLIENT)
            refuse_item(broker, &out->items[i], err, detail);
}

/* ---- waiting for the disk ---- */

/* On the thread of its own. */
static void sync_journal(void *arg, void *item)
{
    struct cf_broker *broker = arg;
    struct syncer *syncer = item;
    syncer->err = cf_journal_sync(broker->journal, &syncer->detail);
}

/* Sent, or refused for that reason. */
static void let_go(struct cf_broker *broker, struct held *held, enum cf_err err,
                   const struct cf_detail *detail)
{
    for (size_t i = 0; i < held->count; i++) {
        if (err)
            refuse_all(broker, &held->outs[i], err, detail);
        else
            send_all(broker, &held->outs[i], true);
        cf_out_fini(&held->outs[i]);
    }
    held->count = held->bytes = 0;
}

/* All that waits, after a sync here and now. */
static enum cf_err settle(struct cf_broker *broker, struct cf_detail *detail)
{
    struct syncer *syncer = &broker->syncer;
    if (syncer->syncing.count + syncer->waiting.count == 0)
        return CF_OK;
    enum cf_err err = cf_journal_sync(broker->journal, detail);
    let_go(broker, &syncer->syncing, err, detail);
    let_go(broker, &syncer->waiting, err, detail);
    return err;
}

static void start_sync(struct syncer *syncer)
{
    if (syncer->busy || syncer->waiting.count == 0)
        return;
    struct held idle = syncer->syncing;
    syncer->syncing = syncer->waiting;
    syncer->waiting = idle;
    syncer->busy = true;
    enum cf_err err = cf_pool_submit(syncer->pool, syncer);
    CF_CHECK(err == CF_OK); /* there is room for the only one */
}

/* Takes what this wake has to say, or else fails without memory. */
static enum cf_err hold(struct cf_broker *broker)
{
    struct held *held = &broker->syncer.waiting;
    struct cf_out fresh;
    if (held->count == held->capacity) {
        size_t capacity = held->capacity ? 2 * held->capacity : 16;
        struct cf_out *outs = realloc(held->outs, capacity * sizeof *outs);
        if (!outs)
            return CF_E_NO_MEMORY;
        held->outs = outs;
        held->capacity = capacity;
    }
    if (cf_out_init(&fresh))
        return CF_E_NO_MEMORY;
    held->bytes += cf_arena_size(broker->out.arena);
    held->outs[held->count++] = broker->out;
    broker->out = fresh;
    return CF_OK;
}

static bool has_durable(const struct cf_out *out)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->items[i].durable)
            return true;
    return false;
}

/* What was committed without sync is told once it is on the disk. */
static enum cf_err tell_durable(struct cf_broker *broker, struct cf_detail *detail)
{
    struct syncer *syncer = &broker->syncer;
    bool waits = syncer->syncing.count + syncer->waiting.count > 0;
    if (!broker->journal || (!broker->out.sync && !waits)) {
        send_all(broker, &broker->out, true);
        return CF_OK;
    }
    if (!broker->out.sync && !has_durable(&broker->out))
        return CF_OK;
    if (hold(broker) != CF_OK) { /* then it is told the slow way */
        enum cf_err err = cf_journal_sync(broker->journal, detail);
        if (!err)
            err = settle(broker, detail);
        if (!err)
            send_all(broker, &broker->out, true);
        return err;
    }
    if (syncer->waiting.bytes >= BATCH_BYTES_MAX)
        return settle(broker, detail);
    start_sync(syncer);
    return CF_OK;
}

static void close_journal(struct cf_broker *broker)
{
    struct syncer *syncer = &broker->syncer;
    cf_pool_free(syncer->pool);
    syncer->pool = NULL;
    syncer->stale += syncer->busy;
    syncer->busy = false;
    cf_journal_free(broker->journal);
    broker->journal = NULL;
}

/* What was committed before and reaches the disk is not refused for what came after it. */
static void undo(struct cf_broker *broker, struct cf_now now, enum cf_err err, const struct cf_detail *detail)
{
    cf_log(CF_LOG_ERROR, "journal_failed", "reason=%s detail=\"%s\"", cf_err_name(err), detail->text);
    if (broker->journal)
        (void)settle(broker, &(struct cf_detail){{0}});
    refuse_all(broker, &broker->out, err, detail);
    cf_out_reset(&broker->out);
    close_journal(broker);
    broker->reopen_ms = now.mono_ms + REOPEN_MS;
    cf_core_unload(broker->core, now, err, detail, &broker->out);
    send_all(broker, &broker->out, false);
    cf_out_reset(&broker->out);
}

static void on_synced(void *arg, void *item)
{
    struct cf_broker *broker = arg;
    struct syncer *syncer = item;
    if (syncer->stale) {
        syncer->stale--;
        return;
    }
    syncer->busy = false;
    if (syncer->err) {
        const struct cf_detail detail = syncer->detail;
        undo(broker, now_of(cf_clock_mono_ms()), syncer->err, &detail);
        return;
    }
    let_go(broker, &syncer->syncing, CF_OK, NULL);
    start_sync(syncer);
}

/* The store is called only while the core is loaded, that is, while there is a journal. */
static enum cf_err open_journal(struct cf_broker *broker, struct cf_now now, struct cf_detail *detail)
{
    enum cf_err err = cf_journal_open(broker->home, now.wall_ms, &broker->journal, detail);
    if (err)
        return err;
    const struct cf_store store = cf_journal_store(broker->journal);
    cf_core_set_store(broker->core, &store);
    err = cf_pool_new(broker->loop, 1, 1, sync_journal, broker, &broker->syncer.pool, detail);
    if (!err)
        err = cf_core_load(broker->core, now, &broker->out, detail);
    if (err)
        close_journal(broker);
    return err;
}

static void reopen(struct cf_broker *broker, struct cf_now now)
{
    struct cf_detail detail = {0};
    if (broker->journal || now.mono_ms < broker->reopen_ms)
        return;
    enum cf_err err = open_journal(broker, now, &detail);
    if (err) {
        broker->reopen_ms = now.mono_ms + REOPEN_MS;
        cf_log(CF_LOG_ERROR, "journal_not_opened", "reason=%s detail=\"%s\"", cf_err_name(err), detail.text);
        return;
    }
    cf_log(CF_LOG_INFO, "journal_opened", "home=\"%s\"", broker->home->root);
}

/* ---- the wake ---- */

static void poll_disk(struct cf_broker *broker, struct cf_now now)
{
    uint64_t bytes = 0;
    struct cf_detail detail = {0};
    if (now.mono_ms < broker->disk_ms)
        return;
    broker->disk_ms = now.mono_ms + DISK_POLL_MS;
    enum cf_err err = cf_file_disk_free(broker->data, &bytes, &detail);
    if (err) {
        cf_log(CF_LOG_ERROR, "disk_free_unknown", "reason=%s detail=\"%s\"", cf_err_name(err), detail.text);
        return;
    }
    cf_core_disk_free(broker->core, bytes);
    bool refusing = bytes < (uint64_t)broker->config->broker_disk_reserve_bytes;
    if (refusing != broker->refusing)
        cf_log(refusing ? CF_LOG_WARN : CF_LOG_INFO, refusing ? "disk_full" : "disk_free", "free_bytes=%llu",
               (unsigned long long)bytes);
    broker->refusing = refusing;
}

static void tell_lost(struct cf_broker *broker, struct cf_now now)
{
    for (size_t i = 0; i < broker->lost_count; i++)
        cf_core_unreachable(broker->core, now,
                            (struct cf_bytes){broker->lost[i].peer, broker->lost[i].peer_len}, &broker->out);
    broker->lost_count = 0;
}

/* Runs the core, commits, carries out. Returns the milliseconds until the next time. */
static uint64_t wake_end(struct cf_broker *broker, struct cf_now now)
{
    struct cf_detail detail = {0};
    uint64_t wait_ms = cf_core_run(broker->core, now, &broker->out);
    send_all(broker, &broker->out, false);
    enum cf_err err = broker->out.err;
    if (err)
        detail = broker->out.detail;
    else if (broker->journal)
        err = cf_journal_commit(broker->journal, false, &detail);
    if (!err)
        err = tell_durable(broker, &detail);
    if (err)
        undo(broker, now, err, &detail);
    cf_out_reset(&broker->out);
    tell_lost(broker, now);
    return broker->out.count ? 0 : wait_ms;
}

static uint64_t on_tick(void *arg, uint64_t mono_ms)
{
    struct cf_broker *broker = arg;
    struct cf_now now = now_of(mono_ms);
    poll_disk(broker, now);
    uint64_t wait_ms = wake_end(broker, now);
    reopen(broker, now_of(cf_clock_mono_ms()));
    return broker->out.count ? 0 : wait_ms;
}

/* What a wake holds in memory is bounded: a big batch is committed, and its replies sent, before the wake has
 * read all that waits. */
static void end_early(struct cf_broker *broker, struct cf_now now)
{
    size_t bytes = cf_arena_size(broker->out.arena) + broker->out.count * sizeof *broker->out.items;
    if (broker->journal)
        bytes += cf_journal_batch_bytes(broker->journal);
    if (bytes >= BATCH_BYTES_MAX)
        (void)wake_end(broker, now);
}

/* A walk through the journal commits what is open. What waits for that commit is held first, so that a
 * failure later in the wake cannot refuse what is on disk. */
static void commit_before_walk(struct cf_broker *broker, struct cf_now now)
{
    if (cf_journal_batch_bytes(broker->journal))
        (void)wake_end(broker, now);
}

static bool may_walk(enum cf_kind kind)
{
    return kind == CF_KIND_QUEUE || kind == CF_KIND_PUBLISHED;
}

/* ---- receiving ---- */

/* Routing id, message, and from workers perhaps a body. */
static enum cf_err read_message(struct cf_broker *broker, const struct cf_frames *frames, size_t count_max,
                                struct cf_msg *msg, struct cf_detail *detail)
{
    cf_arena_reset(broker->arena);
    msg->id = 0;
    if (frames->truncated || frames->count < 2 || frames->count > count_max)
        return cf_fail(detail, CF_E_INVALID, "a message of %zu frames: it must be %s", frames->count - 1,
                       count_max == 2 ? "one" : "one or two");
    return cf_msg_decode(frames->frame[1], broker->arena, msg, detail);
}

static void receive(struct cf_broker *broker, const struct cf_frames *frames, enum cf_out_to from)
{
    struct cf_msg msg;
    struct cf_detail detail = {0};
    struct cf_now now = now_of(cf_clock_mono_ms());
    struct cf_bytes peer = frames->frame[0];
    enum cf_err err = read_message(broker, frames, from == CF_OUT_CLIENT ? 2 : 3, &msg, &detail);
    if (err) {
        cf_log(CF_LOG_WARN, "bad_message", "from=%s reason=%s detail=\"%s\"",
               from == CF_OUT_CLIENT ? "client" : "worker", cf_err_name(err), detail.text);
        cf_core_bad(broker->core, from, peer, msg.id, err, &detail, &broker->out);
        return;
    }
    if (may_walk(msg.kind) && broker->journal)
        commit_before_walk(broker, now);
    if (from == CF_OUT_CLIENT)
        cf_core_client(broker->core, now, peer, &msg, frames->frame[1], &broker->out);
    else
        cf_core_worker(broker->core, now, peer, &msg,
                       frames->count > 2 ? frames->frame[2] : (struct cf_bytes){0}, &broker->out);
    end_early(broker, now);
}

static void on_client(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    (void)socket;
    receive(arg, frames, CF_OUT_CLIENT);
}

static void on_worker(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    (void)socket;
    receive(arg, frames, CF_OUT_WORKER);
}

/* ---- life ---- */

/* A picture must fit a lease with all that goes with it. */
static void limit_pictures(struct cf_core_config *core, const struct cf_config *config)
{
    uint64_t message = (uint64_t)config->broker_message_bytes_max, image = (uint64_t)config->image_bytes_max;
    uint64_t room = message > 2 * ENVELOPE_BYTES ? message - ENVELOPE_BYTES : message / 2;
    core->image_bytes_max = image < room ? image : room;
    core->image_limit =
        cf_str(image < room ? "image.bytes_max" : "what broker.message_bytes_max leaves for a picture");
}

static enum cf_err new_core(struct cf_broker *broker, struct cf_now now, struct cf_detail *detail)
{
    const struct cf_config *config = broker->config;
    const struct cf_store none = {0};
    struct cf_core_config core = {
        .queue_jobs_max = (uint64_t)config->broker_queue_jobs_max,
        .queue_bytes_max = (uint64_t)config->broker_queue_bytes_max,
        .lease_ms = (uint64_t)config->broker_lease_ms,
        .attempts_max = (uint64_t)config->broker_attempts_max,
        .retry_base_ms = (uint64_t)config->broker_retry_base_ms,
        .retry_cap_ms = (uint64_t)config->broker_retry_cap_ms,
        .heartbeat_ms = (uint64_t)config->broker_heartbeat_ms,
        .heartbeat_timeout_ms = (uint64_t)config->broker_heartbeat_timeout_ms,
        .disk_reserve_bytes = (uint64_t)config->broker_disk_reserve_bytes,
        .query_deadline_ms = (uint64_t)config->broker_query_deadline_ms,
        .query_outstanding_max = (uint64_t)config->broker_query_outstanding_max,
        .query_waiting_max = (uint64_t)config->broker_query_waiting_max,
        .lease_bytes_max = (uint64_t)config->broker_message_bytes_max,
        .query_bytes_max = 4 * (uint64_t)config->broker_message_bytes_max,
        .quarantine_max = CF_CORE_QUARANTINE_MAX,
        .roots = broker->roots,
        .root_count = config->root_count,
        .version = cf_str(CF_VERSION),
        .seed = now.wall_ms,
    };
    for (size_t i = 0; i < config->root_count; i++)
        broker->roots[i] = cf_str(config->roots[i]);
    limit_pictures(&core, config);
    enum cf_err err = cf_core_spaces(config, &core, detail);
    if (err)
        return err;
    if (cf_core_new(&core, &none, now, &broker->core))
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    return CF_OK;
}

static enum cf_err open_socket(struct cf_broker *broker, struct cf_loop *loop, enum cf_socket_type type,
                               cf_on_message *on_message, char endpoints[][CF_CONFIG_TEXT_MAX], size_t count,
                               struct cf_socket **socket, struct cf_detail *detail)
{
    const struct cf_socket_options options = {
        .type = type,
        .message_bytes_max = (size_t)broker->config->broker_message_bytes_max,
        .high_water_mark = type == CF_SOCKET_PUB     ? EVENT_HIGH_WATER_MARK
                           : on_message == on_client ? CLIENT_HIGH_WATER_MARK
                                                     : HIGH_WATER_MARK,
        .inbound_mark = on_message == on_client ? INBOUND_MARK : 0,
        .send_bytes_max = on_message == on_client ? CLIENT_SEND_BYTES_MAX : 0,
        .on_message = on_message,
        .arg = broker,
    };
    enum cf_err err = cf_socket_open(loop, &options, socket, detail);
    for (size_t i = 0; !err && i < count; i++)
        err = cf_socket_bind(*socket, endpoints[i], detail);
    return err;
}

static enum cf_err open_sockets(struct cf_broker *broker, struct cf_loop *loop, struct cf_detail *detail)
{
    struct cf_config config = *broker->config;
    enum cf_err err = open_socket(broker, loop, CF_SOCKET_PUB, NULL, config.event_endpoints,
                                  config.event_endpoint_count, &broker->events, detail);
    if (!err)
        err = open_socket(broker, loop, CF_SOCKET_ROUTER, on_worker, config.worker_endpoints,
                          config.worker_endpoint_count, &broker->workers, detail);
    if (!err)
        err = open_socket(broker, loop, CF_SOCKET_ROUTER, on_client, config.client_endpoints,
                          config.client_endpoint_count, &broker->clients, detail);
    return err;
}

static enum cf_err broker_init(struct cf_broker *broker, struct cf_loop *loop, struct cf_detail *detail)
{
    struct cf_now now = now_of(cf_clock_mono_ms());
    cf_buf_init(&broker->frame);
    broker->arena = cf_arena_new();
    if (!broker->arena || cf_out_init(&broker->out))
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    enum cf_err err = cf_home_path(broker->home, broker->data, sizeof broker->data, detail, "data");
    if (!err)
        err = new_core(broker, now, detail);
    if (!err)
        err = open_journal(broker, now, detail);
    /* A full disk is no reason not to serve queries and say so; anything else is for the operator to see at
     * once. */
    if (err == CF_E_DISK_FULL) {
        cf_log(CF_LOG_ERROR, "journal_not_opened", "reason=%s detail=\"%s\"", cf_err_name(err), detail->text);
        broker->reopen_ms = now.mono_ms + REOPEN_MS;
        cf_core_unload(broker->core, now, err, detail, &broker->out);
        err = CF_OK;
    }
    if (!err)
        err = open_sockets(broker, loop, detail);
    if (!err)
        cf_loop_on_tick(loop, on_tick, broker);
    if (!err)
        cf_loop_on_post(loop, on_synced, broker);
    return err;
}

enum cf_err cf_broker_new(struct cf_loop *loop, const struct cf_home *home, const struct cf_config *config,
                          struct cf_broker **out, struct cf_detail *detail)
{
    struct cf_broker *broker = calloc(1, sizeof *broker);
    if (!broker)
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    broker->loop = loop;
    broker->home = home;
    broker->config = config;
    enum cf_err err = broker_init(broker, loop, detail);
    if (err) {
        cf_broker_free(broker);
        return err;
    }
    *out = broker;
    return CF_OK;
}

void cf_broker_free(struct cf_broker *broker)
{
    if (!broker)
        return;
    if (broker->core && broker->out.arena)
        (void)wake_end(broker, now_of(cf_clock_mono_ms()));
    if (broker->journal)
        (void)settle(broker, &(struct cf_detail){{0}});
    cf_core_free(broker->core);
    close_journal(broker);
    free(broker->syncer.syncing.outs);
    free(broker->syncer.waiting.outs);
    cf_out_fini(&broker->out);
    cf_arena_free(broker->arena);
    cf_buf_fini(&broker->frame);
    free(broker->lost);
    free(broker);
}
