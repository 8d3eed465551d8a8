/* What a query worker can search: for every space the index generations that are served (a whole one, with
 * the newest small one of it) and the tail that they do not cover, the removals that no shard knows of yet,
 * and the shards that titles come from.
 *
 * The tail of a space is a function of what the shards say and of the index's marks: the newest record of an
 * album over all shards, where that record lies behind the mark of its shard and the index knows nothing
 * newer. It hides the album's item of the index. So an answer is that of one catalogue, newest version of
 * each album, whatever was indexed when.
 *
 * Threads: one follower changes the state, one loop adds removals, any number search. What is searched never
 * changes: a change makes a new view beside the one in use and swaps a pointer. Searches take the view under
 * a lock that is held for a few loads and stores only, never while anything is copied, read or allocated; a
 * view that is replaced lives until the last search that holds it has ended, and the follower then frees it.
 */
#ifndef CF_WORKERS_QUERY_ENGINE_H
#define CF_WORKERS_QUERY_ENGINE_H

#include "common/store/shard.h"
#include "proto/msg.h"
#include "workers/query/mapped.h"
#include "workers/query/tail.h"

#define CF_ENGINE_NO_SHARD UINT32_MAX

struct cf_engine;

enum cf_err cf_engine_new(struct cf_engine **engine, struct cf_detail *detail) CF_MUST_CHECK;
void cf_engine_free(struct cf_engine *engine); /* takes NULL */

/* ---- The follower's thread ---- */

/* Makes a shard known under the next number, 0, 1, … It must stay open for as long as anybody searches. */
enum cf_err cf_engine_add_shard(struct cf_engine *engine, const char *name, struct cf_shard *shard,
                                struct cf_detail *detail) CF_MUST_CHECK;
/* CF_ENGINE_NO_SHARD when not known. */
uint32_t cf_engine_shard(const struct cf_engine *engine, struct cf_str name);
const char *cf_engine_shard_name(const struct cf_engine *engine, uint32_t shard);
struct cf_shard *cf_engine_shard_handle(const struct cf_engine *engine, uint32_t shard);
/* The last log entry of that shard which the index of that space covers; 0 for none. */
uint64_t cf_engine_mark(const struct cf_engine *engine, size_t space, uint32_t shard);
/* The number of the pair that is served, and the pair (borrowed until the next adoption); 0 and NULL for
 * none. */
uint64_t cf_engine_generation(const struct cf_engine *engine, size_t space);
struct cf_served *cf_engine_served(const struct cf_engine *engine, size_t space);

/* The newest record of an album over all shards; its strings come from the arena. CF_E_NOT_FOUND. A shard
 * that cannot read its record is passed over unless no other knows the album. Any thread. */
