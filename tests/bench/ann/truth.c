#include "tests/bench/ann/truth.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/crew.h"

/* A group of queries and a block of rows both lie in the second cache; MARGIN covers what single precision
 * may swap. */
enum { GROUP = 32, ROWS = 32, LANES = 16, TILE = 4, MARGIN = 32 };

#if defined(__x86_64__) && !defined(CF_SANITIZE) && !defined(__clang__)
#define EVERY_LEVEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_LEVEL
#endif

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4)));

/* Squared distances of TILE queries to `rows` rows: out[q * ROWS + r]. */
EVERY_LEVEL static void measure(const float *queries, const float *base, size_t rows, uint32_t dim,
                                float *out)
{
    for (size_t r = 0; r < rows; r++) {
        const float *x = base + r * dim;
        lanes sums[TILE] = {{0}};
        float rest[TILE] = {0};
        uint32_t j = 0;
        for (; j + LANES <= dim; j += LANES)
            for (int q = 0; q < TILE; q++) {
                lanes d = *(const lanes *)(queries + (size_t)q * dim + j) - *(const lanes *)(x + j);
                sums[q] += d * d;
            }
        for (; j < dim; j++)
            for (int q = 0; q < TILE; q++) {
                float d = queries[(size_t)q * dim + j] - x[j];
                rest[q] += d * d;
            }
        for (int q = 0; q < TILE; q++) {
            for (int i = 0; i < LANES; i++)
                rest[q] += sums[q][i];
            out[q * ROWS + (int)r] = rest[q];
        }
    }
}

/* The best of one query so far: a heap with the worst on top. */
struct best {
    float *distances;
    int32_t *items;
    size_t count, capacity;
};

static void swap(struct best *best, size_t a, size_t b)
{
    float distance = best->distances[a];
    int32_t item = best->items[a];
    best->distances[a] = best->distances[b];
    best->items[a] = best->items[b];
    best->distances[b] = distance;
    best->items[b] = item;
}

static void sink(struct best *best)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= best->count)
            return;
        child += child + 1 < best->count && best->distances[child + 1] > best->distances[child];
        if (best->distances[child] <= best->distances[at])
            return;
        swap(best, at, child);
        at = child;
    }
}

static void offer(struct best *best, float distance, int32_t item)
{
    if (best->count == best->capacity) {
        if (!(distance < best->distances[0]))
            return;
        best->distances[0] = distance;
        best->items[0] = item;
        sink(best);
        return;
    }
    size_t at = best->count++;
    best->distances[at] = distance;
    best->items[at] = item;
    for (; at > 0 && best->distances[at] > best->distances[(at - 1) / 2]; at = (at - 1) / 2)
        swap(best, at, (at - 1) / 2);
}

struct ranked {
    double distance;
    int32_t item;
};

static int by_distance(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

struct scan {
    const struct bench_floats *base, *queries;
    struct bench_ints *truth;
    float *copies;      /* GROUP queries a thread, the last group filled up */
    struct best *bests; /* GROUP a thread */
    struct ranked *ranked;
    size_t capacity;
};

static void scan_block(struct scan *scan, const float *queries, struct best *bests, size_t wanted,
                       size_t first, size_t rows)
{
    float distances[TILE * ROWS];
    uint32_t dim = scan->base->dim;
    for (size_t q = 0; q < wanted; q += TILE) {
        measure(queries + q * dim, scan->base->values + first * dim, rows, dim, distances);
        for (size_t i = q; i < q + TILE && i < wanted; i++)
            for (size_t r = 0; r < rows; r++)
                offer(&bests[i], distances[(i - q) * ROWS + r], (int32_t)(first + r));
    }
}

static void finish(struct scan *scan, struct ranked *ranked, const struct best *best, size_t query)
{
    uint32_t dim = scan->base->dim;
    for (size_t i = 0; i < best->count; i++) {
        const float *x = scan->base->values + (size_t)best->items[i] * dim;
        ranked[i] =
            (struct ranked){bench_distance2(scan->queries->values + query * dim, x, dim), best->items[i]};
    }
    qsort(ranked, best->count, sizeof *ranked, by_distance);
    for (size_t i = 0; i < scan->truth->dim; i++)
        scan->truth->values[query * scan->truth->dim + i] = ranked[i].item;
}

static void scan_group(void *arg, unsigned thread, size_t group)
{
    struct scan *scan = arg;
    size_t dim = scan->base->dim, first = group * GROUP, left = scan->queries->count - first;
    size_t wanted = left < GROUP ? left : GROUP;
    float *queries = scan->copies + (size_t)thread * GROUP * dim;
    struct best *bests = scan->bests + (size_t)thread * GROUP;
    memset(queries, 0, GROUP * dim * sizeof *queries);
    memcpy(queries, scan->queries->values + first * dim, wanted * dim * sizeof *queries);
    for (size_t i = 0; i < GROUP; i++)
        bests[i].count = 0;
    for (size_t at = 0; at < scan->base->count; at += ROWS) {
        size_t rows = scan->base->count - at;
        scan_block(scan, queries, bests, wanted, at, rows < ROWS ? rows : ROWS);
    }
    for (size_t i = 0; i < wanted; i++)
        finish(scan, scan->ranked + (size_t)thread * scan->capacity, &bests[i], first + i);
}

struct bench_ints bench_truth(const struct bench_floats *base, const struct bench_floats *queries, uint32_t k,
                              unsigned threads)
{
    uint32_t width = base->count < k ? (uint32_t)base->count : k;
    struct bench_ints truth = bench_ints_new(queries->count, width);
    size_t capacity = (size_t)width + MARGIN, teams = threads;
    struct scan scan = {
        .base = base,
        .queries = queries,
        .truth = &truth,
        .copies = bench_alloc(teams * GROUP * base->dim, sizeof(float)),
        .bests = bench_alloc(teams * GROUP, sizeof(struct best)),
        .ranked = bench_alloc(teams * capacity, sizeof(struct ranked)),
        .capacity = capacity,
    };
    float *distances = bench_alloc(teams * GROUP * capacity, sizeof *distances);
    int32_t *items = bench_alloc(teams * GROUP * capacity, sizeof *items);
    for (size_t i = 0; i < teams * GROUP; i++)
        scan.bests[i] = (struct best){distances + i * capacity, items + i * capacity, 0, capacity};
    cf_crew_run_numbered(threads, (queries->count + GROUP - 1) / GROUP, scan_group, &scan);
    free(items);
    free(distances);
    free(scan.ranked);
    free(scan.bests);
    free(scan.copies);
    return truth;
}

double bench_distance2(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t j = 0; j < dim; j++) {
        double d = (double)a[j] - (double)b[j];
        sum += d * d;
    }
    return sum;
}

static bool holds(const int32_t *items, size_t count, int32_t item)
{
    for (size_t i = 0; i < count; i++)
        if (items[i] == item)
            return true;
    return false;
}

size_t bench_found(const struct bench_floats *base, const float *query, const int32_t *truth, size_t k,
                   const int32_t *answer, size_t count)
{
    size_t found = 0;
    double worst = -1; /* measured when it is first needed */
    for (size_t i = 0; i < count && found < k; i++) {
        if (answer[i] < 0 || (size_t)answer[i] >= base->count || holds(answer, i, answer[i]))
            continue;
        if (holds(truth, k, answer[i])) {
            found++;
            continue;
        }
        if (worst < 0)
            worst = bench_distance2(query, base->values + (size_t)truth[k - 1] * base->dim, base->dim);
        found += bench_distance2(query, base->values + (size_t)answer[i] * base->dim, base->dim) <= worst;
    }
    return found;
}
