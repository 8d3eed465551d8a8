#include <stdio.h>
#include <stdlib.h>

#include <webp/decode.h>

#include "common/image/decode.h"

/* RFC 9649. The incremental decoder gives the rows that a truncated file holds; one thread. */

enum { RIFF_BYTES = 12, CHUNK_HEADER_BYTES = 8, FRAME_HEADER_BYTES = 16 };

struct reader {
    WebPDecoderConfig config;
    uint32_t width, height, out_width, out_height;
    bool alpha;
    uint8_t *pixels; /* RGB, or RGBA with alpha */
};

static size_t chunk_bytes(const uint8_t *chunk)
{
    size_t length = chunk[4] | (size_t)chunk[5] << 8 | (size_t)chunk[6] << 16 | (size_t)chunk[7] << 24;
    return length + (length & 1);
}

/* The chunks of an animation's first frame, which decode like a file of their own; empty when there is none.
 */
static struct cf_bytes first_frame(struct cf_bytes file)
{
    size_t at = RIFF_BYTES;
    while (file.len - at > CHUNK_HEADER_BYTES) {
        const uint8_t *chunk = file.data + at;
        size_t left = file.len - at - CHUNK_HEADER_BYTES, bytes = chunk_bytes(chunk);
        bytes = bytes < left ? bytes : left;
        if (memcmp(chunk, "ANMF", 4) == 0)
            return bytes > FRAME_HEADER_BYTES
                       ? (struct cf_bytes){chunk + CHUNK_HEADER_BYTES + FRAME_HEADER_BYTES,
                                           bytes - FRAME_HEADER_BYTES}
                       : (struct cf_bytes){0};
        at += CHUNK_HEADER_BYTES + bytes;
    }
    return (struct cf_bytes){0};
}

static enum cf_err status_error(VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_OK:
        return CF_OK;
    case VP8_STATUS_OUT_OF_MEMORY:
        return CF_E_NO_MEMORY;
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return CF_E_UNSUPPORTED;
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return CF_E_NO_PIXELS;
    default:
        return CF_E_NOT_AN_IMAGE;
    }
}

static const char *status_text(VP8StatusCode status)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return "no memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return "it uses an unknown feature";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return "the file ends too early";
    default:
        return "its bytes are damaged";
    }
}

static enum cf_err get_features(struct cf_bytes bytes, WebPBitstreamFeatures *features,
                                struct cf_detail *detail)
{
    VP8StatusCode status = WebPGetFeatures(bytes.data, bytes.len, features);
    if (status != VP8_STATUS_OK)
        return cf_fail(detail, status_error(status), "the WebP's header does not decode: %s",
                       status_text(status));
    return CF_OK;
}

/* Features and limits of the file, and of the first frame when it moves; `*still` is what to decode. */
static enum cf_err read_header(struct reader *r, const struct cf_image_limits *limits, struct cf_bytes *still,
                               struct cf_detail *detail)
{
    WebPBitstreamFeatures *features = &r->config.input;
    enum cf_err err = get_features(*still, features, detail);
    if (!err)
        err = cf_image_check_sides((uint64_t)features->width, (uint64_t)features->height, limits, detail);
    if (err || !features->has_animation)
        return err;
    *still = first_frame(*still);
    if (still->len == 0)
        return cf_fail(detail, CF_E_NO_PIXELS, "the WebP ends before its first frame");
    err = get_features(*still, features, detail);
    if (!err)
        err = cf_image_check_sides((uint64_t)features->width, (uint64_t)features->height, limits, detail);
    if (!err && features->has_animation)
        err = cf_fail(detail, CF_E_NOT_AN_IMAGE, "the WebP has an animation in an animation");
    return err;
}

/* The pixels; what libwebp keeps: some rows, and of a lossless picture or an alpha plane all of it. */
static uint64_t memory_bytes(const struct reader *r)
{
    const WebPBitstreamFeatures *features = &r->config.input;
    uint64_t pixels = (uint64_t)r->width * r->height;
    uint64_t bytes = (uint64_t)r->out_width * r->out_height * (r->alpha ? 4 : 3);
    bytes += (uint64_t)r->width * 512 + (1 << 20);
    if (features->format != 1)
        bytes += pixels * 4;
    if (features->format != 2 && r->alpha)
        bytes += pixels * 5;
    return bytes;
}

