#include <stdlib.h>

#include "common/image/image.h"

/* In units of 1/dst of a source pixel, source pixel i covers [i * dst, (i+1) * dst) and target pixel j covers
 * [j * src, (j+1) * src): every weight is an integer, and so is every sum, exactly. */

enum { SIDE_MAX = 1 << 20 }; /* 255 * side fits 31 bits; 255 * side * side 48, exact in a double */

/* One row, each target pixel the sum of its source pixels times their overlaps: at most 255 * src_width. */
static void reduce_row(const uint8_t *src, uint32_t src_width, int32_t *dst, uint32_t dst_width)
{
    for (uint32_t j = 0; j < dst_width; j++, dst += 3) {
        uint64_t from = (uint64_t)j * src_width, to = from + src_width;
        uint32_t first = (uint32_t)(from / dst_width), last = (uint32_t)((to - 1) / dst_width);
        const uint8_t *p = src + (size_t)first * 3;
        if (first == last) {
            for (int c = 0; c < 3; c++)
                dst[c] = (int32_t)(p[c] * src_width);
            continue;
        }
        uint32_t head = (uint32_t)((uint64_t)(first + 1) * dst_width - from);
        uint32_t tail = (uint32_t)(to - (uint64_t)last * dst_width);
        uint32_t inner[3] = {0, 0, 0};
        const uint8_t *end = src + (size_t)last * 3;
        for (const uint8_t *q = p + 3; q < end; q += 3)
            for (int c = 0; c < 3; c++)
                inner[c] += q[c];
        for (int c = 0; c < 3; c++)
            dst[c] = (int32_t)(p[c] * head + inner[c] * dst_width + end[c] * tail);
    }
}

/* floor((sum + area / 2) / area). A quotient that is no integer is at least 1 / area from one; the half added
 * to the numerator keeps those that are away from it too, so that the rounding of the product, under 2^-43,
 * decides nothing. */
static void finish_row(const double *sums, uint8_t *dst, size_t count, uint64_t area)
{
    double half = (double)(area / 2) + 0.5, scale = 1.0 / (double)area;
    for (size_t i = 0; i < count; i++)
        dst[i] = (uint8_t)(int)((sums[i] + half) * scale);
}

enum cf_err cf_image_resize(const uint8_t *src, uint32_t src_width, uint32_t src_height, uint8_t *dst,
                            uint32_t dst_width, uint32_t dst_height, struct cf_detail *detail)
{
    if (src_width == 0 || src_height == 0 || dst_width == 0 || dst_height == 0 || src_width > SIDE_MAX ||
        src_height > SIDE_MAX || dst_width > SIDE_MAX || dst_height > SIDE_MAX)
        return cf_fail(detail, CF_E_INVALID, "cannot resize %u x %u to %u x %u", src_width, src_height,
                       dst_width, dst_height);
    size_t count = (size_t)dst_width * 3;
    double *sums = malloc(count * sizeof *sums);
    int32_t *row = malloc(count * sizeof *row);
    if (!sums || !row) {
        free(sums);
        free(row);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to resize to %u x %u", dst_width, dst_height);
    }
    uint32_t reduced = UINT32_MAX; /* the source row that `row` holds: neighbours may share one */
    for (uint32_t j = 0; j < dst_height; j++) {
        uint64_t from = (uint64_t)j * src_height, to = from + src_height;
        memset(sums, 0, count * sizeof *sums);
        for (uint32_t y = (uint32_t)(from / dst_height); (uint64_t)y * dst_height < to; y++) {
            uint64_t top = (uint64_t)y * dst_height, bottom = top + dst_height;
            double weight = (double)((bottom < to ? bottom : to) - (top > from ? top : from));
            if (reduced != y)
                reduce_row(src + (size_t)y * src_width * 3, src_width, row, dst_width);
            reduced = y;
            for (size_t i = 0; i < count; i++)
                sums[i] += weight * row[i];
        }
        finish_row(sums, dst + (size_t)j * count, count, (uint64_t)src_width * src_height);
    }
    free(sums);
    free(row);
    return CF_OK;
}
