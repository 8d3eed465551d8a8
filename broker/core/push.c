/* push and remove: a new version of an album, on disk before it is acknowledged. */
#include "broker/core/state.h"

static void refuse(struct cf_core *core, struct cf_result *result, enum cf_err err,
                   const struct cf_detail *detail, struct cf_out *out)
{
    core->counters.refused++;
    result->status = CF_PUSH_REFUSED;
    result->error = cf_str(cf_err_name(err));
    result->detail = cf_out_str(out, cf_str(detail->text));
}

/* Refused in the store or for memory: the whole wake will be undone, but the item still gets its word. */
static void refuse_failed(struct cf_core *core, struct cf_result *result, struct cf_out *out)
{
    cf_out_fail(out, CF_E_NO_MEMORY, NULL);
    refuse(core, result, out->err, &out->detail, out);
}

static enum cf_err check_disk(const struct cf_core *core, uint64_t bytes, struct cf_detail *detail)
{
    if (core->disk_free >= core->config.disk_reserve_bytes &&
        core->disk_free - core->config.disk_reserve_bytes >= bytes)
        return CF_OK;
    return cf_fail(
        detail, CF_E_DISK_FULL,
        "the journal's disk has %llu bytes free, %llu are kept in reserve (broker.disk_reserve_bytes)",
        (unsigned long long)core->disk_free, (unsigned long long)core->config.disk_reserve_bytes);
}

static enum cf_err check_room(struct cf_core *core, const struct cf_album_record *known, bool is_known,
                              uint64_t bytes, struct cf_detail *detail)
{
    const struct job *old = is_known && known->state == CF_STATE_QUEUED ? job_find(core, known->seq) : NULL;
    return push_room(core, bytes, old ? 1 : 0, old ? old->bytes : 0, detail);
}

/* A job of a new version, in memory and in the open batch. NULL, noted in `out`, when memory is short. */
static struct job *job_make(struct cf_core *core, struct cf_now now, const struct cf_job_record *record,
                            uint64_t delay_ms, struct cf_out *out)
{
    struct job *job = job_new(core, core->next_seq, record);
    if (!job) {
        cf_out_fail(out, CF_E_NO_MEMORY, NULL);
        return NULL;
    }
    core->next_seq++;
    if (delay_ms)
        job_delay(core, job, now.mono_ms + (delay_ms < UINT64_MAX / 4 ? delay_ms : UINT64_MAX / 4));
    else
        job_queue(core, job);
    job_save(core, now, job, out);
    out->sync = true;
    return job;
}

static struct cf_album_record push_record(const struct cf_push_item *item, struct cf_bytes sha256,
                                          const struct job *job)
{
    return (struct cf_album_record){
        .epoch = job->epoch,
        .seq = job->seq,
        .state = CF_STATE_QUEUED,
        .sha256 = sha256,
        .meta = item->meta,
        .meta_count = item->meta_count,
        .source = item->file.len ? item->file : cf_str("bytes"),
        .priority = item->priority,
        .pushed_ms = job->pushed_ms,
    };
}

static void push_accept(struct cf_core *core, struct cf_now now, const struct cf_push_item *item,
                        struct cf_bytes sha256, struct cf_album_record *known, struct cf_result *result,
                        struct cf_out *out)
{
    if (known)
        album_leave(core, known);
    const struct cf_job_record job_record = {
        .album = item->album,
        .epoch = core->epoch,
        .action = CF_ACTION_DESCRIBE,
        .priority = item->priority,
        .pushed_ms = now.wall_ms,
        .bytes = item->bytes.len,
    };
    struct job *job = job_make(core, now, &job_record, item->delay_ms, out);
    if (!job) {
        refuse_failed(core, result, out);
        return;
    }
    if (item->bytes.len)
        core->store.payload_put(core->store.arg, job->seq, item->bytes);
    struct cf_album_record record = push_record(item, sha256, job);
    record.prev = known ? album_settled(known) : NULL;
    record.prev_count = record.prev ? 1 : 0;
    album_write(core, item->album, &record, out);
    if (content_is_given_up(core, sha256))
        bury_quarantined(core, now, job, sha256, out);
    core->disk_free -= item->bytes.len < core->disk_free ? item->bytes.len : core->disk_free;
    core->counters.accepted++;
    result->status = CF_PUSH_ACCEPTED;
    result->version = album_version(&record);
}

