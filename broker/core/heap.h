/* A binary min-heap of embedded nodes, ordered by (major, minor). Insertion cannot fail: room is reserved
 * before. */
#ifndef CF_BROKER_CORE_HEAP_H
#define CF_BROKER_CORE_HEAP_H

#include "common/base/err.h"

#include <stdint.h>

struct cf_heap_node {
    uint64_t major, minor;
    size_t at; /* position + 1; 0 when in no heap */
};

struct cf_heap {
    struct cf_heap_node **nodes;
    size_t count, capacity;
};

void cf_heap_fini(struct cf_heap *heap); /* the nodes are the caller's */
/* Room for `count` nodes altogether. */
enum cf_err cf_heap_reserve(struct cf_heap *heap, size_t count) CF_MUST_CHECK;
/* Precondition: reserved, and the node is in no heap. */
void cf_heap_insert(struct cf_heap *heap, struct cf_heap_node *node, uint64_t major, uint64_t minor);
/* Precondition: the node is in this heap. */
void cf_heap_remove(struct cf_heap *heap, struct cf_heap_node *node);
/* The smallest, or NULL. */
static inline struct cf_heap_node *cf_heap_top(const struct cf_heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}

#endif
