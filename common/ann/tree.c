#include "common/ann/tree.h"

#include <stdlib.h>
#include <string.h>

#include "common/ann/distance.h"
#include "common/base/rng.h"

enum { SAMPLE = 256, ROUNDS = 5, CHUNK = 1024, NOT_SPLIT = UINT32_MAX };

struct node {
    uint32_t begin, end;
    uint32_t pair; /* its two centres in growth.centres, or NOT_SPLIT */
};

struct growth {
    const struct cf_ann_points *points;
    cf_ann_distance_fn *distance;
    uint64_t seed;
    uint32_t leaf_max;
    uint32_t *order;
    float *keys;       /* by point: nearer to the first centre when negative */
    uint32_t *pair_of; /* by place in order */
    struct node *nodes, *next;
    uint32_t node_count, pair_count;
    float *centres; /* [pair_count][2][dim] */
};

static const float *vector_of(const struct growth *g, uint32_t point)
{
    return g->points->vectors + (size_t)point * g->points->stride;
}

/* Up to SAMPLE points of the node, evenly spread; held ones only when there is nothing else. */
static uint32_t sample_node(const struct growth *g, const struct node *node, const float **sample)
{
    uint32_t size = node->end - node->begin, wanted = size < SAMPLE ? size : SAMPLE, count = 0;

    for (int held = 0; held < 2 && count == 0; held++)
        for (uint32_t i = 0; i < wanted; i++) {
            uint32_t point = g->order[node->begin + (uint32_t)((uint64_t)size * i / wanted)];
            if (g->points->held[point] == held)
                sample[count++] = vector_of(g, point);
        }
    return count;
}

static const float *farthest(const struct growth *g, const float *from, const float *const *sample,
                             uint32_t count)
{
    const float *best = sample[0];
    float best_key = -1;

    for (uint32_t i = 0; i < count; i++) {
        float key = g->distance(from, sample[i], g->points->dim);
        if (key > best_key) {
            best_key = key;
            best = sample[i];
        }
    }
    return best;
}

/* One round of Lloyd's: centres become the means of what is nearest to them. False when a side would be
 * empty. */
static bool lloyd_round(const struct growth *g, const float *const *sample, uint32_t count, float *centres)
{
    uint32_t dim = g->points->dim, sizes[2] = {0, 0};
    uint8_t side[SAMPLE];

    for (uint32_t i = 0; i < count; i++) {
        side[i] = g->distance(sample[i], centres + dim, dim) < g->distance(sample[i], centres, dim);
        sizes[side[i]]++;
    }
    if (!sizes[0] || !sizes[1])
        return false;
    memset(centres, 0, 2 * (size_t)dim * sizeof *centres);
    for (uint32_t i = 0; i < count; i++) {
        float *centre = centres + side[i] * (size_t)dim, share = 1.0f / (float)sizes[side[i]];
        for (uint32_t j = 0; j < dim; j++)
            centre[j] += sample[i][j] * share;
    }
    return true;
}

static void train_node(void *arg, size_t i)
{
    struct growth *g = arg;
    const struct node *node = &g->nodes[i];
    const float *sample[SAMPLE];
    uint32_t dim = g->points->dim, count;
    float *centres;

    if (node->pair == NOT_SPLIT)
        return;
    count = sample_node(g, node, sample);
    centres = g->centres + (size_t)node->pair * 2 * dim;
    struct cf_rng rng = cf_rng(g->seed ^ ((uint64_t)node->begin << 32 | node->end));
    const float *start = sample[cf_rng_below(&rng, count)];
    memcpy(centres, start, dim * sizeof *centres);
    memcpy(centres + dim, farthest(g, start, sample, count), dim * sizeof *centres);
    for (int round = 0; round < ROUNDS && lloyd_round(g, sample, count, centres); round++) {
    }
}

static void project_chunk(void *arg, size_t chunk)
{
    struct growth *g = arg;
    uint32_t dim = g->points->dim, at = (uint32_t)chunk * CHUNK;
    uint32_t end = g->points->count - at < CHUNK ? g->points->count : at + CHUNK;

    for (; at < end; at++) {
        uint32_t point = g->order[at];
        if (g->pair_of[at] == NOT_SPLIT)
            continue;
        const float *centres = g->centres + (size_t)g->pair_of[at] * 2 * dim, *x = vector_of(g, point);
        g->keys[point] = g->distance(x, centres, dim) - g->distance(x, centres + dim, dim);
    }
}

static bool before(const struct growth *g, uint32_t a, uint32_t b)
{
    return g->keys[a] < g->keys[b] || (g->keys[a] == g->keys[b] && a < b);
}

/* Puts the points that come first before `middle` (quickselect; the pivot at random, so that no order is a
 * bad one). */
static void select_node(void *arg, size_t i)
{
    struct growth *g = arg;
    const struct node *node = &g->nodes[i];
    uint32_t low = node->begin, high = node->end, middle = low + (high - low) / 2;
    struct cf_rng rng = cf_rng(g->seed ^ node->begin);

    while (node->pair != NOT_SPLIT && high - low > 1) {
        uint32_t pivot = g->order[low + cf_rng_below(&rng, high - low)], at = low, to = low;
        for (; at < high; at++)
            if (before(g, g->order[at], pivot)) {
                uint32_t moved = g->order[at];
                g->order[at] = g->order[to];
                g->order[to++] = moved;
            }
        for (at = to; g->order[at] != pivot; at++) {
        }
        g->order[at] = g->order[to];
        g->order[to] = pivot;
        if (to == middle)
            return;
        if (to > middle)
            high = to;
        else
            low = to + 1;
    }
}

