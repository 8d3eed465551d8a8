#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/ann/calibrate.h"
#include "common/ann/heap.h"
#include "common/ann/leaves.h"

/* Above this (in the scale of the rows) squares might not fit a float; the whole index is then scanned in
 * doubles. */
#define QUERY_MAX 0x1p50f

struct cf_ann_searcher {
    float *query;
    struct cf_ann_leaf *leaves;
    struct cf_ann_candidate *entries;
    size_t query_room, leaves_room, entries_room;
};

struct pass {
    const struct cf_ann *ann;
    const struct cf_ann_query *query;
    const float *scaled;
    cf_ann_distance_fn *distance;
    struct cf_ann_heap heap;
    uint64_t rejected; /* candidates that `keep` did not want */
};

struct cf_ann_searcher *cf_ann_searcher_new(void)
{
    return calloc(1, sizeof(struct cf_ann_searcher));
}

void cf_ann_searcher_free(struct cf_ann_searcher *searcher)
{
    if (!searcher)
        return;
    free(searcher->query);
    free(searcher->leaves);
    free(searcher->entries);
    free(searcher);
}

static bool reserve(void **memory, size_t *room, size_t count, size_t size)
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

static enum cf_err prepare(const struct cf_ann *ann, struct cf_ann_searcher *s, size_t k)
{
    void *query = s->query, *leaves = s->leaves, *entries = s->entries;
    bool ok = reserve(&query, &s->query_room, ann->header.dim, sizeof *s->query);

    ok = reserve(&leaves, &s->leaves_room, ann->header.leaf_count, sizeof *s->leaves) && ok;
    ok = reserve(&entries, &s->entries_room, k, sizeof *s->entries) && ok;
    s->query = query;
    s->leaves = leaves;
    s->entries = entries;
    return ok ? CF_OK : CF_E_NO_MEMORY;
}

static enum cf_err check_query(const struct cf_ann *ann, const struct cf_ann_query *query,
                               struct cf_detail *detail)
{
    if (query->k == 0)
        return cf_fail(detail, CF_E_BAD_K, "k is 0: it must be at least 1");
    if (!(query->recall >= 0 && query->recall <= 1))
        return cf_fail(detail, CF_E_INVALID, "recall is %g: it must be 0 to 1", query->recall);
    for (uint32_t i = 0; i < ann->header.dim; i++)
        if (!isfinite(query->vector[i]))
            return cf_fail(detail, CF_E_BAD_VECTOR, "value %u of the query is not a finite number", i);
    return CF_OK;
}

/* Into the scale of the rows; false when it is too far out for single precision. */
static bool scale_query(const struct cf_ann *ann, const float *vector, float *scaled)
{
    float largest = 0;

    for (uint32_t i = 0; i < ann->header.dim; i++) {
        scaled[i] = ldexpf(vector[i], -ann->header.scale_exponent);
        largest = fmaxf(largest, fabsf(scaled[i]));
    }
    return largest <= QUERY_MAX;
}

static void offer(struct pass *pass, float key, uint32_t row)
{
    struct cf_ann_candidate candidate = {key, row};

    if (!(key >= 0) || !cf_ann_heap_wants(&pass->heap, candidate))
        return;
    if (pass->query->keep && !pass->query->keep(pass->query->keep_arg, row)) {
        pass->rejected++;
        return;
    }
    cf_ann_heap_push(&pass->heap, candidate);
}

/* No row of the leaf can be nearer than the k-th best: by the triangle inequality, with room for rounding. */
static bool out_of_reach(const struct pass *pass, struct cf_ann_leaf leaf)
{
    float to_centroid, radius = pass->ann->radii[leaf.leaf];

    if (!cf_ann_heap_full(&pass->heap))
        return false;
    to_centroid = sqrtf(leaf.key);
    float slack = (float)(pass->ann->header.dim + 8) * 0x1p-22f * (to_centroid + radius) + 1e-18f;
    return to_centroid - radius - slack > sqrtf(pass->heap.entries[0].key);
}

