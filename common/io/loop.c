#include "common/io/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include "common/base/clock.h"
#include "common/io/outbox.h"

enum {
    WAIT_MS_MAX = 1000,       /* the longest sleep: a lost wake-up may cost this much, never a hang */
    BATCH_MESSAGES_MAX = 256, /* of one socket in one wake */
    BATCH_MS_MAX = 100,       /* likewise, give or take one message: the others want to be heard */
    RECONNECT_MS = 50,
    RECONNECT_MS_MAX = 1000,
    PING_MS = 500, /* ZMTP heartbeats: a peer that vanished without a FIN */
    PING_TIMEOUT_MS = 2000,
    FIXED_ITEMS = 2, /* eventfd and signalfd stand first in the poll set */
};

struct cf_socket {
    struct cf_socket *next;
    struct cf_loop *loop;
    void *handle; /* NULL once closed; the struct goes at the end of the wake */
    cf_on_message *on_message;
    void *arg;
    enum cf_socket_type type;
    size_t send_bytes_max;
    bool ready;
};

struct watch {
    struct watch *next;
    int fd; /* -1 once removed */
    cf_on_readable *readable;
    void *arg;
    bool ready;
};

/* Posted items: a ring whose capacity is never below count + reserved. */
struct posts {
    pthread_mutex_t lock;
    void **items;
    size_t first, count, reserved, capacity;
};

struct cf_loop {
    void *context;
    struct cf_outbox outbox;
    struct cf_socket *sockets;
    struct watch *watches;
    zmq_pollitem_t *items;
    size_t item_capacity;
    int signal_fd; /* -1 in a plain loop */
    int event_fd;
    struct posts posts;
    cf_on_tick *tick;
    cf_on_stop *stop;
    cf_on_post *post;
    void *tick_arg, *stop_arg, *post_arg;
    uint64_t tick_due_ms;
    unsigned depth; /* of cf_loop_once on the stack */
    bool stopping;
};

static enum cf_err fail_zmq(struct cf_detail *detail, const char *what)
{
    int code = zmq_errno();
    enum cf_err err = CF_E_IO;
    if (code == ENOMEM)
        err = CF_E_NO_MEMORY;
    else if (code == EINVAL || code == EPROTONOSUPPORT || code == ENODEV || code == ENAMETOOLONG)
        err = CF_E_INVALID;
    else if (code == ENOENT)
        err = CF_E_NOT_FOUND;
    else if (code == EADDRINUSE)
        err = CF_E_LOCKED;
    return cf_fail(detail, err, "%s: %s", what, zmq_strerror(code));
}

/* ---- life ---- */

static void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

static enum cf_err open_signals(struct cf_loop *loop, struct cf_detail *detail)
{
    sigset_t stops;
    stop_signals(&stops);
    sigset_t blocked = stops;
    sigaddset(&blocked, SIGPIPE);
    if (pthread_sigmask(SIG_BLOCK, &blocked, NULL) != 0)
        return cf_fail(detail, CF_E_IO, "signals cannot be blocked");
    loop->signal_fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0)
        return cf_fail_errno(detail, "signalfd");
    return CF_OK;
}

enum cf_err cf_loop_new_plain(struct cf_loop **out, struct cf_detail *detail)
{
    struct cf_loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an event loop");
    loop->signal_fd = -1;
    pthread_mutex_init(&loop->posts.lock, NULL);
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->event_fd < 0) {
        enum cf_err err = cf_fail_errno(detail, "eventfd");
        cf_loop_free(loop, 0);
        return err;
    }
    *out = loop;
    return CF_OK;
}

enum cf_err cf_loop_new(struct cf_loop **out, struct cf_detail *detail)
{
    struct cf_loop *loop = NULL;
    enum cf_err err = cf_loop_new_plain(&loop, detail);
    if (err != CF_OK)
        return err;
    err = open_signals(loop, detail);
    if (err != CF_OK) {
        cf_loop_free(loop, 0);
        return err;
    }
    *out = loop;
    return CF_OK;
}

