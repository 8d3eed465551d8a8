#include "common/base/cpu.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { NICE_LOWEST = 19 };

static const char *const names[] = {"scalar", "avx2", "avx512"};
static enum cf_simd machine, level;
static int probed;

#if defined(__x86_64__)
/* Not every compiler's __builtin_cpu_supports knows the word. The operating system's part is AVX's, asked
 * with it. */
static bool has_f16c(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

static enum cf_simd probe(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
          has_f16c()))
        return CF_SIMD_SCALAR;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return CF_SIMD_AVX512;
    return CF_SIMD_AVX2;
#else
    return CF_SIMD_SCALAR;
#endif
}

enum cf_err cf_cpu_init(struct cf_detail *detail)
{
    machine = level = probe();
    probed = 1;
    const char *wanted = getenv("COVERFLEET_SIMD");
    if (!wanted || !*wanted)
        return CF_OK;
    for (int i = CF_SIMD_SCALAR; i <= CF_SIMD_AVX512; i++)
        if (strcmp(wanted, names[i]) == 0) {
            cf_cpu_simd_limit((enum cf_simd)i);
            return CF_OK;
        }
    return cf_fail(detail, CF_E_INVALID, "COVERFLEET_SIMD is \"%s\": it must be scalar, avx2 or avx512",
                   wanted);
}

enum cf_simd cf_cpu_simd(void)
{
    if (!probed) {
        machine = level = probe();
        probed = 1;
    }
    return level;
}

void cf_cpu_simd_limit(enum cf_simd wanted)
{
    (void)cf_cpu_simd();
    level = wanted < machine ? wanted : machine;
}

const char *cf_simd_name(enum cf_simd value)
{
    return names[value];
}

/* On Linux both concern the thread only. */
bool cf_cpu_background(void)
{
    struct sched_param param = {.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_IDLE, &param) == 0)
        return true;
    (void)cf_cpu_nice(NICE_LOWEST);
    return false;
}

bool cf_cpu_nice(int nice)
{
    return setpriority(PRIO_PROCESS, 0, nice) == 0;
}
