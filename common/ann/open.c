#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/ann/half.h"
#include "common/ann/image.h"
#include "common/base/hash.h"

/* What the file was meant to be, only its owner knows: nobody is told to remove it. */
static enum cf_err foreign(const char *path, const char *what, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_CORRUPT, "%s: %s; an index is what a build writes, from vectors", path, what);
}

static enum cf_err damaged(const char *path, const char *what, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_CORRUPT, "%s: %s; build the index anew", path, what);
}

static bool shapes_fit(const struct cf_ann_header *h)
{
    bool leaves = h->leaf_count > 0;

    return h->dim >= 1 && h->dim <= CF_ANN_DIM_MAX && h->row_dims == cf_ann_row_dims_of(h->dim) &&
           h->row_codes == cf_ann_row_codes_of(h->dim) && h->proj == (leaves ? cf_ann_proj_of(h->dim) : 0) &&
           h->leaf_dims == cf_ann_leaf_dims_of(h->proj) && h->tag_bytes <= CF_ANN_TAG_BYTES_MAX &&
           (h->metric == CF_ANN_L2 || h->metric == CF_ANN_COSINE) && h->scale_exponent >= -160 &&
           h->scale_exponent <= 160;
}

static bool counts_fit(const struct cf_ann_header *h)
{
    return h->count <= CF_ANN_COUNT_MAX && h->leaf_count <= h->count && h->group_count <= h->leaf_count &&
           h->block_count <= cf_ann_blocks_of(2 * h->count) + h->leaf_count && h->has_ids <= 1 &&
           h->id_bytes <= (h->has_ids ? h->count * CF_ANN_ID_BYTES_MAX : 0) &&
           h->slot_count == (h->has_ids ? cf_ann_slot_count(h->count) : 0) &&
           h->attachment_bytes <= CF_ANN_ATTACHMENT_BYTES_MAX && h->section_count == CF_ANN_SECTION_COUNT &&
           h->header_bytes == sizeof *h;
}

static bool above_zero(float value)
{
    return isfinite(value) && value > 0;
}

static bool units_fit(const struct cf_ann_header *h)
{
    return above_zero(h->centroid_step) && above_zero(h->group_step) && above_zero(h->norm_unit) &&
           above_zero(h->scale_unit);
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
        return foreign(path, "not an index of ours", detail);
    if (h->endian_mark != CF_ANN_ENDIAN_MARK)
        return damaged(path, "written on a machine of another byte order", detail);
    if (h->version != CF_ANN_VERSION)
        return cf_fail(detail, CF_E_BAD_VERSION, "%s: index version %u, this program reads %d; build it anew",
                       path, h->version, CF_ANN_VERSION);
    if (cf_ann_header_checksum(h) != h->xxh3)
        return damaged(path, "the header does not match its checksum", detail);
    if (!shapes_fit(h) || !counts_fit(h) || !units_fit(h))
        return damaged(path, "counts or shapes in the header are out of range", detail);
    if (!table_fits(h, file_bytes))
        return damaged(path, "cut short, or its table of sections is wrong", detail);
    return CF_OK;
}

/* The part of the body that searching trusts without looking: which leaf holds which blocks, which group
 * which leaves, and the numbers that are not an item's own. */
static bool rises(const uint32_t *first, uint64_t count, uint64_t end)
{
    for (uint64_t i = 0; i < count; i++)
        if (first[i] > first[i + 1])
            return false;
    return first[0] == 0 && first[count] == end;
}

static bool leaves_fit(const struct cf_ann *ann)
{
    const struct cf_ann_header *h = &ann->header;

    if (!rises(ann->block_first, h->leaf_count, h->block_count))
        return false;
    if (!h->group_count)
        return true;
    for (uint64_t i = 0; i < h->group_count; i++)
        if (ann->group_first[i] % CF_ANN_LANE_COUNT)
            return false;
    return rises(ann->group_first, h->group_count, h->leaf_count);
}

static bool floats_finite(const float *values, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static bool steps_fit(const float *values, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!isfinite(values[i]) || values[i] < 0)
            return false;
    return true;
}

/* Squares, or infinite for what is not there. */
static bool norms_fit(const float *norms, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (!(norms[i] >= 0))
            return false;
    return true;
}

static bool tables_fit(const struct cf_ann *ann)
{
    const struct cf_ann_header *h = &ann->header;

    return floats_finite(ann->mean, h->row_dims) && steps_fit(ann->steps, h->row_dims) &&
           steps_fit(ann->matrix_steps, h->proj) && steps_fit(ann->short_steps, h->proj) &&
           norms_fit(ann->centroid_norms, h->leaf_count) && norms_fit(ann->group_norms, h->group_count);
}

static enum cf_err read_header(int fd, const char *path, struct cf_ann_header *header,
                               struct cf_detail *detail)
{
    struct stat status;
    ssize_t got;

    if (fstat(fd, &status) != 0)
        return cf_fail_errno(detail, path);
    if (!S_ISREG(status.st_mode))
        return foreign(path, "not a regular file", detail);
    do
        got = pread(fd, header, sizeof *header, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return cf_fail_errno(detail, path);
    if ((size_t)got < sizeof *header)
        return foreign(path, "too short to be an index", detail);
    return check_header(header, (uint64_t)status.st_size, path, detail);
}

static uint64_t read_build_ms(int fd)
{
    char text[24] = "";
    ssize_t got = fgetxattr(fd, CF_ANN_BUILD_MS_ATTRIBUTE, text, sizeof text - 1);

    return got > 0 ? strtoull(text, NULL, 10) : 0;
}

static enum cf_err map_body(struct cf_ann *ann, int fd, struct cf_detail *detail)
{
    void *base = mmap(NULL, ann->header.file_bytes, PROT_READ, MAP_SHARED, fd, 0);