/* Frees what was closed or removed, unless a callback is still on the stack. */
static void sweep(struct cf_loop *loop)
{
    if (loop->depth > 0)
        return;
    for (struct cf_socket **at = &loop->sockets; *at;) {
        struct cf_socket *socket = *at;
        if (socket->handle) {
            at = &socket->next;
        } else {
            *at = socket->next;
            free(socket);
        }
    }
    for (struct watch **at = &loop->watches; *at;) {
        struct watch *watch = *at;
        if (watch->fd >= 0) {
            at = &watch->next;
        } else {
            *at = watch->next;
            free(watch);
        }
    }
}

void cf_loop_free(struct cf_loop *loop, int linger_ms)
{
    if (!loop)
        return;
    CF_CHECK(loop->depth == 0);
    while (loop->sockets)
        cf_socket_close(loop->sockets, linger_ms);
    while (loop->watches)
        cf_loop_remove_fd(loop, loop->watches->fd);
    if (loop->context)
        while (zmq_ctx_term(loop->context) != 0 && zmq_errno() == EINTR)
            continue;
    cf_outbox_fini(&loop->outbox);
    if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    if (loop->event_fd >= 0)
        close(loop->event_fd);
    pthread_mutex_destroy(&loop->posts.lock);
    free(loop->posts.items);
    free(loop->items);
    free(loop);
}

/* ---- callbacks ---- */

void cf_loop_on_tick(struct cf_loop *loop, cf_on_tick *tick, void *arg)
{
    loop->tick = tick;
    loop->tick_arg = arg;
    loop->tick_due_ms = 0;
}

void cf_loop_on_stop(struct cf_loop *loop, cf_on_stop *stop, void *arg)
{
    loop->stop = stop;
    loop->stop_arg = arg;
}

void cf_loop_on_post(struct cf_loop *loop, cf_on_post *post, void *arg)
{
    loop->post = post;
    loop->post_arg = arg;
}

enum cf_err cf_loop_add_fd(struct cf_loop *loop, int fd, cf_on_readable *readable, void *arg)
{
    CF_CHECK(fd >= 0);
    struct watch *watch = malloc(sizeof *watch);
    if (!watch)
        return CF_E_NO_MEMORY;
    *watch = (struct watch){.next = loop->watches, .fd = fd, .readable = readable, .arg = arg};
    loop->watches = watch;
    return CF_OK;
}

void cf_loop_remove_fd(struct cf_loop *loop, int fd)
{
    for (struct watch *watch = loop->watches; watch; watch = watch->next)
        if (watch->fd == fd)
            watch->fd = -1;
    sweep(loop);
}

/* ---- posts ---- */

/* Under the lock: room for one more than is promised already. */
static enum cf_err grow_posts(struct posts *posts)
{
    if (posts->count + posts->reserved < posts->capacity)
        return CF_OK;
    size_t capacity = posts->capacity ? posts->capacity * 2 : 64;
    void **items = calloc(capacity, sizeof *items);
    if (!items)
        return CF_E_NO_MEMORY;
    for (size_t i = 0; i < posts->count; i++)
        items[i] = posts->items[(posts->first + i) % posts->capacity];
    free(posts->items);
    posts->items = items;
    posts->first = 0;
    posts->capacity = capacity;
    return CF_OK;
}

static void push_post(struct posts *posts, void *item)
{
    posts->items[(posts->first + posts->count) % posts->capacity] = item;
    posts->count++;
}

static void wake(struct cf_loop *loop)
{
    /* EAGAIN would mean a counter at its maximum, which wakes just as well. */
    const uint64_t one = 1;
    ssize_t written = write(loop->event_fd, &one, sizeof one);
    (void)written;
}

enum cf_err cf_loop_post(struct cf_loop *loop, void *item)
{
    pthread_mutex_lock(&loop->posts.lock);
    enum cf_err err = grow_posts(&loop->posts);
    if (err == CF_OK)
        push_post(&loop->posts, item);
    pthread_mutex_unlock(&loop->posts.lock);
    if (err == CF_OK)
        wake(loop);
    return err;
}

