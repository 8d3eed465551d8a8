#include "common/ann/calibrate.h"

#include <math.h>
#include <stdlib.h>

#include "common/ann/heap.h"
#include "common/ann/leaves.h"
#include "common/base/rng.h"

enum { NEIGHBOURS = 1000, GROUP = 16, KIND_COUNT = 3 };
enum kind { KIND_HELD, KIND_PERTURBED, KIND_MIXED };

static const uint32_t grid_k[CF_ANN_GRID_K] = {1, 10, 100, NEIGHBOURS};
static const double grid_recall[CF_ANN_GRID_RECALL] = {.5,  .6,  .7,  .8,  .85, .9,   .925,
                                                       .95, .96, .97, .98, .99, .995, .999};

struct probe {
    uint32_t self; /* the row that does not count, or UINT32_MAX */
    float reach;
    uint32_t count;                      /* neighbours, nearest first */
    struct cf_ann_candidate *neighbours; /* [NEIGHBOURS]; row becomes the rank of its leaf */
};

struct trial {
    const struct cf_ann *ann;
    cf_ann_distance_fn *distance;
    float *queries; /* [probe_count][dim] */
    struct probe *probes;
    struct cf_ann_candidate *neighbours;
    struct cf_ann_leaf *leaves;       /* [probe_count][leaf_count] */
    uint32_t *ranks;                  /* likewise */
    uint32_t held_count, probe_count; /* kind after kind, held_count of each */
};

uint32_t cf_ann_held_count(uint64_t count)
{
    if (count < CF_ANN_CALIBRATED_MIN)
        return 0;
    return count / 8 < CF_ANN_HELD_MAX ? (uint32_t)(count / 8) : CF_ANN_HELD_MAX;
}

/* Of one group of probes at once, so that a leaf is read from memory once for all of them. */
static void find_neighbours(const struct trial *t, uint32_t begin, uint32_t end)
{
    const struct cf_ann *ann = t->ann;
    uint32_t dim = ann->header.dim;
    struct cf_ann_heap heaps[GROUP];

    for (uint32_t p = begin; p < end; p++)
        heaps[p - begin] = (struct cf_ann_heap){ann, t->probes[p].neighbours, NEIGHBOURS, 0};
    for (uint32_t leaf = 0; leaf < ann->header.leaf_count; leaf++)
        for (uint32_t p = begin; p < end; p++)
            for (uint32_t row = ann->leaf_first[leaf]; row < ann->leaf_first[leaf + 1]; row++) {
                float key = t->distance(t->queries + (size_t)p * dim, ann->rows + (size_t)row * dim, dim);
                struct cf_ann_candidate candidate = {key, row};
                if (row != t->probes[p].self && cf_ann_heap_wants(&heaps[p - begin], candidate))
                    cf_ann_heap_push(&heaps[p - begin], candidate);
            }
    for (uint32_t p = begin; p < end; p++)
        t->probes[p].count = (uint32_t)cf_ann_heap_sort(&heaps[p - begin]);
}

