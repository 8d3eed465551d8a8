/* The runner against a fake broker in a thread of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "workers/runner/runner.h"

enum { PATIENCE_MS = 20000 };

/* ---- the fake broker: what it saw, and how it is to behave ---- */

struct broker {
    struct cf_loop *loop;
    struct cf_socket *router;
    struct cf_arena *arena;
    pthread_t thread;
    char folder[64], endpoint[128];
    bool running;
    atomic_int registers, readies, heartbeats, goodbyes, dones;
    atomic_int last_credit;
    atomic_bool mute;         /* hears and says nothing */
    atomic_bool forget;       /* the next heartbeat is answered by "unregistered" */
    atomic_bool lease_first;  /* a lease before "registered" */
    atomic_bool refuse;       /* "error" instead of "registered" */
    atomic_bool keep_goodbye; /* goodbye gets no answer */
    atomic_bool garbage;      /* nonsense right after "registered" */
    atomic_uint_fast64_t timeout_ms;
};

static void say(struct broker *broker, struct cf_bytes peer, const struct cf_msg *msg, const char *body)
{
    struct cf_buf out;
    cf_buf_init(&out);
    assert_int_equal(cf_msg_encode(msg, &out, NULL), CF_OK);
    struct cf_bytes frames[] = {peer, cf_buf_bytes(&out), {(const uint8_t *)body, body ? strlen(body) : 0}};
    enum cf_err err = cf_socket_send(broker->router, frames, body ? 3 : 2);
    assert_true(err == CF_OK || err == CF_E_UNREACHABLE); /* the runner may have left */
    cf_buf_fini(&out);
}

static void say_lease(struct broker *broker, struct cf_bytes peer)
{
    uint8_t sha[32] = {0};
    struct cf_job job = {.version = {1, 7},
                         .album = cf_str("R-7"),
                         .action = CF_ACTION_DESCRIBE,
                         .bytes = {(const uint8_t *)"picture", 7},
                         .sha256 = {sha, sizeof sha},
                         .attempt = 1};
    const struct cf_msg msg = {.kind = CF_KIND_LEASE, .lease = {&job, 1}};
    say(broker, peer, &msg, NULL);
}

static void say_garbage(struct broker *broker, struct cf_bytes peer)
{
    const struct cf_bytes junk = {(const uint8_t *)"\xC1\xFF", 2}, empty = {NULL, 0};
    const struct cf_bytes nonsense[] = {peer, junk}, nothing[] = {peer, empty},
                          many[] = {peer, junk, junk, junk};
    const struct cf_msg stray = {.kind = CF_KIND_GOODBYE_OK};
    assert_int_equal(cf_socket_send(broker->router, nonsense, 2), CF_OK);
    assert_int_equal(cf_socket_send(broker->router, nothing, 2), CF_OK);
    assert_int_equal(cf_socket_send(broker->router, many, 4), CF_OK);
    say(broker, peer, &stray, NULL);
}

static void answer_register(struct broker *broker, struct cf_bytes peer)
{
    const struct cf_msg refusal = {.kind = CF_KIND_ERROR, .error = {cf_str("invalid"), cf_str("not today")}};
    const struct cf_msg welcome = {.kind = CF_KIND_REGISTERED,
                                   .registered = {.session = (uint64_t)broker->registers,
                                                  .heartbeat_ms = 20,
                                                  .heartbeat_timeout_ms = broker->timeout_ms,
                                                  .lease_ms = 1000}};
    if (atomic_exchange(&broker->lease_first, false))
        say_lease(broker, peer);
    say(broker, peer, broker->refuse ? &refusal : &welcome, NULL);
    broker->refuse = false;
    if (broker->garbage)
        say_garbage(broker, peer);
}

static void answer(struct broker *broker, struct cf_bytes peer, const struct cf_msg *msg)
{
    const struct cf_msg unknown = {.kind = CF_KIND_UNREGISTERED}, beat = {.kind = CF_KIND_HEARTBEAT};
    const struct cf_msg bye = {.kind = CF_KIND_GOODBYE_OK},
                        search = {.kind = CF_KIND_SEARCH, .search = {.deadline_ms = 9}};
    switch (msg->kind) {
    case CF_KIND_REGISTER:
        assert_int_equal(msg->registration.role, CF_ROLE_QUERY);
        assert_true(cf_str_is(msg->registration.name, "query-5"));
        assert_int_equal(msg->registration.pid, getpid());
        broker->registers++;
        answer_register(broker, peer);
        break;
    case CF_KIND_READY:
        broker->last_credit = (int)msg->ready.credit;
        broker->readies++;
        if (msg->ready.credit > 0) {
            say_lease(broker, peer);
            say(broker, peer, &search, "the client's query");
        }
        break;
    case CF_KIND_HEARTBEAT:
        broker->heartbeats++;
        say(broker, peer, atomic_exchange(&broker->forget, false) ? &unknown : &beat, NULL);
        break;
    case CF_KIND_DONE:
        broker->dones++;
        break;
    case CF_KIND_GOODBYE:
        broker->goodbyes++;
        if (!broker->keep_goodbye)
            say(broker, peer, &bye, NULL);
        break;
    default:
        fail_msg("the runner sent %s", cf_kind_name(msg->kind));
    }
}

