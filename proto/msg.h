/* The messages of PROTOCOL.md as C structs: encode and checked decode. Knows nothing of sockets.
 *
 * A message is one msgpack map: "v" (protocol version), "kind", "id" (chosen by the asking side, echoed in the reply)
 * and the fields of its kind. `struct cf_msg` holds any of them. Spans borrow from the input, arrays from the arena.
 * Pure: any thread. */
#ifndef CF_PROTO_MSG_H
#define CF_PROTO_MSG_H

#include "common/base/album.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

#define CF_PROTOCOL_VERSION 1

enum cf_limit {
    CF_BATCH_MAX = 1024,          /* entries of one push, remove, states, lease, done, failed */
    CF_META_MAX = 32,             /* pairs of an album */
    CF_META_KEY_BYTES_MAX = 64,
    CF_META_VALUE_BYTES_MAX = 1024,
    CF_TEXT_BYTES_MAX = 320,      /* details, warnings, names */
    CF_PATH_BYTES_MAX = 4096,
    CF_SPACE_BYTES_MAX = 32,
    CF_DIM_MAX = 4096,
    CF_K_MAX = 10000,
    CF_PRIORITY_MAX = 9,          /* 0 is the most urgent; 5 is the default */
    CF_PRIORITY_DEFAULT = 5,
    CF_ALBUM_WIRE_BYTES_MAX = 4096, /* of an album id or space that is asked for: longer ones break the message, those over
                                       255 or not UTF-8 only their own entry (cf_album_check) */
    CF_TARGETS_MAX = 10000,         /* targets of one query */
    CF_EXCLUDE_MAX = 10000,         /* albums that a query does not want */
    CF_FILTERS_MAX = 16,            /* keys of a query's filters */
    CF_FILTER_VALUES_MAX = 64,      /* values of one of them */
    CF_SPACES_MAX = 16,             /* spaces of one query */
    CF_SAME_MAX = 64,               /* albums that a neighbour lists as standing for them */
    CF_FLEET_MAX = 4096,            /* workers, shards and indexes of one fleet */
    CF_CREDIT_MAX = 1000000,
    CF_NAME_BYTES_MAX = 64,         /* kinds, error names, events, worker names, shards */
};
#define CF_WEIGHT_RATIO_MAX 1e12         /* of two weights of one query that are not 0 */
#define CF_DELAY_MS_MAX 31536000000u /* a year */
#define CF_DEADLINE_MS_MAX 86400000u /* a day */

/* X(constant, wire kind, struct name): requests and replies of clients, then of workers, then events. */
#define CF_KIND_LIST(X)                                                                                      \
    X(CF_KIND_ERROR, "error", error)                                                                         \
    X(CF_KIND_PUSH, "push", push)                                                                            \
    X(CF_KIND_PUSH_OK, "push_ok", results)                                                                   \
    X(CF_KIND_REMOVE, "remove", albums)                                                                      \
    X(CF_KIND_REMOVE_OK, "remove_ok", results)                                                               \
    X(CF_KIND_STATES, "states", albums)                                                                      \
    X(CF_KIND_STATES_OK, "states_ok", states)                                                                \
    X(CF_KIND_QUERY, "query", query)                                                                         \
    X(CF_KIND_QUERY_OK, "query_ok", answer)                                                                  \
    X(CF_KIND_VECTOR, "vector", wanted)                                                                      \
    X(CF_KIND_VECTOR_OK, "vector_ok", vectors)                                                               \
    X(CF_KIND_SHOW, "show", show)                                                                            \
    X(CF_KIND_SHOW_OK, "show_ok", story)                                                                     \
    X(CF_KIND_STATUS, "status", empty)                                                                       \
    X(CF_KIND_STATUS_OK, "status_ok", status)                                                                \
    X(CF_KIND_QUEUE, "queue", queue)                                                                         \
    X(CF_KIND_QUEUE_OK, "queue_ok", queue_ok)                                                                \
    X(CF_KIND_INDEX, "index", index)                                                                         \
    X(CF_KIND_INDEX_OK, "index_ok", indexes)                                                                 \
    X(CF_KIND_REDESCRIBE, "redescribe", redescribe)                                                          \
    X(CF_KIND_REDESCRIBE_OK, "redescribe_ok", redescribed)                                                   \
    X(CF_KIND_REGISTER, "register", registration)                                                            \
    X(CF_KIND_REGISTERED, "registered", registered)                                                          \
    X(CF_KIND_UNREGISTERED, "unregistered", empty)                                                           \
    X(CF_KIND_READY, "ready", ready)                                                                         \
    X(CF_KIND_LEASE, "lease", lease)                                                                         \
    X(CF_KIND_DONE, "done", done)                                                                            \
    X(CF_KIND_FAILED, "failed", failed)                                                                      \
    X(CF_KIND_HEARTBEAT, "heartbeat", heartbeat)                                                             \
    X(CF_KIND_GOODBYE, "goodbye", empty)                                                                     \
    X(CF_KIND_GOODBYE_OK, "goodbye_ok", empty)                                                               \
    X(CF_KIND_SEARCH, "search", search)                                                                      \
    X(CF_KIND_SEARCH_DONE, "search_done", search)                                                            \
    X(CF_KIND_REMOVED, "removed", removed)                                                                   \
    X(CF_KIND_PUBLISHED, "published", published)                                                             \
    X(CF_KIND_REBUILD, "rebuild", rebuild)                                                                   \
    X(CF_KIND_REDESCRIBE_ORDER, "redescribe_order", redescribe_order)                                        \
    X(CF_KIND_EVENT, "event", event)

