#include "broker/core/heap.h"

#include <stdbool.h>
#include <stdlib.h>

void cf_heap_fini(struct cf_heap *heap)
{
    free(heap->nodes);
    *heap = (struct cf_heap){0};
}

enum cf_err cf_heap_reserve(struct cf_heap *heap, size_t count)
{
    if (count <= heap->capacity)
        return CF_OK;
    size_t capacity = heap->capacity ? heap->capacity : 64;
    while (capacity < count)
        capacity *= 2;
    struct cf_heap_node **nodes = realloc(heap->nodes, capacity * sizeof(struct cf_heap_node *));
    if (!nodes)
        return CF_E_NO_MEMORY;
    heap->nodes = nodes;
    heap->capacity = capacity;
    return CF_OK;
}

static bool before(const struct cf_heap_node *a, const struct cf_heap_node *b)
{
    return a->major != b->major ? a->major < b->major : a->minor < b->minor;
}

static void place(struct cf_heap *heap, struct cf_heap_node *node, size_t at)
{
    heap->nodes[at] = node;
    node->at = at + 1;
}

static void rise(struct cf_heap *heap, struct cf_heap_node *node, size_t at)
{
    while (at && before(node, heap->nodes[(at - 1) / 2])) {
        place(heap, heap->nodes[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(heap, node, at);
}

static void sink(struct cf_heap *heap, struct cf_heap_node *node, size_t at)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!before(heap->nodes[child], node))
            break;
        place(heap, heap->nodes[child], at);
        at = child;
    }
    place(heap, node, at);
}

void cf_heap_insert(struct cf_heap *heap, struct cf_heap_node *node, uint64_t major, uint64_t minor)
{
    CF_CHECK(heap->count < heap->capacity && node->at == 0);
    node->major = major;
    node->minor = minor;
    rise(heap, node, heap->count++);
}

void cf_heap_remove(struct cf_heap *heap, struct cf_heap_node *node)
{
    size_t at = node->at - 1;
    CF_CHECK(at < heap->count && heap->nodes[at] == node);
    struct cf_heap_node *last = heap->nodes[--heap->count];
    node->at = 0;
    if (last == node)
        return;
    sink(heap, last, at);
    rise(heap, last, last->at - 1);
}
