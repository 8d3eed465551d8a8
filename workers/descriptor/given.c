#include "workers/descriptor/given.h"

#include "proto/container.h"

static enum cf_err find_space(const struct cf_container_vector *vector, size_t *index,
                              struct cf_detail *detail)
{
    enum cf_err err = cf_space_of_fleet(vector->space, index, detail);
    if (err != CF_OK)
        return err;
    const struct cf_space *space = &cf_spaces[*index];
    if (vector->space_version != space->version)
        return cf_fail(detail, CF_E_BAD_VERSION,
                       "the vector is of %s version %u: this fleet describes in version %u", space->name,
                       vector->space_version, space->version);
    if (vector->dim != space->dim)
        return cf_fail(detail, CF_E_BAD_VECTOR, "the %s vector has %u numbers: it must have %u", space->name,
                       vector->dim, space->dim);
    return CF_OK;
}

enum cf_err cf_given_vectors(struct cf_bytes file, float *const values[CF_SPACE_COUNT],
                             struct cf_shard_vector vectors[CF_SPACE_COUNT], size_t *count,
                             struct cf_detail *detail)
{
    struct cf_container container;
    enum cf_err err = cf_container_decode(file, &container, detail);
    if (err != CF_OK)
        return err;
    for (size_t i = 0; i < container.count; i++) {
        const struct cf_container_vector *given = &container.vectors[i];
        size_t index = 0;
        err = find_space(given, &index, detail);
        if (err != CF_OK)
            return err;
        const struct cf_space *space = &cf_spaces[index];
        memcpy(values[index], given->values, space->dim * sizeof *values[index]);
        err = cf_space_normalize(space, values[index], detail);
        if (err != CF_OK)
            return err;
        vectors[i] = (struct cf_shard_vector){cf_str(space->name), space->version, values[index], space->dim};
    }
    *count = container.count; /* each of another space, so no more than there are */
    return CF_OK;
}
