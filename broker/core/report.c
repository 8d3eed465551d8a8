/* What clients ask about: states, one album's story, the whole status. */
#include "broker/core/state.h"

void on_states(struct cf_core *core, struct cf_bytes peer, const struct cf_msg *msg, struct cf_out *out)
{
    const struct cf_albums *albums = &msg->albums;
    struct cf_album_state *states = cf_out_alloc(out, albums->album_count, sizeof *states);
    struct cf_out_item *item = cf_out_add(out, CF_OUT_CLIENT, peer, CF_KIND_STATES_OK, msg->id);
    item->durable = true;
    item->msg.states.states = states;
    item->msg.states.state_count = states ? albums->album_count : 0;
    for (size_t i = 0; states && i < albums->album_count; i++) {
        struct cf_album_record record = {0};
        bool known = false;
        if (album_read(core, albums->albums[i], &record, &known, out))
            return;
        if (!known)
            continue;
        states[i].state = album_state(core, &record);
        states[i].version = album_version(&record);
        states[i].error = record.error;
    }
}

static void story_spaces(struct cf_core *core, const struct cf_album_record *record, struct cf_story *story,
                         struct cf_out *out)
{
    const struct index *index;
    int count = 0;
    DL_COUNT(core->indexes, index, count);
    struct cf_story_space *spaces = cf_out_alloc(out, (size_t)count, sizeof *spaces);
    if (!spaces || record->state != CF_STATE_DESCRIBED)
        return;
    story->spaces = spaces;
    DL_FOREACH(core->indexes, index)
    {
        spaces[story->space_count++] = (struct cf_story_space){
            .space = cf_out_str(out, cf_str(index->space)),
            .generation = index_generation_of(index, record->shard, record->log_seq),
        };
    }
}

static void story_job(const struct job *job, struct cf_now now, struct cf_story *story, struct cf_out *out)
{
    story->attempts = job->attempts;
    if (job->worker)
        story->worker = cf_out_str(out, cf_str(job->worker->name));
    if (job->due_ms > now.mono_ms)
        story->due_ms = now.wall_ms + (job->due_ms - now.mono_ms);
}

static struct cf_story story_of(struct cf_core *core, struct cf_str album,
                                const struct cf_album_record *record, struct cf_out *out)
{
    return (struct cf_story){
        .album = cf_out_str(out, album),
        .state = album_state(core, record),
        .version = album_version(record),
        .attempts = record->attempts,
        .priority = record->priority,
        .worker = record->worker,
        .shard = record->shard,
        .log_seq = record->log_seq,
        .constant = record->constant,
        .partial = record->partial,
        .warnings = record->warnings,
        .warning_count = record->warning_count,
        .error = record->error,
        .detail = record->detail,
        .source = record->source,
        .sha256 = record->sha256,
        .pushed_ms = record->pushed_ms,
        .settled_ms = record->settled_ms,
        .meta = record->meta,
        .meta_count = record->meta_count,
    };
}

void on_show(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
             struct cf_out *out)
{
    struct cf_album_record record = {0};
    struct cf_detail detail = {0};
    bool known = false;
    struct cf_str album = msg->show.album;
    enum cf_err err = cf_album_check(album, &detail);
    if (!err)
        err = album_read(core, album, &record, &known, out);
    if (!err && !known)
        err = cf_fail(&detail, CF_E_NOT_FOUND, "the fleet has never heard of album %.*s", CF_STR_ARG(album));
    if (err) {
        cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, err, &detail);
        return;
    }
    struct cf_out_item *item = cf_out_add(out, CF_OUT_CLIENT, peer, CF_KIND_SHOW_OK, msg->id);
    item->durable = true;
    struct cf_story *story = &item->msg.story;
    *story = story_of(core, album, &record, out);
    const struct job *job = record.state == CF_STATE_QUEUED ? job_find(core, record.seq) : NULL;
    if (job)
        story_job(job, now, story, out);
    story_spaces(core, &record, story, out);
}

