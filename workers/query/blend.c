#include "workers/query/blend.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "workers/query/nearest.h"

enum { CANDIDATES_A_RESULT = 4, CANDIDATES_MIN = 64, CANDIDATE_GROWTH = 4, MEASURED_A_LOOK = 256 };

/* ---- the spaces of a query ---- */

static void add_part(struct cf_blend *blend, size_t space, double factor)
{
    blend->parts[blend->count++] = (struct cf_blend_part){space, (float)factor, blend->dim};
    blend->dim += cf_spaces[space].dim;
}

/* What is smaller would vanish in the distances, which are single floats. */
static enum cf_err check_weight(const struct cf_weight *weight, double largest, struct cf_detail *detail)
{
    if (weight->weight == 0 || weight->weight * CF_WEIGHT_RATIO_MAX >= largest)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID,
                   "the weight %g of %.*s is nothing beside %g: at most %g may lie between them",
                   weight->weight, CF_STR_ARG(weight->space), largest, CF_WEIGHT_RATIO_MAX);
}

/* Weights are divided by the largest first: their sum could be too large for a double. */
static enum cf_err add_weights(const struct cf_query *query, struct cf_blend *blend, struct cf_detail *detail)
{
    double largest = 0, sum = 0;
    for (size_t i = 0; i < query->space_count; i++)
        largest = fmax(largest, query->spaces[i].weight);
    if (!(largest > 0))
        return cf_fail(detail, CF_E_INVALID, "all weights of the query's spaces are 0: one must be above");
    for (size_t i = 0; i < query->space_count; i++)
        sum += query->spaces[i].weight / largest;
    for (size_t i = 0; i < query->space_count; i++) {
        size_t space = 0;
        enum cf_err err = cf_space_of_fleet(query->spaces[i].space, &space, detail);
        if (err == CF_OK)
            err = check_weight(&query->spaces[i], largest, detail);
        if (err != CF_OK)
            return err;
        double factor = sqrt(query->spaces[i].weight / largest / sum) / cf_spaces[space].scale;
        if (factor > 0)
            add_part(blend, space, factor);
    }
    return CF_OK;
}

enum cf_err cf_blend_of(const struct cf_query *query, struct cf_blend *blend, struct cf_detail *detail)
{
    *blend = (struct cf_blend){.several = query->space_count > 0};
    if (blend->several && query->space.len > 0)
        return cf_fail(detail, CF_E_INVALID,
                       "the query names both a space and several: `space` must be empty then");
    if (blend->several)
        return add_weights(query, blend, detail);
    size_t space = 0;
    enum cf_err err = cf_space_of_fleet(query->space, &space, detail);
    if (err == CF_OK)
        add_part(blend, space, 1);
    return err;
}

const char *cf_blend_name(const struct cf_blend *blend)
{
    return blend->several ? "blend" : cf_spaces[blend->parts[0].space].name;
}

/* ---- joint vectors ---- */

void cf_blend_scale(const struct cf_blend_part *part, float *values)
{
    for (uint32_t i = 0; part->factor != 1 && i < cf_spaces[part->space].dim; i++)
        values[i] *= part->factor;
}

enum cf_err cf_blend_vector(const struct cf_blend *blend, struct cf_engine *engine, struct cf_str id,
                            struct cf_engine_scratch *scratch, float *joint, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; err == CF_OK && i < blend->count; i++) {
        const struct cf_blend_part *part = &blend->parts[i];
        err = cf_engine_vector(engine, part->space, id, scratch, joint + part->at, detail);
        if (err == CF_OK)
            cf_blend_scale(part, joint + part->at);
    }
    return err;
}

float cf_blend_distance(const struct cf_blend *blend, const float *a, const float *b)
{
    float square;
    cf_ann_distances(a, b, 1, blend->dim, &square);
    return fminf(sqrtf(square), FLT_MAX);
}

/* ---- candidates ---- */

struct candidate {
    struct cf_keyed key;
    struct cf_shard *shard;
    double least; /* squared joint distance as far as it is known from the lists that have it */
};

struct pool {
    struct cf_idmap map;
    struct candidate *items;
    size_t count;
    double reach;   /* squared: what is no candidate is at least so far away */
    bool exhausted; /* a list has all there is in its space, so whatever has all vectors is a candidate */
    struct cf_nearest nearest;
    float *vector; /* joint, of the candidate at hand */
};

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory to search several spaces");
}

