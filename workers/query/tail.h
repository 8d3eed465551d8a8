/* The tail of a space: the newest word on every album that the index does not cover yet. An album with a
 * vector has a row; one that is removed, flagged or without a vector has none, and only hides what the index
 * says about it. Rows lie in blocks, contiguous for cf_ann_distances, and never move when the tail grows.
 * Locking is the engine's. */
#ifndef CF_WORKERS_QUERY_TAIL_H
#define CF_WORKERS_QUERY_TAIL_H

#include "common/base/album.h"
#include "workers/query/idmap.h"

enum { CF_TAIL_BLOCK_ROWS = 128 };

/* The newest record of an album, as far as neighbours go. `id` and the vector given with it are borrowed and
 * copied. */
struct cf_tail_album {
    struct cf_str id;
    struct cf_version version;
    uint32_t shard; /* by the engine's numbers */
    uint32_t flags; /* enum cf_flag */
    uint64_t log_seq;
    bool removed;
    uint32_t labels[CF_LABEL_COUNT];
};

struct cf_tail_entry {
    struct cf_keyed key;
    struct cf_tail_album album; /* its id is the key's */
    float *vector;              /* the row, or NULL */
    size_t row;
};

struct cf_tail {
    uint32_t dim;
    struct cf_idmap map;
    float **blocks;
    struct cf_tail_entry **owners; /* of each row */
    size_t block_count, row_count;
};

struct cf_tail *cf_tail_new(uint32_t dim); /* NULL when memory is short */
void cf_tail_free(struct cf_tail *tail);   /* takes NULL */
/* Replaces what the tail says of the album. `vector` may be NULL. CF_E_NO_MEMORY leaves the tail as it was.
 */
enum cf_err cf_tail_put(struct cf_tail *tail, const struct cf_tail_album *album,
                        const float *vector) CF_MUST_CHECK;
void cf_tail_drop(struct cf_tail *tail,
                  struct cf_str id); /* of an album that is not there: nothing happens */
const struct cf_tail_entry *cf_tail_find(const struct cf_tail *tail,
                                         struct cf_str id);                       /* NULL when not there */
const struct cf_tail_entry *cf_tail_next(const struct cf_tail *tail, size_t *at); /* as cf_idmap_next */

#endif
