#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "deploy/cli/catalogue.h"
#include "deploy/cli/duplicates.h"
#include "deploy/cli/progress.h"
#include "deploy/cli/sure.h"

/* Neighbours asked of each album, albums of a message, messages in flight; and how often a message is sent
 * again that the fleet had no answer to. */
enum { NEIGHBORS = 32, PARCEL_ALBUMS = 128, PARCELS = 4, TRIES = 3, CALL_MS = 60000, POLL_MS = 1000 };

struct ask;

/* Albums of one message. */
struct parcel {
    struct ask *ask;
    struct cf_arena *arena; /* of the texts */
    struct cf_str artists[PARCEL_ALBUMS], titles[PARCEL_ALBUMS];
    struct cf_target targets[PARCEL_ALBUMS];
    size_t count;
    uint64_t k;
    unsigned tries;
    bool in_flight;
};

struct ask {
    struct cf_duplicates *call;
    struct cf_catalogue catalogue;
    struct cf_shards_walk *walk;
    struct parcel parcels[PARCELS];
    struct cf_progress progress;
    uint64_t total;  /* albums that the fleet speaks of */
    enum cf_err err; /* the first that ends all */
    struct cf_detail detail;
};

/* What the wire brings is not terminated. */
static void fail_with(struct ask *ask, enum cf_err err, struct cf_str sentence)
{
    if (!ask->err && err)
        ask->err = cf_fail(&ask->detail, err, "%.*s", CF_STR_ARG(sentence));
}

static void fail(struct ask *ask, enum cf_err err, const char *sentence)
{
    fail_with(ask, err, cf_str(sentence));
}

/* ---- answers ---- */

/* What befell this album alone since the walk began. */
static bool is_gone(enum cf_err err)
{
    return err == CF_E_NOT_FOUND || err == CF_E_NOT_DESCRIBED || err == CF_E_FLAGGED;
}

static enum cf_err link_album(struct cf_links *links, const struct parcel *parcel, size_t i,
                              const struct cf_answer_result *result)
{
    uint32_t own, other;
    enum cf_err err = CF_OK;
    if (result->neighbor_count == 0)
        return CF_OK;
    err = cf_links_album(links, parcel->targets[i].album, parcel->artists[i], parcel->titles[i], &own);
    for (size_t n = 0; !err && n < result->neighbor_count; n++) {
        const struct cf_neighbor *neighbor = &result->neighbors[n];
        err = cf_links_album(links, neighbor->album, neighbor->artist, neighbor->title, &other);
        if (!err)
            err = cf_links_add(links, own, other);
    }
    if (!err && result->neighbor_count >= parcel->k)
        cf_links_mark_full(links, own);
    return err;
}

static void take_answer(struct ask *ask, const struct parcel *parcel, const struct cf_answer *answer)
{
    for (size_t i = 0; i < parcel->count && i < answer->result_count && !ask->err; i++) {
        const struct cf_answer_result *result = &answer->results[i];
        enum cf_err err = cf_err_from_name(result->error.data, result->error.len);
        if (result->error.len == 0)
            fail(ask, link_album(ask->call->links, parcel, i, result), "no memory for so many duplicates");
        else if (is_gone(err))
            ask->call->skipped++;
        else
            fail_with(ask, err, result->detail);
    }
}

static void send_parcel(struct parcel *parcel);

/* Asking changes nothing: a question without an answer is asked again. */
static bool may_ask_again(const struct parcel *parcel, enum cf_err err)
{
    return parcel->tries < TRIES &&
           (err == CF_E_BUSY || err == CF_E_NO_WORKER || err == CF_E_DEADLINE || err == CF_E_SHUTTING_DOWN);
}

static void on_reply(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    struct parcel *parcel = arg;
    struct ask *ask = parcel->ask;
    parcel->in_flight = false;
    if (!err)
        take_answer(ask, parcel, &msg->answer);
    else if (parcel->count == 1 && is_gone(err))
        ask->call->skipped++;
    else if (may_ask_again(parcel, err) && !ask->err)
        send_parcel(parcel);
    else
        fail(ask, err, detail ? detail->text : "");
}

