#include "tests/unit/query_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/cpu.h"
#include "common/base/file.h"

#define MUST(call)                                                                                           \
    do {                                                                                                     \
        struct cf_detail detail = {{0}};                                                                     \
        enum cf_err must_err = (call);                                                                       \
        if (must_err != CF_OK)                                                                               \
            fail_msg("%s: %s: %s", #call, cf_err_name(must_err), detail.text);                               \
    } while (0)

/* RocksDB's memtables are read without locks while a catch-up adds to them, and ZeroMQ hands messages from
 * its thread to ours, ordered by atomics that the sanitizer cannot see in libraries that were not built for
 * it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:librocksdb.so\nrace:libzmq.so";
}

static void path_in(const struct world *world, char path[CF_HOME_PATH_MAX], const char *kind,
                    const char *name)
{
    MUST(cf_home_path(&world->home, path, CF_HOME_PATH_MAX, &detail, "%s%s", kind, name));
}

static void make_folder(const struct world *world, const char *kind, const char *name)
{
    char path[CF_HOME_PATH_MAX];
    path_in(world, path, kind, name);
    MUST(cf_file_make_dirs(path, &detail));
}

struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    MUST(cf_cpu_init(&detail)); /* before threads, as every main does */
    snprintf(world->home.root, sizeof world->home.root, "%s/coverfleet-query-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(world->home.root));
    make_folder(world, "data/shards", "");
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        make_folder(world, "data/index/", cf_spaces[i].name);
    for (size_t i = 0; i < WORLD_SHARDS; i++) {
        char name[32], path[CF_HOME_PATH_MAX];
        snprintf(name, sizeof name, "descriptor-%zu", i);
        path_in(world, path, "data/shards/", name);
        MUST(cf_shard_open(path, &world->shards[i], &detail));
    }
    world->arena = cf_arena_new();
    world->scratch = (struct cf_engine_scratch){cf_ann_searcher_new(), cf_arena_new()};
    assert_true(world->arena && world->scratch.searcher && world->scratch.arena);
    return world;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

void world_free(struct world *world)
{
    world_close(world);
    for (size_t i = 0; i < WORLD_SHARDS; i++)
        cf_shard_free(world->shards[i]);
    cf_ann_searcher_free(world->scratch.searcher);
    cf_arena_free(world->scratch.arena);
    cf_arena_free(world->arena);
    nftw(world->home.root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(world);
}

/* ---- albums ---- */

struct cf_str world_id(size_t album)
{
    static char ids[WORLD_ALBUMS][16];
    CF_CHECK(album < WORLD_ALBUMS);
    if (!ids[album][0])
        snprintf(ids[album], sizeof ids[album], "album-%02zu", album);
    return cf_str(ids[album]);
}

void world_vector(size_t album, uint64_t seq, size_t space, float *out)
{
    struct cf_rng rng = cf_rng(album * 1000003 + seq * 17 + space);
    for (uint32_t i = 0; i < cf_spaces[space].dim; i++)
        out[i] = (float)cf_rng_unit(&rng);
    MUST(cf_space_normalize(&cf_spaces[space], out, &detail));
}

bool world_store(struct world *world, size_t album, size_t shard, uint64_t seq, bool removed, uint32_t flags)
{
    static float values[CF_SPACE_FIXED_COUNT][WORLD_DIM_MAX];
    char text[64];
    snprintf(text, sizeof text, "Title %zu of %llu", album, (unsigned long long)seq);
    struct cf_pair meta[] = {{cf_str("artist"), cf_str("Artist")}, {cf_str("title"), cf_str(text)}};
    struct cf_shard_album record = {.version = {1, seq},
                                    .removed = removed,
                                    .flags = flags,
                                    .source = cf_str("bytes"),
                                    .meta = meta,
                                    .meta_count = 2};
    struct cf_shard_vector vectors[CF_SPACE_FIXED_COUNT];
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++) {
        world_vector(album, seq, i, values[i]);
        vectors[i] = (struct cf_shard_vector){cf_str(cf_spaces[i].name), cf_spaces[i].version, values[i],
                                              cf_spaces[i].dim};
    }
    struct cf_bytes thumb = {(const uint8_t *)"jpeg", removed ? 0 : 4};
    struct cf_detail detail = {{0}};
    enum cf_err err = cf_shard_put(world->shards[shard], world_id(album), &record, vectors,
                                   removed ? 0 : CF_SPACE_FIXED_COUNT, thumb, &detail);
    if (err == CF_E_SUPERSEDED)
        return false;
    if (err == CF_OK)
        err = cf_shard_commit(world->shards[shard], &detail);
    if (err != CF_OK)
        fail_msg("%s", detail.text);
    world->records[album][shard] = (struct world_record){record.version, record.log_seq, flags, removed};
    return true;
}

struct world_record world_newest(const struct world *world, size_t album, unsigned without)
{
    struct world_record newest = {.version = {0, 0}};
    for (size_t i = 0; i < WORLD_SHARDS; i++)
        if (!(without & 1u << i) && cf_version_compare(world->records[album][i].version, newest.version) > 0)
            newest = world->records[album][i];
    return newest;
}

void world_announce(struct world *world, size_t album, uint64_t seq)
{
    struct cf_removed_item item = {world_id(album), {1, seq}};
    assert_int_equal(cf_engine_remove(world->engine, &item), CF_OK);
    world->announced[album] = item.version;
}

/* ---- generations ---- */

struct source {
    const struct world *world;
    size_t space, at;
    unsigned without;
    const struct world_base *base; /* NULL for a whole generation */
    bool has[WORLD_ALBUMS];
    uint8_t tag[CF_GENERATION_TAG_BYTES];
    float vector[WORLD_DIM_MAX];
};

static enum cf_err source_rewind(void *arg, struct cf_detail *detail)
{
    (void)detail;
    ((struct source *)arg)->at = 0;
    return CF_OK;
}

static bool is_neighbor(const struct world_record *record)
{
    return record->version.epoch && !record->removed && !(record->flags & CF_FLAG_CONSTANT);
}

static uint32_t shard_of(const struct world *world, size_t album, unsigned without, struct cf_version version)
{
    uint32_t shard = 0;
    for (uint32_t i = 0; i < WORLD_SHARDS; i++)
        if (cf_version_compare(world->records[album][i].version, version) == 0 && !(without & 1u << i))
            shard = i;
    return shard;
}

/* Whether a small generation says anything of the album. */
static bool is_behind(const struct source *source, size_t album)
{
    struct world_record newest = world_newest(source->world, album, source->without);
    return newest.version.epoch &&
           newest.log_seq >
               source->base->marks[shard_of(source->world, album, source->without, newest.version)];
}

static enum cf_err source_next(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct source *source = arg;
    (void)detail;
    while (source->at < WORLD_ALBUMS) {
        size_t album = source->at++;
        struct world_record newest = world_newest(source->world, album, source->without);
        if (!is_neighbor(&newest) || (source->base && !is_behind(source, album)))
            continue;
        source->has[album] = true;
        struct cf_generation_tag tag = {.version = newest.version,
                                        .shard =
                                            shard_of(source->world, album, source->without, newest.version),
                                        .labels = {[CF_LABEL_ARTIST] = cf_label(cf_str("Artist"))}};
        cf_generation_tag_encode(&tag, source->tag);
        world_vector(album, newest.version.seq, source->space, source->vector);
        struct cf_str id = world_id(album);
        *item = (struct cf_ann_item){
            {(const uint8_t *)id.data, id.len}, {source->tag, sizeof source->tag}, source->vector};
        return CF_OK;
    }
    return CF_E_NOT_FOUND;
}

static void built_path(const struct world *world, size_t space, char path[CF_HOME_PATH_MAX])
{
    path_in(world, path, "built-", cf_spaces[space].name);
}

static size_t list_hidden(const struct source *source, struct cf_str hidden[WORLD_ALBUMS])
{
    size_t count = 0;
    for (size_t album = 0; source->base && album < WORLD_ALBUMS; album++) {
        struct world_record newest = world_newest(source->world, album, source->without);
        if (source->base->has[album] && is_behind(source, album) && !is_neighbor(&newest))
            hidden[count++] = world_id(album);
    }
    return count;
}

static void build_file(const struct world *world, struct source *source,
                       const struct cf_generation *generation)
{
    char path[CF_HOME_PATH_MAX];
    const struct cf_space *space = &cf_spaces[source->space];
    struct cf_buf attachment;
    cf_buf_init(&attachment);
    MUST(cf_generation_encode(generation, &attachment, &detail));
    struct cf_ann_source ann_source = {source_rewind, source_next, source};
    struct cf_ann_params params = {.dim = space->dim,
                                   .tag_bytes = CF_GENERATION_TAG_BYTES,
                                   .metric = space->metric == CF_METRIC_COSINE ? CF_ANN_COSINE : CF_ANN_L2,
                                   .seed = 1,
                                   .threads = 1,
                                   .attachment = cf_buf_bytes(&attachment)};
    built_path(world, source->space, path);
    MUST(cf_ann_build(path, &params, &ann_source, NULL, NULL, &detail));
    cf_buf_fini(&attachment);
}

static void build(struct world *world, size_t space, unsigned without, const struct world_base *base)
{
    char names[WORLD_SHARDS][32];
    struct cf_generation_mark marks[WORLD_SHARDS];
    struct cf_str hidden[WORLD_ALBUMS];
    struct source source = {.world = world, .space = space, .without = without, .base = base};
    struct world_base aside = {.generation = world->built[space] + 1};
    for (size_t i = 0; i < WORLD_SHARDS; i++) {
        /* A shard without a mark is named all the same by nobody: 0 covers nothing. */
        snprintf(names[i], sizeof names[i], "descriptor-%zu", i);
        if (!(without & 1u << i))
            MUST(cf_shard_log_last(world->shards[i], &aside.marks[i], &detail));
        marks[i] = (struct cf_generation_mark){cf_str(names[i]), aside.marks[i]};
    }
    struct cf_generation generation = {.space = cf_str(cf_spaces[space].name),
                                       .space_version = cf_spaces[space].version,
                                       .generation = aside.generation,
                                       .base = base ? base->generation : 0,
                                       .marks = marks,
                                       .mark_count = WORLD_SHARDS,
                                       .hidden = hidden,
                                       .hidden_count = list_hidden(&source, hidden)};
    build_file(world, &source, &generation);
    memcpy(aside.has, source.has, sizeof aside.has);
    world->aside[space] = aside;
    world->aside_is_small[space] = base != NULL;
}

void world_build(struct world *world, size_t space, unsigned without)
{
    build(world, space, without, NULL);
}

bool world_build_small(struct world *world, size_t space)
{
    if (world->bases[space].generation)
        build(world, space, 0, &world->bases[space]);
    return world->bases[space].generation != 0;
}

static void generation_path(const struct world *world, size_t space, uint64_t base,
                            char path[CF_HOME_PATH_MAX])
{
    const char *name = cf_spaces[space].name;
    uint64_t generation = world->built[space] + 1;
    if (base)
        MUST(cf_generation_small_path(&world->home, name, generation, base, path, CF_HOME_PATH_MAX, &detail));
    else
        MUST(cf_generation_path(&world->home, name, generation, path, CF_HOME_PATH_MAX, &detail));
}

bool world_publish(struct world *world, size_t space)
{
    char from[CF_HOME_PATH_MAX], to[CF_HOME_PATH_MAX];
    bool small = world->aside_is_small[space];
    built_path(world, space, from);
    if (access(from, F_OK) != 0)
        return false;
    generation_path(world, space, small ? world->bases[space].generation : 0, to);
    assert_int_equal(rename(from, to), 0);
    world->built[space]++;
    if (!small)
        world->bases[space] = world->aside[space];
    return true;
}

void world_publish_garbage(struct world *world, size_t space, uint64_t base)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_bytes garbage = {(const uint8_t *)"this is no index", 16};
    built_path(world, space, path);
    unlink(path); /* it carries the number that the garbage takes */
    generation_path(world, space, base, path);
    world->built[space]++;
    MUST(cf_file_publish(path, garbage, &detail));
}

/* ---- the engine ---- */

void world_open(struct world *world)
{
    const struct cf_follower_options options = {.home = &world->home, .name = "query-0", .poll_ms = 1};
    MUST(cf_engine_new(&world->engine, &detail));
    MUST(cf_follower_new(&options, world->engine, &world->follower, &detail));
    memset(world->seen, 0, sizeof world->seen);
    memset(world->announced, 0, sizeof world->announced);
}

void world_close(struct world *world)
{
    cf_follower_free(world->follower);
    cf_engine_free(world->engine);
    world->follower = NULL;
    world->engine = NULL;
}

void world_step(struct world *world)
{
    MUST(cf_follower_step(world->follower, &detail));
    for (size_t i = 0; i < WORLD_ALBUMS; i++)
        world->seen[i] = world_newest(world, i, 0);
}

void world_step_until(struct world *world, size_t space, uint64_t generation)
{
    for (int i = 0; i < 100000 && cf_engine_generation(world->engine, space) != generation; i++)
        world_step(world);
    assert_int_equal(cf_engine_generation(world->engine, space), generation);
}

/* ---- the model's answers ---- */

static bool is_announced(const struct world *world, size_t album)
{
    return cf_version_compare(world->announced[album], world->seen[album].version) >= 0 &&
           world->announced[album].epoch;
}

struct expected {
    size_t album;
    double distance;
};

static int by_distance(const void *a, const void *b)
{
    const struct expected *left = a, *right = b;
    return (left->distance > right->distance) - (left->distance < right->distance);
}

static size_t expect(const struct world *world, size_t space, const float *query, struct expected *out)
{
    size_t count = 0;
    float vector[WORLD_DIM_MAX];
    for (size_t album = 0; album < WORLD_ALBUMS; album++) {
        if (!is_neighbor(&world->seen[album]) || is_announced(world, album))
            continue;
        world_vector(album, world->seen[album].version.seq, space, vector);
        double sum = 0;
        for (uint32_t i = 0; i < cf_spaces[space].dim; i++)
            sum += ((double)query[i] - (double)vector[i]) * ((double)query[i] - (double)vector[i]);
        out[count++] = (struct expected){album, sqrt(sum)};
    }
    qsort(out, count, sizeof *out, by_distance);
    return count;
}

static void check_search(struct world *world, size_t space, uint32_t k, struct cf_rng *rng)
{
    float query[WORLD_DIM_MAX];
    struct expected expected[WORLD_ALBUMS];
    for (uint32_t i = 0; i < cf_spaces[space].dim; i++)
        query[i] = (float)cf_rng_unit(rng);
    MUST(cf_space_normalize(&cf_spaces[space], query, &detail));
    size_t all = expect(world, space, query, expected), count = all < k ? all : k;
    struct cf_engine_query ask = {.space = space, .vector = query, .k = k, .recall = 1, .exact = true};
    struct cf_engine_answer answer;
    cf_arena_reset(world->arena);
    MUST(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, &detail));
    assert_true(answer.exact);
    assert_int_equal(answer.neighbor_count, count);
    for (size_t i = 0; i < count; i++) {
        /* The index measures in floats: of two that differ less than that, either may come first. */
        for (size_t j = i + 1;
             j < all && !cf_str_equal(answer.neighbors[i].album, world_id(expected[i].album)) &&
             expected[j].distance - expected[i].distance < 1e-6 * expected[i].distance;
             j++) {
            struct expected swap = expected[i];
            expected[i] = expected[j];
            expected[j] = swap;
        }
        struct cf_str id = world_id(expected[i].album);
        char title[64];
        snprintf(title, sizeof title, "Title %zu of %llu", expected[i].album,
                 (unsigned long long)world->seen[expected[i].album].version.seq);
        if (!cf_str_equal(answer.neighbors[i].album, id))
            fail_msg("neighbour %zu of %zu is %.*s at %.9g, expected %.*s at %.9g", i, count,
                     CF_STR_ARG(answer.neighbors[i].album), answer.neighbors[i].distance, CF_STR_ARG(id),
                     expected[i].distance);
        assert_true(fabs(answer.neighbors[i].distance - expected[i].distance) <
                    1e-4 * (1 + expected[i].distance));
        assert_true(cf_str_is(answer.neighbors[i].artist, "Artist"));
        assert_true(cf_str_is(answer.neighbors[i].title, title));
    }
}

