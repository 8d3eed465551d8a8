/* The area filter against a naive model in exact arithmetic, and thumbnails there and back. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/image/image.h"

static double overlap(double a0, double a1, double b0, double b1)
{
    double low = a0 > b0 ? a0 : b0, high = a1 < b1 ? a1 : b1;
    return high > low ? high - low : 0;
}

static double model(const uint8_t *src, uint32_t sw, uint32_t sh, uint32_t dw, uint32_t dh, uint32_t x,
                    uint32_t y, size_t c)
{
    double sum = 0, area = 0;
    for (uint32_t j = 0; j < sh; j++)
        for (uint32_t i = 0; i < sw; i++) {
            double w = overlap(i, i + 1.0, (double)x * sw / dw, (x + 1.0) * sw / dw) *
                       overlap(j, j + 1.0, (double)y * sh / dh, (y + 1.0) * sh / dh);
            sum += w * src[((size_t)j * sw + i) * 3 + c];
            area += w;
        }
    return sum / area;
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(11);
    static uint8_t src[40 * 40 * 3], dst[40 * 40 * 3];
    for (int round = 0; round < 60; round++) {
        uint32_t side[4];
        for (int i = 0; i < 4; i++)
            side[i] = 1 + (uint32_t)cf_rng_below(&rng, i < 2 ? 40 : 24);
        for (size_t i = 0; i < sizeof src; i++)
            src[i] = round % 3 ? (uint8_t)cf_rng_u64(&rng) : (uint8_t)(cf_rng_u64(&rng) & 1 ? 255 : 0);
        assert_int_equal(cf_image_resize(src, side[0], side[1], dst, side[2], side[3], NULL), CF_OK);
        for (uint32_t y = 0; y < side[3]; y++)
            for (uint32_t x = 0; x < side[2]; x++)
                for (size_t c = 0; c < 3; c++) {
                    double exact = model(src, side[0], side[1], side[2], side[3], x, y, c);
                    uint8_t got = dst[((size_t)y * side[2] + x) * 3 + c];
                    if (fabs(got - exact) > 0.5 + 1e-9)
                        fail_msg("%ux%u to %ux%u at %u,%u: %u for %f", side[0], side[1], side[2], side[3], x,
                                 y, got, exact);
                }
    }
}

static void halves_go_up(void **state)
{
    (void)state;
    static const uint8_t src[] = {0, 10, 255, 1, 11, 254};
    uint8_t dst[3];
    assert_int_equal(cf_image_resize(src, 2, 1, dst, 1, 1, NULL), CF_OK);
    assert_int_equal(dst[0], 1);
    assert_int_equal(dst[1], 11);
    assert_int_equal(dst[2], 255);
}

static void same_size_is_a_copy(void **state)
{
    (void)state;
    uint8_t src[64 * 64 * 3], dst[64 * 64 * 3];
    struct cf_rng rng = cf_rng(3);
    for (size_t i = 0; i < sizeof src; i++)
        src[i] = (uint8_t)cf_rng_u64(&rng);
    assert_int_equal(cf_image_resize(src, 64, 64, dst, 64, 64, NULL), CF_OK);
    assert_memory_equal(src, dst, sizeof src);
    assert_int_equal(cf_image_resize(src, 0, 64, dst, 64, 64, NULL), CF_E_INVALID);
    assert_int_equal(cf_image_resize(src, 64, 64, dst, 64, 0, NULL), CF_E_INVALID);
}

/* White stays white and wide pictures do not overflow. */
static void long_sides(void **state)
{
    (void)state;
    enum { LONG = 1 << 20 };
    uint8_t *src = malloc((size_t)LONG * 3), dst[64 * 64 * 3];
    assert_non_null(src);
    memset(src, 255, (size_t)LONG * 3);
    assert_int_equal(cf_image_resize(src, LONG, 1, dst, 64, 64, NULL), CF_OK);
    for (size_t i = 0; i < sizeof dst; i++)
        assert_int_equal(dst[i], 255);
    assert_int_equal(cf_image_resize(src, 1, LONG, dst, 64, 64, NULL), CF_OK);
    for (size_t i = 0; i < sizeof dst; i++)
        assert_int_equal(dst[i], 255);
    free(src);
}

static void fill_smooth(uint8_t *rgb)
{
    for (uint32_t i = 0; i < CF_THUMB_RGB_BYTES; i++)
        rgb[i] = (uint8_t)(i / 3 % 64 * 2 + i / 192 + i % 3 * 20);
}

static void thumb_there_and_back(void **state)
{
    (void)state;
    static uint8_t rgb[CF_THUMB_RGB_BYTES], back[CF_THUMB_RGB_BYTES];
    struct cf_buf jpeg = {0}, again = {0};
    fill_smooth(rgb);
    assert_int_equal(cf_thumb_encode(rgb, &jpeg, NULL), CF_OK);
    assert_true(jpeg.len > 100 && jpeg.len <= CF_THUMB_JPEG_BYTES_MAX);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), back, NULL), CF_OK);
    for (size_t i = 0; i < sizeof rgb; i++)
        assert_true(abs(rgb[i] - back[i]) <= 8);
    assert_int_equal(cf_thumb_encode(rgb, &again, NULL), CF_OK);
    assert_true(cf_bytes_equal(cf_buf_bytes(&jpeg), cf_buf_bytes(&again)));
    cf_buf_fini(&jpeg);
    cf_buf_fini(&again);
}

static void noise_fits_a_thumb(void **state)
{
    (void)state;
    static uint8_t rgb[CF_THUMB_RGB_BYTES], back[CF_THUMB_RGB_BYTES];
    struct cf_rng rng = cf_rng(5);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = cf_rng_u64(&rng) & 1 ? 255 : 0;
    struct cf_buf jpeg = {0};
    assert_int_equal(cf_thumb_encode(rgb, &jpeg, NULL), CF_OK);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), back, NULL), CF_OK);
    cf_buf_fini(&jpeg);
}

static void foreign_thumbs_are_refused(void **state)
{
    (void)state;
    static uint8_t rgb[CF_THUMB_RGB_BYTES], back[CF_THUMB_RGB_BYTES];
    struct cf_buf jpeg = {0};
    fill_smooth(rgb);
    assert_int_equal(cf_thumb_encode(rgb, &jpeg, NULL), CF_OK);
    memset(back, 7, sizeof back);
    for (size_t cut = 0; cut < jpeg.len; cut += 1 + cut / 50)
        assert_int_equal(cf_thumb_decode((struct cf_bytes){jpeg.data, cut}, back, NULL), CF_E_CORRUPT);
    size_t sof = 2;
    while (jpeg.data[sof + 1] != 0xC0)
        sof += 2 + ((size_t)jpeg.data[sof + 2] << 8 | jpeg.data[sof + 3]);
    jpeg.data[sof + 6] = 32; /* the height */
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), back, NULL), CF_E_CORRUPT);
    jpeg.data[sof + 6] = 64;
    cf_buf_append(&jpeg, "tail", 4);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), back, NULL), CF_E_CORRUPT);
    for (size_t i = 0; i < sizeof back; i++)
        assert_int_equal(back[i], 7); /* untouched on failure */
    cf_buf_fini(&jpeg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_model),      cmocka_unit_test(halves_go_up),
        cmocka_unit_test(same_size_is_a_copy),        cmocka_unit_test(long_sides),
        cmocka_unit_test(thumb_there_and_back),       cmocka_unit_test(noise_fits_a_thumb),
        cmocka_unit_test(foreign_thumbs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
