/* The trunk as it is defined: one loop a dimension, channels innermost so that any compiler makes lanes of
 * them. */
#include <stdlib.h>
#include <string.h>

#include "common/descriptor/covernet_layers.h"

struct cf_covernet_plain {
    const struct cf_covernet_layers *layers;
    float *turned[CF_COVERNET_LAYERS_MAX]; /* [3][3][cin][cout] */
};

static float *turn(const struct cf_covernet_conv *conv)
{
    float *turned = malloc((size_t)conv->cout * conv->cin * 9 * sizeof *turned);
    for (uint32_t o = 0; turned && o < conv->cout; o++)
        for (uint32_t i = 0; i < conv->cin; i++)
            for (uint32_t k = 0; k < 9; k++)
                turned[((size_t)k * conv->cin + i) * conv->cout + o] =
                    conv->weights[((size_t)o * conv->cin + i) * 9 + k];
    return turned;
}

struct cf_covernet_plain *cf_covernet_plain_new(const struct cf_covernet_layers *layers)
{
    struct cf_covernet_plain *plain = calloc(1, sizeof *plain);
    if (!plain)
        return NULL;
    plain->layers = layers;
    for (size_t i = 0; i < layers->conv_count; i++)
        if (!(plain->turned[i] = turn(&layers->convs[i]))) {
            cf_covernet_plain_free(plain);
            return NULL;
        }
    return plain;
}

void cf_covernet_plain_free(struct cf_covernet_plain *plain)
{
    if (!plain)
        return;
    for (size_t i = 0; i < CF_COVERNET_LAYERS_MAX; i++)
        free(plain->turned[i]);
    free(plain);
}

static void add_pixel(const float *pixel, const float *weights, uint32_t cin, uint32_t cout, float *sums)
{
    for (uint32_t i = 0; i < cin; i++)
        for (uint32_t o = 0; o < cout; o++)
            sums[o] += pixel[i] * weights[(size_t)i * cout + o];
}

/* One output pixel; `out` holds what was kept when the layer adds. */
static void convolve_at(const struct cf_covernet_conv *c, const float *turned, const float *in, uint32_t y,
                        uint32_t x, float *out)
{
    float sums[CF_COVERNET_CHANNELS_MAX];
    memcpy(sums, c->bias, c->cout * sizeof *sums);
    for (uint32_t k = 0; k < 9; k++) {
        /* Padded by one: row -1 wraps to a number beyond every side. */
        uint32_t row = y * c->stride + k / 3 - 1, column = x * c->stride + k % 3 - 1;
        if (row < c->side && column < c->side)
            add_pixel(in + ((size_t)row * c->side + column) * c->cin, turned + (size_t)k * c->cin * c->cout,
                      c->cin, c->cout, sums);
    }
    for (uint32_t o = 0; o < c->cout; o++) {
        float sum = c->add ? sums[o] + out[o] : sums[o];
        out[o] = sum > 0 ? sum : 0;
    }
}

void cf_covernet_plain_run(const struct cf_covernet_plain *plain, const float *input, float *buffers[2],
                           const float **output)
{
    const float *in = input;
    float *out = buffers[0];
    for (size_t i = 0; i < plain->layers->conv_count; i++) {
        const struct cf_covernet_conv *c = &plain->layers->convs[i];
        for (uint32_t y = 0; y < c->out; y++)
            for (uint32_t x = 0; x < c->out; x++)
                convolve_at(c, plain->turned[i], in, y, x, out + ((size_t)y * c->out + x) * c->cout);
        /* Two buffers do: what is kept is the input of one layer and the output of the next. */
        in = out;
        out = out == buffers[0] ? buffers[1] : buffers[0];
    }
    *output = in;
}
