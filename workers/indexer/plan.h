/* When to build: a pure decision over time, without a clock or disk of its own.
 *
 * An index is behind when some shard has log entries that it does not cover. It is built again once nothing
 * was written for indexer.quiet_ms, or once it has been behind for indexer.interval_ms, but not before three
 * times the last build's duration since that build began: two thirds of the time are always left to others.
 * After a failed build the wait doubles.
 *
 * Any build costs seconds of a core once an index is large enough for clusters, so a few stragglers beside
 * such an index wait for a minute: queries find them all the same. */
#ifndef CF_WORKERS_INDEXER_PLAN_H
#define CF_WORKERS_INDEXER_PLAN_H

#include "common/base/config.h"

struct cf_plan {
    bool observed, behind;
    bool few;                       /* what it does not cover is little beside what it does */
    uint64_t position;              /* of all shards together, when last looked at */
    uint64_t changed_ms, behind_ms; /* since when nothing was written, since when it is behind */
    uint64_t started_ms, took_ms;   /* of the last build */
    uint64_t retry_ms, retry_at_ms; /* after a failure */
};

/* What a look at the shards showed. */
struct cf_plan_view {
    bool behind;       /* the shards are ahead of the index */
    uint64_t position; /* a number that grows with every write */
    uint64_t waiting;  /* log entries that the index does not cover */
    uint64_t count;    /* albums in the index; 0 without one */
};
void cf_plan_observe(struct cf_plan *plan, uint64_t now_ms, const struct cf_plan_view *view);
bool cf_plan_is_due(const struct cf_plan *plan, const struct cf_config *config, uint64_t now_ms);
void cf_plan_built(struct cf_plan *plan, uint64_t started_ms, uint64_t now_ms);
void cf_plan_failed(struct cf_plan *plan, uint64_t now_ms);

#endif
