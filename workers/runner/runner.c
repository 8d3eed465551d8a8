#include "workers/runner/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/rng.h"

#ifndef CF_VERSION
#define CF_VERSION "unknown"
#endif

enum {
    HIGH_WATER_MARK = 10000,
    ENVELOPE_BYTES = 1 << 20, /* the broker wraps what a client sent in a message of its own */
    REGISTER_MS = 500,        /* the first wait for an answer; doubles */
    REGISTER_MS_MAX = 4000,   /* connecting itself is retried much faster, below */
    JITTER_MS = 250,          /* so that a fleet does not come back in one instant */
    DRAIN_ASK_MS = 20,
    GOODBYE_MS = 1000,
    IDLE_MS = 1000,
};

enum phase {
    PHASE_WAITING,     /* until register_due_ms */
    PHASE_REGISTERING, /* asked; again at register_due_ms */
    PHASE_REGISTERED,
    PHASE_LEAVING, /* goodbye sent; gone at leave_due_ms at the latest */
    PHASE_GONE,
};

struct cf_runner {
    struct cf_loop *loop;
    const struct cf_role_ops *ops;
    void *arg;
    char endpoint[CF_CONFIG_TEXT_MAX];
    char host[64];
    size_t message_bytes_max;
    uint64_t silence_ms; /* of the broker, until REGISTERED says better */
    struct cf_socket *socket;
    struct cf_arena *arena; /* of the message at hand */
    struct cf_buf out;
    struct cf_rng rng;
    enum phase phase;
    bool draining;
    bool silence_told; /* one line a disturbance, not one an attempt */
    uint64_t instance; /* of this process, by chance: in containers the pid says nothing */
    uint64_t session, heartbeat_ms, heartbeat_timeout_ms;
    uint64_t heard_ms, beat_due_ms, register_due_ms, register_wait_ms, leave_due_ms, role_due_ms;
    enum cf_err failed; /* what ends cf_runner_run early */
    struct cf_detail detail;
};

/* ---- sending ---- */

static enum cf_err send_msg(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body,
                            struct cf_detail *detail)
{
    enum cf_err err = cf_msg_encode(msg, &runner->out, detail);
    if (err != CF_OK)
        return err;
    struct cf_bytes frames[] = {cf_buf_bytes(&runner->out), body};
    err = cf_socket_send(runner->socket, frames, body.len ? 2 : 1);
    if (err != CF_OK)
        return cf_fail(detail, err, "the broker does not take a %s message now", cf_kind_name(msg->kind));
    return CF_OK;
}

enum cf_err cf_runner_send(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body,
                           struct cf_detail *detail)
{
    if (runner->phase != PHASE_REGISTERED)
        return cf_fail(detail, CF_E_UNREACHABLE, "not registered at the broker");
    return send_msg(runner, msg, body, detail);
}

enum cf_err cf_runner_ready(struct cf_runner *runner, uint64_t credit)
{
    const struct cf_msg msg = {.kind = CF_KIND_READY, .ready = {.credit = runner->draining ? 0 : credit}};
    return cf_runner_send(runner, &msg, (struct cf_bytes){NULL, 0}, NULL);
}

static void send_heartbeat(struct cf_runner *runner, uint64_t now_ms)
{
    struct cf_msg msg = {.kind = CF_KIND_HEARTBEAT};
    if (runner->ops->heartbeat)
        runner->ops->heartbeat(runner->arg, &msg.heartbeat);
    runner->beat_due_ms = now_ms + runner->heartbeat_ms;
    /* A full socket is no news: the broker is silent then, or hears the rest of the queue. */
    struct cf_detail detail;
    enum cf_err err = send_msg(runner, &msg, (struct cf_bytes){NULL, 0}, &detail);
    if (err != CF_OK && err != CF_E_BUSY)
        cf_log(CF_LOG_WARN, "heartbeat_failed", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
}

/* ---- registering ---- */

static void on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames);

/* Every attempt has a socket of its own: what an older one still held back would only confuse the broker. */
static enum cf_err reopen(struct cf_runner *runner, struct cf_detail *detail)
{
    if (runner->socket)
        cf_socket_close(runner->socket, 0);
    runner->socket = NULL;
    const struct cf_socket_options options = {.type = CF_SOCKET_DEALER,
                                              .message_bytes_max = runner->message_bytes_max + ENVELOPE_BYTES,
                                              .high_water_mark = HIGH_WATER_MARK,
                                              .on_message = on_message,
                                              .arg = runner};
    enum cf_err err = cf_socket_open(runner->loop, &options, &runner->socket, detail);
    return err == CF_OK ? cf_socket_connect(runner->socket, runner->endpoint, detail) : err;
}

