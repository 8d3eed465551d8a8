#include "common/ann/scan.h"

#include <math.h>
#include <string.h>

#include "common/ann/pool.h"

enum {
    SAMPLE = 512,
    LINE = 64,
    NEAREST_SHARE = 8,
    POOL_TIMES = 2,
    SHORTS_AHEAD = 16,
    GROUP_LEAVES_LEAST = 1024,
    GROUP_TIMES = 8
};

static void prefetch(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch((const char *)from + i);
}

/* ---- leaves ---- */

static void make_pointer(const struct cf_ann_target *t, struct cf_ann_pointer *p)
{
    uint32_t dims = t->ann->header.leaf_dims;

    p->unit = cf_ann_bytes_of(t->proj, dims, dims, p->values);
    p->shift = 0;
    for (uint32_t j = 0; j < dims; j++)
        p->shift += CF_ANN_BLOCK_ZERO * p->values[j];
}

/* Keys of things in blocks, a multiple of 16 of them. */
static void keys_of(const struct cf_ann_target *t, const struct cf_ann_pointer *p, const uint8_t *blocks,
                    const float *norms, float step, size_t first, size_t count, float *keys)
{
    uint32_t dims = t->ann->header.leaf_dims;

    t->kernels->dots_blocks(p->values, blocks + first * dims, count / CF_ANN_LANE_COUNT, dims,
                            t->scratch->dots);
    t->kernels->keys_of_dots(t->scratch->dots, norms + first, count, 2 * step * p->unit, p->shift, keys);
}

static size_t padded_of(uint64_t count)
{
    return cf_ann_blocks_of(count) * CF_ANN_LANE_COUNT;
}

static enum cf_err reserve_front(const struct cf_ann_target *t)
{
    const struct cf_ann_header *h = &t->ann->header;
    struct cf_ann_scratch *s = t->scratch;
    size_t most = padded_of(h->leaf_count);

    CF_ANN_RESERVE(s, dots, most > padded_of(h->group_count) ? most : padded_of(h->group_count));
    CF_ANN_RESERVE(s, keys, most);
    CF_ANN_RESERVE(s, leaves, h->leaf_count);
    if (h->group_count) {
        CF_ANN_RESERVE(s, group_keys, padded_of(h->group_count));
        CF_ANN_RESERVE(s, front_keys, most + CF_ANN_LANE_COUNT);
        CF_ANN_RESERVE(s, front_leaves, most + CF_ANN_LANE_COUNT);
    }
    return CF_OK;
}

static size_t nearest_group(const struct cf_ann_target *t)
{
    const float *keys = t->scratch->group_keys;
    size_t nearest = 0;

    for (size_t g = 1; g < t->ann->header.group_count; g++)
        nearest = keys[g] < keys[nearest] ? g : nearest;
    return nearest;
}

/* Group after group, until so many leaves are measured. */
static void advance(struct cf_ann_target *t, size_t enough)
{
    const struct cf_ann *ann = t->ann;
    const struct cf_ann_header *h = &ann->header;
    struct cf_ann_pool pool = {t->scratch->front_keys, t->scratch->front_leaves, t->front.count, SIZE_MAX,
                               INFINITY};
    float *keys = t->scratch->keys;

    while (pool.count < enough) {
        size_t group = nearest_group(t);
        if (!(t->scratch->group_keys[group] < INFINITY))
            break;
        t->scratch->group_keys[group] = INFINITY;
        uint32_t first = ann->group_first[group], end = ann->group_first[group + 1];
        if (first >= end || end > h->leaf_count || first % CF_ANN_LANE_COUNT) /* a damaged file */
            continue;
        keys_of(t, &t->pointer, ann->centroid_blocks, ann->centroid_norms, h->centroid_step, first,
                padded_of(end - first), keys);
        t->kernels->pick_below(keys, end - first, first, &pool);
    }
    t->front.count = pool.count;
    t->front.range = t->kernels->range(pool.keys, pool.count);
}

enum cf_err cf_ann_front_measure(struct cf_ann_target *t)
{
    const struct cf_ann *ann = t->ann;
    const struct cf_ann_header *h = &ann->header;
    struct cf_ann_scratch *s = t->scratch;
    enum cf_err err = reserve_front(t);

