/* The tail of a space: the newest word on every album that the index does not cover yet. An album with a
 * vector has a row of eight bits a dimension (cf_ann_row_*); one that is removed, flagged or without a vector
 * has none, and only hides what the index says about it.
 *
 * A tail is a short list of runs, newest last. A run never changes once it is made, and tails share runs: a
 * search reads its own copy of the list without any lock, while the follower makes the next tail out of it.
 * Runs of similar size are merged, so that an album is copied a few times at most and there are few runs to
 * ask: a log-structured merge, as in O'Neil et al., "The log-structured merge-tree", 1996.
 *
 * Memory: an album takes cf_ann_row_bytes of its space (1,024 bytes for gist, 320 for gray16) and about 350
 * bytes and its id beside; albums that a newer run replaces are kept until their runs are merged (of a run
 * over CF_TAIL_RUN_MAX albums: until the next generation). A tail grows for as long as nothing is indexed.
 * Threads: a tail is its owner's; runs are counted, and whatever drops the last reference frees. */
#ifndef CF_WORKERS_QUERY_TAIL_H
#define CF_WORKERS_QUERY_TAIL_H

#include "common/base/album.h"
#include "workers/query/idmap.h"
#include "workers/query/sketch.h"

enum { CF_TAIL_RUNS_MAX = 48, CF_TAIL_RUN_MAX = 16384 };

/* The newest record of an album, as far as neighbours go. */
struct cf_tail_album {
    struct cf_str id;
    struct cf_version version;
    uint32_t shard; /* by the engine's numbers */
    uint32_t flags; /* enum cf_flag */
    uint64_t log_seq;
    bool removed;
    uint32_t labels[CF_LABEL_COUNT];
};

/* `row` is NULL for an album without one. `forgotten`: the tail has nothing to say of the album any more. */
struct cf_tail_entry {
    struct cf_keyed key; /* the album's id */
    struct cf_tail_album album;
    const void *row;
    const struct cf_sketch_code *code; /* of the row, by the tail's sketch; NULL: not made yet */
    bool forgotten;
};

struct cf_tail_run {
    _Atomic uint32_t refs;
    struct cf_idmap map;
    struct cf_tail_entry *entries; /* in the order they came in */
    size_t entry_count;
    char *ids;
    uint8_t *rows; /* one after the other, for cf_ann_rows_measure */
    size_t row_count;
    const struct cf_tail_entry **owners; /* of each row */
    struct cf_sketch_code *codes;        /* of each row; NULL without a sketch */
};

/* A value; {.row_bytes = …} is an empty one. With a sketch (borrowed) of vectors of `dim` values every row
 * has a code. */
struct cf_tail {
    size_t row_bytes;
    const struct cf_sketch *sketch;
    uint32_t dim;
    struct cf_tail_run *runs[CF_TAIL_RUNS_MAX];
    size_t run_count;
    size_t entry_count, row_count; /* of albums that it speaks of */
};

/* Another list of the same runs. */
struct cf_tail cf_tail_share(const struct cf_tail *tail);
void cf_tail_fini(struct cf_tail *tail);

/* What the tail says of these albums from now on; the last word counts. Everything given is borrowed and
 * copied. CF_E_NO_MEMORY leaves the tail as it was. */
enum cf_err cf_tail_put(struct cf_tail *tail, const struct cf_tail_entry *entries,
                        size_t count) CF_MUST_CHECK;

/* NULL when the tail does not speak of the album. */
const struct cf_tail_entry *cf_tail_find(const struct cf_tail *tail, struct cf_str id);
/* Whether this entry of one of its runs is the tail's word on its album. */
bool cf_tail_is_newest(const struct cf_tail *tail, const struct cf_tail_entry *entry);

/* Walks over all that the tail says, in no order; starts at {0, 0}, NULL at the end. */
struct cf_tail_place {
    size_t run, entry;
};
const struct cf_tail_entry *cf_tail_next(const struct cf_tail *tail, struct cf_tail_place *place);

#endif
