/* Four lanes, for any machine: the compiler makes of them what the baseline of the machine has. */
#include <math.h>

#define LANES 4
#define TARGET
#define SQRT(v) square_roots(v)
#define KERNEL  cf_gist_f32_scalar

typedef float four __attribute__((vector_size(16)));

static inline four square_roots(four v)
{
    for (int i = 0; i < 4; i++)
        v[i] = sqrtf(v[i]);
    return v;
}

#include "common/descriptor/gist_lanes.inc"
