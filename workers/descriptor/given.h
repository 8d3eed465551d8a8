/* Vectors that came ready in the push, against the spaces of this fleet. */
#ifndef CF_WORKERS_DESCRIPTOR_GIVEN_H
#define CF_WORKERS_DESCRIPTOR_GIVEN_H

#include "common/descriptor/space.h"
#include "common/store/shard.h"

/* The vectors of a container (proto/container.h): copied to values[i], which has cf_spaces[i].dim floats, and
 * named in vectors[0 .. *count - 1]. What the container's own check says, and CF_E_UNKNOWN_SPACE,
 * CF_E_BAD_VERSION (of a space), CF_E_BAD_VECTOR (another dimension, or no direction in
 * a space where only that counts: there they are brought to unit length): all of them for ever. */
enum cf_err cf_given_vectors(struct cf_bytes file, float *const values[CF_SPACE_COUNT],
                             struct cf_shard_vector vectors[CF_SPACE_COUNT], size_t *count,
                             struct cf_detail *detail) CF_MUST_CHECK;

#endif
