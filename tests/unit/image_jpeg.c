/* JPEG decoding: every kind of file, cut anywhere, and claims that must be refused before they cost anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "tests/unit/image_make.h"

static const struct make kinds[] = {
    {.width = 150, .height = 101},
    {.width = 150, .height = 101, .progressive = true},
    {.width = 150, .height = 101, .colour = MAKE_GREY},
    {.width = 150, .height = 101, .colour = MAKE_GREY, .progressive = true},
    {.width = 150, .height = 101, .colour = MAKE_CMYK},
    {.width = 150, .height = 101, .colour = MAKE_CMYK_ADOBE},
    {.width = 150, .height = 101, .colour = MAKE_YCCK},
    {.width = 150, .height = 101, .colour = MAKE_YCCK, .progressive = true},
    {.width = 150, .height = 101, .arithmetic = true},
    {.width = 1, .height = 1},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static enum cf_err decode(struct cf_bytes file, bool scaled, struct cf_image *image)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_image_decode(file, &make_limits, scaled, image, &detail);
    assert_true(!err || detail.text[0]);
    return err;
}

static void decodes_every_kind(void **state)
{
    (void)state;
    for (int i = 0; i < KIND_COUNT; i++) {
        struct cf_buf file = {0};
        struct cf_image image;
        make_jpeg(&kinds[i], &file);
        assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_OK);
        assert_int_equal(image.width, kinds[i].width);
        assert_int_equal(image.height, kinds[i].height);
        assert_false(image.partial);
        assert_int_equal(image.warning[0], '\0');
        if (make_difference(&kinds[i], &image) > 8)
            fail_msg("kind %d differs by %d", i, make_difference(&kinds[i], &image));
        cf_image_fini(&image);
        cf_buf_fini(&file);
    }
}

static void scales_only_as_far_as_allowed(void **state)
{
    (void)state;
    static const uint32_t sizes[][3] = {{300, 300, 150},   {255, 300, 255},   {256, 256, 128},
                                        {1024, 1500, 128}, {1023, 1023, 256}, {64, 2000, 64},
                                        {2000, 1100, 250}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct make make = {.width = sizes[i][0], .height = sizes[i][1], .progressive = i % 2};
        struct cf_buf file = {0};
        struct cf_image image;
        make_jpeg(&make, &file);
        assert_int_equal(decode(cf_buf_bytes(&file), true, &image), CF_OK);
        assert_int_equal(image.width, sizes[i][2]);
        assert_int_equal(image.source_width, make.width);
        assert_int_equal(image.source_height, make.height);
        cf_image_fini(&image);
        cf_buf_fini(&file);
    }
}

/* Each cut is refused with the right name or gives a partial picture, and once pixels come they keep coming.
 */
static void cut_anywhere(void **state)
{
    (void)state;
    for (int i = 0; i < KIND_COUNT - 1; i++) {
        struct cf_buf file = {0};
        bool came = false, partial = false;
        make_jpeg(&kinds[i], &file);
        for (size_t cut = 0; cut < file.len - 2; cut += cut < 700 ? 1 : file.len / 20) {
            struct cf_image image = {0};
            uint8_t *copy =
                test_malloc(cut ? cut : 1); /* the exact size, so that a sanitizer sees a read behind */
            memcpy(copy, file.data, cut);
            enum cf_err err = decode((struct cf_bytes){copy, cut}, false, &image);
            test_free(copy);
            if (err) {
                assert_false(came);
                assert_int_equal(err, cut < 3 ? CF_E_NOT_AN_IMAGE : CF_E_NO_PIXELS);
                continue;
            }
            came = true;
            partial |= image.partial;
            assert_true(!image.partial || image.warning[0]);
            assert_true(image.partial || cut > file.len * 9 / 10);
            assert_int_equal(image.width, kinds[i].width);
            cf_image_fini(&image);
        }
        assert_true(came && partial);
        cf_buf_fini(&file);
    }
}

static void first_rows_of_a_cut_picture_are_right(void **state)
{
    (void)state;
    struct make make = {.width = 160, .height = 160};
    struct cf_buf file = {0};
    struct cf_image image;
    make_jpeg(&make, &file);
    assert_int_equal(decode((struct cf_bytes){file.data, file.len * 3 / 4}, false, &image), CF_OK);
    assert_true(image.partial);
    image.height = 40;
    assert_true(make_difference(&make, &image) <= 8);
    cf_image_fini(&image);
    cf_buf_fini(&file);
}

/* Damaged tables between two scans: what the scans before them brought is kept. */
static void later_scan_damaged(void **state)
{
    (void)state;
    struct make make = {.width = 160, .height = 160, .progressive = true};
    struct cf_buf file = {0};
    struct cf_image image;
    make_jpeg(&make, &file);
    int tables = 0;
    for (size_t i = 2; i + 3 < file.len && tables < 5; i++)
        if (file.data[i] == 0xFF && file.data[i + 1] == 0xC4 && ++tables == 5)
            memset(file.data + i + 4, 0xEE, 8);
    assert_int_equal(tables, 5);
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_OK);
    assert_true(image.partial);
    assert_true(image.warning[0]);
    assert_true(make_difference(&make, &image) <= 60);
    cf_image_fini(&image);
    cf_buf_fini(&file);
}

