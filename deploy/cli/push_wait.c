#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "common/base/clock.h"
#include "deploy/cli/push.h"

enum { ASK_FIRST_MS = 10, ASK_LAST_MS = 250, SHOW_MS = 5000 };

/* A version is given once, so that it tells the lines of this push from the pushes of others. */
struct cf_ours {
    struct cf_version version;
    UT_hash_handle hh;
};

static bool ours_add(struct cf_pusher *pusher, struct cf_version version)
{
    if (cf_push_is_ours(pusher, version))
        return true;
    struct cf_ours *ours = calloc(1, sizeof *ours);
    if (!ours)
        return false;
    ours->version = version;
    HASH_ADD(hh, pusher->ours, version, sizeof ours->version, ours);
    if (ours->hh.tbl)
        return true;
    free(ours);
    return false;
}

bool cf_push_is_ours(const struct cf_pusher *pusher, struct cf_version version)
{
    struct cf_ours *ours = NULL;
    HASH_FIND(hh, pusher->ours, &version, sizeof version, ours);
    return ours != NULL;
}

void cf_push_await(struct cf_pusher *pusher, struct cf_str album, struct cf_version version, bool unchanged)
{
    if (pusher->awaited_count == pusher->awaited_capacity) {
        size_t capacity = pusher->awaited_capacity ? pusher->awaited_capacity * 2 : 1024;
        struct cf_awaited *grown = realloc(pusher->awaited, capacity * sizeof *grown);
        if (!grown)
            goto out_of_memory;
        pusher->awaited = grown;
        pusher->awaited_capacity = capacity;
    }
    char *name = ours_add(pusher, version) ? strndup(album.data, album.len) : NULL;
    if (!name)
        goto out_of_memory;
    pusher->awaited[pusher->awaited_count++] = (struct cf_awaited){name, version, unchanged};
    pusher->open_count++;
    pusher->ask_wait_ms = ASK_FIRST_MS;
    return;
out_of_memory:
    pusher->failed = cf_fail(&pusher->failed_detail, CF_E_NO_MEMORY, "out of memory");
}

enum cf_state cf_push_verdict(struct cf_version version, const struct cf_album_state *state)
{
    if (state->state == CF_STATE_NONE || cf_version_compare(state->version, version) != 0)
        return CF_STATE_REMOVED;
    switch (state->state) {
    case CF_STATE_DESCRIBED:
    case CF_STATE_INDEXED:
        return CF_STATE_DESCRIBED;
    case CF_STATE_DEAD:
    case CF_STATE_REMOVED:
        return (enum cf_state)state->state;
    default:
        return CF_STATE_QUEUED;
    }
}

/* ---- the dead: ask once why ---- */

struct why {
    struct cf_pusher *pusher;
    struct cf_str album, error;
    char text[]; /* both of them */
};

static void on_story(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    (void)detail;
    struct why *why = arg;
    why->pusher->shows_in_flight--;
    bool told = !err && msg->story.state == CF_STATE_DEAD;
    cf_push_problem(why->pusher, "dead", why->album, why->error, told ? msg->story.detail : cf_str(""));
    free(why);
}

static void report_dead(struct cf_pusher *pusher, const char *album, struct cf_str error)
{
    size_t album_len = strlen(album);
    struct why *why = NULL;
    if (pusher->problems + pusher->shows_in_flight < CF_PUSH_PROBLEM_LINES_MAX)
        why = malloc(sizeof *why + album_len + error.len);
    if (why) {
        *why = (struct why){pusher, {why->text, album_len}, {why->text + album_len, error.len}};
        memcpy(why->text, album, album_len);
        if (error.len)
            memcpy(why->text + album_len, error.data, error.len);
        struct cf_msg request = {.kind = CF_KIND_SHOW, .show = {.album = why->album}};
        if (!cf_client_send(pusher->fleet.client, &request, SHOW_MS, on_story, why, NULL)) {
            pusher->shows_in_flight++;
            return;
        }
        free(why);
    }
    cf_push_problem(pusher, "dead", cf_str(album), error, cf_str(""));
}

/* ---- states ---- */

