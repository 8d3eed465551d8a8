/* Ids: stored by position, found by a table of hashes. Everything read from the file is bounded before it is
 * used. */
#include "common/ann/image.h"
#include "common/base/hash.h"

struct cf_bytes cf_ann_id(const struct cf_ann *ann, uint64_t item)
{
    uint64_t begin, end;

    if (item >= ann->header.count || !ann->header.has_ids)
        return (struct cf_bytes){NULL, 0};
    begin = ann->id_offsets[item];
    end = ann->id_offsets[item + 1];
    if (begin > end || end > ann->header.id_bytes || end - begin > CF_ANN_ID_BYTES_MAX)
        return (struct cf_bytes){NULL, 0}; /* damaged: the items of a verified file all have an id */
    return (struct cf_bytes){ann->id_bytes + begin, end - begin};
}

int cf_ann_id_compare(const struct cf_ann *ann, uint64_t a, uint64_t b)
{
    struct cf_bytes x = cf_ann_id(ann, a), y = cf_ann_id(ann, b);
    size_t common = x.len < y.len ? x.len : y.len;
    int order = common ? memcmp(x.data, y.data, common) : 0;

    return order ? order : (x.len > y.len) - (x.len < y.len);
}

struct cf_bytes cf_ann_tag(const struct cf_ann *ann, uint64_t item)
{
    uint32_t bytes = ann->header.tag_bytes;

    if (item >= ann->header.count || bytes == 0)
        return (struct cf_bytes){NULL, 0};
    return (struct cf_bytes){ann->tags + item * bytes, bytes};
}

uint64_t cf_ann_slot_count(uint64_t count)
{
    uint64_t slots = 8;

    while (slots < 2 * count)
        slots *= 2;
    return slots;
}

bool cf_ann_slots_add(const struct cf_ann *ann, uint32_t *slots, uint32_t row)
{
    struct cf_bytes id = cf_ann_id(ann, row);
    uint64_t mask = ann->header.slot_count - 1, at = cf_xxh3(id) & mask;

    for (; slots[at]; at = (at + 1) & mask)
        if (cf_bytes_equal(cf_ann_id(ann, slots[at] - 1), id))
            return false;
    slots[at] = row + 1;
    return true;
}

int64_t cf_ann_find(const struct cf_ann *ann, struct cf_bytes id)
{
    uint64_t slots = ann->header.slot_count, at;

    if (id.len == 0 || id.len > CF_ANN_ID_BYTES_MAX || !slots)
        return CF_ANN_NONE;
    at = cf_xxh3(id) & (slots - 1);
    for (uint64_t tried = 0; tried < slots && ann->slots[at]; tried++, at = (at + 1) & (slots - 1))
        if (cf_bytes_equal(cf_ann_id(ann, ann->slots[at] - 1), id))
            return (int64_t)ann->slots[at] - 1;
    return CF_ANN_NONE;
}
