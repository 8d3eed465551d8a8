/* When to build, and what: pure decisions over time and sizes, without a clock or disk of their own.
 *
 * An index is behind when some shard has log entries that it does not cover. It is built again once nothing
 * was written for indexer.quiet_ms, or once it has been behind for indexer.interval_ms, or as soon as so much
 * waits that searching it one by one costs queries more than a build costs; but not before twice the length
 * of the last whole build since that build began, which leaves half of the time to others, or five quarters
 * of the last small one, which has one thread only and takes the longer the busier the others are. After a
 * failed build the wait doubles.
 *
 * What is built is a small generation beside the whole one while that is the cheaper: a small one holds all
 * that changed since its base, so it costs as much as it holds, and a whole one follows when it outgrows a
 * quarter of its base. Every album is then part of few whole builds, however many come.
 *
 * A whole one of some size is built beside the rounds, where it takes long; meanwhile small ones of the
 * current whole one come as before, however much has changed, so that what waits stays little.
 *
 * Every generation costs queries something, so a few stragglers beside a large index wait for a minute, and
 * so does a stream that has brought less than half of what is much: queries find them all the same. */
#ifndef CF_WORKERS_INDEXER_PLAN_H
#define CF_WORKERS_INDEXER_PLAN_H

#include "common/base/config.h"

enum cf_plan_kind { CF_PLAN_WHOLE, CF_PLAN_SMALL, CF_PLAN_KIND_COUNT };

/* The cheaper one, for a whole generation of `base` albums (0: none yet), at most `changed` albums that have
 * changed since, and `hidden` of its own that are not to be found any more. */
enum cf_plan_kind cf_plan_kind(uint64_t base, uint64_t changed, uint64_t hidden);
/* More changes than this are too many for a small one. */
uint64_t cf_plan_changed_max(uint64_t base);

struct cf_plan {
    bool observed, behind;
    bool few, some, many;                 /* what the index does not cover, beside what it does */
    bool brief;                           /* a whole one would be built in no time */
    enum cf_plan_kind kind;               /* what would be built now, as far as a look can tell */
    uint64_t position;                    /* of all shards together, when last looked at */
    uint64_t changed_ms, behind_ms;       /* since when nothing was written, since when it is behind */
    uint64_t rest_ms[CF_PLAN_KIND_COUNT]; /* none of this kind before */
    uint64_t retry_ms, retry_at_ms;       /* after a failure */
};

/* What a look at the shards showed. */
struct cf_plan_view {
    bool behind;       /* the shards are ahead of the index */
    uint64_t position; /* a number that grows with every write */
    uint64_t waiting;  /* log entries that the index does not cover */
    uint64_t changed;  /* log entries that its whole generation does not cover */
    uint64_t base;     /* albums in the whole generation; 0 without one */
    uint64_t small;    /* albums in the small one */
    bool building;     /* a whole one is being built beside: only small ones can be */
};
void cf_plan_observe(struct cf_plan *plan, uint64_t now_ms, const struct cf_plan_view *view);
bool cf_plan_is_due(const struct cf_plan *plan, const struct cf_config *config, uint64_t now_ms);
void cf_plan_built(struct cf_plan *plan, enum cf_plan_kind kind, uint64_t started_ms, uint64_t now_ms);
void cf_plan_failed(struct cf_plan *plan, uint64_t now_ms);

#endif
