/* The index file as it lies on disk and in memory: one header, then sections at offsets that follow from the
 * header's counts alone. A change of anything here is a new CF_ANN_VERSION; readers refuse other versions,
 * and a rebuild is the way from one to the next (an index is made from what is at rest elsewhere, so nothing
 * is lost). */
#ifndef CF_ANN_IMAGE_H
#define CF_ANN_IMAGE_H

#include "common/ann/ann.h"
#include "common/ann/kernels.h"

#define CF_ANN_MAGIC "cfann\r\n\x1a"
enum { CF_ANN_VERSION = 2, CF_ANN_ENDIAN_MARK = 0x01020304, CF_ANN_ALIGN = 64 };
/* Rows are numbered in 32 bits, and slots of the id table hold row + 1. */
#define CF_ANN_COUNT_MAX            ((uint64_t)UINT32_MAX - 1)
#define CF_ANN_ATTACHMENT_BYTES_MAX ((uint64_t)1 << 40)

enum cf_ann_section {
    CF_ANN_ROWS,   /* float [count][dim], leaf after leaf, times 2^-scale_exponent */
    CF_ANN_FINE,   /* [count] of struct cf_ann_fine and proj bytes: rows in short */
    CF_ANN_BLOCKS, /* struct cf_ann_block [block_count]: rows in shorter, sixteen at a time, leaf after leaf
                    */
    CF_ANN_LEAF_FIRST,      /* uint32_t [leaf_count + 1]: leaf i holds rows first[i] … first[i+1]-1 */
    CF_ANN_BLOCK_FIRST,     /* uint32_t [leaf_count + 1]: and these blocks */
    CF_ANN_CENTROIDS,       /* float [leaf_count][leaf_dims], in the projection */
    CF_ANN_CENTROID_NORMS,  /* float [leaf_count rounded up to 16]: squares; the rest infinite */
    CF_ANN_CENTROID_BLOCKS, /* bytes, sixteen centroids at a time (kernels.h) */
    CF_ANN_MEAN,            /* float [dim] */
    CF_ANN_MATRIX,      /* int16_t [proj][dim rounded up to 32]: orthonormal rows times 32767 (project.h) */
    CF_ANN_CALIBRATION, /* struct cf_ann_calibration */
    CF_ANN_TAGS,        /* uint8_t [count][tag_bytes] */
    CF_ANN_ID_OFFSETS,  /* uint64_t [count + 1] into CF_ANN_ID_BYTES */
    CF_ANN_ID_BYTES,
    CF_ANN_ID_SLOTS, /* uint32_t [a power of two]: row + 1 or 0, by XXH3 of the id, linear probing */
    CF_ANN_ATTACHMENT,
    CF_ANN_SECTION_COUNT
};

/* How many leaves, nearest centroid first, and how much effort for a recall at a k. Measured on the index's
 * own vectors (calibrate.h). No leaves: only an exact scan does it. */
enum { CF_ANN_GRID_K = 4, CF_ANN_GRID_RECALL = 14, CF_ANN_CLASS_COUNT = 2, CF_ANN_EFFORT_COUNT = 3 };
struct cf_ann_plan {
    uint32_t leaves, effort;
};
struct cf_ann_calibration {
    /* A query whose nearest centroid is within reach[c] (a squared distance) belongs to class c, the first
     * that fits; beyond all, the scan is exact. */
    float reach[CF_ANN_CLASS_COUNT];
    struct cf_ann_plan plans[CF_ANN_CLASS_COUNT][CF_ANN_GRID_K][CF_ANN_GRID_RECALL];
};

/* A row in one byte a dimension of the projection: value i is worth bytes[i] * step; norm the square of the
 * whole row's distance from the mean, so that what the projection loses is not lost to the length. */
struct cf_ann_fine {
    float step, norm;
};

struct cf_ann_extent {
    uint64_t offset, bytes, xxh3;
};

struct cf_ann_header {
    char magic[8];
    uint32_t version, endian_mark;
    uint64_t file_bytes;
    uint32_t dim, tag_bytes;
    uint64_t count, leaf_count, id_bytes, slot_count, attachment_bytes, seed;
    int32_t scale_exponent;
    uint32_t section_count;
    uint32_t proj, leaf_dims; /* dimensions kept by the projection, and those of centroids */
    uint64_t block_count;
    float centroid_step;   /* what a unit of CF_ANN_CENTROID_BLOCKS is worth */
    uint32_t header_bytes; /* of this struct */
    struct cf_ann_extent sections[CF_ANN_SECTION_COUNT];
    uint64_t xxh3; /* of everything before it */
};

struct cf_ann {
    char *name;    /* for sentences */
    uint8_t *base; /* the map; writable only while building */
    struct cf_ann_header header;
    const float *rows, *centroids, *centroid_norms, *mean;
    const uint32_t *leaf_first, *block_first, *slots;
    const struct cf_ann_block *blocks;
    const uint8_t *fine, *centroid_blocks;
    const int16_t *matrix;
    const uint64_t *id_offsets;
    const uint8_t *tags, *id_bytes;
    const struct cf_ann_calibration *calibration;
};

static inline uint64_t cf_ann_blocks_of(uint64_t count)
{
    return (count + CF_ANN_LANE_COUNT - 1) / CF_ANN_LANE_COUNT;
}
static inline uint32_t cf_ann_matrix_width(const struct cf_ann_header *header)
{
    return (header->dim + 31) / 32 * 32;
}
static inline size_t cf_ann_fine_bytes(const struct cf_ann_header *header)
{
    return sizeof(struct cf_ann_fine) + header->proj;
}
/* Dimensions of the projection for vectors of `dim`: all, or as many as pictures need. */
static inline uint32_t cf_ann_proj_of(uint32_t dim)
{
    return dim >= 256 ? 256 : (dim + 63) / 64 * 64;
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
