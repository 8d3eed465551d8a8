/* A leased cover on its way through the worker: copied out of its lease, then with what became of it. One
 * owner at a time: the loop's thread, or the compute thread while its batch is there. */
#ifndef CF_WORKERS_DESCRIPTOR_COVER_H
#define CF_WORKERS_DESCRIPTOR_COVER_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/hash.h"
#include "proto/msg.h"

enum cf_outcome {
    CF_OUTCOME_NONE,      /* still to be described */
    CF_OUTCOME_DONE,      /* in the shard */
    CF_OUTCOME_REFUSED,   /* the cover's fault, for ever: a dead letter */
    CF_OUTCOME_ATTEMPTED, /* the cover's fault, perhaps not the next time */
    CF_OUTCOME_BACK,      /* not its fault: handed back free of charge */
};

struct cf_cover {
    struct cf_cover *next;  /* while it is spare */
    struct cf_arena *arena; /* of the job's spans and of the warnings */
    struct cf_buf bytes;    /* of the job's picture */
    struct cf_job job;
    uint64_t leased_ms; /* monotonic */
    uint64_t session;   /* of the registration that it was leased under */
    enum cf_outcome outcome;
    bool begun;       /* looked up, fetched and, where there is something to decode, at the decoder */
    uint64_t picture; /* its number at the decoder, or 0 */
    uint8_t sha256[CF_SHA256_BYTES];
    /* When done: */
    uint64_t log_seq;
    uint32_t flags; /* enum cf_flag */
    struct cf_str *warnings;
    size_t warning_count;
    /* Otherwise: */
    enum cf_err err;
    struct cf_detail detail;
};

/* Copies the job. CF_E_NO_MEMORY. */
enum cf_err cf_cover_new(const struct cf_job *job, uint64_t leased_ms, uint64_t session,
                         struct cf_cover **cover);
void cf_cover_free(struct cf_cover *cover); /* takes NULL */
/* As cf_cover_new, in the memory of a cover that is told and done; after CF_E_NO_MEMORY free it. */
enum cf_err cf_cover_renew(struct cf_cover *cover, const struct cf_job *job, uint64_t leased_ms,
                           uint64_t session);
/* Sets a failed outcome; `detail` may be NULL. */
void cf_cover_fail(struct cf_cover *cover, enum cf_outcome outcome, enum cf_err err,
                   const struct cf_detail *detail);

/* Covers that are described and committed together. */
struct cf_cover_batch {
    struct cf_cover_batch *next;
    size_t count, capacity;
    size_t settled;        /* the first so many have an outcome */
    bool committed;        /* something was written and synced */
    enum cf_err store_err; /* the shard does not take writes: what was not settled before is handed back */
    enum cf_err files_err; /* a file that this machine did not give now: its cover is handed back */
    enum cf_err fatal_err; /* this worker cannot go on */
    struct cf_detail detail, files_detail;
    struct cf_cover *covers[];
};

struct cf_cover_batch *cf_cover_batch_new(size_t capacity); /* NULL when memory is short */
void cf_cover_batch_free(struct cf_cover_batch *batch);     /* and its covers; takes NULL */

#endif
