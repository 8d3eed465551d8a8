/* Vectors in short, as the file keeps them (image.h says what the numbers mean): rows in eight bits or
 * sixteen, projections in four, and entries in blocks. */
#ifndef CF_ANN_ENCODE_H
#define CF_ANN_ENCODE_H

#include "common/ann/image.h"

/* d[dim], a vector less the mean; steps[row_dims]; `magnitude`: at least |x|, for the rounding of what is
 * decoded. */
void cf_ann_encode_row(const struct cf_ann_header *header, const float *d, const float *steps,
                       float magnitude, uint8_t *row);

/* y[proj], a projection, and norm, the square of the whole vector's distance from the mean. Levels of one
 * scale, chosen to point the same way as y; the scale makes products with it unbiased (RaBitQ: Gao and Long
 * 2024). */
void cf_ann_encode_short(const float *y, const float *short_steps, uint32_t proj, float norm, uint8_t *out);

/* An entry before it is rounded to halves. */
struct cf_ann_code {
    uint8_t nibbles[CF_ANN_CODE_DIMS]; /* n of each dimension: levels 2n - 15 */
    float norm, scale;
};
/* From what is left of y when its leaf's centroid is taken off. */
struct cf_ann_code cf_ann_encode_entry(const float *y, const float *centroid, uint32_t leaf_dims, float norm);
/* Into lane e of a block whose lane is still zero. */
void cf_ann_code_store(const struct cf_ann_code *code, float norm_unit, float scale_unit,
                       struct cf_ann_block *block, unsigned e);
/* A lane that no search finds. */
void cf_ann_code_store_empty(struct cf_ann_block *block, unsigned e);

#endif
