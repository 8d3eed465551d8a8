/* The 16x16 grey vector. Luma is Rec. 601, 0.299 R + 0.587 G + 0.114 B of the stored values; each of the
 * 16x16 cells is the mean luma over its share of the picture (area filter, exact fractional weights, no
 * rounding); then minus the mean, over the population standard deviation. Euclidean distances d follow d² =
 * 512 (1 - correlation). */
#ifndef CF_DESCRIPTOR_GRAY16_H
#define CF_DESCRIPTOR_GRAY16_H

#include <stdbool.h>
#include <stdint.h>

enum { CF_GRAY16_SIDE = 16, CF_GRAY16_DIM = 256, CF_GRAY16_PICTURE_SIDE_MAX = 1 << 24 };

/* Under this standard deviation (in grey levels of 0 to 255) a picture has no contrast: a 64x64 one whose
 * pixels are all the same but for one that differs by one level of green or red is just above it. The vector
 * is then zero. */
#define CF_GRAY16_DEVIATION_MIN 1e-3

/* Sides 1 to CF_GRAY16_PICTURE_SIDE_MAX. Returns false when the picture has no contrast. */
bool cf_gray16(const uint8_t *rgb, uint32_t width, uint32_t height, float out[CF_GRAY16_DIM]);

#endif
