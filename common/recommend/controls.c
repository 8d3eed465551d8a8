/* What any model of listening has to beat: popularity, and albums with the same listeners. */
#include <math.h>
#include <stdlib.h>

#include "common/recommend/model_inside.h"

enum { ALBUMS_A_PIECE = 64 };
#define PRIOR 5.0 /* thumbs of the average album that each begins with */

static int sign_of(float value)
{
    return (value > 0) - (value < 0);
}

/* Of all listens and thumbs, those above 0 and below. */
static void count_signs(const struct cf_matrix *m, uint64_t begin, uint64_t end, double *ups, double *downs)
{
    *ups = *downs = 0;
    for (uint64_t i = begin; i < end; i++) {
        *ups += m->values[i] > 0;
        *downs += m->values[i] < 0;
    }
}

enum cf_err cf_train_popularity(const struct cf_training *training, const struct cf_model_options *options,
                                struct cf_model **out, struct cf_detail *detail)
{
    struct cf_model *model = NULL;
    enum cf_err err = cf_model_new(CF_MODEL_POPULARITY, training, 0, true, &model, detail);
    if (err)
        return err;
    const struct cf_matrix *m = training->by_album;
    double ups, downs, prior = options->lambda > 0 ? options->lambda : PRIOR;
    count_signs(m, 0, cf_matrix_nonzeros(m), &ups, &downs);
    bool has_downs = downs > 0;
    double average = ups / fmax(1, ups + downs);
    for (uint32_t album = 0; album < training->album_count; album++) {
        count_signs(m, m->first[album], m->first[album + 1], &ups, &downs);
        model->album_biases[album] =
            (float)(has_downs ? (ups + prior * average) / (ups + downs + prior) : ups);
    }
    err = cf_model_sweep(options, 1, 1, 0, detail);
    if (err)
        cf_model_free(model);
    else
        *out = model;
    return err;
}

/* ---- item_item ---- */

struct listener_counts {
    const struct cf_training *training;
    struct cf_matrix *similar; /* CF_MODEL_SIMILAR_MAX places an album */
    uint32_t *counts;          /* how many of them are taken */
    enum cf_err *errors;
};

struct companion {
    float cosine;
    uint32_t album;
};

static int compare_companions(const void *a, const void *b)
{
    const struct companion *x = a, *y = b;
    if (fabsf(x->cosine) != fabsf(y->cosine))
        return fabsf(x->cosine) > fabsf(y->cosine) ? -1 : 1;
    return (x->album > y->album) - (x->album < y->album);
}

static double listeners_of(const struct cf_matrix *by_album, uint32_t album)
{
    return (double)(by_album->first[album + 1] - by_album->first[album]);
}

struct common {
    int32_t agreed; /* listeners of one mind, less those who were not */
    uint32_t count;
};

/* Counts common listeners into `common` (all zero before and after) and gathers whom there are. */
static size_t gather(const struct cf_training *t, uint32_t album, struct common *common,
                     struct companion *companions)
{
    size_t found = 0;
    for (uint64_t i = t->by_album->first[album]; i < t->by_album->first[album + 1]; i++) {
        uint32_t user = t->by_album->columns[i];
        int sign = sign_of(t->by_album->values[i]);
        if (t->by_user->first[user + 1] - t->by_user->first[user] > CF_MODEL_LISTENER_ALBUMS_MAX)
            continue;
        for (uint64_t j = t->by_user->first[user]; j < t->by_user->first[user + 1]; j++) {
            uint32_t other = t->by_user->columns[j];
            if (other == album)
                continue;
            if (common[other].count++ == 0)
                companions[found++].album = other;
            common[other].agreed += sign * sign_of(t->by_user->values[j]);
        }
    }
    for (size_t i = 0; i < found; i++) {
        uint32_t other = companions[i].album;
        companions[i].cosine = (float)(common[other].agreed / sqrt(listeners_of(t->by_album, album) *
                                                                   listeners_of(t->by_album, other)));
        common[other] = (struct common){0, 0};
    }
    return found;
}

