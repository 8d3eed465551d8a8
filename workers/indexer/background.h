/* Work that takes the processor only when nobody else wants it: on a thread of its own, under SCHED_IDLE, so
 * that whoever started it stays as quick as before. A machine that is never idle would starve such work; the
 * pace tells, and the work can be begun again at a mere niceness: what is given up was next to nothing. */
#ifndef CF_WORKERS_INDEXER_BACKGROUND_H
#define CF_WORKERS_INDEXER_BACKGROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

enum cf_background { CF_BACKGROUND_IDLE, CF_BACKGROUND_NICE };

/* Runs `work` and waits for it. Threads that it starts inherit its priority. Where SCHED_IDLE is not to be
 * had it is niceness 19 instead; `*as_wanted` tells whether what was wanted could be had. CF_E_NO_MEMORY when
 * there is no thread to be had: then nothing ran. */
enum cf_err cf_background_run(enum cf_background level, int nice, void (*work)(void *arg), void *arg,
                              bool *as_wanted, struct cf_detail *detail) CF_MUST_CHECK;

/* How much of the time this process was on a processor, over all of its threads. */
struct cf_pace {
    uint64_t wall_ms, cpu_ms; /* when it began */
};
/* This process's, up to now. */
uint64_t cf_pace_cpu_ms(void);
/* After half a minute with less than a tenth of one processor. Pure. */
bool cf_pace_is_starved(const struct cf_pace *pace, uint64_t wall_ms, uint64_t cpu_ms);

#endif
