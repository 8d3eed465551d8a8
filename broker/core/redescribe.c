/* An order to describe again what lacks a vector: told to the descriptors, kept until all of their shards are
 * done. */
#include "broker/core/state.h"

#include <stdlib.h>

static bool space_add(struct redescription *r, struct cf_str space)
{
    if (r->space_count == CF_CORE_SPACES_MAX || space.len > CF_SPACE_BYTES_MAX)
        return false;
    char *to = r->spaces[r->space_count++];
    memcpy(to, space.data, space.len);
    to[space.len] = '\0';
    return true;
}

void redescribe_clear(struct cf_core *core)
{
    struct redescribed_shard *shard, *next;
    HASH_ITER(hh, core->redescription.shards, shard, next)
    {
        HASH_DEL(core->redescription.shards, shard);
        free(shard);
    }
}

void redescribe_load(struct cf_core *core, const struct cf_meta_record *meta)
{
    struct redescription *r = &core->redescription;
    if (r->order) /* given while the journal was away */
        return;
    r->order = meta->redescribe_order;
    r->finished = meta->redescribe_finished;
    r->space_count = 0;
    for (size_t i = 0; i < meta->redescribe_space_count; i++)
        if (!space_add(r, meta->redescribe_spaces[i]))
            return;
}

static struct cf_str *spaces_out(const struct redescription *r, struct cf_out *out)
{
    struct cf_str *spaces = cf_out_alloc(out, r->space_count, sizeof *spaces);
    for (size_t i = 0; spaces && i < r->space_count; i++)
        spaces[i] = cf_out_str(out, cf_str(r->spaces[i]));
    return spaces;
}

void redescribe_save(struct cf_core *core, struct cf_meta_record *meta, struct cf_out *out)
{
    const struct redescription *r = &core->redescription;
    meta->redescribe_order = r->order;
    meta->redescribe_finished = r->finished;
    meta->redescribe_spaces = spaces_out(r, out);
    meta->redescribe_space_count = meta->redescribe_spaces ? r->space_count : 0;
}

/* The one that looks after shards without an owner: who has been here the longest. */
static const struct worker *adopter(const struct cf_core *core)
{
    const struct worker *worker = core->workers;
    while (worker && worker->role != CF_ROLE_DESCRIPTOR)
        worker = worker->hh.next;
    return worker;
}

void redescribe_tell(struct cf_core *core, struct cf_out *out)
{
    const struct redescription *r = &core->redescription;
    const struct worker *adopts = adopter(core);
    struct cf_str *spaces = r->order && !r->finished ? spaces_out(r, out) : NULL;
    for (const struct worker *worker = core->workers; spaces && worker; worker = worker->hh.next) {
        if (worker->role != CF_ROLE_DESCRIPTOR)
            continue;
        struct cf_out_item *item =
            cf_out_add(out, CF_OUT_WORKER, worker_peer(worker), CF_KIND_REDESCRIBE_ORDER, 0);
        item->msg.redescribe_order = (struct cf_redescribe_order){
            .order = r->order, .spaces = spaces, .space_count = r->space_count, .adopts = worker == adopts};
    }
}

/* ---- progress ---- */

/* Of a shard whose own worker is here only that one is believed: who adopts names the others, too. */
static void shard_report(struct cf_core *core, const struct worker *from,
                         const struct cf_redescribe_shard *report)
{
    struct redescribed_shard *shard = NULL;
    const struct worker *owner = worker_named(core, report->shard);
    if (report->shard.len == 0 || report->shard.len > CF_NAME_BYTES_MAX || (owner && owner != from))
        return;
    HASH_FIND(hh, core->redescription.shards, report->shard.data, report->shard.len, shard);
    if (!shard) {
        if (HASH_COUNT(core->redescription.shards) >= CF_FLEET_MAX || !(shard = calloc(1, sizeof *shard)))
            return;
        memcpy(shard->name, report->shard.data, report->shard.len);
        shard->name_len = report->shard.len;
        HASH_ADD(hh, core->redescription.shards, name, (unsigned)shard->name_len, shard);
        if (!shard->hh.tbl) {
            free(shard);
            return;
        }
    }
    shard->said = *report;
    shard->said.shard = (struct cf_str){shard->name, shard->name_len};
}

