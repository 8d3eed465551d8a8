/* From the bytes of a picture to the 64x64 thumbnail that everything else is computed from.
 *
 * Bytes are untrusted: every limit is checked before anything is allocated for the picture, and each refusal has its own
 * error. jpeglib.h, png.h and webp/ have their homes in decode_*.c and thumb.c. Pure functions, any thread, no state kept. */
#ifndef CF_IMAGE_IMAGE_H
#define CF_IMAGE_IMAGE_H

#include "common/base/album.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum { CF_THUMB_SIDE = 64, CF_THUMB_RGB_BYTES = 64 * 64 * 3, CF_THUMB_QUALITY = 90, CF_THUMB_JPEG_BYTES_MAX = 32 * 1024 };

struct cf_image_limits {
    size_t bytes_max;
    uint32_t side_max;
    uint64_t pixels_max;
    uint32_t scans_max;       /* progressive JPEG */
    size_t memory_bytes_max;  /* of one decode */
};

/* 8-bit interleaved RGB, row-major, width * height * 3 bytes, owned. */
struct cf_image {
    uint32_t width, height;
    uint8_t *rgb;
    bool partial;        /* truncated or corrupt: what decoded is there */
    char warning[128];   /* the decoder's own word, or empty */
    uint32_t source_width, source_height; /* as the file says, before any turning; the pixels may be a scaled decode of it */
};

void cf_image_fini(struct cf_image *image);

/* JPEG (baseline, progressive, arithmetic; grey, CMYK, YCCK, Adobe's inverted inks), PNG (every kind, interlaced too), WebP
 * (lossy and lossless) and PNM (P1-P6), told apart by their first bytes. Everything becomes 8-bit RGB, samples taken as sRGB:
 * 16 bits are scaled to the nearest of 8, gamma chunks and colour profiles ignored, alpha is laid over white in the 8-bit
 * values. A JPEG is turned as its Exif orientation says. Of an animation the first frame alone (APNG: the default picture).
 * One thread. `scaled`: a JPEG, PNG (not interlaced) or WebP (without alpha) may come at 1/2, 1/4 or 1/8 of its size, averaged
 * (sides rounded up), as long as both sides stay at least twice CF_THUMB_SIDE (a PNG's eight times; it then never lies in memory whole).
 *   CF_E_NOT_AN_IMAGE  empty, foreign, or a damaged header; a PNM with a sample out of range
 *   CF_E_NO_PIXELS     a side of zero; a JPEG that ends or breaks before its first row of blocks (8 or 16 lines of the first
 *                      scan) is complete; a PNG or WebP before its first row; a PNM before its first pixel. Anything longer is
 *                      `partial`, as is a PNG with a wrong check sum of pixels or palette, or that never comes to its end.
 *   CF_E_TOO_LARGE     bytes, sides, pixels, scans, scans x pixels over 16 times pixels_max, or memory over the limits
 *   CF_E_UNSUPPORTED   GIF, BMP, TIFF, AVIF, HEIC, SVG and a few more, by name; lossless or 12-bit JPEG and the like
 *   CF_E_NO_MEMORY */
enum cf_err cf_image_decode(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                            struct cf_image *image, struct cf_detail *detail) CF_MUST_CHECK;

/* Area filter. A cover that is not square is squashed or stretched whole to the target's shape: nothing is cut off, no border
 * is added, its aspect is not kept. Any size to any size (sides 1 to 2^20), `dst` holds dst_width * dst_height * 3 bytes.
 * Target pixel (x, y) is the mean of the source over the rectangle [x, x+1) * src_width / dst_width by
 * [y, y+1) * src_height / dst_height, source pixels being unit squares of one colour: computed exactly in integers and
 * rounded to the nearest, halves up. Part of the version of every space. CF_E_INVALID, CF_E_NO_MEMORY. */
enum cf_err cf_image_resize(const uint8_t *src, uint32_t src_width, uint32_t src_height, uint8_t *dst, uint32_t dst_width,
                            uint32_t dst_height, struct cf_detail *detail) CF_MUST_CHECK;

/* The thumbnail: resized to 64x64, JPEG of CF_THUMB_QUALITY, 4:4:4, integer DCT, appended to `jpeg`. */
enum cf_err cf_thumb_encode(const uint8_t rgb[CF_THUMB_RGB_BYTES], struct cf_buf *jpeg, struct cf_detail *detail) CF_MUST_CHECK;
/* The pixels as they decode again: the input of every space. CF_E_CORRUPT for anything that cf_thumb_encode did not make. */
enum cf_err cf_thumb_decode(struct cf_bytes jpeg, uint8_t rgb[CF_THUMB_RGB_BYTES], struct cf_detail *detail) CF_MUST_CHECK;

#endif
