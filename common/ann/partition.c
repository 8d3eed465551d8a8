#include "common/ann/partition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/image.h"
#include "common/ann/project.h"
#include "common/base/rng.h"

/* Points are taken CHUNK at a time by a thread, GROUP of them against STRIP leaves at once, so that both stay
 * in the nearest caches. A training takes ROUNDS over at most PER_LEAF points a leaf; where it went group by
 * group, GROUPED_ROUNDS more across their borders. */
enum { CHUNK = 256, GROUP = 16, STRIP = 256, ROUNDS = 8, GROUPED_ROUNDS = 2, PER_LEAF = 32 };
#define SOAR_LAMBDA 1.5f

struct clustering {
    const struct cf_ann_train_kernels *kernels;
    const struct cf_ann_points *points;
    struct cf_ann_leaves *leaves;
    uint32_t *members, member_count; /* the points that shape the leaves */
    uint32_t *homes;                 /* with groups, that of each member; members come by group then */
    uint32_t *leaf_of;               /* of members */
    uint32_t *order, *first;         /* members by leaf; first[count + 1] */
    float *centroids;                /* [count][dim] */
    const struct cf_ann_groups *groups;
    uint32_t (*pairs)[2]; /* of all points, in the end */
    uint64_t seed;
};

static const struct cf_ann_point *point_at(const struct cf_ann_points *points, uint32_t i)
{
    return (const struct cf_ann_point *)(const void *)(points->records + i * cf_ann_point_pitch(points->dim));
}

static const int8_t *bytes_at(const struct cf_ann_points *points, uint32_t i)
{
    return (const int8_t *)(point_at(points, i) + 1);
}

static bool is_held(const struct cf_ann_points *points, uint32_t i)
{
    return points->held[i / 8] >> (i % 8) & 1;
}

/* ---- centroids as blocks ---- */

static uint8_t *block_byte(const struct cf_ann_leaves *leaves, uint32_t dim, uint32_t leaf, uint32_t j)
{
    return leaves->blocks + (size_t)leaf / 16 * 16 * dim + j / 4 * 64 + leaf % 16 * 4 + j % 4;
}

void cf_ann_centroid_unpack(const struct cf_ann_leaves *leaves, uint32_t dim, uint32_t leaf, float *out)
{
    for (uint32_t j = 0; j < dim; j++)
        out[j] = leaves->step * (float)(*block_byte(leaves, dim, leaf, j) - CF_ANN_BLOCK_ZERO);
}

static void pack(struct cf_ann_leaves *leaves, const float *centroids, uint32_t dim)
{
    float largest = 0, centroid[CF_ANN_LEAF_DIMS_MAX] = {0};

    for (size_t i = 0; i < (size_t)leaves->count * dim; i++)
        largest = fmaxf(largest, fabsf(centroids[i]));
    leaves->step = largest > 0 ? largest / 63 : 1;
    memset(leaves->blocks, CF_ANN_BLOCK_ZERO, (size_t)leaves->padded * dim);
    for (uint32_t l = 0; l < leaves->padded; l++)
        leaves->norms[l] = INFINITY;
    for (uint32_t l = 0; l < leaves->count; l++) {
        for (uint32_t j = 0; j < dim; j++)
            *block_byte(leaves, dim, l, j) =
                (uint8_t)((int)rintf(centroids[(size_t)l * dim + j] / leaves->step) + CF_ANN_BLOCK_ZERO);
        cf_ann_centroid_unpack(leaves, dim, l, centroid);
        leaves->norms[l] = cf_ann_train_kernels()->dot(centroid, centroid, dim);
    }
}

/* ---- distances of a group of vectors to all leaves ---- */

struct group {
    int8_t bytes[GROUP][CF_ANN_LEAF_DIMS_MAX];
    float units[GROUP];
    int32_t zero[GROUP]; /* what the zero of the blocks adds to a product */
    uint32_t count;
};

