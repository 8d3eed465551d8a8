#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ann/calibrate.h"
#include "common/ann/encode.h"
#include "common/ann/partition.h"
#include "common/ann/project.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/rng.h"

/* Vectors whose largest value is within these are kept as they are; others are scaled by a power of two, so
 * that squares neither overflow nor vanish. */
#define VALUE_MIN 0x1p-20f
#define VALUE_MAX 0x1p40f

enum { POLL_EVERY = 1024 };

struct build {
    const struct cf_ann_params *params;
    struct cf_ann_crew crew;
    struct cf_buf vectors, ids, tags, id_ends; /* as they came; id_ends in 64 bits */
    float largest;
    uint32_t count;
    uint8_t *held;       /* by point */
    uint32_t *held_rows; /* by row of the file */
    uint32_t held_count;
    float *mean;      /* [dim] */
    int16_t *matrix;  /* [proj][width] */
    float *projected; /* by point, [count][proj] */
    float *norms;     /* by point */
    struct cf_ann_tree tree;
    struct cf_ann image; /* the file, mapped for writing */
    char temporary[PATH_MAX];
    int fd;
};

static enum cf_err check_params(const struct cf_ann_params *params, struct cf_detail *detail)
{
    if (params->dim < 1 || params->dim > CF_ANN_DIM_MAX)
        return cf_fail(detail, CF_E_INVALID, "a vector of %u values: 1 to %d are possible", params->dim,
                       CF_ANN_DIM_MAX);
    if (params->tag_bytes > CF_ANN_TAG_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "tags of %u bytes: at most %d", params->tag_bytes,
                       CF_ANN_TAG_BYTES_MAX);
    if (params->metric != CF_ANN_L2)
        return cf_fail(detail, CF_E_INVALID, "this index measures Euclidean distances only");
    if (params->threads < 1)
        return cf_fail(detail, CF_E_INVALID, "a build needs at least one thread");
    if (params->attachment.len > CF_ANN_ATTACHMENT_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "an attachment of %zu bytes is too large",
                       params->attachment.len);
    return CF_OK;
}

static enum cf_err add_item(struct build *b, const struct cf_ann_item *item, struct cf_detail *detail)
{
    uint32_t dim = b->params->dim;

    if (item->id.len < 1 || item->id.len > CF_ANN_ID_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "an id of %zu bytes: 1 to %d are allowed", item->id.len,
                       CF_ANN_ID_BYTES_MAX);
    if (item->tag.len != b->params->tag_bytes)
        return cf_fail(detail, CF_E_INVALID, "a tag of %zu bytes, expected %u", item->tag.len,
                       b->params->tag_bytes);
    if (b->count >= CF_ANN_COUNT_MAX)
        return cf_fail(detail, CF_E_INVALID, "more than %llu items", (unsigned long long)CF_ANN_COUNT_MAX);
    for (uint32_t i = 0; i < dim; i++) {
        if (!isfinite(item->vector[i]))
            return cf_fail(detail, CF_E_BAD_VECTOR,
                           "value %u of the vector of \"%.*s\" is not a finite number", i, (int)item->id.len,
                           (const char *)item->id.data);
        b->largest = fmaxf(b->largest, fabsf(item->vector[i]));
    }
    cf_buf_append(&b->vectors, item->vector, dim * sizeof *item->vector);
    cf_buf_append(&b->ids, item->id.data, item->id.len);
    cf_buf_append(&b->tags, item->tag.data, item->tag.len);
    uint64_t end = b->ids.len;
    cf_buf_append(&b->id_ends, &end, sizeof end);
    b->count++;
    return CF_OK;
}

static enum cf_err read_source(struct build *b, const struct cf_ann_source *source, struct cf_detail *detail)
{
    struct cf_ann_item item;
    enum cf_err err = source->rewind(source->arg, detail);

    while (!err && (err = source->next(source->arg, &item, detail)) == CF_OK) {
        if (b->count % POLL_EVERY == 0)
            err = cf_ann_crew_poll(&b->crew);
        if (!err)
            err = add_item(b, &item, detail);
    }
    if (err != CF_E_NOT_FOUND)
        return err;
    if (!cf_buf_ok(&b->vectors) || !cf_buf_ok(&b->ids) || !cf_buf_ok(&b->tags) || !cf_buf_ok(&b->id_ends))
        return CF_E_NO_MEMORY;
    return CF_OK;
}

