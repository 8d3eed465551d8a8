#include "common/descriptor/gist_plain.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include <kiss_fftnd.h>

/* Two peculiarities of the published numbers are kept. A non-square picture of width W and height H is stored
 * as H rows of W, but transformed as W rows of H over the same memory, and the filters, laid out as H rows of
 * W, meet that spectrum element by element. And the filters of an odd side sit half a bin off
 * (cf_gist_frequency). */

enum { BORDER = 5, TABLE_PIXELS_MAX = 1 << 17 };

struct cf_gist_plain {
    uint32_t width, height; /* of the picture */
    uint32_t padded_width, padded_height;
    size_t pixels, padded_pixels;
    kiss_fftnd_cfg forward, backward, padded_forward, padded_backward;
    float *low_pass; /* padded, over the number of pixels */
    float *gabor;    /* all filters, or room for one when the picture is large; over the number of pixels */
    bool tabled;
    float *channels;                           /* 3 padded planes, later 3 planes */
    kiss_fft_cpx *signal, *spectrum, *product; /* padded_pixels, 3 * pixels, padded_pixels */
};

static kiss_fftnd_cfg plan(uint32_t width, uint32_t height, int backward)
{
    int dims[2] = {(int)width, (int)height};
    return kiss_fftnd_alloc(dims, 2, backward, NULL, NULL);
}

static void fill_low_pass(struct cf_gist_plain *g)
{
    uint32_t width = g->padded_width, height = g->padded_height;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            g->low_pass[(size_t)y * width + x] =
                (float)(cf_gist_low_pass(cf_gist_frequency(x, width), cf_gist_frequency(y, height)) /
                        (double)g->padded_pixels);
}

static void fill_gabor(const struct cf_gist_plain *g, uint32_t filter, float *table)
{
    for (uint32_t y = 0; y < g->height; y++)
        for (uint32_t x = 0; x < g->width; x++)
            *table++ = (float)(cf_gist_gabor(filter, cf_gist_frequency(x, g->width),
                                             cf_gist_frequency(y, g->height), g->width, g->height) /
                               (double)g->pixels);
}

static const float *gabor(struct cf_gist_plain *g, uint32_t filter)
{
    if (g->tabled)
        return g->gabor + filter * g->pixels;
    fill_gabor(g, filter, g->gabor);
    return g->gabor;
}

struct cf_gist_plain *cf_gist_plain_new(uint32_t width, uint32_t height)
{
    struct cf_gist_plain *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->width = width;
    g->height = height;
    g->padded_width = width + 2 * BORDER;
    g->padded_height = height + 2 * BORDER;
    g->pixels = (size_t)width * height;
    g->padded_pixels = (size_t)g->padded_width * g->padded_height;
    g->tabled = g->pixels <= TABLE_PIXELS_MAX;
    g->forward = plan(width, height, 0);
    g->backward = plan(width, height, 1);
    g->padded_forward = plan(g->padded_width, g->padded_height, 0);
    g->padded_backward = plan(g->padded_width, g->padded_height, 1);
    g->low_pass = malloc(g->padded_pixels * sizeof *g->low_pass);
    g->gabor = malloc((g->tabled ? CF_GIST_FILTERS : 1) * g->pixels * sizeof *g->gabor);
    g->channels = malloc(3 * g->padded_pixels * sizeof *g->channels);
    g->signal = malloc(g->padded_pixels * sizeof *g->signal);
    g->spectrum = malloc(3 * g->pixels * sizeof *g->spectrum);
    g->product = malloc(g->padded_pixels * sizeof *g->product);
    if (!g->forward || !g->backward || !g->padded_forward || !g->padded_backward || !g->low_pass ||
        !g->gabor || !g->channels || !g->signal || !g->spectrum || !g->product) {
        cf_gist_plain_free(g);
        return NULL;
    }
    fill_low_pass(g);
    for (uint32_t filter = 0; g->tabled && filter < CF_GIST_FILTERS; filter++)
        fill_gabor(g, filter, g->gabor + filter * g->pixels);
    return g;
}

void cf_gist_plain_free(struct cf_gist_plain *g)
{
    if (!g)
        return;
    kiss_fft_free(g->forward);
    kiss_fft_free(g->backward);
    kiss_fft_free(g->padded_forward);
    kiss_fft_free(g->padded_backward);
    free(g->low_pass);
    free(g->gabor);
    free(g->channels);
    free(g->signal);
    free(g->spectrum);
    free(g->product);
    free(g);
}

/* The pixel that padded position `i` shows: mirrored at the edges, the edge pixel repeated. */
static uint32_t mirrored(uint32_t i, uint32_t side)
{
    if (i < BORDER)
        return BORDER - 1 - i;
    return i < side + BORDER ? i - BORDER : 2 * side + BORDER - 1 - i;
}

