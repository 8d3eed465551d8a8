#include "workers/descriptor/role.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/descriptor/space.h"

enum {
    FLUSH_MS = 20,
    IDLE_MS = 500,
    RETRY_FIRST_MS = 250,
    RETRY_LAST_MS = 4000,
    SPARE_BATCHES_MAX = 4,
    SLICE_EVERY_MS = 1000,
    LOOK_MS = 1000
};

struct cf_descriptor {
    const struct cf_config *config;
    const char *name;
    struct cf_describing *describing;
    struct cf_pool *pool;
    struct cf_arena *arena; /* of the message being put together */
    uint64_t session;       /* counts registrations */
    /* Leased and waiting, a ring of twice the credit; the broker never needs more. */
    struct cf_cover **waiting;
    size_t waiting_first, waiting_count, waiting_capacity;
    /* Told and done, for the next lease: in the steady state nothing is allocated. */
    struct cf_cover *spare_covers;
    struct cf_cover_batch *spare_batches;
    size_t spare_cover_count, spare_batch_count;
    bool busy; /* one batch is at the compute thread */
    /* Settled and to be told, oldest first. */
    struct cf_cover_batch *outbox, **outbox_end;
    /* The shard refuses writes, or files cannot be read: no credit, and tried again at retry_at_ms. */
    bool refusing, told;
    uint64_t retry_at_ms, retry_ms;
    enum cf_err fatal;
    /* An order to describe again: its slices, the compute thread's while `slicing`. */
    struct cf_redescribing *redescribing; /* NULL: orders are not obeyed */
    struct cf_redescribe_slice slice;
    struct cf_redescribe_order order; /* the newest; without its spaces */
    bool wanted[CF_SPACE_COUNT];
    bool slicing;
    uint64_t slice_due_ms, sliced_ms;
    struct cf_redescribe_shard told_shards[CF_REDESCRIBE_SHARDS_MAX]; /* of the last slice */
    char told_names[CF_REDESCRIBE_SHARDS_MAX][CF_REDESCRIBE_NAME_BYTES];
    size_t told_count;
    uint64_t told_order;
    bool told_adopts;
    bool stale; /* the home has other models than this process */
    uint64_t look_ms;
};

static void work(void *arg, void *item)
{
    struct cf_descriptor *descriptor = arg;
    if (item == &descriptor->slice)
        cf_redescribing_run(descriptor->redescribing, &descriptor->slice);
    else
        cf_describing_run(descriptor->describing, item);
}

void cf_descriptor_redescribes(struct cf_descriptor *descriptor, struct cf_redescribing *redescribing)
{
    descriptor->redescribing = redescribing;
}

enum cf_err cf_descriptor_new(struct cf_loop *loop, const struct cf_config *config,
                              struct cf_describing *describing, const char *name, struct cf_descriptor **out,
                              struct cf_detail *detail)
{
    struct cf_descriptor *descriptor = calloc(1, sizeof *descriptor);
    if (!descriptor)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a descriptor worker");
    descriptor->config = config;
    descriptor->name = name;
    descriptor->describing = describing;
    descriptor->outbox_end = &descriptor->outbox;
    descriptor->waiting_capacity = 2 * (size_t)config->descriptor_credit;
    descriptor->waiting = calloc(descriptor->waiting_capacity, sizeof *descriptor->waiting);
    descriptor->arena = cf_arena_new();
    enum cf_err err = descriptor->waiting && descriptor->arena
                          ? CF_OK
                          : cf_fail(detail, CF_E_NO_MEMORY, "no memory for a descriptor worker");
    if (err == CF_OK)
        err = cf_pool_new(loop, 1, 2, work, descriptor, &descriptor->pool, detail);
    if (err != CF_OK) {
        cf_descriptor_free(descriptor);
        return err;
    }
    *out = descriptor;
    return CF_OK;
}

static struct cf_cover *take_waiting(struct cf_descriptor *descriptor)
{
    struct cf_cover *cover = descriptor->waiting[descriptor->waiting_first];
    descriptor->waiting_first = (descriptor->waiting_first + 1) % descriptor->waiting_capacity;
    descriptor->waiting_count--;
    return cover;
}

/* ---- memory ---- */

static void recycle(struct cf_descriptor *descriptor, struct cf_cover *cover)
{
    if (descriptor->spare_cover_count == descriptor->waiting_capacity) {
        cf_cover_free(cover);
        return;
    }
    cover->next = descriptor->spare_covers;
    descriptor->spare_covers = cover;
    descriptor->spare_cover_count++;
}

