/* The k best candidates: smallest key first, ties by smallest id. */
#ifndef CF_ANN_HEAP_H
#define CF_ANN_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/ann/image.h"

struct cf_ann_candidate {
    float key; /* any increasing function of the distance; never NaN */
    uint32_t row;
};

struct cf_ann_heap {
    const struct cf_ann *ann;         /* for the ids of ties; borrowed */
    struct cf_ann_candidate *entries; /* room for k; the worst is first */
    size_t k, count;
};

static inline bool cf_ann_heap_full(const struct cf_ann_heap *heap)
{
    return heap->count == heap->k;
}

/* Would this candidate enter? */
bool cf_ann_heap_wants(const struct cf_ann_heap *heap, struct cf_ann_candidate candidate);
/* Only what is wanted. */
void cf_ann_heap_push(struct cf_ann_heap *heap, struct cf_ann_candidate candidate);
/* Best first; the heap is empty afterwards, `entries` holds the answer. Returns how many. */
size_t cf_ann_heap_sort(struct cf_ann_heap *heap);

#endif
