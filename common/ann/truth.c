#include "common/ann/truth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/scan.h"
#include "common/ann/train_kernels.h"
#include "common/base/rng.h"

enum {
    PORTION = 128,
    STRETCH = 16,
    CANDIDATES = 320,
    ROOM = 2 * CANDIDATES,
    BYTE_ZERO = CF_ANN_SMALL_MOST / 2
};

/* A portion of queries, as blocks of bytes. */
struct portion {
    const struct cf_ann *ann;
    struct cf_ann_probe_query *queries;
    size_t count, padded; /* padded to whole blocks */
    uint8_t *blocks;      /* PORTION queries times the rows' steps */
    float *factors;       /* [PORTION]: what a unit of a product is worth, times two */
    float *totals;        /* [PORTION]: the product with a row that is all ones, times two */
    float *limits;        /* [PORTION] */
    int32_t *sums;        /* [STRETCH][PORTION] */
    int16_t *ones;        /* as many as a row has steps */
    float *keys;          /* [PORTION][ROOM + 16] */
    uint32_t *items;      /* the same */
    uint32_t *counts;     /* [PORTION] */
    struct cf_ann_scratch scratch;
};

struct task {
    const struct cf_ann *ann;
    struct cf_ann_probe_query *queries;
    size_t count, portions;
    enum cf_err *errs; /* one a portion */
};

enum cf_err cf_ann_target_scaled(struct cf_ann_target *t, const struct cf_ann *ann,
                                 struct cf_ann_scratch *scratch, const float *vector)
{
    CF_ANN_RESERVE(scratch, full, ann->header.dim);
    for (uint32_t j = 0; j < ann->header.dim; j++)
        scratch->full[j] = ldexpf(vector[j], ann->header.scale_exponent);
    return cf_ann_target_init(t, ann, scratch, scratch->full);
}

static bool portion_init(struct portion *p, const struct cf_ann *ann)
{
    size_t room = (size_t)PORTION * (ROOM + CF_ANN_LANE_COUNT);

    p->ann = ann;
    p->blocks = calloc((size_t)PORTION, ann->header.row_dims);
    p->factors = calloc(PORTION, sizeof *p->factors);
    p->totals = calloc(PORTION, sizeof *p->totals);
    p->limits = calloc(PORTION, sizeof *p->limits);
    p->sums = calloc((size_t)STRETCH * PORTION, sizeof *p->sums);
    p->ones = calloc(ann->header.row_dims, sizeof *p->ones);
    p->keys = calloc(room, sizeof *p->keys);
    p->items = calloc(room, sizeof *p->items);
    p->counts = calloc(PORTION, sizeof *p->counts);
    for (uint32_t j = 0; p->ones && j < ann->header.row_dims; j++)
        p->ones[j] = 1;
    return p->blocks && p->factors && p->totals && p->limits && p->sums && p->ones && p->keys && p->items &&
           p->counts;
}

static void portion_fini(struct portion *p)
{
    free(p->blocks);
    free(p->factors);
    free(p->totals);
    free(p->limits);
    free(p->sums);
    free(p->ones);
    free(p->keys);
    free(p->items);
    free(p->counts);
    cf_ann_scratch_fini(&p->scratch);
}