enum cf_kind {
#define CF_KIND_ENUM(constant, name, member) constant,
    CF_KIND_LIST(CF_KIND_ENUM)
#undef CF_KIND_ENUM
    CF_KIND_COUNT
};

enum cf_role { CF_ROLE_DESCRIPTOR, CF_ROLE_INDEXER, CF_ROLE_QUERY, CF_ROLE_COUNT }; /* "descriptor", … on the wire */
enum cf_push_status { CF_PUSH_ACCEPTED, CF_PUSH_UNCHANGED, CF_PUSH_REFUSED };
enum cf_action { CF_ACTION_DESCRIBE, CF_ACTION_REMOVE }; /* what a lease asks for */
enum cf_queue_op { CF_QUEUE_LIST, CF_QUEUE_PEEK, CF_QUEUE_RETRY, CF_QUEUE_PURGE, CF_QUEUE_PAUSE, CF_QUEUE_RESUME };
enum cf_redescribe_op { CF_REDESCRIBE_STATUS, CF_REDESCRIBE_START };
enum cf_index_op { CF_INDEX_STATUS, CF_INDEX_REBUILD };

struct cf_empty {
    char unused;
};

/* error: the whole request failed. `error` is a wire name of err.h. */
struct cf_error {
    struct cf_str error, detail;
};

/* push. The cover is `bytes`, or `file`: an absolute path that a descriptor worker can read below a configured root. */
struct cf_push_item {
    struct cf_str album;
    struct cf_bytes bytes;
    struct cf_str file;
    struct cf_bytes sha256; /* of the picture's bytes, 32 */
    struct cf_pair *meta;
    size_t meta_count;
    uint64_t priority; /* 0 urgent … 9; absent is 5: decode sets CF_PRIORITY_DEFAULT */
    uint64_t delay_ms;
};
struct cf_push {
    struct cf_push_item *items;
    size_t item_count;
    uint64_t nonce; /* of the asking client, by chance: with `id` it names this request when it is sent again; 0 none */
};

/* push_ok, remove_ok: one result an entry, in the order asked. */
struct cf_result {
    int status; /* enum cf_push_status: "accepted", "unchanged", "refused" */
    struct cf_version version;
    struct cf_str error, detail; /* when refused */
};
struct cf_results {
    struct cf_result *results;
    size_t result_count;
};

struct cf_albums {
    struct cf_str *albums;
    size_t album_count;
    uint64_t nonce; /* of a remove, as of a push */
};

/* states_ok: where each album stands, in the order asked. */
struct cf_album_state {
    int state; /* enum cf_state */
    struct cf_version version;
    struct cf_str error; /* of a dead one */
};
struct cf_states {
    struct cf_album_state *states;
    size_t state_count;
};

