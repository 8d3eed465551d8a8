/* The slow half of the indexer, on its one compute thread: follows the shards, decides when an index is
 * behind, builds and publishes it; a whole one of some size on one more thread, through several rounds. What
 * it publishes goes to the loop's thread as values of their own. */
#ifndef CF_WORKERS_INDEXER_INDEXING_H
#define CF_WORKERS_INDEXER_INDEXING_H

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/config.h"
#include "common/descriptor/space.h"
#include "proto/msg.h"

struct cf_indexing;

/* A published generation as it is told to the broker; its spans live in its arena. */
struct cf_publication {
    struct cf_arena *arena;
    struct cf_published msg;
};
void cf_publication_free(struct cf_publication *publication); /* takes NULL */

/* One look at the shards. */
struct cf_index_round {
    bool forced[CF_SPACE_COUNT]; /* in: build these whole whatever the plan says, in this round or later ones
                                  */
    struct cf_publication
        *published[CF_SPACE_COUNT]; /* out: what is new, for the caller to free; else NULL */
    uint64_t unreadable_shards;     /* out: how many cannot be read now */
};

/* Borrows home and config. `slot` names this process's private folder. */
enum cf_err cf_indexing_new(const struct cf_home *home, const struct cf_config *config, const char *slot,
                            struct cf_indexing **indexing, struct cf_detail *detail) CF_MUST_CHECK;
void cf_indexing_free(struct cf_indexing *indexing); /* takes NULL */

/* The first round also loads the newest good generation of every space, and gives them out. Trouble is logged
 * once, and tried again by a later round; there is nothing to return. */
void cf_indexing_run(struct cf_indexing *indexing, struct cf_index_round *round);

/* Any thread: a build that is under way ends soon, unpublished. */
void cf_indexing_cancel(struct cf_indexing *indexing);

#endif
