/* The k best candidates: smallest key first, ties by smallest number. */
#ifndef CF_ANN_HEAP_H
#define CF_ANN_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cf_ann_candidate {
    double key; /* any increasing function of the distance; never NaN */
    uint32_t item;
};

struct cf_ann_heap {
    struct cf_ann_candidate *entries; /* room for k; the worst is first */
    size_t k, count;
};

static inline bool cf_ann_candidate_before(struct cf_ann_candidate a, struct cf_ann_candidate b)
{
    return a.key < b.key || (a.key == b.key && a.item < b.item);
}

static inline bool cf_ann_heap_full(const struct cf_ann_heap *heap)
{
    return heap->count == heap->k;
}

/* Would this candidate enter? */
static inline bool cf_ann_heap_wants(const struct cf_ann_heap *heap, struct cf_ann_candidate candidate)
{
    return heap->count < heap->k || cf_ann_candidate_before(candidate, heap->entries[0]);
}
/* Only what is wanted. */
void cf_ann_heap_push(struct cf_ann_heap *heap, struct cf_ann_candidate candidate);
/* Best first; the heap is empty afterwards, `entries` holds the answer. Returns how many. */
size_t cf_ann_heap_sort(struct cf_ann_heap *heap);

#endif
