#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/ann/calibrate.h"
#include "common/ann/scan.h"
#include "common/ann/searcher.h"

/* Above this (in the scale of the rows) squares might not fit a float; the whole index is then scanned in
 * doubles. */
#define QUERY_MAX 0x1p50f

struct cf_ann_searcher {
    struct cf_ann_scratch scratch;
};

struct pass {
    const struct cf_ann *ann;
    const struct cf_ann_query *query;
    const float *scaled;
    struct cf_ann_heap heap;
};

struct cf_ann_searcher *cf_ann_searcher_new(void)
{
    return calloc(1, sizeof(struct cf_ann_searcher));
}

void cf_ann_searcher_free(struct cf_ann_searcher *searcher)
{
    if (searcher)
        cf_ann_scratch_fini(&searcher->scratch);
    free(searcher);
}

int16_t *cf_ann_searcher_wide(struct cf_ann_searcher *searcher, size_t count)
{
    struct cf_ann_scratch *s = &searcher->scratch;
    void *wide = s->wide;

    if (!cf_ann_reserve(&wide, &s->wide_room, count, sizeof *s->wide))
        return NULL;
    s->wide = wide;
    return s->wide;
}

static enum cf_err prepare(const struct cf_ann *ann, struct cf_ann_scratch *s, size_t k)
{
    void *query = s->query, *best = s->best;
    bool ok = cf_ann_reserve(&query, &s->query_room, ann->header.dim, sizeof *s->query);

    ok = cf_ann_reserve(&best, &s->best_room, k, sizeof *s->best) && ok;
    s->query = query;
    s->best = best;
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
    int exponent = ann->header.scale_exponent;
    float largest = 0;

    for (uint32_t i = 0; i < ann->header.dim; i++) {
        scaled[i] = exponent ? ldexpf(vector[i], -exponent) : vector[i];
        largest = fmaxf(largest, fabsf(scaled[i]));
    }
    return largest <= QUERY_MAX;
}

static void offer(struct pass *pass, float key, uint32_t row)
{
    struct cf_ann_candidate candidate = {key, row};

    if (!(key >= 0) || !cf_ann_heap_wants(&pass->heap, candidate))
        return;
    if (!pass->query->keep || pass->query->keep(pass->query->keep_arg, row))
        cf_ann_heap_push(&pass->heap, candidate);
}

/* Every row, in the order of the file. */
static void scan_rows(struct pass *pass)
{
    const struct cf_ann *ann = pass->ann;
    cf_ann_distance_fn *distance = cf_ann_distance_kernel();
    uint32_t dim = ann->header.dim;

    pass->heap.count = 0;
    for (uint32_t row = 0; row < ann->header.count; row++)
        offer(pass, distance(pass->scaled, ann->rows + (size_t)row * dim, dim), row);
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

/* The plan for as many results as would be needed without the filter, to find k with it. */
static struct cf_ann_plan widen(const struct pass *pass, const struct cf_ann_target *target,
                                struct cf_ann_plan plan)
{
    uint64_t all = pass->ann->header.leaf_count, k = pass->heap.k, asked = target->kept + target->rejected;
    struct cf_ann_plan next = {(uint32_t)all, plan.effort};

    if (target->kept >= k) {
        next = cf_ann_plan(pass->ann, target->reach, (k * asked + target->kept - 1) / target->kept,
                           pass->query->recall);
        if (next.leaves ==
            0) /* too rare for codes to be tried on: all leaves, and all that is kept of them */
            next = (struct cf_ann_plan){(uint32_t)all, CF_ANN_EFFORT_COUNT - 1};
    }
    if (next.leaves > plan.leaves && next.leaves < 2 * (uint64_t)plan.leaves)
        next.leaves = 2 * (uint64_t)plan.leaves < all ? 2 * plan.leaves : (uint32_t)all;
    next.effort = next.effort > plan.effort ? next.effort : plan.effort;
    return next;
}

/* By the calibration; `*exact` when that took everything. */
static enum cf_err scan_planned(struct pass *pass, struct cf_ann_scratch *scratch, bool *exact)
{
    struct cf_ann_plan plan = cf_ann_plan(pass->ann, -1, pass->heap.k, pass->query->recall);
    struct cf_ann_target target;
    enum cf_err err;

    *exact = pass->query->exact || plan.leaves == 0;
    if (!*exact) {
        err = cf_ann_target_init(&target, pass->ann, scratch, pass->scaled);
        if (err)
            return err;
        plan = cf_ann_plan(pass->ann, target.reach, pass->heap.k, pass->query->recall);
        *exact = plan.leaves == 0;
    }
    if (*exact) {
        scan_rows(pass);
        return CF_OK;
    }
    target.keep = pass->query->keep;
    target.keep_arg = pass->query->keep_arg;
    for (;;) {
        err = cf_ann_scan(&target, plan, &pass->heap);
        struct cf_ann_plan next = widen(pass, &target, plan);
        if (err || next.leaves <= plan.leaves)
            return err;
        plan = next;
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
    if (k == 0)
        goto out;
    if (prepare(ann, &searcher->scratch, k))
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory for a search of %zu results", k);
    struct pass pass = {ann, query, searcher->scratch.query, {ann, searcher->scratch.best, k, 0}};
    bool wide = !scale_query(ann, query->vector, searcher->scratch.query);
    if (wide)
        scan_wide(&pass);
    else if (scan_planned(&pass, &searcher->scratch, &all))
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory for a search of %zu results", k);
    k = collect(&pass, wide, hits);
out:
    *count = k;
    *exact = all;
    return CF_OK;
}
