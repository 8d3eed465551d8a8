#include "common/recommend/table.h"

#include <stdlib.h>

#include "common/base/arena.h"

/* A table that cannot grow says so at the entry, and nobody exits. */
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) ((entry)->number = CF_NO_NUMBER)
#include <uthash.h>

struct name {
    struct cf_str id;
    uint32_t number;
    UT_hash_handle hh;
};

struct cf_names {
    struct cf_arena *arena;
    struct name *table, **by_number;
    uint32_t count, room;
};

struct cf_names *cf_names_new(void)
{
    struct cf_names *names = calloc(1, sizeof *names);
    if (!names)
        return NULL;
    names->arena = cf_arena_new();
    if (names->arena)
        return names;
    free(names);
    return NULL;
}

void cf_names_free(struct cf_names *names)
{
    if (!names)
        return;
    HASH_CLEAR(hh, names->table);
    free(names->by_number);
    cf_arena_free(names->arena);
    free(names);
}

static bool make_room(struct cf_names *names)
{
    if (names->count < names->room)
        return true;
    uint32_t room = names->room ? 2 * names->room : 1024;
    struct name **larger = realloc(names->by_number, room * sizeof *larger);
    if (!larger || room <= names->room)
        return false;
    names->by_number = larger;
    names->room = room;
    return true;
}

static uint32_t add_name(struct cf_names *names, struct cf_str id)
{
    struct name *name = make_room(names) ? cf_arena_alloc(names->arena, 1, sizeof *name) : NULL;
    if (!name)
        return CF_NO_NUMBER;
    name->id = cf_arena_str(names->arena, id);
    name->number = names->count;
    if (!name->id.data)
        return CF_NO_NUMBER;
    HASH_ADD_KEYPTR(hh, names->table, name->id.data, name->id.len, name);
    if (name->number == CF_NO_NUMBER)
        return CF_NO_NUMBER;
    names->by_number[names->count++] = name;
    return name->number;
}

uint32_t cf_names_number(struct cf_names *names, struct cf_str id, bool add)
{
    struct name *name = NULL;
    HASH_FIND(hh, names->table, id.data, id.len, name);
    if (name)
        return name->number;
    return add ? add_name(names, id) : CF_NO_NUMBER;
}

struct cf_str cf_names_at(const struct cf_names *names, uint32_t number)
{
    return names->by_number[number]->id;
}

uint32_t cf_names_count(const struct cf_names *names)
{
    return names->count;
}