static void group_add(struct group *group, const int8_t *bytes, float unit, uint32_t dim)
{
    int32_t sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += bytes[j];
    memcpy(group->bytes[group->count], bytes, dim);
    group->units[group->count] = unit;
    group->zero[group->count++] = CF_ANN_BLOCK_ZERO * sum;
}

static void products(const struct clustering *c, const struct group *group, uint32_t begin, uint32_t count,
                     int32_t sums[GROUP][STRIP])
{
    uint32_t dim = c->points->dim;
    struct cf_ann_vectors8 vectors = {group->bytes[0], sizeof group->bytes[0], group->count};

    for (uint32_t v = 0; v < group->count; v++)
        for (uint32_t i = 0; i < count; i++)
            sums[v][i] = -group->zero[v];
    c->kernels->dots(vectors, c->leaves->blocks + (size_t)begin * dim, count / 16, dim, sums[0], STRIP);
}

/* The better of what was found so far and the least of a strip of keys; of equals, what came first. */
static void improve(const float *keys, float least, uint32_t begin, float *best, uint32_t *at)
{
    uint32_t found = 0;

    if (!(least < *best))
        return;
    while (keys[found] > least)
        found++;
    *best = least;
    *at = begin + found;
}

/* Leaves that come into question, a strip at a time: all, or those of the groups around one. */
struct strips {
    const struct clustering *c;
    uint32_t group, turn, begin, end, left; /* the strip, and where its run ends */
};

static uint32_t padded_of(uint32_t count)
{
    return (count + 15) / 16 * 16;
}

static struct strips strips_of(const struct clustering *c, uint32_t group)
{
    struct strips strips = {.c = c, .group = group};

    if (!c->groups || !c->groups->near_count)
        strips.left = c->leaves->padded;
    return strips;
}

static bool next_strip(struct strips *s)
{
    const struct cf_ann_groups *groups = s->c->groups;

    s->begin = s->end;
    while (s->begin == s->left) {
        if (!groups || s->turn == groups->near_count)
            return false;
        uint32_t group = groups->near[s->group][s->turn++];
        s->begin = groups->first[group];
        s->left = padded_of(groups->first[group + 1]);
    }
    s->end = s->left - s->begin < STRIP ? s->left : s->begin + STRIP;
    return true;
}

static void nearest(const struct clustering *c, const struct group *group, struct strips strips,
                    uint32_t at[GROUP])
{
    int32_t sums[GROUP][STRIP];
    float keys[STRIP], best[GROUP];

    for (uint32_t v = 0; v < group->count; v++) {
        best[v] = INFINITY;
        at[v] = 0;
    }
    while (next_strip(&strips)) {
        uint32_t begin = strips.begin, count = strips.end - begin;
        products(c, group, begin, count, sums);
        for (uint32_t v = 0; v < group->count; v++) {
            float least = c->kernels->keys(c->leaves->norms + begin, sums[v],
                                           2 * group->units[v] * c->leaves->step, count, keys);
            improve(keys, least, begin, &best[v], &at[v]);
        }
    }
}

/* ---- training ---- */

static uint32_t home_of(const struct clustering *c, uint32_t member)
{
    return c->homes ? c->homes[member] : 0;
}

/* The next members that share a home; never empty. */
static void take_members(const struct clustering *c, uint32_t begin, uint32_t end, struct group *group)
{
    group->count = 0;
    for (uint32_t i = begin; i < end && i < begin + GROUP && home_of(c, i) == home_of(c, begin); i++)
        group_add(group, bytes_at(c->points, c->members[i]), point_at(c->points, c->members[i])->unit,
                  c->points->dim);
}

static void assign_members(void *arg, size_t chunk)
{
    struct clustering *c = arg;
    uint32_t begin = (uint32_t)chunk * CHUNK,
             end = c->member_count - begin < CHUNK ? c->member_count : begin + CHUNK;
    struct group group;

    for (uint32_t at = begin; at < end; at += group.count) {
        take_members(c, at, end, &group);
        nearest(c, &group, strips_of(c, home_of(c, at)), c->leaf_of + at);
    }
}

