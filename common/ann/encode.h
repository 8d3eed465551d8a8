/* Rows in short: a byte a dimension for ranking survivors, half a byte of the leading CF_ANN_CODE_DIMS for
 * finding them. */
#ifndef CF_ANN_ENCODE_H
#define CF_ANN_ENCODE_H

#include "common/ann/image.h"

/* y[proj], the projection, and norm, the square of the whole vector's distance from the mean. */
void cf_ann_encode_fine(const float *y, uint32_t proj, float norm, uint8_t *out);

/* Lane e of a block, from what is left of y when its leaf's centroid is taken off: levels of one step, chosen
 * to point the same way as the residual; the scale makes products with it unbiased (RaBitQ: Gao and Long
 * 2024). */
void cf_ann_encode_lane(const float *y, const float *centroid, float norm, struct cf_ann_block *block,
                        unsigned e);
/* A lane that no search finds. */
void cf_ann_encode_empty(struct cf_ann_block *block, unsigned e);

#endif
