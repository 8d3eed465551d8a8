#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/ann/image.h"
#include "common/base/hash.h"

static enum cf_err damaged(const char *path, const char *what, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_CORRUPT, "%s: %s; remove it, the next build replaces it", path, what);
}

static bool counts_fit(const struct cf_ann_header *h)
{
    return h->dim >= 1 && h->dim <= CF_ANN_DIM_MAX && h->tag_bytes <= CF_ANN_TAG_BYTES_MAX &&
           h->count <= CF_ANN_COUNT_MAX && h->leaf_count <= h->count &&
           (h->count == 0 || h->leaf_count > 0) && h->id_bytes <= h->count * CF_ANN_ID_BYTES_MAX &&
           h->slot_count == cf_ann_slot_count(h->count) &&
           h->attachment_bytes <= CF_ANN_ATTACHMENT_BYTES_MAX && h->section_count == CF_ANN_SECTION_COUNT &&
           h->scale_exponent >= -160 && h->scale_exponent <= 160 && h->proj == cf_ann_proj_of(h->dim) &&
           h->leaf_dims == cf_ann_leaf_dims_of(h->proj) && h->block_count <= h->count &&
           h->header_bytes == sizeof *h;
}

/* Offsets follow from the counts, so a table that says anything else is damaged. */
static bool table_fits(const struct cf_ann_header *h, uint64_t file_bytes)
{
    struct cf_ann_header expected = *h; /* the layout leaves the checksums alone */

    cf_ann_layout(&expected);
    return memcmp(expected.sections, h->sections, sizeof h->sections) == 0 &&
           expected.file_bytes == h->file_bytes && h->file_bytes == file_bytes;
}

static enum cf_err check_header(const struct cf_ann_header *h, uint64_t file_bytes, const char *path,
                                struct cf_detail *detail)
{
    if (memcmp(h->magic, CF_ANN_MAGIC, sizeof h->magic) != 0)
        return damaged(path, "not an index of ours", detail);
    if (h->endian_mark != CF_ANN_ENDIAN_MARK)
        return damaged(path, "written on a machine of another byte order", detail);
    if (h->version != CF_ANN_VERSION)
        return cf_fail(detail, CF_E_BAD_VERSION, "%s: index version %u, this program reads %d; build it anew",
                       path, h->version, CF_ANN_VERSION);
    if (cf_ann_header_checksum(h) != h->xxh3)
        return damaged(path, "the header does not match its checksum", detail);
    if (!counts_fit(h))
        return damaged(path, "counts in the header are out of range", detail);
    if (!table_fits(h, file_bytes))
        return damaged(path, "cut short, or its table of sections is wrong", detail);
    return CF_OK;
}

/* The one part of the body that searching trusts without looking: who owns which rows. */
static bool leaves_fit(const struct cf_ann *ann)
{
    uint64_t count = ann->header.leaf_count;

    for (uint64_t i = 0; i < count; i++) {
        if (ann->leaf_first[i] > ann->leaf_first[i + 1])
            return false;
        uint64_t blocks = cf_ann_blocks_of(ann->leaf_first[i + 1] - ann->leaf_first[i]);
        if (ann->block_first[i] + blocks != ann->block_first[i + 1])
            return false;
    }
    return ann->leaf_first[0] == 0 && ann->leaf_first[count] == ann->header.count &&
           ann->block_first[0] == 0 && ann->block_first[count] == ann->header.block_count;
}

static enum cf_err read_header(int fd, const char *path, struct cf_ann_header *header,
                               struct cf_detail *detail)
{
    struct stat status;
    ssize_t got;

    if (fstat(fd, &status) != 0)
        return cf_fail_errno(detail, path);
    if (!S_ISREG(status.st_mode))
        return damaged(path, "not a regular file", detail);
    do
        got = pread(fd, header, sizeof *header, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cf_fail_errno(detail, path);
    if ((size_t)got < sizeof *header)
        return damaged(path, "too short to be an index", detail);
    return check_header(header, (uint64_t)status.st_size, path, detail);
}

static enum cf_err map_body(struct cf_ann *ann, int fd, struct cf_detail *detail)
{
    void *base = mmap(NULL, ann->header.file_bytes, PROT_READ, MAP_SHARED, fd, 0);

