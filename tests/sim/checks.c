/* What must hold, whatever fails. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/hash.h"
#include "tests/sim/broker_sim.h"

static int descriptor_index(struct cf_str name)
{
    static const char prefix[] = "descriptor-";
    size_t len = sizeof prefix - 1;
    return name.len == len + 1 && memcmp(name.data, prefix, len) == 0 ? name.data[len] - '0' : -1;
}

static struct fate *fate_of(struct sim *sim, struct cf_version version)
{
    if (version.seq < VERSIONS) {
        sim->fate_count = version.seq < sim->fate_count ? sim->fate_count : version.seq + 1;
        return &sim->fates[version.seq];
    }
    sim_break(sim, "more sequences than the simulator has room for");
    return &sim->fates[0];
}

/* ---- quarantine ---- */

/* What the disk knows of a content; false when it is not struck. */
static bool strikes_of(struct sim *sim, struct cf_bytes sha256, struct cf_quarantine_record *record)
{
    struct cf_store store = model_store(sim->model);
    return store.quarantine_get(store.arg, sha256, sim->out.arena, record, NULL) == CF_OK;
}

/* A struck picture never shares a lease, one that was given up is never leased. True when it is struck. */
static bool check_company(struct sim *sim, const struct cf_job *job, bool alone)
{
    struct cf_quarantine_record record = {0};
    uint8_t digest[CF_SHA256_BYTES];
    cf_sha256(job->bytes, digest);
    if (job->action == CF_ACTION_REMOVE ||
        !strikes_of(sim, (struct cf_bytes){digest, sizeof digest}, &record))
        return false;
    sim->struck++;
    if (!alone)
        sim_break(sim, "a struck picture shares a lease");
    if (record.given_up)
        sim_break(sim, "a picture in quarantine is leased");
    return true;
}

/* A dead letter for such a reason has put its picture into quarantine, or came of one there. */
static void check_given_up(struct sim *sim, const struct cf_event *event)
{
    struct cf_store store = model_store(sim->model);
    struct cf_album_record album = {0};
    struct cf_quarantine_record record = {0};
    enum cf_err err = store.album_get(store.arg, event->album, sim->out.arena, &album, NULL);
    if (err || album.seq != event->version.seq || sim->cleared_ms == sim->now.mono_ms)
        return; /* the same wake has changed it again */
    if (!strikes_of(sim, album.sha256, &record) || !record.given_up)
        sim_break(sim, "a picture that was given up is not in quarantine");
}

/* Nothing joins it, either. */
static void check_leased(struct sim *sim)
{
    struct cf_out out;
    uint64_t held[DESCRIPTORS] = {0};
    CF_CHECK(cf_out_init(&out) == CF_OK);
    const struct cf_msg msg = {.kind = CF_KIND_QUEUE,
                               .queue = {.op = CF_QUEUE_LIST, .state = CF_STATE_LEASED, .limit = JOBS_MAX}};
    cf_core_client(sim->core, sim->now, (struct cf_bytes){(const uint8_t *)"check", 5}, &msg,
                   (struct cf_bytes){0}, &out);
    CF_CHECK(out.count == 1 && out.items[0].msg.kind == CF_KIND_QUEUE_OK);
    const struct cf_queue_ok *leased = &out.items[0].msg.queue_ok;
    for (size_t i = 0; i < leased->job_count; i++)
        held[descriptor_index(leased->jobs[i].worker)]++;
    for (size_t i = 0; i < leased->job_count; i++)
        if (fate_of(sim, leased->jobs[i].version)->struck &&
            held[descriptor_index(leased->jobs[i].worker)] > 1)
            sim_break(sim, "something joined a struck picture");
    cf_out_fini(&out);
}

/* ---- what goes in ---- */

void check_to_core(struct sim *sim, const struct actor *actor, const struct cf_msg *msg)
{
    if (msg->kind == CF_KIND_QUERY)
        sim->asked[msg->id].broker = sim->broker;
    if (msg->kind == CF_KIND_DONE || (msg->kind == CF_KIND_QUEUE && msg->queue.op == CF_QUEUE_RETRY))
        sim->cleared_ms = sim->now.mono_ms;
    if (actor->kind != DESCRIPTOR)
        return;
    for (size_t i = 0; msg->kind == CF_KIND_DONE && i < msg->done.item_count; i++)
        fate_of(sim, msg->done.items[i].version)->holder = -1;
    for (size_t i = 0; msg->kind == CF_KIND_FAILED && i < msg->failed.item_count; i++) {
        struct fate *fate = fate_of(sim, msg->failed.items[i].version);
        fate->counted_failures += msg->failed.items[i].counted;
        if (fate->holder == actor->index)
            fate->holder = -1;
    }
}

