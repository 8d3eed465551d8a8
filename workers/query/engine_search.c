#include <math.h>

#include "common/base/clock.h"
#include "workers/query/engine_state.h"
#include "workers/query/nearest.h"

/* Reads only. All but the titles happens under the shared lock, taken once by each of the public functions.
 */

static struct cf_shard *shard_at(const struct cf_engine *engine, uint32_t number)
{
    return number == CF_ENGINE_NO_SHARD ? NULL : engine->shards[number].shard;
}

static struct cf_shard *item_shard(const struct cf_engine *engine, const struct cf_engine_space *space,
                                   const struct cf_generation_tag *tag)
{
    bool known = tag->shard < space->mapped->generation.mark_count;
    return known ? shard_at(engine, space->tag_shards[tag->shard]) : NULL;
}

static int64_t find_item(const struct cf_engine_space *space, struct cf_str id)
{
    return space->mapped ? cf_mapped_find(space->mapped, id) : CF_ANN_NONE;
}

/* ---- the vector of an album ---- */

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

static enum cf_err vector_of_entry(const struct cf_tail_entry *entry, size_t space, float *out,
                                   struct cf_detail *detail)
{
    if (entry->album.removed)
        return fail_removed(entry->key.id, detail);
    if (entry->album.flags & CF_FLAG_CONSTANT)
        return fail_flagged(entry->key.id, detail);
    if (!entry->vector)
        return fail_not_described(entry->key.id, cf_spaces[space].name, detail);
    memcpy(out, entry->vector, cf_spaces[space].dim * sizeof *out);
    return CF_OK;
}

/* Neither in tail nor index: flagged or removed long ago, or so new that the follower has not come to it yet.
 */
static enum cf_err vector_at_rest(const struct cf_engine *engine, size_t space, struct cf_str id,
                                  struct cf_arena *arena, float *out, struct cf_detail *detail)
{
    struct cf_shard_album record;
    uint32_t shard;
    enum cf_err err = cf_engine_newest(engine, id, arena, &record, &shard, detail);
    if (err == CF_E_NOT_FOUND && atomic_load(&engine->unreadable))
        return cf_fail(detail, CF_E_IO,
                       "album \"%.*s\" is not known, but the shard %s cannot be read now: it may be there",
                       CF_STR_ARG(id), engine->unreadable_name);
    if (err != CF_OK)
        return err;
    if (record.removed || cf_engine_is_removed(engine, id, record.version))
        return fail_removed(id, detail);
    if (record.flags & CF_FLAG_CONSTANT)
        return fail_flagged(id, detail);
    err = cf_shard_vector(engine->shards[shard].shard, id, cf_str(cf_spaces[space].name),
                          cf_spaces[space].version, out, cf_spaces[space].dim, detail);
    return err == CF_E_NOT_FOUND ? fail_not_described(id, cf_spaces[space].name, detail) : err;
}

static enum cf_err find_vector(const struct cf_engine *engine, size_t space_number, struct cf_str id,
                               struct cf_arena *arena, float *out, struct cf_detail *detail)
{
    const struct cf_engine_space *space = &engine->spaces[space_number];
    const struct cf_tail_entry *entry = cf_tail_find(space->tail, id);
    if (entry && !cf_engine_is_removed(engine, id, entry->album.version))
        return vector_of_entry(entry, space_number, out, detail);
    if (entry)
        return fail_removed(id, detail);
    int64_t item = find_item(space, id);
    if (item == CF_ANN_NONE)
        return vector_at_rest(engine, space_number, id, arena, out, detail);
    if (cf_engine_is_removed(engine, id, cf_mapped_tag(space->mapped, (uint64_t)item).version))
        return fail_removed(id, detail);
    cf_ann_vector(space->mapped->ann, (uint64_t)item, out);
    return CF_OK;
}

enum cf_err cf_engine_vector(struct cf_engine *engine, size_t space, struct cf_str id,
                             struct cf_engine_scratch *scratch, float *out, struct cf_detail *detail)
{
    cf_arena_reset(scratch->arena);
    pthread_rwlock_rdlock(&engine->lock);
    enum cf_err err = find_vector(engine, space, id, scratch->arena, out, detail);
    pthread_rwlock_unlock(&engine->lock);
    return err;
}

/* ---- neighbours ---- */

struct search {
    const struct cf_engine *engine;
    const struct cf_engine_space *space;
    const struct cf_engine_query *query;
    const struct cf_tail_entry *self_entry; /* of the album asked for, NULL when it is not in the tail */
    int64_t self_item;                      /* the same in the index */
    struct cf_nearest nearest;
};