static enum cf_err take_list(struct pool *pool, const struct cf_blend_part *part,
                             const struct cf_engine_answer *list)
{
    for (size_t i = 0; i < list->neighbor_count; i++) {
        struct cf_str id = list->neighbors[i].album;
        struct candidate *candidate = (struct candidate *)cf_idmap_find(&pool->map, id);
        if (!candidate) {
            candidate = &pool->items[pool->count];
            *candidate = (struct candidate){{id}, list->shards[i], 0};
            enum cf_err err = cf_idmap_add(&pool->map, &candidate->key);
            if (err != CF_OK)
                return err;
            pool->count++;
        }
        candidate->least += pow((double)part->factor * list->neighbors[i].distance, 2);
    }
    return CF_OK;
}

static void merge_answer(struct cf_engine_answer *whole, const struct cf_engine_answer *list, bool first)
{
    if (first) {
        *whole = *list;
        return;
    }
    whole->exact = whole->exact && list->exact;
    if (list->generation < whole->generation)
        whole->generation = list->generation;
    if (list->stale_ms > whole->stale_ms)
        whole->stale_ms = list->stale_ms;
    if (list->unreadable_shards > whole->unreadable_shards)
        whole->unreadable_shards = list->unreadable_shards;
}

/* What is within the radius by all spaces together is within it by each alone, but for the rounding of lists.
 */
static float radius_in(const struct cf_blend_search *search, const struct cf_blend_part *part)
{
    if (!search->blend->several)
        return search->ask.radius;
    double radius = (double)search->ask.radius / (double)part->factor * 1.001;
    return radius < (double)FLT_MAX ? (float)radius : FLT_MAX;
}

/* Of one space. */
static enum cf_err ask_engine(const struct cf_blend_search *search, const struct cf_blend_part *part,
                              uint32_t k, struct cf_engine_scratch *scratch, struct cf_arena *arena,
                              struct cf_engine_answer *list, struct cf_detail *detail)
{
    struct cf_engine_query ask = search->ask;
    ask.space = part->space;
    ask.vector = search->vectors[part->space];
    ask.k = k;
    ask.radius = search->ask.radius > 0 ? radius_in(search, part) : 0;
    ask.bare = true;
    enum cf_err err = cf_engine_search(search->engine, &ask, scratch, arena, list, detail);
    if (err != CF_OK || !ask.keep || ask.exact || ask.radius > 0 || list->neighbor_count == k)
        return err;
    ask.exact = true;
    return cf_engine_search(search->engine, &ask, scratch, arena, list, detail);
}

static enum cf_err gather(const struct cf_blend_search *search, uint32_t width,
                          struct cf_engine_scratch *scratch, struct cf_arena *arena, struct pool *pool,
                          struct cf_engine_answer *answer, struct cf_detail *detail)
{
    pool->items = cf_arena_alloc(arena, (width + 1) * search->blend->count, sizeof *pool->items);
    if (!pool->items)
        return no_memory(detail);
    for (size_t i = 0; i < search->blend->count; i++) {
        const struct cf_blend_part *part = &search->blend->parts[i];
        struct cf_engine_answer list;
        enum cf_err err = ask_engine(search, part, width, scratch, arena, &list, detail);
        if (err != CF_OK)
            return err;
        if (take_list(pool, part, &list) != CF_OK)
            return no_memory(detail);
        merge_answer(answer, &list, i == 0);
        if (list.neighbor_count < width)
            pool->exhausted = true;
        else
            pool->reach += pow((double)part->factor * list.neighbors[width - 1].distance, 2);
    }
    return CF_OK;
}

/* ---- measuring ---- */

static int by_least(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    return (left->least > right->least) - (left->least < right->least);
}

/* An album without a vector in each of the spaces, or that was removed meanwhile, is no neighbour. */
static bool is_absent(enum cf_err err)
{
    return err == CF_E_NOT_FOUND || err == CF_E_NOT_DESCRIBED || err == CF_E_FLAGGED;
}

static enum cf_err measure(const struct cf_blend_search *search, const struct candidate *candidate,
                           struct cf_engine_scratch *scratch, struct pool *pool, struct cf_detail *detail)
{
    struct cf_near near = {0, candidate->shard, candidate->key.id};
    if (!(search->ask.include_self && cf_str_equal(near.id, search->ask.self))) {
        enum cf_err err =
            cf_blend_vector(search->blend, search->engine, near.id, scratch, pool->vector, detail);
        if (err != CF_OK)
            return is_absent(err) ? CF_OK : err;
        near.distance = cf_blend_distance(search->blend, search->joint, pool->vector);
    }
    if (!(search->ask.radius > 0) || near.distance <= search->ask.radius)
        cf_nearest_offer(&pool->nearest, near);
    return CF_OK;
}

