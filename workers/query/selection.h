/* Which albums a query wants for neighbours at all: not those that it excludes, and only those whose metadata
 * its filters let pass. While searching, labels decide, 32 bits of a value's hash; what is answered is then
 * confirmed by the value itself, so that two values of one label are never taken for each other. */
#ifndef CF_WORKERS_QUERY_SELECTION_H
#define CF_WORKERS_QUERY_SELECTION_H

#include "common/base/arena.h"
#include "proto/msg.h"
#include "workers/query/idmap.h"

struct cf_selection {
    struct cf_idmap excluded;
    const struct cf_filter *filters[CF_LABEL_COUNT]; /* NULL: any value will do */
    uint32_t labels[CF_LABEL_COUNT][CF_FILTER_VALUES_MAX];
};

/* Of the query, which must outlive it; entries come from the arena. CF_E_INVALID for a key that albums are
 * not filtered by and for an empty value, CF_E_NO_MEMORY. Finish in any case. */
enum cf_err cf_selection_init(struct cf_selection *selection, const struct cf_query *query,
                              struct cf_arena *arena, struct cf_detail *detail) CF_MUST_CHECK;
void cf_selection_fini(struct cf_selection *selection);

/* False: every album passes. */
bool cf_selection_chooses(const struct cf_selection *selection);
bool cf_selection_filters(const struct cf_selection *selection);

/* A cf_engine_keep, its argument the selection. */
bool cf_selection_keeps(void *selection, struct cf_str id, const uint32_t labels[CF_LABEL_COUNT]);
/* By the artist and genre that the record says. */
bool cf_selection_confirms(const struct cf_selection *selection, const struct cf_neighbor *neighbor);

#endif
