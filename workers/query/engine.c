#include "workers/query/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "workers/query/engine_state.h"

struct cf_stage {
    size_t space;
    struct cf_view *view; /* nobody else's until it is adopted */
};

static enum cf_err init_views(struct cf_engine *engine)
{
    struct cf_tail none = {.row_bytes = 0};
    engine->shards = calloc(1, sizeof *engine->shards);
    engine->removed = cf_view_new(NULL, &none);
    if (!engine->shards || !engine->removed)
        return CF_E_NO_MEMORY;
    atomic_init(&engine->shards->refs, 1);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        struct cf_places *places = NULL;
        struct cf_tail tail = {.row_bytes = cf_ann_row_bytes(cf_spaces[i].dim)};
        enum cf_err err = cf_places_new(engine->shards, NULL, &places);
        if (err == CF_OK)
            engine->views[i] = cf_view_new(places, &tail);
        cf_places_free(places);
        if (!engine->views[i])
            return CF_E_NO_MEMORY;
    }
    return CF_OK;
}

enum cf_err cf_engine_new(struct cf_engine **engine, struct cf_detail *detail)
{
    struct cf_engine *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the searchable state");
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->removal_lock, NULL);
    if (init_views(made) != CF_OK) {
        cf_engine_free(made);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the searchable state");
    }
    *engine = made;
    return CF_OK;
}

void cf_engine_free(struct cf_engine *engine)
{
    if (!engine)
        return;
    cf_engine_end_checks(engine);
    cf_engine_sweep(engine);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        cf_view_free(engine->views[i]);
    cf_view_free(engine->removed);
    cf_shard_table_free(engine->shards);
    cf_engine_fini_removals(engine);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->removal_lock);
    free(engine);
}

/* A view of other places, with the same tail or its own. */
static enum cf_err new_view(struct cf_shard_table *shards, struct cf_served *served, struct cf_tail tail,
                            struct cf_view **view)
{
    struct cf_places *places = NULL;
    enum cf_err err = cf_places_new(shards, served, &places);
    struct cf_view *made = err == CF_OK ? cf_view_new(places, &tail) : NULL;
    cf_places_free(places);
    if (made)
        *view = made;
    else
        cf_tail_fini(&tail);
    return made ? CF_OK : CF_E_NO_MEMORY;
}

static void free_views(struct cf_view *views[CF_SPACE_COUNT])
{
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        cf_view_free(views[i]);
}

/* ---- shards ---- */

static struct cf_shard_table *grow_shards(const struct cf_shard_table *old, const char *name,
                                          struct cf_shard *shard)
{
    struct cf_shard_table *grown = malloc(sizeof *grown + (old->count + 1) * sizeof *grown->items);
    if (!grown)
        return NULL;
    atomic_init(&grown->refs, 1);
    grown->count = old->count + 1;
    memcpy(grown->items, old->items, old->count * sizeof *grown->items);
    struct cf_engine_shard *last = &grown->items[old->count];
    last->shard = shard;
    snprintf(last->name, sizeof last->name, "%s", name);
    return grown;
}

/* Numbers what is served anew. */
static enum cf_err renumber(struct cf_engine *engine, struct cf_shard_table *shards)
{
    struct cf_view *fresh[CF_SPACE_COUNT] = {NULL};
    enum cf_err err = CF_OK;
    for (size_t i = 0; err == CF_OK && i < CF_SPACE_COUNT; i++) {
        const struct cf_view *view = engine->views[i];
        err = new_view(shards, view->places->served, cf_tail_share(&view->tail), &fresh[i]);
        if (err == CF_OK)
            cf_view_inherit(fresh[i], view);
    }
    if (err == CF_OK)
        cf_engine_publish(engine, fresh);
    free_views(fresh);
    return err;
}

