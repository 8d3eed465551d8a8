#include "workers/query/search.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"

/* What a neighbour or a result takes on the wire beside its texts: keys, numbers, lengths. */
enum { WIRE_BYTES = 64 };

/* An album that was described a moment ago may lie in its shard and not yet in the tail: at most so long is
 * waited for it, once a message. */
enum { REFRESH_MS = 200 };

struct cf_search_context {
    struct cf_search_options options;
    struct cf_engine_scratch scratch;
    struct cf_describer *describer;
    struct cf_arena *arena; /* of the message at hand */
    uint64_t deadline_ms;   /* likewise */
    bool is_fresh;          /* the tail holds what was at rest when the message came */
    float vector[CF_DIM_MAX];
    uint8_t rgb[CF_THUMB_RGB_BYTES];
};

enum cf_err cf_search_context_new(const struct cf_search_options *options, struct cf_search_context **context,
                                  struct cf_detail *detail)
{
    struct cf_search_context *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to search with");
    made->options = *options;
    made->scratch.searcher = cf_ann_searcher_new();
    made->scratch.arena = cf_arena_new();
    made->describer = cf_describer_new();
    made->arena = cf_arena_new();
    if (!made->scratch.searcher || !made->scratch.arena || !made->describer || !made->arena) {
        cf_search_context_free(made);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to search with");
    }
    *context = made;
    return CF_OK;
}

void cf_search_context_free(struct cf_search_context *context)
{
    if (!context)
        return;
    cf_ann_searcher_free(context->scratch.searcher);
    cf_arena_free(context->scratch.arena);
    cf_describer_free(context->describer);
    cf_arena_free(context->arena);
    free(context);
}

/* ---- what was asked ---- */

static enum cf_err check_query(const struct cf_search_options *options, const struct cf_query *query,
                               size_t *space, struct cf_detail *detail)
{
    const struct cf_space *found = cf_space_find(query->space);
    if (!found)
        return cf_fail(detail, CF_E_UNKNOWN_SPACE, "there is no space \"%.*s\": %s are served",
                       (int)(query->space.len < 64 ? query->space.len : 64), query->space.data,
                       cf_space_names());
    if (query->k == 0 || query->k > options->k_max)
        return cf_fail(detail, CF_E_BAD_K, "k is %llu: it must be 1 to %llu", (unsigned long long)query->k,
                       (unsigned long long)options->k_max);
    if (!(query->recall >= 0 && query->recall <= 1))
        return cf_fail(detail, CF_E_INVALID, "recall is %g: it must be 0 to 1", query->recall);
    if (query->target_count == 0)
        return cf_fail(detail, CF_E_INVALID, "the query has no targets");
    if (query->target_count > options->batch_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "%zu targets in one query: at most %llu are allowed",
                       query->target_count, (unsigned long long)options->batch_max);
    *space = (size_t)(found - cf_spaces);
    return CF_OK;
}

static enum cf_err read_vector(const struct cf_space *space, struct cf_bytes bytes, float *out,
                               struct cf_detail *detail)
{
    if (bytes.len != space->dim * sizeof *out)
        return cf_fail(detail, CF_E_BAD_VECTOR,
                       "the vector has %zu bytes: space %s takes %u floats, %zu bytes", bytes.len,
                       space->name, space->dim, space->dim * sizeof *out);
    double square = 0;
    struct cf_cursor cursor = cf_cursor(bytes);
    for (uint32_t i = 0; i < space->dim; i++) {
        uint32_t bits = cf_cursor_u32(&cursor);
        memcpy(&out[i], &bits, sizeof bits);
        if (!isfinite(out[i]))
            return cf_fail(detail, CF_E_BAD_VECTOR, "element %u of the vector is not a finite number", i);
        square += (double)out[i] * (double)out[i];
    }
    if (square > (double)FLT_MAX)
        return cf_fail(detail, CF_E_BAD_VECTOR,
                       "the vector is %.3g long: its squared length must fit into a float, at most %.3g",
                       sqrt(square), (double)FLT_MAX);
    return CF_OK;
}

