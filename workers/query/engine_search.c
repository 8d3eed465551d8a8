#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "workers/query/engine_state.h"

/* Reads only, of one view; no lock is held. */

enum { MEASURED_ROWS = 1024, GATHERED_ROWS = 64, ROW_ALIGN = 64 }; /* at a time */
/* A distance to eight bits a dimension will do where they are off by so many times less than it; otherwise it
 * is measured by the vector of the shard, so that the same cover is at no distance; so many times a search.
 */
enum { CLEAR_TIMES = 8, MEASURED_MAX = 100 };

struct search {
    const struct cf_grab *grab;
    const struct cf_places *places;
    const struct cf_tail *tail;
    const struct cf_engine_query *query;
    struct cf_engine_scratch *scratch;
    const struct cf_tail_entry *self_entry; /* of the album asked for, NULL when it is not in the tail */
    struct cf_served_item self_item;        /* the same in the index */
    struct cf_nearest *nearest;
    float *full; /* room for a vector */
    /* Where the tail has a sketch: of the query; and room for rows that lie apart. */
    struct cf_sketch_code code;
    uint8_t *gathered;
    size_t measured; /* by the vectors of the shards, without being asked to be exact */
    bool inexact;    /* a vector could not be had from its shard */
};

/* Nothing farther than this needs to be offered. */
static float bound(const struct search *search)
{
    float nearest = cf_nearest_bound(search->nearest);
    return search->query->radius > 0 ? fminf(nearest, search->query->radius) : nearest;
}

static bool is_clear(const struct search *search, float distance, float slack)
{
    float radius = search->query->radius;
    if (search->measured >= MEASURED_MAX)
        return true;
    if (radius > 0 && fabsf(distance - radius) <= slack)
        return false;
    return distance >= CLEAR_TIMES * slack;
}

/* Rows are rounded: what may be within the radius by its own vector is asked for by more. How much more the
 * query's own rounding tells, of which those of its neighbours are the like. */
static float wider_radius(struct search *search)
{
    const struct cf_engine_query *query = search->query;
    uint32_t dim = cf_spaces[query->space].dim;
    void *row = aligned_alloc(64, cf_ann_row_bytes(dim));
    float wider = query->radius;
    if (row && cf_ann_row_encode(query->vector, dim, row, NULL) == CF_OK)
        wider += 2 * cf_ann_row_decode(row, dim, search->full);
    free(row);
    return wider;
}

/* To the vector in `full`. */
static float full_distance(const struct search *search)
{
    const struct cf_engine_query *query = search->query;
    return (float)fmin(cf_distance(query->vector, search->full, cf_spaces[query->space].dim),
                       (double)FLT_MAX);
}

/* ---- the index ---- */

struct part {
    struct search *search;
    size_t number;
    const struct cf_mapped *mapped;
};

static bool keep_item(void *arg, uint64_t item)
{
    const struct part *part = arg;
    const struct search *search = part->search;
    const struct cf_engine_query *query = search->query;
    const struct cf_served_item *self = &search->self_item;
    if (cf_hidden_has(search->grab->view->hidden[part->number], item) ||
        cf_served_hides(search->places->served, part->number, item) ||
        (self->part == part->number && self->item == (int64_t)item))
        return false;
    if (!query->keep && search->grab->removed->tail.run_count == 0)
        return true;
    struct cf_str id = cf_mapped_id(part->mapped, item);
    struct cf_generation_tag tag = cf_mapped_tag(part->mapped, item);
    return !cf_grab_is_removed(search->grab, id, tag.version) &&
           (!query->keep || query->keep(query->keep_arg, id, tag.labels));
}

/* A shard that cannot be read costs certainty, not the answer. */
static enum cf_err full_item(void *arg, uint64_t item, float *out, struct cf_detail *detail)
{
    const struct part *part = arg;
    struct search *search = part->search;
    struct cf_generation_tag tag = cf_mapped_tag(part->mapped, item);
    struct cf_shard *shard = cf_places_item_shard(search->places, part->number, &tag);
    (void)detail;
    if (!cf_vector_at_rest(shard, search->query->space, cf_mapped_id(part->mapped, item), out)) {
        cf_ann_vector(part->mapped->ann, item, out);
        search->inexact = true;
    }
    return CF_OK;
}

static void offer_item(const struct part *part, uint64_t item, float distance)
{
    struct search *search = part->search;
    struct cf_generation_tag tag = cf_mapped_tag(part->mapped, item);
    cf_nearest_offer(search->nearest,
                     (struct cf_near){.distance = distance,
                                      .shard = cf_places_item_shard(search->places, part->number, &tag),
                                      .id = cf_mapped_id(part->mapped, item)});
}

