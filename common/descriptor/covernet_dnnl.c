/* The trunk by oneDNN: one primitive a convolution, activations as they are elsewhere (channels innermost),
 * weights reordered once into whatever the primitive likes. */
#include "common/descriptor/covernet_layers.h"

#include <stdlib.h>

#ifdef CF_HAVE_DNNL
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "common/base/cpu.h"

enum { ARGUMENTS = 5 };

struct step {
    dnnl_primitive_t primitive;
    dnnl_memory_t weights, bias;
    dnnl_memory_desc_t src, dst, scratch;
};

struct cf_covernet_dnnl {
    dnnl_engine_t engine;
    const struct cf_covernet_layers *layers;
    struct step steps[CF_COVERNET_LAYERS_MAX];
};

struct cf_covernet_runner {
    const struct cf_covernet_dnnl *dnnl;
    dnnl_stream_t stream;
    dnnl_memory_t src[CF_COVERNET_LAYERS_MAX], dst[CF_COVERNET_LAYERS_MAX], scratch[CF_COVERNET_LAYERS_MAX];
    float *output;
};

static void describe(dnnl_memory_desc_t *desc, uint32_t channels, uint32_t side)
{
    const dnnl_dims_t dims = {1, channels, side, side};
    dnnl_memory_desc_init_by_tag(desc, 4, dims, dnnl_f32, dnnl_nhwc);
}

/* ReLU, after what lies at the destination was added. */
static dnnl_status_t make_attributes(bool add, dnnl_primitive_attr_t *attributes)
{
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(attributes);
    if (!status)
        status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
    if (!status)
        status = dnnl_post_ops_create(&after);
    if (!status && add)
        status = dnnl_post_ops_append_sum(after, 1);
    if (!status)
        status = dnnl_post_ops_append_eltwise(after, 1, dnnl_eltwise_relu, 0, 0);
    if (!status)
        status = dnnl_primitive_attr_set_post_ops(*attributes, after);
    dnnl_post_ops_destroy(after);
    return status;
}

static dnnl_status_t make_plan(struct cf_covernet_dnnl *d, const struct cf_covernet_conv *c,
                               struct step *step, dnnl_primitive_desc_t *plan)
{
    const dnnl_dims_t weight_dims = {c->cout, c->cin, 3, 3}, bias_dims = {c->cout},
                      strides = {c->stride, c->stride};
    /* Halving with a pad of one on each side: the last row and column of the padding are never reached. */
    const dnnl_dims_t before = {1, 1}, after = {c->stride == 1, c->stride == 1};
    dnnl_memory_desc_t weights, bias;
    dnnl_convolution_desc_t convolution;
    dnnl_primitive_attr_t attributes = NULL;
    describe(&step->src, c->cin, c->side);
    describe(&step->dst, c->cout, c->out);
    dnnl_memory_desc_init_by_tag(&weights, 4, weight_dims, dnnl_f32, dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_x);
    dnnl_status_t status =
        dnnl_convolution_forward_desc_init(&convolution, dnnl_forward_inference, dnnl_convolution_direct,
                                           &step->src, &weights, &bias, &step->dst, strides, before, after);
    if (!status)
        status = make_attributes(c->add, &attributes);
    if (!status)
        status = dnnl_primitive_desc_create(plan, &convolution, attributes, d->engine, NULL);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

/* The weights of a layer in the order that its primitive asks for. */
static dnnl_status_t reorder(struct cf_covernet_dnnl *d, const struct cf_covernet_conv *c,
                             dnnl_primitive_desc_t plan, dnnl_memory_t *weights)
{
    const dnnl_dims_t dims = {c->cout, c->cin, 3, 3};
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(plan, dnnl_query_weights_md, 0);
    dnnl_memory_desc_t given;
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t order = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_memory_desc_init_by_tag(&given, 4, dims, dnnl_f32, dnnl_oihw);
    /* oneDNN takes sources by a pointer that it does not write through. */
    dnnl_status_t status = dnnl_memory_create(&source, &given, d->engine, (void *)(uintptr_t)c->weights);
    if (!status)
        status = dnnl_memory_create(weights, wanted, d->engine, DNNL_MEMORY_ALLOCATE);
    if (!status)
        status = dnnl_reorder_primitive_desc_create(&order, &given, d->engine, wanted, d->engine, NULL);
    if (!status)
        status = dnnl_primitive_create(&primitive, order);
    if (!status)
        status = dnnl_stream_create(&stream, d->engine, dnnl_stream_default_flags);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, *weights}};
    if (!status)
        status = dnnl_primitive_execute(primitive, stream, 2, arguments);
    if (!status)
        status = dnnl_stream_wait(stream);
    dnnl_stream_destroy(stream);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(order);
    dnnl_memory_destroy(source);
    return status;
}

static dnnl_status_t make_step(struct cf_covernet_dnnl *d, const struct cf_covernet_conv *c,
                               struct step *step)
{
    const dnnl_dims_t bias_dims = {c->cout};
    dnnl_memory_desc_t bias;
    dnnl_primitive_desc_t plan = NULL;
    dnnl_status_t status = make_plan(d, c, step, &plan);
    if (!status)
        status = dnnl_primitive_create(&step->primitive, plan);
    if (!status)
        status = reorder(d, c, plan, &step->weights);
    dnnl_memory_desc_init_by_tag(&bias, 1, bias_dims, dnnl_f32, dnnl_x);
    if (!status)
        status = dnnl_memory_create(&step->bias, &bias, d->engine, (void *)(uintptr_t)c->bias);
    if (!status)
        step->scratch = *dnnl_primitive_desc_query_md(plan, dnnl_query_scratchpad_md, 0);
    dnnl_primitive_desc_destroy(plan);
    return status;
}

