/* For the tests of common/image: JPEGs of every kind, made with libjpeg itself, and damage to any file. */
#ifndef CF_TESTS_IMAGE_MAKE_H
#define CF_TESTS_IMAGE_MAKE_H

#include "common/base/rng.h"
#include "common/image/image.h"

enum make_colour { MAKE_YCC, MAKE_GREY, MAKE_CMYK, MAKE_CMYK_ADOBE, MAKE_YCCK };

struct make {
    uint32_t width, height;
    enum make_colour colour;
    bool progressive, arithmetic;
    unsigned orientation; /* 0: no Exif */
    bool exif_big_endian;
};

/* Limits like the fleet's defaults. */
extern const struct cf_image_limits make_limits;

/* The colour of pixel (x, y) of every picture made here: smooth, so that JPEG keeps it. */
void make_colour_at(const struct make *make, uint32_t x, uint32_t y, uint8_t rgb[3]);

/* A JPEG of quality 95 without subsampling, appended. */
void make_jpeg(const struct make *make, struct cf_buf *out);

/* The largest difference of a channel between the picture and what make_colour_at says. */
int make_difference(const struct make *make, const struct cf_image *image);

/* Damages a copy of a file: bits, a cut, a run of bytes moved, or a run of one value. The caller finishes it. */
struct cf_buf make_damaged(const struct cf_buf *file, struct cf_rng *rng);

/* Whether the error is one of those that the contract allows for damaged bytes. */
bool make_is_answer(enum cf_err err);

#endif
