/* Which covers are attacked, and what else of the gallery is the same picture.
 *
 * Collections overlap: a cover may be there again, smaller, from another shop, or as a reissue. Such a twin
 * would be as right an answer as the cover itself. So the twins of a cover that is asked for are taken out of
 * the gallery for that question (they are excluded in the query), and none of them is drawn itself: each
 * question has one right answer, for every space the same. A twin is what has a cosine above
 * LOOKS_SAME_COSINE with the cover in the space `copy`, before anything is attacked; a look at such pairs
 * (the model card tells of it) found nearly all to be one artwork. One that is none is a mistake that no
 * space can then make. */
#ifndef CF_BENCH_LOOKS_DRAW_H
#define CF_BENCH_LOOKS_DRAW_H

#include "tests/bench/looks/gallery.h"

#define LOOKS_SAME_COSINE .8

enum { LOOKS_TWINS_MAX = 64 }; /* of one cover; the nearest */

struct looks_query {
    size_t cover;                  /* in the gallery */
    size_t first_twin, twin_count; /* in the drawing */
};

struct looks_drawing {
    struct looks_query *queries;
    size_t query_count;
    char (*twins)[LOOKS_ID_BYTES];
    size_t twin_count, twin_capacity;
    size_t passed_over; /* drawn, but a twin of one that was drawn before */
};

/* The first `wanted` of the first input in the gallery's order, which is as good as random; fewer when there
 * are no more. */
void looks_draw(struct looks_gallery *gallery, size_t wanted, struct looks_drawing *drawing);
void looks_drawing_fini(struct looks_drawing *drawing);

#endif
