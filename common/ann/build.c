/* The file of a build: made under another name, filled by the stages, sealed and renamed. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "common/ann/build.h"
#include "common/ann/calibrate.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"

static enum cf_err check_params(const struct cf_ann_params *params, struct cf_detail *detail)
{
    if (params->dim < 1 || params->dim > CF_ANN_DIM_MAX)
        return cf_fail(detail, CF_E_INVALID, "a vector of %u values: 1 to %d are possible", params->dim,
                       CF_ANN_DIM_MAX);
    if (params->tag_bytes > CF_ANN_TAG_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "tags of %u bytes: at most %d", params->tag_bytes,
                       CF_ANN_TAG_BYTES_MAX);
    if (params->metric != CF_ANN_L2 && params->metric != CF_ANN_COSINE)
        return cf_fail(detail, CF_E_INVALID, "no such metric: %d", (int)params->metric);
    if (params->threads < 1)
        return cf_fail(detail, CF_E_INVALID, "a build needs at least one thread");
    if (params->attachment.len > CF_ANN_ATTACHMENT_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "an attachment of %zu bytes is too large",
                       params->attachment.len);
    return CF_OK;
}

/* Everything that follows from the survey; as many blocks as there can be. */
static void plan_header(struct cf_ann_building *b)
{
    struct cf_ann_header *h = &b->image.header;
    const struct cf_ann_survey *s = &b->survey;

    memcpy(h->magic, CF_ANN_MAGIC, sizeof h->magic);
    h->version = CF_ANN_VERSION;
    h->endian_mark = CF_ANN_ENDIAN_MARK;
    h->header_bytes = sizeof *h;
    h->section_count = CF_ANN_SECTION_COUNT;
    h->dim = b->params->dim;
    h->tag_bytes = b->params->tag_bytes;
    h->metric = b->params->metric;
    h->seed = b->params->seed;
    h->attachment_bytes = b->params->attachment.len;
    h->count = s->count;
    h->has_ids = s->has_ids;
    h->id_bytes = s->id_bytes;
    h->slot_count = s->has_ids ? cf_ann_slot_count(s->count) : 0;
    h->scale_exponent = s->scale_exponent;
    h->row_dims = cf_ann_row_dims_of(h->dim);
    h->row_codes = cf_ann_row_codes_of(h->dim);
    h->leaf_count = s->held_count ? s->count / CF_ANN_LEAF_MEAN : 0;
    h->proj = h->leaf_count ? cf_ann_proj_of(h->dim) : 0;
    h->leaf_dims = cf_ann_leaf_dims_of(h->proj);
    h->group_count = h->leaf_count > b->ungrouped_max ? cf_ann_group_count_of(h->leaf_count) : 0;
    h->block_count = h->leaf_count ? cf_ann_blocks_of(2 * s->count) + h->leaf_count : 0;
    h->centroid_step = h->group_step = h->norm_unit = h->scale_unit = 1;
    cf_ann_layout(h);
}

/* Blocks first: a full disk is then an error here, and not a signal at some write to the map. */
static enum cf_err map_file(int fd, size_t bytes, const char *path, uint8_t **base, struct cf_detail *detail)
{
    do
        errno = posix_fallocate(fd, 0, (off_t)bytes);
    while (errno == EINTR);
    if (errno)
        return cf_fail_errno(detail, path);
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return cf_fail_errno(detail, path);
    *base = map;
    return CF_OK;
}

static enum cf_err create_image(struct cf_ann_building *b, struct cf_detail *detail)
{
    enum cf_err err;

