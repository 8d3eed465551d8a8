#include "tests/bench/looks/attacks.h"

#include <stdio.h>

#include "tests/bench/looks/pixels.h"

const struct looks_attack looks_attacks[] = {
    {"JPEG 50", false, {{LOOKS_JPEG, 50}}},
    {"JPEG 30", false, {{LOOKS_JPEG, 30}}},
    {"JPEG 20", false, {{LOOKS_JPEG, 20}}},
    {"JPEG 10", false, {{LOOKS_JPEG, 10}}},
    {"middle of 90 %", false, {{LOOKS_CENTRE, .1}}},
    {"middle of 80 %", false, {{LOOKS_CENTRE, .2}}},
    {"middle of 70 %", false, {{LOOKS_CENTRE, .3}}},
    {"middle of 50 %", false, {{LOOKS_CENTRE, .5}}},
    {"crop 10 %", false, {{LOOKS_CROP, .1}}},
    {"crop 20 %", false, {{LOOKS_CROP, .2}}},
    {"crop 30 %", false, {{LOOKS_CROP, .3}}},
    {"crop 50 %", false, {{LOOKS_CROP, .5}}},
    {"border", false, {{LOOKS_BORDER, .08}}},
    {"sticker", false, {{LOOKS_STICKER, .3}}},
    {"blur", false, {{LOOKS_BLUR, .02}}},
    {"turn", false, {{LOOKS_TURN, 5}}},
    {"cast", false, {{LOOKS_CAST, .35}}},
    {"grey", false, {{LOOKS_GREY, 0}}},
    {"text", false, {{LOOKS_TEXT, .12}}},
    {"bold text", false, {{LOOKS_BOLD, .15}}},
    {"shift", false, {{LOOKS_SHIFT, .1}}},
    {"photo", true, {{LOOKS_TURN, 4}, {LOOKS_CAST, .2}, {LOOKS_BLUR, .01}, {LOOKS_JPEG, 40}}},
    {"shop", true, {{LOOKS_BORDER, .05}, {LOOKS_STICKER, .25}, {LOOKS_TEXT, .12}, {LOOKS_JPEG, 30}}},
    {"reprint", true, {{LOOKS_CROP, .3}, {LOOKS_GREY, 0}, {LOOKS_TEXT, .12}, {LOOKS_JPEG, 20}}},
    {"hard", true, {{LOOKS_CROP, .3}, {LOOKS_BOLD, .15}, {LOOKS_CAST, .35}, {LOOKS_JPEG, 10}}},
    {"hardest", true, {{LOOKS_CROP, .5}, {LOOKS_BOLD, .15}, {LOOKS_CAST, .35}, {LOOKS_JPEG, 15}}},
};
const size_t looks_attack_count = sizeof looks_attacks / sizeof looks_attacks[0];

/* ---- in words ---- */

static const struct {
    const char *format; /* of the amount times `times` */
    double times;
} words_of[] = {
    [LOOKS_JPEG] = {"JPEG of quality %g", 1},
    [LOOKS_CENTRE] = {"%g %% of the area cut off around the middle", 100},
    [LOOKS_CROP] = {"%g %% of the area cut off, the rest anywhere", 100},
    [LOOKS_BORDER] = {"border of %g %% of the longer side, any colour", 100},
    [LOOKS_STICKER] = {"disc of %g %% of the shorter side, any place and colour", 100},
    [LOOKS_BLUR] = {"Gaussian blur, sigma %g %% of the longer side", 100},
    [LOOKS_TURN] = {"turned by %g degrees either way, corners of any colour", 1},
    [LOOKS_CAST] = {"colour cast: channels times 1 ± %g", 1},
    [LOOKS_GREY] = {"grey", 0},
    [LOOKS_TEXT] = {"a line of text of %g %% of the height, any place and colour", 100},
    [LOOKS_BOLD] = {"two lines of bold outlined capitals of %g %% of the height each, any place and colour",
                    100},
    [LOOKS_SHIFT] = {"moved by %g %% of both sides, the gap of any colour", 100},
};

void looks_attack_words(const struct looks_attack *attack, char words[LOOKS_WORDS_MAX])
{
    size_t len = 0;
    words[0] = '\0';
    for (size_t i = 0; i < LOOKS_STEPS_MAX && attack->steps[i].act != LOOKS_NOTHING; i++) {
        const struct looks_step *step = &attack->steps[i];
        char one[LOOKS_WORDS_MAX];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* out of the table above */
        snprintf(one, sizeof one, words_of[step->act].format, step->amount * words_of[step->act].times);
#pragma GCC diagnostic pop
        int more = snprintf(words + len, LOOKS_WORDS_MAX - len, "%s%s", i ? "; " : "", one);
        len += (size_t)more < LOOKS_WORDS_MAX - len ? (size_t)more : LOOKS_WORDS_MAX - len - 1;
    }
}

/* ---- carried out ---- */

static enum cf_err carry_out(const struct looks_step *step, struct cf_rng *rng, struct cf_image *image)
{
    switch (step->act) {
    case LOOKS_NOTHING:
        break;
    case LOOKS_JPEG:
        return looks_jpeg(image, (int)step->amount);
    case LOOKS_CENTRE:
    case LOOKS_CROP:
        return looks_crop(image, step->amount, step->act == LOOKS_CENTRE, rng);
    case LOOKS_BORDER:
        return looks_border(image, step->amount, rng);
    case LOOKS_STICKER:
        return looks_sticker(image, step->amount, rng);
    case LOOKS_BLUR:
        return looks_blur(image, step->amount);
    case LOOKS_TURN:
        return looks_turn(image, step->amount, rng);
    case LOOKS_CAST:
        looks_cast(image, step->amount, rng);
        break;
    case LOOKS_GREY:
        looks_grey(image);
        break;
    case LOOKS_TEXT:
    case LOOKS_BOLD:
        return looks_text(image, step->amount, step->act == LOOKS_BOLD, rng);
    case LOOKS_SHIFT:
        return looks_shift(image, step->amount, rng);
    }
    return CF_OK;
}

enum cf_err looks_attack(const struct looks_attack *attack, struct cf_rng *rng, struct cf_image *image,
                         struct cf_detail *detail)
{
    for (size_t i = 0; i < LOOKS_STEPS_MAX; i++)
        if (carry_out(&attack->steps[i], rng, image) != CF_OK)
            return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the attack \"%s\" on %u x %u pixels",
                           attack->name, image->width, image->height);
    return CF_OK;
}
