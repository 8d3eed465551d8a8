#include "workers/query/pick.h"

#include "common/base/clock.h"

/* Of the first round with `collapse`, and by how much each further one is wider. */
enum { ALBUMS_A_COVER = 4, WIDTH_MIN = 16, WIDTH_GROWTH = 4, LOOKED_AT_A_LOOK = 256 };

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an answer");
}

/* What was picked so far, in the work arena. */
struct picked {
    struct cf_neighbor *neighbors;
    struct cf_shard **shards;
    size_t count;
};

static bool is_self(const struct cf_pick *pick, const struct cf_neighbor *neighbor)
{
    return pick->ask.include_self && cf_str_equal(neighbor->album, pick->ask.self);
}

/* Whether the record itself says what its labels promised; reads title, artist and genre then. */
static enum cf_err confirm(struct cf_picker *picker, const struct cf_pick *pick, struct cf_shard *shard,
                           struct cf_neighbor *neighbor, bool *confirmed)
{
    *confirmed = true;
    if (!cf_selection_filters(pick->selection))
        return CF_OK;
    enum cf_err err = cf_engine_meta(shard, picker->scratch, picker->work, neighbor);
    *confirmed = is_self(pick, neighbor) || cf_selection_confirms(pick->selection, neighbor);
    return err;
}

/* ---- collapsing ---- */

/* Doubles the list when it is full; what is beyond its bound is only counted. */
static enum cf_err join(struct cf_neighbor *leader, struct cf_str album, struct cf_arena *arena)
{
    leader->same_count++;
    size_t count = leader->same_listed;
    if (count == CF_SAME_MAX)
        return CF_OK;
    if ((count & (count - 1)) == 0) {
        struct cf_str *same = cf_arena_alloc(arena, count ? 2 * count : 1, sizeof *same);
        if (!same)
            return CF_E_NO_MEMORY;
        for (size_t i = 0; i < count; i++)
            same[i] = leader->same[i];
        leader->same = same;
    }
    leader->same[leader->same_listed++] = album;
    return CF_OK;
}

static bool is_collapsed_elsewhere(const struct cf_pick *pick)
{
    return pick->among != pick->blend;
}

/* The group of the neighbour: that of an earlier one, the next, or k for none. */
static enum cf_err find_group(struct cf_picker *picker, const struct cf_pick *pick, struct cf_str album,
                              size_t *group, struct cf_detail *detail)
{
    struct cf_detail why;
    enum cf_err err =
        cf_blend_vector(pick->among, picker->engine, album, picker->scratch, picker->vector, &why);
    *group = pick->ask.k;
    if (err == CF_E_NOT_DESCRIBED && is_collapsed_elsewhere(pick))
        return cf_collapse_alone(&picker->groups, pick->ask.k, group) == CF_OK ? CF_OK : no_memory(detail);
    if (err == CF_E_NOT_FOUND || err == CF_E_FLAGGED || err == CF_E_NOT_DESCRIBED)
        return CF_OK; /* replaced or removed since it was found */
    if (err != CF_OK)
        return cf_fail(detail, err, "%s", why.text);
    float distance =
        is_collapsed_elsewhere(pick) ? 0 : cf_blend_distance(pick->blend, pick->joint, picker->vector);
    err = cf_collapse_offer(&picker->groups, picker->vector, distance, pick->ask.k, group);
    return err == CF_OK ? err : no_memory(detail);
}

/* ---- picking ---- */

static enum cf_err take(struct cf_picker *picker, const struct cf_pick *pick,
                        const struct cf_neighbor *neighbor, struct cf_shard *shard, struct picked *picked,
                        struct cf_detail *detail)
{
    size_t group = picked->count;
    if (pick->collapse > 0) {
        enum cf_err err = find_group(picker, pick, neighbor->album, &group, detail);
        if (err != CF_OK)
            return err;
    }
    if (group >= pick->ask.k)
        return CF_OK;
    if (group < picked->count)
        return join(&picked->neighbors[group], neighbor->album, picker->work) == CF_OK ? CF_OK
                                                                                       : no_memory(detail);
    picked->neighbors[group] = *neighbor;
    picked->shards[group] = shard;
    picked->count++;
    return CF_OK;
}

/* Nothing from here on is picked, nor the same as something that is. In another space what is the same may be
 * anywhere: then all that was found is looked at. */
static bool is_past(const struct cf_pick *pick, const struct picked *picked,
                    const struct cf_neighbor *neighbor)
{
    return picked->count == pick->ask.k &&
           (!(pick->collapse > 0) ||
            (!is_collapsed_elsewhere(pick) &&
             neighbor->distance > picked->neighbors[picked->count - 1].distance + (double)pick->collapse));
}

