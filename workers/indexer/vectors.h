/* The vectors of one space over all shards as a source for an index: newest version wins, removed and flagged
 * albums are left out; an album whose vector is lost or damaged ends the walk with CF_E_CORRUPT, for a
 * generation without it would claim to cover it. Streams; nothing is kept. The same items in the same order
 * again as long as nobody catches up meanwhile. */
#ifndef CF_WORKERS_INDEXER_VECTORS_H
#define CF_WORKERS_INDEXER_VECTORS_H

#include "common/ann/ann.h"
#include "common/descriptor/space.h"
#include "common/store/generation.h"
#include "common/store/shards.h"

struct cf_vectors {
    struct cf_shards *shards;
    const struct cf_space *space;
    struct cf_shards_walk *walk;
    float *values; /* space->dim */
    uint8_t tag[CF_GENERATION_TAG_BYTES];
    uint64_t damaged;        /* albums passed over since the last rewind because their vector is no vector */
    struct cf_detail damage; /* the last of them */
};

/* CF_E_NO_MEMORY. Borrows. */
enum cf_err cf_vectors_init(struct cf_vectors *vectors, struct cf_shards *shards,
                            const struct cf_space *space, struct cf_detail *detail) CF_MUST_CHECK;
void cf_vectors_fini(struct cf_vectors *vectors);
/* The tag of an item names its shard by its position in `shards`. */
struct cf_ann_source cf_vectors_source(struct cf_vectors *vectors);

#endif
