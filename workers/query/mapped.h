/* Index generations as a query worker has them: a file, opened and checked, its attachment decoded; and what
 * is served of a space, a whole generation with the newest small one of it. Immutable; any thread reads them,
 * and whoever drops the last reference unmaps. */
#ifndef CF_WORKERS_QUERY_MAPPED_H
#define CF_WORKERS_QUERY_MAPPED_H

#include "common/ann/ann.h"
#include "common/descriptor/space.h"
#include "common/store/generation.h"
#include "workers/query/sketch.h"

struct cf_mapped {
    _Atomic uint32_t refs;
    struct cf_ann *ann;
    struct cf_arena *arena; /* holds the marks; their names lie in the map */
    struct cf_generation generation;
};

/* Maps the file of a whole generation (base 0) or of a small one, reads all of it (which also brings it into
 * memory) and compares it with what it should be. CF_E_CORRUPT and CF_E_BAD_VERSION for a file that will
 * never do, CF_E_NOT_FOUND when it was pruned meanwhile; the sentence names the file. */
enum cf_err cf_mapped_open(const struct cf_home *home, const struct cf_space *space, uint64_t generation,
                           uint64_t base, struct cf_mapped **mapped, struct cf_detail *detail) CF_MUST_CHECK;
struct cf_mapped *cf_mapped_share(struct cf_mapped *mapped); /* the same, once more */
void cf_mapped_free(struct cf_mapped *mapped);               /* takes NULL */

/* The version, the place (position in the marks) and the labels of an item; version {0, 0} for a tag that
 * cannot be read. */
struct cf_generation_tag cf_mapped_tag(const struct cf_mapped *mapped, uint64_t item);
struct cf_str cf_mapped_id(const struct cf_mapped *mapped, uint64_t item);
/* The item of an album, or CF_ANN_NONE. */
int64_t cf_mapped_find(const struct cf_mapped *mapped, struct cf_str id);

/* ---- a pair ---- */

enum { CF_PART_WHOLE, CF_PART_SMALL, CF_PART_COUNT };

/* Items of the whole one that the small one replaces or hides are found once, when the pair is made. */
struct cf_served {
    _Atomic uint32_t refs;
    struct cf_mapped *parts[CF_PART_COUNT]; /* the small one is NULL when there is none */
    uint64_t *hidden;                       /* a bit an item of the whole one; NULL without a small one */
    uint64_t count;                         /* albums in it that can be found */
    struct cf_sketch *sketch;               /* for the tail beside it; may be NULL */
    uint64_t sketched;                      /* albums of the generation that it was made of */
};

/* The small one may be NULL; otherwise its base is the whole one. Takes both on success, nulling them.
 * CF_E_NO_MEMORY. */
enum cf_err cf_served_new(struct cf_mapped **whole, struct cf_mapped **small, struct cf_served **served,
                          struct cf_detail *detail) CF_MUST_CHECK;
/* Gives a pair that nobody else has yet a sketch of its whole generation, or, while that will do, the one of
 * `before` (may be NULL). Without one (no items, few values, no memory) the tail is measured row by row. */
void cf_served_sketch(struct cf_served *served, const struct cf_served *before);
struct cf_served *cf_served_share(struct cf_served *served);
void cf_served_free(struct cf_served *served); /* takes NULL */

/* Whose number and marks are the pair's. */
const struct cf_generation *cf_served_generation(const struct cf_served *served);

static inline bool cf_served_hides(const struct cf_served *served, size_t part, uint64_t item)
{
    return part == CF_PART_WHOLE && served->hidden && served->hidden[item / 64] >> (item % 64) & 1;
}

struct cf_served_item {
    size_t part;
    int64_t item; /* CF_ANN_NONE when the album is in neither */
};
/* `served` may be NULL: nothing is found. */
struct cf_served_item cf_served_find(const struct cf_served *served, struct cf_str id);

#endif
