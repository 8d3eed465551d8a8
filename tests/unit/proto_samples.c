#include "tests/unit/proto_samples.h"

#define S(text)                                                                                              \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }
#define B(text)                                                                                              \
    {                                                                                                        \
        (const uint8_t *)(text), sizeof(text) - 1                                                            \
    }
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char digest[] = "0123456789abcdef0123456789ABCDEF";

static struct cf_pair meta[] = {{S("artist"), S("Basic Channel")}, {S("title"), S("Ph\xc3\xb6n")}};
static struct cf_str albums[] = {S("R-1"), S("R-2")};
static struct cf_str asked[] = {S("R-1"),
                                S("\xff")}; /* not UTF-8: its own entry's fault, not the message's */
static struct cf_str warnings[] = {S("truncated: 12 of 64 rows are grey")};
static struct cf_str roots[] = {S("/srv/covers")};

static struct cf_push_item push_items[] = {
    {.album = S("R-1"),
     .bytes = B("\xff\xd8\xff"),
     .sha256 = B(digest),
     .meta = meta,
     .meta_count = 2,
     .priority = 5},
    {.album = S("R-2"), .file = S("/srv/covers/2.jpg"), .priority = 0, .delay_ms = 60000},
};
static struct cf_result results[] = {
    {.status = CF_PUSH_ACCEPTED, .version = {1, 300}},
    {.status = CF_PUSH_UNCHANGED, .version = {1, 7}},
    {.status = CF_PUSH_REFUSED, .error = S("bad_album"), .detail = S("an album id has 1 to 255 bytes")},
};
static struct cf_album_state states[] = {
    {.state = CF_STATE_NONE},
    {.state = CF_STATE_INDEXED, .version = {1, 300}},
    {.state = CF_STATE_DEAD, .version = {1, 301}, .error = S("not_an_image")},
};
static struct cf_space_vector space_vectors[] = {
    {.space = S("gist"), .vector = B("\x00\x00\x80\x3f\x00\x00\x00\xbf")},
    {.space = S("gray16"), .vector = B("\x00\x00\x00\x40")},
};
static struct cf_str wanted_artists[] = {S("Basic Channel"), S("Maurizio")};
static struct cf_filter filters[] = {{.key = S("artist"), .values = wanted_artists, .value_count = 2},
                                     {.key = S("genre"), .values = wanted_artists, .value_count = 1}};
static struct cf_weight weights[] = {{.space = S("gist"), .weight = 2},
                                     {.space = S("gray16"), .weight = 0.5}};
static struct cf_target targets[] = {
    {.album = S("R-1")},
    {.image = B("\xff\xd8\xff")},
    {.vector = B("\x00\x00\x80\x3f\x00\x00\x00\xbf")}, /* 1.0, -0.5 */
    {.vectors = space_vectors, .vector_count = 2},
};
static struct cf_neighbor neighbors[] = {
    {.album = S("R-9"),
     .distance = 0.25,
     .title = S("Ph\xc3\xb6n"),
     .artist = S("Basic Channel"),
     .genre = S("Dub Techno"),
     .same = albums,
     .same_listed = 2,
     .same_count = 70},
    {.album = S("R-4"), .distance = 1.5},
};
static struct cf_answer_result answers[] = {
    {.neighbors = neighbors, .neighbor_count = COUNT(neighbors)},
    {.error = S("bad_vector"), .detail = S("the vector has 8 bytes: gist needs 3840")},
};
static struct cf_vector_result vector_results[] = {
    {.vector = B("\x00\x00\x80\x3f\x00\x00\x00\xbf")},
    {.error = S("not_found"), .detail = S("album \"R-2\" is not known")},
};
static struct cf_story_space spaces[] = {{.space = S("gist"), .generation = 12}, {.space = S("gray16")}};
static struct cf_worker_status workers[] = {
    {.name = S("descriptor-0"),
     .role = CF_ROLE_DESCRIPTOR,
     .pid = 4711,
     .credit = 64,
     .leased = 3,
     .done = 3007,
     .failed = 1,
     .rate = 812.5,
     .age_ms = 65000,
     .silent_ms = 120},
    {.name = S("query-0"), .role = CF_ROLE_QUERY},
};
static struct cf_str redescribe_spaces[] = {S("copy"), S("style")};
static struct cf_redescribe_shard redescribed[] = {{S("descriptor-0"), 3007, 3000, 5, 2, true}};
static struct cf_index_status indexes[] = {{.space = S("gist"),
                                            .generation = 12,
                                            .count = 3007,
                                            .build_ms = 840,
                                            .published_ms = 1700000000000,
                                            .tail = 5,
                                            .recall = 0.9625,
                                            .recall_checks = 40}};