static enum cf_err new_cover(struct cf_descriptor *descriptor, const struct cf_job *job, uint64_t leased_ms,
                             struct cf_cover **out)
{
    struct cf_cover *cover = descriptor->spare_covers;
    if (!cover)
        return cf_cover_new(job, leased_ms, descriptor->session, out);
    descriptor->spare_covers = cover->next;
    descriptor->spare_cover_count--;
    enum cf_err err = cf_cover_renew(cover, job, leased_ms, descriptor->session);
    if (err == CF_OK)
        *out = cover;
    else
        cf_cover_free(cover);
    return err;
}

/* For `count` covers and, so that it is of use again, for as many as any ordinary batch has. NULL when memory
 * is short. */
static struct cf_cover_batch *new_batch(struct cf_descriptor *descriptor, size_t count)
{
    size_t usual = (size_t)descriptor->config->descriptor_batch_albums_max;
    struct cf_cover_batch *batch = descriptor->spare_batches;
    if (count > usual || !batch)
        return cf_cover_batch_new(count > usual ? count : usual);
    size_t capacity = batch->capacity;
    descriptor->spare_batches = batch->next;
    descriptor->spare_batch_count--;
    memset(batch, 0, sizeof *batch);
    batch->capacity = capacity;
    return batch;
}

static void free_batch(struct cf_descriptor *descriptor, struct cf_cover_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        recycle(descriptor, batch->covers[i]);
    batch->count = 0;
    if (descriptor->spare_batch_count == SPARE_BATCHES_MAX ||
        batch->capacity != (size_t)descriptor->config->descriptor_batch_albums_max) {
        cf_cover_batch_free(batch);
        return;
    }
    batch->next = descriptor->spare_batches;
    descriptor->spare_batches = batch;
    descriptor->spare_batch_count++;
}

static void free_spares(struct cf_descriptor *descriptor)
{
    while (descriptor->spare_covers) {
        struct cf_cover *cover = descriptor->spare_covers;
        descriptor->spare_covers = cover->next;
        cf_cover_free(cover);
    }
    while (descriptor->spare_batches) {
        struct cf_cover_batch *batch = descriptor->spare_batches;
        descriptor->spare_batches = batch->next;
        cf_cover_batch_free(batch);
    }
}

static void drop_waiting(struct cf_descriptor *descriptor)
{
    while (descriptor->waiting_count)
        recycle(descriptor, take_waiting(descriptor));
}

static void pop_outbox(struct cf_descriptor *descriptor)
{
    struct cf_cover_batch *batch = descriptor->outbox;
    descriptor->outbox = batch->next;
    if (!descriptor->outbox)
        descriptor->outbox_end = &descriptor->outbox;
    free_batch(descriptor, batch);
}

void cf_descriptor_free(struct cf_descriptor *descriptor)
{
    if (!descriptor)
        return;
    cf_pool_free(descriptor->pool);
    drop_waiting(descriptor);
    while (descriptor->outbox)
        pop_outbox(descriptor);
    free_spares(descriptor);
    cf_arena_free(descriptor->arena);
    free(descriptor->waiting);
    free(descriptor);
}

enum cf_err cf_descriptor_fatal(const struct cf_descriptor *descriptor)
{
    return descriptor->fatal;
}

/* ---- telling ---- */

static void fill_done(const struct cf_descriptor *descriptor, const struct cf_cover *cover,
                      struct cf_done *done)
{
    done->items[done->item_count++] = (struct cf_done_item){
        .version = cover->job.version,
        .album = cover->job.album,
        .shard = cf_str(descriptor->name),
        .log_seq = cover->log_seq,
        .constant = (cover->flags & CF_FLAG_CONSTANT) != 0,
        .partial = (cover->flags & CF_FLAG_PARTIAL) != 0,
        .warnings = cover->warnings,
        .warning_count = cover->warning_count,
    };
}

static void fill_failed(const struct cf_cover *cover, struct cf_failed *failed)
{
    failed->items[failed->item_count++] = (struct cf_failed_item){
        .version = cover->job.version,
        .album = cover->job.album,
        .error = cf_str(cf_err_name(cover->err)),
        .detail = cf_str(cover->detail.text),
        .permanent = cover->outcome == CF_OUTCOME_REFUSED,
        .counted = cover->outcome == CF_OUTCOME_ATTEMPTED ||
                   (cover->outcome == CF_OUTCOME_REFUSED && cover->err != CF_E_SUPERSEDED),
    };
}