/* The nearest come first; `*clear` once one is far enough to leave it and the rest as the index says. */
static float measure_item(const struct part *part, const struct cf_ann_hit *hit, bool *clear)
{
    struct search *search = part->search;
    if (!*clear || search->query->radius > 0) /* those at the edge come last */
        *clear = is_clear(search, hit->distance, cf_ann_vector(part->mapped->ann, hit->item, search->full));
    if (*clear)
        return hit->distance;
    struct cf_generation_tag tag = cf_mapped_tag(part->mapped, hit->item);
    struct cf_shard *shard = cf_places_item_shard(search->places, part->number, &tag);
    search->measured++;
    return cf_vector_at_rest(shard, search->query->space, cf_mapped_id(part->mapped, hit->item), search->full)
               ? full_distance(search)
               : hit->distance;
}

static void offer_hits(const struct part *part, const struct cf_ann_hit *hits, size_t count)
{
    bool exact = part->search->query->exact, clear = false;
    for (size_t i = 0; i < count; i++) {
        float distance = exact ? hits[i].distance : measure_item(part, &hits[i], &clear);
        if (distance <= bound(part->search))
            offer_item(part, hits[i].item, distance);
    }
}

static enum cf_err search_part(struct part *part, struct cf_ann_hit *hits, struct cf_detail *detail)
{
    struct search *search = part->search;
    const struct cf_engine_query *query = search->query;
    struct cf_ann_query ask = {.vector = query->vector,
                               .k = query->k,
                               .radius =
                                   query->radius > 0 && !query->exact ? wider_radius(search) : query->radius,
                               .recall = query->recall,
                               .exact = query->exact,
                               .full = query->exact ? full_item : NULL,
                               .full_arg = part,
                               .keep = keep_item,
                               .keep_arg = part};
    size_t count = 0;
    bool exact = false;
    enum cf_err err =
        cf_ann_search(part->mapped->ann, search->scratch->searcher, &ask, hits, &count, &exact, detail);
    search->inexact = search->inexact || !exact;
    if (err == CF_OK)
        offer_hits(part, hits, count);
    return err;
}

static enum cf_err search_index(struct search *search, struct cf_detail *detail)
{
    const struct cf_served *served = search->places->served;
    if (!served)
        return CF_OK;
    struct cf_ann_hit *hits = cf_arena_alloc(search->scratch->arena, search->query->k, sizeof *hits);
    if (!hits)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u neighbours", search->query->k);
    enum cf_err err = CF_OK;
    for (size_t i = 0; err == CF_OK && i < CF_PART_COUNT; i++)
        if (served->parts[i])
            err = search_part(&(struct part){search, i, served->parts[i]}, hits, detail);
    return err;
}

/* ---- the tail ---- */

struct row_near {
    float least; /* distance that it may have */
    const struct cf_tail_entry *entry;
};

static bool keep_entry(const struct search *search, const struct cf_tail_entry *entry)
{
    const struct cf_engine_query *query = search->query;
    return entry != search->self_entry && cf_tail_is_newest(search->tail, entry) &&
           !cf_grab_is_removed(search->grab, entry->album.id, entry->album.version) &&
           (!query->keep || query->keep(query->keep_arg, entry->album.id, entry->album.labels));
}

static void offer_entry(struct search *search, const struct cf_tail_entry *entry, float distance)
{
    cf_nearest_offer(
        search->nearest,
        (struct cf_near){distance, cf_places_shard(search->places, entry->album.shard), entry->album.id});
}

/* Calls back with every row of a run that may be near enough: the distance to the row, and how far off it may
 * be. */
typedef void take_row(struct search *search, void *arg, const struct cf_tail_entry *entry, float distance,
                      float slack);

struct taker {
    take_row *take;
    void *arg;
};

/* Rows of a run that lie one after the other at `rows`, and their numbers in it: NULL where those count from
 * `first`. */
static enum cf_err measure_rows(struct search *search, const struct cf_tail_run *run, struct taker taker,
                                const uint8_t *rows, size_t first, const uint32_t *numbers, size_t count,
                                struct cf_detail *detail)
{
    float distances[MEASURED_ROWS], slack[MEASURED_ROWS];
    uint32_t dim = cf_spaces[search->query->space].dim;
    enum cf_err err = cf_ann_rows_measure(search->scratch->searcher, search->query->vector, dim, rows, count,
                                          distances, slack, detail);
    for (size_t i = 0; err == CF_OK && i < count; i++) {
        size_t number = first + (numbers ? numbers[i] : i);
        const struct cf_tail_entry *owner = run->owners[number];
        if (owner->row == run->rows + number * search->tail->row_bytes) /* or its album came twice */
            taker.take(search, taker.arg, owner, distances[i], slack[i]);
    }
    return err;
}