static void scale_vectors(struct build *b)
{
    float *values = (float *)(void *)b->vectors.data;
    int exponent;

    if (b->largest == 0 || (b->largest >= VALUE_MIN && b->largest <= VALUE_MAX))
        return;
    (void)frexpf(b->largest, &exponent);
    b->image.header.scale_exponent = exponent;
    for (size_t i = 0; i < (size_t)b->count * b->params->dim; i++)
        values[i] = ldexpf(values[i], -exponent);
}

/* A sample without replacement (Knuth, algorithm S). */
static enum cf_err hold_back(struct build *b)
{
    struct cf_rng rng = cf_rng(b->params->seed ^ 0x4E1Du);
    uint32_t wanted = cf_ann_held_count(b->count);

    b->held_count = wanted;
    b->held = calloc((size_t)b->count + 1, sizeof *b->held);
    b->held_rows = calloc((size_t)wanted + 1, sizeof *b->held_rows);
    if (!b->held || !b->held_rows)
        return CF_E_NO_MEMORY;
    for (uint32_t i = 0; wanted; i++)
        if (cf_rng_below(&rng, b->count - i) < wanted) {
            b->held[i] = 1;
            wanted--;
        }
    return CF_OK;
}

static struct cf_ann_points points_of(const struct build *b)
{
    uint32_t dim = b->params->dim;

    return (struct cf_ann_points){(const float *)(const void *)b->vectors.data, b->held, b->count, dim, dim};
}

/* The leading dimensions of the projection, by which leaves are made. */
static struct cf_ann_points projected_points(const struct build *b)
{
    const struct cf_ann_header *h = &b->image.header;

    return (struct cf_ann_points){b->projected, b->held, b->count, h->leaf_dims, h->proj};
}

static void project_chunk(void *arg, size_t chunk)
{
    struct build *b = arg;
    struct cf_ann_points points = points_of(b);
    struct cf_ann_projection projection = {b->mean, b->matrix, points.dim, b->image.header.proj};
    const struct cf_ann_kernels *kernels = cf_ann_kernels();
    size_t end = (chunk + 1) * POLL_EVERY < b->count ? (chunk + 1) * POLL_EVERY : b->count;
    int16_t wide[CF_ANN_DIM_MAX];

    for (size_t i = chunk * POLL_EVERY; i < end; i++)
        b->norms[i] = cf_ann_project(&projection, kernels, points.vectors + i * points.dim, wide,
                                     b->projected + i * projection.proj);
}

static enum cf_err project_all(struct build *b)
{
    struct cf_ann_points points = points_of(b);
    uint32_t proj = cf_ann_proj_of(points.dim), width = (points.dim + 31) / 32 * 32;
    enum cf_err err;

    b->image.header.proj = proj;
    b->image.header.leaf_dims = cf_ann_leaf_dims_of(proj);
    b->mean = calloc(points.dim, sizeof *b->mean);
    b->matrix = calloc((size_t)proj * width, sizeof *b->matrix);
    b->projected = calloc((size_t)b->count * proj + 1, sizeof *b->projected);
    b->norms = calloc((size_t)b->count + 1, sizeof *b->norms);
    if (!b->mean || !b->matrix || !b->projected || !b->norms)
        return CF_E_NO_MEMORY;
    if (!b->held_count)
        return CF_OK; /* so few that they are always scanned whole: all zero does */
    err = cf_ann_project_train(&points, proj, b->params->seed, &b->crew, b->mean, b->matrix);
    if (!err)
        err = cf_ann_crew_run(&b->crew, ((size_t)b->count + POLL_EVERY - 1) / POLL_EVERY, project_chunk, b);
    return err;
}

static enum cf_err create_image(struct build *b, const char *path, struct cf_detail *detail)
{
    struct cf_ann_header *h = &b->image.header;
    void *base;