    b->fd = open(b->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (b->fd < 0)
        return cf_fail_errno(detail, b->path);
    err = map_file(b->fd, b->image.header.file_bytes, b->path, &b->image.base, detail);
    if (!err) {
        b->mapped_bytes = b->image.header.file_bytes;
        cf_ann_image_bind(&b->image);
    }
    return err;
}

/* Points, leaves of items and items of leaves, in a file that has no name any more. */
static enum cf_err create_scratch(struct cf_ann_building *b, struct cf_detail *detail)
{
    const struct cf_ann_header *h = &b->image.header;
    size_t points = (h->count * cf_ann_point_pitch(h->leaf_dims) + 7) / 8 * 8;
    char name[PATH_MAX + 8];
    enum cf_err err;

    if (!h->leaf_count)
        return CF_OK;
    snprintf(name, sizeof name, "%s.points", b->temporary);
    b->scratch.fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (b->scratch.fd < 0)
        return cf_fail_errno(detail, b->path);
    unlink(name);
    b->scratch.bytes = points + h->count * (sizeof *b->leaf_of + 2 * sizeof *b->order);
    err = map_file(b->scratch.fd, b->scratch.bytes, b->path, &b->scratch.base, detail);
    if (err)
        return err;
    b->points = b->scratch.base;
    b->leaf_of = (uint32_t(*)[2])(void *)(b->scratch.base + points);
    b->order = (uint32_t *)(void *)(b->leaf_of + h->count);
    return CF_OK;
}

/* The number of blocks is known now; what lies before them stays where it is. */
static enum cf_err shrink_image(struct cf_ann_building *b, struct cf_detail *detail)
{
    cf_ann_layout(&b->image.header);
    if (ftruncate(b->fd, (off_t)b->image.header.file_bytes) != 0)
        return cf_fail_errno(detail, b->path);
    cf_ann_image_bind(&b->image);
    return CF_OK;
}

static enum cf_err fill_slots(struct cf_ann_building *b, struct cf_detail *detail)
{
    uint32_t *slots = cf_ann_writable(b, CF_ANN_ID_SLOTS);

    for (uint32_t item = 0; b->image.header.has_ids && item < b->image.header.count; item++)
        if (!cf_ann_slots_add(&b->image, slots, item)) {
            struct cf_bytes id = cf_ann_id(&b->image, item);
            return cf_fail(detail, CF_E_INVALID, "the id \"%.*s\" comes twice", (int)id.len,
                           (const char *)id.data);
        }
    return CF_OK;
}

static enum cf_err mark_held(struct cf_ann_building *b)
{
    const struct cf_ann_survey *s = &b->survey;

    b->held = calloc(s->count / 8 + 1, 1);
    if (!b->held)
        return CF_E_NO_MEMORY;
    for (uint32_t i = 0; i < s->held_count; i++) {
        uint32_t item = s->items[s->sample_count + i];
        b->held[item / 8] = (uint8_t)(b->held[item / 8] | 1u << item % 8);
    }
    return CF_OK;
}

static enum cf_err calibrate(struct cf_ann_building *b)
{
    const struct cf_ann_survey *s = &b->survey;
    struct cf_ann_held held = {s->vectors + (size_t)s->sample_count * b->params->dim,
                               s->items + s->sample_count, s->held_count};

    return cf_ann_calibrate(&b->image, &held, &b->crew, cf_ann_writable(b, CF_ANN_CALIBRATION));
}

/* Where the file system keeps no attributes nobody will know. */
static void note_time(const struct cf_ann_building *b, uint64_t began_us)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%llu", (unsigned long long)(cf_clock_mono_us() - began_us) / 1000);

    (void)fsetxattr(b->fd, CF_ANN_BUILD_MS_ATTRIBUTE, text, (size_t)len, 0);
}

static enum cf_err seal(struct cf_ann_building *b, uint64_t began_us, struct cf_detail *detail)
{
    struct cf_ann_header *h = &b->image.header;

