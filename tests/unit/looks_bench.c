/* The parts of the bench of looks that could flatter a space: what the attacks do to a picture, and the
 * scores. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bench/looks/attacks.h"
#include "tests/bench/looks/measure.h"
#include "tests/bench/looks/pixels.h"
#include "tests/bench/looks/scores.h"

enum { WIDTH = 120, HEIGHT = 90 };

/* Smooth in both directions, a little noise, no colour twice as often as others. */
static struct cf_image picture(void)
{
    struct cf_image image = {.width = WIDTH, .height = HEIGHT, .rgb = malloc(WIDTH * HEIGHT * 3)};
    struct cf_rng rng = cf_rng(7);
    assert_non_null(image.rgb);
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++) {
        size_t x = i % WIDTH, y = i / WIDTH;
        image.rgb[i * 3] = (uint8_t)(40 + x + cf_rng_below(&rng, 30));
        image.rgb[i * 3 + 1] = (uint8_t)(200 - y - cf_rng_below(&rng, 30));
        image.rgb[i * 3 + 2] = (uint8_t)(60 + (x + y) / 2 + cf_rng_below(&rng, 30));
    }
    return image;
}

static const struct looks_attack *attack_of(const char *name)
{
    for (size_t i = 0; i < looks_attack_count; i++)
        if (strcmp(looks_attacks[i].name, name) == 0)
            return &looks_attacks[i];
    fail_msg("no attack \"%s\"", name);
    return NULL;
}

static struct cf_image attacked(const struct looks_attack *attack, uint64_t seed)
{
    struct cf_image image = picture();
    struct cf_rng rng = cf_rng(seed);
    struct cf_detail detail = {""};
    assert_int_equal(looks_attack(attack, &rng, &image, &detail), CF_OK);
    return image;
}

static size_t bytes_of(const struct cf_image *image)
{
    return (size_t)image->width * image->height * 3;
}

static bool same(const struct cf_image *a, const struct cf_image *b)
{
    return a->width == b->width && a->height == b->height && memcmp(a->rgb, b->rgb, bytes_of(a)) == 0;
}

/* The share of pixels that differ by more than noise; the sizes are equal. */
static double changed(const struct cf_image *a, const struct cf_image *b)
{
    size_t pixels = bytes_of(a) / 3, count = 0;
    assert_int_equal(bytes_of(a), bytes_of(b));
    for (size_t i = 0; i < pixels; i++) {
        int most = 0;
        for (size_t c = 0; c < 3; c++) {
            int apart = abs(a->rgb[i * 3 + c] - b->rgb[i * 3 + c]);
            most = apart > most ? apart : most;
        }
        count += most > 2;
    }
    return (double)count / (double)pixels;
}

static double mean_square(const struct cf_image *a, const struct cf_image *b)
{
    double sum = 0;
    for (size_t i = 0; i < bytes_of(a); i++)
        sum += (double)(a->rgb[i] - b->rgb[i]) * (a->rgb[i] - b->rgb[i]);
    return sum / (double)bytes_of(a);
}

/* ---- the table ---- */

static void the_table_names_each_attack_once_and_tells_its_amounts(void **state)
{
    char words[LOOKS_WORDS_MAX];
    (void)state;
    assert_in_range(looks_attack_count, 10, LOOKS_ATTACKS_MAX);
    for (size_t i = 0; i < looks_attack_count; i++) {
        looks_attack_words(&looks_attacks[i], words);
        assert_true(strlen(words) > 3 && strlen(words) + 1 < LOOKS_WORDS_MAX);
        assert_int_equal(looks_attacks[i].combined, strchr(words, ';') != NULL);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(looks_attacks[i].name, looks_attacks[j].name);
    }
    assert_string_equal(
        words, "50 % of the area cut off, the rest anywhere; two lines of bold outlined capitals of 15 % "
               "of the height each, any place and colour; colour cast: channels times 1 ± 0.35; JPEG of "
               "quality 15");
    assert_true(looks_attacks[looks_attack_count - 1].combined);
}

/* ---- the attacks ---- */

static void an_attack_is_the_same_with_the_same_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < looks_attack_count; i++) {
        struct cf_image whole = picture(), a = attacked(&looks_attacks[i], 1),
                        b = attacked(&looks_attacks[i], 1), other = attacked(&looks_attacks[i], 2);
        enum looks_act act = looks_attacks[i].steps[0].act;
        bool drawn = act != LOOKS_JPEG && act != LOOKS_CENTRE && act != LOOKS_BLUR && act != LOOKS_GREY;
        assert_true(same(&a, &b));
        assert_false(same(&a, &whole));
        assert_int_equal(same(&a, &other), !drawn);
        cf_image_fini(&whole);
        cf_image_fini(&a);
        cf_image_fini(&b);
        cf_image_fini(&other);
    }
}

