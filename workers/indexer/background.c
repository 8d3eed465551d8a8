#include "workers/indexer/background.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NICE_LAST = 19, STARVED_AFTER_MS = 30000, STARVED_ONE_IN = 10 };

struct call {
    enum cf_background level;
    int nice;
    void (*work)(void *arg);
    void *arg;
    bool as_wanted;
};

/* On Linux a process id of a thread is that thread's, and so are its niceness and its policy. */
static bool be_nice(int nice)
{
    return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice) == 0;
}

static bool be_idle(void)
{
    const struct sched_param param = {.sched_priority = 0};
    return sched_setscheduler(0, SCHED_IDLE, &param) == 0;
}

static void *call_main(void *arg)
{
    struct call *call = arg;
    call->as_wanted = call->level == CF_BACKGROUND_IDLE ? be_idle() : be_nice(call->nice);
    if (!call->as_wanted)
        (void)be_nice(NICE_LAST);
    call->work(call->arg);
    return NULL;
}

enum cf_err cf_background_run(enum cf_background level, int nice, void (*work)(void *arg), void *arg,
                              bool *as_wanted, struct cf_detail *detail)
{
    struct call call = {.level = level, .nice = nice, .work = work, .arg = arg};
    pthread_t thread;
    if (pthread_create(&thread, NULL, call_main, &call) != 0)
        return cf_fail(detail, CF_E_NO_MEMORY, "no thread to be had for work in the background");
    pthread_join(thread, NULL);
    *as_wanted = call.as_wanted;
    return CF_OK;
}

uint64_t cf_pace_cpu_ms(void)
{
    struct timespec used = {0, 0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

bool cf_pace_is_starved(const struct cf_pace *pace, uint64_t wall_ms, uint64_t cpu_ms)
{
    uint64_t lasted_ms = wall_ms - pace->wall_ms;
    return lasted_ms >= STARVED_AFTER_MS && cpu_ms - pace->cpu_ms < lasted_ms / STARVED_ONE_IN;
}
