/* The layers of a covernet as its file has them, checked against one another, and what computes them: inside
 * of covernet only. */
#ifndef CF_DESCRIPTOR_COVERNET_LAYERS_H
#define CF_DESCRIPTOR_COVERNET_LAYERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/descriptor/covernet.h"

enum {
    CF_COVERNET_LAYERS_MAX = 64,
    CF_COVERNET_CHANNELS_MAX = 512,
    CF_COVERNET_KERNEL = 3, /* of every convolution, padded by one zero on each side */
    CF_COVERNET_HEADS = 2,
};

/* A convolution with ReLU: cin x side x side to cout x out x out. */
struct cf_covernet_conv {
    uint32_t cin, cout, side, out, stride;
    bool keep;            /* its input is kept for a later addition */
    bool add;             /* what was kept is added before the ReLU */
    const float *weights; /* [cout][cin][3][3] */
    const float *bias;    /* [cout] */
};

/* A linear map whose result is brought to unit norm. */
struct cf_covernet_head {
    uint32_t cin, cout;
    const float *weights; /* [cout][cin] */
    const float *bias;
};

struct cf_covernet_layers {
    float mean, divisor, power; /* input: (byte - mean) / divisor; power of the generalized mean */
    struct cf_covernet_conv convs[CF_COVERNET_LAYERS_MAX];
    size_t conv_count;
    uint32_t pooled;                                  /* channels after the last convolution */
    struct cf_covernet_head heads[CF_COVERNET_HEADS]; /* copy, style */
    float *values;                                    /* all weights and biases, owned */
};

enum cf_err cf_covernet_layers_read(const char *path, struct cf_covernet_layers *layers,
                                    struct cf_detail *detail) CF_MUST_CHECK;
void cf_covernet_layers_fini(struct cf_covernet_layers *layers);

/* The most floats that an activation takes. */
size_t cf_covernet_floats_max(const struct cf_covernet_layers *layers);

/* The trunk: scaled input [64][64][3] to the last activation [side][side][channels]. */
struct cf_covernet_plain;
struct cf_covernet_plain *cf_covernet_plain_new(const struct cf_covernet_layers *layers); /* NULL: memory */
void cf_covernet_plain_free(struct cf_covernet_plain *plain);
void cf_covernet_plain_run(const struct cf_covernet_plain *plain, const float *input, float *buffers[2],
                           const float **output);

/* The same by oneDNN. A trunk is shared; a runner is one thread's. */
struct cf_covernet_dnnl;
enum cf_err cf_covernet_dnnl_new(const struct cf_covernet_layers *layers, struct cf_covernet_dnnl **dnnl,
                                 struct cf_detail *detail) CF_MUST_CHECK;
void cf_covernet_dnnl_free(struct cf_covernet_dnnl *dnnl);
struct cf_covernet_runner;
struct cf_covernet_runner *cf_covernet_runner_new(const struct cf_covernet_dnnl *dnnl, float *input,
                                                  float *buffers[2]); /* NULL: memory */
void cf_covernet_runner_free(struct cf_covernet_runner *runner);
enum cf_err cf_covernet_runner_run(struct cf_covernet_runner *runner, const float **output,
                                   struct cf_detail *detail) CF_MUST_CHECK;

#endif