static bool settle(struct cf_pusher *pusher, struct cf_awaited *awaited, const struct cf_album_state *state)
{
    bool newer = state->state != CF_STATE_NONE && cf_version_compare(state->version, awaited->version) > 0;
    bool by_later = newer && cf_push_is_ours(pusher, state->version);
    /* Whose the newer version is shows when all is acknowledged. */
    if (newer && !by_later && !cf_push_is_sent(pusher))
        return false;
    switch (cf_push_verdict(by_later ? state->version : awaited->version, state)) {
    case CF_STATE_QUEUED:
        return false;
    case CF_STATE_DESCRIBED:
        pusher->counts.described += awaited->unchanged ? 0 : 1;
        pusher->counts.by_later += by_later && !awaited->unchanged ? 1 : 0;
        break;
    case CF_STATE_DEAD:
        if (by_later) { /* told once, of the line that died */
            pusher->counts.superseded += awaited->unchanged ? 0 : 1;
            break;
        }
        pusher->counts.dead++;
        report_dead(pusher, awaited->album, state->error);
        break;
    default:
        pusher->counts.superseded += awaited->unchanged ? 0 : 1;
        break;
    }
    free(awaited->album);
    awaited->album = NULL;
    pusher->open_count--;
    return true;
}

/* A question costs the fleet and us as much as it names albums: a long one should settle many of them. While things
 * move a short one may come again soon, so that the end is seen when it comes. */
static uint64_t next_wait_ms(const struct cf_pusher *pusher, size_t settled)
{
    uint64_t longest_ms = settled > 0 ? pusher->asked_count / 4 : ASK_LAST_MS;
    uint64_t wait_ms = settled * 2 >= pusher->asked_count ? ASK_FIRST_MS : pusher->ask_wait_ms * 2;
    wait_ms = wait_ms < longest_ms ? wait_ms : longest_ms;
    return wait_ms < ASK_FIRST_MS ? ASK_FIRST_MS : wait_ms < ASK_LAST_MS ? wait_ms : ASK_LAST_MS;
}

static void on_states(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    (void)detail;
    struct cf_pusher *pusher = arg;
    uint64_t now_ms = cf_clock_mono_ms();
    size_t settled = 0;
    pusher->asking = false;
    if (err != CF_E_UNREACHABLE && err != CF_E_DEADLINE && !pusher->over)
        pusher->contact_ms = now_ms;
    for (size_t i = 0; !err && i < pusher->asked_count && i < msg->states.state_count; i++)
        settled += settle(pusher, &pusher->awaited[pusher->asked[i]], &msg->states.states[i]);
    while (pusher->first_open < pusher->awaited_count && !pusher->awaited[pusher->first_open].album)
        pusher->first_open++;
    if (settled > 0)
        pusher->advanced_ms = now_ms;
    pusher->ask_wait_ms = next_wait_ms(pusher, settled);
    pusher->ask_at_ms = now_ms + pusher->ask_wait_ms;
}

/* Every other question is about the oldest that are open, since those end first; the ones between go round
 * them all. */
static size_t choose(struct cf_pusher *pusher, struct cf_str *albums)
{
    size_t count = 0, at = pusher->first_open;
    pusher->ask_front = !pusher->ask_front;
    if (!pusher->ask_front && pusher->cursor > at && pusher->cursor < pusher->awaited_count)
        at = pusher->cursor;
    for (; at < pusher->awaited_count && count < CF_BATCH_MAX; at++) {
        if (!pusher->awaited[at].album)
            continue;
        pusher->asked[count] = at;
        albums[count++] = cf_str(pusher->awaited[at].album);
    }
    if (!pusher->ask_front || at > pusher->cursor)
        pusher->cursor = at;
    return count;
}

void cf_push_ask(struct cf_pusher *pusher, uint64_t now_ms)
{
    if (pusher->asking || pusher->open_count == 0 || now_ms < pusher->ask_at_ms)
        return;
    if (!pusher->asked)
        pusher->asked = calloc(CF_BATCH_MAX, sizeof *pusher->asked);
    struct cf_str *albums = calloc(CF_BATCH_MAX, sizeof *albums);
    if (!pusher->asked || !albums) {
        pusher->failed = cf_fail(&pusher->failed_detail, CF_E_NO_MEMORY, "out of memory");
        free(albums);
        return;
    }
    pusher->asked_count = choose(pusher, albums);
    struct cf_msg request = {.kind = CF_KIND_STATES,
                             .albums = {.albums = albums, .album_count = pusher->asked_count}};
    enum cf_err err =
        cf_client_send(pusher->fleet.client, &request, CF_PUSH_CALL_MS, on_states, pusher, NULL);
    pusher->asking = !err;
    if (err)
        pusher->ask_at_ms = now_ms + ASK_LAST_MS;
    free(albums);
}

void cf_push_wait_fini(struct cf_pusher *pusher)
{
    for (size_t i = 0; i < pusher->awaited_count; i++)
        free(pusher->awaited[i].album);
    struct cf_ours *ours, *next;
    HASH_ITER(hh, pusher->ours, ours, next)
    {
        HASH_DEL(pusher->ours, ours);
        free(ours);
    }
    free(pusher->awaited);
    free(pusher->asked);
}
