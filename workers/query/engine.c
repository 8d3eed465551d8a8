#include "workers/query/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "workers/query/engine_state.h"

struct cf_stage {
    size_t space;
    struct cf_engine_space state; /* what will take the place of the space's */
    uint32_t shard_count;
};

static void fini_space(struct cf_engine_space *space)
{
    cf_mapped_free(space->mapped);
    cf_tail_free(space->tail);
    free(space->marks);
    free(space->tag_shards);
}

static enum cf_err init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    if (pthread_rwlockattr_init(&attr) != 0)
        return CF_E_NO_MEMORY;
    /* Readers never take the lock twice, and a stream of searches must not starve the follower. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int failed = pthread_rwlock_init(lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return failed ? CF_E_NO_MEMORY : CF_OK;
}

enum cf_err cf_engine_new(struct cf_engine **engine, struct cf_detail *detail)
{
    struct cf_engine *made = calloc(1, sizeof *made);
    if (!made || init_lock(&made->lock) != CF_OK) {
        free(made);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the searchable state");
    }
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        made->spaces[i].tail = cf_tail_new(cf_spaces[i].dim);
        if (!made->spaces[i].tail) {
            cf_engine_free(made);
            return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a tail");
        }
    }
    *engine = made;
    return CF_OK;
}

void cf_engine_free(struct cf_engine *engine)
{
    if (!engine)
        return;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        fini_space(&engine->spaces[i]);
    size_t at = 0;
    for (struct cf_keyed *removal; (removal = cf_idmap_next(&engine->removals, &at));)
        free(removal);
    cf_idmap_fini(&engine->removals);
    free(engine->shards);
    pthread_rwlock_destroy(&engine->lock);
    free(engine);
}

/* ---- shards ---- */

/* The marks by our numbers of the shards, and our numbers of the shards of the tags. */
static enum cf_err number_marks(const struct cf_engine_shard *shards, uint32_t shard_count,
                                struct cf_engine_space *space)
{
    const struct cf_generation *generation = &space->mapped->generation;
    uint64_t *marks = calloc(shard_count + 1, sizeof *marks);
    uint32_t *tag_shards = calloc(generation->mark_count + 1, sizeof *tag_shards);
    if (!marks || !tag_shards) {
        free(marks);
        free(tag_shards);
        return CF_E_NO_MEMORY;
    }
    for (size_t i = 0; i < generation->mark_count; i++) {
        tag_shards[i] = CF_ENGINE_NO_SHARD;
        for (uint32_t s = 0; s < shard_count; s++)
            if (cf_str_is(generation->marks[i].shard, shards[s].name)) {
                tag_shards[i] = s;
                marks[s] = generation->marks[i].log_seq;
            }
    }
    free(space->marks);
    free(space->tag_shards);
    space->marks = marks;
    space->tag_shards = tag_shards;
    return CF_OK;
}

static enum cf_err grow_shards(struct cf_engine *engine, const char *name, struct cf_shard *shard)
{
    uint32_t count = engine->shard_count;
    struct cf_engine_shard *shards = realloc(engine->shards, (count + 1) * sizeof *shards);
    if (!shards)
        return CF_E_NO_MEMORY;
    engine->shards = shards;
    shards[count].shard = shard;
    snprintf(shards[count].name, sizeof shards[count].name, "%s", name);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        if (engine->spaces[i].mapped) {
            enum cf_err err = number_marks(shards, count + 1, &engine->spaces[i]);
            if (err != CF_OK)
                return err;
        }
    engine->shard_count = count + 1;
    return CF_OK;
}

enum cf_err cf_engine_add_shard(struct cf_engine *engine, const char *name, struct cf_shard *shard,
                                struct cf_detail *detail)
{
    if (strlen(name) >= CF_TEXT_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "shard %.80s…: the name is too long", name);
    pthread_rwlock_wrlock(&engine->lock);
    enum cf_err err = grow_shards(engine, name, shard);
    pthread_rwlock_unlock(&engine->lock);
    return err == CF_OK ? err : cf_fail(detail, err, "shard %s: out of memory", name);
}

uint32_t cf_engine_shard(const struct cf_engine *engine, struct cf_str name)
{
    for (uint32_t i = 0; i < engine->shard_count; i++)
        if (cf_str_is(name, engine->shards[i].name))
            return i;
    return CF_ENGINE_NO_SHARD;
}

const char *cf_engine_shard_name(const struct cf_engine *engine, uint32_t shard)
{
    return engine->shards[shard].name;
}

struct cf_shard *cf_engine_shard_handle(const struct cf_engine *engine, uint32_t shard)
{
    return engine->shards[shard].shard;
}

uint64_t cf_engine_mark(const struct cf_engine *engine, size_t space, uint32_t shard)
{
    const uint64_t *marks = engine->spaces[space].marks;
    return marks ? marks[shard] : 0;
}

uint64_t cf_engine_generation(const struct cf_engine *engine, size_t space)
{
    const struct cf_mapped *mapped = engine->spaces[space].mapped;
    return mapped ? mapped->generation.generation : 0;
}