enum cf_err cf_engine_add_shard(struct cf_engine *engine, const char *name, struct cf_shard *shard,
                                struct cf_detail *detail)
{
    if (strlen(name) >= CF_TEXT_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "shard %.80s…: the name is too long", name);
    struct cf_shard_table *grown = grow_shards(engine->shards, name, shard), *old = engine->shards;
    if (!grown || renumber(engine, grown) != CF_OK) {
        cf_shard_table_free(grown);
        return cf_fail(detail, CF_E_NO_MEMORY, "shard %s: out of memory", name);
    }
    pthread_mutex_lock(&engine->lock);
    engine->shards = grown;
    pthread_mutex_unlock(&engine->lock);
    cf_shard_table_free(old);
    return CF_OK;
}

uint32_t cf_engine_shard(const struct cf_engine *engine, struct cf_str name)
{
    for (uint32_t i = 0; i < engine->shards->count; i++)
        if (cf_str_is(name, engine->shards->items[i].name))
            return i;
    return CF_ENGINE_NO_SHARD;
}

const char *cf_engine_shard_name(const struct cf_engine *engine, uint32_t shard)
{
    return engine->shards->items[shard].name;
}

struct cf_shard *cf_engine_shard_handle(const struct cf_engine *engine, uint32_t shard)
{
    return engine->shards->items[shard].shard;
}

uint64_t cf_engine_mark(const struct cf_engine *engine, size_t space, uint32_t shard)
{
    const struct cf_places *places = engine->views[space]->places;
    return shard < places->shards->count ? places->marks[shard] : 0;
}

uint64_t cf_engine_generation(const struct cf_engine *engine, size_t space)
{
    const struct cf_served *served = cf_engine_served(engine, space);
    return served ? cf_served_generation(served)->generation : 0;
}

struct cf_served *cf_engine_served(const struct cf_engine *engine, size_t space)
{
    return engine->views[space]->places->served;
}

enum cf_err cf_shard_table_newest(const struct cf_shard_table *shards, struct cf_str id,
                                  struct cf_arena *arena, struct cf_shard_album *record, uint32_t *shard,
                                  struct cf_detail *detail)
{
    enum cf_err worst = CF_E_NOT_FOUND;
    bool found = false;
    for (uint32_t i = 0; i < shards->count; i++) {
        struct cf_shard_album here;
        struct cf_detail why = {{0}};
        enum cf_err err = cf_shard_album(shards->items[i].shard, id, arena, &here, &why);
        if (err == CF_OK && (!found || cf_version_compare(here.version, record->version) > 0)) {
            *record = here;
            *shard = i;
            found = true;
        } else if (err != CF_OK && err != CF_E_NOT_FOUND) {
            worst = cf_fail(detail, err, "shard %.60s: %.240s", shards->items[i].name, why.text);
        }
    }
    if (!found && worst == CF_E_NOT_FOUND)
        return cf_fail(detail, CF_E_NOT_FOUND, "album \"%.*s\" is not known", CF_STR_ARG(id));
    return found ? CF_OK : worst;
}

enum cf_err cf_engine_newest(struct cf_engine *engine, struct cf_str id, struct cf_arena *arena,
                             struct cf_shard_album *record, uint32_t *shard, struct cf_detail *detail)
{
    pthread_mutex_lock(&engine->lock);
    struct cf_shard_table *shards = cf_shard_table_share(engine->shards);
    pthread_mutex_unlock(&engine->lock);
    enum cf_err err = cf_shard_table_newest(shards, id, arena, record, shard, detail);
    cf_shard_table_free(shards);
    return err;
}

/* ---- changes ---- */

/* False when the tail says all there is to say already. */
static bool take_change(const struct cf_places *places, const struct cf_tail *tail, size_t space,
                        const struct cf_engine_change *change, struct cf_tail_entry *entry)
{
    bool neighbor = !change->album.removed && !(change->album.flags & CF_FLAG_CONSTANT);
    bool covered = cf_places_cover(places, &change->album);
    if (covered && !cf_tail_find(tail, change->album.id))
        return false;
    *entry = (struct cf_tail_entry){.album = change->album,
                                    .row = neighbor && !covered ? change->rows[space] : NULL,
                                    .forgotten = covered};
    return true;
}

