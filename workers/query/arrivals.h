/* The index generations of one space as they are published: found, opened and checked off to the side, held
 * back for a jitter. A file that will never do is logged once and passed over for the one before it. The
 * follower's thread. */
#ifndef CF_WORKERS_QUERY_ARRIVALS_H
#define CF_WORKERS_QUERY_ARRIVALS_H

#include "common/base/rng.h"
#include "workers/query/loader.h"

enum { CF_ARRIVALS_REFUSED_MAX = 128 };

struct cf_arrivals {
    const struct cf_home *home;
    const struct cf_space *space;
    struct cf_loader loader;
    struct cf_mapped *held; /* checked, waiting for its time */
    uint64_t due_ms, retry_ms, jitter_ms;
    struct cf_rng rng;
    uint64_t refused[CF_ARRIVALS_REFUSED_MAX]; /* the latest of them, a ring */
    size_t refused_count;
};

void cf_arrivals_init(struct cf_arrivals *arrivals, const struct cf_home *home, size_t space,
                      uint64_t jitter_ms, uint64_t seed);
void cf_arrivals_fini(struct cf_arrivals *arrivals);

/* Opens the newest good generation here and now; it is due at once. Without any good one nothing is. */
void cf_arrivals_load_now(struct cf_arrivals *arrivals);
/* Looks for something newer than `current` and for a load that has ended. Never waits. */
void cf_arrivals_look(struct cf_arrivals *arrivals, uint64_t current, uint64_t now_ms);
/* The generation whose time has come, now the caller's; NULL for none. */
struct cf_mapped *cf_arrivals_due(struct cf_arrivals *arrivals, uint64_t now_ms);

#endif
