#include "common/ann/calibrate.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/order.h"
#include "common/ann/scan.h"
#include "common/ann/tally.h"
#include "common/base/rng.h"

enum {
    PORTION = 16,
    MIXED_MAX = 200,
    COPIES_MAX = 16,       /* of a vector that are taken out */
    DEEP_ENTRIES = 1 << 20 /* and that it looks at */
};
/* KIND_NEW: the held ones without their copies. */
enum kind { KIND_HELD, KIND_PERTURBED, KIND_NEW, KIND_MIXED, KIND_COUNT };
/* Neighbours are copies when the next one is so many times as far. */
#define COPY_GAP 1.25
/* Where rows lose more than a recall allows, leaves may lose this share of it on top. */
#define EXTRA_LOSS .25

static const double grid_recall[CF_ANN_GRID_RECALL] = {.5,  .6,  .7,  .8,  .85, .9,   .925,
                                                       .95, .96, .97, .98, .99, .995, .999};
/* What things cost, in nanoseconds about: an entry looked at, one that survives, a row, a byte of all rows.
 * Only their proportions matter. */
static const double cost_entry = 1.1, cost_code = 38, cost_row = 120, cost_row_byte = .06,
                    cost_scan_byte = .05, cost_scan_row = 6;

struct trial {
    const struct cf_ann *ann;
    float *vectors; /* of queries that are made */
    struct cf_ann_probe_query *queries;
    float *reaches; /* one a query */
    uint32_t begin[KIND_COUNT + 1], leaves[CF_ANN_LEAF_LEVELS];
    uint32_t deep; /* leaves of a wide search */
    struct cf_ann_tally *tallies;
    enum kind kind;       /* of what is measured now */
    pthread_mutex_t lock; /* of its tally */
    enum cf_err *errs;    /* one a portion */
};

/* ---- one query ---- */

/* Scratch of a portion. */
struct bench {
    struct cf_ann_scratch scratch;
    struct cf_ann_tally tally, fresh; /* fresh: of KIND_NEW */
    struct cf_ann_wide wide;
    uint32_t *ranks;         /* of leaves */
    uint64_t *keyed, *spare; /* room for the leaves, and for the entries */
};

