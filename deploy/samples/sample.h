/* Drawn covers in a dozen recognisable styles, for trying a fleet without owning any. Pure: the same seed and
 * number give the same picture and the same words on every machine, whatever else is drawn. */
#ifndef CF_SAMPLES_SAMPLE_H
#define CF_SAMPLES_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

enum {
    CF_SAMPLE_SIDE = 128,
    CF_SAMPLE_BYTES = 128 * 128 * 3,
    CF_SAMPLE_STYLES = 12,
    CF_SAMPLE_TEXT_MAX = 48
};

struct cf_sample {
    const char *style;              /* "disc", … */
    char album[CF_SAMPLE_TEXT_MAX]; /* "disc-0007" */
    char artist[CF_SAMPLE_TEXT_MAX];
    char title[CF_SAMPLE_TEXT_MAX];
};

/* Styles take turns: number 0 is a disc, 12 the next one. */
void cf_sample_words(uint64_t seed, size_t number, struct cf_sample *sample);
/* 8-bit RGB, row by row. */
void cf_sample_draw(uint64_t seed, size_t number, uint8_t rgb[CF_SAMPLE_BYTES]);

#endif
