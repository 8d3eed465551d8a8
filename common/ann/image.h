/* The index file as it lies on disk and in memory: one header, then sections at offsets that follow from the
 * header's counts alone. A change of anything here is a new CF_ANN_VERSION; readers refuse other versions,
 * and a rebuild is the way from one to the next (an index is made from what is at rest elsewhere, so nothing
 * is lost). */
#ifndef CF_ANN_IMAGE_H
#define CF_ANN_IMAGE_H

#include "common/ann/ann.h"
#include "common/ann/kernels.h"

/* calibrate.h */
struct cf_ann_calibration;

#define CF_ANN_MAGIC "cfann\r\n\x1a"
enum { CF_ANN_VERSION = 4, CF_ANN_ENDIAN_MARK = 0x01020304, CF_ANN_ALIGN = 64 };
/* Items are numbered in 32 bits, and so are entries (two an item). */
#define CF_ANN_COUNT_MAX            ((uint64_t)1 << 30)
#define CF_ANN_ATTACHMENT_BYTES_MAX ((uint64_t)1 << 40)

/* Item: a vector, by its number in the source. Entry: an item in one of its two leaves. Leaves of one group
 * lie together. What is known before the leaves are comes first, so that a build can write it while it reads.
 */
enum cf_ann_section {
    CF_ANN_ROWS,   /* [count] of struct cf_ann_row_head and int8_t [row_codes]: vectors in eight bits, or
                      sixteen */
    CF_ANN_SHORTS, /* [count] of struct cf_ann_short_head and proj / 2 bytes: projections in four bits */
    CF_ANN_STEPS,  /* float [row_dims]: what a unit of a row's dimension is worth, before the row's own scale
                    */
    CF_ANN_MEAN,   /* float [row_dims], zero beyond dim */
    CF_ANN_MATRIX, /* proj / 16 blocks of bytes (kernels.h) of row_dims: orthonormal rows (project.h) */
    CF_ANN_MATRIX_STEPS, /* float [proj]: what a unit of a row of the matrix is worth */
    CF_ANN_SHORT_STEPS,  /* float [proj]: what a level of a short's dimension is worth, times its own scale */
    CF_ANN_CALIBRATION,  /* struct cf_ann_calibration */
    CF_ANN_TAGS,         /* uint8_t [count][tag_bytes] */
    CF_ANN_ID_OFFSETS,   /* uint64_t [count + 1] into CF_ANN_ID_BYTES; nothing without ids */
    CF_ANN_ID_BYTES,
    CF_ANN_ID_SLOTS, /* uint32_t [a power of two]: item + 1 or 0, by XXH3 of the id, linear probing; or
                        nothing */
    CF_ANN_ATTACHMENT,
    CF_ANN_BLOCKS,      /* struct cf_ann_block [block_count]: entries, sixteen at a time, leaf after leaf */
    CF_ANN_ENTRIES,     /* uint32_t [block_count * 16]: the item of each; UINT32_MAX for none */
    CF_ANN_BLOCK_FIRST, /* uint32_t [leaf_count + 1]: leaf i holds blocks first[i] … first[i+1]-1 */
    CF_ANN_CENTROID_NORMS,  /* float [leaf_count rounded up to 16]: squares; the rest infinite */
    CF_ANN_CENTROID_BLOCKS, /* blocks of bytes, sixteen centroids of leaf_dims at a time (kernels.h) */
    CF_ANN_GROUP_FIRST,     /* uint32_t [group_count + 1] into the leaves; first[i] a multiple of 16 */
    CF_ANN_GROUP_NORMS,     /* as CENTROID_NORMS, of groups */
    CF_ANN_GROUP_BLOCKS,    /* as CENTROID_BLOCKS, of groups */
    CF_ANN_SECTION_COUNT
};

/* Bytes of blocks (the matrix, centroids, groups) are 1 to 127 and stand for byte - CF_ANN_BLOCK_ZERO. Of the
 * matrix, row p is thing p: its value j is matrix_steps[p] times that. Of a centroid, value j is
 * centroid_step times that. */
enum { CF_ANN_BLOCK_ZERO = 64 };

/* A row: value j is mean[j] + steps[j] * (offset + scale * level[j]), where a level is code[j], -127 to 127,
 * and in vectors of few dimensions also code[row_dims + j] / CF_ANN_FINE: among a million, eight bits of each
 * would not tell the nearest apart. norm: the square of the decoded vector's distance from the mean; slack:
 * how far the decoded vector may be from the one that was given, rounded up. */
enum { CF_ANN_FINE = 254, CF_ANN_FINE_DIMS_MAX = 128 };
struct cf_ann_row_head {
    float scale, offset, norm, slack;
};
/* A projection in short: value i is scale * short_steps[i] * (2 n[i] - 15), low nibble first; norm: the
 * square of the whole vector's distance from the mean, so that what the projection loses is not lost to the
 * length. */
struct cf_ann_short_head {
    float scale, norm;
};

