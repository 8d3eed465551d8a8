/* What is published of one space: found, opened and checked off to the side, then held back for a jitter, so
 * that not all workers swap at once. The follower's thread. */
#ifndef CF_WORKERS_QUERY_ARRIVALS_H
#define CF_WORKERS_QUERY_ARRIVALS_H

#include "common/base/rng.h"
#include "workers/query/loader.h"

struct cf_arrivals {
    struct cf_loader loader;
    struct cf_served *held; /* checked, waiting for its time */
    uint64_t due_ms, retry_ms, jitter_ms;
    struct cf_rng rng;
};

void cf_arrivals_init(struct cf_arrivals *arrivals, const struct cf_home *home, size_t space,
                      uint64_t jitter_ms, uint64_t seed);
void cf_arrivals_fini(struct cf_arrivals *arrivals);

/* Opens the newest good pair here and now; it is due at once. Without any good one nothing is. */
void cf_arrivals_load_now(struct cf_arrivals *arrivals);
/* Looks for something newer than `current` (NULL for nothing) and for a load that has ended. Never waits. */
void cf_arrivals_look(struct cf_arrivals *arrivals, struct cf_served *current, uint64_t now_ms);
/* The pair whose time has come, now the caller's; NULL for none. */
struct cf_served *cf_arrivals_due(struct cf_arrivals *arrivals, uint64_t now_ms);

#endif
