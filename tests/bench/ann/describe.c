#include "tests/bench/ann/describe.h"

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

static const struct cf_image_limits limits = {
    .bytes_max = 64 << 20,
    .side_max = 20000,
    .pixels_max = 100000000,
    .scans_max = 500,
    .memory_bytes_max = (size_t)1 << 30,
};

enum cf_err bench_decode(struct cf_bytes file, struct cf_image *image, struct cf_detail *detail)
{
    return cf_image_decode(file, &limits, true, image, detail);
}

enum cf_err bench_decode_whole(struct cf_bytes file, struct cf_image *image, struct cf_detail *detail)
{
    return cf_image_decode(file, &limits, false, image, detail);
}

enum cf_err bench_thumbnail(const struct cf_image *image, uint8_t rgb[CF_THUMB_RGB_BYTES],
                            struct cf_detail *detail)
{
    struct cf_buf jpeg;
    cf_buf_init(&jpeg);
    enum cf_err err =
        cf_image_resize(image->rgb, image->width, image->height, rgb, CF_THUMB_SIDE, CF_THUMB_SIDE, detail);
    if (!err)
        err = cf_thumb_encode(rgb, &jpeg, detail);
    if (!err)
        err = cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, detail);
    cf_buf_fini(&jpeg);
    return err;
}

/* Uniform in [low, high). */
static double between(struct cf_rng *rng, double low, double high)
{
    return low + (high - low) * cf_rng_unit(rng);
}

struct window {
    uint32_t x, y, width, height;
};

static struct window draw_window(const struct cf_image *image, struct cf_rng *rng)
{
    struct window window = {
        .width = (uint32_t)(image->width * between(rng, .8, 1) + .5),
        .height = (uint32_t)(image->height * between(rng, .8, 1) + .5),
    };
    window.width += window.width == 0;
    window.height += window.height == 0;
    window.x = (uint32_t)cf_rng_below(rng, image->width - window.width + 1);
    window.y = (uint32_t)cf_rng_below(rng, image->height - window.height + 1);
    return window;
}

static void draw_tones(struct cf_rng *rng, uint8_t tones[256])
{
    double contrast = between(rng, .8, 1.2), brightness = between(rng, .8, 1.2);
    for (int i = 0; i < 256; i++) {
        double v = ((i - 128) * contrast + 128) * brightness + .5;
        tones[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void copy_window(const struct cf_image *image, struct window window, bool mirror,
                        const uint8_t tones[256], uint8_t *out)
{
    for (uint32_t y = 0; y < window.height; y++)
        for (uint32_t x = 0; x < window.width; x++, out += 3) {
            uint32_t from = window.x + (mirror ? window.width - 1 - x : x);
            const uint8_t *in = image->rgb + ((size_t)(window.y + y) * image->width + from) * 3;
            for (int c = 0; c < 3; c++)
                out[c] = tones[in[c]];
        }
}

/* libjpeg fails here for memory only, and then says so and exits. */
void bench_jpeg(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, unsigned char **bytes,
                unsigned long *len)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    *bytes = NULL;
    *len = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, bytes, len);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg.dct_method = JDCT_ISLOW;
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)jpeg.next_scanline * width * 3);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
}

enum cf_err bench_augment(const struct cf_image *image, struct cf_rng *rng, struct cf_image *other,
                          struct cf_detail *detail)
{
    struct window window = draw_window(image, rng);
    bool mirror = cf_rng_below(rng, 2) == 1;
    uint8_t tones[256];
    unsigned char *bytes;
    unsigned long len;
    draw_tones(rng, tones);
    int quality = 60 + (int)cf_rng_below(rng, 36);
    uint8_t *rgb = malloc((size_t)window.width * window.height * 3);
    if (!rgb)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to make another of a picture");
    copy_window(image, window, mirror, tones, rgb);
    bench_jpeg(rgb, window.width, window.height, quality, &bytes, &len);
    enum cf_err err = bench_decode((struct cf_bytes){bytes, len}, other, detail);
    free(bytes);
    free(rgb);
    return err;
}
