#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "deploy/cli/table.h"
#include "deploy/cli/vectors.h"

struct row {
    struct cf_str album;
    struct cf_pair *pairs;
    size_t count;
    UT_hash_handle hh;
};

struct cf_vectors_meta {
    struct cf_arena *arena; /* of all rows */
    struct row *rows;
    struct cf_str columns[CF_TABLE_COLUMNS_MAX];
};

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the table of metadata");
}

/* A later row of the same album takes the place of an earlier one. */
static struct row *make_row(struct cf_vectors_meta *meta, struct cf_str album, size_t column_count)
{
    struct row *row = NULL;
    HASH_FIND(hh, meta->rows, album.data, album.len, row);
    if (!row) {
        row = cf_arena_alloc(meta->arena, 1, sizeof *row);
        if (!row || !(row->album = cf_arena_str(meta->arena, album)).data)
            return NULL;
        HASH_ADD_KEYPTR(hh, meta->rows, row->album.data, row->album.len, row);
        if (!row->hh.tbl)
            return NULL;
    }
    row->count = 0;
    row->pairs = cf_arena_alloc(meta->arena, column_count, sizeof *row->pairs);
    return row->pairs ? row : NULL;
}

static enum cf_err take_row(struct cf_vectors_meta *meta, const struct cf_table *table, size_t album_column,
                            const struct cf_str *fields, struct cf_detail *detail)
{
    if (fields[album_column].len == 0)
        return CF_OK; /* nobody's */
    struct row *row = make_row(meta, fields[album_column], table->column_count);
    if (!row)
        return no_memory(detail);
    for (size_t i = 0; i < table->column_count; i++) {
        if (i == album_column || fields[i].len == 0)
            continue;
        struct cf_str value = cf_arena_str(meta->arena, fields[i]);
        if (!value.data)
            return no_memory(detail);
        row->pairs[row->count++] = (struct cf_pair){meta->columns[i], value};
    }
    return CF_OK;
}

static enum cf_err read_rows(struct cf_vectors_meta *meta, struct cf_table *table, struct cf_detail *detail)
{
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    size_t album_column = cf_table_column(table, "album");
    for (size_t i = 0; i < table->column_count; i++) {
        meta->columns[i] = cf_arena_str(meta->arena, table->columns[i]);
        if (!meta->columns[i].data)
            return no_memory(detail);
    }
    for (;;) {
        bool end = false;
        enum cf_err err = cf_table_next(table, fields, &end, detail);
        if (err == CF_OK && end)
            return CF_OK;
        if (err == CF_OK)
            err = take_row(meta, table, album_column, fields, detail);
        if (err != CF_OK)
            return err;
    }
}

enum cf_err cf_vectors_meta_read(const char *path, struct cf_vectors_meta **out, struct cf_detail *detail)
{
    static const char *const required[] = {"album", NULL};
    struct cf_vectors_meta *meta = calloc(1, sizeof *meta);
    struct cf_table *table = malloc(sizeof *table);
    FILE *file = fopen(path, "re");
    enum cf_err err = file ? CF_OK : cf_fail_errno(detail, path);
    if (meta)
        meta->arena = cf_arena_new();
    if (err == CF_OK && (!meta || !table || !meta->arena))
        err = no_memory(detail);
    if (err == CF_OK)
        err = cf_table_init(table, file, path, required, detail);
    if (err == CF_OK)
        err = read_rows(meta, table, detail);
    if (file)
        fclose(file);
    free(table);
    if (err != CF_OK) {
        cf_vectors_meta_free(meta);
        return err;
    }
    *out = meta;
    return CF_OK;
}

void cf_vectors_meta_free(struct cf_vectors_meta *meta)
{
    if (!meta)
        return;
    HASH_CLEAR(hh, meta->rows);
    cf_arena_free(meta->arena);
    free(meta);
}

void cf_vectors_meta_of(struct cf_vectors_meta *meta, struct cf_str album, struct cf_pair **pairs,
                        size_t *count)
{
    struct row *row = NULL;
    if (meta)
        HASH_FIND(hh, meta->rows, album.data, album.len, row);
    *pairs = row ? row->pairs : NULL;
    *count = row ? row->count : 0;
}
