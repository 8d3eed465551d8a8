/* Who lives around the broker. */
#include <stdio.h>

#include "tests/sim/broker_sim.h"

static const struct cf_bytes no_body = {0};

/* ---- workers in general ---- */

static const char *const role_names[] = {"producer", "descriptor", "query", "indexer", "asker"};

static enum cf_role role_of(const struct actor *actor)
{
    return actor->kind == DESCRIPTOR ? CF_ROLE_DESCRIPTOR
           : actor->kind == QUERIER  ? CF_ROLE_QUERY
                                     : CF_ROLE_INDEXER;
}

static bool is_worker(const struct actor *actor)
{
    return actor->kind == DESCRIPTOR || actor->kind == QUERIER || actor->kind == INDEXER;
}

static void slot_name(const struct actor *actor, char name[32])
{
    snprintf(name, 32, "%s-%d", role_names[actor->kind], actor->index);
}

void actor_start(struct sim *sim, struct actor *actor)
{
    actor->alive = true;
    actor->registered = false;
    actor->incarnation++;
    actor->held_count = 0;
    actor->out_ms = actor->in_ms = 0;
    actor->heard_ms = sim->now.mono_ms;
    actor->beat_ms = 0;
    actor->next_ms = sim->now.mono_ms + sim_below(sim, 50);
}

static void actor_die(struct sim *sim, struct actor *actor)
{
    sim->deaths++;
    actor->alive = false;
    actor->back_ms = sim->now.mono_ms + 10 + sim_below(sim, sim->chaos ? 800 : 100);
}

static void send_registration(struct sim *sim, struct actor *actor)
{
    char name[32];
    slot_name(actor, name);
    const struct cf_msg msg = {
        .kind = CF_KIND_REGISTER,
        .registration = {.role = role_of(actor), .name = cf_str(name), .pid = (uint64_t)actor->incarnation}};
    actor->registered = false;
    sim_send(sim, actor, &msg, no_body);
}

static void worker_beat(struct sim *sim, struct actor *actor)
{
    if (sim->now.mono_ms < actor->beat_ms)
        return;
    actor->beat_ms = sim->now.mono_ms + HEARTBEAT_MS;
    if (!actor->registered || sim->now.mono_ms - actor->heard_ms > HEARTBEAT_TIMEOUT_MS) {
        send_registration(sim, actor);
        return;
    }
    const struct cf_msg msg = {.kind = CF_KIND_HEARTBEAT};
    sim_send(sim, actor, &msg, no_body);
}

/* ---- descriptor ---- */

static void shard_put(struct actor *actor, const struct held *job)
{
    struct rest *rest = &actor->shard[job->album];
    if (cf_version_compare(rest->version, job->version) == 0)
        return;
    rest->version = job->version;
    rest->removed = job->action == CF_ACTION_REMOVE;
    rest->log_seq = ++actor->log_seq;
}

static void send_done(struct sim *sim, struct actor *actor, const struct held *job)
{
    char name[32];
    slot_name(actor, name);
    struct cf_done_item item = {.version = job->version,
                                .album = sim_album_id(job->album),
                                .shard = cf_str(name),
                                .log_seq = actor->shard[job->album].log_seq};
    const struct cf_msg msg = {.kind = CF_KIND_DONE, .done = {&item, 1}};
    sim_send(sim, actor, &msg, no_body);
}

static void send_failed(struct sim *sim, struct actor *actor, const struct held *job, enum cf_err err,
                        bool permanent, bool counted)
{
    struct cf_failed_item item = {.version = job->version,
                                  .album = sim_album_id(job->album),
                                  .error = cf_str(cf_err_name(err)),
                                  .detail = cf_str("by the simulator"),
                                  .permanent = permanent,
                                  .counted = counted};
    const struct cf_msg msg = {.kind = CF_KIND_FAILED, .failed = {&item, 1}};
    sim_send(sim, actor, &msg, no_body);
}