/* Members by leaf, by number within a leaf: a counting sort. */
static void gather(struct clustering *c)
{
    memset(c->first, 0, ((size_t)c->leaves->count + 2) * sizeof *c->first);
    for (uint32_t i = 0; i < c->member_count; i++)
        c->first[c->leaf_of[i] + 2]++;
    for (uint32_t l = 2; l < c->leaves->count + 2; l++)
        c->first[l] += c->first[l - 1];
    for (uint32_t i = 0; i < c->member_count; i++)
        c->order[c->first[c->leaf_of[i] + 1]++] = c->members[i];
}

static void set_to_point(const struct clustering *c, uint32_t leaf, uint32_t point)
{
    float unit = point_at(c->points, point)->unit;
    const int8_t *bytes = bytes_at(c->points, point);

    for (uint32_t j = 0; j < c->points->dim; j++)
        c->centroids[(size_t)leaf * c->points->dim + j] = unit * (float)bytes[j];
}

static void move_centroid(void *arg, size_t leaf)
{
    struct clustering *c = arg;
    uint32_t dim = c->points->dim, begin = c->first[leaf], end = c->first[leaf + 1];
    float *centroid = c->centroids + leaf * dim;

    if (begin == end)
        return;
    memset(centroid, 0, dim * sizeof *centroid);
    for (uint32_t i = begin; i < end; i++) {
        const int8_t *bytes = bytes_at(c->points, c->order[i]);
        float share = point_at(c->points, c->order[i])->unit / (float)(end - begin);
        for (uint32_t j = 0; j < dim; j++)
            centroid[j] += share * (float)bytes[j];
    }
}

static uint32_t size_of(const struct clustering *c, uint32_t leaf)
{
    return c->first[leaf + 1] - c->first[leaf];
}

/* Leaves that hold next to nothing go where too much is: to a member of the largest leaves, in turn. */
static void move_small(struct clustering *c, struct cf_rng *rng)
{
    uint32_t mean = c->member_count / c->leaves->count, large = 0;

    for (uint32_t l = 0; l < c->leaves->count; l++) {
        if (size_of(c, l) > mean / 8)
            continue;
        uint32_t looked = 0;
        while (looked < c->leaves->count && size_of(c, large) <= 2 * mean) {
            large = (large + 1) % c->leaves->count;
            looked++;
        }
        if (looked == c->leaves->count)
            return;
        set_to_point(c, l, c->order[c->first[large] + cf_rng_below(rng, size_of(c, large))]);
        large = (large + 1) % c->leaves->count;
    }
}

/* Every member to its nearest leaf, then every leaf to the middle of its members. */
static enum cf_err improve_leaves(struct clustering *c, const struct cf_crew *crew)
{
    pack(c->leaves, c->centroids, c->points->dim);
    enum cf_err err = cf_crew_run(crew, ((size_t)c->member_count + CHUNK - 1) / CHUNK, assign_members, c);

    if (err)
        return err;
    gather(c);
    return cf_crew_run(crew, c->leaves->count, move_centroid, c);
}

static enum cf_err lloyd(struct clustering *c, struct cf_rng *rng, const struct cf_crew *crew)
{
    enum cf_err err = CF_OK;

    for (int round = 0; round < ROUNDS && !err; round++) {
        err = improve_leaves(c, crew);
        if (!err && round + 2 < ROUNDS)
            move_small(c, rng);
    }
    pack(c->leaves, c->centroids, c->points->dim);
    return err;
}

/* Evenly spread points that are not held. */
static void choose_members(struct clustering *c, uint32_t wanted)
{
    uint32_t count = c->points->count, last = UINT32_MAX;

    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t at = (uint32_t)((uint64_t)count * i / wanted);
        while (at < count && is_held(c->points, at))
            at++;
        if (at < count && at != last)
            c->members[c->member_count++] = last = at;
    }
}

