/* What services ask for beyond the k nearest: radius, collapse, exclusion, filters, several spaces, and
 * vectors themselves. Random queries over a world of index and tail are held against a naive model; then the
 * refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "tests/unit/query_world.h"
#include "workers/query/search.h"

enum {
    GRAY = 0,
    GIST = 1,
    INDEXED = 20, /* of the world's own albums, the rest of them in the tail */
    OWN = 28,
    EXTRA = 30, /* ours, in the tail: five covers, six issues of each */
    ISSUES = 6,
    ALL = OWN + EXTRA,
    WITHOUT_GRAY = ALL - 1,
    K_MAX = 10000,
    BATCH_MAX = 1024,
    ROUNDS = 400,
    FAR_MS = 60000,
    QUERY_ID = 78
};

struct model_album {
    char id[32];
    const char *artist, *genre;
    float vectors[CF_SPACE_FIXED_COUNT][WORLD_DIM_MAX];
};

struct desk {
    struct world *world;
    struct cf_search_context *context;
    struct cf_arena *arena;
    struct cf_buf body, reply;
    struct cf_msg answer;
    enum cf_err err;
    struct model_album albums[ALL];
};

static const char *const artists[] = {"Maurizio", "Basic Channel", "Drexciya"};
static const char *const genres[] = {"Dub", "Techno"};

static enum cf_err no_picture(void *arg, struct cf_bytes file, uint8_t rgb[CF_THUMB_RGB_BYTES],
                              struct cf_detail *detail)
{
    (void)arg;
    for (size_t i = 0; i < CF_THUMB_RGB_BYTES; i++)
        rgb[i] = (uint8_t)(i * 7 + file.len);
    (void)detail;
    return CF_OK;
}

static void own_album(struct desk *desk, size_t i)
{
    struct model_album *album = &desk->albums[i];
    struct cf_str id = world_id(i);
    snprintf(album->id, sizeof album->id, "%.*s", CF_STR_ARG(id));
    album->artist = "Artist";
    world_store(desk->world, i, i % WORLD_SHARDS, ++desk->world->seq, false, 0);
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++)
        world_vector(i, desk->world->seq, space, album->vectors[space]);
}

/* Issues of one cover differ by a little: less than half a unit, where covers differ by many. */
static void extra_album(struct desk *desk, size_t i)
{
    struct model_album *album = &desk->albums[OWN + i];
    struct cf_rng rng = cf_rng(1000 + i);
    snprintf(album->id, sizeof album->id, "issue %zu of %zu", i % ISSUES, i / ISSUES);
    album->artist = artists[i % 3];
    album->genre = genres[i / 3 % 2];
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++) {
        world_vector(40 + i / ISSUES, 1, space, album->vectors[space]);
        for (uint32_t j = 0; j < cf_spaces[space].dim; j++)
            album->vectors[space][j] += (float)cf_rng_unit(&rng) * 0.01f;
        assert_int_equal(cf_space_normalize(&cf_spaces[space], album->vectors[space], NULL), CF_OK);
    }
    struct cf_pair meta[] = {{cf_str("artist"), cf_str(album->artist)},
                             {cf_str("genre"), cf_str(album->genre)}};
    struct cf_shard_album record = {
        .version = {1, ++desk->world->seq}, .source = cf_str("bytes"), .meta = meta, .meta_count = 2};
    struct cf_shard_vector vectors[CF_SPACE_FIXED_COUNT];
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++)
        vectors[space] = (struct cf_shard_vector){cf_str(cf_spaces[space].name), cf_spaces[space].version,
                                                  album->vectors[space], cf_spaces[space].dim};
    bool without = OWN + i == WITHOUT_GRAY;
    struct cf_bytes thumb = {(const uint8_t *)"jpeg", 4};
    assert_int_equal(cf_shard_put(desk->world->shards[0], cf_str(album->id), &record,
                                  without ? vectors + GIST : vectors,
                                  without ? CF_SPACE_FIXED_COUNT - 1 : CF_SPACE_FIXED_COUNT, thumb, NULL),
                     CF_OK);
    assert_int_equal(cf_shard_commit(desk->world->shards[0], NULL), CF_OK);
}