/* Those that the sketch does not prove to be too far. */
static enum cf_err measure_near(struct search *search, const struct cf_tail_run *run, struct taker taker,
                                size_t first, size_t count, struct cf_detail *detail)
{
    uint32_t near[MEASURED_ROWS];
    const size_t row_bytes = search->tail->row_bytes,
                 found = cf_sketch_near(search->tail->sketch, &search->code, run->codes + first, count,
                                        bound(search), near);
    enum cf_err err = CF_OK;
    for (size_t begin = 0; err == CF_OK && begin < found; begin += GATHERED_ROWS) {
        size_t some = found - begin < GATHERED_ROWS ? found - begin : GATHERED_ROWS;
        for (size_t i = 0; i < some; i++)
            memcpy(search->gathered + i * row_bytes, run->rows + (first + near[begin + i]) * row_bytes,
                   row_bytes);
        err = measure_rows(search, run, taker, search->gathered, first, near + begin, some, detail);
    }
    return err;
}

static enum cf_err measure_run(struct search *search, const struct cf_tail_run *run, struct taker taker,
                               struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t begin = 0; err == CF_OK && begin < run->row_count; begin += MEASURED_ROWS) {
        size_t count = run->row_count - begin < MEASURED_ROWS ? run->row_count - begin : MEASURED_ROWS;
        const uint8_t *rows = run->rows + begin * search->tail->row_bytes;
        err = run->codes ? measure_near(search, run, taker, begin, count, detail)
                         : measure_rows(search, run, taker, rows, begin, NULL, count, detail);
    }
    return err;
}

/* False when memory is short. */
static bool sketch_query(struct search *search)
{
    const struct cf_tail *tail = search->tail;
    if (!tail->sketch || tail->row_count == 0)
        return true;
    uint8_t *room = cf_arena_alloc(search->scratch->arena, GATHERED_ROWS * tail->row_bytes + ROW_ALIGN, 1);
    if (!room)
        return false;
    search->gathered = room + (ROW_ALIGN - (uintptr_t)room % ROW_ALIGN) % ROW_ALIGN;
    cf_sketch_code(tail->sketch, search->query->vector, 0, &search->code);
    return true;
}

/* Into `full`. */
static bool read_entry(struct search *search, const struct cf_tail_entry *entry)
{
    struct cf_shard *shard = cf_places_shard(search->places, entry->album.shard);
    return cf_vector_at_rest(shard, search->query->space, entry->album.id, search->full);
}

static void take_measured(struct search *search, void *arg, const struct cf_tail_entry *entry, float distance,
                          float slack)
{
    (void)arg;
    float edge = search->query->radius > 0 ? slack : 0;
    if (distance - edge > bound(search) || !keep_entry(search, entry))
        return;
    if (!is_clear(search, distance, slack)) {
        search->measured++;
        distance = read_entry(search, entry) ? full_distance(search) : distance;
    }
    if (distance <= bound(search))
        offer_entry(search, entry, distance);
}

struct row_list {
    struct row_near *items;
    size_t count;
};

static void take_possible(struct search *search, void *arg, const struct cf_tail_entry *entry, float distance,
                          float slack)
{
    struct row_list *list = arg;
    float least = fmaxf(nextafterf(distance - slack, -INFINITY), 0);
    if (least <= bound(search))
        list->items[list->count++] = (struct row_near){least, entry};
}

static int by_least(const void *a, const void *b)
{
    float left = ((const struct row_near *)a)->least, right = ((const struct row_near *)b)->least;
    return (left > right) - (left < right);
}

static float exact_distance(struct search *search, const struct cf_tail_entry *entry)
{
    if (!read_entry(search, entry)) {
        cf_ann_row_decode(entry->row, cf_spaces[search->query->space].dim, search->full);
        search->inexact = true;
    }
    return full_distance(search);
}

/* By the vectors themselves, in the order of what they may be at least: when that is too far, so is the rest.
 */
static void rank_possible(struct search *search, const struct row_list *list)
{
    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_least);
    for (size_t i = 0; i < list->count && list->items[i].least <= bound(search); i++) {
        const struct cf_tail_entry *entry = list->items[i].entry;
        if (!keep_entry(search, entry))
            continue;
        float distance = exact_distance(search, entry);
        if (distance <= bound(search))
            offer_entry(search, entry, distance);
    }
}

static enum cf_err search_tail(struct search *search, struct cf_detail *detail)
{
    const struct cf_tail *tail = search->tail;
    struct row_list list = {NULL, 0};
    size_t rows = 0;
    for (size_t i = 0; search->query->exact && i < tail->run_count; i++)
        rows += tail->runs[i]->row_count;
    list.items = cf_arena_alloc(search->scratch->arena, rows, sizeof *list.items);
    if (!list.items || !sketch_query(search))
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to search what is not indexed yet");
    const struct taker taker = {search->query->exact ? take_possible : take_measured, &list};
    enum cf_err err = CF_OK;
    for (size_t i = 0; err == CF_OK && i < tail->run_count; i++)
        err = measure_run(search, tail->runs[i], taker, detail);
    if (err == CF_OK)
        rank_possible(search, &list);
    return err;
}