static size_t find_marker(const struct cf_buf *file, uint8_t marker)
{
    size_t at = 2;
    while (file->data[at + 1] != marker)
        at += 2 + ((size_t)file->data[at + 2] << 8 | file->data[at + 3]);
    return at;
}

static void set_sides(struct cf_buf *file, unsigned width, unsigned height)
{
    size_t at = find_marker(file, 0xC2);
    file->data[at + 5] = (uint8_t)(height >> 8);
    file->data[at + 6] = (uint8_t)height;
    file->data[at + 7] = (uint8_t)(width >> 8);
    file->data[at + 8] = (uint8_t)width;
}

static void claims_are_refused_at_once(void **state)
{
    (void)state;
    struct make make = {.width = 160, .height = 160, .progressive = true};
    struct cf_image_limits limits = make_limits;
    struct cf_buf file = {0};
    struct cf_image image;
    struct cf_detail detail;
    make_jpeg(&make, &file);
    set_sides(&file, 65500, 65500);
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
    set_sides(&file, 0, 160);
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_NO_PIXELS);
    limits = make_limits;
    limits.bytes_max = file.len - 1;
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, &detail), CF_E_TOO_LARGE);
    cf_buf_fini(&file);
}

static long peak_kilobytes(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* 18 KB of scans that claim 65,500 x 65,500 pixels: whichever limit meets it first, under 10 ms and 50 MB. */
static void a_small_file_of_huge_claims(void **state)
{
    (void)state;
    struct make make = {.width = 400, .height = 400, .progressive = true};
    struct cf_image_limits limits = make_limits;
    struct cf_buf file = {0};
    struct cf_image image;
    make_jpeg(&make, &file);
    uint8_t tail[500];
    memcpy(tail, file.data + file.len - sizeof tail, sizeof tail);
    while (file.len < 18000)
        cf_buf_append(&file, tail, sizeof tail);
    set_sides(&file, 65500, 65500);
    for (int loose = 0; loose < 3; loose++) {
        long before = peak_kilobytes();
        uint64_t start = cf_clock_mono_us(), fastest = UINT64_MAX;
        for (int i = 0; i < 5; i++) { /* the fastest: a busy machine is no fault of ours */
            assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, true, &image, NULL),
                             CF_E_TOO_LARGE);
            uint64_t now = cf_clock_mono_us();
            fastest = now - start < fastest ? now - start : fastest;
            start = now;
        }
        assert_true(fastest < 10000);
        assert_true(peak_kilobytes() - before < 50000);
        limits.side_max = 65500;
        if (loose == 1)
            limits.pixels_max = UINT64_C(65500) * 65500;
    }
    cf_buf_fini(&file);
}

/* Coded in ways that libjpeg does not know, by the type of the frame: lossless, hierarchical. */
static void other_frames_are_unsupported(void **state)
{
    (void)state;
    static const uint8_t frames[] = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF};
    struct make make = {.width = 40, .height = 40};
    struct cf_buf file = {0};
    struct cf_image image;
    make_jpeg(&make, &file);
    size_t at = find_marker(&file, 0xC0) + 1;
    for (size_t i = 0; i < sizeof frames; i++) {
        file.data[at] = frames[i];
        assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_UNSUPPORTED);
    }
    cf_buf_fini(&file);
}

/* The last scan of a progressive picture, repeated. */
static void scans_are_bounded(void **state)
{
    (void)state;
    struct make make = {.width = 160, .height = 160, .progressive = true};
    struct cf_image_limits limits = make_limits;
    struct cf_buf file = {0};
    struct cf_image image;
    struct cf_detail detail;
    make_jpeg(&make, &file);
    limits.scans_max = 3;
    assert_int_equal(cf_image_decode(cf_buf_bytes(&file), &limits, false, &image, &detail), CF_E_TOO_LARGE);
    assert_non_null(strstr(detail.text, "scans"));
    size_t scan = file.len;
    while (!(file.data[scan - 2] == 0xFF && file.data[scan - 1] == 0xDA))
        scan--;
    scan -= 2;
    size_t len = file.len - 2 - scan;
    struct cf_buf many = {0};
    cf_buf_append(&many, file.data, file.len - 2);
    for (int i = 0; i < 2000; i++)
        cf_buf_append(&many, file.data + scan, len);
    assert_int_equal(decode(cf_buf_bytes(&many), false, &image), CF_E_TOO_LARGE);
    limits = make_limits;
    limits.scans_max = 100000;
    limits.pixels_max = 160 * 160 * 10; /* 16 times that is passed by scan 161 */
    assert_int_equal(cf_image_decode(cf_buf_bytes(&many), &limits, false, &image, &detail), CF_E_TOO_LARGE);
    cf_buf_fini(&file);
    cf_buf_fini(&many);
}

