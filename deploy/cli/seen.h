/* Albums that were named already, and the cover of each. One owner. */
#ifndef CF_CLI_SEEN_H
#define CF_CLI_SEEN_H

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_seen;

struct cf_seen *cf_seen_new(void);       /* NULL: out of memory */
void cf_seen_free(struct cf_seen *seen); /* takes NULL */

/* Notes the album with its cover; copies both. If it was there already nothing is noted, and `*earlier` is
 * the cover that it has, valid as long as `seen`; else NULL. CF_E_NO_MEMORY. */
enum cf_err cf_seen_add(struct cf_seen *seen, struct cf_str album, const char *path,
                        const char **earlier) CF_MUST_CHECK;

#endif
