#include "common/base/clock.h"

#include <time.h>

static uint64_t read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t cf_clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

uint64_t cf_clock_mono_ms(void)
{
    return cf_clock_mono_us() / 1000u;
}

uint64_t cf_clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000u;
}
