#include "tests/sim/broker_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

enum { CHAOS_MS = 12000, CALM_MS = 120000, SEEDS_DEFAULT = 200, BOOKS_EVERY = 50 };

static char album_names[ALBUMS][8];

bool sim_chance(struct sim *sim, unsigned percent)
{
    return cf_rng_below(&sim->rng, 100) < percent;
}

uint64_t sim_below(struct sim *sim, uint64_t bound)
{
    return cf_rng_below(&sim->rng, bound);
}

void sim_break(struct sim *sim, const char *what)
{
    if (sim->broken)
        return;
    sim->broken = what;
    fprintf(stderr, "seed %llu, at %llu ms: %s\n", (unsigned long long)sim->seed,
            (unsigned long long)sim->now.mono_ms, what);
}

struct cf_str sim_album_id(int album)
{
    return cf_str(album_names[album]);
}

int sim_album(struct cf_str id)
{
    for (int i = 0; i < ALBUMS; i++)
        if (cf_str_is(id, album_names[i]))
            return i;
    return -1;
}

/* ---- the network ---- */

static bool is_client(const struct actor *actor)
{
    return actor->kind == PRODUCER || actor->kind == ASKER;
}

/* Late in order; lost or twice when there is chaos. Queries and their answers are counted elsewhere and not
 * lost here. */
static void packet_add(struct sim *sim, struct actor *actor, bool to_broker, struct cf_bytes data,
                       struct cf_bytes body)
{
    bool fragile = sim->chaos && actor->kind != ASKER;
    unsigned copies = fragile && sim_chance(sim, 2) ? 0 : fragile && sim_chance(sim, 2) ? 2 : 1;
    uint64_t *last_ms = to_broker ? &actor->out_ms : &actor->in_ms;
    for (unsigned i = 0; i < copies; i++) {
        struct packet *packet = calloc(1, sizeof *packet);
        CF_CHECK(packet);
        packet->data = malloc(data.len + 1);
        packet->body = malloc(body.len + 1);
        CF_CHECK(packet->data && packet->body);
        memcpy(packet->data, data.data, packet->len = data.len);
        if (body.len)
            memcpy(packet->body, body.data, packet->body_len = body.len);
        uint64_t at_ms = sim->now.mono_ms + sim_below(sim, sim->chaos ? 30 : 5);
        *last_ms = packet->at_ms = at_ms > *last_ms ? at_ms : *last_ms;
        packet->to_broker = to_broker;
        packet->actor = (int)(actor - sim->actors);
        packet->incarnation = actor->incarnation;
        packet->broker = sim->broker;
        DL_APPEND(sim->packets, packet);
    }
}

static void packet_free(struct sim *sim, struct packet *packet)
{
    DL_DELETE(sim->packets, packet);
    free(packet->data);
    free(packet->body);
    free(packet);
}

void sim_send(struct sim *sim, struct actor *actor, const struct cf_msg *msg, struct cf_bytes body)
{
    struct cf_detail detail = {0};
    cf_buf_clear(&sim->buf);
    if (cf_msg_encode(msg, &sim->buf, &detail)) {
        sim_break(sim, detail.text);
        return;
    }
    packet_add(sim, actor, true, cf_buf_bytes(&sim->buf), body);
}

static void peer_name(const struct sim *sim, const struct actor *actor, char name[48])
{
    snprintf(name, 48, "%d.%d.%d", (int)(actor - sim->actors), actor->incarnation, sim->broker);
}

/* Whoever had that place, dead or alive. */
static struct actor *actor_at(struct sim *sim, struct cf_bytes peer)
{
    char text[64] = {0};
    memcpy(text, peer.data, peer.len < sizeof text - 1 ? peer.len : sizeof text - 1);
    return &sim->actors[atoi(text) % ACTORS];
}

static struct actor *actor_of_peer(struct sim *sim, struct cf_bytes peer)
{
    char text[64] = {0}, current[48];
    memcpy(text, peer.data, peer.len < sizeof text - 1 ? peer.len : sizeof text - 1);
    struct actor *actor = &sim->actors[atoi(text) % ACTORS];
    peer_name(sim, actor, current);
    return actor->alive && strcmp(text, current) == 0 ? actor : NULL;
}

