/* WebP decoding: lossy and lossless, alpha, animations, made with libwebp's encoder; files cut anywhere;
 * claims that must be refused before they cost anything. And formats that are known only to be refused by
 * name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <webp/encode.h>

#include "common/base/clock.h"
#include "tests/unit/image_make.h"

struct kind {
    uint32_t width, height;
    bool lossless, alpha;
};

static const struct kind kinds[] = {
    {150, 101, false, false}, {150, 101, true, false}, {150, 101, false, true},
    {150, 101, true, true},   {1, 1, false, false},    {1, 1, true, true},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0], CUT_KIND_COUNT = 4 };

static uint8_t alpha_at(const struct kind *kind, uint32_t x, uint32_t y)
{
    return kind->alpha ? (uint8_t)(255 - (x / 8 + y / 8) % 3 * 100) : 255;
}

static void colour_at(const struct kind *kind, uint32_t x, uint32_t y, uint8_t rgb[3])
{
    const struct make make = {.width = kind->width, .height = kind->height};
    make_colour_at(&make, x, y, rgb);
}

static void expected_at(const struct kind *kind, uint32_t x, uint32_t y, uint8_t rgb[3])
{
    unsigned alpha = alpha_at(kind, x, y);
    colour_at(kind, x, y, rgb);
    for (size_t c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(rgb[c] * (alpha / 255.0) + 255 - alpha + 0.5);
}

static int on_write(const uint8_t *bytes, size_t len, const WebPPicture *picture)
{
    cf_buf_append(picture->custom_ptr, bytes, len);
    return 1;
}

static void make_webp(const struct kind *kind, struct cf_buf *out)
{
    WebPConfig config;
    WebPPicture picture;
    assert_true(WebPConfigInit(&config) && WebPPictureInit(&picture));
    config.quality = 95;
    config.lossless = kind->lossless;
    config.exact = 1;
    picture.use_argb = 1;
    picture.width = (int)kind->width;
    picture.height = (int)kind->height;
    assert_true(WebPPictureAlloc(&picture));
    for (uint32_t y = 0; y < kind->height; y++)
        for (uint32_t x = 0; x < kind->width; x++) {
            uint8_t rgb[3];
            colour_at(kind, x, y, rgb);
            picture.argb[y * (uint32_t)picture.argb_stride + x] = (uint32_t)alpha_at(kind, x, y) << 24 |
                                                                  (uint32_t)rgb[0] << 16 |
                                                                  (uint32_t)rgb[1] << 8 | rgb[2];
        }
    picture.writer = on_write;
    picture.custom_ptr = out;
    assert_true(WebPEncode(&config, &picture));
    WebPPictureFree(&picture);
}

static enum cf_err decode(struct cf_bytes file, bool scaled, struct cf_image *image)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_image_decode(file, &make_limits, scaled, image, &detail);
    assert_true(!err || detail.text[0]);
    return err;
}

/* The rows from the top whose samples are off by at most `most`. */
static uint32_t right_rows(const struct kind *kind, const struct cf_image *image, int most)
{
    for (uint32_t y = 0; y < image->height; y++)
        for (uint32_t x = 0; x < image->width; x++) {
            uint8_t rgb[3];
            expected_at(kind, x, y, rgb);
            for (size_t c = 0; c < 3; c++)
                if (abs(rgb[c] - image->rgb[((size_t)y * image->width + x) * 3 + c]) > most)
                    return y;
        }
    return image->height;
}

static void check_file(const struct kind *kind, struct cf_bytes file)
{
    struct cf_image image;
    assert_int_equal(decode(file, true, &image), CF_OK);
    assert_int_equal(image.width, kind->width);
    assert_int_equal(image.height, kind->height);
    assert_false(image.partial);
    assert_int_equal(image.warning[0], '\0');
    uint32_t rows = right_rows(kind, &image, kind->lossless ? 0 : 12);
    if (rows != kind->height)
        fail_msg("lossless %d, alpha %d: row %u is wrong", kind->lossless, kind->alpha, rows);
    cf_image_fini(&image);
}