static struct desk *start(size_t reply_bytes_max)
{
    struct desk *desk = calloc(1, sizeof *desk);
    assert_non_null(desk);
    desk->world = world_new();
    desk->arena = cf_arena_new();
    for (size_t i = 0; i < INDEXED; i++)
        own_album(desk, i);
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++) {
        world_build(desk->world, space, 0);
        world_publish(desk->world, space);
    }
    for (size_t i = INDEXED; i < OWN; i++)
        own_album(desk, i);
    for (size_t i = 0; i < EXTRA; i++)
        extra_album(desk, i);
    world_open(desk->world);
    world_step(desk->world);
    const struct cf_search_options options = {.engine = desk->world->engine,
                                              .picture = no_picture,
                                              .k_max = K_MAX,
                                              .batch_max = BATCH_MAX,
                                              .recall_default = 0.95,
                                              .reply_bytes_max = reply_bytes_max};
    assert_int_equal(cf_search_context_new(&options, &desk->context, NULL), CF_OK);
    cf_buf_init(&desk->body);
    cf_buf_init(&desk->reply);
    return desk;
}

static void finish(struct desk *desk)
{
    cf_search_context_free(desk->context);
    cf_buf_fini(&desk->body);
    cf_buf_fini(&desk->reply);
    cf_arena_free(desk->arena);
    world_free(desk->world);
    free(desk);
}

static void ask_msg(struct desk *desk, struct cf_msg msg)
{
    msg.id = QUERY_ID;
    assert_int_equal(cf_msg_encode(&msg, &desk->body, NULL), CF_OK);
    cf_arena_reset(desk->arena);
    desk->err =
        cf_search_answer(desk->context, cf_buf_bytes(&desk->body), cf_clock_mono_ms() + FAR_MS, &desk->reply);
    assert_int_equal(cf_msg_decode(cf_buf_bytes(&desk->reply), desk->arena, &desk->answer, NULL), CF_OK);
    assert_int_equal(desk->answer.id, QUERY_ID);
}

static void ask(struct desk *desk, struct cf_query query, const struct cf_target *target)
{
    struct cf_target one = *target;
    query.targets = &one;
    query.target_count = 1;
    ask_msg(desk, (struct cf_msg){.kind = CF_KIND_QUERY, .query = query});
}

static void expect_error(const struct desk *desk, enum cf_err err, const char *word)
{
    assert_int_equal(desk->answer.kind, CF_KIND_ERROR);
    struct cf_str detail = desk->answer.error.detail;
    if (desk->err != err || !memmem(detail.data, detail.len, word, strlen(word)))
        fail_msg("%s: \"%.*s\": expected %s with %s", cf_err_name(desk->err), CF_STR_ARG(detail),
                 cf_err_name(err), word);
}

/* ---- the model ---- */

struct weighed {
    double weights[CF_SPACE_FIXED_COUNT]; /* factors of squared distances; 0: not asked for */
};

static struct weighed weigh(const struct cf_query *query)
{
    struct weighed weighed = {{0}};
    double sum = 0;
    for (size_t i = 0; i < query->space_count; i++)
        sum += query->spaces[i].weight;
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++) {
        if (cf_str_is(query->space, cf_spaces[space].name))
            weighed.weights[space] = 1;
        for (size_t i = 0; i < query->space_count; i++)
            if (cf_str_is(query->spaces[i].space, cf_spaces[space].name))
                weighed.weights[space] = query->spaces[i].weight / sum / pow(cf_spaces[space].scale, 2);
    }
    return weighed;
}

static double distance(const struct weighed *weighed, const struct model_album *a,
                       const struct model_album *b)
{
    double sum = 0;
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++)
        for (uint32_t i = 0; weighed->weights[space] > 0 && i < cf_spaces[space].dim; i++)
            sum +=
                weighed->weights[space] * pow((double)a->vectors[space][i] - (double)b->vectors[space][i], 2);
    return sqrt(sum);
}

static bool passes(const struct cf_query *query, const struct model_album *album)
{
    for (size_t i = 0; i < query->exclude_count; i++)
        if (cf_str_is(query->exclude[i], album->id))
            return false;
    for (size_t i = 0; i < query->filter_count; i++) {
        const struct cf_filter *filter = &query->filters[i];
        const char *own = cf_str_is(filter->key, "artist") ? album->artist : album->genre;
        bool found = false;
        for (size_t j = 0; j < filter->value_count; j++)
            found = found || (own && cf_str_is(filter->values[j], own));
        if (!found)
            return false;
    }
    return true;
}