    if (err)
        return err;
    make_pointer(t, &t->pointer);
    if (h->group_count) {
        keys_of(t, &t->pointer, ann->group_blocks, ann->group_norms, h->group_step, 0,
                padded_of(h->group_count), s->group_keys);
        t->front = (struct cf_ann_front){.keys = s->front_keys, .leaves = s->front_leaves};
        advance(t, GROUP_LEAVES_LEAST);
        return CF_OK;
    }
    keys_of(t, &t->pointer, ann->centroid_blocks, ann->centroid_norms, h->centroid_step, 0,
            padded_of(h->leaf_count), s->keys);
    t->front = (struct cf_ann_front){.keys = s->keys, .count = h->leaf_count};
    t->front.range = t->kernels->range(s->keys, h->leaf_count);
    return CF_OK;
}

double cf_ann_reach(const struct cf_ann_target *t)
{
    return t->norm + (double)t->front.range.least;
}

size_t cf_ann_front_wanted(size_t at)
{
    return at < GROUP_LEAVES_LEAST ? 0 : at / GROUP_TIMES;
}

static uint32_t front_leaf(const struct cf_ann_front *front, size_t i)
{
    return front->leaves ? front->leaves[i] : (uint32_t)i;
}

/* A bound that `wanted` leaves are below, and hardly more than half as many again: by a part of the keys, if
 * that proves right. */
static float outer_bound(const struct cf_ann_target *t, size_t wanted)
{
    const struct cf_ann_front *front = &t->front;

    if (front->count < 4 * SAMPLE || wanted > front->count / 4)
        return INFINITY;
    size_t in_sample = wanted * SAMPLE / front->count;
    struct cf_ann_range range = t->kernels->range(front->keys, SAMPLE);
    float bound = cf_ann_pool_bound(t->kernels, front->keys, SAMPLE, range, in_sample + in_sample / 4 + 4);
    return t->kernels->count_below(front->keys, front->count, bound) >= wanted ? bound : INFINITY;
}

/* Nearest first would be best; two classes of near do nearly as well and need no order. */
enum cf_err cf_ann_leaves_choose(struct cf_ann_target *t, size_t wanted, size_t *count)
{
    struct cf_ann_scratch *s = t->scratch;
    struct cf_ann_front *front = &t->front;

    if (front->leaves)
        advance(t, GROUP_TIMES * wanted);
    CF_ANN_RESERVE(s, pool_keys, front->count + CF_ANN_LANE_COUNT);
    CF_ANN_RESERVE(s, pool_entries, front->count + CF_ANN_LANE_COUNT);
    struct cf_ann_pool pool = {s->pool_keys, s->pool_entries, 0, SIZE_MAX, outer_bound(t, wanted)};
    t->kernels->pick_below(front->keys, front->count, 0, &pool);
    cf_ann_pool_shrink(t->kernels, &pool, wanted);
    struct cf_ann_range range = t->kernels->range(pool.keys, pool.count);
    float near_bound =
        cf_ann_pool_bound(t->kernels, pool.keys, pool.count, range, pool.count / NEAREST_SHARE + 1);
    size_t near = 0, far = t->kernels->count_below(pool.keys, pool.count, near_bound);
    for (size_t i = 0; i < pool.count; i++) {
        bool below = pool.keys[i] < near_bound;
        s->leaves[below ? near : far] =
            (struct cf_ann_leaf){pool.keys[i], front_leaf(front, pool.entries[i])};
        near += below;
        far += !below;
    }
    *count = pool.count;
    return CF_OK;
}

/* How many blocks a leaf has; none when a damaged file says nonsense. */
static uint32_t blocks_in(const struct cf_ann *ann, uint32_t leaf)
{
    uint32_t first = ann->block_first[leaf], end = ann->block_first[leaf + 1];

    return end > first && end <= ann->header.block_count ? end - first : 0;
}

static enum cf_err make_visits(const struct cf_ann_target *t, size_t leaf_count, size_t *count)
{
    const struct cf_ann *ann = t->ann;
    const struct cf_ann_leaf *leaves = t->scratch->leaves;
    float unit = 1 / ann->header.norm_unit;
    size_t total = 0, to = 0;

    for (size_t i = 0; i < leaf_count; i++)
        total += blocks_in(ann, leaves[i].leaf);
    CF_ANN_RESERVE(t->scratch, visits, total);
    for (size_t i = 0; i < leaf_count; i++) {
        uint32_t first = ann->block_first[leaves[i].leaf], blocks = blocks_in(ann, leaves[i].leaf);
        for (uint32_t b = 0; b < blocks; b++)
            t->scratch->visits[to++] = (struct cf_ann_visit){first + b, leaves[i].key * unit};
    }
    *count = to;
    return CF_OK;
}

