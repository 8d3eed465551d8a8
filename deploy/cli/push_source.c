#include "deploy/cli/push_source.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "deploy/cli/seen.h"
#include "deploy/cli/table.h"

struct cf_source {
    const char *const *names;
    size_t name_count, name_at;
    uint64_t total, passed_over;
    bool endless; /* standard input: the total is not known */

    struct cf_seen *seen; /* albums of folders, or all */
    bool once;

    const char *folder; /* that is being listed */
    struct dirent **entries;
    int entry_count, entry_at;

    struct cf_lines *lines; /* of standard input */

    struct cf_table *table;
    FILE *table_file;
    char *root;
    size_t album_column, cover_column;

    const struct cf_source_ops *ops; /* then nothing of the above */
    void *arg;
};

bool cf_source_split(struct cf_str text, struct cf_str *album, struct cf_str *path)
{
    const char *at = memchr(text.data, '\t', text.len);
    if (!at)
        at = memchr(text.data, '=', text.len);
    if (!at || at + 1 == text.data + text.len)
        return false;
    *album = (struct cf_str){text.data, (size_t)(at - text.data)};
    *path = (struct cf_str){at + 1, text.len - album->len - 1};
    return true;
}

struct cf_str cf_source_album_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    const char *dot = strrchr(name, '.');
    return (struct cf_str){name, dot && dot > name ? (size_t)(dot - name) : strlen(name)};
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* ---- folders ---- */

static int is_wanted(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type != DT_DIR;
}

/* What lies beside covers and is plainly none. Whatever is not surely that is pushed: the fleet says what it is. */
static bool is_passed_over(const char *name)
{
    static const char *const others[] = {".tsv", ".txt", ".csv", ".json", ".md", ".html", ".xml", ".ini", ".log", ".db"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof others / sizeof others[0]; i++)
        if (strcasecmp(dot, others[i]) == 0)
            return true;
    return false;
}

/* Drops the entries that are passed over; returns how many. */
static uint64_t pass_over(struct cf_source *source)
{
    int kept = 0, count = source->entry_count;
    for (int i = 0; i < count; i++) {
        if (is_passed_over(source->entries[i]->d_name))
            free(source->entries[i]);
        else
            source->entries[kept++] = source->entries[i];
    }
    source->entry_count = kept;
    return (uint64_t)(count - kept);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void close_folder(struct cf_source *source)
{
    for (int i = 0; i < source->entry_count; i++)
        free(source->entries[i]);
    free(source->entries);
    source->entries = NULL;
    source->entry_count = source->entry_at = 0;
    source->folder = NULL;
}

/* `*passed_over` may be NULL. */
static enum cf_err open_folder(struct cf_source *source, const char *path, uint64_t *passed_over,
                               struct cf_detail *detail)
{
    int count = scandir(path, &source->entries, is_wanted, by_name);
    if (count < 0)
        return cf_fail_errno(detail, path);
    source->folder = path;
    source->entry_count = count;
    source->entry_at = 0;
    uint64_t passed = pass_over(source);
    if (passed_over)
        *passed_over += passed;
    return CF_OK;
}

static enum cf_err count_folder(struct cf_source *source, const char *path, struct cf_detail *detail)
{
    enum cf_err err = open_folder(source, path, &source->passed_over, detail);
    if (!err)
        source->total += (uint64_t)source->entry_count;
    close_folder(source);
    return err;
}

/* ---- opening ---- */

static enum cf_err take_name(struct cf_source *source, const char *name, struct cf_detail *detail)
{
    struct cf_str album, path;
    if (strcmp(name, "-") == 0) {
        if (source->endless)
            return cf_fail(detail, CF_E_INVALID, "standard input can be read only once");
        source->endless = true;
        return CF_OK;
    }
    if (is_folder(name))
        return count_folder(source, name, detail);
    if (!cf_source_split(cf_str(name), &album, &path))
        return cf_fail(detail, CF_E_INVALID, "\"%.200s\" is neither ALBUM=FILE nor a folder nor -", name);
    source->total++;
    return CF_OK;
}

static enum cf_err count_rows(struct cf_source *source, const char *path, struct cf_detail *detail)
{
    struct cf_str line;
    bool end = false;
    size_t rows = 0;
    cf_lines_init(&source->table->lines, source->table_file, path);
    for (; !end; rows++) {
        /* A line that is wrong is a cover that will be refused. */
        enum cf_err err = cf_lines_next(&source->table->lines, &line, &end, detail);
        if (err == CF_E_IO)
            return err;
        if (err)
            end = false;
    }
    source->total += rows > 2 ? rows - 2 : 0;
    rewind(source->table_file);
    return CF_OK;
}

static enum cf_err open_table(struct cf_source *source, const char *path, const char *root,
                              struct cf_detail *detail)
{
    static const char *const required[] = {"album", "cover", NULL};
    struct stat status;
    source->table = malloc(sizeof *source->table);
    source->root = strdup(root ? root : path);
    if (!source->table || !source->root)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!root) {
        char *folder = dirname(source->root);
        memmove(source->root, folder, strlen(folder) + 1);
    }
    source->table_file = fopen(path, "re");
    if (!source->table_file || fstat(fileno(source->table_file), &status) != 0)
        return cf_fail_errno(detail, path);
    enum cf_err err = CF_OK;
    if (S_ISREG(status.st_mode))
        err = count_rows(source, path, detail);
    else
        source->endless = true;
    if (!err)
        err = cf_table_init(source->table, source->table_file, path, required, detail);
    if (err)
        return err;
    source->album_column = cf_table_column(source->table, "album");
    source->cover_column = cf_table_column(source->table, "cover");
    return CF_OK;
}

