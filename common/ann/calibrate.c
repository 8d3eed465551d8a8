#include "common/ann/calibrate.h"

#include <math.h>
#include <stdlib.h>

#include "common/ann/scan.h"
#include "common/base/rng.h"

enum { NEIGHBOURS = 1000, GROUP = 16, KIND_COUNT = 3 };
enum kind { KIND_HELD, KIND_PERTURBED, KIND_MIXED };

static const uint32_t grid_k[CF_ANN_GRID_K] = {1, 10, 100, NEIGHBOURS};
static const double grid_recall[CF_ANN_GRID_RECALL] = {.5,  .6,  .7,  .8,  .85, .9,   .925,
                                                       .95, .96, .97, .98, .99, .995, .999};

struct neighbour {
    float key;
    uint32_t row, rank; /* rank of its leaf in the query's order */
    uint32_t found;     /* bit effort * CF_ANN_GRID_K + k: survived there */
};

struct probe {
    uint32_t self; /* the row that does not count, or UINT32_MAX */
    float reach;
    uint32_t count; /* neighbours, nearest first */
    struct neighbour *neighbours;
};

struct group {
    struct cf_ann_scratch scratch;
    struct cf_ann_candidate *entries; /* [GROUP][NEIGHBOURS] */
    enum cf_err err;
};

struct trial {
    const struct cf_ann *ann;
    cf_ann_distance_fn *distance;
    float *queries; /* [probe_count][dim] */
    struct probe *probes;
    struct neighbour *neighbours; /* [probe_count][NEIGHBOURS] */
    struct group *groups;
    struct cf_ann_candidate *entries;
    uint32_t held_count, begin, end; /* kind after kind, held_count of each; what is measured now */
};

uint32_t cf_ann_held_count(uint64_t count)
{
    if (count < CF_ANN_CALIBRATED_MIN)
        return 0;
    return count / 8 < CF_ANN_HELD_MAX ? (uint32_t)(count / 8) : CF_ANN_HELD_MAX;
}

/* The most leaves that an effort is tried on: beyond, the next one is better. */
static uint32_t leaves_of_effort(uint32_t leaf_count, unsigned effort)
{
    uint32_t share = effort == 0 ? leaf_count / 8 : effort == 1 ? leaf_count / 3 : leaf_count;

    return share > 0 ? share : 1;
}

