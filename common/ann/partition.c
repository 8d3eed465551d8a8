#include "common/ann/partition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/image.h"
#include "common/ann/project.h"
#include "common/base/rng.h"

/* Points are taken CHUNK at a time by a thread, GROUP of them against STRIP leaves at once, so that both stay in the
 * nearest caches. A training takes ROUNDS over at most PER_LEAF points a leaf. */
enum { CHUNK = 256, GROUP = 16, STRIP = 256, ROUNDS = 8, PER_LEAF = 32 };
#define SOAR_LAMBDA 1.5f

struct clustering {
    const struct cf_ann_train_kernels *kernels;
    const struct cf_ann_points *points;
    struct cf_ann_leaves *leaves;
    uint32_t *members, member_count; /* the points that shape the leaves */
    uint32_t *leaf_of;               /* of members */
    uint32_t *order, *first;         /* members by leaf; first[count + 1] */
    float *centroids;                /* [count][dim] */
    uint32_t (*pairs)[2];            /* of all points, in the end */
};

static const struct cf_ann_point *point_at(const struct cf_ann_points *points, uint32_t i)
{
    return (const struct cf_ann_point *)(const void *)(points->records + i * cf_ann_point_pitch(points->dim));
}

static const int8_t *bytes_at(const struct cf_ann_points *points, uint32_t i)
{
    return (const int8_t *)(point_at(points, i) + 1);
}

static bool is_held(const struct cf_ann_points *points, uint32_t i)
{
    return points->held[i / 8] >> (i % 8) & 1;
}

/* ---- centroids as blocks ---- */

static uint8_t *block_byte(const struct cf_ann_leaves *leaves, uint32_t dim, uint32_t leaf, uint32_t j)
{
    return leaves->blocks + (size_t)leaf / 16 * 16 * dim + j / 4 * 64 + leaf % 16 * 4 + j % 4;
}

void cf_ann_centroid_unpack(const struct cf_ann_leaves *leaves, uint32_t dim, uint32_t leaf, float *out)
{
    for (uint32_t j = 0; j < dim; j++)
        out[j] = leaves->step * (float)(*block_byte(leaves, dim, leaf, j) - CF_ANN_BLOCK_ZERO);
}

static void pack(struct cf_ann_leaves *leaves, const float *centroids, uint32_t dim)
{
    float largest = 0, centroid[CF_ANN_LEAF_DIMS_MAX] = {0};

    for (size_t i = 0; i < (size_t)leaves->count * dim; i++)
        largest = fmaxf(largest, fabsf(centroids[i]));
    leaves->step = largest > 0 ? largest / 63 : 1;
    memset(leaves->blocks, CF_ANN_BLOCK_ZERO, (size_t)leaves->padded * dim);
    for (uint32_t l = 0; l < leaves->padded; l++)
        leaves->norms[l] = INFINITY;
    for (uint32_t l = 0; l < leaves->count; l++) {
        for (uint32_t j = 0; j < dim; j++)
            *block_byte(leaves, dim, l, j) =
                (uint8_t)((int)rintf(centroids[(size_t)l * dim + j] / leaves->step) + CF_ANN_BLOCK_ZERO);
        cf_ann_centroid_unpack(leaves, dim, l, centroid);
        leaves->norms[l] = cf_ann_train_kernels()->dot(centroid, centroid, dim);
    }
}

/* ---- distances of a group of vectors to all leaves ---- */

struct group {
    int8_t bytes[GROUP][CF_ANN_LEAF_DIMS_MAX];
    float units[GROUP];
    int32_t zero[GROUP]; /* what the zero of the blocks adds to a product */
    uint32_t count;
};

static void group_add(struct group *group, const int8_t *bytes, float unit, uint32_t dim)
{
    int32_t sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += bytes[j];
    memcpy(group->bytes[group->count], bytes, dim);
    group->units[group->count] = unit;
    group->zero[group->count++] = CF_ANN_BLOCK_ZERO * sum;
}