enum cf_err cf_source_new(struct cf_source **source, const char *const *names, size_t name_count,
                          const char *table, const char *root, struct cf_detail *detail)
{
    struct cf_source *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    made->names = names;
    made->name_count = name_count;
    made->seen = cf_seen_new();
    enum cf_err err = made->seen ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < name_count && !err; i++)
        err = take_name(made, names[i], detail);
    if (!err && table)
        err = open_table(made, table, root, detail);
    if (err) {
        cf_source_free(made);
        return err;
    }
    *source = made;
    return CF_OK;
}

enum cf_err cf_source_new_of(struct cf_source **source, const struct cf_source_ops *ops, void *arg,
                             struct cf_detail *detail)
{
    struct cf_source *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    made->ops = ops;
    made->arg = arg;
    *source = made;
    return CF_OK;
}

void cf_source_free(struct cf_source *source)
{
    if (!source)
        return;
    close_folder(source);
    cf_seen_free(source->seen);
    if (source->table_file)
        fclose(source->table_file);
    free(source->table);
    free(source->root);
    free(source->lines);
    free(source);
}

void cf_source_once(struct cf_source *source)
{
    source->once = true;
}

uint64_t cf_source_total(const struct cf_source *source)
{
    if (source->ops)
        return source->ops->total(source->arg);
    return source->endless ? 0 : source->total;
}

uint64_t cf_source_passed_over(const struct cf_source *source)
{
    return source->passed_over;
}

/* ---- reading ---- */

/* "FOLDER/NAME" in the arena; NULL when memory is short. */
static const char *join(struct cf_arena *arena, const char *folder, struct cf_str name)
{
    size_t folder_len = name.len > 0 && name.data[0] == '/' ? 0 : strlen(folder);
    char *path = cf_arena_alloc(arena, folder_len + name.len + 2, 1);
    if (path && folder_len > 0)
        snprintf(path, folder_len + name.len + 2, "%s/%.*s", folder, CF_STR_ARG(name));
    else if (path)
        memcpy(path, name.data, name.len);
    return path;
}

/* Copies; a cover whose copy failed for want of memory has no path. */
static void fill(struct cf_arena *arena, struct cf_cover *cover, struct cf_str album, const char *folder,
                 struct cf_str path)
{
    cover->album = cf_arena_str(arena, album);
    cover->path = cover->album.data ? join(arena, folder, path) : NULL;
}

/* A cover that has an error stays what it is. */
static enum cf_err see(struct cf_source *source, struct cf_cover *cover)
{
    const char *earlier;
    if (cover->err || !cover->path)
        return CF_OK;
    enum cf_err err = cf_seen_add(source->seen, cover->album, cover->path, &earlier);
    if (!err && earlier)
        cover->err = cf_fail(
            &cover->detail, CF_E_INVALID, "album \"%.*s\" is both %.100s and %.100s: rename or leave out one",
            (int)(cover->album.len < 60 ? cover->album.len : 60), cover->album.data, earlier, cover->path);
    return err;
}

static enum cf_err next_entry(struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                              bool *found)
{
    while (source->entry_at < source->entry_count) {
        const char *name = source->entries[source->entry_at++]->d_name;
        fill(arena, cover, cf_source_album_of(name), source->folder, cf_str(name));
        struct stat status;
        /* What is there but no file (a link to a folder, a socket) is nobody's cover. */
        *found = !cover->path || stat(cover->path, &status) != 0 || S_ISREG(status.st_mode);
        if (*found)
            return source->once ? CF_OK : see(source, cover);
    }
    close_folder(source);
    return CF_OK;
}