static void scan_leaf(struct pass *pass, uint32_t leaf)
{
    const struct cf_ann *ann = pass->ann;
    uint32_t dim = ann->header.dim;

    for (uint32_t row = ann->leaf_first[leaf]; row < ann->leaf_first[leaf + 1]; row++)
        offer(pass, pass->distance(pass->scaled, ann->rows + (size_t)row * dim, dim), row);
}

/* Enough leaves for the recall at this k: what `keep` turned away counts as if it had been asked for too, so
 * that a filter widens the search by as much as it thins out the neighbourhood. */
static bool enough(const struct pass *pass, float reach, uint64_t visited)
{
    if (!cf_ann_heap_full(&pass->heap) || pass->query->exact)
        return false;
    return visited >=
           cf_ann_leaves_wanted(pass->ann, reach, pass->heap.k + pass->rejected, pass->query->recall);
}

static bool scan_by_leaves(struct pass *pass, struct cf_ann_leaf *entries)
{
    struct cf_ann_leaves leaves = {.entries = entries};
    uint64_t visited = 0;
    float reach = 0;

    cf_ann_leaves_rank(&leaves, pass->ann, pass->scaled, pass->distance);
    if (leaves.count)
        reach = sqrtf(entries[0].key);
    for (; leaves.count && !enough(pass, reach, visited); visited++) {
        struct cf_ann_leaf leaf = cf_ann_leaves_pop(&leaves);
        if (!out_of_reach(pass, leaf))
            scan_leaf(pass, leaf.leaf);
    }
    return leaves.count == 0;
}

/* Every row, in doubles; keys are distances here, not squares. */
static void scan_wide(struct pass *pass)
{
    const struct cf_ann *ann = pass->ann;
    double scale = ldexp(1, ann->header.scale_exponent);
    uint32_t dim = ann->header.dim;

    for (uint32_t row = 0; row < ann->header.count; row++) {
        const float *x = ann->rows + (size_t)row * dim;
        double sum = 0;
        for (uint32_t i = 0; i < dim; i++) {
            double d = (double)pass->query->vector[i] - (double)x[i] * scale;
            sum += d * d;
        }
        offer(pass, (float)fmin(sqrt(sum), (double)FLT_MAX), row);
    }
}

/* Rounding makes some distances equal that the keys told apart: those go by id. */
static void settle_ties(const struct cf_ann *ann, struct cf_ann_hit *hits, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0; j--) {
            struct cf_ann_hit moved = hits[j];
            if (!(hits[j - 1].distance == moved.distance &&
                  cf_ann_id_compare(ann, hits[j - 1].item, moved.item) > 0))
                break;
            hits[j] = hits[j - 1];
            hits[j - 1] = moved;
        }
}

static size_t collect(struct pass *pass, bool wide, struct cf_ann_hit *hits)
{
    double scale = ldexp(1, pass->ann->header.scale_exponent);
    size_t count = cf_ann_heap_sort(&pass->heap);

    for (size_t i = 0; i < count; i++) {
        double key = (double)pass->heap.entries[i].key;
        hits[i].item = pass->heap.entries[i].row;
        hits[i].distance = (float)(wide ? key : fmin(sqrt(key) * scale, (double)FLT_MAX));
    }
    settle_ties(pass->ann, hits, count);
    return count;
}

enum cf_err cf_ann_search(const struct cf_ann *ann, struct cf_ann_searcher *searcher,
                          const struct cf_ann_query *query, struct cf_ann_hit *hits, size_t *count,
                          bool *exact, struct cf_detail *detail)
{
    size_t k = query->k < ann->header.count ? query->k : (size_t)ann->header.count;
    enum cf_err err = check_query(ann, query, detail);
    bool all = true;

    if (err)
        return err;
    if (prepare(ann, searcher, k))
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory for a search of %zu results", k);
    if (k == 0)
        goto out;
    struct pass pass = {.ann = ann,
                        .query = query,
                        .scaled = searcher->query,
                        .distance = cf_ann_distance_kernel(),
                        .heap = {ann, searcher->entries, k, 0}};
    bool wide = !scale_query(ann, query->vector, searcher->query);
    if (wide)
        scan_wide(&pass);
    else
        all = scan_by_leaves(&pass, searcher->leaves);
    k = collect(&pass, wide, hits);
out:
    *count = k;
    *exact = all;
    return CF_OK;
}