static bool keep_even(void *arg, struct cf_str id, const uint32_t labels[CF_LABEL_COUNT])
{
    bool *labelled = arg;
    *labelled = *labelled && labels[CF_LABEL_ARTIST] == cf_label(cf_str("Artist")) && !labels[CF_LABEL_GENRE];
    return (id.data[id.len - 1] - '0') % 2 == 0;
}

/* Within the distance of the one in the middle, and of every other album: whole, small and tail alike. */
static void check_filtered(struct world *world, size_t space, struct cf_rng *rng)
{
    float query[WORLD_DIM_MAX];
    struct expected expected[WORLD_ALBUMS];
    for (uint32_t i = 0; i < cf_spaces[space].dim; i++)
        query[i] = (float)cf_rng_unit(rng);
    MUST(cf_space_normalize(&cf_spaces[space], query, &detail));
    size_t all = expect(world, space, query, expected), count = 0;
    double radius = all ? expected[all / 2].distance * 1.000001 : 1;
    for (size_t i = 0; i < all; i++)
        count += expected[i].distance < radius && expected[i].album % 2 == 0;
    bool labelled = true;
    struct cf_engine_query ask = {.space = space,
                                  .vector = query,
                                  .k = 10000,
                                  .radius = (float)radius,
                                  .recall = 1,
                                  .exact = true,
                                  .keep = keep_even,
                                  .keep_arg = &labelled};
    struct cf_engine_answer answer;
    cf_arena_reset(world->arena);
    MUST(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, &detail));
    assert_true(labelled);
    assert_in_range(answer.neighbor_count + 1, count, count + 2); /* one may lie on the edge */
    for (size_t i = 0; i < answer.neighbor_count; i++) {
        struct cf_str id = answer.neighbors[i].album;
        assert_true((id.data[id.len - 1] - '0') % 2 == 0);
        assert_true(answer.neighbors[i].distance <= radius * 1.00001);
    }
}

