/* The SIMD level, probed once and lowered (never raised) by COVERFLEET_SIMD=scalar|avx2|avx512.
 *
 * main() calls cf_cpu_init before any thread starts; afterwards any thread may read the level. */
#ifndef CF_BASE_CPU_H
#define CF_BASE_CPU_H

#include <stdbool.h>

#include "common/base/err.h"

enum cf_simd {
    CF_SIMD_SCALAR,
    CF_SIMD_AVX2,   /* AVX2, FMA, BMI2, F16C */
    CF_SIMD_AVX512, /* the above and AVX-512 F, BW, DQ, VL */
};

/* CF_E_INVALID when COVERFLEET_SIMD holds an unknown word. */
enum cf_err cf_cpu_init(struct cf_detail *detail) CF_MUST_CHECK;

/* The level in force; probes on its own when cf_cpu_init was not called. */
enum cf_simd cf_cpu_simd(void);

/* For tests: lowers (or gives back) the level within what the machine has. Not while other threads compute.
 */
void cf_cpu_simd_limit(enum cf_simd level);

/* From now on the calling thread (and those that it starts) gets a core only where nobody else wants it:
 * SCHED_IDLE, or the lowest nice value where that is not allowed: then false. It must hold no lock that
 * others wait for. */
bool cf_cpu_background(void);
/* The same at a niceness of 0 to 19. False where the system refuses it: it never does upwards. */
bool cf_cpu_nice(int nice);

const char *cf_simd_name(enum cf_simd level);

#endif