static void deliver_to_broker(struct sim *sim, struct actor *actor, const struct packet *packet)
{
    struct cf_msg msg;
    struct cf_detail detail = {0};
    char peer[48];
    if (!sim->core)
        return;
    cf_arena_reset(sim->arena);
    if (cf_msg_decode((struct cf_bytes){packet->data, packet->len}, sim->arena, &msg, &detail)) {
        sim_break(sim, detail.text);
        return;
    }
    peer_name(sim, actor, peer);
    struct cf_bytes from = {(const uint8_t *)peer, strlen(peer)};
    check_to_core(sim, actor, &msg);
    if (is_client(actor))
        cf_core_client(sim->core, sim->now, from, &msg, (struct cf_bytes){packet->data, packet->len},
                       &sim->out);
    else
        cf_core_worker(sim->core, sim->now, from, &msg, (struct cf_bytes){packet->body, packet->body_len},
                       &sim->out);
}

static void deliver_to_actor(struct sim *sim, struct actor *actor, const struct packet *packet)
{
    struct cf_msg msg;
    struct cf_detail detail = {0};
    struct cf_arena *arena = cf_arena_new();
    CF_CHECK(arena);
    if (cf_msg_decode((struct cf_bytes){packet->data, packet->len}, arena, &msg, &detail))
        sim_break(sim, detail.text);
    else
        actor_message(sim, actor, &msg, (struct cf_bytes){packet->body, packet->body_len});
    cf_arena_free(arena);
}

static void deliver(struct sim *sim)
{
    struct packet *packet, *next;
    DL_FOREACH_SAFE(sim->packets, packet, next)
    {
        if (packet->at_ms > sim->now.mono_ms)
            continue;
        struct actor *actor = &sim->actors[packet->actor];
        bool current =
            actor->alive && packet->incarnation == actor->incarnation && packet->broker == sim->broker;
        /* The broker may still read what a dead worker sent last. */
        if (packet->to_broker && packet->broker == sim->broker && packet->incarnation == actor->incarnation)
            deliver_to_broker(sim, actor, packet);
        else if (!packet->to_broker && current)
            deliver_to_actor(sim, actor, packet);
        packet_free(sim, packet);
    }
}

/* ---- the broker's adapter, in small ---- */

static bool is_unreachable(const struct sim *sim, struct cf_bytes peer)
{
    for (size_t i = 0; i < sim->unreachable_count && i < UNREACHABLE_MAX; i++)
        if (cf_str_is((struct cf_str){(const char *)peer.data, peer.len}, sim->unreachable[i]))
            return true;
    return false;
}

static void remember_unreachable(struct sim *sim, struct cf_bytes peer)
{
    char *name = sim->unreachable[sim->unreachable_count % UNREACHABLE_MAX];
    sim->unreachable_count++;
    memset(name, 0, 48);
    memcpy(name, peer.data, peer.len < 47 ? peer.len : 47);
}

static void send_out(struct sim *sim, bool durable)
{
    for (size_t i = 0; i < sim->out.count; i++) {
        const struct cf_out_item *item = &sim->out.items[i];
        if (item->durable != durable)
            continue;
        if (item->to == CF_OUT_EVENT) {
            check_event(sim, &item->msg.event);
            continue;
        }
        struct actor *actor = actor_of_peer(sim, item->peer);
        /* Of messages to the dead the sockets report some, and swallow the others. */
        if (!actor && item->to == CF_OUT_WORKER && (is_unreachable(sim, item->peer) || sim_chance(sim, 50))) {
            remember_unreachable(sim, item->peer);
            continue;
        }
        check_from_core(sim, actor_at(sim, item->peer), item);
        if (!actor)
            continue;
        struct cf_detail detail = {0};
        cf_buf_clear(&sim->buf);
        if (!item->raw && cf_msg_encode(&item->msg, &sim->buf, &detail))
            sim_break(sim, detail.text);
        else if (item->raw)
            packet_add(sim, actor, false, item->body, (struct cf_bytes){0});
        else
            packet_add(sim, actor, false, cf_buf_bytes(&sim->buf), item->body);
    }
}