static void decodes_every_kind(void **state)
{
    (void)state;
    for (int i = 0; i < KIND_COUNT; i++) {
        struct cf_buf file = {0};
        make_webp(&kinds[i], &file);
        check_file(&kinds[i], cf_buf_bytes(&file));
        cf_buf_fini(&file);
    }
}

/* Averaged, and the picture is still itself: smooth, it has the same colours at the same place. */
static void scales_only_as_far_as_allowed(void **state)
{
    (void)state;
    static const uint32_t sizes[][3] = {
        {300, 300, 150}, {255, 300, 255}, {1024, 1100, 128}, {1023, 515, 256}};
    for (int flags = 0; flags < 4; flags++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct kind kind = {sizes[i][0], sizes[i][1], (flags & 1) != 0, (flags & 2) != 0};
            struct cf_buf file = {0};
            struct cf_image image;
            make_webp(&kind, &file);
            assert_int_equal(decode(cf_buf_bytes(&file), true, &image), CF_OK);
            assert_int_equal(image.width, kind.alpha ? kind.width : sizes[i][2]);
            assert_int_equal(image.source_width, kind.width);
            assert_int_equal(image.source_height, kind.height);
            struct kind shown = {image.width, image.height, kind.lossless, kind.alpha};
            assert_int_equal(right_rows(&shown, &image, 12), image.height);
            cf_image_fini(&image);
            cf_buf_fini(&file);
        }
}

static void put_le(struct cf_buf *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * i);
        cf_buf_append(out, &byte, 1);
    }
}

static void put_frame(struct cf_buf *out, const struct kind *kind)
{
    struct cf_buf still = {0};
    make_webp(kind, &still);
    /* A still with an alpha plane has a VP8X of its own before the chunks that a frame takes over. */
    size_t skip = memcmp(still.data + 12, "VP8X", 4) == 0 ? 30 : 12;
    cf_buf_append(out, "ANMF", 4);
    put_le(out, (uint32_t)(16 + still.len - skip), 4);
    put_le(out, 0, 3);
    put_le(out, 0, 3);
    put_le(out, kind->width - 1, 3);
    put_le(out, kind->height - 1, 3);
    put_le(out, 100, 3);
    put_le(out, 0, 1);
    cf_buf_append(out, still.data + skip, still.len - skip);
    cf_buf_fini(&still);
}

static void make_animation(const struct kind *first, const struct kind *second, struct cf_buf *out)
{
    cf_buf_append(out, "RIFF\0\0\0\0WEBPVP8X", 16);
    put_le(out, 10, 4);
    put_le(out, 0x02 | 0x10, 4); /* moves, and has alpha */
    put_le(out, first->width - 1, 3);
    put_le(out, first->height - 1, 3);
    cf_buf_append(out, "ANIM", 4);
    put_le(out, 6, 4);
    put_le(out, 0, 4);
    put_le(out, 0, 2);
    put_frame(out, first);
    if (second)
        put_frame(out, second);
    for (int i = 0; i < 4; i++)
        out->data[4 + i] = (uint8_t)((out->len - 8) >> 8 * i);
}

static void first_frame_of_an_animation(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct cf_buf file = {0};
        struct cf_image image;
        make_animation(&kinds[i], &kinds[4], &file);
        check_file(&kinds[i], cf_buf_bytes(&file));
        assert_int_equal(decode((struct cf_bytes){file.data, 44 + 24}, false, &image), CF_E_NO_PIXELS);
        assert_int_equal(decode((struct cf_bytes){file.data, 44}, false, &image), CF_E_NO_PIXELS);
        cf_buf_fini(&file);
        make_animation(&kinds[i], NULL, &file);
        if (!decode((struct cf_bytes){file.data, file.len * 3 / 4}, false, &image)) {
            assert_true(image.partial);
            cf_image_fini(&image);
        }
        cf_buf_fini(&file);
    }
}