struct expected {
    const struct model_album *album;
    double distance;
    size_t leader, same;
};

static int by_distance(const void *a, const void *b)
{
    const struct expected *left = a, *right = b;
    return (left->distance > right->distance) - (left->distance < right->distance);
}

/* Every album that the query wants, nearest first, each with the place of the one that stands for it. */
static size_t expect(const struct desk *desk, const struct cf_query *query, const struct model_album *from,
                     struct expected *out)
{
    const struct cf_query own = {.space = query->collapse_space};
    struct weighed weighed = weigh(query), among = query->collapse_space.len ? weigh(&own) : weighed;
    const struct model_album *without = among.weights[GRAY] > 0 ? &desk->albums[WITHOUT_GRAY] : NULL;
    size_t count = 0;
    for (size_t i = 0; i < ALL; i++) {
        const struct model_album *album = &desk->albums[i];
        double far = distance(&weighed, from, album);
        if (album == from || !passes(query, album) || (query->radius > 0 && far > query->radius) ||
            (i == WITHOUT_GRAY && weighed.weights[GRAY] > 0))
            continue;
        out[count++] = (struct expected){album, far, 0, 0};
    }
    qsort(out, count, sizeof *out, by_distance);
    for (size_t i = 0; i < count; i++) {
        out[i].leader = i;
        for (size_t j = 0; query->collapse > 0 && out[i].leader == i && j < i; j++)
            if (out[j].leader == j && out[i].album != without && out[j].album != without &&
                distance(&among, out[j].album, out[i].album) <= query->collapse)
                out[i].leader = j;
        out[out[i].leader].same += out[i].leader != i;
    }
    return count;
}

static const struct cf_neighbor *neighbor_of(const struct cf_answer_result *result, const char *id)
{
    for (size_t i = 0; i < result->neighbor_count; i++)
        if (cf_str_is(result->neighbors[i].album, id))
            return &result->neighbors[i];
    return NULL;
}

static bool lists(const struct cf_neighbor *neighbor, const char *id)
{
    for (size_t i = 0; i < neighbor->same_listed; i++)
        if (cf_str_is(neighbor->same[i], id))
            return true;
    return false;
}

static void compare(const struct desk *desk, const struct cf_query *query, const struct expected *expected,
                    size_t count)
{
    const struct cf_answer_result *result = &desk->answer.answer.results[0];
    size_t at = 0;
    for (size_t i = 0; i < count && at < query->k; i++) {
        if (expected[i].leader != i)
            continue;
        if (at >= result->neighbor_count)
            fail_msg("%zu neighbours, expected %s next", result->neighbor_count, expected[i].album->id);
        const struct cf_neighbor *neighbor = &result->neighbors[at++];
        if (!cf_str_is(neighbor->album, expected[i].album->id))
            fail_msg("neighbour %zu is %.*s, expected %s", at - 1, CF_STR_ARG(neighbor->album),
                     expected[i].album->id);
        assert_true(fabs(neighbor->distance - expected[i].distance) < 1e-4 * (1 + expected[i].distance));
        assert_true(cf_str_is(neighbor->artist, expected[i].album->artist));
        assert_true(neighbor->same_count <= expected[i].same);
        if (query->k >= ALL)
            assert_int_equal(neighbor->same_count, expected[i].same);
    }
    assert_int_equal(result->neighbor_count, at);
    for (size_t i = 0; query->k >= ALL && i < count; i++) {
        const struct cf_neighbor *leader = neighbor_of(result, expected[expected[i].leader].album->id);
        assert_true(expected[i].leader == i || lists(leader, expected[i].album->id));
    }
}

/* ---- random queries ---- */

struct wish {
    struct cf_query query;
    struct cf_weight weights[CF_SPACE_FIXED_COUNT];
    struct cf_str exclude[8], values[2][2];
    struct cf_filter filters[2];
    struct cf_space_vector vectors[CF_SPACE_FIXED_COUNT];
    struct cf_target target;
    size_t from;
};