/* Only heard before oneDNN makes its first code in this process: the level does not change afterwards either.
 */
static void limit_level(void)
{
    static const dnnl_cpu_isa_t levels[] = {[CF_SIMD_SCALAR] = dnnl_cpu_isa_sse41,
                                            [CF_SIMD_AVX2] = dnnl_cpu_isa_avx2,
                                            [CF_SIMD_AVX512] = dnnl_cpu_isa_all};
    (void)dnnl_set_max_cpu_isa(levels[cf_cpu_simd()]);
}

static enum cf_err failed(dnnl_status_t status, struct cf_detail *detail)
{
    return cf_fail(detail, status == dnnl_out_of_memory ? CF_E_NO_MEMORY : CF_E_UNSUPPORTED,
                   "oneDNN refused the covernet with status %d", (int)status);
}

enum cf_err cf_covernet_dnnl_new(const struct cf_covernet_layers *layers, struct cf_covernet_dnnl **out,
                                 struct cf_detail *detail)
{
    struct cf_covernet_dnnl *d = calloc(1, sizeof *d);
    if (!d)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a covernet");
    d->layers = layers;
    limit_level();
    omp_set_num_threads(
        1); /* the fleet has one thread a worker; more of them would only wait for one another */
    dnnl_status_t status = dnnl_engine_create(&d->engine, dnnl_cpu, 0);
    for (size_t i = 0; i < layers->conv_count && !status; i++)
        status = make_step(d, &layers->convs[i], &d->steps[i]);
    if (status) {
        cf_covernet_dnnl_free(d);
        return failed(status, detail);
    }
    *out = d;
    return CF_OK;
}

void cf_covernet_dnnl_free(struct cf_covernet_dnnl *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < CF_COVERNET_LAYERS_MAX; i++) {
        dnnl_primitive_destroy(d->steps[i].primitive);
        dnnl_memory_destroy(d->steps[i].weights);
        dnnl_memory_destroy(d->steps[i].bias);
    }
    dnnl_engine_destroy(d->engine);
    free(d);
}

struct cf_covernet_runner *cf_covernet_runner_new(const struct cf_covernet_dnnl *d, float *input,
                                                  float *buffers[2])
{
    struct cf_covernet_runner *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->dnnl = d;
    dnnl_status_t status = dnnl_stream_create(&r->stream, d->engine, dnnl_stream_default_flags);
    float *in = input, *out = buffers[0];
    for (size_t i = 0; i < d->layers->conv_count && !status; i++) {
        const struct step *step = &d->steps[i];
        status = dnnl_memory_create(&r->src[i], &step->src, d->engine, in);
        if (!status)
            status = dnnl_memory_create(&r->dst[i], &step->dst, d->engine, out);
        if (!status)
            status = dnnl_memory_create(&r->scratch[i], &step->scratch, d->engine, DNNL_MEMORY_ALLOCATE);
        in = out;
        out = out == buffers[0] ? buffers[1] : buffers[0];
    }
    r->output = in;
    if (!status)
        return r;
    cf_covernet_runner_free(r);
    return NULL;
}

void cf_covernet_runner_free(struct cf_covernet_runner *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < CF_COVERNET_LAYERS_MAX; i++) {
        dnnl_memory_destroy(r->src[i]);
        dnnl_memory_destroy(r->dst[i]);
        dnnl_memory_destroy(r->scratch[i]);
    }
    dnnl_stream_destroy(r->stream);
    free(r);
}

enum cf_err cf_covernet_runner_run(struct cf_covernet_runner *r, const float **output,
                                   struct cf_detail *detail)
{
    dnnl_status_t status = dnnl_success;
    omp_set_num_threads(1); /* of this thread's regions */
    for (size_t i = 0; i < r->dnnl->layers->conv_count && !status; i++) {
        const struct step *step = &r->dnnl->steps[i];
        const dnnl_exec_arg_t arguments[ARGUMENTS] = {{DNNL_ARG_SRC, r->src[i]},
                                                      {DNNL_ARG_WEIGHTS, step->weights},
                                                      {DNNL_ARG_BIAS, step->bias},
                                                      {DNNL_ARG_DST, r->dst[i]},
                                                      {DNNL_ARG_SCRATCHPAD, r->scratch[i]}};
        status = dnnl_primitive_execute(step->primitive, r->stream, ARGUMENTS, arguments);
    }
    if (!status)
        status = dnnl_stream_wait(r->stream);
    *output = r->output;
    return status ? failed(status, detail) : CF_OK;
}

#else

enum cf_err cf_covernet_dnnl_new(const struct cf_covernet_layers *layers, struct cf_covernet_dnnl **out,
                                 struct cf_detail *detail)
{
    (void)layers;
    (void)out;
    return cf_fail(detail, CF_E_UNSUPPORTED, "this program was built without oneDNN");
}
void cf_covernet_dnnl_free(struct cf_covernet_dnnl *dnnl)
{
    (void)dnnl;
}
struct cf_covernet_runner *cf_covernet_runner_new(const struct cf_covernet_dnnl *dnnl, float *input,
                                                  float *buffers[2])
{
    (void)dnnl;
    (void)input;
    (void)buffers;
    return NULL;
}
void cf_covernet_runner_free(struct cf_covernet_runner *runner)
{
    (void)runner;
}
enum cf_err cf_covernet_runner_run(struct cf_covernet_runner *runner, const float **output,
                                   struct cf_detail *detail)
{
    (void)runner;
    (void)output;
    return cf_fail(detail, CF_E_UNSUPPORTED, "this program was built without oneDNN");
}
#endif
