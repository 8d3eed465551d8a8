#include "workers/query/collapse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/ann.h"

void cf_collapse_begin(struct cf_collapse *collapse, uint32_t dim, float limit)
{
    if (dim != collapse->dim)
        cf_collapse_fini(collapse);
    collapse->dim = dim;
    collapse->limit = limit;
    collapse->count = 0;
}

void cf_collapse_fini(struct cf_collapse *collapse)
{
    free(collapse->leaders);
    free(collapse->distances);
    *collapse = (struct cf_collapse){.dim = 0};
}

static enum cf_err reserve(struct cf_collapse *collapse)
{
    if (collapse->count < collapse->capacity)
        return CF_OK;
    size_t capacity = collapse->capacity ? 2 * collapse->capacity : 16;
    float *leaders = realloc(collapse->leaders, capacity * collapse->dim * sizeof *leaders);
    if (leaders)
        collapse->leaders = leaders;
    float *distances = realloc(collapse->distances, capacity * sizeof *distances);
    if (distances)
        collapse->distances = distances;
    if (!leaders || !distances)
        return CF_E_NO_MEMORY;
    collapse->capacity = capacity;
    return CF_OK;
}

/* The leader's own row is asked for only when the two distances from the query allow it; their last bits are
 * rounded, so a little more is allowed. */
static bool is_same(const struct cf_collapse *collapse, size_t leader, const float *vector, float distance)
{
    float apart = fabsf(collapse->distances[leader] - distance), square;
    if (apart > collapse->limit + 1e-4f * (distance + collapse->limit))
        return false;
    cf_ann_distances(vector, collapse->leaders + leader * collapse->dim, 1, collapse->dim, &square);
    return sqrtf(square) <= collapse->limit;
}

/* NaN is no farther and no nearer than any limit: no vector is the same as this leader. */
enum cf_err cf_collapse_alone(struct cf_collapse *collapse, size_t group_count_max, size_t *group)
{
    *group = collapse->count;
    if (collapse->count >= group_count_max)
        return CF_OK;
    enum cf_err err = reserve(collapse);
    if (err != CF_OK)
        return err;
    for (uint32_t i = 0; i < collapse->dim; i++)
        collapse->leaders[collapse->count * collapse->dim + i] = NAN;
    collapse->distances[collapse->count++] = 0;
    return CF_OK;
}

enum cf_err cf_collapse_offer(struct cf_collapse *collapse, const float *vector, float distance,
                              size_t group_count_max, size_t *group)
{
    for (*group = 0; *group < collapse->count; ++*group)
        if (is_same(collapse, *group, vector, distance))
            return CF_OK;
    if (collapse->count >= group_count_max)
        return CF_OK;
    enum cf_err err = reserve(collapse);
    if (err != CF_OK)
        return err;
    memcpy(collapse->leaders + collapse->count * collapse->dim, vector, collapse->dim * sizeof *vector);
    collapse->distances[collapse->count++] = distance;
    return CF_OK;
}