/* Each cut is refused with the right name or gives the rows that it holds, never fewer than a shorter one. */
static void cut_anywhere(void **state)
{
    (void)state;
    for (int i = 0; i < CUT_KIND_COUNT; i++) {
        const struct kind *kind = &kinds[i];
        struct cf_buf file = {0};
        uint32_t rows = 0, between = 0;
        make_webp(kind, &file);
        for (size_t cut = 0; cut < file.len; cut += cut < 100 ? 1 : 7) {
            struct cf_image image = {0};
            uint8_t *copy = test_malloc(cut ? cut : 1); /* the exact size: a sanitizer sees a read behind */
            memcpy(copy, file.data, cut);
            enum cf_err err = decode((struct cf_bytes){copy, cut}, false, &image);
            test_free(copy);
            if (err) {
                assert_int_equal(rows, 0);
                assert_int_equal(err, cut < 12 ? CF_E_NOT_AN_IMAGE : CF_E_NO_PIXELS);
                continue;
            }
            assert_true(!image.partial || image.warning[0]);
            uint32_t right = right_rows(kind, &image, kind->lossless ? 0 : 12);
            assert_true(right >= rows && right > 0);
            assert_true(right == image.height || image.partial);
            for (size_t b = (size_t)image.width * 3 * (image.height - 1); right < image.height && b % 3; b++)
                assert_int_equal(image.rgb[b], 128);
            rows = right;
            between += right < image.height;
            cf_image_fini(&image);
        }
        if (between == 0)
            fail_msg("kind %d has no partial picture", i);
        cf_buf_fini(&file);
    }
}

static void claims_are_refused_at_once(void **state)
{
    (void)state;
    struct cf_image_limits limits = make_limits;
    struct cf_buf file = {0}, moving = {0};
    struct cf_image image;
    struct cf_detail detail;
    make_webp(&kinds[1], &file);
    /* VP8L: 14 bits of width - 1 and of height - 1 behind the signature. */
    memcpy(file.data + 21, (const uint8_t[4]){0xFF, 0xFF, 0xFF, 0x0F}, 4);
    uint64_t start = cf_clock_mono_us();
    for (int i = 0; i < 100; i++)
        assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail),
                         CF_E_TOO_LARGE);
    assert_true(cf_clock_mono_us() - start < 1000000);
    limits.side_max = 8000;
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail), CF_E_TOO_LARGE);
    assert_non_null(strstr(detail.text, "side"));
    limits.side_max = 16384;
    limits.pixels_max = UINT64_C(16384) * 16384;
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail), CF_E_TOO_LARGE);
    assert_non_null(strstr(detail.text, "memory"));
    /* A canvas of 2^24 pixels a side. */
    make_animation(&kinds[1], NULL, &moving);
    memset(moving.data + 24, 0xFF, 3);
    assert_int_equal(decode(cf_buf_bytes(&moving), false, &image), CF_E_TOO_LARGE);
    cf_buf_fini(&moving);
    cf_buf_fini(&file);
}

static void damaged_headers(void **state)
{
    (void)state;
    struct cf_buf file = {0};
    struct cf_image image;
    make_webp(&kinds[0], &file);
    file.data[23] ^= 0xFF; /* the start code of a key frame */
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_NOT_AN_IMAGE);
    file.data[23] ^= 0xFF;
    memcpy(file.data + 12, "XXXX", 4);
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_NOT_AN_IMAGE);
    file.data[8] = 'A'; /* RIFF, but a sound */
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_NOT_AN_IMAGE);
    cf_buf_fini(&file);
}

