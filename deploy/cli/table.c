#include "deploy/cli/table.h"

#include "common/base/album.h"

/* Splits at tabs into at most `max` fields; returns how many there are, which may be more. */
static size_t split(struct cf_str line, struct cf_str *fields, size_t max)
{
    size_t count = 0;
    for (;;) {
        const char *tab = memchr(line.data, '\t', line.len);
        size_t len = tab ? (size_t)(tab - line.data) : line.len;
        if (count < max)
            fields[count] = (struct cf_str){line.data, len};
        count++;
        if (!tab)
            return count;
        line.data += len + 1;
        line.len -= len + 1;
    }
}

static enum cf_err check_columns(const struct cf_table *table, struct cf_detail *detail)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].len == 0)
            return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: column %zu of the header has no name",
                           table->lines.name, table->lines.number, i + 1);
        for (size_t j = 0; j < i; j++)
            if (cf_str_equal(table->columns[i], table->columns[j]))
                return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: column \"%.*s\" stands in the header twice",
                               table->lines.name, table->lines.number, CF_STR_ARG(table->columns[i]));
    }
    return CF_OK;
}

static enum cf_err check_required(const struct cf_table *table, const char *const *required,
                                  struct cf_detail *detail)
{
    char missing[128] = "";
    size_t len = 0;
    for (; *required; required++)
        if (cf_table_column(table, *required) == table->column_count && len < sizeof missing - 1)
            len += (size_t)snprintf(missing + len, sizeof missing - len, "%s\"%.40s\"", len ? ", " : "",
                                    *required);
    if (len == 0)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID,
                   "%.120s:%zu: the header row has no column %s (columns are separated by tabs)",
                   table->lines.name, table->lines.number, missing);
}

enum cf_err cf_table_init(struct cf_table *table, FILE *in, const char *name, const char *const *required,
                          struct cf_detail *detail)
{
    cf_lines_init(&table->lines, in, name);
    struct cf_str line;
    bool end = false;
    enum cf_err err = cf_lines_next(&table->lines, &line, &end, detail);
    if (err)
        return err;
    if (end)
        return cf_fail(detail, CF_E_INVALID,
                       "%.120s: the table is empty: its first line must name the columns", name);
    if (!cf_utf8_valid(line))
        return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: the header row is not valid UTF-8", name,
                       table->lines.number);
    memcpy(table->header, line.data, line.len + 1);
    table->column_count =
        split((struct cf_str){table->header, line.len}, table->columns, CF_TABLE_COLUMNS_MAX);
    if (table->column_count > CF_TABLE_COLUMNS_MAX)
        return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: %zu columns: at most %d are allowed", name,
                       table->lines.number, table->column_count, CF_TABLE_COLUMNS_MAX);
    err = check_columns(table, detail);
    return err ? err : check_required(table, required, detail);
}

size_t cf_table_column(const struct cf_table *table, const char *name)
{
    size_t i = 0;
    while (i < table->column_count && !cf_str_is(table->columns[i], name))
        i++;
    return i;
}

enum cf_err cf_table_next(struct cf_table *table, struct cf_str fields[CF_TABLE_COLUMNS_MAX], bool *end,
                          struct cf_detail *detail)
{
    struct cf_str line;
    enum cf_err err = cf_lines_next(&table->lines, &line, end, detail);
    if (err || *end)
        return err;
    if (!cf_utf8_valid(line))
        return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: not valid UTF-8", table->lines.name,
                       table->lines.number);
    size_t count = split(line, fields, table->column_count);
    if (count > table->column_count)
        return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: %zu fields, but the header names %zu columns",
                       table->lines.name, table->lines.number, count, table->column_count);
    for (; count < table->column_count; count++)
        fields[count] = (struct cf_str){"", 0};
    return CF_OK;
}
