#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/calibrate.h"
#include "common/ann/exact.h"
#include "common/ann/searcher.h"
#include "common/ann/train_kernels.h"

/* A radius is first tried with so many results, then with so many times more, until one lies outside. */
enum { RADIUS_FIRST = 16, RADIUS_TIMES = 4 };

struct cf_ann_searcher {
    struct cf_ann_scratch scratch;
};

struct pass {
    const struct cf_ann *ann;
    const struct cf_ann_query *query;
    const float *vector; /* of unit length where that is the metric */
    struct cf_ann_scratch *scratch;
    struct cf_ann_target target;
    struct cf_ann_sieve sieve;
    struct cf_ann_heap heap;
    size_t k;
    bool far, certain;
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

static enum cf_err check_query(const struct cf_ann *ann, const struct cf_ann_query *query,
                               struct cf_detail *detail)
{
    if (query->k == 0)
        return cf_fail(detail, CF_E_BAD_K, "k is 0: it must be at least 1");
    if (!(query->recall >= 0 && query->recall <= 1))
        return cf_fail(detail, CF_E_INVALID, "recall is %g: it must be 0 to 1", query->recall);
    if (!(query->radius >= 0))
        return cf_fail(detail, CF_E_INVALID, "radius is %g: it must be 0 (none) or above",
                       (double)query->radius);
    if (isfinite(cf_ann_train_kernels()->largest(query->vector, ann->header.dim)))
        return CF_OK;
    uint32_t i = 0;
    while (i + 1 < ann->header.dim && isfinite(query->vector[i]))
        i++;
    return cf_fail(detail, CF_E_BAD_VECTOR, "value %u of the query is not a finite number", i);
}

static bool is_far(const struct pass *pass)
{
    double largest = (double)cf_ann_train_kernels()->largest(pass->vector, pass->ann->header.dim);

    return ldexp(largest, -pass->ann->header.scale_exponent) > CF_ANN_NEAR_MAX;
}

static enum cf_err prepare(struct pass *pass)
{
    uint32_t dim = pass->ann->header.dim;

    CF_ANN_RESERVE(pass->scratch, best, pass->k);
    pass->heap = (struct cf_ann_heap){pass->scratch->best, pass->k, 0};
    pass->vector = pass->query->vector;
    if (pass->ann->header.metric == CF_ANN_COSINE) {
        CF_ANN_RESERVE(pass->scratch, query, dim);
        memcpy(pass->scratch->query, pass->query->vector, dim * sizeof(float));
        cf_ann_normalize(pass->scratch->query, dim);
        pass->vector = pass->scratch->query;
    }
    pass->far = is_far(pass);
    return pass->far ? CF_OK : cf_ann_target_init(&pass->target, pass->ann, pass->scratch, pass->vector);
}

static double radius_of(const struct pass *pass)
{
    return pass->query->radius > 0 ? (double)pass->query->radius : (double)INFINITY;
}

static enum cf_err search_all(struct pass *pass, struct cf_detail *detail)
{
    struct cf_ann_exact exact = {pass->ann,         pass->scratch,        pass->far ? NULL : &pass->target,
                                 pass->vector,      &pass->sieve,         radius_of(pass),
                                 pass->query->full, pass->query->full_arg};

    pass->certain = pass->query->full != NULL;
    pass->heap.k = pass->k;
    return pass->query->full ? cf_ann_exact_full(&exact, &pass->heap, detail)
                             : cf_ann_exact_rows(&exact, &pass->heap);
}

/* The widths for as many results as would be needed without the filter, to find k with it; no leaves when the
 * rest is so rare that measuring all of it costs less. */
static struct cf_ann_widths widen(const struct pass *pass, struct cf_ann_widths widths)
{
    uint64_t all = pass->ann->header.leaf_count, k = pass->heap.k,
             asked = pass->sieve.kept + pass->sieve.rejected;
    struct cf_ann_widths next = {0};

