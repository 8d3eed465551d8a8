#if defined(__x86_64__)

#include <immintrin.h>

#define LANES   16
#define TARGET  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))
#define SQRT(v) (vec) _mm512_sqrt_ps((__m512)(v))
#define KERNEL  cf_gist_f32_avx512

#include "common/descriptor/gist_lanes.inc"

#else
typedef int cf_gist_avx512_is_for_x86;
#endif