/* False when it died of it. */
static bool work_on(struct sim *sim, struct actor *actor, const struct held *job)
{
    if (cf_version_compare(actor->shard[job->album].version, job->version) > 0) {
        send_failed(sim, actor, job, CF_E_SUPERSEDED, true, false);
        return true;
    }
    if (job->action == CF_ACTION_DESCRIBE && job->content == 'p') {
        actor_die(sim, actor);
        return false;
    }
    if (job->action == CF_ACTION_DESCRIBE && job->content == 'b')
        send_failed(sim, actor, job, CF_E_NOT_AN_IMAGE, true, true);
    else if (job->action == CF_ACTION_DESCRIBE && job->content == 'f' && sim_chance(sim, 60))
        send_failed(sim, actor, job, CF_E_TIMEOUT, false, true);
    else if (job->action == CF_ACTION_DESCRIBE && job->content == 't')
        send_failed(sim, actor, job, CF_E_TIMEOUT, false, true);
    else if (job->action == CF_ACTION_DESCRIBE && job->content == 'd')
        send_failed(sim, actor, job, CF_E_DECODER_DIED, false, true);
    else if (job->action == CF_ACTION_DESCRIBE && job->content == 's')
        return true; /* stalls: its lease runs out */
    else if (sim->chaos && sim_chance(sim, 5))
        send_failed(sim, actor, job, CF_E_SHUTTING_DOWN, false, false);
    else {
        shard_put(actor, job);
        send_done(sim, actor, job);
    }
    return true;
}

static void descriptor_step(struct sim *sim, struct actor *actor)
{
    for (int i = 0; i < actor->held_count;) {
        struct held job = actor->held[i];
        if (job.ready_ms > sim->now.mono_ms) {
            i++;
            continue;
        }
        actor->held[i] = actor->held[--actor->held_count];
        if (!work_on(sim, actor, &job))
            return;
    }
}

static void descriptor_lease(struct sim *sim, struct actor *actor, const struct cf_lease *lease)
{
    for (size_t i = 0; i < lease->job_count && actor->held_count < HELD_MAX; i++) {
        const struct cf_job *job = &lease->jobs[i];
        bool held = false;
        for (int h = 0; h < actor->held_count; h++)
            held |= cf_version_compare(actor->held[h].version, job->version) == 0;
        if (held)
            continue;
        if (job->action == CF_ACTION_DESCRIBE && job->bytes.len == 0)
            sim_break(sim, "a lease without its picture");
        actor->held[actor->held_count++] = (struct held){
            .version = job->version,
            .album = sim_album(job->album),
            .action = job->action,
            .content = job->bytes.len ? (char)job->bytes.data[0] : 0,
            .ready_ms = sim->now.mono_ms + 5 + sim_below(sim, 60),
        };
    }
}

/* ---- query worker ---- */

static void querier_search(struct sim *sim, struct actor *actor, const struct cf_msg *msg,
                           struct cf_bytes body)
{
    struct cf_msg query;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf answer;
    cf_buf_init(&answer);
    CF_CHECK(arena && cf_msg_decode(body, arena, &query, NULL) == CF_OK);
    const struct cf_msg reply = {
        .kind = CF_KIND_QUERY_OK, .id = query.id, .answer = {.space = cf_str("gist")}};
    CF_CHECK(cf_msg_encode(&reply, &answer, NULL) == CF_OK);
    const struct cf_msg done = {.kind = CF_KIND_SEARCH_DONE, .id = msg->id};
    sim_send(sim, actor, &done, cf_buf_bytes(&answer));
    cf_buf_fini(&answer);
    cf_arena_free(arena);
}

/* ---- indexer ---- */

static void indexer_step(struct sim *sim, struct actor *actor)
{
    if (!actor->registered || sim->now.mono_ms < actor->next_ms)
        return;
    actor->next_ms = sim->now.mono_ms + 100 + sim_below(sim, 400);
    struct cf_watermark watermarks[DESCRIPTORS];
    char names[DESCRIPTORS][32];
    size_t count = 0;
    for (int i = 0; i < ACTORS; i++)
        if (sim->actors[i].kind == DESCRIPTOR) {
            slot_name(&sim->actors[i], names[count]);
            watermarks[count].shard = cf_str(names[count]);
            watermarks[count].log_seq = sim->actors[i].log_seq;
            count++;
        }
    const struct cf_msg msg = {.kind = CF_KIND_PUBLISHED,
                               .published = {.space = cf_str(sim_chance(sim, 50) ? "gist" : "gray16"),
                                             .generation = ++actor->log_seq,
                                             .watermarks = watermarks,
                                             .watermark_count = count}};
    sim_send(sim, actor, &msg, no_body);
}

