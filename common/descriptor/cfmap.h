/* The model of the space `cf`: from what a cover looks like to how it is listened to. A linear map, or one
 * with a hidden layer of rectified units, over vectors of other spaces; trained elsewhere, served from a file
 * of a fleet's own home: HOME/data/models/cf-VERSION.cfmap, whose version grows with every training.
 *
 * File, little-endian: "CFCFMAP\n"; u32 format 2, space version, hidden (0: linear), outputs, spaces, bytes
 * of numbers, CRC-32 of all behind these 40 bytes, bytes of origin; a record a space (32 bytes name, zero
 * padded; u32 version, dim); float32: means, scales [inputs], first [inputs][hidden], first_shift [hidden]
 * (both only with a hidden layer), last [hidden, or inputs][outputs], last_shift [outputs]; the origin, a
 * JSON object. The inputs are the spaces' vectors one after the other; z = (x - mean) * scale. Format 1,
 * which has no origin, is read as well. */
#ifndef CF_DESCRIPTOR_CFMAP_H
#define CF_DESCRIPTOR_CFMAP_H

#include <stdint.h>

#include "common/base/err.h"

enum {
    CF_CFMAP_SPACES_MAX = 8,
    CF_CFMAP_NAME_BYTES = 32,
    CF_CFMAP_INPUTS_MAX = 4096,
    CF_CFMAP_HIDDEN_MAX = 1024,
    CF_CFMAP_OUTPUTS_MAX = 1024,
    CF_CFMAP_ORIGIN_MAX = 64 << 10, /* bytes */
};

struct cf_cfmap {
    uint32_t version;                 /* of the space; at least 1 */
    uint32_t inputs, hidden, outputs; /* inputs: the spaces' dims together */
    struct cf_cfmap_space {
        char name[CF_CFMAP_NAME_BYTES];
        uint32_t version, dim;
    } spaces[CF_CFMAP_SPACES_MAX];
    uint32_t space_count;
    const float *means, *scales, *first, *first_shift, *last, *last_shift;
    const char *origin; /* what it was trained on, and how well it did; NULL: not told */
    float *values;      /* that these lie in, owned; NULL when somebody else has them */
};

/* CF_E_NOT_FOUND, CF_E_CORRUPT, CF_E_BAD_VERSION, CF_E_NO_MEMORY, CF_E_TOO_LARGE and what else reading a file
 * fails with; the sentence names the file. `map` is as before then. */
enum cf_err cf_cfmap_read(const char *path, struct cf_cfmap *map, struct cf_detail *detail) CF_MUST_CHECK;
/* Whole or not at all. CF_E_INVALID for sizes beyond the limits, what writing a file fails with. */
enum cf_err cf_cfmap_write(const char *path, const struct cf_cfmap *map,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_cfmap_fini(struct cf_cfmap *map);

/* x[inputs] to out[outputs] of unit norm (all zero when it has no direction). x has room for `hidden` numbers
 * as well, and is overwritten. Allocates nothing. Any thread. */
void cf_cfmap_apply(const struct cf_cfmap *map, float *x, float *out);

#endif