static void products(const struct clustering *c, const struct group *group, uint32_t begin, uint32_t count,
                     int32_t sums[GROUP][STRIP])
{
    uint32_t dim = c->points->dim;
    struct cf_ann_vectors8 vectors = {group->bytes[0], sizeof group->bytes[0], group->count};

    for (uint32_t v = 0; v < group->count; v++)
        for (uint32_t i = 0; i < count; i++)
            sums[v][i] = -group->zero[v];
    c->kernels->dots(vectors, c->leaves->blocks + (size_t)begin * dim, count / 16, dim, sums[0], STRIP);
}

/* The better of what was found so far and the least of a strip of keys; of equals, what came first. */
static void improve(const float *keys, float least, uint32_t begin, float *best, uint32_t *at)
{
    uint32_t found = 0;

    if (!(least < *best))
        return;
    while (keys[found] > least)
        found++;
    *best = least;
    *at = begin + found;
}

static void nearest(const struct clustering *c, const struct group *group, uint32_t at[GROUP])
{
    int32_t sums[GROUP][STRIP];
    float keys[STRIP], best[GROUP];

    for (uint32_t v = 0; v < group->count; v++) {
        best[v] = INFINITY;
        at[v] = 0;
    }
    for (uint32_t begin = 0; begin < c->leaves->padded; begin += STRIP) {
        uint32_t count = c->leaves->padded - begin < STRIP ? c->leaves->padded - begin : STRIP;
        products(c, group, begin, count, sums);
        for (uint32_t v = 0; v < group->count; v++) {
            float least = c->kernels->keys(c->leaves->norms + begin, sums[v], 2 * group->units[v] * c->leaves->step,
                                           count, keys);
            improve(keys, least, begin, &best[v], &at[v]);
        }
    }
}

/* ---- training ---- */

static void assign_members(void *arg, size_t chunk)
{
    struct clustering *c = arg;
    uint32_t begin = (uint32_t)chunk * CHUNK,
             end = c->member_count - begin < CHUNK ? c->member_count : begin + CHUNK;

    for (uint32_t at = begin; at < end; at += GROUP) {
        struct group group = {.count = 0};
        for (uint32_t i = at; i < end && i < at + GROUP; i++)
            group_add(&group, bytes_at(c->points, c->members[i]), point_at(c->points, c->members[i])->unit,
                      c->points->dim);
        nearest(c, &group, c->leaf_of + at);
    }
}

/* Members by leaf, by number within a leaf: a counting sort. */
static void gather(struct clustering *c)
{
    memset(c->first, 0, ((size_t)c->leaves->count + 2) * sizeof *c->first);
    for (uint32_t i = 0; i < c->member_count; i++)
        c->first[c->leaf_of[i] + 2]++;
    for (uint32_t l = 2; l < c->leaves->count + 2; l++)
        c->first[l] += c->first[l - 1];
    for (uint32_t i = 0; i < c->member_count; i++)
        c->order[c->first[c->leaf_of[i] + 1]++] = c->members[i];
}

static void set_to_point(const struct clustering *c, uint32_t leaf, uint32_t point)
{
    float unit = point_at(c->points, point)->unit;
    const int8_t *bytes = bytes_at(c->points, point);

    for (uint32_t j = 0; j < c->points->dim; j++)
        c->centroids[(size_t)leaf * c->points->dim + j] = unit * (float)bytes[j];
}

static void move_centroid(void *arg, size_t leaf)
{
    struct clustering *c = arg;
    uint32_t dim = c->points->dim, begin = c->first[leaf], end = c->first[leaf + 1];
    float *centroid = c->centroids + leaf * dim;

    if (begin == end)
        return;
    memset(centroid, 0, dim * sizeof *centroid);
    for (uint32_t i = begin; i < end; i++) {
        const int8_t *bytes = bytes_at(c->points, c->order[i]);
        float share = point_at(c->points, c->order[i])->unit / (float)(end - begin);
        for (uint32_t j = 0; j < dim; j++)
            centroid[j] += share * (float)bytes[j];
    }
}

static uint32_t size_of(const struct clustering *c, uint32_t leaf)
{
    return c->first[leaf + 1] - c->first[leaf];
}