static void status_workers(struct cf_core *core, struct cf_now now, struct cf_status *status,
                           struct cf_out *out)
{
    status->workers = cf_out_alloc(out, HASH_COUNT(core->workers), sizeof *status->workers);
    const struct worker *worker = status->workers ? core->workers : NULL;
    for (; worker; worker = worker->hh.next)
        status->workers[status->worker_count++] = (struct cf_worker_status){
            .name = cf_out_str(out, cf_str(worker->name)),
            .role = worker->role,
            .pid = worker->pid,
            .credit = worker->credit,
            .leased = worker->role == CF_ROLE_QUERY ? worker->searches : worker->lease_count,
            .done = worker->done,
            .failed = worker->failed,
            .rate = rate_get(&worker->rate, now.mono_ms),
            .age_ms = now.mono_ms - worker->registered_ms,
            .silent_ms = now.mono_ms - worker->seen_ms,
            .unreadable_shards = worker->unreadable_shards,
        };
}

static uint64_t oldest_ms(const struct cf_core *core, struct cf_now now)
{
    const struct job *job = core->jobs;
    while (job && (job->state != CF_STATE_QUEUED || job->action != CF_ACTION_DESCRIBE))
        job = job->hh.next;
    return job && now.wall_ms > job->pushed_ms ? now.wall_ms - job->pushed_ms : 0;
}

static struct cf_str refusing(const struct cf_core *core)
{
    if (!core->loaded)
        return cf_str(cf_err_name(core->offline));
    if (core->disk_free < core->config.disk_reserve_bytes)
        return cf_str(cf_err_name(CF_E_DISK_FULL));
    if (core->job_count >= core->config.queue_jobs_max || core->job_bytes >= core->config.queue_bytes_max)
        return cf_str(cf_err_name(CF_E_BUSY));
    return cf_str("");
}

static void status_counts(const struct cf_core *core, struct cf_status *status)
{
    status->queued = core->albums[CF_STATE_QUEUED];
    status->delayed = core->albums[CF_STATE_DELAYED];
    status->leased = core->albums[CF_STATE_LEASED];
    status->described = core->albums[CF_STATE_DESCRIBED];
    status->indexed = core->albums[CF_STATE_INDEXED];
    status->dead = core->albums[CF_STATE_DEAD];
    status->removed = core->albums[CF_STATE_REMOVED];
    status->quarantined = core->given_up_count;
    status->queue_bytes = core->job_bytes;
    status->queue_jobs_max = core->config.queue_jobs_max;
    status->paused = core->paused;
    status->pushes_accepted = core->counters.accepted;
    status->pushes_unchanged = core->counters.unchanged;
    status->pushes_refused = core->counters.refused;
    status->queries_answered = core->counters.answered;
    status->queries_failed = core->counters.failed;
    status->queries_late = core->counters.late;
    status->queries_resent = core->counters.resent;
    status->queries_waiting = core->waiting_count;
}

void cf_core_status(struct cf_core *core, struct cf_now now, struct cf_status *status, struct cf_out *out)
{
    *status = (struct cf_status){
        .oldest_ms = oldest_ms(core, now),
        .refusing = refusing(core),
        .epoch = core->epoch,
        .uptime_ms = now.mono_ms - core->started_ms,
        .disk_free_bytes = core->disk_free == UINT64_MAX ? 0 : core->disk_free,
        .version = core->config.version,
        .root_count = core->config.root_count,
    };
    status_counts(core, status);
    status_workers(core, now, status, out);
    status->indexes = index_statuses(core, cf_str(""), &status->index_count, out);
    status->roots = cf_out_alloc(out, core->config.root_count, sizeof *status->roots);
    for (size_t i = 0; status->roots && i < core->config.root_count; i++)
        status->roots[i] = core->config.roots[i];
}
