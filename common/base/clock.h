/* Time. Deadlines use the monotonic clock only; the wall clock is for people and for records on disk. */
#ifndef CF_BASE_CLOCK_H
#define CF_BASE_CLOCK_H

#include <stdint.h>

uint64_t cf_clock_mono_us(void);
uint64_t cf_clock_mono_ms(void);
uint64_t cf_clock_wall_ms(void); /* since 1970-01-01 UTC */

#endif
