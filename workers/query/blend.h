/* The spaces of a query as one: several with weights, or a single one as it is.
 *
 * The vectors of an album in all of them, each times its factor, one after the other, are its joint vector;
 * the distance of two albums is the Euclidean one of their joint vectors. With the factor sqrt(weight / sum
 * of weights) / scale of the space that is the distance that PROTOCOL.md defines for several spaces. */
#ifndef CF_WORKERS_QUERY_BLEND_H
#define CF_WORKERS_QUERY_BLEND_H

#include "workers/query/engine.h"

enum { CF_BLEND_DIM_MAX = CF_SPACE_COUNT * CF_DIM_MAX };

struct cf_blend {
    struct cf_blend_part {
        size_t space;
        float factor; /* 1 of a single space */
        uint32_t at;  /* where it begins in a joint vector */
    } parts[CF_SPACE_COUNT];
    size_t count; /* at least 1 */
    uint32_t dim; /* of joint vectors */
    bool several; /* asked for as `spaces`, be it one */
};

/* CF_E_UNKNOWN_SPACE; CF_E_INVALID for both `space` and `spaces`, when all weights are 0, and for one
 * that would not count beside the largest. Spaces of weight 0 are left out. */
enum cf_err cf_blend_of(const struct cf_query *query, struct cf_blend *blend,
                        struct cf_detail *detail) CF_MUST_CHECK;
const char *cf_blend_name(const struct cf_blend *blend); /* for query_ok */

/* In place: a part of a joint vector from the space's own units. */
void cf_blend_scale(const struct cf_blend_part *part, float *values);
/* The joint vector of an album; what cf_engine_vector fails with in any of the spaces. */
enum cf_err cf_blend_vector(const struct cf_blend *blend, struct cf_engine *engine, struct cf_str id,
                            struct cf_engine_scratch *scratch, float *joint,
                            struct cf_detail *detail) CF_MUST_CHECK;
/* Of joint vectors; FLT_MAX when it is larger. */
float cf_blend_distance(const struct cf_blend *blend, const float *a, const float *b);

struct cf_blend_search {
    const struct cf_blend *blend;
    struct cf_engine *engine;
    const float *joint;
    float (*vectors)[CF_DIM_MAX]; /* of the target in each space, by its number */
    uint64_t deadline_ms;
    struct cf_engine_query ask; /* in joint units; its space and vector are not looked at */
};

/* The nearest by joint distance, without titles. With `ask.keep`, everything is looked at exactly before
 * fewer than ask.k are called all there is; not with a radius, within which there may be fewer. Of several
 * spaces candidates are the nearest of each space; all are measured in all spaces. Whatever is no candidate
 * is farther, in every space, than that space's last one, so no result up to those distances together can be
 * missed (the threshold algorithm: Fagin, Lotem, Naor, "Optimal aggregation algorithms for middleware", PODS
 * 2001). Candidates grow fourfold until the share ask.recall of the results is certain in that way, there are
 * no more, or CF_K_MAX were taken of each space. `answer->exact` when all results are, in exact lists.
 * Everything comes from `arena`, which is emptied first. What cf_engine_search fails with, CF_E_DEADLINE. */
enum cf_err cf_blend_search(const struct cf_blend_search *search, struct cf_engine_scratch *scratch,
                            struct cf_arena *arena, struct cf_engine_answer *answer,
                            struct cf_detail *detail) CF_MUST_CHECK;

#endif