/* ---- items ---- */

/* Entries become items; each stays once, where it came first. */
static enum cf_err name_items(const struct cf_ann_target *t, struct cf_ann_pool *pool)
{
    size_t slots = 64, kept = 0;

    while (slots < 2 * pool->count)
        slots *= 2;
    CF_ANN_RESERVE(t->scratch, seen, slots);
    uint32_t *seen = t->scratch->seen;
    memset(seen, 0, slots * sizeof *seen);
    for (size_t i = 0; i < pool->count; i++) { /* apart, so that the misses overlap */
        pool->entries[i] = cf_ann_item_of(t->ann, pool->entries[i]);
        prefetch(t->ann->shorts + pool->entries[i] * cf_ann_short_stride(&t->ann->header), LINE);
    }
    for (size_t i = 0; i < pool->count; i++) {
        uint32_t item = pool->entries[i];
        size_t at = item * 0x9E3779B1u & (slots - 1);
        while (seen[at] && seen[at] != item + 1)
            at = (at + 1) & (slots - 1);
        if (seen[at])
            continue;
        seen[at] = item + 1;
        pool->entries[kept++] = item;
    }
    pool->count = kept;
    return CF_OK;
}

static const uint8_t *short_of(const struct cf_ann_target *t, uint32_t item)
{
    return t->ann->shorts + item * cf_ann_short_stride(&t->ann->header);
}

void cf_ann_measure_shorts(const struct cf_ann_target *t, const uint32_t *items, size_t count, float *keys)
{
    size_t stride = cf_ann_short_stride(&t->ann->header), bytes = t->ann->header.proj / 2;
    int32_t dots[4], shift = 15 * t->short_sum;

    for (size_t i = 0; i < count && i < SHORTS_AHEAD; i++)
        prefetch(short_of(t, items[i]), stride + LINE - 1);
    for (size_t i = 0; i < count; i += 4) {
        const uint8_t *codes[4];
        struct cf_ann_short_head heads[4];
        for (size_t l = 0; l < 4; l++) {
            const uint8_t *at = short_of(t, items[i + l < count ? i + l : count - 1]);
            if (i + l + SHORTS_AHEAD < count)
                prefetch(short_of(t, items[i + l + SHORTS_AHEAD]), stride + LINE - 1);
            memcpy(&heads[l], at, sizeof heads[l]);
            codes[l] = at + sizeof heads[l];
        }
        t->kernels->dots_nibbles(t->even, t->odd, codes, bytes, dots);
        for (size_t l = 0; l < 4 && i + l < count; l++) {
            float worth = t->short_unit * heads[l].scale, part = 2 * worth * (float)(2 * dots[l] - shift);
            float key = heads[l].norm - part;
            keys[i + l] = key == key ? key : INFINITY;
        }
    }
}

void cf_ann_measure_rows(const struct cf_ann_target *t, const uint32_t *items, size_t count, double *squares)
{
    size_t stride = cf_ann_row_stride(&t->ann->header), width = t->ann->header.row_codes;

    for (size_t i = 0; i < count; i += 4) {
        const int8_t *codes[4];
        struct cf_ann_row_head heads[4];
        int32_t dots[4];
        for (size_t l = 0; l < 4; l++) {
            const uint8_t *at = t->ann->rows + items[i + l < count ? i + l : count - 1] * stride;
            memcpy(&heads[l], at, sizeof heads[l]);
            codes[l] = (const int8_t *)at + sizeof heads[l];
        }
        t->kernels->dots_rows(t->wide, codes, width, dots);
        for (size_t l = 0; l < 4 && i + l < count; l++) {
            double product = t->row_unit * (double)heads[l].scale * dots[l];
            product += (double)heads[l].offset * t->row_sum;
            double square = (t->norm + (double)heads[l].norm) - 2 * product;
            squares[i + l] = square >= 0 ? square : square < 0 ? 0 : INFINITY;
        }
    }
}

double cf_ann_square_error(const struct cf_ann_target *t, const struct cf_ann_row_head *head)
{
    return 2 * t->row_error * (double)head->scale + 0x1p-20 * (t->norm + (double)head->norm);
}