static bool is_finished(const struct cf_core *core)
{
    const struct redescription *r = &core->redescription;
    const struct worker *adopts = adopter(core);
    for (const struct worker *worker = core->workers; worker; worker = worker->hh.next)
        if (worker->role == CF_ROLE_DESCRIPTOR &&
            (worker->redescribe_order != r->order || (worker == adopts && !worker->adopts)))
            return false;
    for (const struct redescribed_shard *shard = r->shards; shard; shard = shard->hh.next)
        if (!shard->said.finished)
            return false;
    return adopts && r->shards;
}

/* An indexer may have waited for all albums to have a space's next version. */
void redescribe_news(struct cf_core *core, const struct worker *indexer, struct cf_out *out)
{
    const struct redescription *r = &core->redescription;
    bool late = false;
    for (size_t i = 0; i < r->space_count; i++)
        late = late || cf_str_is(core->config.late_space, r->spaces[i]);
    if (!r->finished || !late)
        return;
    struct cf_out_item *item = cf_out_add(out, CF_OUT_WORKER, worker_peer(indexer), CF_KIND_REBUILD, 0);
    item->msg.rebuild = (struct cf_rebuild){.space = core->config.late_space, .redescribed = r->order};
}

void redescribe_progress(struct cf_core *core, struct worker *worker, const struct cf_heartbeat *heartbeat,
                         struct cf_out *out)
{
    struct redescription *r = &core->redescription;
    worker->redescribe_order = heartbeat->redescribe_order;
    worker->adopts = heartbeat->adopts;
    if (worker->role != CF_ROLE_DESCRIPTOR || !r->order || r->finished ||
        heartbeat->redescribe_order != r->order)
        return;
    for (size_t i = 0; i < heartbeat->redescribed_count; i++)
        shard_report(core, worker, &heartbeat->redescribed[i]);
    r->finished = is_finished(core);
    if (!r->finished)
        return;
    if (core->loaded)
        meta_save(core, out);
    for (const struct worker *other = core->workers; other; other = other->hh.next)
        if (other->role == CF_ROLE_INDEXER)
            redescribe_news(core, other, out);
}

/* ---- what clients ask ---- */

/* Numbers are times: also after a lost journal nobody takes a new order for an old one. */
static enum cf_err start(struct cf_core *core, struct cf_now now, const struct cf_redescribe *wish,
                         struct cf_out *out, struct cf_detail *detail)
{
    struct redescription *r = &core->redescription;
    for (size_t i = 0; i < wish->space_count; i++)
        if (!has_space(core, wish->spaces[i]))
            return fail_unknown_space(core, wish->spaces[i], detail);
    if (!adopter(core))
        return cf_fail(detail, CF_E_NO_WORKER, "no descriptor is registered: is one running?");
    redescribe_clear(core);
    r->order = now.wall_ms > r->order ? now.wall_ms : r->order + 1;
    r->finished = false;
    r->space_count = 0;
    for (size_t i = 0; i < wish->space_count; i++)
        if (!space_add(r, wish->spaces[i]))
            break;
    for (size_t i = 0; wish->space_count == 0 && i < core->config.space_count; i++)
        if (!space_add(r, core->config.spaces[i]))
            break;
    if (wish->space_count == 0 && core->config.late_space.len)
        (void)space_add(r, core->config.late_space);
    meta_save(core, out);
    redescribe_tell(core, out);
    return CF_OK;
}

static void view(const struct cf_core *core, struct cf_redescribed *to, struct cf_out *out)
{
    const struct redescription *r = &core->redescription;
    size_t count = HASH_COUNT(r->shards);
    *to = (struct cf_redescribed){.order = r->order, .finished = r->finished};
    to->spaces = spaces_out(r, out);
    to->space_count = to->spaces ? r->space_count : 0;
    to->shards = cf_out_alloc(out, count, sizeof *to->shards);
    const struct redescribed_shard *shard = to->shards ? r->shards : NULL;
    for (; shard; shard = shard->hh.next) {
        to->shards[to->shard_count] = shard->said;
        to->shards[to->shard_count++].shard = cf_out_str(out, shard->said.shard);
    }
}

void on_redescribe(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                   struct cf_out *out)
{
    struct cf_detail detail = {0};
    enum cf_err err =
        msg->redescribe.op == CF_REDESCRIBE_START ? start(core, now, &msg->redescribe, out, &detail) : CF_OK;
    if (err) {
        cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, err, &detail);
        return;
    }
    struct cf_out_item *item = cf_out_add(out, CF_OUT_CLIENT, peer, CF_KIND_REDESCRIBE_OK, msg->id);
    item->durable = msg->redescribe.op == CF_REDESCRIBE_START;
    view(core, &item->msg.redescribed, out);
}