/* What is at rest is worth telling whenever; a failure only to the registration that leased the job, because
 * the next one has leased it again by now. */
static enum cf_err tell(struct cf_descriptor *descriptor, struct cf_runner *runner,
                        struct cf_cover_batch *batch, struct cf_detail *detail)
{
    cf_arena_reset(descriptor->arena);
    struct cf_msg done = {.kind = CF_KIND_DONE}, failed = {.kind = CF_KIND_FAILED};
    done.done.items = cf_arena_alloc(descriptor->arena, batch->count, sizeof *done.done.items);
    failed.failed.items = cf_arena_alloc(descriptor->arena, batch->count, sizeof *failed.failed.items);
    if (!done.done.items || !failed.failed.items)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a report");
    for (size_t i = 0; i < batch->count; i++) {
        const struct cf_cover *cover = batch->covers[i];
        if (cover->outcome == CF_OUTCOME_DONE)
            fill_done(descriptor, cover, &done.done);
        else if (cover->session == descriptor->session)
            fill_failed(cover, &failed.failed);
    }
    enum cf_err err = CF_OK;
    if (done.done.item_count)
        err = cf_runner_send(runner, &done, (struct cf_bytes){0}, detail);
    if (err == CF_OK && failed.failed.item_count)
        err = cf_runner_send(runner, &failed, (struct cf_bytes){0}, detail);
    return err;
}

/* What cannot be sent now waits; telling something twice does no harm. */
static void flush(struct cf_descriptor *descriptor, struct cf_runner *runner)
{
    while (descriptor->outbox && cf_runner_is_registered(runner)) {
        struct cf_detail detail = {""};
        enum cf_err err = tell(descriptor, runner, descriptor->outbox, &detail);
        if (err == CF_E_BUSY || err == CF_E_UNREACHABLE || err == CF_E_NO_MEMORY)
            return;
        if (err != CF_OK) /* the lease runs out, and the broker leases the covers again */
            cf_log(CF_LOG_ERROR, "report_failed", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
        pop_outbox(descriptor);
    }
}

static void note_failures(const struct cf_cover_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct cf_cover *cover = batch->covers[i];
        if (cover->outcome == CF_OUTCOME_REFUSED || cover->outcome == CF_OUTCOME_ATTEMPTED)
            cf_log(CF_LOG_INFO, "cover_failed", "album=\"%.*s\" attempt=%llu error=%s detail=\"%s\"",
                   CF_STR_ARG(cover->job.album), (unsigned long long)cover->job.attempt,
                   cf_err_name(cover->err), cover->detail.text);
    }
}

static void push_outbox(struct cf_descriptor *descriptor, struct cf_cover_batch *batch)
{
    note_failures(batch);
    batch->next = NULL;
    *descriptor->outbox_end = batch;
    descriptor->outbox_end = &batch->next;
}

/* All that wait go back to the broker, free of charge. Short of memory they are dropped: their leases run
 * out. */
static void hand_back(struct cf_descriptor *descriptor, enum cf_err err, const char *why)
{
    struct cf_detail detail;
    (void)cf_fail(&detail, err, "%s", why);
    while (descriptor->waiting_count) {
        size_t count = descriptor->waiting_count < CF_BATCH_MAX ? descriptor->waiting_count : CF_BATCH_MAX;
        struct cf_cover_batch *batch = new_batch(descriptor, count);
        if (!batch) {
            drop_waiting(descriptor);
            return;
        }
        while (batch->count < count) {
            struct cf_cover *cover = take_waiting(descriptor);
            cf_cover_fail(cover, CF_OUTCOME_BACK, err, &detail);
            batch->covers[batch->count++] = cover;
        }
        push_outbox(descriptor, batch);
    }
}

/* ---- working ---- */

static void submit(struct cf_descriptor *descriptor, struct cf_cover_batch *batch)
{
    if (cf_pool_submit(descriptor->pool, batch) == CF_OK) {
        descriptor->busy = true;
        return;
    }
    for (size_t i = 0; i < batch->count; i++)
        cf_cover_fail(batch->covers[i], CF_OUTCOME_BACK, CF_E_BUSY, NULL);
    push_outbox(descriptor, batch);
}

/* ---- describing again ---- */

