#if defined(__x86_64__)

#include <immintrin.h>

#define LANES   8
#define TARGET  __attribute__((target("avx2,fma")))
#define SQRT(v) (vec) _mm256_sqrt_ps((__m256)(v))
#define KERNEL  cf_gist_f32_avx2

#include "common/descriptor/gist_lanes.inc"

#else
typedef int cf_gist_avx2_is_for_x86;
#endif
