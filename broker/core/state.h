/* The core's memory. Private to broker/core. */
#ifndef CF_BROKER_CORE_STATE_H
#define CF_BROKER_CORE_STATE_H

#include "broker/core/core.h"
#include "broker/core/heap.h"
#include "common/base/rng.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

struct worker;
struct content;

/* A live job. In exactly one of the heaps. */
struct job {
    struct cf_heap_node node; /* first: heaps give it back */
    UT_hash_handle hh;        /* core->jobs by seq; insertion order is close to age */
    uint64_t epoch, seq;
    uint64_t due_ms;    /* monotonic; when delayed */
    uint64_t leased_ms; /* monotonic; when leased */
    uint64_t pushed_ms; /* wall clock */
    uint64_t bytes;
    uint32_t attempts, deaths;       /* enough deaths make a suspect */
    uint8_t action, priority, state; /* state: QUEUED, DELAYED or LEASED */
    struct worker *worker;           /* holds the lease */
    struct job *prev, *next;         /* the worker's leases */
    struct removal *removal;         /* of a removal */
    size_t album_len;
    char album[];
};

/* A removal that no shard has yet. Outlives the journal: a query worker that registers while the journal is
 * away must hear of it, too. */
struct removal {
    struct removal *prev, *next; /* core->removals, by seq */
    struct cf_version version;
    size_t album_len;
    char album[];
};

struct rate {
    uint64_t second; /* of the newest slot */
    uint32_t slots[11];
};

struct worker {
    UT_hash_handle hh; /* core->workers by routing id */
    uint8_t peer[256];
    size_t peer_len;
    char name[CF_TEXT_BYTES_MAX + 1];
    int role;
    uint64_t pid, instance, session, credit;
    uint64_t registered_ms, seen_ms;
    struct job *leases;
    uint64_t lease_count, lease_bytes;
    struct job *alone; /* a suspect that it holds all alone */
    bool reserved;     /* runs empty for a suspect */
    uint64_t searches; /* outstanding */
    uint64_t used;     /* when it was last given a query, by count */
    uint64_t done, failed;
    uint64_t unreadable_shards; /* as it last said, like the recall in each space */
    struct recall {
        double mean;
        uint64_t checks;
    } recalls[CF_CORE_SPACES_MAX];
    struct rate rate;
    uint64_t redescribe_order; /* that it works on, as it last said */
    bool adopts;
};

struct query {
    struct cf_heap_node node;  /* core->query_deadlines */
    UT_hash_handle hh;         /* core->queries by qid */
    struct query *prev, *next; /* core->waiting */
    uint64_t qid, client_id, deadline_ms;
    struct worker *worker; /* NULL while waiting */
    bool has_image, resent;
    bool expired;   /* its asker has his reply; its worker is still at it */
    uint8_t *frame; /* NULL once it need not be sent again */
    size_t frame_len;
    size_t peer_len;
    uint8_t peer[];
};

/* The albums of a shard that are not in all indexes yet: log sequences, ascending, (log_seq << 1 | gone). */
struct shard {
    UT_hash_handle hh;
    uint64_t indexed_to;
    uint64_t *tail;
    size_t head, count, capacity; /* live part is [head, count) */
    bool unsorted;                /* while all are counted */
    size_t name_len;
    char name[];
};

struct watermark {
    UT_hash_handle hh;
    uint64_t log_seq;
    size_t name_len;
    char name[];
};

struct index {
    struct index *prev, *next;
    char space[CF_SPACE_BYTES_MAX + 1];
    uint64_t generation, count, build_ms, published_ms;
    struct watermark *watermarks;
};

/* An order to describe again, and how far each shard is with it. */
struct redescribed_shard {
    UT_hash_handle hh;
    struct cf_redescribe_shard said;
    size_t name_len;
    char name[CF_NAME_BYTES_MAX + 1];
};

struct redescription {
    uint64_t order; /* 0: none */
    bool finished;
    char spaces[CF_CORE_SPACES_MAX][CF_SPACE_BYTES_MAX + 1];
    size_t space_count;
    struct redescribed_shard *shards;
};