/* Fresh covers come first, but for a slice a second; and a look for other models comes before an order. */
static bool slice_is_due(const struct cf_descriptor *descriptor, uint64_t now_ms)
{
    if (descriptor->stale || descriptor->look_ms == 0)
        return false;
    if (!descriptor->redescribing || !descriptor->order.order || now_ms < descriptor->slice_due_ms)
        return false;
    return descriptor->waiting_count == 0 || now_ms >= descriptor->sliced_ms + SLICE_EVERY_MS;
}

static void submit_slice(struct cf_descriptor *descriptor)
{
    struct cf_redescribe_slice *slice = &descriptor->slice;
    slice->order = descriptor->order.order;
    slice->adopts = descriptor->order.adopts;
    memcpy(slice->spaces, descriptor->wanted, sizeof slice->spaces);
    descriptor->busy = descriptor->slicing = cf_pool_submit(descriptor->pool, slice) == CF_OK;
}

static void take_slice(struct cf_descriptor *descriptor, uint64_t now_ms)
{
    const struct cf_redescribe_slice *slice = &descriptor->slice;
    descriptor->slicing = false;
    descriptor->sliced_ms = now_ms;
    descriptor->slice_due_ms = now_ms + slice->pause_ms;
    descriptor->told_order = slice->order;
    descriptor->told_adopts = slice->adopts;
    descriptor->told_count = slice->part_count;
    for (size_t i = 0; i < slice->part_count; i++) {
        const struct cf_redescribe_part *part = &slice->parts[i];
        memcpy(descriptor->told_names[i], part->shard, sizeof part->shard);
        descriptor->told_shards[i] = (struct cf_redescribe_shard){.shard = cf_str(descriptor->told_names[i]),
                                                                  .total = part->total,
                                                                  .done = part->done,
                                                                  .no_thumbnail = part->no_thumbnail,
                                                                  .failed = part->failed,
                                                                  .finished = part->finished};
    }
}

static void take_order(struct cf_descriptor *descriptor, const struct cf_redescribe_order *order)
{
    descriptor->order = (struct cf_redescribe_order){.order = order->order, .adopts = order->adopts};
    descriptor->slice_due_ms = 0;
    descriptor->look_ms = 0; /* it may be for a model that came just now */
    memset(descriptor->wanted, 0, sizeof descriptor->wanted);
    for (size_t i = 0; i < order->space_count; i++)
        for (size_t space = cf_space_from(0); space < CF_SPACE_COUNT; space = cf_space_from(space + 1))
            if (cf_str_is(order->spaces[i], cf_spaces[space].name))
                descriptor->wanted[space] = true;
}

/* A process keeps the models of its start: one that finds others leaves, and its supervisor starts it anew.
 */
static bool leave_if_stale(struct cf_descriptor *descriptor, struct cf_runner *runner, uint64_t now_ms)
{
    if (descriptor->stale || now_ms < descriptor->look_ms)
        return descriptor->stale;
    descriptor->look_ms = now_ms + LOOK_MS;
    descriptor->stale = cf_spaces_are_stale();
    if (descriptor->stale) {
        cf_log(CF_LOG_INFO, "models_changed", "detail=\"the worker leaves, to be started with them\"");
        cf_runner_drain(runner);
    }
    return descriptor->stale;
}

static void on_heartbeat(void *arg, struct cf_heartbeat *heartbeat)
{
    struct cf_descriptor *descriptor = arg;
    heartbeat->redescribe_order = descriptor->told_order;
    heartbeat->adopts = descriptor->told_adopts;
    heartbeat->redescribed = descriptor->told_shards;
    heartbeat->redescribed_count = descriptor->told_count;
}

/* Keeps the compute thread busy: what waits becomes the next batch as soon as the last one is back. */
static void pump(struct cf_descriptor *descriptor)
{
    if (descriptor->busy || descriptor->refusing)
        return;
    if (slice_is_due(descriptor, cf_clock_mono_ms()))
        submit_slice(descriptor);
    if (descriptor->busy || descriptor->waiting_count == 0)
        return;
    size_t count = descriptor->waiting_count, max = (size_t)descriptor->config->descriptor_batch_albums_max;
    if (count > max)
        count = max;
    struct cf_cover_batch *batch = new_batch(descriptor, count);
    if (!batch)
        return; /* tried again by the next tick */
    while (batch->count < count)
        batch->covers[batch->count++] = take_waiting(descriptor);
    submit(descriptor, batch);
}

static uint64_t credit(const struct cf_descriptor *descriptor)
{
    if (descriptor->refusing || descriptor->fatal != CF_OK)
        return 0;
    /* After trouble one cover is the probe. */
    return descriptor->retry_ms ? 1 : (uint64_t)descriptor->config->descriptor_credit;
}