static double square_decoded(const struct cf_ann_target *t, const struct cf_ann_row_head *head,
                             const int8_t *codes)
{
    const struct cf_ann_header *h = &t->ann->header;
    double square = 0;

    for (uint32_t j = 0; j < h->dim; j++) {
        float part = head->scale * cf_ann_row_level(h, codes, j);
        double apart = (double)t->centred[j] - (double)(t->ann->steps[j] * (head->offset + part));
        square += apart * apart;
    }
    return square;
}

double cf_ann_square_refined(const struct cf_ann_target *t, uint32_t item, double square)
{
    const uint8_t *row = t->ann->rows + item * cf_ann_row_stride(&t->ann->header);
    struct cf_ann_row_head head;

    memcpy(&head, row, sizeof head);
    if (square >= cf_ann_square_error(t, &head))
        return square;
    double refined = square_decoded(t, &head, (const int8_t *)row + sizeof head);
    return refined >= 0 ? refined : square; /* a damaged file has numbers that are none */
}

/* ---- the scan ---- */

/* Of what was appended since, only what the sieve lets through. */
static void sift(const struct cf_ann_target *t, struct cf_ann_sieve *sieve, size_t from,
                 struct cf_ann_pool *pool)
{
    size_t kept = from;

    if (!sieve->keep)
        return;
    for (size_t i = from; i < pool->count; i++)
        if (cf_ann_sieve_keeps(sieve, cf_ann_item_of(t->ann, pool->entries[i]))) {
            pool->keys[kept] = pool->keys[i];
            pool->entries[kept++] = pool->entries[i];
        }
    pool->count = kept;
}

enum cf_err cf_ann_codes_scan(const struct cf_ann_target *t, size_t leaf_count, size_t wanted,
                              struct cf_ann_sieve *sieve, struct cf_ann_pool *pool)
{
    struct cf_ann_scratch *s = t->scratch;
    size_t count, from = 0, room = POOL_TIMES * wanted + CF_ANN_LANE_COUNT;
    enum cf_err err = make_visits(t, leaf_count, &count);

    if (err)
        return err;
    CF_ANN_RESERVE(s, pool_keys, room + CF_ANN_LANE_COUNT);
    CF_ANN_RESERVE(s, pool_entries, room + CF_ANN_LANE_COUNT);
    *pool = (struct cf_ann_pool){s->pool_keys, s->pool_entries, 0, room, INFINITY};
    for (size_t done = 0; done < count; from = pool->count) {
        done += t->kernels->scan_blocks(t->ann->blocks, s->visits + done, count - done, &t->probe, pool);
        sift(t, sieve, from, pool);
        if (done < count && pool->count >= pool->room)
            cf_ann_pool_shrink(t->kernels, pool, wanted);
    }
    cf_ann_pool_shrink(t->kernels, pool, wanted);
    return CF_OK;
}

static enum cf_err rank_rows(const struct cf_ann_target *t, const struct cf_ann_pool *pool,
                             struct cf_ann_heap *heap)
{
    size_t stride = cf_ann_row_stride(&t->ann->header);

    for (size_t i = 0; i < pool->count; i++)
        prefetch(t->ann->rows + pool->entries[i] * stride, stride);
    CF_ANN_RESERVE(t->scratch, squares, pool->count);
    cf_ann_measure_rows(t, pool->entries, pool->count, t->scratch->squares);
    for (size_t i = 0; i < pool->count; i++) {
        struct cf_ann_candidate candidate = {t->scratch->squares[i], pool->entries[i]};
        if (cf_ann_heap_wants(heap, candidate))
            cf_ann_heap_push(heap, candidate);
    }
    return CF_OK;
}

enum cf_err cf_ann_scan(struct cf_ann_target *t, struct cf_ann_widths widths, struct cf_ann_sieve *sieve,
                        struct cf_ann_heap *heap)
{
    struct cf_ann_pool pool;
    size_t leaf_count;
    enum cf_err err = cf_ann_leaves_choose(t, widths.leaves, &leaf_count);

    sieve->kept = sieve->rejected = 0;
    heap->count = 0;
    if (!err)
        err = cf_ann_codes_scan(t, leaf_count, widths.codes, sieve, &pool);
    if (!err)
        err = name_items(t, &pool);
    if (err)
        return err;
    cf_ann_measure_shorts(t, pool.entries, pool.count, pool.keys);
    cf_ann_pool_shrink(t->kernels, &pool, widths.shorts);
    return rank_rows(t, &pool, heap);
}
