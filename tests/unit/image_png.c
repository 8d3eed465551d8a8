/* PNG decoding: every kind that the format has, written with libpng itself and compared sample by sample;
 * files cut anywhere; check sums; claims that must be refused before they cost anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <png.h>

#include "common/base/clock.h"
#include "tests/unit/image_make.h"

struct kind {
    uint32_t width, height;
    int colour, depth;
    bool interlaced, key; /* key: a tRNS chunk */
};

static const int depths[][2] = {
    {PNG_COLOR_TYPE_GRAY, 1},        {PNG_COLOR_TYPE_GRAY, 2},      {PNG_COLOR_TYPE_GRAY, 4},
    {PNG_COLOR_TYPE_GRAY, 8},        {PNG_COLOR_TYPE_GRAY, 16},     {PNG_COLOR_TYPE_RGB, 8},
    {PNG_COLOR_TYPE_RGB, 16},        {PNG_COLOR_TYPE_PALETTE, 1},   {PNG_COLOR_TYPE_PALETTE, 2},
    {PNG_COLOR_TYPE_PALETTE, 4},     {PNG_COLOR_TYPE_PALETTE, 8},   {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
    {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_RGB_ALPHA, 8}, {PNG_COLOR_TYPE_RGB_ALPHA, 16},
};
enum { DEPTH_COUNT = sizeof depths / sizeof depths[0], KEY = 1 };

static size_t channels_of(const struct kind *kind)
{
    return (kind->colour & PNG_COLOR_MASK_PALETTE ? 1
            : kind->colour & PNG_COLOR_MASK_COLOR ? 3
                                                  : 1) +
           (kind->colour & PNG_COLOR_MASK_ALPHA ? 1u : 0u);
}

/* Sample c of pixel (x, y): the key's value often, noise otherwise. */
static unsigned sample_at(const struct kind *kind, uint32_t x, uint32_t y, size_t c)
{
    uint32_t hash = (x * 73856093u) ^ (y * 19349663u);
    hash = (hash ^ hash >> 13) * 0x5bd1e995u;
    if (hash >> 28 < 4)
        return KEY;
    hash = (hash ^ (uint32_t)(c + 1) * 83492791u) * 0x27d4eb2du;
    return (hash ^ hash >> 15) & ((1u << kind->depth) - 1);
}

static void fill_palette(png_color colours[256], png_byte alphas[256])
{
    for (int i = 0; i < 256; i++) {
        colours[i] = (png_color){(png_byte)(i * 7), (png_byte)(255 - i), (png_byte)(i * 31)};
        alphas[i] = (png_byte)(i * 67 + 20);
    }
}

static uint8_t to_byte(unsigned value, int depth)
{
    unsigned most = (1u << depth) - 1;
    return (uint8_t)((value * 255ull + most / 2) / most);
}

/* What the pixel must become, from the specification alone. */
static void expected_at(const struct kind *kind, uint32_t x, uint32_t y, uint8_t rgb[3])
{
    png_color colours[256];
    png_byte alphas[256];
    unsigned samples[4] = {0}, alpha = 255;
    size_t channels = channels_of(kind), colour_channels = kind->colour & PNG_COLOR_MASK_COLOR ? 3 : 1;
    for (size_t c = 0; c < channels; c++)
        samples[c] = sample_at(kind, x, y, c);
    if (kind->colour == PNG_COLOR_TYPE_PALETTE) {
        fill_palette(colours, alphas);
        const png_color *entry = &colours[samples[0]];
        alpha = kind->key ? alphas[samples[0]] : 255;
        rgb[0] = entry->red, rgb[1] = entry->green, rgb[2] = entry->blue;
    } else {
        for (size_t c = 0; c < 3; c++)
            rgb[c] = to_byte(samples[colour_channels == 3 ? c : 0], kind->depth);
        if (kind->colour & PNG_COLOR_MASK_ALPHA)
            alpha = to_byte(samples[colour_channels], kind->depth);
        bool matches = true;
        for (size_t c = 0; c < colour_channels; c++)
            matches &= samples[c] == KEY;
        if (kind->key && matches)
            alpha = 0;
    }
    for (size_t c = 0; c < 3; c++)
        rgb[c] = (uint8_t)(rgb[c] * (alpha / 255.0) + 255 - alpha + 0.5);
}

static void on_write(png_structp png, png_bytep bytes, size_t len)
{
    cf_buf_append(png_get_io_ptr(png), bytes, len);
}

static void on_flush(png_structp png)
{
    (void)png;
}

static void put_sample(uint8_t *row, size_t index, int depth, unsigned value)
{
    if (depth == 16) {
        row[index * 2] = (uint8_t)(value >> 8);
        row[index * 2 + 1] = (uint8_t)value;
    } else {
        size_t bit = index * (size_t)depth;
        row[bit / 8] |= (uint8_t)(value << (8 - (size_t)depth - bit % 8));
    }
}

static void write_header(png_structp png, png_infop info, const struct kind *kind)
{
    png_color colours[256];
    png_byte alphas[256];
    int entries = kind->colour == PNG_COLOR_TYPE_PALETTE ? 1 << kind->depth : 0;
    png_set_IHDR(png, info, kind->width, kind->height, kind->depth, kind->colour,
                 kind->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    fill_palette(colours, alphas);
    if (entries)
        png_set_PLTE(png, info, colours, entries);
    if (kind->key) {
        png_color_16 key = {.red = KEY, .green = KEY, .blue = KEY, .gray = KEY};
        png_set_tRNS(png, info, alphas, entries, &key);
    }
    /* None of these may change a pixel. */
    png_set_gAMA(png, info, 1.0);
    png_set_cHRM(png, info, 0.31, 0.33, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06);
    png_text text = {
        .compression = PNG_TEXT_COMPRESSION_zTXt, .key = (char *)"Comment", .text = (char *)"a cover"};
    png_set_text(png, info, &text, 1);
    png_write_info(png, info);
}

static void make_png(const struct kind *kind, struct cf_buf *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    png_set_write_fn(png, out, on_write, on_flush);
    png_set_compression_buffer_size(png, 200); /* several IDAT chunks */
    write_header(png, info, kind);
    size_t channels = channels_of(kind);
    size_t row_bytes = (kind->width * channels * (size_t)kind->depth + 7) / 8;
    uint8_t *rows = test_calloc(kind->height, row_bytes);
    png_bytepp pointers = test_calloc(kind->height, sizeof *pointers);
    for (uint32_t y = 0; y < kind->height; y++) {
        pointers[y] = rows + y * row_bytes;
        for (uint32_t x = 0; x < kind->width; x++)
            for (size_t c = 0; c < channels; c++)
                put_sample(pointers[y], x * channels + c, kind->depth, sample_at(kind, x, y, c));
    }
    png_write_image(png, pointers);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    test_free(pointers);
    test_free(rows);
}

static enum cf_err decode(struct cf_bytes file, bool scaled, struct cf_image *image)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_image_decode(file, &make_limits, scaled, image, &detail);
    assert_true(!err || detail.text[0]);
    return err;
}

/* The rows of the picture, from the top, that are what they must be. */
static uint32_t right_rows(const struct kind *kind, const struct cf_image *image)
{
    for (uint32_t y = 0; y < image->height; y++)
        for (uint32_t x = 0; x < image->width; x++) {
            uint8_t rgb[3];
            expected_at(kind, x, y, rgb);
            if (memcmp(rgb, image->rgb + ((size_t)y * image->width + x) * 3, 3) != 0)
                return y;
        }
    return image->height;
}

static void check_kind(const struct kind *kind)
{
    struct cf_buf file = {0};
    struct cf_image image;
    make_png(kind, &file);
    assert_int_equal(decode(cf_buf_bytes(&file), true, &image), CF_OK);
    assert_int_equal(image.width, kind->width);
    assert_int_equal(image.height, kind->height);
    assert_false(image.partial);
    assert_int_equal(image.warning[0], '\0');
    if (right_rows(kind, &image) != kind->height)
        fail_msg("colour %d, depth %d, interlaced %d, key %d, %ux%u: row %u is wrong", kind->colour,
                 kind->depth, kind->interlaced, kind->key, kind->width, kind->height,
                 right_rows(kind, &image));
    cf_image_fini(&image);
    cf_buf_fini(&file);
}

static void decodes_every_kind(void **state)
{
    (void)state;
    static const uint32_t sizes[][2] = {{37, 23}, {1, 1}, {3, 2}, {2, 5}, {9, 17}, {300, 4}};
    for (int d = 0; d < DEPTH_COUNT; d++)
        for (int flags = 0; flags < 4; flags++)
            for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
                struct kind kind = {sizes[s][0],  sizes[s][1],      depths[d][0],
                                    depths[d][1], (flags & 1) != 0, (flags & 2) != 0};
                if (!kind.key || !(kind.colour & PNG_COLOR_MASK_ALPHA))
                    check_kind(&kind);
            }
}