static void tell_credit(struct cf_descriptor *descriptor, struct cf_runner *runner)
{
    /* Not registered or a full socket: the next registration tells it, or the broker finds its leases
     * unanswered. */
    if (cf_runner_ready(runner, credit(descriptor)) != CF_OK)
        cf_log(CF_LOG_DEBUG, "credit_not_told", "credit=%llu", (unsigned long long)credit(descriptor));
}

static void tell_trouble(struct cf_descriptor *descriptor, const char *event, enum cf_err err,
                         const struct cf_detail *detail)
{
    if (!descriptor->told)
        cf_log(CF_LOG_ERROR, event, "shard=%s error=%s detail=\"%s\"", descriptor->name, cf_err_name(err),
               detail->text);
    descriptor->told = true;
}

static void begin_refusing(struct cf_descriptor *descriptor, struct cf_runner *runner, enum cf_err err,
                           const struct cf_detail *detail)
{
    descriptor->refusing = true;
    descriptor->retry_ms = descriptor->retry_ms ? 2 * descriptor->retry_ms : RETRY_FIRST_MS;
    if (descriptor->retry_ms > RETRY_LAST_MS)
        descriptor->retry_ms = RETRY_LAST_MS;
    descriptor->retry_at_ms = cf_clock_mono_ms() + descriptor->retry_ms;
    hand_back(descriptor, err, detail->text);
    tell_credit(descriptor, runner);
}

static void end_refusing(struct cf_descriptor *descriptor, struct cf_runner *runner,
                         const struct cf_cover_batch *batch)
{
    bool was_careful = descriptor->retry_ms != 0;
    if (batch->committed && was_careful) {
        cf_log(CF_LOG_INFO, "worker_goes_on", "shard=%s", descriptor->name);
        descriptor->retry_ms = 0;
        descriptor->told = false;
    }
    if (descriptor->refusing || (batch->committed && was_careful)) {
        descriptor->refusing = false;
        tell_credit(descriptor, runner);
    }
}

/* Trouble that is no cover's makes the worker pause; a batch without any ends the pause. */
static void judge(struct cf_descriptor *descriptor, struct cf_runner *runner,
                  const struct cf_cover_batch *batch)
{
    if (batch->store_err != CF_OK) {
        tell_trouble(descriptor, "shard_refuses_writes", batch->store_err, &batch->detail);
        begin_refusing(descriptor, runner, batch->store_err, &batch->detail);
    } else if (batch->files_err != CF_OK) {
        tell_trouble(descriptor, "files_unreadable", batch->files_err, &batch->files_detail);
        begin_refusing(descriptor, runner, batch->files_err, &batch->files_detail);
    } else {
        end_refusing(descriptor, runner, batch);
    }
}

/* Opens the shard again, with an empty batch. */
static void retry(struct cf_descriptor *descriptor)
{
    struct cf_cover_batch *batch = new_batch(descriptor, 0);
    if (batch)
        submit(descriptor, batch);
}

/* ---- what the runner calls ---- */

static void on_registered(void *arg, struct cf_runner *runner)
{
    struct cf_descriptor *descriptor = arg;
    descriptor->session++;
    drop_waiting(descriptor); /* the broker leases them again */
    flush(descriptor, runner);
    tell_credit(descriptor, runner);
}

static void take_job(struct cf_descriptor *descriptor, const struct cf_job *job, uint64_t now_ms)
{
    struct cf_cover *cover = NULL;
    if (descriptor->waiting_count == descriptor->waiting_capacity)
        hand_back(descriptor, CF_E_BUSY, "more covers were leased than the worker asked for");
    if (new_cover(descriptor, job, now_ms, &cover) != CF_OK) {
        cf_log(CF_LOG_WARN, "lease_dropped", "album=\"%.*s\" error=no_memory", CF_STR_ARG(job->album));
        return; /* the lease runs out */
    }
    size_t last = (descriptor->waiting_first + descriptor->waiting_count++) % descriptor->waiting_capacity;
    descriptor->waiting[last] = cover;
}

