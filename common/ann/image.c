#include "common/ann/image.h"

#include "common/base/hash.h"

static uint64_t section_bytes(const struct cf_ann_header *h, enum cf_ann_section section)
{
    switch (section) {
    case CF_ANN_ROWS:
        return h->count * h->dim * sizeof(float);
    case CF_ANN_LEAF_FIRST:
        return (h->leaf_count + 1) * sizeof(uint32_t);
    case CF_ANN_CENTROIDS:
        return h->leaf_count * h->dim * sizeof(float);
    case CF_ANN_RADII:
        return h->leaf_count * sizeof(float);
    case CF_ANN_CALIBRATION:
        return sizeof(struct cf_ann_calibration);
    case CF_ANN_TAGS:
        return h->count * h->tag_bytes;
    case CF_ANN_ID_OFFSETS:
        return (h->count + 1) * sizeof(uint64_t);
    case CF_ANN_ID_BYTES:
        return h->id_bytes;
    case CF_ANN_ID_SLOTS:
        return h->slot_count * sizeof(uint32_t);
    case CF_ANN_ATTACHMENT:
        return h->attachment_bytes;
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

void cf_ann_image_bind(struct cf_ann *ann)
{
    ann->rows = (const float *)(const void *)cf_ann_section(ann, CF_ANN_ROWS).data;
    ann->leaf_first = (const uint32_t *)(const void *)cf_ann_section(ann, CF_ANN_LEAF_FIRST).data;
    ann->centroids = (const float *)(const void *)cf_ann_section(ann, CF_ANN_CENTROIDS).data;
    ann->radii = (const float *)(const void *)cf_ann_section(ann, CF_ANN_RADII).data;
    ann->calibration =
        (const struct cf_ann_calibration *)(const void *)cf_ann_section(ann, CF_ANN_CALIBRATION).data;
    ann->tags = cf_ann_section(ann, CF_ANN_TAGS).data;
    ann->id_offsets = (const uint64_t *)(const void *)cf_ann_section(ann, CF_ANN_ID_OFFSETS).data;
    ann->id_bytes = cf_ann_section(ann, CF_ANN_ID_BYTES).data;
    ann->slots = (const uint32_t *)(const void *)cf_ann_section(ann, CF_ANN_ID_SLOTS).data;
}

uint64_t cf_ann_header_checksum(const struct cf_ann_header *header)
{
    return cf_xxh3((struct cf_bytes){(const uint8_t *)header, offsetof(struct cf_ann_header, xxh3)});
}
