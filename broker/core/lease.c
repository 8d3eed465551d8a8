/* Which job goes to which worker. The most urgent first, to the least loaded; a suspect alone. */
#include "broker/core/state.h"

enum {
    LEASES_A_RUN_MAX = 4096,
    ENVELOPE_BYTES = 1024, /* of a message around its jobs */
    JOB_BYTES = 256,       /* of keys, numbers and a hash */
    PAIR_BYTES = 16,
};

struct grant {
    struct worker *worker; /* NULL once it is in a message */
    struct cf_job job;
};

struct run {
    struct cf_core *core;
    struct cf_now now;
    struct cf_out *out;
    struct grant *grants;
    size_t count, capacity;
    size_t aside; /* jobs that were ready, and must be alone or are not leased at all */
    uint64_t bytes;
};

static bool can_take(const struct worker *worker)
{
    return worker->role == CF_ROLE_DESCRIPTOR && worker->lease_count < worker->credit && !worker->alone;
}

static uint64_t free_credit(struct cf_core *core)
{
    uint64_t sum = 0;
    for (struct worker *worker = core->workers; worker; worker = worker->hh.next)
        if (can_take(worker))
            sum += worker->credit - worker->lease_count;
    return sum;
}

/* The least loaded that can take so many bytes more, or NULL. */
static struct worker *pick(struct cf_core *core, uint64_t bytes)
{
    struct worker *best = NULL;
    for (struct worker *worker = core->workers; worker; worker = worker->hh.next) {
        if (!can_take(worker) || worker->reserved)
            continue;
        if (worker->lease_count && worker->lease_bytes + bytes > CF_CORE_WORKER_BYTES_MAX)
            continue;
        if (!best || worker->lease_count < best->lease_count)
            best = worker;
    }
    return best;
}

/* For a suspect: one that holds nothing and was heard of just now, so that its death is not taken for the
 * job's doing. When there is none, the least loaded is reserved to run empty. */
static struct worker *pick_empty(struct cf_core *core, struct cf_now now)
{
    struct worker *best = NULL, *reserved = NULL;
    for (struct worker *worker = core->workers; worker; worker = worker->hh.next) {
        if (!can_take(worker) || now.mono_ms - worker->seen_ms > 2 * core->config.heartbeat_ms)
            continue;
        if (worker->reserved)
            reserved = worker;
        if (!best || worker->lease_count < best->lease_count)
            best = worker;
    }
    if (best && best->lease_count == 0)
        return best;
    if (best && !reserved)
        best->reserved = true;
    return NULL;
}

static void unreserve(struct cf_core *core)
{
    for (struct worker *worker = core->workers; worker; worker = worker->hh.next)
        worker->reserved = false;
}

/* False when the store failed: noted in `out`. A job whose album has another version, or none, says nothing
 * any more: `*lost`, and it is gone. */
static bool read_record(struct run *run, struct job *job, struct cf_album_record *record, bool *lost)
{
    bool known = false;
    *lost = false;
    if (job->action == CF_ACTION_REMOVE)
        return true;
    if (album_read(run->core, job_album(job), record, &known, run->out))
        return false;
    *lost = !known || cf_version_compare(album_version(record), job_version(job)) != 0;
    if (*lost) {
        job_drop(run->core, job);
        run->aside++;
    }
    return true;
}

/* True when the job's content is known for what it did to workers, and its job no longer where it was. */
static bool set_aside(struct run *run, struct job *job, const struct cf_album_record *record)
{
    if (content_is_given_up(run->core, record->sha256))
        bury_quarantined(run->core, run->now, job, record->sha256, run->out);
    else if (job->deaths < CF_CORE_SUSPECT_DEATHS && content_is_struck(run->core, record->sha256))
        job_suspect(run->core, job);
    else
        return false;
    run->aside++;
    return true;
}

/* What the worker gets to see. CF_E_NOT_FOUND, with why, when the picture is lost. */
static enum cf_err describe(struct run *run, const struct job *job, const struct cf_album_record *record,
                            struct cf_job *lease, struct cf_detail *detail)
{
    struct cf_core *core = run->core;
    *lease = (struct cf_job){
        .version = job_version(job),
        .album = cf_out_str(run->out, job_album(job)),
        .action = job->action,
        .attempt = (uint64_t)job->attempts + 1,
    };
    if (job->action == CF_ACTION_REMOVE)
        return CF_OK;
    lease->sha256 = record->sha256;
    lease->meta = record->meta;
    lease->meta_count = record->meta_count;
    if (job->bytes == 0) {
        lease->file = record->source;
        return CF_OK;
    }
    return core->store.payload_get(core->store.arg, job->seq, run->out->arena, &lease->bytes, detail);
}

/* False when there is nothing to grant: the job, whose picture is lost, is a dead letter now; or the store
 * failed, which is noted in `out` and ends the run. */
