/* The spaces: named, versioned descriptors of a thumbnail. A space declares its dimension and metric; everything that
 * walks over spaces walks over this table. */
#ifndef CF_DESCRIPTOR_SPACE_H
#define CF_DESCRIPTOR_SPACE_H

#include "common/base/err.h"
#include "common/base/span.h"

enum cf_metric { CF_METRIC_L2 };

struct cf_space {
    const char *name;
    uint32_t version; /* grows whenever the numbers change: filter, luma, constants */
    uint32_t dim;
    enum cf_metric metric;
    double scale; /* the root mean square distance of two covers drawn by chance, rounded: distances of several
                     spaces are added in this unit (PROTOCOL.md) */
};

enum { CF_SPACE_COUNT = 2 }; /* gray16 (256), gist (960) */
extern const struct cf_space cf_spaces[CF_SPACE_COUNT];

/* NULL when there is no such space. */
const struct cf_space *cf_space_find(struct cf_str name);
/* "gray16, gist", for sentences. */
const char *cf_space_names(void);

/* Plans, tables and scratch of one thread. */
struct cf_describer;
struct cf_describer *cf_describer_new(void); /* NULL when memory is short */
void cf_describer_free(struct cf_describer *describer); /* takes NULL */

/* The vector of `space` for width x height RGB pixels (64x64 for the fleet; gist takes any size from 8x8, gray16 any from
 * 1x1) into out[space->dim]. `*constant` tells that the picture has no contrast: gray16 is then all zero.
 * CF_E_INVALID when a side is too small for the space. */
enum cf_err cf_describe(struct cf_describer *describer, const struct cf_space *space, const uint8_t *rgb, uint32_t width,
                        uint32_t height, float *out, bool *constant, struct cf_detail *detail) CF_MUST_CHECK;

#endif
