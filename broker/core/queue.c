/* The operator's hand in the queue: list, peek, retry, purge, pause, resume. */
#include "broker/core/state.h"

#include <stdlib.h>

enum { LIST_DEFAULT = 100, CHUNK = 4096 };

/* ---- list and peek ---- */

static struct cf_queue_job entry_of_job(const struct job *job, struct cf_now now, struct cf_out *out)
{
    const struct cf_job_record record = job_record(job, now);
    return (struct cf_queue_job){
        .album = cf_out_str(out, record.album),
        .version = job_version(job),
        .state = job->state,
        .priority = record.priority,
        .attempts = record.attempts,
        .due_ms = record.due_ms,
        .pushed_ms = record.pushed_ms,
        .bytes = record.bytes,
        .action = record.action,
        .worker = job->worker ? cf_out_str(out, cf_str(job->worker->name)) : cf_str(""),
    };
}

static struct cf_queue_job entry_of_album(struct cf_core *core, struct cf_str album,
                                          const struct cf_album_record *record, struct cf_out *out)
{
    return (struct cf_queue_job){
        .album = cf_out_str(out, album),
        .version = album_version(record),
        .state = album_state(core, record),
        .priority = record->priority,
        .attempts = record->attempts,
        .pushed_ms = record->pushed_ms,
        .action = record->state == CF_STATE_REMOVED ? CF_ACTION_REMOVE : CF_ACTION_DESCRIBE,
        .worker = record->worker,
        .error = record->error,
        .detail = record->detail,
    };
}

static int compare_jobs(const void *a, const void *b)
{
    uint64_t left = (*(struct job *const *)a)->seq, right = (*(struct job *const *)b)->seq;
    return left < right ? -1 : left > right;
}

static bool wants(const struct cf_queue *queue, int state)
{
    return queue->state == CF_STATE_NONE || queue->state == state;
}

/* The live jobs that match, in order of seq. */
static struct job **live_jobs(struct cf_core *core, const struct cf_queue *queue, size_t *count,
                              uint64_t *matching, struct cf_out *out)
{
    struct job **jobs = cf_out_alloc(out, (size_t)core->job_count, sizeof(struct job *));
    struct job *job = jobs ? core->jobs : NULL;
    *count = 0;
    for (; job; job = job->hh.next) {
        if (!wants(queue, job->state))
            continue;
        ++*matching;
        if (job->seq > queue->after_seq)
            jobs[(*count)++] = job;
    }
    if (*count)
        qsort(jobs, *count, sizeof(struct job *), compare_jobs);
    return jobs;
}

/* The first `limit` of them only, for a page of the list: they mostly come in order, so each finds its place
 * near the end. */
static struct job **first_jobs(struct cf_core *core, const struct cf_queue *queue, size_t limit,
                               size_t *count, uint64_t *matching, struct cf_out *out)
{
    struct job **jobs = cf_out_alloc(out, limit, sizeof(struct job *));
    struct job *job = jobs ? core->jobs : NULL;
    *count = 0;
    for (; job; job = job->hh.next) {
        if (!wants(queue, job->state))
            continue;
        ++*matching;
        if (job->seq <= queue->after_seq || (*count == limit && job->seq > jobs[limit - 1]->seq))
            continue;
        size_t at = *count < limit ? (*count)++ : limit - 1;
        for (; at > 0 && jobs[at - 1]->seq > job->seq; at--)
            jobs[at] = jobs[at - 1];
        jobs[at] = job;
    }
    return jobs;
}

struct dead_walk {
    struct cf_core *core;
    struct cf_out *out;
    struct cf_queue_job *jobs; /* or only the names: */
    struct cf_str *albums;
    uint64_t last_seq;
    size_t count, limit;
};

static enum cf_err dead_entry(void *arg, uint64_t seq, const struct cf_job_record *letter)
{
    struct dead_walk *walk = arg;
    struct cf_album_record record = {0};
    bool known = false;
    if (walk->count == walk->limit)
        return CF_E_DEADLINE; /* enough: ends the walk */
    walk->last_seq = seq;
    if (walk->albums) {
        walk->albums[walk->count++] = cf_out_str(walk->out, letter->album);
        return CF_OK;
    }
    enum cf_err err = album_read(walk->core, letter->album, &record, &known, walk->out);
    if (err || !known || record.state != CF_STATE_DEAD)
        return err;
    struct cf_queue_job *entry = &walk->jobs[walk->count++];
    *entry = entry_of_album(walk->core, letter->album, &record, walk->out);
    entry->bytes = letter->bytes;
    return CF_OK;
}

static void dead_walk(struct dead_walk *walk, uint64_t after)
{
    struct cf_detail detail = {0};
    struct cf_store *store = &walk->core->store;
    enum cf_err err = store->each_job(store->arg, true, after, dead_entry, walk, &detail);
    if (err && err != CF_E_DEADLINE)
        cf_out_fail(walk->out, err, &detail);
}