/* What an entry's half-precision numbers mean: with c its leaf's centroid (as its bytes say), h = 2n - 15 its
 * levels, and q a projected query, the squared distance is estimated by |q|² + (|c|² - 2 q·c) + norm_unit *
 * norm - scale_unit * scale * (q·h) where |q| is the length of the whole query from the mean, and q·h takes
 * the first CF_ANN_CODE_DIMS dimensions. */

struct cf_ann_extent {
    uint64_t offset, bytes, xxh3;
};

struct cf_ann_header {
    char magic[8];
    uint32_t version, endian_mark;
    uint64_t file_bytes;
    uint32_t dim, tag_bytes;
    uint64_t count, leaf_count, group_count,
        block_count; /* group_count 0: leaves are ranked without groups */
    uint64_t id_bytes, slot_count, attachment_bytes, seed;
    uint32_t metric, has_ids;
    int32_t scale_exponent; /* vectors are held times 2^-scale_exponent */
    uint32_t section_count;
    uint32_t proj, leaf_dims, row_dims; /* kept by the projection; of centroids; dim rounded up to 64 */
    uint32_t row_codes;                 /* row_dims, or twice as many */
    float centroid_step, group_step;    /* what a unit of the centroid blocks is worth */
    float norm_unit, scale_unit;        /* of entries' norms and scales in half precision; powers of two */
    uint32_t header_bytes, zero;        /* of this struct; nothing */
    struct cf_ann_extent sections[CF_ANN_SECTION_COUNT];
    uint64_t xxh3; /* of everything before it */
};

/* An extended attribute of the file, in decimal: what the build took. Not in the file, so that equal builds
 * make equal files; nothing depends on it, and file systems and copies may lose it. */
#define CF_ANN_BUILD_MS_ATTRIBUTE "user.cf_ann.build_ms"

struct cf_ann {
    char *name;        /* for sentences */
    uint8_t *base;     /* the map; writable only while building */
    uint64_t build_ms; /* 0: unknown */
    struct cf_ann_header header;
    const uint8_t *rows, *shorts;
    const float *steps, *mean, *matrix_steps, *short_steps, *centroid_norms, *group_norms;
    const uint32_t *entries, *block_first, *group_first, *slots;
    const struct cf_ann_block *blocks;
    const uint8_t *matrix, *centroid_blocks, *group_blocks;
    const uint64_t *id_offsets;
    const uint8_t *tags, *id_bytes;
    const struct cf_ann_calibration *calibration;
};

static inline uint64_t cf_ann_blocks_of(uint64_t count)
{
    return (count + CF_ANN_LANE_COUNT - 1) / CF_ANN_LANE_COUNT;
}
static inline size_t cf_ann_row_stride(const struct cf_ann_header *header)
{
    return sizeof(struct cf_ann_row_head) + header->row_codes;
}
static inline size_t cf_ann_short_stride(const struct cf_ann_header *header)
{
    return sizeof(struct cf_ann_short_head) + header->proj / 2;
}
static inline uint32_t cf_ann_row_dims_of(uint32_t dim)
{
    return (dim + 63) / 64 * 64;
}
static inline uint32_t cf_ann_row_codes_of(uint32_t dim)
{
    return (dim <= CF_ANN_FINE_DIMS_MAX ? 2 : 1) * cf_ann_row_dims_of(dim);
}
static inline float cf_ann_row_level(const struct cf_ann_header *header, const int8_t *codes, uint32_t j)
{
    float level = (float)codes[j];

    return header->row_codes > header->row_dims ? level + (float)codes[header->row_dims + j] / CF_ANN_FINE
                                                : level;
}
/* Dimensions of the projection for vectors of `dim`: all, or as many as pictures need; and of them, those of
 * leaves. */
static inline uint32_t cf_ann_proj_of(uint32_t dim)
{
    return dim >= 256 ? 256 : cf_ann_row_dims_of(dim);
}
static inline uint32_t cf_ann_leaf_dims_of(uint32_t proj)
{
    return proj < 128 ? proj : 128;
}

/* Fills offsets, lengths and file_bytes from the counts. */
void cf_ann_layout(struct cf_ann_header *header);
/* Points the members at the sections of `base`. */
void cf_ann_image_bind(struct cf_ann *ann);
uint64_t cf_ann_header_checksum(const struct cf_ann_header *header);
static inline struct cf_bytes cf_ann_section(const struct cf_ann *ann, enum cf_ann_section section)
{
    return (struct cf_bytes){ann->base + ann->header.sections[section].offset,
                             ann->header.sections[section].bytes};
}

/* As memcmp, a shorter id before the longer that it begins. */
int cf_ann_id_compare(const struct cf_ann *ann, uint64_t a, uint64_t b);

/* The table of ids. Slots for `count` items; at most half are taken. */
uint64_t cf_ann_slot_count(uint64_t count);
/* Enters row `row`; false when its id is there already. Only on a table with room. */
bool cf_ann_slots_add(const struct cf_ann *ann, uint32_t *slots, uint32_t row);

#endif
