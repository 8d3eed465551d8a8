#include "common/recommend/matrix.h"

#include <stdlib.h>

static enum cf_err allocate(struct cf_matrix *m, uint32_t rows, uint32_t columns, size_t nonzeros,
                            struct cf_detail *detail)
{
    *m = (struct cf_matrix){.row_count = rows, .column_count = columns};
    m->first = calloc((size_t)rows + 2, sizeof *m->first);
    m->columns = calloc(nonzeros + 1, sizeof *m->columns);
    m->values = calloc(nonzeros + 1, sizeof *m->values);
    if (m->first && m->columns && m->values)
        return CF_OK;
    cf_matrix_fini(m);
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %zu listens", nonzeros);
}

void cf_matrix_fini(struct cf_matrix *m)
{
    free(m->first);
    free(m->columns);
    free(m->values);
    *m = (struct cf_matrix){0};
}

struct cell {
    uint32_t column;
    float value;
};

static int compare_cells(const void *a, const void *b)
{
    const struct cell *x = a, *y = b;
    return (x->column > y->column) - (x->column < y->column);
}

/* One user's listens, which lie together, as a row: ascending, each album once. */
static void add_row(struct cf_matrix *m, uint32_t row, const struct cf_listen *listens, size_t count,
                    struct cell *cells)
{
    uint64_t at = m->first[row];
    for (size_t i = 0; i < count; i++)
        cells[i] = (struct cell){listens[i].album, listens[i].count};
    qsort(cells, count, sizeof *cells, compare_cells);
    for (size_t i = 0; i < count; i++) {
        bool again = at > m->first[row] && m->columns[at - 1] == cells[i].column;
        at += !again;
        m->columns[at - 1] = cells[i].column;
        m->values[at - 1] = again ? m->values[at - 1] + cells[i].value : cells[i].value;
    }
    m->first[row + 1] = at;
}

static size_t longest_run(const struct cf_listens *listens)
{
    size_t longest = 0, begin = 0;
    for (size_t i = 0; i < listens->count; i++) {
        begin = listens->items[i].user == listens->items[begin].user ? begin : i;
        longest = i + 1 - begin > longest ? i + 1 - begin : longest;
    }
    return longest;
}

enum cf_err cf_matrix_of(const struct cf_listens *listens, uint32_t user_count, uint32_t album_count,
                         struct cf_matrix *m, struct cf_detail *detail)
{
    enum cf_err err = allocate(m, user_count, album_count, listens->count, detail);
    struct cell *cells = malloc((longest_run(listens) + 1) * sizeof *cells);
    size_t at = 0;
    if (!err && !cells) {
        cf_matrix_fini(m);
        err = cf_fail(detail, CF_E_NO_MEMORY, "no memory for %zu listens", listens->count);
    }
    for (uint32_t user = 0; user < user_count && !err; user++) {
        size_t begin = at;
        while (at < listens->count && listens->items[at].user == user)
            at++;
        add_row(m, user, listens->items + begin, at - begin, cells);
    }
    free(cells);
    return err;
}

/* As listens of count 1 or -1, in order of users. */
static void order_thumbs(const struct cf_thumbs *thumbs, uint32_t user_count, size_t *next,
                         struct cf_listen *out)
{
    for (size_t i = 0; i < thumbs->count; i++)
        next[thumbs->items[i].user + 1]++;
    for (uint32_t user = 0; user < user_count; user++)
        next[user + 1] += next[user];
    for (size_t i = 0; i < thumbs->count; i++) {
        const struct cf_thumb *t = &thumbs->items[i];
        out[next[t->user]++] =
            (struct cf_listen){.user = t->user, .album = t->album, .count = t->up ? 1 : -1, .time = t->time};
    }
}

enum cf_err cf_matrix_of_thumbs(const struct cf_thumbs *thumbs, uint32_t user_count, uint32_t album_count,
                                struct cf_matrix *m, struct cf_detail *detail)
{
    struct cf_listens listens = {.items = calloc(thumbs->count + 1, sizeof *listens.items),
                                 .count = thumbs->count};
    size_t *next = calloc((size_t)user_count + 2, sizeof *next);
    enum cf_err err = CF_OK;
    if (!listens.items || !next) {
        err = cf_fail(detail, CF_E_NO_MEMORY, "no memory for %zu thumbs", thumbs->count);
    } else {
        order_thumbs(thumbs, user_count, next, listens.items);
        err = cf_matrix_of(&listens, user_count, album_count, m, detail);
    }
    free(listens.items);
    free(next);
    return err;
}

enum cf_err cf_matrix_transpose(const struct cf_matrix *m, struct cf_matrix *out, struct cf_detail *detail)
{
    enum cf_err err = allocate(out, m->column_count, m->row_count, cf_matrix_nonzeros(m), detail);
    if (err)
        return err;
    /* A counting sort: first[column + 2] counts, then first[column + 1] is where the column's next entry
     * goes. */
    for (uint64_t i = 0; i < cf_matrix_nonzeros(m); i++)
        out->first[m->columns[i] + 2]++;
    for (uint32_t column = 2; column <= out->row_count; column++)
        out->first[column] += out->first[column - 1];
    for (uint32_t row = 0; row < m->row_count; row++)
        for (uint64_t i = m->first[row]; i < m->first[row + 1]; i++) {
            uint64_t to = out->first[m->columns[i] + 1]++;
            out->columns[to] = row;
            out->values[to] = m->values[i];
        }
    return CF_OK;
}