/* A request that was answered. */
struct repeat_key {
    uint64_t nonce, id, kind;
};

struct repeat {
    UT_hash_handle hh; /* core->repeats; in the order of their coming */
    struct repeat_key key;
    uint64_t serial, at_ms;
    size_t bytes, count;
    struct cf_result results[]; /* their details lie behind them */
};

struct counters {
    uint64_t accepted, unchanged, refused;
    uint64_t answered, failed, late, resent;
    uint64_t bad_messages;
};

struct cf_core {
    struct cf_core_config config;
    struct cf_store store;
    struct cf_rng rng;
    uint64_t started_ms, last_run_ms;

    bool loaded;
    enum cf_err offline; /* why not */
    struct cf_detail offline_detail;
    uint64_t disk_free;

    uint64_t epoch, next_seq;
    bool paused;
    uint64_t albums[CF_STATE_COUNT]; /* disjoint counts */
    struct job *jobs;
    uint64_t job_count, job_bytes;
    struct cf_heap ready, suspects, delayed, leased;
    struct removal *removals;
    uint64_t removals_told_seq; /* query workers were told of those below */
    uint64_t removals_safe_seq; /* those below are on disk */

    struct content *contents; /* struck ones, by hash */
    uint64_t given_up_count;  /* of them */

    struct worker *workers;
    uint64_t sessions;
    struct query *queries, *waiting;
    uint64_t query_ids, waiting_count, query_bytes, searches_given;
    struct cf_heap query_deadlines;

    struct repeat *repeats;
    size_t repeat_bytes;
    uint64_t repeat_serial; /* of the newest */
    uint64_t repeat_told;   /* up to here they were answered by the end of the last wake */
    uint64_t repeat_safe;   /* up to here they are on disk */

    struct shard *shards;
    bool counting;       /* all albums, one after the other: tails are put in order at the end */
    uint64_t tail_moves; /* entries of tails that were shifted to make room, ever */
    struct index *indexes;
    struct redescription redescription;
    struct counters counters;
};

/* ---- jobs.c: the queue and what follows from it on disk ---- */
struct cf_version job_version(const struct job *job);
struct cf_str job_album(const struct job *job);
struct job *job_find(struct cf_core *core, uint64_t seq);
/* The live job of that version and album, or NULL. */
struct job *job_match(struct cf_core *core, struct cf_version version, struct cf_str album);
/* Into memory only, in no heap yet: job_queue or job_delay follows. NULL when memory is short. */
struct job *job_new(struct cf_core *core, uint64_t seq, const struct cf_job_record *record);
void job_queue(struct cf_core *core, struct job *job);
void job_delay(struct cf_core *core, struct job *job, uint64_t due_ms);
void job_lease(struct cf_core *core, struct job *job, struct worker *worker, uint64_t now_ms);
/* From now on it is leased alone. In a heap, or before it is in one. */
void job_suspect(struct cf_core *core, struct job *job);
/* Out of memory only. */
void job_free(struct cf_core *core, struct job *job);
/* Out of memory and of the store, its picture too. */
void job_drop(struct cf_core *core, struct job *job);
void job_save(struct cf_core *core, struct cf_now now, const struct job *job, struct cf_out *out);
struct cf_job_record job_record(const struct job *job, struct cf_now now);
void jobs_clear(struct cf_core *core);
/* Forgets removals with seq >= from. */
void removals_clear(struct cf_core *core, uint64_t from);
uint64_t backoff_ms(struct cf_core *core, uint32_t attempts);

/* ---- albums.c: records, and the counts that go with them ---- */
/* CF_OK with *known telling whether it was there; a store failure is noted in `out`. */
enum cf_err album_read(struct cf_core *core, struct cf_str id, struct cf_album_record *record, bool *known,
                       struct cf_out *out);
void album_write(struct cf_core *core, struct cf_str id, const struct cf_album_record *record,
                 struct cf_out *out);
