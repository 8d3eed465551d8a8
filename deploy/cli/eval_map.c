#include "deploy/cli/eval_map.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/crew.h"

const char *cf_mapping_kind_name(enum cf_mapping_kind kind)
{
    return kind == CF_MAPPING_RIDGE ? "ridge" : "a hidden layer";
}

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a mapping");
}

/* ---- rows ---- */

static bool has_all(const struct cf_eval *eval, uint32_t album)
{
    for (size_t i = 0; i < eval->look_count; i++)
        if (!eval->looks[i].vectors[album])
            return false;
    return eval->look_count > 0;
}

static void fill_row(const struct cf_eval *eval, uint32_t album, float *x)
{
    for (size_t i = 0; i < eval->look_count; x += eval->looks[i].space->dim, i++)
        memcpy(x, eval->looks[i].vectors[album], eval->looks[i].space->dim * sizeof *x);
}

enum cf_err cf_eval_rows_init(const struct cf_eval *eval, struct cf_eval_rows *rows, struct cf_detail *detail)
{
    uint32_t albums = cf_names_count(eval->albums), count = 0;
    *rows = (struct cf_eval_rows){0};
    for (size_t i = 0; i < eval->look_count; i++)
        rows->inputs += eval->looks[i].space->dim;
    for (uint32_t album = 0; album < albums; album++)
        count += has_all(eval, album);
    rows->albums = calloc((size_t)count + 1, sizeof *rows->albums);
    rows->places = malloc(((size_t)albums + 1) * sizeof *rows->places);
    rows->x = malloc(((size_t)count * rows->inputs + 1) * sizeof *rows->x);
    if (!rows->albums || !rows->places || !rows->x)
        return no_memory(detail);
    for (uint32_t album = 0; album < albums; album++) {
        rows->places[album] = has_all(eval, album) ? (uint32_t)rows->count : CF_NO_NUMBER;
        if (rows->places[album] == CF_NO_NUMBER)
            continue;
        fill_row(eval, album, rows->x + rows->count * rows->inputs);
        rows->albums[rows->count++] = album;
    }
    return CF_OK;
}

void cf_eval_rows_fini(struct cf_eval_rows *rows)
{
    free(rows->albums);
    free(rows->places);
    free(rows->x);
    *rows = (struct cf_eval_rows){0};
}

enum cf_err cf_eval_train_koren(struct cf_eval *eval, size_t album_fold, struct cf_model **koren,
                                struct cf_detail *detail)
{
    const struct cf_eval_choice *choice = &eval->choices[CF_MODEL_KOREN];
    struct cf_model_options options = cf_eval_options_of(eval, CF_MODEL_KOREN, choice);
    struct cf_eval_watch watch;
    struct cf_eval_data data;
    cf_eval_watch(eval, CF_MODEL_KOREN, &options, &watch);
    enum cf_err err = cf_eval_data_init(eval, choice->source, CF_EVAL_NO_FOLD, album_fold, &data, detail);
    if (!err)
        err = cf_model_train(CF_MODEL_KOREN, &data.training, &options, koren, detail);
    cf_progress_clear(&watch.progress);
    cf_eval_data_fini(&data);
    return err;
}

/* ---- fitting ---- */

static size_t count_known(const struct cf_eval_rows *rows, const struct cf_model *koren, size_t album_fold)
{
    size_t count = 0;
    for (size_t row = 0; row < rows->count; row++)
        count += cf_eval_album_fold(rows->albums[row]) != album_fold &&
                 cf_model_album_factors(koren, rows->albums[row]);
    return count;
}

size_t cf_eval_known_rows(const struct cf_eval_rows *rows, const struct cf_model *koren)
{
    return count_known(rows, koren, CF_EVAL_NO_FOLD);
}

bool cf_eval_can_map(const struct cf_eval_rows *rows, const struct cf_model *koren)
{
    for (size_t fold = 0; fold < CF_EVAL_FOLDS; fold++)
        if (count_known(rows, koren, fold) < CF_MAPPING_ROWS_MIN)
            return false;
    return cf_eval_known_rows(rows, koren) >= CF_EVAL_MAP_ROWS_MIN;
}

