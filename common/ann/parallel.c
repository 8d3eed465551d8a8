#include "common/ann/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_MAX = 64 };

struct loop {
    size_t count;
    void (*work)(void *arg, size_t i);
    void *arg;
    atomic_size_t next;
    atomic_bool stop;
};

static bool take(struct loop *loop)
{
    size_t i = atomic_fetch_add(&loop->next, 1);

    if (i >= loop->count || atomic_load(&loop->stop))
        return false;
    loop->work(loop->arg, i);
    return true;
}

static void *hand(void *arg)
{
    while (take(arg)) {
    }
    return NULL;
}

enum cf_err cf_ann_crew_poll(const struct cf_ann_crew *crew)
{
    return crew->cancel && crew->cancel(crew->cancel_arg) ? CF_E_SHUTTING_DOWN : CF_OK;
}

enum cf_err cf_ann_crew_run(const struct cf_ann_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                            void *arg)
{
    return cf_ann_crew_run_beside(crew, count, work, arg, NULL, NULL);
}

enum cf_err cf_ann_crew_run_beside(const struct cf_ann_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                                   void *arg, void (*beside)(void *arg), void *beside_arg)
{
    struct loop loop = {.count = count, .work = work, .arg = arg};
    pthread_t threads[THREADS_MAX];
    size_t wanted = beside ? count : count ? count - 1 : 0;
    unsigned started = 0;
    enum cf_err err = cf_ann_crew_poll(crew);

    if (err)
        return err;
    while (started + 1 < crew->threads && started < THREADS_MAX && started < wanted) {
        if (pthread_create(&threads[started], NULL, hand, &loop) != 0)
            break;
        started++;
    }
    if (beside)
        beside(beside_arg);
    while (!err && take(&loop)) {
        err = cf_ann_crew_poll(crew);
        if (err)
            atomic_store(&loop.stop, true);
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return err;
}
