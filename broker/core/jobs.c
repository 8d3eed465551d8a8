#include "broker/core/state.h"

#include <stdlib.h>

struct cf_version job_version(const struct job *job)
{
    return (struct cf_version){job->epoch, job->seq};
}

struct cf_str job_album(const struct job *job)
{
    return (struct cf_str){job->album, job->album_len};
}

struct job *job_find(struct cf_core *core, uint64_t seq)
{
    struct job *job = NULL;
    HASH_FIND(hh, core->jobs, &seq, sizeof seq, job);
    return job;
}

struct job *job_match(struct cf_core *core, struct cf_version version, struct cf_str album)
{
    struct job *job = job_find(core, version.seq);
    return job && job->epoch == version.epoch && cf_str_equal(job_album(job), album) ? job : NULL;
}

/* Every heap has room for every job, so that no transition can fail. */
static enum cf_err heaps_reserve(struct cf_core *core)
{
    struct cf_heap *heaps[] = {&core->ready, &core->suspects, &core->delayed, &core->leased};
    for (size_t i = 0; i < sizeof heaps / sizeof *heaps; i++)
        if (cf_heap_reserve(heaps[i], core->job_count + 1))
            return CF_E_NO_MEMORY;
    return CF_OK;
}

static struct removal *removal_new(struct cf_core *core, const struct job *job)
{
    struct removal *removal = calloc(1, sizeof *removal + job->album_len);
    if (!removal)
        return NULL;
    removal->version = job_version(job);
    removal->album_len = job->album_len;
    memcpy(removal->album, job->album, job->album_len);
    DL_APPEND(core->removals, removal);
    return removal;
}

static void removal_free(struct cf_core *core, struct removal *removal)
{
    if (!removal)
        return;
    DL_DELETE(core->removals, removal);
    free(removal);
}

void removals_clear(struct cf_core *core, uint64_t from)
{
    struct removal *removal, *next;
    DL_FOREACH_SAFE(core->removals, removal, next)
    if (removal->version.seq >= from)
        removal_free(core, removal);
}

struct job *job_new(struct cf_core *core, uint64_t seq, const struct cf_job_record *record)
{
    if (heaps_reserve(core))
        return NULL;
    struct job *job = calloc(1, sizeof *job + record->album.len);
    if (!job)
        return NULL;
    job->epoch = record->epoch;
    job->seq = seq;
    job->pushed_ms = record->pushed_ms;
    job->bytes = record->bytes;
    job->attempts = (uint32_t)record->attempts;
    job->deaths = (uint32_t)record->deaths;
    job->action = (uint8_t)record->action;
    job->priority = (uint8_t)record->priority;
    job->album_len = record->album.len;
    memcpy(job->album, record->album.data, record->album.len);
    if (job->action == CF_ACTION_REMOVE && !(job->removal = removal_new(core, job))) {
        free(job);
        return NULL;
    }
    HASH_ADD(hh, core->jobs, seq, sizeof job->seq, job);
    if (!job->hh.tbl) {
        removal_free(core, job->removal);
        free(job);
        return NULL;
    }
    core->job_count++;
    core->job_bytes += job->bytes;
    return job;
}

static void unlease(struct job *job)
{
    struct worker *worker = job->worker;
    if (!worker)
        return;
    DL_DELETE(worker->leases, job);
    worker->lease_count--;
    worker->lease_bytes -= job->bytes;
    if (worker->alone == job)
        worker->alone = NULL;
    job->worker = NULL;
}

static struct cf_heap *heap_of(struct cf_core *core, const struct job *job)
{
    if (job->state == CF_STATE_DELAYED)
        return &core->delayed;
    if (job->state == CF_STATE_LEASED)
        return &core->leased;
    return job->deaths >= CF_CORE_SUSPECT_DEATHS ? &core->suspects : &core->ready;
}

