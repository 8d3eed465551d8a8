/* What changed since a whole generation: the albums whose newest record, over all shards, lies behind its
 * marks. Found through the shards' logs, so that it costs as much as there is of it and not as much as there
 * is of everything. It is looked up once, key by key, and lies in a file without a name from then on, for the
 * passes of a build: as large as the vectors are, 4 KB an album of gist, and gone before the disk gets to
 * most of it. In memory is a few hundred ids at a time. Each album comes once, by shard and log sequence. One
 * thread. */
#ifndef CF_WORKERS_INDEXER_RECENT_H
#define CF_WORKERS_INDEXER_RECENT_H

#include <stdio.h>

#include "common/base/album.h"
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
    uint64_t after;              /* the last one read of that shard's log */
    FILE *spool;                 /* of items: the number of bytes of its id, the id, tag and vector of each */
    char *buffer;                /* of the spool */
    const char *path;            /* of what is built, for sentences */
    uint64_t spooled, unread;    /* items, and those that the pass has not come to yet */
    char id[CF_ALBUM_BYTES_MAX]; /* of the last one read */
};

/* CF_E_NO_MEMORY. Borrows; `lasts` has an element for each shard. */
enum cf_err cf_recent_init(struct cf_recent *recent, struct cf_shards *shards, const struct cf_space *space,
                           const struct cf_generation *base, const uint64_t *lasts,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_recent_fini(struct cf_recent *recent);

/* Looks everything up: those that are to be found into a file beside `path` (borrowed), for the source; those
 * of `whole`, the base's index, that are not to be found any more into the arena. Once. CF_E_CORRUPT also
 * when a log names an album that its shard shows in an older state only; CF_E_DISK_FULL, CF_E_IO,
 * CF_E_NO_MEMORY.
 */
enum cf_err cf_recent_gather(struct cf_recent *recent, const char *path, const struct cf_ann *whole,
                             struct cf_arena *arena, struct cf_str **hidden, size_t *count,
                             struct cf_detail *detail) CF_MUST_CHECK;
/* Of what was gathered. CF_E_IO when it cannot be read back whole. */
struct cf_ann_source cf_recent_source(struct cf_recent *recent);

/* The number of log entries behind the marks of `base`, counted up to one more than `limit`: no fewer than
 * the albums that changed. */
enum cf_err cf_recent_count(struct cf_shards *shards, const struct cf_generation *base, uint64_t limit,
                            uint64_t *count, struct cf_detail *detail) CF_MUST_CHECK;

#endif