static enum cf_err describe_picture(struct cf_search_context *context, const struct cf_space *space,
                                    struct cf_bytes file, struct cf_detail *detail)
{
    bool constant = false;
    enum cf_err err = context->options.picture(context->options.picture_arg, file, context->rgb, detail);
    if (err == CF_OK)
        err = cf_describe(context->describer, space, context->rgb, CF_THUMB_SIDE, CF_THUMB_SIDE,
                          context->vector, &constant, detail);
    if (err == CF_OK && constant)
        err = cf_fail(detail, CF_E_FLAGGED, "the picture has no contrast: there is nothing to compare");
    return err;
}

static void refresh(struct cf_search_context *context)
{
    uint64_t until_ms = cf_clock_mono_ms() + REFRESH_MS;
    if (context->options.refresh)
        context->options.refresh(context->options.refresh_arg,
                                 until_ms < context->deadline_ms ? until_ms : context->deadline_ms);
    context->is_fresh = true;
}

static enum cf_err album_vector(struct cf_search_context *context, size_t space, struct cf_str album,
                                struct cf_detail *detail)
{
    enum cf_err err = cf_album_check(album, detail);
    if (err != CF_OK)
        return err;
    err = cf_engine_vector(context->options.engine, space, album, &context->scratch, context->vector, detail);
    /* A shard that is just being created cannot be read for a moment, either. */
    if ((err != CF_E_NOT_FOUND && err != CF_E_IO) || context->is_fresh)
        return err;
    refresh(context);
    return cf_engine_vector(context->options.engine, space, album, &context->scratch, context->vector,
                            detail);
}

/* The vector of a target into context->vector. Which of the three sources it names decides how. */
static enum cf_err target_vector(struct cf_search_context *context, size_t space,
                                 const struct cf_target *target, struct cf_detail *detail)
{
    int sources = (target->album.len > 0) + (target->image.len > 0) + (target->vector.len > 0);
    if (sources != 1)
        return cf_fail(
            detail, CF_E_INVALID,
            "a target names exactly one of album, image and vector, not %d of them (an empty one is none)",
            sources);
    if (target->vector.len)
        return read_vector(&cf_spaces[space], target->vector, context->vector, detail);
    if (target->image.len)
        return describe_picture(context, &cf_spaces[space], target->image, detail);
    return album_vector(context, space, target->album, detail);
}

/* ---- the answer ---- */

static enum cf_err search_target(struct cf_search_context *context, const struct cf_query *query,
                                 size_t space, const struct cf_target *target, struct cf_engine_answer *found,
                                 struct cf_detail *detail)
{
    enum cf_err err = target_vector(context, space, target, detail);
    if (err != CF_OK)
        return err;
    double recall = query->recall > 0 ? query->recall : context->options.recall_default;
    struct cf_engine_query ask = {.space = space,
                                  .vector = context->vector,
                                  .k = (uint32_t)query->k,
                                  .recall = recall,
                                  .exact = query->exact || recall >= 1,
                                  .self = target->album,
                                  .include_self = query->include_self};
    return cf_engine_search(context->options.engine, &ask, &context->scratch, context->arena, found, detail);
}

static size_t wire_bytes(const struct cf_answer_result *result)
{
    size_t bytes = WIRE_BYTES + result->error.len + result->detail.len;
    for (size_t i = 0; i < result->neighbor_count; i++)
        bytes += WIRE_BYTES + result->neighbors[i].album.len + result->neighbors[i].title.len +
                 result->neighbors[i].artist.len;
    return bytes;
}

/* An answer says the least that holds for all of its results: the oldest generation, the stalest tail. */
static void merge(struct cf_answer *answer, const struct cf_engine_answer *found, bool first)
{
    if (first || found->generation < answer->generation)
        answer->generation = found->generation;
    if (first || found->stale_ms > answer->stale_ms)
        answer->stale_ms = found->stale_ms;
    if (first || found->unreadable_shards > answer->unreadable_shards)
        answer->unreadable_shards = found->unreadable_shards;
    answer->exact = (first || answer->exact) && found->exact;
}

/* Fills `result`, with neighbours or with what is wrong with this target. What ends the whole query is
 * returned. */
static enum cf_err take_result(struct cf_search_context *context, const struct cf_query *query,
                               enum cf_err err, const struct cf_detail *why,
                               const struct cf_engine_answer *found, struct cf_answer_result *result,
                               struct cf_detail *detail)
{
    if (err == CF_OK) {
        result->neighbors = found->neighbors;
        result->neighbor_count = found->neighbor_count;
        return CF_OK;
    }
    if (query->target_count == 1 || err == CF_E_NO_MEMORY)
        return cf_fail(detail, err, "%s", why->text);
    result->error = cf_str(cf_err_name(err));
    result->detail = cf_arena_str(context->arena, cf_str(why->text));
    return result->detail.data ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an answer");
}