static void send_parcel(struct parcel *parcel)
{
    const struct cf_duplicates *call = parcel->ask->call;
    struct cf_detail detail = {""};
    struct cf_msg request = {.kind = CF_KIND_QUERY,
                             .query = {.space = cf_str(call->space->name),
                                       .k = parcel->k,
                                       .recall = call->recall,
                                       .radius = cf_sure_distance(call->threshold),
                                       .deadline_ms = CALL_MS,
                                       .targets = parcel->targets,
                                       .target_count = parcel->count}};
    parcel->tries++;
    parcel->in_flight = true;
    enum cf_err err =
        cf_client_send(call->fleet.client, &request, CALL_MS + POLL_MS, on_reply, parcel, &detail);
    if (err)
        parcel->in_flight = false;
    fail(parcel->ask, err, detail.text);
}

static void poll_once(struct ask *ask)
{
    struct cf_detail detail = {""};
    fail(ask, cf_client_poll(ask->call->fleet.client, POLL_MS, &detail), detail.text);
    cf_progress_show(&ask->progress, ask->call->asked, ask->total, "albums", cf_clock_mono_ms());
}

/* ---- parcels ---- */

/* One that is not in flight, empty; waits for it. */
static struct parcel *take_parcel(struct ask *ask)
{
    for (;; poll_once(ask))
        for (size_t i = 0; i < PARCELS; i++)
            if (!ask->parcels[i].in_flight) {
                struct parcel *parcel = &ask->parcels[i];
                cf_arena_reset(parcel->arena);
                parcel->count = 0;
                parcel->tries = 0;
                parcel->k = NEIGHBORS;
                return parcel;
            }
}

static void wait_for_all(struct ask *ask)
{
    while (cf_client_pending(ask->call->fleet.client) > 0)
        poll_once(ask);
}

static bool put_album(struct parcel *parcel, struct cf_str id, struct cf_str artist, struct cf_str title)
{
    size_t i = parcel->count;
    parcel->targets[i] = (struct cf_target){.album = cf_arena_str(parcel->arena, id)};
    parcel->artists[i] = cf_arena_str(parcel->arena, artist);
    parcel->titles[i] = cf_arena_str(parcel->arena, title);
    parcel->count++;
    return parcel->targets[i].album.data && parcel->artists[i].data && parcel->titles[i].data;
}

static struct cf_str meta_of(const struct cf_shard_album *album, const char *key)
{
    for (size_t i = 0; i < album->meta_count; i++)
        if (cf_str_is(album->meta[i].key, key))
            return album->meta[i].value;
    return cf_str("");
}

/* ---- the catalogue ---- */

static bool is_askable(struct cf_duplicates *call, const struct cf_shard_album *album)
{
    if (album->removed)
        return false;
    bool described = cf_shard_album_has(album, cf_str(call->space->name), call->space->version);
    call->not_described += !described;
    call->skipped += described && (album->flags & CF_FLAG_CONSTANT);
    return described && !(album->flags & CF_FLAG_CONSTANT);
}

static void ask_catalogue(struct ask *ask)
{
    struct parcel *parcel = take_parcel(ask);
    while (!ask->err) {
        size_t shard;
        struct cf_str id;
        struct cf_shard_album album;
        struct cf_detail detail = {""};
        enum cf_err err = cf_shards_walk_next(ask->walk, &shard, &id, &album, &detail);
        if (err == CF_E_NOT_FOUND)
            break;
        fail(ask, err, detail.text);
        if (err || !is_askable(ask->call, &album))
            continue;
        if (!put_album(parcel, id, meta_of(&album, "artist"), meta_of(&album, "title")))
            fail(ask, CF_E_NO_MEMORY, "no memory for the albums of a message");
        ask->call->asked++;
        if (parcel->count == PARCEL_ALBUMS && !ask->err) {
            send_parcel(parcel);
            parcel = take_parcel(ask);
        }
    }
    if (parcel->count > 0 && !ask->err)
        send_parcel(parcel);
    wait_for_all(ask);
}

