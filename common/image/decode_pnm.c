#include <stdio.h>
#include <stdlib.h>

#include "common/image/decode.h"

/* Netpbm's P1 to P6 (its pages pbm(5), pgm(5), ppm(5)), read strictly: a header that strays is no picture, a
 * sample over the maximum neither. Only the first picture of a file is read. */
struct pnm {
    struct cf_bytes file;
    size_t at;
    unsigned kind; /* 1 to 6 */
    uint32_t width, height, max;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space, and in the header comments from # to the end of the line. */
static void skip_space(struct pnm *p, bool comments)
{
    while (p->at < p->file.len) {
        uint8_t c = p->file.data[p->at];
        if (comments && c == '#')
            while (p->at < p->file.len && p->file.data[p->at] != '\n' && p->file.data[p->at] != '\r')
                p->at++;
        else if (is_space(c))
            p->at++;
        else
            break;
    }
}

/* A decimal number that ends before `limit` is passed; false at the end of the file or at anything else. */
static bool read_number(struct pnm *p, uint32_t limit, uint32_t *number)
{
    uint64_t value = 0;
    size_t start = p->at;
    while (p->at < p->file.len && p->file.data[p->at] >= '0' && p->file.data[p->at] <= '9') {
        value = value * 10 + (p->file.data[p->at++] - '0');
        if (value > limit)
            return false;
    }
    *number = (uint32_t)value;
    return p->at > start;
}

static bool read_field(struct pnm *p, uint32_t limit, uint32_t *number)
{
    skip_space(p, true);
    return read_number(p, limit, number);
}

static enum cf_err read_header(struct pnm *p, struct cf_detail *detail)
{
    p->kind = p->file.data[1] - '0';
    p->at = 2;
    bool bits = p->kind == 1 || p->kind == 4;
    p->max = 1;
    if (p->at >= p->file.len || !(is_space(p->file.data[p->at]) || p->file.data[p->at] == '#') ||
        !read_field(p, UINT32_MAX, &p->width) || !read_field(p, UINT32_MAX, &p->height) ||
        (!bits && !read_field(p, 65535, &p->max)) || p->max == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the PNM's header is damaged at byte %zu", p->at);
    if (p->at >= p->file.len)
        return cf_fail(detail, CF_E_NO_PIXELS, "the PNM ends behind its header");
    if (!is_space(p->file.data[p->at++]))
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the PNM's header is not followed by white space");
    return CF_OK;
}

static uint8_t to_byte(const struct pnm *p, uint32_t value)
{
    return (uint8_t)((value * 255 + p->max / 2) / p->max);
}

/* One sample written in digits. 1 read, 0 end of the file, -1 damaged. */
static int plain_sample(struct pnm *p, uint8_t *out)
{
    uint32_t value = 0;
    skip_space(p, false);
    if (p->at >= p->file.len)
        return 0;
    if (p->kind == 1) {
        uint8_t c = p->file.data[p->at++];
        *out = c == '0' ? 255 : 0;
        return c == '0' || c == '1' ? 1 : -1;
    }
    if (!read_number(p, p->max, &value) || (p->at < p->file.len && !is_space(p->file.data[p->at])))
        return -1;
    *out = to_byte(p, value);
    return 1;
}

static int raw_sample(struct pnm *p, uint8_t *out)
{
    size_t bytes = p->max > 255 ? 2 : 1;
    if (p->file.len - p->at < bytes)
        return 0;
    uint32_t value = p->file.data[p->at];
    if (bytes == 2)
        value = value << 8 | p->file.data[p->at + 1];
    p->at += bytes;
    if (value > p->max)
        return -1;
    *out = to_byte(p, value);
    return 1;
}

/* P4: eight pixels a byte, rows filled up to whole bytes, 1 is black. */
static int packed_sample(struct pnm *p, uint32_t x, uint8_t *out)
{
    if (p->at >= p->file.len)
        return 0;
    *out = p->file.data[p->at] >> (7 - x % 8) & 1 ? 0 : 255;
    if (x % 8 == 7 || x + 1 == p->width)
        p->at++;
    return 1;
}

/* 1 read, 0 end of the file (pixels whole so far count), -1 damaged. */
static int read_pixel(struct pnm *p, uint32_t x, uint8_t rgb[3])
{
    unsigned samples = p->kind == 3 || p->kind == 6 ? 3 : 1;
    for (unsigned c = 0; c < samples; c++) {
        int got = p->kind <= 3   ? plain_sample(p, rgb + c)
                  : p->kind == 4 ? packed_sample(p, x, rgb + c)
                                 : raw_sample(p, rgb + c);
        if (got <= 0)
            return got;
    }
    if (samples == 1)
        rgb[1] = rgb[2] = rgb[0];
    return 1;
}

static enum cf_err read_pixels(struct pnm *p, struct cf_image *image, struct cf_detail *detail)
{
    uint8_t *out = image->rgb;
    uint64_t pixels = (uint64_t)p->width * p->height, done = 0;
    for (; done < pixels; done++, out += 3) {
        uint8_t rgb[3];
        int got = read_pixel(p, (uint32_t)(done % p->width), rgb);
        if (got < 0)
            return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the PNM's samples are damaged before byte %zu", p->at);
        if (got == 0)
            break;
        memcpy(out, rgb, 3);
    }
    if (done == 0)
        return cf_fail(detail, CF_E_NO_PIXELS, "the PNM ends before its first pixel");
    if (done < pixels) {
        image->partial = true;
        snprintf(image->warning, sizeof image->warning, "the file ends after %llu of %llu pixels",
                 (unsigned long long)done, (unsigned long long)pixels);
    }
    return CF_OK;
}

enum cf_err cf_decode_pnm(struct cf_bytes file, const struct cf_image_limits *limits, struct cf_image *image,
                          struct cf_detail *detail)
{
    struct pnm p = {.file = file};
    enum cf_err err = read_header(&p, detail);
    if (!err)
        err = cf_image_check_sides(p.width, p.height, limits, detail);
    if (err)
        return err;
    err = cf_image_check_memory(p.width, p.height, (uint64_t)p.width * p.height * 3, limits, detail);
    if (err)
        return err;
    *image = (struct cf_image){
        .width = p.width, .height = p.height, .source_width = p.width, .source_height = p.height};
    err = cf_image_pixels_new(p.width, p.height, &image->rgb, detail);
    if (err)
        return err;
    err = read_pixels(&p, image, detail);
    if (err)
        cf_image_fini(image);
    return err;
}