/* The first centroids are some of the members, evenly spread too. */
static void place_centroids(struct clustering *c, struct cf_rng *rng)
{
    for (uint32_t l = 0; l < c->leaves->count; l++) {
        uint64_t begin = (uint64_t)c->member_count * l / c->leaves->count,
                 end = (uint64_t)c->member_count * (l + 1) / c->leaves->count;
        uint64_t at = end > begin ? begin + cf_rng_below(rng, end - begin) : begin;
        set_to_point(c, l, c->members[at < c->member_count ? at : 0]);
    }
}

static enum cf_err clustering_init(struct clustering *c, uint32_t member_max, uint32_t leaf_count)
{
    c->leaf_of = calloc((size_t)member_max + 1, sizeof *c->leaf_of);
    c->order = calloc((size_t)member_max + 1, sizeof *c->order);
    c->first = calloc((size_t)leaf_count + 2, sizeof *c->first);
    c->centroids = calloc((size_t)leaf_count * c->points->dim, sizeof *c->centroids);
    return c->leaf_of && c->order && c->first && c->centroids ? CF_OK : CF_E_NO_MEMORY;
}

static void clustering_fini(struct clustering *c)
{
    free(c->leaf_of);
    free(c->order);
    free(c->first);
    free(c->centroids);
    free(c->homes);
}

static enum cf_err leaves_init(struct cf_ann_leaves *leaves, uint32_t count, uint32_t dim)
{
    leaves->count = count;
    leaves->padded = padded_of(count);
    leaves->blocks = calloc((size_t)leaves->padded * dim, 1);
    leaves->norms = calloc(leaves->padded, sizeof *leaves->norms);
    return leaves->blocks && leaves->norms ? CF_OK : CF_E_NO_MEMORY;
}

/* k-means of given members from scratch; the leaves are as many as they say. */
static enum cf_err train_flat(struct clustering *c, uint64_t seed, const struct cf_crew *crew)
{
    struct cf_rng rng = cf_rng(seed);
    enum cf_err err = clustering_init(c, c->member_count, c->leaves->count);

    if (!err) {
        place_centroids(c, &rng);
        err = lloyd(c, &rng, crew);
    }
    return err;
}

/* ---- groups ---- */

/* Leaves by sixteens, a share for each group as large as its share of the members, at least one; what is left
 * of the count goes to the last. */
static void share_leaves(const struct clustering *c, uint32_t leaf_count, uint32_t *first)
{
    uint32_t groups = c->leaves->count, spare = leaf_count / 16 - groups;

    for (uint32_t g = 0; g < groups; g++)
        first[g] = 16 * (g + (uint32_t)((uint64_t)spare * c->first[g] / c->member_count));
    first[groups] = leaf_count;
}

static float distance_between(const float *a, const float *b, uint32_t dim)
{
    const struct cf_ann_train_kernels *kernels = cf_ann_train_kernels();

    return kernels->dot(a, a, dim) + kernels->dot(b, b, dim) - 2 * kernels->dot(a, b, dim);
}

/* By insertion: few are kept, and those that are not nearer than the farthest of them cost one comparison. */
static void find_near(void *arg, size_t group)
{
    const struct clustering *c = arg;
    const float *own = c->centroids + group * c->points->dim;
    uint32_t *near = c->groups->near[group], most = c->groups->near_count, count = 1;
    float distances[CF_ANN_GROUPS_NEAR] = {-INFINITY};

    near[0] = (uint32_t)group;
    for (uint32_t g = 0; g < c->leaves->count; g++) {
        float d = distance_between(own, c->centroids + (size_t)g * c->points->dim, c->points->dim);
        if (g == group || (count == most && d >= distances[count - 1]))
            continue;
        uint32_t at = count < most ? count++ : count - 1;
        for (; at > 1 && distances[at - 1] > d; at--) {
            distances[at] = distances[at - 1];
            near[at] = near[at - 1];
        }
        distances[at] = d;
        near[at] = g;
    }
}

static enum cf_err groups_init(struct cf_ann_groups *groups, uint32_t count, uint32_t dim)
{
    groups->near_count = count < CF_ANN_GROUPS_NEAR ? count : CF_ANN_GROUPS_NEAR;
    groups->first = calloc((size_t)count + 1, sizeof *groups->first);
    groups->near = calloc(count, sizeof *groups->near);
    return groups->first && groups->near ? leaves_init(&groups->middles, count, dim) : CF_E_NO_MEMORY;
}