/* Of one group of probes at once, so that a row is read from memory once for all of them. */
static void find_neighbours(const struct trial *t, uint32_t begin, uint32_t end, struct group *group)
{
    const struct cf_ann *ann = t->ann;
    uint32_t dim = ann->header.dim, block = 64;
    struct cf_ann_heap heaps[GROUP];

    for (uint32_t p = begin; p < end; p++)
        heaps[p - begin] =
            (struct cf_ann_heap){ann, group->entries + (size_t)(p - begin) * NEIGHBOURS, NEIGHBOURS, 0};
    for (uint32_t first = 0; first < ann->header.count; first += block)
        for (uint32_t p = begin; p < end; p++)
            for (uint32_t row = first; row < first + block && row < ann->header.count; row++) {
                float key = t->distance(t->queries + (size_t)p * dim, ann->rows + (size_t)row * dim, dim);
                struct cf_ann_candidate candidate = {key, row};
                if (row != t->probes[p].self && cf_ann_heap_wants(&heaps[p - begin], candidate))
                    cf_ann_heap_push(&heaps[p - begin], candidate);
            }
    for (uint32_t p = begin; p < end; p++) {
        t->probes[p].count = (uint32_t)cf_ann_heap_sort(&heaps[p - begin]);
        for (uint32_t i = 0; i < t->probes[p].count; i++) {
            struct cf_ann_candidate c = heaps[p - begin].entries[i];
            t->probes[p].neighbours[i] = (struct neighbour){c.key, c.row, 0, 0};
        }
    }
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

static void rank_neighbours(const struct cf_ann_target *target, struct probe *probe)
{
    const float *keys = target->scratch->keys;
    size_t leaf_count = target->ann->header.leaf_count;

    probe->reach = target->reach;
    for (uint32_t i = 0; i < probe->count; i++) {
        float key = keys[leaf_of(target->ann, probe->neighbours[i].row)];
        /* All leaves that are as near come before it. */
        size_t as_near = target->kernels->count_below(keys, leaf_count, nextafterf(key, INFINITY));
        probe->neighbours[i].rank = (uint32_t)as_near - 1;
    }
}

/* Hits and neighbours are in the same order, so what is in both is found in one walk. */
static void mark_found(struct probe *probe, const struct cf_ann_heap *heap, size_t count, uint32_t bit)
{
    size_t at = 0;

    for (uint32_t i = 0; i < probe->count && at < count; i++)
        if (heap->entries[at].row == probe->neighbours[i].row) {
            probe->neighbours[i].found |= bit;
            at++;
        }
}

static enum cf_err try_efforts(const struct trial *t, uint32_t p, struct group *group)
{
    uint32_t leaf_count = (uint32_t)t->ann->header.leaf_count;
    struct cf_ann_target target;
    enum cf_err err =
        cf_ann_target_init(&target, t->ann, &group->scratch, t->queries + (size_t)p * t->ann->header.dim);

    if (err)
        return err;
    target.skip = t->probes[p].self;
    rank_neighbours(&target, &t->probes[p]);
    for (unsigned effort = 0; effort < CF_ANN_EFFORT_COUNT; effort++)
        for (unsigned k = 0; k < CF_ANN_GRID_K; k++) {
            struct cf_ann_plan plan = {leaves_of_effort(leaf_count, effort), effort};
            struct cf_ann_heap heap = {t->ann, group->entries, grid_k[k], 0};
            err = cf_ann_scan(&target, plan, &heap);
            if (err)
                return err;
            mark_found(&t->probes[p], &heap, cf_ann_heap_sort(&heap), 1u << (effort * CF_ANN_GRID_K + k));
        }
    return CF_OK;
}

static void measure_group(void *arg, size_t number)
{
    const struct trial *t = arg;
    struct group *group = &t->groups[number];
    uint32_t begin = t->begin + (uint32_t)number * GROUP,
             end = t->end - begin < GROUP ? t->end : begin + GROUP;

    find_neighbours(t, begin, end, group);
    for (uint32_t p = begin; p < end && !group->err; p++)
        group->err = try_efforts(t, p, group);
}

/* The share of the first k neighbours (or of others exactly as near) that are found in the first `leaves`
 * leaves. */
static double recall_of(const struct probe *probe, unsigned effort, unsigned k, uint64_t leaves)
{
    uint32_t wanted = grid_k[k] < probe->count ? grid_k[k] : probe->count, found = 0;
    uint32_t bit = 1u << (effort * CF_ANN_GRID_K + k);

    for (uint32_t i = 0; i < probe->count && found < wanted; i++) {
        if (probe->neighbours[i].key > probe->neighbours[wanted - 1].key)
            break;
        found += (probe->neighbours[i].found & bit) && probe->neighbours[i].rank < leaves;
    }
    return wanted ? (double)found / wanted : 1;
}

static double recall_bound(const struct trial *t, enum kind kind, unsigned effort, unsigned k,
                           uint64_t leaves)
{
    const struct probe *probes = t->probes + (size_t)kind * t->held_count;
    double sum = 0, squares = 0, n = t->held_count;

    for (uint32_t i = 0; i < t->held_count; i++) {
        double recall = recall_of(&probes[i], effort, k, leaves);
        sum += recall;
        squares += recall * recall;
    }
    double mean = sum / n, variance = (squares - sum * mean) / (n - 1);
    return mean - 2.33 * sqrt(variance > 0 ? variance / n : 0);
}

/* The fewest leaves at this effort, 0 when it is not enough. */
static uint32_t leaves_for(const struct trial *t, enum kind kind, unsigned effort, unsigned k, double recall)
{
    uint32_t low = 0, high = leaves_of_effort((uint32_t)t->ann->header.leaf_count, effort);

    if (recall_bound(t, kind, effort, k, high) < recall)
        return 0;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (recall_bound(t, kind, effort, k, middle) >= recall)
            high = middle;
        else
            low = middle;
    }
    return high;
}

static struct cf_ann_plan plan_for(const struct trial *t, unsigned kind_count, unsigned k, double recall)
{
    for (unsigned effort = 0; effort < CF_ANN_EFFORT_COUNT; effort++) {
        struct cf_ann_plan plan = {1, effort};
        for (unsigned kind = 0; kind < kind_count && plan.leaves; kind++) {
            uint32_t leaves = leaves_for(t, (enum kind)kind, effort, k, recall);
            plan.leaves = leaves == 0 || leaves > plan.leaves ? leaves : plan.leaves;
        }
        if (plan.leaves)
            return plan;
    }
    return (struct cf_ann_plan){0, 0};
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
    out->reach[0] = reaches[known * 99 / 100];
    out->reach[1] = reaches[known - 1];
    for (uint32_t i = known; i < KIND_COUNT * t->held_count; i++)
        out->reach[1] = fmaxf(out->reach[1], t->probes[i].reach);
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

