/* One piece of work many times over, on several threads. */
#ifndef CF_CLI_CREW_H
#define CF_CLI_CREW_H

#include <stddef.h>

/* Processors that this process may use, at least 1. */
unsigned cf_crew_processors(void);

/* Calls work(arg, thread, i) for every i below `count`, the lower ones first, and returns when all are done.
 * `thread` is below `threads`; two calls with the same one never run at once. With one thread, or where no
 * more can be had, the caller's does it alone. */
void cf_crew_run(unsigned threads, size_t count, void (*work)(void *arg, unsigned thread, size_t i),
                 void *arg);

#endif
