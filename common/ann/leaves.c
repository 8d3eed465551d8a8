/* Leaves and the entries in them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/build.h"
#include "common/ann/encode.h"
#include "common/ann/project.h"

/* Items by leaf, by number within a leaf: a counting sort; `first` has two places more than leaves. */
static void sort_entries(struct cf_ann_building *b, uint32_t *first)
{
    uint64_t count = b->image.header.count, leaf_count = b->image.header.leaf_count;

    for (uint64_t i = 0; i < count; i++)
        for (unsigned turn = 0; turn < 2; turn++)
            if (turn == 0 || b->leaf_of[i][1] != b->leaf_of[i][0])
                first[b->leaf_of[i][turn] + 2]++;
    for (uint64_t l = 2; l < leaf_count + 2; l++)
        first[l] += first[l - 1];
    for (uint64_t i = 0; i < count; i++)
        for (unsigned turn = 0; turn < 2; turn++)
            if (turn == 0 || b->leaf_of[i][1] != b->leaf_of[i][0])
                b->order[first[b->leaf_of[i][turn] + 1]++] = (uint32_t)i;
}

/* A build has groups where searches do without. */
static uint32_t groups_of_build(const struct cf_ann_header *h)
{
    if (h->group_count || h->leaf_count <= CF_ANN_UNGROUPED_BUILD_MAX)
        return (uint32_t)h->group_count;
    return (uint32_t)cf_ann_group_count_of(h->leaf_count);
}

enum cf_err cf_ann_grow_leaves(struct cf_ann_building *b)
{
    struct cf_ann_header *h = &b->image.header;
    struct cf_ann_points points = cf_ann_points_of(b);
    enum cf_err err;

    b->first = calloc(h->leaf_count + 2, sizeof *b->first);
    if (!b->first)
        return CF_E_NO_MEMORY;
    h->block_count = 0;
    if (!h->leaf_count)
        return CF_OK;
    err = cf_ann_leaves_train(&b->leaves, &b->groups, &points, (uint32_t)h->leaf_count, groups_of_build(h),
                              b->params->seed, &b->crew);
    if (!err)
        err = cf_ann_leaves_assign(&b->leaves, &b->groups, &points, &b->crew, b->leaf_of, b->order);
    if (err)
        return err;
    sort_entries(b, b->first);
    for (uint64_t l = 0; l < h->leaf_count; l++)
        h->block_count += cf_ann_blocks_of(b->first[l + 1] - b->first[l]);
    return CF_OK;
}

/* A power of two, so that `largest` is at most half of what a half can hold. */
static float unit_for(float largest)
{
    int exponent;

    if (!(largest > 0))
        return 1;
    (void)frexpf(largest, &exponent);
    return ldexpf(1, exponent - 15);
}

static void fill_leaf(void *arg, size_t leaf)
{
    struct cf_ann_building *b = arg;
    const struct cf_ann_header *h = &b->image.header;
    struct cf_ann_block *block =
        (struct cf_ann_block *)cf_ann_writable(b, CF_ANN_BLOCKS) + b->image.block_first[leaf];
    uint32_t *entries =
        (uint32_t *)cf_ann_writable(b, CF_ANN_ENTRIES) + (size_t)b->image.block_first[leaf] * 16;
    float centroid[CF_ANN_LEAF_DIMS_MAX] = {0}, y[CF_ANN_LEAF_DIMS_MAX];
    uint32_t begin = b->first[leaf], count = b->first[leaf + 1] - begin, i;

    cf_ann_centroid_unpack(&b->leaves, h->leaf_dims, (uint32_t)leaf, centroid);
    for (i = 0; i < count; i++) {
        uint32_t item = b->order[begin + i];
        const uint8_t *record = b->points + item * cf_ann_point_pitch(h->leaf_dims);
        struct cf_ann_point point;
        memcpy(&point, record, sizeof point);
        for (uint32_t j = 0; j < h->leaf_dims; j++)
            y[j] = point.unit * (float)(int8_t)record[sizeof point + j];
        struct cf_ann_code code = cf_ann_encode_entry(y, centroid, h->leaf_dims, point.norm);
        cf_ann_code_store(&code, h->norm_unit, h->scale_unit, &block[i / CF_ANN_LANE_COUNT],
                          i % CF_ANN_LANE_COUNT);
        entries[i] = item;
    }
    for (; i % CF_ANN_LANE_COUNT; i++) {
        cf_ann_code_store_empty(&block[i / CF_ANN_LANE_COUNT], i % CF_ANN_LANE_COUNT);
        entries[i] = UINT32_MAX;
    }
}

static void fill_groups(struct cf_ann_building *b)
{
    struct cf_ann_header *h = &b->image.header;
    const struct cf_ann_leaves *middles = &b->groups.middles;

    if (!h->group_count)
        return;
    h->group_step = middles->step;
    memcpy(cf_ann_writable(b, CF_ANN_GROUP_FIRST), b->groups.first,
           (h->group_count + 1) * sizeof *b->groups.first);
    memcpy(cf_ann_writable(b, CF_ANN_GROUP_NORMS), middles->norms, middles->padded * sizeof *middles->norms);
    memcpy(cf_ann_writable(b, CF_ANN_GROUP_BLOCKS), middles->blocks, (size_t)middles->padded * h->leaf_dims);
}

enum cf_err cf_ann_fill_leaves(struct cf_ann_building *b)
{
    struct cf_ann_header *h = &b->image.header;
    uint32_t *block_first = cf_ann_writable(b, CF_ANN_BLOCK_FIRST);

    if (!h->leaf_count)
        return CF_OK;
    h->norm_unit = unit_for(8 * b->largest_norm);
    h->scale_unit = unit_for(4 * sqrtf(b->largest_norm));
    h->centroid_step = b->leaves.step;
    for (uint64_t l = 0; l < h->leaf_count; l++)
        block_first[l + 1] = block_first[l] + (uint32_t)cf_ann_blocks_of(b->first[l + 1] - b->first[l]);
    memcpy(cf_ann_writable(b, CF_ANN_CENTROID_NORMS), b->leaves.norms,
           b->leaves.padded * sizeof *b->leaves.norms);
    memcpy(cf_ann_writable(b, CF_ANN_CENTROID_BLOCKS), b->leaves.blocks,
           (size_t)b->leaves.padded * h->leaf_dims);
    fill_groups(b);
    return cf_crew_run(&b->crew, h->leaf_count, fill_leaf, b);
}
