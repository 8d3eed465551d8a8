/* Aligned columns for people. Cells are copied; text from outside is made safe when printed. One owner. */
#ifndef CF_CLI_TABULAR_H
#define CF_CLI_TABULAR_H

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_tabular;

enum { CF_TABULAR_COLUMNS_MAX = 16 };

/* `headings` ends with NULL; one that begins with ">" is aligned to the right. NULL when memory is short,
 * which every call below takes. Borrows the headings. */
struct cf_tabular *cf_tabular_new(const char *const *headings);
void cf_tabular_free(struct cf_tabular *tabular);

/* The next cell, row after row. */
void cf_tabular_cell(struct cf_tabular *tabular, struct cf_str text);
void cf_tabular_cellf(struct cf_tabular *tabular, const char *fmt, ...) CF_PRINTF(2, 3);

/* Whole rows, each line beginning with `indent`. CF_E_NO_MEMORY when a cell was lost. */
enum cf_err cf_tabular_print(const struct cf_tabular *tabular, const char *indent, FILE *out) CF_MUST_CHECK;

#endif