static void give_up(struct cf_runner *runner, enum cf_err err)
{
    runner->failed = err;
    cf_loop_stop(runner->loop);
}

static void attempt(struct cf_runner *runner, uint64_t now_ms)
{
    enum cf_err err = reopen(runner, &runner->detail);
    const struct cf_msg msg = {.kind = CF_KIND_REGISTER,
                               .registration = {.role = runner->ops->role,
                                                .name = cf_str(runner->ops->name),
                                                .pid = (uint64_t)getpid(),
                                                .instance = runner->instance,
                                                .host = cf_str(runner->host),
                                                .version = cf_str(CF_VERSION)}};
    if (err == CF_OK)
        err = send_msg(runner, &msg, (struct cf_bytes){NULL, 0}, &runner->detail);
    if (err != CF_OK) {
        give_up(runner, err);
        return;
    }
    runner->phase = PHASE_REGISTERING;
    runner->register_due_ms = now_ms + runner->register_wait_ms + cf_rng_below(&runner->rng, JITTER_MS);
    runner->register_wait_ms *= 2;
    if (runner->register_wait_ms > REGISTER_MS_MAX)
        runner->register_wait_ms = REGISTER_MS_MAX;
}

static void start_over(struct cf_runner *runner, uint64_t now_ms)
{
    runner->phase = PHASE_WAITING;
    runner->register_wait_ms = REGISTER_MS;
    runner->register_due_ms = now_ms + cf_rng_below(&runner->rng, JITTER_MS);
}

static void tell_silence(struct cf_runner *runner, uint64_t now_ms)
{
    if (runner->silence_told)
        return;
    runner->silence_told = true;
    cf_log(CF_LOG_WARN, "broker_silent", "endpoint=\"%s\" silent_ms=%llu", runner->endpoint,
           (unsigned long long)(now_ms - runner->heard_ms));
}

static void on_registered(struct cf_runner *runner, const struct cf_registered *registered)
{
    if (runner->phase != PHASE_REGISTERING)
        return;
    runner->phase = PHASE_REGISTERED;
    runner->session = registered->session;
    runner->heartbeat_ms = registered->heartbeat_ms ? registered->heartbeat_ms : IDLE_MS;
    runner->heartbeat_timeout_ms =
        registered->heartbeat_timeout_ms ? registered->heartbeat_timeout_ms : runner->silence_ms;
    runner->beat_due_ms = runner->heard_ms + runner->heartbeat_ms;
    runner->register_wait_ms = REGISTER_MS;
    runner->silence_told = false;
    cf_log(CF_LOG_INFO, "worker_registered", "endpoint=\"%s\" session=%llu heartbeat_ms=%llu",
           runner->endpoint, (unsigned long long)runner->session, (unsigned long long)runner->heartbeat_ms);
    if (runner->ops->registered)
        runner->ops->registered(runner->arg, runner);
    if (runner->draining && cf_runner_ready(runner, 0) != CF_OK)
        cf_log(CF_LOG_WARN, "drain_not_told", "session=%llu", (unsigned long long)runner->session);
}

/* ---- receiving ---- */

static void on_error(struct cf_runner *runner, const struct cf_error *error)
{
    cf_log(runner->phase == PHASE_REGISTERED ? CF_LOG_WARN : CF_LOG_ERROR,
           runner->phase == PHASE_REGISTERED ? "broker_refused" : "registration_refused",
           "error=%.*s detail=\"%.*s\"", CF_STR_ARG(error->error), CF_STR_ARG(error->detail));
}

static void on_registered_message(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body)
{
    switch (msg->kind) {
    case CF_KIND_HEARTBEAT:
        break;
    case CF_KIND_UNREGISTERED:
        cf_log(CF_LOG_WARN, "worker_forgotten", "session=%llu", (unsigned long long)runner->session);
        start_over(runner, runner->heard_ms);
        break;
    case CF_KIND_LEASE:
    case CF_KIND_SEARCH:
    case CF_KIND_REMOVED:
    case CF_KIND_PUBLISHED:
    case CF_KIND_REBUILD:
    case CF_KIND_REDESCRIBE_ORDER:
        if (runner->ops->message)
            runner->ops->message(runner->arg, runner, msg, body);
        break;
    default:
        cf_log(CF_LOG_WARN, "message_ignored", "kind=%s", cf_kind_name(msg->kind));
    }
}

