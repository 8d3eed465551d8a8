#include "proto/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/config.h"
#include "common/io/loop.h"

enum {
    HEARD_WINDOW_MS = 3000,
    BUSY_WAIT_MS = 10,
    MESSAGE_BYTES_MAX = 67108864, /* when no configuration is read: the default of broker.message_bytes_max */
};

/* A request in flight. */
struct pending {
    uint64_t id;
    enum cf_kind kind;
    struct cf_buf bytes; /* to send again; empty for what must not be */
    uint64_t deadline_ms, sent_ms;
    uint64_t resend_at_ms, resend_wait_ms;
    cf_on_reply *on_reply;
    void *arg;
    struct pending *next; /* in the list of the expired */
    UT_hash_handle hh;
};

struct cf_client {
    struct cf_loop *loop;
    struct cf_socket *socket;
    char endpoint[CF_CONFIG_TEXT_MAX];
    size_t message_bytes_max;
    struct pending *pending; /* uthash, in the order of sending */
    size_t pending_bytes;
    size_t unheard_bytes; /* sent since the fleet was last heard: may all still lie in the socket */
    bool unreachable;     /* a request ended so since the socket was opened */
    uint64_t last_id;
    uint64_t nonce;         /* with an id it names a request, whenever and wherever it is sent again */
    uint64_t heard_ms;      /* 0: never */
    uint64_t due_ms;        /* nothing expires or is sent again before */
    size_t ended;           /* requests, ever */
    struct cf_arena *arena; /* of the reply that is being handled; a synchronous call keeps it */
    bool in_callback, closing;
    enum cf_err failure; /* of something inside a turn that has no caller to tell */
};

static const enum cf_kind reply_kinds[CF_KIND_COUNT] = {
    [CF_KIND_PUSH] = CF_KIND_PUSH_OK,     [CF_KIND_REMOVE] = CF_KIND_REMOVE_OK,
    [CF_KIND_STATES] = CF_KIND_STATES_OK, [CF_KIND_QUERY] = CF_KIND_QUERY_OK,
    [CF_KIND_VECTOR] = CF_KIND_VECTOR_OK, [CF_KIND_SHOW] = CF_KIND_SHOW_OK,
    [CF_KIND_STATUS] = CF_KIND_STATUS_OK, [CF_KIND_QUEUE] = CF_KIND_QUEUE_OK,
    [CF_KIND_INDEX] = CF_KIND_INDEX_OK,
    [CF_KIND_REDESCRIBE] = CF_KIND_REDESCRIBE_OK,
};

/* ---- endings ---- */

static void pending_free(struct pending *pending)
{
    cf_buf_fini(&pending->bytes);
    free(pending);
}

static void leave(struct cf_client *client, struct pending *pending)
{
    HASH_DEL(client->pending, pending);
    client->pending_bytes -= pending->bytes.len;
}

/* The callback may send anew, so the request has left the table before. */
static void end(struct cf_client *client, struct pending *pending, enum cf_err err, const struct cf_msg *msg,
                const struct cf_detail *detail)
{
    static const struct cf_detail none;
    client->ended++;
    client->in_callback = true;
    if (pending->on_reply)
        pending->on_reply(pending->arg, err, err ? NULL : msg, detail ? detail : &none);
    client->in_callback = false;
    pending_free(pending);
}

static void expire(struct cf_client *client, struct pending *pending, uint64_t now_ms)
{
    struct cf_detail detail;
    bool heard = client->heard_ms &&
                 (client->heard_ms >= pending->sent_ms || now_ms - client->heard_ms < HEARD_WINDOW_MS);
    unsigned long long waited = now_ms - pending->sent_ms;
    enum cf_err err = heard ? cf_fail(&detail, CF_E_DEADLINE, "no answer to %s within %llu ms",
                                      cf_kind_name(pending->kind), waited)
                            : cf_fail(&detail, CF_E_UNREACHABLE,
                                      "the fleet did not answer at all within %llu ms: is it up?", waited);
    client->unreachable = client->unreachable || !heard;
    end(client, pending, err, NULL, &detail);
}

/* ---- replies ---- */

static enum cf_err reply_error(const struct cf_msg *msg, struct cf_detail *detail)
{
    enum cf_err err = cf_err_from_name(msg->error.error.data, msg->error.error.len);
    if (err == CF_OK)
        return cf_fail(detail, CF_E_INVALID, "the fleet answered with an error named \"ok\"");
    return cf_fail(detail, err, "%.*s", CF_STR_ARG(msg->error.detail));
}

