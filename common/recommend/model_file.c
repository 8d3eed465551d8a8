/* The file of a model, little-endian:
 *
 *     "cfmodel\n", u32 version, kind, factors, users, albums, parts;  ids of users, then of albums (u32
 * length, bytes); u8 known a user, u8 known an album;  then the parts that are there, in this order: factors
 * of users, of albums (float32), biases of albums (float32), item_item: similar albums and histories, each
 * u64 [rows + 1] first, u32 columns, float32 values; u64 XXH3 of everything before it.
 *
 * Numbers are those of the file; loading gives everything its place among the names of the run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/recommend/model_inside.h"

#define MAGIC "cfmodel\n"
enum { VERSION = 2, PART_FACTORS = 1, PART_BIASES = 2, PART_LISTS = 4 };
#define FILE_BYTES_MAX ((size_t)1 << 36)

/* ---- saving ---- */

static void put_names(struct cf_buf *out, const struct cf_names *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cf_buf_str(out, cf_names_at(names, i));
}

static void put_matrix(struct cf_buf *out, const struct cf_matrix *m)
{
    cf_buf_append(out, m->first, ((size_t)m->row_count + 1) * sizeof *m->first);
    cf_buf_append(out, m->columns, cf_matrix_nonzeros(m) * sizeof *m->columns);
    cf_buf_append(out, m->values, cf_matrix_nonzeros(m) * sizeof *m->values);
}

/* What a kind's file holds. */
static uint32_t parts_of(uint32_t kind)
{
    static const uint32_t parts[CF_MODEL_KIND_COUNT] = {
        [CF_MODEL_POPULARITY] = PART_BIASES,
        [CF_MODEL_ITEM_ITEM] = PART_LISTS,
        [CF_MODEL_KOREN] = PART_FACTORS,
        [CF_MODEL_VECTOR_EXP] = PART_FACTORS | PART_BIASES,
        [CF_MODEL_RNN] = PART_FACTORS | PART_BIASES,
    };
    return parts[kind];
}

static void put_model(struct cf_buf *out, const struct cf_model *m, const struct cf_names *users,
                      const struct cf_names *albums)
{
    const uint32_t words[] = {VERSION, m->kind, m->factors, m->user_count, m->album_count, parts_of(m->kind)};
    cf_buf_append(out, MAGIC, 8);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cf_buf_u32(out, words[i]);
    put_names(out, users, m->user_count);
    put_names(out, albums, m->album_count);
    cf_buf_append(out, m->user_known, m->user_count);
    cf_buf_append(out, m->album_known, m->album_count);
    if (m->factors) {
        cf_buf_append(out, m->user_factors, (size_t)m->user_count * m->factors * sizeof(float));
        cf_buf_append(out, m->album_factors, (size_t)m->album_count * m->factors * sizeof(float));
    }
    if (m->album_biases)
        cf_buf_append(out, m->album_biases, m->album_count * sizeof(float));
    if (m->kind == CF_MODEL_ITEM_ITEM) {
        put_matrix(out, &m->similar);
        put_matrix(out, &m->history);
    }
    cf_buf_u64(out, cf_xxh3(cf_buf_bytes(out)));
}

enum cf_err cf_model_save(const struct cf_model *model, const struct cf_names *users,
                          const struct cf_names *albums, const char *path, struct cf_detail *detail)
{
    struct cf_buf out;
    cf_buf_init(&out);
    put_model(&out, model, users, albums);
    enum cf_err err = cf_buf_ok(&out)
                          ? cf_file_publish(path, cf_buf_bytes(&out), detail)
                          : cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to write it", path);
    cf_buf_fini(&out);
    return err;
}

/* ---- loading ---- */

struct loading {
    const char *path;
    struct cf_cursor in;
    struct cf_model *saved; /* numbers of the file; its arrays are copies */
    uint32_t parts;
    uint32_t *user_numbers, *album_numbers; /* from the file's to the run's */
    struct cf_detail *detail;
};

static enum cf_err corrupt(const struct loading *l, const char *what)
{
    return cf_fail(l->detail, CF_E_CORRUPT, "%.200s: %s: train the model again", l->path, what);
}

static enum cf_err no_memory(const struct loading *l)
{
    return cf_fail(l->detail, CF_E_NO_MEMORY, "%.200s: no memory to load it", l->path);
}

