#include "common/ann/heap.h"

static bool better(const struct cf_ann_heap *heap, struct cf_ann_candidate a, struct cf_ann_candidate b)
{
    if (a.key != b.key)
        return a.key < b.key;
    return a.row != b.row && cf_ann_id_compare(heap->ann, a.row, b.row) < 0;
}

bool cf_ann_heap_wants(const struct cf_ann_heap *heap, struct cf_ann_candidate candidate)
{
    return heap->count < heap->k || better(heap, candidate, heap->entries[0]);
}

static void sift_down(struct cf_ann_heap *heap, size_t at, size_t count)
{
    struct cf_ann_candidate *e = heap->entries, moving = e[at];

    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && better(heap, e[child], e[child + 1]))
            child++;
        if (!better(heap, moving, e[child]))
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
        if (!better(heap, e[parent], moving))
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
