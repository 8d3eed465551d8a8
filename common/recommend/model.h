/* What all models of listening have in common: they are trained from listens, give an album a score for a
 * user, and are saved and loaded in a checked file. Deterministic by seed, whatever the number of threads.
 *
 *   popularity  how many users listened to the album; with thumbs down, the share of thumbs up
 *   item_item   sum over the user's albums of the cosine between listeners; with thumbs down, of the cosine
 *               between thumbs, and minus that of albums that the user disliked. A user of more than
 *               CF_MODEL_LISTENER_ALBUMS_MAX albums (a bot, a shop) does not tell which albums go together:
 *               that would take the square of their number, and all go with all there
 *   koren       implicit alternating least squares (Hu, Koren, Volinsky 2008)
 *   vector_exp  P(album | user) a softmax of factors (the post's own)
 *   rnn         a recurrent network over the user's sequence
 */
#ifndef CF_RECOMMEND_MODEL_H
#define CF_RECOMMEND_MODEL_H

#include "common/recommend/matrix.h"

enum { CF_MODEL_LISTENER_ALBUMS_MAX = 10000 };

enum cf_model_kind {
    CF_MODEL_POPULARITY,
    CF_MODEL_ITEM_ITEM,
    CF_MODEL_KOREN,
    CF_MODEL_VECTOR_EXP,
    CF_MODEL_RNN,
    CF_MODEL_KIND_COUNT
};
const char *cf_model_name(enum cf_model_kind kind);

/* What a model is trained from; borrowed. Values of the matrices are counts of listens, or thumbs: below 0 is
 * disliked. */
struct cf_training {
    const struct cf_listens *listens;
    const struct cf_matrix *by_user, *by_album; /* of these listens; by_album the transpose */
    uint32_t user_count, album_count;
};

struct cf_model_options {
    uint32_t factors; /* 40 */
    uint32_t sweeps;  /* 0: the kind's own number */
    uint64_t seed;
    unsigned threads; /* at least 1 */
    double alpha;     /* of koren: confidence of a listen; 0: the kind's own */
    double lambda;    /* how factors are held back; of popularity: thumbs that stand for the average album; 0:
                         the kind's own */
    bool exact;       /* of koren: dense solves; else conjugate gradients */
    /* After every sweep: its number from 1, of how many, and the objective (koren: to be minimised;
     * vector_exp: log likelihood a listen; rnn: mean negative log likelihood). False ends the training with
     * CF_E_SHUTTING_DOWN. May be NULL. */
    bool (*sweep)(void *arg, uint32_t sweep, uint32_t sweeps, double objective);
    void *sweep_arg;
};
/* Defaults for one thread. */
struct cf_model_options cf_model_options(enum cf_model_kind kind);

struct cf_model;
/* CF_E_INVALID, CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_model_train(enum cf_model_kind kind, const struct cf_training *training,
                           const struct cf_model_options *options, struct cf_model **model,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_model_free(struct cf_model *model); /* takes NULL */
/* About how many bytes training takes at most, beside the listens themselves. */
uint64_t cf_model_bytes(enum cf_model_kind kind, const struct cf_training *training,
                        const struct cf_model_options *options);

enum cf_model_kind cf_model_kind(const struct cf_model *model);
/* Scores of `count` albums for a user, higher is better; a user or album that was never trained scores as the
 * model knows least (popularity 0, or the average share; factors 0): `known[i]` (may be NULL) tells. Any
 * thread; a scorer is one thread's scratch, and quick when a user's calls follow one another. */
struct cf_scorer;
struct cf_scorer *cf_scorer_new(const struct cf_model *model); /* NULL when memory is short */
void cf_scorer_free(struct cf_scorer *scorer);
void cf_score(struct cf_scorer *scorer, uint32_t user, const uint32_t *albums, size_t count, double *scores,
              bool *known);

/* The factors of an album, or NULL for kinds without, or an album that was never trained. */
const float *cf_model_album_factors(const struct cf_model *model, uint32_t album);
const float *cf_model_user_factors(const struct cf_model *model, uint32_t user);
uint32_t cf_model_factor_count(const struct cf_model *model); /* 0 for kinds without */

/* Numbers belong to the names of a run, so names are saved beside them. Load matches saved ids to `users` and
 * `albums` (unknown ones are added). CF_E_CORRUPT, CF_E_BAD_VERSION, …; the sentence names the file. */
enum cf_err cf_model_save(const struct cf_model *model, const struct cf_names *users,
                          const struct cf_names *albums, const char *path,
                          struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_model_load(const char *path, struct cf_names *users, struct cf_names *albums,
                          struct cf_model **model, struct cf_detail *detail) CF_MUST_CHECK;

#endif
