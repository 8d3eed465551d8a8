#include "common/ann/exact.h"

#include <math.h>
#include <stdlib.h>

enum { STRETCH = 64, SURVIVORS_LEAST = 1024 };

/* A distance to what the file keeps, and the range that the one to the vector itself lies in. */
struct bounds {
    double lower, middle, upper;
};

static struct cf_ann_row_head head_of(const struct cf_ann *ann, uint32_t item)
{
    struct cf_ann_row_head head;

    memcpy(&head, ann->rows + item * cf_ann_row_stride(&ann->header), sizeof head);
    return head;
}

static double unit_of(const struct cf_ann *ann)
{
    return ldexp(1, ann->header.scale_exponent);
}

/* Rows first … first + count - 1, at most STRETCH. What the query loses in its own integers, and the norms in
 * single precision, is put on the squares; what the row lost, on the distance. */
static void measure_near(const struct cf_ann_exact *x, uint32_t first, uint32_t count, struct bounds *out)
{
    uint32_t items[STRETCH] = {0};
    double squares[STRETCH], unit = unit_of(x->ann);

    for (uint32_t i = 0; i < count; i++)
        items[i] = first + i;
    cf_ann_measure_rows(x->target, items, count, squares);
    for (uint32_t i = 0; i < count; i++) {
        struct cf_ann_row_head head = head_of(x->ann, first + i);
        double lost = cf_ann_square_error(x->target, &head);
        double slack = (double)head.slack + 0x1p-20 * sqrt(x->target->norm);
        out[i].lower = fmax(sqrt(fmax(squares[i] - lost, 0)) - slack, 0) * unit;
        out[i].middle = sqrt(squares[i]) * unit;
        out[i].upper = (sqrt(squares[i] + lost) + slack) * unit;
    }
}

static double distance_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

/* A query so far out that squares might not fit single precision. */
static void measure_far(const struct cf_ann_exact *x, uint32_t first, uint32_t count, struct bounds *out)
{
    for (uint32_t i = 0; i < count; i++) {
        double slack = (double)cf_ann_vector(x->ann, first + i, x->scratch->full);
        out[i].middle = distance_of(x->query, x->scratch->full, x->ann->header.dim);
        slack += out[i].middle * 0x1p-40;
        out[i].lower = fmax(out[i].middle - slack, 0);
        out[i].upper = out[i].middle + slack;
    }
}

static uint32_t measure(const struct cf_ann_exact *x, uint64_t first, struct bounds *out)
{
    uint64_t left = x->ann->header.count - first;
    uint32_t count = left < STRETCH ? (uint32_t)left : STRETCH;

    if (x->target)
        measure_near(x, (uint32_t)first, count, out);
    else
        measure_far(x, (uint32_t)first, count, out);
    return count;
}

static void offer(const struct cf_ann_exact *x, struct cf_ann_heap *heap, struct cf_ann_candidate candidate)
{
    if (candidate.key <= x->radius && cf_ann_heap_wants(heap, candidate) &&
        cf_ann_sieve_keeps(x->sieve, candidate.item))
        cf_ann_heap_push(heap, candidate);
}

/* The common case without bounds: squares are enough until the end. */
static void rows_near(const struct cf_ann_exact *x, struct cf_ann_heap *heap)
{
    double unit = unit_of(x->ann), squares[STRETCH];
    uint32_t items[STRETCH] = {0};

    for (uint64_t first = 0; first < x->ann->header.count; first += STRETCH) {
        uint64_t left = x->ann->header.count - first;
        uint32_t count = left < STRETCH ? (uint32_t)left : STRETCH;
        for (uint32_t i = 0; i < count; i++)
            items[i] = (uint32_t)first + i;
        cf_ann_measure_rows(x->target, items, count, squares);
        for (uint32_t i = 0; i < count; i++) {
            struct cf_ann_candidate candidate = {squares[i], items[i]};
            if (cf_ann_heap_wants(heap, candidate) && sqrt(squares[i]) * unit <= x->radius &&
                cf_ann_sieve_keeps(x->sieve, items[i]))
                cf_ann_heap_push(heap, candidate);
        }
    }
    for (size_t i = 0; i < heap->count; i++) {
        struct cf_ann_candidate *c = &heap->entries[i];
        c->key = sqrt(cf_ann_square_refined(x->target, c->item, c->key)) * unit;
    }
}

enum cf_err cf_ann_exact_rows(const struct cf_ann_exact *x, struct cf_ann_heap *heap)
{
    struct bounds bounds[STRETCH];

