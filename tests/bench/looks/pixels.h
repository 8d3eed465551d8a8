/* The steps of an attack on pixels; attacks.h tells what each does. Each replaces or changes the image in
 * place and fails for memory only, CF_E_NO_MEMORY; on failure the image is as it was. Any thread. */
#ifndef CF_BENCH_LOOKS_PIXELS_H
#define CF_BENCH_LOOKS_PIXELS_H

#include "common/base/rng.h"
#include "common/image/image.h"

enum cf_err looks_jpeg(struct cf_image *image, int quality) CF_MUST_CHECK;
enum cf_err looks_crop(struct cf_image *image, double share, bool centre, struct cf_rng *rng) CF_MUST_CHECK;
enum cf_err looks_border(struct cf_image *image, double share, struct cf_rng *rng) CF_MUST_CHECK;
enum cf_err looks_blur(struct cf_image *image, double share) CF_MUST_CHECK;
enum cf_err looks_turn(struct cf_image *image, double degrees, struct cf_rng *rng) CF_MUST_CHECK;
enum cf_err looks_shift(struct cf_image *image, double share, struct cf_rng *rng) CF_MUST_CHECK;
void looks_cast(struct cf_image *image, double amount, struct cf_rng *rng);
void looks_grey(struct cf_image *image);

/* paint.c, the bench's home of cairo for pictures. */
enum cf_err looks_sticker(struct cf_image *image, double share, struct cf_rng *rng) CF_MUST_CHECK;
enum cf_err looks_text(struct cf_image *image, double share, bool bold, struct cf_rng *rng) CF_MUST_CHECK;

#endif
