#include "common/recommend/table.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { COLUMNS_MAX = 64, PROGRESS_LINES = 65536, ID_BYTES_MAX = 255 };

/* The columns that a table may have, by its own numbers. */
struct column {
    const char *name;
    bool required;
};

/* A table while it is read, a line at a time. */
struct reader {
    const char *path;
    FILE *file;
    char *line;
    size_t line_room, number; /* of the line, from 1 */
    uint64_t done, all;
    size_t field_count;
    struct cf_str fields[COLUMNS_MAX];
    int places[COLUMNS_MAX]; /* by column: its field, or -1 */
    size_t column_count;
    struct cf_names *users, *albums;
    cf_table_progress *progress;
    void *progress_arg;
    struct cf_detail *detail;
};

static enum cf_err wrong(const struct reader *r, const char *what, struct cf_str value)
{
    int len = (int)(value.len < 60 ? value.len : 60);
    return cf_fail(r->detail, CF_E_INVALID, "%.160s:%zu: %s%s%.*s%s", r->path, r->number, what,
                   len ? ": \"" : "", len, len ? value.data : "", len ? "\"" : "");
}

static enum cf_err no_memory(const struct reader *r)
{
    return cf_fail(r->detail, CF_E_NO_MEMORY, "%.200s:%zu: out of memory", r->path, r->number);
}

/* The next line without its end; CF_E_NOT_FOUND at the end of the file. */
static enum cf_err next_line(struct reader *r)
{
    errno = 0;
    ssize_t len = getline(&r->line, &r->line_room, r->file);
    if (len < 0)
        return ferror(r->file) || errno == ENOMEM ? cf_fail_errno(r->detail, r->path) : CF_E_NOT_FOUND;
    r->number++;
    r->done += (uint64_t)len;
    if (r->progress && r->number % PROGRESS_LINES == 0)
        r->progress(r->progress_arg, r->done, r->all);
    while (len > 0 && (r->line[len - 1] == '\n' || r->line[len - 1] == '\r'))
        r->line[--len] = '\0';
    if (memchr(r->line, '\0', (size_t)len))
        return wrong(r, "a zero byte: this is no text", cf_str(""));
    return CF_OK;
}

static enum cf_err split(struct reader *r)
{
    char *at = r->line;
    for (r->field_count = 0; at; r->field_count++) {
        if (r->field_count == COLUMNS_MAX)
            return wrong(r, "too many columns", cf_str(""));
        char *tab = strchr(at, '\t');
        r->fields[r->field_count] = (struct cf_str){at, tab ? (size_t)(tab - at) : strlen(at)};
        if (tab)
            *tab = '\0'; /* so that numbers end there */
        at = tab ? tab + 1 : NULL;
    }
    return CF_OK;
}

/* The field on the first line with this name: -1 for none, -2 for several. */
static int find_column(const struct reader *r, const char *name)
{
    int place = -1;
    for (size_t f = 0; f < r->field_count; f++)
        if (cf_str_is(r->fields[f], name))
            place = place == -1 ? (int)f : -2;
    return place;
}

static enum cf_err find_columns(struct reader *r, const struct column *columns, size_t count)
{
    r->column_count = count;
    for (size_t c = 0; c < count; c++) {
        r->places[c] = find_column(r, columns[c].name);
        if (r->places[c] == -2)
            return cf_fail(r->detail, CF_E_INVALID, "%.160s:1: there are several columns \"%s\": keep one",
                           r->path, columns[c].name);
        if (r->places[c] < 0 && columns[c].required)
            return cf_fail(r->detail, CF_E_INVALID,
                           "%.160s:1: there is no column \"%s\": the first line must name the columns, "
                           "separated by tabs",
                           r->path, columns[c].name);
    }
    return CF_OK;
}

