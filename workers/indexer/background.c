#include "workers/indexer/background.h"

#include <time.h>

#include "common/base/cpu.h"

enum { STARVED_AFTER_MS = 30000, STARVED_ONE_IN = 10 };

static void *background_main(void *arg)
{
    struct cf_background *background = arg;
    background->as_wanted =
        background->level == CF_BACKGROUND_IDLE ? cf_cpu_background() : cf_cpu_nice(background->nice);
    background->work(background->arg);
    return NULL;
}

enum cf_err cf_background_start(struct cf_background *background, struct cf_detail *detail)
{
    if (pthread_create(&background->thread, NULL, background_main, background) != 0)
        return cf_fail(detail, CF_E_NO_MEMORY, "no thread to be had for work in the background");
    return CF_OK;
}

void cf_background_join(struct cf_background *background)
{
    int failed = pthread_join(background->thread, NULL);
    CF_CHECK(!failed);
}

static uint64_t used_ms(clockid_t clock)
{
    struct timespec used = {0, 0};
    (void)clock_gettime(clock, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

struct cf_pace cf_pace(uint64_t wall_ms)
{
    struct cf_pace pace = {.clock = CLOCK_THREAD_CPUTIME_ID, .wall_ms = wall_ms};
    (void)pthread_getcpuclockid(pthread_self(), &pace.clock);
    pace.cpu_ms = used_ms(pace.clock);
    return pace;
}

uint64_t cf_pace_cpu_ms(const struct cf_pace *pace)
{
    return used_ms(pace->clock);
}

bool cf_pace_is_starved(const struct cf_pace *pace, uint64_t wall_ms, uint64_t cpu_ms)
{
    uint64_t lasted_ms = wall_ms - pace->wall_ms;
    return lasted_ms >= STARVED_AFTER_MS && cpu_ms - pace->cpu_ms < lasted_ms / STARVED_ONE_IN;
}
