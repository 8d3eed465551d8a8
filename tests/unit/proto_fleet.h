/* A fleet of one thread for tests of the client library: a ROUTER that answers as the request itself asks.
 *
 * `status` is answered with `queued` = the number of requests heard; `push` and `remove` are accepted;
 * `query` for the space "void" gets the error unknown_space, others stay without an answer. `show` does what
 * the album says: "echo", "silent", "garbage" (not msgpack), "wrong_kind", "two_frames", "stray" (an answer
 * to nobody, then the real one), "late" (answered only by the next request), "ok_error" (an error named ok).
 * A deaf fleet hears and answers nothing. */
#ifndef CF_TESTS_PROTO_FLEET_H
#define CF_TESTS_PROTO_FLEET_H

#include <stdbool.h>
#include <stddef.h>

struct fleet;

struct fleet *fleet_start(const char *endpoint, bool deaf);
void fleet_stop(struct fleet *fleet); /* closes the socket at once, as a killed broker would */

/* Requests heard so far of that kind ("push"), also by a deaf one. Any thread. */
size_t fleet_heard(struct fleet *fleet, const char *kind);
/* Waits until so many were heard; fails the test after ten seconds. */
void fleet_await(struct fleet *fleet, const char *kind, size_t count);

#endif
