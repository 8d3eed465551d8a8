#include "common/ann/image.h"

#include "common/ann/calibrate.h"
#include "common/base/hash.h"

static uint64_t padded_leaves(uint64_t count)
{
    return cf_ann_blocks_of(count) * CF_ANN_LANE_COUNT;
}

static uint64_t section_bytes(const struct cf_ann_header *h, enum cf_ann_section section)
{
    switch (section) {
    case CF_ANN_ROWS:
        return h->count * cf_ann_row_stride(h);
    case CF_ANN_SHORTS:
        return h->proj ? h->count * cf_ann_short_stride(h) : 0;
    case CF_ANN_STEPS:
    case CF_ANN_MEAN:
        return h->row_dims * sizeof(float);
    case CF_ANN_MATRIX:
        return (uint64_t)h->proj * h->row_dims;
    case CF_ANN_MATRIX_STEPS:
    case CF_ANN_SHORT_STEPS:
        return h->proj * sizeof(float);
    case CF_ANN_CALIBRATION:
        return sizeof(struct cf_ann_calibration);
    case CF_ANN_TAGS:
        return h->count * h->tag_bytes;
    case CF_ANN_ID_OFFSETS:
        return h->has_ids ? (h->count + 1) * sizeof(uint64_t) : 0;
    case CF_ANN_ID_BYTES:
        return h->id_bytes;
    case CF_ANN_ID_SLOTS:
        return h->slot_count * sizeof(uint32_t);
    case CF_ANN_ATTACHMENT:
        return h->attachment_bytes;
    case CF_ANN_BLOCKS:
        return h->block_count * sizeof(struct cf_ann_block);
    case CF_ANN_ENTRIES:
        return h->block_count * CF_ANN_LANE_COUNT * sizeof(uint32_t);
    case CF_ANN_BLOCK_FIRST:
        return (h->leaf_count + 1) * sizeof(uint32_t);
    case CF_ANN_CENTROID_NORMS:
        return padded_leaves(h->leaf_count) * sizeof(float);
    case CF_ANN_CENTROID_BLOCKS:
        return padded_leaves(h->leaf_count) * h->leaf_dims;
    case CF_ANN_GROUP_FIRST:
        return (h->group_count + 1) * sizeof(uint32_t);
    case CF_ANN_GROUP_NORMS:
        return padded_leaves(h->group_count) * sizeof(float);
    case CF_ANN_GROUP_BLOCKS:
        return padded_leaves(h->group_count) * h->leaf_dims;
    case CF_ANN_SECTION_COUNT:
        break;
    }
    return 0;
}

void cf_ann_layout(struct cf_ann_header *header)
{
    uint64_t at = sizeof *header;

    for (unsigned i = 0; i < CF_ANN_SECTION_COUNT; i++) {
        at = (at + CF_ANN_ALIGN - 1) / CF_ANN_ALIGN * CF_ANN_ALIGN;
        header->sections[i].offset = at;
        header->sections[i].bytes = section_bytes(header, (enum cf_ann_section)i);
        at += header->sections[i].bytes;
    }
    header->file_bytes = at;
}

static const void *start(const struct cf_ann *ann, enum cf_ann_section section)
{
    return cf_ann_section(ann, section).data;
}

void cf_ann_image_bind(struct cf_ann *ann)
{
    ann->rows = start(ann, CF_ANN_ROWS);
    ann->shorts = start(ann, CF_ANN_SHORTS);
    ann->steps = start(ann, CF_ANN_STEPS);
    ann->mean = start(ann, CF_ANN_MEAN);
    ann->matrix = start(ann, CF_ANN_MATRIX);
    ann->matrix_steps = start(ann, CF_ANN_MATRIX_STEPS);
    ann->short_steps = start(ann, CF_ANN_SHORT_STEPS);
    ann->calibration = start(ann, CF_ANN_CALIBRATION);
    ann->tags = start(ann, CF_ANN_TAGS);
    ann->id_offsets = start(ann, CF_ANN_ID_OFFSETS);
    ann->id_bytes = start(ann, CF_ANN_ID_BYTES);
    ann->slots = start(ann, CF_ANN_ID_SLOTS);
    ann->blocks = start(ann, CF_ANN_BLOCKS);
    ann->entries = start(ann, CF_ANN_ENTRIES);
    ann->block_first = start(ann, CF_ANN_BLOCK_FIRST);
    ann->centroid_norms = start(ann, CF_ANN_CENTROID_NORMS);
    ann->centroid_blocks = start(ann, CF_ANN_CENTROID_BLOCKS);
    ann->group_first = start(ann, CF_ANN_GROUP_FIRST);
    ann->group_norms = start(ann, CF_ANN_GROUP_NORMS);
    ann->group_blocks = start(ann, CF_ANN_GROUP_BLOCKS);
}

uint64_t cf_ann_header_checksum(const struct cf_ann_header *header)
{
    return cf_xxh3((struct cf_bytes){(const uint8_t *)header, offsetof(struct cf_ann_header, xxh3)});
}
