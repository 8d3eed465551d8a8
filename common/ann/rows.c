/* Rows: every value is offset + scale * code, both of the row's own; a query gets the same form with wider
 * codes, so that what grows with the dimension is one product of integers and the rest is a few doubles. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "common/ann/kernels.h"
#include "common/ann/searcher.h"

enum { ROW_ALIGN = 64, CODE_MAX = 127, WIDE_MAX = 32000 };
#define VALUE_MAX 0x1p40f

/* Followed by the codes, int8_t [dim rounded up to 64], zero beyond dim. */
struct row_head {
    float offset, scale, slack;
    int32_t sum, squares; /* of the codes */
    uint8_t zero[ROW_ALIGN - 20];
};

struct wide_query {
    double offset, scale, slack, sum, squares;
    int16_t *codes;
};

static size_t width_of(uint32_t dim)
{
    return ((size_t)dim + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
}

size_t cf_ann_row_bytes(uint32_t dim)
{
    return sizeof(struct row_head) + width_of(dim);
}

static bool range_of(const float *vector, uint32_t dim, float *least, float *most)
{
    float low = vector[0], high = vector[0], nothing = 0;

    for (uint32_t j = 0; j < dim; j++) {
        low = vector[j] < low ? vector[j] : low;
        high = vector[j] > high ? vector[j] : high;
        nothing += vector[j] * 0.0f; /* no number when the value is none, or without an end */
    }
    *least = low;
    *most = high;
    return !isnan(nothing);
}

static enum cf_err refuse(const float *vector, uint32_t dim, struct cf_detail *detail)
{
    uint32_t j = 0;

    while (j + 1 < dim && fabsf(vector[j]) <= VALUE_MAX)
        j++;
    return cf_fail(detail, CF_E_BAD_VECTOR,
                   "value %u of the vector is %g: it must be finite and at most 2^40", j, (double)vector[j]);
}

/* To the nearest, ties to even: as rint, which without SSE 4.1 is a call. Codes are far below 2^51. */
static double nearest(double value)
{
    return value + 0x1.8p52 - 0x1.8p52;
}

static double code_of(double value, double scale, int most)
{
    double code = scale > 0 ? nearest(value / scale) : 0;

    return code > most ? most : code < -most ? -most : code;
}

/* Upwards, and past what summing in doubles may have lost. */
static float round_up(double value)
{
    return value > 0 ? nextafterf((float)(value * (1 + 0x1p-40)), INFINITY) : 0;
}

enum cf_err cf_ann_row_encode(const float *vector, uint32_t dim, void *row, struct cf_detail *detail)
{
    struct row_head head = {0};
    int8_t *codes = (int8_t *)row + sizeof head;
    double lost = 0;
    float least, most;

    if (!range_of(vector, dim, &least, &most) || fmaxf(-least, most) > VALUE_MAX)
        return refuse(vector, dim, detail);
    head.offset = least + (most - least) / 2;
    head.scale =
        nextafterf((most - least) / (2 * CODE_MAX), INFINITY); /* or a subnormal one might fall short */
    memset(codes, 0, width_of(dim));
    for (uint32_t j = 0; j < dim; j++) {
        double off = (double)vector[j] - (double)head.offset;
        double code = code_of(off, (double)head.scale, CODE_MAX), gap = off - (double)head.scale * code;
        /* Decoding rounds to a float, measuring does not. */
        float decoded = (float)((double)head.offset + (double)head.scale * code);
        double other = (double)vector[j] - (double)decoded;
        codes[j] = (int8_t)code;
        head.sum += codes[j];
        head.squares += codes[j] * codes[j];
        lost += fmax(gap * gap, other * other);
    }
    head.slack = round_up(sqrt(lost));
    memcpy(row, &head, sizeof head);
    return CF_OK;
}

float cf_ann_row_decode(const void *row, uint32_t dim, float *out)
{
    const int8_t *codes = (const int8_t *)row + sizeof(struct row_head);
    struct row_head head;

    memcpy(&head, row, sizeof head);
    for (uint32_t j = 0; j < dim; j++)
        out[j] = (float)((double)head.offset + (double)head.scale * codes[j]);
    return head.slack;
}

/* Codes as wide as the products' sum in 32 bits allows. */
static bool widen(const float *query, uint32_t dim, struct wide_query *wide)
{
    int code_max = INT32_MAX / CODE_MAX / (int)dim;
    double lost = 0;
    float least, most;

    if (!range_of(query, dim, &least, &most))
        return false;
    code_max = code_max < WIDE_MAX ? code_max : WIDE_MAX;
    wide->offset = ((double)least + (double)most) / 2;
    wide->scale = ((double)most - (double)least) / (2 * code_max);
    wide->sum = wide->squares = 0;
    memset(wide->codes, 0, width_of(dim) * sizeof *wide->codes);
    for (uint32_t j = 0; j < dim; j++) {
        double off = (double)query[j] - wide->offset, code = code_of(off, wide->scale, code_max);
        double gap = off - wide->scale * code;
        wide->codes[j] = (int16_t)code;
        wide->sum += code;
        wide->squares += code * code;
        lost += gap * gap;
    }
    wide->slack = sqrt(lost);
    return true;
}

/* The sum of (o + s a - p - t b)² over a row, o and s of the query, p and t of the row; `*size`: what the
 * terms amount to before they cancel. */
static double square_of(const struct wide_query *q, const struct row_head *row, int32_t dot, uint32_t dim,
                        double *size)
{
    double t = (double)row->scale, apart = q->offset - (double)row->offset;
    double offsets = apart * apart * dim;
    double crossed = 2 * apart * (q->scale * q->sum - t * row->sum);
    double own = q->scale * q->scale * q->squares + t * t * row->squares;
    double square = (offsets + crossed) + (own - 2 * q->scale * t * dot);

    *size = offsets + own;
    return square > 0 ? square : 0;
}

enum cf_err cf_ann_rows_measure(struct cf_ann_searcher *searcher, const float *query, uint32_t dim,
                                const void *rows, size_t count, float *distances, float *slack,
                                struct cf_detail *detail)
{
    struct wide_query wide = {.codes = cf_ann_searcher_wide(searcher, width_of(dim))};
    const struct cf_ann_kernels *kernels = cf_ann_kernels();
    size_t bytes = cf_ann_row_bytes(dim);

    if (!wide.codes)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory for a query of %u values", dim);
    if (!widen(query, dim, &wide))
        return cf_fail(detail, CF_E_BAD_VECTOR, "the query holds a value that is not a finite number");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = (const uint8_t *)rows + i * bytes;
        struct row_head head;
        double size;
        memcpy(&head, at, sizeof head);
        int32_t dot = kernels->dot_i16_i8(wide.codes, (const int8_t *)at + sizeof head, width_of(dim));
        double distance = sqrt(square_of(&wide, &head, dot, dim, &size));
        distances[i] = (float)fmin(distance, (double)FLT_MAX);
        /* Sums of doubles lose 2^-50 of their terms, a root half the digits of that. */
        if (slack)
            slack[i] = round_up(fmin((double)head.slack + wide.slack + 0x1p-23 * sqrt(size), 1e38));
    }
    return CF_OK;
}

void cf_ann_normalize(float *vector, uint32_t dim)
{
    double sums[8] = {0};

    for (uint32_t j = 0; j < dim; j++)
        sums[j % 8] += (double)vector[j] * (double)vector[j];
    double square = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
    double scale = square > 0 ? 1 / sqrt(square) : 0;
    for (uint32_t j = 0; j < dim; j++)
        vector[j] = (float)((double)vector[j] * scale);
}
