#include "workers/query/nearest.h"

#include <stdlib.h>

static int compare(const struct cf_near *a, const struct cf_near *b)
{
    if (a->distance < b->distance)
        return -1;
    if (a->distance > b->distance)
        return 1;
    size_t common = a->id.len < b->id.len ? a->id.len : b->id.len;
    int order = common ? memcmp(a->id.data, b->id.data, common) : 0;
    return order ? order : (a->id.len > b->id.len) - (a->id.len < b->id.len);
}

static int compare_for_sort(const void *a, const void *b)
{
    return compare(a, b);
}

static void sift_up(struct cf_near *items, size_t at)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (compare(&items[at], &items[parent]) <= 0)
            return;
        struct cf_near swap = items[at];
        items[at] = items[parent];
        items[parent] = swap;
        at = parent;
    }
}

static void sift_down(struct cf_near *items, size_t count)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && compare(&items[child + 1], &items[child]) > 0)
            child++;
        if (compare(&items[at], &items[child]) >= 0)
            return;
        struct cf_near swap = items[at];
        items[at] = items[child];
        items[child] = swap;
        at = child;
    }
}

void cf_nearest_offer(struct cf_nearest *nearest, struct cf_near item)
{
    if (nearest->count < nearest->k) {
        nearest->items[nearest->count] = item;
        sift_up(nearest->items, nearest->count++);
    } else if (compare(&item, &nearest->items[0]) < 0) {
        nearest->items[0] = item;
        sift_down(nearest->items, nearest->count);
    }
}

void cf_nearest_sort(struct cf_nearest *nearest)
{
    if (nearest->count)
        qsort(nearest->items, nearest->count, sizeof *nearest->items, compare_for_sort);
}
