/* Between the decoders of this folder; nobody outside includes it. A decoder fills `image` (zeroed by the
 * caller) only when it succeeds, and checks every limit before it allocates. */
#ifndef CF_IMAGE_DECODE_H
#define CF_IMAGE_DECODE_H

#include "common/image/image.h"

/* What pixels that a truncated file did not bring are filled with. */
enum { CF_IMAGE_FILL = 128 };

/* A JPEG from its first bytes FF D8 FF on. */
enum cf_err cf_decode_jpeg(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                           struct cf_image *image, struct cf_detail *detail) CF_MUST_CHECK;

/* A PNG, its eight bytes of signature seen by the caller. Of an animated one the default picture. */
enum cf_err cf_decode_png(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                          struct cf_image *image, struct cf_detail *detail) CF_MUST_CHECK;

/* A WebP: RIFF, a length, WEBP. Of an animated one the first frame, without the canvas around it. */
enum cf_err cf_decode_webp(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                           struct cf_image *image, struct cf_detail *detail) CF_MUST_CHECK;

/* A PNM: 'P' and a digit 1 to 6. */
enum cf_err cf_decode_pnm(struct cf_bytes file, const struct cf_image_limits *limits, struct cf_image *image,
                          struct cf_detail *detail) CF_MUST_CHECK;

/* The name of a format that is known by its first bytes and not decoded ("GIF"), or NULL. */
const char *cf_image_foreign(struct cf_bytes file);

/* Side and pixel limits; CF_E_TOO_LARGE, or CF_E_NO_PIXELS for a side of zero. */
enum cf_err cf_image_check_sides(uint64_t width, uint64_t height, const struct cf_image_limits *limits,
                                 struct cf_detail *detail) CF_MUST_CHECK;

/* CF_E_TOO_LARGE when decoding width x height would need more memory than is allowed. */
enum cf_err cf_image_check_memory(uint32_t width, uint32_t height, uint64_t need,
                                  const struct cf_image_limits *limits,
                                  struct cf_detail *detail) CF_MUST_CHECK;

/* Pixels of that size, all CF_IMAGE_FILL; the caller frees. CF_E_NO_MEMORY. */
enum cf_err cf_image_pixels_new(uint32_t width, uint32_t height, uint8_t **rgb,
                                struct cf_detail *detail) CF_MUST_CHECK;

/* By how much a scaled decode divides both sides: the largest of 1, 2, 4 and 8 that leaves each at least
 * twice CF_THUMB_SIDE, so that the resize after it still averages. */
unsigned cf_image_reduction(uint32_t width, uint32_t height);

/* Laid over white, in the 8-bit values as they are (the eye's scale, not light's): round(c * a + 255 * (1 -
 * a)) with a = alpha / 255. `rgb` may be `rgba`. */
void cf_image_over_white(const uint8_t *rgba, uint8_t *rgb, size_t count);

/* The Exif orientation of a JPEG, 1 to 8 (CIPA DC-008, tag 0x0112 of IFD 0); 1 when there is none or it is
 * damaged. */
unsigned cf_exif_orientation(struct cf_bytes jpeg);

/* Turns the pixels upright. CF_E_NO_MEMORY leaves the image as it was. */
enum cf_err cf_image_orient(struct cf_image *image, unsigned orientation,
                            struct cf_detail *detail) CF_MUST_CHECK;

#endif
