/* What the fleet says, as JSON and as text for people. Shapes of JSON are fixed: scripts read them. Pure but
 * for the stream; any reply that decodes is valid input. */
#ifndef CF_CLI_VIEW_H
#define CF_CLI_VIEW_H

#include "deploy/cli/json.h"
#include "proto/msg.h"

/* `{"albums":{…},"queue":{…},"workers":[…],"indexes":[…],"queries":{…},…}` */
void cf_view_status_json(struct cf_json *json, const struct cf_status *status);
enum cf_err cf_view_status_text(const struct cf_status *status, FILE *out) CF_MUST_CHECK;

/* `{"indexes":[…]}` */
void cf_view_indexes_json(struct cf_json *json, const struct cf_index_status *indexes, size_t count);
enum cf_err cf_view_indexes_text(const struct cf_index_status *indexes, size_t count,
                                 FILE *out) CF_MUST_CHECK;

/* Members of the object that is open: `"order":…,"finished":…,"spaces":[…],"total":…,…,"shards":[…]`. */
void cf_view_redescribed_json(struct cf_json *json, const struct cf_redescribed *redescribed);
void cf_view_redescribed_text(const struct cf_redescribed *redescribed, FILE *out);

void cf_view_story_json(struct cf_json *json, const struct cf_story *story);
void cf_view_story_text(const struct cf_story *story, FILE *out);

/* A job of the queue into the array that is open. */
void cf_view_job_json(struct cf_json *json, const struct cf_queue_job *job);
/* `now_ms`: wall clock, for ages. */
enum cf_err cf_view_jobs_text(const struct cf_queue_job *jobs, size_t count, uint64_t now_ms,
                              FILE *out) CF_MUST_CHECK;

/* What several messages answered: "exact" only when all were, "stale_ms" of the stalest, the oldest
 * generation. */
struct cf_answer_whole {
    struct cf_str space;
    uint64_t generation, stale_ms, unreadable_shards;
    bool exact;
};
/* `{"space":…,"generation":…,"exact":…,"stale_ms":…` (`,"unreadable_shards":…` when there are any) and the
 * object stays open. */
void cf_view_answer_json(struct cf_json *json, const struct cf_answer_whole *whole);
/* `"neighbors":[{"album":…,"distance":…,"title":…,"artist":…},…]`, artist and genre only when there is one,
 * and
 * `"same_count":…,"same":[…]` of one that stands for others, or
 * `"error":…,"detail":…`, into the object that is open. `sure`: distances are those of a space in which it is
 * known how sure sameness is (sure.h); then each has `"cosine":…,"sure":"same"` behind the distance. */
void cf_view_result_json(struct cf_json *json, const struct cf_answer_result *result, bool sure);
enum cf_err cf_view_neighbors_text(const struct cf_neighbor *neighbors, size_t count, bool sure,
                                   FILE *out) CF_MUST_CHECK;
/* Whose cover is it? A line for people and `"verdict":"same"` of the nearest, by sure.h. */
void cf_view_verdict_text(const struct cf_answer_result *result, FILE *out);
void cf_view_verdict_json(struct cf_json *json, const struct cf_answer_result *result);
void cf_view_answer_text(const struct cf_answer_whole *whole, FILE *out);

#endif
