#include "tests/bench/looks/pixels.h"

#include <math.h>
#include <stdlib.h>

#include "tests/bench/ann/describe.h"

static const double pi = 3.14159265358979323846;

static uint8_t to_byte(double value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + .5);
}

static const uint8_t *at(const struct cf_image *image, uint32_t x, uint32_t y)
{
    return image->rgb + ((size_t)y * image->width + x) * 3;
}

static void draw_colour(struct cf_rng *rng, uint8_t colour[3])
{
    for (int c = 0; c < 3; c++)
        colour[c] = (uint8_t)cf_rng_below(rng, 256);
}

static double draw_sign(struct cf_rng *rng)
{
    return cf_rng_below(rng, 2) ? 1 : -1;
}

static uint8_t *canvas(uint32_t width, uint32_t height)
{
    return malloc((size_t)width * height * 3);
}

static uint8_t *painted(uint32_t width, uint32_t height, const uint8_t colour[3])
{
    uint8_t *rgb = canvas(width, height);
    for (size_t i = 0; rgb && i < (size_t)width * height; i++)
        memcpy(rgb + i * 3, colour, 3);
    return rgb;
}

static void replace(struct cf_image *image, uint8_t *rgb, uint32_t width, uint32_t height)
{
    free(image->rgb);
    image->rgb = rgb;
    image->width = width;
    image->height = height;
}

enum cf_err looks_jpeg(struct cf_image *image, int quality)
{
    unsigned char *bytes;
    unsigned long len;
    struct cf_image again = {0};
    bench_jpeg(image->rgb, image->width, image->height, quality, &bytes, &len);
    enum cf_err err = bench_decode_whole((struct cf_bytes){bytes, len}, &again, NULL);
    free(bytes);
    if (err)
        return err;
    cf_image_fini(image);
    *image = again;
    return CF_OK;
}

static uint32_t part_of(uint32_t side, double share)
{
    double part = floor(side * share + .5);
    return part < 1 ? 1 : part > side ? side : (uint32_t)part;
}

enum cf_err looks_crop(struct cf_image *image, double share, bool centre, struct cf_rng *rng)
{
    double side = sqrt(1 - share);
    uint32_t width = part_of(image->width, side), height = part_of(image->height, side);
    uint32_t x = (image->width - width) / 2, y = (image->height - height) / 2;
    if (!centre) {
        x = (uint32_t)cf_rng_below(rng, image->width - width + 1);
        y = (uint32_t)cf_rng_below(rng, image->height - height + 1);
    }
    uint8_t *rgb = canvas(width, height);
    if (!rgb)
        return CF_E_NO_MEMORY;
    for (uint32_t row = 0; row < height; row++)
        memcpy(rgb + (size_t)row * width * 3, at(image, x, y + row), (size_t)width * 3);
    replace(image, rgb, width, height);
    return CF_OK;
}

static uint32_t longer_side(const struct cf_image *image)
{
    return image->width > image->height ? image->width : image->height;
}

enum cf_err looks_border(struct cf_image *image, double share, struct cf_rng *rng)
{
    uint32_t edge = part_of(longer_side(image), share);
    uint32_t width = image->width + 2 * edge, height = image->height + 2 * edge;
    uint8_t colour[3];
    draw_colour(rng, colour);
    uint8_t *rgb = painted(width, height, colour);
    if (!rgb)
        return CF_E_NO_MEMORY;
    for (uint32_t y = 0; y < image->height; y++)
        memcpy(rgb + ((size_t)(y + edge) * width + edge) * 3, at(image, 0, y), (size_t)image->width * 3);
    replace(image, rgb, width, height);
    return CF_OK;
}

/* One direction: rows of `count` pixels that lie `step` apart; what lies beyond an end is its last pixel. */
static void blur_line(const uint8_t *from, uint8_t *to, size_t count, size_t step, const double *kernel,
                      size_t reach)
{
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++) {
            double sum = 0;
            for (size_t k = 0; k <= 2 * reach; k++) {
                size_t j = i + k < reach ? 0 : i + k - reach >= count ? count - 1 : i + k - reach;
                sum += kernel[k] * from[j * step + c];
            }
            to[i * step + c] = to_byte(sum);
        }
}

