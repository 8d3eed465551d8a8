/* Describing again what rests: albums of a shard that lack the vector of a space get it from their thumbnail,
 * with no cover fetched. What is done is known from the records themselves, so a job that was killed goes on
 * where it was.
 *
 * Works in slices of a few albums with one synced write each, on the compute thread between batches of fresh
 * covers. A worker does its own shard; one that `adopts` also does shards without an owner (of a slot that
 * was removed): it opens them as their owner would, once their slot's lock was free for some seconds, and
 * lets go as soon as it is not. Of shards with an owner it tells, too, that they are unfinished: he may not
 * have come so far that the broker knows of him.
 */
#ifndef CF_WORKERS_DESCRIPTOR_REDESCRIBING_H
#define CF_WORKERS_DESCRIPTOR_REDESCRIBING_H

#include "common/base/home.h"
#include "common/descriptor/space.h"
#include "workers/descriptor/describing.h"

enum { CF_REDESCRIBE_SHARDS_MAX = 256, CF_REDESCRIBE_NAME_BYTES = 65 };

struct cf_redescribe_part {
    char shard[CF_REDESCRIBE_NAME_BYTES];
    uint64_t total;        /* albums that lacked a vector when it was begun; 0 until they are counted */
    uint64_t done;         /* have all vectors now */
    uint64_t no_thumbnail; /* came with vectors of their own: there is nothing to describe */
    uint64_t failed;       /* the thumbnail is damaged, or a vector not finite: the log says which */
    bool finished;
};

struct cf_redescribe_slice {
    /* In: */
    uint64_t order;              /* another number than before: begin anew */
    bool spaces[CF_SPACE_COUNT]; /* that are wanted */
    bool adopts;
    /* Out: */
    struct cf_redescribe_part parts[CF_REDESCRIBE_SHARDS_MAX];
    size_t part_count;
    bool finished;     /* all that have no other owner */
    uint64_t pause_ms; /* until there may be more to do; 0: at once */
};

struct cf_redescribing;

/* Borrows. `name` is the slot's. */
enum cf_err cf_redescribing_new(const struct cf_home *home, const char *name,
                                struct cf_describing *describing, struct cf_redescribing **redescribing,
                                struct cf_detail *detail) CF_MUST_CHECK;
void cf_redescribing_free(struct cf_redescribing *redescribing); /* takes NULL; before `describing` */

/* A slice. Trouble with a shard is logged once and tried again later; there is nothing to return. */
void cf_redescribing_run(struct cf_redescribing *redescribing, struct cf_redescribe_slice *slice);

#endif