/* Leaves that hold next to nothing go where too much is: to a member of the largest leaves, in turn. */
static void move_small(struct clustering *c, struct cf_rng *rng)
{
    uint32_t mean = c->member_count / c->leaves->count, large = 0;

    for (uint32_t l = 0; l < c->leaves->count; l++) {
        if (size_of(c, l) > mean / 8)
            continue;
        uint32_t looked = 0;
        while (looked < c->leaves->count && size_of(c, large) <= 2 * mean) {
            large = (large + 1) % c->leaves->count;
            looked++;
        }
        if (looked == c->leaves->count)
            return;
        set_to_point(c, l, c->order[c->first[large] + cf_rng_below(rng, size_of(c, large))]);
        large = (large + 1) % c->leaves->count;
    }
}

static enum cf_err lloyd(struct clustering *c, struct cf_rng *rng, const struct cf_ann_crew *crew)
{
    enum cf_err err = CF_OK;

    for (int round = 0; round < ROUNDS && !err; round++) {
        pack(c->leaves, c->centroids, c->points->dim);
        err = cf_ann_crew_run(crew, ((size_t)c->member_count + CHUNK - 1) / CHUNK, assign_members, c);
        if (err)
            break;
        gather(c);
        err = cf_ann_crew_run(crew, c->leaves->count, move_centroid, c);
        if (round + 2 < ROUNDS)
            move_small(c, rng);
    }
    pack(c->leaves, c->centroids, c->points->dim);
    return err;
}

/* Evenly spread points that are not held; the first centroids are some of them. */
static void choose_members(struct clustering *c, uint32_t wanted, struct cf_rng *rng)
{
    uint32_t count = c->points->count, last = UINT32_MAX;

    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t at = (uint32_t)((uint64_t)count * i / wanted);
        while (at < count && is_held(c->points, at))
            at++;
        if (at < count && at != last)
            c->members[c->member_count++] = last = at;
    }
    for (uint32_t l = 0; l < c->leaves->count; l++) {
        uint64_t begin = (uint64_t)c->member_count * l / c->leaves->count,
                 end = (uint64_t)c->member_count * (l + 1) / c->leaves->count;
        uint64_t at = end > begin ? begin + cf_rng_below(rng, end - begin) : begin;
        set_to_point(c, l, c->members[at < c->member_count ? at : 0]);
    }
}

enum cf_err cf_ann_leaves_train(struct cf_ann_leaves *leaves, const struct cf_ann_points *points, uint32_t count,
                                uint64_t seed, const struct cf_ann_crew *crew)
{
    struct clustering c = {.kernels = cf_ann_train_kernels(), .points = points, .leaves = leaves};
    struct cf_rng rng = cf_rng(seed ^ 0x1EAF5u);
    uint64_t wanted = (uint64_t)count * PER_LEAF < points->count ? (uint64_t)count * PER_LEAF : points->count;
    enum cf_err err = CF_E_NO_MEMORY;

    leaves->count = count;
    leaves->padded = (count + 15) / 16 * 16;
    leaves->blocks = calloc((size_t)leaves->padded * points->dim, 1);
    leaves->norms = calloc(leaves->padded, sizeof *leaves->norms);
    c.members = calloc(wanted + 1, sizeof *c.members);
    c.leaf_of = calloc(wanted + 1, sizeof *c.leaf_of);
    c.order = calloc(wanted + 1, sizeof *c.order);
    c.first = calloc((size_t)count + 2, sizeof *c.first);
    c.centroids = calloc((size_t)count * points->dim, sizeof *c.centroids);
    if (leaves->blocks && leaves->norms && c.members && c.leaf_of && c.order && c.first && c.centroids) {
        choose_members(&c, (uint32_t)wanted, &rng);
        err = lloyd(&c, &rng, crew);
    }
    free(c.members);
    free(c.leaf_of);
    free(c.order);
    free(c.first);
    free(c.centroids);
    return err;
}