/* ---- what comes out ---- */

/* Jobs that the broker thinks this descriptor holds. */
static uint64_t leased_by(struct sim *sim, const struct actor *actor)
{
    struct cf_out out;
    uint64_t leased = 0;
    CF_CHECK(cf_out_init(&out) == CF_OK);
    const struct cf_status status = sim_status(sim, sim->core, &out);
    for (size_t i = 0; i < status.worker_count; i++)
        if (descriptor_index(status.workers[i].name) == actor->index)
            leased = status.workers[i].leased;
    cf_out_fini(&out);
    return leased;
}

/* A job that the broker counts deaths against must have been alone: nothing else at that worker, before or
 * after. */
static void check_lease(struct sim *sim, const struct actor *actor, const struct cf_lease *lease)
{
    bool alone = lease->job_count == 1 && leased_by(sim, actor) == 1;
    for (size_t seq = 0; seq < sim->fate_count; seq++) {
        struct fate *fate = &sim->fates[seq];
        if (fate->holder == actor->index && fate->alone && !alone && sim->now.mono_ms < fate->until_ms) {
            fate->alone_count--;
            fate->alone = false;
        }
    }
    for (size_t i = 0; i < lease->job_count; i++) {
        struct fate *fate = fate_of(sim, lease->jobs[i].version);
        fate->alone = alone;
        fate->alone_count += alone;
        fate->holder = actor->index;
        fate->until_ms = sim->now.mono_ms + LEASE_MS;
        fate->struck = check_company(sim, &lease->jobs[i], alone);
    }
}

/* A removal that was acknowledged must be known to a query worker before the next search reaches it: told, or
 * at rest in a shard. */
static void check_search(struct sim *sim, const struct actor *actor)
{
    for (int album = 0; album < ALBUMS; album++) {
        const struct promise *promise = &sim->promises[album];
        if (promise->kind != CF_KIND_REMOVE || promise->version.seq == 0)
            continue;
        bool told = actor->removed_seq[album] >= promise->version.seq;
        for (int i = 0; i < ACTORS && !told; i++)
            told = sim->actors[i].kind == DESCRIPTOR &&
                   cf_version_compare(sim->actors[i].shard[album].version, promise->version) >= 0;
        if (!told)
            sim_break(sim, "a search went to a query worker that had not heard of a removal");
    }
}

void check_from_core(struct sim *sim, const struct actor *actor, const struct cf_out_item *item)
{
    struct actor *mine = &sim->actors[actor - sim->actors];
    if (item->to == CF_OUT_CLIENT && actor->kind == ASKER) {
        struct asked *asked = &sim->asked[item->msg.id];
        sim->replies += item->raw;
        if (++asked->replies > 1)
            sim_break(sim, "a query was answered twice");
        return;
    }
    switch (item->msg.kind) {
    case CF_KIND_LEASE:
        check_lease(sim, actor, &item->msg.lease);
        break;
    case CF_KIND_REGISTERED:
        memset(mine->removed_seq, 0, sizeof mine->removed_seq);
        break;
    case CF_KIND_REMOVED:
        for (size_t i = 0; i < item->msg.removed.item_count; i++)
            mine->removed_seq[sim_album(item->msg.removed.items[i].album)] =
                item->msg.removed.items[i].version.seq;
        break;
    case CF_KIND_SEARCH:
        check_search(sim, actor);
        break;
    default:
        break;
    }
}

