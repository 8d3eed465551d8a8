/* What a trained model holds; inside of common/recommend only. Every kind fills what it has; saving, loading,
 * freeing and looking up are the same for all. */
#ifndef CF_RECOMMEND_MODEL_INSIDE_H
#define CF_RECOMMEND_MODEL_INSIDE_H

#include "common/base/crew.h"
#include "common/recommend/model.h"

enum {
    CF_MODEL_SIMILAR_MAX = 200, /* albums that item_item remembers for each */
    CF_MODEL_FACTORS_MAX = 1024,
};

struct cf_model {
    enum cf_model_kind kind;
    uint32_t user_count, album_count, factors;
    uint8_t *user_known, *album_known; /* [count]: had a listen in training */
    float *user_factors;               /* [user_count][factors], or NULL */
    float *album_factors;              /* [album_count][factors], or NULL */
    float *album_biases;               /* [album_count], or NULL */
    float *extra;                      /* of the kind's own */
    size_t extra_count;
    struct cf_matrix similar; /* item_item: albums like an album, with their cosines; else nothing */
    struct cf_matrix history; /* item_item: what each user listened to; else nothing */
};

/* Zeroed, with `known` filled in, and factors, biases where asked for. CF_E_NO_MEMORY. */
enum cf_err cf_model_new(enum cf_model_kind kind, const struct cf_training *training, uint32_t factors,
                         bool biases, struct cf_model **model, struct cf_detail *detail) CF_MUST_CHECK;

typedef enum cf_err cf_model_trainer(const struct cf_training *training,
                                     const struct cf_model_options *options, struct cf_model **model,
                                     struct cf_detail *detail);
cf_model_trainer cf_train_popularity, cf_train_item_item, cf_train_koren, cf_train_vector_exp, cf_train_rnn;

/* Says that a sweep is done; CF_E_SHUTTING_DOWN when that was enough. */
enum cf_err cf_model_sweep(const struct cf_model_options *options, uint32_t sweep, uint32_t sweeps,
                           double objective, struct cf_detail *detail) CF_MUST_CHECK;

/* Small random numbers, the same for a seed. */
void cf_model_scatter(float *values, size_t count, double scale, uint64_t seed);

#endif
