/* A tab-separated table with a header row; columns are found by name, in any order. */
#ifndef CF_CLI_TABLE_H
#define CF_CLI_TABLE_H

#include "deploy/cli/lines.h"

enum { CF_TABLE_COLUMNS_MAX = 64 };

struct cf_table {
    struct cf_lines lines;
    char header[CF_LINE_BYTES_MAX + 1];
    struct cf_str columns[CF_TABLE_COLUMNS_MAX]; /* names, borrowing from `header` */
    size_t column_count;
};

/* Reads the header. CF_E_INVALID, naming file and line, when there is none, when a name is empty, repeated or
 * not UTF-8, when there are too many, or when one of `required` (ends with NULL; all that are missing are
 * named) is not among them. `in` and `name` are borrowed. Large: allocate it. */
enum cf_err cf_table_init(struct cf_table *table, FILE *in, const char *name, const char *const *required,
                          struct cf_detail *detail) CF_MUST_CHECK;

/* The position of a column; column_count when there is none of that name. */
size_t cf_table_column(const struct cf_table *table, const char *name);

/* The fields of the next row that is not empty, by position, borrowed until the next call; fields that a
 * short row lacks are empty. `*end` instead at the end. CF_E_INVALID (more fields than columns, not UTF-8)
 * and CF_E_TOO_LARGE cost that row only: the next call goes on; CF_E_IO. */
enum cf_err cf_table_next(struct cf_table *table, struct cf_str fields[CF_TABLE_COLUMNS_MAX], bool *end,
                          struct cf_detail *detail) CF_MUST_CHECK;

#endif
