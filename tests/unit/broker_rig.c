#include "tests/unit/broker_rig.h"

static struct cf_bytes peer_of(const char *peer)
{
    return (struct cf_bytes){(const uint8_t *)peer, strlen(peer)};
}

static void start(struct rig *rig)
{
    struct cf_store store = model_store(rig->model);
    CF_CHECK(cf_core_new(&rig->config, &store, rig->now, &rig->core) == CF_OK);
    CF_CHECK(cf_core_load(rig->core, rig->now, &rig->out, NULL) == CF_OK);
}

void rig_init(struct rig *rig)
{
    static const struct cf_str roots[] = {{"/covers", 7}};
    memset(rig, 0, sizeof *rig);
    rig->config = (struct cf_core_config){
        .queue_jobs_max = 4,
        .queue_bytes_max = 100,
        .lease_ms = 1000,
        .attempts_max = 3,
        .retry_base_ms = 100,
        .retry_cap_ms = 400,
        .heartbeat_ms = 100,
        .heartbeat_timeout_ms = 1000,
        .disk_reserve_bytes = 1000,
        .query_deadline_ms = 500,
        .query_outstanding_max = 2,
        .query_waiting_max = 2,
        .query_bytes_max = 1000,
        .image_bytes_max = 50,
        .image_limit = cf_str("image.bytes_max"),
        .quarantine_max = 3,
        .roots = roots,
        .root_count = 1,
        .spaces = {cf_str("gray16"), cf_str("gist")},
        .space_count = 2,
        .version = cf_str("test"),
        .seed = 1,
    };
    rig->now = (struct cf_now){5000, 1700000000000};
    rig->model = model_new(77);
    CF_CHECK(cf_out_init(&rig->out) == CF_OK);
    start(rig);
}

void rig_fini(struct rig *rig)
{
    cf_core_free(rig->core);
    model_free(rig->model);
    cf_out_fini(&rig->out);
}

void rig_restart(struct rig *rig)
{
    cf_core_free(rig->core);
    cf_out_reset(&rig->out);
    start(rig);
}

static void begin(struct rig *rig)
{
    if (rig->fresh)
        cf_out_reset(&rig->out);
    rig->fresh = false;
}

void rig_client(struct rig *rig, const struct cf_msg *msg)
{
    begin(rig);
    cf_core_client(rig->core, rig->now, peer_of("client"), msg, peer_of("the query"), &rig->out);
}

void rig_worker_body(struct rig *rig, const char *peer, const struct cf_msg *msg, const char *body)
{
    begin(rig);
    cf_core_worker(rig->core, rig->now, peer_of(peer), msg, peer_of(body), &rig->out);
}

void rig_worker(struct rig *rig, const char *peer, const struct cf_msg *msg)
{
    rig_worker_body(rig, peer, msg, "");
}

void rig_run(struct rig *rig, uint64_t ms)
{
    begin(rig);
    rig->now.mono_ms += ms;
    rig->now.wall_ms += ms;
    (void)cf_core_run(rig->core, rig->now, &rig->out);
    if (!rig->out.err)
        model_commit(rig->model, rig->out.sync);
    rig->fresh = true;
}

const struct cf_out_item *rig_out(const struct rig *rig, enum cf_kind kind, size_t i)
{
    for (size_t at = 0; at < rig->out.count; at++)
        if (rig->out.items[at].msg.kind == kind && i-- == 0)
            return &rig->out.items[at];
    return NULL;
}

size_t rig_events(const struct rig *rig, const char *event)
{
    size_t count = 0;
    for (size_t at = 0; at < rig->out.count; at++)
        count +=
            rig->out.items[at].to == CF_OUT_EVENT && cf_str_is(rig->out.items[at].msg.event.event, event);
    return count;
}

static struct cf_result first_result(const struct rig *rig, enum cf_kind kind)
{
    const struct cf_out_item *item = rig_out(rig, kind, 0);
    CF_CHECK(item && item->msg.results.result_count == 1);
    return item->msg.results.results[0];
}

struct cf_result rig_push_item(struct rig *rig, struct cf_push_item item)
{
    const struct cf_msg msg = {.kind = CF_KIND_PUSH, .id = 1, .push = {.items = &item, .item_count = 1}};
    rig_client(rig, &msg);
    rig_run(rig, 1);
    return first_result(rig, CF_KIND_PUSH_OK);
}

struct cf_result rig_push(struct rig *rig, const char *album, const char *bytes)
{
    return rig_push_item(
        rig, (struct cf_push_item){.album = cf_str(album), .bytes = peer_of(bytes), .priority = 5});
}

