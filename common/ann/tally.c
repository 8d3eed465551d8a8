#include "common/ann/tally.h"

#include <string.h>

#include "common/ann/scan.h"

enum {
    CODE_LEVELS = CF_ANN_CODE_LEVELS,
    SHORT_LEVELS = CF_ANN_SHORT_LEVELS,
    LEAF_LEVELS = CF_ANN_LEAF_LEVELS,
    SEEN = 2 * CF_ANN_WIDE
};

const uint32_t cf_ann_grid_k[CF_ANN_GRID_K] = {1, 10, 100};
const uint32_t cf_ann_grid_codes[CF_ANN_GRID_K][CODE_LEVELS] = {
    {12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 704, 1024, 1536, 3072},
    {40, 56, 80, 112, 144, 192, 256, 352, 512, 768, 1024, 1280, 1600, 2048, 3584, 6144},
    {160, 224, 288, 352, 448, 576, 768, 1024, 1216, 1408, 1664, 2048, 2816, 4096, 5632, 8000}};
const uint32_t cf_ann_grid_shorts[CF_ANN_GRID_K][SHORT_LEVELS] = {
    {2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256},
    {12, 14, 16, 20, 24, 32, 40, 56, 80, 112, 160, 256, 448},
    {104, 112, 128, 144, 160, 192, 224, 288, 384, 512, 640, 768, 1024}};

/* ---- one query ---- */

/* True neighbours by their shorts, so that copies of one count for one another. */
enum { SLOTS = 256 };
struct wanted {
    uint32_t count;
    uint8_t slots[SLOTS]; /* neighbour + 1, of the first of its shorts */
    float shorts[CF_ANN_TRUTH_MAX];
    uint8_t next[CF_ANN_TRUTH_MAX]; /* the next that is its copy, or itself */
};

static size_t slot_of(const struct wanted *w, float key)
{
    uint32_t bits;

    memcpy(&bits, &key, sizeof bits);
    size_t at = (bits * 0x9E3779B1u >> 16) % SLOTS;
    while (w->slots[at] && w->shorts[w->slots[at] - 1] != key)
        at = (at + 1) % SLOTS;
    return at;
}

static void want(const struct cf_ann_target *t, const struct cf_ann_probe_query *query, struct wanted *w)
{
    uint32_t items[CF_ANN_TRUTH_MAX];
    uint8_t last[CF_ANN_TRUTH_MAX];

    memset(w->slots, 0, sizeof w->slots);
    w->count = query->count;
    for (uint32_t i = 0; i < w->count; i++)
        items[i] = query->neighbours[i].item;
    cf_ann_measure_shorts(t, items, w->count, w->shorts);
    for (uint32_t i = 0; i < w->count; i++) {
        size_t at = slot_of(w, w->shorts[i]);
        w->next[i] = (uint8_t)i;
        if (w->slots[at])
            w->next[last[w->slots[at] - 1]] = (uint8_t)i;
        else
            w->slots[at] = (uint8_t)(i + 1);
        last[w->slots[at] - 1] = (uint8_t)i;
    }
}

/* The rank of the leaf where the item was before, UINT32_MAX for nowhere; it is there from now on. */
static uint32_t twin_of(uint32_t seen[SEEN][2], uint32_t item, uint32_t rank)
{
    size_t at = item * 0x9E3779B1u % SEEN;

    while (seen[at][0] && seen[at][0] != item + 1)
        at = (at + 1) % SEEN;
    uint32_t before = seen[at][0] ? seen[at][1] : UINT32_MAX;
    seen[at][0] = item + 1;
    seen[at][1] = rank < before ? rank : before;
    return before;
}

static void make_steps(struct cf_ann_wide *wide, const struct wanted *w)
{
    uint32_t seen[SEEN][2] = {{0}};

    for (size_t i = 0; i < wide->count; i++) {
        const struct cf_ann_entry *e = &wide->entries[i];
        wide->steps[i] = (struct cf_ann_step){e->rank, twin_of(seen, e->item, e->rank), wide->shorts[i],
                                              w->slots[slot_of(w, wide->shorts[i])]};
    }
}

/* What a search of so many leaves would come across: items once each, by their codes. */
struct walk {
    uint32_t place[CF_ANN_TRUTH_MAX];      /* among the codes, of each neighbour; UINT32_MAX: not there */
    float shorts[CF_ANN_WIDE_MOST + 1];    /* of the items */
    uint32_t before[CF_ANN_WIDE_MOST + 1]; /* how many items come before a place among the codes */
    uint32_t codes, items, deepest;        /* how many; and the last of the ranks */
};

/* Of the first `count` steps only those in the nearest leaves are kept. Which are is anybody's guess: the
 * next one is written over what is not. */
static void walk(struct cf_ann_step *steps, size_t count, const struct wanted *w, uint32_t leaves,
                 struct walk *walk)
{
    uint8_t at[CF_ANN_TRUTH_MAX]; /* the next copy to count */
    uint32_t codes = 0, items = 0, deepest = 0;

    memset(walk->place, 0xff, sizeof walk->place);
    for (uint32_t i = 0; i < w->count; i++)
        at[i] = (uint8_t)i;
    for (size_t i = 0; i < count; i++) {
        const struct cf_ann_step step = steps[i];
        uint32_t inside = step.rank < leaves, is_new = inside & (step.twin >= leaves);
        steps[codes] = step;
        walk->before[codes] = items;
        walk->shorts[items] = step.shorts;
        if (step.neighbour != 0 && is_new && walk->place[at[step.neighbour - 1]] == UINT32_MAX) {
            walk->place[at[step.neighbour - 1]] = codes;
            at[step.neighbour - 1] = w->next[at[step.neighbour - 1]];
        }
        if (inside && step.rank > deepest)
            deepest = step.rank;
        codes += inside;
        items += is_new;
    }
    walk->codes = codes;
    walk->items = items;
    walk->deepest = deepest;
}

