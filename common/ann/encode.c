#include "common/ann/encode.h"

#include <math.h>

#include "common/ann/distance.h"
#include "common/ann/half.h"
#include "common/ann/project.h"

#define HALF_MOST 65504.0f
static const float zeros[CF_ANN_DIM_MAX];

/* What the first code of each value leaves, in parts of it; nothing beyond the range of a second one. */
static void encode_fine(const float *values, float zero, float factor, uint32_t dim, const int8_t *codes,
                        int8_t *fine)
{
    for (uint32_t j = 0; j < dim; j++) {
        float part = ((values[j] - zero) * factor - (float)codes[j]) * CF_ANN_FINE;
        fine[j] = (int8_t)lrintf(fminf(fmaxf(part, -CF_ANN_FINE / 2), CF_ANN_FINE / 2));
    }
}

void cf_ann_encode_row(const struct cf_ann_header *h, const float *d, const float *steps, float magnitude,
                       uint8_t *row)
{
    const struct cf_ann_train_kernels *kernels = cf_ann_train_kernels();
    struct cf_ann_row_head head = {0};
    int8_t *codes = (int8_t *)row + sizeof head;
    uint32_t dim = h->dim;
    float values[CF_ANN_DIM_MAX], least, most;

    kernels->divide(d, steps, dim, values, &least, &most);
    head.offset = least + (most - least) / 2;
    head.scale = (most - least) / 254;
    float factor = head.scale > 0 ? 1 / head.scale : 0;
    memset(codes, 0, h->row_codes);
    kernels->round(values, head.offset, factor, dim, codes);
    if (h->row_codes > h->row_dims)
        encode_fine(values, head.offset, factor, dim, codes, codes + h->row_dims);
    for (uint32_t j = 0; j < dim; j++) {
        float part = head.scale * cf_ann_row_level(h, codes, j);
        values[j] = steps[j] * (head.offset + part);
    }
    head.norm = cf_ann_distance_kernel()(values, zeros, dim);
    /* Decoding rounds once a value; the rest is for the rounding of these very sums. */
    head.slack = sqrtf(cf_ann_distance_kernel()(values, d, dim)) * (1 + 0x1p-10f) + magnitude * 0x1p-22f;
    memcpy(row, &head, sizeof head);
}

/* The levels whose direction is nearest to u's, out of tries from `first` to 20 twentieths of the range.
 * Returns with u·h; 0 when u is zero. */
static float best_levels(const float *u, const float *weights, uint32_t count, unsigned first, unsigned by,
                         float *levels)
{
    const struct cf_ann_train_kernels *kernels = cf_ann_train_kernels();
    float largest = kernels->largest(u, count), best = -1, best_with = 0, tried[CF_ANN_PROJ_MAX];

    if (!(largest > 0) || !isfinite(1 / largest)) {
        for (uint32_t j = 0; j < count; j++)
            levels[j] = 1;
        return 0;
    }
    for (unsigned part = first; part <= 20; part += by) {
        struct cf_ann_fit fit = kernels->levels(u, weights, 20 * 15 / (largest * (float)part), count, tried);
        float worth = fit.with * (fit.with / fit.square);
        if (fit.with > 0 && worth > best) {
            best = worth;
            best_with = fit.with;
            memcpy(levels, tried, count * sizeof *levels);
        }
    }
    return best_with;
}

void cf_ann_encode_short(const float *y, const float *short_steps, uint32_t proj, float norm, uint8_t *out)
{
    struct cf_ann_short_head head = {.norm = norm};
    float u[CF_ANN_PROJ_MAX] = {0}, weights[CF_ANN_PROJ_MAX] = {0}, levels[CF_ANN_PROJ_MAX];

    for (uint32_t j = 0; j < proj; j++) {
        u[j] = y[j] / short_steps[j];
        weights[j] = short_steps[j] * short_steps[j];
    }
    /* The weights undo the steps, so that the square of u is that of y. */
    float with = best_levels(u, weights, proj, 10, 2, levels),
          square = cf_ann_train_kernels()->dot(y, y, proj);
    head.scale = with > 0 ? square / with : 0;
    memcpy(out, &head, sizeof head);
    for (uint32_t j = 0; j < proj; j += 2)
        out[sizeof head + j / 2] = (uint8_t)(((int)levels[j] + 15) / 2 | ((int)levels[j + 1] + 15) / 2 << 4);
}

struct cf_ann_code cf_ann_encode_entry(const float *y, const float *centroid, uint32_t leaf_dims, float norm)
{
    static const float ones[CF_ANN_CODE_DIMS] = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    };
    const struct cf_ann_train_kernels *kernels = cf_ann_train_kernels();
    float residual[CF_ANN_LEAF_DIMS_MAX], levels[CF_ANN_CODE_DIMS];
    struct cf_ann_code code;

    for (uint32_t j = 0; j < leaf_dims; j++)
        residual[j] = y[j] - centroid[j];
    float with = best_levels(residual, ones, CF_ANN_CODE_DIMS, 8, 1, levels);
    float alpha = with > 0 ? kernels->dot(residual, residual, CF_ANN_CODE_DIMS) / with : 0;
    for (uint32_t j = 0; j < CF_ANN_CODE_DIMS; j++)
        code.nibbles[j] = (uint8_t)(((int)levels[j] + 15) / 2);
    code.scale = 2 * alpha;
    /* |r|² + 2 alpha c·h and what the leaves' dimensions do not see; |y|² = |c|² + 2 c·r + |r|². */
    code.norm = norm - kernels->dot(centroid, centroid, leaf_dims) -
                2 * kernels->dot(centroid, residual, leaf_dims) +
                code.scale * kernels->dot(centroid, levels, CF_ANN_CODE_DIMS);
    return code;
}

void cf_ann_code_store(const struct cf_ann_code *code, float norm_unit, float scale_unit,
                       struct cf_ann_block *block, unsigned e)
{
    for (unsigned j = 0; j < CF_ANN_CODE_DIMS; j++) {
        uint8_t *pair = &block->codes[j / 8 * 64 + 4 * e + j % 4];
        *pair = (uint8_t)(*pair | code->nibbles[j] << (j & 4));
    }
    /* What is too far for the units comes last. */
    block->norm[e] = cf_ann_half(fminf(code->norm / norm_unit, HALF_MOST));
    block->scale[e] = cf_ann_half(fminf(code->scale / scale_unit, HALF_MOST));
}

void cf_ann_code_store_empty(struct cf_ann_block *block, unsigned e)
{
    block->norm[e] = CF_ANN_HALF_INFINITY;
    block->scale[e] = 0;
}
