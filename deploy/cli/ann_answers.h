/* Answers of `coverfleet ann search` and `pairs` into files: numbers as .ivecs or .npy (int32), distances as
 * .fvecs or .npy (float32), or both as a .tsv with ids. Where there are fewer than k, a row of numbers ends
 * in -1 and one of distances in FLT_MAX. Files appear when all is written. One owner. */
#ifndef CF_CLI_ANN_ANSWERS_H
#define CF_CLI_ANN_ANSWERS_H

#include "deploy/cli/ann.h"

struct cf_answers;

/* `out` and `distances` may be NULL; `query_ids` (may be NULL: numbers) names the queries in a .tsv, `pairs`:
 * the index's own ids do. All borrowed. CF_E_INVALID for names that end otherwise, CF_E_TOO_LARGE for an
 * index with more items than int32 counts. */
struct cf_answers_options {
    const char *out, *distances, *query_ids;
    uint32_t k;
    bool pairs;
};
/* By the end of its name. */
bool cf_answers_is_table(const char *path);
enum cf_err cf_answers_new(const struct cf_ann *ann, const struct cf_answers_options *options,
                           struct cf_answers **answers, struct cf_detail *detail) CF_MUST_CHECK;
/* Without cf_answers_finish nothing stays. Takes NULL. */
void cf_answers_free(struct cf_answers *answers);

/* Of the next query. */
enum cf_err cf_answers_add(struct cf_answers *answers, const struct cf_ann_hit *hits, size_t count,
                           struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_answers_finish(struct cf_answers *answers, struct cf_detail *detail) CF_MUST_CHECK;

#endif