/* ---- producers ---- */

static void send_push(struct sim *sim, struct actor *actor, const struct request *request, uint64_t id)
{
    struct cf_push_item items[4] = {0};
    uint8_t contents[4][2];
    for (int i = 0; i < request->count; i++) {
        contents[i][0] = (uint8_t)request->contents[i];
        contents[i][1] = (uint8_t)('0' + request->albums[i] % 3);
        items[i].album = sim_album_id(request->albums[i]);
        items[i].bytes = (struct cf_bytes){contents[i], 2};
        items[i].priority = (uint64_t)(request->albums[i] % 10);
        items[i].delay_ms = request->delays[i];
    }
    const struct cf_msg msg = {
        .kind = CF_KIND_PUSH, .id = id, .push = {.items = items, .item_count = (size_t)request->count}};
    sim_send(sim, actor, &msg, no_body);
}

static void send_albums(struct sim *sim, struct actor *actor, const struct request *request, uint64_t id)
{
    struct cf_str albums[4];
    for (int i = 0; i < request->count; i++)
        albums[i] = sim_album_id(request->albums[i]);
    struct cf_msg msg = {.kind = request->kind, .id = id};
    if (request->kind == CF_KIND_REMOVE)
        msg.albums = (struct cf_albums){.albums = albums, .album_count = (size_t)request->count};
    else
        msg.queue =
            (struct cf_queue){.op = request->op, .albums = albums, .album_count = (size_t)request->count};
    sim_send(sim, actor, &msg, no_body);
}

static void request_send(struct sim *sim, struct actor *actor)
{
    struct request *request = &actor->request;
    request->id = ++sim->ids;
    request->sent_ms = sim->now.mono_ms;
    request->tries++;
    if (request->kind == CF_KIND_PUSH)
        send_push(sim, actor, request, request->id);
    else
        send_albums(sim, actor, request, request->id);
}

static void request_queue_op(struct sim *sim, struct request *request)
{
    static const int ops[] = {CF_QUEUE_PAUSE, CF_QUEUE_RESUME, CF_QUEUE_RESUME,
                              CF_QUEUE_RETRY, CF_QUEUE_PURGE,  CF_QUEUE_LIST};
    request->kind = CF_KIND_QUEUE;
    request->op = ops[sim_below(sim, sizeof ops / sizeof *ops)];
    if (!sim->chaos)
        request->op = CF_QUEUE_RESUME;
    if (request->op != CF_QUEUE_PURGE)
        request->count = 0; /* of all */
    for (int i = 0; i < request->count; i++)
        sim->promises[request->albums[i]].purged = true;
}

static void request_new(struct sim *sim, struct actor *actor)
{
    static const char contents[] = "ggggggggggggggggggbffptds";
    struct request *request = &actor->request;
    *request = (struct request){.kind = CF_KIND_PUSH, .count = 1 + (int)sim_below(sim, 4)};
    for (int i = 0; i < request->count; i++) {
        request->albums[i] = (int)sim_below(sim, ALBUMS);
        request->contents[i] = contents[sim_below(sim, sizeof contents - 1)];
        request->delays[i] = sim_chance(sim, 10) ? sim_below(sim, 1000) : 0;
    }
    uint64_t dice = sim_below(sim, 100);
    if (dice < 12)
        request->kind = CF_KIND_REMOVE;
    else if (dice < 18)
        request_queue_op(sim, request);
    request_send(sim, actor);
}

