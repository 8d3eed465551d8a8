#include "common/descriptor/gist_fast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Gains under this are left out. By Parseval the root mean square of what is lost in a response is under the
 * threshold times the contrast of the picture, of the order of 1. */
#define GAIN_MIN 1e-6
/* As much of the low-pass kernel's weight may lie outside its taps. */
#define TAPS_LOST_MAX 5e-8

struct cf_gist_fast {
    struct cf_gist_tables tables;
    struct cf_gist_scratch scratch;
    cf_gist_kernel *kernel;
};

static const double pi = 3.14159265358979323846;

bool cf_gist_fast_takes(uint32_t width, uint32_t height)
{
    return width == height && (width == 32 || width == 64);
}

static uint32_t choose_kernel(struct cf_gist_fast *g)
{
    g->kernel = cf_gist_f32_scalar;
#if defined(__x86_64__)
    if (cf_cpu_simd() == CF_SIMD_AVX512) {
        g->kernel = cf_gist_f32_avx512;
        return 16;
    }
    if (cf_cpu_simd() == CF_SIMD_AVX2) {
        g->kernel = cf_gist_f32_avx2;
        return 8;
    }
#endif
    return 4;
}

/* The low-pass in space: tap d is the mean of gain(f) cos(2 pi f d / n) over the bins f of n. */
static double tap(uint32_t d, uint32_t n)
{
    double sum = 0;
    for (uint32_t m = 0; m < n; m++)
        sum += cf_gist_low_pass(cf_gist_frequency(m, n), 0) * cos(2 * pi * m * d / n);
    return sum / n;
}

static void make_taps(struct cf_gist_tables *t)
{
    double weight = tap(0, t->padded);
    t->radius = 0;
    while (weight < 1 - TAPS_LOST_MAX)
        weight += 2 * tap(++t->radius, t->padded);
    memset(t->taps, 0, sizeof t->taps);
    CF_CHECK(2 * t->radius + 1 + 2 * (CF_GIST_ROWS_AT_ONCE - 1) <= CF_GIST_TAPS_MAX);
    /* Over the weight kept: what is flat must come out flat. */
    for (uint32_t d = 0; d <= t->radius; d++) {
        float value = (float)(tap(d, t->padded) / weight);
        t->taps[CF_GIST_ROWS_AT_ONCE - 1 + t->radius + d] = value;
        t->taps[CF_GIST_ROWS_AT_ONCE - 1 + t->radius - d] = value;
    }
}

/* Gain of a filter at row and column of the spectrum, or of the transposed one. */
static double gain(const struct cf_gist_tables *t, uint32_t filter, bool transposed, uint32_t row,
                   uint32_t column)
{
    double half = t->side / 2, down = row - half, across = column - half;
    return cf_gist_gabor(filter, transposed ? down : across, transposed ? across : down, t->side, t->side);
}

struct range {
    uint32_t first, last;
};

static void widen(struct range *range, uint32_t at)
{
    range->first = at < range->first ? at : range->first;
    range->last = at > range->last ? at : range->last;
}

static uint32_t whole(uint32_t count, uint32_t unit)
{
    return (count + unit - 1) / unit * unit;
}

static uint32_t at_least(uint32_t low, uint32_t value)
{
    return value > low ? value : low;
}

static uint32_t at_most(uint32_t value, uint32_t high)
{
    return value < high ? value : high;
}

static struct cf_gist_window find_window(const struct cf_gist_tables *t, uint32_t filter, bool transposed,
                                         uint32_t lanes)
{
    struct range rows = {t->side, 0}, columns = {t->side, 0};
    for (uint32_t row = 0; row < t->side; row++)
        for (uint32_t column = 0; column < t->side; column++)
            if (gain(t, filter, transposed, row, column) > GAIN_MIN) {
                widen(&rows, row);
                widen(&columns, column);
            }
    uint32_t step = t->side / 8, half = t->side / 2; /* what the kernels need at least */
    struct cf_gist_window w = {.transposed = transposed};
    w.row_count = at_least(half, whole(rows.last - rows.first + 1, step));
    w.row = at_most(rows.first, t->side - w.row_count);
    w.column_stride = at_least(half, whole(columns.last - columns.first + 1, at_least(lanes, step)));
    w.column = at_most(columns.first, t->side - w.column_stride);
    w.column_count = at_least(half, columns.last - w.column + 1);
    return w;
}

