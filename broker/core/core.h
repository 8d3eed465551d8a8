/* The broker's mind: a pure state machine. Messages and time come in, writes go through the store's door, and
 * what is to be sent comes out as a list. No sockets, no clock, no disk, no logging, no globals: a seeded
 * simulator can run it through a year of faults.
 *
 * One wake of the adapter: any number of cf_core_client, cf_core_worker and friends, then cf_core_run once,
 * then commit, then carry out. When the commit or the store fails, nothing of the wake may be told: the
 * adapter calls cf_core_unload and later cf_core_load, which rebuilds from disk. Workers and waiting queries
 * survive that. One thread. */
#ifndef CF_BROKER_CORE_CORE_H
#define CF_BROKER_CORE_CORE_H

#include "broker/core/out.h"
#include "broker/core/store.h"
#include "common/base/config.h"

struct cf_core;

struct cf_now {
    uint64_t mono_ms; /* deadlines */
    uint64_t wall_ms; /* records and people */
};

enum { CF_CORE_SPACES_MAX = 16 };

struct cf_core_config {
    uint64_t queue_jobs_max, queue_bytes_max;
    uint64_t lease_ms, attempts_max, retry_base_ms, retry_cap_ms;
    uint64_t heartbeat_ms, heartbeat_timeout_ms;
    uint64_t disk_reserve_bytes;
    uint64_t lease_bytes_max; /* of a message to a worker, pictures and all; 0: CF_CORE_LEASE_BYTES_MAX */
    uint64_t query_deadline_ms, query_outstanding_max, query_waiting_max;
    uint64_t query_bytes_max; /* of all queries that are not answered yet */
    uint64_t image_bytes_max;
    struct cf_str image_limit;  /* what sets it, for people */
    uint64_t quarantine_max;    /* contents to remember, the oldest are forgotten; 0: none */
    const struct cf_str *roots; /* borrowed for the core's life, like the others */
    size_t root_count;
    struct cf_str
        late_space; /* that the fleet may come to have: it is let through, and nothing waits for it */
    struct cf_str spaces[CF_CORE_SPACES_MAX]; /* an album is indexed when it is in an index of each */
    size_t space_count;
    struct cf_str version; /* of the program */
    uint64_t seed;         /* of the jitter */
};

enum {
    CF_CORE_WORKERS_MAX = 1024,
    CF_CORE_SHARDS_MAX = 4096,
    CF_CORE_SUSPECT_DEATHS = 3, /* from here on a job is leased alone */
    CF_CORE_QUARANTINE_MAX = 100000,
    CF_CORE_LEASE_JOBS_MAX = 64,         /* a message */
    CF_CORE_LEASE_BYTES_MAX = 8 << 20,   /* in a message, a single job may be larger */
    CF_CORE_WORKER_BYTES_MAX = 64 << 20, /* of pictures in flight to one worker, likewise */
    CF_CORE_RUN_BYTES_MAX = 64 << 20,    /* of pictures leased in one wake */
};

/* Starts without a journal: cf_core_load comes next. `config` is copied. */
enum cf_err cf_core_new(const struct cf_core_config *config, const struct cf_store *store, struct cf_now now,
                        struct cf_core **core) CF_MUST_CHECK;
void cf_core_free(struct cf_core *core); /* takes NULL */

/* Another door, before a load; not while loaded. */
void cf_core_set_store(struct cf_core *core, const struct cf_store *store);
/* Rebuilds queue and counts from the store. On failure it stays without a journal. */
enum cf_err cf_core_load(struct cf_core *core, struct cf_now now, struct cf_out *out,
                         struct cf_detail *detail) CF_MUST_CHECK;
/* Forgets all that came from the store; until the next load everything that needs it is refused with
 * `reason`. Descriptor workers must register again, queries go on. `out` is of the next wake. */
void cf_core_unload(struct cf_core *core, struct cf_now now, enum cf_err reason,
                    const struct cf_detail *detail, struct cf_out *out);
bool cf_core_is_loaded(const struct cf_core *core);

/* Free bytes of the journal's file system. */
void cf_core_disk_free(struct cf_core *core, uint64_t bytes);

/* A message of a client; `frame` is it undecoded (queries are passed on as they are). */
void cf_core_client(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                    struct cf_bytes frame, struct cf_out *out);
/* A message of a worker; `body` is its second frame or empty. */
void cf_core_worker(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                    struct cf_bytes body, struct cf_out *out);
/* A message that could not be read: an error reply. */
void cf_core_bad(struct cf_core *core, enum cf_out_to from, struct cf_bytes peer, uint64_t id,
                 enum cf_err err, const struct cf_detail *detail, struct cf_out *out);
/* A message could not be sent to this worker: it is taken for dead. */
void cf_core_unreachable(struct cf_core *core, struct cf_now now, struct cf_bytes peer, struct cf_out *out);

/* Once at the end of each wake: time-outs, leases, queries. Returns the milliseconds until it wants to run
 * again. */
uint64_t cf_core_run(struct cf_core *core, struct cf_now now, struct cf_out *out);

/* The whole status, as the status request gets it; spans live in `out`'s arena. */
void cf_core_status(struct cf_core *core, struct cf_now now, struct cf_status *status, struct cf_out *out);

/* Fills `spaces` and `space_count` with the spaces of the fleet; CF_E_UNKNOWN_SPACE. */
enum cf_err cf_core_spaces(const struct cf_config *fleet, struct cf_core_config *config,
                           struct cf_detail *detail) CF_MUST_CHECK;

#endif