    /* One kind after the other: the perturbed ones need the neighbours of the held ones. */
    for (unsigned kind = 0; kind < KIND_COUNT && !err; kind++) {
        make_queries(t, held, (enum kind)kind, &rng);
        t->begin = kind * t->held_count;
        t->end = t->begin + t->held_count;
        size_t groups = (t->held_count + GROUP - 1) / GROUP;
        err = cf_ann_crew_run(crew, groups, measure_group, t);
        for (size_t g = 0; g < groups && !err; g++)
            err = t->groups[g].err;
    }
    return err;
}

static enum cf_err trial_init(struct trial *t)
{
    size_t probes = (size_t)t->held_count * KIND_COUNT, groups = (t->held_count + GROUP - 1) / GROUP;

    t->queries = calloc(probes * t->ann->header.dim, sizeof *t->queries);
    t->probes = calloc(probes, sizeof *t->probes);
    t->neighbours = calloc(probes * NEIGHBOURS, sizeof *t->neighbours);
    t->groups = calloc(groups, sizeof *t->groups);
    t->entries = calloc(groups * GROUP * NEIGHBOURS, sizeof *t->entries);
    if (!t->queries || !t->probes || !t->neighbours || !t->groups || !t->entries)
        return CF_E_NO_MEMORY;
    for (size_t g = 0; g < groups; g++)
        t->groups[g].entries = t->entries + g * GROUP * NEIGHBOURS;
    return CF_OK;
}

static void trial_fini(struct trial *t)
{
    for (size_t g = 0; t->groups && g < (t->held_count + GROUP - 1) / GROUP; g++)
        cf_ann_scratch_fini(&t->groups[g].scratch);
    free(t->queries);
    free(t->probes);
    free(t->neighbours);
    free(t->groups);
    free(t->entries);
}

enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const uint32_t *held, uint32_t held_count,
                             const struct cf_ann_crew *crew, struct cf_ann_calibration *out)
{
    struct trial t = {.ann = ann, .distance = cf_ann_distance_kernel(), .held_count = held_count};
    enum cf_err err;

    *out = (struct cf_ann_calibration){0}; /* no plan: exact */
    if (!held_count)
        return CF_OK;
    err = trial_init(&t);
    if (!err)
        err = measure(&t, held, crew);
    if (!err)
        set_reaches(&t, out);
    for (unsigned k = 0; k < CF_ANN_GRID_K && !err; k++)
        for (unsigned r = 0; r < CF_ANN_GRID_RECALL; r++) {
            out->plans[0][k][r] = plan_for(&t, KIND_MIXED, k, grid_recall[r]);
            out->plans[1][k][r] = plan_for(&t, KIND_COUNT, k, grid_recall[r]);
        }
    trial_fini(&t);
    return err;
}

struct cf_ann_plan cf_ann_plan(const struct cf_ann *ann, float reach, uint64_t k, double recall)
{
    const struct cf_ann_calibration *table = ann->calibration;
    uint64_t all = ann->header.leaf_count, leaves;
    unsigned c = 0, r = 0, g = 0;

    while (c < CF_ANN_CLASS_COUNT && reach >= 0 && !(reach <= table->reach[c]))
        c++;
    while (r < CF_ANN_GRID_RECALL && recall > grid_recall[r])
        r++;
    while (g < CF_ANN_GRID_K - 1 && k > grid_k[g])
        g++;
    if (c == CF_ANN_CLASS_COUNT || r == CF_ANN_GRID_RECALL)
        return (struct cf_ann_plan){0, 0};
    struct cf_ann_plan plan = table->plans[c][g][r];
    leaves = plan.leaves;
    if (k > grid_k[g]) /* off the grid: in proportion, which is more than is needed */
        leaves = leaves > all ? all : leaves * ((k + grid_k[g] - 1) / grid_k[g]);
    plan.leaves = (uint32_t)(leaves < all ? leaves : all);
    return plan;
}
