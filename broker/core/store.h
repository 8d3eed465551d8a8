/* What the core keeps on disk, and the narrow door through which it does: a table of functions that the
 * journal (or a simulator's model of one) fills in. Writes gather in the open batch of one wake and become
 * durable together, when the adapter commits; reads see them at once. Spans in what is read live in the
 * caller's arena. */
#ifndef CF_BROKER_CORE_STORE_H
#define CF_BROKER_CORE_STORE_H

#include "common/base/album.h"
#include "common/base/arena.h"
#include "proto/msg.h"

/* The newest word on one album. `state` is QUEUED while a job for it lives (queued, delayed and leased are
 * told apart in memory only), else DESCRIBED (also when indexed: the watermarks tell), DEAD or REMOVED. */
struct cf_album_record {
    uint64_t epoch, seq; /* its version */
    int state;
    struct cf_bytes sha256; /* 32, or none when a path was pushed without */
    struct cf_pair *meta;
    size_t meta_count;
    struct cf_str source; /* "bytes" or the path */
    uint64_t priority, attempts;
    uint64_t pushed_ms, settled_ms; /* wall clock */
    struct cf_str worker, shard;
    uint64_t log_seq;
    bool constant, partial;
    struct cf_str *warnings;
    size_t warning_count;
    struct cf_str error, detail;
    struct cf_album_record *prev; /* what it falls back to when purged: none or one, described or removed */
    size_t prev_count;
};

/* A job that lives, or, moved aside, a dead letter. Its picture's bytes, if it came with any, lie under the
 * same seq. */
struct cf_job_record {
    struct cf_str album;
    uint64_t epoch;
    int action; /* enum cf_action */
    uint64_t priority, attempts, deaths;
    uint64_t due_ms, pushed_ms; /* wall clock */
    uint64_t bytes;
};

/* A content that killed or stalled its worker, by its hash. */
struct cf_quarantine_record {
    struct cf_str album;         /* that showed it first */
    struct cf_str error, detail; /* of the last strike */
    uint64_t strikes, at_ms;     /* wall clock, of the last one */
    bool given_up;               /* a dead letter of it came of that: it is not leased any more */
};

/* An index generation, as last published. */
struct cf_index_record {
    struct cf_str space;
    uint64_t generation, count, build_ms, published_ms;
    struct cf_watermark *watermarks;
    size_t watermark_count;
};

struct cf_meta_record {
    uint64_t epoch;    /* of new versions */
    uint64_t next_seq; /* at least: the albums may know of higher ones */
    bool paused;
    struct cf_index_record *indexes;
    size_t index_count;
    /* The newest order to describe again; 0: none. */
    uint64_t redescribe_order;
    bool redescribe_finished;
    struct cf_str *redescribe_spaces;
    size_t redescribe_space_count;
};

/* Returning other than CF_OK ends the walk with that error. The record is borrowed for the call. */
typedef enum cf_err cf_each_album(void *arg, struct cf_str id, const struct cf_album_record *album);
typedef enum cf_err cf_each_job(void *arg, uint64_t seq, const struct cf_job_record *job);
typedef enum cf_err cf_each_quarantine(void *arg, struct cf_bytes sha256,
                                       const struct cf_quarantine_record *record);

struct cf_store {
    void *arg;
    /* CF_E_NOT_FOUND when never heard of. */
    enum cf_err (*album_get)(void *arg, struct cf_str id, struct cf_arena *arena,
                             struct cf_album_record *album, struct cf_detail *detail);
    enum cf_err (*album_put)(void *arg, struct cf_str id, const struct cf_album_record *album,
                             struct cf_detail *detail);
    void (*album_delete)(void *arg, struct cf_str id);
    enum cf_err (*job_put)(void *arg, uint64_t seq, const struct cf_job_record *job, bool dead,
                           struct cf_detail *detail);
    enum cf_err (*job_get)(void *arg, uint64_t seq, bool dead, struct cf_arena *arena,
                           struct cf_job_record *job, struct cf_detail *detail);
    void (*job_delete)(void *arg, uint64_t seq, bool dead);
    void (*payload_put)(void *arg, uint64_t seq, struct cf_bytes bytes);
    enum cf_err (*payload_get)(void *arg, uint64_t seq, struct cf_arena *arena, struct cf_bytes *bytes,
                               struct cf_detail *detail);
    void (*payload_delete)(void *arg, uint64_t seq);
    enum cf_err (*meta_put)(void *arg, const struct cf_meta_record *meta, struct cf_detail *detail);
    enum cf_err (*meta_get)(void *arg, struct cf_arena *arena, struct cf_meta_record *meta,
                            struct cf_detail *detail);
    enum cf_err (*quarantine_put)(void *arg, struct cf_bytes sha256,
                                  const struct cf_quarantine_record *record, struct cf_detail *detail);
    enum cf_err (*quarantine_get)(void *arg, struct cf_bytes sha256, struct cf_arena *arena,
                                  struct cf_quarantine_record *record, struct cf_detail *detail);
    void (*quarantine_delete)(void *arg, struct cf_bytes sha256);
    /* Every album; every job (or dead letter) with seq > after, in order. What the open batch holds is seen
     * too. */
    enum cf_err (*each_album)(void *arg, cf_each_album *each, void *each_arg, struct cf_detail *detail);
    enum cf_err (*each_job)(void *arg, bool dead, uint64_t after, cf_each_job *each, void *each_arg,
                            struct cf_detail *detail);
    enum cf_err (*each_quarantine)(void *arg, cf_each_quarantine *each, void *each_arg,
                                   struct cf_detail *detail);
};

#endif