    if (base == MAP_FAILED)
        return cf_fail_errno(detail, ann->name);
    ann->base = base;
    cf_ann_image_bind(ann);
    return leaves_fit(ann) ? CF_OK : damaged(ann->name, "its leaves do not add up", detail);
}

enum cf_err cf_ann_open(const char *path, struct cf_ann **out, struct cf_detail *detail)
{
    struct cf_ann *ann = calloc(1, sizeof *ann);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum cf_err err;

    if (fd < 0) {
        err = cf_fail_errno(detail, path);
        goto out;
    }
    if (!ann || !(ann->name = strdup(path))) {
        err = cf_fail(detail, CF_E_NO_MEMORY, "%s: out of memory", path);
        goto out;
    }
    err = read_header(fd, path, &ann->header, detail);
    if (!err)
        err = map_body(ann, fd, detail);
    if (!err) {
        *out = ann;
        ann = NULL;
    }
out:
    if (fd >= 0)
        close(fd);
    cf_ann_free(ann);
    return err;
}

void cf_ann_free(struct cf_ann *ann)
{
    if (!ann)
        return;
    if (ann->base)
        munmap(ann->base, ann->header.file_bytes);
    free(ann->name);
    free(ann);
}

/* What lies between sections is zero, or somebody wrote there. */
static bool gap_is_zero(const struct cf_ann *ann, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        if (ann->base[i])
            return false;
    return true;
}

static enum cf_err verify_sections(const struct cf_ann *ann, struct cf_detail *detail)
{
    uint64_t at = sizeof ann->header;

    if (memcmp(ann->base, &ann->header, sizeof ann->header) != 0)
        return damaged(ann->name, "the header changed after it was opened", detail);
    for (unsigned i = 0; i < CF_ANN_SECTION_COUNT; i++) {
        const struct cf_ann_extent *extent = &ann->header.sections[i];
        if (!gap_is_zero(ann, at, extent->offset))
            return damaged(ann->name, "there is something between its sections", detail);
        if (cf_xxh3(cf_ann_section(ann, (enum cf_ann_section)i)) != extent->xxh3)
            return damaged(ann->name, "a section does not match its checksum", detail);
        at = extent->offset + extent->bytes;
    }
    return CF_OK;
}

static bool floats_finite(const float *values, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

enum cf_err cf_ann_verify(const struct cf_ann *ann, struct cf_detail *detail)
{
    const struct cf_ann_header *h = &ann->header;
    enum cf_err err = verify_sections(ann, detail);

    if (err)
        return err;
    if (!floats_finite(ann->rows, h->count * h->dim) ||
        !floats_finite(ann->centroids, h->leaf_count * h->leaf_dims))
        return damaged(ann->name, "a vector holds a value that is not a finite number", detail);
    if (ann->id_offsets[0] != 0 || ann->id_offsets[h->count] != h->id_bytes)
        return damaged(ann->name, "its ids do not add up", detail);
    for (uint64_t i = 0; i < h->count; i++) {
        struct cf_bytes id = cf_ann_id(ann, i);
        if (id.len == 0 || cf_ann_find(ann, id) != (int64_t)i)
            return damaged(ann->name, "an id is missing from its table", detail);
    }
    return CF_OK;
}

struct cf_ann_info cf_ann_info(const struct cf_ann *ann)
{
    const struct cf_ann_header *h = &ann->header;

    return (struct cf_ann_info){.dim = h->dim,
                                .tag_bytes = h->tag_bytes,
                                .count = h->count,
                                .leaf_count = h->leaf_count,
                                .file_bytes = h->file_bytes,
                                .seed = h->seed};
}

struct cf_bytes cf_ann_attachment(const struct cf_ann *ann)
{
    return cf_ann_section(ann, CF_ANN_ATTACHMENT);
}

float cf_ann_vector(const struct cf_ann *ann, uint64_t item, float *out)
{
    uint32_t dim = ann->header.dim;

    CF_CHECK(item < ann->header.count);
    for (uint32_t i = 0; i < dim; i++)
        out[i] = ldexpf(ann->rows[item * dim + i], ann->header.scale_exponent);
    return 0; /* kept whole */
}