/* Takes the album out of the counts and drops its job or dead letter. */
void album_leave(struct cf_core *core, const struct cf_album_record *record);
/* Counts a settled record (described, dead, removed). */
enum cf_err album_enter(struct cf_core *core, const struct cf_album_record *record);
int album_state(struct cf_core *core, const struct cf_album_record *record);
struct cf_version album_version(const struct cf_album_record *record);
/* What purging falls back to: the record itself without its own past, or its past. NULL for none. */
struct cf_album_record *album_settled(struct cf_album_record *record);

/* ---- quarantine.c: contents that killed or stalled a worker. A content without a hash is none. ---- */
enum cf_err contents_load(struct cf_core *core, struct cf_detail *detail);
void contents_clear(struct cf_core *core);
/* Struck: its jobs are leased alone. Given up: not at all. */
bool content_is_struck(const struct cf_core *core, struct cf_bytes sha256);
bool content_is_given_up(const struct cf_core *core, struct cf_bytes sha256);
/* An end of a lease that speaks against the picture, rather than against worker, disk or path. */
bool content_is_to_blame(struct cf_str error);
/* `strike` says album, error, detail and whether to give it up. */
void content_strike(struct cf_core *core, struct cf_now now, struct cf_bytes sha256,
                    const struct cf_quarantine_record *strike, struct cf_out *out);
/* Back to one strike. False when it had none. */
bool content_lift(struct cf_core *core, struct cf_bytes sha256, struct cf_out *out);
void content_clear(struct cf_core *core, struct cf_bytes sha256);
/* Of one that is given up: where, and why. */
struct cf_str content_sentence(struct cf_core *core, struct cf_bytes sha256, struct cf_out *out);

/* ---- settle.c ---- */
/* `worker` is NULL for one that is not registered. */
void on_done(struct cf_core *core, struct cf_now now, struct worker *worker, struct cf_bytes peer,
             const struct cf_msg *msg, struct cf_out *out);
void on_failed(struct cf_core *core, struct cf_now now, struct worker *worker, const struct cf_failed *failed,
               struct cf_out *out);
/* A lease ends without an answer. `death`: the worker died or the lease ran out, with `error` as the reason.
 */
void lease_lost(struct cf_core *core, struct cf_now now, struct job *job, bool death, enum cf_err error,
                struct cf_out *out);

/* A job of a content that was given up: a dead letter at once. */
void bury_quarantined(struct cf_core *core, struct cf_now now, struct job *job, struct cf_bytes sha256,
                      struct cf_out *out);

/* A job whose picture the journal has lost: likewise. */
void bury_lost(struct cf_core *core, struct cf_now now, struct job *job, const char *sentence,
               struct cf_out *out);

/* ---- push.c ---- */
void on_push(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
             struct cf_out *out);
void on_remove(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
               struct cf_out *out);

/* ---- repeats.c: requests that are sent again ---- */
/* `results` are those of msg, a push or removal. */
void repeat_keep(struct cf_core *core, struct cf_now now, const struct cf_msg *msg,
                 const struct cf_result *results, size_t count);
/* True when msg was answered before, with those results. */
bool repeat_find(struct cf_core *core, const struct cf_msg *msg, struct cf_result *results, size_t count,
                 struct cf_out *out);
/* Forgets those with a serial >= from. */
void repeats_clear(struct cf_core *core, uint64_t from);

/* ---- admit.c: what a push must be ---- */
enum cf_err push_check(const struct cf_core *core, const struct cf_push_item *item, uint8_t sha256[32],
                       bool *has_sha256, struct cf_detail *detail);
/* Room for one more job of `bytes`, when `freed_jobs` and `freed_bytes` go. */
enum cf_err push_room(const struct cf_core *core, uint64_t bytes, uint64_t freed_jobs, uint64_t freed_bytes,
                      struct cf_detail *detail);
bool push_unchanged(struct cf_core *core, const struct cf_push_item *item, struct cf_bytes sha256,
                    const struct cf_album_record *known);

/* ---- lease.c ---- */
void lease_run(struct cf_core *core, struct cf_now now, struct cf_out *out, bool *more);

