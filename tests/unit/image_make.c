#include "tests/unit/image_make.h"

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

const struct cf_image_limits make_limits = {.bytes_max = 64 << 20,
                                            .side_max = 16384,
                                            .pixels_max = 100000000,
                                            .scans_max = 100,
                                            .memory_bytes_max = 1 << 30};

void make_colour_at(const struct make *make, uint32_t x, uint32_t y, uint8_t rgb[3])
{
    uint32_t u = x * 255 / make->width, v = y * 255 / make->height;
    rgb[0] = (uint8_t)u;
    rgb[1] = (uint8_t)v;
    rgb[2] = (uint8_t)(255 - (u + v) / 2);
    if (make->colour == MAKE_GREY)
        rgb[0] = rgb[1] = rgb[2];
}

static void write_exif(struct jpeg_compress_struct *cinfo, unsigned orientation, bool big_endian)
{
    static const uint8_t little[] = {'E',  'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0,
                                     0x12, 1,   3,   0,   1, 0, 0,   0,   0,  0, 0, 0, 0, 0, 0, 0};
    static const uint8_t big[] = {'E', 'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                                  1,   0x12, 0,   3,   0, 0, 0,   1,   0, 0,  0, 0, 0, 0, 0, 0};
    uint8_t exif[sizeof little];
    memcpy(exif, big_endian ? big : little, sizeof exif);
    exif[big_endian ? 25 : 24] = (uint8_t)orientation;
    jpeg_write_marker(cinfo, JPEG_APP0 + 1, exif, sizeof exif);
}

/* The inks of a colour, the black drawn out of it by half. */
static void to_inks(const uint8_t rgb[3], bool inverted, uint8_t inks[4])
{
    unsigned most = rgb[0] > rgb[1] ? rgb[0] : rgb[1];
    most = rgb[2] > most ? rgb[2] : most;
    unsigned key = (most + 255 + 1) / 2;
    for (int c = 0; c < 3; c++)
        inks[c] = (uint8_t)((rgb[c] * 255u + key / 2) / key);
    inks[3] = (uint8_t)key;
    for (int c = 0; c < 4 && !inverted; c++)
        inks[c] = (uint8_t)(255 - inks[c]);
}

static void set_up(struct jpeg_compress_struct *cinfo, const struct make *make)
{
    bool inks = make->colour >= MAKE_CMYK;
    cinfo->image_width = make->width;
    cinfo->image_height = make->height;
    cinfo->input_components = inks ? 4 : 3;
    cinfo->in_color_space = inks ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(cinfo);
    jpeg_set_colorspace(cinfo, make->colour == MAKE_GREY   ? JCS_GRAYSCALE
                               : make->colour == MAKE_YCCK ? JCS_YCCK
                               : inks                      ? JCS_CMYK
                                                           : JCS_YCbCr);
    jpeg_set_quality(cinfo, 95, TRUE);
    for (int i = 0; i < cinfo->num_components; i++)
        cinfo->comp_info[i].h_samp_factor = cinfo->comp_info[i].v_samp_factor = 1;
    cinfo->write_Adobe_marker = make->colour == MAKE_CMYK_ADOBE || make->colour == MAKE_YCCK;
    cinfo->arith_code = make->arithmetic;
    if (make->progressive)
        jpeg_simple_progression(cinfo);
}

void make_jpeg(const struct make *make, struct cf_buf *out)
{
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long len = 0;
    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &bytes, &len);
    set_up(&cinfo, make);
    jpeg_start_compress(&cinfo, TRUE);
    if (make->orientation)
        write_exif(&cinfo, make->orientation, make->exif_big_endian);
    uint8_t *line = malloc((size_t)make->width * 4);
    if (!line)
        abort();
    for (uint32_t y = 0; y < make->height; y++) {
        for (uint32_t x = 0; x < make->width; x++) {
            uint8_t rgb[3];
            make_colour_at(make, x, y, rgb);
            if (make->colour >= MAKE_CMYK)
                to_inks(rgb, cinfo.write_Adobe_marker, line + (size_t)x * 4);
            else
                memcpy(line + (size_t)x * 3, rgb, 3);
        }
        jpeg_write_scanlines(&cinfo, &line, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    cf_buf_append(out, bytes, len);
    free(line);
    free(bytes);
}

int make_difference(const struct make *make, const struct cf_image *image)
{
    int worst = 0;
    for (uint32_t y = 0; y < image->height; y++)
        for (uint32_t x = 0; x < image->width; x++) {
            uint8_t rgb[3];
            make_colour_at(make, x, y, rgb);
            for (int c = 0; c < 3; c++) {
                int d = abs(rgb[c] - image->rgb[((size_t)y * image->width + x) * 3 + (size_t)c]);
                worst = d > worst ? d : worst;
            }
        }
    return worst;
}

struct cf_buf make_damaged(const struct cf_buf *file, struct cf_rng *rng)
{
    struct cf_buf copy = {0};
    cf_buf_append(&copy, file->data, file->len);
    size_t at = cf_rng_below(rng, copy.len), left = copy.len - at;
    size_t run = cf_rng_below(rng, left < 64 ? left : 64);
    switch (cf_rng_below(rng, 5)) {
    case 0:
        copy.len = at;
        break;
    case 1:
        memmove(copy.data + cf_rng_below(rng, copy.len - run), copy.data + at, run);
        break;
    case 2:
        memset(copy.data + at, cf_rng_u64(rng) & 1 ? 0xFF : 0, run);
        break;
    default:
        for (uint64_t n = 1 + cf_rng_below(rng, 6); n > 0; n--)
            copy.data[cf_rng_below(rng, copy.len)] ^= (uint8_t)(1u << cf_rng_below(rng, 8));
    }
    return copy;
}

bool make_is_answer(enum cf_err err)
{
    return err == CF_OK || err == CF_E_NOT_AN_IMAGE || err == CF_E_NO_PIXELS || err == CF_E_TOO_LARGE ||
           err == CF_E_UNSUPPORTED;
}
