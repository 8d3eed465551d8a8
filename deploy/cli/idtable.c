#include "deploy/cli/idtable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/album.h"
#include "deploy/cli/table.h"

struct cf_idtable {
    FILE *file;
    char *path;
    struct cf_table *table; /* its lines alone when there is no header */
    bool has_header;
    size_t column;
};

static struct cf_str first_field(struct cf_str line)
{
    const char *tab = memchr(line.data, '\t', line.len);
    return (struct cf_str){line.data, tab ? (size_t)(tab - line.data) : line.len};
}

static bool names_ids(struct cf_str line)
{
    while (line.len > 0) {
        struct cf_str field = first_field(line);
        if (cf_str_is(field, "album") || cf_str_is(field, "id"))
            return true;
        size_t passed = field.len + (field.len < line.len);
        line = (struct cf_str){line.data + passed, line.len - passed};
    }
    return false;
}

/* A first line that cannot be read is no header; the first id will tell. */
static bool look_for_header(struct cf_idtable *table)
{
    struct cf_detail detail;
    struct cf_str line;
    bool end = true;
    cf_lines_init(&table->table->lines, table->file, table->path);
    return cf_lines_next(&table->table->lines, &line, &end, &detail) == CF_OK && !end && names_ids(line);
}

enum cf_err cf_idtable_rewind(struct cf_idtable *table, struct cf_detail *detail)
{
    static const char *const none[] = {NULL};
    rewind(table->file);
    cf_lines_init(&table->table->lines, table->file, table->path);
    if (!table->has_header)
        return CF_OK;
    enum cf_err err = cf_table_init(table->table, table->file, table->path, none, detail);
    table->column = cf_table_column(table->table, "album");
    if (table->column == table->table->column_count)
        table->column = cf_table_column(table->table, "id");
    return err;
}

static enum cf_err open_regular(struct cf_idtable *table, struct cf_detail *detail)
{
    struct stat status;
    int fd = open(table->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return cf_fail_errno(detail, table->path);
    table->file = fdopen(fd, "r");
    if (!table->file) {
        close(fd);
        return cf_fail_errno(detail, table->path);
    }
    if (fstat(fd, &status) != 0)
        return cf_fail_errno(detail, table->path);
    return S_ISREG(status.st_mode) ? CF_OK
                                   : cf_fail(detail, CF_E_INVALID, "%.200s: not a regular file", table->path);
}

enum cf_err cf_idtable_open(const char *path, struct cf_idtable **table, struct cf_detail *detail)
{
    struct cf_idtable *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    made->path = strdup(path);
    made->table = malloc(sizeof *made->table);
    enum cf_err err = made->path && made->table ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!err)
        err = open_regular(made, detail);
    if (!err) {
        made->has_header = look_for_header(made);
        err = cf_idtable_rewind(made, detail);
    }
    if (err) {
        cf_idtable_free(made);
        return err;
    }
    *table = made;
    return CF_OK;
}

void cf_idtable_free(struct cf_idtable *table)
{
    if (!table)
        return;
    if (table->file)
        fclose(table->file);
    free(table->table);
    free(table->path);
    free(table);
}

static enum cf_err next_field(struct cf_idtable *table, struct cf_str *id, bool *end,
                              struct cf_detail *detail)
{
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    enum cf_err err;
    if (table->has_header) {
        err = cf_table_next(table->table, fields, end, detail);
        if (!err && !*end)
            *id = fields[table->column];
    } else {
        err = cf_lines_next(&table->table->lines, id, end, detail);
        if (!err && !*end)
            *id = first_field(*id);
    }
    return err;
}

enum cf_err cf_idtable_next(struct cf_idtable *table, struct cf_str *id, bool *end, struct cf_detail *detail)
{
    struct cf_detail why = {""};
    struct cf_str found = {NULL, 0};
    bool over = false;
    enum cf_err err = next_field(table, &found, &over, detail);
    if (err)
        return err;
    if (!over) {
        err = cf_album_check(found, &why);
        if (err)
            return cf_fail(detail, err, "%.120s:%zu: %.160s", table->path, table->table->lines.number,
                           why.text);
        *id = found;
    }
    *end = over;
    return CF_OK;
}
