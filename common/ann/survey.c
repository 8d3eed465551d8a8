#include "common/ann/survey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/calibrate.h"
#include "common/ann/train_kernels.h"
#include "common/base/rng.h"

/* Vectors whose largest value is within these are kept as they are; others are scaled by a power of two, so
 * that squares neither overflow nor vanish. */
#define VALUE_MIN 0x1p-20f
#define VALUE_MAX 0x1p40f

enum { POLL_EVERY = 1024, SAMPLE_MAX = 32768 };
#define SAMPLE_BYTES_MAX ((size_t)128 << 20)

struct reservoir {
    const struct cf_ann_params *params;
    struct cf_ann_survey *survey;
    struct cf_rng rng;
    uint32_t room, used, allocated;
    float largest;
};

static enum cf_err refuse(const struct cf_ann_params *params, const struct cf_ann_item *item, uint64_t number,
                          struct cf_detail *detail)
{
    uint32_t j = 0;

    while (j + 1 < params->dim && isfinite(item->vector[j]))
        j++;
    if (item->id.len)
        return cf_fail(detail, CF_E_BAD_VECTOR, "value %u of the vector of \"%.*s\" is not a finite number",
                       j, (int)item->id.len, (const char *)item->id.data);
    return cf_fail(detail, CF_E_BAD_VECTOR, "value %u of vector %llu is not a finite number", j,
                   (unsigned long long)number);
}

enum cf_err cf_ann_take_vector(const struct cf_ann_params *params, const struct cf_ann_item *item,
                               uint64_t number, int scale_exponent, float *out, struct cf_detail *detail)
{
    if (!isfinite(cf_ann_train_kernels()->largest(item->vector, params->dim)))
        return refuse(params, item, number, detail);
    memcpy(out, item->vector, params->dim * sizeof *out);
    if (params->metric == CF_ANN_COSINE)
        cf_ann_normalize(out, params->dim);
    for (uint32_t j = 0; scale_exponent && j < params->dim; j++)
        out[j] = ldexpf(out[j], -scale_exponent);
    return CF_OK;
}

static enum cf_err check_item(const struct cf_ann_survey *survey, const struct cf_ann_params *params,
                              const struct cf_ann_item *item, struct cf_detail *detail)
{
    if (survey->count >= CF_ANN_COUNT_MAX)
        return cf_fail(detail, CF_E_INVALID, "more than %llu items", (unsigned long long)CF_ANN_COUNT_MAX);
    if (item->id.len > CF_ANN_ID_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "an id of %zu bytes: 1 to %d are allowed", item->id.len,
                       CF_ANN_ID_BYTES_MAX);
    if (survey->count && survey->has_ids != (item->id.len > 0))
        return cf_fail(detail, CF_E_INVALID,
                       "an id of %zu bytes for vector %llu: either all have one, or none has", item->id.len,
                       (unsigned long long)survey->count);
    if (item->tag.len != params->tag_bytes)
        return cf_fail(detail, CF_E_INVALID, "a tag of %zu bytes, expected %u", item->tag.len,
                       params->tag_bytes);
    return CF_OK;
}

static bool grow(struct reservoir *r)
{
    struct cf_ann_survey *s = r->survey;
    uint32_t wanted = r->allocated ? 2 * r->allocated : 256;

    wanted = wanted < r->room ? wanted : r->room;
    float *vectors = realloc(s->vectors, (size_t)wanted * r->params->dim * sizeof *vectors);
    if (vectors)
        s->vectors = vectors;
    uint32_t *items = realloc(s->items, wanted * sizeof *items);
    if (items)
        s->items = items;
    r->allocated = wanted;
    return vectors && items;
}

/* Where the next item goes; UINT32_MAX for nowhere. */
static uint32_t place_for(struct reservoir *r)
{
    if (r->used < r->room)
        return r->used++;
    uint64_t at = cf_rng_below(&r->rng, r->survey->count + 1);
    return at < r->room ? (uint32_t)at : UINT32_MAX;
}

