/* How jobs end: described, failed, or given back. */
#include "broker/core/state.h"

/* What a worker says about where a vector rests must fit the books. */
enum { LOG_SEQ_BITS = 62 };

static enum cf_err done_check(struct cf_core *core, const struct cf_done_item *item, struct cf_detail *detail)
{
    if (!is_plain_name(item->shard))
        return cf_fail(detail, CF_E_INVALID, "\"%.*s\" is no name of a shard: letters, digits, '-', '_'",
                       CF_STR_ARG(item->shard));
    if (item->log_seq >> LOG_SEQ_BITS != 0)
        return cf_fail(detail, CF_E_INVALID, "log_seq %llu of shard %.*s is out of range",
                       (unsigned long long)item->log_seq, CF_STR_ARG(item->shard));
    if (!tail_has_room(core, item->shard))
        return cf_fail(detail, CF_E_INVALID, "shard %.*s would be one too many: a fleet has %d at most",
                       CF_STR_ARG(item->shard), CF_CORE_SHARDS_MAX);
    return CF_OK;
}

static void event_of_album(struct cf_core *core, struct cf_now now, const char *name, struct cf_str album,
                           struct cf_version version, struct cf_str worker, struct cf_str error,
                           struct cf_out *out)
{
    struct cf_event *event = event_add(core, now, name, true, out);
    event->album = cf_out_str(out, album);
    event->version = version;
    event->worker = cf_out_str(out, worker);
    event->error = cf_out_str(out, error);
}

static void described(struct cf_core *core, struct cf_now now, const struct worker *worker,
                      const struct cf_done_item *item, struct cf_album_record *record, struct cf_out *out)
{
    struct cf_str name = worker ? cf_str(worker->name) : item->shard;
    record->state = CF_STATE_DESCRIBED;
    record->settled_ms = now.wall_ms;
    record->worker = name;
    record->shard = item->shard;
    record->log_seq = item->log_seq;
    record->constant = item->constant;
    record->partial = item->partial;
    record->warnings = item->warnings;
    record->warning_count = item->warning_count;
    record->error = record->detail = cf_str("");
    record->prev = NULL;
    record->prev_count = 0;
    album_write(core, item->album, record, out);
    content_clear(core, record->sha256);
    if (album_enter(core, record))
        cf_out_fail(out, CF_E_NO_MEMORY, NULL);
    event_of_album(core, now, "stored", item->album, item->version, name, cf_str(""), out);
}

/* The removal has come to rest in a shard. */
static void removal_done(struct cf_core *core, struct job *job, const struct cf_done_item *item,
                         struct cf_out *out)
{
    struct cf_album_record record = {0};
    bool known = false;
    if (album_read(core, job_album(job), &record, &known, out))
        return;
    if (item && known && record.state == CF_STATE_REMOVED &&
        cf_version_compare(album_version(&record), job_version(job)) == 0) {
        record.shard = item->shard;
        record.log_seq = item->log_seq;
        album_write(core, job_album(job), &record, out);
    }
    job_drop(core, job);
}

static void done_item(struct cf_core *core, struct cf_now now, struct worker *worker,
                      const struct cf_done_item *item, struct cf_out *out)
{
    struct job *job = job_match(core, item->version, item->album);
    if (job && job->action == CF_ACTION_REMOVE) {
        removal_done(core, job, item, out);
        return;
    }
    struct cf_album_record record = {0};
    bool known = false;
    if (album_read(core, item->album, &record, &known, out) || !known ||
        cf_version_compare(album_version(&record), item->version) != 0)
        return;
    /* A late answer counts as well, even when the letter was already taken for dead: the vectors do rest
     * there. */
    if (record.state != CF_STATE_DEAD && (record.state != CF_STATE_QUEUED || !job))
        return;
    if (job)
        record.attempts = job->attempts;
    album_leave(core, &record);
    described(core, now, worker, item, &record, out);
}

void on_done(struct cf_core *core, struct cf_now now, struct worker *worker, struct cf_bytes peer,
             const struct cf_msg *msg, struct cf_out *out)
{
    const struct cf_done *done = &msg->done;
    if (!core->loaded)
        return;
    for (size_t i = 0; i < done->item_count; i++) {
        struct cf_detail detail = {0};
        enum cf_err err = done_check(core, &done->items[i], &detail);
        if (err)
            cf_core_bad(core, CF_OUT_WORKER, peer, msg->id, err, &detail, out);
        else
            done_item(core, now, worker, &done->items[i], out);
    }
    if (worker) {
        worker->done += done->item_count;
        rate_add(&worker->rate, now.mono_ms, (uint32_t)done->item_count);
    }
}