/* Those that can still be among the nearest, by what the lists say of them; a little more, for rounding. */
static enum cf_err measure_all(const struct cf_blend_search *search, struct cf_engine_scratch *scratch,
                               struct pool *pool, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    cf_idmap_fini(&pool->map); /* it borrows the order that the sort changes */
    qsort(pool->items, pool->count, sizeof *pool->items, by_least);
    for (size_t i = 0; err == CF_OK && i < pool->count; i++) {
        double bound = (double)cf_nearest_bound(&pool->nearest);
        if (0.999 * pool->items[i].least > bound * bound)
            break;
        if (i % MEASURED_A_LOOK == 0 && cf_clock_mono_ms() >= search->deadline_ms)
            return cf_fail(detail, CF_E_DEADLINE, "the deadline passed with %zu of %zu candidates measured",
                           i, pool->count);
        err = measure(search, &pool->items[i], scratch, pool, detail);
    }
    cf_nearest_sort(&pool->nearest);
    return err;
}

static size_t certain_count(const struct pool *pool)
{
    size_t count = 0;
    while (count < pool->nearest.count &&
           (pool->exhausted || pow((double)pool->nearest.items[count].distance, 2) <= pool->reach))
        count++;
    return count;
}

static enum cf_err to_answer(const struct pool *pool, struct cf_arena *arena, struct cf_engine_answer *answer)
{
    answer->neighbor_count = pool->nearest.count;
    answer->neighbors = cf_arena_alloc(arena, pool->nearest.count, sizeof *answer->neighbors);
    answer->shards = cf_arena_alloc(arena, pool->nearest.count, sizeof(struct cf_shard *));
    if (!answer->neighbors || !answer->shards)
        return CF_E_NO_MEMORY;
    for (size_t i = 0; i < pool->nearest.count; i++) {
        answer->neighbors[i].album = pool->nearest.items[i].id;
        answer->neighbors[i].distance = (double)pool->nearest.items[i].distance;
        answer->shards[i] = pool->nearest.items[i].shard;
    }
    return CF_OK;
}

/* One round; `*enough` when there is no need for more candidates, or no use. */
static enum cf_err search_width(const struct cf_blend_search *search, uint32_t width,
                                struct cf_engine_scratch *scratch, struct cf_arena *arena,
                                struct cf_engine_answer *answer, bool *enough, struct cf_detail *detail)
{
    struct pool pool = {.count = 0};
    uint32_t k = search->ask.k;
    pool.nearest = (struct cf_nearest){cf_arena_alloc(arena, k, sizeof(struct cf_near)), k, 0};
    pool.vector = cf_arena_alloc(arena, search->blend->dim, sizeof *pool.vector);
    enum cf_err err = pool.nearest.items && pool.vector ? CF_OK : no_memory(detail);
    if (err == CF_OK)
        err = gather(search, width, scratch, arena, &pool, answer, detail);
    if (err == CF_OK)
        err = measure_all(search, scratch, &pool, detail);
    cf_idmap_fini(&pool.map);
    if (err != CF_OK)
        return err;
    size_t certain = certain_count(&pool);
    answer->exact = answer->exact && (pool.exhausted || certain == k);
    *enough = pool.exhausted || width == CF_K_MAX ||
              (double)certain >= (search->ask.exact ? 1 : search->ask.recall) * (double)k;
    return to_answer(&pool, arena, answer) == CF_OK ? CF_OK : no_memory(detail);
}

static enum cf_err search_several(const struct cf_blend_search *search, struct cf_engine_scratch *scratch,
                                  struct cf_arena *arena, struct cf_engine_answer *answer,
                                  struct cf_detail *detail)
{
    uint32_t width =
        search->ask.k < CF_K_MAX / CANDIDATES_A_RESULT ? search->ask.k * CANDIDATES_A_RESULT : CF_K_MAX;
    if (width < CANDIDATES_MIN)
        width = CANDIDATES_MIN;
    for (bool enough = false;;
         width = width < CF_K_MAX / CANDIDATE_GROWTH ? width * CANDIDATE_GROWTH : CF_K_MAX) {
        struct cf_engine_answer found = {0};
        cf_arena_reset(arena);
        enum cf_err err = search_width(search, width, scratch, arena, &found, &enough, detail);
        if (err != CF_OK)
            return err;
        if (enough) {
            *answer = found;
            return CF_OK;
        }
    }
}

enum cf_err cf_blend_search(const struct cf_blend_search *search, struct cf_engine_scratch *scratch,
                            struct cf_arena *arena, struct cf_engine_answer *answer, struct cf_detail *detail)
{
    if (search->blend->several)
        return search_several(search, scratch, arena, answer, detail);
    cf_arena_reset(arena);
    return ask_engine(search, &search->blend->parts[0], search->ask.k, scratch, arena, answer, detail);
}