/* Two ordered lists into one. */
static size_t merge(struct cf_queue_job *to, size_t limit, struct job *const *live, size_t live_count,
                    const struct dead_walk *dead, struct cf_now now)
{
    size_t count = 0, l = 0, d = 0;
    while (count < limit && (l < live_count || d < dead->count)) {
        if (d == dead->count || (l < live_count && live[l]->seq < dead->jobs[d].version.seq))
            to[count++] = entry_of_job(live[l++], now, dead->out);
        else
            to[count++] = dead->jobs[d++];
    }
    return count;
}

static void list(struct cf_core *core, struct cf_now now, const struct cf_queue *queue,
                 struct cf_queue_ok *reply, struct cf_out *out)
{
    uint64_t limit = queue->limit ? queue->limit : LIST_DEFAULT;
    limit = limit < CF_BATCH_MAX ? limit : CF_BATCH_MAX;
    struct dead_walk dead = {.core = core, .out = out, .limit = (size_t)limit};
    size_t live_count = 0;
    struct job **live = first_jobs(core, queue, dead.limit, &live_count, &reply->count, out);
    dead.jobs = cf_out_alloc(out, dead.limit, sizeof *dead.jobs);
    struct cf_queue_job *jobs = cf_out_alloc(out, dead.limit, sizeof *jobs);
    if (!live || !dead.jobs || !jobs)
        return;
    if (wants(queue, CF_STATE_DEAD)) {
        dead_walk(&dead, queue->after_seq);
        reply->count += core->albums[CF_STATE_DEAD];
    }
    reply->jobs = jobs;
    reply->job_count = merge(jobs, dead.limit, live, live_count, &dead, now);
}

static void peek(struct cf_core *core, struct cf_now now, const struct cf_queue *queue,
                 struct cf_queue_ok *reply, struct cf_out *out)
{
    struct cf_queue_job *jobs = cf_out_alloc(out, queue->album_count, sizeof *jobs);
    for (size_t i = 0; jobs && i < queue->album_count; i++) {
        struct cf_album_record record = {0};
        bool known = false;
        if (album_read(core, queue->albums[i], &record, &known, out))
            return;
        if (!known || !wants(queue, album_state(core, &record)))
            continue;
        const struct job *job = record.state == CF_STATE_QUEUED ? job_find(core, record.seq) : NULL;
        jobs[reply->job_count++] =
            job ? entry_of_job(job, now, out) : entry_of_album(core, queue->albums[i], &record, out);
    }
    reply->jobs = jobs;
    reply->count = reply->job_count;
}

/* ---- retry and purge ---- */

/* A dead letter goes back into the queue with a clean slate; but what killed or stalled its worker stays a
 * suspect. */
static enum cf_err retry(struct cf_core *core, struct cf_now now, struct cf_str album,
                         struct cf_album_record *record, struct cf_out *out)
{
    struct cf_detail detail = {0};
    struct cf_job_record letter = {0};
    enum cf_err err = core->store.job_get(core->store.arg, record->seq, true, out->arena, &letter, &detail);
    if (!err && push_room(core, letter.bytes, 0, 0, NULL))
        return CF_E_BUSY;
    letter.attempts = letter.deaths = letter.due_ms = 0;
    if (content_lift(core, record->sha256, out) || content_is_to_blame(record->error))
        letter.deaths = CF_CORE_SUSPECT_DEATHS;
    struct job *job = err ? NULL : job_new(core, record->seq, &letter);
    if (!job) {
        cf_out_fail(out, err ? err : CF_E_NO_MEMORY, err ? &detail : NULL);
        return CF_E_NO_MEMORY;
    }
    core->albums[CF_STATE_DEAD]--;
    core->store.job_delete(core->store.arg, record->seq, true);
    job_queue(core, job);
    job_save(core, now, job, out);
    record->state = CF_STATE_QUEUED;
    record->attempts = 0;
    record->settled_ms = 0;
    record->error = record->detail = record->worker = cf_str("");
    album_write(core, album, record, out);
    return CF_OK;
}

/* As if it had never been pushed: what was described before counts again. */
static void purge(struct cf_core *core, struct cf_str album, struct cf_album_record *record,
                  struct cf_out *out)
{
    album_leave(core, record);
    struct cf_album_record *before = album_settled(record);
    if (!before) {
        core->store.album_delete(core->store.arg, album);
        return;
    }
    album_write(core, album, before, out);
    if (album_enter(core, before))
        cf_out_fail(out, CF_E_NO_MEMORY, NULL);
}

