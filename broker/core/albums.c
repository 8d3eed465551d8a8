#include "broker/core/state.h"

enum cf_err album_read(struct cf_core *core, struct cf_str id, struct cf_album_record *record, bool *known,
                       struct cf_out *out)
{
    struct cf_detail detail = {0};
    enum cf_err err = core->store.album_get(core->store.arg, id, out->arena, record, &detail);
    if (err && err != CF_E_NOT_FOUND) {
        cf_out_fail(out, err, &detail);
        return err;
    }
    *known = err == CF_OK;
    return CF_OK;
}

void album_write(struct cf_core *core, struct cf_str id, const struct cf_album_record *record,
                 struct cf_out *out)
{
    struct cf_detail detail = {0};
    enum cf_err err = core->store.album_put(core->store.arg, id, record, &detail);
    if (err)
        cf_out_fail(out, err, &detail);
}

void album_leave(struct cf_core *core, const struct cf_album_record *record)
{
    struct job *job;
    switch (record->state) {
    case CF_STATE_QUEUED:
        job = job_find(core, record->seq);
        if (job)
            job_drop(core, job);
        break;
    case CF_STATE_DESCRIBED:
        tail_remove(core, record->shard, record->log_seq);
        break;
    case CF_STATE_DEAD:
        core->store.job_delete(core->store.arg, record->seq, true);
        core->store.payload_delete(core->store.arg, record->seq);
        core->albums[CF_STATE_DEAD]--;
        break;
    case CF_STATE_REMOVED:
        /* Its job stays: until a shard has the removal, older vectors could come back. */
        core->albums[CF_STATE_REMOVED]--;
        break;
    default:
        break;
    }
}

enum cf_err album_enter(struct cf_core *core, const struct cf_album_record *record)
{
    if (record->state == CF_STATE_DESCRIBED)
        return tail_add(core, record->shard, record->log_seq);
    if (record->state == CF_STATE_DEAD || record->state == CF_STATE_REMOVED)
        core->albums[record->state]++;
    return CF_OK;
}

int album_state(struct cf_core *core, const struct cf_album_record *record)
{
    if (record->state == CF_STATE_DESCRIBED)
        return tail_is_indexed(core, record->shard, record->log_seq) ? CF_STATE_INDEXED : CF_STATE_DESCRIBED;
    if (record->state != CF_STATE_QUEUED)
        return record->state;
    const struct job *job = job_find(core, record->seq);
    return job ? job->state : CF_STATE_QUEUED;
}

struct cf_version album_version(const struct cf_album_record *record)
{
    return (struct cf_version){record->epoch, record->seq};
}

struct cf_album_record *album_settled(struct cf_album_record *record)
{
    if (record->state != CF_STATE_DESCRIBED && record->state != CF_STATE_REMOVED)
        return record->prev_count ? record->prev : NULL;
    record->prev = NULL;
    record->prev_count = 0;
    return record;
}