static enum cf_err take(struct reservoir *r, const struct cf_ann_item *item, float *scratch,
                        struct cf_detail *detail)
{
    struct cf_ann_survey *s = r->survey;
    enum cf_err err = check_item(s, r->params, item, detail);

    if (!err)
        err = cf_ann_take_vector(r->params, item, s->count, 0, scratch, detail);
    if (err)
        return err;
    uint32_t place = place_for(r);
    if (r->used > r->allocated && !grow(r))
        return CF_E_NO_MEMORY;
    if (place != UINT32_MAX) {
        memcpy(s->vectors + (size_t)place * r->params->dim, scratch, r->params->dim * sizeof *scratch);
        s->items[place] = (uint32_t)s->count;
    }
    r->largest = fmaxf(r->largest, cf_ann_train_kernels()->largest(scratch, r->params->dim));
    s->has_ids = item->id.len > 0;
    s->id_bytes += item->id.len;
    s->count++;
    return CF_OK;
}

void cf_ann_survey_exchange(struct cf_ann_survey *s, uint32_t dim, uint32_t a, uint32_t b)
{
    uint32_t item = s->items[a];

    s->items[a] = s->items[b];
    s->items[b] = item;
    for (uint32_t j = 0; j < dim; j++) {
        float value = s->vectors[(size_t)a * dim + j];
        s->vectors[(size_t)a * dim + j] = s->vectors[(size_t)b * dim + j];
        s->vectors[(size_t)b * dim + j] = value;
    }
}

/* Some of the sample, at random, go behind the others. */
static void hold_back(struct reservoir *r)
{
    struct cf_ann_survey *s = r->survey;

    s->sample_count = r->used;
    if (s->count < CF_ANN_CALIBRATED_MIN)
        return;
    uint32_t most = r->params->held_max ? r->params->held_max : CF_ANN_HELD_MAX;
    s->held_count = r->used / 8 < most ? r->used / 8 : most;
    for (uint32_t i = 0; i < s->held_count; i++) {
        s->sample_count--;
        cf_ann_survey_exchange(s, r->params->dim, (uint32_t)cf_rng_below(&r->rng, s->sample_count + 1),
                               s->sample_count);
    }
}

static void scale(struct reservoir *r)
{
    struct cf_ann_survey *s = r->survey;

    if (r->largest == 0 || (r->largest >= VALUE_MIN && r->largest <= VALUE_MAX))
        return;
    (void)frexpf(r->largest, &s->scale_exponent);
    for (size_t i = 0; i < (size_t)r->used * r->params->dim; i++)
        s->vectors[i] = ldexpf(s->vectors[i], -s->scale_exponent);
}

enum cf_err cf_ann_survey(struct cf_ann_survey *survey, const struct cf_ann_params *params,
                          const struct cf_ann_source *source, const struct cf_crew *crew,
                          struct cf_detail *detail)
{
    size_t room = SAMPLE_BYTES_MAX / (params->dim * sizeof(float));
    struct reservoir r = {.params = params, .survey = survey, .rng = cf_rng(params->seed ^ 0x4E1Du)};
    struct cf_ann_item item;
    enum cf_err err = source->rewind(source->arg, detail);
    float scratch[CF_ANN_DIM_MAX];

    *survey = (struct cf_ann_survey){0};
    r.room = (uint32_t)(room < SAMPLE_MAX ? room : SAMPLE_MAX);
    while (!err && (err = source->next(source->arg, &item, detail)) == CF_OK) {
        if (survey->count % POLL_EVERY == 0)
            err = cf_crew_poll(crew);
        if (!err)
            err = take(&r, &item, scratch, detail);
    }
    if (err != CF_E_NOT_FOUND)
        return err;
    scale(&r);
    hold_back(&r);
    return CF_OK;
}

void cf_ann_survey_fini(struct cf_ann_survey *survey)
{
    free(survey->items);
    free(survey->vectors);
    *survey = (struct cf_ann_survey){0};
}
