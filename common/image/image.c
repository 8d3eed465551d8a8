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

enum cf_err cf_image_decode(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                            struct cf_image *image, struct cf_detail *detail)
{
    const uint8_t *p = file.data;
    if (file.len == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the file is empty");
    if (file.len > limits->bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the file has %zu bytes: at most %zu are allowed", file.len,
                       limits->bytes_max);
    struct cf_image decoded = {0};
    enum cf_err err;
    if (file.len >= 3 && p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF)
        err = cf_decode_jpeg(file, limits, scaled, &decoded, detail);
    else if (file.len >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6')
        err = cf_decode_pnm(file, limits, &decoded, detail);
    else
        err = cf_fail(detail, CF_E_NOT_AN_IMAGE, "the file begins like neither a JPEG nor a PNM");
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