enum cf_err cf_engine_newest(const struct cf_engine *engine, struct cf_str id, struct cf_arena *arena,
                             struct cf_shard_album *record, uint32_t *shard, struct cf_detail *detail)
{
    enum cf_err worst = CF_E_NOT_FOUND;
    bool found = false;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        struct cf_shard_album here;
        struct cf_detail why = {{0}};
        enum cf_err err = cf_shard_album(engine->shards[i].shard, id, arena, &here, &why);
        if (err == CF_OK && (!found || cf_version_compare(here.version, record->version) > 0)) {
            *record = here;
            *shard = i;
            found = true;
        } else if (err != CF_OK && err != CF_E_NOT_FOUND) {
            worst = cf_fail(detail, err, "shard %.60s: %.240s", engine->shards[i].name, why.text);
        }
    }
    if (!found && worst == CF_E_NOT_FOUND)
        return cf_fail(detail, CF_E_NOT_FOUND, "album \"%.*s\" is not known", CF_STR_ARG(id));
    return found ? CF_OK : worst;
}

/* ---- changes ---- */

static bool index_is_newer(const struct cf_mapped *mapped, struct cf_str id, struct cf_version version)
{
    int64_t item = mapped ? cf_mapped_find(mapped, id) : CF_ANN_NONE;
    return item != CF_ANN_NONE &&
           cf_version_compare(cf_mapped_tag(mapped, (uint64_t)item).version, version) > 0;
}

/* Whether the generation says all there is to say about this record. */
static bool is_covered(const struct cf_engine_space *space, const struct cf_tail_album *album)
{
    return (space->marks && album->log_seq <= space->marks[album->shard]) ||
           index_is_newer(space->mapped, album->id, album->version);
}

static enum cf_err put_change(struct cf_engine_space *space, const struct cf_tail_album *album,
                              const float *vector)
{
    if (is_covered(space, album)) {
        cf_tail_drop(space->tail, album->id);
        return CF_OK;
    }
    bool neighbor = !album->removed && !(album->flags & CF_FLAG_CONSTANT);
    return cf_tail_put(space->tail, album, neighbor ? vector : NULL);
}

static void drop_removal(struct cf_engine *engine, struct cf_str id, struct cf_version newest)
{
    struct cf_removal *removal = (struct cf_removal *)cf_idmap_find(&engine->removals, id);
    if (!removal || cf_version_compare(newest, removal->version) < 0)
        return;
    cf_idmap_take(&engine->removals, id);
    engine->unsettled_count -= !removal->settled;
    free(removal);
}

enum cf_err cf_engine_apply(struct cf_engine *engine, const struct cf_engine_change *changes, size_t count,
                            struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    pthread_rwlock_wrlock(&engine->lock);
    for (size_t i = 0; i < count && err == CF_OK; i++) {
        for (size_t s = 0; s < CF_SPACE_COUNT && err == CF_OK; s++)
            err = put_change(&engine->spaces[s], &changes[i].album, changes[i].vectors[s]);
        if (err == CF_OK)
            drop_removal(engine, changes[i].album.id, changes[i].album.version);
    }
    pthread_rwlock_unlock(&engine->lock);
    return err == CF_OK ? err : cf_fail(detail, err, "no memory for what is not indexed yet");
}

/* ---- generations ---- */

static enum cf_err copy_uncovered(const struct cf_tail *old, struct cf_engine_space *space)
{
    size_t at = 0;
    for (const struct cf_tail_entry *entry; (entry = cf_tail_next(old, &at));)
        if (!is_covered(space, &entry->album)) {
            enum cf_err err = cf_tail_put(space->tail, &entry->album, entry->vector);
            if (err != CF_OK)
                return err;
        }
    return CF_OK;
}

enum cf_err cf_engine_stage(const struct cf_engine *engine, size_t space, struct cf_mapped **mapped,
                            struct cf_stage **stage, struct cf_detail *detail)
{
    struct cf_stage *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a new generation");
    made->space = space;
    made->shard_count = engine->shard_count;
    made->state.mapped = *mapped;
    made->state.tail = cf_tail_new(cf_spaces[space].dim);
    enum cf_err err =
        made->state.tail ? number_marks(engine->shards, engine->shard_count, &made->state) : CF_E_NO_MEMORY;
    if (err == CF_OK)
        err = copy_uncovered(engine->spaces[space].tail, &made->state);
    if (err != CF_OK) {
        made->state.mapped = NULL;
        cf_stage_free(made);
        return cf_fail(detail, err, "no memory for the tail of a new generation");
    }
    *mapped = NULL;
    *stage = made;
    return CF_OK;
}

size_t cf_stage_space(const struct cf_stage *stage)
{
    return stage->space;
}

uint64_t cf_stage_mark(const struct cf_stage *stage, uint32_t shard)
{
    return stage->state.marks[shard];
}

enum cf_err cf_stage_put(struct cf_stage *stage, const struct cf_engine_change *change,
                         struct cf_detail *detail)
{
    enum cf_err err = put_change(&stage->state, &change->album, change->vectors[stage->space]);
    return err == CF_OK ? err : cf_fail(detail, err, "no memory for the tail of a new generation");
}

