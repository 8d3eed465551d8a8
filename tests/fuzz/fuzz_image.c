/* Any bytes: decoded under small limits, and what decodes is resized, made a thumbnail, read back and
 * described. */
#include <stdlib.h>

#include "common/descriptor/space.h"
#include "common/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void thumb(const struct cf_image *image)
{
    static uint8_t rgb[CF_THUMB_RGB_BYTES];
    static struct cf_describer *describer; /* tables once, not once an input */
    struct cf_buf jpeg = {0};
    float out[960];
    bool constant;
    if (!describer)
        describer = cf_describer_new();
    CF_CHECK(describer);
    CF_CHECK(cf_image_resize(image->rgb, image->width, image->height, rgb, 64, 64, NULL) == CF_OK);
    CF_CHECK(cf_thumb_encode(rgb, &jpeg, NULL) == CF_OK);
    CF_CHECK(cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, NULL) == CF_OK);
    for (size_t i = 0; i < CF_SPACE_COPY; i++) { /* the learned ones take any pixels the same way */
        CF_CHECK(cf_describe(describer, &cf_spaces[i], rgb, 64, 64, out, &constant, NULL) == CF_OK);
        for (size_t k = 0; k < cf_spaces[i].dim; k++)
            CF_CHECK(out[k] - out[k] == 0); /* finite */
    }
    cf_buf_fini(&jpeg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cf_image_limits limits = {1 << 20, 2000, 1 << 20, 50, 64 << 20};
    static uint8_t rgb[CF_THUMB_RGB_BYTES];
    struct cf_bytes file = {data, size};
    for (int scaled = 0; scaled < 2; scaled++) {
        struct cf_image image;
        if (cf_image_decode(file, &limits, scaled, &image, NULL) != CF_OK)
            continue;
        CF_CHECK((uint64_t)image.width * image.height <= limits.pixels_max);
        CF_CHECK(!image.partial || image.warning[0]);
        thumb(&image);
        cf_image_fini(&image);
    }
    enum cf_err err = cf_thumb_decode(file, rgb, NULL);
    CF_CHECK(err == CF_OK || err == CF_E_CORRUPT);
    return 0;
}
