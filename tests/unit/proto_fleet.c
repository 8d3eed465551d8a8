#include "tests/unit/proto_fleet.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "common/io/loop.h"
#include "proto/msg.h"

enum { PEER_BYTES_MAX = 256, PATIENCE_S = 10 };

struct fleet {
    struct cf_loop *loop;
    struct cf_socket *socket;
    pthread_t thread;
    bool deaf;
    struct cf_arena *arena;
    struct cf_buf buf;
    uint8_t late_peer[PEER_BYTES_MAX];
    size_t late_len;
    uint64_t late_id;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t heard[CF_KIND_COUNT]; /* under the lock */
};

static void send_frames(struct fleet *fleet, const struct cf_bytes *frames, size_t count)
{
    if (cf_socket_send(fleet->socket, frames, count) != CF_OK)
        fprintf(stderr, "the fleet could not answer\n");
}

static void reply(struct fleet *fleet, struct cf_bytes peer, const struct cf_msg *msg)
{
    struct cf_detail detail;
    if (cf_msg_encode(msg, &fleet->buf, &detail) != CF_OK) {
        fprintf(stderr, "the fleet could not encode: %s\n", detail.text);
        return;
    }
    struct cf_bytes frames[] = {peer, cf_buf_bytes(&fleet->buf)};
    send_frames(fleet, frames, 2);
}

static void reply_story(struct fleet *fleet, struct cf_bytes peer, uint64_t id, struct cf_str album)
{
    struct cf_msg msg = {.kind = CF_KIND_SHOW_OK, .id = id, .story = {.album = album, .attempts = id}};
    reply(fleet, peer, &msg);
}

static void on_show(struct fleet *fleet, struct cf_bytes peer, const struct cf_msg *msg)
{
    struct cf_str album = msg->show.album;
    if (cf_str_is(album, "echo"))
        reply_story(fleet, peer, msg->id, album);
    if (cf_str_is(album, "garbage")) {
        struct cf_bytes frames[] = {peer, {(const uint8_t *)"\xc1", 1}};
        send_frames(fleet, frames, 2);
    }
    if (cf_str_is(album, "two_frames")) {
        struct cf_bytes frames[] = {peer, {(const uint8_t *)"\x80", 1}, {(const uint8_t *)"\x80", 1}};
        send_frames(fleet, frames, 3);
    }
    if (cf_str_is(album, "wrong_kind"))
        reply(fleet, peer, &(struct cf_msg){.kind = CF_KIND_STATUS_OK, .id = msg->id});
    if (cf_str_is(album, "ok_error"))
        reply(fleet, peer,
              &(struct cf_msg){.kind = CF_KIND_ERROR, .id = msg->id, .error = {.error = cf_str("ok")}});
    if (cf_str_is(album, "stray")) {
        reply_story(fleet, peer, 999999, cf_str("nobody"));
        reply_story(fleet, peer, msg->id, album);
    }
    if (cf_str_is(album, "late") && peer.len <= PEER_BYTES_MAX) {
        memcpy(fleet->late_peer, peer.data, peer.len);
        fleet->late_len = peer.len;
        fleet->late_id = msg->id;
    }
}

static void on_batch(struct fleet *fleet, struct cf_bytes peer, const struct cf_msg *msg)
{
    bool is_push = msg->kind == CF_KIND_PUSH;
    size_t count = is_push ? msg->push.item_count : msg->albums.album_count;
    struct cf_result *results = cf_arena_alloc(fleet->arena, count, sizeof *results);
    for (size_t i = 0; i < count; i++)
        results[i] = (struct cf_result){.status = CF_PUSH_ACCEPTED, .version = {1, i + 1}};
    reply(fleet, peer,
          &(struct cf_msg){.kind = is_push ? CF_KIND_PUSH_OK : CF_KIND_REMOVE_OK,
                           .id = msg->id,
                           .results = {results, count}});
}

static void on_status(struct fleet *fleet, struct cf_bytes peer, uint64_t id)
{
    size_t sum = 0;
    for (size_t i = 0; i < CF_KIND_COUNT; i++)
        sum += fleet->heard[i];
    reply(fleet, peer, &(struct cf_msg){.kind = CF_KIND_STATUS_OK, .id = id, .status = {.queued = sum}});
}