static bool is_hidden(const struct search *search, uint64_t item, struct cf_str id)
{
    return cf_idmap_find(&search->space->tail->map, id) ||
           (search->engine->removals.count &&
            cf_engine_is_removed(search->engine, id, cf_mapped_tag(search->space->mapped, item).version));
}

static bool keep_item(void *arg, uint64_t item)
{
    const struct search *search = arg;
    const struct cf_engine_query *query = search->query;
    if ((int64_t)item == search->self_item)
        return false;
    struct cf_bytes bytes = cf_ann_id(search->space->mapped->ann, item);
    struct cf_str id = {(const char *)bytes.data, bytes.len};
    if (is_hidden(search, item, id))
        return false;
    return !query->keep ||
           query->keep(query->keep_arg, id, cf_mapped_tag(search->space->mapped, item).labels);
}

/* Nothing farther than this needs to be offered. */
static float bound(const struct search *search)
{
    float nearest = cf_nearest_bound(&search->nearest);
    return search->query->radius > 0 ? fminf(nearest, search->query->radius) : nearest;
}

static void offer_item(struct search *search, uint64_t item, float distance)
{
    struct cf_generation_tag tag = cf_mapped_tag(search->space->mapped, item);
    struct cf_bytes id = cf_ann_id(search->space->mapped->ann, item);
    cf_nearest_offer(&search->nearest,
                     (struct cf_near){.distance = distance,
                                      .shard = item_shard(search->engine, search->space, &tag),
                                      .id = {(const char *)id.data, id.len}});
}

static enum cf_err search_index(struct search *search, struct cf_engine_scratch *scratch, bool *exact,
                                struct cf_detail *detail)
{
    if (!search->space->mapped) {
        *exact = true;
        return CF_OK;
    }
    const struct cf_engine_query *query = search->query;
    struct cf_ann_query ask = {.vector = query->vector,
                               .k = query->k,
                               .recall = query->recall,
                               .exact = query->exact,
                               .keep = keep_item,
                               .keep_arg = search};
    struct cf_ann_hit *hits = cf_arena_alloc(scratch->arena, query->k, sizeof *hits);
    if (!hits)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u neighbours", query->k);
    size_t count = 0;
    enum cf_err err =
        cf_ann_search(search->space->mapped->ann, scratch->searcher, &ask, hits, &count, exact, detail);
    for (size_t i = 0; err == CF_OK && i < count; i++)
        if (hits[i].distance <= bound(search))
            offer_item(search, hits[i].item, hits[i].distance);
    return err;
}

static bool keep_entry(const struct search *search, const struct cf_tail_entry *entry)
{
    const struct cf_engine_query *query = search->query;
    return entry != search->self_entry &&
           !cf_engine_is_removed(search->engine, entry->key.id, entry->album.version) &&
           (!query->keep || query->keep(query->keep_arg, entry->key.id, entry->album.labels));
}

static void search_tail(struct search *search)
{
    const struct cf_tail *tail = search->space->tail;
    float squares[CF_TAIL_BLOCK_ROWS];
    for (size_t begin = 0; begin < tail->row_count; begin += CF_TAIL_BLOCK_ROWS) {
        size_t count =
            tail->row_count - begin < CF_TAIL_BLOCK_ROWS ? tail->row_count - begin : CF_TAIL_BLOCK_ROWS;
        cf_ann_distances(search->query->vector, tail->blocks[begin / CF_TAIL_BLOCK_ROWS], count, tail->dim,
                         squares);
        for (size_t i = 0; i < count; i++) {
            const struct cf_tail_entry *entry = tail->owners[begin + i];
            float distance = sqrtf(squares[i]);
            if (distance <= bound(search) && keep_entry(search, entry))
                cf_nearest_offer(
                    &search->nearest,
                    (struct cf_near){distance, shard_at(search->engine, entry->album.shard), entry->key.id});
        }
    }
}

static void find_self(struct search *search)
{
    search->self_item = CF_ANN_NONE;
    if (search->query->self.len == 0)
        return;
    search->self_entry = cf_tail_find(search->space->tail, search->query->self);
    search->self_item = find_item(search->space, search->query->self);
}

/* The album asked for is at distance 0 whatever the trees say; unless it was removed after its vector was
 * taken. */
static void offer_self(struct search *search)
{
    const struct cf_tail_entry *entry = search->self_entry;
    if (entry) {
        if (entry->vector && !cf_engine_is_removed(search->engine, entry->key.id, entry->album.version))
            cf_nearest_offer(
                &search->nearest,
                (struct cf_near){0, shard_at(search->engine, entry->album.shard), entry->key.id});
    } else if (search->self_item != CF_ANN_NONE) {
        struct cf_generation_tag tag = cf_mapped_tag(search->space->mapped, (uint64_t)search->self_item);
        if (!cf_engine_is_removed(search->engine, search->query->self, tag.version))
            offer_item(search, (uint64_t)search->self_item, 0);
    } else {
        cf_nearest_offer(&search->nearest, (struct cf_near){0, NULL, search->query->self});
    }
}