static void on_message(void *arg, struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body)
{
    (void)body;
    struct cf_descriptor *descriptor = arg;
    if (msg->kind == CF_KIND_REDESCRIBE_ORDER) {
        descriptor->look_ms = 0; /* what it does it does with the models that were there when it was given */
        if (leave_if_stale(descriptor, runner, cf_clock_mono_ms()))
            return;
        take_order(descriptor, &msg->redescribe_order);
        pump(descriptor);
    }
    if (msg->kind != CF_KIND_LEASE)
        return;
    uint64_t now_ms = cf_clock_mono_ms();
    for (size_t i = 0; i < msg->lease.job_count; i++)
        take_job(descriptor, &msg->lease.jobs[i], now_ms);
    if (descriptor->refusing || descriptor->fatal != CF_OK)
        hand_back(descriptor, CF_E_BUSY, "the worker takes no covers now");
    if (cf_runner_is_draining(runner))
        hand_back(descriptor, CF_E_SHUTTING_DOWN, "the worker is leaving");
    pump(descriptor);
    flush(descriptor, runner);
}

/* What was not settled is a batch of its own. NULL with `*rest` unchanged when memory is short: then all is
 * told at once, and the unsettled ones go back. */
static struct cf_cover_batch *split(struct cf_descriptor *descriptor, struct cf_cover_batch *batch)
{
    size_t count = batch->count - batch->settled;
    struct cf_cover_batch *rest = count ? new_batch(descriptor, count) : NULL;
    if (rest) {
        memcpy(rest->covers, batch->covers + batch->settled, count * sizeof batch->covers[0]);
        rest->count = count;
        batch->count = batch->settled;
    }
    for (size_t i = batch->settled; i < batch->count; i++)
        cf_cover_fail(batch->covers[i], CF_OUTCOME_BACK, CF_E_NO_MEMORY, NULL);
    return rest;
}

/* The slow rest of a batch: on with it, but a leaving worker hands it back. */
static void go_on(struct cf_descriptor *descriptor, const struct cf_runner *runner,
                  struct cf_cover_batch *rest)
{
    if (!cf_runner_is_draining(runner)) {
        submit(descriptor, rest);
        return;
    }
    for (size_t i = 0; i < rest->count; i++)
        cf_cover_fail(rest->covers[i], CF_OUTCOME_BACK, CF_E_SHUTTING_DOWN, NULL);
    push_outbox(descriptor, rest);
}

static void on_posted(void *arg, struct cf_runner *runner, void *item)
{
    struct cf_descriptor *descriptor = arg;
    struct cf_cover_batch *batch = item;
    descriptor->busy = false;
    if (item == &descriptor->slice) {
        take_slice(descriptor, cf_clock_mono_ms());
        if (!cf_runner_is_draining(runner))
            pump(descriptor);
        return;
    }
    struct cf_cover_batch *rest = split(descriptor, batch);
    if (batch->fatal_err != CF_OK && descriptor->fatal == CF_OK) {
        descriptor->fatal = batch->fatal_err;
        cf_log(CF_LOG_ERROR, "worker_broken", "error=%s detail=\"%s\"", cf_err_name(batch->fatal_err),
               batch->detail.text);
        hand_back(descriptor, CF_E_SHUTTING_DOWN, "the worker is leaving");
        cf_runner_drain(runner);
    }
    judge(descriptor, runner, batch);
    push_outbox(descriptor, batch);
    if (rest)
        go_on(descriptor, runner, rest);
    pump(descriptor);
    flush(descriptor, runner);
}

static uint64_t on_tick(void *arg, struct cf_runner *runner, uint64_t now_ms)
{
    struct cf_descriptor *descriptor = arg;
    (void)leave_if_stale(descriptor, runner, now_ms);
    flush(descriptor, runner);
    if (descriptor->refusing && !descriptor->busy && now_ms >= descriptor->retry_at_ms &&
        !cf_runner_is_draining(runner))
        retry(descriptor);
    pump(descriptor);
    return descriptor->outbox || descriptor->waiting_count || descriptor->refusing ? FLUSH_MS : IDLE_MS;
}

static bool on_drained(void *arg, struct cf_runner *runner)
{
    struct cf_descriptor *descriptor = arg;
    hand_back(descriptor, CF_E_SHUTTING_DOWN, "the worker is leaving");
    flush(descriptor, runner);
    return !descriptor->busy && (!descriptor->outbox || !cf_runner_is_registered(runner));
}

struct cf_role_ops cf_descriptor_ops(const struct cf_descriptor *descriptor)
{
    return (struct cf_role_ops){
        .role = CF_ROLE_DESCRIPTOR,
        .registered = on_registered,
        .message = on_message,
        .tick = on_tick,
        .heartbeat = on_heartbeat,
        .posted = on_posted,
        .drained = on_drained,
        .name = descriptor->name,
    };
}