    if (pass->sieve.kept >= k)
        next = cf_ann_widths(pass->ann, cf_ann_reach(&pass->target),
                             (k * asked + pass->sieve.kept - 1) / pass->sieve.kept, pass->query->recall);
    if (next.leaves == 0)
        return next;
    next.codes = next.codes > widths.codes ? next.codes : widths.codes;
    next.shorts = next.shorts > widths.shorts ? next.shorts : widths.shorts;
    if (next.leaves > widths.leaves && next.leaves < 2 * (uint64_t)widths.leaves)
        next.leaves = 2 * (uint64_t)widths.leaves < all ? 2 * widths.leaves : (uint32_t)all;
    return next;
}

/* The heap's k nearest by leaves; `*all` when that is not the way. */
static enum cf_err search_leaves(struct pass *pass, bool *all)
{
    struct cf_ann_widths widths =
        cf_ann_widths(pass->ann, cf_ann_reach(&pass->target), pass->heap.k, pass->query->recall);

    while (widths.leaves) {
        enum cf_err err = cf_ann_scan(&pass->target, widths, &pass->sieve, &pass->heap);
        if (err)
            return err;
        if (!pass->sieve.keep)
            break;
        struct cf_ann_widths next = widen(pass, widths);
        if (next.leaves && next.leaves <= widths.leaves)
            break;
        widths = next;
    }
    *all = widths.leaves == 0;
    return CF_OK;
}

/* Squares in the scale of the rows become distances in that of the caller. */
static size_t within_radius(struct pass *pass)
{
    double unit = ldexp(1, pass->ann->header.scale_exponent), radius = radius_of(pass);
    size_t count = pass->heap.count, kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct cf_ann_candidate candidate = pass->heap.entries[i];
        candidate.key = sqrt(cf_ann_square_refined(&pass->target, candidate.item, candidate.key)) * unit;
        if (candidate.key <= radius)
            pass->heap.entries[kept++] = candidate;
    }
    pass->heap.count = kept;
    return kept;
}

static enum cf_err search_some(struct pass *pass, bool *all)
{
    size_t k = pass->query->radius > 0 && pass->k > RADIUS_FIRST ? RADIUS_FIRST : pass->k;
    enum cf_err err = cf_ann_front_measure(&pass->target);

    *all = false;
    while (!err) {
        pass->heap.k = k;
        err = search_leaves(pass, all);
        size_t found = pass->heap.count;
        if (err || *all || within_radius(pass) < found || found < k || k == pass->k)
            return err;
        k = RADIUS_TIMES * k < pass->k ? RADIUS_TIMES * k : pass->k;
    }
    return err;
}

static enum cf_err run(struct pass *pass, struct cf_detail *detail)
{
    enum cf_err err = prepare(pass);
    bool all = pass->query->exact || pass->far || pass->ann->header.leaf_count == 0;

    if (!err && !all)
        err = search_some(pass, &all);
    if (!err && all)
        return search_all(pass, detail);
    return err;
}

/* Heap order is undone by a sort on what the caller sees: distances in single precision, then numbers. */
static int compare_hits(const void *a, const void *b)
{
    const struct cf_ann_hit *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

static size_t collect(struct pass *pass, struct cf_ann_hit *hits)
{
    size_t count = pass->heap.count;

    for (size_t i = 0; i < count; i++) {
        hits[i].item = pass->heap.entries[i].item;
        hits[i].distance = (float)fmin(pass->heap.entries[i].key, (double)FLT_MAX);
    }
    qsort(hits, count, sizeof *hits, compare_hits);
    return count;
}

enum cf_err cf_ann_search(const struct cf_ann *ann, struct cf_ann_searcher *searcher,
                          const struct cf_ann_query *query, struct cf_ann_hit *hits, size_t *count,
                          bool *exact, struct cf_detail *detail)
{
    struct cf_detail own = {""};
    struct pass pass;
    enum cf_err err = check_query(ann, query, detail);

    if (err)
        return err;
    memset(&pass.heap, 0, sizeof pass.heap);
    pass.ann = ann;
    pass.query = query;
    pass.scratch = &searcher->scratch;
    pass.sieve = (struct cf_ann_sieve){query->keep, query->keep_arg, 0, 0};
    pass.k = query->k < ann->header.count ? query->k : (size_t)ann->header.count;
    pass.certain = pass.k == 0;
    if (pass.k)
        err = run(&pass, &own);
    if (err == CF_E_NO_MEMORY && !own.text[0])
        return cf_fail(detail, err, "out of memory for a search of %zu results", pass.k);
    if (err)
        return detail ? (*detail = own, err) : err;
    *count = collect(&pass, hits);
    *exact = pass.certain;
    return CF_OK;
}
