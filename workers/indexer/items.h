/* The vectors of one space over all shards as a source for an index: newest version wins, removed and flagged
 * albums are left out; an album whose vector is lost or damaged ends the walk with CF_E_CORRUPT, for a
 * generation without it would claim to cover it. Streams; nothing is kept. The same items in the same order
 * again as long as nobody catches up meanwhile. */
#ifndef CF_WORKERS_INDEXER_ITEMS_H
#define CF_WORKERS_INDEXER_ITEMS_H

#include "common/ann/ann.h"
#include "common/descriptor/space.h"
#include "common/store/generation.h"
#include "common/store/shards.h"

struct cf_items {
    struct cf_shards *shards;
    const struct cf_space *space;
    struct cf_shards_walk *walk; /* NULL: vectors are looked up one by one */
    float *values;               /* space->dim */
    uint8_t tag[CF_GENERATION_TAG_BYTES];
    uint64_t damaged;        /* albums passed over since the last rewind because their vector is no vector */
    struct cf_detail damage; /* the last of them */
};

/* CF_E_NO_MEMORY. Borrows. */
enum cf_err cf_items_init(struct cf_items *items, struct cf_shards *shards, const struct cf_space *space,
                          struct cf_detail *detail) CF_MUST_CHECK;
void cf_items_fini(struct cf_items *items);
/* Of every album. The tag of an item names its shard by its position in `shards`. */
struct cf_ann_source cf_items_source(struct cf_items *items);

/* The item of an album, where one of shard `shard` is its newest record. `*taken`: whether it is to be found;
 * `item` (borrowed until the next one) is untouched otherwise. */
enum cf_err cf_items_take(struct cf_items *items, size_t shard, struct cf_str id,
                          const struct cf_shard_album *album, struct cf_ann_item *item, bool *taken,
                          struct cf_detail *detail) CF_MUST_CHECK;

#endif