static enum cf_err check_reply(const struct pending *pending, const struct cf_msg *msg,
                               struct cf_detail *detail)
{
    if (msg->kind == CF_KIND_ERROR)
        return reply_error(msg, detail);
    if (msg->kind != reply_kinds[pending->kind])
        return cf_fail(detail, CF_E_INVALID, "the fleet answered %s with %s", cf_kind_name(pending->kind),
                       cf_kind_name(msg->kind));
    return CF_OK;
}

static void handle(struct cf_client *client, struct cf_bytes bytes)
{
    struct cf_msg msg;
    struct cf_detail detail = {0};
    enum cf_err err = cf_msg_decode(bytes, client->arena, &msg, &detail);
    struct pending *pending = NULL;
    HASH_FIND(hh, client->pending, &msg.id, sizeof msg.id, pending);
    if (!pending)
        return; /* ended already, or the answer to a copy that was sent again */
    if (!err)
        err = check_reply(pending, &msg, &detail);
    leave(client, pending);
    end(client, pending, err, &msg, &detail);
}

/* The bytes move into the arena first, so that whoever keeps the arena keeps the whole reply. */
static enum cf_err receive(struct cf_client *client, struct cf_bytes frame)
{
    if (client->arena)
        cf_arena_reset(client->arena);
    else
        client->arena = cf_arena_new();
    if (!client->arena)
        return CF_E_NO_MEMORY;
    struct cf_bytes bytes = cf_arena_bytes(client->arena, frame);
    if (!bytes.data)
        return CF_E_NO_MEMORY;
    handle(client, bytes);
    return CF_OK;
}

static void on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    (void)socket;
    struct cf_client *client = arg;
    client->heard_ms = cf_clock_mono_ms();
    client->unheard_bytes = 0;
    if (frames->count != 1)
        return; /* not a reply of this protocol; its asker ends at the deadline */
    enum cf_err err = receive(client, frames->frame[0]);
    if (err)
        client->failure = err;
}

/* ---- life ---- */

/* A broker binds to wildcards; nobody can connect to one. */
static void copy_connectable(const char *bound, char *endpoint, size_t size)
{
    static const char *const wildcards[] = {"tcp://*:", "tcp://0.0.0.0:"};
    for (size_t i = 0; i < sizeof wildcards / sizeof wildcards[0]; i++) {
        size_t len = strlen(wildcards[i]);
        if (strncmp(bound, wildcards[i], len) == 0) {
            snprintf(endpoint, size, "tcp://127.0.0.1:%s", bound + len);
            return;
        }
    }
    snprintf(endpoint, size, "%s", bound);
}

static enum cf_err find_fleet(struct cf_client *client, char *endpoint, size_t size, struct cf_detail *detail)
{
    struct cf_home home;
    enum cf_err err = cf_home_resolve(&home, detail);
    if (err)
        return err;
    struct cf_config *config = malloc(sizeof *config);
    if (!config)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the configuration");
    err = cf_config_load(config, &home, detail);
    if (!err && config->client_endpoint_count == 0)
        err = cf_fail(detail, CF_E_INVALID, "broker.client_endpoints is empty");
    if (!err) {
        copy_connectable(config->client_endpoints[0], endpoint, size);
        client->message_bytes_max = (size_t)config->broker_message_bytes_max;
    }
    free(config);
    return err;
}

/* A socket of its own for every life of the fleet. What the one before still held back goes with it. */
static enum cf_err open_socket(struct cf_client *client, struct cf_detail *detail)
{
    struct cf_socket *fresh = NULL;
    struct cf_socket_options options = {.type = CF_SOCKET_DEALER,
                                        .message_bytes_max = client->message_bytes_max,
                                        .high_water_mark = CF_CLIENT_PENDING_MAX,
                                        .on_message = on_message,
                                        .arg = client};
    enum cf_err err = cf_socket_open(client->loop, &options, &fresh, detail);
    if (err)
        return err;
    err = cf_socket_connect(fresh, client->endpoint, detail);
    if (err) {
        cf_socket_close(fresh, 0);
        return err;
    }
    if (client->socket)
        cf_socket_close(client->socket, 0);
    client->socket = fresh;
    client->unheard_bytes = 0;
    client->unreachable = false;
    return CF_OK;
}