static void mutated(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(10);
    struct cf_image_limits limits = make_limits;
    struct cf_buf files[CUT_KIND_COUNT + 1] = {{0}};
    unsigned decoded = 0, refused = 0;
    limits.pixels_max = 1 << 20;
    for (int i = 0; i < CUT_KIND_COUNT; i++)
        make_webp(&kinds[i], &files[i]);
    make_animation(&kinds[2], &kinds[1], &files[CUT_KIND_COUNT]);
    for (int i = 0; i < 4000; i++) {
        struct cf_buf file = make_damaged(&files[i % (CUT_KIND_COUNT + 1)], &rng);
        struct cf_image image = {0};
        enum cf_err err = cf_image_decode(cf_buf_bytes(&file), &limits, i % 2, &image, NULL);
        assert_true(make_is_answer(err));
        decoded += !err;
        refused += err != CF_OK;
        cf_image_fini(&image);
        cf_buf_fini(&file);
    }
    assert_true(decoded > 500 && refused > 200);
    for (int i = 0; i <= CUT_KIND_COUNT; i++)
        cf_buf_fini(&files[i]);
    decodes_every_kind(state);
}

#define FILE_OF(bytes) ((struct cf_bytes){(const uint8_t *)(bytes), sizeof(bytes) - 1})

static void foreign_formats_are_named(void **state)
{
    (void)state;
    static const char bmp[] = "BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0";
    const struct {
        struct cf_bytes file;
        const char *name;
    } cases[] = {
        {FILE_OF("GIF89a\1\0\1\0"), "a GIF:"},
        {FILE_OF("GIF87a\1\0\1\0"), "a GIF:"},
        {FILE_OF(bmp), "a BMP:"},
        {FILE_OF("II*\0\x08\0\0\0"), "a TIFF:"},
        {FILE_OF("MM\0*\0\0\0\x08"), "a TIFF:"},
        {FILE_OF("\0\0\0\x1C"
                 "ftypavif\0\0\0\0"),
         "an AVIF:"},
        {FILE_OF("\0\0\0\x1C"
                 "ftypheic\0\0\0\0"),
         "a HEIC:"},
        {FILE_OF("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), "an SVG:"},
        {FILE_OF("\xEF\xBB\xBF<?xml version=\"1.0\"?>\n<!-- a disc -->\n<svg width=\"1\"/>"), "an SVG:"},
        {FILE_OF("\0\0\0\x0CJXL \r\n\x87\n"), "a JPEG XL:"},
        {FILE_OF("\0\0\0\x0CjP  \r\n\x87\n"), "a JPEG 2000:"},
    };
    static const char *const others[] = {"BMW and more text that is long enough",
                                         "<?xml version=\"1.0\"?><html/>",
                                         "GIF",
                                         "RIFF1234WAVEfmt ",
                                         "II",
                                         "    ",
                                         "%PDF-1.7",
                                         "<!-- svg -->"};
    struct cf_image image;
    struct cf_detail detail;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cf_image_decode(cases[i].file, &make_limits, true, &image, &detail),
                         CF_E_UNSUPPORTED);
        if (!strstr(detail.text, cases[i].name))
            fail_msg("%s is not in \"%s\"", cases[i].name, detail.text);
        for (size_t cut = 0; cut < 4; cut++) {
            enum cf_err err = decode((struct cf_bytes){cases[i].file.data, cut}, true, &image);
            assert_true(err == CF_E_NOT_AN_IMAGE || (err == CF_E_UNSUPPORTED && cut == 4));
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(
            decode((struct cf_bytes){(const uint8_t *)others[i], strlen(others[i])}, true, &image),
            CF_E_NOT_AN_IMAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_kind),
        cmocka_unit_test(scales_only_as_far_as_allowed),
        cmocka_unit_test(first_frame_of_an_animation),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(claims_are_refused_at_once),
        cmocka_unit_test(damaged_headers),
        cmocka_unit_test(mutated),
        cmocka_unit_test(foreign_formats_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
