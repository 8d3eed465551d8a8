/* The spaces: named, versioned descriptors of a thumbnail. A space declares its dimension and metric;
 * everything that walks over spaces walks over this table, and a fleet over those of them that its
 * configuration enables.
 *
 * gray16 and gist are computed from pixels alone; copy and style by a learned model (covernet.h) that a
 * process loads once, at start. */
#ifndef CF_DESCRIPTOR_SPACE_H
#define CF_DESCRIPTOR_SPACE_H

#include "common/base/config.h"
#include "common/base/err.h"
#include "common/base/span.h"

/* Cosine: vectors have unit length, wherever they rest, and distances are Euclidean ones, sqrt(2 - 2 cos). */
enum cf_metric { CF_METRIC_L2, CF_METRIC_COSINE };

struct cf_space {
    const char *name;
    uint32_t version; /* grows whenever the numbers change: filter, luma, constants */
    uint32_t dim;
    enum cf_metric metric;
    double scale; /* the root mean square distance of two covers drawn by chance, rounded: distances of
                     several spaces are added in this unit (PROTOCOL.md) */
    const char *folder; /* of its indexes, below HOME/data/index */
};

/* gray16 (256), gist (960), copy (128), style (64); then `cf`, whose model is the fleet's own (models.h): the
 * version that is served, and the one that is to take its place. Both are described, followed and indexed;
 * the name is that of the first. */
enum {
    CF_SPACE_GRAY16,
    CF_SPACE_GIST,
    CF_SPACE_COPY,
    CF_SPACE_STYLE,
    CF_SPACE_FIXED_COUNT,
    CF_SPACE_CF = CF_SPACE_FIXED_COUNT,
    CF_SPACE_CF_NEXT,
    CF_SPACE_COUNT
};
extern const struct cf_space *const cf_spaces; /* [CF_SPACE_COUNT] */

/* Takes over which spaces the fleet has: those of descriptor.spaces, and cf where `home` (NULL: not asked)
 * holds a model of it; before, it has all but cf. CF_E_UNKNOWN_SPACE names the one that there is not; what
 * reading the served model fails with. One that is to take its place and cannot be read is left out:
 * `complaint` (may be NULL, else "") says why. Once, before other threads. */
enum cf_err cf_spaces_enable(const struct cf_config *config, const struct cf_home *home,
                             struct cf_detail *complaint, struct cf_detail *detail) CF_MUST_CHECK;
/* Whether the home holds other models of cf, or serves another, than when the spaces were enabled: the
 * process should leave, to be started anew. Looks at the disk. One thread. */
bool cf_spaces_are_stale(void);
/* When the model of cf's next version was put into the home, wall clock; 0 without one. */
uint64_t cf_spaces_next_put_ms(void);
/* From now on that version is the served one, for processes that start. As writing a file fails. */
enum cf_err cf_spaces_promote(struct cf_detail *detail) CF_MUST_CHECK;
bool cf_space_is_enabled(size_t space); /* any thread */
/* The first enabled one that is not before `space`; CF_SPACE_COUNT behind the last. Any thread. */
size_t cf_space_from(size_t space);
/* Loads the model of copy and style if one of them is enabled, or cf is computed from them: descriptor.model,
 * or the file that came with the program, ../share/coverfleet beside its folder. Fails as
 * cf_covernet_model_open. Starts no thread, but initialises OpenMP: after all forks. Once, before the first
 * describer. */
enum cf_err cf_spaces_load(const struct cf_config *config, struct cf_detail *detail) CF_MUST_CHECK;
void cf_spaces_unload(void); /* after the last describer; what is loaded may be loaded again */
/* Without a configuration (NULL) both mean the file that came with the program.
 * The file that cf_spaces_load reads. CF_E_INVALID when its path is too long. */
enum cf_err cf_spaces_model_path(const struct cf_config *config, char *path, size_t size,
                                 struct cf_detail *detail) CF_MUST_CHECK;

/* NULL when there is no such space. */
const struct cf_space *cf_space_find(struct cf_str name);
/* One that is enabled; CF_E_UNKNOWN_SPACE names those that are. Any thread. */
enum cf_err cf_space_of_fleet(struct cf_str name, size_t *space, struct cf_detail *detail) CF_MUST_CHECK;
/* "gray16, gist, copy, style", for sentences. */
const char *cf_space_names(void);
/* Brings a vector to the form in which the space's rest and are asked for: to unit length when the metric is
 * cosine. CF_E_BAD_VECTOR when it has no direction. */
enum cf_err cf_space_normalize(const struct cf_space *space, float *vector,
                               struct cf_detail *detail) CF_MUST_CHECK;

/* Plans, tables and scratch of one thread. */
struct cf_describer;
struct cf_describer *cf_describer_new(void);            /* NULL when memory is short */
void cf_describer_free(struct cf_describer *describer); /* takes NULL */

/* The vector of `space` for width x height RGB pixels (64x64 for the fleet, and always for copy and style;
 * gist takes any size from 8x8, gray16 any from 1x1) into out[space->dim]. `*constant` tells that the picture
 * has no contrast: gray16 is then all zero, copy and style are unit vectors that mean nothing. copy and style
 * of the same pixels, one after the other, cost one pass of their net. Allocates nothing for pictures of the
 * size of the one before. CF_E_INVALID when the sides do not suit the space, CF_E_UNSUPPORTED when its model
 * is not loaded. */
enum cf_err cf_describe(struct cf_describer *describer, const struct cf_space *space, const uint8_t *rgb,
                        uint32_t width, uint32_t height, float *out, bool *constant,
                        struct cf_detail *detail) CF_MUST_CHECK;

#endif
