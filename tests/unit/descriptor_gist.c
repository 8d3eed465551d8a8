/* The fast way of GIST against the plain one: random pictures of several kinds, each fast size, each SIMD
 * level. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/cpu.h"
#include "common/base/rng.h"
#include "common/descriptor/gist_fast.h"
#include "common/descriptor/gist_plain.h"

enum { KINDS = 6 };

/* Noise, black and white noise, one bright pixel, stripes at the highest frequency, a ramp, faint noise on
 * white. */
static void draw(int kind, uint32_t side, uint64_t seed, uint8_t *rgb)
{
    struct cf_rng rng = cf_rng(seed);
    uint32_t bright = (uint32_t)cf_rng_below(&rng, side * side);
    for (uint32_t i = 0; i < side * side; i++)
        for (uint32_t c = 0; c < 3; c++) {
            uint64_t random = cf_rng_u64(&rng);
            uint32_t x = i % side, y = i / side;
            uint8_t values[KINDS] = {(uint8_t)random,
                                     random & 1 ? 255 : 0,
                                     i == bright ? 255 : 0,
                                     (x + (seed & 1 ? y : 0)) % 2 ? 250 : 3,
                                     (uint8_t)(x * 255 / side + (c == 1 ? y : 0)),
                                     (uint8_t)(255 - (random % 16 == 0))};
            rgb[i * 3 + c] = values[kind];
        }
}

static void compare(struct cf_gist_fast *fast, struct cf_gist_plain *plain, uint32_t side)
{
    uint8_t *rgb = test_malloc((size_t)side * side * 3); /* exact, so that a sanitizer sees a read behind */
    float a[CF_GIST_DIM], b[CF_GIST_DIM];
    for (int kind = 0; kind < KINDS; kind++)
        for (uint64_t seed = 0; seed < 3; seed++) {
            draw(kind, side, seed, rgb);
            cf_gist_fast(fast, rgb, a);
            cf_gist_plain(plain, rgb, b);
            for (int i = 0; i < CF_GIST_DIM; i++)
                if (!(fabsf(a[i] - b[i]) <= 2e-6f * fmaxf(1, b[i])))
                    fail_msg("side %u, kind %d, element %d: %g, plain %g", side, kind, i, (double)a[i],
                             (double)b[i]);
        }
    test_free(rgb);
}

static void fast_equals_plain(void **state)
{
    (void)state;
    for (uint32_t side = 32; side <= 64; side *= 2) {
        struct cf_gist_plain *plain = cf_gist_plain_new(side, side);
        assert_non_null(plain);
        assert_true(cf_gist_fast_takes(side, side));
        for (int level = CF_SIMD_SCALAR; level <= CF_SIMD_AVX512; level++) {
            cf_cpu_simd_limit((enum cf_simd)level);
            struct cf_gist_fast *fast = cf_gist_fast_new(side);
            assert_non_null(fast);
            compare(fast, plain, side);
            cf_gist_fast_free(fast);
        }
        cf_cpu_simd_limit(CF_SIMD_AVX512);
        cf_gist_plain_free(plain);
    }
    assert_false(cf_gist_fast_takes(32, 64));
    assert_false(cf_gist_fast_takes(33, 33));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fast_equals_plain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
