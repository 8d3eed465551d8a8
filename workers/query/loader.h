/* Opens an index generation on a thread of its own, because reading all of a large one takes longer than a
 * tail may wait. One load at a time a loader; all functions belong to the thread that owns it. */
#ifndef CF_WORKERS_QUERY_LOADER_H
#define CF_WORKERS_QUERY_LOADER_H

#include <pthread.h>
#include <stdatomic.h>

#include "workers/query/mapped.h"

struct cf_loader {
    const struct cf_home *home;
    const struct cf_space *space;
    uint64_t generation; /* being loaded; 0 when idle */
    pthread_t thread;
    atomic_bool finished;
    enum cf_err err; /* the rest is the thread's until it has finished */
    struct cf_detail detail;
    struct cf_mapped *mapped;
};

void cf_loader_init(struct cf_loader *loader, const struct cf_home *home, const struct cf_space *space);
void cf_loader_fini(struct cf_loader *loader); /* waits for a load */
enum cf_err cf_loader_start(struct cf_loader *loader, uint64_t generation,
                            struct cf_detail *detail) CF_MUST_CHECK;

/* False while idle or loading. Otherwise the load is over and the loader idle: `*err` and `*generation` are
 * set, and the map (the caller's) or the sentence. */
bool cf_loader_take(struct cf_loader *loader, uint64_t *generation, struct cf_mapped **mapped,
                    enum cf_err *err, struct cf_detail *detail);

#endif
