/* The index file as it lies on disk and in memory: one header, then sections at offsets that follow from the
 * header's counts alone. A change of anything here is a new CF_ANN_VERSION; readers refuse other versions,
 * and a rebuild is the way from one to the next (an index is made from what is at rest elsewhere, so nothing
 * is lost). */
#ifndef CF_ANN_IMAGE_H
#define CF_ANN_IMAGE_H

#include "common/ann/ann.h"

#define CF_ANN_MAGIC "cfann\r\n\x1a"
enum { CF_ANN_VERSION = 1, CF_ANN_ENDIAN_MARK = 0x01020304, CF_ANN_ALIGN = 64 };
/* Rows are numbered in 32 bits, and slots of the id table hold row + 1. */
#define CF_ANN_COUNT_MAX            ((uint64_t)UINT32_MAX - 1)
#define CF_ANN_ATTACHMENT_BYTES_MAX ((uint64_t)1 << 40)

enum cf_ann_section {
    CF_ANN_ROWS,        /* float [count][dim], leaf after leaf, times 2^-scale_exponent */
    CF_ANN_LEAF_FIRST,  /* uint32_t [leaf_count + 1]: leaf i holds rows first[i] … first[i+1]-1 */
    CF_ANN_CENTROIDS,   /* float [leaf_count][dim] */
    CF_ANN_RADII,       /* float [leaf_count]: no row of the leaf is farther from its centroid */
    CF_ANN_CALIBRATION, /* struct cf_ann_calibration */
    CF_ANN_TAGS,        /* uint8_t [count][tag_bytes] */
    CF_ANN_ID_OFFSETS,  /* uint64_t [count + 1] into CF_ANN_ID_BYTES */
    CF_ANN_ID_BYTES,
    CF_ANN_ID_SLOTS, /* uint32_t [a power of two]: row + 1 or 0, by XXH3 of the id, linear probing */
    CF_ANN_ATTACHMENT,
    CF_ANN_SECTION_COUNT
};

/* How many leaves, nearest centroid first, for a recall at a k. Measured on the index's own vectors
 * (calibrate.h). */
enum { CF_ANN_GRID_K = 4, CF_ANN_GRID_RECALL = 14, CF_ANN_CLASS_COUNT = 2 };
struct cf_ann_calibration {
    /* A query whose nearest centroid is within reach[c] (a distance) belongs to class c, the first that fits;
     * beyond all, every leaf is looked at. */
    float reach[CF_ANN_CLASS_COUNT];
    uint32_t leaves[CF_ANN_CLASS_COUNT][CF_ANN_GRID_K][CF_ANN_GRID_RECALL];
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
    struct cf_ann_extent sections[CF_ANN_SECTION_COUNT];
    uint64_t xxh3; /* of everything before it */
};

struct cf_ann {
    char *name;    /* for sentences */
    uint8_t *base; /* the map; writable only while building */
    struct cf_ann_header header;
    const float *rows, *centroids, *radii;
    const uint32_t *leaf_first, *slots;
    const uint64_t *id_offsets;
    const uint8_t *tags, *id_bytes;
    const struct cf_ann_calibration *calibration;
};

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
