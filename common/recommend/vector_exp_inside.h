/* One training of vector_exp: what a sweep is made of. Inside of common/recommend and its tests only. */
#ifndef CF_RECOMMEND_VECTOR_EXP_INSIDE_H
#define CF_RECOMMEND_VECTOR_EXP_INSIDE_H

#include "common/recommend/model_inside.h"

enum { CF_VEXP_SLOTS = 16, CF_VEXP_BLOCK = 64 };

struct cf_vexp {
    const struct cf_training *data;
    struct cf_crew crew;
    struct cf_model *model;
    uint32_t factors, sample_count;
    double stands_for; /* albums for each of the sample */
    double lambda;
    uint32_t *sample; /* [sample_count]: albums, ascending */
    uint32_t *places; /* [albums]: in the sample, or CF_NO_NUMBER */
    uint32_t *users;  /* [user_count]: those with listens */
    double *listens;  /* [user_count]: n_u of them */
    uint32_t user_count;
    double *user_steps; /* [user_count]: the length that served last */
    double album_step;
    float *here, *trial; /* [sample_count][factors]: where the albums of the sample are, and might go */
    float *norms;        /* [sample_count]: |b|² of `here` */
    double *wanted;      /* [sample_count][factors]: sum n_ui a_u */
    double *others;      /* a piece of albums: what those bring that are not in the sample */
    float *bases;        /* [albums]: log p_i; NULL without thumbs down */
    double *gradient;    /* [sample_count][factors] */
    double *curvature;   /* [sample_count]: a bound of it along the gradient */
    float *partial;      /* a slot: [sample_count][factors + 1], sums n_u P(i|u) of a and of |a|² */
    double sums[CF_VEXP_SLOTS]; /* a part of the objective */
    enum cf_err errors[CF_VEXP_SLOTS];
};

/* `model` belongs to the caller and has its first factors; cf_vexp_fini either way. */
enum cf_err cf_vexp_init(struct cf_vexp *t, const struct cf_training *data, struct cf_model *model,
                         double lambda, unsigned threads, struct cf_detail *detail) CF_MUST_CHECK;
void cf_vexp_fini(struct cf_vexp *t);

/* Takes the first sample_count of `sample` as this sweep's. */
void cf_vexp_take_sample(struct cf_vexp *t);
/* The gradient of the objective by the factors of one user (a place in `users`). CF_E_NO_MEMORY. */
enum cf_err cf_vexp_user_gradient(struct cf_vexp *t, uint32_t place, double *gradient) CF_MUST_CHECK;
/* The objective, and into `gradient` that of the albums of the sample. CF_E_NO_MEMORY. */
enum cf_err cf_vexp_album_gradients(struct cf_vexp *t, double *objective) CF_MUST_CHECK;
/* A step of all users, a step of the albums; the objective then. CF_E_NO_MEMORY. */
enum cf_err cf_vexp_sweep(struct cf_vexp *t, double *objective) CF_MUST_CHECK;

#endif
