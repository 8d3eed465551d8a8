/* IEEE 754 half precision in integers, the same everywhere: to nearest, ties to even. */
#ifndef CF_ANN_HALF_H
#define CF_ANN_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define CF_ANN_HALF_MAX 65504.0f
enum { CF_ANN_HALF_INFINITY = 0x7c00 };

/* What is too large becomes the largest; infinity stays infinite. Never a NaN. */
static inline uint16_t cf_ann_half(float value)
{
    float size = fabsf(value);
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    uint32_t bits;

    if (isinf(size))
        return (uint16_t)(sign | CF_ANN_HALF_INFINITY);
    if (!(size < CF_ANN_HALF_MAX))
        return (uint16_t)(sign | 0x7bff);
    if (size < 0x1p-14f) /* units of 2^-24, rounded by the addition */
        return (uint16_t)(sign | (uint16_t)((size + 0.5f) * 0x1p24f - 0x1p23f));
    memcpy(&bits, &size, sizeof bits);
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((bits >> 13) - (112u << 10)));
}

static inline float cf_ann_half_value(uint16_t half)
{
    uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
    float size = exponent == 0    ? (float)fraction * 0x1p-24f
                 : exponent == 31 ? INFINITY
                                  : ldexpf((float)(fraction + 1024), (int)exponent - 25);

    return half & 0x8000 ? -size : size;
}

#endif
