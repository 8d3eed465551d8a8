/* The role on its runner, against a fake broker on the same loop: what goes in as SEARCH comes back as
 * SEARCH_DONE, under the broker's number outside and the client's inside; removals hold for every search that
 * follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "tests/unit/query_world.h"
#include "workers/query/role.h"

enum { ASKED_MAX = 8, BROKER_ID = 1000, CLIENT_ID = 500, FAR_MS = 60000, ALBUMS = 12 };

static struct cf_decoder *decoder;

struct asked {
    struct cf_target target;
    uint64_t deadline_ms;
    bool done;
    struct cf_str error; /* what came back, in the broker's arena */
    struct cf_answer answer;
};

struct broker {
    struct world *world;
    struct cf_socket *router;
    struct cf_runner *runner;
    struct cf_arena *arena;
    struct asked asked[ASKED_MAX];
    size_t asked_count, done_count;
    uint64_t credit, heartbeats, goodbyes;
    struct cf_index_status status[CF_SPACE_COUNT]; /* of the last heartbeat, without the names */
    bool space_named;
};

static void say(struct broker *broker, struct cf_bytes peer, const struct cf_msg *msg, struct cf_bytes body)
{
    struct cf_buf out;
    cf_buf_init(&out);
    assert_int_equal(cf_msg_encode(msg, &out, NULL), CF_OK);
    struct cf_bytes frames[] = {peer, cf_buf_bytes(&out), body};
    assert_int_equal(cf_socket_send(broker->router, frames, body.len ? 3 : 2), CF_OK);
    cf_buf_fini(&out);
}

static void say_search(struct broker *broker, struct cf_bytes peer, size_t i)
{
    struct cf_msg query = {.kind = CF_KIND_QUERY, .id = CLIENT_ID + i};
    query.query = (struct cf_query){.space = cf_str("gray16"),
                                    .k = 5,
                                    .exact = true,
                                    .targets = &broker->asked[i].target,
                                    .target_count = 1};
    struct cf_buf body;
    cf_buf_init(&body);
    assert_int_equal(cf_msg_encode(&query, &body, NULL), CF_OK);
    const struct cf_msg search = {
        .kind = CF_KIND_SEARCH, .id = BROKER_ID + i, .search = {.deadline_ms = broker->asked[i].deadline_ms}};
    say(broker, peer, &search, cf_buf_bytes(&body));
    cf_buf_fini(&body);
}

static void say_removed(struct broker *broker, struct cf_bytes peer, size_t album)
{
    struct cf_removed_item item = {world_id(album), {1, 1000}};
    const struct cf_msg removed = {.kind = CF_KIND_REMOVED, .removed = {&item, 1}};
    say(broker, peer, &removed, (struct cf_bytes){NULL, 0});
}

static void on_search_done(struct broker *broker, const struct cf_msg *msg, struct cf_bytes body)
{
    assert_in_range(msg->id, BROKER_ID, BROKER_ID + broker->asked_count - 1);
    struct asked *asked = &broker->asked[msg->id - BROKER_ID];
    assert_false(asked->done);
    asked->done = true;
    struct cf_msg reply;
    struct cf_bytes copy = cf_arena_bytes(broker->arena, body);
    assert_int_equal(cf_msg_decode(copy, broker->arena, &reply, NULL), CF_OK);
    assert_int_equal(reply.id, CLIENT_ID + (msg->id - BROKER_ID));
    if (msg->search.error.len) {
        assert_int_equal(reply.kind, CF_KIND_ERROR);
        assert_true(cf_str_equal(reply.error.error, msg->search.error));
        asked->error = reply.error.error;
    } else {
        assert_int_equal(reply.kind, CF_KIND_QUERY_OK);
        asked->answer = reply.answer;
    }
    broker->done_count++;
}

static void on_worker_heartbeat(struct broker *broker, const struct cf_heartbeat *heartbeat)
{
    broker->heartbeats++;
    assert_int_equal(heartbeat->index_count, CF_SPACE_FIXED_COUNT);
    broker->space_named = cf_str_is(heartbeat->indexes[0].space, "gray16");
    memcpy(broker->status, heartbeat->indexes, sizeof broker->status);
}

