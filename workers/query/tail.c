#include "workers/query/tail.h"

#include <stdlib.h>

struct cf_tail *cf_tail_new(uint32_t dim)
{
    struct cf_tail *tail = calloc(1, sizeof *tail);
    if (tail)
        tail->dim = dim;
    return tail;
}

void cf_tail_free(struct cf_tail *tail)
{
    if (!tail)
        return;
    size_t at = 0;
    for (struct cf_keyed *entry; (entry = cf_idmap_next(&tail->map, &at));)
        free(entry);
    cf_idmap_fini(&tail->map);
    for (size_t i = 0; i < tail->block_count; i++)
        free(tail->blocks[i]);
    free(tail->blocks);
    free(tail->owners);
    free(tail);
}

static float *row_at(const struct cf_tail *tail, size_t row)
{
    return tail->blocks[row / CF_TAIL_BLOCK_ROWS] + row % CF_TAIL_BLOCK_ROWS * tail->dim;
}

/* One block more; the lists of blocks and owners grow by doubling. */
static enum cf_err add_block(struct cf_tail *tail)
{
    size_t count = tail->block_count;
    if ((count & (count - 1)) == 0) {
        size_t capacity = count ? count * 2 : 1;
        float **blocks = realloc(tail->blocks, capacity * sizeof *blocks);
        if (!blocks)
            return CF_E_NO_MEMORY;
        tail->blocks = blocks;
        struct cf_tail_entry **owners = realloc(tail->owners, capacity * CF_TAIL_BLOCK_ROWS * sizeof *owners);
        if (!owners)
            return CF_E_NO_MEMORY;
        tail->owners = owners;
    }
    float *block = malloc((size_t)CF_TAIL_BLOCK_ROWS * tail->dim * sizeof *block);
    if (!block)
        return CF_E_NO_MEMORY;
    tail->blocks[tail->block_count++] = block;
    return CF_OK;
}

static void give_row(struct cf_tail *tail, struct cf_tail_entry *entry)
{
    entry->row = tail->row_count++;
    entry->vector = row_at(tail, entry->row);
    tail->owners[entry->row] = entry;
}

/* The last row moves into the gap, so that rows stay without holes. */
static void take_row(struct cf_tail *tail, struct cf_tail_entry *entry)
{
    struct cf_tail_entry *last = tail->owners[--tail->row_count];
    if (last != entry) {
        memcpy(entry->vector, last->vector, tail->dim * sizeof *entry->vector);
        last->vector = entry->vector;
        last->row = entry->row;
        tail->owners[last->row] = last;
    }
    entry->vector = NULL;
    if (tail->row_count + 2 * CF_TAIL_BLOCK_ROWS <= tail->block_count * CF_TAIL_BLOCK_ROWS)
        free(tail->blocks[--tail->block_count]);
}

static enum cf_err add_entry(struct cf_tail *tail, struct cf_str id, struct cf_tail_entry **out)
{
    struct cf_tail_entry *entry = malloc(sizeof *entry + id.len);
    if (!entry)
        return CF_E_NO_MEMORY;
    char *copy = (char *)(entry + 1);
    memcpy(copy, id.data, id.len);
    *entry = (struct cf_tail_entry){.key = {{copy, id.len}}};
    enum cf_err err = cf_idmap_add(&tail->map, &entry->key);
    if (err != CF_OK)
        free(entry);
    else
        *out = entry;
    return err;
}

enum cf_err cf_tail_put(struct cf_tail *tail, const struct cf_tail_album *album, const float *vector)
{
    if (vector && tail->row_count == tail->block_count * CF_TAIL_BLOCK_ROWS) {
        enum cf_err err = add_block(tail);
        if (err != CF_OK)
            return err;
    }
    struct cf_tail_entry *entry = (struct cf_tail_entry *)cf_idmap_find(&tail->map, album->id);
    if (!entry) {
        enum cf_err err = add_entry(tail, album->id, &entry);
        if (err != CF_OK)
            return err;
    }
    entry->album = *album;
    entry->album.id = entry->key.id;
    if (vector && !entry->vector)
        give_row(tail, entry);
    else if (!vector && entry->vector)
        take_row(tail, entry);
    if (vector)
        memcpy(entry->vector, vector, tail->dim * sizeof *vector);
    return CF_OK;
}

void cf_tail_drop(struct cf_tail *tail, struct cf_str id)
{
    struct cf_tail_entry *entry = (struct cf_tail_entry *)cf_idmap_take(&tail->map, id);
    if (entry && entry->vector)
        take_row(tail, entry);
    free(entry);
}

const struct cf_tail_entry *cf_tail_find(const struct cf_tail *tail, struct cf_str id)
{
    return (const struct cf_tail_entry *)cf_idmap_find(&tail->map, id);
}

const struct cf_tail_entry *cf_tail_next(const struct cf_tail *tail, size_t *at)
{
    return (const struct cf_tail_entry *)cf_idmap_next(&tail->map, at);
}