static bool often(struct cf_rng *rng)
{
    return cf_rng_below(rng, 2) == 0;
}

static void draw_spaces(struct cf_rng *rng, struct wish *wish)
{
    wish->query.space = cf_str(cf_spaces[cf_rng_below(rng, CF_SPACE_FIXED_COUNT)].name);
    if (often(rng))
        return;
    wish->query.space = cf_str("");
    wish->query.spaces = wish->weights;
    wish->query.space_count = CF_SPACE_FIXED_COUNT;
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++)
        wish->weights[space] =
            (struct cf_weight){cf_str(cf_spaces[space].name), (double)cf_rng_below(rng, 5)};
    wish->weights[cf_rng_below(rng, CF_SPACE_FIXED_COUNT)].weight = 1.5;
}

static void draw_choice(struct cf_rng *rng, struct desk *desk, struct wish *wish)
{
    wish->query.exclude = wish->exclude;
    wish->query.exclude_count = often(rng) ? cf_rng_below(rng, 8) : 0;
    for (size_t i = 0; i < wish->query.exclude_count; i++)
        wish->exclude[i] = cf_str(desk->albums[cf_rng_below(rng, ALL)].id);
    wish->query.filters = wish->filters;
    for (size_t i = 0; i < 2; i++) {
        if (often(rng))
            continue;
        wish->values[i][0] = cf_str(i ? genres[cf_rng_below(rng, 2)] : artists[cf_rng_below(rng, 3)]);
        wish->values[i][1] = cf_str(i ? "Nothing" : "Artist");
        wish->filters[wish->query.filter_count++] =
            (struct cf_filter){cf_str(i ? "genre" : "artist"), wish->values[i], 1 + cf_rng_below(rng, 2)};
    }
}

static void draw_target(struct cf_rng *rng, struct desk *desk, struct wish *wish)
{
    wish->from = cf_rng_below(rng, WITHOUT_GRAY);
    if (often(rng)) {
        wish->target.album = cf_str(desk->albums[wish->from].id);
        return;
    }
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++)
        wish->vectors[space] = (struct cf_space_vector){
            cf_str(cf_spaces[space].name),
            {(const uint8_t *)desk->albums[wish->from].vectors[space], cf_spaces[space].dim * sizeof(float)}};
    wish->target.vectors = wish->vectors;
    wish->target.vector_count = CF_SPACE_FIXED_COUNT;
}

static void draw_wish(struct cf_rng *rng, struct desk *desk, struct wish *wish)
{
    *wish = (struct wish){.query = {.exact = true}};
    wish->query.k = often(rng) ? 1 + cf_rng_below(rng, 12) : K_MAX;
    draw_spaces(rng, wish);
    draw_choice(rng, desk, wish);
    draw_target(rng, desk, wish);
    bool several = wish->query.space_count > 0, gray = cf_str_is(wish->query.space, "gray16");
    /* About the median distance; between issues of one cover and between covers. */
    if (cf_rng_below(rng, 3) == 0)
        wish->query.radius = several ? 3.2 : gray ? 6.5 : 12.6;
    if (often(rng))
        wish->query.collapse = several ? 0.2 : 0.5;
    if (wish->query.collapse > 0 && cf_rng_below(rng, 3) == 0) {
        wish->query.collapse_space = cf_str(cf_rng_below(rng, 2) ? "gist" : "gray16");
        wish->query.collapse = 0.5;
    }
}

static void random_queries_answer_as_the_model_does(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_rng rng = cf_rng(20);
    size_t near = 0, some = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct wish wish;
        struct expected expected[ALL];
        draw_wish(&rng, desk, &wish);
        size_t count = expect(desk, &wish.query, &desk->albums[wish.from], expected);
        if (wish.target.vector_count) { /* nobody is left out then: the album itself is nearest */
            struct cf_str self = cf_str(desk->albums[wish.from].id);
            wish.exclude[wish.query.exclude_count++ % 8] = self;
            count = expect(desk, &wish.query, &desk->albums[wish.from], expected);
        }
        ask(desk, wish.query, &wish.target);
        if (desk->err != CF_OK)
            fail_msg("round %u: %.*s", round, CF_STR_ARG(desk->answer.error.detail));
        assert_true(desk->answer.answer.exact);
        assert_true(cf_str_is(desk->answer.answer.space, "blend") == (wish.query.space_count > 0));
        compare(desk, &wish.query, expected, count);
        near += wish.query.radius > 0 && count > 0 && count < ALL / 2;
        some += count > 0;
    }
    assert_true(near > ROUNDS / 40 && some > ROUNDS / 2); /* so the radius cut, and not all was empty */
    finish(desk);
}