/* query: a batch of targets. Exactly one of album, image, vector, vectors is set a target. */
struct cf_space_vector {
    struct cf_str space;
    struct cf_bytes vector; /* float32, little-endian, dim * 4 bytes */
};
struct cf_target {
    struct cf_str album;
    struct cf_bytes image;
    struct cf_bytes vector; /* in the query's one space */
    struct cf_space_vector *vectors; /* in each of its spaces */
    size_t vector_count;
};
/* An album passes whose meta value of the key is one of these, byte by byte. */
struct cf_filter {
    struct cf_str key; /* "artist", "genre" */
    struct cf_str *values;
    size_t value_count;
};
struct cf_weight {
    struct cf_str space;
    double weight;
};
struct cf_query {
    struct cf_str space; /* empty when `spaces` are given */
    uint64_t k;
    double recall;        /* 0 means the fleet's default */
    uint64_t deadline_ms; /* 0 means the fleet's default */
    bool exact;
    bool include_self;
    double radius;   /* 0: none; otherwise only neighbours within this distance */
    double collapse; /* 0: none; otherwise neighbours no farther from each other than this become one */
    struct cf_str collapse_space; /* the space that those distances are of; empty: as the query's own */
    struct cf_str *exclude; /* albums */
    size_t exclude_count;
    struct cf_filter *filters; /* all of them must let an album pass */
    size_t filter_count;
    struct cf_weight *spaces; /* several spaces at once, see PROTOCOL.md; none: `space` */
    size_t space_count;
    struct cf_target *targets;
    size_t target_count;
};

struct cf_neighbor {
    struct cf_str album;
    double distance;
    struct cf_str title, artist, genre; /* empty when not known */
    struct cf_str *same; /* with `collapse`: the nearest of the albums that this one stands for, besides itself */
    size_t same_listed;
    uint64_t same_count; /* all of them */
};
struct cf_answer_result {
    struct cf_str error, detail; /* set when this target failed */
    struct cf_neighbor *neighbors;
    size_t neighbor_count;
};
struct cf_answer {
    struct cf_str space;
    uint64_t generation; /* 0: nothing indexed yet, all was searched in the tail */
    bool exact;
    uint64_t stale_ms;
    uint64_t unreadable_shards; /* whose albums may be missing */
    struct cf_answer_result *results;
    size_t result_count;
};

/* vector: what the fleet knows these albums by, in one space. vector_ok: one result an album, in the order asked. */
struct cf_wanted {
    struct cf_str space;
    uint64_t deadline_ms; /* as of a query */
    struct cf_str *albums;
    size_t album_count;
};
struct cf_vector_result {
    struct cf_str error, detail; /* set when there is no vector */
    struct cf_bytes vector;      /* float32, little-endian, dim * 4 bytes */
};
struct cf_vectors {
    struct cf_str space;
    uint64_t space_version; /* of the descriptor: vectors of different versions do not compare */
    struct cf_vector_result *results;
    size_t result_count;
};

struct cf_show {
    struct cf_str album;
};
struct cf_story_space {
    struct cf_str space;
    uint64_t generation; /* 0: not in an index yet */
};
struct cf_story {
    struct cf_str album;
    int state;
    struct cf_version version;
    uint64_t attempts, priority;
    struct cf_str worker, shard; /* who described it or holds the lease, where it rests */
    uint64_t log_seq;
    bool constant, partial;
    struct cf_str *warnings;
    size_t warning_count;
    struct cf_str error, detail;
    struct cf_str source; /* "bytes" or the path */
    struct cf_bytes sha256;
    uint64_t pushed_ms, settled_ms, due_ms; /* wall clock; 0 unknown */
    struct cf_pair *meta;
    size_t meta_count;
    struct cf_story_space *spaces;
    size_t space_count;
};