static uint32_t leaf_of(const struct cf_ann *ann, uint32_t row)
{
    uint32_t low = 0, high = (uint32_t)ann->header.leaf_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (ann->leaf_first[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Each neighbour's row gives way to the place of its leaf in this query's order. */
static void rank_neighbours(const struct trial *t, uint32_t p, struct cf_ann_leaf *entries, uint32_t *ranks)
{
    struct probe *probe = &t->probes[p];
    struct cf_ann_leaves leaves = {.entries = entries};

    cf_ann_leaves_rank(&leaves, t->ann, t->queries + (size_t)p * t->ann->header.dim, t->distance);
    probe->reach = sqrtf(entries[0].key);
    for (uint32_t rank = 0; leaves.count; rank++)
        ranks[cf_ann_leaves_pop(&leaves).leaf] = rank;
    for (uint32_t i = 0; i < probe->count; i++)
        probe->neighbours[i].row = ranks[leaf_of(t->ann, probe->neighbours[i].row)];
}

static void measure_group(void *arg, size_t group)
{
    const struct trial *t = arg;
    uint32_t begin = (uint32_t)group * GROUP, leaf_count = (uint32_t)t->ann->header.leaf_count;
    uint32_t end = t->probe_count - begin < GROUP ? t->probe_count : begin + GROUP;

    find_neighbours(t, begin, end);
    for (uint32_t p = begin; p < end; p++)
        rank_neighbours(t, p, t->leaves + group * leaf_count, t->ranks + group * leaf_count);
}

/* The share of the first k neighbours (or of others exactly as near) that lie in the first `leaves` leaves.
 */
static double recall_of(const struct probe *probe, uint32_t k, uint64_t leaves)
{
    uint32_t wanted = k < probe->count ? k : probe->count, found = 0;

    for (uint32_t i = 0; i < probe->count && found < wanted; i++) {
        if (probe->neighbours[i].key > probe->neighbours[wanted - 1].key)
            break;
        found += probe->neighbours[i].row < leaves;
    }
    return wanted ? (double)found / wanted : 1;
}

static double recall_bound(const struct trial *t, enum kind kind, uint32_t k, uint64_t leaves)
{
    const struct probe *probes = t->probes + (size_t)kind * t->held_count;
    double sum = 0, squares = 0, n = t->held_count;

    for (uint32_t i = 0; i < t->held_count; i++) {
        double recall = recall_of(&probes[i], k, leaves);
        sum += recall;
        squares += recall * recall;
    }
    double mean = sum / n, variance = (squares - sum * mean) / (n - 1);
    return mean - 2.33 * sqrt(variance > 0 ? variance / n : 0);
}

static uint32_t leaves_for(const struct trial *t, enum kind kind, uint32_t k, double recall)
{
    uint32_t low = 0, high = (uint32_t)t->ann->header.leaf_count; /* not enough, enough */

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (recall_bound(t, kind, k, middle) >= recall)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static int compare_float(const void *a, const void *b)
{
    float x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void set_reaches(const struct trial *t, struct cf_ann_calibration *out)
{
    float reaches[2 * CF_ANN_HELD_MAX];
    uint32_t known = 2 * t->held_count;

    for (uint32_t i = 0; i < known; i++)
        reaches[i] = t->probes[i].reach;
    qsort(reaches, known, sizeof *reaches, compare_float);
    out->reach[0] = reaches[known * 49 / 50];
    out->reach[1] = reaches[known - 1];
    for (uint32_t i = known; i < t->probe_count; i++)
        out->reach[1] = fmaxf(out->reach[1], t->probes[i].reach);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void fill_table(const struct trial *t, struct cf_ann_calibration *out)
{
    for (unsigned k = 0; k < CF_ANN_GRID_K; k++)
        for (unsigned r = 0; r < CF_ANN_GRID_RECALL; r++) {
            uint32_t held = leaves_for(t, KIND_HELD, grid_k[k], grid_recall[r]);
            uint32_t near = larger(held, leaves_for(t, KIND_PERTURBED, grid_k[k], grid_recall[r]));
            /* More results or more recall never take fewer leaves, whatever the noise of the measurement. */
            near = larger(near, larger(k ? out->leaves[0][k - 1][r] : 1, r ? out->leaves[0][k][r - 1] : 1));
            uint32_t far = larger(near, leaves_for(t, KIND_MIXED, grid_k[k], grid_recall[r]));
            far = larger(far, larger(k ? out->leaves[1][k - 1][r] : 1, r ? out->leaves[1][k][r - 1] : 1));
            out->leaves[0][k][r] = near;
            out->leaves[1][k][r] = far;
        }
}

/* Noise of half the distance to the nearest other vector: near enough to find it, far enough to change the
 * order. */
static void perturb(const struct trial *t, const struct probe *held, const float *x, struct cf_rng *rng,
                    float *out)
{
    uint32_t dim = t->ann->header.dim;
    double size = .5 * sqrt((double)(held->count ? held->neighbours[0].key : 0)) / sqrt(dim / 3.0);

    for (uint32_t j = 0; j < dim; j++)
        out[j] = x[j] + (float)(size * (2 * cf_rng_unit(rng) - 1));
}

static void make_queries(struct trial *t, const uint32_t *held, enum kind kind, struct cf_rng *rng)
{
    uint32_t dim = t->ann->header.dim;

    for (uint32_t i = 0; i < t->held_count; i++) {
        uint32_t p = (uint32_t)kind * t->held_count + i;
        const float *x = t->ann->rows + (size_t)held[i] * dim;
        float *query = t->queries + (size_t)p * dim;

        t->probes[p].neighbours = t->neighbours + (size_t)p * NEIGHBOURS;
        t->probes[p].self = kind == KIND_HELD ? held[i] : UINT32_MAX;
        if (kind == KIND_HELD)
            memcpy(query, x, dim * sizeof *x);
        else if (kind == KIND_PERTURBED)
            perturb(t, &t->probes[i], x, rng, query);
        else
            for (uint32_t j = 0; j < dim; j++)
                query[j] = t->ann->rows[(size_t)held[cf_rng_below(rng, t->held_count)] * dim + j];
    }
}

static enum cf_err measure(struct trial *t, const uint32_t *held, const struct cf_ann_crew *crew)
{
    struct cf_rng rng = cf_rng(t->ann->header.seed ^ 0xCA11B8A7Eu);
    enum cf_err err = CF_OK;

    /* The perturbed ones need the neighbours of the held ones, so these are measured first; twice is simpler
     * than apart. */
    for (unsigned kind = 0; kind < KIND_COUNT && !err; kind++) {
        make_queries(t, held, (enum kind)kind, &rng);
        if (kind != KIND_HELD && kind != KIND_MIXED)
            continue;
        t->probe_count = (kind + 1) * t->held_count;
        err = cf_ann_crew_run(crew, (t->probe_count + GROUP - 1) / GROUP, measure_group, t);
    }
    return err;
}

static void no_shortcuts(uint32_t leaf_count, struct cf_ann_calibration *out)
{
    *out = (struct cf_ann_calibration){0};
    for (unsigned c = 0; c < CF_ANN_CLASS_COUNT; c++)
        for (unsigned k = 0; k < CF_ANN_GRID_K; k++)
            for (unsigned r = 0; r < CF_ANN_GRID_RECALL; r++)
                out->leaves[c][k][r] = leaf_count;
}

enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const uint32_t *held, uint32_t held_count,
                             const struct cf_ann_crew *crew, struct cf_ann_calibration *out)
{
    size_t probes = (size_t)held_count * KIND_COUNT, groups = probes / GROUP + 1;
    struct trial t = {.ann = ann, .distance = cf_ann_distance_kernel(), .held_count = held_count};
    enum cf_err err = CF_E_NO_MEMORY;

    no_shortcuts((uint32_t)ann->header.leaf_count, out);
    if (!held_count)
        return CF_OK;
    t.queries = calloc(probes * ann->header.dim, sizeof *t.queries);
    t.probes = calloc(probes, sizeof *t.probes);
    t.neighbours = calloc(probes * NEIGHBOURS, sizeof *t.neighbours);
    t.leaves = calloc(groups * ann->header.leaf_count, sizeof *t.leaves);
    t.ranks = calloc(groups * ann->header.leaf_count, sizeof *t.ranks);
    if (t.queries && t.probes && t.neighbours && t.leaves && t.ranks)
        err = measure(&t, held, crew);
    if (!err) {
        set_reaches(&t, out);
        fill_table(&t, out);
    }
    free(t.queries);
    free(t.probes);
    free(t.neighbours);
    free(t.leaves);
    free(t.ranks);
    return err;
}

uint64_t cf_ann_leaves_wanted(const struct cf_ann *ann, float reach, uint64_t k, double recall)
{
    const struct cf_ann_calibration *table = ann->calibration;
    uint64_t all = ann->header.leaf_count, times = 1, leaves;
    unsigned c = 0, r = 0, g = 0;

    while (c < CF_ANN_CLASS_COUNT && !(reach <= table->reach[c]))
        c++;
    while (r < CF_ANN_GRID_RECALL && recall > grid_recall[r])
        r++;
    if (c == CF_ANN_CLASS_COUNT || r == CF_ANN_GRID_RECALL)
        return all;
    while (g < CF_ANN_GRID_K - 1 && k > grid_k[g])
        g++;
    if (k > grid_k[g])
        times = (k + grid_k[g] - 1) / grid_k[g];
    leaves = table->leaves[c][g][r];
    return leaves && times < all / leaves + 1 && leaves * times < all ? leaves * times : all;
}
