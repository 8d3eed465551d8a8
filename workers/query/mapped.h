/* One index generation, opened and checked: its file mapped, its attachment decoded. Immutable; any thread
 * reads it. */
#ifndef CF_WORKERS_QUERY_MAPPED_H
#define CF_WORKERS_QUERY_MAPPED_H

#include "common/ann/ann.h"
#include "common/descriptor/space.h"
#include "common/store/generation.h"

struct cf_mapped {
    struct cf_ann *ann;
    struct cf_arena *arena; /* holds the marks; their names lie in the map */
    struct cf_generation generation;
};

/* Maps the file, reads all of it (which also brings it into memory) and compares it with what it should be.
 * CF_E_CORRUPT and CF_E_BAD_VERSION for a file that will never do, CF_E_NOT_FOUND when it was pruned
 * meanwhile; the sentence names the file. */
enum cf_err cf_mapped_open(const struct cf_home *home, const struct cf_space *space, uint64_t generation,
                           struct cf_mapped **mapped, struct cf_detail *detail) CF_MUST_CHECK;
void cf_mapped_free(struct cf_mapped *mapped); /* takes NULL */

/* The version and the place (position in the marks) of an item; {0, 0} for a tag that cannot be read. */
struct cf_generation_tag cf_mapped_tag(const struct cf_mapped *mapped, uint64_t item);
/* The item of an album, or CF_ANN_NONE. */
int64_t cf_mapped_find(const struct cf_mapped *mapped, struct cf_str id);

#endif
