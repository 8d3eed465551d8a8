/* A small fleet's disk for the tests of the query worker: shards that the test itself writes, index
 * generations that it builds, an engine that follows them, and beside it a naive model of what should be
 * found. */
#ifndef CF_TESTS_QUERY_WORLD_H
#define CF_TESTS_QUERY_WORLD_H

#include "common/base/rng.h"
#include "workers/query/follower.h"

enum { WORLD_ALBUMS = 48, WORLD_SHARDS = 3, WORLD_DIM_MAX = 960 };

struct world_record {
    struct cf_version version; /* {0, 0}: not there */
    uint64_t log_seq;
    uint32_t flags;
    bool removed;
};

/* What a whole generation of a space holds. */
struct world_base {
    uint64_t generation, marks[WORLD_SHARDS];
    bool has[WORLD_ALBUMS];
};

struct world {
    struct cf_home home;
    struct cf_shard *shards[WORLD_SHARDS];
    struct world_record records[WORLD_ALBUMS][WORLD_SHARDS];
    struct world_record seen[WORLD_ALBUMS];    /* the newest of each at the last step */
    struct cf_version announced[WORLD_ALBUMS]; /* removals that the engine was told of */
    uint64_t seq;
    uint64_t built[CF_SPACE_FIXED_COUNT]; /* the newest generation published */
    struct world_base bases[CF_SPACE_FIXED_COUNT],
        aside[CF_SPACE_FIXED_COUNT]; /* the newest whole one; what was built last */
    bool aside_is_small[CF_SPACE_FIXED_COUNT];
    struct cf_engine *engine;
    struct cf_follower *follower;
    struct cf_engine_scratch scratch;
    struct cf_arena *arena;
};

struct world *world_new(void); /* a temporary folder, WORLD_SHARDS empty shards, no engine yet */
void world_free(struct world *world);

struct cf_str world_id(size_t album); /* static storage */
/* What an album of that version looks like. */
void world_vector(size_t album, uint64_t seq, size_t space, float *out);

/* One album into one shard, committed. False when the shard knows something newer. */
bool world_store(struct world *world, size_t album, size_t shard, uint64_t seq, bool removed, uint32_t flags);
/* The newest record over all shards but those of the mask. */
struct world_record world_newest(const struct world *world, size_t album, unsigned without);
/* Tells the engine of a removal. */
void world_announce(struct world *world, size_t album, uint64_t seq);

/* Builds what an indexer that cannot read the shards of `without` would build now, and keeps it aside. */
void world_build(struct world *world, size_t space, unsigned without);
/* The small generation that adds to the newest whole one; false when there is none of those. */
bool world_build_small(struct world *world, size_t space);
/* Publishes what was built last for the space as the next generation. False when nothing was built since. */
bool world_publish(struct world *world, size_t space);
/* A file that is no index, as the next generation: a whole one (base 0) or one that adds to `base`. */
void world_publish_garbage(struct world *world, size_t space, uint64_t base);

void world_open(struct world *world); /* an engine and its follower, before the first step */
void world_close(struct world *world);
void world_step(struct world *world);
/* Steps until the engine serves that generation. */
void world_step_until(struct world *world, size_t space, uint64_t generation);

/* Compares exact searches around random vectors, and every album's own vector, with the model. */
void world_check(struct world *world, struct cf_rng *rng);

#endif
