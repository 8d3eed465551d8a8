#include "deploy/cli/tabular.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "deploy/cli/text.h"

struct cf_tabular {
    const char *const *headings;
    size_t column_count, cell_count, capacity;
    struct cf_str *cells;
    struct cf_arena *arena;
    size_t widths[CF_TABULAR_COLUMNS_MAX];
    bool failed;
};

static struct cf_str heading(const struct cf_tabular *tabular, size_t column)
{
    const char *text = tabular->headings[column];
    return cf_str(text[0] == '>' ? text + 1 : text);
}

struct cf_tabular *cf_tabular_new(const char *const *headings)
{
    struct cf_tabular *tabular = calloc(1, sizeof *tabular);
    if (!tabular)
        return NULL;
    tabular->headings = headings;
    tabular->arena = cf_arena_new();
    tabular->failed = !tabular->arena;
    for (; headings[tabular->column_count]; tabular->column_count++) {
        CF_CHECK(tabular->column_count < CF_TABULAR_COLUMNS_MAX);
        tabular->widths[tabular->column_count] = cf_text_width(heading(tabular, tabular->column_count));
    }
    return tabular;
}

void cf_tabular_free(struct cf_tabular *tabular)
{
    if (!tabular)
        return;
    cf_arena_free(tabular->arena);
    free(tabular->cells);
    free(tabular);
}

static bool grow(struct cf_tabular *tabular)
{
    if (tabular->cell_count < tabular->capacity)
        return true;
    size_t capacity = tabular->capacity ? tabular->capacity * 2 : 64;
    struct cf_str *grown = realloc(tabular->cells, capacity * sizeof *grown);
    if (!grown)
        return false;
    tabular->cells = grown;
    tabular->capacity = capacity;
    return true;
}

void cf_tabular_cell(struct cf_tabular *tabular, struct cf_str text)
{
    if (!tabular || tabular->failed)
        return;
    struct cf_str copy = grow(tabular) ? cf_arena_str(tabular->arena, text) : (struct cf_str){0};
    if (!copy.data) {
        tabular->failed = true;
        return;
    }
    size_t column = tabular->cell_count % tabular->column_count, width = cf_text_width(copy);
    if (width > tabular->widths[column])
        tabular->widths[column] = width;
    tabular->cells[tabular->cell_count++] = copy;
}

void cf_tabular_cellf(struct cf_tabular *tabular, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cf_tabular_cell(tabular, cf_str(text));
}

static void put_row(const struct cf_tabular *tabular, const struct cf_str *row, const char *indent, FILE *out)
{
    fputs(indent, out);
    size_t last = tabular->column_count;
    while (last > 0 && row[last - 1].len == 0)
        last--;
    for (size_t i = 0; i < last; i++) {
        int pad = (int)(tabular->widths[i] - cf_text_width(row[i]));
        bool right = tabular->headings[i][0] == '>';
        fprintf(out, "%s%*s", i ? "  " : "", right ? pad : 0, "");
        cf_text_put(out, row[i]);
        if (!right && i + 1 < last)
            fprintf(out, "%*s", pad, "");
    }
    putc('\n', out);
}

enum cf_err cf_tabular_print(const struct cf_tabular *tabular, const char *indent, FILE *out)
{
    if (!tabular || tabular->failed)
        return CF_E_NO_MEMORY;
    struct cf_str titles[CF_TABULAR_COLUMNS_MAX];
    for (size_t i = 0; i < tabular->column_count; i++)
        titles[i] = heading(tabular, i);
    put_row(tabular, titles, indent, out);
    for (size_t at = 0; at + tabular->column_count <= tabular->cell_count; at += tabular->column_count)
        put_row(tabular, tabular->cells + at, indent, out);
    return CF_OK;
}
