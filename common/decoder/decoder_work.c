#include "common/decoder/decoder_work.h"

#include <stdio.h>

static enum cf_err make_thumb(const struct cf_image *image, struct cf_buf *jpeg, struct cf_decoded *out,
                              struct cf_detail *detail)
{
    enum cf_err err = cf_image_resize(image->rgb, image->width, image->height, out->rgb, CF_THUMB_SIDE,
                                      CF_THUMB_SIDE, detail);
    if (err == CF_OK)
        err = cf_thumb_encode(out->rgb, jpeg, detail);
    if (err == CF_OK && jpeg->len > sizeof out->jpeg)
        err = cf_fail(detail, CF_E_TOO_LARGE, "the thumbnail has %zu bytes", jpeg->len);
    if (err != CF_OK)
        return err;
    memcpy(out->jpeg, jpeg->data, jpeg->len);
    out->jpeg_bytes = jpeg->len;
    /* Every space is computed from the thumbnail as it decodes again. */
    return cf_thumb_decode(cf_buf_bytes(jpeg), out->rgb, detail);
}

enum cf_err cf_decode_picture(struct cf_bytes file, const struct cf_image_limits *limits,
                              struct cf_decoded *out, struct cf_detail *detail)
{
    struct cf_image image;
    struct cf_buf jpeg;
    enum cf_err err = cf_image_decode(file, limits, true, &image, detail);
    if (err != CF_OK)
        return err;
    cf_buf_init(&jpeg);
    err = make_thumb(&image, &jpeg, out, detail);
    out->source_width = image.source_width;
    out->source_height = image.source_height;
    out->partial = image.partial;
    snprintf(out->warning, sizeof out->warning, "%s", image.warning);
    cf_buf_fini(&jpeg);
    cf_image_fini(&image);
    return err;
}