enum cf_err cf_loop_post_reserve(struct cf_loop *loop)
{
    pthread_mutex_lock(&loop->posts.lock);
    enum cf_err err = grow_posts(&loop->posts);
    if (err == CF_OK)
        loop->posts.reserved++;
    pthread_mutex_unlock(&loop->posts.lock);
    return err;
}

void cf_loop_post_reserved(struct cf_loop *loop, void *item)
{
    pthread_mutex_lock(&loop->posts.lock);
    CF_CHECK(loop->posts.reserved > 0);
    loop->posts.reserved--;
    push_post(&loop->posts, item);
    pthread_mutex_unlock(&loop->posts.lock);
    wake(loop);
}

static bool pop_post(struct posts *posts, void **item)
{
    pthread_mutex_lock(&posts->lock);
    bool found = posts->count > 0;
    if (found) {
        *item = posts->items[posts->first];
        posts->first = (posts->first + 1) % posts->capacity;
        posts->count--;
    }
    pthread_mutex_unlock(&posts->lock);
    return found;
}

static void deliver_posts(struct cf_loop *loop)
{
    uint64_t wakes;
    if (read(loop->event_fd, &wakes, sizeof wakes) != (ssize_t)sizeof wakes)
        return;
    pthread_mutex_lock(&loop->posts.lock);
    size_t count = loop->posts.count;
    pthread_mutex_unlock(&loop->posts.lock);
    /* What is posted from now on has its own wake-up. */
    void *item;
    for (size_t i = 0; i < count && pop_post(&loop->posts, &item); i++)
        if (loop->post)
            loop->post(loop->post_arg, item);
}

/* ---- receiving ---- */

/* Reads one whole message. The parts stay open in `parts` while the frames borrow from them. */
static bool receive(struct cf_socket *socket, zmq_msg_t *parts, struct cf_frames *frames)
{
    *frames = (struct cf_frames){.count = 0};
    for (bool more = true; more;) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket->handle, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            break;
        }
        more = zmq_msg_more(&part) != 0;
        if (frames->count == CF_FRAMES_MAX) {
            frames->truncated = true;
            zmq_msg_close(&part);
            continue;
        }
        zmq_msg_init(&parts[frames->count]);
        zmq_msg_move(&parts[frames->count], &part);
        zmq_msg_t *kept = &parts[frames->count];
        frames->frame[frames->count++] = (struct cf_bytes){zmq_msg_data(kept), zmq_msg_size(kept)};
    }
    return frames->count > 0;
}

static void drain_socket(struct cf_socket *socket)
{
    uint64_t until_ms = cf_clock_mono_ms() + BATCH_MS_MAX;
    for (int i = 0; i < BATCH_MESSAGES_MAX && socket->handle; i++) {
        if (i > 0 && cf_clock_mono_ms() >= until_ms)
            return;
        zmq_msg_t parts[CF_FRAMES_MAX];
        struct cf_frames frames;
        if (!receive(socket, parts, &frames))
            return;
        if (socket->on_message)
            socket->on_message(socket->arg, socket, &frames);
        for (size_t p = 0; p < frames.count; p++)
            zmq_msg_close(&parts[p]);
    }
}

/* ---- the wake ---- */