/* ---- by hand ---- */

static void one_cover_is_one_result_and_lists_its_issues(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_target target = {.album = cf_str(desk->albums[OWN].id)};
    struct cf_query query = {.space = cf_str("gist"), .k = 3, .collapse = 0.5, .exact = true};
    ask(desk, query, &target);
    const struct cf_answer_result *result = &desk->answer.answer.results[0];
    assert_int_equal(result->neighbor_count, 3);
    assert_int_equal(result->neighbors[0].same_count, ISSUES - 2); /* besides the asked album and itself */
    assert_int_equal(result->neighbors[0].same_listed, ISSUES - 2);
    query.include_self = true;
    ask(desk, query, &target);
    result = &desk->answer.answer.results[0];
    assert_true(cf_str_equal(result->neighbors[0].album, target.album));
    assert_int_equal(result->neighbors[0].same_count, ISSUES - 1);
    query.collapse = 0;
    ask(desk, query, &target);
    result = &desk->answer.answer.results[0];
    assert_int_equal(result->neighbors[0].same_count, 0);
    finish(desk);
}

/* What is near in gist is told apart by gray16, or made one by it; what has no gray16 stands for itself. */
static void covers_are_made_one_in_a_space_of_its_own(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_target target = {.album = cf_str(desk->albums[OWN].id)};
    struct cf_query query = {.space = cf_str("gist"),
                             .k = K_MAX,
                             .collapse = 1e6,
                             .collapse_space = cf_str("gray16"),
                             .exact = true};
    ask(desk, query, &target);
    const struct cf_answer_result *result = &desk->answer.answer.results[0];
    assert_int_equal(result->neighbor_count, 2); /* all of one, and the one without */
    assert_int_equal(result->neighbors[0].same_count + result->neighbors[1].same_count, ALL - 3);
    assert_true(cf_str_is(desk->answer.answer.space, "gist"));
    query.collapse = 1e-6;
    ask(desk, query, &target);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, ALL - 1);
    query.collapse_space = cf_str("smell");
    ask(desk, query, &target);
    assert_int_equal(desk->err, CF_E_UNKNOWN_SPACE);
    finish(desk);
}

static void filters_and_exclusion_leave_the_asked_album_to_include_self(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_str self = cf_str(desk->albums[OWN].id), wanted = cf_str("Drexciya");
    struct cf_filter filter = {cf_str("artist"), &wanted, 1}; /* not the artist of the asked album */
    struct cf_target target = {.album = self};
    struct cf_query query = {.space = cf_str("gray16"),
                             .k = 100,
                             .filters = &filter,
                             .filter_count = 1,
                             .exclude = &self,
                             .exclude_count = 1,
                             .include_self = true};
    ask(desk, query, &target);
    const struct cf_answer_result *result = &desk->answer.answer.results[0];
    assert_true(cf_str_equal(result->neighbors[0].album, self));
    assert_int_equal(result->neighbor_count, 1 + EXTRA / 3 - 1); /* one of them is without gray16 */
    for (size_t i = 1; i < result->neighbor_count; i++)
        assert_true(cf_str_equal(result->neighbors[i].artist, wanted));
    finish(desk);
}

static void pictures_are_asked_for_in_every_space(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_weight weights[] = {{cf_str("gist"), 1}, {cf_str("gray16"), 3}};
    struct cf_target target = {.image = {(const uint8_t *)"p", 1}};
    ask(desk, (struct cf_query){.k = 7, .spaces = weights, .space_count = 2}, &target);
    assert_int_equal(desk->err, CF_OK);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, 7);
    assert_int_equal(desk->answer.answer.generation, 1);
    finish(desk);
}

