/* `coverfleet eval`: the models side by side on users' thumbs. Inside of the command only. */
#ifndef CF_CLI_EVAL_H
#define CF_CLI_EVAL_H

#include "common/descriptor/space.h"
#include "common/recommend/auc.h"
#include "common/recommend/covers.h"
#include "common/recommend/model.h"
#include "deploy/cli/command.h"
#include "deploy/cli/progress.h"

enum { CF_EVAL_BANDS = 4, CF_EVAL_RESULTS_MAX = 24, CF_EVAL_FOLDS = 5, CF_EVAL_NO_FOLD = CF_EVAL_FOLDS };

struct cf_eval_options {
    const char *listens, *thumbs, *liked; /* `liked` may be NULL */
    const char *covers, *root;            /* a table of albums and covers, or NULL */
    bool cut_all;                         /* nothing of anybody trains from the first judged thumb on */
    bool fleet;                           /* vectors of the home's shards instead */
    const char *out;                      /* a folder, or NULL */
    uint64_t threads, seed;
    bool json;
};

/* What a score knows of an album. */
enum cf_eval_by {
    CF_EVAL_BY_NOTHING, /* or of everything: chance, and blends, which no other blend is made of */
    CF_EVAL_BY_LOOK,
    CF_EVAL_BY_LISTENING,
    CF_EVAL_BY_MAPPING /* its look, mapped to listening */
};

/* A model and what came of it. Scores stand in the order of the thumbs; a thumb that the model knows nothing
 * of has the model's least knowledge, 0, and is counted. */
struct cf_eval_result {
    const char *name;
    char how[80]; /* chosen on training data */
    struct cf_scored *scored;
    size_t unknown; /* thumbs without a vector, or on what was never trained */
    double seconds;
    enum cf_eval_by by;
    bool folded; /* scores of different users, or albums, come from different fits, or of different thumbs
                    from different measures: they are never pooled */
    bool cold;   /* scores of different album folds do: a user's albums are compared within each */
    struct cf_auc pooled, per_user, in_folds, bands[CF_EVAL_BANDS];
};

/* One space's vectors, by album number; NULL where an album has none. */
struct cf_eval_look {
    const struct cf_space *space;
    float *values;
    const float **vectors;
    struct cf_covers covers;
};

/* By thumb: the group that it is compared within: its user's number, or from the count of users on that of
 * its user's seed. */
struct cf_eval_groups {
    uint32_t *of;
    uint32_t count; /* above all of them */
    size_t seeded;  /* thumbs with a seed */
};

/* What a model is trained with. */
enum cf_eval_source {
    CF_EVAL_LISTENS,
    CF_EVAL_LIKES, /* the likes with their signs in place of the listens; sequences are the listens but those
                      disliked */
};
struct cf_eval_choice {
    enum cf_eval_source source;
    double alpha, lambda; /* as cf_model_options has them */
    double auc;           /* per user, on likes that were held out; 0: nothing to choose by */
};

struct cf_eval {
    const struct cf_command *command;
    struct cf_eval_options options;
    struct cf_names *users, *albums;
    struct cf_listens listens;
    struct cf_thumbs thumbs, liked;
    struct cf_eval_groups groups; /* of `thumbs` */
    struct cf_matrix by_user, by_album;
    size_t leaks; /* listens and likes that were taken out of training, since they are judged */
    struct cf_eval_look looks[CF_SPACE_COUNT];
    size_t look_count;
    bool told; /* the process that described has said already what is wrong */
    struct cf_eval_choice choices[CF_MODEL_KIND_COUNT]; /* of the models, once they are trained */
    struct cf_eval_result results[CF_EVAL_RESULTS_MAX];
    size_t result_count;
    struct cf_auc differences[CF_EVAL_RESULTS_MAX][CF_EVAL_RESULTS_MAX]; /* per user, row less column */
};

struct cf_eval_data {
    struct cf_listens listens;
    struct cf_matrix by_user, by_album;
    struct cf_training training; /* of these */
};
/* Without the likes number `fold`, `fold` + CF_EVAL_FOLDS, … and their listens, and without anything of the
 * albums of `album_fold`; CF_EVAL_NO_FOLD: all. cf_eval_data_fini either way. */