    if (base == MAP_FAILED)
        return cf_fail_errno(detail, ann->name);
    ann->base = base;
    ann->build_ms = read_build_ms(fd);
    cf_ann_image_bind(ann);
    if (!leaves_fit(ann))
        return damaged(ann->name, "its leaves do not add up", detail);
    return tables_fit(ann) ? CF_OK : damaged(ann->name, "it holds a number that no build writes", detail);
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

static bool rows_fit(const struct cf_ann *ann)
{
    const struct cf_ann_header *h = &ann->header;
    struct cf_ann_row_head row;
    struct cf_ann_short_head brief;

    for (uint64_t i = 0; i < h->count; i++) {
        memcpy(&row, ann->rows + i * cf_ann_row_stride(h), sizeof row);
        float of_row[] = {row.scale, row.norm, row.slack};
        if (!steps_fit(of_row, 3) || !isfinite(row.offset))
            return false;
        if (!h->proj)
            continue;
        memcpy(&brief, ann->shorts + i * cf_ann_short_stride(h), sizeof brief);
        float of_brief[] = {brief.scale, brief.norm};
        if (!steps_fit(of_brief, 2))
            return false;
    }
    return true;
}

/* Every lane is an item, or none and infinitely far. */
static bool entries_fit(const struct cf_ann *ann)
{
    for (uint64_t i = 0; i < ann->header.block_count * CF_ANN_LANE_COUNT; i++) {
        const struct cf_ann_block *block = &ann->blocks[i / CF_ANN_LANE_COUNT];
        bool none = ann->entries[i] == UINT32_MAX,
             far = block->norm[i % CF_ANN_LANE_COUNT] == CF_ANN_HALF_INFINITY;
        bool finite = (block->norm[i % CF_ANN_LANE_COUNT] & CF_ANN_HALF_INFINITY) != CF_ANN_HALF_INFINITY &&
                      (block->scale[i % CF_ANN_LANE_COUNT] & CF_ANN_HALF_INFINITY) != CF_ANN_HALF_INFINITY;
        if (none ? !far : ann->entries[i] >= ann->header.count || !finite)
            return false;
    }
    return true;
}

static enum cf_err verify_ids(const struct cf_ann *ann, struct cf_detail *detail)
{
    const struct cf_ann_header *h = &ann->header;

    if (!h->has_ids)
        return CF_OK;
    if (ann->id_offsets[0] != 0 || ann->id_offsets[h->count] != h->id_bytes)
        return damaged(ann->name, "its ids do not add up", detail);
    for (uint64_t i = 0; i < h->count; i++) {
        struct cf_bytes id = cf_ann_id(ann, i);
        if (id.len == 0 || cf_ann_find(ann, id) != (int64_t)i)
            return damaged(ann->name, "an id is missing from its table", detail);
    }
    return CF_OK;
}

enum cf_err cf_ann_verify(const struct cf_ann *ann, struct cf_detail *detail)
{
    enum cf_err err = verify_sections(ann, detail);

    if (err)
        return err;
    if (!rows_fit(ann))
        return damaged(ann->name, "it holds a number that no build writes", detail);
    if (!entries_fit(ann))
        return damaged(ann->name, "its entries are not those of its items", detail);
    return verify_ids(ann, detail);
}

struct cf_ann_info cf_ann_info(const struct cf_ann *ann)
{
    const struct cf_ann_header *h = &ann->header;

    return (struct cf_ann_info){.dim = h->dim,
                                .tag_bytes = h->tag_bytes,
                                .metric = h->metric == CF_ANN_COSINE ? CF_ANN_COSINE : CF_ANN_L2,
                                .has_ids = h->has_ids,
                                .count = h->count,
                                .leaf_count = h->leaf_count,
                                .file_bytes = h->file_bytes,
                                .seed = h->seed,
                                .build_ms = ann->build_ms};
}

struct cf_bytes cf_ann_attachment(const struct cf_ann *ann)
{
    return cf_ann_section(ann, CF_ANN_ATTACHMENT);
}

float cf_ann_vector(const struct cf_ann *ann, uint64_t item, float *out)
{
    const struct cf_ann_header *h = &ann->header;
    const uint8_t *row = ann->rows + item * cf_ann_row_stride(h);
    struct cf_ann_row_head head;

    CF_CHECK(item < h->count);
    memcpy(&head, row, sizeof head);
    for (uint32_t j = 0; j < h->dim; j++) {
        float part = head.scale * cf_ann_row_level(h, (const int8_t *)row + sizeof head, j);
        float value = ann->steps[j] * (head.offset + part);
        out[j] = ldexpf(ann->mean[j] + value, h->scale_exponent);
    }
    /* Numbers so small that they have no digits to spare lose half of the last one, each value and the slack
     * itself. */
    return ldexpf(head.slack, h->scale_exponent) + FLT_TRUE_MIN * (1 + sqrtf((float)h->dim));
}
