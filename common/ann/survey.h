/* The first pass over a source: what there is of it, whether it may be built from, and a sample of it, drawn evenly
 * from all (reservoir sampling: Vitter 1985, algorithm R), of which some items are held back from training. */
#ifndef CF_ANN_SURVEY_H
#define CF_ANN_SURVEY_H

#include "common/ann/ann.h"
#include "common/base/crew.h"

struct cf_ann_survey {
    uint64_t count, id_bytes;
    bool has_ids;
    int scale_exponent;    /* vectors are held times 2^-scale_exponent */
    uint32_t sample_count; /* of vectors that shape the index */
    uint32_t held_count;   /* of vectors that do not, behind them */
    uint32_t *items;       /* [sample_count + held_count] */
    float *vectors;        /* [sample_count + held_count][dim], in the scale of the rows */
};

/* Deterministic by seed. As cf_ann_build; fini in any case. */
enum cf_err cf_ann_survey(struct cf_ann_survey *survey, const struct cf_ann_params *params,
                          const struct cf_ann_source *source, const struct cf_crew *crew,
                          struct cf_detail *detail) CF_MUST_CHECK;
/* Two vectors of the sample, of held ones or of both change places. */
void cf_ann_survey_exchange(struct cf_ann_survey *survey, uint32_t dim, uint32_t a, uint32_t b);
void cf_ann_survey_fini(struct cf_ann_survey *survey);

/* The vector of an item, checked, in the scale of the rows (of the first pass: exponent 0), at unit length where
 * distances are cosines, into out[dim]. `number` is for the sentence. */
enum cf_err cf_ann_take_vector(const struct cf_ann_params *params, const struct cf_ann_item *item, uint64_t number,
                               int scale_exponent, float *out, struct cf_detail *detail) CF_MUST_CHECK;

#endif
