/* The GIST descriptor: Oliva and Torralba, "Modeling the shape of the scene", IJCV 2001, in the colour form
 * of Douze, Jégou, Sandhawalia, Amsaleg and Schmid, "Evaluation of GIST descriptors for web-scale image
 * search", CIVR 2009: three channels, three scales of 8, 8 and 4 orientations, 4x4 blocks. Equal to the
 * published implementation within 5e-6 * max(1, largest value), at any size from 8x8, odd and non-square ones
 * with its peculiarities (gist.c names them). Values of different picture sizes do not compare. Not
 * normalised; zero or nearly so for a constant picture. */
#ifndef CF_DESCRIPTOR_GIST_H
#define CF_DESCRIPTOR_GIST_H

#include <stdint.h>

#include "common/base/err.h"

enum {
    CF_GIST_SIDE_MIN = 8,
    CF_GIST_SIDE_MAX = 8192,
    CF_GIST_FILTERS = 20,
    CF_GIST_BLOCKS = 4,
    CF_GIST_DIM = 3 * CF_GIST_FILTERS * CF_GIST_BLOCKS * CF_GIST_BLOCKS,
};

/* Plans, tables and scratch of one picture size and one thread. */
struct cf_gist;

/* NULL when memory is short. Sides within the limits above. */
struct cf_gist *cf_gist_new(uint32_t width, uint32_t height);
void cf_gist_free(struct cf_gist *gist); /* takes NULL */

/* width * height RGB pixels to CF_GIST_DIM values. Never fails; values are finite. */
void cf_gist(struct cf_gist *gist, const uint8_t *rgb, float out[CF_GIST_DIM]);

/* The transfer function of filter 0 to 19 at integer or half-integer frequencies, cycles a picture. */
double cf_gist_gabor(uint32_t filter, double fx, double fy, uint32_t width, uint32_t height);

/* The frequency of bin m of n: m counted from -n/2; of an odd n half a bin further, as the published numbers
 * have it. */
double cf_gist_frequency(uint32_t m, uint32_t n);

/* Gain of the low-pass of the prefilter at (fx, fy) cycles a padded picture. */
double cf_gist_low_pass(double fx, double fy);

/* Where the block edges lie: floor(i * side / 4). */
static inline uint32_t cf_gist_edge(uint32_t i, uint32_t side)
{
    return (uint32_t)((uint64_t)i * side / CF_GIST_BLOCKS);
}

#endif
