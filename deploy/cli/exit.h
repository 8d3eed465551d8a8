/* Exit codes and the one line that an error is. */
#ifndef CF_CLI_EXIT_H
#define CF_CLI_EXIT_H

#include "common/base/err.h"
#include "common/base/span.h"

enum cf_exit {
    CF_EXIT_DONE = 0,
    CF_EXIT_REFUSED = 1,     /* refused, not found or too late; the error is named */
    CF_EXIT_USAGE = 2,       /* bad k, space, vector or option; a configuration that is wrong */
    CF_EXIT_UNREACHABLE = 3, /* no fleet answered */
    CF_EXIT_PARTLY = 4,      /* some of it was done, some was refused */
};

/* What a command that failed with this error exits with. */
enum cf_exit cf_exit_of(enum cf_err err);

/* Of many, some of which failed; `first` is the error of the first that did. */
enum cf_exit cf_exit_of_many(size_t done, size_t failed, enum cf_err first);

/* "coverfleet COMMAND: SUBJECT: error_name: sentence" on standard error, on one line whatever the parts hold.
 * An empty subject and an empty or absent sentence are left out. */
void cf_say(const char *command, struct cf_str subject, enum cf_err err, const struct cf_detail *detail);

/* The same for an error that came by its wire name. */
void cf_say_named(const char *command, struct cf_str subject, struct cf_str error, struct cf_str sentence);

/* The error as `{"error":…,"detail":…}` on standard output, for --json where nothing else was printed. */
void cf_say_json(struct cf_str error, struct cf_str sentence);

/* A wrong call: the sentence and where help is, on one line. Returns CF_EXIT_USAGE. */
enum cf_exit cf_say_usage(const char *command, const struct cf_detail *detail);

#endif
