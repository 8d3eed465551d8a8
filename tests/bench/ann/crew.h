/* A loop over independent pieces of work, shared among threads. */
#ifndef CF_BENCH_ANN_CREW_H
#define CF_BENCH_ANN_CREW_H

#include <stddef.h>

enum { BENCH_THREADS_MAX = 64 };

/* Runs work(arg, thread, i) for every i below `count`; `thread` is 0 … threads-1, for scratch of its own.
 * Which thread does which piece is left open. At most BENCH_THREADS_MAX threads, the caller's included; one
 * that cannot be started is done without. */
void bench_crew_run(unsigned threads, size_t count, void (*work)(void *arg, unsigned thread, size_t i),
                    void *arg);

#endif