static void push_item(struct cf_core *core, struct cf_now now, const struct cf_push_item *item,
                      struct cf_result *result, struct cf_out *out)
{
    struct cf_detail detail = {0};
    struct cf_album_record known = {0};
    uint8_t digest[32];
    bool is_known = false, has_sha256 = false;
    enum cf_err err = push_check(core, item, digest, &has_sha256, &detail);
    if (err) {
        refuse(core, result, err, &detail, out);
        return;
    }
    struct cf_bytes sha256 = {digest, has_sha256 ? sizeof digest : 0};
    if (album_read(core, item->album, &known, &is_known, out)) {
        refuse_failed(core, result, out);
        return;
    }
    if (is_known && push_unchanged(core, item, sha256, &known)) {
        core->counters.unchanged++;
        result->status = CF_PUSH_UNCHANGED;
        result->version = album_version(&known);
        return;
    }
    if ((err = check_disk(core, item->bytes.len, &detail)) ||
        (err = check_room(core, &known, is_known, item->bytes.len, &detail))) {
        refuse(core, result, err, &detail, out);
        return;
    }
    push_accept(core, now, item, sha256, is_known ? &known : NULL, result, out);
}

static struct cf_result *reply_add(struct cf_bytes peer, const struct cf_msg *msg, enum cf_kind kind,
                                   size_t count, struct cf_out *out)
{
    struct cf_result *results = cf_out_alloc(out, count, sizeof *results);
    struct cf_out_item *reply = cf_out_add(out, CF_OUT_CLIENT, peer, kind, msg->id);
    reply->durable = true;
    reply->msg.results.results = results;
    reply->msg.results.result_count = results ? count : 0;
    return results;
}

void on_push(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
             struct cf_out *out)
{
    const struct cf_push *push = &msg->push;
    struct cf_result *results = reply_add(peer, msg, CF_KIND_PUSH_OK, push->item_count, out);
    if (!results || repeat_find(core, msg, results, push->item_count, out))
        return;
    for (size_t i = 0; i < push->item_count; i++) {
        if (core->loaded)
            push_item(core, now, &push->items[i], &results[i], out);
        else
            refuse(core, &results[i], core->offline, &core->offline_detail, out);
    }
    repeat_keep(core, now, msg, results, push->item_count);
}

/* The removal is a version of its own and a job: descriptors write it to a shard. Query workers hear of it at
 * once (removals_tell). */
static void remove_accept(struct cf_core *core, struct cf_now now, struct cf_str album,
                          struct cf_album_record *known, struct cf_result *result, struct cf_out *out)
{
    album_leave(core, known);
    const struct cf_job_record job_record = {
        .album = album,
        .epoch = core->epoch,
        .action = CF_ACTION_REMOVE,
        .pushed_ms = now.wall_ms,
    };
    struct job *job = job_make(core, now, &job_record, 0, out);
    if (!job) {
        refuse_failed(core, result, out);
        return;
    }
    struct cf_album_record record = {
        .epoch = job->epoch,
        .seq = job->seq,
        .state = CF_STATE_REMOVED,
        .pushed_ms = now.wall_ms,
        .settled_ms = now.wall_ms,
    };
    album_write(core, album, &record, out);
    enum cf_err err = album_enter(core, &record);
    if (err)
        cf_out_fail(out, err, NULL);
    struct cf_event *event = event_add(core, now, "removed", true, out);
    event->album = cf_out_str(out, album);
    event->version = job_version(job);
    core->counters.accepted++;
    result->status = CF_PUSH_ACCEPTED;
    result->version = job_version(job);
}

static void remove_item(struct cf_core *core, struct cf_now now, struct cf_str album,
                        struct cf_result *result, struct cf_out *out)
{
    struct cf_detail detail = {0};
    struct cf_album_record known = {0};
    bool is_known = false;
    enum cf_err err = cf_album_check(album, &detail);
    if (!err && album_read(core, album, &known, &is_known, out)) {
        refuse_failed(core, result, out);
        return;
    }
    if (!err && (!is_known || known.state == CF_STATE_REMOVED))
        err = cf_fail(&detail, CF_E_NOT_FOUND, is_known ? "the album is removed already" : "no such album");
    if (!err)
        err = check_room(core, &known, true, 0, &detail);
    if (err)
        refuse(core, result, err, &detail, out);
    else
        remove_accept(core, now, album, &known, result, out);
}

void on_remove(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
               struct cf_out *out)
{
    const struct cf_albums *albums = &msg->albums;
    struct cf_result *results = reply_add(peer, msg, CF_KIND_REMOVE_OK, albums->album_count, out);
    if (!results || repeat_find(core, msg, results, albums->album_count, out))
        return;
    for (size_t i = 0; i < albums->album_count; i++) {
        if (core->loaded)
            remove_item(core, now, albums->albums[i], &results[i], out);
        else
            refuse(core, &results[i], core->offline, &core->offline_detail, out);
    }
    repeat_keep(core, now, msg, results, albums->album_count);
}
