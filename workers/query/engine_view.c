#include <stdlib.h>

#include "workers/query/engine_state.h"

struct cf_shard_table *cf_shard_table_share(struct cf_shard_table *table)
{
    atomic_fetch_add(&table->refs, 1);
    return table;
}

void cf_shard_table_free(struct cf_shard_table *table)
{
    if (table && atomic_fetch_sub(&table->refs, 1) == 1)
        free(table);
}

/* ---- places ---- */

static uint32_t number_of(const struct cf_shard_table *shards, struct cf_str name)
{
    for (uint32_t i = 0; i < shards->count; i++)
        if (cf_str_is(name, shards->items[i].name))
            return i;
    return CF_ENGINE_NO_SHARD;
}

static enum cf_err number_part(struct cf_places *places, size_t part)
{
    const struct cf_generation *generation = &places->served->parts[part]->generation;
    uint32_t *numbers = calloc(generation->mark_count + 1, sizeof *numbers);
    if (!numbers)
        return CF_E_NO_MEMORY;
    for (size_t i = 0; i < generation->mark_count; i++)
        numbers[i] = number_of(places->shards, generation->marks[i].shard);
    places->tag_shards[part] = numbers;
    return CF_OK;
}

static enum cf_err number_marks(struct cf_places *places)
{
    places->marks = calloc(places->shards->count + 1, sizeof *places->marks);
    if (!places->marks)
        return CF_E_NO_MEMORY;
    if (!places->served)
        return CF_OK;
    for (size_t part = 0; part < CF_PART_COUNT; part++)
        if (places->served->parts[part] && number_part(places, part) != CF_OK)
            return CF_E_NO_MEMORY;
    const struct cf_generation *generation = cf_served_generation(places->served);
    const uint32_t *numbers = places->tag_shards[generation->base ? CF_PART_SMALL : CF_PART_WHOLE];
    for (size_t i = 0; i < generation->mark_count; i++)
        if (numbers[i] != CF_ENGINE_NO_SHARD)
            places->marks[numbers[i]] = generation->marks[i].log_seq;
    return CF_OK;
}

enum cf_err cf_places_new(struct cf_shard_table *shards, struct cf_served *served, struct cf_places **places)
{
    struct cf_places *made = calloc(1, sizeof *made);
    if (!made)
        return CF_E_NO_MEMORY;
    atomic_init(&made->refs, 1);
    made->shards = cf_shard_table_share(shards);
    made->served = served ? cf_served_share(served) : NULL;
    enum cf_err err = number_marks(made);
    if (err == CF_OK)
        *places = made;
    else
        cf_places_free(made);
    return err;
}

void cf_places_free(struct cf_places *places)
{
    if (!places || atomic_fetch_sub(&places->refs, 1) > 1)
        return;
    cf_shard_table_free(places->shards);
    cf_served_free(places->served);
    free(places->marks);
    for (size_t i = 0; i < CF_PART_COUNT; i++)
        free(places->tag_shards[i]);
    free(places);
}

static bool index_is_newer(const struct cf_served *served, struct cf_str id, struct cf_version version)
{
    struct cf_served_item found = cf_served_find(served, id);
    return found.item != CF_ANN_NONE &&
           cf_version_compare(cf_mapped_tag(served->parts[found.part], (uint64_t)found.item).version,
                              version) > 0;
}

bool cf_places_cover(const struct cf_places *places, const struct cf_tail_album *album)
{
    return album->log_seq <= places->marks[album->shard] ||
           index_is_newer(places->served, album->id, album->version);
}

struct cf_shard *cf_places_shard(const struct cf_places *places, uint32_t number)
{
    return number < places->shards->count ? places->shards->items[number].shard : NULL;
}

struct cf_shard *cf_places_item_shard(const struct cf_places *places, size_t part,
                                      const struct cf_generation_tag *tag)
{
    bool known = tag->shard < places->served->parts[part]->generation.mark_count;
    return known ? cf_places_shard(places, places->tag_shards[part][tag->shard]) : NULL;
}

/* ---- views ---- */

