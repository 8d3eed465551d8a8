/* What the core wants done: messages to clients and workers and events, in order. Filled by the calls of
 * core.h during one wake, carried out and reset by the adapter.
 *
 * `durable` items tell of what the open batch holds: they go out after it is committed, or not at all. The
 * others (queries, heartbeats, refusals) may go out at once. */
#ifndef CF_BROKER_CORE_OUT_H
#define CF_BROKER_CORE_OUT_H

#include "common/base/arena.h"
#include "proto/msg.h"

enum cf_out_to { CF_OUT_CLIENT, CF_OUT_WORKER, CF_OUT_EVENT };

struct cf_out_item {
    enum cf_out_to to;
    bool durable;
    bool raw;             /* to a client: `body` is the whole reply, `msg` counts for nothing */
    struct cf_bytes peer; /* routing id */
    struct cf_msg msg;
    struct cf_bytes body; /* to a worker: a second frame */
};

struct cf_out {
    struct cf_arena *arena; /* all that the items point at */
    struct cf_out_item *items;
    size_t count, capacity;
    bool sync;       /* something in this wake was promised: commit with sync */
    enum cf_err err; /* reading, writing or memory failed: the wake must be undone (cf_core_unload) */
    struct cf_detail detail;
    struct cf_out_item spare; /* where items go when memory is short */
};

enum cf_err cf_out_init(struct cf_out *out) CF_MUST_CHECK;
void cf_out_fini(struct cf_out *out);
void cf_out_reset(struct cf_out *out);

/* A zeroed item of that kind at the end of the list; never NULL (without memory it is a spare and `err` is
 * set). */
struct cf_out_item *cf_out_add(struct cf_out *out, enum cf_out_to to, struct cf_bytes peer, enum cf_kind kind,
                               uint64_t id);
/* An error reply. `detail` is copied. */
void cf_out_error(struct cf_out *out, enum cf_out_to to, struct cf_bytes peer, uint64_t id, enum cf_err err,
                  const struct cf_detail *detail);

/* Copies into the arena; empty, with `err` set, when memory is short. */
struct cf_str cf_out_str(struct cf_out *out, struct cf_str text);
struct cf_bytes cf_out_bytes(struct cf_out *out, struct cf_bytes bytes);
/* An array from the arena, or NULL with `err` set. */
void *cf_out_alloc(struct cf_out *out, size_t count, size_t size);

/* Remembers the first failure. */
void cf_out_fail(struct cf_out *out, enum cf_err err, const struct cf_detail *detail);

#endif