/* The rows to fit on, packed. */
static enum cf_err pack(const struct cf_eval_rows *rows, const struct cf_model *koren, size_t album_fold,
                        struct cf_mapping_rows *out, float **memory, struct cf_detail *detail)
{
    uint32_t d = rows->inputs, f = cf_model_factor_count(koren);
    float *x = malloc((rows->count * (d + f) + 1) * sizeof *x), *b = x ? x + rows->count * d : NULL;
    *out = (struct cf_mapping_rows){.x = x, .b = b, .inputs = d, .outputs = f};
    *memory = x;
    if (!x)
        return no_memory(detail);
    for (size_t row = 0; row < rows->count; row++) {
        const float *factors = cf_model_album_factors(koren, rows->albums[row]);
        if (!factors || cf_eval_album_fold(rows->albums[row]) == album_fold)
            continue;
        memcpy(b + out->count * f, factors, f * sizeof *b);
        if (!cf_mapping_unit(b + out->count * f, f))
            continue;
        memcpy(x + out->count * d, rows->x + row * d, d * sizeof *x);
        out->count++;
    }
    return CF_OK;
}

enum cf_err cf_eval_fit(const struct cf_eval *eval, struct cf_eval_rows *rows, const struct cf_model *koren,
                        enum cf_mapping_kind kind, size_t album_fold, struct cf_mapping *mapping,
                        struct cf_detail *detail)
{
    struct cf_mapping_rows packed;
    float *memory = NULL;
    *mapping = (struct cf_mapping){0};
    enum cf_err err = pack(rows, koren, album_fold, &packed, &memory, detail);
    if (!err)
        err = kind == CF_MAPPING_RIDGE
                  ? cf_mapping_ridge(&packed, mapping, detail)
                  : cf_mapping_hidden(&packed, CF_EVAL_MAP_HIDDEN, eval->options.seed, mapping, detail);
    free(memory);
    return err;
}

enum cf_err cf_eval_map_fold(const struct cf_eval *eval, struct cf_eval_rows *rows,
                             const struct cf_model *koren, enum cf_mapping_kind kind, size_t fold,
                             float **mapped, struct cf_detail *detail)
{
    struct cf_mapping mapping;
    uint32_t f = cf_model_factor_count(koren);
    rows->outputs = f;
    *mapped = calloc(rows->count * f + 1, sizeof **mapped);
    enum cf_err err =
        *mapped ? cf_eval_fit(eval, rows, koren, kind, fold, &mapping, detail) : no_memory(detail);
    if (!*mapped)
        return err;
    for (size_t row = 0; row < rows->count && !err; row++) {
        float *y = *mapped + row * f;
        if (cf_eval_album_fold(rows->albums[row]) != fold)
            continue;
        err = cf_mapping_apply(&mapping, rows->x + row * rows->inputs, 1, y, detail);
        (void)cf_mapping_unit(y, f); /* what maps to nothing is as far from everybody */
    }
    cf_mapping_fini(&mapping);
    return err;
}

/* ---- folds, side by side ---- */

struct folds {
    const struct cf_eval *eval;
    struct cf_eval_rows *rows;
    const struct cf_model *koren;
    enum cf_mapping_kind kind;
    float *mapped[CF_EVAL_FOLDS];
    enum cf_err errors[CF_EVAL_FOLDS];
    struct cf_detail details[CF_EVAL_FOLDS];
};

static void map_one(void *arg, size_t fold)
{
    struct folds *f = arg;
    struct cf_eval_rows rows = *f->rows; /* borrowed; `outputs` is written */
    f->errors[fold] =
        cf_eval_map_fold(f->eval, &rows, f->koren, f->kind, fold, &f->mapped[fold], &f->details[fold]);
}

static void measure(const struct cf_eval_rows *rows, const struct cf_model *koren, const float *mapped,
                    struct cf_eval_fit_figures *figures)
{
    double sum = 0;
    *figures = (struct cf_eval_fit_figures){0, 0};
    for (size_t row = 0; row < rows->count; row++) {
        const float *factors = cf_model_album_factors(koren, rows->albums[row]);
        double product = 0, square = 0;
        for (uint32_t j = 0; factors && j < rows->outputs; j++) {
            product += (double)factors[j] * (double)mapped[row * rows->outputs + j];
            square += (double)factors[j] * (double)factors[j];
        }
        if (square > 0) {
            sum += product / sqrt(square);
            figures->albums++;
        }
    }
    figures->cosine = figures->albums ? sum / (double)figures->albums : 0;
}