void cf_ann_leaves_fini(struct cf_ann_leaves *leaves)
{
    free(leaves->blocks);
    free(leaves->norms);
    *leaves = (struct cf_ann_leaves){0};
}

/* ---- two leaves for everybody ---- */

/* The direction of what is left of each vector, scaled so that its square weighs as it should. */
static void directions(const struct clustering *c, const struct group *group, const uint32_t *first,
                       struct group *shadows, float products_with[GROUP])
{
    uint32_t dim = c->points->dim;
    float residual[CF_ANN_LEAF_DIMS_MAX], x[CF_ANN_LEAF_DIMS_MAX];
    int8_t bytes[CF_ANN_LEAF_DIMS_MAX];

    shadows->count = 0;
    for (uint32_t v = 0; v < group->count; v++) {
        cf_ann_centroid_unpack(c->leaves, dim, first[v], residual);
        for (uint32_t j = 0; j < dim; j++) {
            x[j] = group->units[v] * (float)group->bytes[v][j];
            residual[j] = x[j] - residual[j];
        }
        float square = c->kernels->dot(residual, residual, dim), unit = cf_ann_bytes_of(residual, dim, dim, bytes);
        group_add(shadows, bytes, square > 0 ? unit * sqrtf(SOAR_LAMBDA / square) : 0, dim);
        float with = 0;
        for (uint32_t j = 0; j < dim; j++)
            with += x[j] * (float)bytes[j];
        products_with[v] = with / c->leaves->step;
    }
}

static void second(const struct clustering *c, const struct group *group, const uint32_t *first, uint32_t at[GROUP])
{
    int32_t sums[GROUP][STRIP], shadow_sums[GROUP][STRIP];
    float keys[STRIP], best[GROUP], with[GROUP];
    struct group shadows;

    directions(c, group, first, &shadows, with);
    for (uint32_t v = 0; v < group->count; v++) {
        best[v] = INFINITY;
        at[v] = first[v];
    }
    for (uint32_t begin = 0; begin < c->leaves->padded; begin += STRIP) {
        uint32_t count = c->leaves->padded - begin < STRIP ? c->leaves->padded - begin : STRIP;
        products(c, group, begin, count, sums);
        products(c, &shadows, begin, count, shadow_sums);
        for (uint32_t v = 0; v < group->count; v++) {
            c->kernels->keys(c->leaves->norms + begin, sums[v], 2 * group->units[v] * c->leaves->step, count, keys);
            if (first[v] - begin < count)
                keys[first[v] - begin] = INFINITY;
            float least =
                c->kernels->shadow(keys, shadow_sums[v], shadows.units[v] * c->leaves->step, with[v], count);
            improve(keys, least, begin, &best[v], &at[v]);
        }
    }
}

static void assign_pairs(void *arg, size_t chunk)
{
    struct clustering *c = arg;
    uint32_t begin = (uint32_t)chunk * CHUNK,
             end = c->points->count - begin < CHUNK ? c->points->count : begin + CHUNK;
    uint32_t first[GROUP], other[GROUP];

    for (uint32_t at = begin; at < end; at += GROUP) {
        struct group group = {.count = 0};
        for (uint32_t i = at; i < end && i < at + GROUP; i++)
            group_add(&group, bytes_at(c->points, i), point_at(c->points, i)->unit, c->points->dim);
        nearest(c, &group, first);
        second(c, &group, first, other);
        for (uint32_t v = 0; v < group.count; v++) {
            c->pairs[at + v][0] = first[v];
            c->pairs[at + v][1] = other[v];
        }
    }
}

enum cf_err cf_ann_leaves_assign(const struct cf_ann_leaves *leaves, const struct cf_ann_points *points,
                                 const struct cf_ann_crew *crew, uint32_t (*leaf_of)[2])
{
    struct cf_ann_leaves borrowed = *leaves;
    struct clustering c = {
        .kernels = cf_ann_train_kernels(), .points = points, .leaves = &borrowed, .pairs = leaf_of};

    return cf_ann_crew_run(crew, ((size_t)points->count + CHUNK - 1) / CHUNK, assign_pairs, &c);
}