static void broker_start(struct sim *sim)
{
    struct cf_core_config config = {
        .queue_jobs_max = JOBS_MAX,
        .queue_bytes_max = 1000,
        .lease_ms = LEASE_MS,
        .attempts_max = ATTEMPTS_MAX,
        .retry_base_ms = 20,
        .retry_cap_ms = 300,
        .heartbeat_ms = HEARTBEAT_MS,
        .heartbeat_timeout_ms = HEARTBEAT_TIMEOUT_MS,
        .query_deadline_ms = 500,
        .query_outstanding_max = OUTSTANDING_MAX,
        .query_waiting_max = WAITING_MAX,
        .query_bytes_max = 100000,
        .image_bytes_max = 1000,
        .quarantine_max = CF_CORE_QUARANTINE_MAX,
        .spaces = {cf_str("gray16"), cf_str("gist")},
        .space_count = 2,
        .seed = sim->seed,
    };
    struct cf_store store = model_store(sim->model);
    struct cf_detail detail = {0};
    CF_CHECK(cf_core_new(&config, &store, sim->now, &sim->core) == CF_OK);
    sim->broker++;
    if (cf_core_load(sim->core, sim->now, &sim->out, &detail))
        sim_break(sim, detail.text);
}

static void broker_crash(struct sim *sim)
{
    sim->crashes++;
    cf_core_free(sim->core);
    sim->core = NULL;
    sim->broker_back_ms = sim->now.mono_ms + 50 + sim_below(sim, 500);
    cf_out_reset(&sim->out);
    model_crash(sim->model, &sim->rng, sim_chance(sim, 50));
    for (int i = 0; i < ACTORS; i++)
        sim->actors[i].out_ms = sim->actors[i].in_ms = 0;
}

/* The disk refuses this wake: nothing of it is told, and the core comes back from disk. */
static void broker_undo(struct sim *sim)
{
    struct cf_detail detail = {.text = "the model's disk is full"};
    model_rollback(sim->model);
    cf_out_reset(&sim->out);
    cf_core_unload(sim->core, sim->now, CF_E_DISK_FULL, &detail, &sim->out);
    sim->reload_ms = sim->now.mono_ms + 20 + sim_below(sim, 200);
    send_out(sim, false);
}

static void broker_reload(struct sim *sim)
{
    struct cf_detail detail = {0};
    sim->reload_ms = 0;
    if (cf_core_load(sim->core, sim->now, &sim->out, &detail))
        sim_break(sim, detail.text);
}

static void tell_unreachable(struct sim *sim)
{
    size_t count = sim->unreachable_count < UNREACHABLE_MAX ? sim->unreachable_count : UNREACHABLE_MAX;
    for (size_t i = 0; i < count; i++) {
        const char *name = sim->unreachable[i];
        cf_core_unreachable(sim->core, sim->now, (struct cf_bytes){(const uint8_t *)name, strlen(name)},
                            &sim->out);
    }
    sim->unreachable_count = 0;
}

static void broker_wake(struct sim *sim)
{
    if (!sim->core) {
        if (sim->now.mono_ms >= sim->broker_back_ms)
            broker_start(sim);
        return;
    }
    (void)cf_core_run(sim->core, sim->now, &sim->out);
    if (sim->out.err)
        sim_break(sim, sim->out.detail.text);
    send_out(sim, false);
    uint64_t dice = sim->chaos ? sim_below(sim, 4000) : 4000;
    if (dice == 0) {
        broker_crash(sim);
        return;
    }
    if (dice < 3 && cf_core_is_loaded(sim->core)) {
        broker_undo(sim);
    } else {
        model_commit(sim->model, sim->out.sync);
        if (dice == 3) {
            broker_crash(sim);
            return;
        }
        send_out(sim, true);
    }
    cf_out_reset(&sim->out);
    tell_unreachable(sim);
    if (sim->reload_ms && sim->now.mono_ms >= sim->reload_ms)
        broker_reload(sim);
}

/* ---- a run ---- */

