#include "tests/bench/ann/crew.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct crew {
    atomic_size_t next;
    size_t count;
    void (*work)(void *arg, unsigned thread, size_t i);
    void *arg;
};

struct member {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
    bool started;
};

static void *labour(void *arg)
{
    struct member *member = arg;
    struct crew *crew = member->crew;
    for (size_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
        crew->work(crew->arg, member->number, i);
    return NULL;
}

void bench_crew_run(unsigned threads, size_t count, void (*work)(void *arg, unsigned thread, size_t i),
                    void *arg)
{
    struct crew crew = {.count = count, .work = work, .arg = arg};
    struct member members[BENCH_THREADS_MAX];
    if (threads > BENCH_THREADS_MAX)
        threads = BENCH_THREADS_MAX;
    for (unsigned t = 0; t < threads; t++)
        members[t] = (struct member){.crew = &crew, .number = t};
    for (unsigned t = 1; t < threads; t++)
        members[t].started = pthread_create(&members[t].thread, NULL, labour, &members[t]) == 0;
    labour(&members[0]);
    for (unsigned t = 1; t < threads; t++)
        if (members[t].started)
            pthread_join(members[t].thread, NULL);
}
