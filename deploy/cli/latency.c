#include "deploy/cli/latency.h"

#include <stddef.h>

enum { COUNT = CF_LATENCY_OCTAVES * CF_LATENCY_STEPS, STEP_BITS = 6 };
_Static_assert(1 << STEP_BITS == CF_LATENCY_STEPS, "steps of an octave");

/* Below CF_LATENCY_STEPS each number is a class of its own; above, the leading bits are. */
static size_t class_of(uint64_t ns)
{
    if (ns < CF_LATENCY_STEPS)
        return (size_t)ns;
    unsigned octave = 63u - (unsigned)__builtin_clzll(ns) - STEP_BITS;
    size_t class = ((size_t)octave + 1) * CF_LATENCY_STEPS + (size_t)(ns >> octave) - CF_LATENCY_STEPS;
    return class < COUNT ? class : COUNT - 1;
}

/* The longest time in a class. */
static uint64_t end_of(size_t class)
{
    if (class < CF_LATENCY_STEPS)
        return class;
    unsigned octave = (unsigned)(class / CF_LATENCY_STEPS) - 1;
    return ((uint64_t)(class % CF_LATENCY_STEPS + CF_LATENCY_STEPS + 1) << octave) - 1;
}

void cf_latency_add(struct cf_latency *latency, uint64_t ns)
{
    latency->classes[class_of(ns)]++;
    latency->count++;
    if (ns > latency->max_ns)
        latency->max_ns = ns;
}

void cf_latency_merge(struct cf_latency *into, const struct cf_latency *from)
{
    for (size_t i = 0; i < COUNT; i++)
        into->classes[i] += from->classes[i];
    into->count += from->count;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
}

uint64_t cf_latency_quantile(const struct cf_latency *latency, double quantile)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < COUNT; i++) {
        seen += latency->classes[i];
        if (seen > 0 && (double)seen >= quantile * (double)latency->count) {
            uint64_t end = end_of(i);
            return end < latency->max_ns ? end : latency->max_ns;
        }
    }
    return latency->max_ns;
}
