/* What a query asks for beyond its targets and k: the options, and how their texts become fields of the
 * message. */
#ifndef CF_CLI_QUERY_WISH_H
#define CF_CLI_QUERY_WISH_H

#include "common/base/arena.h"
#include "deploy/cli/args.h"
#include "proto/msg.h"

struct cf_wish {
    struct cf_texts exclude, filters; /* ALBUM, KEY=VALUE */
    const char *exclude_from, *spaces;
    struct cf_weight weights[CF_SPACES_MAX];
    struct cf_filter keys[CF_FILTERS_MAX];
    struct cf_arena *arena; /* of the rest */
};

/* For a command's table; `query` is its struct cf_query *. */
#define CF_WISH_OPTS(wish, query)                                                                            \
    {.name = "radius",                                                                                       \
     .kind = CF_OPT_REAL,                                                                                    \
     .value = &(query)->radius,                                                                              \
     .real_high = 1e300,                                                                                     \
     .placeholder = "D",                                                                                     \
     .help = "only neighbours no farther than D"},                                                           \
        {.name = "collapse",                                                                                 \
         .kind = CF_OPT_REAL,                                                                                \
         .value = &(query)->collapse,                                                                        \
         .real_high = 1e300,                                                                                 \
         .placeholder = "D",                                                                                 \
         .help = "neighbours no farther from each other than D are one: reissues under the same cover"},     \
        {.name = "filter",                                                                                   \
         .kind = CF_OPT_TEXTS,                                                                               \
         .value = &(wish)->filters,                                                                          \
         .placeholder = "KEY=VALUE",                                                                         \
         .help = "only albums of this artist=NAME or genre=NAME; again for another value of the key, or "    \
                 "for the other key too"},                                                                   \
        {.name = "exclude",                                                                                  \
         .kind = CF_OPT_TEXTS,                                                                               \
         .value = &(wish)->exclude,                                                                          \
         .placeholder = "ALBUM",                                                                             \
         .help = "not this album; may be given again"},                                                      \
        {.name = "exclude-from",                                                                             \
         .kind = CF_OPT_TEXT,                                                                                \
         .value = &(wish)->exclude_from,                                                                     \
         .placeholder = "FILE",                                                                              \
         .help = "none of the albums in FILE, one a line"},                                                  \
    {                                                                                                        \
        .name = "spaces", .kind = CF_OPT_TEXT, .value = &(wish)->spaces, .placeholder = "SPACE=WEIGHT,…",    \
        .help = "several spaces at once, such as gist=2,gray16=1; 1 is then the distance of two covers "     \
                "drawn by chance"                                                                            \
    }

/* Fills exclude, filters and spaces of the query, which borrow from the wish. CF_E_INVALID for a text that is
 * not of its option's form, and for more than a query may have; CF_E_NO_MEMORY, errors of the file. Finish in
 * any case. */
enum cf_err cf_wish_apply(struct cf_wish *wish, struct cf_query *query,
                          struct cf_detail *detail) CF_MUST_CHECK;
void cf_wish_fini(struct cf_wish *wish);

#endif
