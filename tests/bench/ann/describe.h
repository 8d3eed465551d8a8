/* From the bytes of a picture to its vectors, on the project's own path: decoded scaled, whole to 64x64, as a
 * JPEG and back, then the space. And what is done to a picture to make another of it. */
#ifndef CF_BENCH_ANN_DESCRIBE_H
#define CF_BENCH_ANN_DESCRIBE_H

#include "common/base/rng.h"
#include "common/descriptor/space.h"
#include "common/image/image.h"

/* CF_E_NOT_AN_IMAGE and the other refusals of cf_image_decode. */
enum cf_err bench_decode(struct cf_bytes file, struct cf_image *image,
                         struct cf_detail *detail) CF_MUST_CHECK;

/* The same at its full size. */
enum cf_err bench_decode_whole(struct cf_bytes file, struct cf_image *image,
                               struct cf_detail *detail) CF_MUST_CHECK;

/* The thumbnail as a shard keeps it, decoded again. */
enum cf_err bench_thumbnail(const struct cf_image *image, uint8_t rgb[CF_THUMB_RGB_BYTES],
                            struct cf_detail *detail) CF_MUST_CHECK;

/* As cameras and shops write them: baseline, 4:2:0. `*bytes` is the caller's to free. Exits when memory is
 * short. */
void bench_jpeg(const uint8_t *rgb, uint32_t width, uint32_t height, int quality, unsigned char **bytes,
                unsigned long *len);

/* Another version of a picture, as it could come from another shop: a window of 80 to 100 % of each side,
 * mirrored half the time, contrast (around the middle grey) and brightness each times 0.8 to 1.2, JPEG of
 * quality 60 to 95 and decoded again. */
enum cf_err bench_augment(const struct cf_image *image, struct cf_rng *rng, struct cf_image *other,
                          struct cf_detail *detail) CF_MUST_CHECK;

#endif