static void sim_init(struct sim *sim, uint64_t seed)
{
    static const struct {
        enum kind kind;
        int count;
    } cast[] = {{PRODUCER, PRODUCERS},
                {DESCRIPTOR, DESCRIPTORS},
                {QUERIER, QUERIERS},
                {INDEXER, INDEXERS},
                {ASKER, ASKERS}};
    int at = 0;
    sim->seed = seed;
    sim->rng = cf_rng(seed);
    sim->chaos = true;
    sim->now = (struct cf_now){1000, 1700000000000};
    sim->model = model_new(1000 + seed);
    sim->arena = cf_arena_new();
    cf_buf_init(&sim->buf);
    CF_CHECK(sim->arena && cf_out_init(&sim->out) == CF_OK);
    for (size_t c = 0; c < sizeof cast / sizeof *cast; c++)
        for (int i = 0; i < cast[c].count; i++) {
            struct actor *actor = &sim->actors[at++];
            actor->kind = cast[c].kind;
            actor->index = i;
            actor_start(sim, actor);
        }
    broker_start(sim);
}

static void sim_fini(struct sim *sim)
{
    cf_core_free(sim->core);
    while (sim->packets)
        packet_free(sim, sim->packets);
    model_free(sim->model);
    cf_out_fini(&sim->out);
    cf_arena_free(sim->arena);
    cf_buf_fini(&sim->buf);
}

static void step(struct sim *sim)
{
    sim->now.mono_ms += STEP_MS;
    sim->now.wall_ms += STEP_MS;
    for (int i = 0; i < ACTORS; i++)
        actor_step(sim, &sim->actors[i]);
    deliver(sim);
    broker_wake(sim);
}

static bool is_settled(struct sim *sim)
{
    if (!sim->core || !cf_core_is_loaded(sim->core) || sim->packets)
        return false;
    return model_job_count(sim->model) == 0;
}

static bool sim_run(struct sim *sim)
{
    uint64_t steps = 0;
    for (; sim->now.mono_ms < CHAOS_MS && !sim->broken; steps++) {
        step(sim);
        if (steps % BOOKS_EVERY == 0)
            check_books(sim);
    }
    sim->chaos = false;
    for (; sim->now.mono_ms < CHAOS_MS + 5000 && !sim->broken;)
        step(sim);
    while (!is_settled(sim) && !sim->broken) {
        step(sim);
        if (sim->now.mono_ms > CHAOS_MS + CALM_MS)
            sim_break(sim, "the queue did not settle");
    }
    check_books(sim);
    check_end(sim);
    return !sim->broken;
}

static struct sim totals;

static bool run_seed(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof *sim);
    CF_CHECK(sim);
    sim_init(sim, seed);
    bool ok = sim_run(sim);
    totals.acks += sim->acks;
    totals.crashes += sim->crashes;
    totals.deaths += sim->deaths;
    totals.dead += sim->dead;
    totals.queries += sim->queries;
    totals.replies += sim->replies;
    totals.removals += sim->removals;
    totals.struck += sim->struck;
    totals.quarantined += sim->quarantined;
    sim_fini(sim);
    free(sim);
    return ok;
}

/* broker_sim [SEEDS [FIRST]] */
int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : SEEDS_DEFAULT;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t failed = 0;
    for (int i = 0; i < ALBUMS; i++)
        snprintf(album_names[i], sizeof album_names[i], "a%02d", i);
    for (uint64_t seed = first; seed < first + seeds; seed++)
        failed += !run_seed(seed);
    printf(
        "%llu seeds, %llu failed; %llu acknowledgements, %llu broker crashes, %llu worker deaths, %llu dead "
        "letters, %llu of them quarantined at once, %llu leases of struck pictures, %llu removals, %llu "
        "queries, %llu answers\n",
        (unsigned long long)seeds, (unsigned long long)failed, (unsigned long long)totals.acks,
        (unsigned long long)totals.crashes, (unsigned long long)totals.deaths,
        (unsigned long long)totals.dead, (unsigned long long)totals.quarantined,
        (unsigned long long)totals.struck, (unsigned long long)totals.removals,
        (unsigned long long)totals.queries, (unsigned long long)totals.replies);
    /* A run in which nothing happened proves nothing. */
    bool idle = seeds >= 10 && (!totals.acks || !totals.crashes || !totals.deaths || !totals.dead ||
                                !totals.removals || !totals.replies || !totals.struck || !totals.quarantined);
    return failed || idle ? 1 : 0;
}
