#include "common/recommend/softmax.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

/* Cephes' expf for x <= 0 without a branch, so that the compiler makes vectors of it: 2^k times a polynomial.
 */
static inline float exp_of(float x)
{
    x = x < -87.f ? -87.f : x;
    int32_t k = (int32_t)(x * 1.44269504f - .5f);
    float r = x - (float)k * .693359375f + (float)k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    int32_t bits = (k + 127) * (1 << 23);
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

double cf_softmax_exp(float *values, size_t count, float most)
{
    double sum = 0;
    for (size_t begin = 0; begin < count; begin += 256) {
        size_t end = count - begin < 256 ? count : begin + 256, i = begin;
        float part[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (size_t lane = 0; lane < LANES; lane++)
                part[lane] += values[i + lane] = exp_of(values[i + lane] - most);
        for (; i < end; i++)
            part[0] += values[i] = exp_of(values[i] - most);
        for (size_t lane = 0; lane < LANES; lane++)
            sum += (double)part[lane];
    }
    return sum;
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