/* Query q as thing q of the blocks. */
static void pack(struct portion *p, size_t q)
{
    const struct cf_ann *ann = p->ann;
    uint32_t dims = ann->header.row_dims;
    uint8_t *block = p->blocks + q / CF_ANN_LANE_COUNT * dims * CF_ANN_LANE_COUNT;
    const float *x = p->queries[q].vector;
    float largest = 0;
    double total = 0;

    for (uint32_t j = 0; j < ann->header.dim; j++) {
        float value = (x[j] - ann->mean[j]) * ann->steps[j];
        largest = fmaxf(largest, fabsf(value));
        total += (double)value;
    }
    /* BYTE_ZERO is a power of two: the largest value becomes just that, and none is beyond. */
    float unit = largest > 0 ? largest / BYTE_ZERO : 1;
    for (uint32_t j = 0; j < dims; j++) {
        float value = j < ann->header.dim ? (x[j] - ann->mean[j]) * ann->steps[j] / unit : 0;
        int code = value >= -BYTE_ZERO && value <= BYTE_ZERO ? (int)lrintf(value) : 0;
        block[j / 4 * 64 + 4 * (q % CF_ANN_LANE_COUNT) + j % 4] = (uint8_t)(BYTE_ZERO + code);
    }
    p->factors[q] = 2 * unit;
    p->totals[q] = (float)(2 * total);
    p->limits[q] = INFINITY;
}

static void take(struct portion *p, size_t q, float key, uint32_t item)
{
    size_t at = q * (ROOM + CF_ANN_LANE_COUNT);

    if (item == p->queries[q].self)
        return;
    p->keys[at + p->counts[q]] = key;
    p->items[at + p->counts[q]++] = item;
    if (p->counts[q] < ROOM)
        return;
    struct cf_ann_pool pool = {p->keys + at, p->items + at, ROOM, ROOM, p->limits[q]};
    cf_ann_pool_shrink(cf_ann_kernels(), &pool, CANDIDATES);
    p->counts[q] = (uint32_t)pool.count;
    p->limits[q] = pool.limit;
}

/* Keys of one row for all queries. */
static void offer_row(struct portion *p, const int32_t *sums, uint32_t item)
{
    const uint8_t *row = p->ann->rows + item * cf_ann_row_stride(&p->ann->header);
    struct cf_ann_row_head head;
    float keys[PORTION];
    int32_t below = 0;

    memcpy(&head, row, sizeof head);
    int32_t shift = BYTE_ZERO * cf_ann_kernels()->dot_i16_i8(p->ones, (const int8_t *)row + sizeof head,
                                                             p->ann->header.row_dims);
    for (size_t q = 0; q < p->padded; q++) {
        keys[q] =
            head.norm - p->factors[q] * head.scale * (float)(sums[q] - shift) - p->totals[q] * head.offset;
        below |= keys[q] < p->limits[q];
    }
    for (size_t q = 0; below && q < p->count; q++)
        if (keys[q] < p->limits[q])
            take(p, q, keys[q], item);
}

static void scan_rows(struct portion *p)
{
    const struct cf_ann_train_kernels *kernels = cf_ann_train_kernels();
    size_t stride = cf_ann_row_stride(&p->ann->header);
    uint64_t count = p->ann->header.count;

    for (uint64_t first = 0; first < count; first += STRETCH) {
        size_t here = count - first < STRETCH ? (size_t)(count - first) : STRETCH;
        const uint8_t *rows = p->ann->rows + first * stride + sizeof(struct cf_ann_row_head);
        struct cf_ann_vectors8 vectors = {(const int8_t *)rows, stride, here};
        memset(p->sums, 0, here * PORTION * sizeof *p->sums);
        kernels->dots_small(vectors, p->blocks, p->padded / CF_ANN_LANE_COUNT, p->ann->header.row_dims,
                            p->sums, PORTION);
        for (size_t i = 0; i < here; i++)
            offer_row(p, p->sums + i * PORTION, (uint32_t)(first + i));
    }
}