/* `*changed`: the tail is another one now. */
static enum cf_err put_changes(const struct cf_places *places, struct cf_tail *tail, size_t space,
                               const struct cf_engine_change *changes, size_t count, bool *changed)
{
    struct cf_tail_entry *entries = malloc((count + 1) * sizeof *entries);
    if (!entries)
        return CF_E_NO_MEMORY;
    size_t taken = 0;
    for (size_t i = 0; i < count; i++)
        taken += take_change(places, tail, space, &changes[i], &entries[taken]);
    enum cf_err err = cf_tail_put(tail, entries, taken);
    free(entries);
    *changed = taken > 0;
    return err;
}

static enum cf_err mark_changes(struct cf_view *view, const struct cf_engine_change *changes, size_t count)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; err == CF_OK && i < count; i++)
        err = cf_view_mark(view, changes[i].album.id);
    return err;
}

/* NULL when nothing changes. */
static enum cf_err changed_view(const struct cf_engine *engine, size_t space,
                                const struct cf_engine_change *changes, size_t count, struct cf_view **fresh)
{
    const struct cf_view *old = engine->views[space];
    struct cf_tail tail = cf_tail_share(&old->tail);
    bool changed = false;
    enum cf_err err = put_changes(old->places, &tail, space, changes, count, &changed);
    if (err == CF_OK && changed) {
        *fresh = cf_view_new(old->places, &tail);
        err = *fresh ? CF_OK : CF_E_NO_MEMORY;
    }
    if (err == CF_OK && changed) {
        cf_view_inherit(*fresh, old);
        err = mark_changes(*fresh, changes, count);
    }
    cf_tail_fini(&tail);
    return err;
}

enum cf_err cf_engine_apply(struct cf_engine *engine, const struct cf_engine_change *changes, size_t count,
                            struct cf_detail *detail)
{
    struct cf_view *fresh[CF_SPACE_COUNT] = {NULL};
    enum cf_err err = CF_OK;
    for (size_t i = cf_space_from(0); err == CF_OK && i < CF_SPACE_COUNT; i = cf_space_from(i + 1))
        err = changed_view(engine, i, changes, count, &fresh[i]);
    if (err == CF_OK) {
        cf_engine_publish(engine, fresh);
        for (size_t i = 0; i < count; i++)
            cf_engine_drop_removal(engine, changes[i].album.id, changes[i].album.version);
    }
    free_views(fresh);
    return err == CF_OK ? err : cf_fail(detail, err, "no memory for what is not indexed yet");
}

/* ---- generations ---- */

/* In runs as large as they may get, so that little is merged. */
static enum cf_err copy_uncovered(const struct cf_tail *old, struct cf_view *view)
{
    struct cf_tail_entry *entries = malloc((old->entry_count + 1) * sizeof *entries);
    if (!entries)
        return CF_E_NO_MEMORY;
    struct cf_tail_place place = {0, 0};
    size_t count = 0;
    for (const struct cf_tail_entry *entry; (entry = cf_tail_next(old, &place));)
        if (!cf_places_cover(view->places, &entry->album)) {
            entries[count] = *entry;
            if (old->sketch != view->tail.sketch)
                entries[count].code = NULL;
            count++;
        }
    enum cf_err err = CF_OK;
    for (size_t begin = 0; err == CF_OK && begin < count; begin += CF_TAIL_RUN_MAX)
        err = cf_tail_put(&view->tail, &entries[begin],
                          count - begin < CF_TAIL_RUN_MAX ? count - begin : CF_TAIL_RUN_MAX);
    for (size_t i = 0; err == CF_OK && i < count; i++)
        err = cf_view_mark(view, entries[i].album.id);
    free(entries);
    return err;
}

