#include "deploy/cli/crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { THREADS_MAX = 256 };

struct crew {
    void (*work)(void *arg, unsigned thread, size_t i);
    void *arg;
    size_t count;
    atomic_size_t next;
};

struct member {
    struct crew *crew;
    unsigned number;
    pthread_t thread;
};

unsigned cf_crew_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > THREADS_MAX ? THREADS_MAX : count > 0 ? (unsigned)count : 1;
}

static void *serve(void *arg)
{
    struct member *member = arg;
    struct crew *crew = member->crew;
    for (size_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
        crew->work(crew->arg, member->number, i);
    return NULL;
}

void cf_crew_run(unsigned threads, size_t count, void (*work)(void *arg, unsigned thread, size_t i),
                 void *arg)
{
    struct crew crew = {.work = work, .arg = arg, .count = count};
    struct member members[THREADS_MAX];
    unsigned started = 1;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    members[0] = (struct member){.crew = &crew};
    for (; started < threads && started < count; started++) {
        members[started] = (struct member){.crew = &crew, .number = started};
        if (pthread_create(&members[started].thread, NULL, serve, &members[started]) != 0)
            break;
    }
    serve(&members[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(members[i].thread, NULL);
}
