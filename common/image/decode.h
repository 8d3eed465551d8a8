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

/* A PNM: 'P' and a digit 1 to 6. */
enum cf_err cf_decode_pnm(struct cf_bytes file, const struct cf_image_limits *limits, struct cf_image *image,
                          struct cf_detail *detail) CF_MUST_CHECK;

/* Side and pixel limits; CF_E_TOO_LARGE, or CF_E_NO_PIXELS for a side of zero. */
enum cf_err cf_image_check_sides(uint64_t width, uint64_t height, const struct cf_image_limits *limits,
                                 struct cf_detail *detail) CF_MUST_CHECK;

/* The Exif orientation of a JPEG, 1 to 8 (CIPA DC-008, tag 0x0112 of IFD 0); 1 when there is none or it is
 * damaged. */
unsigned cf_exif_orientation(struct cf_bytes jpeg);

/* Turns the pixels upright. CF_E_NO_MEMORY leaves the image as it was. */
enum cf_err cf_image_orient(struct cf_image *image, unsigned orientation,
                            struct cf_detail *detail) CF_MUST_CHECK;

#endif
