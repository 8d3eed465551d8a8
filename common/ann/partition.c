#include "common/ann/partition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/project.h"

enum { ROUNDS = 5, CHUNK = 1024, CENTRE = 64 };

struct clustering {
    const struct cf_ann_points *points;
    const struct cf_ann_kernels *kernels;
    uint32_t leaf_count, block_count;
    float *centroids; /* [leaf_count][dim] */
    uint8_t *blocks;
    float *norms;
    float step;
    uint32_t *leaf_of; /* by point */
    struct cf_ann_tree leaves;
};

float cf_ann_bytes_of(const float *x, uint32_t dim, int8_t *out)
{
    float largest = 0, step;

    for (uint32_t j = 0; j < dim; j++)
        largest = fmaxf(largest, fabsf(x[j]));
    step = largest > 0 && isfinite(largest) ? largest / 127 : 1;
    for (uint32_t j = 0; j < dim; j++) {
        float value = rintf(x[j] / step);
        out[j] = (int8_t)(value > 127 ? 127 : value > -127 ? value : -127);
    }
    return step;
}

float cf_ann_centroids_pack(const float *centroids, uint32_t count, uint32_t dim, uint8_t *blocks,
                            float *norms)
{
    float largest = 0, step;

    for (size_t i = 0; i < (size_t)count * dim; i++)
        largest = fmaxf(largest, fabsf(centroids[i]));
    step = largest > 0 ? largest / (CENTRE - 1) : 1;
    for (uint32_t c = 0; c < (count + CF_ANN_LANE_COUNT - 1) / CF_ANN_LANE_COUNT * CF_ANN_LANE_COUNT; c++) {
        uint8_t *block = blocks + (size_t)(c / CF_ANN_LANE_COUNT) * CF_ANN_LANE_COUNT * dim;
        float norm = 0;
        for (uint32_t j = 0; j < dim; j++) {
            float value = c < count ? centroids[(size_t)c * dim + j] : 0;
            norm += value * value;
            block[j / 4 * 64 + c % CF_ANN_LANE_COUNT * 4 + j % 4] = (uint8_t)(rintf(value / step) + CENTRE);
        }
        norms[c] = c < count ? norm : INFINITY;
    }
    return step;
}

static void assign_chunk(void *arg, size_t chunk)
{
    struct clustering *c = arg;
    uint32_t dim = c->points->dim, begin = (uint32_t)chunk * CHUNK;
    uint32_t end = c->points->count - begin < CHUNK ? c->points->count : begin + CHUNK;
    int8_t values[4][CF_ANN_LEAF_DIMS_MAX];
    const int8_t *const vectors[4] = {values[0], values[1], values[2], values[3]};

    for (uint32_t at = begin; at < end; at += 4) {
        float factors[4];
        uint32_t nearest[4];
        for (uint32_t v = 0; v < 4; v++) {
            uint32_t point = at + v < end ? at + v : end - 1;
            factors[v] =
                2 * c->step *
                cf_ann_bytes_of(c->points->vectors + (size_t)point * c->points->stride, dim, values[v]);
        }
        c->kernels->nearest_blocks(vectors, factors, c->blocks, c->norms, c->block_count, dim, nearest);
        for (uint32_t v = 0; v < 4 && at + v < end; v++)
            c->leaf_of[at + v] = nearest[v];
    }
}

/* Points by leaf, by number within a leaf: a counting sort. */
static void gather_leaves(struct clustering *c)
{
    uint32_t *first = c->leaves.first;

    memset(first, 0, ((size_t)c->leaf_count + 2) * sizeof *first);
    for (uint32_t i = 0; i < c->points->count; i++)
        first[c->leaf_of[i] + 2]++;
    for (uint32_t l = 2; l < c->leaf_count + 2; l++)
        first[l] += first[l - 1];
    for (uint32_t i = 0; i < c->points->count; i++)
        c->leaves.order[first[c->leaf_of[i] + 1]++] = i;
    c->leaves.leaf_count = c->leaf_count;
}

static void move_centroid(void *arg, size_t leaf)
{
    struct clustering *c = arg;
    if (c->leaves.first[leaf] < c->leaves.first[leaf + 1])
        cf_ann_tree_centroid(&c->leaves, c->points, (uint32_t)leaf, c->centroids + leaf * c->points->dim);
}

static enum cf_err lloyd(struct clustering *c, const struct cf_ann_crew *crew)
{
    enum cf_err err = cf_ann_crew_run(crew, c->leaf_count, move_centroid, c);

    for (int round = 0; round < ROUNDS && !err; round++) {
        c->step = cf_ann_centroids_pack(c->centroids, c->leaf_count, c->points->dim, c->blocks, c->norms);
        err = cf_ann_crew_run(crew, ((size_t)c->points->count + CHUNK - 1) / CHUNK, assign_chunk, c);
        if (err)
            break;
        gather_leaves(c);
        err = cf_ann_crew_run(crew, c->leaf_count, move_centroid, c);
    }
    return err;
}

