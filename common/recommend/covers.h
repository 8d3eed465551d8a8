/* How covers look, as a model: an album is near the ones that a user liked (and far from those disliked), by
 * the distances of a space. How the distances are put together is one of a few ways, chosen on training data
 * only. */
#ifndef CF_RECOMMEND_COVERS_H
#define CF_RECOMMEND_COVERS_H

#include "common/recommend/table.h"

/* Vectors by album number; NULL where an album has none. Borrowed. */
struct cf_covers {
    const float *const *vectors;
    uint32_t album_count, dim;
};

enum cf_covers_way {
    CF_COVERS_NEAREST,  /* minus the distance to the nearest liked one */
    CF_COVERS_NEAREST5, /* minus the mean distance to the five nearest */
    CF_COVERS_MEAN,     /* minus the mean distance to all */
    CF_COVERS_CONTRAST, /* mean distance to the disliked less that to the liked; as MEAN without any disliked
                         */
    CF_COVERS_WAY_COUNT
};
const char *cf_covers_way_name(enum cf_covers_way way);

/* The albums that a user's candidates are compared with. */
struct cf_seeds {
    const uint32_t *liked, *disliked;
    size_t liked_count, disliked_count;
};

/* Higher is better; NAN when the album or all liked ones have no vector. The album itself never counts among
 * the seeds. Any thread. */
double cf_covers_score(const struct cf_covers *covers, enum cf_covers_way way, const struct cf_seeds *seeds,
                       uint32_t album);

#endif
