#include <stdlib.h>

#include "workers/query/engine_state.h"

/* Searches look at a few more removals than are remembered before their list is made anew. */
enum { STALE_REMOVALS_MAX = 64 };

/* What follows is called under the removals' lock. */

static struct cf_removal *find_removal(const struct cf_engine *engine, struct cf_str id)
{
    return (struct cf_removal *)cf_idmap_find(&engine->removals, id);
}

static enum cf_err add_removal(struct cf_engine *engine, const struct cf_removed_item *item)
{
    struct cf_removal *removal = malloc(sizeof *removal + item->album.len);
    if (!removal)
        return CF_E_NO_MEMORY;
    *removal = (struct cf_removal){.key = {{removal->id, item->album.len}}, .version = item->version};
    memcpy(removal->id, item->album.data, item->album.len);
    enum cf_err err = cf_idmap_add(&engine->removals, &removal->key);
    if (err == CF_OK)
        engine->unsettled_count++;
    else
        free(removal);
    return err;
}

static void forget(struct cf_engine *engine, struct cf_removal *removal)
{
    cf_idmap_take(&engine->removals, removal->key.id);
    engine->unsettled_count -= !removal->settled;
    free(removal);
}

/* Takes the tail. */
static enum cf_err publish(struct cf_engine *engine, struct cf_tail *tail)
{
    struct cf_view *view = cf_view_new(NULL, tail);
    if (!view) {
        cf_tail_fini(tail);
        return CF_E_NO_MEMORY;
    }
    cf_engine_publish_removed(engine, view);
    return CF_OK;
}

static struct cf_tail_entry entry_of(struct cf_str id, struct cf_version version)
{
    return (struct cf_tail_entry){.album = {.id = id, .version = version, .removed = true}};
}

static enum cf_err publish_one(struct cf_engine *engine, const struct cf_removed_item *item)
{
    struct cf_tail_entry entry = entry_of(item->album, item->version);
    struct cf_tail tail = cf_tail_share(&engine->removed->tail);
    if (cf_tail_put(&tail, &entry, 1) == CF_OK)
        return publish(engine, &tail);
    cf_tail_fini(&tail);
    return CF_E_NO_MEMORY;
}

/* Searches are told first: a removal that is not remembered has not been honoured, and the other way around.
 */
static enum cf_err honour(struct cf_engine *engine, const struct cf_removed_item *item)
{
    struct cf_removal *removal = find_removal(engine, item->album);
    if (removal && cf_version_compare(item->version, removal->version) <= 0)
        return CF_OK;
    enum cf_err err = publish_one(engine, item);
    if (err != CF_OK || !removal)
        return err == CF_OK ? add_removal(engine, item) : err;
    removal->version = item->version;
    engine->unsettled_count += removal->settled;
    removal->settled = false;
    return CF_OK;
}

/* In pieces, so that a long list needs no long array. */
static enum cf_err copy_all(const struct cf_engine *engine, struct cf_tail *tail)
{
    struct cf_tail_entry entries[STALE_REMOVALS_MAX];
    enum cf_err err = CF_OK;
    size_t at = 0, count = 0;
    for (struct cf_keyed *key; err == CF_OK && (key = cf_idmap_next(&engine->removals, &at));) {
        entries[count++] = entry_of(key->id, ((struct cf_removal *)key)->version);
        if (count < STALE_REMOVALS_MAX)
            continue;
        err = cf_tail_put(tail, entries, count);
        count = 0;
    }
    return err == CF_OK ? cf_tail_put(tail, entries, count) : err;
}

static void publish_all(struct cf_engine *engine)
{
    struct cf_tail tail = {.row_bytes = 0};
    if (copy_all(engine, &tail) != CF_OK) { /* the long list does as well */
        cf_tail_fini(&tail);
        return;
    }
    enum cf_err err = publish(engine, &tail);
    (void)err; /* likewise */
}

static enum cf_err copy_unsettled(const struct cf_engine *engine, struct cf_arena *arena,
                                  struct cf_removed *out)
{
    struct cf_removed_item *items = cf_arena_alloc(arena, engine->unsettled_count, sizeof *items);
    if (!items)
        return CF_E_NO_MEMORY;
    size_t at = 0, count = 0;
    for (const struct cf_keyed *entry; (entry = cf_idmap_next(&engine->removals, &at));) {
        const struct cf_removal *removal = (const struct cf_removal *)entry;
        if (removal->settled)
            continue;
        items[count] = (struct cf_removed_item){cf_arena_str(arena, entry->id), removal->version};
        if (!items[count++].album.data)
            return CF_E_NO_MEMORY;
    }
    *out = (struct cf_removed){items, count};
    return CF_OK;
}

/* ---- the doors ---- */

enum cf_err cf_engine_remove(struct cf_engine *engine, const struct cf_removed_item *removal)
{
    pthread_mutex_lock(&engine->removal_lock);
    enum cf_err err = honour(engine, removal);
    pthread_mutex_unlock(&engine->removal_lock);
    return err;
}

enum cf_err cf_engine_unsettled(struct cf_engine *engine, struct cf_arena *arena, struct cf_removed *removals)
{
    pthread_mutex_lock(&engine->removal_lock);
    enum cf_err err = copy_unsettled(engine, arena, removals);
    pthread_mutex_unlock(&engine->removal_lock);
    return err;
}

void cf_engine_drop_removal(struct cf_engine *engine, struct cf_str id, struct cf_version newest)
{
    pthread_mutex_lock(&engine->removal_lock);
    struct cf_removal *removal = find_removal(engine, id);
    if (removal && cf_version_compare(newest, removal->version) >= 0)
        forget(engine, removal);
    pthread_mutex_unlock(&engine->removal_lock);
}

void cf_engine_settle(struct cf_engine *engine, const struct cf_removed_item *removal,
                      struct cf_version newest)
{
    cf_engine_drop_removal(engine, removal->album, newest);
    pthread_mutex_lock(&engine->removal_lock);
    struct cf_removal *kept = find_removal(engine, removal->album);
    /* A newer removal of the album may have come meanwhile: that one is for the next round. */
    if (kept && !kept->settled && cf_version_compare(kept->version, removal->version) == 0) {
        kept->settled = true;
        engine->unsettled_count--;
    }
    pthread_mutex_unlock(&engine->removal_lock);
}

void cf_engine_sweep_removals(struct cf_engine *engine)
{
    pthread_mutex_lock(&engine->removal_lock);
    size_t shown = engine->removed->tail.entry_count, kept = engine->removals.count;
    if (shown > (kept ? 2 * kept + STALE_REMOVALS_MAX : 0))
        publish_all(engine);
    pthread_mutex_unlock(&engine->removal_lock);
}

size_t cf_engine_removal_count(struct cf_engine *engine)
{
    pthread_mutex_lock(&engine->removal_lock);
    size_t count = engine->removals.count;
    pthread_mutex_unlock(&engine->removal_lock);
    return count;
}

void cf_engine_fini_removals(struct cf_engine *engine)
{
    size_t at = 0;
    for (struct cf_keyed *removal; (removal = cf_idmap_next(&engine->removals, &at));)
        free(removal);
    cf_idmap_fini(&engine->removals);
}