/* The job becomes a dead letter: out of the queue, kept on disk with its reason, to be retried or purged. */
static void bury(struct cf_core *core, struct cf_now now, struct job *job, struct cf_str worker,
                 struct cf_str error, struct cf_str sentence, struct cf_out *out)
{
    struct cf_detail detail = {0};
    struct cf_album_record record = {0};
    struct cf_job_record letter = job_record(job, now);
    bool known = false;
    if (album_read(core, job_album(job), &record, &known, out))
        return;
    if (!known || cf_version_compare(album_version(&record), job_version(job)) != 0) {
        job_drop(core, job);
        return;
    }
    record.state = CF_STATE_DEAD;
    record.attempts = job->attempts;
    record.settled_ms = now.wall_ms;
    record.worker = worker;
    record.error = error;
    record.detail = sentence;
    album_write(core, job_album(job), &record, out);
    if (content_is_to_blame(error))
        content_strike(core, now, record.sha256,
                       &(struct cf_quarantine_record){
                           .album = job_album(job), .error = error, .detail = sentence, .given_up = true},
                       out);
    core->store.job_delete(core->store.arg, job->seq, false);
    enum cf_err err = core->store.job_put(core->store.arg, job->seq, &letter, true, &detail);
    if (err)
        cf_out_fail(out, err, &detail);
    core->albums[CF_STATE_DEAD]++;
    event_of_album(core, now, "dead", job_album(job), job_version(job), worker, error, out);
    job_free(core, job);
}

static void retry_later(struct cf_core *core, struct cf_now now, struct job *job, uint64_t delay_ms,
                        struct cf_out *out)
{
    job_delay(core, job, now.mono_ms + delay_ms);
    job_save(core, now, job, out);
}

void bury_quarantined(struct cf_core *core, struct cf_now now, struct job *job, struct cf_bytes sha256,
                      struct cf_out *out)
{
    bury(core, now, job, cf_str(""), cf_str(cf_err_name(CF_E_QUARANTINED)),
         content_sentence(core, sha256, out), out);
}

void bury_lost(struct cf_core *core, struct cf_now now, struct job *job, const char *sentence,
               struct cf_out *out)
{
    bury(core, now, job, cf_str(""), cf_str(cf_err_name(CF_E_CORRUPT)), cf_out_str(out, cf_str(sentence)),
         out);
}

/* From the first strike on neither the job nor any other of the same content shares a lease. */
static void strike(struct cf_core *core, struct cf_now now, struct job *job, struct cf_str error,
                   struct cf_str sentence, struct cf_out *out)
{
    struct cf_album_record record = {0};
    bool known = false;
    job_suspect(core, job);
    if (!album_read(core, job_album(job), &record, &known, out) && known &&
        cf_version_compare(album_version(&record), job_version(job)) == 0)
        content_strike(
            core, now, record.sha256,
            &(struct cf_quarantine_record){.album = job_album(job), .error = error, .detail = sentence}, out);
}

/* An attempt was the cover's own. A removal is never given up: it was promised. */
static void attempt_failed(struct cf_core *core, struct cf_now now, struct job *job, struct cf_str worker,
                           struct cf_str error, struct cf_str sentence, struct cf_out *out)
{
    if (job->attempts < UINT32_MAX)
        job->attempts++;
    if (job->action == CF_ACTION_DESCRIBE && job->attempts >= core->config.attempts_max)
        bury(core, now, job, worker, error, sentence, out);
    else {
        if (job->action == CF_ACTION_DESCRIBE && content_is_to_blame(error))
            strike(core, now, job, error, sentence, out);
        retry_later(core, now, job, backoff_ms(core, job->attempts), out);
    }
}

static void failed_item(struct cf_core *core, struct cf_now now, struct worker *worker,
                        const struct cf_failed_item *item, struct cf_out *out)
{
    struct job *job = job_match(core, item->version, item->album);
    if (!job || job->worker != worker)
        return;
    if (job->action == CF_ACTION_REMOVE && cf_str_is(item->error, cf_err_name(CF_E_SUPERSEDED)))
        removal_done(core, job, NULL, out);
    else if (item->permanent && job->action == CF_ACTION_DESCRIBE) {
        job->attempts += item->counted ? 1 : 0;
        bury(core, now, job, cf_str(worker->name), item->error, item->detail, out);
    } else if (item->permanent || item->counted)
        attempt_failed(core, now, job, cf_str(worker->name), item->error, item->detail, out);
    else
        retry_later(core, now, job, backoff_ms(core, 0), out);
}

void on_failed(struct cf_core *core, struct cf_now now, struct worker *worker, const struct cf_failed *failed,
               struct cf_out *out)
{
    if (!core->loaded)
        return;
    for (size_t i = 0; i < failed->item_count; i++)
        failed_item(core, now, worker, &failed->items[i], out);
    worker->failed += failed->item_count;
}

void lease_lost(struct cf_core *core, struct cf_now now, struct job *job, bool death, enum cf_err error,
                struct cf_out *out)
{
    bool alone = job->worker && job->worker->alone == job;
    if (!death) {
        job_queue(core, job);
        return;
    }
    if (job->deaths < UINT32_MAX)
        job->deaths++;
    if (!alone) {
        job_queue(core, job);
        job_save(core, now, job, out);
        return;
    }
    struct cf_detail detail;
    (void)cf_fail(&detail, error,
                  error == CF_E_WORKER_DIED
                      ? "worker %s died while it held nothing but this album"
                      : "the lease of worker %s ran out while it held nothing but this album",
                  job->worker->name);
    attempt_failed(core, now, job, cf_str(job->worker->name), cf_str(cf_err_name(error)), cf_str(detail.text),
                   out);
}
