#include "common/descriptor/gray16.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* The pixels a cell covers along one axis, in units of 1/16 pixel: cell i covers [i, i+1) * side, pixel p [p,
 * p+1) * 16. */
struct share {
    uint64_t from, to;
};

static struct share cell_share(uint32_t cell, uint32_t side)
{
    return (struct share){(uint64_t)cell * side, ((uint64_t)cell + 1) * side};
}

static uint64_t overlap(struct share share, uint64_t pixel)
{
    uint64_t low = pixel * CF_GRAY16_SIDE, high = low + CF_GRAY16_SIDE;
    return (high < share.to ? high : share.to) - (low > share.from ? low : share.from);
}

/* 1000 times the luma, an integer. */
static uint32_t luma(const uint8_t *rgb)
{
    return 299u * rgb[0] + 587u * rgb[1] + 114u * rgb[2];
}

static double cell_mean(const uint8_t *rgb, uint32_t width, uint32_t height, uint32_t i, uint32_t j)
{
    struct share across = cell_share(i, width), down = cell_share(j, height);
    double sum = 0; /* of integers, exact as long as it stays under 2^53: pictures to 2^33 pixels a cell */
    for (uint64_t y = down.from / CF_GRAY16_SIDE; y * CF_GRAY16_SIDE < down.to; y++) {
        const uint8_t *row = rgb + y * width * 3;
        uint64_t line = 0;
        for (uint64_t x = across.from / CF_GRAY16_SIDE; x * CF_GRAY16_SIDE < across.to; x++)
            line += overlap(across, x) * luma(row + x * 3);
        sum += (double)(line * overlap(down, y));
    }
    return sum / (1000.0 * width * height);
}

bool cf_gray16(const uint8_t *rgb, uint32_t width, uint32_t height, float out[CF_GRAY16_DIM])
{
    double cells[CF_GRAY16_DIM], mean = 0, variance = 0;
    for (uint32_t j = 0; j < CF_GRAY16_SIDE; j++)
        for (uint32_t i = 0; i < CF_GRAY16_SIDE; i++)
            mean += cells[j * CF_GRAY16_SIDE + i] = cell_mean(rgb, width, height, i, j);
    mean /= CF_GRAY16_DIM;
    for (size_t k = 0; k < CF_GRAY16_DIM; k++)
        variance += (cells[k] - mean) * (cells[k] - mean);
    double deviation = sqrt(variance / CF_GRAY16_DIM);
    if (deviation < CF_GRAY16_DEVIATION_MIN) {
        memset(out, 0, CF_GRAY16_DIM * sizeof *out);
        return false;
    }
    for (size_t k = 0; k < CF_GRAY16_DIM; k++)
        out[k] = (float)((cells[k] - mean) / deviation);
    return true;
}