struct cf_view *cf_view_new(struct cf_places *places, struct cf_tail *tail)
{
    struct cf_view *view = calloc(1, sizeof *view);
    if (!view)
        return NULL;
    atomic_init(&view->refs, 1);
    view->places = places;
    if (places)
        atomic_fetch_add(&places->refs, 1);
    view->tail = *tail;
    *tail = (struct cf_tail){.row_bytes = tail->row_bytes, .sketch = tail->sketch, .dim = tail->dim};
    return view;
}

void cf_view_inherit(struct cf_view *view, const struct cf_view *old)
{
    for (size_t i = 0; i < CF_PART_COUNT; i++)
        view->hidden[i] = cf_hidden_share(old->hidden[i]);
}

static enum cf_err mark_part(struct cf_view *view, size_t part, struct cf_str id, bool hide)
{
    const struct cf_mapped *mapped = view->places->served->parts[part];
    int64_t item = mapped ? cf_mapped_find(mapped, id) : CF_ANN_NONE;
    if (item == CF_ANN_NONE)
        return CF_OK;
    return cf_hidden_put(&view->hidden[part], cf_ann_info(mapped->ann).count, (uint64_t)item, hide);
}

enum cf_err cf_view_mark(struct cf_view *view, struct cf_str id)
{
    bool hide = cf_tail_find(&view->tail, id) != NULL;
    enum cf_err err = CF_OK;
    for (size_t i = 0; view->places->served && err == CF_OK && i < CF_PART_COUNT; i++)
        err = mark_part(view, i, id, hide);
    return err;
}

static struct cf_view *share_view(struct cf_view *view)
{
    atomic_fetch_add(&view->refs, 1);
    return view;
}

void cf_view_free(struct cf_view *view)
{
    if (!view || atomic_fetch_sub(&view->refs, 1) > 1)
        return;
    cf_places_free(view->places);
    cf_tail_fini(&view->tail);
    for (size_t i = 0; i < CF_PART_COUNT; i++)
        cf_hidden_free(view->hidden[i]);
    free(view);
}

struct cf_grab cf_engine_grab(struct cf_engine *engine, size_t space)
{
    pthread_mutex_lock(&engine->lock);
    struct cf_grab grab = {share_view(engine->views[space]), share_view(engine->removed),
                           atomic_load(&engine->unreadable)};
    pthread_mutex_unlock(&engine->lock);
    return grab;
}

struct cf_grab cf_grab_share(const struct cf_grab *grab)
{
    return (struct cf_grab){share_view(grab->view), share_view(grab->removed), grab->unreadable};
}

void cf_grab_drop(struct cf_grab *grab)
{
    cf_view_free(grab->view);
    cf_view_free(grab->removed);
    *grab = (struct cf_grab){NULL, NULL, 0};
}

/* Under the lock. */
static void replace(struct cf_engine *engine, struct cf_view **place, struct cf_view *fresh)
{
    struct cf_view *old = *place;
    *place = fresh;
    old->next = engine->retired;
    engine->retired = old;
}

void cf_engine_publish(struct cf_engine *engine, struct cf_view *fresh[CF_SPACE_COUNT])
{
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        if (fresh[i])
            replace(engine, &engine->views[i], fresh[i]);
    pthread_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        fresh[i] = NULL;
}

void cf_engine_publish_removed(struct cf_engine *engine, struct cf_view *fresh)
{
    pthread_mutex_lock(&engine->lock);
    replace(engine, &engine->removed, fresh);
    pthread_mutex_unlock(&engine->lock);
}

/* Whoever holds a replaced view may share it, but who does not cannot get at it: once the list's reference is
 * the last one, it stays the last. */
void cf_engine_sweep(struct cf_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    struct cf_view *list = engine->retired;
    engine->retired = NULL;
    pthread_mutex_unlock(&engine->lock);
    while (list) {
        struct cf_view *view = list;
        list = view->next;
        if (atomic_load(&view->refs) == 1) {
            cf_view_free(view);
            continue;
        }
        pthread_mutex_lock(&engine->lock);
        view->next = engine->retired;
        engine->retired = view;
        pthread_mutex_unlock(&engine->lock);
    }
}