struct cf_result rig_remove(struct rig *rig, const char *album)
{
    struct cf_str id = cf_str(album);
    const struct cf_msg msg = {.kind = CF_KIND_REMOVE, .id = 1, .albums = {.albums = &id, .album_count = 1}};
    rig_client(rig, &msg);
    rig_run(rig, 1);
    return first_result(rig, CF_KIND_REMOVE_OK);
}

enum cf_state rig_state(struct rig *rig, const char *album)
{
    struct cf_str id = cf_str(album);
    struct cf_out out;
    CF_CHECK(cf_out_init(&out) == CF_OK);
    const struct cf_msg msg = {.kind = CF_KIND_STATES, .albums = {.albums = &id, .album_count = 1}};
    cf_core_client(rig->core, rig->now, peer_of("client"), &msg, (struct cf_bytes){0}, &out);
    CF_CHECK(out.count == 1 && out.items[0].msg.states.state_count == 1);
    int state = out.items[0].msg.states.states[0].state;
    cf_out_fini(&out);
    return (enum cf_state)state;
}

struct cf_status rig_status(struct rig *rig)
{
    struct cf_status status;
    begin(rig);
    cf_core_status(rig->core, rig->now, &status, &rig->out);
    return status;
}

struct cf_queue_ok rig_queue(struct rig *rig, struct cf_queue queue)
{
    const struct cf_msg msg = {.kind = CF_KIND_QUEUE, .id = 1, .queue = queue};
    rig_client(rig, &msg);
    rig_run(rig, 1);
    const struct cf_out_item *item = rig_out(rig, CF_KIND_QUEUE_OK, 0);
    return item ? item->msg.queue_ok : (struct cf_queue_ok){.count = UINT64_MAX};
}

void rig_register(struct rig *rig, const char *peer, const char *name, enum cf_role role, uint64_t pid,
                  uint64_t credit)
{
    const struct cf_msg registration = {.kind = CF_KIND_REGISTER,
                                        .registration = {.role = role, .name = cf_str(name), .pid = pid}};
    const struct cf_msg ready = {.kind = CF_KIND_READY, .ready = {credit}};
    rig_worker(rig, peer, &registration);
    if (role == CF_ROLE_DESCRIPTOR)
        rig_worker(rig, peer, &ready);
    rig_run(rig, 1);
}

void rig_heartbeat(struct rig *rig, const char *peer)
{
    const struct cf_msg msg = {.kind = CF_KIND_HEARTBEAT};
    rig_worker(rig, peer, &msg);
}

void rig_done(struct rig *rig, const char *peer, struct cf_version version, const char *album,
              uint64_t log_seq)
{
    struct cf_done_item item = {
        .version = version, .album = cf_str(album), .shard = cf_str("descriptor-0"), .log_seq = log_seq};
    const struct cf_msg msg = {.kind = CF_KIND_DONE, .done = {&item, 1}};
    rig_worker(rig, peer, &msg);
    rig_run(rig, 1);
}

void rig_failed(struct rig *rig, const char *peer, struct cf_version version, const char *album,
                bool permanent, bool counted)
{
    struct cf_failed_item item = {.version = version,
                                  .album = cf_str(album),
                                  .error = cf_str("not_an_image"),
                                  .detail = cf_str("no picture"),
                                  .permanent = permanent,
                                  .counted = counted};
    const struct cf_msg msg = {.kind = CF_KIND_FAILED, .failed = {&item, 1}};
    rig_worker(rig, peer, &msg);
    rig_run(rig, 1);
}

void rig_published(struct rig *rig, const char *peer, const char *space, uint64_t log_seq)
{
    struct cf_watermark watermark = {cf_str("descriptor-0"), log_seq};
    const struct cf_msg msg = {
        .kind = CF_KIND_PUBLISHED,
        .published = {
            .space = cf_str(space), .generation = log_seq, .watermarks = &watermark, .watermark_count = 1}};
    rig_worker(rig, peer, &msg);
    rig_run(rig, 1);
}

void rig_query(struct rig *rig, uint64_t id, uint64_t deadline_ms, bool image)
{
    struct cf_target target = {.album = cf_str("a")};
    if (image)
        target = (struct cf_target){.image = peer_of("picture")};
    const struct cf_msg msg = {.kind = CF_KIND_QUERY,
                               .id = id,
                               .query = {.space = cf_str("gist"),
                                         .k = 1,
                                         .deadline_ms = deadline_ms,
                                         .targets = &target,
                                         .target_count = 1}};
    rig_client(rig, &msg);
}