/* Out of its heap, its lease and the counts. A removal is no album of its own: the album's record counts. */
static void detach(struct cf_core *core, struct job *job)
{
    if (job->node.at) {
        cf_heap_remove(heap_of(core, job), &job->node);
        if (job->action == CF_ACTION_DESCRIBE)
            core->albums[job->state]--;
    }
    unlease(job);
}

static void attach(struct cf_core *core, struct job *job, enum cf_state state, uint64_t major)
{
    job->state = (uint8_t)state;
    cf_heap_insert(heap_of(core, job), &job->node, major, job->seq);
    if (job->action == CF_ACTION_DESCRIBE)
        core->albums[state]++;
}

void job_queue(struct cf_core *core, struct job *job)
{
    detach(core, job);
    job->due_ms = 0;
    attach(core, job, CF_STATE_QUEUED, job->priority);
}

void job_delay(struct cf_core *core, struct job *job, uint64_t due_ms)
{
    detach(core, job);
    job->due_ms = due_ms;
    attach(core, job, CF_STATE_DELAYED, due_ms);
}

void job_lease(struct cf_core *core, struct job *job, struct worker *worker, uint64_t now_ms)
{
    detach(core, job);
    job->worker = worker;
    DL_APPEND(worker->leases, job);
    worker->lease_count++;
    worker->lease_bytes += job->bytes;
    job->leased_ms = now_ms;
    attach(core, job, CF_STATE_LEASED, now_ms + core->config.lease_ms);
}

void job_suspect(struct cf_core *core, struct job *job)
{
    bool queued = job->node.at && job->state == CF_STATE_QUEUED;
    if (job->deaths >= CF_CORE_SUSPECT_DEATHS)
        return;
    if (queued)
        detach(core, job);
    job->deaths = CF_CORE_SUSPECT_DEATHS;
    if (queued)
        job_queue(core, job);
}

void job_free(struct cf_core *core, struct job *job)
{
    detach(core, job);
    HASH_DEL(core->jobs, job);
    core->job_count--;
    core->job_bytes -= job->bytes;
    free(job);
}

void job_drop(struct cf_core *core, struct job *job)
{
    core->store.job_delete(core->store.arg, job->seq, false);
    if (job->bytes)
        core->store.payload_delete(core->store.arg, job->seq);
    removal_free(core, job->removal);
    job_free(core, job);
}

struct cf_job_record job_record(const struct job *job, struct cf_now now)
{
    uint64_t due_ms = job->due_ms > now.mono_ms ? now.wall_ms + (job->due_ms - now.mono_ms) : 0;
    return (struct cf_job_record){
        .album = job_album(job),
        .epoch = job->epoch,
        .action = job->action,
        .priority = job->priority,
        .attempts = job->attempts,
        .deaths = job->deaths,
        .due_ms = due_ms,
        .pushed_ms = job->pushed_ms,
        .bytes = job->bytes,
    };
}

void job_save(struct cf_core *core, struct cf_now now, const struct job *job, struct cf_out *out)
{
    struct cf_detail detail = {0};
    struct cf_job_record record = job_record(job, now);
    enum cf_err err = core->store.job_put(core->store.arg, job->seq, &record, false, &detail);
    if (err)
        cf_out_fail(out, err, &detail);
}

void jobs_clear(struct cf_core *core)
{
    struct job *job, *next;
    HASH_ITER(hh, core->jobs, job, next)
    job_free(core, job);
    CF_CHECK(core->job_count == 0 && core->job_bytes == 0);
}

/* Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): uniform below the exponential bound. */
uint64_t backoff_ms(struct cf_core *core, uint32_t attempts)
{
    uint64_t bound = core->config.retry_base_ms;
    for (uint32_t i = 0; i < attempts && bound < core->config.retry_cap_ms; i++)
        bound *= 2;
    if (bound > core->config.retry_cap_ms)
        bound = core->config.retry_cap_ms;
    return 1 + cf_rng_below(&core->rng, bound);
}
