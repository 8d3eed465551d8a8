#include <stdlib.h>
#include <sys/stat.h>

#include "deploy/cli/table.h"
#include "deploy/cli/vectors.h"
#include "proto/container.h"

struct import {
    const struct cf_vectors_options *options;
    struct cf_vecfile *file;
    struct cf_vectors_meta *meta;
    FILE *ids_file;
    struct cf_table *ids;
    size_t album_column;
    uint64_t row;
    float *values;
    struct cf_buf container;
};

/* ---- a row as a cover ---- */

/* The row as what stands for its picture. CF_E_BAD_VECTOR is this row's only. */
static enum cf_err make_container(struct import *import, struct cf_detail *detail)
{
    const struct cf_space *space = import->options->space;
    struct cf_container one = {
        .vectors = {{cf_str(space->name), space->version, space->dim, (const uint8_t *)import->values}},
        .count = 1};
    struct cf_container checked;
    enum cf_err err = cf_vecfile_read(import->file, import->row, 1, import->values, detail);
    if (err)
        return err;
    cf_buf_clear(&import->container);
    cf_container_encode(&one, &import->container);
    if (!cf_buf_ok(&import->container))
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    return cf_container_decode(cf_buf_bytes(&import->container), &checked, detail);
}

static enum cf_err fill(struct import *import, struct cf_str album, struct cf_arena *arena,
                        struct cf_cover *cover, struct cf_detail *detail)
{
    enum cf_err err = make_container(import, &cover->detail);
    cover->album = cf_arena_str(arena, album);
    cover->path = "";
    if (err == CF_E_BAD_VECTOR) {
        cover->err = err;
        return CF_OK;
    }
    if (err) {
        *detail = cover->detail;
        return err;
    }
    cf_vectors_meta_of(import->meta, album, &cover->meta, &cover->meta_count);
    cover->bytes = cf_arena_bytes(arena, cf_buf_bytes(&import->container));
    if (!cover->album.data || !cover->bytes.data)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    return CF_OK;
}

static enum cf_err next(void *arg, struct cf_arena *arena, struct cf_cover *cover, bool *end,
                        struct cf_detail *detail)
{
    struct import *import = arg;
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    *end = import->row == cf_vecfile_count(import->file);
    if (*end)
        return CF_OK;
    enum cf_err err = cf_table_next(import->ids, fields, end, detail);
    if (err == CF_OK && *end)
        err = cf_fail(detail, CF_E_IO, "%.200s: it has shrunk while it was read", import->options->ids);
    else if (err == CF_OK)
        err = fill(import, fields[import->album_column], arena, cover, detail);
    else if (err != CF_E_IO) { /* a line that is wrong costs its own row */
        *end = false;
        *cover = (struct cf_cover){.album = cf_str(""), .path = "", .err = err, .detail = *detail};
        err = CF_OK;
    }
    import->row++;
    return err;
}

static uint64_t total(const void *arg)
{
    const struct import *import = arg;
    return cf_vecfile_count(import->file);
}

static const struct cf_source_ops ops = {next, total};

/* ---- opening ---- */

static enum cf_err start_table(struct import *import, struct cf_detail *detail)
{
    static const char *const required[] = {"album", NULL};
    rewind(import->ids_file);
    return cf_table_init(import->ids, import->ids_file, import->options->ids, required, detail);
}

/* A table that does not fit its file would give vectors to the wrong albums: known before the first is
 * pushed. */
static enum cf_err check_rows(struct import *import, struct cf_detail *detail)
{
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    uint64_t rows = 0, vectors = cf_vecfile_count(import->file);
    enum cf_err err = start_table(import, detail);
    for (bool end = false; err == CF_OK && !end; rows += end ? 0 : 1) {
        err = cf_table_next(import->ids, fields, &end, detail);
        if (err != CF_E_IO)
            err = CF_OK;
    }
    if (err == CF_OK && rows != vectors)
        err = cf_fail(detail, CF_E_INVALID, "%.120s has %llu rows, %.120s has %llu vectors",
                      import->options->ids, (unsigned long long)rows, import->options->file,
                      (unsigned long long)vectors);
    return err;
}

static enum cf_err open_ids(struct import *import, struct cf_detail *detail)
{
    const char *path = import->options->ids;
    struct stat status;
    import->ids_file = fopen(path, "re");
    if (!import->ids_file || fstat(fileno(import->ids_file), &status) != 0)
        return cf_fail_errno(detail, path);
    if (!S_ISREG(status.st_mode))
        return cf_fail(detail, CF_E_INVALID, "%.200s: not a regular file", path);
    enum cf_err err = check_rows(import, detail);
    if (err == CF_OK)
        err = start_table(import, detail);
    if (err == CF_OK)
        import->album_column = cf_table_column(import->ids, "album");
    return err;
}

static enum cf_err open_all(struct import *import, struct cf_detail *detail)
{
    const struct cf_vectors_options *options = import->options;
    uint32_t dim = options->space->dim;
    import->ids = malloc(sizeof *import->ids);
    import->values = calloc(dim, sizeof *import->values);
    if (!import->ids || !import->values)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    enum cf_err err = cf_vecfile_open(options->file, CF_VECFILE_FLOATS, &import->file, detail);
    if (err == CF_OK && cf_vecfile_count(import->file) && cf_vecfile_dim(import->file) != dim)
        err = cf_fail(detail, CF_E_BAD_VECTOR, "%.160s has vectors of %u numbers: %s has %u", options->file,
                      cf_vecfile_dim(import->file), options->space->name, dim);
    if (err == CF_OK)
        err = open_ids(import, detail);
    if (err == CF_OK && options->meta)
        err = cf_vectors_meta_read(options->meta, &import->meta, detail);
    return err;
}

static void close_all(struct import *import)
{
    cf_vecfile_free(import->file);
    cf_vectors_meta_free(import->meta);
    if (import->ids_file)
        fclose(import->ids_file);
    cf_buf_fini(&import->container);
    free(import->ids);
    free(import->values);
}

enum cf_exit cf_vectors_import(const struct cf_vectors_options *options, struct cf_pusher *pusher)
{
    struct import import = {.options = options};
    struct cf_detail detail = {""};
    enum cf_err err = open_all(&import, &detail);
    if (err == CF_OK)
        err = cf_source_new_of(&pusher->source, &ops, &import, &detail);
    enum cf_exit result = err ? cf_fleet_tell(&pusher->fleet, cf_str(""), err, &detail) : cf_push_run(pusher);
    cf_source_free(pusher->source);
    cf_push_wait_fini(pusher);
    close_all(&import);
    return result;
}