/* The points of one leaf as a set of their own, split by the tree into `order` and the ends of its leaves. */
static enum cf_err split_leaf(const struct clustering *c, uint32_t leaf, uint32_t leaf_max, uint64_t seed,
                              const struct cf_ann_crew *crew, struct cf_ann_tree *out)
{
    uint32_t begin = c->leaves.first[leaf], count = c->leaves.first[leaf + 1] - begin, dim = c->points->dim;
    struct cf_ann_points part = {.count = count, .dim = dim, .stride = dim};
    float *vectors = calloc((size_t)count * dim, sizeof *vectors);
    uint8_t *held = calloc(count, 1);
    struct cf_ann_tree tree = {0};
    enum cf_err err = CF_E_NO_MEMORY;

    if (!vectors || !held)
        goto out;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t point = c->leaves.order[begin + i];
        memcpy(vectors + (size_t)i * dim, c->points->vectors + (size_t)point * c->points->stride,
               dim * sizeof *vectors);
        held[i] = c->points->held[point];
    }
    part.vectors = vectors;
    part.held = held;
    err = cf_ann_tree_grow(&tree, &part, leaf_max, seed, crew);
    if (err)
        goto out;
    uint32_t base = out->first[out->leaf_count];
    for (uint32_t i = 0; i < count; i++)
        out->order[base + i] = c->leaves.order[begin + tree.order[i]];
    for (uint32_t l = 0; l < tree.leaf_count; l++)
        out->first[++out->leaf_count] = base + tree.first[l + 1];
out:
    cf_ann_tree_fini(&tree);
    free(vectors);
    free(held);
    return err;
}

/* Leaves out empty leaves and splits large ones. */
static enum cf_err finish(const struct clustering *c, uint32_t leaf_max, uint64_t seed,
                          const struct cf_ann_crew *crew, struct cf_ann_tree *out)
{
    enum cf_err err = CF_OK;

    for (uint32_t l = 0; l < c->leaf_count && !err; l++) {
        uint32_t begin = c->leaves.first[l], count = c->leaves.first[l + 1] - begin,
                 base = out->first[out->leaf_count];
        if (count > leaf_max) {
            err = split_leaf(c, l, leaf_max, seed, crew, out);
        } else if (count) {
            memcpy(out->order + base, c->leaves.order + begin, count * sizeof *out->order);
            out->first[++out->leaf_count] = base + count;
        }
    }
    return err;
}

static enum cf_err cluster(struct clustering *c, struct cf_ann_tree *start, uint32_t leaf_max, uint64_t seed,
                           const struct cf_ann_crew *crew, struct cf_ann_tree *out)
{
    size_t count = c->points->count, dim = c->points->dim, padded;

    c->leaf_count = start->leaf_count;
    c->block_count = (c->leaf_count + CF_ANN_LANE_COUNT - 1) / CF_ANN_LANE_COUNT;
    padded = (size_t)c->block_count * CF_ANN_LANE_COUNT;
    c->centroids = calloc((size_t)c->leaf_count * dim + 1, sizeof *c->centroids);
    c->blocks = calloc(padded * dim + 1, 1);
    c->norms = calloc(padded + 1, sizeof *c->norms);
    c->leaf_of = calloc(count + 1, sizeof *c->leaf_of);
    c->leaves.order = calloc(count + 1, sizeof *c->leaves.order);
    c->leaves.first = calloc((size_t)c->leaf_count + 2, sizeof *c->leaves.first);
    out->order = calloc(count + 1, sizeof *out->order);
    /* A split leaves at most twice as many parts as its size over half of leaf_max, rounded up. */
    out->first = calloc((size_t)c->leaf_count + 4 * count / leaf_max + 2, sizeof *out->first);
    if (!c->centroids || !c->blocks || !c->norms || !c->leaf_of || !c->leaves.order || !c->leaves.first ||
        !out->order || !out->first)
        return CF_E_NO_MEMORY;
    memcpy(c->leaves.order, start->order, count * sizeof *start->order);
    memcpy(c->leaves.first, start->first, ((size_t)start->leaf_count + 1) * sizeof *start->first);
    c->leaves.leaf_count = start->leaf_count;
    enum cf_err err = lloyd(c, crew);
    return err ? err : finish(c, leaf_max, seed, crew, out);
}

enum cf_err cf_ann_partition(struct cf_ann_tree *leaves, const struct cf_ann_points *points, uint64_t seed,
                             const struct cf_ann_crew *crew)
{
    uint32_t mean = CF_ANN_LEAF_MEAN, least = points->count / CF_ANN_LEAF_COUNT_MAX;
    struct clustering c = {.points = points, .kernels = cf_ann_kernels()};
    struct cf_ann_tree start = {0};

    mean = least > mean ? least : mean;
    *leaves = (struct cf_ann_tree){0};
    enum cf_err err = cf_ann_tree_grow(&start, points, mean + mean / 3, seed, crew);
    if (!err)
        err = cluster(&c, &start, CF_ANN_LEAF_MAX_TIMES * mean, seed, crew, leaves);
    cf_ann_tree_fini(&start);
    cf_ann_tree_fini(&c.leaves);
    free(c.centroids);
    free(c.blocks);
    free(c.norms);
    free(c.leaf_of);
    return err;
}