static void bad_wishes_are_refused_by_name(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_target target = {.album = cf_str(desk->albums[OWN].id)};
    struct cf_str value = cf_str("Drexciya"), none = cf_str("");
    struct cf_filter label = {cf_str("label"), &value, 1}, empty = {cf_str("genre"), &none, 1};
    struct cf_query plain = {.space = cf_str("gist"), .k = 3}, query = plain;
    query.filters = &label;
    query.filter_count = 1;
    ask(desk, query, &target);
    expect_error(desk, CF_E_INVALID, "\"label\"");
    query.filters = &empty;
    ask(desk, query, &target);
    expect_error(desk, CF_E_INVALID, "genre has an empty value");

    struct cf_weight weights[] = {{cf_str("gist"), 0}, {cf_str("gray16"), 0}};
    query = plain;
    query.spaces = weights;
    query.space_count = 2;
    ask(desk, query, &target);
    expect_error(desk, CF_E_INVALID, "must be empty");
    query.space = cf_str("");
    ask(desk, query, &target);
    expect_error(desk, CF_E_INVALID, "weights");
    weights[0] = (struct cf_weight){cf_str("taste"), 1};
    ask(desk, query, &target);
    expect_error(desk, CF_E_UNKNOWN_SPACE, "taste");
    weights[0] = (struct cf_weight){cf_str("gist"), 1};
    struct cf_target vector = {
        .vector = {(const uint8_t *)desk->albums[0].vectors[GIST], CF_DIM_MAX * sizeof(float) / 4}};
    ask(desk, query, &vector);
    expect_error(desk, CF_E_INVALID, "vectors");
    struct cf_space_vector gray = {cf_str("gray16"), {(const uint8_t *)desk->albums[0].vectors[GRAY], 1024}};
    struct cf_target half = {.vectors = &gray, .vector_count = 1};
    ask(desk, query, &half);
    expect_error(desk, CF_E_BAD_VECTOR, "no vector in space gist");
    struct cf_target both = {.album = target.album, .vectors = &gray, .vector_count = 1};
    ask(desk, query, &both);
    expect_error(desk, CF_E_INVALID, "not 2");
    ask(desk, (struct cf_query){.k = 3}, &target);
    expect_error(desk, CF_E_UNKNOWN_SPACE, "gist");
    query = plain;
    query.k = K_MAX + 1;
    ask(desk, query, &target);
    expect_error(desk, CF_E_BAD_K, "10000");
    query.k = 0;
    ask(desk, query, &target);
    expect_error(desk, CF_E_BAD_K, "k is 0");
    finish(desk);
}

/* Weights and limits at the ends of what numbers can say are taken for what they are. */
static void extreme_numbers_are_harmless(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_target target = {.album = cf_str(desk->albums[OWN].id)};
    struct cf_weight weights[] = {{cf_str("gist"), 1e308}, {cf_str("gray16"), 1e308}};
    struct cf_query query = {.k = 100, .spaces = weights, .space_count = 2, .exact = true, .radius = 1e300};
    ask(desk, query, &target);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, ALL - 2);
    query.collapse = 1e300;
    ask(desk, query, &target);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, 1);
    assert_int_equal(desk->answer.answer.results[0].neighbors[0].same_count, ALL - 3);
    query.collapse = 0;
    query.radius = 1e-300;
    ask(desk, query, &target);
    assert_int_equal(desk->err, CF_OK);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, 0);
    finish(desk);
}

/* With the least weight an album still needs a vector in that space; with less there would be none asked for.
 */
static void a_weight_counts_or_is_refused(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_target target = {.album = cf_str(desk->albums[OWN].id)};
    struct cf_weight weights[] = {{cf_str("gist"), 1e302}, {cf_str("gray16"), 1e290}};
    const struct cf_query query = {.k = 100, .spaces = weights, .space_count = 2, .exact = true};
    ask(desk, query, &target);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, ALL - 2);
    weights[1].weight = 9e289;
    ask(desk, query, &target);
    expect_error(desk, CF_E_INVALID, "9e+289 of gray16");
    weights[1].weight = 0;
    ask(desk, query, &target);
    assert_int_equal(desk->answer.answer.results[0].neighbor_count, ALL - 1);
    finish(desk);
}

