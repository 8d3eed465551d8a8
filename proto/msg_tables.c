#include "proto/msg_tables.h"

#include "common/base/hash.h"

/* One line a field, in the order of the wire. S is the struct; the key is the member's name. */
#define UINT(S, member, flag, low, high)                                                                     \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_UINT, .flags = flag, .offset = offsetof(S, member), .min = low,     \
        .max = high                                                                                          \
    }
#define REAL(S, member, flag, low, high)                                                                     \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_REAL, .flags = flag, .offset = offsetof(S, member), .min = low,     \
        .max = high                                                                                          \
    }
#define BOOL(S, member)                                                                                      \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_BOOL, .offset = offsetof(S, member)                                 \
    }
#define STR(S, member, flag, low, high)                                                                      \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_STR, .flags = flag, .offset = offsetof(S, member), .min = low,      \
        .max = high                                                                                          \
    }
#define BYTES(S, member, low, high)                                                                          \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_BYTES, .offset = offsetof(S, member), .min = low, .max = high       \
    }
#define WORD(S, member, flag, words)                                                                         \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_ENUM, .flags = flag, .offset = offsetof(S, member), .names = words  \
    }
#define STRS(S, member, counter, flag, high, each)                                                           \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_STRS, .flags = flag, .offset = offsetof(S, member),                 \
        .count_offset = offsetof(S, counter), .max = high, .each_max = each                                  \
    }
#define META(S)                                                                                              \
    {                                                                                                        \
        .key = "meta", .type = CF_FIELD_PAIRS, .offset = offsetof(S, meta),                                  \
        .count_offset = offsetof(S, meta_count), .max = CF_META_MAX, .each_max = CF_META_VALUE_BYTES_MAX,    \
        .key_max = CF_META_KEY_BYTES_MAX                                                                     \
    }
#define LIST(S, member, counter, flag, high, elements)                                                       \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_LIST, .flags = flag, .offset = offsetof(S, member),                 \
        .count_offset = offsetof(S, counter), .max = high, .table = &elements                                \
    }
#define MAP(S, member, counter, high, entries)                                                               \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_MAP, .offset = offsetof(S, member),                                 \
        .count_offset = offsetof(S, counter), .max = high, .table = &entries                                 \
    }
/* A version is two keys; seq 0 is no version, so the required one starts at 1. */
#define VERSION(S, flag)                                                                                     \
    {.key = "epoch", .type = CF_FIELD_UINT, .flags = flag, .offset = offsetof(S, version.epoch)},            \
    {                                                                                                        \
        .key = "seq", .type = CF_FIELD_UINT, .flags = flag, .offset = offsetof(S, version.seq),              \
        .min = (flag)&CF_FIELD_REQUIRED ? 1 : 0                                                              \
    }

#define ALBUM_ID(S)           STR(S, album, CF_FIELD_REQUIRED, 1, CF_ALBUM_BYTES_MAX)
#define ALBUM_ASKED(S)        STR(S, album, CF_FIELD_REQUIRED | CF_FIELD_RAW, 0, CF_ALBUM_WIRE_BYTES_MAX)
#define SPACE(S, flag)        STR(S, space, flag, 1, CF_SPACE_BYTES_MAX)
#define ERROR(S, flag)        STR(S, error, flag, 1, CF_NAME_BYTES_MAX)
#define DETAIL(S)             STR(S, detail, CF_FIELD_SENTENCE, 0, CF_TEXT_BYTES_MAX)
#define TEXT(S, member)       STR(S, member, CF_FIELD_SENTENCE, 0, CF_TEXT_BYTES_MAX)
#define NAME(S, member, flag) STR(S, member, flag, 1, CF_NAME_BYTES_MAX)
#define SHA256(S)             BYTES(S, sha256, CF_SHA256_BYTES, CF_SHA256_BYTES)