/* ---- groups of which more may be linked ---- */

static bool has_full(const struct cf_links *links, const struct cf_link_group *group)
{
    for (size_t i = 0; i < group->member_count; i++)
        if (cf_links_get(links, group->members[i])->full)
            return true;
    return false;
}

/* Asks for everything near the first of each such group; groups stay as they are while more links are told.
 */
static size_t widen_once(struct ask *ask, const struct cf_link_group *groups, size_t count)
{
    size_t asked = 0;
    for (size_t i = 0; i < count && !ask->err; i++) {
        if (!has_full(ask->call->links, &groups[i]))
            continue;
        struct cf_str first = cf_links_get(ask->call->links, groups[i].members[0])->id;
        struct parcel *parcel = take_parcel(ask);
        if (ask->err)
            break;
        parcel->k = CF_K_MAX;
        if (!put_album(parcel, first, cf_str(""), cf_str("")))
            fail(ask, CF_E_NO_MEMORY, "no memory for the albums of a message");
        else
            send_parcel(parcel);
        asked++;
    }
    wait_for_all(ask);
    return asked;
}

/* More albums than NEIGHBORS with one picture, a placeholder say, know of some of each other only, and may
 * look like several groups: these are joined, until none joins another. */
static void widen(struct ask *ask)
{
    const struct cf_link_group *groups;
    size_t count = 0, before = 0;
    do {
        before = count;
        fail(ask, cf_links_group(ask->call->links, &groups, &count), "no memory for so many duplicates");
        if (ask->err || (before > 0 && count >= before))
            return;
    } while (widen_once(ask, groups, count) > 1);
}

/* ---- the whole ---- */

static enum cf_exit count_albums(struct ask *ask)
{
    struct cf_reply *reply = NULL;
    enum cf_exit result =
        cf_fleet_call(&ask->call->fleet, &(struct cf_msg){.kind = CF_KIND_STATUS}, cf_str(""), &reply);
    if (!result)
        ask->total = reply->msg.status.described + reply->msg.status.indexed;
    cf_reply_free(reply);
    return result;
}

static enum cf_err prepare(struct ask *ask)
{
    for (size_t i = 0; i < PARCELS; i++) {
        ask->parcels[i].ask = ask;
        if (!(ask->parcels[i].arena = cf_arena_new()))
            return cf_fail(&ask->detail, CF_E_NO_MEMORY, "out of memory");
    }
    enum cf_err err = cf_catalogue_open(&ask->catalogue, "duplicates", &ask->detail);
    return err ? err : cf_shards_walk_new(ask->catalogue.shards, &ask->walk, &ask->detail);
}

enum cf_exit cf_duplicates_ask(struct cf_duplicates *call)
{
    struct ask *ask = calloc(1, sizeof *ask);
    if (!ask)
        return cf_fleet_tell(&call->fleet, cf_str(""), CF_E_NO_MEMORY, NULL);
    ask->call = call;
    cf_progress_init(&ask->progress, stderr, call->fleet.json, cf_clock_mono_ms());
    enum cf_exit result = count_albums(ask);
    if (!result) {
        ask->err = prepare(ask);
        if (!ask->err)
            ask_catalogue(ask);
        if (!ask->err)
            widen(ask);
        cf_progress_clear(&ask->progress);
        if (ask->err)
            result = cf_fleet_say(&call->fleet, cf_str(""), ask->err, &ask->detail);
    }
    if (result)
        cf_fleet_close(&call->fleet); /* before the parcels that its requests speak of */
    cf_shards_walk_free(ask->walk);
    cf_catalogue_close(&ask->catalogue);
    for (size_t i = 0; i < PARCELS; i++)
        cf_arena_free(ask->parcels[i].arena);
    free(ask);
    return result;
}
