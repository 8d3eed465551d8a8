#include "common/ann/encode.h"

#include <math.h>

#include "common/ann/partition.h"

void cf_ann_encode_fine(const float *y, uint32_t proj, float norm, uint8_t *out)
{
    struct cf_ann_fine fine = {.norm = norm};

    fine.step = cf_ann_bytes_of(y, proj, (int8_t *)out + sizeof fine);
    memcpy(out, &fine, sizeof fine);
}

static int nibble_of(float value, float step)
{
    float n = rintf((value / step + 15) / 2);

    return n < 0 ? 0 : n > 15 ? 15 : (int)n;
}

/* The products of the residual with its levels and of the levels with themselves. */
static void fit(const float *residual, float step, double *with_levels, double *levels)
{
    *with_levels = *levels = 0;
    for (unsigned j = 0; j < CF_ANN_CODE_DIMS; j++) {
        int h = 2 * nibble_of(residual[j], step) - 15;
        *with_levels += (double)residual[j] * h;
        *levels += (double)(h * h);
    }
}

void cf_ann_encode_lane(const float *y, const float *centroid, float norm, struct cf_ann_block *block,
                        unsigned e)
{
    float residual[CF_ANN_CODE_DIMS], largest = 0, best_step = 1;
    double square = 0, best = -1, with_levels, levels, best_with = 0;

    for (unsigned j = 0; j < CF_ANN_CODE_DIMS; j++) {
        residual[j] = y[j] - centroid[j];
        largest = fmaxf(largest, fabsf(residual[j]));
        square += (double)residual[j] * (double)residual[j];
    }
    for (unsigned tried = 8; largest > 0 && tried <= 20; tried++) {
        float step = largest * (float)tried / (20 * 15);
        fit(residual, step, &with_levels, &levels);
        if (with_levels > 0 && with_levels * with_levels / levels > best) {
            best = with_levels * with_levels / levels;
            best_with = with_levels;
            best_step = step;
        }
    }
    for (unsigned j = 0; j < CF_ANN_CODE_DIMS; j++) {
        uint8_t *pair = &block->codes[j / 8 * 64 + 4 * e + j % 4];
        *pair = (uint8_t)(*pair | nibble_of(residual[j], best_step) << (j & 4));
    }
    block->norm[e] = norm;
    block->scale[e] = best_with > 0 ? (float)(2 * square / best_with) : 0;
}

void cf_ann_encode_empty(struct cf_ann_block *block, unsigned e)
{
    block->norm[e] = INFINITY;
    block->scale[e] = 0;
}