static enum cf_err next_line(struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                             bool *end, struct cf_detail *detail)
{
    struct cf_str line, album, path;
    enum cf_err err = cf_lines_next(source->lines, &line, end, detail);
    if (err == CF_E_IO)
        return err;
    if (!err && *end) {
        free(source->lines);
        source->lines = NULL;
        return CF_OK;
    }
    *end = false;
    cover->album = (struct cf_str){"", 0};
    cover->path = "";
    if (err) {
        cover->err = err;
        cover->detail = *detail;
    } else if (cf_source_split(line, &album, &path)) {
        fill(arena, cover, album, "", path);
    } else {
        cover->err =
            cf_fail(&cover->detail, CF_E_INVALID, "%s:%zu: a line must be ALBUM=FILE or ALBUM, a tab, FILE",
                    source->lines->name, source->lines->number);
    }
    return CF_OK;
}

static enum cf_err open_lines(struct cf_source *source, struct cf_detail *detail)
{
    source->lines = malloc(sizeof *source->lines);
    if (!source->lines)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    cf_lines_init(source->lines, stdin, "standard input");
    return CF_OK;
}

/* Every column that is neither album nor cover and has something in it. */
static bool fill_meta(const struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                      const struct cf_str *fields)
{
    cover->meta = cf_arena_alloc(arena, source->table->column_count, sizeof *cover->meta);
    if (!cover->meta)
        return false;
    for (size_t i = 0; i < source->table->column_count; i++) {
        if (i == source->album_column || i == source->cover_column || fields[i].len == 0)
            continue;
        struct cf_pair *pair = &cover->meta[cover->meta_count++];
        *pair =
            (struct cf_pair){cf_arena_str(arena, source->table->columns[i]), cf_arena_str(arena, fields[i])};
        if (!pair->key.data || !pair->value.data)
            return false;
    }
    return true;
}

static enum cf_err next_row(struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                            bool *end, struct cf_detail *detail)
{
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    enum cf_err err = cf_table_next(source->table, fields, end, detail);
    if (err == CF_E_IO || (!err && *end))
        return err;
    *end = false;
    cover->album = (struct cf_str){"", 0};
    cover->path = "";
    if (err) {
        cover->err = err;
        cover->detail = *detail;
        return CF_OK;
    }
    struct cf_str album = fields[source->album_column], path = fields[source->cover_column];
    if (album.len == 0 || path.len == 0) {
        cover->err =
            cf_fail(&cover->detail, CF_E_INVALID, "%.120s:%zu: the row names no %s",
                    source->table->lines.name, source->table->lines.number, album.len ? "cover" : "album");
        cover->album = cf_arena_str(arena, album);
        return CF_OK;
    }
    fill(arena, cover, album, source->root, path);
    if (!fill_meta(source, arena, cover, fields))
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    return CF_OK;
}

/* The next cover of the names; `*found` is false when they have no more. */
static enum cf_err next_named(struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                              bool *found, struct cf_detail *detail)
{
    *found = false;
    while (!*found) {
        enum cf_err err = CF_OK;
        bool end = false;
        if (source->lines) {
            err = next_line(source, arena, cover, &end, detail);
            *found = !end;
        } else if (source->folder) {
            err = next_entry(source, arena, cover, found);
        } else if (source->name_at == source->name_count) {
            return CF_OK;
        } else {
            const char *name = source->names[source->name_at++];
            struct cf_str album, path;
            if (strcmp(name, "-") == 0)
                err = open_lines(source, detail);
            else if (is_folder(name))
                err = open_folder(source, name, NULL, detail);
            else if ((*found = cf_source_split(cf_str(name), &album, &path)))
                fill(arena, cover, album, "", path);
        }
        if (err)
            return err;
    }
    return CF_OK;
}

enum cf_err cf_source_next(struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                           bool *end, struct cf_detail *detail)
{
    *cover = (struct cf_cover){.err = CF_OK};
    if (source->ops)
        return source->ops->next(source->arg, arena, cover, end, detail);
    bool found = false;
    enum cf_err err = next_named(source, arena, cover, &found, detail);
    *end = !found;
    if (!err && !found && source->table)
        err = next_row(source, arena, cover, end, detail);
    if (!err && !*end && source->once)
        err = see(source, cover);
    if (err == CF_E_NO_MEMORY || (!err && !*end && !cover->path))
        err = cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    return err;
}