/* Large pictures come as the means of squares, the last ones cut off by the edge. */
static void scaled_is_the_mean(void **state)
{
    (void)state;
    struct kind kind = {1025, 1027, PNG_COLOR_TYPE_RGB_ALPHA, 8, false, false};
    struct cf_buf file = {0};
    struct cf_image image;
    make_png(&kind, &file);
    assert_int_equal(decode(cf_buf_bytes(&file), true, &image), CF_OK);
    assert_int_equal(image.width, 513);
    assert_int_equal(image.height, 514);
    assert_int_equal(image.source_width, 1025);
    for (uint32_t y = 0; y < image.height; y += y < 510 ? 101 : 1)
        for (uint32_t x = 0; x < image.width; x++) {
            unsigned sum[3] = {0}, count = 0;
            for (uint32_t v = 2 * y; v < 2 * y + 2 && v < kind.height; v++)
                for (uint32_t u = 2 * x; u < 2 * x + 2 && u < kind.width; u++, count++) {
                    uint8_t rgb[3];
                    expected_at(&kind, u, v, rgb);
                    for (int c = 0; c < 3; c++)
                        sum[c] += rgb[c];
                }
            for (size_t c = 0; c < 3; c++)
                assert_int_equal(image.rgb[((size_t)y * image.width + x) * 3 + c],
                                 (sum[c] + count / 2) / count);
        }
    cf_image_fini(&image);
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_OK);
    assert_int_equal(image.width, 1025);
    cf_image_fini(&image);
    /* Cut: the squares that have come are there, and nothing behind them. */
    assert_int_equal(decode((struct cf_bytes){file.data, file.len / 2}, true, &image), CF_OK);
    assert_true(image.partial);
    assert_int_equal(image.rgb[(size_t)image.width * image.height * 3 - 1], 128);
    assert_int_not_equal(image.rgb[(size_t)image.width * 200 * 3], 128);
    cf_image_fini(&image);
    cf_buf_fini(&file);
}

