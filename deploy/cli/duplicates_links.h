/* Albums that are linked, two by two, and the groups that hang together (single linkage, by union and find:
 * Galler and Fischer 1964). Only albums with a link are kept: memory grows with what is duplicated, not with
 * the catalogue; about 200 bytes an album with its texts and 16 a link. One thread. */
#ifndef CF_CLI_DUPLICATES_LINKS_H
#define CF_CLI_DUPLICATES_LINKS_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_links;

struct cf_links *cf_links_new(void);        /* NULL when memory is short */
void cf_links_free(struct cf_links *links); /* takes NULL */

/* The number of an album, a new one when it was not known: 0, 1, … Texts are copied; an artist or title that
 * is known already stays. CF_E_NO_MEMORY, also for more than UINT32_MAX albums. */
enum cf_err cf_links_album(struct cf_links *links, struct cf_str id, struct cf_str artist,
                           struct cf_str title, uint32_t *number) CF_MUST_CHECK;
/* Said once or from both ends, it is one link. An album is not linked with itself. CF_E_NO_MEMORY. */
enum cf_err cf_links_add(struct cf_links *links, uint32_t a, uint32_t b) CF_MUST_CHECK;
/* More albums may be linked with this one than were told. */
void cf_links_mark_full(struct cf_links *links, uint32_t number);

struct cf_linked {
    struct cf_str id, artist, title; /* the links' own */
    uint32_t link_count;
    bool full;
};

/* Members by number of links, most first, then by id: the first one is what the others are compared with.
 * Groups by size, largest first, then by the first one's id. So the order depends on the links alone, not on
 * when they came. Good until the next grouping, whatever is told meanwhile; the links' own. CF_E_NO_MEMORY.
 */
struct cf_link_group {
    const uint32_t *members;
    size_t member_count;
    const struct cf_link {
        uint32_t a, b; /* positions among the members */
    } * links;
    size_t link_count;
};
enum cf_err cf_links_group(struct cf_links *links, const struct cf_link_group **groups,
                           size_t *count) CF_MUST_CHECK;
/* Good until the next new album; its texts for as long as the links. */
const struct cf_linked *cf_links_get(const struct cf_links *links, uint32_t number);

/* The weakest of the links that hold a group together: the one that a threshold just above would cut first.
 * That is the least of a maximum spanning tree (Kruskal 1956). `cosines` has one a link; `order` has room for
 * a number a link, `parents` for one a member. */
double cf_links_weakest(const struct cf_link_group *group, const double *cosines, uint32_t *order,
                        uint32_t *parents);

#endif