static void on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    struct broker *broker = arg;
    struct cf_msg msg;
    (void)socket;
    if (broker->mute)
        return;
    cf_arena_reset(broker->arena);
    assert_int_equal(frames->count, 2);
    assert_int_equal(cf_msg_decode(frames->frame[1], broker->arena, &msg, NULL), CF_OK);
    answer(broker, frames->frame[0], &msg);
}

static void on_post(void *arg, void *item)
{
    struct broker *broker = arg;
    (void)item;
    cf_loop_stop(broker->loop);
}

static void *broker_main(void *arg)
{
    struct broker *broker = arg;
    return cf_loop_run(broker->loop, NULL) == CF_OK ? broker : NULL;
}

static void broker_prepare(struct broker *broker)
{
    memset(broker, 0, sizeof *broker);
    broker->timeout_ms = 5000;
    snprintf(broker->folder, sizeof broker->folder, "/tmp/cf-runner-XXXXXX");
    assert_non_null(mkdtemp(broker->folder));
    snprintf(broker->endpoint, sizeof broker->endpoint, "ipc://%s/worker.sock", broker->folder);
}

static void broker_start(struct broker *broker)
{
    sigset_t all, before; /* signals are for the runner's thread */
    assert_int_equal(cf_loop_new_plain(&broker->loop, NULL), CF_OK);
    broker->arena = cf_arena_new();
    struct cf_socket_options options = {.type = CF_SOCKET_ROUTER,
                                        .message_bytes_max = 1 << 20,
                                        .high_water_mark = 1000,
                                        .on_message = on_message,
                                        .arg = broker};
    assert_int_equal(cf_socket_open(broker->loop, &options, &broker->router, NULL), CF_OK);
    assert_int_equal(cf_socket_bind(broker->router, broker->endpoint, NULL), CF_OK);
    cf_loop_on_post(broker->loop, on_post, broker);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    assert_int_equal(pthread_create(&broker->thread, NULL, broker_main, broker), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    broker->running = true;
}

static void broker_stop(struct broker *broker)
{
    void *result = NULL;
    if (!broker->running)
        return;
    assert_int_equal(cf_loop_post(broker->loop, NULL), CF_OK);
    pthread_join(broker->thread, &result);
    assert_ptr_equal(result, broker);
    cf_loop_free(broker->loop, 0);
    cf_arena_free(broker->arena);
    broker->running = false;
}

/* ---- the role under test ---- */

struct role {
    struct cf_loop *loop;
    struct cf_runner *runner;
    struct broker *broker;
    struct cf_role_ops ops;
    int registered, leases, searches, drain_asks;
    int drain_after_asks; /* how often drained() says no */
    uint64_t end_ms;
    bool (*satisfied)(struct role *role); /* then it drains */
    bool by_signal, told, late;
};

static void on_registered(void *arg, struct cf_runner *runner)
{
    struct role *role = arg;
    role->registered++;
    assert_true(cf_runner_is_registered(runner));
    assert_int_equal(cf_runner_ready(runner, 8), CF_OK);
}

static void on_role_message(void *arg, struct cf_runner *runner, const struct cf_msg *msg,
                            struct cf_bytes body)
{
    struct role *role = arg;
    if (msg->kind == CF_KIND_LEASE) {
        role->leases++;
        assert_int_equal(msg->lease.job_count, 1);
        assert_true(cf_str_is(msg->lease.jobs[0].album, "R-7"));
        struct cf_done_item item = {.version = msg->lease.jobs[0].version,
                                    .album = msg->lease.jobs[0].album,
                                    .shard = cf_str("descriptor-0"),
                                    .log_seq = 1};
        const struct cf_msg done = {.kind = CF_KIND_DONE, .done = {&item, 1}};
        assert_int_equal(cf_runner_send(runner, &done, (struct cf_bytes){NULL, 0}, NULL), CF_OK);
    } else {
        role->searches++;
        assert_int_equal(msg->kind, CF_KIND_SEARCH);
        assert_int_equal(msg->search.deadline_ms, 9);
        assert_int_equal(body.len, strlen("the client's query"));
        assert_memory_equal(body.data, "the client's query", body.len);
    }
}

static uint64_t on_role_tick(void *arg, struct cf_runner *runner, uint64_t now_ms)
{
    struct role *role = arg;
    if (now_ms > role->end_ms) {
        role->late = true;
        cf_loop_stop(role->loop);
    }
    if (!role->told && role->satisfied(role)) {
        role->told = true;
        if (role->by_signal)
            kill(getpid(), SIGTERM);
        else
            cf_runner_drain(runner);
    }
    return 2;
}

static bool on_drained(void *arg, struct cf_runner *runner)
{
    struct role *role = arg;
    assert_true(cf_runner_is_draining(runner));
    return ++role->drain_asks > role->drain_after_asks;
}

static void role_start(struct role *role, struct broker *broker, bool (*satisfied)(struct role *))
{
    static struct cf_home home;
    struct cf_config config;
    cf_config_default(&config, &home);
    snprintf(config.worker_endpoints[0], sizeof config.worker_endpoints[0], "%s", broker->endpoint);
    *role =
        (struct role){.broker = broker, .satisfied = satisfied, .end_ms = cf_clock_mono_ms() + PATIENCE_MS};
    role->ops = (struct cf_role_ops){.role = CF_ROLE_QUERY,
                                     .registered = on_registered,
                                     .message = on_role_message,
                                     .tick = on_role_tick,
                                     .drained = on_drained,
                                     .name = "query-5"};
    assert_int_equal(cf_loop_new(&role->loop, NULL), CF_OK);
    assert_int_equal(cf_runner_new(role->loop, &config, &role->ops, role, &role->runner, NULL), CF_OK);
}

static void role_run(struct role *role)
{
    struct cf_detail detail = {{0}};
    enum cf_err err = cf_runner_run(role->runner, &detail);
    assert_string_equal(detail.text, "");
    assert_int_equal(err, CF_OK);
    assert_false(role->late);
    cf_runner_free(role->runner);
    cf_loop_free(role->loop, 0);
}

static void finish(struct broker *broker)
{
    char path[128];
    broker_stop(broker);
    snprintf(path, sizeof path, "%s/worker.sock", broker->folder);
    unlink(path);
    assert_int_equal(rmdir(broker->folder), 0);
}

/* ---- scenarios ---- */

static bool worked(struct role *role)
{
    return role->broker->heartbeats >= 3 && role->broker->dones >= 1 && role->searches >= 1;
}

static bool registered_twice(struct role *role)
{
    return role->registered >= 2;
}

static void test_works_and_drains(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker_start(&broker);
    role_start(&role, &broker, worked);
    const struct cf_msg early = {.kind = CF_KIND_HEARTBEAT};
    assert_int_equal(cf_runner_send(role.runner, &early, (struct cf_bytes){NULL, 0}, NULL), CF_E_UNREACHABLE);
    assert_int_equal(cf_runner_ready(role.runner, 1), CF_E_UNREACHABLE);
    role.drain_after_asks = 3;
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(broker.registers, 1);
    assert_int_equal(role.registered, 1);
    assert_int_equal(role.leases, 1);
    assert_int_equal(broker.readies, 2);
    assert_int_equal(broker.last_credit, 0);
    assert_int_equal(broker.goodbyes, 1);
    assert_int_equal(role.drain_asks, 4);
    finish(&broker);
}

static void test_drains_on_sigterm(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker_start(&broker);
    role_start(&role, &broker, worked);
    role.by_signal = true;
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(broker.goodbyes, 1);
    finish(&broker);
}

static void test_registers_again_when_forgotten(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.forget = true;
    broker_start(&broker);
    role_start(&role, &broker, registered_twice);
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(broker.registers, 2);
    finish(&broker);
}

/* Silent once it was registered; the runner notices by itself, and finds the broker when it talks again. */
static bool silence_then_back(struct role *role)
{
    if (role->registered == 1 && cf_runner_is_registered(role->runner))
        role->broker->mute = true;
    else
        role->broker->mute = false;
    return role->registered >= 2;
}

static void test_registers_again_after_silence(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.timeout_ms = 150;
    broker_start(&broker);
    role_start(&role, &broker, silence_then_back);
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(role.registered, 2);
    finish(&broker);
}

/* The broker dies and another one takes its place at the same endpoint. */
static bool restart_the_broker(struct role *role)
{
    if (role->registered == 1 && role->broker->heartbeats >= 1 && !role->by_signal) {
        role->by_signal = true; /* here: restarted already */
        broker_stop(role->broker);
        broker_start(role->broker);
        role->broker->forget = true;
    }
    role->by_signal = role->by_signal && role->registered < 2;
    return role->registered >= 2;
}

static void test_finds_a_restarted_broker(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.timeout_ms = 1000;
    broker_start(&broker);
    role_start(&role, &broker, restart_the_broker);
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(role.registered, 2);
    finish(&broker);
}

/* No broker at the start, and one that comes later. */
static bool start_the_broker_late(struct role *role)
{
    if (!role->broker->running && role->end_ms - cf_clock_mono_ms() < PATIENCE_MS - 200)
        broker_start(role->broker);
    return role->registered >= 1;
}

static void test_waits_for_the_broker(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    role_start(&role, &broker, start_the_broker_late);
    role_run(&role);
    broker_stop(&broker);
    assert_in_range(broker.registers, 1, 2);
    assert_int_equal(broker.goodbyes, 1);
    finish(&broker);
}

static void test_ignores_what_comes_before_registration(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.lease_first = true;
    broker_start(&broker);
    role_start(&role, &broker, worked);
    role_run(&role);
    assert_int_equal(role.leases, 1); /* the one that READY brought */
    finish(&broker);
}

static void test_asks_again_when_refused(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.refuse = true;
    broker_start(&broker);
    role_start(&role, &broker, worked);
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(broker.registers, 2);
    assert_int_equal(role.registered, 1);
    finish(&broker);
}

static void test_survives_nonsense(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.garbage = true;
    broker_start(&broker);
    role_start(&role, &broker, worked);
    role_run(&role);
    broker_stop(&broker);
    assert_int_equal(broker.registers, 1);
    finish(&broker);
}

static void test_leaves_without_an_answer(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    broker.keep_goodbye = true;
    broker_start(&broker);
    role_start(&role, &broker, worked);
    uint64_t start = cf_clock_mono_ms();
    role_run(&role);
    assert_in_range(cf_clock_mono_ms() - start, 900, PATIENCE_MS);
    broker_stop(&broker);
    assert_int_equal(broker.goodbyes, 1);
    finish(&broker);
}

static bool at_once(struct role *role)
{
    (void)role;
    return true;
}

static void test_leaves_without_a_broker(void **state)
{
    (void)state;
    struct broker broker;
    struct role role;
    broker_prepare(&broker);
    role_start(&role, &broker, at_once);
    role_run(&role);
    assert_int_equal(role.registered, 0);
    finish(&broker);
}

static void test_bad_endpoint_fails_at_start(void **state)
{
    (void)state;
    static struct cf_home home;
    struct cf_config config;
    struct cf_loop *loop;
    struct cf_runner *runner = NULL;
    struct cf_detail detail = {{0}};
    const struct cf_role_ops ops = {.role = CF_ROLE_INDEXER, .name = "indexer-0"};
    cf_config_default(&config, &home);
    snprintf(config.worker_endpoints[0], sizeof config.worker_endpoints[0], "nonsense");
    assert_int_equal(cf_loop_new(&loop, NULL), CF_OK);
    assert_int_equal(cf_runner_new(loop, &config, &ops, NULL, &runner, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "nonsense"));
    assert_null(runner);
    snprintf(config.worker_endpoints[0], sizeof config.worker_endpoints[0], "tcp://*:45123");
    assert_int_equal(cf_runner_new(loop, &config, &ops, NULL, &runner, &detail), CF_OK);
    cf_runner_free(runner);
    cf_runner_free(NULL);
    cf_loop_free(loop, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works_and_drains),
        cmocka_unit_test(test_drains_on_sigterm),
        cmocka_unit_test(test_registers_again_when_forgotten),
        cmocka_unit_test(test_registers_again_after_silence),
        cmocka_unit_test(test_finds_a_restarted_broker),
        cmocka_unit_test(test_waits_for_the_broker),
        cmocka_unit_test(test_ignores_what_comes_before_registration),
        cmocka_unit_test(test_asks_again_when_refused),
        cmocka_unit_test(test_survives_nonsense),
        cmocka_unit_test(test_leaves_without_an_answer),
        cmocka_unit_test(test_leaves_without_a_broker),
        cmocka_unit_test(test_bad_endpoint_fails_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