static void handle(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body)
{
    if (msg->kind == CF_KIND_REGISTERED) {
        on_registered(runner, &msg->registered);
    } else if (msg->kind == CF_KIND_ERROR) {
        on_error(runner, &msg->error);
    } else if (runner->phase == PHASE_REGISTERED) {
        on_registered_message(runner, msg, body);
    } else if (runner->phase == PHASE_LEAVING &&
               (msg->kind == CF_KIND_GOODBYE_OK || msg->kind == CF_KIND_UNREGISTERED)) {
        runner->phase = PHASE_GONE;
    }
}

static void on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    struct cf_runner *runner = arg;
    if (socket != runner->socket)
        return;
    struct cf_msg msg;
    struct cf_detail detail = {{0}};
    cf_arena_reset(runner->arena);
    enum cf_err err = frames->count > 2
                          ? cf_fail(&detail, CF_E_INVALID, "%zu frames: 1 or 2 are expected", frames->count)
                          : cf_msg_decode(frames->frame[0], runner->arena, &msg, &detail);
    runner->heard_ms = cf_clock_mono_ms();
    if (err != CF_OK) {
        cf_log(CF_LOG_WARN, "bad_message", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
        return;
    }
    handle(runner, &msg, frames->count == 2 ? frames->frame[1] : (struct cf_bytes){NULL, 0});
}

static void on_post(void *arg, void *item)
{
    struct cf_runner *runner = arg;
    if (runner->ops->posted)
        runner->ops->posted(runner->arg, runner, item);
}

/* ---- draining ---- */

void cf_runner_drain(struct cf_runner *runner)
{
    if (runner->draining)
        return;
    runner->draining = true;
    cf_log(CF_LOG_INFO, "worker_draining", "registered=%s", runner->phase == PHASE_REGISTERED ? "yes" : "no");
    if (runner->phase == PHASE_REGISTERED && cf_runner_ready(runner, 0) != CF_OK)
        cf_log(CF_LOG_WARN, "drain_not_told", "session=%llu", (unsigned long long)runner->session);
}

static void on_stop(void *arg)
{
    cf_runner_drain(arg);
}

static bool role_drained(struct cf_runner *runner)
{
    return !runner->ops->drained || runner->ops->drained(runner->arg, runner);
}

/* Without a registration there is nobody to say goodbye to. */
static void leave(struct cf_runner *runner, uint64_t now_ms)
{
    const struct cf_msg msg = {.kind = CF_KIND_GOODBYE};
    if (runner->phase != PHASE_REGISTERED)
        runner->phase = PHASE_GONE;
    else if (send_msg(runner, &msg, (struct cf_bytes){NULL, 0}, NULL) == CF_OK)
        runner->phase = PHASE_LEAVING;
    if (runner->leave_due_ms == 0)
        runner->leave_due_ms = now_ms + GOODBYE_MS;
}

static void step_drain(struct cf_runner *runner, uint64_t now_ms)
{
    if (runner->phase <= PHASE_REGISTERED && role_drained(runner))
        leave(runner, now_ms);
    if (runner->leave_due_ms && now_ms >= runner->leave_due_ms && runner->phase != PHASE_GONE) {
        cf_log(CF_LOG_WARN, "goodbye_unanswered", "waited_ms=%d", GOODBYE_MS);
        runner->phase = PHASE_GONE;
    }
    if (runner->phase == PHASE_GONE) {
        cf_log(CF_LOG_INFO, "worker_gone", "session=%llu", (unsigned long long)runner->session);
        cf_loop_stop(runner->loop);
    }
}

/* ---- time ---- */

static void step_registration(struct cf_runner *runner, uint64_t now_ms)
{
    if (runner->phase == PHASE_REGISTERED) {
        if (now_ms >= runner->heard_ms + runner->heartbeat_timeout_ms) {
            tell_silence(runner, now_ms);
            start_over(runner, now_ms);
        } else if (now_ms >= runner->beat_due_ms) {
            send_heartbeat(runner, now_ms);
        }
    } else if (runner->phase < PHASE_REGISTERED && now_ms >= runner->register_due_ms) {
        if (runner->phase == PHASE_REGISTERING)
            tell_silence(runner, now_ms);
        attempt(runner, now_ms);
    }
}

static uint64_t until(uint64_t due_ms, uint64_t now_ms)
{
    return due_ms > now_ms ? due_ms - now_ms : 0;
}

