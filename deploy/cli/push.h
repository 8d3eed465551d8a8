/* Inside the push command: what its files share. push_batch.c sends, push_wait.c follows what was accepted,
 * push_report.c tells people and scripts, push.c owns the loop; vectors_import.c pushes through it too. One thread. */
#ifndef CF_CLI_PUSH_H
#define CF_CLI_PUSH_H

#include "common/base/rng.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/progress.h"
#include "deploy/cli/push_source.h"

enum {
    CF_PUSH_BATCH_ITEMS = 32,
    CF_PUSH_BATCH_ITEMS_MAX = 512,
    CF_PUSH_BATCH_BYTES = 4 << 20,
    CF_PUSH_BATCHES_MAX = 8,        /* in flight */
    CF_PUSH_STALL_MS = 60000,       /* without any progress: give up, unless --timeout says otherwise */
    CF_PUSH_CALL_MS = 30000,        /* one batch */
    CF_PUSH_PROBLEM_LINES_MAX = 20, /* on standard error; "and N more" afterwards */
};

struct cf_push_options {
    uint64_t priority, delay_ms, timeout_ms; /* timeout 0: none */
    bool wait, by_path, json;
    size_t batch_items; /* in one message, at most CF_PUSH_BATCH_ITEMS_MAX */
    size_t open_max;    /* with `wait`: send no more while so many are not described; 0: no bound */
};

struct cf_push_counts {
    uint64_t accepted, unchanged, refused;
    uint64_t described, dead; /* of what was accepted */
    uint64_t by_later;        /* of the described: by a later line of the same push, which took its place */
    uint64_t superseded;      /* a push of somebody else, a removal or a purge took its place while we waited */
};

/* A cover that is checked and read, on its way. */
struct cf_parcel {
    struct cf_parcel *next;
    struct cf_arena *arena; /* holds the cover */
    struct cf_cover cover;
    const char *file; /* absolute, for --by-path */
    struct cf_buf bytes;
    uint8_t sha256[32];
};

struct cf_parcels {
    struct cf_parcel *head, **tail;
    size_t count;
};

/* An acknowledged album whose end is waited for. */
struct cf_awaited {
    char *album; /* NULL when it is settled */
    struct cf_version version;
    bool unchanged; /* known before: waited for, not counted as described by us */
};

struct cf_ours;

struct cf_pusher {
    struct cf_fleet fleet;
    struct cf_push_options options;
    struct cf_source *source;
    struct cf_progress progress;
    struct cf_push_counts counts;
    struct cf_rng rng;

    size_t parcel_bytes_max, batches_in_flight;
    struct cf_parcel *held;  /* did not fit into the batch before */
    struct cf_parcels again; /* to be sent again after again_at_ms */
    uint64_t again_at_ms, again_wait_ms;
    bool source_ended;

    struct cf_awaited *awaited;
    size_t awaited_count, awaited_capacity, first_open, open_count;
    struct cf_ours *ours; /* every version that this push was given */
    size_t *asked; /* indexes of the albums of the question that is in flight */
    size_t asked_count, cursor, shows_in_flight;
    bool asking, ask_front;
    uint64_t ask_at_ms, ask_wait_ms;

    uint64_t started_ms, contact_ms, advanced_ms; /* monotonic: begin, last reply, last progress */
    size_t problem_lines, problems;
    enum cf_err over; /* given up, and why */
    struct cf_detail over_detail;
    enum cf_err failed; /* of our own: memory, the source, standard output */
    struct cf_detail failed_detail;
};

/* push.c */
/* Pushes all of pusher->source, whose options and fleet are set, and says how it went. */
enum cf_exit cf_push_run(struct cf_pusher *pusher);

/* push_batch.c */
/* Sends what can be sent now. */
void cf_push_send(struct cf_pusher *pusher, uint64_t now_ms);
/* Nothing is left to send or in flight. */
bool cf_push_is_sent(const struct cf_pusher *pusher);
/* Refuses what is not acknowledged, with `over`; call after the client is gone. */
void cf_push_abandon(struct cf_pusher *pusher);
/* The checks that need no fleet: id, metadata, path. */
enum cf_err cf_push_check(const struct cf_cover *cover, struct cf_detail *detail) CF_MUST_CHECK;

/* push_wait.c */
void cf_push_await(struct cf_pusher *pusher, struct cf_str album, struct cf_version version, bool unchanged);
/* Asks for the states of what is open, when it is time. */
void cf_push_ask(struct cf_pusher *pusher, uint64_t now_ms);
/* Was this version given to this push? */
bool cf_push_is_ours(const struct cf_pusher *pusher, struct cf_version version);
/* Is an album of that version settled by this answer, and how? CF_STATE_QUEUED: not yet; DESCRIBED, DEAD;
 * REMOVED: something newer took its place. */
enum cf_state cf_push_verdict(struct cf_version version, const struct cf_album_state *state);
void cf_push_wait_fini(struct cf_pusher *pusher);

/* push_report.c */
/* One cover that was refused or is dead: a line on standard error (the first few), or with --json an object.
 */
void cf_push_problem(struct cf_pusher *pusher, const char *status, struct cf_str album, struct cf_str error,
                     struct cf_str detail);
void cf_push_refuse(struct cf_pusher *pusher, struct cf_str album, enum cf_err err,
                    const struct cf_detail *detail);
void cf_push_show_progress(struct cf_pusher *pusher, uint64_t now_ms);
/* The last words: what was left out, and the counts. */
void cf_push_summarize(struct cf_pusher *pusher);
/* {"accepted":…,"unchanged":…,"refused":…,"described":…,"dead":…} and a line end. */
enum cf_err cf_push_print_counts(const struct cf_push_counts *counts, FILE *out,
                                 struct cf_detail *detail) CF_MUST_CHECK;
enum cf_exit cf_push_exit(const struct cf_pusher *pusher);

#endif
