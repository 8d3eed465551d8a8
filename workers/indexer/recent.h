/* What changed since a whole generation: the albums whose newest record, over all shards, lies behind its
 * marks. Found through the shards' logs, so that it costs as much as there is of it and not as much as there
 * is of everything; streams, and keeps a few hundred ids at a time. Each album comes once, by shard and log
 * sequence, and in the same order again as long as nobody catches up meanwhile. One thread. */
#ifndef CF_WORKERS_INDEXER_RECENT_H
#define CF_WORKERS_INDEXER_RECENT_H

#include "common/base/arena.h"
#include "workers/indexer/items.h"

struct cf_recent {
    struct cf_items items;
    const struct cf_generation *base;
    const uint64_t *lasts;                /* of each shard: how far its log is whole */
    struct cf_arena *batch_ids, *records; /* of the batch, of one album */
    struct cf_recent_entry {
        uint64_t log_seq;
        struct cf_str id;
    } * batch; /* entries of `shard` that were read ahead */
    size_t at, count, shard;
    uint64_t after; /* the last one read of that shard's log */
};

/* CF_E_NO_MEMORY. Borrows; `lasts` has an element for each shard. */
enum cf_err cf_recent_init(struct cf_recent *recent, struct cf_shards *shards, const struct cf_space *space,
                           const struct cf_generation *base, const uint64_t *lasts,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_recent_fini(struct cf_recent *recent);

/* Those that are to be found, for an index. CF_E_CORRUPT also when a log names an album that its shard shows
 * in an older state only. */
struct cf_ann_source cf_recent_source(struct cf_recent *recent);

/* Those of `whole`, the base's index, that are not to be found any more: into the arena. As the source fails,
 * and CF_E_NO_MEMORY. */
enum cf_err cf_recent_hidden(struct cf_recent *recent, const struct cf_ann *whole, struct cf_arena *arena,
                             struct cf_str **hidden, size_t *count, struct cf_detail *detail) CF_MUST_CHECK;

/* The number of log entries behind the marks of `base`, counted up to one more than `limit`: no fewer than
 * the albums that changed. */
enum cf_err cf_recent_count(struct cf_shards *shards, const struct cf_generation *base, uint64_t limit,
                            uint64_t *count, struct cf_detail *detail) CF_MUST_CHECK;

#endif