/* libwebp scales the colours of a lossy picture apart from its alpha, which lets what is transparent shine
 * through: with alpha the picture is decoded whole. */
static enum cf_err prepare(struct reader *r, const struct cf_image_limits *limits, bool scaled,
                           struct cf_detail *detail)
{
    WebPDecoderConfig *config = &r->config;
    r->width = (uint32_t)config->input.width;
    r->height = (uint32_t)config->input.height;
    r->alpha = config->input.has_alpha;
    unsigned factor = scaled && !r->alpha ? cf_image_reduction(r->width, r->height) : 1;
    r->out_width = (r->width + factor - 1) / factor;
    r->out_height = (r->height + factor - 1) / factor;
    enum cf_err err = cf_image_check_memory(r->width, r->height, memory_bytes(r), limits, detail);
    if (err)
        return err;
    size_t stride = (size_t)r->out_width * (r->alpha ? 4 : 3), bytes = stride * r->out_height;
    r->pixels = malloc(bytes);
    if (!r->pixels)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %zu bytes of pixels", bytes);
    config->options.use_threads = 0;
    config->options.use_scaling = factor > 1;
    config->options.scaled_width = (int)r->out_width;
    config->options.scaled_height = (int)r->out_height;
    config->output.colorspace = r->alpha ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA = (WebPRGBABuffer){r->pixels, (int)stride, bytes};
    return CF_OK;
}

/* Rows of the output that are final. */
static enum cf_err read_pixels(struct reader *r, struct cf_bytes still, uint32_t *rows, VP8StatusCode *status,
                               struct cf_detail *detail)
{
    int last_y = 0;
    WebPIDecoder *decoder = WebPIDecode(NULL, 0, &r->config);
    if (!decoder)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a WebP decoder");
    *status = WebPIUpdate(decoder, still.data, still.len);
    if (*status == VP8_STATUS_OK)
        last_y = (int)r->out_height;
    else if (!WebPIDecGetRGB(decoder, &last_y, NULL, NULL, NULL))
        last_y = 0;
    WebPIDelete(decoder);
    *rows = last_y > 0 ? (uint32_t)last_y : 0;
    if (*status == VP8_STATUS_OUT_OF_MEMORY)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a WebP decoder");
    if (*rows == 0)
        return cf_fail(detail, *status == VP8_STATUS_UNSUPPORTED_FEATURE ? CF_E_UNSUPPORTED : CF_E_NO_PIXELS,
                       "the WebP holds no row of pixels: %s", status_text(*status));
    return CF_OK;
}

static void hand_over(struct reader *r, uint32_t rows, VP8StatusCode status, struct cf_image *image)
{
    size_t row_bytes = (size_t)r->out_width * 3;
    if (r->alpha)
        cf_image_over_white(r->pixels, r->pixels, (size_t)r->out_width * rows);
    memset(r->pixels + row_bytes * rows, CF_IMAGE_FILL, row_bytes * (r->out_height - rows));
    *image = (struct cf_image){.width = r->out_width,
                               .height = r->out_height,
                               .rgb = r->pixels,
                               .partial = status != VP8_STATUS_OK,
                               .source_width = r->width,
                               .source_height = r->height};
    if (image->partial)
        snprintf(image->warning, sizeof image->warning, "%u of %u rows decode: %s", rows, r->out_height,
                 status_text(status));
    r->pixels = NULL;
}

enum cf_err cf_decode_webp(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                           struct cf_image *image, struct cf_detail *detail)
{
    struct reader r = {0};
    struct cf_bytes still = file;
    uint32_t rows = 0;
    VP8StatusCode status = VP8_STATUS_SUSPENDED;
    if (!WebPInitDecoderConfig(&r.config))
        return cf_fail(detail, CF_E_UNSUPPORTED, "this libwebp is of another major version");
    enum cf_err err = read_header(&r, limits, &still, detail);
    if (!err)
        err = prepare(&r, limits, scaled, detail);
    if (!err)
        err = read_pixels(&r, still, &rows, &status, detail);
    if (!err)
        hand_over(&r, rows, status, image);
    WebPFreeDecBuffer(&r.config.output);
    free(r.pixels);
    return err;
}