static void keep_best(struct listener_counts *c, uint32_t album, struct companion *companions, size_t found)
{
    uint64_t at = (uint64_t)album * CF_MODEL_SIMILAR_MAX;
    qsort(companions, found, sizeof *companions, compare_companions);
    c->counts[album] = (uint32_t)(found < CF_MODEL_SIMILAR_MAX ? found : CF_MODEL_SIMILAR_MAX);
    for (uint32_t i = 0; i < c->counts[album]; i++) {
        c->similar->columns[at + i] = companions[i].album;
        c->similar->values[at + i] = companions[i].cosine;
    }
}

static void compare_piece(void *arg, size_t piece)
{
    struct listener_counts *c = arg;
    uint32_t count = c->training->album_count, begin = (uint32_t)piece * ALBUMS_A_PIECE;
    struct common *common = calloc((size_t)count + 1, sizeof *common);
    struct companion *companions = calloc((size_t)count + 1, sizeof *companions);
    if (!common || !companions)
        c->errors[piece] = CF_E_NO_MEMORY;
    for (uint32_t a = begin; a < count && a < begin + ALBUMS_A_PIECE && !c->errors[piece]; a++)
        keep_best(c, a, companions, gather(c->training, a, common, companions));
    free(common);
    free(companions);
}

/* Closes the gaps between the lists. */
static void pack(struct listener_counts *c)
{
    uint64_t to = 0;
    for (uint32_t a = 0; a < c->similar->row_count; a++) {
        uint64_t from = (uint64_t)a * CF_MODEL_SIMILAR_MAX;
        for (uint32_t i = 0; i < c->counts[a]; i++, to++) {
            c->similar->columns[to] = c->similar->columns[from + i];
            c->similar->values[to] = c->similar->values[from + i];
        }
        c->similar->first[a + 1] = to;
    }
}

static enum cf_err compare_all(const struct cf_training *training, unsigned threads,
                               struct cf_matrix *similar)
{
    struct cf_crew crew = {threads, NULL, NULL};
    size_t albums = training->album_count, pieces = (albums + ALBUMS_A_PIECE - 1) / ALBUMS_A_PIECE;
    struct listener_counts c = {training, similar, calloc(albums + 1, sizeof(uint32_t)),
                                calloc(pieces + 1, sizeof(enum cf_err))};
    *similar = (struct cf_matrix){.row_count = training->album_count, .column_count = training->album_count};
    similar->first = calloc(albums + 1, sizeof *similar->first);
    similar->columns = calloc(albums * CF_MODEL_SIMILAR_MAX + 1, sizeof *similar->columns);
    similar->values = calloc(albums * CF_MODEL_SIMILAR_MAX + 1, sizeof *similar->values);
    bool complete = c.counts && c.errors && similar->first && similar->columns && similar->values;
    enum cf_err err = complete ? cf_crew_run(&crew, pieces, compare_piece, &c) : CF_E_NO_MEMORY;
    for (size_t p = 0; p < pieces && !err; p++)
        err = c.errors[p];
    if (!err)
        pack(&c);
    free(c.counts);
    free(c.errors);
    return err;
}

enum cf_err cf_train_item_item(const struct cf_training *training, const struct cf_model_options *options,
                               struct cf_model **out, struct cf_detail *detail)
{
    struct cf_model *model = NULL;
    enum cf_err err = cf_model_new(CF_MODEL_ITEM_ITEM, training, 0, false, &model, detail);
    if (err)
        return err;
    err = compare_all(training, options->threads, &model->similar);
    if (!err)
        err = cf_matrix_transpose(training->by_album, &model->history, detail);
    if (err)
        err =
            cf_fail(detail, err, "no memory to compare %u albums by their listeners", training->album_count);
    else
        err = cf_model_sweep(options, 1, 1, 0, detail);
    if (err)
        cf_model_free(model);
    else
        *out = model;
    return err;
}
