/* Rows that a mapping is trained on, and its folds: what judging a mapping and training one have in common.
 * Inside of the commands `eval` and `map` only. */
#ifndef CF_CLI_EVAL_MAP_H
#define CF_CLI_EVAL_MAP_H

#include "common/recommend/mapping.h"
#include "deploy/cli/eval.h"

enum { CF_EVAL_MAP_ROWS_MIN = 60, CF_EVAL_MAP_HIDDEN = 128 };

enum cf_mapping_kind { CF_MAPPING_RIDGE, CF_MAPPING_HIDDEN, CF_MAPPING_KIND_COUNT };
const char *cf_mapping_kind_name(enum cf_mapping_kind kind); /* "ridge", "a hidden layer" */

/* Albums with a vector in every look, side by side. */
struct cf_eval_rows {
    uint32_t *albums; /* [count] */
    uint32_t *places; /* by album: its row, or CF_NO_NUMBER */
    float *x;         /* [count][inputs] */
    size_t count;
    uint32_t inputs, outputs; /* outputs: of the last koren that was mapped to */
};
enum cf_err cf_eval_rows_init(const struct cf_eval *eval, struct cf_eval_rows *rows,
                              struct cf_detail *detail) CF_MUST_CHECK;
void cf_eval_rows_fini(struct cf_eval_rows *rows);

/* koren as it was chosen, without anything of the albums of a fold, or of all. */
enum cf_err cf_eval_train_koren(struct cf_eval *eval, size_t album_fold, struct cf_model **koren,
                                struct cf_detail *detail) CF_MUST_CHECK;

/* Rows that koren knows. */
size_t cf_eval_known_rows(const struct cf_eval_rows *rows, const struct cf_model *koren);
/* Whether those are CF_EVAL_MAP_ROWS_MIN, and enough to fit on whichever fold is left out. */
bool cf_eval_can_map(const struct cf_eval_rows *rows, const struct cf_model *koren);

/* A mapping of one kind to koren's factors, at unit norm, fitted on the rows that koren knows and that are
 * not in `album_fold`. */
enum cf_err cf_eval_fit(const struct cf_eval *eval, struct cf_eval_rows *rows, const struct cf_model *koren,
                        enum cf_mapping_kind kind, size_t album_fold, struct cf_mapping *mapping,
                        struct cf_detail *detail) CF_MUST_CHECK;

/* How near mapped vectors are to the albums' own, over the rows that koren knows. */
struct cf_eval_fit_figures {
    double cosine; /* mean */
    size_t albums;
};
/* The same of the mean of all factors outside an album's fold: what whoever sees no cover says. */
enum cf_err cf_eval_blind_cosine(const struct cf_eval_rows *rows, const struct cf_model *koren, double *cosine,
                                 struct cf_detail *detail) CF_MUST_CHECK;
/* The same of the mean direction of all albums outside an album's fold, which no cover was needed for: what a
 * mapping has to beat. CF_E_NO_MEMORY. */
enum cf_err cf_eval_blind_cosine(const struct cf_eval_rows *rows, const struct cf_model *koren,
                                 double *cosine, struct cf_detail *detail) CF_MUST_CHECK;
/* Maps every album by a mapping that was fitted without its fold: `*mapped` [count][outputs], at unit norm.
 */
enum cf_err cf_eval_map_kind(const struct cf_eval *eval, struct cf_eval_rows *rows,
                             const struct cf_model *koren, enum cf_mapping_kind kind, float **mapped,
                             struct cf_eval_fit_figures *figures, struct cf_detail *detail) CF_MUST_CHECK;
/* By the better of the kinds. */
enum cf_err cf_eval_map_folds(const struct cf_eval *eval, struct cf_eval_rows *rows,
                              const struct cf_model *koren, enum cf_mapping_kind *kind, float **mapped,
                              struct cf_detail *detail) CF_MUST_CHECK;
/* The rows of one fold only; the others are 0. */
enum cf_err cf_eval_map_fold(const struct cf_eval *eval, struct cf_eval_rows *rows,
                             const struct cf_model *koren, enum cf_mapping_kind kind, size_t fold,
                             float **mapped, struct cf_detail *detail) CF_MUST_CHECK;

#endif