#define TABLE(variable, wire_name, S)                                                                        \
    static const struct cf_table variable = {.name = wire_name,                                              \
                                             .size = sizeof(S),                                              \
                                             .fields = variable##_fields,                                    \
                                             .field_count =                                                  \
                                                 sizeof variable##_fields / sizeof variable##_fields[0]}

static const char *const role_words[] = {"descriptor", "indexer", "query", NULL};
static const char *const status_words[] = {"accepted", "unchanged", "refused", NULL};
static const char *const action_words[] = {"describe", "remove", NULL};
static const char *const queue_op_words[] = {"list", "peek", "retry", "purge", "pause", "resume", NULL};
static const char *const redescribe_op_words[] = {"status", "start", NULL};
static const char *const index_op_words[] = {"status", "rebuild", NULL};
static const char *const state_words[] = {"none",    "queued", "delayed", "leased", "described",
                                          "indexed", "dead",   "removed", NULL};

/* ---- clients ---- */

static const struct cf_field error_fields[] = {
    ERROR(struct cf_error, CF_FIELD_REQUIRED),
    DETAIL(struct cf_error),
};

static const struct cf_field push_item_fields[] = {
    ALBUM_ASKED(struct cf_push_item),
    BYTES(struct cf_push_item, bytes, 0, 0),
    STR(struct cf_push_item, file, 0, 1, CF_PATH_BYTES_MAX),
    SHA256(struct cf_push_item),
    META(struct cf_push_item),
    {.key = "priority",
     .type = CF_FIELD_UINT,
     .offset = offsetof(struct cf_push_item, priority),
     .max = CF_PRIORITY_MAX,
     .standard = CF_PRIORITY_DEFAULT},
    UINT(struct cf_push_item, delay_ms, 0, 0, CF_DELAY_MS_MAX),
};
TABLE(push_item, "push.items", struct cf_push_item);
static const struct cf_field push_fields[] = {
    LIST(struct cf_push, items, item_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, push_item),
    UINT(struct cf_push, nonce, 0, 0, 0),
};

static const struct cf_field result_fields[] = {
    WORD(struct cf_result, status, CF_FIELD_REQUIRED, status_words),
    VERSION(struct cf_result, 0),
    ERROR(struct cf_result, 0),
    DETAIL(struct cf_result),
};
TABLE(result, "results", struct cf_result);
static const struct cf_field results_fields[] = {
    LIST(struct cf_results, results, result_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, result),
};

static const struct cf_field albums_fields[] = {
    STRS(struct cf_albums, albums, album_count, CF_FIELD_REQUIRED | CF_FIELD_RAW, CF_BATCH_MAX,
         CF_ALBUM_WIRE_BYTES_MAX),
    UINT(struct cf_albums, nonce, 0, 0, 0),
};

static const struct cf_field album_state_fields[] = {
    WORD(struct cf_album_state, state, CF_FIELD_REQUIRED, state_words),
    VERSION(struct cf_album_state, 0),
    ERROR(struct cf_album_state, 0),
};
TABLE(album_state, "states_ok.states", struct cf_album_state);
static const struct cf_field states_fields[] = {
    LIST(struct cf_states, states, state_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, album_state),
};

static const struct cf_field space_vector_fields[] = {
    SPACE(struct cf_space_vector, CF_FIELD_REQUIRED),
    BYTES(struct cf_space_vector, vector, 0, 0),
};
TABLE(space_vector, "query.targets.vectors", struct cf_space_vector);
static const struct cf_field target_fields[] = {
    STR(struct cf_target, album, CF_FIELD_RAW, 0, CF_ALBUM_WIRE_BYTES_MAX),
    BYTES(struct cf_target, image, 0, 0),
    BYTES(struct cf_target, vector, 0, 0),
    MAP(struct cf_target, vectors, vector_count, CF_SPACES_MAX, space_vector),
};
TABLE(target, "query.targets", struct cf_target);
static const struct cf_field filter_fields[] = {
    STR(struct cf_filter, key, CF_FIELD_REQUIRED, 1, CF_META_KEY_BYTES_MAX),
    {.key = "values",
     .type = CF_FIELD_STRS,
     .flags = CF_FIELD_REQUIRED,
     .offset = offsetof(struct cf_filter, values),
     .count_offset = offsetof(struct cf_filter, value_count),
     .min = 1,
     .max = CF_FILTER_VALUES_MAX,
     .each_max = CF_META_VALUE_BYTES_MAX},
};
TABLE(filter, "query.filters", struct cf_filter);
static const struct cf_field weight_fields[] = {
    SPACE(struct cf_weight, CF_FIELD_REQUIRED),
    REAL(struct cf_weight, weight, CF_FIELD_REQUIRED, 0, 0),
};
TABLE(weight, "query.spaces", struct cf_weight);
static const struct cf_field query_fields[] = {
    STR(struct cf_query, space, CF_FIELD_REQUIRED | CF_FIELD_RAW, 0, CF_ALBUM_WIRE_BYTES_MAX),
    UINT(struct cf_query, k, CF_FIELD_REQUIRED, 0, 0),
    REAL(struct cf_query, recall, 0, 0, 1),
    UINT(struct cf_query, deadline_ms, 0, 0, CF_DEADLINE_MS_MAX),
    BOOL(struct cf_query, exact),
    BOOL(struct cf_query, include_self),
    REAL(struct cf_query, radius, 0, 0, 0),
    REAL(struct cf_query, collapse, 0, 0, 0),
    STR(struct cf_query, collapse_space, CF_FIELD_RAW, 0, CF_ALBUM_WIRE_BYTES_MAX),
    STRS(struct cf_query, exclude, exclude_count, CF_FIELD_RAW, CF_EXCLUDE_MAX, CF_ALBUM_WIRE_BYTES_MAX),
    MAP(struct cf_query, filters, filter_count, CF_FILTERS_MAX, filter),
    MAP(struct cf_query, spaces, space_count, CF_SPACES_MAX, weight),
    LIST(struct cf_query, targets, target_count, CF_FIELD_REQUIRED, CF_TARGETS_MAX, target),
};

static const struct cf_field neighbor_fields[] = {
    ALBUM_ID(struct cf_neighbor),
    REAL(struct cf_neighbor, distance, CF_FIELD_REQUIRED, 0, 0),
    STR(struct cf_neighbor, title, 0, 0, CF_META_VALUE_BYTES_MAX),
    STR(struct cf_neighbor, artist, 0, 0, CF_META_VALUE_BYTES_MAX),
    STR(struct cf_neighbor, genre, 0, 0, CF_META_VALUE_BYTES_MAX),
    STRS(struct cf_neighbor, same, same_listed, 0, CF_SAME_MAX, CF_ALBUM_BYTES_MAX),
    UINT(struct cf_neighbor, same_count, 0, 0, 0),
};
TABLE(neighbor, "query_ok.results.neighbors", struct cf_neighbor);
static const struct cf_field answer_result_fields[] = {
    ERROR(struct cf_answer_result, 0),
    DETAIL(struct cf_answer_result),
    LIST(struct cf_answer_result, neighbors, neighbor_count, 0, CF_K_MAX, neighbor),
};
TABLE(answer_result, "query_ok.results", struct cf_answer_result);
static const struct cf_field answer_fields[] = {
    SPACE(struct cf_answer, CF_FIELD_REQUIRED),
    UINT(struct cf_answer, generation, CF_FIELD_REQUIRED, 0, 0),
    BOOL(struct cf_answer, exact),
    UINT(struct cf_answer, stale_ms, 0, 0, 0),
    UINT(struct cf_answer, unreadable_shards, 0, 0, 0),
    LIST(struct cf_answer, results, result_count, CF_FIELD_REQUIRED, CF_TARGETS_MAX, answer_result),
};

static const struct cf_field wanted_fields[] = {
    STR(struct cf_wanted, space, CF_FIELD_REQUIRED | CF_FIELD_RAW, 0, CF_ALBUM_WIRE_BYTES_MAX),
    UINT(struct cf_wanted, deadline_ms, 0, 0, CF_DEADLINE_MS_MAX),
    STRS(struct cf_wanted, albums, album_count, CF_FIELD_REQUIRED | CF_FIELD_RAW, CF_BATCH_MAX,
         CF_ALBUM_WIRE_BYTES_MAX),
};
static const struct cf_field vector_result_fields[] = {
    ERROR(struct cf_vector_result, 0),
    DETAIL(struct cf_vector_result),
    BYTES(struct cf_vector_result, vector, 0, 0),
};
TABLE(vector_result, "vector_ok.results", struct cf_vector_result);
static const struct cf_field vectors_fields[] = {
    SPACE(struct cf_vectors, CF_FIELD_REQUIRED),
    UINT(struct cf_vectors, space_version, CF_FIELD_REQUIRED, 0, 0),
    LIST(struct cf_vectors, results, result_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, vector_result),
};

static const struct cf_field show_fields[] = {
    ALBUM_ASKED(struct cf_show),
};

static const struct cf_field story_space_fields[] = {
    SPACE(struct cf_story_space, CF_FIELD_REQUIRED),
    UINT(struct cf_story_space, generation, 0, 0, 0),
};
TABLE(story_space, "show_ok.spaces", struct cf_story_space);
static const struct cf_field story_fields[] = {
    ALBUM_ID(struct cf_story),
    WORD(struct cf_story, state, CF_FIELD_REQUIRED, state_words),
    VERSION(struct cf_story, 0),
    UINT(struct cf_story, attempts, 0, 0, 0),
    UINT(struct cf_story, priority, CF_FIELD_REQUIRED, 0, CF_PRIORITY_MAX),
    NAME(struct cf_story, worker, 0),
    NAME(struct cf_story, shard, 0),
    UINT(struct cf_story, log_seq, 0, 0, 0),
    BOOL(struct cf_story, constant),
    BOOL(struct cf_story, partial),
    STRS(struct cf_story, warnings, warning_count, CF_FIELD_SENTENCE, CF_META_MAX, CF_TEXT_BYTES_MAX),
    ERROR(struct cf_story, 0),
    DETAIL(struct cf_story),
    STR(struct cf_story, source, 0, 0, CF_PATH_BYTES_MAX),
    SHA256(struct cf_story),
    UINT(struct cf_story, pushed_ms, 0, 0, 0),
    UINT(struct cf_story, settled_ms, 0, 0, 0),
    UINT(struct cf_story, due_ms, 0, 0, 0),
    META(struct cf_story),
    LIST(struct cf_story, spaces, space_count, 0, CF_FLEET_MAX, story_space),
};

/* ---- administration ---- */

static const struct cf_field worker_status_fields[] = {
    NAME(struct cf_worker_status, name, CF_FIELD_REQUIRED),
    WORD(struct cf_worker_status, role, CF_FIELD_REQUIRED, role_words),
    UINT(struct cf_worker_status, pid, 0, 0, 0),
    UINT(struct cf_worker_status, credit, 0, 0, 0),
    UINT(struct cf_worker_status, leased, 0, 0, 0),
    UINT(struct cf_worker_status, done, 0, 0, 0),
    UINT(struct cf_worker_status, failed, 0, 0, 0),
    REAL(struct cf_worker_status, rate, 0, 0, 0),
    UINT(struct cf_worker_status, age_ms, 0, 0, 0),
    UINT(struct cf_worker_status, silent_ms, 0, 0, 0),
    UINT(struct cf_worker_status, unreadable_shards, 0, 0, 0),
};
TABLE(worker_status, "status_ok.workers", struct cf_worker_status);
static const struct cf_field index_status_fields[] = {
    SPACE(struct cf_index_status, CF_FIELD_REQUIRED),    UINT(struct cf_index_status, generation, 0, 0, 0),
    UINT(struct cf_index_status, count, 0, 0, 0),        UINT(struct cf_index_status, build_ms, 0, 0, 0),
    UINT(struct cf_index_status, published_ms, 0, 0, 0), UINT(struct cf_index_status, tail, 0, 0, 0),
    REAL(struct cf_index_status, recall, 0, 0, 1),       UINT(struct cf_index_status, recall_checks, 0, 0, 0),
};
TABLE(index_status, "indexes", struct cf_index_status);
static const struct cf_field status_fields[] = {
    UINT(struct cf_status, queued, 0, 0, 0),
    UINT(struct cf_status, delayed, 0, 0, 0),
    UINT(struct cf_status, leased, 0, 0, 0),
    UINT(struct cf_status, described, 0, 0, 0),
    UINT(struct cf_status, indexed, 0, 0, 0),
    UINT(struct cf_status, dead, 0, 0, 0),
    UINT(struct cf_status, removed, 0, 0, 0),
    UINT(struct cf_status, quarantined, 0, 0, 0),
    UINT(struct cf_status, oldest_ms, 0, 0, 0),
    UINT(struct cf_status, queue_bytes, 0, 0, 0),
    UINT(struct cf_status, queue_jobs_max, 0, 0, 0),
    BOOL(struct cf_status, paused),
    STR(struct cf_status, refusing, 0, 1, CF_NAME_BYTES_MAX),
    LIST(struct cf_status, workers, worker_count, 0, CF_FLEET_MAX, worker_status),
    LIST(struct cf_status, indexes, index_count, 0, CF_FLEET_MAX, index_status),
    UINT(struct cf_status, pushes_accepted, 0, 0, 0),
    UINT(struct cf_status, pushes_unchanged, 0, 0, 0),
    UINT(struct cf_status, pushes_refused, 0, 0, 0),
    UINT(struct cf_status, queries_answered, 0, 0, 0),
    UINT(struct cf_status, queries_failed, 0, 0, 0),
    UINT(struct cf_status, queries_late, 0, 0, 0),
    UINT(struct cf_status, queries_resent, 0, 0, 0),
    UINT(struct cf_status, queries_waiting, 0, 0, 0),
    UINT(struct cf_status, epoch, 0, 0, 0),
    UINT(struct cf_status, uptime_ms, 0, 0, 0),
    UINT(struct cf_status, disk_free_bytes, 0, 0, 0),
    TEXT(struct cf_status, version),
    STRS(struct cf_status, roots, root_count, 0, CF_FLEET_MAX, CF_PATH_BYTES_MAX),
};

static const struct cf_field queue_fields[] = {
    WORD(struct cf_queue, op, CF_FIELD_REQUIRED, queue_op_words),
    WORD(struct cf_queue, state, 0, state_words),
    STRS(struct cf_queue, albums, album_count, CF_FIELD_RAW, CF_BATCH_MAX, CF_ALBUM_WIRE_BYTES_MAX),
    UINT(struct cf_queue, limit, 0, 0, CF_BATCH_MAX),
    UINT(struct cf_queue, after_seq, 0, 0, 0),
};
static const struct cf_field queue_job_fields[] = {
    ALBUM_ID(struct cf_queue_job),
    VERSION(struct cf_queue_job, CF_FIELD_REQUIRED),
    WORD(struct cf_queue_job, state, CF_FIELD_REQUIRED, state_words),
    UINT(struct cf_queue_job, priority, CF_FIELD_REQUIRED, 0, CF_PRIORITY_MAX),
    UINT(struct cf_queue_job, attempts, 0, 0, 0),
    UINT(struct cf_queue_job, due_ms, 0, 0, 0),
    UINT(struct cf_queue_job, pushed_ms, 0, 0, 0),
    UINT(struct cf_queue_job, bytes, 0, 0, 0),
    WORD(struct cf_queue_job, action, CF_FIELD_REQUIRED, action_words),
    NAME(struct cf_queue_job, worker, 0),
    ERROR(struct cf_queue_job, 0),
    DETAIL(struct cf_queue_job),
};
TABLE(queue_job, "queue_ok.jobs", struct cf_queue_job);
static const struct cf_field queue_ok_fields[] = {
    LIST(struct cf_queue_ok, jobs, job_count, 0, CF_BATCH_MAX, queue_job),
    UINT(struct cf_queue_ok, count, CF_FIELD_REQUIRED, 0, 0),
};

static const struct cf_field index_fields[] = {
    WORD(struct cf_index, op, CF_FIELD_REQUIRED, index_op_words),
    SPACE(struct cf_index, 0),
};
static const struct cf_field indexes_fields[] = {
    LIST(struct cf_indexes, indexes, index_count, CF_FIELD_REQUIRED, CF_FLEET_MAX, index_status),
};

static const struct cf_field redescribe_fields[] = {
    WORD(struct cf_redescribe, op, CF_FIELD_REQUIRED, redescribe_op_words),
    STRS(struct cf_redescribe, spaces, space_count, CF_FIELD_RAW, CF_SPACES_MAX, CF_ALBUM_WIRE_BYTES_MAX),
};
static const struct cf_field redescribe_shard_fields[] = {
    NAME(struct cf_redescribe_shard, shard, CF_FIELD_REQUIRED),
    UINT(struct cf_redescribe_shard, total, 0, 0, 0),
    UINT(struct cf_redescribe_shard, done, 0, 0, 0),
    UINT(struct cf_redescribe_shard, no_thumbnail, 0, 0, 0),
    UINT(struct cf_redescribe_shard, failed, 0, 0, 0),
    BOOL(struct cf_redescribe_shard, finished),
};
TABLE(redescribe_shard, "redescribe_ok.shards", struct cf_redescribe_shard);
static const struct cf_field redescribed_fields[] = {
    UINT(struct cf_redescribed, order, 0, 0, 0),
    BOOL(struct cf_redescribed, finished),
    STRS(struct cf_redescribed, spaces, space_count, 0, CF_SPACES_MAX, CF_SPACE_BYTES_MAX),
    LIST(struct cf_redescribed, shards, shard_count, 0, CF_FLEET_MAX, redescribe_shard),
};

/* ---- workers ---- */

static const struct cf_field registration_fields[] = {
    WORD(struct cf_registration, role, CF_FIELD_REQUIRED, role_words),
    NAME(struct cf_registration, name, CF_FIELD_REQUIRED),
    UINT(struct cf_registration, pid, 0, 0, 0),
    UINT(struct cf_registration, instance, 0, 0, 0),
    TEXT(struct cf_registration, host),
    TEXT(struct cf_registration, version),
};
static const struct cf_field registered_fields[] = {
    UINT(struct cf_registered, session, CF_FIELD_REQUIRED, 0, 0),
    UINT(struct cf_registered, heartbeat_ms, CF_FIELD_REQUIRED, 1, CF_DEADLINE_MS_MAX),
    UINT(struct cf_registered, heartbeat_timeout_ms, CF_FIELD_REQUIRED, 1, CF_DEADLINE_MS_MAX),
    UINT(struct cf_registered, lease_ms, CF_FIELD_REQUIRED, 1, CF_DEADLINE_MS_MAX),
};
static const struct cf_field ready_fields[] = {
    UINT(struct cf_ready, credit, CF_FIELD_REQUIRED, 0, CF_CREDIT_MAX),
};

static const struct cf_field job_fields[] = {
    VERSION(struct cf_job, CF_FIELD_REQUIRED),
    ALBUM_ID(struct cf_job),
    WORD(struct cf_job, action, CF_FIELD_REQUIRED, action_words),
    BYTES(struct cf_job, bytes, 0, 0),
    STR(struct cf_job, file, 0, 1, CF_PATH_BYTES_MAX),
    SHA256(struct cf_job),
    META(struct cf_job),
    UINT(struct cf_job, attempt, 0, 0, 0),
};
TABLE(job, "lease.jobs", struct cf_job);
static const struct cf_field lease_fields[] = {
    LIST(struct cf_lease, jobs, job_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, job),
};

static const struct cf_field done_item_fields[] = {
    VERSION(struct cf_done_item, CF_FIELD_REQUIRED),
    ALBUM_ID(struct cf_done_item),
    NAME(struct cf_done_item, shard, 0),
    UINT(struct cf_done_item, log_seq, 0, 0, 0),
    BOOL(struct cf_done_item, constant),
    BOOL(struct cf_done_item, partial),
    STRS(struct cf_done_item, warnings, warning_count, CF_FIELD_SENTENCE, CF_META_MAX, CF_TEXT_BYTES_MAX),
};
TABLE(done_item, "done.items", struct cf_done_item);
static const struct cf_field done_fields[] = {
    LIST(struct cf_done, items, item_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, done_item),
};

static const struct cf_field failed_item_fields[] = {
    VERSION(struct cf_failed_item, CF_FIELD_REQUIRED),
    ALBUM_ID(struct cf_failed_item),
    ERROR(struct cf_failed_item, CF_FIELD_REQUIRED),
    DETAIL(struct cf_failed_item),
    BOOL(struct cf_failed_item, permanent),
    BOOL(struct cf_failed_item, counted),
};
TABLE(failed_item, "failed.items", struct cf_failed_item);
static const struct cf_field failed_fields[] = {
    LIST(struct cf_failed, items, item_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, failed_item),
};

static const struct cf_field heartbeat_fields[] = {
    LIST(struct cf_heartbeat, indexes, index_count, 0, CF_FLEET_MAX, index_status),
    UINT(struct cf_heartbeat, unreadable_shards, 0, 0, 0),
    UINT(struct cf_heartbeat, redescribe_order, 0, 0, 0),
    BOOL(struct cf_heartbeat, adopts),
    LIST(struct cf_heartbeat, redescribed, redescribed_count, 0, CF_FLEET_MAX, redescribe_shard),
};
static const struct cf_field search_fields[] = {
    UINT(struct cf_search, deadline_ms, 0, 0, CF_DEADLINE_MS_MAX),
    ERROR(struct cf_search, 0),
};

static const struct cf_field removed_item_fields[] = {
    ALBUM_ID(struct cf_removed_item),
    VERSION(struct cf_removed_item, CF_FIELD_REQUIRED),
};
TABLE(removed_item, "removed.items", struct cf_removed_item);
static const struct cf_field removed_fields[] = {
    LIST(struct cf_removed, items, item_count, CF_FIELD_REQUIRED, CF_BATCH_MAX, removed_item),
};

static const struct cf_field watermark_fields[] = {
    NAME(struct cf_watermark, shard, CF_FIELD_REQUIRED),
    UINT(struct cf_watermark, log_seq, CF_FIELD_REQUIRED, 0, 0),
};
TABLE(watermark, "published.watermarks", struct cf_watermark);
static const struct cf_field published_fields[] = {
    SPACE(struct cf_published, CF_FIELD_REQUIRED),
    UINT(struct cf_published, generation, CF_FIELD_REQUIRED, 0, 0),
    UINT(struct cf_published, count, 0, 0, 0),
    UINT(struct cf_published, build_ms, 0, 0, 0),
    UINT(struct cf_published, published_ms, 0, 0, 0),
    LIST(struct cf_published, watermarks, watermark_count, 0, CF_FLEET_MAX, watermark),
};
static const struct cf_field rebuild_fields[] = {
    SPACE(struct cf_rebuild, 0),
    UINT(struct cf_rebuild, redescribed, 0, 0, 0),
};

static const struct cf_field redescribe_order_fields[] = {
    UINT(struct cf_redescribe_order, order, CF_FIELD_REQUIRED, 1, 0),
    STRS(struct cf_redescribe_order, spaces, space_count, CF_FIELD_REQUIRED, CF_SPACES_MAX,
         CF_SPACE_BYTES_MAX),
    BOOL(struct cf_redescribe_order, adopts),
};

static const struct cf_field event_fields[] = {
    NAME(struct cf_event, event, CF_FIELD_REQUIRED),
    UINT(struct cf_event, at_ms, 0, 0, 0),
    STR(struct cf_event, album, 0, 1, CF_ALBUM_BYTES_MAX),
    VERSION(struct cf_event, 0),
    NAME(struct cf_event, worker, 0),
    ERROR(struct cf_event, 0),
    SPACE(struct cf_event, 0),
    UINT(struct cf_event, generation, 0, 0, 0),
};

/* A kind without fields: the one entry, without a key, is not counted. */
static const struct cf_field empty_fields[] = {{0}};

#define FIELD_COUNT(fields) (sizeof(fields) / sizeof(fields)[0] - (&(fields)[0] == &empty_fields[0]))

static const struct cf_table tables[CF_KIND_COUNT] = {
#define KIND_TABLE(constant, wire_name, member)                                                              \
    [constant] = {.name = wire_name,                                                                         \
                  .size = sizeof((struct cf_msg *)0)->member,                                                \
                  .fields = member##_fields,                                                                 \
                  .field_count = FIELD_COUNT(member##_fields)},
    CF_KIND_LIST(KIND_TABLE)
#undef KIND_TABLE
};

static const size_t offsets[CF_KIND_COUNT] = {
#define KIND_OFFSET(constant, wire_name, member) [constant] = offsetof(struct cf_msg, member),
    CF_KIND_LIST(KIND_OFFSET)
#undef KIND_OFFSET
};

const struct cf_table *cf_msg_table(enum cf_kind kind)
{
    CF_CHECK((unsigned)kind < CF_KIND_COUNT);
    return &tables[kind];
}

size_t cf_msg_offset(enum cf_kind kind)
{
    CF_CHECK((unsigned)kind < CF_KIND_COUNT);
    return offsets[kind];
}