    heap->count = 0;
    if (x->target) {
        rows_near(x, heap);
        return CF_OK;
    }
    CF_ANN_RESERVE(x->scratch, full, x->ann->header.dim);
    for (uint64_t first = 0; first < x->ann->header.count; first += STRETCH) {
        uint32_t count = measure(x, first, bounds);
        for (uint32_t i = 0; i < count; i++)
            offer(x, heap, (struct cf_ann_candidate){bounds[i].middle, (uint32_t)first + i});
    }
    return CF_OK;
}

struct survivors {
    struct cf_ann_survivor *entries;
    size_t count;
};

static size_t still_possible(struct cf_ann_survivor *entries, size_t count, double limit)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (entries[i].lower <= limit)
            entries[kept++] = entries[i];
    return kept;
}

/* The k-th least upper bound: what is certainly farther cannot be among the k nearest. */
static double limit_of(const struct cf_ann_exact *x, const struct cf_ann_heap *uppers)
{
    return cf_ann_heap_full(uppers) && uppers->entries[0].key < x->radius ? uppers->entries[0].key
                                                                          : x->radius;
}

static enum cf_err survive(const struct cf_ann_exact *x, struct cf_ann_heap *uppers,
                           struct cf_ann_survivor survivor, double upper, struct survivors *all)
{
    if (!(survivor.lower <= limit_of(x, uppers)) || !cf_ann_sieve_keeps(x->sieve, survivor.item))
        return CF_OK;
    struct cf_ann_candidate candidate = {upper, survivor.item};
    if (cf_ann_heap_wants(uppers, candidate))
        cf_ann_heap_push(uppers, candidate);
    if (all->count == x->scratch->survivors_room) {
        all->count = still_possible(all->entries, all->count, limit_of(x, uppers));
        if (all->count > x->scratch->survivors_room / 2)
            CF_ANN_RESERVE(x->scratch, survivors, 2 * x->scratch->survivors_room);
        all->entries = x->scratch->survivors;
    }
    all->entries[all->count++] = survivor;
    return CF_OK;
}

static int compare_survivors(const void *a, const void *b)
{
    const struct cf_ann_survivor *x = a, *y = b;

    if (x->lower != y->lower)
        return x->lower < y->lower ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

/* Nearest lower bound first, until that is beyond what has been found. */
static enum cf_err rank_full(const struct cf_ann_exact *x, const struct survivors *all,
                             struct cf_ann_heap *heap, struct cf_detail *detail)
{
    uint32_t dim = x->ann->header.dim;

    qsort(all->entries, all->count, sizeof *all->entries, compare_survivors);
    for (size_t i = 0; i < all->count; i++) {
        if (cf_ann_heap_full(heap) && all->entries[i].lower > heap->entries[0].key)
            break;
        enum cf_err err = x->full(x->full_arg, all->entries[i].item, x->scratch->full, detail);
        if (err)
            return err;
        if (x->ann->header.metric == CF_ANN_COSINE)
            cf_ann_normalize(x->scratch->full, dim);
        struct cf_ann_candidate candidate = {distance_of(x->query, x->scratch->full, dim),
                                             all->entries[i].item};
        if (candidate.key <= x->radius && cf_ann_heap_wants(heap, candidate))
            cf_ann_heap_push(heap, candidate);
    }
    return CF_OK;
}

enum cf_err cf_ann_exact_full(const struct cf_ann_exact *x, struct cf_ann_heap *heap,
                              struct cf_detail *detail)
{
    struct survivors all = {0};
    struct bounds bounds[STRETCH];

    CF_ANN_RESERVE(x->scratch, full, x->ann->header.dim);
    CF_ANN_RESERVE(x->scratch, survivors, SURVIVORS_LEAST);
    all.entries = x->scratch->survivors;
    heap->count = 0;
    for (uint64_t first = 0; first < x->ann->header.count; first += STRETCH) {
        uint32_t count = measure(x, first, bounds);
        for (uint32_t i = 0; i < count; i++) {
            struct cf_ann_survivor survivor = {bounds[i].lower, (uint32_t)first + i};
            enum cf_err err = survive(x, heap, survivor, bounds[i].upper, &all);
            if (err)
                return err;
        }
    }
    all.count = still_possible(all.entries, all.count, limit_of(x, heap));
    heap->count = 0;
    return rank_full(x, &all, heap, detail);
}