static enum cf_err take_header(struct loading *l, struct cf_bytes file)
{
    uint64_t sum = 0;
    if (file.len < 8 + sizeof sum || memcmp(file.data, MAGIC, 8) != 0)
        return corrupt(l, "this is no model of coverfleet");
    memcpy(&sum, file.data + file.len - sizeof sum, sizeof sum);
    if (cf_xxh3((struct cf_bytes){file.data, file.len - sizeof sum}) != sum)
        return corrupt(l, "its checksum is wrong");
    l->in = cf_cursor((struct cf_bytes){file.data + 8, file.len - 8 - sizeof sum});
    uint32_t version = cf_cursor_u32(&l->in), kind = cf_cursor_u32(&l->in);
    if (!cf_cursor_ok(&l->in))
        return corrupt(l, "it was cut short");
    if (version != VERSION)
        return cf_fail(l->detail, CF_E_BAD_VERSION, "%.200s: a model file of version %u: %d is wanted",
                       l->path, version, VERSION);
    l->saved->kind = (enum cf_model_kind)kind;
    l->saved->factors = cf_cursor_u32(&l->in);
    l->saved->user_count = cf_cursor_u32(&l->in);
    l->saved->album_count = cf_cursor_u32(&l->in);
    l->parts = cf_cursor_u32(&l->in);
    if (kind >= CF_MODEL_KIND_COUNT || l->parts != parts_of(kind) ||
        !(l->parts & PART_FACTORS) != !l->saved->factors || l->saved->factors > CF_MODEL_FACTORS_MAX ||
        l->saved->user_count > cf_cursor_left(&l->in) || l->saved->album_count > cf_cursor_left(&l->in))
        return corrupt(l, "its header makes no sense");
    return CF_OK;
}

/* Rows of two that are one would be lost. */
static enum cf_err check_names(const struct loading *l, const struct cf_names *names, const uint32_t *numbers,
                               uint32_t count)
{
    uint8_t *taken = calloc((size_t)cf_names_count(names) + 1, 1);
    enum cf_err err = taken ? CF_OK : no_memory(l);
    for (uint32_t i = 0; i < count && !err; i++)
        if (taken[numbers[i]]++)
            err = corrupt(l, "an id is in it twice");
    free(taken);
    return err;
}

static enum cf_err take_names(struct loading *l, struct cf_names *names, uint32_t count, uint32_t **numbers)
{
    *numbers = calloc((size_t)count + 1, sizeof **numbers);
    if (!*numbers)
        return no_memory(l);
    for (uint32_t i = 0; i < count; i++) {
        struct cf_str id = cf_cursor_str(&l->in);
        if (!cf_cursor_ok(&l->in))
            return corrupt(l, "it was cut short");
        (*numbers)[i] = cf_names_number(names, id, true);
        if ((*numbers)[i] == CF_NO_NUMBER)
            return no_memory(l);
    }
    return check_names(l, names, *numbers, count);
}

/* A copy of the next `count` items, aligned. */
static enum cf_err take_array(struct loading *l, size_t count, size_t size, void *out)
{
    void *copy = NULL;
    struct cf_bytes bytes = {0};
    if (count <= cf_cursor_left(&l->in) / size)
        bytes = cf_cursor_bytes(&l->in, count * size);
    else
        return corrupt(l, "it was cut short");
    copy = malloc(bytes.len + 1);
    if (!copy)
        return no_memory(l);
    memcpy(copy, bytes.data, bytes.len);
    memcpy(out, &copy, sizeof copy);
    return CF_OK;
}

static enum cf_err take_floats(struct loading *l, size_t count, float **out)
{
    enum cf_err err = take_array(l, count, sizeof **out, out);
    for (size_t i = 0; i < count && !err; i++)
        if (!isfinite((*out)[i]))
            err = corrupt(l, "a number in it is not finite");
    return err;
}

static enum cf_err take_matrix(struct loading *l, uint32_t rows, uint32_t columns, struct cf_matrix *m)
{
    m->row_count = rows;
    m->column_count = columns;
    enum cf_err err = take_array(l, (size_t)rows + 1, sizeof *m->first, &m->first);
    for (uint32_t i = 0; i <= rows && !err; i++)
        if (m->first[i] < (i ? m->first[i - 1] : 0) || m->first[i] > cf_cursor_left(&l->in) ||
            (i == 0 && m->first[0]))
            err = corrupt(l, "a table in it makes no sense");
    if (!err)
        err = take_array(l, cf_matrix_nonzeros(m), sizeof *m->columns, &m->columns);
    if (!err)
        err = take_floats(l, cf_matrix_nonzeros(m), &m->values);
    for (uint64_t i = 0; !err && i < cf_matrix_nonzeros(m); i++)
        if (m->columns[i] >= columns)
            err = corrupt(l, "a table in it makes no sense");
    return err;
}

static enum cf_err take_parts(struct loading *l)
{
    struct cf_model *m = l->saved;
    enum cf_err err = take_array(l, m->user_count, 1, &m->user_known);
    if (!err)
        err = take_array(l, m->album_count, 1, &m->album_known);
    if (!err && m->factors)
        err = take_floats(l, (size_t)m->user_count * m->factors, &m->user_factors);
    if (!err && m->factors)
        err = take_floats(l, (size_t)m->album_count * m->factors, &m->album_factors);
    if (!err && (l->parts & PART_BIASES))
        err = take_floats(l, m->album_count, &m->album_biases);
    if (!err && (l->parts & PART_LISTS))
        err = take_matrix(l, m->album_count, m->album_count, &m->similar);
    if (!err && (l->parts & PART_LISTS))
        err = take_matrix(l, m->user_count, m->album_count, &m->history);
    if (!err && cf_cursor_left(&l->in))
        err = corrupt(l, "something follows its end");
    return err;
}