static bool take_unit(const struct cf_eval_rows *rows, const struct cf_model *koren, size_t row, float *unit)
{
    uint32_t f = cf_model_factor_count(koren);
    const float *factors = cf_model_album_factors(koren, rows->albums[row]);
    if (factors)
        memcpy(unit, factors, f * sizeof *unit);
    return factors && cf_mapping_unit(unit, f);
}

enum cf_err cf_eval_blind_cosine(const struct cf_eval_rows *rows, const struct cf_model *koren,
                                 double *cosine, struct cf_detail *detail)
{
    uint32_t f = cf_model_factor_count(koren);
    size_t known = 0;
    float *means = calloc((CF_EVAL_FOLDS + 1) * (size_t)f, sizeof *means), *unit = means + CF_EVAL_FOLDS * f;
    if (!means)
        return no_memory(detail);
    for (size_t row = 0; row < rows->count; row++)
        for (uint32_t fold = 0; take_unit(rows, koren, row, unit) && fold < CF_EVAL_FOLDS; fold++)
            for (uint32_t j = 0; j < f && fold != cf_eval_album_fold(rows->albums[row]); j++)
                means[fold * f + j] += unit[j];
    for (uint32_t fold = 0; fold < CF_EVAL_FOLDS; fold++)
        (void)cf_mapping_unit(means + fold * f, f);
    *cosine = 0;
    for (size_t row = 0; row < rows->count; row++)
        if (take_unit(rows, koren, row, unit)) {
            const float *mean = means + cf_eval_album_fold(rows->albums[row]) * f;
            for (uint32_t j = 0; j < f; j++)
                *cosine += (double)unit[j] * (double)mean[j];
            known++;
        }
    *cosine /= known ? (double)known : 1;
    free(means);
    return CF_OK;
}

enum cf_err cf_eval_map_kind(const struct cf_eval *eval, struct cf_eval_rows *rows,
                             const struct cf_model *koren, enum cf_mapping_kind kind, float **mapped,
                             struct cf_eval_fit_figures *figures, struct cf_detail *detail)
{
    struct folds folds = {.eval = eval, .rows = rows, .koren = koren, .kind = kind};
    const struct cf_crew crew = {(unsigned)eval->options.threads, NULL, NULL};
    rows->outputs = cf_model_factor_count(koren);
    enum cf_err err = cf_crew_run(&crew, CF_EVAL_FOLDS, map_one, &folds);
    for (size_t fold = 0; fold < CF_EVAL_FOLDS && !err; fold++) {
        err = folds.errors[fold];
        if (err && detail)
            *detail = folds.details[fold];
    }
    for (size_t i = 0; i < rows->count * rows->outputs && !err; i++)
        for (size_t fold = 1; fold < CF_EVAL_FOLDS; fold++)
            folds.mapped[0][i] += folds.mapped[fold][i]; /* 0 in all folds but the album's own */
    if (!err) {
        measure(rows, koren, folds.mapped[0], figures);
        *mapped = folds.mapped[0];
        folds.mapped[0] = NULL;
    }
    for (size_t fold = 0; fold < CF_EVAL_FOLDS; fold++)
        free(folds.mapped[fold]);
    return err;
}

enum cf_err cf_eval_map_folds(const struct cf_eval *eval, struct cf_eval_rows *rows,
                              const struct cf_model *koren, enum cf_mapping_kind *kind, float **mapped,
                              struct cf_detail *detail)
{
    struct cf_eval_fit_figures best = {-2, 0}, figures;
    *mapped = NULL;
    for (enum cf_mapping_kind k = 0; k < CF_MAPPING_KIND_COUNT; k++) {
        float *other = NULL;
        enum cf_err err = cf_eval_map_kind(eval, rows, koren, k, &other, &figures, detail);
        if (err) {
            free(*mapped);
            *mapped = NULL;
            return err;
        }
        bool better = figures.cosine > best.cosine;
        free(better ? *mapped : other);
        if (better) {
            *mapped = other;
            *kind = k;
            best = figures;
        }
    }
    return CF_OK;
}