static enum cf_err expect_vector(const struct world *world, size_t album)
{
    const struct world_record *seen = &world->seen[album];
    if (seen->version.epoch == 0 || seen->removed || is_announced(world, album))
        return CF_E_NOT_FOUND;
    return seen->flags & CF_FLAG_CONSTANT ? CF_E_FLAGGED : CF_OK;
}

void world_check(struct world *world, struct cf_rng *rng)
{
    for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++) {
        check_search(world, space, 5, rng);
        check_search(world, space, WORLD_ALBUMS + 10, rng);
        check_filtered(world, space, rng);
        for (size_t album = 0; album < WORLD_ALBUMS; album++) {
            float found[WORLD_DIM_MAX], vector[WORLD_DIM_MAX];
            struct cf_detail detail = {{0}};
            enum cf_err err =
                cf_engine_vector(world->engine, space, world_id(album), &world->scratch, found, &detail);
            if (err != expect_vector(world, album))
                fail_msg("album %zu: %s (%s), expected %s", album, cf_err_name(err), detail.text,
                         cf_err_name(expect_vector(world, album)));
            if (err != CF_OK)
                continue;
            world_vector(album, world->seen[album].version.seq, space, vector);
            assert_memory_equal(found, vector, cf_spaces[space].dim * sizeof *vector);
        }
    }
}