void cf_ann_groups_fini(struct cf_ann_groups *groups)
{
    cf_ann_leaves_fini(&groups->middles);
    free(groups->first);
    free(groups->near);
    *groups = (struct cf_ann_groups){0};
}

/* Where groups lie, whose members are whose, and how many leaves each has. */
static enum cf_err make_groups(struct clustering *c, struct cf_ann_groups *groups, uint32_t leaf_count,
                               const struct cf_crew *crew)
{
    enum cf_err err = train_flat(c, c->seed ^ 0x640095u, crew);

    if (!err)
        err = cf_crew_run(crew, ((size_t)c->member_count + CHUNK - 1) / CHUNK, assign_members, c);
    if (err)
        return err;
    gather(c);
    share_leaves(c, leaf_count, groups->first);
    c->groups = groups;
    err = cf_crew_run(crew, c->leaves->count, find_near, c);
    c->groups = NULL;
    return err;
}

struct subdivision {
    const struct clustering *above; /* leaves are groups */
    const struct cf_ann_groups *groups;
    struct clustering *below;
    enum cf_err *errs; /* one a group */
};

static void train_group(void *arg, size_t group)
{
    const struct subdivision *s = arg;
    uint32_t first = s->groups->first[group], count = s->groups->first[group + 1] - first;
    uint32_t begin = s->above->first[group], dim = s->above->points->dim;
    struct cf_crew alone = {.threads = 1};
    struct cf_ann_leaves leaves = {0};
    struct clustering c = {.kernels = s->above->kernels,
                           .points = s->above->points,
                           .leaves = &leaves,
                           .members = s->above->order + begin,
                           .member_count = s->above->first[group + 1] - begin};

    enum cf_err err = leaves_init(&leaves, count, dim);
    if (!err)
        err = train_flat(&c, s->above->seed ^ (group + 1) * 0x9E3779B97F4A7C15u, &alone);
    if (!err)
        memcpy(s->below->centroids + (size_t)first * dim, c.centroids,
               (size_t)count * dim * sizeof *c.centroids);
    s->errs[group] = err;
    clustering_fini(&c);
    cf_ann_leaves_fini(&leaves);
}

static enum cf_err train_within(const struct clustering *above, const struct cf_ann_groups *groups,
                                struct clustering *below, const struct cf_crew *crew)
{
    uint32_t count = groups->middles.count;
    struct subdivision s = {above, groups, below, calloc(count, sizeof *s.errs)};
    enum cf_err err = CF_E_NO_MEMORY;

    if (s.errs)
        err = cf_crew_run(crew, count, train_group, &s);
    for (uint32_t g = 0; g < count && !err; g++)
        err = s.errs[g];
    free(s.errs);
    return err;
}

/* Leaves of all groups at once: what lies at the border of one may be nearer to a leaf of another. */
static enum cf_err train_across(struct clustering *c, const struct clustering *above,
                                const struct cf_ann_groups *groups, const struct cf_crew *crew)
{
    enum cf_err err = CF_OK;

    c->homes = calloc((size_t)c->member_count + 1, sizeof *c->homes);
    if (!c->homes)
        return CF_E_NO_MEMORY;
    for (uint32_t g = 0; g < groups->middles.count; g++)
        for (uint32_t i = above->first[g]; i < above->first[g + 1]; i++)
            c->homes[i] = g;
    memcpy(c->members, above->order, c->member_count * sizeof *c->members);
    c->groups = groups;
    for (int round = 0; round < GROUPED_ROUNDS && !err; round++)
        err = improve_leaves(c, crew);
    c->groups = NULL;
    pack(c->leaves, c->centroids, c->points->dim);
    return err;
}