void check_event(struct sim *sim, const struct cf_event *event)
{
    if (cf_str_is(event->event, "left")) {
        int index = descriptor_index(event->worker);
        for (size_t seq = 0; seq < sim->fate_count && index >= 0; seq++)
            if (sim->fates[seq].holder == index)
                sim->fates[seq].holder = -1;
    }
    if (!cf_str_is(event->event, "dead"))
        return;
    sim->dead++;
    const struct fate *fate = fate_of(sim, event->version);
    if (event->error.len == 0)
        sim_break(sim, "a dead letter without a reason");
    bool by_death = cf_str_is(event->error, "worker_died") || cf_str_is(event->error, "lease_expired");
    bool at_once = cf_str_is(event->error, "quarantined");
    sim->quarantined += at_once;
    if (by_death || at_once || cf_str_is(event->error, "timeout") || cf_str_is(event->error, "decoder_died"))
        check_given_up(sim, event);
    if (by_death && fate->alone_count + fate->counted_failures < ATTEMPTS_MAX)
        sim_break(sim, "a dead letter for deaths that were not its own");
}

/* ---- the books ---- */

struct cf_status sim_status(struct sim *sim, struct cf_core *core, struct cf_out *out)
{
    struct cf_status status;
    cf_core_status(core, sim->now, &status, out);
    return status;
}

static uint64_t live(const struct cf_status *status)
{
    return status->queued + status->delayed + status->leased;
}

struct recount {
    struct sim *sim;
    struct cf_arena *arena;
    uint64_t states[CF_STATE_COUNT];
    uint64_t describe_jobs, payloads, given_up;
    bool dead;
};

static enum cf_err recount_album(void *arg, struct cf_str id, const struct cf_album_record *album)
{
    struct recount *recount = arg;
    (void)id;
    recount->states[album->state]++;
    return CF_OK;
}

/* Each job and each dead letter is the newest word on its album, except removals, which may be outdated. */
static enum cf_err recount_job(void *arg, uint64_t seq, const struct cf_job_record *job)
{
    struct recount *recount = arg;
    struct cf_store store = model_store(recount->sim->model);
    struct cf_album_record album = {0};
    recount->payloads += job->bytes != 0;
    if (job->action == CF_ACTION_REMOVE)
        return CF_OK;
    recount->describe_jobs += !recount->dead;
    enum cf_err err = store.album_get(store.arg, job->album, recount->arena, &album, NULL);
    if (err || album.seq != seq || album.epoch != job->epoch ||
        album.state != (recount->dead ? CF_STATE_DEAD : CF_STATE_QUEUED))
        sim_break(recount->sim, "a job that its album knows nothing of");
    return CF_OK;
}

static enum cf_err recount_quarantine(void *arg, struct cf_bytes sha256,
                                      const struct cf_quarantine_record *record)
{
    struct recount *recount = arg;
    (void)sha256;
    recount->given_up += record->given_up;
    if (record->strikes == 0 || record->error.len == 0)
        sim_break(recount->sim, "a struck picture without a strike");
    return CF_OK;
}

static void compare(struct sim *sim, const struct recount *recount, const struct cf_status *status)
{
    if (recount->states[CF_STATE_QUEUED] != live(status) || recount->describe_jobs != live(status))
        sim_break(sim, "live jobs do not match a recount");
    if (recount->states[CF_STATE_DEAD] != status->dead || model_dead_count(sim->model) != status->dead)
        sim_break(sim, "dead letters do not match a recount");
    if (recount->states[CF_STATE_REMOVED] != status->removed)
        sim_break(sim, "removals do not match a recount");
    if (recount->states[CF_STATE_DESCRIBED] != status->described + status->indexed)
        sim_break(sim, "described albums do not match a recount");
    if (recount->payloads != model_payload_count(sim->model))
        sim_break(sim, "pictures without a job, or the other way round");
    if (recount->given_up != status->quarantined)
        sim_break(sim, "pictures in quarantine do not match a recount");
    if (model_job_count(sim->model) > JOBS_MAX)
        sim_break(sim, "the queue is longer than its limit");
    /* Those of a dead worker come back on top. */
    if (status->queries_waiting > WAITING_MAX + QUERIERS * OUTSTANDING_MAX)
        sim_break(sim, "more queries wait than may");
}

