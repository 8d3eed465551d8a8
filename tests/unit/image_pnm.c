/* PNM: every kind, every depth, and headers that stray. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/image_make.h"

#define FILE_OF(text) ((struct cf_bytes){(const uint8_t *)(text), sizeof(text) - 1})

static enum cf_err decode(struct cf_bytes file, struct cf_image *image)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_image_decode(file, &make_limits, false, image, &detail);
    assert_true(!err || detail.text[0]);
    return err;
}

static void expect(struct cf_bytes file, uint32_t width, uint32_t height, const uint8_t *rgb)
{
    struct cf_image image;
    assert_int_equal(decode(file, &image), CF_OK);
    assert_int_equal(image.width, width);
    assert_int_equal(image.height, height);
    assert_int_equal(image.source_height, height);
    assert_false(image.partial);
    assert_memory_equal(image.rgb, rgb, (size_t)width * height * 3);
    cf_image_fini(&image);
}

static void decodes_every_kind(void **state)
{
    (void)state;
    static const uint8_t bits[] = {255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255};
    static const uint8_t greys[] = {0, 0, 0, 128, 128, 128, 255, 255, 255};
    static const uint8_t colours[] = {1, 2, 3, 254, 0, 255};
    expect(FILE_OF("P1\n2 2\n0 1\n1 0\n"), 2, 2, bits);
    expect(FILE_OF("P1 2 2 0110"), 2, 2, bits);
    expect(FILE_OF("P2\n# a comment\n3 #another\n1\n2\n0 1 2\n"), 3, 1, greys);
    expect(FILE_OF("P3 2 1 255 1 2 3\n254 0 255"), 2, 1, colours);
    expect(FILE_OF("P4\n2 2\n\x40\x80"), 2, 2, bits);
    expect(FILE_OF("P5\t3\r1 2\n\0\1\2"), 3, 1, greys);
    expect(FILE_OF("P6 2 1 255 \1\2\3\xfe\0\xff"), 2, 1, colours);
    expect(FILE_OF("P6#\n2#\n1#\n255 \1\2\3\xfe\0\xff and a second picture"), 2, 1, colours);
    expect(FILE_OF("P6 2 1 65535 \1\1\2\2\3\3\xfe\xfe\0\0\xff\xff"), 2, 1, colours);
    expect(FILE_OF("P5 3 1 1000 \0\0\1\xf4\3\xe8"), 3, 1, greys);
}

static void packed_rows_end_on_bytes(void **state)
{
    (void)state;
    struct cf_image image;
    assert_int_equal(decode(FILE_OF("P4 9 2 \xff\x80\x00\x7f"), &image), CF_OK);
    for (size_t x = 0; x < 9; x++) {
        assert_int_equal(image.rgb[x * 3], 0);
        assert_int_equal(image.rgb[(9 + x) * 3], 255);
    }
    cf_image_fini(&image);
}

static void cut_pictures_are_partial(void **state)
{
    (void)state;
    struct cf_image image;
    assert_int_equal(decode(FILE_OF("P6 2 2 255 \1\2\3\4\5"), &image), CF_OK);
    static const uint8_t rgb[] = {1, 2, 3, 128, 128, 128, 128, 128, 128, 128, 128, 128};
    assert_true(image.partial);
    assert_true(image.warning[0]);
    assert_memory_equal(image.rgb, rgb, sizeof rgb);
    cf_image_fini(&image);
    assert_int_equal(decode(FILE_OF("P6 2 2 255 \1\2"), &image), CF_E_NO_PIXELS);
    assert_int_equal(decode(FILE_OF("P6 2 2 255 "), &image), CF_E_NO_PIXELS);
    assert_int_equal(decode(FILE_OF("P6 2 2 255"), &image), CF_E_NO_PIXELS);
    assert_int_equal(decode(FILE_OF("P2 2 2 9 "), &image), CF_E_NO_PIXELS);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum cf_err err;
    } cases[] = {
        {"P6", CF_E_NOT_AN_IMAGE},
        {"P6x2 2 255 ", CF_E_NOT_AN_IMAGE},
        {"P62 2 255 abcdefabcdef", CF_E_NOT_AN_IMAGE},
        {"P6 2", CF_E_NOT_AN_IMAGE},
        {"P6 -2 2 255 ", CF_E_NOT_AN_IMAGE},
        {"P6 2 2 0 aaaaaaaaaaaa", CF_E_NOT_AN_IMAGE},
        {"P6 2 2 65536 aaaaaaaaaaaa", CF_E_NOT_AN_IMAGE},
        {"P6 2 2 99999999999999999999 aaa", CF_E_NOT_AN_IMAGE},
        {"P6 99999999999999999999 2 255 aaa", CF_E_NOT_AN_IMAGE},
        {"P6 2 2 255aaaaaaaaaaaa", CF_E_NOT_AN_IMAGE},
        {"P6 0 2 255 aaa", CF_E_NO_PIXELS},
        {"P6 4294967295 4294967295 255 aaa", CF_E_TOO_LARGE},
        {"P6 16000 16000 255 aaa", CF_E_TOO_LARGE},
        {"P5 2 2 90 aaaaz\xff", CF_E_NOT_AN_IMAGE},
        {"P2 2 2 9 1 2 3 10", CF_E_NOT_AN_IMAGE},
        {"P2 2 2 9 1 2 x 4", CF_E_NOT_AN_IMAGE},
        {"P2 2 2 9 1 2,3 4", CF_E_NOT_AN_IMAGE},
        {"P1 2 2 0 1 2 0", CF_E_NOT_AN_IMAGE},
        {"P7 2 2 255 aaaa", CF_E_NOT_AN_IMAGE},
        {"P0 2 2 255 aaaa", CF_E_NOT_AN_IMAGE},
    };
    struct cf_image image;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum cf_err err = decode(cf_str(cases[i].text).len ? (struct cf_bytes){(const uint8_t *)cases[i].text,
                                                                               strlen(cases[i].text)}
                                                           : (struct cf_bytes){0},
                                 &image);
        if (err != cases[i].err)
            fail_msg("%s: %s instead of %s", cases[i].text, cf_err_name(err), cf_err_name(cases[i].err));
    }
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct cf_image_limits limits = make_limits;
    struct cf_image image;
    limits.memory_bytes_max = 1 << 20;
    assert_int_equal(cf_image_decode(FILE_OF("P6 1000 1000 255 aaa"), &limits, false, &image, NULL),
                     CF_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_kind),       cmocka_unit_test(packed_rows_end_on_bytes),
        cmocka_unit_test(cut_pictures_are_partial), cmocka_unit_test(refusals),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
