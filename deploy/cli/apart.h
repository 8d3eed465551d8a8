/* Work in a process of its own, which writes its results into a folder of its own. Both end with us: after
 * Ctrl-C, TERM or HUP the process is killed, the folder removed, and only then ours ends by that signal. (Of
 * a kill -9 the folder stays; the process goes then, too.) One at a time; the thread that calls must outlive
 * it. */
#ifndef CF_CLI_APART_H
#define CF_CLI_APART_H

#include <limits.h>
#include <signal.h>

#include "common/base/err.h"

enum { CF_APART_SIGNALS = 3 };

struct cf_apart {
    char folder[PATH_MAX];
    struct sigaction before[CF_APART_SIGNALS];
};

/* A new folder in TMPDIR, or /tmp. CF_E_INVALID for a TMPDIR too long, CF_E_IO, CF_E_NOT_FOUND; then there is
 * nothing to end. */
enum cf_err cf_apart_begin(struct cf_apart *apart, struct cf_detail *detail) CF_MUST_CHECK;
/* Forks: before any thread whose locks `work` needs. `*code`: what it returned, -1 when it was killed.
 * CF_E_SHUTTING_DOWN after a signal, CF_E_IO. */
enum cf_err cf_apart_run(struct cf_apart *apart, int (*work)(void *arg), void *arg, int *code,
                         struct cf_detail *detail) CF_MUST_CHECK;
/* Removes the folder with the files in it; does not return when a signal came meanwhile. */
void cf_apart_end(struct cf_apart *apart);

#endif