void cf_stage_free(struct cf_stage *stage)
{
    if (!stage)
        return;
    fini_space(&stage->state);
    free(stage);
}

void cf_engine_adopt(struct cf_engine *engine, struct cf_stage **stage)
{
    struct cf_stage *own = *stage;
    CF_CHECK(own->shard_count == engine->shard_count);
    pthread_rwlock_wrlock(&engine->lock);
    struct cf_engine_space old = engine->spaces[own->space];
    engine->spaces[own->space] = own->state;
    pthread_rwlock_unlock(&engine->lock);
    /* Searches hold the lock while they read, so nobody is left who reads the old one. */
    own->state = old;
    cf_stage_free(own);
    *stage = NULL;
}

struct cf_str cf_engine_missing(const struct cf_engine *engine, size_t i)
{
    for (size_t s = 0; s < CF_SPACE_COUNT; s++) {
        const struct cf_engine_space *space = &engine->spaces[s];
        for (size_t m = 0; space->mapped && m < space->mapped->generation.mark_count; m++) {
            const struct cf_generation_mark *mark = &space->mapped->generation.marks[m];
            if (mark->log_seq && space->tag_shards[m] == CF_ENGINE_NO_SHARD && i-- == 0)
                return mark->shard;
        }
    }
    return cf_str("");
}

void cf_engine_set_unreadable(struct cf_engine *engine, uint64_t count, const char *name)
{
    if (count == atomic_load(&engine->unreadable) &&
        (count == 0 || strcmp(engine->unreadable_name, name) == 0))
        return;
    pthread_rwlock_wrlock(&engine->lock);
    atomic_store(&engine->unreadable, count);
    snprintf(engine->unreadable_name, sizeof engine->unreadable_name, "%s", name);
    pthread_rwlock_unlock(&engine->lock);
}

uint64_t cf_engine_unreadable(const struct cf_engine *engine)
{
    return atomic_load(&engine->unreadable);
}

void cf_engine_caught_up(struct cf_engine *engine, uint64_t began_ms)
{
    atomic_store(&engine->caught_up_ms, began_ms);
}

/* ---- removals ---- */

static enum cf_err add_removal(struct cf_engine *engine, const struct cf_removed_item *item)
{
    struct cf_removal *removal = (struct cf_removal *)cf_idmap_find(&engine->removals, item->album);
    if (!removal) {
        removal = malloc(sizeof *removal + item->album.len);
        if (!removal)
            return CF_E_NO_MEMORY;
        *removal = (struct cf_removal){.key = {{removal->id, item->album.len}}, .settled = true};
        memcpy(removal->id, item->album.data, item->album.len);
        enum cf_err err = cf_idmap_add(&engine->removals, &removal->key);
        if (err != CF_OK) {
            free(removal);
            return err;
        }
    }
    if (cf_version_compare(item->version, removal->version) > 0) {
        removal->version = item->version;
        engine->unsettled_count += removal->settled;
        removal->settled = false;
    }
    return CF_OK;
}

enum cf_err cf_engine_remove(struct cf_engine *engine, const struct cf_removed_item *removal)
{
    pthread_rwlock_wrlock(&engine->lock);
    enum cf_err err = add_removal(engine, removal);
    pthread_rwlock_unlock(&engine->lock);
    return err;
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

enum cf_err cf_engine_unsettled(struct cf_engine *engine, struct cf_arena *arena, struct cf_removed *removals)
{
    pthread_rwlock_rdlock(&engine->lock);
    enum cf_err err = copy_unsettled(engine, arena, removals);
    pthread_rwlock_unlock(&engine->lock);
    return err;
}

void cf_engine_settle(struct cf_engine *engine, const struct cf_removed_item *removal,
                      struct cf_version newest)
{
    pthread_rwlock_wrlock(&engine->lock);
    drop_removal(engine, removal->album, newest);
    struct cf_removal *kept = (struct cf_removal *)cf_idmap_find(&engine->removals, removal->album);
    /* A newer removal of the album may have come meanwhile: that one is for the next round. */
    if (kept && !kept->settled && cf_version_compare(kept->version, removal->version) == 0) {
        kept->settled = true;
        engine->unsettled_count--;
    }
    pthread_rwlock_unlock(&engine->lock);
}

size_t cf_engine_removal_count(struct cf_engine *engine)
{
    pthread_rwlock_rdlock(&engine->lock);
    size_t count = engine->removals.count;
    pthread_rwlock_unlock(&engine->lock);
    return count;
}

void cf_engine_status(struct cf_engine *engine, struct cf_index_status status[CF_SPACE_COUNT])
{
    pthread_rwlock_rdlock(&engine->lock);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        const struct cf_engine_space *space = &engine->spaces[i];
        status[i] =
            (struct cf_index_status){.space = cf_str(cf_spaces[i].name), .tail = space->tail->row_count};
        if (space->mapped) {
            status[i].generation = space->mapped->generation.generation;
            status[i].count = cf_ann_info(space->mapped->ann).count;
        }
    }
    pthread_rwlock_unlock(&engine->lock);
}
