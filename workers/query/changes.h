/* From log entries of a shard to changes of the engine: reads the newest record and the vectors of every
 * album that a log names, in bounded batches. The follower's thread. */
#ifndef CF_WORKERS_QUERY_CHANGES_H
#define CF_WORKERS_QUERY_CHANGES_H

#include <stdatomic.h>

#include "workers/query/engine.h"

enum { CF_CHANGES_BATCH = 256 };

struct cf_changes {
    struct cf_engine *engine;
    const atomic_bool *stop;
    struct cf_arena *arena; /* of one batch */
    struct cf_str ids[CF_CHANGES_BATCH];
    size_t id_count;
    uint64_t last; /* log sequence of the last of them */
    struct cf_engine_change changes[CF_CHANGES_BATCH];
    size_t change_count;
    uint64_t damaged; /* records and vectors passed over since the owner last set this to zero */
    bool quiet;       /* they were logged before */
};

enum cf_err cf_changes_init(struct cf_changes *changes, struct cf_engine *engine,
                            const atomic_bool *stop) CF_MUST_CHECK;
void cf_changes_fini(struct cf_changes *changes);

/* Brings all log entries behind `*position` into the engine, or into `stage` when that is not NULL, and moves
 * the position along. A record or vector that is damaged is logged and passed over; other failures end the
 * walk, and the next one resumes there. CF_E_SHUTTING_DOWN when `stop` was set meanwhile. */
enum cf_err cf_changes_follow(struct cf_changes *changes, struct cf_shard *shard, struct cf_stage *stage,
                              uint64_t *position, struct cf_detail *detail) CF_MUST_CHECK;

#endif
