/* Ids of the rows of a vector file, in their order: a .tsv with a header row that names a column "album" or
 * "id", or, without such a header, an id a line (up to the first tab). Read as a stream, again and again. */
#ifndef CF_CLI_IDTABLE_H
#define CF_CLI_IDTABLE_H

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_idtable;

/* CF_E_NOT_FOUND, CF_E_IO, CF_E_INVALID (not a regular file, a header that is wrong). */
enum cf_err cf_idtable_open(const char *path, struct cf_idtable **table,
                            struct cf_detail *detail) CF_MUST_CHECK;
void cf_idtable_free(struct cf_idtable *table); /* takes NULL */

/* Back to the first id. */
enum cf_err cf_idtable_rewind(struct cf_idtable *table, struct cf_detail *detail) CF_MUST_CHECK;

/* The next id, borrowed until the next call; `*end` instead at the end. CF_E_BAD_ALBUM, CF_E_INVALID,
 * CF_E_TOO_LARGE, CF_E_IO, each naming file and line. */
enum cf_err cf_idtable_next(struct cf_idtable *table, struct cf_str *id, bool *end,
                            struct cf_detail *detail) CF_MUST_CHECK;

#endif
