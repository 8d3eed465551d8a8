/* Which space a query is asked in when it names a purpose instead: --space auto --for PURPOSE. Pure. */
#ifndef CF_CLI_QUERY_CHOICE_H
#define CF_CLI_QUERY_CHOICE_H

#include "proto/msg.h"

enum cf_purpose {
    CF_PURPOSE_DUPLICATES, /* the same artwork, whatever was done to it */
    CF_PURPOSE_SIMILAR,    /* looks alike */
    CF_PURPOSE_LISTENING,  /* liked by the same people */
    CF_PURPOSE_COUNT
};

/* CF_E_INVALID names those that there are. */
enum cf_err cf_purpose_of(const char *name, enum cf_purpose *purpose, struct cf_detail *detail) CF_MUST_CHECK;
const char *cf_purpose_name(enum cf_purpose purpose);

enum { CF_CHOICE_SPACES_MAX = 4 };

/* One space, or several with their weights. */
struct cf_choice {
    struct cf_weight weights[CF_CHOICE_SPACES_MAX];
    size_t count;
    bool best; /* false: the fleet lacks what the purpose would want first */
};

/* Of what the fleet has (as `index` lists it) the first of
 *   duplicates  copy; gist; gray16
 *   similar     style; gist; gray16
 *   listening   cf, what listening tells; style and copy, half each; style; gist; gray16
 * The model card (common/descriptor/model/MODEL.md) and tests/bench/RESULTS.md have the figures that this
 * order is by. A fleet that lists no index yet is taken to have all spaces but cf. CF_E_UNKNOWN_SPACE when it
 * has none of them. */
enum cf_err cf_choice_make(enum cf_purpose purpose, const struct cf_index_status *indexes, size_t index_count,
                           struct cf_choice *choice, struct cf_detail *detail) CF_MUST_CHECK;

/* Fills `space` or `spaces` of the query, which borrow from the choice. */
void cf_choice_apply(struct cf_choice *choice, struct cf_query *query);

/* Whether a fleet with these indexes has the space; one that lists none yet has all of this build. */
bool cf_choice_has(const struct cf_index_status *indexes, size_t index_count, const char *space);

#endif