/* "ipc://PATH" or "tcp://HOST:PORT", no more: the transport library knows other words, and takes some
 * nonsense. */
static bool is_endpoint(const char *text)
{
    static const char ipc[] = "ipc://", tcp[] = "tcp://";
    if (strncmp(text, ipc, sizeof ipc - 1) == 0)
        return text[sizeof ipc - 1] != '\0';
    if (strncmp(text, tcp, sizeof tcp - 1) != 0)
        return false;
    const char *host = text + sizeof tcp - 1, *colon = strrchr(host, ':');
    if (!colon || colon == host || colon[1] < '0' || colon[1] > '9')
        return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    return *end == '\0' && port >= 1 && port <= 65535;
}

/* The transport library keeps trying in silence at a socket that it may not touch. */
static enum cf_err check_endpoint(const char *endpoint, struct cf_detail *detail)
{
    if (!is_endpoint(endpoint))
        return cf_fail(detail, CF_E_INVALID, "\"%.120s\" is no endpoint: write ipc://PATH or tcp://HOST:PORT",
                       endpoint);
    const char *path = endpoint + strlen("ipc://");
    if (endpoint[0] == 'i' && path[0] != '@' && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0 &&
        errno == EACCES)
        return cf_fail(detail, CF_E_UNREACHABLE,
                       "%.200s: permission denied: the fleet belongs to another user", path);
    return CF_OK;
}

static enum cf_err prepare(struct cf_client *client, const char *endpoint, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    if (getrandom(&client->nonce, sizeof client->nonce, 0) != (ssize_t)sizeof client->nonce)
        return cf_fail_errno(detail, "random numbers");
    client->due_ms = UINT64_MAX;
    client->message_bytes_max = MESSAGE_BYTES_MAX;
    if (!endpoint)
        err = find_fleet(client, client->endpoint, sizeof client->endpoint, detail);
    else if (snprintf(client->endpoint, sizeof client->endpoint, "%s", endpoint) >=
             (int)sizeof client->endpoint)
        err = cf_fail(detail, CF_E_INVALID, "the endpoint is too long: at most %d bytes",
                      CF_CONFIG_TEXT_MAX - 1);
    if (!err)
        err = check_endpoint(client->endpoint, detail);
    if (!err)
        err = cf_loop_new_plain(&client->loop, detail);
    return err ? err : open_socket(client, detail);
}

enum cf_err cf_client_new(const char *endpoint, struct cf_client **client, struct cf_detail *detail)
{
    struct cf_client *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a client");
    enum cf_err err = prepare(fresh, endpoint, detail);
    if (err)
        cf_client_free(fresh);
    else
        *client = fresh;
    return err;
}

void cf_client_free(struct cf_client *client)
{
    if (!client)
        return;
    CF_CHECK(!client->in_callback);
    static const struct cf_detail detail = {"the client is closing"};
    client->closing = true;
    while (client->pending) {
        struct pending *pending = client->pending;
        leave(client, pending);
        end(client, pending, CF_E_SHUTTING_DOWN, NULL, &detail);
    }
    cf_loop_free(client->loop, 0);
    cf_arena_free(client->arena);
    free(client);
}

void cf_reply_free(struct cf_reply *reply)
{
    if (!reply)
        return;
    cf_arena_free(reply->arena);
    free(reply);
}

/* ---- sending ---- */

static uint64_t pending_due(const struct pending *pending)
{
    return pending->deadline_ms < pending->resend_at_ms ? pending->deadline_ms : pending->resend_at_ms;
}

static enum cf_err transmit(struct cf_client *client, const struct pending *pending, struct cf_detail *detail)
{
    struct cf_bytes frame = cf_buf_bytes(&pending->bytes);
    if (client->unheard_bytes && client->unheard_bytes + frame.len > CF_CLIENT_PENDING_BYTES_MAX)
        return cf_fail(detail, CF_E_BUSY, "%zu bytes were sent and nothing heard yet", client->unheard_bytes);
    enum cf_err err = cf_socket_send(client->socket, &frame, 1);
    if (err)
        return cf_fail(detail, err, "%s cannot be sent now", cf_kind_name(pending->kind));
    client->unheard_bytes += frame.len;
    return CF_OK;
}

