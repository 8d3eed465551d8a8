/* The inside of the engine, shared by engine.c (which changes it) and engine_search.c (which reads it). */
#ifndef CF_WORKERS_QUERY_ENGINE_STATE_H
#define CF_WORKERS_QUERY_ENGINE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "workers/query/engine.h"

struct cf_engine_shard {
    struct cf_shard *shard;
    char name[CF_TEXT_BYTES_MAX];
};

struct cf_engine_space {
    struct cf_mapped *mapped; /* NULL before the first generation */
    struct cf_tail *tail;
    uint64_t *marks;      /* by shard number; NULL without a generation */
    uint32_t *tag_shards; /* shard number of each of the generation's marks */
};

struct cf_removal {
    struct cf_keyed key;
    struct cf_version version;
    bool settled; /* compared with the shards: they do not know of it yet, their logs will tell */
    char id[];
};

struct cf_engine {
    pthread_rwlock_t lock;
    struct cf_engine_space spaces[CF_SPACE_COUNT];
    struct cf_engine_shard *shards;
    uint32_t shard_count;
    struct cf_idmap removals;
    size_t unsettled_count;
    _Atomic uint64_t caught_up_ms;
    _Atomic uint64_t unreadable; /* shards; written under the lock */
    char unreadable_name[CF_TEXT_BYTES_MAX];
};

/* Whether a removal that the shards do not know of hides this version of the album. Under the lock. */
static inline bool cf_engine_is_removed(const struct cf_engine *engine, struct cf_str id,
                                        struct cf_version version)
{
    const struct cf_removal *removal = (const struct cf_removal *)cf_idmap_find(&engine->removals, id);
    return removal && cf_version_compare(version, removal->version) <= 0;
}

#endif
