#include "common/base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CF_ARENA_BLOCK_BYTES = 16 * 1024, CF_ARENA_ALIGN = 16 };

struct block {
    struct block *next;
    size_t used;
    size_t capacity;
    alignas(16) uint8_t data[];
};

struct cf_arena {
    struct block *blocks; /* the newest first; the last one is kept by reset */
    size_t size;          /* of the blocks behind the newest */
};

static struct block *block_new(size_t capacity, struct block *next)
{
    struct block *block = malloc(sizeof *block + capacity);
    if (block)
        *block = (struct block){.next = next, .capacity = capacity};
    return block;
}

struct cf_arena *cf_arena_new(void)
{
    struct cf_arena *arena = malloc(sizeof *arena);
    if (!arena)
        return NULL;
    arena->size = 0;
    arena->blocks = block_new(CF_ARENA_BLOCK_BYTES, NULL);
    if (!arena->blocks) {
        free(arena);
        return NULL;
    }
    return arena;
}

void cf_arena_reset(struct cf_arena *arena)
{
    while (arena->blocks->next) {
        struct block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    arena->blocks->used = 0;
    arena->size = 0;
}

size_t cf_arena_size(const struct cf_arena *arena)
{
    return arena->size + arena->blocks->capacity;
}

void cf_arena_free(struct cf_arena *arena)
{
    if (!arena)
        return;
    cf_arena_reset(arena);
    free(arena->blocks);
    free(arena);
}

void *cf_arena_alloc(struct cf_arena *arena, size_t count, size_t size)
{
    if (size && count > (SIZE_MAX / 2) / size)
        return NULL;
    size_t need = (count * size + CF_ARENA_ALIGN - 1) / CF_ARENA_ALIGN * CF_ARENA_ALIGN;
    struct block *block = arena->blocks;
    if (need > block->capacity - block->used) {
        block = block_new(need > CF_ARENA_BLOCK_BYTES ? need : CF_ARENA_BLOCK_BYTES, arena->blocks);
        if (!block)
            return NULL;
        arena->size += arena->blocks->capacity;
        arena->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += need;
    return memset(memory, 0, need);
}

struct cf_str cf_arena_str(struct cf_arena *arena, struct cf_str text)
{
    char *copy = cf_arena_alloc(arena, text.len + 1, 1);
    if (!copy)
        return (struct cf_str){0};
    if (text.len)
        memcpy(copy, text.data, text.len);
    return (struct cf_str){copy, text.len};
}

struct cf_bytes cf_arena_bytes(struct cf_arena *arena, struct cf_bytes bytes)
{
    uint8_t *copy = cf_arena_alloc(arena, bytes.len, 1);
    if (!copy)
        return (struct cf_bytes){0};
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return (struct cf_bytes){copy, bytes.len};
}