static enum cf_err encode(const struct cf_client *client, const struct cf_msg *request,
                          struct pending *pending, struct cf_detail *detail)
{
    struct cf_msg numbered = *request;
    numbered.id = pending->id;
    if (request->kind == CF_KIND_PUSH)
        numbered.push.nonce = client->nonce;
    else if (request->kind == CF_KIND_REMOVE)
        numbered.albums.nonce = client->nonce;
    enum cf_err err = cf_msg_encode(&numbered, &pending->bytes, detail);
    if (!err && pending->bytes.len > client->message_bytes_max)
        err = cf_fail(detail, CF_E_TOO_LARGE, "the %s has %zu bytes: at most %zu (broker.message_bytes_max)",
                      cf_kind_name(request->kind), pending->bytes.len, client->message_bytes_max);
    if (!err && client->pending_bytes &&
        client->pending_bytes + pending->bytes.len > CF_CLIENT_PENDING_BYTES_MAX)
        err =
            cf_fail(detail, CF_E_BUSY, "requests of %zu bytes are in flight already", client->pending_bytes);
    return err;
}

static enum cf_err enter(struct cf_client *client, struct pending *pending, struct cf_detail *detail)
{
    HASH_ADD(hh, client->pending, id, sizeof pending->id, pending);
    if (!pending->hh.tbl)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a request");
    client->pending_bytes += pending->bytes.len;
    enum cf_err err = transmit(client, pending, detail);
    if (err) {
        leave(client, pending);
        return err;
    }
    if (pending->kind == CF_KIND_QUERY) {
        client->pending_bytes -= pending->bytes.len;
        cf_buf_fini(&pending->bytes);
    }
    if (pending_due(pending) < client->due_ms)
        client->due_ms = pending_due(pending);
    return CF_OK;
}

enum cf_err cf_client_send(struct cf_client *client, const struct cf_msg *request, uint64_t deadline_ms,
                           cf_on_reply *on_reply, void *arg, struct cf_detail *detail)
{
    if ((unsigned)request->kind >= CF_KIND_COUNT || reply_kinds[request->kind] == CF_KIND_ERROR)
        return cf_fail(detail, CF_E_INVALID, "%s is not a request of clients", cf_kind_name(request->kind));
    if (client->closing)
        return cf_fail(detail, CF_E_SHUTTING_DOWN, "the client is closing");
    if (cf_client_pending(client) >= CF_CLIENT_PENDING_MAX)
        return cf_fail(detail, CF_E_BUSY, "%d requests are in flight already", CF_CLIENT_PENDING_MAX);
    struct pending *pending = calloc(1, sizeof *pending);
    if (!pending)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a request");
    uint64_t now_ms = cf_clock_mono_ms();
    pending->id = ++client->last_id;
    pending->kind = request->kind;
    pending->sent_ms = now_ms;
    pending->deadline_ms = deadline_ms < UINT64_MAX - now_ms ? now_ms + deadline_ms : UINT64_MAX;
    pending->resend_wait_ms = CF_CLIENT_RESEND_MS;
    pending->resend_at_ms = request->kind == CF_KIND_QUERY ? UINT64_MAX : now_ms + CF_CLIENT_RESEND_MS;
    pending->on_reply = on_reply;
    pending->arg = arg;
    cf_buf_init(&pending->bytes);
    enum cf_err err = encode(client, request, pending, detail);
    if (!err)
        err = enter(client, pending, detail);
    if (err)
        pending_free(pending);
    return err;
}

/* A full socket is no failure here: what waits in it goes out first, and the next turn comes. */
static void send_again(struct cf_client *client, struct pending *pending, uint64_t now_ms)
{
    if (transmit(client, pending, NULL) == CF_OK)
        pending->resend_wait_ms *= 2;
    pending->resend_at_ms = now_ms + pending->resend_wait_ms;
}

/* ---- time ---- */

/* The expired leave the table before any callback, which may change it. */
static struct pending *take_expired(struct cf_client *client, uint64_t now_ms)
{
    struct pending *expired = NULL, **tail = &expired;
    struct pending *pending, *next;
    client->due_ms = UINT64_MAX;
    HASH_ITER(hh, client->pending, pending, next)
    {
        if (pending->deadline_ms <= now_ms) {
            leave(client, pending);
            pending->next = NULL;
            *tail = pending;
            tail = &pending->next;
            continue;
        }
        if (pending->resend_at_ms <= now_ms)
            send_again(client, pending, now_ms);
        if (pending_due(pending) < client->due_ms)
            client->due_ms = pending_due(pending);
    }
    return expired;
}