static void on_worker_message(struct broker *broker, struct cf_bytes peer, const struct cf_msg *msg,
                              struct cf_bytes body)
{
    const struct cf_bytes none = {NULL, 0};
    const struct cf_msg welcome = {
        .kind = CF_KIND_REGISTERED,
        .registered = {.session = 1, .heartbeat_ms = 20, .heartbeat_timeout_ms = FAR_MS, .lease_ms = 1000}};
    const struct cf_msg beat = {.kind = CF_KIND_HEARTBEAT},
                        published = {.kind = CF_KIND_PUBLISHED,
                                     .published = {.space = cf_str("gray16"), .generation = 2}};
    const struct cf_msg bye = {.kind = CF_KIND_GOODBYE_OK};
    if (msg->kind == CF_KIND_REGISTER) {
        say(broker, peer, &welcome, none);
    } else if (msg->kind == CF_KIND_READY && msg->ready.credit) {
        broker->credit = msg->ready.credit;
        say(broker, peer, &published, none);
        say_removed(broker, peer, 1);
        for (size_t i = 0; i < broker->asked_count; i++)
            say_search(broker, peer, i);
    } else if (msg->kind == CF_KIND_SEARCH_DONE) {
        on_search_done(broker, msg, body);
    } else if (msg->kind == CF_KIND_HEARTBEAT) {
        on_worker_heartbeat(broker, &msg->heartbeat);
        say(broker, peer, &beat, none);
    } else if (msg->kind == CF_KIND_GOODBYE) {
        broker->goodbyes++;
        say(broker, peer, &bye, none);
    }
}

static void on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    struct broker *broker = arg;
    (void)socket;
    struct cf_msg msg;
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(cf_msg_decode(frames->frame[1], arena, &msg, NULL), CF_OK);
    on_worker_message(broker, frames->frame[0], &msg,
                      frames->count == 3 ? frames->frame[2] : (struct cf_bytes){NULL, 0});
    cf_arena_free(arena);
    if (broker->done_count == broker->asked_count && broker->heartbeats)
        cf_runner_drain(broker->runner);
}

static struct cf_config config_of(const struct world *world, int64_t outstanding_max)
{
    struct cf_config config;
    cf_config_default(&config, &world->home);
    snprintf(config.worker_endpoints[0], CF_CONFIG_TEXT_MAX, "ipc://%.100s/worker.sock", world->home.root);
    config.broker_query_outstanding_max = outstanding_max;
    return config;
}

/* Runs the worker until everything that was asked is answered, a heartbeat has come, and it has said goodbye.
 */
static void run(struct broker *broker, int64_t outstanding_max)
{
    struct world *world = broker->world;
    struct cf_config config = config_of(world, outstanding_max);
    struct cf_detail detail = {{0}};
    struct cf_loop *loop = NULL;
    struct cf_query_role *role = NULL;
    assert_int_equal(cf_loop_new(&loop, &detail), CF_OK);
    const struct cf_socket_options options = {.type = CF_SOCKET_ROUTER,
                                              .message_bytes_max = 1 << 20,
                                              .high_water_mark = 1000,
                                              .on_message = on_message,
                                              .arg = broker};
    assert_int_equal(cf_socket_open(loop, &options, &broker->router, &detail), CF_OK);
    assert_int_equal(cf_socket_bind(broker->router, config.worker_endpoints[0], &detail), CF_OK);
    world_open(world);
    world_step(world);
    assert_int_equal(
        cf_query_role_new(loop, &config, world->engine, world->follower, decoder, &role, &detail), CF_OK);
    const struct cf_role_ops ops = cf_query_role_ops("query-0");
    assert_int_equal(cf_runner_new(loop, &config, &ops, role, &broker->runner, &detail), CF_OK);
    assert_int_equal(cf_runner_run(broker->runner, &detail), CF_OK);
    cf_query_role_free(role);
    cf_runner_free(broker->runner);
    world_close(world);
    cf_loop_free(loop, 0);
}