static void a_thousand_targets_fit_one_message(void **state)
{
    (void)state;
    struct desk *desk = start(4 << 20);
    static struct cf_target targets[BATCH_MAX + 1];
    for (size_t i = 0; i <= BATCH_MAX; i++)
        targets[i].album = i == 300 ? cf_str("nobody") : cf_str(desk->albums[i % (ALL - 1)].id);
    struct cf_msg msg = {
        .kind = CF_KIND_QUERY,
        .query = {.space = cf_str("gray16"), .k = 2, .targets = targets, .target_count = BATCH_MAX}};
    ask_msg(desk, msg);
    assert_int_equal(desk->err, CF_OK);
    assert_int_equal(desk->answer.answer.result_count, BATCH_MAX);
    for (size_t i = 0; i < BATCH_MAX; i++)
        assert_int_equal(desk->answer.answer.results[i].neighbor_count, i == 300 ? 0 : 2);
    assert_true(cf_str_is(desk->answer.answer.results[300].error, "not_found"));
    msg.query.target_count = BATCH_MAX + 1;
    ask_msg(desk, msg);
    expect_error(desk, CF_E_TOO_LARGE, "at most 1024");
    finish(desk);
}

static void vectors_come_as_they_rest(void **state)
{
    (void)state;
    struct desk *desk = start(1 << 20);
    struct cf_str albums[] = {cf_str(desk->albums[3].id), cf_str("nobody"), cf_str(desk->albums[ALL - 1].id),
                              cf_str("a\nb")};
    struct cf_msg msg = {.kind = CF_KIND_VECTOR,
                         .wanted = {.space = cf_str("gray16"), .albums = albums, .album_count = 4}};
    ask_msg(desk, msg);
    const struct cf_vectors *vectors = &desk->answer.vectors;
    assert_int_equal(desk->answer.kind, CF_KIND_VECTOR_OK);
    assert_true(cf_str_is(vectors->space, "gray16"));
    assert_int_equal(vectors->space_version, cf_spaces[GRAY].version);
    assert_int_equal(vectors->result_count, 4);
    assert_int_equal(vectors->results[0].vector.len, 1024);
    assert_memory_equal(vectors->results[0].vector.data, desk->albums[3].vectors[GRAY], 1024);
    assert_true(cf_str_is(vectors->results[1].error, "not_found"));
    assert_true(cf_str_is(vectors->results[2].error, "not_described"));
    assert_true(cf_str_is(vectors->results[3].error, "bad_album"));

    msg.wanted.album_count = 0;
    ask_msg(desk, msg);
    expect_error(desk, CF_E_INVALID, "no albums");
    msg.wanted.album_count = 1;
    msg.wanted.space = cf_str("taste");
    ask_msg(desk, msg);
    expect_error(desk, CF_E_UNKNOWN_SPACE, "taste");
    msg.wanted.space = cf_str("gist");
    albums[0] = cf_str("nobody");
    ask_msg(desk, msg);
    expect_error(desk, CF_E_NOT_FOUND, "nobody");
    finish(desk);
}

static void an_answer_too_large_is_refused(void **state)
{
    (void)state;
    struct desk *desk = start(3000);
    struct cf_str album = cf_str(desk->albums[3].id);
    struct cf_target target = {.album = album};
    ask(desk, (struct cf_query){.space = cf_str("gist"), .k = 100}, &target);
    expect_error(desk, CF_E_TOO_LARGE, "3000 bytes");
    ask_msg(desk, (struct cf_msg){.kind = CF_KIND_VECTOR,
                                  .wanted = {.space = cf_str("gist"), .albums = &album, .album_count = 1}});
    expect_error(desk, CF_E_TOO_LARGE, "3000 bytes");
    finish(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_queries_answer_as_the_model_does),
        cmocka_unit_test(one_cover_is_one_result_and_lists_its_issues),
        cmocka_unit_test(covers_are_made_one_in_a_space_of_its_own),
        cmocka_unit_test(filters_and_exclusion_leave_the_asked_album_to_include_self),
        cmocka_unit_test(pictures_are_asked_for_in_every_space),
        cmocka_unit_test(bad_wishes_are_refused_by_name),
        cmocka_unit_test(extreme_numbers_are_harmless),
        cmocka_unit_test(a_weight_counts_or_is_refused),
        cmocka_unit_test(a_thousand_targets_fit_one_message),
        cmocka_unit_test(vectors_come_as_they_rest),
        cmocka_unit_test(an_answer_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