/* ---- from the file's numbers to the run's ---- */

static bool move_rows(const void *from, uint32_t count, size_t row_bytes, const uint32_t *numbers,
                      uint32_t room, void *out)
{
    uint8_t *to = calloc((size_t)room + 1, row_bytes);
    for (uint32_t i = 0; to && i < count; i++)
        memcpy(to + (size_t)numbers[i] * row_bytes, (const uint8_t *)from + (size_t)i * row_bytes, row_bytes);
    memcpy(out, &to, sizeof to);
    return to;
}

static bool move_matrix(const struct cf_matrix *from, const uint32_t *rows, const uint32_t *columns,
                        uint32_t row_room, uint32_t column_room, struct cf_matrix *to)
{
    uint64_t nonzeros = cf_matrix_nonzeros(from);
    *to = (struct cf_matrix){.row_count = row_room, .column_count = column_room};
    to->first = calloc((size_t)row_room + 2, sizeof *to->first);
    to->columns = calloc(nonzeros + 1, sizeof *to->columns);
    to->values = calloc(nonzeros + 1, sizeof *to->values);
    if (!to->first || !to->columns || !to->values)
        return false;
    for (uint32_t i = 0; i < from->row_count; i++)
        to->first[rows[i] + 2] = from->first[i + 1] - from->first[i];
    for (uint32_t i = 2; i <= row_room; i++)
        to->first[i] += to->first[i - 1];
    for (uint32_t i = 0; i < from->row_count; i++)
        for (uint64_t at = from->first[i]; at < from->first[i + 1]; at++) {
            uint64_t place = to->first[rows[i] + 1]++;
            to->columns[place] = columns[from->columns[at]];
            to->values[place] = from->values[at];
        }
    return true;
}

static bool move_all(const struct loading *l, struct cf_model *m)
{
    const struct cf_model *s = l->saved;
    size_t factors = s->factors * sizeof(float);
    bool complete =
        move_rows(s->user_known, s->user_count, 1, l->user_numbers, m->user_count, &m->user_known) &&
        move_rows(s->album_known, s->album_count, 1, l->album_numbers, m->album_count, &m->album_known);
    if (complete && factors)
        complete = move_rows(s->user_factors, s->user_count, factors, l->user_numbers, m->user_count,
                             &m->user_factors) &&
                   move_rows(s->album_factors, s->album_count, factors, l->album_numbers, m->album_count,
                             &m->album_factors);
    if (complete && s->album_biases)
        complete = move_rows(s->album_biases, s->album_count, sizeof(float), l->album_numbers, m->album_count,
                             &m->album_biases);
    if (complete && s->kind == CF_MODEL_ITEM_ITEM)
        complete = move_matrix(&s->similar, l->album_numbers, l->album_numbers, m->album_count,
                               m->album_count, &m->similar) &&
                   move_matrix(&s->history, l->user_numbers, l->album_numbers, m->user_count, m->album_count,
                               &m->history);
    return complete;
}

static enum cf_err load(struct loading *l, struct cf_bytes file, struct cf_names *users,
                        struct cf_names *albums, struct cf_model *model)
{
    enum cf_err err = take_header(l, file);
    if (!err)
        err = take_names(l, users, l->saved->user_count, &l->user_numbers);
    if (!err)
        err = take_names(l, albums, l->saved->album_count, &l->album_numbers);
    if (!err)
        err = take_parts(l);
    if (err)
        return err;
    model->kind = l->saved->kind;
    model->factors = l->saved->factors;
    model->user_count = cf_names_count(users);
    model->album_count = cf_names_count(albums);
    return move_all(l, model) ? CF_OK : no_memory(l);
}

enum cf_err cf_model_load(const char *path, struct cf_names *users, struct cf_names *albums,
                          struct cf_model **out, struct cf_detail *detail)
{
    struct cf_buf file;
    struct loading l = {.path = path, .saved = calloc(1, sizeof *l.saved), .detail = detail};
    struct cf_model *model = calloc(1, sizeof *model);
    cf_buf_init(&file);
    enum cf_err err = l.saved && model ? cf_file_read(path, FILE_BYTES_MAX, &file, detail) : no_memory(&l);
    if (!err)
        err = load(&l, cf_buf_bytes(&file), users, albums, model);
    cf_buf_fini(&file);
    cf_model_free(l.saved);
    free(l.user_numbers);
    free(l.album_numbers);
    if (err)
        cf_model_free(model);
    else
        *out = model;
    return err;
}