/* A core that starts from the same disk must count the same. */
static void compare_fresh(struct sim *sim, const struct cf_status *status)
{
    struct cf_core_config config = {.spaces = {cf_str("gray16"), cf_str("gist")}, .space_count = 2};
    struct cf_store store = model_store(sim->model);
    struct cf_core *fresh = NULL;
    struct cf_out out;
    CF_CHECK(cf_out_init(&out) == CF_OK && cf_core_new(&config, &store, sim->now, &fresh) == CF_OK);
    if (cf_core_load(fresh, sim->now, &out, NULL))
        sim_break(sim, "a fresh core does not load");
    struct cf_status other = sim_status(sim, fresh, &out);
    if (live(&other) != live(status) || other.dead != status->dead || other.removed != status->removed)
        sim_break(sim, "a fresh core counts jobs differently");
    if (other.described != status->described || other.indexed != status->indexed)
        sim_break(sim, "a fresh core counts described and indexed differently");
    if (other.quarantined != status->quarantined)
        sim_break(sim, "a fresh core counts pictures in quarantine differently");
    if (other.paused != status->paused || other.queue_bytes != status->queue_bytes)
        sim_break(sim, "a fresh core differs in pause or bytes");
    cf_core_free(fresh);
    cf_out_fini(&out);
}

void check_books(struct sim *sim)
{
    struct recount recount = {.sim = sim};
    struct cf_store store = model_store(sim->model);
    struct cf_out out;
    if (!sim->core || !cf_core_is_loaded(sim->core) || sim->broken)
        return;
    CF_CHECK(cf_out_init(&out) == CF_OK);
    recount.arena = out.arena;
    struct cf_status status = sim_status(sim, sim->core, &out);
    CF_CHECK(store.each_album(store.arg, recount_album, &recount, NULL) == CF_OK);
    CF_CHECK(store.each_job(store.arg, false, 0, recount_job, &recount, NULL) == CF_OK);
    CF_CHECK(store.each_quarantine(store.arg, recount_quarantine, &recount, NULL) == CF_OK);
    recount.dead = true;
    CF_CHECK(store.each_job(store.arg, true, 0, recount_job, &recount, NULL) == CF_OK);
    compare(sim, &recount, &status);
    compare_fresh(sim, &status);
    check_leased(sim);
    cf_out_fini(&out);
}

/* ---- the end ---- */

static struct rest newest_rest(const struct sim *sim, int album)
{
    struct rest newest = {0};
    for (int i = 0; i < ACTORS; i++) {
        const struct rest *rest = &sim->actors[i].shard[album];
        if (sim->actors[i].kind == DESCRIPTOR && cf_version_compare(rest->version, newest.version) > 0)
            newest = *rest;
    }
    return newest;
}

static void check_album(struct sim *sim, int album, const struct cf_album_record *record)
{
    const struct promise *promise = &sim->promises[album];
    const struct rest rest = newest_rest(sim, album);
    struct cf_version version = {record->epoch, record->seq};
    const struct fate *fate = fate_of(sim, version);
    int order = cf_version_compare(version, promise->version);
    if (order < 0)
        sim_break(sim, "an acknowledged version is lost");
    if (record->state != CF_STATE_DESCRIBED && record->state != CF_STATE_DEAD &&
        record->state != CF_STATE_REMOVED)
        sim_break(sim, "an acknowledged album did not come to rest");
    if (order == 0 && (promise->kind == CF_KIND_REMOVE) != (record->state == CF_STATE_REMOVED))
        sim_break(sim, "a removed album is not removed, or another one is");
    if (record->attempts > (uint64_t)(fate->alone_count + fate->counted_failures))
        sim_break(sim, "an attempt was charged for the fault of another");
    if ((record->state == CF_STATE_DEAD) != (record->error.len != 0))
        sim_break(sim, "a reason without a death or the other way round");
    if (record->state != CF_STATE_DEAD && (cf_version_compare(rest.version, version) != 0 ||
                                           rest.removed != (record->state == CF_STATE_REMOVED)))
        sim_break(sim, "the shards do not hold what the broker says");
}

void check_end(struct sim *sim)
{
    struct cf_store store = model_store(sim->model);
    for (int album = 0; album < ALBUMS && !sim->broken; album++) {
        struct cf_album_record record = {0};
        const struct promise *promise = &sim->promises[album];
        cf_arena_reset(sim->arena);
        enum cf_err err = store.album_get(store.arg, sim_album_id(album), sim->arena, &record, NULL);
        if (promise->purged || promise->version.seq == 0)
            continue;
        if (err)
            sim_break(sim, "an acknowledged album is forgotten");
        else
            check_album(sim, album, &record);
    }
    for (size_t id = 0; id < VERSIONS && !sim->broken; id++)
        if (sim->asked[id].broker == sim->broker && sim->asked[id].replies != 1)
            sim_break(sim, "a query was not answered");
}
