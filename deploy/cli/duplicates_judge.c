#include <math.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "deploy/cli/duplicates.h"

enum { ALBUMS_A_MESSAGE = 256 };

struct cf_judge {
    double *link_cosines;
    double *by_place, *cosines; /* with the first: in the group's order, and in the members' */
    uint32_t *order, *parents, *members, *places;
    float *vectors;
    bool *known;
};

struct cf_judge *cf_judge_new(void)
{
    return calloc(1, sizeof(struct cf_judge));
}

static void drop(struct cf_judge *judge)
{
    free(judge->link_cosines);
    free(judge->by_place);
    free(judge->cosines);
    free(judge->order);
    free(judge->parents);
    free(judge->members);
    free(judge->places);
    *judge = (struct cf_judge){.vectors = judge->vectors, .known = judge->known};
}

static void drop_vectors(struct cf_judge *judge)
{
    free(judge->vectors);
    free(judge->known);
    judge->vectors = NULL;
    judge->known = NULL;
}

void cf_judge_free(struct cf_judge *judge)
{
    if (!judge)
        return;
    drop(judge);
    drop_vectors(judge);
    free(judge);
}

static enum cf_err reserve(struct cf_judge *judge, const struct cf_link_group *group)
{
    drop(judge);
    judge->link_cosines = calloc(group->link_count, sizeof *judge->link_cosines);
    judge->order = calloc(group->link_count, sizeof *judge->order);
    judge->by_place = calloc(group->member_count, sizeof *judge->by_place);
    judge->cosines = calloc(group->member_count, sizeof *judge->cosines);
    judge->parents = calloc(group->member_count, sizeof *judge->parents);
    judge->members = calloc(group->member_count, sizeof *judge->members);
    judge->places = calloc(group->member_count, sizeof *judge->places);
    bool whole = judge->link_cosines && judge->by_place && judge->cosines && judge->order && judge->parents &&
                 judge->members && judge->places;
    return whole ? CF_OK : CF_E_NO_MEMORY;
}

/* NaN when a vector is gone: its album was removed meanwhile. */
static double cosine_of(const float *vectors, const bool *known, uint32_t dim, uint32_t a, uint32_t b)
{
    double dot = 0, left = 0, right = 0;
    if (!known[a] || !known[b])
        return NAN;
    const float *x = vectors + (size_t)a * dim, *y = vectors + (size_t)b * dim;
    for (uint32_t i = 0; i < dim; i++) {
        dot += (double)x[i] * (double)y[i];
        left += (double)x[i] * (double)x[i];
        right += (double)y[i] * (double)y[i];
    }
    return dot / sqrt(left * right);
}

/* The first stays first, then the most alike; what is gone comes last. Places are in the order of ids where
 * equal. */
static int by_cosine(const void *a, const void *b, void *arg)
{
    const double *cosines = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (x == 0 || y == 0)
        return (x != 0) - (y != 0);
    if (isnan(cosines[x]) != isnan(cosines[y]))
        return isnan(cosines[x]) ? 1 : -1;
    if (cosines[x] < cosines[y] || cosines[x] > cosines[y])
        return cosines[x] > cosines[y] ? -1 : 1;
    return (x > y) - (x < y);
}

enum cf_err cf_judge_vectors(struct cf_judge *judge, const float *vectors, const bool *known, uint32_t dim,
                             double threshold, const struct cf_link_group *group, struct cf_judged *judged)
{
    enum cf_err err = reserve(judge, group);
    if (err)
        return err;
    *judged = (struct cf_judged){.group = group, .members = judge->members, .cosines = judge->cosines};
    bool any = false;
    for (size_t i = 0; i < group->link_count; i++) {
        double cosine = cosine_of(vectors, known, dim, group->links[i].a, group->links[i].b);
        judge->link_cosines[i] = isnan(cosine) ? 1 : cosine; /* what is gone holds nothing together */
        any = any || !isnan(cosine);
    }
    judged->weakest =
        any ? cf_links_weakest(group, judge->link_cosines, judge->order, judge->parents) : (double)NAN;
    for (uint32_t i = 0; i < group->member_count; i++) {
        judge->by_place[i] = cosine_of(vectors, known, dim, 0, i);
        judge->places[i] = i;
        judged->chained = judged->chained || judge->by_place[i] <= threshold;
    }
    qsort_r(judge->places, group->member_count, sizeof *judge->places, by_cosine, judge->by_place);
    for (size_t i = 0; i < group->member_count; i++) {
        judge->members[i] = group->members[judge->places[i]];
        judge->cosines[i] = judge->by_place[judge->places[i]];
    }
    return CF_OK;
}

/* ---- vectors from the fleet ---- */

static void take_vector(struct cf_judge *judge, uint32_t dim, size_t place,
                        const struct cf_vector_result *result)
{
    judge->known[place] = result->error.len == 0 && result->vector.len == dim * sizeof(float);
    struct cf_cursor cursor = cf_cursor(result->vector);
    for (uint32_t i = 0; judge->known[place] && i < dim; i++) {
        uint32_t bits = cf_cursor_u32(&cursor);
        memcpy(&judge->vectors[place * dim + i], &bits, sizeof bits);
    }
}

static enum cf_exit fetch_some(struct cf_judge *judge, struct cf_duplicates *call,
                               const struct cf_link_group *group, size_t from, size_t count)
{
    struct cf_str albums[ALBUMS_A_MESSAGE];
    for (size_t i = 0; i < count; i++)
        albums[i] = cf_links_get(call->links, group->members[from + i])->id;
    struct cf_msg request = {
        .kind = CF_KIND_VECTOR,
        .wanted = {.space = cf_str(call->space->name), .albums = albums, .album_count = count}};
    struct cf_reply *reply = NULL;
    enum cf_exit result = cf_fleet_call(&call->fleet, &request, cf_str(""), &reply);
    if (result)
        return result;
    for (size_t i = 0; i < count && i < reply->msg.vectors.result_count; i++)
        take_vector(judge, call->space->dim, from + i, &reply->msg.vectors.results[i]);
    cf_reply_free(reply);
    return CF_EXIT_DONE;
}

enum cf_exit cf_judge_group(struct cf_judge *judge, struct cf_duplicates *call,
                            const struct cf_link_group *group, struct cf_judged *judged)
{
    uint32_t dim = call->space->dim;
    drop_vectors(judge);
    judge->vectors = calloc(group->member_count * dim, sizeof *judge->vectors);
    judge->known = calloc(group->member_count, sizeof *judge->known);
    enum cf_exit result = CF_EXIT_DONE;
    for (size_t at = 0, count; judge->vectors && judge->known && !result && at < group->member_count;
         at += count) {
        count = group->member_count - at < ALBUMS_A_MESSAGE ? group->member_count - at : ALBUMS_A_MESSAGE;
        /* A request that names one album fails as a whole when that is gone; so a message never has one
         * alone. */
        if (group->member_count - at - count == 1)
            count--;
        result = fetch_some(judge, call, group, at, count);
    }
    if (result)
        return result;
    bool whole = judge->vectors && judge->known;
    if (!whole || cf_judge_vectors(judge, judge->vectors, judge->known, dim, call->threshold, group, judged))
        return cf_fleet_tell(&call->fleet, cf_str(""), CF_E_NO_MEMORY, NULL);
    return CF_EXIT_DONE;
}