static enum cf_err train_grouped(struct clustering *c, struct cf_ann_groups *groups, uint32_t group_count,
                                 const struct cf_crew *crew)
{
    struct clustering above = *c;
    enum cf_err err = groups_init(groups, group_count, c->points->dim);

    above.leaves = &groups->middles;
    if (!err)
        err = make_groups(&above, groups, c->leaves->count, crew);
    if (!err)
        err = clustering_init(c, c->member_count, c->leaves->count);
    if (!err)
        err = train_within(&above, groups, c, crew);
    if (!err)
        err = train_across(c, &above, groups, crew);
    clustering_fini(&above);
    return err;
}

enum cf_err cf_ann_leaves_train(struct cf_ann_leaves *leaves, struct cf_ann_groups *groups,
                                const struct cf_ann_points *points, uint32_t count, uint32_t group_count,
                                uint64_t seed, const struct cf_crew *crew)
{
    struct clustering c = {
        .kernels = cf_ann_train_kernels(), .points = points, .leaves = leaves, .seed = seed ^ 0x1EAF5u};
    uint64_t wanted = (uint64_t)count * PER_LEAF < points->count ? (uint64_t)count * PER_LEAF : points->count;
    enum cf_err err = leaves_init(leaves, count, points->dim);

    c.members = calloc(wanted + 1, sizeof *c.members);
    if (!c.members)
        err = CF_E_NO_MEMORY;
    if (!err) {
        choose_members(&c, (uint32_t)wanted);
        err = group_count ? train_grouped(&c, groups, group_count, crew) : train_flat(&c, c.seed, crew);
    }
    clustering_fini(&c);
    free(c.members);
    return err;
}

void cf_ann_leaves_fini(struct cf_ann_leaves *leaves)
{
    free(leaves->blocks);
    free(leaves->norms);
    *leaves = (struct cf_ann_leaves){0};
}

/* ---- two leaves for everybody ---- */

/* The direction of what is left of each vector, scaled so that its square weighs as it should. */
static void directions(const struct clustering *c, const struct group *group, const uint32_t *first,
                       struct group *shadows, float products_with[GROUP])
{
    uint32_t dim = c->points->dim;
    float residual[CF_ANN_LEAF_DIMS_MAX], x[CF_ANN_LEAF_DIMS_MAX];
    int8_t bytes[CF_ANN_LEAF_DIMS_MAX];

    shadows->count = 0;
    for (uint32_t v = 0; v < group->count; v++) {
        cf_ann_centroid_unpack(c->leaves, dim, first[v], residual);
        for (uint32_t j = 0; j < dim; j++) {
            x[j] = group->units[v] * (float)group->bytes[v][j];
            residual[j] = x[j] - residual[j];
        }
        float square = c->kernels->dot(residual, residual, dim),
              unit = cf_ann_bytes_of(residual, dim, dim, bytes);
        group_add(shadows, bytes, square > 0 ? unit * sqrtf(SOAR_LAMBDA / square) : 0, dim);
        float with = 0;
        for (uint32_t j = 0; j < dim; j++)
            with += x[j] * (float)bytes[j];
        products_with[v] = with / c->leaves->step;
    }
}

static void second(const struct clustering *c, const struct group *group, struct strips strips,
                   const uint32_t *first, uint32_t at[GROUP])
{
    int32_t sums[GROUP][STRIP], shadow_sums[GROUP][STRIP];
    float keys[STRIP], best[GROUP], with[GROUP];
    struct group shadows;

    directions(c, group, first, &shadows, with);
    for (uint32_t v = 0; v < group->count; v++) {
        best[v] = INFINITY;
        at[v] = first[v];
    }
    while (next_strip(&strips)) {
        uint32_t begin = strips.begin, count = strips.end - begin;
        products(c, group, begin, count, sums);
        products(c, &shadows, begin, count, shadow_sums);
        for (uint32_t v = 0; v < group->count; v++) {
            c->kernels->keys(c->leaves->norms + begin, sums[v], 2 * group->units[v] * c->leaves->step, count,
                             keys);
            if (first[v] - begin < count)
                keys[first[v] - begin] = INFINITY;
            float least =
                c->kernels->shadow(keys, shadow_sums[v], shadows.units[v] * c->leaves->step, with[v], count);
            improve(keys, least, begin, &best[v], &at[v]);
        }
    }
}

