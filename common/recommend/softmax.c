#include "common/recommend/softmax.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/base/cpu.h"

/* Lanes are the same at every SIMD level, and so is the order of sums. */
enum { LANES = 16, BLOCK = 256 };
typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));
#define EVERY __attribute__((always_inline)) static inline

/* Cephes' expf of x - most <= 0 without a branch: 2^k times a polynomial. */
EVERY void exp_lanes(float *values, float most, floats *sum)
{
    floats x, floor = (floats){0} - 87.f;
    memcpy(&x, values, sizeof x);
    x -= most;
    ints below = x < floor;
    x = (floats)(((ints)x & ~below) | ((ints)floor & below));
    ints k = __builtin_convertvector(x * 1.44269504f - .5f, ints);
    floats whole = __builtin_convertvector(k, floats), r = x - whole * .693359375f + whole * 2.12194440e-4f;
    floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = (p * r * r + r + 1) * (floats)((k + 127) * (1 << 23));
    memcpy(values, &p, sizeof p);
    *sum += p;
}

/* Fewer than LANES. */
EVERY double exp_rest(float *values, size_t count, float most)
{
    float lanes[LANES];
    floats unused = {0};
    double sum = 0;
    for (size_t i = 0; i < LANES; i++)
        lanes[i] = i < count ? values[i] : most;
    exp_lanes(lanes, most, &unused);
    memcpy(values, lanes, count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum;
}

EVERY double exp_all(float *values, size_t count, float most)
{
    double sum = 0;
    size_t whole = count / LANES * LANES;
    for (size_t begin = 0; begin < whole; begin += BLOCK) {
        size_t end = whole - begin < BLOCK ? whole : begin + BLOCK;
        floats part = {0};
        for (size_t i = begin; i < end; i += LANES)
            exp_lanes(values + i, most, &part);
        for (size_t lane = 0; lane < LANES; lane++)
            sum += (double)part[lane];
    }
    return sum + exp_rest(values + whole, count - whole, most);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static double exp_avx2(float *values, size_t count, float most)
{
    return exp_all(values, count, most);
}

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static double
exp_avx512(float *values, size_t count, float most)
{
    return exp_all(values, count, most);
}
#endif

double cf_softmax_exp(float *values, size_t count, float most)
{
#if defined(__x86_64__)
    if (cf_cpu_simd() == CF_SIMD_AVX512)
        return exp_avx512(values, count, most);
    if (cf_cpu_simd() == CF_SIMD_AVX2)
        return exp_avx2(values, count, most);
#endif
    return exp_all(values, count, most);
}

float cf_softmax_most(const float *values, size_t count)
{
    float most[LANES];
    size_t i = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        most[lane] = -INFINITY;
    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            most[lane] = values[i + lane] > most[lane] ? values[i + lane] : most[lane];
    for (; i < count; i++)
        most[0] = values[i] > most[0] ? values[i] : most[0];
    for (size_t lane = 1; lane < LANES; lane++)
        most[0] = most[lane] > most[0] ? most[lane] : most[0];
    return most[0];
}