/* True when it was retried or purged; CF_E_BUSY in *err when the queue is full. */
static bool act(struct cf_core *core, struct cf_now now, const struct cf_queue *queue, struct cf_str album,
                enum cf_err *err, struct cf_out *out)
{
    struct cf_album_record record = {0};
    bool known = false;
    *err = album_read(core, album, &record, &known, out);
    if (*err || !known)
        return false;
    int state = album_state(core, &record);
    if (!wants(queue, state))
        return false;
    if (queue->op == CF_QUEUE_RETRY) {
        *err = state == CF_STATE_DEAD ? retry(core, now, album, &record, out) : CF_OK;
        return state == CF_STATE_DEAD && !*err;
    }
    if (state != CF_STATE_QUEUED && state != CF_STATE_DELAYED && state != CF_STATE_DEAD)
        return false;
    purge(core, album, &record, out);
    return true;
}

static void act_on_all(struct cf_core *core, struct cf_now now, const struct cf_queue *queue,
                       const struct cf_str *albums, size_t count, struct cf_queue_ok *reply, enum cf_err *err,
                       struct cf_out *out)
{
    for (size_t i = 0; i < count && !*err && !out->err; i++)
        reply->count += act(core, now, queue, albums[i], err, out);
}

static void act_on_live(struct cf_core *core, struct cf_now now, const struct cf_queue *queue,
                        struct cf_queue_ok *reply, enum cf_err *err, struct cf_out *out)
{
    uint64_t matching = 0;
    size_t count = 0, describe_count = 0;
    struct job **jobs = live_jobs(core, queue, &count, &matching, out);
    struct cf_str *albums = cf_out_alloc(out, count, sizeof *albums);
    for (size_t i = 0; jobs && albums && i < count; i++)
        if (jobs[i]->action == CF_ACTION_DESCRIBE && jobs[i]->state != CF_STATE_LEASED)
            albums[describe_count++] = cf_out_str(out, job_album(jobs[i]));
    if (albums)
        act_on_all(core, now, queue, albums, describe_count, reply, err, out);
}

static void act_on_dead(struct cf_core *core, struct cf_now now, const struct cf_queue *queue,
                        struct cf_queue_ok *reply, enum cf_err *err, struct cf_out *out)
{
    struct cf_str *albums = cf_out_alloc(out, CHUNK, sizeof *albums);
    struct dead_walk walk = {.core = core, .out = out, .albums = albums, .limit = CHUNK};
    do {
        walk.count = 0;
        if (albums)
            dead_walk(&walk, walk.last_seq);
        act_on_all(core, now, queue, albums, walk.count, reply, err, out);
    } while (walk.count == CHUNK && !*err && !out->err);
}

static enum cf_err change(struct cf_core *core, struct cf_now now, const struct cf_queue *queue,
                          struct cf_queue_ok *reply, struct cf_out *out, struct cf_detail *detail)
{
    bool retries = queue->op == CF_QUEUE_RETRY;
    if (!wants(queue, CF_STATE_DEAD) &&
        (retries || queue->state == CF_STATE_LEASED || queue->state > CF_STATE_LEASED))
        return cf_fail(detail, CF_E_INVALID, "albums that are %s cannot be %s",
                       cf_state_name((enum cf_state)queue->state), retries ? "retried" : "purged");
    enum cf_err err = CF_OK;
    if (queue->album_count)
        act_on_all(core, now, queue, queue->albums, queue->album_count, reply, &err, out);
    else {
        if (!retries && queue->state != CF_STATE_DEAD)
            act_on_live(core, now, queue, reply, &err, out);
        if (wants(queue, CF_STATE_DEAD))
            act_on_dead(core, now, queue, reply, &err, out);
    }
    /* A purged version's number may be the highest of all: it is never given out again. */
    meta_save(core, out);
    out->sync = true;
    if (err == CF_E_BUSY && reply->count == 0)
        return push_room(core, 0, 0, 0, detail) ? CF_E_BUSY
                                                : cf_fail(detail, err, "the queue is full: try later");
    return CF_OK;
}

static void pause(struct cf_core *core, bool paused, struct cf_queue_ok *reply, struct cf_out *out)
{
    reply->count = core->paused != paused;
    core->paused = paused;
    meta_save(core, out);
    out->sync = true;
}

void on_queue(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
              struct cf_out *out)
{
    const struct cf_queue *queue = &msg->queue;
    struct cf_queue_ok reply = {0};
    struct cf_detail detail = {0};
    enum cf_err err = CF_OK;
    switch (queue->op) {
    case CF_QUEUE_PEEK:
        if (queue->album_count) {
            peek(core, now, queue, &reply, out);
            break;
        } /* fall through */
    case CF_QUEUE_LIST:
        list(core, now, queue, &reply, out);
        break;
    case CF_QUEUE_RETRY:
    case CF_QUEUE_PURGE:
        err = change(core, now, queue, &reply, out, &detail);
        break;
    default:
        pause(core, queue->op == CF_QUEUE_PAUSE, &reply, out);
        break;
    }
    if (err) {
        cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, err, &detail);
        return;
    }
    struct cf_out_item *item = cf_out_add(out, CF_OUT_CLIENT, peer, CF_KIND_QUEUE_OK, msg->id);
    item->durable = true;
    item->msg.queue_ok = reply;
}
