#include "common/descriptor/covernet.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/cpu.h"
#include "common/descriptor/covernet_layers.h"

#define TINY     1e-6f
#define NORM_MIN 1e-12

enum { INPUT_FLOATS = CF_COVERNET_SIDE * CF_COVERNET_SIDE * 3 };

struct cf_covernet_model {
    struct cf_covernet_layers layers;
    struct cf_covernet_plain *plain; /* one of the two */
    struct cf_covernet_dnnl *dnnl;
};

struct cf_covernet {
    const struct cf_covernet_model *model;
    struct cf_covernet_runner *runner; /* with oneDNN */
    float scaled[256];                 /* of every byte value */
    float *input, *buffers[2];
};

static bool use_dnnl(enum cf_covernet_way way)
{
#ifdef CF_HAVE_DNNL
    return way == CF_COVERNET_DNNL || (way == CF_COVERNET_BEST && cf_cpu_simd() >= CF_SIMD_AVX2);
#else
    return way == CF_COVERNET_DNNL;
#endif
}

enum cf_err cf_covernet_model_open(const char *path, enum cf_covernet_way way, struct cf_covernet_model **out,
                                   struct cf_detail *detail)
{
    struct cf_covernet_model *model = calloc(1, sizeof *model);
    if (!model)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory for a model", path);
    enum cf_err err = cf_covernet_layers_read(path, &model->layers, detail);
    if (!err && use_dnnl(way))
        err = cf_covernet_dnnl_new(&model->layers, &model->dnnl, detail);
    else if (!err && !(model->plain = cf_covernet_plain_new(&model->layers)))
        err = cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory for a model", path);
    if (err) {
        cf_covernet_model_free(model);
        return err;
    }
    *out = model;
    return CF_OK;
}

void cf_covernet_model_free(struct cf_covernet_model *model)
{
    if (!model)
        return;
    cf_covernet_dnnl_free(model->dnnl);
    cf_covernet_plain_free(model->plain);
    cf_covernet_layers_fini(&model->layers);
    free(model);
}

const char *cf_covernet_model_way(const struct cf_covernet_model *model)
{
    return model->dnnl ? "oneDNN" : "plain";
}

static float *floats_new(size_t count)
{
    return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
}

struct cf_covernet *cf_covernet_new(const struct cf_covernet_model *model)
{
    struct cf_covernet *net = calloc(1, sizeof *net);
    if (!net)
        return NULL;
    size_t floats = cf_covernet_floats_max(&model->layers);
    net->model = model;
    net->input = floats_new(INPUT_FLOATS);
    net->buffers[0] = floats_new(floats);
    net->buffers[1] = floats_new(floats);
    bool complete = net->input && net->buffers[0] && net->buffers[1];
    if (complete && model->dnnl) {
        net->runner = cf_covernet_runner_new(model->dnnl, net->input, net->buffers);
        complete = net->runner;
    }
    for (int i = 0; i < 256; i++)
        net->scaled[i] = ((float)i - model->layers.mean) / model->layers.divisor;
    if (complete)
        return net;
    cf_covernet_free(net);
    return NULL;
}

void cf_covernet_free(struct cf_covernet *net)
{
    if (!net)
        return;
    cf_covernet_runner_free(net->runner);
    free(net->input);
    free(net->buffers[0]);
    free(net->buffers[1]);
    free(net);
}

static double raise(double value, double power)
{
    return power == 3 ? value * value * value : pow(value, power);
}

/* The generalized mean of every channel. */
static void pool(const struct cf_covernet_layers *layers, const float *activation, double *pooled)
{
    const struct cf_covernet_conv *last = &layers->convs[layers->conv_count - 1];
    uint32_t pixels = last->out * last->out;
    for (uint32_t c = 0; c < layers->pooled; c++) {
        double sum = 0, power = (double)layers->power;
        for (uint32_t p = 0; p < pixels; p++)
            sum += raise((double)fmaxf(activation[(size_t)p * layers->pooled + c], TINY), power);
        pooled[c] = pow(sum / pixels, 1 / power);
    }
}

static void project(const struct cf_covernet_head *head, const double *pooled, float *out)
{
    double values[CF_COVERNET_COPY_DIM], square = 0;
    for (uint32_t o = 0; o < head->cout; o++) {
        values[o] = (double)head->bias[o];
        for (uint32_t i = 0; i < head->cin; i++)
            values[o] += (double)head->weights[(size_t)o * head->cin + i] * pooled[i];
        square += values[o] * values[o];
    }
    for (uint32_t o = 0; o < head->cout; o++)
        out[o] = (float)(values[o] / fmax(sqrt(square), NORM_MIN));
}

enum cf_err cf_covernet(struct cf_covernet *net, const uint8_t *rgb, float copy[CF_COVERNET_COPY_DIM],
                        float style[CF_COVERNET_STYLE_DIM], struct cf_detail *detail)
{
    const struct cf_covernet_layers *layers = &net->model->layers;
    double pooled[CF_COVERNET_CHANNELS_MAX];
    const float *activation = NULL;
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < INPUT_FLOATS; i++)
        net->input[i] = net->scaled[rgb[i]];
    if (net->runner)
        err = cf_covernet_runner_run(net->runner, &activation, detail);
    else
        cf_covernet_plain_run(net->model->plain, net->input, net->buffers, &activation);
    if (err)
        return err;
    pool(layers, activation, pooled);
    project(&layers->heads[0], pooled, copy);
    project(&layers->heads[1], pooled, style);
    return CF_OK;
}
