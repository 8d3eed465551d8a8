/* The stages of a build, in the order of their files: survey (the first pass), train, fill (the second pass:
 * all that an item has of its own), leaves, and the file itself. Private to them. */
#ifndef CF_ANN_BUILD_H
#define CF_ANN_BUILD_H

#include <limits.h>
#include <math.h>

#include "common/ann/image.h"
#include "common/ann/partition.h"
#include "common/ann/survey.h"

/* An unlinked file beside the index, for what grows with the source and is not in it. */
struct cf_ann_scratch_file {
    uint8_t *base;
    size_t bytes;
    int fd;
};

struct cf_ann_building {
    const struct cf_ann_params *params;
    const struct cf_ann_source *source;
    const char *path;
    struct cf_crew crew;
    uint32_t ungrouped_max;
    struct cf_ann_survey survey;
    uint8_t *held; /* a bit an item: what must not shape the leaves */
    struct cf_ann_groups groups;
    struct cf_ann_leaves leaves;
    struct cf_ann_scratch_file scratch;
    uint8_t *points;        /* [count] records of partition.h, in scratch */
    uint32_t (*leaf_of)[2]; /* [count], in scratch */
    uint32_t *order;        /* [2 * count] items by leaf, in scratch */
    uint32_t *first;        /* [leaf_count + 2] into order */
    float far_norm;         /* points beyond this shape nothing */
    float largest_norm;     /* of all others */
    struct cf_ann image;    /* the file, mapped for writing */
    size_t mapped_bytes;
    char temporary[PATH_MAX];
    int fd;
};

/* More leaves than this are grouped for searches; and more than that for the build itself. */
enum { CF_ANN_UNGROUPED_MAX = 2048, CF_ANN_UNGROUPED_BUILD_MAX = 1024 };
/* A query measures all groups and the leaves of some: twice the square root is about the best; and sixteen
 * leaves are the least that a group can have. */
static inline uint64_t cf_ann_group_count_of(uint64_t leaf_count)
{
    uint64_t wanted = 2 * (uint64_t)sqrt((double)leaf_count), most = leaf_count / CF_ANN_LANE_COUNT;

    return wanted < most ? wanted : most;
}

/* cf_ann_build with another limit, for tests of groups with few vectors. */
enum cf_err cf_ann_build_grouped(const char *path, const struct cf_ann_params *params,
                                 const struct cf_ann_source *source, uint32_t ungrouped_max,
                                 bool (*cancel)(void *arg), void *cancel_arg,
                                 struct cf_detail *detail) CF_MUST_CHECK;

static inline void *cf_ann_writable(struct cf_ann_building *b, enum cf_ann_section section)
{
    return b->image.base + b->image.header.sections[section].offset;
}
static inline struct cf_ann_points cf_ann_points_of(const struct cf_ann_building *b)
{
    return (struct cf_ann_points){b->points, (uint32_t)b->image.header.count, b->image.header.leaf_dims,
                                  b->held};
}

/* Mean, steps, matrix and the steps of shorts, from the sample, into the image; takes the far ones out of the
 * survey. */
enum cf_err cf_ann_train(struct cf_ann_building *b) CF_MUST_CHECK;
/* Rows, shorts, tags and ids into the image, points into the scratch file. */
enum cf_err cf_ann_fill(struct cf_ann_building *b, struct cf_detail *detail) CF_MUST_CHECK;
/* Leaves trained and everybody assigned: leaf_of, order and the header's block_count. */
enum cf_err cf_ann_grow_leaves(struct cf_ann_building *b) CF_MUST_CHECK;
/* Entries and centroids into the image, which has room for them. */
enum cf_err cf_ann_fill_leaves(struct cf_ann_building *b) CF_MUST_CHECK;

#endif
