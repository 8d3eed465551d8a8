#include <math.h>

#include "workers/query/engine_state.h"

static enum cf_err fail_removed(struct cf_str id, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NOT_FOUND, "album \"%.*s\" was removed", CF_STR_ARG(id));
}

static enum cf_err fail_flagged(struct cf_str id, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_FLAGGED, "the cover of \"%.*s\" has no contrast: there is nothing to compare",
                   CF_STR_ARG(id));
}

static enum cf_err fail_not_described(struct cf_str id, const char *space, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NOT_DESCRIBED, "album \"%.*s\" has no vector in space %s yet", CF_STR_ARG(id),
                   space);
}

bool cf_vector_at_rest(struct cf_shard *shard, size_t space, struct cf_str id, float *out)
{
    const struct cf_space *of = &cf_spaces[space];
    return shard && cf_shard_vector(shard, id, cf_str(of->name), of->version, out, of->dim, NULL) == CF_OK;
}

/* In doubles, so that no order depends on rounding. */
double cf_distance(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        double apart = (double)a[i] - (double)b[i];
        sum += apart * apart;
    }
    return sqrt(sum);
}

static enum cf_err vector_of_entry(const struct cf_view *view, const struct cf_tail_entry *entry,
                                   size_t space, float *out, struct cf_detail *detail)
{
    const struct cf_tail_album *album = &entry->album;
    if (album->removed)
        return fail_removed(album->id, detail);
    if (album->flags & CF_FLAG_CONSTANT)
        return fail_flagged(album->id, detail);
    if (!entry->row)
        return fail_not_described(album->id, cf_spaces[space].name, detail);
    if (!cf_vector_at_rest(cf_places_shard(view->places, album->shard), space, album->id, out))
        cf_ann_row_decode(entry->row, cf_spaces[space].dim, out);
    return CF_OK;
}

static enum cf_err vector_of_item(const struct cf_grab *grab, struct cf_served_item found, size_t space,
                                  struct cf_str id, float *out, struct cf_detail *detail)
{
    const struct cf_places *places = grab->view->places;
    const struct cf_mapped *part = places->served->parts[found.part];
    struct cf_generation_tag tag = cf_mapped_tag(part, (uint64_t)found.item);
    if (cf_grab_is_removed(grab, id, tag.version))
        return fail_removed(id, detail);
    if (!cf_vector_at_rest(cf_places_item_shard(places, found.part, &tag), space, id, out))
        cf_ann_vector(part->ann, (uint64_t)found.item, out);
    return CF_OK;
}

static enum cf_err fail_unknown(struct cf_engine *engine, struct cf_str id, struct cf_detail *detail)
{
    char name[CF_TEXT_BYTES_MAX];
    pthread_mutex_lock(&engine->lock);
    memcpy(name, engine->unreadable_name, sizeof name);
    pthread_mutex_unlock(&engine->lock);
    return cf_fail(detail, CF_E_IO,
                   "album \"%.*s\" is not known, but the shard %s cannot be read now: it may be there",
                   CF_STR_ARG(id), name);
}

/* Neither in tail nor index: flagged or removed long ago, or so new that the follower has not come to it yet.
 */
static enum cf_err vector_of_record(struct cf_engine *engine, const struct cf_grab *grab, size_t space,
                                    struct cf_str id, struct cf_arena *arena, float *out,
                                    struct cf_detail *detail)
{
    const struct cf_shard_table *shards = grab->view->places->shards;
    struct cf_shard_album record;
    uint32_t shard;
    enum cf_err err = cf_shard_table_newest(shards, id, arena, &record, &shard, detail);
    if (err == CF_E_NOT_FOUND && grab->unreadable)
        return fail_unknown(engine, id, detail);
    if (err != CF_OK)
        return err;
    if (record.removed || cf_grab_is_removed(grab, id, record.version))
        return fail_removed(id, detail);
    if (record.flags & CF_FLAG_CONSTANT)
        return fail_flagged(id, detail);
    err = cf_shard_vector(shards->items[shard].shard, id, cf_str(cf_spaces[space].name),
                          cf_spaces[space].version, out, cf_spaces[space].dim, detail);
    return err == CF_E_NOT_FOUND ? fail_not_described(id, cf_spaces[space].name, detail) : err;
}

bool cf_grab_vector(const struct cf_grab *grab, size_t space, struct cf_str id, float *out, enum cf_err *err,
                    struct cf_detail *detail)
{
    const struct cf_tail_entry *entry = cf_tail_find(&grab->view->tail, id);
    struct cf_served_item found = {CF_PART_COUNT, CF_ANN_NONE};
    if (!entry)
        found = cf_served_find(grab->view->places->served, id);
    if (!entry && found.item == CF_ANN_NONE)
        return false;
    if (entry && cf_grab_is_removed(grab, id, entry->album.version))
        *err = fail_removed(id, detail);
    else if (entry)
        *err = vector_of_entry(grab->view, entry, space, out, detail);
    else
        *err = vector_of_item(grab, found, space, id, out, detail);
    return true;
}

enum cf_err cf_engine_vector(struct cf_engine *engine, size_t space, struct cf_str id,
                             struct cf_engine_scratch *scratch, float *out, struct cf_detail *detail)
{
    cf_arena_reset(scratch->arena);
    struct cf_grab grab = cf_engine_grab(engine, space);
    enum cf_err err = CF_OK;
    if (!cf_grab_vector(&grab, space, id, out, &err, detail))
        err = vector_of_record(engine, &grab, space, id, scratch->arena, out, detail);
    cf_grab_drop(&grab);
    return err;
}