enum cf_err cf_engine_stage(const struct cf_engine *engine, size_t space, struct cf_served **served,
                            struct cf_stage **stage, struct cf_detail *detail)
{
    const struct cf_tail *old = &engine->views[space]->tail;
    struct cf_stage *made = calloc(1, sizeof *made);
    enum cf_err err = CF_E_NO_MEMORY;
    if (made) {
        made->space = space;
        const struct cf_tail tail = {
            .row_bytes = old->row_bytes, .sketch = (*served)->sketch, .dim = cf_spaces[space].dim};
        err = new_view(engine->shards, *served, tail, &made->view);
    }
    if (err == CF_OK)
        err = copy_uncovered(old, made->view);
    if (err != CF_OK) {
        cf_stage_free(made);
        return cf_fail(detail, err, "no memory for the tail of a new generation");
    }
    cf_served_free(*served); /* the view refers to it */
    *served = NULL;
    *stage = made;
    return CF_OK;
}

size_t cf_stage_space(const struct cf_stage *stage)
{
    return stage->space;
}

uint64_t cf_stage_mark(const struct cf_stage *stage, uint32_t shard)
{
    return stage->view->places->marks[shard];
}

enum cf_err cf_stage_put(struct cf_stage *stage, const struct cf_engine_change *changes, size_t count,
                         struct cf_detail *detail)
{
    bool changed;
    enum cf_err err =
        put_changes(stage->view->places, &stage->view->tail, stage->space, changes, count, &changed);
    if (err == CF_OK && changed)
        err = mark_changes(stage->view, changes, count);
    return err == CF_OK ? err : cf_fail(detail, err, "no memory for the tail of a new generation");
}

void cf_stage_free(struct cf_stage *stage)
{
    if (!stage)
        return;
    cf_view_free(stage->view);
    free(stage);
}

void cf_engine_adopt(struct cf_engine *engine, struct cf_stage **stage)
{
    struct cf_stage *own = *stage;
    CF_CHECK(own->view->places->shards == engine->shards);
    struct cf_view *fresh[CF_SPACE_COUNT] = {NULL};
    fresh[own->space] = own->view;
    own->view = NULL;
    cf_engine_publish(engine, fresh);
    cf_stage_free(own);
    *stage = NULL;
}

struct cf_str cf_engine_missing(const struct cf_engine *engine, size_t i)
{
    for (size_t s = 0; s < CF_SPACE_COUNT; s++) {
        const struct cf_places *places = engine->views[s]->places;
        const struct cf_generation *generation =
            places->served ? cf_served_generation(places->served) : &(struct cf_generation){.base = 0};
        for (size_t m = 0; m < generation->mark_count; m++) {
            const struct cf_generation_mark *mark = &generation->marks[m];
            if (mark->log_seq && cf_engine_shard(engine, mark->shard) == CF_ENGINE_NO_SHARD && i-- == 0)
                return mark->shard;
        }
    }
    return cf_str("");
}

/* ---- what can be read ---- */

void cf_engine_set_unreadable(struct cf_engine *engine, uint64_t count, const char *name)
{
    if (count == atomic_load(&engine->unreadable) &&
        (count == 0 || strcmp(engine->unreadable_name, name) == 0))
        return;
    pthread_mutex_lock(&engine->lock);
    atomic_store(&engine->unreadable, count);
    snprintf(engine->unreadable_name, sizeof engine->unreadable_name, "%s", name);
    pthread_mutex_unlock(&engine->lock);
}

uint64_t cf_engine_unreadable(const struct cf_engine *engine)
{
    return atomic_load(&engine->unreadable);
}

void cf_engine_caught_up(struct cf_engine *engine, uint64_t began_ms)
{
    atomic_store(&engine->caught_up_ms, began_ms);
    cf_engine_sweep_removals(engine);
    cf_engine_sweep(engine);
}

static struct cf_index_status status_of(const struct cf_view *view, size_t space)
{
    const struct cf_served *served = view->places->served;
    struct cf_index_status status = {.space = cf_str(cf_spaces[space].name), .tail = view->tail.row_count};
    if (served) {
        status.generation = cf_served_generation(served)->generation;
        status.count = served->count;
    }
    return status;
}

void cf_engine_status(struct cf_engine *engine, struct cf_index_status status[CF_SPACE_COUNT])
{
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        status[i] = status_of(engine->views[i], i);
    pthread_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        cf_recall_status(engine->checks, i, &status[i].recall, &status[i].recall_checks);
}