static const struct kind cut_kinds[] = {
    {37, 23, PNG_COLOR_TYPE_RGB, 8, false, false},
    {37, 23, PNG_COLOR_TYPE_PALETTE, 4, false, true},
    {37, 23, PNG_COLOR_TYPE_RGB_ALPHA, 16, true, false},
    {64, 64, PNG_COLOR_TYPE_GRAY, 1, true, false},
};
enum { CUT_KIND_COUNT = sizeof cut_kinds / sizeof cut_kinds[0] };

/* Each cut is refused with the right name or gives the rows that it holds, never fewer than a shorter one. */
static void cut_anywhere(void **state)
{
    (void)state;
    for (int i = 0; i < CUT_KIND_COUNT; i++) {
        const struct kind *kind = &cut_kinds[i];
        struct cf_buf file = {0};
        uint32_t rows = 0, last_but_whole = 0;
        bool came = false;
        make_png(kind, &file);
        for (size_t cut = 0; cut < file.len; cut++) {
            struct cf_image image = {0};
            uint8_t *copy = test_malloc(cut ? cut : 1); /* the exact size: a sanitizer sees a read behind */
            memcpy(copy, file.data, cut);
            enum cf_err err = decode((struct cf_bytes){copy, cut}, false, &image);
            test_free(copy);
            if (err) {
                assert_false(came);
                assert_int_equal(err, cut < 8 ? CF_E_NOT_AN_IMAGE : CF_E_NO_PIXELS);
                continue;
            }
            came = true;
            assert_true(image.partial);
            assert_true(image.warning[0]);
            uint32_t right = right_rows(kind, &image);
            assert_true(right >= rows);
            rows = right;
            last_but_whole += rows > 0 && rows < kind->height;
            if (!kind->interlaced)
                for (size_t b = (size_t)rows * image.width * 3; b < (size_t)image.height * image.width * 3;
                     b++)
                    assert_int_equal(image.rgb[b], 128);
            cf_image_fini(&image);
        }
        assert_int_equal(rows, kind->height);
        assert_true(last_but_whole > 3);
        cf_buf_fini(&file);
    }
}

static size_t find_chunk(const struct cf_buf *file, const char *type)
{
    size_t at = 8;
    while (memcmp(file->data + at + 4, type, 4) != 0)
        at += 12 + png_get_uint_32(file->data + at);
    return at;
}

static enum cf_err decode_flipped(const struct cf_buf *file, size_t at, struct cf_image *image)
{
    struct cf_buf copy = {0};
    cf_buf_append(&copy, file->data, file->len);
    copy.data[at] ^= 0x10;
    enum cf_err err = decode(cf_buf_bytes(&copy), false, image);
    cf_buf_fini(&copy);
    return err;
}

/* A wrong check sum is a warning where pixels depend on the chunk, the end of it all in the header, and
 * nothing where we do not read. */