static void check_time(struct cf_client *client)
{
    uint64_t now_ms = cf_clock_mono_ms();
    if (now_ms < client->due_ms)
        return;
    struct pending *expired = take_expired(client, now_ms);
    while (expired) {
        struct pending *pending = expired;
        expired = pending->next;
        expire(client, pending, now_ms);
    }
    /* What ended as unreachable must neither pile up nor be carried out much later. */
    if (client->unreachable && !client->pending)
        client->failure = open_socket(client, NULL);
}

/* One wake of at most until `until_ms`, then what is due. */
static enum cf_err turn(struct cf_client *client, uint64_t until_ms, struct cf_detail *detail)
{
    uint64_t now_ms = cf_clock_mono_ms();
    uint64_t next_ms = until_ms < client->due_ms ? until_ms : client->due_ms;
    enum cf_err err = cf_loop_once(client->loop, next_ms > now_ms ? next_ms - now_ms : 0, detail);
    if (!err && client->failure) {
        err =
            cf_fail(detail, client->failure, "a reply could not be taken, or the connection not be renewed");
        client->failure = CF_OK;
    }
    check_time(client);
    return err;
}

enum cf_err cf_client_poll(struct cf_client *client, uint64_t timeout_ms, struct cf_detail *detail)
{
    CF_CHECK(!client->in_callback);
    uint64_t now_ms = cf_clock_mono_ms();
    uint64_t until_ms = timeout_ms < UINT64_MAX - now_ms ? now_ms + timeout_ms : UINT64_MAX;
    size_t ended = client->ended;
    enum cf_err err = CF_OK;
    do {
        if (!client->pending)
            break;
        err = turn(client, until_ms, detail);
    } while (!err && client->ended == ended && cf_clock_mono_ms() < until_ms);
    return err;
}

size_t cf_client_pending(const struct cf_client *client)
{
    return HASH_COUNT(client->pending);
}

/* ---- the synchronous call ---- */

struct call {
    struct cf_client *client;
    bool ended;
    enum cf_err err;
    struct cf_detail detail;
    struct cf_reply *reply;
};

static void on_call_reply(void *arg, enum cf_err err, const struct cf_msg *msg,
                          const struct cf_detail *detail)
{
    struct call *call = arg;
    call->ended = true;
    call->err = err;
    call->detail = *detail;
    if (err)
        return;
    call->reply = malloc(sizeof *call->reply);
    if (!call->reply) {
        call->err = cf_fail(&call->detail, CF_E_NO_MEMORY, "no memory for a reply");
        return;
    }
    *call->reply = (struct cf_reply){.msg = *msg, .arena = call->client->arena};
    call->client->arena = NULL;
}

/* A full table or socket empties while replies come in: within the deadline that is worth waiting for. */
static enum cf_err send_call(struct cf_client *client, const struct cf_msg *request, uint64_t until_ms,
                             struct call *call, struct cf_detail *detail)
{
    for (;;) {
        uint64_t now_ms = cf_clock_mono_ms();
        uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
        enum cf_err err = cf_client_send(client, request, left_ms, on_call_reply, call, detail);
        if (err != CF_E_BUSY || left_ms == 0)
            return err;
        err = turn(client, now_ms + BUSY_WAIT_MS, detail);
        if (err)
            return err;
    }
}

/* The call lives on its caller's stack: nothing may point at it any more. */
static void forget(struct cf_client *client, uint64_t id)
{
    struct pending *pending = NULL;
    HASH_FIND(hh, client->pending, &id, sizeof id, pending);
    if (!pending)
        return;
    leave(client, pending);
    pending_free(pending);
}

enum cf_err cf_client_call(struct cf_client *client, const struct cf_msg *request, uint64_t deadline_ms,
                           struct cf_reply **reply, struct cf_detail *detail)
{
    CF_CHECK(!client->in_callback);
    struct call call = {.client = client};
    uint64_t now_ms = cf_clock_mono_ms();
    uint64_t until_ms = deadline_ms < UINT64_MAX - now_ms ? now_ms + deadline_ms : UINT64_MAX;
    enum cf_err err = send_call(client, request, until_ms, &call, detail);
    if (err)
        return err;
    uint64_t id = client->last_id;
    while (!err && !call.ended)
        err = turn(client, UINT64_MAX, detail);
    if (!call.ended) {
        forget(client, id);
        return err;
    }
    if (call.err)
        return cf_fail(detail, call.err, "%s", call.detail.text);
    *reply = call.reply;
    return CF_OK;
}
