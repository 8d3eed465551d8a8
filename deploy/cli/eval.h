/* `coverfleet eval`: the models side by side on users' thumbs. Inside of the command only. */
#ifndef CF_CLI_EVAL_H
#define CF_CLI_EVAL_H

#include "common/descriptor/space.h"
#include "common/recommend/auc.h"
#include "common/recommend/covers.h"
#include "common/recommend/model.h"
#include "deploy/cli/command.h"

enum { CF_EVAL_BANDS = 4, CF_EVAL_RESULTS_MAX = 16 };

struct cf_eval_options {
    const char *listens, *thumbs, *liked; /* `liked` may be NULL */
    const char *covers, *root;            /* a table of albums and covers, or NULL */
    const char *out;                      /* a folder, or NULL */
    uint64_t threads, seed;
    bool json;
};

/* A model and what came of it. Scores stand in the order of the thumbs; a thumb that the model knows nothing
 * of has the model's least knowledge, 0, and is counted. */
struct cf_eval_result {
    const char *name;
    char how[64]; /* chosen on training data */
    struct cf_scored *scored;
    size_t unknown; /* thumbs without a vector, or on what was never trained */
    double seconds;
    struct cf_auc pooled, per_user, to_random, to_item_item, bands[CF_EVAL_BANDS];
};

struct cf_eval {
    const struct cf_command *command;
    struct cf_eval_options options;
    struct cf_names *users, *albums;
    struct cf_listens listens;
    struct cf_thumbs thumbs, liked;
    struct cf_matrix by_user, by_album;
    size_t leaks; /* listens and likes that were taken out of training, since they are judged */
    struct cf_eval_result results[CF_EVAL_RESULTS_MAX];
    size_t result_count;
};

/* Adds a result with room for its scores. NULL when memory is short. */
struct cf_eval_result *cf_eval_add(struct cf_eval *eval, const char *name);

/* Each adds its results. Before any of the threads of a training: describing forks. */
enum cf_err cf_eval_covers(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_eval_models(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;

/* Fills the AUCs, and prints, or writes the chart and the table into the folder. */
enum cf_err cf_eval_judge(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_eval_report(const struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;

#endif
