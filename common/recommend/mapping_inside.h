/* What the two kinds of mappings share; inside of common/recommend and its tests only. */
#ifndef CF_RECOMMEND_MAPPING_INSIDE_H
#define CF_RECOMMEND_MAPPING_INSIDE_H

#include "common/recommend/mapping.h"

enum cf_err cf_mapping_no_memory(struct cf_detail *detail);
/* Arrays, all zero; refuses too few rows. */
enum cf_err cf_mapping_init(const struct cf_mapping_rows *rows, uint32_t hidden, struct cf_mapping *mapping,
                            struct cf_detail *detail) CF_MUST_CHECK;
/* Means and scales, by the rows. */
void cf_mapping_measure(const struct cf_mapping_rows *rows, struct cf_mapping *mapping);
void cf_mapping_scale(const struct cf_mapping *mapping, const float *x, size_t count, float *z);
/* y of z; `between`, [count][hidden], what the hidden units say. */
void cf_mapping_forward(const struct cf_mapping *mapping, const float *z, size_t count, float *between,
                        float *y);

#endif
