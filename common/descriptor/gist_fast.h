/* GIST of square pictures of 32 or 64 pixels, fast: within 1e-6 of the plain way.
 *
 * - The logarithm is a table of 256.
 * - The low-pass of the padded picture is separable and its kernel short: two convolutions with some forty
 * taps, columns side by side in the lanes of a vector.
 * - The one-sided filters are negligible outside a window of the spectrum. Only the window is multiplied and
 * transformed; that it then begins at frequency zero shifts phases, which the magnitude does not see. When
 * the window is narrower across than down, the transposed spectrum is taken, as the second pass always costs
 * the full width.
 * - Transforms are 8 x 8 or 8 x 4 butterflies over many columns at once; those of the second pass end in
 * magnitudes and block sums, nothing is stored. All scale factors sit in the filters. */
#ifndef CF_DESCRIPTOR_GIST_FAST_H
#define CF_DESCRIPTOR_GIST_FAST_H

#include <stdbool.h>

#include "common/base/cpu.h"
#include "common/descriptor/gist.h"

enum {
    CF_GIST_BORDER = 5,
    CF_GIST_FAST_SIDE_MAX = 64,
    CF_GIST_ROWS_AT_ONCE = 4, /* of a convolution */
    CF_GIST_TAPS_MAX = 64,
};

/* Where a filter is not negligible, in a spectrum whose rows and columns count up from -side/2. */
struct cf_gist_window {
    bool transposed;
    uint32_t row, row_count; /* a multiple of side / 8 */
    uint32_t column, column_count;
    uint32_t column_stride; /* column_count filled up to whole vectors; column + column_stride <= side */
    float *gains;           /* row_count x column_stride, over side^2 and the pixels of a block */
};

struct cf_gist_tables {
    uint32_t side, padded, stride; /* 64, 74, 80 or 32, 42, 48: stride is whole vectors at every level */
    uint32_t radius;               /* of the low-pass kernel */
    /* 2 * radius + 1 taps between zeros enough for CF_GIST_ROWS_AT_ONCE shifted copies. */
    float taps[CF_GIST_TAPS_MAX];
    float logs[256];
    float twiddle_re[64], twiddle_im[64]; /* e^(2 pi i n k / side), n < side / 8 slow, k < 8 fast */
    struct cf_gist_window windows[CF_GIST_FILTERS];
};

/* Working memory, as floats; see gist_lanes.inc. */
struct cf_gist_scratch {
    float *channels[3]; /* padded, CF_GIST_FAST rows and stride */
    float *extended, *turned, *smooth;
    float *cropped;    /* side x side */
    float *spectra[2]; /* as is and transposed: 3 channels of real and imaginary plane */
    float *columns, *lines, *butterflies;
    void *block;
};

typedef void cf_gist_kernel(const struct cf_gist_tables *tables, struct cf_gist_scratch *scratch,
                            const uint8_t *rgb, float out[CF_GIST_DIM]);

/* One a vector width: 4 lanes of the compiler's own making for any machine, 8, 16. */
cf_gist_kernel cf_gist_f32_scalar;
#if defined(__x86_64__)
cf_gist_kernel cf_gist_f32_avx2, cf_gist_f32_avx512;
#endif

struct cf_gist_fast;

bool cf_gist_fast_takes(uint32_t width, uint32_t height);
/* The level is the one in force now. NULL when memory is short. */
struct cf_gist_fast *cf_gist_fast_new(uint32_t side);
void cf_gist_fast_free(struct cf_gist_fast *gist); /* takes NULL */
void cf_gist_fast(struct cf_gist_fast *gist, const uint8_t *rgb, float out[CF_GIST_DIM]);

#endif
