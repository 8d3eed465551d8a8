/* deploy/samples: the same seed gives the same bytes, and discs look like discs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "common/descriptor/space.h"
#include "common/image/image.h"
#include "deploy/samples/sample.h"

enum { PER_STYLE = 12, COUNT = PER_STYLE * CF_SAMPLE_STYLES, NEAREST = 5 };

static void same_seed_same_bytes(void **state)
{
    (void)state;
    static uint8_t a[CF_SAMPLE_BYTES], b[CF_SAMPLE_BYTES];
    for (size_t number = 0; number < 2 * CF_SAMPLE_STYLES; number++) {
        memset(a, 1, sizeof a);
        memset(b, 2, sizeof b);
        cf_sample_draw(1, number, a);
        cf_sample_draw(1, number, b);
        assert_memory_equal(a, b, sizeof a);
        cf_sample_draw(2, number, b);
        assert_memory_not_equal(a, b, sizeof a);
        cf_sample_draw(1, number + CF_SAMPLE_STYLES, b);
        assert_memory_not_equal(a, b, sizeof a);
    }
}

/* The bytes themselves, so that every machine draws the same. */
static void bytes_are_the_known_ones(void **state)
{
    (void)state;
    static uint8_t rgb[CF_SAMPLE_BYTES];
    uint64_t sum = 0;
    for (size_t number = 0; number < CF_SAMPLE_STYLES; number++) {
        cf_sample_draw(1, number, rgb);
        sum = sum * 31 + cf_xxh3((struct cf_bytes){rgb, sizeof rgb});
    }
    assert_int_equal(sum, 0x23fd0c688611958);
}

static void words_name_the_style(void **state)
{
    (void)state;
    struct cf_sample sample;
    cf_sample_words(1, 0, &sample);
    assert_string_equal(sample.style, "disc");
    assert_string_equal(sample.album, "disc-0000");
    assert_true(sample.artist[0] && sample.title[0]);
    cf_sample_words(1, 2 * CF_SAMPLE_STYLES + 3, &sample);
    assert_string_equal(sample.album, "grid-0002");
}

/* The vector of a sample as a fleet would compute it. */
static void describe(struct cf_describer *describer, const struct cf_space *space, size_t number, float *out)
{
    static uint8_t rgb[CF_SAMPLE_BYTES], thumb[CF_THUMB_RGB_BYTES];
    bool constant = true;
    struct cf_buf jpeg;
    cf_buf_init(&jpeg);
    cf_sample_draw(1, number, rgb);
    assert_int_equal(
        cf_image_resize(rgb, CF_SAMPLE_SIDE, CF_SAMPLE_SIDE, thumb, CF_THUMB_SIDE, CF_THUMB_SIDE, NULL),
        CF_OK);
    assert_int_equal(cf_thumb_encode(thumb, &jpeg, NULL), CF_OK);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), thumb, NULL), CF_OK);
    assert_int_equal(cf_describe(describer, space, thumb, CF_THUMB_SIDE, CF_THUMB_SIDE, out, &constant, NULL),
                     CF_OK);
    assert_false(constant);
    cf_buf_fini(&jpeg);
}

static double distance(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* How many of the nearest of `number` are of its own style. */
static size_t own_style(const float *vectors, uint32_t dim, size_t number)
{
    bool taken[COUNT] = {false};
    size_t own = 0;
    taken[number] = true;
    for (size_t n = 0; n < NEAREST; n++) {
        size_t best = COUNT;
        double least = 0;
        for (size_t i = 0; i < COUNT; i++) {
            double far = distance(vectors + i * dim, vectors + number * dim, dim);
            if (!taken[i] && (best == COUNT || far < least)) {
                best = i;
                least = far;
            }
        }
        taken[best] = true;
        own += best % CF_SAMPLE_STYLES == number % CF_SAMPLE_STYLES;
    }
    return own;
}

static void the_neighbours_of_a_disc_are_discs(void **state)
{
    (void)state;
    assert_int_equal(cf_spaces_load(NULL, NULL), CF_OK);
    struct cf_describer *describer = cf_describer_new();
    for (size_t s = 0; s < CF_SPACE_FIXED_COUNT; s++) {
        const struct cf_space *space = &cf_spaces[s];
        float *vectors = calloc((size_t)COUNT * space->dim, sizeof *vectors);
        for (size_t i = 0; i < COUNT; i++)
            describe(describer, space, i, vectors + i * space->dim);
        size_t all = 0;
        for (size_t i = 0; i < COUNT; i++) {
            size_t own = own_style(vectors, space->dim, i);
            if (i % CF_SAMPLE_STYLES == 0)
                assert_true(own >= 4);
            all += own;
        }
        /* Styles are told apart: by chance it would be one in twelve. */
        assert_true(all * 10 >= (size_t)COUNT * NEAREST * 7);
        free(vectors);
    }
    cf_describer_free(describer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(bytes_are_the_known_ones),
        cmocka_unit_test(words_name_the_style),
        cmocka_unit_test(the_neighbours_of_a_disc_are_discs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