struct cf_worker_status {
    struct cf_str name;
    int role;
    uint64_t pid, credit, leased, done, failed;
    double rate; /* done (queries for a query worker) a second, last ten seconds */
    uint64_t age_ms, silent_ms;
    uint64_t unreadable_shards; /* as it last said */
};
struct cf_index_status {
    struct cf_str space;
    uint64_t generation, count, build_ms, published_ms; /* published_ms: wall clock */
    uint64_t tail; /* described, not in it yet */
    double recall; /* mean of the answers that were compared with exact ones since the worker began; 0 without any */
    uint64_t recall_checks; /* how many those are */
};
struct cf_status {
    uint64_t queued, delayed, leased, described, indexed, dead, removed; /* albums, disjoint */
    uint64_t quarantined; /* pictures that are not leased any more */
    uint64_t oldest_ms; /* age of the oldest queued job */
    uint64_t queue_bytes, queue_jobs_max;
    bool paused;
    struct cf_str refusing; /* why pushes are refused now ("disk_full"), or empty */
    struct cf_worker_status *workers;
    size_t worker_count;
    struct cf_index_status *indexes;
    size_t index_count;
    uint64_t pushes_accepted, pushes_unchanged, pushes_refused; /* since start */
    uint64_t queries_answered, queries_failed, queries_late, queries_resent, queries_waiting;
    uint64_t epoch, uptime_ms, disk_free_bytes;
    struct cf_str version; /* of the program */
    struct cf_str *roots;  /* folders that may be pushed from by path */
    size_t root_count;
};

struct cf_queue {
    int op;    /* enum cf_queue_op */
    int state; /* list, retry, purge: enum cf_state, none is every state (list: queued, delayed, leased, dead) */
    struct cf_str *albums; /* peek, retry, purge: these only; none is every one of that state */
    size_t album_count;
    uint64_t limit;     /* list: at most so many, 0 is 100 */
    uint64_t after_seq; /* list: continue behind this one */
};
struct cf_queue_job {
    struct cf_str album;
    struct cf_version version;
    int state;
    uint64_t priority, attempts, due_ms, pushed_ms, bytes;
    int action;
    struct cf_str worker, error, detail;
};
struct cf_queue_ok {
    struct cf_queue_job *jobs;
    size_t job_count;
    uint64_t count; /* jobs retried or purged; for list and peek the number of all that match */
};

struct cf_index {
    int op; /* enum cf_index_op */
    struct cf_str space; /* empty is every space */
};
struct cf_indexes {
    struct cf_index_status *indexes;
    size_t index_count;
};

/* redescribe: albums that lack a vector of these spaces (none named: of any) get it from their thumbnails. */
struct cf_redescribe {
    int op; /* enum cf_redescribe_op */
    struct cf_str *spaces;
    size_t space_count;
};
/* How far a shard is with it. */
struct cf_redescribe_shard {
    struct cf_str shard;
    uint64_t total, done;  /* albums that lacked a vector when it was begun, and that have it now */
    uint64_t no_thumbnail; /* came with vectors of their own, not with a cover: nothing can be described */
    uint64_t failed;       /* the thumbnail is damaged: the worker's log names it */
    bool finished;
};
struct cf_redescribed {
    uint64_t order; /* the newest; 0: there was none */
    bool finished;
    struct cf_str *spaces;
    size_t space_count;
    struct cf_redescribe_shard *shards;
    size_t shard_count;
};

/* ---- workers ---- */

struct cf_registration {
    int role; /* enum cf_role */
    struct cf_str name; /* the slot, "descriptor-0": a newer registration of the same name evicts the older */
    uint64_t pid;
    struct cf_str host, version;
    uint64_t instance; /* of the process, by chance: tells two of the same pid apart; 0 unknown */
};
struct cf_registered {
    uint64_t session; /* of this registration */
    uint64_t heartbeat_ms, heartbeat_timeout_ms, lease_ms;
};
struct cf_ready {
    uint64_t credit; /* the most jobs that this worker will hold at a time; 0 stops leasing */
};

struct cf_job {
    struct cf_version version;
    struct cf_str album;
    int action; /* enum cf_action */
    struct cf_bytes bytes;
    struct cf_str file;
    struct cf_bytes sha256;
    struct cf_pair *meta;
    size_t meta_count;
    uint64_t attempt; /* 1 for the first */
};
struct cf_lease {
    struct cf_job *jobs;
    size_t job_count;
};

struct cf_done_item {
    struct cf_version version;
    struct cf_str album;
    struct cf_str shard;
    uint64_t log_seq;
    bool constant, partial;
    struct cf_str *warnings;
    size_t warning_count;
};
struct cf_done {
    struct cf_done_item *items;
    size_t item_count;
};

struct cf_failed_item {
    struct cf_version version;
    struct cf_str album;
    struct cf_str error, detail;
    bool permanent; /* dead-letter at once */
    bool counted;   /* the cover's own fault: an attempt; otherwise it is handed back free of charge */
};
struct cf_failed {
    struct cf_failed_item *items;
    size_t item_count;
};

