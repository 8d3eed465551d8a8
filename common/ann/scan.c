#include "common/ann/scan.h"

#include <math.h>
#include <stdlib.h>

#include "common/ann/partition.h"
#include "common/base/rng.h"

enum { LINE = 64, FINE_AHEAD = 8, ROW_AHEAD = 2, BISECTIONS = 40 };

bool cf_ann_reserve(void **memory, size_t *room, size_t count, size_t size)
{
    if (count <= *room)
        return true;
    void *larger = realloc(*memory, count * size);
    if (!larger)
        return false;
    *memory = larger;
    *room = count;
    return true;
}

/* The macro keeps the types of the members. */
#define RESERVE(s, member, count)                                                                            \
    do {                                                                                                     \
        void *memory_ = (s)->member;                                                                         \
        if (!cf_ann_reserve(&memory_, &(s)->member##_room, (count), sizeof *(s)->member))                    \
            return CF_E_NO_MEMORY;                                                                           \
        (s)->member = memory_;                                                                               \
    } while (0)

void cf_ann_scratch_fini(struct cf_ann_scratch *scratch)
{
    free(scratch->wide);
    free(scratch->dots);
    free(scratch->keys);
    free(scratch->query);
    free(scratch->leaves);
    free(scratch->pool);
    free(scratch->best);
    *scratch = (struct cf_ann_scratch){0};
}

static void make_probe(struct cf_ann_target *t)
{
    t->probe.step = cf_ann_bytes_of(t->proj, CF_ANN_CODE_DIMS, t->probe.values);
    t->probe.sum = 0;
    for (unsigned j = 0; j < CF_ANN_CODE_DIMS; j++)
        t->probe.sum += t->probe.values[j];
}

static void make_fine(struct cf_ann_target *t)
{
    float largest = 0;

    for (uint32_t p = 0; p < t->ann->header.proj; p++)
        largest = fmaxf(largest, fabsf(t->proj[p]));
    t->fine_step = largest > 0 ? largest / 32000 : 1;
    for (uint32_t p = 0; p < t->ann->header.proj; p++)
        t->fine[p] = (int16_t)fmaxf(-32000, fminf(32000, rintf(t->proj[p] / t->fine_step)));
}

static void measure_leaves(struct cf_ann_target *t)
{
    const struct cf_ann_header *h = &t->ann->header;
    struct cf_ann_scratch *s = t->scratch;
    int8_t values[CF_ANN_LEAF_DIMS_MAX];
    float factor = 2 * h->centroid_step * cf_ann_bytes_of(t->proj, h->leaf_dims, values), square = 0;
    int32_t sum = 0;

    for (uint32_t j = 0; j < h->leaf_dims; j++) {
        square += t->proj[j] * t->proj[j];
        sum += values[j];
    }
    t->kernels->dots_blocks(values, t->ann->centroid_blocks, cf_ann_blocks_of(h->leaf_count), h->leaf_dims,
                            s->dots);
    t->key_least = INFINITY;
    t->key_most = -INFINITY;
    for (uint64_t l = 0; l < h->leaf_count; l++) {
        float scaled = factor * (float)s->dots[l], key = t->ann->centroid_norms[l] - scaled;
        s->keys[l] = key == key ? key : INFINITY;
        t->key_least = s->keys[l] < t->key_least ? s->keys[l] : t->key_least;
        t->key_most = s->keys[l] > t->key_most ? s->keys[l] : t->key_most;
    }
    t->reach = t->key_least + factor * 64 * (float)sum + square;
}

enum cf_err cf_ann_target_init(struct cf_ann_target *t, const struct cf_ann *ann,
                               struct cf_ann_scratch *scratch, const float *query)
{
    const struct cf_ann_header *h = &ann->header;
    struct cf_ann_projection projection = {ann->mean, ann->matrix, h->dim, h->proj};

    RESERVE(scratch, wide, cf_ann_matrix_width(h));
    RESERVE(scratch, dots, cf_ann_blocks_of(h->leaf_count) * CF_ANN_LANE_COUNT);
    RESERVE(scratch, keys, h->leaf_count);
    RESERVE(scratch, leaves, h->leaf_count);
    t->ann = ann;
    t->kernels = cf_ann_kernels();
    t->distance = cf_ann_distance_kernel();
    t->scratch = scratch;
    t->query = query;
    t->keep = NULL;
    t->keep_arg = NULL;
    t->skip = UINT32_MAX;
    t->kept = t->rejected = 0;
    t->norm = cf_ann_project(&projection, t->kernels, query, scratch->wide, t->proj);
    make_probe(t);
    make_fine(t);
    measure_leaves(t);
    return CF_OK;
}

/* A bound that at least `wanted` keys are below, and few more. */
static float bound_of(const struct cf_ann_target *t, size_t wanted)
{
    size_t count = t->ann->header.leaf_count;
    float low = t->key_least, high = nextafterf(t->key_most, INFINITY);

    if (wanted >= count || !isfinite(high))
        return INFINITY;
    for (int i = 0; i < BISECTIONS; i++) {
        float middle = low + (high - low) / 2;
        size_t below = t->kernels->count_below(t->scratch->keys, count, middle);
        if (below >= wanted)
            high = middle;
        else
            low = middle;
        if (below >= wanted && below <= wanted + wanted / 32)
            break;
    }
    return high;
}

static int compare_leaves(const void *a, const void *b)
{
    const struct cf_ann_leaf *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->leaf > y->leaf) - (x->leaf < y->leaf);
}

/* The chosen leaves by their distance in full precision, nearest first. */
static size_t choose_leaves(struct cf_ann_target *t, size_t wanted)
{
    const struct cf_ann_header *h = &t->ann->header;
    struct cf_ann_leaf *leaves = t->scratch->leaves;
    float bound = bound_of(t, wanted);
    size_t count = 0;

    for (uint32_t l = 0; l < h->leaf_count; l++)
        if (t->scratch->keys[l] < bound || bound == INFINITY) {
            float key = t->distance(t->proj, t->ann->centroids + (size_t)l * h->leaf_dims, h->leaf_dims);
            leaves[count++] = (struct cf_ann_leaf){key == key ? key : INFINITY, l};
        }
    qsort(leaves, count, sizeof *leaves, compare_leaves);
    return count;
}

static bool before(struct cf_ann_candidate a, struct cf_ann_candidate b)
{
    return a.key < b.key || (a.key == b.key && a.row < b.row);
}

/* Quickselect: the best `wanted` come first. */
static void select_best(struct cf_ann_candidate *c, size_t count, size_t wanted)
{
    size_t low = 0, high = count;
    struct cf_rng rng = cf_rng(count);

    while (wanted < count && high - low > 1) {
        size_t at = low + cf_rng_below(&rng, high - low), to = low;
        struct cf_ann_candidate pivot = c[at];
        c[at] = c[high - 1];
        for (size_t i = low; i + 1 < high; i++)
            if (before(c[i], pivot)) {
                struct cf_ann_candidate moved = c[i];
                c[i] = c[to];
                c[to++] = moved;
            }
        c[high - 1] = c[to];
        c[to] = pivot;
        if (to == wanted)
            return;
        if (to > wanted)
            high = to;
        else
            low = to + 1;
    }
}

struct pool {
    struct cf_ann_candidate *entries;
    size_t count, wanted, room;
};

/* Keeps the best; from now on only what is better than the worst of them is looked at. */
static void shrink(struct cf_ann_target *t, struct pool *pool)
{
    float worst = -INFINITY;

    select_best(pool->entries, pool->count, pool->wanted);
    pool->count = pool->wanted;
    for (size_t i = 0; i < pool->count; i++)
        worst = pool->entries[i].key > worst ? pool->entries[i].key : worst;
    t->probe.limit = worst;
}

static bool row_counts(struct cf_ann_target *t, uint32_t row)
{
    if (row == t->skip)
        return false;
    if (t->keep && !t->keep(t->keep_arg, row)) {
        t->rejected++;
        return false;
    }
    t->kept++;
    return true;
}

static void scan_leaf(struct cf_ann_target *t, struct cf_ann_leaf leaf, struct pool *pool)
{
    const struct cf_ann *ann = t->ann;
    uint32_t row = ann->leaf_first[leaf.leaf], end = ann->leaf_first[leaf.leaf + 1];
    float base = leaf.key - ann->centroid_norms[leaf.leaf], keys[CF_ANN_LANE_COUNT];

    for (uint32_t b = ann->block_first[leaf.leaf]; b < ann->block_first[leaf.leaf + 1];
         b++, row += CF_ANN_LANE_COUNT) {
        uint32_t mask = t->kernels->scan_block(&ann->blocks[b], &t->probe, base, keys);
        for (; mask; mask &= mask - 1) {
            unsigned e = (unsigned)__builtin_ctz(mask);
            if (row + e >= end || !row_counts(t, row + e))
                continue;
            pool->entries[pool->count++] = (struct cf_ann_candidate){keys[e], row + e};
            if (pool->count == pool->room)
                shrink(t, pool);
        }
    }
}

static void prefetch(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch((const char *)from + i);
}

static void scan_codes(struct cf_ann_target *t, size_t wanted, struct pool *pool)
{
    const struct cf_ann *ann = t->ann;
    const struct cf_ann_leaf *leaves = t->scratch->leaves;
    size_t count = choose_leaves(t, wanted);

    t->probe.limit = INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count) {
            uint32_t next = ann->block_first[leaves[i + 1].leaf],
                     after = ann->block_first[leaves[i + 1].leaf + 1];
            prefetch(&ann->blocks[next], (after - next) * sizeof *ann->blocks);
        }
        scan_leaf(t, leaves[i], pool);
    }
}

