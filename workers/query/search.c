#include "workers/query/search.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "proto/record.h"
#include "workers/query/pick.h"

/* What a neighbour or a result takes on the wire beside its texts: keys, numbers, lengths; and the msgpack
 * objects of a neighbour with every key, and of the message's own keys at most. */
enum { WIRE_BYTES = 96, WIRE_TEXT_BYTES = 5, WIRE_OBJECTS = 15, WIRE_OBJECTS_WHOLE = 32 };

/* An album that was described a moment ago may lie in its shard and not yet in the tail: at most so long is
 * waited for it, once a message. */
enum { REFRESH_MS = 200 };

struct cf_search_context {
    struct cf_search_options options;
    struct cf_engine_scratch scratch;
    struct cf_describer *describer;
    struct cf_arena *arena; /* of the message at hand, and so is what follows */
    uint64_t deadline_ms;
    bool is_fresh; /* the tail holds what was at rest when the message came */
    struct cf_blend blend;
    struct cf_blend among; /* of collapse_space, when the query names one */
    struct cf_selection selection;
    /* Of the target at hand, in each space and as one. */
    float vectors[CF_SPACE_COUNT][CF_DIM_MAX];
    float joint[CF_BLEND_DIM_MAX];
    uint8_t rgb[CF_THUMB_RGB_BYTES];
    struct cf_picker picker;
};

/* How much an answer has come to: bounded in bytes by the fleet, in objects by whoever reads it. */
struct wire {
    size_t bytes, objects;
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
    made->picker.engine = options->engine;
    made->picker.scratch = &made->scratch;
    made->picker.work = cf_arena_new();
    if (!made->scratch.searcher || !made->scratch.arena || !made->describer || !made->arena ||
        !made->picker.work) {
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
    cf_arena_free(context->picker.work);
    cf_collapse_fini(&context->picker.groups);
    free(context);
}

/* ---- what was asked ---- */

static enum cf_err check_count(const struct cf_search_options *options, const char *what, size_t count,
                               struct cf_detail *detail)
{
    if (count == 0)
        return cf_fail(detail, CF_E_INVALID, "the query has no %s", what);
    if (count > options->batch_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "%zu %s in one query: at most %llu are allowed", count, what,
                       (unsigned long long)options->batch_max);
    return CF_OK;
}

static enum cf_err check_query(const struct cf_search_options *options, const struct cf_query *query,
                               struct cf_detail *detail)
{
    if (query->k == 0 || query->k > options->k_max)
        return cf_fail(detail, CF_E_BAD_K, "k is %llu: it must be 1 to %llu", (unsigned long long)query->k,
                       (unsigned long long)options->k_max);
    if (!(query->recall >= 0 && query->recall <= 1))
        return cf_fail(detail, CF_E_INVALID, "recall is %g: it must be 0 to 1", query->recall);
    if (!(query->radius >= 0 && query->collapse >= 0))
        return cf_fail(detail, CF_E_INVALID, "radius is %g and collapse %g: neither may be below 0",
                       query->radius, query->collapse);
    return check_count(options, "targets", query->target_count, detail);
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
    return cf_space_normalize(space, out, detail);
}

/* In every space of the query. */
static enum cf_err describe_picture(struct cf_search_context *context, struct cf_bytes file,
                                    struct cf_detail *detail)
{
    bool constant = false;
    enum cf_err err = context->options.picture(context->options.picture_arg, file, context->rgb, detail);
    for (size_t i = 0; err == CF_OK && !constant && i < context->blend.count; i++) {
        size_t space = context->blend.parts[i].space;
        err = cf_describe(context->describer, &cf_spaces[space], context->rgb, CF_THUMB_SIDE, CF_THUMB_SIDE,
                          context->vectors[space], &constant, detail);
    }
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
    float *vector = context->vectors[space];
    err = cf_engine_vector(context->options.engine, space, album, &context->scratch, vector, detail);
    /* A shard that is just being created cannot be read for a moment, either. */
    if ((err != CF_E_NOT_FOUND && err != CF_E_IO) || context->is_fresh)
        return err;
    refresh(context);
    return cf_engine_vector(context->options.engine, space, album, &context->scratch, vector, detail);
}

/* The vector that the target brings along for the space. */
static enum cf_err given_vector(struct cf_search_context *context, size_t space,
                                const struct cf_target *target, struct cf_detail *detail)
{
    const struct cf_space *known = &cf_spaces[space];
    if (target->vector.len && context->blend.several)
        return cf_fail(detail, CF_E_INVALID, "a target of several spaces has `vectors`, not `vector`");
    if (target->vector.len)
        return read_vector(known, target->vector, context->vectors[space], detail);
    for (size_t i = 0; i < target->vector_count; i++)
        if (cf_str_is(target->vectors[i].space, known->name))
            return read_vector(known, target->vectors[i].vector, context->vectors[space], detail);
    return cf_fail(detail, CF_E_BAD_VECTOR, "the target has no vector in space %s", known->name);
}

static enum cf_err check_sources(const struct cf_target *target, struct cf_detail *detail)
{
    int sources = (target->album.len > 0) + (target->image.len > 0) + (target->vector.len > 0) +
                  (target->vector_count > 0);
    if (sources == 1)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID,
                   "a target names exactly one of album, image, vector and vectors, not %d of them (an empty "
                   "one is none)",
                   sources);
}

