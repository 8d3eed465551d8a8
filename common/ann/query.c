#include "common/ann/query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE_MAX = 32000, ROW_CODE_MAX = 127, BYTE_MAX = 127 };
/* Added and taken off again, it leaves a whole number (the nearest, of two the even one); for values below
 * 2^22. */
#define ROUNDER 12582912.0f

bool cf_ann_reserve(void **memory, size_t *room, size_t count, size_t size)
{
    if (count <= *room)
        return true;
    void *larger = realloc(*memory, count * size);
    if (!larger)
        return false;
    *memory = larger;
    *room = count;
    return true;
}

void cf_ann_scratch_fini(struct cf_ann_scratch *s)
{
    void *const all[] = {s->centred,      s->scaled,       s->wide,       s->bytes,     s->dots,
                         s->keys,         s->leaves,       s->visits,     s->pool_keys, s->seen,
                         s->best,         s->pool_entries, s->group_keys, s->squares,   s->front_keys,
                         s->front_leaves, s->query,        s->full,       s->survivors};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    *s = (struct cf_ann_scratch){0};
}

/* The largest magnitude, by the bits: loops of whole numbers are made parallel by the compiler. */
static float magnitude_of(const float *x, size_t count)
{
    int32_t most = 0;
    float value;

    for (size_t j = 0; j < count; j++) {
        int32_t bits;
        memcpy(&bits, &x[j], sizeof bits);
        bits &= INT32_MAX;
        most = bits > most ? bits : most;
    }
    memcpy(&value, &most, sizeof value);
    return value;
}

/* The nearest whole number within the range; its low end for what is none, which only a damaged file has. */
static int32_t whole(float value, float most)
{
    float above = value > -most ? value : -most, within = above < most ? above : most;

    return (int32_t)((within + ROUNDER) - ROUNDER);
}

/* How many units of `most` at the largest there are to a value; 0 when none can be told apart. */
static float factor_of(float largest, int most)
{
    float factor = largest > 0 ? (float)most / largest : 0;

    return isfinite(factor) ? factor : 0;
}

/* Levels -BYTE_MAX … BYTE_MAX; returns what one is worth. */
static float to_bytes(const float *x, size_t count, int8_t *out)
{
    float factor = factor_of(magnitude_of(x, count), BYTE_MAX);

    for (size_t j = 0; j < count; j++)
        out[j] = (int8_t)whole(x[j] * factor, BYTE_MAX);
    return factor > 0 ? 1 / factor : 0;
}

static int32_t sum_of(const int8_t *values, size_t count)
{
    int32_t sum = 0;

    for (size_t j = 0; j < count; j++)
        sum += values[j];
    return sum;
}

static void centre(struct cf_ann_target *t, const float *query)
{
    const struct cf_ann_header *h = &t->ann->header;
    double factor = ldexp(1, -h->scale_exponent);
    float *out = t->scratch->centred;

    if (h->scale_exponent)
        for (uint32_t j = 0; j < h->dim; j++)
            out[j] = (float)((double)query[j] * factor) - t->ann->mean[j];
    else
        for (uint32_t j = 0; j < h->dim; j++)
            out[j] = query[j] - t->ann->mean[j];
    memset(out + h->dim, 0, (h->row_dims - h->dim) * sizeof *out);
    t->centred = out;
}

