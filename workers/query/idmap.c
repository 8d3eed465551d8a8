#include "workers/query/idmap.h"

#include <stdlib.h>

#include "common/base/hash.h"

enum { IDMAP_CAPACITY_MIN = 64 };

uint64_t cf_idmap_hash(struct cf_str id)
{
    return cf_xxh3((struct cf_bytes){(const uint8_t *)id.data, id.len});
}

/* The slot of the id, or the empty one where it would go. At most three quarters are full, so there is one.
 */
static size_t probe(const struct cf_idmap *map, uint64_t hash, struct cf_str id)
{
    size_t mask = map->capacity - 1;
    size_t at = (size_t)hash & mask;
    while (map->slots[at].entry) {
        if (map->slots[at].hash == hash && cf_str_equal(map->slots[at].entry->id, id))
            break;
        at = (at + 1) & mask;
    }
    return at;
}

static enum cf_err grow(struct cf_idmap *map, size_t capacity)
{
    struct cf_idmap larger = {calloc(capacity, sizeof *larger.slots), capacity, map->count};
    if (!larger.slots)
        return CF_E_NO_MEMORY;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].entry) {
            size_t at = (size_t)map->slots[i].hash & (capacity - 1);
            while (larger.slots[at].entry)
                at = (at + 1) & (capacity - 1);
            larger.slots[at] = map->slots[i];
        }
    free(map->slots);
    *map = larger;
    return CF_OK;
}

void cf_idmap_fini(struct cf_idmap *map)
{
    free(map->slots);
    *map = (struct cf_idmap){0};
}

struct cf_keyed *cf_idmap_find_hashed(const struct cf_idmap *map, uint64_t hash, struct cf_str id)
{
    return map->count ? map->slots[probe(map, hash, id)].entry : NULL;
}

struct cf_keyed *cf_idmap_find(const struct cf_idmap *map, struct cf_str id)
{
    return cf_idmap_find_hashed(map, cf_idmap_hash(id), id);
}

enum cf_err cf_idmap_reserve(struct cf_idmap *map, size_t more)
{
    size_t capacity = map->capacity ? map->capacity : IDMAP_CAPACITY_MIN;
    while (map->count + more > capacity / 4 * 3)
        capacity *= 2;
    return capacity == map->capacity ? CF_OK : grow(map, capacity);
}

enum cf_err cf_idmap_add(struct cf_idmap *map, struct cf_keyed *entry)
{
    enum cf_err err = cf_idmap_reserve(map, 1);
    if (err != CF_OK)
        return err;
    uint64_t hash = cf_idmap_hash(entry->id);
    map->slots[probe(map, hash, entry->id)] = (struct cf_idmap_slot){hash, entry};
    map->count++;
    return CF_OK;
}

struct cf_keyed *cf_idmap_take(struct cf_idmap *map, struct cf_str id)
{
    if (!map->count)
        return NULL;
    size_t mask = map->capacity - 1;
    size_t hole = probe(map, cf_idmap_hash(id), id);
    struct cf_keyed *entry = map->slots[hole].entry;
    if (!entry)
        return NULL;
    map->count--;
    /* Later entries of the same run move up into the hole unless they would leave their own start behind. */
    for (size_t at = (hole + 1) & mask; map->slots[at].entry; at = (at + 1) & mask) {
        size_t start = (size_t)map->slots[at].hash & mask;
        if (((at - start) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct cf_idmap_slot){0, NULL};
    return entry;
}

struct cf_keyed *cf_idmap_next(const struct cf_idmap *map, size_t *at)
{
    while (*at < map->capacity) {
        struct cf_keyed *entry = map->slots[(*at)++].entry;
        if (entry)
            return entry;
    }
    return NULL;
}