static enum cf_err reader_open(struct reader *r, const struct column *columns, size_t count)
{
    struct stat info;
    r->file = fopen(r->path, "re");
    if (!r->file || fstat(fileno(r->file), &info) != 0)
        return cf_fail_errno(r->detail, r->path);
    r->all = (uint64_t)info.st_size;
    enum cf_err err = next_line(r);
    if (err == CF_E_NOT_FOUND)
        return cf_fail(r->detail, CF_E_INVALID, "%.200s: the file is empty", r->path);
    if (!err && strncmp(r->line, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        memmove(r->line, r->line + 3, strlen(r->line + 3) + 1);
    if (!err)
        err = split(r);
    return err ? err : find_columns(r, columns, count);
}

static void reader_close(struct reader *r)
{
    if (r->file)
        fclose(r->file);
    free(r->line);
}

/* The field of a column on this line, or nothing. */
static struct cf_str field(const struct reader *r, size_t column)
{
    int place = r->places[column];
    return place >= 0 && (size_t)place < r->field_count ? r->fields[place] : (struct cf_str){0};
}

static enum cf_err number_of(struct reader *r, struct cf_names *names, size_t column, const char *what,
                             uint32_t *out)
{
    struct cf_str id = field(r, column);
    if (id.len == 0 || id.len > ID_BYTES_MAX)
        return wrong(r, what, id);
    *out = cf_names_number(names, id, true);
    return *out == CF_NO_NUMBER ? no_memory(r) : CF_OK;
}

static enum cf_err read_pair(struct reader *r, uint32_t *user, uint32_t *album)
{
    enum cf_err err = number_of(r, r->users, 0, "the user must have 1 to 255 bytes", user);
    return err ? err : number_of(r, r->albums, 1, "the album must have 1 to 255 bytes", album);
}

/* A decimal number and nothing else: no space, no hexadecimal, no name of a number. */
static bool read_real(struct cf_str text, double *value)
{
    char *end = NULL;
    if (text.len == 0 || strspn(text.data, "0123456789+-.eE") != text.len)
        return false;
    *value = strtod(text.data, &end);
    return end == text.data + text.len;
}

/* A time in whole seconds; 0 for none. */
static enum cf_err read_time(struct reader *r, size_t column, uint32_t *out)
{
    struct cf_str text = field(r, column);
    double value = 0;
    *out = 0;
    if (text.len == 0)
        return CF_OK;
    if (!read_real(text, &value) || !(value >= 0 && value < (double)UINT32_MAX))
        return wrong(r, "the time must be seconds since 1970", text);
    *out = (uint32_t)value;
    return CF_OK;
}

/* Doubles the room of an array; false when memory is short. */
static bool grow(void **items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    size_t wanted = *room ? 2 * *room : 4096;
    void *larger = realloc(*items, wanted * size);
    if (!larger)
        return false;
    *items = larger;
    *room = wanted;
    return true;
}

/* ---- listens ---- */

enum { LISTEN_USER, LISTEN_ALBUM, LISTEN_COUNT, LISTEN_TIME, LISTEN_COLUMNS };
static const struct column listen_columns[LISTEN_COLUMNS] = {
    {"user", true}, {"album", true}, {"count", false}, {"time", false}};

static enum cf_err read_listen(struct reader *r, struct cf_listen *listen)
{
    enum cf_err err = read_pair(r, &listen->user, &listen->album);
    struct cf_str count = field(r, LISTEN_COUNT);
    double value = 0;
    listen->count = 1;
    if (err)
        return err;
    if (r->places[LISTEN_COUNT] >= 0) {
        if (!read_real(count, &value) || !(value >= (double)FLT_MIN))
            return wrong(r, "the count must be a number above 0", count);
        if (value > (double)FLT_MAX || (float)value > CF_LISTEN_COUNT_MAX)
            return wrong(r, "the count must be at most 1e12", count);
        listen->count = (float)value;
    }
    return read_time(r, LISTEN_TIME, &listen->time);
}

/* By user, then by time; what is equal in both stays as it was. */
static int compare_listens(const void *a, const void *b)
{
    const struct cf_listen *x = a, *y = b;
    if (x->user != y->user)
        return x->user < y->user ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return 0;
}

/* A merge sort, since qsort promises nothing about equals. */
static bool sort_listens(struct cf_listens *listens)
{
    struct cf_listen *from = listens->items, *to = malloc((listens->count + 1) * sizeof *to);
    size_t n = listens->count;
    if (!to)
        return false;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t begin = 0; begin < n; begin += 2 * width) {
            size_t a = begin, middle = begin + width < n ? begin + width : n, b = middle;
            size_t end = middle + width < n ? middle + width : n;
            for (size_t i = begin; i < end; i++)
                to[i] = a < middle && (b == end || compare_listens(&from[a], &from[b]) <= 0) ? from[a++]
                                                                                             : from[b++];
        }
        struct cf_listen *turned = from;
        from = to;
        to = turned;
    }
    listens->items = from;
    free(to);
    return true;
}

static enum cf_err read_listens(struct reader *r, struct cf_listens *listens)
{
    size_t room = 0;
    enum cf_err err = reader_open(r, listen_columns, LISTEN_COLUMNS);
    if (err)
        return err;
    listens->has_times = r->places[LISTEN_TIME] >= 0;
    while (!err && (err = next_line(r)) == CF_OK) {
        void *items = listens->items;
        if (r->line[0] == '\0')
            continue;
        if (!grow(&items, listens->count, &room, sizeof *listens->items))
            return no_memory(r);
        listens->items = items;
        err = split(r);
        if (!err)
            err = read_listen(r, &listens->items[listens->count]);
        listens->count += !err;
    }
    if (err != CF_E_NOT_FOUND)
        return err;
    if (listens->count == 0)
        return cf_fail(r->detail, CF_E_INVALID,
                       "%.200s: there are no listens in it, only the names of columns", r->path);
    return sort_listens(listens) ? CF_OK : no_memory(r);
}