/* Numbers the nodes that are too big, and marks whose points are whose. */
static void plan_level(struct growth *g)
{
    g->pair_count = 0;
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct node *node = &g->nodes[i];
        node->pair = node->end - node->begin > g->leaf_max ? g->pair_count++ : NOT_SPLIT;
        for (uint32_t at = node->begin; at < node->end; at++)
            g->pair_of[at] = node->pair;
    }
}

static void split_level(struct growth *g)
{
    struct node *old = g->nodes;
    uint32_t count = 0;

    for (uint32_t i = 0; i < g->node_count; i++) {
        uint32_t begin = old[i].begin, end = old[i].end, middle = begin + (end - begin) / 2;
        if (old[i].pair != NOT_SPLIT) {
            g->next[count++] = (struct node){begin, middle, NOT_SPLIT};
            begin = middle;
        }
        g->next[count++] = (struct node){begin, end, NOT_SPLIT};
    }
    g->nodes = g->next;
    g->next = old;
    g->node_count = count;
}

static enum cf_err grow_level(struct growth *g, const struct cf_ann_crew *crew)
{
    enum cf_err err = CF_OK;

    g->centres = calloc((size_t)g->pair_count * 2 * g->points->dim, sizeof *g->centres);
    if (!g->centres)
        return CF_E_NO_MEMORY;
    err = cf_ann_crew_run(crew, g->node_count, train_node, g);
    if (!err)
        err = cf_ann_crew_run(crew, ((size_t)g->points->count + CHUNK - 1) / CHUNK, project_chunk, g);
    if (!err)
        err = cf_ann_crew_run(crew, g->node_count, select_node, g);
    if (!err)
        split_level(g);
    free(g->centres);
    return err;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static enum cf_err keep_leaves(struct cf_ann_tree *tree, const struct growth *g)
{
    tree->first = calloc((size_t)g->node_count + 1, sizeof *tree->first);
    if (!tree->first)
        return CF_E_NO_MEMORY;
    tree->leaf_count = g->node_count;
    for (uint32_t i = 0; i < g->node_count; i++) {
        tree->first[i + 1] = g->nodes[i].end;
        qsort(tree->order + g->nodes[i].begin, g->nodes[i].end - g->nodes[i].begin, sizeof *tree->order,
              compare_u32);
    }
    return CF_OK;
}

enum cf_err cf_ann_tree_grow(struct cf_ann_tree *tree, const struct cf_ann_points *points, uint32_t leaf_max,
                             uint64_t seed, const struct cf_ann_crew *crew)
{
    /* Nodes are cut in half above leaf_max, so none gets smaller than half of that. */
    size_t count = points->count, nodes_max = 2 * count / leaf_max + 2;
    struct growth g = {
        .points = points, .distance = cf_ann_distance_kernel(), .seed = seed, .leaf_max = leaf_max};
    enum cf_err err = CF_E_NO_MEMORY;

    *tree = (struct cf_ann_tree){.order = calloc(count + 1, sizeof *tree->order)};
    g.order = tree->order;
    g.keys = calloc(count + 1, sizeof *g.keys);
    g.pair_of = calloc(count + 1, sizeof *g.pair_of);
    g.nodes = calloc(nodes_max, sizeof *g.nodes);
    g.next = calloc(nodes_max, sizeof *g.next);
    if (!g.order || !g.keys || !g.pair_of || !g.nodes || !g.next)
        goto out;
    for (uint32_t i = 0; i < points->count; i++)
        g.order[i] = i;
    if (count)
        g.nodes[g.node_count++] = (struct node){0, points->count, NOT_SPLIT};
    for (plan_level(&g), err = CF_OK; !err && g.pair_count; plan_level(&g))
        err = grow_level(&g, crew);
    if (!err)
        err = keep_leaves(tree, &g);
out:
    free(g.keys);
    free(g.pair_of);
    free(g.nodes);
    free(g.next);
    return err;
}

void cf_ann_tree_fini(struct cf_ann_tree *tree)
{
    free(tree->order);
    free(tree->first);
    *tree = (struct cf_ann_tree){0};
}

static uint32_t add_points(const struct cf_ann_tree *tree, const struct cf_ann_points *points, uint32_t leaf,
                           int held, float share, float *centroid)
{
    uint32_t count = 0;

    for (uint32_t at = tree->first[leaf]; at < tree->first[leaf + 1]; at++) {
        uint32_t point = tree->order[at];
        const float *x = points->vectors + (size_t)point * points->stride;
        if (points->held[point] > held)
            continue;
        count++;
        for (uint32_t j = 0; share > 0 && j < points->dim; j++)
            centroid[j] += x[j] * share;
    }
    return count;
}

void cf_ann_tree_centroid(const struct cf_ann_tree *tree, const struct cf_ann_points *points, uint32_t leaf,
                          float *centroid)
{
    uint32_t count = add_points(tree, points, leaf, 0, 0, NULL);
    int held = count == 0;

    if (held)
        count = add_points(tree, points, leaf, 1, 0, NULL);
    memset(centroid, 0, points->dim * sizeof *centroid);
    add_points(tree, points, leaf, held, 1.0f / (float)count, centroid);
}