enum cf_err cf_eval_data_init(const struct cf_eval *eval, enum cf_eval_source source, size_t fold,
                              size_t album_fold, struct cf_eval_data *data,
                              struct cf_detail *detail) CF_MUST_CHECK;
void cf_eval_data_fini(struct cf_eval_data *data);
/* Whether the likes of a fold are of both kinds: by others nothing can be chosen. */
bool cf_eval_fold_tells(const struct cf_eval *eval, size_t fold);

/* By held-out likes; the listens with the kind's own numbers where those tell too little. */
enum cf_err cf_eval_choose(const struct cf_eval *eval, enum cf_model_kind kind, struct cf_eval_choice *choice,
                           struct cf_detail *detail) CF_MUST_CHECK;
struct cf_model_options cf_eval_options_of(const struct cf_eval *eval, enum cf_model_kind kind,
                                           const struct cf_eval_choice *choice);

/* Shows the sweeps of a training; cf_progress_clear when it is over. */
struct cf_eval_watch {
    struct cf_progress progress;
    const char *name;
};
void cf_eval_watch(const struct cf_eval *eval, enum cf_model_kind kind, struct cf_model_options *options,
                   struct cf_eval_watch *watch);

/* A user and an album as one number, and their order for qsort and bsearch. */
static inline uint64_t cf_eval_pair(uint32_t user, uint32_t album)
{
    return (uint64_t)user << 32 | album;
}
int cf_eval_compare_numbers(const void *a, const void *b);

/* cf_eval_groups_fini either way. CF_E_NO_MEMORY. */
enum cf_err cf_eval_groups_init(const struct cf_thumbs *thumbs, uint32_t user_count,
                                struct cf_eval_groups *groups, struct cf_detail *detail) CF_MUST_CHECK;
void cf_eval_groups_fini(struct cf_eval_groups *groups);

/* The tables that the options name, as they stand. */
enum cf_err cf_eval_read(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
void cf_eval_fini(struct cf_eval *eval);
/* Says what is wrong (CF_OK: nothing) unless that was told, and gives the exit code. */
enum cf_exit cf_eval_say(const struct cf_eval *eval, enum cf_err err, const struct cf_detail *detail);

/* Adds a result with room for its scores. NULL when memory is short. */
struct cf_eval_result *cf_eval_add(struct cf_eval *eval, const char *name, enum cf_eval_by by);
/* The fold in which an album is held out from listening and mapping. */
static inline uint32_t cf_eval_album_fold(uint32_t album)
{
    return album % CF_EVAL_FOLDS;
}

/* The looks, of the table or the fleet; spaces without a vector have none. Before any thread of a training:
 * it forks. */
enum cf_err cf_eval_describe(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
void cf_eval_looks_fini(struct cf_eval *eval);
/* What has no score, NAN, gets the mean of its group's others: neither an advantage nor a loss. `*unknown`:
 * how many. CF_E_NO_MEMORY. */
enum cf_err cf_eval_fill_unknown(struct cf_scored *scored, size_t count, size_t *unknown,
                                 struct cf_detail *detail) CF_MUST_CHECK;

/* Thumbs `from`, `from` + `step`, … into `scored`, one after the other; a user's together, since a model may
 * look at a whole history first. `*unknown`: how many it was never trained on. CF_E_NO_MEMORY. */
enum cf_err cf_eval_score(const struct cf_model *model, const struct cf_thumbs *thumbs, size_t from,
                          size_t step, struct cf_scored *scored, size_t *unknown,
                          struct cf_detail *detail) CF_MUST_CHECK;

/* Each adds its results. */
enum cf_err cf_eval_covers(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_eval_models(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
/* After both: looks mapped to the listening of albums that the mapping never saw. */
enum cf_err cf_eval_mapped(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
/* After all others. */
enum cf_err cf_eval_blends(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;

/* Fills the AUCs, and prints, or writes the chart and the table into the folder. */
enum cf_err cf_eval_judge(struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_eval_report(const struct cf_eval *eval, struct cf_detail *detail) CF_MUST_CHECK;

#endif