static uint64_t next_ms(const struct cf_runner *runner, uint64_t now_ms)
{
    uint64_t next = IDLE_MS, own = IDLE_MS;
    if (runner->phase == PHASE_REGISTERED)
        own = until(runner->beat_due_ms, now_ms);
    else if (runner->phase < PHASE_REGISTERED)
        own = until(runner->register_due_ms, now_ms);
    if (own < next)
        next = own;
    if (runner->ops->tick && until(runner->role_due_ms, now_ms) < next)
        next = until(runner->role_due_ms, now_ms);
    if (runner->draining && next > DRAIN_ASK_MS)
        next = DRAIN_ASK_MS;
    return next;
}

static uint64_t on_tick(void *arg, uint64_t now_ms)
{
    struct cf_runner *runner = arg;
    step_registration(runner, now_ms);
    if (runner->ops->tick && now_ms >= runner->role_due_ms)
        runner->role_due_ms = now_ms + runner->ops->tick(runner->arg, runner, now_ms);
    if (runner->draining)
        step_drain(runner, now_ms);
    return next_ms(runner, now_ms);
}

/* ---- life ---- */

/* What is bound on every interface is reached on the loopback one. */
static enum cf_err take_endpoint(struct cf_runner *runner, const char *endpoint, struct cf_detail *detail)
{
    const char *any = "tcp://*:";
    int len = strncmp(endpoint, any, strlen(any)) == 0
                  ? snprintf(runner->endpoint, sizeof runner->endpoint, "tcp://127.0.0.1:%s",
                             endpoint + strlen(any))
                  : snprintf(runner->endpoint, sizeof runner->endpoint, "%s", endpoint);
    if (len >= (int)sizeof runner->endpoint)
        return cf_fail(detail, CF_E_INVALID, "broker.worker_endpoints: the first entry is too long");
    return CF_OK;
}

enum cf_err cf_runner_new(struct cf_loop *loop, const struct cf_config *config, const struct cf_role_ops *ops,
                          void *arg, struct cf_runner **out, struct cf_detail *detail)
{
    struct cf_runner *runner = calloc(1, sizeof *runner);
    if (runner)
        runner->arena = cf_arena_new();
    if (!runner || !runner->arena) {
        free(runner);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a worker");
    }
    uint64_t now = cf_clock_mono_us();
    if (getrandom(&runner->instance, sizeof runner->instance, 0) != (ssize_t)sizeof runner->instance) {
        cf_runner_free(runner);
        return cf_fail_errno(detail, "random numbers");
    }
    runner->loop = loop;
    runner->ops = ops;
    runner->arg = arg;
    runner->message_bytes_max = (size_t)config->broker_message_bytes_max;
    runner->silence_ms = (uint64_t)config->broker_heartbeat_timeout_ms;
    runner->rng = cf_rng(now ^ (uint64_t)getpid() << 40);
    runner->heard_ms = now / 1000;
    runner->register_wait_ms = REGISTER_MS;
    if (gethostname(runner->host, sizeof runner->host - 1) != 0)
        snprintf(runner->host, sizeof runner->host, "localhost");
    cf_buf_init(&runner->out);
    /* The first connection is tried here, so that a bad endpoint fails at start. */
    enum cf_err err = take_endpoint(runner, config->worker_endpoints[0], detail);
    if (err == CF_OK)
        err = reopen(runner, detail);
    if (err != CF_OK) {
        cf_runner_free(runner);
        return err;
    }
    cf_loop_on_tick(loop, on_tick, runner);
    cf_loop_on_stop(loop, on_stop, runner);
    cf_loop_on_post(loop, on_post, runner);
    *out = runner;
    return CF_OK;
}

void cf_runner_free(struct cf_runner *runner)
{
    if (!runner)
        return;
    if (runner->socket)
        cf_socket_close(runner->socket, 0);
    cf_loop_on_tick(runner->loop, NULL, NULL);
    cf_loop_on_stop(runner->loop, NULL, NULL);
    cf_loop_on_post(runner->loop, NULL, NULL);
    cf_arena_free(runner->arena);
    cf_buf_fini(&runner->out);
    free(runner);
}

enum cf_err cf_runner_run(struct cf_runner *runner, struct cf_detail *detail)
{
    enum cf_err err = cf_loop_run(runner->loop, detail);
    if (err == CF_OK && runner->failed != CF_OK)
        err = cf_fail(detail, runner->failed, "%s", runner->detail.text);
    return err;
}

bool cf_runner_is_registered(const struct cf_runner *runner)
{
    return runner->phase == PHASE_REGISTERED;
}

bool cf_runner_is_draining(const struct cf_runner *runner)
{
    return runner->draining;
}
