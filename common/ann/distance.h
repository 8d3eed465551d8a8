/* Squared distances in single precision, bit for bit the same at every SIMD level: 64 running sums (dimension
 * i goes to sum i mod 64), each a multiplication and an addition without fusing, folded in a fixed order. So
 * an index built on one machine is the same file on another, and neighbours do not depend on the processor.
 */
#ifndef CF_ANN_DISTANCE_H
#define CF_ANN_DISTANCE_H

#include <stdint.h>

enum { CF_ANN_LANES = 64 };

typedef float cf_ann_distance_fn(const float *a, const float *b, uint32_t dim);

/* The kernel of the level in force. Take it once before a loop. */
cf_ann_distance_fn *cf_ann_distance_kernel(void);

#endif