/* The vectors of a target in every space of the query. Which of the sources it names decides how. */
static enum cf_err target_vectors(struct cf_search_context *context, const struct cf_target *target,
                                  struct cf_detail *detail)
{
    enum cf_err err = check_sources(target, detail);
    if (err == CF_OK && target->image.len)
        return describe_picture(context, target->image, detail);
    for (size_t i = 0; err == CF_OK && i < context->blend.count; i++) {
        size_t space = context->blend.parts[i].space;
        err = target->album.len ? album_vector(context, space, target->album, detail)
                                : given_vector(context, space, target, detail);
    }
    return err;
}

static void join_vectors(struct cf_search_context *context)
{
    for (size_t i = 0; i < context->blend.count; i++) {
        const struct cf_blend_part *part = &context->blend.parts[i];
        memcpy(context->joint + part->at, context->vectors[part->space],
               cf_spaces[part->space].dim * sizeof *context->joint);
        cf_blend_scale(part, context->joint + part->at);
    }
}

/* ---- the answer ---- */

/* What is above 0 stays above 0, and finite. */
static float to_limit(double limit)
{
    return limit > 0 ? fmaxf((float)fmin(limit, (double)FLT_MAX), FLT_MIN) : 0;
}

/* The query's own when that is the space of collapse as well: then the search knows how far to look. */
static const struct cf_blend *collapse_blend(const struct cf_search_context *context,
                                             const struct cf_query *query)
{
    const struct cf_blend *own = &context->blend, *among = &context->among;
    bool other =
        query->collapse_space.len > 0 && (own->several || own->parts[0].space != among->parts[0].space);
    return other ? among : own;
}

static enum cf_err search_target(struct cf_search_context *context, const struct cf_query *query,
                                 const struct cf_target *target, struct cf_engine_answer *found,
                                 struct cf_detail *detail)
{
    enum cf_err err = target_vectors(context, target, detail);
    if (err != CF_OK)
        return err;
    join_vectors(context);
    double recall = query->recall > 0 ? query->recall : context->options.recall_default;
    struct cf_pick pick = {.blend = &context->blend,
                           .selection = &context->selection,
                           .vectors = context->vectors,
                           .joint = context->joint,
                           .collapse = to_limit(query->collapse),
                           .among = collapse_blend(context, query),
                           .deadline_ms = context->deadline_ms,
                           .ask = {.k = (uint32_t)query->k,
                                   .radius = to_limit(query->radius),
                                   .recall = recall,
                                   .exact = query->exact || recall >= 1,
                                   .self = target->album,
                                   .include_self = query->include_self}};
    return cf_pick(&context->picker, &pick, context->arena, found, detail);
}

