/* Finds and opens what should be served of a space, on a thread of its own and of the lowest priority,
 * because reading all of a large index takes longer than a tail may wait and must not take a core from
 * searches. A file that will never do is logged once and passed over from then on. One load at a time a
 * loader; all functions belong to the thread that owns it. */
#ifndef CF_WORKERS_QUERY_LOADER_H
#define CF_WORKERS_QUERY_LOADER_H

#include <pthread.h>
#include <stdatomic.h>

#include "workers/query/mapped.h"

enum { CF_LOADER_REFUSED_MAX = 128 };

struct cf_loader {
    const struct cf_home *home;
    const struct cf_space *space;
    pthread_t thread;
    bool running;
    atomic_bool finished;
    /* The thread's until it has finished. */
    enum cf_err err;
    struct cf_served *current, *served;
    uint64_t refused[CF_LOADER_REFUSED_MAX]; /* the latest of them, a ring */
    size_t refused_count;
};

void cf_loader_init(struct cf_loader *loader, const struct cf_home *home, const struct cf_space *space);
void cf_loader_fini(struct cf_loader *loader); /* waits for a load */

/* Whether there is something newer on the disk than `current` (NULL for nothing). Not while loading. */
bool cf_loader_sees_newer(const struct cf_loader *loader, const struct cf_served *current);

/* Here and now: the newest good pair on the disk that is newer than `current`. It shares what the two have in
 * common: the whole generation is neither mapped nor read again. CF_E_NOT_FOUND when there is none,
 * CF_E_NO_MEMORY and CF_E_IO when that may be otherwise later (logged). */
enum cf_err cf_loader_load(struct cf_loader *loader, const struct cf_served *current,
                           struct cf_served **served) CF_MUST_CHECK;

/* The same on the thread. */
enum cf_err cf_loader_start(struct cf_loader *loader, struct cf_served *current,
                            struct cf_detail *detail) CF_MUST_CHECK;
/* False while idle or loading. Otherwise the load is over and the loader idle: `*err` says how it went, and
 * the pair is the caller's. */
bool cf_loader_take(struct cf_loader *loader, struct cf_served **served, enum cf_err *err);

#endif
