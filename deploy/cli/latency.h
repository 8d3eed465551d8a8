/* Times of many queries in little memory: counted in classes about 1 % wide. Pure. */
#ifndef CF_CLI_LATENCY_H
#define CF_CLI_LATENCY_H

#include <stdint.h>

enum { CF_LATENCY_OCTAVES = 40, CF_LATENCY_STEPS = 64 }; /* up to 2^40 ns, some 18 minutes */

struct cf_latency {
    uint64_t count, max_ns;
    uint64_t classes[CF_LATENCY_OCTAVES * CF_LATENCY_STEPS];
};

void cf_latency_add(struct cf_latency *latency, uint64_t ns);
void cf_latency_merge(struct cf_latency *into, const struct cf_latency *from);
/* In nanoseconds, at most 1.6 % over the time that a share of `quantile` (0 to 1) of them did not exceed, and
 * never over the longest; 0 when there is none. */
uint64_t cf_latency_quantile(const struct cf_latency *latency, double quantile);

#endif