static int compare_entries(const void *a, const void *b)
{
    const struct cf_ann_entry *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

/* Where each leaf comes among the nearest; with groups, when a search would have got to it. */
static void rank_leaves(struct bench *b, const struct cf_ann_target *t, size_t leaf_count)
{
    const struct cf_ann_leaf *leaves = b->scratch.leaves;

    for (size_t i = 0; i < leaf_count; i++)
        b->keyed[i] = cf_ann_keyed(leaves[i].key, leaves[i].leaf);
    cf_ann_order(b->keyed, b->spare, leaf_count, CF_ANN_ORDER_ALL);
    memset(b->ranks, 0xff, t->ann->header.leaf_count * sizeof *b->ranks);
    for (size_t i = 0; i < leaf_count; i++)
        b->ranks[(uint32_t)b->keyed[i]] = (uint32_t)i;
    for (size_t i = 0; t->front.leaves && i < t->front.count; i++) {
        uint32_t least = (uint32_t)cf_ann_front_wanted(i), *rank = &b->ranks[t->front.leaves[i]];
        *rank = *rank < least ? least : *rank;
    }
}

static uint32_t leaf_of(const struct cf_ann *ann, uint32_t block)
{
    uint32_t low = 0, high = (uint32_t)ann->header.leaf_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (ann->block_first[middle] <= block)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Entries of the pool but for one item, with the ranks of their leaves. Of a leaf they come together. */
static void name_entries(struct bench *b, const struct cf_ann *ann, const struct cf_ann_pool *pool,
                         uint32_t self)
{
    uint32_t leaf = 0;

    b->wide.count = 0;
    for (size_t i = 0; i < pool->count; i++) {
        uint32_t item = cf_ann_item_of(ann, pool->entries[i]), block = pool->entries[i] / CF_ANN_LANE_COUNT;
        if (block < ann->block_first[leaf] || block >= ann->block_first[leaf + 1])
            leaf = leaf_of(ann, block);
        if (item != self)
            b->wide.entries[b->wide.count++] = (struct cf_ann_entry){pool->keys[i], item, b->ranks[leaf]};
    }
}

/* By keys; where these are equal, as compare_entries says. `room`: for as many. */
static void sort_entries(struct bench *b, struct cf_ann_entry *room)
{
    size_t count = b->wide.count, run = 1;

    for (size_t i = 0; i < count; i++) {
        room[i] = b->wide.entries[i];
        b->keyed[i] = cf_ann_keyed(room[i].key, (uint32_t)i);
    }
    cf_ann_order(b->keyed, b->spare, count, CF_ANN_ORDER_KEYS);
    for (size_t i = 0; i < count; i++)
        b->wide.entries[i] = room[(uint32_t)b->keyed[i]];
    for (size_t i = 0; i < count; i += run) {
        for (run = 1; i + run < count && b->wide.entries[i + run].key == b->wide.entries[i].key;)
            run++;
        if (run > 1)
            qsort(b->wide.entries + i, run, sizeof *b->wide.entries, compare_entries);
    }
}

/* The best entries of many leaves, best first, and their items by shorts. */
static enum cf_err search_wide(const struct trial *trial, struct cf_ann_target *t, uint32_t self,
                               struct bench *b)
{
    struct cf_ann_sieve all = {0};
    struct cf_ann_entry room[CF_ANN_WIDE_MOST];
    struct cf_ann_pool pool;
    size_t leaf_count;
    enum cf_err err = cf_ann_leaves_choose(t, trial->deep, &leaf_count);

    if (!err)
        err = cf_ann_codes_scan(t, leaf_count, CF_ANN_WIDE, &all, &pool);
    if (err)
        return err;
    rank_leaves(b, t, leaf_count);
    name_entries(b, t->ann, &pool, self);
    sort_entries(b, room);
    for (size_t i = 0; i < b->wide.count; i++)
        pool.entries[i] = b->wide.entries[i].item;
    cf_ann_measure_shorts(t, pool.entries, b->wide.count, b->wide.shorts);
    return CF_OK;
}

/* The query as if its copies were not there: neighbours that are much nearer than the next, which go from the
 * entries too. */
static void take_copies_out(struct cf_ann_probe_query *query, struct bench *b)
{
    uint32_t copies = 0, kept = 0;
    double widest = COPY_GAP;

    for (uint32_t i = 0; i < COPIES_MAX && i + 1 < query->count; i++) {
        double here = fmax(query->neighbours[i].key, 0), next = query->neighbours[i + 1].key;
        if (next > widest * here) {
            widest = here > 0 ? next / here : (double)INFINITY;
            copies = i + 1;
        }
    }
    for (size_t e = 0; copies && e < b->wide.count; e++) {
        bool copy = false;
        for (uint32_t i = 0; i < copies; i++)
            copy |= b->wide.entries[e].item == query->neighbours[i].item;
        b->wide.entries[kept] = b->wide.entries[e];
        b->wide.shorts[kept] = b->wide.shorts[e];
        kept += !copy;
    }
    if (!copies)
        return;
    b->wide.count = kept;
    query->count -= copies;
    memmove(query->neighbours, query->neighbours + copies, query->count * sizeof *query->neighbours);
    for (uint32_t i = 0; i < query->count; i++)
        query->neighbours[i].rank =
            query->neighbours[i].rank > copies ? query->neighbours[i].rank - copies : 0;
}

/* Every fourth query is enough for k = 100. */
static enum cf_err measure_query(const struct trial *trial, uint32_t number, struct bench *b)
{
    const struct cf_ann_probe_query *query = &trial->queries[number];
    unsigned grids = number % 4 == 0 ? CF_ANN_GRID_K : CF_ANN_GRID_K - 1;
    struct cf_ann_target target;
    enum cf_err err = cf_ann_target_scaled(&target, trial->ann, &b->scratch, query->vector);

    if (!err)
        err = cf_ann_front_measure(&target);
    if (err)
        return err;
    trial->reaches[number] = (float)cf_ann_reach(&target);
    err = search_wide(trial, &target, query->self, b);
    if (err)
        return err;
    cf_ann_tally_query(trial->leaves, &target, query, grids, &b->wide, &b->tally);
    if (trial->kind != KIND_HELD)
        return CF_OK;
    struct cf_ann_probe_query fresh = *query;
    take_copies_out(&fresh, b);
    cf_ann_tally_query(trial->leaves, &target, &fresh, grids, &b->wide, &b->fresh);
    return CF_OK;
}

static enum cf_err bench_init(struct bench *b, const struct cf_ann *ann)
{
    size_t leaves = ann->header.leaf_count, room = leaves < CF_ANN_WIDE_MOST ? CF_ANN_WIDE_MOST : leaves;

    b->ranks = calloc(leaves, sizeof *b->ranks);
    b->keyed = calloc(room, sizeof *b->keyed);
    b->spare = calloc(room, sizeof *b->spare);
    return b->ranks && b->keyed && b->spare ? CF_OK : CF_E_NO_MEMORY;
}

static void bench_free(struct bench *b)
{
    if (!b)
        return;
    cf_ann_scratch_fini(&b->scratch);
    free(b->ranks);
    free(b->keyed);
    free(b->spare);
    free(b);
}

static enum cf_err measure_portion(struct trial *trial, size_t number)
{
    uint32_t begin = trial->begin[trial->kind] + (uint32_t)number * PORTION,
             end = trial->begin[trial->kind + 1];
    struct bench *b = calloc(1, sizeof *b);
    enum cf_err err = b ? bench_init(b, trial->ann) : CF_E_NO_MEMORY;

    for (uint32_t q = begin; q < end && q < begin + PORTION && !err; q++)
        err = measure_query(trial, q, b);
    if (!err) {
        pthread_mutex_lock(&trial->lock);
        cf_ann_tally_merge(&trial->tallies[trial->kind], &b->tally);
        if (trial->kind == KIND_HELD)
            cf_ann_tally_merge(&trial->tallies[KIND_NEW], &b->fresh);
        pthread_mutex_unlock(&trial->lock);
    }
    bench_free(b);
    return err;
}

static void work(void *arg, size_t number)
{
    struct trial *trial = arg;

    trial->errs[number] = measure_portion(trial, number);
}

/* ---- queries ---- */

/* Noise of half the distance to the nearest other vector: near enough to find it, far enough to change the
 * order. */
static void perturb(uint32_t dim, const struct cf_ann_probe_query *held, struct cf_rng *rng, float *out)
{
    double size = .5 * (held->count ? held->neighbours[0].key : 0) / sqrt(dim / 3.0);

    for (uint32_t j = 0; j < dim; j++)
        out[j] = held->vector[j] + (float)(size * (2 * cf_rng_unit(rng) - 1));
}

static void make_queries(struct trial *t, const struct cf_ann_held *held, enum kind kind)
{
    uint32_t dim = t->ann->header.dim;
    struct cf_rng rng = cf_rng(t->ann->header.seed ^ (0xCA11B8A7Eu + (uint64_t)kind));

    for (uint32_t q = t->begin[kind]; q < t->begin[kind + 1]; q++) {
        uint32_t i = q - t->begin[kind];
        float *made = t->vectors + (size_t)(q - held->count) * dim;
        t->queries[q].self = kind == KIND_HELD ? held->items[i] : UINT32_MAX;
        t->queries[q].vector = kind == KIND_HELD ? held->vectors + (size_t)i * dim : made;
        if (kind == KIND_PERTURBED)
            perturb(dim, &t->queries[i], &rng, made);
        for (uint32_t j = 0; j < dim && kind == KIND_MIXED; j++)
            made[j] = held->vectors[(size_t)cf_rng_below(&rng, held->count) * dim + j];
    }
}

static enum cf_err measure_kind(struct trial *t, const struct cf_ann_held *held, enum kind kind,
                                const struct cf_crew *crew)
{
    uint32_t count = t->begin[kind + 1] - t->begin[kind];
    size_t portions = (count + PORTION - 1) / PORTION;

    make_queries(t, held, kind);
    enum cf_err err = cf_ann_truth(t->ann, crew, t->queries + t->begin[kind], count);
    if (err)
        return err;
    t->kind = kind;
    t->errs = calloc(portions + 1, sizeof *t->errs);
    if (!t->errs)
        return CF_E_NO_MEMORY;
    err = cf_crew_run(crew, portions, work, t);
    for (size_t i = 0; i < portions && !err; i++)
        err = t->errs[i];
    free(t->errs);
    return err;
}

/* ---- plans ---- */

/* The lower confidence bound of the mean recall. */
static double bound_of(const struct cf_ann_sums *sums, double n, uint32_t k)
{
    double missed = sums->missed / (double)k, squares = (double)sums->squares / ((double)k * k);

    if (n < 2)
        return 0;
    double mean = missed / n, variance = (squares - missed * mean) / (n - 1);
    return 1 - mean - 1.645 * sqrt(variance > 0 ? variance / n : 0);
}

/* What is asked of a plan: a share of the true neighbours, or of those that rows tell. */
struct wish {
    double recall;
    bool told;
};

/* The fewest leaves, between those of the levels; 0 when all are not enough. */
static double leaves_for(const struct trial *t, enum kind kind, unsigned g, unsigned c, unsigned s,
                         struct wish wish)
{
    const struct cf_ann_tally *tally = &t->tallies[kind];
    uint64_t others = t->ann->header.count - (kind == KIND_HELD || kind == KIND_NEW);
    uint32_t k = others < cf_ann_grid_k[g] ? (uint32_t)others : cf_ann_grid_k[g];
    double before = 0;

    for (unsigned m = 0; m < CF_ANN_LEAF_LEVELS; m++) {
        struct cf_ann_sums sums = tally->all[g][m][c][s];
        if (wish.told)
            sums = cf_ann_tally_told(&sums, &tally->rows[g]);
        double bound = bound_of(&sums, tally->queries[g], k);
        if (bound >= wish.recall) {
            double low = m ? t->leaves[m - 1] : 0, share = (wish.recall - before) / (bound - before);
            return low + (t->leaves[m] - low) * (m && share > 0 ? share : 1);
        }
        before = bound;
    }
    return 0;
}

static double cost_of(const struct trial *t, double leaves, uint32_t codes, uint32_t shorts)
{
    const struct cf_ann_header *h = &t->ann->header;
    double entries = leaves * (double)(h->block_count * CF_ANN_LANE_COUNT) / (double)h->leaf_count;

    return entries * cost_entry + codes * cost_code +
           shorts * (cost_row + cost_row_byte * (double)cf_ann_row_stride(h));
}

static double cost_of_all(const struct trial *t)
{
    const struct cf_ann_header *h = &t->ann->header;

    return (double)h->count * (cost_scan_row + cost_scan_byte * (double)cf_ann_row_stride(h));
}

static double leaves_for_kinds(const struct trial *t, unsigned kind_count, unsigned g, unsigned c, unsigned s,
                               struct wish wish)
{
    double leaves = 1;

    for (unsigned kind = 0; kind < kind_count && leaves > 0; kind++) {
        double wanted = leaves_for(t, (enum kind)kind, g, c, s, wish);
        leaves = wanted == 0 || wanted > leaves ? wanted : leaves;
    }
    return leaves;
}

static struct cf_ann_widths least_costly(const struct trial *t, unsigned kind_count, unsigned g,
                                         struct wish wish)
{
    struct cf_ann_widths best = {0, 0, 0};
    double least = cost_of_all(t);

    for (unsigned c = 0; c < CF_ANN_CODE_LEVELS; c++)
        for (unsigned s = 0; s < CF_ANN_SHORT_LEVELS; s++) {
            double leaves = leaves_for_kinds(t, kind_count, g, c, s, wish);
            double cost = cost_of(t, leaves, cf_ann_grid_codes[g][c], cf_ann_grid_shorts[g][s]);
            if (leaves > 0 && cost < least) {
                least = cost;
                best = (struct cf_ann_widths){(uint32_t)ceil(leaves), cf_ann_grid_codes[g][c],
                                              cf_ann_grid_shorts[g][s]};
            }
        }
    return best;
}

static bool rows_reach(const struct trial *t, unsigned kind_count, unsigned g, double recall)
{
    bool reach = true;

    for (unsigned kind = 0; kind < kind_count; kind++)
        reach &= bound_of(&t->tallies[kind].rows[g], t->tallies[kind].queries[g], cf_ann_grid_k[g]) >= recall;
    return reach;
}

/* Rows lose some of the order themselves. Where that alone is more than the recall allows,
 * measuring all of them would not give it either: a plan that gives nearly what they do is worth as much. */
static struct cf_ann_widths plan_for(const struct trial *t, unsigned kind_count, unsigned g, double recall)
{
    struct cf_ann_widths best = least_costly(t, kind_count, g, (struct wish){recall, false});

    if (best.leaves == 0 && !rows_reach(t, kind_count, g, recall))
        best = least_costly(t, kind_count, g, (struct wish){1 - EXTRA_LOSS * (1 - recall), true});
    return best;
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
    uint32_t known = t->begin[KIND_MIXED], all = t->begin[KIND_COUNT];

    qsort(t->reaches, known, sizeof *t->reaches, compare_float);
    out->reach[0] = t->reaches[known * 99 / 100];
    out->reach[1] = t->reaches[known - 1];
    for (uint32_t i = known; i < all; i++)
        out->reach[1] = fmaxf(out->reach[1], t->reaches[i]);
}

/* From a few to all that a wide search looks at, about evenly in proportion. */
static void set_leaves(struct trial *t)
{
    const struct cf_ann_header *h = &t->ann->header;
    double each = (double)(h->block_count * CF_ANN_LANE_COUNT) / (double)h->leaf_count;
    double most = (double)h->leaf_count;

    if (most * each > DEEP_ENTRIES)
        most = fmax(1, floor(DEEP_ENTRIES / each));
    t->deep = (uint32_t)most;
    double first = fmin(4, most), ratio = pow(most / first, 1.0 / (CF_ANN_LEAF_LEVELS - 1));
    for (unsigned m = 0; m < CF_ANN_LEAF_LEVELS; m++, first *= ratio)
        t->leaves[m] = m + 1 < CF_ANN_LEAF_LEVELS ? (uint32_t)lround(first) : t->deep;
}

static enum cf_err trial_init(struct trial *t, const struct cf_ann_held *held)
{
    uint32_t mixed = held->count < MIXED_MAX ? held->count : MIXED_MAX;

    t->begin[KIND_PERTURBED] = held->count;
    t->begin[KIND_NEW] = t->begin[KIND_MIXED] = 2 * held->count; /* no queries of their own */
    t->begin[KIND_COUNT] = 2 * held->count + mixed;
    t->vectors = calloc((size_t)(held->count + mixed) * t->ann->header.dim, sizeof *t->vectors);
    t->queries = calloc(t->begin[KIND_COUNT], sizeof *t->queries);
    t->reaches = calloc(t->begin[KIND_COUNT], sizeof *t->reaches);
    t->tallies = calloc(KIND_COUNT, sizeof *t->tallies);
    if (!t->vectors || !t->queries || !t->reaches || !t->tallies)
        return CF_E_NO_MEMORY;
    set_leaves(t);
    return CF_OK;
}

enum cf_err cf_ann_calibrate(const struct cf_ann *ann, const struct cf_ann_held *held,
                             const struct cf_crew *crew, struct cf_ann_calibration *out)
{
    struct trial t = {.ann = ann};
    enum cf_err err = CF_OK;

    *out = (struct cf_ann_calibration){0}; /* no plan: every row */
    if (held->count == 0 || ann->header.leaf_count == 0)
        return CF_OK;
    pthread_mutex_init(&t.lock, NULL);
    err = trial_init(&t, held);
    /* One kind after the other: the perturbed ones need the neighbours of the held ones. */
    for (unsigned kind = 0; kind < KIND_COUNT && !err; kind++)
        err = measure_kind(&t, held, (enum kind)kind, crew);
    if (!err)
        set_reaches(&t, out);
    for (unsigned g = 0; g < CF_ANN_GRID_K && !err; g++)
        for (unsigned r = 0; r < CF_ANN_GRID_RECALL; r++) {
            out->plans[0][g][r] = plan_for(&t, KIND_MIXED, g, grid_recall[r]);
            out->plans[1][g][r] = plan_for(&t, KIND_COUNT, g, grid_recall[r]);
        }
    free(t.vectors);
    free(t.queries);
    free(t.reaches);
    free(t.tallies);
    pthread_mutex_destroy(&t.lock);
    return err;
}

/* ---- asking ---- */

/* Of whole covers one in a thousand is a little farther from all leaves than all that was measured, and to
 * measure every row for it keeps other queries waiting. Up to twice the square of the distance, the plan of
 * the farthest class four times over was enough for the few of them that could be measured (RESULTS.md). */
enum { BEYOND_REACH = 2, BEYOND_WIDTHS = 4 };

static uint32_t mix(uint32_t a, uint32_t b, double share)
{
    return (uint32_t)ceil(a + ((double)b - a) * share);
}

static struct cf_ann_widths between(struct cf_ann_widths a, struct cf_ann_widths b, double share)
{
    if (a.leaves == 0 || b.leaves == 0 || share >= 1)
        return b;
    return (struct cf_ann_widths){mix(a.leaves, b.leaves, share), mix(a.codes, b.codes, share),
                                  mix(a.shorts, b.shorts, share)};
}

static struct cf_ann_widths by_recall(const struct cf_ann_widths *plans, double recall)
{
    unsigned r = 0;

    while (r < CF_ANN_GRID_RECALL && recall > grid_recall[r])
        r++;
    if (r == CF_ANN_GRID_RECALL)
        return (struct cf_ann_widths){0, 0, 0};
    if (r == 0)
        return plans[0];
    return between(plans[r - 1], plans[r],
                   (recall - grid_recall[r - 1]) / (grid_recall[r] - grid_recall[r - 1]));
}

static struct cf_ann_widths by_k(const struct cf_ann_widths plans[CF_ANN_GRID_K][CF_ANN_GRID_RECALL],
                                 uint64_t k, double recall)
{
    unsigned g = 0;

    while (g < CF_ANN_GRID_K && k > cf_ann_grid_k[g])
        g++;
    if (g == CF_ANN_GRID_K) /* where proportions end, a third of what may be missed is kept in reserve */
        recall += (1 - recall) / 3;
    struct cf_ann_widths above = by_recall(plans[g < CF_ANN_GRID_K ? g : g - 1], recall);
    if (g == 0)
        return above;
    double low = cf_ann_grid_k[g - 1];
    /* Halfway, by proportion, all that the larger k needs: where covers have forty copies, the fifty nearest
     * are not found with the widths of ten and a little more. */
    if (g < CF_ANN_GRID_K)
        return between(by_recall(plans[g - 1], recall), above,
                       2 * log((double)k / low) / log(cf_ann_grid_k[g] / low));
    /* Beyond the grid all in proportion, which is more than is needed. */
    double times = (double)k / low;
    above.leaves = (uint32_t)fmin(ceil(above.leaves * times), UINT32_MAX);
    above.codes = (uint32_t)fmin(ceil(above.codes * times), UINT32_MAX);
    above.shorts = (uint32_t)fmin(ceil(above.shorts * times), UINT32_MAX);
    return above;
}

static uint32_t several(uint32_t width)
{
    return width > UINT32_MAX / BEYOND_WIDTHS ? UINT32_MAX : BEYOND_WIDTHS * width;
}

/* Several times over; nothing where that would hardly be less than every row. */
static struct cf_ann_widths widened(struct cf_ann_widths widths, uint64_t leaves)
{
    if (several(widths.leaves) > leaves / 2)
        return (struct cf_ann_widths){0, 0, 0};
    return (struct cf_ann_widths){several(widths.leaves), several(widths.codes), several(widths.shorts)};
}

struct cf_ann_widths cf_ann_widths(const struct cf_ann *ann, double reach, uint64_t k, double recall)
{
    const struct cf_ann_calibration *table = ann->calibration;
    uint64_t leaves = ann->header.leaf_count, entries = ann->header.block_count * CF_ANN_LANE_COUNT;
    unsigned c = 0;

    while (c < CF_ANN_CLASS_COUNT && !(reach <= (double)table->reach[c]))
        c++;
    bool beyond = c == CF_ANN_CLASS_COUNT;
    if (beyond)
        c = CF_ANN_CLASS_COUNT - 1;
    if (beyond && !(reach <= BEYOND_REACH * (double)table->reach[c]))
        return (struct cf_ann_widths){0, 0, 0};
    struct cf_ann_widths widths = by_k(table->plans[c], k, recall);
    if (beyond)
        widths = widened(widths, leaves);
    widths.leaves = widths.leaves < leaves ? widths.leaves : (uint32_t)leaves;
    widths.codes = widths.codes < entries ? widths.codes : (uint32_t)entries;
    widths.shorts = widths.shorts < entries ? widths.shorts : (uint32_t)entries;
    return widths;
}
