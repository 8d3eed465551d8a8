/* Work on a thread of its own, so that whoever started it stays as quick as before: at some niceness, or
 * under SCHED_IDLE, where it takes the processor only when nobody else wants it. A machine that is never idle
 * starves such work; the pace tells, and the work can be begun again at a mere niceness: what is given up was
 * next to nothing. */
#ifndef CF_WORKERS_INDEXER_BACKGROUND_H
#define CF_WORKERS_INDEXER_BACKGROUND_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

enum cf_background_level { CF_BACKGROUND_IDLE, CF_BACKGROUND_NICE };

struct cf_background {
    enum cf_background_level level;
    int nice;
    void (*work)(void *arg);
    void *arg;
    pthread_t thread;
    bool as_wanted; /* once joined: whether the level that was wanted could be had. Instead it was niceness 19
                     */
};

/* Starts `work`, with the struct's other fields set; the struct stays where it is until it is joined. Threads
 * that it starts inherit its priority. CF_E_NO_MEMORY when there is no thread to be had: then nothing runs.
 */
enum cf_err cf_background_start(struct cf_background *background, struct cf_detail *detail) CF_MUST_CHECK;
void cf_background_join(struct cf_background *background);

/* How much of the time a thread was on a processor. */
struct cf_pace {
    clockid_t clock;          /* of the thread */
    uint64_t wall_ms, cpu_ms; /* when it began */
};
/* The calling thread's, from now on. */
struct cf_pace cf_pace(uint64_t wall_ms);
/* Up to now; any thread, while the thread lives. */
uint64_t cf_pace_cpu_ms(const struct cf_pace *pace);
/* After half a minute with less than a tenth of one processor. Pure. */
bool cf_pace_is_starved(const struct cf_pace *pace, uint64_t wall_ms, uint64_t cpu_ms);

#endif