/* Out of what the lock protects: ids are copied. */
static enum cf_err copy_neighbors(const struct cf_nearest *nearest, struct cf_arena *arena,
                                  struct cf_engine_answer *answer)
{
    struct cf_neighbor *neighbors = cf_arena_alloc(arena, nearest->count, sizeof *neighbors);
    struct cf_shard **shards = cf_arena_alloc(arena, nearest->count, sizeof *shards);
    if (!neighbors || !shards)
        return CF_E_NO_MEMORY;
    for (size_t i = 0; i < nearest->count; i++) {
        shards[i] = nearest->items[i].shard;
        neighbors[i].album = cf_arena_str(arena, nearest->items[i].id);
        neighbors[i].distance = (double)nearest->items[i].distance;
        if (!neighbors[i].album.data)
            return CF_E_NO_MEMORY;
    }
    answer->neighbors = neighbors;
    answer->shards = shards;
    answer->neighbor_count = nearest->count;
    return CF_OK;
}

enum cf_err cf_engine_meta(struct cf_shard *shard, struct cf_engine_scratch *scratch, struct cf_arena *arena,
                           struct cf_neighbor *neighbor)
{
    struct cf_shard_album record;
    cf_arena_reset(scratch->arena);
    if (!shard || cf_shard_album(shard, neighbor->album, scratch->arena, &record, NULL) != CF_OK)
        return CF_OK;
    for (size_t i = 0; i < record.meta_count; i++) {
        struct cf_str *into = cf_str_is(record.meta[i].key, "title")    ? &neighbor->title
                              : cf_str_is(record.meta[i].key, "artist") ? &neighbor->artist
                              : cf_str_is(record.meta[i].key, "genre")  ? &neighbor->genre
                                                                        : NULL;
        if (!into)
            continue;
        *into = cf_arena_str(arena, record.meta[i].value);
        if (!into->data)
            return CF_E_NO_MEMORY;
    }
    return CF_OK;
}

static enum cf_err search_locked(struct search *search, struct cf_engine_scratch *scratch,
                                 struct cf_arena *arena, struct cf_engine_answer *answer,
                                 struct cf_detail *detail)
{
    find_self(search);
    enum cf_err err = search_index(search, scratch, &answer->exact, detail);
    if (err != CF_OK)
        return err;
    search_tail(search);
    if (search->query->include_self && search->query->self.len)
        offer_self(search);
    cf_nearest_sort(&search->nearest);
    answer->unreadable_shards = atomic_load(&search->engine->unreadable);
    answer->exact = answer->exact && answer->unreadable_shards == 0;
    answer->generation = search->space->mapped ? search->space->mapped->generation.generation : 0;
    err = copy_neighbors(&search->nearest, arena, answer);
    return err == CF_OK ? err : cf_fail(detail, err, "no memory for %u neighbours", search->query->k);
}

enum cf_err cf_engine_search(struct cf_engine *engine, const struct cf_engine_query *query,
                             struct cf_engine_scratch *scratch, struct cf_arena *arena,
                             struct cf_engine_answer *answer, struct cf_detail *detail)
{
    cf_arena_reset(scratch->arena);
    struct search search = {.engine = engine, .space = &engine->spaces[query->space], .query = query};
    /* The candidates outlive the scratch, which every title empties again. */
    search.nearest =
        (struct cf_nearest){cf_arena_alloc(arena, query->k, sizeof(struct cf_near)), query->k, 0};
    if (!search.nearest.items)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u neighbours", query->k);
    struct cf_engine_answer found = {0};
    uint64_t caught_up_ms = atomic_load(&engine->caught_up_ms);
    uint64_t now_ms = cf_clock_mono_ms();
    found.stale_ms = now_ms > caught_up_ms ? now_ms - caught_up_ms : 0;
    pthread_rwlock_rdlock(&engine->lock);
    enum cf_err err = search_locked(&search, scratch, arena, &found, detail);
    pthread_rwlock_unlock(&engine->lock);
    /* Reading records may wait for the disk, and needs no lock: shards stay open. */
    for (size_t i = 0; err == CF_OK && !query->bare && i < found.neighbor_count; i++)
        err = cf_engine_meta(found.shards[i], scratch, arena, &found.neighbors[i]);
    if (err == CF_OK)
        *answer = found;
    return err;
}
