/* Whether the shards, as this process sees them, hold all that an index covered before: a generation that is
 * built without a shard, or from an older state of it, would lose albums without a word. */
#ifndef CF_WORKERS_INDEXER_GUARD_H
#define CF_WORKERS_INDEXER_GUARD_H

#include "common/store/generation.h"
#include "common/store/shards.h"

/* CF_OK when the next generation after `current` (generation 0: none) may be built. Otherwise `*shard` is the
 * name of the first shard in the way, good as long as both live: CF_E_IO when it cannot be read, CF_E_CORRUPT
 * when it went back in time or its parts do not fit each other. `lasts` are the last log sequences of the
 * open shards. */
enum cf_err cf_guard_marks(const struct cf_shards *shards, const uint64_t *lasts,
                           const struct cf_generation *current, struct cf_str *shard,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* The second half of it, the same for every space: reads the keys of every shard. */
enum cf_err cf_guard_parts(struct cf_shards *shards, struct cf_str *shard,
                           struct cf_detail *detail) CF_MUST_CHECK;

#endif
