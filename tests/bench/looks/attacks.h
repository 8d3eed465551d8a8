/* What is done to a cover before the fleet is asked for it: the table of attacks, and one of them carried
 * out.
 *
 * A step has one amount, which the table gives; its place, sign and colour are drawn. Everything drawn comes
 * from the given numbers, so an attack of the same picture with the same numbers gives the same pixels (text
 * is drawn by cairo in the machine's own sans-serif). Steps work on the picture at its own size and cut or
 * lengthen it; they go in order. Any thread. */
#ifndef CF_BENCH_LOOKS_ATTACKS_H
#define CF_BENCH_LOOKS_ATTACKS_H

#include "common/base/rng.h"
#include "common/image/image.h"

enum looks_act {
    LOOKS_NOTHING, /* the end of the steps */
    LOOKS_JPEG,    /* compressed with this quality and decoded again */
    LOOKS_CENTRE,  /* this share of the area is cut off, the middle stays; the aspect is kept */
    LOOKS_CROP,    /* the same, and what stays lies anywhere */
    LOOKS_BORDER,  /* a frame of one colour around it, of this share of the longer side at each side */
    LOOKS_STICKER, /* a disc of one colour with a ring, its diameter this share of the shorter side */
    LOOKS_BLUR,    /* Gaussian, sigma this share of the longer side */
    LOOKS_TURN,    /* by so many degrees, either way, about the middle; corners get one colour */
    LOOKS_CAST,    /* each channel times 1 ± up to this, one of them up and another one down by all of it */
    LOOKS_GREY,    /* luma of Rec. 601 in each channel */
    LOOKS_TEXT, /* a line of text of this share of the height, but no wider than the picture, in one colour */
    LOOKS_BOLD, /* the same in bold capitals, two lines, outlined */
    LOOKS_SHIFT, /* moved by this share of each side, either way; what is uncovered gets one colour */
};

enum { LOOKS_STEPS_MAX = 6, LOOKS_WORDS_MAX = 320 };

struct looks_attack {
    const char *name;
    bool combined; /* several steps: does not count in the mean over single attacks */
    struct looks_step {
        enum looks_act act;
        double amount;
    } steps[LOOKS_STEPS_MAX];
};

extern const struct looks_attack looks_attacks[];
extern const size_t looks_attack_count; /* the last one is the hardest */

/* The steps with their amounts, as a sentence for the table: "border of 15 %, JPEG of quality 30". */
void looks_attack_words(const struct looks_attack *attack, char words[LOOKS_WORDS_MAX]);

/* In place; the image is the caller's before and after. CF_E_NO_MEMORY. */
enum cf_err looks_attack(const struct looks_attack *attack, struct cf_rng *rng, struct cf_image *image,
                         struct cf_detail *detail) CF_MUST_CHECK;

#endif