enum cf_err cf_engine_newest(struct cf_engine *engine, struct cf_str id, struct cf_arena *arena,
                             struct cf_shard_album *record, uint32_t *shard,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* The newest record of an album, and its vector in each space as a row (cf_ann_row_encode), NULL where there
 * is none or none is needed. */
struct cf_engine_change {
    struct cf_tail_album album;
    const void *rows[CF_SPACE_COUNT];
};
/* In one step for all searches. CF_E_NO_MEMORY: nothing was changed, apply the same changes again later. */
enum cf_err cf_engine_apply(struct cf_engine *engine, const struct cf_engine_change *changes, size_t count,
                            struct cf_detail *detail) CF_MUST_CHECK;

/* A new pair is staged first: its own tail is made from the old one, and may be added to where its marks lie
 * before those of the old one. Adopting swaps both at once. */
struct cf_stage;
enum cf_err cf_engine_stage(const struct cf_engine *engine, size_t space, struct cf_served **served,
                            struct cf_stage **stage, struct cf_detail *detail) CF_MUST_CHECK;
size_t cf_stage_space(const struct cf_stage *stage);
uint64_t cf_stage_mark(const struct cf_stage *stage, uint32_t shard);
enum cf_err cf_stage_put(struct cf_stage *stage, const struct cf_engine_change *changes, size_t count,
                         struct cf_detail *detail) CF_MUST_CHECK;
void cf_stage_free(struct cf_stage *stage); /* takes NULL */
void cf_engine_adopt(struct cf_engine *engine, struct cf_stage **stage);

/* The i-th shard that a mapped generation covers a part of and that is not known here; empty when there are
 * no more. Good until the next adoption. */
struct cf_str cf_engine_missing(const struct cf_engine *engine, size_t i);
/* How many shards cannot be read now, and the name of one of them (any text when none): until they can again,
 * answers are not exact, and an album that is not known may be in there. */
void cf_engine_set_unreadable(struct cf_engine *engine, uint64_t count, const char *name);
uint64_t cf_engine_unreadable(const struct cf_engine *engine); /* any thread */

/* Everything that the shards held at that moment (monotonic) is in the state. Frees what no search holds any
 * more. */
void cf_engine_caught_up(struct cf_engine *engine, uint64_t began_ms);

/* Removals that were not yet compared with the shards, into the arena. Asked before a catch-up; after it each
 * is settled with the newest version that the shards hold ({0, 0} for none): a removal that the shards know
 * of is forgotten. */
enum cf_err cf_engine_unsettled(struct cf_engine *engine, struct cf_arena *arena,
                                struct cf_removed *removals) CF_MUST_CHECK;
void cf_engine_settle(struct cf_engine *engine, const struct cf_removed_item *removal,
                      struct cf_version newest);

/* ---- The loop's thread ---- */

/* From now on no version up to this one of the album is found. */
enum cf_err cf_engine_remove(struct cf_engine *engine, const struct cf_removed_item *removal) CF_MUST_CHECK;
/* What a heartbeat says of each space; names are static. */
void cf_engine_status(struct cf_engine *engine, struct cf_index_status status[CF_SPACE_COUNT]);
size_t cf_engine_removal_count(struct cf_engine *engine); /* those that the shards do not know of yet */

/* ---- Searches, any thread ---- */

/* Scratch of one searching thread. */
struct cf_engine_scratch {
    struct cf_ann_searcher *searcher;
    struct cf_arena *arena; /* emptied by every call that takes it */
};

/* The vector of an album in a space: from its shard, or, while that cannot be read, as the index or the tail
 * keeps it in eight bits a dimension. CF_E_NOT_FOUND (never heard of, or removed: the sentence says which),
 * CF_E_IO (not known, but there is a shard that cannot be read), CF_E_FLAGGED, CF_E_NOT_DESCRIBED. */
enum cf_err cf_engine_vector(struct cf_engine *engine, size_t space, struct cf_str id,
                             struct cf_engine_scratch *scratch, float *out,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* Whether an album may be a neighbour. `labels` are those of cf_labels_of, zero where nothing is known.
 * Called on the searching thread, for candidates only; `id` is good for the call. */
typedef bool cf_engine_keep(void *arg, struct cf_str id, const uint32_t labels[CF_LABEL_COUNT]);

struct cf_engine_query {
    size_t space;
    const float *vector; /* in a cosine space of unit length (cf_space_normalize) */
    uint32_t k;          /* 1 to 10,000 */
    float radius; /* above 0: only what is within this distance */
    double recall;
    bool exact;           /* what may be among the nearest is ranked by the vectors of the shards */
    cf_engine_keep *keep; /* NULL: every album may be; not asked about `self` */
    void *keep_arg;
    struct cf_str self; /* the album asked for, or empty: left out, or with include_self at distance 0 */
    bool include_self;
    bool bare; /* neighbours without titles, artists and genres, for cf_engine_meta to add */
};

struct cf_engine_answer {
    uint64_t generation;
    bool exact;
    uint64_t stale_ms;
    uint64_t unreadable_shards;    /* with any, never exact */
    struct cf_neighbor *neighbors; /* from the arena, strings too */
    struct cf_shard **shards;      /* of each: where its record rests; NULL when not known */
    size_t neighbor_count;
};

enum cf_err cf_engine_search(struct cf_engine *engine, const struct cf_engine_query *query,
                             struct cf_engine_scratch *scratch, struct cf_arena *arena,
                             struct cf_engine_answer *answer, struct cf_detail *detail) CF_MUST_CHECK;

/* Title, artist and genre of a neighbour out of its record in `shard` (NULL: none), into the arena. They are
 * for people: without a readable record there are none. CF_E_NO_MEMORY. */
enum cf_err cf_engine_meta(struct cf_shard *shard, struct cf_engine_scratch *scratch, struct cf_arena *arena,
                           struct cf_neighbor *neighbor) CF_MUST_CHECK;

/* From now on one of so many approximate answers without a filter is compared with the exact one of the same
 * view, on a thread of its own and of the lowest priority; while it is busy, none. A neighbour counts as
 * found when it is among the exact ones or no farther than the last of them. cf_engine_status tells the mean.
 * Once, before there are searches; `one_in` is at least 1. */
enum cf_err cf_engine_check_recall(struct cf_engine *engine, uint64_t one_in,
                                   struct cf_detail *detail) CF_MUST_CHECK;
/* Ends that, before the shards are closed; no search meanwhile. */
void cf_engine_end_checks(struct cf_engine *engine);

#endif