/* ---- workers.c ---- */
enum cf_leave {
    LEAVE_GOODBYE, /* it lives: its leases come back free of charge */
    LEAVE_DEATH,
    LEAVE_UNREACHABLE, /* as a death, except for leases that it has probably never seen */
};
struct worker *worker_find(struct cf_core *core, struct cf_bytes peer);
struct worker *worker_named(const struct cf_core *core, struct cf_str name);
void worker_end(struct cf_core *core, struct cf_now now, struct worker *worker, enum cf_leave why,
                struct cf_out *out);
void workers_run(struct cf_core *core, struct cf_now now, struct cf_out *out);
void removals_tell(struct cf_core *core, struct cf_out *out);
struct cf_bytes worker_peer(const struct worker *worker);
void rate_add(struct rate *rate, uint64_t now_ms, uint32_t count);
double rate_get(const struct rate *rate, uint64_t now_ms);

/* ---- queries.c ---- */
void on_query(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
              struct cf_bytes frame, struct cf_out *out);
void on_search_done(struct cf_core *core, struct cf_now now, struct worker *worker, const struct cf_msg *msg,
                    struct cf_bytes body, struct cf_out *out);
void queries_run(struct cf_core *core, struct cf_now now, struct cf_out *out);
void queries_orphan(struct cf_core *core, struct worker *worker, struct cf_out *out);
void queries_clear(struct cf_core *core);

/* ---- index.c ---- */
/* An album comes to rest, or leaves, at that place of a shard. */
enum cf_err tail_add(struct cf_core *core, struct cf_str shard, uint64_t log_seq);
void tail_remove(struct cf_core *core, struct cf_str shard, uint64_t log_seq);
/* Another shard may come, or it is known. */
bool tail_has_room(struct cf_core *core, struct cf_str shard);
bool tail_is_indexed(struct cf_core *core, struct cf_str shard, uint64_t log_seq);
/* Between them tail_add takes any order at no cost, and nothing else looks at tails. */
void tails_count_begin(struct cf_core *core);
void tails_count_end(struct cf_core *core);
void tails_clear(struct cf_core *core);
void on_published(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                  struct cf_out *out);
enum cf_err indexes_load(struct cf_core *core, const struct cf_meta_record *meta);
void indexes_clear(struct cf_core *core);
uint64_t index_generation_of(const struct index *index, struct cf_str shard, uint64_t log_seq);
void meta_save(struct cf_core *core, struct cf_out *out);
void on_index(struct cf_core *core, struct cf_bytes peer, const struct cf_msg *msg, struct cf_out *out);
struct cf_index_status *index_statuses(struct cf_core *core, struct cf_str space, size_t *count,
                                       struct cf_out *out);

/* A space of this fleet. */
bool has_space(const struct cf_core *core, struct cf_str space);
enum cf_err fail_unknown_space(const struct cf_core *core, struct cf_str space, struct cf_detail *detail);

/* ---- redescribe.c ---- */
void on_redescribe(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                   struct cf_out *out);
/* To an indexer, when an order with the late space is done. */
void redescribe_news(struct cf_core *core, const struct worker *indexer, struct cf_out *out);
/* The open order, to every descriptor. */
void redescribe_tell(struct cf_core *core, struct cf_out *out);
void redescribe_progress(struct cf_core *core, struct worker *worker, const struct cf_heartbeat *heartbeat,
                         struct cf_out *out);
void redescribe_load(struct cf_core *core, const struct cf_meta_record *meta);
void redescribe_save(struct cf_core *core, struct cf_meta_record *meta, struct cf_out *out);
void redescribe_clear(struct cf_core *core);

/* ---- report.c, queue.c ---- */
void on_states(struct cf_core *core, struct cf_bytes peer, const struct cf_msg *msg, struct cf_out *out);
void on_show(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
             struct cf_out *out);
void on_queue(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
              struct cf_out *out);

/* ---- names.c ---- */
/* Letters, digits, '-' and '_', as slots and shards are called. */
bool is_plain_name(struct cf_str name);

/* ---- core.c ---- */
struct cf_event *event_add(struct cf_core *core, struct cf_now now, const char *event, bool durable,
                           struct cf_out *out);
enum cf_err albums_recount(struct cf_core *core, struct cf_detail *detail);

#endif
