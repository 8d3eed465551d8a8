#include "common/base/crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct loop {
    size_t count;
    void (*work)(void *arg, size_t i);                           /* one of the two */
    void (*work_numbered)(void *arg, unsigned thread, size_t i); /* is NULL */
    void *arg;
    atomic_size_t next;
    atomic_bool stop;
};

struct member {
    struct loop *loop;
    unsigned number;
    pthread_t thread;
};

unsigned cf_crew_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > CF_CREW_THREADS_MAX ? CF_CREW_THREADS_MAX : count > 0 ? (unsigned)count : 1;
}

static bool take(struct member *member)
{
    struct loop *loop = member->loop;
    size_t i = atomic_fetch_add(&loop->next, 1);

    if (i >= loop->count || atomic_load(&loop->stop))
        return false;
    if (loop->work)
        loop->work(loop->arg, i);
    else
        loop->work_numbered(loop->arg, member->number, i);
    return true;
}

static void *hand(void *arg)
{
    while (take(arg)) {
    }
    return NULL;
}

enum cf_err cf_crew_poll(const struct cf_crew *crew)
{
    return crew->cancel && crew->cancel(crew->cancel_arg) ? CF_E_SHUTTING_DOWN : CF_OK;
}

/* Member 0 is the calling thread. */
static enum cf_err run(struct loop *loop, const struct cf_crew *crew, void (*beside)(void *arg),
                       void *beside_arg)
{
    struct member members[CF_CREW_THREADS_MAX] = {{.loop = loop}};
    size_t wanted = beside ? loop->count : loop->count ? loop->count - 1 : 0;
    unsigned started = 1;
    enum cf_err err = cf_crew_poll(crew);

    if (err)
        return err;
    for (; started < crew->threads && started < CF_CREW_THREADS_MAX && started <= wanted; started++) {
        members[started] = (struct member){.loop = loop, .number = started};
        if (pthread_create(&members[started].thread, NULL, hand, &members[started]) != 0)
            break;
    }
    if (beside)
        beside(beside_arg);
    while (!err && take(&members[0])) {
        err = cf_crew_poll(crew);
        if (err)
            atomic_store(&loop->stop, true);
    }
    for (unsigned i = 1; i < started; i++)
        pthread_join(members[i].thread, NULL);
    return err;
}

enum cf_err cf_crew_run(const struct cf_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                        void *arg)
{
    return cf_crew_run_beside(crew, count, work, arg, NULL, NULL);
}

enum cf_err cf_crew_run_beside(const struct cf_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                               void *arg, void (*beside)(void *arg), void *beside_arg)
{
    struct loop loop = {.count = count, .work = work, .arg = arg};

    return run(&loop, crew, beside, beside_arg);
}

void cf_crew_run_numbered(unsigned threads, size_t count, void (*work)(void *arg, unsigned thread, size_t i),
                          void *arg)
{
    struct loop loop = {.count = count, .work_numbered = work, .arg = arg};
    struct cf_crew crew = {.threads = threads};

    (void)run(&loop, &crew, NULL, NULL); /* without `cancel` nothing ends it */
}