/* Ranks by bytes, in place. */
static void rank_fine(const struct cf_ann_target *t, struct pool *pool)
{
    size_t bytes = cf_ann_fine_bytes(&t->ann->header);

    for (size_t i = 0; i < pool->count && i < FINE_AHEAD; i++)
        prefetch(t->ann->fine + pool->entries[i].row * bytes, bytes);
    for (size_t i = 0; i < pool->count; i++) {
        const uint8_t *at = t->ann->fine + pool->entries[i].row * bytes;
        struct cf_ann_fine fine;
        if (i + FINE_AHEAD < pool->count)
            prefetch(t->ann->fine + pool->entries[i + FINE_AHEAD].row * bytes, bytes);
        memcpy(&fine, at, sizeof fine);
        int32_t dot = t->kernels->dot_i16_i8(t->fine, (const int8_t *)at + sizeof fine, t->ann->header.proj);
        float worth = t->fine_step * fine.step, key = fine.norm - 2 * worth * (float)dot;
        pool->entries[i].key = key == key ? key : INFINITY;
    }
}

static void rank_full(const struct cf_ann_target *t, const struct pool *pool, size_t count,
                      struct cf_ann_heap *heap)
{
    uint32_t dim = t->ann->header.dim;

    for (size_t i = 0; i < count && i < ROW_AHEAD; i++)
        prefetch(t->ann->rows + (size_t)pool->entries[i].row * dim, dim * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        uint32_t row = pool->entries[i].row;
        if (i + ROW_AHEAD < count)
            prefetch(t->ann->rows + (size_t)pool->entries[i + ROW_AHEAD].row * dim, dim * sizeof(float));
        struct cf_ann_candidate candidate = {t->distance(t->query, t->ann->rows + (size_t)row * dim, dim),
                                             row};
        if (candidate.key >= 0 && cf_ann_heap_wants(heap, candidate))
            cf_ann_heap_push(heap, candidate);
    }
}