/* ---- the album asked for ---- */

static void find_self(struct search *search)
{
    search->self_item = (struct cf_served_item){CF_PART_COUNT, CF_ANN_NONE};
    if (search->query->self.len == 0)
        return;
    search->self_entry = cf_tail_find(search->tail, search->query->self);
    search->self_item = cf_served_find(search->places->served, search->query->self);
}

/* The album asked for is at distance 0 whatever the trees say; unless it was removed after its vector was
 * taken. */
static void offer_self(struct search *search)
{
    const struct cf_tail_entry *entry = search->self_entry;
    const struct cf_served_item *item = &search->self_item;
    struct cf_str self = search->query->self;
    if (entry) {
        if (entry->row && !cf_grab_is_removed(search->grab, self, entry->album.version))
            offer_entry(search, entry, 0);
    } else if (item->item != CF_ANN_NONE) {
        struct part part = {search, item->part, search->places->served->parts[item->part]};
        struct cf_generation_tag tag = cf_mapped_tag(part.mapped, (uint64_t)item->item);
        if (!cf_grab_is_removed(search->grab, self, tag.version))
            offer_item(&part, (uint64_t)item->item, 0);
    } else {
        cf_nearest_offer(search->nearest, (struct cf_near){0, NULL, self});
    }
}

/* ---- all of it ---- */

enum cf_err cf_grab_search(const struct cf_grab *grab, const struct cf_engine_query *query,
                           struct cf_engine_scratch *scratch, struct cf_arena *arena,
                           struct cf_nearest *nearest, bool *certain, struct cf_detail *detail)
{
    struct search search = {.grab = grab,
                            .places = grab->view->places,
                            .tail = &grab->view->tail,
                            .query = query,
                            .scratch = scratch,
                            .nearest = nearest};
    *nearest = (struct cf_nearest){cf_arena_alloc(arena, query->k, sizeof *nearest->items), query->k, 0};
    search.full = cf_arena_alloc(scratch->arena, cf_spaces[query->space].dim, sizeof *search.full);
    if (!nearest->items || !search.full)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u neighbours", query->k);
    find_self(&search);
    enum cf_err err = search_index(&search, detail);
    if (err == CF_OK)
        err = search_tail(&search, detail);
    if (err == CF_OK && query->include_self && query->self.len)
        offer_self(&search);
    cf_nearest_sort(nearest);
    *certain = !search.inexact && (query->exact || search.tail->row_count == 0);
    return err;
}

/* Out of what the view holds: ids are copied. */
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

static enum cf_err answer_of(const struct cf_grab *grab, const struct cf_nearest *nearest, bool certain,
                             struct cf_arena *arena, struct cf_engine_answer *answer)
{
    const struct cf_served *served = grab->view->places->served;
    answer->unreadable_shards = grab->unreadable;
    answer->exact = certain && grab->unreadable == 0;
    answer->generation = served ? cf_served_generation(served)->generation : 0;
    return copy_neighbors(nearest, arena, answer);
}

enum cf_err cf_engine_search(struct cf_engine *engine, const struct cf_engine_query *query,
                             struct cf_engine_scratch *scratch, struct cf_arena *arena,
                             struct cf_engine_answer *answer, struct cf_detail *detail)
{
    struct cf_engine_answer found = {0};
    struct cf_nearest nearest;
    bool certain;
    cf_arena_reset(scratch->arena);
    uint64_t caught_up_ms = atomic_load(&engine->caught_up_ms);
    uint64_t now_ms = cf_clock_mono_ms();
    found.stale_ms = now_ms > caught_up_ms ? now_ms - caught_up_ms : 0;
    struct cf_grab grab = cf_engine_grab(engine, query->space);
    /* The candidates outlive the scratch, which every title empties again. */
    enum cf_err err = cf_grab_search(&grab, query, scratch, arena, &nearest, &certain, detail);
    if (err == CF_OK && answer_of(&grab, &nearest, certain, arena, &found) != CF_OK)
        err = cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u neighbours", query->k);
    if (err == CF_OK && engine->checks && !query->exact && !query->keep)
        cf_recall_offer(engine->checks, &grab, query, &nearest);
    cf_grab_drop(&grab);
    for (size_t i = 0; err == CF_OK && !query->bare && i < found.neighbor_count; i++)
        err = cf_engine_meta(found.shards[i], scratch, arena, &found.neighbors[i]);
    if (err == CF_OK)
        *answer = found;
    return err;
}