static uint32_t before_place(const struct walk *walk, uint32_t place)
{
    return place < walk->codes ? walk->before[place] : walk->items;
}

/* How many of the first k rows would tell. */
static uint32_t count_told(const struct cf_ann_probe_query *query, uint32_t k)
{
    uint32_t told = 0;

    for (uint32_t i = 0; i < query->count && i < k; i++)
        told += query->neighbours[i].rank < k;
    return told;
}

/* A true neighbour that rows tell and a walk comes across. */
struct hit {
    uint32_t place, better; /* among the codes; and how many of these codes have better shorts */
    float shorts;
    unsigned level; /* of the shorts that are enough for it; SHORT_LEVELS: none is */
};

static unsigned hits_of(const struct walk *walk, const struct wanted *w,
                        const struct cf_ann_probe_query *query, unsigned g, struct hit *hits)
{
    uint32_t k = cf_ann_grid_k[g], codes_most = cf_ann_grid_codes[g][CODE_LEVELS - 1];
    unsigned count = 0;

    for (uint32_t i = 0; i < w->count && i < k; i++)
        if (walk->place[i] < codes_most && query->neighbours[i].rank < k)
            hits[count++] = (struct hit){walk->place[i], 0, w->shorts[i], 0};
    return count;
}

/* `count` codes more have these shorts. */
static void note_better(struct hit *hit, const struct cf_ann_kernels *kernels, const float *shorts,
                        size_t count, const uint32_t *levels)
{
    if (hit->level == SHORT_LEVELS)
        return;
    hit->better += (uint32_t)kernels->count_below(shorts, count, hit->shorts);
    while (hit->level < SHORT_LEVELS && levels[hit->level] <= hit->better)
        hit->level++;
}

static void add_missed(struct cf_ann_sums *sums, uint32_t missed, uint32_t untold)
{
    sums->missed += missed;
    sums->squares += missed * missed;
    sums->untold += missed * untold;
}

static void tally_walk(struct cf_ann_tally *tally, const struct walk *walk, const struct wanted *w,
                       const struct cf_ann_probe_query *query, const struct cf_ann_kernels *kernels,
                       unsigned g, unsigned m)
{
    uint32_t k = cf_ann_grid_k[g] < query->count ? cf_ann_grid_k[g] : query->count,
             untold = k - count_told(query, cf_ann_grid_k[g]), items = 0;
    struct hit hits[CF_ANN_TRUTH_MAX];
    unsigned hit_count = hits_of(walk, w, query, g, hits);

    for (unsigned c = 0; c < CODE_LEVELS; c++) {
        uint32_t before = items, by_level[SHORT_LEVELS + 1] = {0}, missed = k;
        items = before_place(walk, cf_ann_grid_codes[g][c]);
        for (unsigned i = 0; i < hit_count; i++) {
            note_better(&hits[i], kernels, walk->shorts + before, items - before, cf_ann_grid_shorts[g]);
            by_level[hits[i].level] += hits[i].place < cf_ann_grid_codes[g][c];
        }
        for (unsigned s = 0; s < SHORT_LEVELS; s++) {
            missed -= by_level[s];
            add_missed(&tally->all[g][m][c][s], missed, untold);
        }
    }
}

void cf_ann_tally_query(const uint32_t leaves[LEAF_LEVELS], const struct cf_ann_target *target,
                        const struct cf_ann_probe_query *query, unsigned grids, struct cf_ann_wide *wide,
                        struct cf_ann_tally *tally)
{
    struct wanted wanted;
    struct walk way = {.codes = (uint32_t)wide->count, .deepest = UINT32_MAX};

    want(target, query, &wanted);
    make_steps(wide, &wanted);
    for (unsigned m = LEAF_LEVELS; m-- > 0;) { /* the most leaves first: the others are among them */
        if (way.deepest >= leaves[m])
            walk(wide->steps, way.codes, &wanted, leaves[m], &way);
        for (unsigned g = 0; g < grids; g++)
            tally_walk(tally, &way, &wanted, query, target->kernels, g, m);
    }
    for (unsigned g = 0; g < grids; g++) {
        uint32_t k = cf_ann_grid_k[g] < query->count ? cf_ann_grid_k[g] : query->count,
                 untold = k - count_told(query, cf_ann_grid_k[g]);
        add_missed(&tally->rows[g], untold, untold);
        tally->queries[g]++;
    }
}

/* ---- many ---- */

static void add_sums(struct cf_ann_sums *into, const struct cf_ann_sums *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        into[i].missed += from[i].missed;
        into[i].squares += from[i].squares;
        into[i].untold += from[i].untold;
    }
}

void cf_ann_tally_merge(struct cf_ann_tally *into, const struct cf_ann_tally *from)
{
    for (unsigned g = 0; g < CF_ANN_GRID_K; g++)
        into->queries[g] += from->queries[g];
    add_sums(into->rows, from->rows, CF_ANN_GRID_K);
    add_sums(&into->all[0][0][0][0], &from->all[0][0][0][0], sizeof into->all / sizeof(struct cf_ann_sums));
}

struct cf_ann_sums cf_ann_tally_told(const struct cf_ann_sums *all, const struct cf_ann_sums *rows)
{
    return (struct cf_ann_sums){all->missed - rows->missed, all->squares - 2 * all->untold + rows->squares,
                                0};
}