static void producer_step(struct sim *sim, struct actor *actor)
{
    struct request *request = &actor->request;
    if (request->id) {
        if (sim->now.mono_ms - request->sent_ms < 300)
            return;
        if (request->tries < 3)
            request_send(sim, actor);
        else
            request->id = 0;
        return;
    }
    if (sim->now.mono_ms < actor->next_ms)
        return;
    actor->next_ms = sim->now.mono_ms + sim_below(sim, 80);
    if (sim->chaos)
        request_new(sim, actor);
    else if (sim->now.mono_ms % 1000 < 100) {
        *request = (struct request){.count = 0};
        request_queue_op(sim, request);
        request_send(sim, actor);
    }
}

static void producer_reply(struct sim *sim, struct actor *actor, const struct cf_msg *msg)
{
    struct request *request = &actor->request;
    if (msg->id != request->id || request->id == 0)
        return;
    request->id = 0;
    if (msg->kind != CF_KIND_PUSH_OK && msg->kind != CF_KIND_REMOVE_OK)
        return;
    if (msg->results.result_count != (size_t)request->count)
        sim_break(sim, "not one result an entry");
    for (size_t i = 0; i < msg->results.result_count; i++) {
        const struct cf_result *result = &msg->results.results[i];
        struct promise *promise = &sim->promises[request->albums[i]];
        if (result->status == CF_PUSH_REFUSED) {
            if (result->error.len == 0)
                sim_break(sim, "refused without an error");
            continue;
        }
        sim->acks++;
        sim->removals += msg->kind == CF_KIND_REMOVE_OK;
        if (cf_version_compare(result->version, promise->version) > 0) {
            promise->version = result->version;
            promise->kind = request->kind;
        }
    }
}

/* ---- those who ask ---- */

static void asker_step(struct sim *sim, struct actor *actor)
{
    if (!sim->chaos || sim->now.mono_ms < actor->next_ms || sim->ids + 1 >= VERSIONS)
        return;
    actor->next_ms = sim->now.mono_ms + sim_below(sim, 60);
    uint8_t picture = 'x';
    struct cf_target target = {.album = sim_album_id(3)};
    if (sim_chance(sim, 30))
        target = (struct cf_target){.image = {&picture, 1}};
    const struct cf_msg msg = {.kind = CF_KIND_QUERY,
                               .id = ++sim->ids,
                               .query = {.space = cf_str("gist"),
                                         .k = 3,
                                         .deadline_ms = 20 + sim_below(sim, 600),
                                         .targets = &target,
                                         .target_count = 1}};
    sim->queries++;
    sim_send(sim, actor, &msg, no_body);
}

/* ---- all ---- */

void actor_step(struct sim *sim, struct actor *actor)
{
    if (!actor->alive) {
        if (sim->now.mono_ms >= actor->back_ms)
            actor_start(sim, actor);
        return;
    }
    if (is_worker(actor) && sim->chaos && sim_below(sim, 400) == 0) {
        actor_die(sim, actor);
        return;
    }
    if (is_worker(actor))
        worker_beat(sim, actor);
    if (actor->kind == DESCRIPTOR)
        descriptor_step(sim, actor);
    else if (actor->kind == INDEXER)
        indexer_step(sim, actor);
    else if (actor->kind == PRODUCER)
        producer_step(sim, actor);
    else if (actor->kind == ASKER)
        asker_step(sim, actor);
}

static void worker_registered(struct sim *sim, struct actor *actor)
{
    const struct cf_msg ready = {.kind = CF_KIND_READY, .ready = {.credit = 8}};
    actor->registered = true;
    if (actor->kind == DESCRIPTOR)
        sim_send(sim, actor, &ready, no_body);
}

void actor_message(struct sim *sim, struct actor *actor, const struct cf_msg *msg, struct cf_bytes body)
{
    actor->heard_ms = sim->now.mono_ms;
    if (actor->kind == PRODUCER)
        producer_reply(sim, actor, msg);
    else if (msg->kind == CF_KIND_REGISTERED)
        worker_registered(sim, actor);
    else if (msg->kind == CF_KIND_UNREGISTERED) {
        actor->registered = false;
        actor->beat_ms = 0;
    } else if (msg->kind == CF_KIND_LEASE)
        descriptor_lease(sim, actor, &msg->lease);
    else if (msg->kind == CF_KIND_SEARCH && actor->kind == QUERIER)
        querier_search(sim, actor, msg, body);
}