static int compare_neighbours(const void *a, const void *b)
{
    const struct cf_ann_neighbour *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

/* About normal, of variance one; the same for rows that are the same, so that copies stay equally near. */
static double noise_of(uint32_t query, double square)
{
    struct cf_rng rng = cf_rng(query);
    uint64_t bits;

    memcpy(&bits, &square, sizeof bits);
    rng = cf_rng(cf_rng_u64(&rng) ^ bits);
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += cf_rng_unit(&rng) - .5;
    return sum * sqrt(2);
}

/* A row's loss points anywhere: along the line to the query lies one part in the root of the dimension. */
static double true_distance(const struct cf_ann *ann, uint32_t query, uint32_t item, double square)
{
    struct cf_ann_row_head head;

    memcpy(&head, ann->rows + item * cf_ann_row_stride(&ann->header), sizeof head);
    return sqrt(square) + noise_of(query, square) * (double)head.slack / sqrt(ann->header.dim);
}

static enum cf_err rank(struct portion *p, size_t q, uint32_t number)
{
    struct cf_ann_probe_query *query = &p->queries[q];
    const uint32_t *items = p->items + q * (ROOM + CF_ANN_LANE_COUNT);
    struct cf_ann_neighbour all[ROOM];
    double squares[ROOM], sorted[ROOM];
    struct cf_ann_target target;
    uint32_t count = p->counts[q];
    enum cf_err err = cf_ann_target_scaled(&target, p->ann, &p->scratch, query->vector);

    if (err)
        return err;
    cf_ann_measure_rows(&target, items, count, squares);
    for (uint32_t i = 0; i < count; i++)
        all[i] = (struct cf_ann_neighbour){squares[i], items[i], 0};
    qsort(all, count, sizeof *all, compare_neighbours);
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = all[i].key;
        all[i].rank = i > 0 && sorted[i] == sorted[i - 1] ? all[i - 1].rank : i;
        all[i].key = true_distance(p->ann, number, all[i].item, sorted[i]);
    }
    qsort(all, count, sizeof *all, compare_neighbours);
    query->count = count < CF_ANN_TRUTH_MAX ? count : CF_ANN_TRUTH_MAX;
    memcpy(query->neighbours, all, query->count * sizeof *all);
    return CF_OK;
}

/* Where a portion begins: blocks are shared out evenly. */
static size_t begin_of(const struct task *task, size_t portion)
{
    size_t begin = cf_ann_blocks_of(task->count) * portion / task->portions * CF_ANN_LANE_COUNT;

    return begin < task->count ? begin : task->count;
}

static enum cf_err find_portion(const struct task *task, size_t number)
{
    size_t begin = begin_of(task, number);
    struct portion p = {.queries = task->queries + begin};
    enum cf_err err = portion_init(&p, task->ann) ? CF_OK : CF_E_NO_MEMORY;

    p.count = begin_of(task, number + 1) - begin;
    p.padded = cf_ann_blocks_of(p.count) * CF_ANN_LANE_COUNT;
    if (!err) {
        for (size_t q = 0; q < p.count; q++)
            pack(&p, q);
        scan_rows(&p);
    }
    for (size_t q = 0; q < p.count && !err; q++)
        err = rank(&p, q, (uint32_t)(begin + q));
    portion_fini(&p);
    return err;
}

static void work(void *arg, size_t number)
{
    const struct task *task = arg;

    task->errs[number] = find_portion(task, number);
}

/* As few as can be, and no thread idle while others have one. */
static size_t portions_of(size_t count, unsigned threads)
{
    size_t blocks = cf_ann_blocks_of(count), full = PORTION / CF_ANN_LANE_COUNT,
           fewest = (blocks + full - 1) / full, even = (fewest + threads - 1) / threads * threads;

    return even < blocks ? even : blocks;
}

enum cf_err cf_ann_truth(const struct cf_ann *ann, const struct cf_crew *crew,
                         struct cf_ann_probe_query *queries, size_t count)
{
    struct task task = {ann, queries, count, portions_of(count, crew->threads), NULL};
    enum cf_err err = CF_E_NO_MEMORY;

    task.errs = calloc(task.portions + 1, sizeof *task.errs);
    if (task.errs)
        err = cf_crew_run(crew, task.portions, work, &task);
    for (size_t i = 0; i < task.portions && !err; i++)
        err = task.errs[i];
    free(task.errs);
    return err;
}