static struct cf_queue_job queue_jobs[] = {
    {.album = S("R-3"),
     .version = {1, 301},
     .state = CF_STATE_DEAD,
     .priority = 5,
     .attempts = 5,
     .due_ms = 1700000000500,
     .pushed_ms = 1700000000000,
     .bytes = 20480,
     .action = CF_ACTION_DESCRIBE,
     .worker = S("descriptor-0"),
     .error = S("not_an_image"),
     .detail = S("neither JPEG nor PNM")},
    {.album = S("R-4"),
     .version = {1, 302},
     .state = CF_STATE_QUEUED,
     .priority = 0,
     .action = CF_ACTION_REMOVE},
};
static struct cf_job jobs[] = {
    {.version = {1, 300},
     .album = S("R-1"),
     .bytes = B("\xff\xd8\xff"),
     .sha256 = B(digest),
     .meta = meta,
     .meta_count = 2,
     .attempt = 1},
    {.version = {1, 301}, .album = S("R-2"), .file = S("/srv/covers/2.jpg"), .attempt = 2},
    {.version = {1, 302}, .album = S("R-3"), .action = CF_ACTION_REMOVE, .attempt = 1},
};
static struct cf_done_item done_items[] = {
    {.version = {1, 300},
     .album = S("R-1"),
     .shard = S("descriptor-0"),
     .log_seq = 41,
     .constant = true,
     .partial = true,
     .warnings = warnings,
     .warning_count = 1},
    {.version = {1, 302}, .album = S("R-3"), .shard = S("descriptor-0"), .log_seq = 42},
};
static struct cf_failed_item failed_items[] = {
    {.version = {1, 301},
     .album = S("R-2"),
     .error = S("not_an_image"),
     .detail = S("neither JPEG nor PNM"),
     .permanent = true,
     .counted = true},
    {.version = {1, 303}, .album = S("R-4"), .error = S("shutting_down")},
};
static struct cf_removed_item removed_items[] = {{.album = S("R-3"), .version = {1, 302}}};
static struct cf_watermark watermarks[] = {{S("descriptor-0"), 41}, {S("descriptor-1"), 0}};

static const struct cf_story story = {
    .album = S("R-1"),
    .state = CF_STATE_INDEXED,
    .version = {1, 300},
    .attempts = 1,
    .priority = 5,
    .worker = S("descriptor-0"),
    .shard = S("descriptor-0"),
    .log_seq = 41,
    .constant = true,
    .partial = true,
    .warnings = warnings,
    .warning_count = 1,
    .error = S("timeout"),
    .detail = S("the first attempt took too long"),
    .source = S("bytes"),
    .sha256 = B(digest),
    .pushed_ms = 1700000000000,
    .settled_ms = 1700000000900,
    .due_ms = 1700000000100,
    .meta = meta,
    .meta_count = 2,
    .spaces = spaces,
    .space_count = 2,
};

static const struct cf_status status = {
    .queued = 1,
    .delayed = 2,
    .leased = 3,
    .described = 4,
    .indexed = 3000,
    .dead = 5,
    .removed = 6,
    .quarantined = 2,
    .oldest_ms = 1500,
    .queue_bytes = 65536,
    .queue_jobs_max = 1000000,
    .paused = true,
    .refusing = S("disk_full"),
    .workers = workers,
    .worker_count = COUNT(workers),
    .indexes = indexes,
    .index_count = 1,
    .pushes_accepted = 3021,
    .pushes_unchanged = 7,
    .pushes_refused = 8,
    .queries_answered = 9,
    .queries_failed = 10,
    .queries_late = 11,
    .queries_resent = 12,
    .queries_waiting = 13,
    .epoch = 1,
    .uptime_ms = 86400000,
    .disk_free_bytes = 1099511627776,
    .version = S("0.1.0"),
    .roots = roots,
    .root_count = 1,
};