static void read_signal(struct cf_loop *loop)
{
    struct signalfd_siginfo info;
    if (read(loop->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    /* From here on the kernel ends the process on the next one, even while this thread is stuck in a
     * callback. */
    sigset_t stops;
    stop_signals(&stops);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &stops, NULL);
    if (loop->stop)
        loop->stop(loop->stop_arg);
    else
        cf_loop_stop(loop);
}

static size_t count_items(const struct cf_loop *loop)
{
    size_t count = FIXED_ITEMS;
    for (const struct cf_socket *socket = loop->sockets; socket; socket = socket->next)
        count++;
    for (const struct watch *watch = loop->watches; watch; watch = watch->next)
        count++;
    return count;
}

/* Fills the poll set: eventfd, signalfd, sockets, descriptors, in the order of their lists. What a callback
 * of an outer wake closed may still be in the lists and is passed over, here and in take_results. */
static enum cf_err fill_items(struct cf_loop *loop, size_t *count, struct cf_detail *detail)
{
    size_t wanted = count_items(loop);
    if (wanted > loop->item_capacity) {
        zmq_pollitem_t *items = realloc(loop->items, wanted * 2 * sizeof *items);
        if (!items)
            return cf_fail(detail, CF_E_NO_MEMORY, "no memory to poll %zu sockets", wanted);
        loop->items = items;
        loop->item_capacity = wanted * 2;
    }
    size_t n = 0;
    loop->items[n++] = (zmq_pollitem_t){.fd = loop->event_fd, .events = ZMQ_POLLIN};
    if (loop->signal_fd >= 0)
        loop->items[n++] = (zmq_pollitem_t){.fd = loop->signal_fd, .events = ZMQ_POLLIN};
    for (struct cf_socket *socket = loop->sockets; socket; socket = socket->next)
        if (socket->handle && socket->type != CF_SOCKET_PUB)
            loop->items[n++] = (zmq_pollitem_t){.socket = socket->handle, .events = ZMQ_POLLIN};
    for (struct watch *watch = loop->watches; watch; watch = watch->next)
        if (watch->fd >= 0)
            loop->items[n++] = (zmq_pollitem_t){.fd = watch->fd, .events = ZMQ_POLLIN};
    *count = n;
    return CF_OK;
}

/* Moves the results of the poll to the sockets and watches, because callbacks may change the lists. */
static void take_results(struct cf_loop *loop)
{
    size_t n = loop->signal_fd >= 0 ? 2 : 1;
    for (struct cf_socket *socket = loop->sockets; socket; socket = socket->next)
        socket->ready = socket->handle && socket->type != CF_SOCKET_PUB && loop->items[n++].revents != 0;
    for (struct watch *watch = loop->watches; watch; watch = watch->next)
        watch->ready = watch->fd >= 0 && loop->items[n++].revents != 0;
}

static void dispatch(struct cf_loop *loop)
{
    bool posted = loop->items[0].revents != 0;
    bool signalled = loop->signal_fd >= 0 && loop->items[1].revents != 0;
    take_results(loop);
    if (signalled)
        read_signal(loop);
    if (posted)
        deliver_posts(loop);
    for (struct cf_socket *socket = loop->sockets; socket; socket = socket->next)
        if (socket->ready && socket->handle)
            drain_socket(socket);
    for (struct watch *watch = loop->watches; watch; watch = watch->next)
        if (watch->ready && watch->fd >= 0)
            watch->readable(watch->arg, watch->fd);
}

static void run_tick(struct cf_loop *loop)
{
    if (!loop->tick)
        return;
    uint64_t now = cf_clock_mono_ms();
    uint64_t next = loop->tick(loop->tick_arg, now);
    loop->tick_due_ms = now + (next < WAIT_MS_MAX ? next : WAIT_MS_MAX);
}

static long wait_ms(const struct cf_loop *loop, uint64_t timeout_ms)
{
    uint64_t wait = timeout_ms < WAIT_MS_MAX ? timeout_ms : WAIT_MS_MAX;
    if (loop->tick) {
        uint64_t now = cf_clock_mono_ms();
        uint64_t until = loop->tick_due_ms > now ? loop->tick_due_ms - now : 0;
        wait = until < wait ? until : wait;
    }
    return (long)wait;
}

enum cf_err cf_loop_once(struct cf_loop *loop, uint64_t timeout_ms, struct cf_detail *detail)
{
    size_t count = 0;
    enum cf_err err = fill_items(loop, &count, detail);
    if (err != CF_OK)
        return err;
    int ready = zmq_poll(loop->items, (int)count, wait_ms(loop, timeout_ms));
    if (ready < 0 && zmq_errno() != EINTR)
        return fail_zmq(detail, "poll");
    loop->depth++;
    if (ready > 0)
        dispatch(loop);
    run_tick(loop);
    loop->depth--;
    sweep(loop);
    return CF_OK;
}

enum cf_err cf_loop_run(struct cf_loop *loop, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    while (err == CF_OK && !loop->stopping)
        err = cf_loop_once(loop, WAIT_MS_MAX, detail);
    loop->stopping = false;
    return err;
}

void cf_loop_stop(struct cf_loop *loop)
{
    loop->stopping = true;
}

/* ---- sockets ---- */

static int zmq_type(enum cf_socket_type type)
{
    switch (type) {
    case CF_SOCKET_ROUTER:
        return ZMQ_ROUTER;
    case CF_SOCKET_DEALER:
        return ZMQ_DEALER;
    case CF_SOCKET_PUB:
        return ZMQ_PUB;
    case CF_SOCKET_SUB:
        return ZMQ_SUB;
    }
    CF_CHECK(false && "a socket type of the list");
    return -1;
}

static bool set_int(void *handle, int option, int value)
{
    return zmq_setsockopt(handle, option, &value, sizeof value) == 0;
}

static bool set_options(void *handle, const struct cf_socket_options *options)
{
    int64_t bytes_max = options->message_bytes_max ? (int64_t)options->message_bytes_max : -1;
    bool ok = zmq_setsockopt(handle, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0;
    ok = ok && set_int(handle, ZMQ_LINGER, 0);
    ok = ok && set_int(handle, ZMQ_SNDHWM, options->high_water_mark);
    ok = ok && set_int(handle, ZMQ_RCVHWM,
                       options->inbound_mark ? options->inbound_mark : options->high_water_mark);
    ok = ok && set_int(handle, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    ok = ok && set_int(handle, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX);
    ok = ok && set_int(handle, ZMQ_HEARTBEAT_IVL, PING_MS);
    ok = ok && set_int(handle, ZMQ_HEARTBEAT_TIMEOUT, PING_TIMEOUT_MS);
    if (options->type == CF_SOCKET_ROUTER) {
        ok = ok && set_int(handle, ZMQ_ROUTER_MANDATORY, 1);
        ok = ok && set_int(handle, ZMQ_ROUTER_HANDOVER, 1);
    }
    return ok;
}

enum cf_err cf_socket_open(struct cf_loop *loop, const struct cf_socket_options *options,
                           struct cf_socket **out, struct cf_detail *detail)
{
    CF_CHECK(options->high_water_mark > 0); /* zero would be unbounded */
    if (!loop->context)
        loop->context = zmq_ctx_new();
    if (!loop->context)
        return fail_zmq(detail, "ZeroMQ context");
    struct cf_socket *socket = calloc(1, sizeof *socket);
    if (!socket)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a socket");
    void *handle = zmq_socket(loop->context, zmq_type(options->type));
    if (!handle || !set_options(handle, options)) {
        enum cf_err err = fail_zmq(detail, "ZeroMQ socket");
        if (handle)
            zmq_close(handle);
        free(socket);
        return err;
    }
    *socket = (struct cf_socket){.next = loop->sockets,
                                 .loop = loop,
                                 .handle = handle,
                                 .on_message = options->on_message,
                                 .arg = options->arg,
                                 .type = options->type,
                                 .send_bytes_max = options->send_bytes_max};
    loop->sockets = socket;
    *out = socket;
    return CF_OK;
}

void cf_socket_close(struct cf_socket *socket, int linger_ms)
{
    if (!socket->handle)
        return;
    set_int(socket->handle, ZMQ_LINGER, linger_ms);
    zmq_close(socket->handle);
    socket->handle = NULL;
    sweep(socket->loop);
}

/* ZeroMQ unlinks whatever stands at an ipc path before it binds, a living broker's socket too: so knock
 * first. */
static enum cf_err refuse_living(const char *endpoint, struct cf_detail *detail)
{
    const char *path = endpoint + strlen("ipc://");
    if (strncmp(endpoint, "ipc://", strlen("ipc://")) != 0 || *path == '*' || *path == '@')
        return CF_OK;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return cf_fail(detail, CF_E_INVALID, "%.200s: the path of a socket has at most %zu bytes", endpoint,
                       sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return cf_fail_errno(detail, endpoint);
    bool living = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
    close(fd);
    if (living)
        return cf_fail(detail, CF_E_LOCKED, "%.200s: another process listens here", endpoint);
    return CF_OK;
}

enum cf_err cf_socket_bind(struct cf_socket *socket, const char *endpoint, struct cf_detail *detail)
{
    enum cf_err err = refuse_living(endpoint, detail);
    if (err == CF_OK && zmq_bind(socket->handle, endpoint) != 0)
        err = fail_zmq(detail, endpoint);
    return err;
}

enum cf_err cf_socket_endpoint(struct cf_socket *socket, char *endpoint, size_t size,
                               struct cf_detail *detail)
{
    if (zmq_getsockopt(socket->handle, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        return fail_zmq(detail, "the socket's endpoint");
    return CF_OK;
}

enum cf_err cf_socket_connect(struct cf_socket *socket, const char *endpoint, struct cf_detail *detail)
{
    return zmq_connect(socket->handle, endpoint) == 0 ? CF_OK : fail_zmq(detail, endpoint);
}

enum cf_err cf_socket_subscribe(struct cf_socket *socket, struct cf_str prefix, struct cf_detail *detail)
{
    if (zmq_setsockopt(socket->handle, ZMQ_SUBSCRIBE, prefix.data, prefix.len) != 0)
        return fail_zmq(detail, "subscription");
    return CF_OK;
}

static enum cf_err send_error(void)
{
    switch (zmq_errno()) {
    case EAGAIN:
        return CF_E_BUSY;
    case EHOSTUNREACH:
        return CF_E_UNREACHABLE;
    case ENOMEM:
        return CF_E_NO_MEMORY;
    default:
        return CF_E_IO;
    }
}

/* Consumes the parts. The first one decides: where it goes, the others follow. When the peer leaves in
 * between, ZeroMQ drops what it has and expects the rest of the message, so the rest is handed over all the
 * same. */
static enum cf_err send_parts(void *handle, zmq_msg_t *parts, size_t count)
{
    enum cf_err err = CF_OK;
    if (zmq_msg_send(&parts[0], handle, ZMQ_DONTWAIT | (count > 1 ? ZMQ_SNDMORE : 0)) < 0) {
        err = send_error();
        for (size_t i = 0; i < count; i++)
            zmq_msg_close(&parts[i]);
        return err;
    }
    for (size_t i = 1; i < count; i++)
        if (zmq_msg_send(&parts[i], handle, ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0)) < 0) {
            zmq_msg_close(&parts[i]);
            err = CF_E_UNREACHABLE;
        }
    return err;
}

static enum cf_err copy_part(struct cf_bytes bytes, zmq_msg_t *part)
{
    if (zmq_msg_init_size(part, bytes.len) != 0)
        return CF_E_NO_MEMORY;
    if (bytes.len)
        memcpy(zmq_msg_data(part), bytes.data, bytes.len);
    return CF_OK;
}

/* Of a socket that bounds the bytes for each peer: NULL where it does not. */
static enum cf_err find_account(struct cf_socket *socket, const struct cf_bytes *frames, size_t count,
                                struct cf_outbox_peer **account)
{
    size_t bytes = 0;
    *account = NULL;
    if (socket->send_bytes_max == 0)
        return CF_OK;
    for (size_t i = 1; i < count; i++)
        bytes += frames[i].len;
    return cf_outbox_find(&socket->loop->outbox, socket, frames[0], bytes, socket->send_bytes_max, account);
}

enum cf_err cf_socket_send(struct cf_socket *socket, const struct cf_bytes *frames, size_t count)
{
    CF_CHECK(count > 0 && count <= CF_FRAMES_MAX);
    zmq_msg_t parts[CF_FRAMES_MAX];
    struct cf_outbox_peer *account;
    enum cf_err err = find_account(socket, frames, count, &account);
    for (size_t i = 0; !err && i < count; i++) {
        err = account && i > 0 ? cf_outbox_part(account, frames[i], &parts[i])
                               : copy_part(frames[i], &parts[i]);
        while (err && i-- > 0)
            zmq_msg_close(&parts[i]);
    }
    return err ? err : send_parts(socket->handle, parts, count);
}