enum cf_err looks_blur(struct cf_image *image, double share)
{
    double sigma = fmax(share * longer_side(image), .3), total = 0;
    size_t reach = (size_t)ceil(3 * sigma), width = image->width, height = image->height;
    double *kernel = malloc((2 * reach + 1) * sizeof *kernel);
    uint8_t *across = canvas(image->width, image->height);
    if (!kernel || !across) {
        free(kernel);
        free(across);
        return CF_E_NO_MEMORY;
    }
    for (size_t k = 0; k <= 2 * reach; k++) {
        double away = (double)k - (double)reach;
        total += kernel[k] = exp(-away * away / (2 * sigma * sigma));
    }
    for (size_t k = 0; k <= 2 * reach; k++)
        kernel[k] /= total;
    for (size_t y = 0; y < height; y++)
        blur_line(image->rgb + y * width * 3, across + y * width * 3, width, 3, kernel, reach);
    for (size_t x = 0; x < width; x++)
        blur_line(across + x * 3, image->rgb + x * 3, height, width * 3, kernel, reach);
    free(across);
    free(kernel);
    return CF_OK;
}

/* Between four pixels; false outside of the picture. */
static bool sample(const struct cf_image *image, double x, double y, uint8_t out[3])
{
    if (x < -.5 || y < -.5 || x > image->width - .5 || y > image->height - .5)
        return false;
    x = fmin(fmax(x, 0), image->width - 1);
    y = fmin(fmax(y, 0), image->height - 1);
    uint32_t left = (uint32_t)x, top = (uint32_t)y;
    uint32_t right = left + 1 < image->width ? left + 1 : left;
    uint32_t bottom = top + 1 < image->height ? top + 1 : top;
    double u = x - left, v = y - top;
    for (int c = 0; c < 3; c++)
        out[c] = to_byte((1 - v) * ((1 - u) * at(image, left, top)[c] + u * at(image, right, top)[c]) +
                         v * ((1 - u) * at(image, left, bottom)[c] + u * at(image, right, bottom)[c]));
    return true;
}

enum cf_err looks_turn(struct cf_image *image, double degrees, struct cf_rng *rng)
{
    uint8_t colour[3];
    double angle = draw_sign(rng) * degrees * pi / 180;
    draw_colour(rng, colour);
    uint8_t *rgb = painted(image->width, image->height, colour);
    if (!rgb)
        return CF_E_NO_MEMORY;
    double middle_x = (image->width - 1) / 2.0, middle_y = (image->height - 1) / 2.0;
    for (uint32_t y = 0; y < image->height; y++)
        for (uint32_t x = 0; x < image->width; x++) {
            double dx = x - middle_x, dy = y - middle_y;
            (void)sample(image, middle_x + cos(angle) * dx + sin(angle) * dy,
                         middle_y - sin(angle) * dx + cos(angle) * dy,
                         rgb + ((size_t)y * image->width + x) * 3);
        }
    replace(image, rgb, image->width, image->height);
    return CF_OK;
}

enum cf_err looks_shift(struct cf_image *image, double share, struct cf_rng *rng)
{
    uint8_t colour[3];
    uint32_t across = part_of(image->width, share), down = part_of(image->height, share);
    uint32_t width = image->width - across, height = image->height - down;
    bool right = cf_rng_below(rng, 2) == 1, lower = cf_rng_below(rng, 2) == 1;
    draw_colour(rng, colour);
    uint8_t *rgb = painted(image->width, image->height, colour);
    if (!rgb)
        return CF_E_NO_MEMORY;
    for (uint32_t y = 0; y < height; y++)
        memcpy(rgb + ((size_t)(lower ? y + down : y) * image->width + (right ? across : 0)) * 3,
               at(image, right ? 0 : across, lower ? y : y + down), (size_t)width * 3);
    replace(image, rgb, image->width, image->height);
    return CF_OK;
}

void looks_cast(struct cf_image *image, double amount, struct cf_rng *rng)
{
    double gains[3];
    size_t up = (size_t)cf_rng_below(rng, 3), down = (up + 1 + (size_t)cf_rng_below(rng, 2)) % 3;
    for (int c = 0; c < 3; c++)
        gains[c] = 1 + amount * (2 * cf_rng_unit(rng) - 1);
    gains[up] = 1 + amount;
    gains[down] = 1 - amount;
    for (size_t i = 0; i < (size_t)image->width * image->height * 3; i++)
        image->rgb[i] = to_byte(image->rgb[i] * gains[i % 3]);
}

void looks_grey(struct cf_image *image)
{
    for (size_t i = 0; i < (size_t)image->width * image->height; i++) {
        uint8_t *pixel = image->rgb + i * 3;
        memset(pixel, to_byte(.299 * pixel[0] + .587 * pixel[1] + .114 * pixel[2]), 3);
    }
}
