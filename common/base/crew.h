/* A loop over independent pieces of work, shared among threads. Which thread does which piece is left open,
 * so the pieces must not depend on one another: that is what makes what is built the same whatever the number
 * of threads. */
#ifndef CF_BASE_CREW_H
#define CF_BASE_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

enum { CF_CREW_THREADS_MAX = 256 }; /* of one crew; more are not started */

struct cf_crew {
    unsigned threads;          /* at least 1, the caller's included */
    bool (*cancel)(void *arg); /* may be NULL; asked by the calling thread only */
    void *cancel_arg;
};

/* How many threads suit this process: the processors that it may use, from 1 to CF_CREW_THREADS_MAX. */
unsigned cf_crew_processors(void);

/* CF_E_SHUTTING_DOWN when the work is to end. */
enum cf_err cf_crew_poll(const struct cf_crew *crew) CF_MUST_CHECK;

/* Runs work(arg, i) for every i below count, the lower ones first. When a thread cannot be started the others
 * do its share. After a cancel some pieces are not done, and the answer is CF_E_SHUTTING_DOWN; there is no
 * other, so a crew without `cancel` always does everything. */
enum cf_err cf_crew_run(const struct cf_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                        void *arg) CF_MUST_CHECK;

/* The same while the calling thread first does something else, such as reading what comes next. */
enum cf_err cf_crew_run_beside(const struct cf_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                               void *arg, void (*beside)(void *arg), void *beside_arg) CF_MUST_CHECK;

/* The same as cf_crew_run on `threads` threads that cannot be cancelled, for work that has something of its
 * own on each: `thread` is below both `threads` and CF_CREW_THREADS_MAX, and two pieces with the same one
 * never run at once. */
void cf_crew_run_numbered(unsigned threads, size_t count, void (*work)(void *arg, unsigned thread, size_t i),
                          void *arg);

#endif