static const struct cf_msg samples[CF_KIND_COUNT] = {
    [CF_KIND_ERROR] = {.id = 9, .error = {S("busy"), S("the queue is full: try later")}},
    [CF_KIND_PUSH] = {.id = 1, .push = {.items = push_items, .item_count = COUNT(push_items)}},
    [CF_KIND_PUSH_OK] = {.id = 1, .results = {results, COUNT(results)}},
    [CF_KIND_REMOVE] = {.id = 2, .albums = {.albums = asked, .album_count = COUNT(asked)}},
    [CF_KIND_REMOVE_OK] = {.id = 2, .results = {results, 1}},
    [CF_KIND_STATES] = {.id = 3, .albums = {.albums = albums, .album_count = COUNT(albums)}},
    [CF_KIND_STATES_OK] = {.id = 3, .states = {states, COUNT(states)}},
    [CF_KIND_QUERY] = {.id = 4,
                       .query = {.space = S("gist"),
                                 .k = 10,
                                 .recall = 0.95,
                                 .deadline_ms = 500,
                                 .exact = true,
                                 .include_self = true,
                                 .radius = 1.5,
                                 .collapse = 0.125,
                                 .collapse_space = S("copy"),
                                 .exclude = albums,
                                 .exclude_count = COUNT(albums),
                                 .filters = filters,
                                 .filter_count = COUNT(filters),
                                 .spaces = weights,
                                 .space_count = COUNT(weights),
                                 .targets = targets,
                                 .target_count = COUNT(targets)}},
    [CF_KIND_QUERY_OK] = {.id = 4,
                          .answer = {.space = S("gist"),
                                     .generation = 12,
                                     .exact = true,
                                     .stale_ms = 20,
                                     .results = answers,
                                     .result_count = COUNT(answers)}},
    [CF_KIND_VECTOR] =
        {.id = 15,
         .wanted = {.space = S("gist"), .deadline_ms = 500, .albums = albums, .album_count = COUNT(albums)}},
    [CF_KIND_VECTOR_OK] = {.id = 15,
                           .vectors = {.space = S("gist"),
                                       .space_version = 1,
                                       .results = vector_results,
                                       .result_count = COUNT(vector_results)}},
    [CF_KIND_SHOW] = {.id = 5, .show = {S("R-1")}},
    [CF_KIND_STATUS] = {.id = 6},
    [CF_KIND_QUEUE] = {.id = 7,
                       .queue = {.op = CF_QUEUE_RETRY,
                                 .state = CF_STATE_DEAD,
                                 .albums = albums,
                                 .album_count = COUNT(albums),
                                 .limit = 100,
                                 .after_seq = 300}},
    [CF_KIND_QUEUE_OK] = {.id = 7, .queue_ok = {queue_jobs, COUNT(queue_jobs), 2}},
    [CF_KIND_INDEX] = {.id = 8, .index = {CF_INDEX_REBUILD, S("gist")}},
    [CF_KIND_INDEX_OK] = {.id = 8, .indexes = {indexes, 1}},
    [CF_KIND_REDESCRIBE] = {.id = 16,
                            .redescribe = {CF_REDESCRIBE_START, redescribe_spaces, COUNT(redescribe_spaces)}},
    [CF_KIND_REDESCRIBE_OK] = {.id = 16,
                               .redescribed = {1700000000000, true, redescribe_spaces,
                                               COUNT(redescribe_spaces), redescribed, COUNT(redescribed)}},
    [CF_KIND_REGISTER] = {.id = 10,
                          .registration = {CF_ROLE_DESCRIPTOR, S("descriptor-0"), 4711, S("host-a"),
                                           S("0.1.0")}},
    [CF_KIND_REGISTERED] = {.id = 10, .registered = {77, 250, 2000, 30000}},
    [CF_KIND_UNREGISTERED] = {.id = 11},
    [CF_KIND_READY] = {.ready = {64}},
    [CF_KIND_LEASE] = {.lease = {jobs, COUNT(jobs)}},
    [CF_KIND_DONE] = {.done = {done_items, COUNT(done_items)}},
    [CF_KIND_FAILED] = {.failed = {failed_items, COUNT(failed_items)}},
    [CF_KIND_HEARTBEAT] = {.id = 12, .heartbeat = {indexes, 1}},
    [CF_KIND_GOODBYE] = {.id = 13},
    [CF_KIND_GOODBYE_OK] = {.id = 13},
    [CF_KIND_SEARCH] = {.id = 14, .search = {.deadline_ms = 480}},
    [CF_KIND_SEARCH_DONE] = {.id = 14, .search = {.error = S("unknown_space")}},
    [CF_KIND_REMOVED] = {.removed = {removed_items, 1}},
    [CF_KIND_PUBLISHED] = {.published = {S("gist"), 12, 3007, 840, 1700000000000, watermarks,
                                         COUNT(watermarks)}},
    [CF_KIND_REBUILD] = {.rebuild = {S("gist")}},
    [CF_KIND_REDESCRIBE_ORDER] = {.redescribe_order = {1700000000000, redescribe_spaces,
                                                       COUNT(redescribe_spaces), true}},
    [CF_KIND_EVENT] = {.event = {.event = S("stored"),
                                 .at_ms = 1700000000900,
                                 .album = S("R-1"),
                                 .version = {1, 300},
                                 .worker = S("descriptor-0"),
                                 .error = S("timeout"),
                                 .space = S("gist"),
                                 .generation = 12}},
};

struct cf_msg sample_message(enum cf_kind kind)
{
    struct cf_msg msg = samples[kind];
    msg.kind = kind;
    if (kind == CF_KIND_SHOW_OK)
        msg = (struct cf_msg){.kind = kind, .id = 5, .story = story};
    if (kind == CF_KIND_STATUS_OK)
        msg = (struct cf_msg){.kind = kind, .id = 6, .status = status};
    return msg;
}
