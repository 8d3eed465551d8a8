/* Deterministic random numbers: SplitMix64 (Steele, Lea, Flood 2014). Same seed, same numbers, on every machine. */
#ifndef CF_BASE_RNG_H
#define CF_BASE_RNG_H

#include <stdint.h>

struct cf_rng {
    uint64_t state;
};

static inline struct cf_rng cf_rng(uint64_t seed)
{
    return (struct cf_rng){seed};
}

static inline uint64_t cf_rng_u64(struct cf_rng *rng)
{
    uint64_t z = (rng->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Uniform in [0, bound), bound >= 1 (Lemire 2019, without the rejection: bias under bound / 2^64). */
static inline uint64_t cf_rng_below(struct cf_rng *rng, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)cf_rng_u64(rng) * bound) >> 64);
}

/* Uniform in [0, 1). */
static inline double cf_rng_unit(struct cf_rng *rng)
{
    return (double)(cf_rng_u64(rng) >> 11) * 0x1p-53;
}

#endif