static bool make_window(struct cf_gist_tables *t, uint32_t filter, uint32_t lanes)
{
    struct cf_gist_window w = find_window(t, filter, false, lanes),
                          turned = find_window(t, filter, true, lanes);
    if (turned.column_stride < w.column_stride ||
        (turned.column_stride == w.column_stride && turned.row_count < w.row_count))
        w = turned;
    double block = t->side / CF_GIST_BLOCKS, scale = 1 / ((double)t->side * t->side * block * block);
    float *gains = aligned_alloc(64, whole(w.row_count * w.column_stride * (uint32_t)sizeof *gains, 64));
    if (!gains)
        return false;
    w.gains = gains;
    for (uint32_t row = 0; row < w.row_count; row++)
        for (uint32_t column = 0; column < w.column_stride; column++)
            *gains++ = (float)(gain(t, filter, w.transposed, w.row + row, w.column + column) * scale);
    t->windows[filter] = w;
    return true;
}

static bool make_tables(struct cf_gist_tables *t, uint32_t side, uint32_t lanes)
{
    t->side = side;
    t->padded = side + 2 * CF_GIST_BORDER;
    t->stride = whole(t->padded, 16);
    make_taps(t);
    for (int v = 0; v < 256; v++)
        t->logs[v] = (float)log(v + 1.0);
    for (uint32_t i = 0; i < side; i++) {
        double angle = 2 * pi * (i / 8) * (i % 8) / side;
        t->twiddle_re[i] = (float)cos(angle);
        t->twiddle_im[i] = (float)sin(angle);
    }
    for (uint32_t filter = 0; filter < CF_GIST_FILTERS; filter++)
        if (!make_window(t, filter, lanes))
            return false;
    return true;
}

/* One block, cut into the arrays; zeroed once, so that lanes behind the padded picture are finite for ever.
 */
static bool make_scratch(struct cf_gist_scratch *s, const struct cf_gist_tables *t)
{
    size_t plane = (size_t)t->stride * t->stride, square = (size_t)t->side * t->side;
    size_t extended = (size_t)t->stride * (t->stride + 2 * t->radius);
    float **const arrays[] = {&s->channels[0], &s->channels[1], &s->channels[2], &s->extended,
                              &s->turned,      &s->smooth,      &s->cropped,     &s->spectra[0],
                              &s->spectra[1],  &s->columns,     &s->lines,       &s->butterflies};
    const size_t sizes[] = {
        plane,      plane,      plane,      extended,         plane,           plane, square,
        6 * square, 6 * square, 2 * square, 2 * 16 * t->side, 2 * 16 * t->side};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    size_t total = 0;
    for (size_t i = 0; i < COUNT; i++)
        total += (sizes[i] * sizeof(float) + 63) / 64 * 64;
    char *at = s->block = aligned_alloc(64, total);
    if (!at)
        return false;
    memset(at, 0, total);
    for (size_t i = 0; i < COUNT; i++) {
        *arrays[i] = (float *)(void *)at;
        at += (sizes[i] * sizeof(float) + 63) / 64 * 64;
    }
    return true;
}

struct cf_gist_fast *cf_gist_fast_new(uint32_t side)
{
    struct cf_gist_fast *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    uint32_t lanes = choose_kernel(g);
    if (!make_tables(&g->tables, side, lanes) || !make_scratch(&g->scratch, &g->tables)) {
        cf_gist_fast_free(g);
        return NULL;
    }
    return g;
}

void cf_gist_fast_free(struct cf_gist_fast *g)
{
    if (!g)
        return;
    for (uint32_t filter = 0; filter < CF_GIST_FILTERS; filter++)
        free(g->tables.windows[filter].gains);
    free(g->scratch.block);
    free(g);
}

void cf_gist_fast(struct cf_gist_fast *g, const uint8_t *rgb, float out[CF_GIST_DIM])
{
    g->kernel(&g->tables, &g->scratch, rgb, out);
}