static void exif_orientation(void **state)
{
    (void)state;
    /* Where the stored top left corner (red low, green low, so blue) comes to lie: column and row of the
     * upright picture. */
    static const int right[9] = {0, 0, 1, 1, 0, 0, 1, 1, 0}, below[9] = {0, 0, 0, 1, 1, 0, 0, 1, 1};
    for (unsigned o = 0; o <= 9; o++)
        for (int big = 0; big < 2; big++) {
            struct make make = {.width = 96, .height = 40, .orientation = o, .exif_big_endian = big};
            struct cf_buf file = {0};
            struct cf_image image;
            unsigned known = o <= 8 ? o : 1;
            make_jpeg(&make, &file);
            assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_OK);
            bool turned = known >= 5;
            assert_int_equal(image.width, turned ? 40 : 96);
            assert_int_equal(image.height, turned ? 96 : 40);
            assert_int_equal(image.source_width, 96);
            uint32_t x = right[known] ? image.width - 1 : 0, y = below[known] ? image.height - 1 : 0;
            const uint8_t *corner = image.rgb + ((size_t)y * image.width + x) * 3;
            assert_true(corner[0] < 12 && corner[1] < 12 && corner[2] > 243);
            /* The stored top right corner, red, lies along the turned row or column. */
            uint32_t rx = turned ? x : image.width - 1 - x, ry = turned ? image.height - 1 - y : y;
            corner = image.rgb + ((size_t)ry * image.width + rx) * 3;
            assert_true(corner[0] > 240 && corner[1] < 12);
            cf_image_fini(&image);
            cf_buf_fini(&file);
        }
}

static void not_images(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",       "x", "\xff\xd8", "\xff\xd8\xff", "\x89PNG", "\xff\xd8\xff\xdb nonsense all the way",
        "<html>", "P", "P7\n"};
    struct cf_image image;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        enum cf_err err =
            decode((struct cf_bytes){(const uint8_t *)texts[i], strlen(texts[i])}, false, &image);
        if (i == 3) /* the beginning of a JPEG, and no more */
            assert_int_equal(err, CF_E_NO_PIXELS);
        else if (i == 5)
            assert_true(err == CF_E_NOT_AN_IMAGE || err == CF_E_NO_PIXELS);
        else
            assert_int_equal(err, CF_E_NOT_AN_IMAGE);
    }
    struct make make = {.width = 40, .height = 40};
    struct cf_buf file = {0};
    make_jpeg(&make, &file);
    file.data[find_marker(&file, 0xC0) + 4] = 12; /* bits a sample */
    assert_int_equal(decode(cf_buf_bytes(&file), false, &image), CF_E_UNSUPPORTED);
    cf_buf_fini(&file);
}

/* Random damage: whatever comes of it, it is one of the answers of the contract, and a good picture decodes
 * after it. */
static void mutated(void **state)
{
    (void)state;
    static const enum cf_err answers[] = {CF_OK, CF_E_NOT_AN_IMAGE, CF_E_NO_PIXELS, CF_E_TOO_LARGE,
                                          CF_E_UNSUPPORTED};
    struct cf_rng rng = cf_rng(7);
    for (int i = 0; i < KIND_COUNT * 60; i++) {
        struct cf_buf file = {0};
        struct cf_image image = {0};
        make_jpeg(&kinds[i % KIND_COUNT], &file);
        struct cf_image_limits limits = make_limits;
        limits.pixels_max = 1 << 20;
        for (uint64_t n = 1 + cf_rng_below(&rng, 6); n > 0; n--)
            file.data[cf_rng_below(&rng, file.len)] ^= (uint8_t)(1u << cf_rng_below(&rng, 8));
        enum cf_err err = cf_image_decode(cf_buf_bytes(&file), &limits, i % 2, &image, NULL);
        bool known = false;
        for (size_t a = 0; a < sizeof answers / sizeof answers[0]; a++)
            known |= err == answers[a];
        assert_true(known);
        cf_image_fini(&image);
        cf_buf_fini(&file);
    }
    decodes_every_kind(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_kind),
        cmocka_unit_test(scales_only_as_far_as_allowed),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(first_rows_of_a_cut_picture_are_right),
        cmocka_unit_test(later_scan_damaged),
        cmocka_unit_test(claims_are_refused_at_once),
        cmocka_unit_test(scans_are_bounded),
        cmocka_unit_test(exif_orientation),
        cmocka_unit_test(a_small_file_of_huge_claims),
        cmocka_unit_test(other_frames_are_unsupported),
        cmocka_unit_test(not_images),
        cmocka_unit_test(mutated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
