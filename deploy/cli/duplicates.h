/* Inside the duplicates command: what its files share. duplicates.c takes the arguments apart,
 * duplicates_ask.c asks the fleet for the neighbours of every album, duplicates_links.c makes groups of what
 * is near, duplicates_judge.c measures each group by its albums' own vectors, duplicates_print.c shows them.
 */
#ifndef CF_CLI_DUPLICATES_H
#define CF_CLI_DUPLICATES_H

#include "common/descriptor/space.h"
#include "common/vecfile/fresh.h"
#include "deploy/cli/duplicates_links.h"
#include "deploy/cli/fleet.h"
#include "deploy/cli/json.h"

struct cf_duplicates {
    struct cf_fleet fleet;
    const struct cf_space *space;
    double threshold; /* cosine: a link is above it */
    double recall;
    const char *out;        /* the groups as a table, NULL: to standard output */
    struct cf_fresh *table; /* `out`, before anybody is asked; owned */

    struct cf_links *links;
    /* Albums of the catalogue, by what became of them. `skipped`: flagged, or removed while we asked. */
    uint64_t asked, skipped, not_described;
    uint64_t group_count, grouped_count;
};

/* Links of every album that the shards of COVERFLEET_HOME have. What went wrong has been said. */
enum cf_exit cf_duplicates_ask(struct cf_duplicates *call);

/* A group by its albums' own vectors. Arrays are the judge's, good until the next group. */
struct cf_judged {
    const struct cf_link_group *group;
    const uint32_t *members; /* numbers: the first, then the others, the most alike to it first */
    const double *cosines;   /* of each member with the first; NaN of one whose vector is gone meanwhile */
    double weakest;          /* NaN when no link has both its vectors any more */
    bool chained; /* a member is no nearer to the first than the threshold: only others lie between */
};

struct cf_judge;
struct cf_judge *cf_judge_new(void);        /* NULL when memory is short */
void cf_judge_free(struct cf_judge *judge); /* takes NULL */
/* Asks the fleet for vectors. What went wrong has been said. */
enum cf_exit cf_judge_group(struct cf_judge *judge, struct cf_duplicates *call,
                            const struct cf_link_group *group, struct cf_judged *judged);
/* The same from given vectors, member after member; CF_E_NO_MEMORY. */
enum cf_err cf_judge_vectors(struct cf_judge *judge, const float *vectors, const bool *known, uint32_t dim,
                             double threshold, const struct cf_link_group *group,
                             struct cf_judged *judged) CF_MUST_CHECK;

/* Judges and shows every group, as text or JSON on standard output or as a table in `out`, and then the
 * counts. What went wrong has been said. */
enum cf_exit cf_duplicates_print(struct cf_duplicates *call, const struct cf_link_group *groups,
                                 size_t count);

#endif