/* The sum in a fixed order that processors can do in parallel; count a multiple of 8. */
static double total_of(const float *x, size_t count)
{
    double sums[8] = {0};

    for (size_t j = 0; j < count; j += 8)
        for (size_t l = 0; l < 8; l++)
            sums[l] += (double)x[j + l];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

static double square_of(const float *x, size_t count)
{
    double sums[8] = {0};

    for (size_t j = 0; j < count; j += 8)
        for (size_t l = 0; l < 8; l++)
            sums[l] += (double)x[j + l] * (double)x[j + l];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* As wide as 32 bits allow the sum of products. What rounding loses of a value is half a unit (and 2^-22 of
 * the value, for the arithmetic in single precision), a code is at most ROW_CODE_MAX. */
static void widen(struct cf_ann_target *t)
{
    const struct cf_ann_header *h = &t->ann->header;
    int most = INT32_MAX / ROW_CODE_MAX / (int)h->row_codes;
    float *scaled = t->scratch->scaled;

    for (uint32_t j = 0; j < h->row_dims; j++)
        scaled[j] = t->centred[j] * t->ann->steps[j];
    t->row_sum = total_of(scaled, h->row_dims);
    most = most < WIDE_MAX ? most : WIDE_MAX;
    float factor = factor_of(magnitude_of(scaled, h->row_dims), most);
    for (uint32_t j = 0; j < h->row_dims; j++)
        t->scratch->wide[j] = (int16_t)whole(scaled[j] * factor, (float)most);
    for (uint32_t j = h->row_dims; j < h->row_codes; j++)
        t->scratch->wide[j] = (int16_t)whole(scaled[j - h->row_dims] * factor / CF_ANN_FINE, (float)most);
    t->wide = t->scratch->wide;
    t->row_unit = factor > 0 ? 1 / (double)factor : 0;
    double lost =
        factor > 0 ? t->row_unit * (.5 + most * 0x1p-22) : (double)magnitude_of(scaled, h->row_dims);
    t->row_error = lost * h->row_codes * ROW_CODE_MAX;
}

static void project(struct cf_ann_target *t)
{
    const struct cf_ann_header *h = &t->ann->header;
    int8_t *bytes = t->scratch->bytes;
    float unit = to_bytes(t->centred, h->row_dims, bytes);
    int32_t shift = CF_ANN_BLOCK_ZERO * sum_of(bytes, h->row_dims), dots[CF_ANN_PROJ_MAX];

    t->kernels->dots_blocks(bytes, t->ann->matrix, h->proj / CF_ANN_LANE_COUNT, h->row_dims, dots);
    for (uint32_t p = 0; p < h->proj; p++)
        t->proj[p] = (float)(dots[p] - shift) * (unit * t->ann->matrix_steps[p]);
}

static void shorten(struct cf_ann_target *t)
{
    uint32_t proj = t->ann->header.proj;
    float scaled[CF_ANN_PROJ_MAX] = {0};
    int8_t bytes[CF_ANN_PROJ_MAX];

    for (uint32_t p = 0; p < proj; p++)
        scaled[p] = t->proj[p] * t->ann->short_steps[p];
    t->short_unit = to_bytes(scaled, proj, bytes);
    t->short_sum = sum_of(bytes, proj);
    for (uint32_t p = 0; p < proj; p += 2) {
        t->even[p / 2] = bytes[p];
        t->odd[p / 2] = bytes[p + 1];
    }
}

static void make_probe(struct cf_ann_target *t)
{
    const struct cf_ann_header *h = &t->ann->header;
    float unit = to_bytes(t->proj, CF_ANN_CODE_DIMS, t->probe.values);

    t->probe.sum = sum_of(t->probe.values, CF_ANN_CODE_DIMS);
    t->probe.worth = unit * (h->scale_unit / h->norm_unit);
}

enum cf_err cf_ann_target_init(struct cf_ann_target *t, const struct cf_ann *ann, struct cf_ann_scratch *s,
                               const float *query)
{
    const struct cf_ann_header *h = &ann->header;

    CF_ANN_RESERVE(s, centred, h->row_dims);
    CF_ANN_RESERVE(s, scaled, h->row_dims);
    CF_ANN_RESERVE(s, wide, h->row_codes);
    CF_ANN_RESERVE(s, bytes, h->row_dims);
    t->ann = ann;
    t->kernels = cf_ann_kernels();
    t->scratch = s;
    centre(t, query);
    t->norm = square_of(t->centred, h->row_dims);
    widen(t);
    if (h->leaf_count) {
        project(t);
        shorten(t);
        make_probe(t);
    }
    return CF_OK;
}