static void check_sums(void **state)
{
    (void)state;
    static const struct {
        const char *chunk;
        bool partial;
    } cases[] = {{"IDAT", true}, {"PLTE", true}, {"tRNS", true}, {"gAMA", false}, {"zTXt", false}};
    const struct kind *kind = &cut_kinds[1];
    struct cf_buf file = {0};
    struct cf_image image;
    make_png(kind, &file);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at = find_chunk(&file, cases[i].chunk);
        assert_int_equal(decode_flipped(&file, at + 8 + png_get_uint_32(file.data + at), &image), CF_OK);
        if (image.partial != cases[i].partial || (image.warning[0] != '\0') != cases[i].partial)
            fail_msg("%s: partial %d, \"%s\"", cases[i].chunk, image.partial, image.warning);
        if (strcmp(cases[i].chunk, "tRNS") != 0) /* which is left out */
            assert_int_equal(right_rows(kind, &image), kind->height);
        cf_image_fini(&image);
    }
    assert_int_equal(decode_flipped(&file, 29, &image), CF_E_NOT_AN_IMAGE);
    assert_int_equal(decode_flipped(&file, 19, &image), CF_E_NOT_AN_IMAGE); /* the width */
    cf_buf_fini(&file);
}

static void damaged_headers(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        enum cf_err err;
    } cases[] = {{24, 3, CF_E_NOT_AN_IMAGE},  {25, 1, CF_E_NOT_AN_IMAGE}, {26, 1, CF_E_NOT_AN_IMAGE},
                 {27, 1, CF_E_NOT_AN_IMAGE},  {28, 2, CF_E_NOT_AN_IMAGE}, {12, 'X', CF_E_NOT_AN_IMAGE},
                 {11, 12, CF_E_NOT_AN_IMAGE}, {19, 0, CF_E_NO_PIXELS},    {16, 0xFF, CF_E_TOO_LARGE}};
    struct cf_buf file = {0};
    struct cf_image image;
    make_png(&cut_kinds[0], &file);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t was = file.data[cases[i].at];
        file.data[cases[i].at] = cases[i].value;
        assert_int_equal(decode(cf_buf_bytes(&file), false, &image), cases[i].err);
        file.data[cases[i].at] = was;
    }
    cf_buf_fini(&file);
    /* A palette picture without its palette. */
    make_png(&cut_kinds[1], &file);
    file.data[find_chunk(&file, "PLTE") + 4] = 'p';
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_NO_PIXELS);
    cf_buf_fini(&file);
}

static void claims_are_refused_at_once(void **state)
{
    (void)state;
    struct cf_image_limits limits = make_limits;
    struct cf_buf file = {0};
    struct cf_image image;
    struct cf_detail detail;
    make_png(&cut_kinds[2], &file);
    png_save_uint_32(file.data + 16, 65500);
    png_save_uint_32(file.data + 20, 65500);
    uint64_t start = cf_clock_mono_us();
    for (int i = 0; i < 100; i++)
        assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail),
                         CF_E_TOO_LARGE);
    assert_true(cf_clock_mono_us() - start < 1000000);
    limits.side_max = 65500; /* now the pixels */
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail), CF_E_TOO_LARGE);
    limits.pixels_max = UINT64_C(65500) * 65500; /* now the memory */
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail), CF_E_TOO_LARGE);
    assert_non_null(strstr(detail.text, "memory"));
    file.data[28] = 0; /* not interlaced: scaled it would need little, but not that little */
    limits.memory_bytes_max = 1 << 20;
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail), CF_E_TOO_LARGE);
    cf_buf_fini(&file);
}

static void mutated(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(9);
    struct cf_image_limits limits = make_limits;
    limits.pixels_max = 1 << 20;
    struct cf_buf files[CUT_KIND_COUNT] = {{0}};
    unsigned decoded = 0, refused = 0;
    for (int i = 0; i < CUT_KIND_COUNT; i++)
        make_png(&cut_kinds[i], &files[i]);
    for (int i = 0; i < 4000; i++) {
        struct cf_buf file = make_damaged(&files[i % CUT_KIND_COUNT], &rng);
        struct cf_image image = {0};
        enum cf_err err = cf_image_decode(cf_buf_bytes(&file), &limits, i % 2, &image, NULL);
        assert_true(make_is_answer(err));
        decoded += !err;
        refused += err != CF_OK;
        cf_image_fini(&image);
        cf_buf_fini(&file);
    }
    assert_true(decoded > 500 && refused > 500);
    for (int i = 0; i < CUT_KIND_COUNT; i++) {
        check_kind(&cut_kinds[i]);
        cf_buf_fini(&files[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_kind),
        cmocka_unit_test(scaled_is_the_mean),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(check_sums),
        cmocka_unit_test(damaged_headers),
        cmocka_unit_test(claims_are_refused_at_once),
        cmocka_unit_test(mutated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
