/* A searching thread beside the follower's own thread and a loop's removals, while generations come and go:
 * an album that rests is found in every answer, a removed one in none after its removal. Made for the thread
 * sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/clock.h"
#include "tests/unit/query_world.h"

enum { RESTING = 8, ROUNDS = 60, WAIT_MS = 20000 }; /* albums below RESTING are never touched again */

struct searching {
    struct cf_engine *engine;
    atomic_bool stop;
    _Atomic uint64_t removed; /* a bit an album that is removed for good */
    _Atomic uint64_t answers;
    const char *failure; /* read after the join */
};

static size_t album_of(struct cf_str id)
{
    size_t album = 0;
    while (album < WORLD_ALBUMS && !cf_str_equal(world_id(album), id))
        album++;
    return album;
}

static const char *check_answer(const struct cf_engine_answer *answer, size_t resting, uint64_t removed)
{
    uint64_t seen = 0;
    double last = 0;
    for (size_t i = 0; i < answer->neighbor_count; i++) {
        size_t album = album_of(answer->neighbors[i].album);
        if (album == WORLD_ALBUMS || seen & 1ull << album)
            return "an album that is not there, or twice";
        if (removed & 1ull << album)
            return "a removed album";
        if (answer->neighbors[i].distance < last)
            return "not in order";
        seen |= 1ull << album;
        last = answer->neighbors[i].distance;
    }
    for (size_t i = 0; i < RESTING; i++)
        if (!(seen & 1ull << i))
            return "a resting album was lost";
    return answer->neighbors[0].distance == 0 && album_of(answer->neighbors[0].album) == resting
               ? NULL
               : "the resting album is not the nearest to its own vector";
}

static const char *search_once(struct searching *searching, size_t turn, struct cf_engine_scratch *scratch,
                               struct cf_arena *arena)
{
    size_t space = turn % CF_SPACE_FIXED_COUNT, resting = turn % RESTING;
    float vector[WORLD_DIM_MAX];
    struct cf_engine_answer answer;
    uint64_t removed = atomic_load(&searching->removed); /* before the search: those it must not find */
    cf_arena_reset(arena);
    if (cf_engine_vector(searching->engine, space, world_id(resting), scratch, vector, NULL) != CF_OK)
        return "a resting album has no vector";
    struct cf_engine_query ask = {
        .space = space, .vector = vector, .k = WORLD_ALBUMS, .recall = 1, .exact = true};
    if (cf_engine_search(searching->engine, &ask, scratch, arena, &answer, NULL) != CF_OK)
        return "a search failed";
    return check_answer(&answer, resting, removed);
}

static void *search_on(void *arg)
{
    struct searching *searching = arg;
    struct cf_engine_scratch scratch = {cf_ann_searcher_new(), cf_arena_new()};
    struct cf_arena *arena = cf_arena_new();
    for (size_t turn = 0; !atomic_load(&searching->stop) && !searching->failure; turn++) {
        searching->failure = search_once(searching, turn, &scratch, arena);
        atomic_fetch_add(&searching->answers, 1);
    }
    cf_ann_searcher_free(scratch.searcher);
    cf_arena_free(scratch.arena);
    cf_arena_free(arena);
    return NULL;
}

struct first {
    atomic_int calls;
    enum cf_err err;
};

static void on_first(void *arg, enum cf_err err, const struct cf_detail *detail)
{
    struct first *first = arg;
    (void)detail;
    first->err = err;
    atomic_fetch_add(&first->calls, 1);
}

/* What other threads do is waited for by its effect. */
static void wait_generation(struct world *world, size_t space)
{
    struct cf_index_status status[CF_SPACE_COUNT];
    uint64_t end_ms = cf_clock_mono_ms() + WAIT_MS;
    do {
        cf_follower_poke(world->follower);
        cf_engine_status(world->engine, status);
    } while (status[space].generation != world->built[space] && cf_clock_mono_ms() < end_ms);
    assert_int_equal(status[space].generation, world->built[space]);
}

static void stir(struct world *world, struct searching *searching, struct cf_rng *rng)
{
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t album = RESTING + (size_t)cf_rng_below(rng, WORLD_ALBUMS - RESTING);
        size_t shard = (size_t)cf_rng_below(rng, WORLD_SHARDS);
        bool removed = atomic_load(&searching->removed) & 1ull << album;
        if (!removed && round % 5 == 0) {
            uint64_t seq = ++world->seq;
            world_announce(world, album, seq);
            atomic_fetch_or(&searching->removed, 1ull << album);
            if (round % 2)
                world_store(world, album, shard, seq, true, 0);
        } else if (!removed) {
            world_store(world, album, shard, ++world->seq, false, 0);
        }
        if (round % 3 == 0) {
            if (round % 9 == 0 || !world_build_small(world, round % CF_SPACE_FIXED_COUNT))
                world_build(world, round % CF_SPACE_FIXED_COUNT, 0);
            world_publish(world, round % CF_SPACE_FIXED_COUNT);
            wait_generation(world, round % CF_SPACE_FIXED_COUNT);
        }
    }
}

static void nothing_rests_lost_and_nothing_removed_found(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(11);
    struct world *world = world_new();
    for (size_t i = 0; i < RESTING; i++)
        world_store(world, i, i % WORLD_SHARDS, ++world->seq, false, 0);
    for (size_t i = 0; i < WORLD_ALBUMS; i++) /* names are made before there are threads */
        world_id(i);
    world_open(world);
    struct first first = {0};
    assert_int_equal(cf_follower_start(world->follower, on_first, &first, NULL), CF_OK);
    uint64_t end_ms = cf_clock_mono_ms() + WAIT_MS;
    while (atomic_load(&first.calls) == 0 && cf_clock_mono_ms() < end_ms)
        sched_yield();
    assert_int_equal(atomic_load(&first.calls), 1);
    assert_int_equal(first.err, CF_OK);
    struct searching searching = {.engine = world->engine};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, search_on, &searching), 0);
    stir(world, &searching, &rng);
    atomic_store(&searching.stop, true);
    pthread_join(thread, NULL);
    if (searching.failure)
        fail_msg("%s", searching.failure);
    assert_true(atomic_load(&searching.answers) > ROUNDS);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_rests_lost_and_nothing_removed_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