enum cf_err cf_listens_read(const char *path, struct cf_names *users, struct cf_names *albums,
                            struct cf_listens *listens, cf_table_progress *progress, void *arg,
                            struct cf_detail *detail)
{
    struct reader reader = {.path = path,
                            .users = users,
                            .albums = albums,
                            .progress = progress,
                            .progress_arg = arg,
                            .detail = detail};
    *listens = (struct cf_listens){0};
    enum cf_err err = read_listens(&reader, listens);
    reader_close(&reader);
    if (err)
        cf_listens_fini(listens);
    return err;
}

void cf_listens_fini(struct cf_listens *listens)
{
    free(listens->items);
    *listens = (struct cf_listens){0};
}

/* ---- thumbs ---- */

enum { THUMB_USER, THUMB_ALBUM, THUMB_THUMB, THUMB_SEED, THUMB_TIME, THUMB_COLUMNS };
static const struct column thumb_columns[THUMB_COLUMNS] = {
    {"user", true}, {"album", true}, {"thumb", true}, {"seed", false}, {"time", false}};

static enum cf_err read_thumb(struct reader *r, struct cf_thumb *thumb)
{
    struct cf_str sign = field(r, THUMB_THUMB);
    enum cf_err err = read_pair(r, &thumb->user, &thumb->album);
    if (err)
        return err;
    thumb->up = cf_str_is(sign, "+1") || cf_str_is(sign, "1");
    if (!thumb->up && !cf_str_is(sign, "-1"))
        return wrong(r, "the thumb must be +1 or -1", sign.len ? sign : cf_str("nothing"));
    thumb->seed = CF_NO_NUMBER;
    if (field(r, THUMB_SEED).len)
        err = number_of(r, r->albums, THUMB_SEED, "the seed must have 1 to 255 bytes", &thumb->seed);
    return err ? err : read_time(r, THUMB_TIME, &thumb->time);
}

/* A thumb with its line, to find pairs that come twice. */
struct numbered {
    struct cf_thumb thumb;
    size_t line;
};

static int compare_pairs(const struct cf_thumb *x, const struct cf_thumb *y)
{
    const uint32_t left[] = {x->user, x->album, x->seed}, right[] = {y->user, y->album, y->seed};
    for (int i = 0; i < 3; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

static int compare_thumbs(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    int order = compare_pairs(&x->thumb, &y->thumb);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int compare_lines(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

/* Of a pair that comes more than once the last line counts. Returns how many are left, in the order of the
 * file. */
static size_t keep_last(struct numbered *numbered, size_t count)
{
    size_t kept = 0;
    qsort(numbered, count, sizeof *numbered, compare_thumbs);
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || compare_pairs(&numbered[i].thumb, &numbered[i + 1].thumb) != 0)
            numbered[kept++] = numbered[i];
    qsort(numbered, kept, sizeof *numbered, compare_lines);
    return kept;
}

static enum cf_err read_numbered(struct reader *r, struct numbered **numbered, size_t *count)
{
    size_t room = 0;
    enum cf_err err = reader_open(r, thumb_columns, THUMB_COLUMNS);
    if (err)
        return err;
    while (!err && (err = next_line(r)) == CF_OK) {
        void *items = *numbered;
        if (r->line[0] == '\0')
            continue;
        if (!grow(&items, *count, &room, sizeof **numbered))
            return no_memory(r);
        *numbered = items;
        err = split(r);
        if (!err)
            err = read_thumb(r, &(*numbered)[*count].thumb);
        (*numbered)[*count].line = r->number;
        *count += !err;
    }
    return err == CF_E_NOT_FOUND ? CF_OK : err;
}

static enum cf_err read_thumbs(struct reader *r, struct cf_thumbs *thumbs)
{
    struct numbered *numbered = NULL;
    size_t count = 0;
    enum cf_err err = read_numbered(r, &numbered, &count);
    if (!err && count == 0)
        err = cf_fail(r->detail, CF_E_INVALID, "%.200s: there are no thumbs in it, only the names of columns",
                      r->path);
    if (!err && !(thumbs->items = calloc(count, sizeof *thumbs->items)))
        err = no_memory(r);
    size_t kept = err ? 0 : keep_last(numbered, count);
    for (size_t i = 0; i < kept; i++)
        thumbs->items[thumbs->count++] = numbered[i].thumb;
    thumbs->replaced = count - kept;
    thumbs->has_times = !err && r->places[THUMB_TIME] >= 0;
    free(numbered);
    return err;
}

enum cf_err cf_thumbs_read(const char *path, struct cf_names *users, struct cf_names *albums,
                           struct cf_thumbs *thumbs, cf_table_progress *progress, void *arg,
                           struct cf_detail *detail)
{
    struct reader reader = {.path = path,
                            .users = users,
                            .albums = albums,
                            .progress = progress,
                            .progress_arg = arg,
                            .detail = detail};
    *thumbs = (struct cf_thumbs){0};
    enum cf_err err = read_thumbs(&reader, thumbs);
    reader_close(&reader);
    if (err)
        cf_thumbs_fini(thumbs);
    return err;
}

void cf_thumbs_fini(struct cf_thumbs *thumbs)
{
    free(thumbs->items);
    *thumbs = (struct cf_thumbs){0};
}
