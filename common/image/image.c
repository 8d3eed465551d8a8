#include "common/image/image.h"

#include <stdlib.h>

#include "common/image/decode.h"

void cf_image_fini(struct cf_image *image)
{
    free(image->rgb);
    *image = (struct cf_image){0};
}

enum cf_err cf_image_check_sides(uint64_t width, uint64_t height, const struct cf_image_limits *limits,
                                 struct cf_detail *detail)
{
    if (width == 0 || height == 0)
        return cf_fail(detail, CF_E_NO_PIXELS, "the picture is %llu x %llu: it has no pixels",
                       (unsigned long long)width, (unsigned long long)height);
    if (width > limits->side_max || height > limits->side_max)
        return cf_fail(detail, CF_E_TOO_LARGE,
                       "the picture is %llu x %llu: a side may have at most %u pixels",
                       (unsigned long long)width, (unsigned long long)height, limits->side_max);
    if (width * height > limits->pixels_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the picture is %llu x %llu: at most %llu pixels are allowed",
                       (unsigned long long)width, (unsigned long long)height,
                       (unsigned long long)limits->pixels_max);
    return CF_OK;
}

enum cf_err cf_image_check_memory(uint32_t width, uint32_t height, uint64_t need,
                                  const struct cf_image_limits *limits, struct cf_detail *detail)
{
    if (need > limits->memory_bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE,
                       "decoding %u x %u needs %llu bytes of memory: at most %zu are allowed", width, height,
                       (unsigned long long)need, limits->memory_bytes_max);
    return CF_OK;
}

enum cf_err cf_image_pixels_new(uint32_t width, uint32_t height, uint8_t **rgb, struct cf_detail *detail)
{
    size_t bytes = (size_t)width * height * 3;
    uint8_t *pixels = malloc(bytes);
    if (!pixels)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %zu bytes of pixels", bytes);
    memset(pixels, CF_IMAGE_FILL, bytes);
    *rgb = pixels;
    return CF_OK;
}

unsigned cf_image_reduction(uint32_t width, uint32_t height)
{
    unsigned factor = 8;
    while (factor > 1 && (width < factor * 2 * CF_THUMB_SIDE || height < factor * 2 * CF_THUMB_SIDE))
        factor /= 2;
    return factor;
}

void cf_image_over_white(const uint8_t *rgba, uint8_t *rgb, size_t count)
{
    for (size_t i = 0; i < count; i++, rgba += 4, rgb += 3) {
        unsigned alpha = rgba[3], white = 255 * (255 - alpha) + 127;
        for (size_t c = 0; c < 3; c++)
            rgb[c] = (uint8_t)((rgba[c] * alpha + white) / 255);
    }
}

/* By the first bytes; a file name says nothing. */
static enum cf_err decode(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                          struct cf_image *image, struct cf_detail *detail)
{
    const uint8_t *p = file.data;
    if (file.len >= 3 && p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF)
        return cf_decode_jpeg(file, limits, scaled, image, detail);
    if (file.len >= 8 && memcmp(p, "\x89PNG\r\n\x1A\n", 8) == 0)
        return cf_decode_png(file, limits, scaled, image, detail);
    if (file.len >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
        return cf_decode_webp(file, limits, scaled, image, detail);
    if (file.len >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6')
        return cf_decode_pnm(file, limits, image, detail);
    const char *foreign = cf_image_foreign(file);
    if (foreign)
        return cf_fail(detail, CF_E_UNSUPPORTED, "the file is %s %s: JPEG, PNG, WebP and PNM are decoded",
                       strchr("AS", foreign[0]) ? "an" : "a", foreign);
    return cf_fail(detail, CF_E_NOT_AN_IMAGE,
                   "the file begins like no picture: not a JPEG, PNG, WebP or PNM");
}

enum cf_err cf_image_decode(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                            struct cf_image *image, struct cf_detail *detail)
{
    if (file.len == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the file is empty");
    if (file.len > limits->bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the file has %zu bytes: at most %zu are allowed", file.len,
                       limits->bytes_max);
    struct cf_image decoded = {0};
    enum cf_err err = decode(file, limits, scaled, &decoded, detail);
    if (!err)
        *image = decoded;
    return err;
}

/* Where pixel (x, y) of a stored width x height picture comes to lie, for each orientation of the Exif table.
 */
static size_t upright(unsigned orientation, uint32_t width, uint32_t height, uint32_t x, uint32_t y)
{
    uint32_t mirror_x = width - 1 - x, mirror_y = height - 1 - y;
    switch (orientation) {
    case 2:
        return (size_t)y * width + mirror_x;
    case 3:
        return (size_t)mirror_y * width + mirror_x;
    case 4:
        return (size_t)mirror_y * width + x;
    case 5:
        return (size_t)x * height + y;
    case 6:
        return (size_t)x * height + mirror_y;
    case 7:
        return (size_t)mirror_x * height + mirror_y;
    case 8:
        return (size_t)mirror_x * height + y;
    default:
        return (size_t)y * width + x;
    }
}

enum cf_err cf_image_orient(struct cf_image *image, unsigned orientation, struct cf_detail *detail)
{
    if (orientation < 2 || orientation > 8)
        return CF_OK;
    uint8_t *turned = malloc((size_t)image->width * image->height * 3);
    if (!turned)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to turn a picture of %u x %u", image->width,
                       image->height);
    const uint8_t *from = image->rgb;
    for (uint32_t y = 0; y < image->height; y++)
        for (uint32_t x = 0; x < image->width; x++, from += 3)
            memcpy(turned + 3 * upright(orientation, image->width, image->height, x, y), from, 3);
    free(image->rgb);
    image->rgb = turned;
    if (orientation >= 5) {
        uint32_t width = image->width;
        image->width = image->height;
        image->height = width;
    }
    return CF_OK;
}