/* How many survive the codes and the bytes, for k results. */
static void widths_of(uint32_t effort, size_t k, uint64_t count, size_t *by_codes, size_t *by_bytes)
{
    static const struct {
        size_t codes, codes_each, bytes, bytes_each;
    } widths[CF_ANN_EFFORT_COUNT] = {{64, 6, 14, 2}, {160, 10, 24, 3}, {768, 20, 96, 6}};
    unsigned e = effort < CF_ANN_EFFORT_COUNT ? effort : CF_ANN_EFFORT_COUNT - 1;

    *by_codes = widths[e].codes + widths[e].codes_each * k;
    *by_bytes = widths[e].bytes + widths[e].bytes_each * k;
    *by_codes = *by_codes < count ? *by_codes : (size_t)count;
}

enum cf_err cf_ann_scan(struct cf_ann_target *t, struct cf_ann_plan plan, struct cf_ann_heap *heap)
{
    struct pool pool = {0};
    size_t by_bytes;

    widths_of(plan.effort, heap->k, t->ann->header.count, &pool.wanted, &by_bytes);
    pool.room = 2 * pool.wanted + CF_ANN_LANE_COUNT;
    RESERVE(t->scratch, pool, pool.room);
    pool.entries = t->scratch->pool;
    t->kept = t->rejected = 0;
    scan_codes(t, plan.leaves, &pool);
    if (pool.count > pool.wanted)
        shrink(t, &pool);
    rank_fine(t, &pool);
    size_t count = pool.count < by_bytes ? pool.count : by_bytes;
    select_best(pool.entries, pool.count, count);
    heap->count = 0;
    rank_full(t, &pool, count, heap);
    return CF_OK;
}
