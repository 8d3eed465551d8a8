/* The client library: ask a fleet, synchronously or asynchronously.
 *
 * One client, one thread. A request is a `struct cf_msg` (proto/msg.h) without an id: the client numbers it. Requests in
 * flight are bounded; each ends exactly once: with its reply, with the fleet's error, or with its deadline. The connection
 * comes back by itself when the broker restarts; requests that may be asked twice without harm (all but query) are sent
 * again after CF_CLIENT_RESEND_MS without an answer, then after twice that, and so on, within their deadline. Requests in
 * flight together have no order: wait for a push of an album before pushing or removing the same album again.
 * Signals and the signal mask of the process are left alone. Links with libcoverfleet-client (pkg-config
 * coverfleet-client). */
#ifndef CF_PROTO_CLIENT_H
#define CF_PROTO_CLIENT_H

#include "proto/msg.h"

struct cf_client;

enum {
    CF_CLIENT_PENDING_MAX = 4096,
    CF_CLIENT_PENDING_BYTES_MAX = 256 << 20, /* in flight, or sent to a silent fleet; a single request always fits */
    CF_CLIENT_RESEND_MS = 3000,
};

/* `endpoint` as "ipc://PATH" or "tcp://HOST:PORT", or NULL for the fleet of COVERFLEET_HOME and its configuration.
 * Connecting is lazy: an absent fleet shows at the first deadline as CF_E_UNREACHABLE; only one whose socket we may not
 * touch shows at once. CF_E_INVALID for what is no endpoint, or a configuration that is wrong. */
enum cf_err cf_client_new(const char *endpoint, struct cf_client **client, struct cf_detail *detail) CF_MUST_CHECK;
void cf_client_free(struct cf_client *client); /* takes NULL; what is still in flight ends with CF_E_SHUTTING_DOWN */

/* A reply and the memory that its spans borrow. */
struct cf_reply {
    struct cf_msg msg;
    struct cf_arena *arena;
};
void cf_reply_free(struct cf_reply *reply); /* takes NULL */

/* Waits for the answer. CF_OK: the reply is of the request's own kind (push -> push_ok). An error reply comes back as its
 * error and sentence. At the deadline CF_E_DEADLINE when the fleet was heard meanwhile or in the three seconds before, else
 * CF_E_UNREACHABLE: leave a query a little longer here than its own deadline_ms, so that the fleet itself can say "late".
 * CF_E_TOO_LARGE for a request over broker.message_bytes_max. Not from inside an on_reply. */
enum cf_err cf_client_call(struct cf_client *client, const struct cf_msg *request, uint64_t deadline_ms,
                           struct cf_reply **reply, struct cf_detail *detail) CF_MUST_CHECK;

/* `msg` only with CF_OK, borrowed for the call. Called from cf_client_poll (or cf_client_call) of the same client. */
typedef void cf_on_reply(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail);

/* Sends and returns at once; what the request points at may go. May be called from inside an on_reply. CF_E_BUSY when so
 * many, or so many bytes, as above are in flight, or the socket is full: poll, then try again. A request that ended as
 * CF_E_UNREACHABLE is not delivered later, once no other is in flight. */
enum cf_err cf_client_send(struct cf_client *client, const struct cf_msg *request, uint64_t deadline_ms,
                           cf_on_reply *on_reply, void *arg, struct cf_detail *detail) CF_MUST_CHECK;
/* Handles replies and deadlines for at most timeout_ms; returns early after the first ones, and at once when nothing is in
 * flight. Not from inside an on_reply. */
enum cf_err cf_client_poll(struct cf_client *client, uint64_t timeout_ms, struct cf_detail *detail) CF_MUST_CHECK;
size_t cf_client_pending(const struct cf_client *client);

#endif
