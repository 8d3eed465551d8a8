/* One event loop a process, and the only user of zmq.h: sockets, file descriptors, signals and posted completions in
 * one zmq_poll with a finite timeout. Everything here belongs to the loop's thread, except cf_loop_post.
 *
 * Sends never block: CF_E_BUSY at a high-water mark, CF_E_UNREACHABLE for an unknown peer of a ROUTER (MANDATORY,
 * HANDOVER). Receives are bounded per wake, so that one chatty socket does not starve the others. */
#ifndef CF_IO_LOOP_H
#define CF_IO_LOOP_H

#include "common/base/err.h"
#include "common/base/span.h"

enum { CF_FRAMES_MAX = 4 };

enum cf_socket_type { CF_SOCKET_ROUTER, CF_SOCKET_DEALER, CF_SOCKET_PUB, CF_SOCKET_SUB };

struct cf_loop;
struct cf_socket;

/* Frames of one message, borrowed until the callback returns. On a ROUTER frame 0 is the routing id. Messages of more
 * than CF_FRAMES_MAX frames arrive as their first CF_FRAMES_MAX with `truncated` set. */
struct cf_frames {
    struct cf_bytes frame[CF_FRAMES_MAX];
    size_t count;
    bool truncated;
};

typedef void cf_on_message(void *arg, struct cf_socket *socket, const struct cf_frames *frames);
typedef void cf_on_readable(void *arg, int fd);
/* Called after every wake and at least when it asked to be: returns the milliseconds until it wants to be called again. */
typedef uint64_t cf_on_tick(void *arg, uint64_t now_ms);
/* SIGTERM or SIGINT, read through signalfd; without such a callback the loop stops. From then on the signals have their
 * default effect again: a second one ends the process at once, wherever its threads are. */
typedef void cf_on_stop(void *arg);
/* A completion posted by another thread. */
typedef void cf_on_post(void *arg, void *item);

/* Blocks SIGTERM, SIGINT and SIGPIPE for the caller and all threads started later: call before any thread. */
enum cf_err cf_loop_new(struct cf_loop **loop, struct cf_detail *detail) CF_MUST_CHECK;
/* The same for a stranger's process (the client library): touches no signal mask and never calls cf_on_stop. */
enum cf_err cf_loop_new_plain(struct cf_loop **loop, struct cf_detail *detail) CF_MUST_CHECK;
/* Closes all sockets (linger_ms for what is still to be sent) and the context. Takes NULL. Posted items that were not
 * delivered yet are forgotten: free pools first, then one cf_loop_once hands over what they finished. */
void cf_loop_free(struct cf_loop *loop, int linger_ms);

void cf_loop_on_tick(struct cf_loop *loop, cf_on_tick *tick, void *arg);
void cf_loop_on_stop(struct cf_loop *loop, cf_on_stop *stop, void *arg);
void cf_loop_on_post(struct cf_loop *loop, cf_on_post *post, void *arg);
enum cf_err cf_loop_add_fd(struct cf_loop *loop, int fd, cf_on_readable *readable, void *arg) CF_MUST_CHECK;
/* Before the owner closes `fd`. Also from callbacks. */
void cf_loop_remove_fd(struct cf_loop *loop, int fd);

/* Runs until cf_loop_stop. Callbacks are called from here only. */
enum cf_err cf_loop_run(struct cf_loop *loop, struct cf_detail *detail) CF_MUST_CHECK;
void cf_loop_stop(struct cf_loop *loop);

/* One wake, for callers with a loop of their own (the client library): waits at most timeout_ms. A callback may call it,
 * and may open and close any socket, its own included. */
enum cf_err cf_loop_once(struct cf_loop *loop, uint64_t timeout_ms, struct cf_detail *detail) CF_MUST_CHECK;

/* Any thread: `item` reaches cf_on_post on the loop's thread, in order. Bounded by the caller's own credit. */
enum cf_err cf_loop_post(struct cf_loop *loop, void *item) CF_MUST_CHECK;
/* A post that must not fail: room for one is made beforehand, by any thread, and used up by cf_loop_post_reserved. */
enum cf_err cf_loop_post_reserve(struct cf_loop *loop) CF_MUST_CHECK;
void cf_loop_post_reserved(struct cf_loop *loop, void *item);

struct cf_socket_options {
    enum cf_socket_type type;
    size_t message_bytes_max;  /* of a frame; a longer one costs its sender the connection. 0: no limit */
    int high_water_mark;       /* messages, each way */
    int inbound_mark;          /* messages of one peer that wait to be read; 0: high_water_mark */
    size_t send_bytes_max;     /* ROUTER: bytes on their way to one peer, a single message may be longer. 0: no limit */
    cf_on_message *on_message; /* NULL for PUB */
    void *arg;
};

/* A socket belongs to its loop and is closed with it, or by cf_socket_close. */
enum cf_err cf_socket_open(struct cf_loop *loop, const struct cf_socket_options *options, struct cf_socket **socket,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_socket_close(struct cf_socket *socket, int linger_ms);
/* "ipc://PATH" or "tcp://HOST:PORT"; several may be bound. A stale ipc file of a dead process is taken over; where a
 * living one listens it is CF_E_LOCKED, CF_E_NOT_FOUND without the folder, CF_E_INVALID for what is no endpoint. */
enum cf_err cf_socket_bind(struct cf_socket *socket, const char *endpoint, struct cf_detail *detail) CF_MUST_CHECK;
/* The endpoint bound or connected last, with the port that "tcp://HOST:*" was given. */
enum cf_err cf_socket_endpoint(struct cf_socket *socket, char *endpoint, size_t size,
                               struct cf_detail *detail) CF_MUST_CHECK;
/* Lazy: an absent peer is no error, the connection is tried again until it stands. */
enum cf_err cf_socket_connect(struct cf_socket *socket, const char *endpoint, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_socket_subscribe(struct cf_socket *socket, struct cf_str prefix, struct cf_detail *detail) CF_MUST_CHECK;

/* All frames or none; copies. CF_E_BUSY at the high-water mark or send_bytes_max, CF_E_UNREACHABLE when the peer is not there (ROUTER) or
 * left in the middle. A PUB drops for slow subscribers instead. */
enum cf_err cf_socket_send(struct cf_socket *socket, const struct cf_bytes *frames, size_t count) CF_MUST_CHECK;

#endif