static void load_padded(struct cf_gist_plain *g, const uint8_t *rgb)
{
    float logs[256];
    for (int v = 0; v < 256; v++)
        logs[v] = (float)log(v + 1.0);
    float *out = g->channels;
    for (uint32_t y = 0; y < g->padded_height; y++)
        for (uint32_t x = 0; x < g->padded_width; x++, out++) {
            const uint8_t *p = rgb + ((size_t)mirrored(y, g->height) * g->width + mirrored(x, g->width)) * 3;
            for (size_t c = 0; c < 3; c++)
                out[c * g->padded_pixels] = logs[p[c]];
        }
}

/* `signal`, real, to its low-passed self in `product`. */
static void low_pass(struct cf_gist_plain *g)
{
    kiss_fftnd(g->padded_forward, g->signal, g->product);
    for (size_t i = 0; i < g->padded_pixels; i++) {
        g->signal[i].r = g->product[i].r * g->low_pass[i];
        g->signal[i].i = g->product[i].i * g->low_pass[i];
    }
    kiss_fftnd(g->padded_backward, g->signal, g->product);
}

/* High-pass, then contrast evened out by one local measure for the three channels. */
static void prefilter(struct cf_gist_plain *g)
{
    for (size_t c = 0; c < 3; c++) {
        float *channel = g->channels + c * g->padded_pixels;
        for (size_t i = 0; i < g->padded_pixels; i++)
            g->signal[i] = (kiss_fft_cpx){channel[i], 0};
        low_pass(g);
        for (size_t i = 0; i < g->padded_pixels; i++)
            channel[i] -= g->product[i].r;
    }
    const float *r = g->channels, *gr = r + g->padded_pixels, *b = gr + g->padded_pixels;
    for (size_t i = 0; i < g->padded_pixels; i++) {
        float mean = (r[i] + gr[i] + b[i]) / 3;
        g->signal[i] = (kiss_fft_cpx){mean * mean, 0};
    }
    low_pass(g);
    for (size_t i = 0; i < g->padded_pixels; i++) {
        float scale = 1 / (0.2f + sqrtf(hypotf(g->product[i].r, g->product[i].i)));
        for (size_t c = 0; c < 3; c++)
            g->channels[c * g->padded_pixels + i] *= scale;
    }
}

/* The spectrum of channel `c` without its border. */
static void transform(struct cf_gist_plain *g, size_t c)
{
    kiss_fft_cpx *out = g->signal;
    for (uint32_t y = 0; y < g->height; y++) {
        const float *row =
            g->channels + c * g->padded_pixels + (size_t)(y + BORDER) * g->padded_width + BORDER;
        for (uint32_t x = 0; x < g->width; x++)
            *out++ = (kiss_fft_cpx){row[x], 0};
    }
    kiss_fftnd(g->forward, g->signal, g->spectrum + c * g->pixels);
}

static void block_means(const struct cf_gist_plain *g, const kiss_fft_cpx *response, float *out)
{
    for (uint32_t bx = 0; bx < CF_GIST_BLOCKS; bx++)
        for (uint32_t by = 0; by < CF_GIST_BLOCKS; by++) {
            uint32_t left = cf_gist_edge(bx, g->width), right = cf_gist_edge(bx + 1, g->width);
            uint32_t top = cf_gist_edge(by, g->height), bottom = cf_gist_edge(by + 1, g->height);
            double sum = 0;
            for (uint32_t y = top; y < bottom; y++)
                for (uint32_t x = left; x < right; x++) {
                    kiss_fft_cpx v = response[(size_t)y * g->width + x];
                    sum += sqrtf(v.r * v.r + v.i * v.i);
                }
            out[bx * CF_GIST_BLOCKS + by] = (float)(sum / ((double)(right - left) * (bottom - top)));
        }
}

void cf_gist_plain(struct cf_gist_plain *g, const uint8_t *rgb, float out[CF_GIST_DIM])
{
    enum { BLOCKS = CF_GIST_BLOCKS * CF_GIST_BLOCKS };
    load_padded(g, rgb);
    prefilter(g);
    for (size_t c = 0; c < 3; c++)
        transform(g, c);
    for (uint32_t filter = 0; filter < CF_GIST_FILTERS; filter++) {
        const float *table = gabor(g, filter);
        for (size_t c = 0; c < 3; c++) {
            const kiss_fft_cpx *spectrum = g->spectrum + c * g->pixels;
            for (size_t i = 0; i < g->pixels; i++)
                g->signal[i] = (kiss_fft_cpx){spectrum[i].r * table[i], spectrum[i].i * table[i]};
            kiss_fftnd(g->backward, g->signal, g->product);
            block_means(g, g->product, out + (c * CF_GIST_FILTERS + filter) * BLOCKS);
        }
    }
}