static enum cf_err pick_from(struct cf_picker *picker, const struct cf_pick *pick,
                             const struct cf_engine_answer *found, struct picked *picked,
                             struct cf_detail *detail)
{
    size_t room = found->neighbor_count < pick->ask.k ? found->neighbor_count : pick->ask.k;
    picked->count = 0;
    picked->neighbors = cf_arena_alloc(picker->work, room, sizeof *picked->neighbors);
    picked->shards = cf_arena_alloc(picker->work, room, sizeof(struct cf_shard *));
    if (!picked->neighbors || !picked->shards)
        return no_memory(detail);
    cf_collapse_begin(&picker->groups, pick->among->dim, pick->collapse);
    for (size_t i = 0; i < found->neighbor_count; i++) {
        bool confirmed;
        if (i % LOOKED_AT_A_LOOK == 0 && cf_clock_mono_ms() >= pick->deadline_ms)
            return cf_fail(detail, CF_E_DEADLINE, "the deadline passed with %zu of %zu neighbours looked at",
                           i, found->neighbor_count);
        if (is_past(pick, picked, &found->neighbors[i]))
            break;
        if (confirm(picker, pick, found->shards[i], &found->neighbors[i], &confirmed) != CF_OK)
            return no_memory(detail);
        enum cf_err err =
            confirmed ? take(picker, pick, &found->neighbors[i], found->shards[i], picked, detail) : CF_OK;
        if (err != CF_OK)
            return err;
    }
    return CF_OK;
}

/* ---- out of the work arena ---- */

static bool copy_text(struct cf_arena *arena, struct cf_str *text)
{
    if (text->len)
        *text = cf_arena_str(arena, *text);
    return text->data || text->len == 0;
}

static enum cf_err copy_one(struct cf_picker *picker, struct cf_shard *shard, struct cf_arena *arena,
                            bool has_meta, struct cf_neighbor *neighbor)
{
    if (!has_meta && cf_engine_meta(shard, picker->scratch, arena, neighbor) != CF_OK)
        return CF_E_NO_MEMORY;
    bool whole = copy_text(arena, &neighbor->album);
    if (has_meta)
        whole = copy_text(arena, &neighbor->title) && copy_text(arena, &neighbor->artist) &&
                copy_text(arena, &neighbor->genre) && whole;
    struct cf_str *same = cf_arena_alloc(arena, neighbor->same_listed, sizeof *same);
    for (size_t i = 0; same && i < neighbor->same_listed; i++) {
        same[i] = neighbor->same[i];
        whole = copy_text(arena, &same[i]) && whole;
    }
    neighbor->same = same;
    return whole && same ? CF_OK : CF_E_NO_MEMORY;
}

static enum cf_err copy_picked(struct cf_picker *picker, const struct cf_pick *pick, struct picked *picked,
                               struct cf_arena *arena, struct cf_engine_answer *answer,
                               struct cf_detail *detail)
{
    bool has_meta = cf_selection_filters(pick->selection);
    answer->neighbors = cf_arena_alloc(arena, picked->count, sizeof *answer->neighbors);
    if (!answer->neighbors)
        return no_memory(detail);
    for (size_t i = 0; i < picked->count; i++) {
        answer->neighbors[i] = picked->neighbors[i];
        if (copy_one(picker, picked->shards[i], arena, has_meta, &answer->neighbors[i]) != CF_OK)
            return no_memory(detail);
    }
    answer->shards = NULL;
    answer->neighbor_count = picked->count;
    return CF_OK;
}

static uint32_t first_width(const struct cf_pick *pick)
{
    uint32_t k = pick->ask.k;
    if (!(pick->collapse > 0))
        return k;
    return k < CF_K_MAX / ALBUMS_A_COVER - WIDTH_MIN ? ALBUMS_A_COVER * k + WIDTH_MIN : CF_K_MAX;
}

enum cf_err cf_pick(struct cf_picker *picker, const struct cf_pick *pick, struct cf_arena *arena,
                    struct cf_engine_answer *answer, struct cf_detail *detail)
{
    struct cf_blend_search search = {.blend = pick->blend,
                                     .engine = picker->engine,
                                     .joint = pick->joint,
                                     .vectors = pick->vectors,
                                     .deadline_ms = pick->deadline_ms,
                                     .ask = pick->ask};
    struct picked picked = {.count = 0};
    if (cf_selection_chooses(pick->selection)) {
        search.ask.keep = cf_selection_keeps;
        search.ask.keep_arg = pick->selection;
    }
    search.ask.k = first_width(pick);
    for (;;) {
        enum cf_err err = cf_blend_search(&search, picker->scratch, picker->work, answer, detail);
        if (err == CF_OK)
            err = pick_from(picker, pick, answer, &picked, detail);
        if (err != CF_OK)
            return err;
        bool all = answer->neighbor_count < search.ask.k, wide = search.ask.k == CF_K_MAX;
        if (picked.count < pick->ask.k && !all && wide)
            answer->exact = false;
        if (picked.count == pick->ask.k || all || wide)
            return copy_picked(picker, pick, &picked, arena, answer, detail);
        search.ask.k = search.ask.k < CF_K_MAX / WIDTH_GROWTH ? search.ask.k * WIDTH_GROWTH : CF_K_MAX;
    }
}
