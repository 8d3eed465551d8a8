#include "common/ann/heap.h"

static void sift_down(struct cf_ann_heap *heap, size_t at, size_t count)
{
    struct cf_ann_candidate *e = heap->entries, moving = e[at];

    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && cf_ann_candidate_before(e[child], e[child + 1]))
            child++;
        if (!cf_ann_candidate_before(moving, e[child]))
            break;
        e[at] = e[child];
    }
    e[at] = moving;
}

static void sift_up(struct cf_ann_heap *heap, size_t at)
{
    struct cf_ann_candidate *e = heap->entries, moving = e[at];

    for (size_t parent; at > 0; at = parent) {
        parent = (at - 1) / 2;
        if (!cf_ann_candidate_before(e[parent], moving))
            break;
        e[at] = e[parent];
    }
    e[at] = moving;
}

void cf_ann_heap_push(struct cf_ann_heap *heap, struct cf_ann_candidate candidate)
{
    if (heap->count < heap->k) {
        heap->entries[heap->count++] = candidate;
        sift_up(heap, heap->count - 1);
        return;
    }
    heap->entries[0] = candidate;
    sift_down(heap, 0, heap->count);
}

size_t cf_ann_heap_sort(struct cf_ann_heap *heap)
{
    size_t count = heap->count;

    for (size_t left = count; left > 1; left--) {
        struct cf_ann_candidate worst = heap->entries[0];
        heap->entries[0] = heap->entries[left - 1];
        heap->entries[left - 1] = worst;
        sift_down(heap, 0, left - 1);
    }
    heap->count = 0;
    return count;
}