static void sizes_are_what_the_table_says(void **state)
{
    static const struct {
        const char *name;
        uint32_t width, height;
    } cases[] = {
        {"JPEG 10", WIDTH, HEIGHT}, {"middle of 50 %", 85, 64}, {"crop 50 %", 85, 64},
        {"crop 10 %", 114, 85},     {"border", 140, 110},       {"sticker", WIDTH, HEIGHT},
        {"blur", WIDTH, HEIGHT},    {"turn", WIDTH, HEIGHT},    {"cast", WIDTH, HEIGHT},
        {"grey", WIDTH, HEIGHT},    {"shift", WIDTH, HEIGHT},   {"hardest", 85, 64},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cf_image image = attacked(attack_of(cases[i].name), 3);
        assert_int_equal(image.width, cases[i].width);
        assert_int_equal(image.height, cases[i].height);
        cf_image_fini(&image);
    }
}

static void a_crop_is_a_window_of_the_picture(void **state)
{
    struct cf_image whole = picture();
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct cf_image part = attacked(attack_of(seed ? "crop 50 %" : "middle of 50 %"), seed);
        size_t found = 0;
        for (uint32_t y = 0; y + part.height <= HEIGHT; y++)
            for (uint32_t x = 0; x + part.width <= WIDTH; x++) {
                bool equal = true;
                for (uint32_t row = 0; equal && row < part.height; row++)
                    equal =
                        memcmp(part.rgb + (size_t)row * part.width * 3,
                               whole.rgb + ((size_t)(y + row) * WIDTH + x) * 3, (size_t)part.width * 3) == 0;
                found += equal;
                assert_true(!equal || seed || (x == 17 && y == 13));
            }
        assert_int_equal(found, 1);
        cf_image_fini(&part);
    }
    cf_image_fini(&whole);
}

static void a_border_leaves_the_picture_within_it(void **state)
{
    struct cf_image whole = picture(), framed = attacked(attack_of("border"), 5);
    (void)state;
    for (uint32_t y = 0; y < framed.height; y++)
        for (uint32_t x = 0; x < framed.width; x++) {
            bool inside = x >= 10 && y >= 10 && x < 10 + WIDTH && y < 10 + HEIGHT;
            const uint8_t *expected = inside ? whole.rgb + ((y - 10) * WIDTH + x - 10) * 3 : framed.rgb;
            assert_memory_equal(framed.rgb + (y * framed.width + x) * 3, expected, 3);
        }
    cf_image_fini(&whole);
    cf_image_fini(&framed);
}

static void what_is_painted_covers_its_share(void **state)
{
    static const struct {
        const char *name;
        double low, high;
    } cases[] = {
        {"sticker", .05, .062}, /* pi / 4 * (.3 * 90)^2 of 120 x 90 is .053, and its edge */
        {"text", .01, .1},
        {"bold text", .04, .2},
    };
    struct cf_image whole = picture();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint64_t seed = 1; seed < 6; seed++) {
            struct cf_image image = attacked(attack_of(cases[i].name), seed);
            double share = changed(&whole, &image);
            assert_true(share > cases[i].low && share < cases[i].high);
            cf_image_fini(&image);
        }
    cf_image_fini(&whole);
}

static void lower_quality_is_farther(void **state)
{
    static const char *const names[] = {"JPEG 50", "JPEG 30", "JPEG 20", "JPEG 10"};
    struct cf_image whole = picture();
    double before = 0;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct cf_image image = attacked(attack_of(names[i]), 1);
        double apart = mean_square(&whole, &image);
        assert_true(apart > before);
        before = apart;
        cf_image_fini(&image);
    }
    cf_image_fini(&whole);
}

static void grey_has_three_equal_channels_and_a_cast_has_not(void **state)
{
    struct cf_image whole = picture(), grey = attacked(attack_of("grey"), 1),
                    cast = attacked(attack_of("cast"), 1);
    double means[3] = {0}, ratios[3];
    (void)state;
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++) {
        const uint8_t *from = whole.rgb + i * 3, *to = grey.rgb + i * 3;
        assert_true(to[0] == to[1] && to[1] == to[2]);
        assert_true(fabs(to[0] - (.299 * from[0] + .587 * from[1] + .114 * from[2])) <= .5);
    }
    for (size_t i = 0; i < bytes_of(&whole); i++)
        means[i % 3] += whole.rgb[i];
    for (size_t c = 0; c < 3; c++) {
        double sum = 0;
        for (size_t i = c; i < bytes_of(&cast); i += 3)
            sum += cast.rgb[i];
        ratios[c] = sum / means[c];
    }
    double low = fmin(ratios[0], fmin(ratios[1], ratios[2])),
           high = fmax(ratios[0], fmax(ratios[1], ratios[2]));
    assert_true(low < .67 && low > .63);
    assert_true(high > 1.2 && high < 1.37); /* what is over 255 is cut */
    cf_image_fini(&whole);
    cf_image_fini(&grey);
    cf_image_fini(&cast);
}

