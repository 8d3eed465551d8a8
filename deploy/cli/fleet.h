/* A connection to the fleet for a command: which one, how long to wait, and what to say when nobody is there.
 */
#ifndef CF_CLI_FLEET_H
#define CF_CLI_FLEET_H

#include "deploy/cli/command.h"
#include "proto/client/client.h"

#define CF_FLEET_DEADLINE_MS 5000

struct cf_fleet {
    const char *command;
    const char *endpoint; /* --endpoint; NULL for the fleet of COVERFLEET_HOME */
    uint64_t deadline_ms; /* --deadline */
    bool json;            /* --json: what is said is also printed as an object */
    struct cf_client *client;
};

/* Its two options, for a command's table. */
#define CF_FLEET_OPTS(fleet)                                                                                 \
    {.name = "endpoint",                                                                                     \
     .kind = CF_OPT_TEXT,                                                                                    \
     .value = &(fleet)->endpoint,                                                                            \
     .placeholder = "ENDPOINT",                                                                              \
     .help = "ipc://PATH or tcp://HOST:PORT of the broker (default: of COVERFLEET_HOME)"},                   \
    {                                                                                                        \
        .name = "deadline", .kind = CF_OPT_DURATION, .value = &(fleet)->deadline_ms, .low = 1,               \
        .high = 86400000, .placeholder = "TIME", .help = "how long an answer may take (default 5s)"          \
    }

/* "COMMAND: SUBJECT: error: sentence", and with --json the object as well. Returns cf_exit_of(err). */
enum cf_exit cf_fleet_tell(const struct cf_fleet *fleet, struct cf_str subject, enum cf_err err,
                           const struct cf_detail *detail);

/* A failure has been said; the result is the exit code. Close in any case. */
enum cf_exit cf_fleet_open(struct cf_fleet *fleet);
void cf_fleet_close(struct cf_fleet *fleet);

/* Asks and waits. On failure says so, `subject` (may be empty) being what it was about, and leaves `*reply`
 * alone. */
enum cf_exit cf_fleet_call(struct cf_fleet *fleet, const struct cf_msg *request, struct cf_str subject,
                           struct cf_reply **reply);

/* Says what went wrong with a request; an absent fleet is named with what to do. Returns the exit code. */
enum cf_exit cf_fleet_say(const struct cf_fleet *fleet, struct cf_str subject, enum cf_err err,
                          const struct cf_detail *detail);

#endif