    memcpy(h->magic, CF_ANN_MAGIC, sizeof h->magic);
    h->version = CF_ANN_VERSION;
    h->endian_mark = CF_ANN_ENDIAN_MARK;
    h->dim = b->params->dim;
    h->tag_bytes = b->params->tag_bytes;
    h->count = b->count;
    h->leaf_count = b->tree.leaf_count;
    h->id_bytes = b->ids.len;
    h->slot_count = cf_ann_slot_count(b->count);
    h->attachment_bytes = b->params->attachment.len;
    h->header_bytes = sizeof *h;
    h->block_count = 0;
    for (uint32_t i = 0; i < b->tree.leaf_count; i++)
        h->block_count += cf_ann_blocks_of(b->tree.first[i + 1] - b->tree.first[i]);
    h->section_count = CF_ANN_SECTION_COUNT;
    cf_ann_layout(h);
    b->fd = open(b->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (b->fd < 0)
        return cf_fail_errno(detail, path);
    /* Blocks first: a full disk is then an error here, and not a signal at some write to the map. */
    do
        errno = posix_fallocate(b->fd, 0, (off_t)h->file_bytes);
    while (errno == EINTR);
    if (errno)
        return cf_fail_errno(detail, path);
    base = mmap(NULL, h->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    if (base == MAP_FAILED)
        return cf_fail_errno(detail, path);
    b->image.base = base;
    cf_ann_image_bind(&b->image);
    return CF_OK;
}

static void *writable(struct build *b, enum cf_ann_section section)
{
    return b->image.base + b->image.header.sections[section].offset;
}

static uint64_t id_end(const struct build *b, uint32_t point)
{
    uint64_t end;

    memcpy(&end, b->id_ends.data + (size_t)point * sizeof end, sizeof end);
    return end;
}

static enum cf_err fill_items(struct build *b, struct cf_detail *detail)
{
    uint32_t dim = b->params->dim, tag_bytes = b->params->tag_bytes;
    float *rows = writable(b, CF_ANN_ROWS);
    uint64_t *offsets = writable(b, CF_ANN_ID_OFFSETS);
    uint8_t *tags = writable(b, CF_ANN_TAGS), *ids = writable(b, CF_ANN_ID_BYTES);
    uint32_t *slots = writable(b, CF_ANN_ID_SLOTS), held = 0;

    for (uint32_t row = 0; row < b->count; row++) {
        uint32_t point = b->tree.order[row];
        uint64_t begin = point ? id_end(b, point - 1) : 0, len = id_end(b, point) - begin;
        memcpy(rows + (size_t)row * dim, b->vectors.data + (size_t)point * dim * sizeof *rows,
               dim * sizeof *rows);
        memcpy(ids + offsets[row], b->ids.data + begin, len);
        offsets[row + 1] = offsets[row] + len;
        if (tag_bytes)
            memcpy(tags + (size_t)row * tag_bytes, b->tags.data + (size_t)point * tag_bytes, tag_bytes);
        if (b->held[point])
            b->held_rows[held++] = row;
        if (!cf_ann_slots_add(&b->image, slots, row))
            return cf_fail(detail, CF_E_INVALID, "the id \"%.*s\" comes twice", (int)len,
                           (const char *)b->ids.data + begin);
    }
    if (b->params->attachment.len)
        memcpy(writable(b, CF_ANN_ATTACHMENT), b->params->attachment.data, b->params->attachment.len);
    return CF_OK;
}

/* Centroid, codes and short rows of one leaf. */
static void fill_leaf(void *arg, size_t leaf)
{
    struct build *b = arg;
    const struct cf_ann_header *h = &b->image.header;
    struct cf_ann_points points = projected_points(b);
    float *centroid = (float *)writable(b, CF_ANN_CENTROIDS) + leaf * h->leaf_dims;
    struct cf_ann_block *block =
        (struct cf_ann_block *)writable(b, CF_ANN_BLOCKS) + b->image.block_first[leaf];
    uint8_t *fine = writable(b, CF_ANN_FINE);
    uint32_t begin = b->tree.first[leaf], count = b->tree.first[leaf + 1] - begin, i;

    cf_ann_tree_centroid(&b->tree, &points, (uint32_t)leaf, centroid);
    for (i = 0; i < count; i++) {
        uint32_t point = b->tree.order[begin + i];
        const float *y = b->projected + (size_t)point * h->proj;
        cf_ann_encode_fine(y, h->proj, b->norms[point], fine + (begin + i) * cf_ann_fine_bytes(h));
        cf_ann_encode_lane(y, centroid, b->norms[point], &block[i / CF_ANN_LANE_COUNT],
                           i % CF_ANN_LANE_COUNT);
    }
    for (; i % CF_ANN_LANE_COUNT; i++)
        cf_ann_encode_empty(&block[i / CF_ANN_LANE_COUNT], i % CF_ANN_LANE_COUNT);
}

static void fill_tables(struct build *b)
{
    const struct cf_ann_header *h = &b->image.header;
    uint32_t *first = writable(b, CF_ANN_LEAF_FIRST), *blocks = writable(b, CF_ANN_BLOCK_FIRST);

    memcpy(first, b->tree.first, ((size_t)h->leaf_count + 1) * sizeof *first);
    for (uint64_t i = 0; i < h->leaf_count; i++)
        blocks[i + 1] = blocks[i] + (uint32_t)cf_ann_blocks_of(first[i + 1] - first[i]);
    memcpy(writable(b, CF_ANN_MEAN), b->mean, h->dim * sizeof *b->mean);
    memcpy(writable(b, CF_ANN_MATRIX), b->matrix, b->image.header.sections[CF_ANN_MATRIX].bytes);
}

static enum cf_err fill_image(struct build *b, struct cf_detail *detail)
{
    struct cf_ann_header *h = &b->image.header;
    enum cf_err err = fill_items(b, detail);

    if (err)
        return err;
    fill_tables(b);
    err = cf_ann_crew_run(&b->crew, b->tree.leaf_count, fill_leaf, b);
    if (err)
        return err;
    h->centroid_step =
        cf_ann_centroids_pack(b->image.centroids, (uint32_t)h->leaf_count, h->leaf_dims,
                              writable(b, CF_ANN_CENTROID_BLOCKS), writable(b, CF_ANN_CENTROID_NORMS));
    cf_buf_fini(&b->vectors); /* the rows of the image are the same, and half of the memory */
    return cf_ann_calibrate(&b->image, b->held_rows, b->held_count, &b->crew,
                            writable(b, CF_ANN_CALIBRATION));
}

static enum cf_err seal(struct build *b, const char *path, struct cf_detail *detail)
{
    struct cf_ann_header *h = &b->image.header;

    for (unsigned i = 0; i < CF_ANN_SECTION_COUNT; i++)
        h->sections[i].xxh3 = cf_xxh3(cf_ann_section(&b->image, (enum cf_ann_section)i));
    h->xxh3 = cf_ann_header_checksum(h);
    memcpy(b->image.base, h, sizeof *h);
    if (msync(b->image.base, h->file_bytes, MS_SYNC) != 0 || fsync(b->fd) != 0)
        return cf_fail_errno(detail, path);
    enum cf_err err = cf_ann_crew_poll(&b->crew);
    return err ? err : cf_file_rename_synced(b->temporary, path, detail);
}

static enum cf_err build_all(struct build *b, const char *path, const struct cf_ann_source *source,
                             struct cf_detail *detail)
{
    enum cf_err err = read_source(b, source, detail);

    if (err)
        return err;
    b->image.header.seed = b->params->seed;
    scale_vectors(b);
    err = hold_back(b);
    if (err)
        return err;
    err = project_all(b);
    if (err)
        return err;
    struct cf_ann_points points = projected_points(b);
    err = cf_ann_partition(&b->tree, &points, b->params->seed, &b->crew);
    if (!err)
        err = create_image(b, path, detail);
    if (!err)
        err = fill_image(b, detail);
    if (!err)
        err = seal(b, path, detail);
    return err;
}

static void build_fini(struct build *b)
{
    if (b->image.base)
        munmap(b->image.base, b->image.header.file_bytes);
    if (b->fd >= 0) {
        close(b->fd);
        unlink(b->temporary); /* gone already when it was renamed */
    }
    cf_ann_tree_fini(&b->tree);
    free(b->mean);
    free(b->matrix);
    free(b->projected);
    free(b->norms);
    free(b->held);
    free(b->held_rows);
    cf_buf_fini(&b->vectors);
    cf_buf_fini(&b->ids);
    cf_buf_fini(&b->tags);
    cf_buf_fini(&b->id_ends);
}

enum cf_err cf_ann_build(const char *path, const struct cf_ann_params *params,
                         const struct cf_ann_source *source, bool (*cancel)(void *arg), void *cancel_arg,
                         struct cf_detail *detail)
{
    struct build b = {.params = params, .crew = {params->threads, cancel, cancel_arg}, .fd = -1};
    enum cf_err err = check_params(params, detail);

    if (err)
        return err;
    if (snprintf(b.temporary, sizeof b.temporary, "%s.tmp.%ld", path, (long)getpid()) >=
        (int)sizeof b.temporary)
        return cf_fail(detail, CF_E_INVALID, "%.200s…: the path is too long", path);
    cf_buf_init(&b.vectors);
    cf_buf_init(&b.ids);
    cf_buf_init(&b.tags);
    cf_buf_init(&b.id_ends);
    err = build_all(&b, path, source, detail);
    if (err == CF_E_NO_MEMORY)
        cf_fail(detail, err, "%s: out of memory while building an index of %u items", path, b.count);
    if (err == CF_E_SHUTTING_DOWN)
        cf_fail(detail, err, "%s: the build was cancelled", path);
    build_fini(&b);
    return err;
}
