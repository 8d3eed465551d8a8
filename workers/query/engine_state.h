/* The inside of the engine, shared by its files. A view and all that hangs on it is immutable and counted:
 * whoever holds one reads it without any lock. */
#ifndef CF_WORKERS_QUERY_ENGINE_STATE_H
#define CF_WORKERS_QUERY_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "workers/query/engine.h"
#include "workers/query/hidden.h"
#include "workers/query/nearest.h"

struct cf_engine_shard {
    struct cf_shard *shard;
    char name[CF_TEXT_BYTES_MAX];
};

struct cf_shard_table {
    _Atomic uint32_t refs;
    uint32_t count;
    struct cf_engine_shard items[];
};

/* The pair that is served, by our numbers of the shards. */
struct cf_places {
    _Atomic uint32_t refs;
    struct cf_shard_table *shards;
    struct cf_served *served;            /* NULL before the first generation */
    uint64_t *marks;                     /* by shard number; all 0 before the first generation */
    uint32_t *tag_shards[CF_PART_COUNT]; /* shard number of each of the marks of a part; NULL without it */
};

struct cf_view {
    _Atomic uint32_t refs;
    struct cf_places *places; /* NULL in the view of the removals */
    struct cf_tail tail;
    struct cf_hidden *hidden[CF_PART_COUNT]; /* items of each part whose albums the tail speaks of */
    struct cf_view *next;                    /* in the list of those that were replaced */
};

struct cf_removal {
    struct cf_keyed key;
    struct cf_version version;
    bool settled; /* compared with the shards: they do not know of it yet, their logs will tell */
    char id[];
};

struct cf_recall_checks;

struct cf_engine {
    /* Of the pointers below and of the name; held for a few loads and stores. */
    pthread_mutex_t lock;
    struct cf_view
        *views[CF_SPACE_COUNT]; /* replaced by the follower only, who may read them without the lock */
    struct cf_view *removed;    /* a tail of removals: hides versions up to the entry's */
    struct cf_view *retired;    /* those that were replaced; each has one reference for this list */
    struct cf_shard_table *shards;
    char unreadable_name[CF_TEXT_BYTES_MAX];
    _Atomic uint64_t caught_up_ms;
    _Atomic uint64_t unreadable; /* shards */
    /* Removals as the follower and the loop keep them; searches look at `removed`, which may remember some
     * longer. */
    pthread_mutex_t removal_lock;
    struct cf_idmap removals;
    size_t unsettled_count;
    struct cf_recall_checks *checks; /* NULL when recall is not checked */
};

/* ---- engine_view.c ---- */

struct cf_shard_table *cf_shard_table_share(struct cf_shard_table *table);
void cf_shard_table_free(struct cf_shard_table *table); /* takes NULL */
/* Refers to both on success. `served` may be NULL. CF_E_NO_MEMORY. */
enum cf_err cf_places_new(struct cf_shard_table *shards, struct cf_served *served,
                          struct cf_places **places) CF_MUST_CHECK;
void cf_places_free(struct cf_places *places); /* takes NULL */
/* Whether the generation says all there is to say about this record. */
bool cf_places_cover(const struct cf_places *places, const struct cf_tail_album *album);
/* The shard of a number, or of an item of a part; NULL when it is not known here. */
struct cf_shard *cf_places_shard(const struct cf_places *places, uint32_t number);
struct cf_shard *cf_places_item_shard(const struct cf_places *places, size_t part,
                                      const struct cf_generation_tag *tag);

/* Refers to the places (may be NULL) and takes the tail, emptying it. NULL when memory is short. */
struct cf_view *cf_view_new(struct cf_places *places, struct cf_tail *tail);
/* A fresh view of the same generations and a like tail hides what the old one does. */
void cf_view_inherit(struct cf_view *view, const struct cf_view *old);
/* To be called for every album that the tail of a view nobody else has yet speaks of anew, or no more.
 * CF_E_NO_MEMORY. */
enum cf_err cf_view_mark(struct cf_view *view, struct cf_str id) CF_MUST_CHECK;
void cf_view_free(struct cf_view *view); /* takes NULL */

/* What one search sees. */
struct cf_grab {
    struct cf_view *view, *removed;
    uint64_t unreadable; /* shards */
};
struct cf_grab cf_engine_grab(struct cf_engine *engine, size_t space);
struct cf_grab cf_grab_share(const struct cf_grab *grab);
void cf_grab_drop(struct cf_grab *grab);
static inline bool cf_grab_is_removed(const struct cf_grab *grab, struct cf_str id, struct cf_version version)
{
    const struct cf_tail_entry *removal = cf_tail_find(&grab->removed->tail, id);
    return removal && cf_version_compare(version, removal->album.version) <= 0;
}

/* Views that take the place of those in use, in one step; NULL leaves the old one. Nulls them. */
void cf_engine_publish(struct cf_engine *engine, struct cf_view *fresh[CF_SPACE_COUNT]);
void cf_engine_publish_removed(struct cf_engine *engine, struct cf_view *fresh);
/* Frees the replaced views that nobody holds any more. The follower's thread. */
void cf_engine_sweep(struct cf_engine *engine);

/* ---- the others ---- */

/* engine.c: of these shards. */
enum cf_err cf_shard_table_newest(const struct cf_shard_table *shards, struct cf_str id,
                                  struct cf_arena *arena, struct cf_shard_album *record, uint32_t *shard,
                                  struct cf_detail *detail) CF_MUST_CHECK;
/* engine_removals.c: forgets what the shards know of, and what searches need not look at any more. */
void cf_engine_drop_removal(struct cf_engine *engine, struct cf_str id, struct cf_version newest);
void cf_engine_sweep_removals(struct cf_engine *engine);
void cf_engine_fini_removals(struct cf_engine *engine);
/* engine_vector.c: of an album that tail or index speak of, as cf_engine_vector; false for another one. */
bool cf_grab_vector(const struct cf_grab *grab, size_t space, struct cf_str id, float *out, enum cf_err *err,
                    struct cf_detail *detail);
/* The vector of an album as it rests in its shard. False when that cannot be read (or is NULL). */
bool cf_vector_at_rest(struct cf_shard *shard, size_t space, struct cf_str id, float *out);
double cf_distance(const float *a, const float *b, uint32_t dim);
/* engine_search.c: without titles. `*certain`: nothing of the view can be nearer than what was found. */
enum cf_err cf_grab_search(const struct cf_grab *grab, const struct cf_engine_query *query,
                           struct cf_engine_scratch *scratch, struct cf_arena *arena,
                           struct cf_nearest *nearest, bool *certain, struct cf_detail *detail) CF_MUST_CHECK;
/* engine_recall.c. `offer` copies what it keeps. */
void cf_recall_offer(struct cf_recall_checks *checks, const struct cf_grab *grab,
                     const struct cf_engine_query *query, const struct cf_nearest *nearest);
void cf_recall_status(const struct cf_recall_checks *checks, size_t space, double *recall, uint64_t *count);

#endif