/* A white square on black, so that places can be told. */
static struct cf_image square(void)
{
    struct cf_image image = {.width = 60, .height = 60, .rgb = calloc(60 * 60, 3)};
    assert_non_null(image.rgb);
    for (uint32_t y = 20; y < 40; y++)
        memset(image.rgb + (y * 60 + 20) * 3, 255, 20 * 3);
    return image;
}

static void a_blur_spreads_and_keeps_the_light(void **state)
{
    struct cf_image image = square();
    double before = 20 * 20 * 255., after = 0;
    (void)state;
    assert_int_equal(looks_blur(&image, .05), CF_OK);
    for (size_t i = 0; i < (size_t)60 * 60; i++)
        after += image.rgb[i * 3];
    assert_true(fabs(after - before) < .01 * before);
    assert_int_equal(image.rgb[(30 * 60 + 30) * 3], 255);
    assert_in_range(image.rgb[(30 * 60 + 20) * 3], 130, 160); /* sigma 3: half a pixel within the edge, .57 */
    assert_in_range(image.rgb[(20 * 60 + 20) * 3], 70, 100);
    cf_image_fini(&image);
}

static void a_turn_keeps_the_middle_and_moves_the_edge(void **state)
{
    struct cf_image image = square();
    struct cf_rng rng = cf_rng(1);
    (void)state;
    assert_int_equal(looks_turn(&image, 45, &rng), CF_OK);
    assert_int_equal(image.rgb[(30 * 60 + 30) * 3], 255);
    assert_int_equal(image.rgb[(22 * 60 + 22) * 3], 0);   /* the square's corner has left, */
    assert_int_equal(image.rgb[(30 * 60 + 18) * 3], 255); /* for beyond the middle of its edge */
    cf_image_fini(&image);
}

static void a_shift_moves_by_its_share(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct cf_image image = square();
        struct cf_rng rng = cf_rng(seed);
        size_t white = 0;
        assert_int_equal(looks_shift(&image, .1, &rng), CF_OK);
        bool right = image.rgb[(30 * 60 + 45) * 3] == 255, lower = image.rgb[(45 * 60 + 30) * 3] == 255;
        uint32_t left = right ? 26 : 14, top = lower ? 26 : 14;
        for (uint32_t y = top; y < top + 20; y++)
            for (uint32_t x = left; x < left + 20; x++)
                white += image.rgb[(y * 60 + x) * 3] == 255;
        assert_int_equal(white, 400);
        cf_image_fini(&image);
    }
}

/* ---- the scores ---- */

static void one_ranking_over_all_queries(void **state)
{
    struct looks_hit hits[] = {{3, true}, {1, true}, {2, false}, {4, false}};
    struct looks_hit tied[] = {{1, true}, {1, false}, {2, true}};
    (void)state;
    assert_true(fabs(looks_uap(hits, 4, 2) - (1. + 2. / 3) / 2) < 1e-12);
    assert_true(fabs(looks_uap(hits, 4, 4) - (1. + 2. / 3) / 4) <
                1e-12); /* two queries found nothing right */
    assert_true(fabs(looks_uap(tied, 3, 2) - (1. / 2 + 2. / 3) / 2) < 1e-12);
    assert_true(looks_uap(NULL, 0, 3) == 0);
    assert_true(looks_uap(NULL, 0, 0) == 0);
}

static void the_auc_is_the_mean_over_labels(void **state)
{
    /* Label 0: items 0 and 1 against 2 and 3: .9 beats both, .2 ties with .2 and loses to .4: 2.5 of 4.
     * Label 1: items 2 and 3 against 0 and 1: .8 beats both, .6 beats .1 and ties with .6: 3.5 of 4. */
    static const double scores[] = {.9, .1, 0, .2, .6, 0, .2, .8, 0, .4, .6, 0};
    static const size_t labels[] = {0, 0, 1, 1}, alike[] = {1, 1, 1, 1};
    (void)state;
    assert_true(fabs(looks_mean_auc(scores, labels, 4, 3) - (2.5 + 3.5) / 8) < 1e-12);
    assert_true(isnan(looks_mean_auc(scores, alike, 4, 3)));
    assert_true(isnan(looks_mean_auc(scores, labels, 0, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_names_each_attack_once_and_tells_its_amounts),
        cmocka_unit_test(an_attack_is_the_same_with_the_same_numbers),
        cmocka_unit_test(sizes_are_what_the_table_says),
        cmocka_unit_test(a_crop_is_a_window_of_the_picture),
        cmocka_unit_test(a_border_leaves_the_picture_within_it),
        cmocka_unit_test(what_is_painted_covers_its_share),
        cmocka_unit_test(lower_quality_is_farther),
        cmocka_unit_test(grey_has_three_equal_channels_and_a_cast_has_not),
        cmocka_unit_test(a_blur_spreads_and_keeps_the_light),
        cmocka_unit_test(a_turn_keeps_the_middle_and_moves_the_edge),
        cmocka_unit_test(a_shift_moves_by_its_share),
        cmocka_unit_test(one_ranking_over_all_queries),
        cmocka_unit_test(the_auc_is_the_mean_over_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