static bool grant(struct run *run, struct job *job, const struct cf_album_record *record,
                  struct worker *worker)
{
    struct grant *next = &run->grants[run->count];
    struct cf_detail detail = {0};
    enum cf_err err = describe(run, job, record, &next->job, &detail);
    if (err == CF_E_NOT_FOUND) {
        bury_lost(run->core, run->now, job, detail.text, run->out);
        run->aside++;
        return false;
    }
    if (err) {
        cf_out_fail(run->out, err, &detail);
        return false;
    }
    next->worker = worker;
    run->count++;
    run->bytes += job->bytes;
    job_lease(run->core, job, worker, run->now.mono_ms);
    return true;
}

static bool run_has_room(const struct run *run)
{
    return run->count < run->capacity && run->bytes < CF_CORE_RUN_BYTES_MAX &&
           run->aside < LEASES_A_RUN_MAX && !run->out->err;
}

static void grant_suspects(struct run *run)
{
    struct cf_core *core = run->core;
    while (core->suspects.count && run_has_room(run)) {
        struct job *job = (struct job *)cf_heap_top(&core->suspects);
        struct cf_album_record record = {0};
        bool lost = false;
        if (!read_record(run, job, &record, &lost))
            return;
        if (lost || set_aside(run, job, &record))
            continue;
        struct worker *worker = pick_empty(core, run->now);
        if (!worker)
            return;
        if (!grant(run, job, &record, worker))
            continue;
        worker->alone = job;
        worker->reserved = false;
    }
    if (!core->suspects.count)
        unreserve(core);
}

static void grant_ready(struct run *run)
{
    struct cf_core *core = run->core;
    while (core->ready.count && run_has_room(run)) {
        struct job *job = (struct job *)cf_heap_top(&core->ready);
        struct worker *worker = pick(core, job->bytes);
        struct cf_album_record record = {0};
        bool lost = false;
        if (!worker || !read_record(run, job, &record, &lost))
            return;
        if (!lost && !set_aside(run, job, &record))
            (void)grant(run, job, &record, worker);
    }
}

/* Of the job in a message, never less than what it takes there. */
static size_t job_size(const struct cf_job *job)
{
    size_t size = JOB_BYTES + job->bytes.len + job->album.len + job->file.len;
    for (size_t i = 0; i < job->meta_count; i++)
        size += PAIR_BYTES + job->meta[i].key.len + job->meta[i].value.len;
    return size;
}

static size_t message_size_max(const struct cf_core *core)
{
    uint64_t most = core->config.lease_bytes_max;
    if (most == 0 || most > CF_CORE_LEASE_BYTES_MAX)
        return CF_CORE_LEASE_BYTES_MAX;
    return most > ENVELOPE_BYTES ? (size_t)most - ENVELOPE_BYTES : 0;
}

/* The grants of the first one's worker, as many as fit a message. */
static void send_some(struct run *run, size_t first)
{
    struct worker *worker = run->grants[first].worker;
    struct cf_job *jobs = cf_out_alloc(run->out, CF_CORE_LEASE_JOBS_MAX, sizeof *jobs);
    size_t count = 0, bytes = 0, most = message_size_max(run->core);
    if (!jobs)
        return;
    for (size_t i = first; i < run->count && count < CF_CORE_LEASE_JOBS_MAX; i++) {
        struct grant *next = &run->grants[i];
        if (next->worker != worker)
            continue;
        size_t size = job_size(&next->job);
        if (count && bytes + size > most)
            break;
        bytes += size;
        jobs[count++] = next->job;
        next->worker = NULL;
    }
    struct cf_out_item *item = cf_out_add(run->out, CF_OUT_WORKER, worker_peer(worker), CF_KIND_LEASE, 0);
    item->durable = true;
    item->msg.lease.jobs = jobs;
    item->msg.lease.job_count = count;
}

void lease_run(struct cf_core *core, struct cf_now now, struct cf_out *out, bool *more)
{
    size_t waiting = core->ready.count + core->suspects.count;
    if (!core->loaded || core->paused || waiting == 0)
        return;
    uint64_t credit = free_credit(core);
    struct run run = {.core = core, .now = now, .out = out};
    run.capacity = waiting < LEASES_A_RUN_MAX ? waiting : LEASES_A_RUN_MAX;
    run.capacity = credit < run.capacity ? (size_t)credit : run.capacity;
    if (run.capacity == 0)
        return;
    run.grants = cf_out_alloc(out, run.capacity, sizeof *run.grants);
    if (!run.grants)
        return;
    grant_suspects(&run);
    grant_ready(&run);
    for (size_t i = 0; i < run.count; i++)
        if (run.grants[i].worker)
            send_some(&run, i);
    *more = run.aside || (run.count && (run.count == LEASES_A_RUN_MAX || run.bytes >= CF_CORE_RUN_BYTES_MAX));
}