static void answer(struct fleet *fleet, struct cf_bytes peer, const struct cf_msg *msg)
{
    static const struct cf_detail detail = {"there is no space \"void\""};
    if (fleet->late_len && msg->kind != CF_KIND_SHOW) {
        struct cf_bytes late = {fleet->late_peer, fleet->late_len};
        fleet->late_len = 0;
        reply_story(fleet, late, fleet->late_id, cf_str("late"));
    }
    switch (msg->kind) {
    case CF_KIND_SHOW:
        on_show(fleet, peer, msg);
        break;
    case CF_KIND_PUSH:
    case CF_KIND_REMOVE:
        on_batch(fleet, peer, msg);
        break;
    case CF_KIND_STATUS:
        on_status(fleet, peer, msg->id);
        break;
    case CF_KIND_QUERY:
        if (cf_str_is(msg->query.space, "void")) {
            struct cf_msg error = cf_msg_error(msg->id, CF_E_UNKNOWN_SPACE, &detail);
            reply(fleet, peer, &error);
        }
        break;
    default:
        break;
    }
}

static void on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    (void)socket;
    struct fleet *fleet = arg;
    struct cf_msg msg;
    struct cf_detail detail;
    cf_arena_reset(fleet->arena);
    if (frames->count != 2 || cf_msg_decode(frames->frame[1], fleet->arena, &msg, &detail) != CF_OK) {
        fprintf(stderr, "the fleet heard something that is no request\n");
        return;
    }
    pthread_mutex_lock(&fleet->lock);
    fleet->heard[msg.kind]++;
    pthread_cond_broadcast(&fleet->changed);
    pthread_mutex_unlock(&fleet->lock);
    if (!fleet->deaf)
        answer(fleet, frames->frame[0], &msg);
}

static void on_post(void *arg, void *item)
{
    (void)item;
    struct fleet *fleet = arg;
    cf_loop_stop(fleet->loop);
}

static void *run(void *arg)
{
    struct fleet *fleet = arg;
    struct cf_detail detail;
    if (cf_loop_run(fleet->loop, &detail) != CF_OK)
        fprintf(stderr, "the fleet's loop: %s\n", detail.text);
    return NULL;
}

struct fleet *fleet_start(const char *endpoint, bool deaf)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    struct cf_detail detail;
    assert_non_null(fleet);
    fleet->deaf = deaf;
    fleet->arena = cf_arena_new();
    cf_buf_init(&fleet->buf);
    pthread_mutex_init(&fleet->lock, NULL);
    pthread_cond_init(&fleet->changed, NULL);
    assert_int_equal(cf_loop_new_plain(&fleet->loop, &detail), CF_OK);
    cf_loop_on_post(fleet->loop, on_post, fleet);
    struct cf_socket_options options = {.type = CF_SOCKET_ROUTER,
                                        .message_bytes_max = 1 << 20,
                                        .high_water_mark = 10000,
                                        .on_message = on_message,
                                        .arg = fleet};
    assert_int_equal(cf_socket_open(fleet->loop, &options, &fleet->socket, &detail), CF_OK);
    if (cf_socket_bind(fleet->socket, endpoint, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    assert_int_equal(pthread_create(&fleet->thread, NULL, run, fleet), 0);
    return fleet;
}

void fleet_stop(struct fleet *fleet)
{
    assert_int_equal(cf_loop_post(fleet->loop, fleet), CF_OK);
    pthread_join(fleet->thread, NULL);
    cf_loop_free(fleet->loop, 0);
    pthread_cond_destroy(&fleet->changed);
    pthread_mutex_destroy(&fleet->lock);
    cf_arena_free(fleet->arena);
    cf_buf_fini(&fleet->buf);
    free(fleet);
}

static size_t heard(const struct fleet *fleet, const char *kind)
{
    for (unsigned i = 0; i < CF_KIND_COUNT; i++)
        if (strcmp(cf_kind_name(i), kind) == 0)
            return fleet->heard[i];
    fail_msg("no kind %s", kind);
    return 0;
}

size_t fleet_heard(struct fleet *fleet, const char *kind)
{
    pthread_mutex_lock(&fleet->lock);
    size_t count = heard(fleet, kind);
    pthread_mutex_unlock(&fleet->lock);
    return count;
}

void fleet_await(struct fleet *fleet, const char *kind, size_t count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    int waited = 0;
    pthread_mutex_lock(&fleet->lock);
    while (heard(fleet, kind) < count && waited == 0)
        waited = pthread_cond_timedwait(&fleet->changed, &fleet->lock, &until);
    pthread_mutex_unlock(&fleet->lock);
    if (waited)
        fail_msg("the fleet did not hear %zu times %s", count, kind);
}