static enum cf_err search_targets(struct cf_search_context *context, const struct cf_query *query,
                                  size_t space, struct cf_answer *answer, struct cf_detail *detail)
{
    bool first = true;
    size_t bytes = 0;
    for (size_t i = 0; i < query->target_count; i++) {
        if (cf_clock_mono_ms() >= context->deadline_ms)
            return cf_fail(detail, CF_E_DEADLINE, "the deadline passed with %zu of %zu targets searched", i,
                           query->target_count);
        struct cf_engine_answer found;
        struct cf_detail why = {{0}};
        enum cf_err err = search_target(context, query, space, &query->targets[i], &found, &why);
        if (err == CF_OK) {
            merge(answer, &found, first);
            first = false;
        }
        err = take_result(context, query, err, &why, &found, &answer->results[i], detail);
        if (err != CF_OK)
            return err;
        bytes += wire_bytes(&answer->results[i]);
        if (bytes > context->options.reply_bytes_max)
            return cf_fail(detail, CF_E_TOO_LARGE,
                           "the answer would be over %zu bytes: ask for fewer targets or neighbours",
                           context->options.reply_bytes_max);
    }
    if (first) { /* no target was found: the answer still says what was searched */
        struct cf_index_status status[CF_SPACE_COUNT];
        cf_engine_status(context->options.engine, status);
        answer->generation = status[space].generation;
        answer->unreadable_shards = cf_engine_unreadable(context->options.engine);
    }
    return CF_OK;
}

static enum cf_err answer_query(struct cf_search_context *context, const struct cf_msg *msg,
                                struct cf_buf *reply, struct cf_detail *detail)
{
    const struct cf_query *query = &msg->query;
    size_t space = 0;
    if (msg->kind != CF_KIND_QUERY)
        return cf_fail(detail, CF_E_INVALID, "a query worker answers queries, not \"%s\"",
                       cf_kind_name(msg->kind));
    enum cf_err err = check_query(&context->options, query, &space, detail);
    if (err != CF_OK)
        return err;
    struct cf_msg out = {.kind = CF_KIND_QUERY_OK, .id = msg->id};
    out.answer.space = cf_str(cf_spaces[space].name);
    out.answer.result_count = query->target_count;
    out.answer.results = cf_arena_alloc(context->arena, query->target_count, sizeof *out.answer.results);
    if (!out.answer.results)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an answer");
    err = search_targets(context, query, space, &out.answer, detail);
    if (err != CF_OK)
        return err;
    return cf_msg_encode(&out, reply, detail);
}

static void write_error(uint64_t id, enum cf_err err, const struct cf_detail *detail, struct cf_buf *reply)
{
    struct cf_msg out = cf_msg_error(id, err, detail);
    if (cf_msg_encode(&out, reply, NULL) != CF_OK)
        cf_buf_clear(reply); /* memory for not even this: the asker's deadline tells */
}

enum cf_err cf_search_answer(struct cf_search_context *context, struct cf_bytes body, uint64_t deadline_ms,
                             struct cf_buf *reply)
{
    struct cf_msg msg = {.id = 0};
    struct cf_detail detail = {{0}};
    cf_arena_reset(context->arena);
    context->deadline_ms = deadline_ms;
    context->is_fresh = false;
    enum cf_err err = cf_msg_decode(body, context->arena, &msg, &detail);
    if (err == CF_OK)
        err = answer_query(context, &msg, reply, &detail);
    if (err != CF_OK)
        write_error(msg.id, err, &detail, reply);
    return err;
}

void cf_search_refuse(struct cf_arena *arena, struct cf_bytes body, enum cf_err err,
                      const struct cf_detail *detail, struct cf_buf *reply)
{
    struct cf_msg msg = {.id = 0};
    /* A body that does not decode is refused all the same: with the id, if that could be read. */
    enum cf_err decoded = cf_msg_decode(body, arena, &msg, NULL);
    (void)decoded;
    write_error(msg.id, err, detail, reply);
}