/* heartbeat, both ways. From a query worker: what it serves; from it and the indexer: what it cannot read. */
struct cf_heartbeat {
    struct cf_index_status *indexes;
    size_t index_count;
    uint64_t unreadable_shards;
    /* Of a descriptor that has an order to describe again: its number, whether it also looks after shards
     * without an owner, and how far it is. */
    uint64_t redescribe_order;
    bool adopts;
    struct cf_redescribe_shard *redescribed;
    size_t redescribed_count;
};
/* redescribe_order: to every descriptor while an order is open. A new number begins anew. */
struct cf_redescribe_order {
    uint64_t order;
    struct cf_str *spaces;
    size_t space_count;
    bool adopts; /* this one also does the shards without an owner */
};

/* search, search_done: frame 0 of two; frame 1 is the client's query, or the whole reply to it, passed through as is. */
struct cf_search {
    uint64_t deadline_ms; /* what is left of it */
    struct cf_str error;  /* search_done: set when frame 1 is an error reply, for the counters */
};

struct cf_removed_item {
    struct cf_str album;
    struct cf_version version;
};
struct cf_removed {
    struct cf_removed_item *items;
    size_t item_count;
};

struct cf_watermark {
    struct cf_str shard;
    uint64_t log_seq; /* everything up to and including this is in the index */
};
struct cf_published {
    struct cf_str space;
    uint64_t generation, count, build_ms, published_ms;
    struct cf_watermark *watermarks;
    size_t watermark_count;
};

struct cf_rebuild {
    struct cf_str space; /* empty is every space */
    /* 0, or: no order to build, but the news that this order to describe again, which included the space, is
     * done */
    uint64_t redescribed;
};

/* On the PUB socket: frame 0 is the event's name, frame 1 this message.
 * stored | published | dead | removed | joined | left */
struct cf_event {
    struct cf_str event;
    uint64_t at_ms; /* wall clock */
    struct cf_str album;
    struct cf_version version;
    struct cf_str worker, error, space;
    uint64_t generation;
};

struct cf_msg {
    enum cf_kind kind;
    uint64_t id;
    union {
        struct cf_error error;
        struct cf_push push;
        struct cf_results results;
        struct cf_albums albums;
        struct cf_states states;
        struct cf_query query;
        struct cf_answer answer;
        struct cf_wanted wanted;
        struct cf_vectors vectors;
        struct cf_show show;
        struct cf_story story;
        struct cf_empty empty;
        struct cf_status status;
        struct cf_queue queue;
        struct cf_queue_ok queue_ok;
        struct cf_index index;
        struct cf_indexes indexes;
        struct cf_registration registration;
        struct cf_registered registered;
        struct cf_ready ready;
        struct cf_lease lease;
        struct cf_done done;
        struct cf_failed failed;
        struct cf_heartbeat heartbeat;
        struct cf_search search;
        struct cf_removed removed;
        struct cf_published published;
        struct cf_rebuild rebuild;
        struct cf_redescribe redescribe;
        struct cf_redescribed redescribed;
        struct cf_redescribe_order redescribe_order;
        struct cf_event event;
    };
};

const char *cf_kind_name(enum cf_kind kind);
const char *cf_role_name(enum cf_role role);

/* Appends the message to `out` (cleared first). CF_E_INVALID when a field breaks its range, CF_E_NO_MEMORY. */
enum cf_err cf_msg_encode(const struct cf_msg *msg, struct cf_buf *out, struct cf_detail *detail) CF_MUST_CHECK;

/* Checked decode. CF_E_INVALID (truncated, malformed, field missing or out of range), CF_E_BAD_VERSION, CF_E_UNKNOWN_KIND.
 * When the envelope could be read, `msg->id` is set even on failure, so that the error reply finds its asker; otherwise 0. */
enum cf_err cf_msg_decode(struct cf_bytes bytes, struct cf_arena *arena, struct cf_msg *msg,
                          struct cf_detail *detail) CF_MUST_CHECK;

/* An error message for `id`, its error name taken from `err`. */
struct cf_msg cf_msg_error(uint64_t id, enum cf_err err, const struct cf_detail *detail);

#endif
