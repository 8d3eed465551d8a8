/* What all workers share: register, credit, heartbeat, drain, reconnect. A role is a struct of functions, called on the
 * loop's thread; slow work belongs on a cf_pool.
 *
 * The runner connects a DEALER to the broker, registers under its slot's name, answers heartbeats, registers again when
 * the broker is silent or has forgotten it (with jitter), and on SIGTERM drains: asks the role to finish or hand back,
 * says goodbye, waits a bounded time for the answer, ends. */
#ifndef CF_WORKERS_RUNNER_H
#define CF_WORKERS_RUNNER_H

#include "common/base/config.h"
#include "common/io/loop.h"
#include "proto/msg.h"

struct cf_runner;

struct cf_role_ops {
    enum cf_role role;
    /* After every registration (also after a reconnect): a role says here what it can take (cf_runner_ready). */
    void (*registered)(void *arg, struct cf_runner *runner);
    /* A message for this role: lease, search (with its second frame), removed, published, rebuild. Borrowed for the call. */
    void (*message)(void *arg, struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body);
    /* Fills what a heartbeat carries; NULL for none. Spans live until the next call. */
    void (*heartbeat)(void *arg, struct cf_heartbeat *heartbeat);
    /* Regular work; returns milliseconds until the next call. NULL for none. */
    uint64_t (*tick)(void *arg, struct cf_runner *runner, uint64_t now_ms);
    /* A finished cf_pool item. NULL for none. */
    void (*posted)(void *arg, struct cf_runner *runner, void *item);
    /* Asked again and again after SIGTERM until it returns true: nothing is in flight any more. NULL: nothing ever is. */
    bool (*drained)(void *arg, struct cf_runner *runner);
    /* What this role called `name` is, e.g. "descriptor-0". */
    const char *name;
};

/* The loop comes from the caller, so that a role can make its pool on it first. */
enum cf_err cf_runner_new(struct cf_loop *loop, const struct cf_config *config, const struct cf_role_ops *ops, void *arg,
                          struct cf_runner **runner, struct cf_detail *detail) CF_MUST_CHECK;
void cf_runner_free(struct cf_runner *runner); /* takes NULL */
/* Until drained. */
enum cf_err cf_runner_run(struct cf_runner *runner, struct cf_detail *detail) CF_MUST_CHECK;

bool cf_runner_is_registered(const struct cf_runner *runner);
bool cf_runner_is_draining(const struct cf_runner *runner);
/* Drain now, as SIGTERM would. */
void cf_runner_drain(struct cf_runner *runner);

enum cf_err cf_runner_ready(struct cf_runner *runner, uint64_t credit) CF_MUST_CHECK;
/* `body` is a second frame, passed through as it is; empty for none. CF_E_BUSY, CF_E_UNREACHABLE when not registered. */
enum cf_err cf_runner_send(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body,
                           struct cf_detail *detail) CF_MUST_CHECK;

/* What every worker's main does first: home, configuration, log, SIMD level, slot name from argv[1] (default
 * "ROLE-0"; letters, digits, '-', '_'). Prints --help and errors itself; returns the exit code, or -1 to go on. */
int cf_worker_begin(int argc, char **argv, enum cf_role role, struct cf_home *home, struct cf_config *config,
                    char *name, size_t name_size);

#endif
