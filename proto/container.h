/* Vectors where a picture file stands: the bytes of an album's item in `push` that were computed elsewhere.
 * The format is in PROTOCOL.md, "Vectors instead of a picture".
 *
 * This half knows the bytes; which spaces there are, in which version and dimension, is for the descriptor
 * worker to say. Pure, any thread. */
#ifndef CF_PROTO_CONTAINER_H
#define CF_PROTO_CONTAINER_H

#include "common/base/buf.h"
#include "common/base/err.h"

enum {
    CF_CONTAINER_VERSION = 1,
    CF_CONTAINER_VECTORS_MAX = 16,
    CF_CONTAINER_SPACE_BYTES_MAX = 32,
    CF_CONTAINER_DIM_MAX = 4096,
};

struct cf_container_vector {
    struct cf_str space;
    uint32_t space_version;
    uint32_t dim;
    const uint8_t *values; /* dim float32, little-endian, at any address */
};

struct cf_container {
    struct cf_container_vector vectors[CF_CONTAINER_VECTORS_MAX];
    size_t count;
};

/* Whether the bytes begin as a container does: no picture file does. */
bool cf_container_is(struct cf_bytes file);

/* Borrows from `file`. CF_E_INVALID (cut short, something behind the end, no vectors, a space twice, a name
 * or dimension out of range), CF_E_BAD_VERSION (of the container), CF_E_BAD_VECTOR (NaN, infinity, all zero).
 */
enum cf_err cf_container_decode(struct cf_bytes file, struct cf_container *container,
                                struct cf_detail *detail) CF_MUST_CHECK;

/* Appends; memory shows in cf_buf_ok. Checks nothing: what decode would refuse can be written. */
void cf_container_encode(const struct cf_container *container, struct cf_buf *out);

#endif
