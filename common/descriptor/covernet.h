/* The learned descriptor: a small convnet over a 64x64 thumbnail, with two heads of unit norm: "copy" (128,
 * the same artwork whatever was done to it) and "style" (64, looks alike). model/MODEL.md is its card:
 * layers, file, provenance, what it was measured to do and what it must not be used for.
 *
 * A model is loaded once a process and shared by any number of threads; a net is the scratch of one of them.
 * Two ways of computing: the plain one (the specification, any machine) and oneDNN; they agree within 2e-5.
 */
#ifndef CF_DESCRIPTOR_COVERNET_H
#define CF_DESCRIPTOR_COVERNET_H

#include <stdint.h>

#include "common/base/err.h"

enum { CF_COVERNET_SIDE = 64, CF_COVERNET_COPY_DIM = 128, CF_COVERNET_STYLE_DIM = 64 };

enum cf_covernet_way {
    CF_COVERNET_BEST, /* oneDNN where it was built in and the machine has at least AVX2, else plain */
    CF_COVERNET_PLAIN,
    CF_COVERNET_DNNL,
};

struct cf_covernet_model;
/* CF_E_NOT_FOUND, CF_E_CORRUPT, CF_E_BAD_VERSION, CF_E_UNSUPPORTED (oneDNN was asked for and is not there),
 * CF_E_NO_MEMORY; the sentence names the file. */
enum cf_err cf_covernet_model_open(const char *path, enum cf_covernet_way way,
                                   struct cf_covernet_model **model, struct cf_detail *detail) CF_MUST_CHECK;
void cf_covernet_model_free(struct cf_covernet_model *model);             /* takes NULL; after its nets */
const char *cf_covernet_model_way(const struct cf_covernet_model *model); /* "plain", "oneDNN" */

struct cf_covernet;
/* Borrows the model. NULL when memory is short. */
struct cf_covernet *cf_covernet_new(const struct cf_covernet_model *model);
void cf_covernet_free(struct cf_covernet *net); /* takes NULL */

/* 64x64 RGB pixels to both heads, each of unit norm. CF_E_UNSUPPORTED when oneDNN fails. Allocates nothing.
 */
enum cf_err cf_covernet(struct cf_covernet *net, const uint8_t *rgb, float copy[CF_COVERNET_COPY_DIM],
                        float style[CF_COVERNET_STYLE_DIM], struct cf_detail *detail) CF_MUST_CHECK;

#endif