static void weigh(const struct cf_answer_result *result, struct wire *wire)
{
    wire->bytes += WIRE_BYTES + result->error.len + result->detail.len;
    wire->objects += WIRE_OBJECTS;
    for (size_t i = 0; i < result->neighbor_count; i++) {
        const struct cf_neighbor *neighbor = &result->neighbors[i];
        wire->bytes += WIRE_BYTES + neighbor->album.len + neighbor->title.len + neighbor->artist.len +
                       neighbor->genre.len;
        wire->objects += WIRE_OBJECTS + neighbor->same_listed;
        for (size_t j = 0; j < neighbor->same_listed; j++)
            wire->bytes += WIRE_TEXT_BYTES + neighbor->same[j].len;
    }
}

static enum cf_err check_wire(const struct cf_search_context *context, const struct wire *wire,
                              struct cf_detail *detail)
{
    if (wire->bytes > context->options.reply_bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the answer would be over %zu bytes: ask for less at a time",
                       context->options.reply_bytes_max);
    if (wire->objects > CF_RECORD_OBJECTS_MAX - WIRE_OBJECTS_WHOLE)
        return cf_fail(detail, CF_E_TOO_LARGE,
                       "the answer would hold over %d msgpack objects: ask for less at a time",
                       CF_RECORD_OBJECTS_MAX);
    return CF_OK;
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

/* What is wrong with one of several targets or albums is said there; what ends the whole request is returned.
 */
static enum cf_err take_error(struct cf_search_context *context, size_t count, enum cf_err err,
                              const struct cf_detail *why, struct cf_str *error, struct cf_str *sentence,
                              struct cf_detail *detail)
{
    if (count == 1 || err == CF_E_NO_MEMORY || err == CF_E_DEADLINE)
        return cf_fail(detail, err, "%s", why->text);
    *error = cf_str(cf_err_name(err));
    *sentence = cf_arena_str(context->arena, cf_str(why->text));
    return sentence->data ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an answer");
}

static enum cf_err check_time(const struct cf_search_context *context, size_t done, size_t count,
                              struct cf_detail *detail)
{
    if (cf_clock_mono_ms() < context->deadline_ms)
        return CF_OK;
    return cf_fail(detail, CF_E_DEADLINE, "the deadline passed with %zu of %zu targets searched", done,
                   count);
}

/* Fills a result, with neighbours or with what is wrong with its target. */
static enum cf_err answer_target(struct cf_search_context *context, const struct cf_query *query, size_t i,
                                 struct cf_answer *answer, bool *first, struct cf_detail *detail)
{
    struct cf_engine_answer found;
    struct cf_detail why = {{0}};
    struct cf_answer_result *result = &answer->results[i];
    enum cf_err err = search_target(context, query, &query->targets[i], &found, &why);
    if (err != CF_OK)
        return take_error(context, query->target_count, err, &why, &result->error, &result->detail, detail);
    merge(answer, &found, *first);
    *first = false;
    result->neighbors = found.neighbors;
    result->neighbor_count = found.neighbor_count;
    return CF_OK;
}

/* No target was found: the answer still says what was searched. */
static void tell_state(struct cf_search_context *context, struct cf_answer *answer)
{
    struct cf_index_status status[CF_SPACE_COUNT];
    cf_engine_status(context->options.engine, status);
    answer->generation = status[context->blend.parts[0].space].generation;
    answer->unreadable_shards = cf_engine_unreadable(context->options.engine);
}

static enum cf_err search_targets(struct cf_search_context *context, const struct cf_query *query,
                                  struct cf_answer *answer, struct cf_detail *detail)
{
    bool first = true;
    struct wire wire = {0};
    enum cf_err err = CF_OK;
    for (size_t i = 0; err == CF_OK && i < query->target_count; i++) {
        err = check_time(context, i, query->target_count, detail);
        if (err == CF_OK)
            err = answer_target(context, query, i, answer, &first, detail);
        if (err == CF_OK) {
            weigh(&answer->results[i], &wire);
            err = check_wire(context, &wire, detail);
        }
    }
    if (err == CF_OK && first)
        tell_state(context, answer);
    return err;
}

static enum cf_err answer_query(struct cf_search_context *context, const struct cf_query *query,
                                struct cf_answer *answer, struct cf_detail *detail)
{
    const struct cf_query among = {.space = query->collapse_space};
    enum cf_err err = cf_blend_of(query, &context->blend, detail);
    if (err == CF_OK && query->collapse_space.len > 0)
        err = cf_blend_of(&among, &context->among, detail);
    if (err == CF_OK)
        err = check_query(&context->options, query, detail);
    if (err != CF_OK)
        return err;
    answer->space = cf_str(cf_blend_name(&context->blend));
    answer->result_count = query->target_count;
    answer->results = cf_arena_alloc(context->arena, query->target_count, sizeof *answer->results);
    if (!answer->results)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an answer");
    err = cf_selection_init(&context->selection, query, context->arena, detail);
    if (err == CF_OK)
        err = search_targets(context, query, answer, detail);
    cf_selection_fini(&context->selection);
    return err;
}

/* ---- vectors ---- */

static enum cf_err write_vector(struct cf_search_context *context, size_t space, struct cf_bytes *out,
                                struct cf_detail *detail)
{
    uint32_t dim = cf_spaces[space].dim;
    struct cf_buf buf;
    cf_buf_init(&buf);
    for (uint32_t i = 0; i < dim; i++) {
        uint32_t bits;
        memcpy(&bits, &context->vectors[space][i], sizeof bits);
        cf_buf_u32(&buf, bits);
    }
    *out = cf_arena_bytes(context->arena, cf_buf_bytes(&buf));
    bool whole = cf_buf_ok(&buf) && out->data;
    cf_buf_fini(&buf);
    return whole ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u floats", dim);
}

static enum cf_err find_vectors(struct cf_search_context *context, const struct cf_wanted *wanted,
                                size_t space, struct cf_vectors *vectors, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    struct wire wire = {0};
    for (size_t i = 0; err == CF_OK && i < wanted->album_count; i++) {
        struct cf_vector_result *result = &vectors->results[i];
        struct cf_detail why = {{0}};
        err = check_time(context, i, wanted->album_count, detail);
        if (err != CF_OK)
            return err;
        err = album_vector(context, space, wanted->albums[i], &why);
        err = err == CF_OK ? write_vector(context, space, &result->vector, detail)
                           : take_error(context, wanted->album_count, err, &why, &result->error,
                                        &result->detail, detail);
        wire.bytes += WIRE_BYTES + result->vector.len + result->detail.len;
        if (err == CF_OK)
            err = check_wire(context, &wire, detail);
    }
    return err;
}

static enum cf_err answer_vectors(struct cf_search_context *context, const struct cf_wanted *wanted,
                                  struct cf_vectors *vectors, struct cf_detail *detail)
{
    const struct cf_query in_space = {.space = wanted->space};
    enum cf_err err = cf_blend_of(&in_space, &context->blend, detail);
    if (err == CF_OK)
        err = check_count(&context->options, "albums", wanted->album_count, detail);
    if (err != CF_OK)
        return err;
    size_t space = context->blend.parts[0].space;
    vectors->space = cf_str(cf_spaces[space].name);
    vectors->space_version = cf_spaces[space].version;
    vectors->result_count = wanted->album_count;
    vectors->results = cf_arena_alloc(context->arena, wanted->album_count, sizeof *vectors->results);
    if (!vectors->results)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an answer");
    return find_vectors(context, wanted, space, vectors, detail);
}

/* ---- messages ---- */

static enum cf_err answer_msg(struct cf_search_context *context, const struct cf_msg *msg,
                              struct cf_buf *reply, struct cf_detail *detail)
{
    struct cf_msg out = {.id = msg->id};
    enum cf_err err;
    if (msg->kind == CF_KIND_QUERY) {
        out.kind = CF_KIND_QUERY_OK;
        err = answer_query(context, &msg->query, &out.answer, detail);
    } else if (msg->kind == CF_KIND_VECTOR) {
        out.kind = CF_KIND_VECTOR_OK;
        err = answer_vectors(context, &msg->wanted, &out.vectors, detail);
    } else {
        err = cf_fail(detail, CF_E_INVALID, "a query worker answers queries, not \"%s\"",
                      cf_kind_name(msg->kind));
    }
    return err == CF_OK ? cf_msg_encode(&out, reply, detail) : err;
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
        err = answer_msg(context, &msg, reply, &detail);
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