    for (unsigned i = 0; i < CF_ANN_SECTION_COUNT; i++)
        h->sections[i].xxh3 = cf_xxh3(cf_ann_section(&b->image, (enum cf_ann_section)i));
    h->xxh3 = cf_ann_header_checksum(h);
    memcpy(b->image.base, h, sizeof *h);
    note_time(b, began_us);
    if (msync(b->image.base, h->file_bytes, MS_SYNC) != 0 || fsync(b->fd) != 0)
        return cf_fail_errno(detail, b->path);
    enum cf_err err = cf_crew_poll(&b->crew);
    return err ? err : cf_file_rename_synced(b->temporary, b->path, detail);
}

static enum cf_err prepare(struct cf_ann_building *b, struct cf_detail *detail)
{
    enum cf_err err = cf_ann_survey(&b->survey, b->params, b->source, &b->crew, detail);

    if (err)
        return err;
    plan_header(b);
    err = mark_held(b);
    if (!err)
        err = create_image(b, detail);
    if (!err)
        err = create_scratch(b, detail);
    return err;
}

static enum cf_err build_all(struct cf_ann_building *b, struct cf_detail *detail)
{
    uint64_t began_us = cf_clock_mono_us();
    enum cf_err err = prepare(b, detail);

    if (!err)
        err = cf_ann_train(b);
    if (!err)
        err = cf_ann_fill(b, detail);
    if (!err)
        err = fill_slots(b, detail);
    if (!err)
        err = cf_ann_grow_leaves(b);
    if (!err)
        err = shrink_image(b, detail);
    if (err)
        return err;
    if (b->params->attachment.len)
        memcpy(cf_ann_writable(b, CF_ANN_ATTACHMENT), b->params->attachment.data, b->params->attachment.len);
    err = cf_ann_fill_leaves(b);
    if (err)
        return err;
    cf_file_write_behind(b->fd, 0, b->image.header.file_bytes);
    err = calibrate(b);
    return err ? err : seal(b, began_us, detail);
}

static void building_fini(struct cf_ann_building *b)
{
    if (b->image.base)
        munmap(b->image.base, b->mapped_bytes);
    if (b->scratch.base)
        munmap(b->scratch.base, b->scratch.bytes);
    if (b->scratch.fd >= 0)
        close(b->scratch.fd);
    if (b->fd >= 0) {
        close(b->fd);
        unlink(b->temporary); /* gone already when it was renamed */
    }
    cf_ann_leaves_fini(&b->leaves);
    cf_ann_groups_fini(&b->groups);
    cf_ann_survey_fini(&b->survey);
    free(b->first);
    free(b->held);
}

enum cf_err cf_ann_build_grouped(const char *path, const struct cf_ann_params *params,
                                 const struct cf_ann_source *source, uint32_t ungrouped_max,
                                 bool (*cancel)(void *arg), void *cancel_arg, struct cf_detail *detail)
{
    struct cf_ann_building b = {.params = params,
                                .source = source,
                                .path = path,
                                .crew = {params->threads, cancel, cancel_arg},
                                .ungrouped_max = ungrouped_max,
                                .scratch.fd = -1,
                                .fd = -1};
    enum cf_err err = check_params(params, detail);

    if (err)
        return err;
    if (snprintf(b.temporary, sizeof b.temporary, "%s.tmp.%ld", path, (long)getpid()) >=
        (int)sizeof b.temporary)
        return cf_fail(detail, CF_E_INVALID, "%.200s…: the path is too long", path);
    err = build_all(&b, detail);
    if (err == CF_E_NO_MEMORY)
        cf_fail(detail, err, "%s: out of memory while building an index of %llu items", path,
                (unsigned long long)b.survey.count);
    if (err == CF_E_SHUTTING_DOWN)
        cf_fail(detail, err, "%s: the build was cancelled", path);
    building_fini(&b);
    return err;
}

enum cf_err cf_ann_build(const char *path, const struct cf_ann_params *params,
                         const struct cf_ann_source *source, bool (*cancel)(void *arg), void *cancel_arg,
                         struct cf_detail *detail)
{
    return cf_ann_build_grouped(path, params, source, CF_ANN_UNGROUPED_MAX, cancel, cancel_arg, detail);
}