/* With groups, points are taken in the order of theirs, which stand where their leaves will; without, as they
 * are. */
static uint32_t point_of(const struct clustering *c, uint32_t i)
{
    return c->groups ? c->order[i] : i;
}

static uint32_t group_of(const struct clustering *c, uint32_t i)
{
    return c->groups ? c->pairs[c->order[i]][0] : 0;
}

/* The next points that share a group; never empty. */
static void take_group(const struct clustering *c, uint32_t begin, uint32_t end, struct group *group)
{
    uint32_t of = group_of(c, begin);

    group->count = 0;
    for (uint32_t i = begin; i < end && i < begin + GROUP && group_of(c, i) == of; i++) {
        uint32_t point = point_of(c, i);
        group_add(group, bytes_at(c->points, point), point_at(c->points, point)->unit, c->points->dim);
    }
}

static uint32_t chunk_end(const struct clustering *c, uint32_t begin)
{
    return c->points->count - begin < CHUNK ? c->points->count : begin + CHUNK;
}

static void assign_pairs(void *arg, size_t chunk)
{
    struct clustering *c = arg;
    uint32_t begin = (uint32_t)chunk * CHUNK, end = chunk_end(c, begin), first[GROUP], other[GROUP];
    struct group group;

    for (uint32_t at = begin; at < end; at += group.count) {
        take_group(c, at, end, &group);
        struct strips strips = strips_of(c, group_of(c, at));
        nearest(c, &group, strips, first);
        second(c, &group, strips, first, other);
        for (uint32_t v = 0; v < group.count; v++) {
            uint32_t *pair = c->pairs[point_of(c, at + v)];
            pair[0] = first[v];
            pair[1] = other[v];
        }
    }
}

/* The nearest group of each point, in the place of its first leaf; c->leaves are groups. */
static void assign_groups(void *arg, size_t chunk)
{
    struct clustering *c = arg;
    uint32_t begin = (uint32_t)chunk * CHUNK, end = chunk_end(c, begin), first[GROUP];
    struct group group;

    for (uint32_t at = begin; at < end; at += group.count) {
        take_group(c, at, end, &group);
        nearest(c, &group, strips_of(c, 0), first);
        for (uint32_t v = 0; v < group.count; v++)
            c->pairs[at + v][0] = first[v];
    }
}

/* Points by group, by number within a group: a counting sort. */
static enum cf_err sort_by_group(const struct clustering *c, uint32_t group_count)
{
    uint32_t *first = calloc((size_t)group_count + 1, sizeof *first);

    if (!first)
        return CF_E_NO_MEMORY;
    for (uint32_t i = 0; i < c->points->count; i++)
        first[c->pairs[i][0] + 1]++;
    for (uint32_t g = 1; g <= group_count; g++)
        first[g] += first[g - 1];
    for (uint32_t i = 0; i < c->points->count; i++)
        c->order[first[c->pairs[i][0]]++] = i;
    free(first);
    return CF_OK;
}

enum cf_err cf_ann_leaves_assign(const struct cf_ann_leaves *leaves, const struct cf_ann_groups *groups,
                                 const struct cf_ann_points *points, const struct cf_crew *crew,
                                 uint32_t (*leaf_of)[2], uint32_t *order)
{
    struct cf_ann_leaves all = *leaves, middles = groups->middles;
    struct clustering c = {.kernels = cf_ann_train_kernels(),
                           .points = points,
                           .leaves = &all,
                           .pairs = leaf_of,
                           .order = order};
    size_t chunks = ((size_t)points->count + CHUNK - 1) / CHUNK;
    enum cf_err err = CF_OK;

    if (middles.count) {
        c.leaves = &middles;
        err = cf_crew_run(crew, chunks, assign_groups, &c);
        if (!err)
            err = sort_by_group(&c, middles.count);
        c.leaves = &all;
        c.groups = groups;
    }
    return err ? err : cf_crew_run(crew, chunks, assign_pairs, &c);
}
