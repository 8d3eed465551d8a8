/* Album ids to entries: an open-addressed table that borrows its entries, whose first member is a cf_keyed.
 * Lookup takes the bytes of an id. One writer at a time, readers only while nobody writes: locking is the
 * owner's. */
#ifndef CF_WORKERS_QUERY_IDMAP_H
#define CF_WORKERS_QUERY_IDMAP_H

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_keyed {
    struct cf_str id; /* must not change while the entry is in a table */
};

struct cf_idmap_slot {
    uint64_t hash;
    struct cf_keyed *entry;
};

struct cf_idmap {
    struct cf_idmap_slot *slots;
    size_t capacity; /* zero or a power of two */
    size_t count;
};

void cf_idmap_fini(struct cf_idmap *map); /* forgets the entries; a zeroed map needs no init */
uint64_t cf_idmap_hash(struct cf_str id);
struct cf_keyed *cf_idmap_find(const struct cf_idmap *map, struct cf_str id); /* NULL when not there */
/* The same with the hash of the id, for who asks several maps. */
struct cf_keyed *cf_idmap_find_hashed(const struct cf_idmap *map, uint64_t hash, struct cf_str id);
/* The id must not be in the map yet. CF_E_NO_MEMORY leaves the map as it was. */
enum cf_err cf_idmap_add(struct cf_idmap *map, struct cf_keyed *entry) CF_MUST_CHECK;
/* Room for `more` additions, none of which can then fail. */
enum cf_err cf_idmap_reserve(struct cf_idmap *map, size_t more) CF_MUST_CHECK;
struct cf_keyed *cf_idmap_take(struct cf_idmap *map,
                               struct cf_str id); /* out of the map; NULL when not there */
/* Walks over all entries in no order: `*at` starts at 0; NULL at the end. The map must not change meanwhile.
 */
struct cf_keyed *cf_idmap_next(const struct cf_idmap *map, size_t *at);

#endif