/* Forks, so it comes before the first shard with its threads. */
static int make_decoder(void **state)
{
    (void)state;
    const struct cf_home home = {"/nowhere", "/nowhere"};
    struct cf_config config;
    cf_config_default(&config, &home);
    return cf_decoder_new(&config, &decoder, NULL) == CF_OK ? 0 : -1;
}

static int free_decoder(void **state)
{
    (void)state;
    cf_decoder_free(decoder);
    return 0;
}

static void ask(struct broker *broker, struct cf_target target, uint64_t deadline_ms)
{
    broker->asked[broker->asked_count++] = (struct asked){.target = target, .deadline_ms = deadline_ms};
}

static struct broker *broker_new(void)
{
    struct broker *broker = calloc(1, sizeof *broker);
    assert_non_null(broker);
    broker->world = world_new();
    broker->arena = cf_arena_new();
    for (size_t i = 0; i < ALBUMS; i++)
        world_store(broker->world, i, i % WORLD_SHARDS, ++broker->world->seq, false, 0);
    return broker;
}

static void broker_free(struct broker *broker)
{
    world_free(broker->world);
    cf_arena_free(broker->arena);
    free(broker);
}

/* A picture that the decoder takes: 8x8, a ramp, plain PGM. */
static struct cf_target picture(void)
{
    static const char text[] =
        "P2 8 8 63 "
        "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 "
        "32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 "
        "61 62 63 ";
    return (struct cf_target){.image = {(const uint8_t *)text, sizeof text - 1}};
}

static void searches_are_answered(void **state)
{
    (void)state;
    struct broker *broker = broker_new();
    world_build(broker->world, 0, 0);
    world_publish(broker->world, 0);
    ask(broker, (struct cf_target){.album = world_id(0)}, FAR_MS);
    ask(broker, (struct cf_target){.album = world_id(1)}, FAR_MS); /* removed by the message before it */
    ask(broker, picture(), FAR_MS);
    ask(broker, (struct cf_target){.image = {(const uint8_t *)"junk", 4}}, FAR_MS);
    ask(broker, (struct cf_target){.album = world_id(0)}, 0); /* too late already */
    run(broker, 64);
    assert_int_equal(broker->credit, 64);
    assert_int_equal(broker->goodbyes, 1);
    const struct asked *asked = broker->asked;
    assert_int_equal(asked[0].error.len, 0);
    assert_int_equal(asked[0].answer.results[0].neighbor_count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_false(cf_str_equal(asked[0].answer.results[0].neighbors[i].album, world_id(1)));
    assert_true(cf_str_is(asked[1].error, "not_found"));
    assert_int_equal(asked[2].error.len, 0);
    assert_int_equal(asked[2].answer.results[0].neighbor_count, 5);
    assert_true(cf_str_is(asked[3].error, "not_an_image"));
    assert_true(cf_str_is(asked[4].error, "deadline_exceeded"));
    assert_true(broker->space_named);
    assert_int_equal(broker->status[0].generation, 1);
    assert_int_equal(broker->status[0].count, ALBUMS);
    assert_int_equal(broker->status[0].tail, 0);
    assert_int_equal(broker->status[1].generation, 0);
    assert_int_equal(broker->status[1].tail, ALBUMS);
    broker_free(broker);
}

/* With room for one, searches that come at once are answered or refused as busy, each exactly once. */
static void too_many_searches_are_refused(void **state)
{
    (void)state;
    struct broker *broker = broker_new();
    for (size_t i = 0; i < ASKED_MAX; i++)
        ask(broker, (struct cf_target){.album = world_id(0)}, FAR_MS);
    run(broker, 1);
    size_t answered = 0, busy = 0;
    for (size_t i = 0; i < ASKED_MAX; i++) {
        answered += broker->asked[i].error.len == 0;
        busy += cf_str_is(broker->asked[i].error, "busy");
    }
    assert_true(answered >= 1);
    assert_int_equal(answered + busy, ASKED_MAX);
    broker_free(broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches_are_answered),
        cmocka_unit_test(too_many_searches_are_refused),
    };
    return cmocka_run_group_tests(tests, make_decoder, free_decoder);
}
