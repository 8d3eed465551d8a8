/* The engine and its follower against the naive model of query_world: random histories of stores,
 * replacements in other shards, removals, late writes and index generations with views from the past; then
 * single stories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/unit/query_world.h"
#include "workers/query/engine_state.h"

enum { HISTORY_OPS = 220, HISTORIES = 4 };

/* A removal that the engine was told of and whose tombstone is still to be written. */
struct pending {
    size_t album;
    uint64_t seq;
};

struct history {
    struct world *world;
    struct cf_rng rng;
    struct pending pending[HISTORY_OPS];
    size_t pending_count;
};

static size_t below(struct history *history, size_t bound)
{
    return (size_t)cf_rng_below(&history->rng, bound);
}

static void store_new(struct history *history)
{
    size_t album = below(history, WORLD_ALBUMS), shard = below(history, WORLD_SHARDS);
    uint32_t flags = below(history, 6) == 0 ? CF_FLAG_CONSTANT : 0;
    assert_true(world_store(history->world, album, shard, ++history->world->seq, false, flags));
}

/* What a worker with a stale lease writes: older than the newest, into a shard of its own. */
static void store_late(struct history *history)
{
    size_t album = below(history, WORLD_ALBUMS), shard = below(history, WORLD_SHARDS);
    struct world_record newest = world_newest(history->world, album, 0);
    if (newest.version.seq > 1)
        world_store(history->world, album, shard, newest.version.seq - 1, false, 0);
}

static void announce(struct history *history)
{
    struct pending removal = {below(history, WORLD_ALBUMS), ++history->world->seq};
    world_announce(history->world, removal.album, removal.seq);
    history->pending[history->pending_count++] = removal;
}

static void write_tombstone(struct history *history)
{
    if (!history->pending_count)
        return;
    size_t at = below(history, history->pending_count);
    struct pending removal = history->pending[at];
    history->pending[at] = history->pending[--history->pending_count];
    if (world_newest(history->world, removal.album, 0).version.seq < removal.seq)
        world_store(history->world, removal.album, below(history, WORLD_SHARDS), removal.seq, true, 0);
}

static void write_all_tombstones(struct history *history)
{
    while (history->pending_count)
        write_tombstone(history);
}

static void build(struct history *history)
{
    if (below(history, 2) && world_build_small(history->world, below(history, CF_SPACE_FIXED_COUNT)))
        return;
    unsigned without = below(history, 4) == 0 ? 1u << below(history, WORLD_SHARDS) : 0;
    world_build(history->world, below(history, CF_SPACE_FIXED_COUNT), without);
}

static void publish(struct history *history)
{
    size_t space = below(history, CF_SPACE_FIXED_COUNT);
    if (world_publish(history->world, space))
        world_step_until(history->world, space, history->world->built[space]);
}

static void publish_garbage(struct history *history)
{
    size_t space = below(history, CF_SPACE_FIXED_COUNT);
    world_publish_garbage(history->world, space,
                          below(history, 2) ? history->world->bases[space].generation : 0);
}

/* The broker replays the removals that no descriptor has carried out. */
static void restart(struct history *history)
{
    struct world *world = history->world;
    world_close(world);
    world_open(world);
    for (size_t i = 0; i < history->pending_count; i++)
        if (cf_version_compare(world->announced[history->pending[i].album],
                               (struct cf_version){1, history->pending[i].seq}) < 0)
            world_announce(world, history->pending[i].album, history->pending[i].seq);
    world_step(world);
}

static void act(struct history *history)
{
    size_t dice = below(history, 100);
    if (dice < 45)
        store_new(history);
    else if (dice < 58)
        store_late(history);
    else if (dice < 68)
        announce(history);
    else if (dice < 76)
        write_tombstone(history);
    else if (dice < 86)
        build(history);
    else if (dice < 96)
        publish(history);
    else if (dice < 98)
        publish_garbage(history);
    else
        restart(history);
}

static void live(uint64_t seed)
{
    struct history *history = calloc(1, sizeof *history);
    assert_non_null(history);
    history->rng = cf_rng(seed);
    history->world = world_new();
    world_open(history->world);
    for (size_t i = 0; i < HISTORY_OPS; i++) {
        act(history);
        if (below(history, 3)) /* now and then several things happen between two steps */
            world_step(history->world);
        world_check(history->world, &history->rng);
    }
    /* Once the tombstones are written, nothing is remembered any more. */
    write_all_tombstones(history);
    world_step(history->world);
    world_check(history->world, &history->rng);
    assert_int_equal(cf_engine_removal_count(history->world->engine), 0);
    world_free(history->world);
    free(history);
}

static void histories_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        live(seed);
    }
}

/* ---- stories ---- */

static struct world *world_with(size_t albums)
{
    struct world *world = world_new();
    for (size_t i = 0; i < albums; i++)
        assert_true(world_store(world, i, i % WORLD_SHARDS, ++world->seq, false, 0));
    return world;
}

static void flip_byte(const char *path, long from_end)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(byte ^ 0x40, file);
    fclose(file);
}

static void damaged_generation_is_passed_over(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(5);
    struct world *world = world_with(20);
    world_build(world, 0, 0);
    assert_true(world_publish(world, 0));
    world_publish_garbage(world, 0, 0);
    world_publish_garbage(world, 1, 0);
    world_open(world);
    world_step(world);
    assert_int_equal(cf_engine_generation(world->engine, 0), 1); /* the one before the damaged one */
    assert_int_equal(cf_engine_generation(world->engine, 1), 0); /* none: all is tail */
    world_check(world, &rng);
    struct cf_index_status status[CF_SPACE_COUNT];
    cf_engine_status(world->engine, status);
    assert_int_equal(status[0].count, 20);
    assert_int_equal(status[0].tail, 0);
    assert_int_equal(status[1].tail, 20);
    /* A flipped byte in the body is damage too, and the next good generation is taken all the same. */
    world_build(world, 0, 0);
    char path[CF_HOME_PATH_MAX];
    assert_true(world_publish(world, 0));
    assert_int_equal(cf_generation_path(&world->home, cf_spaces[0].name, 3, path, sizeof path, NULL), CF_OK);
    flip_byte(path, 5000);
    for (int i = 0; i < 200; i++)
        world_step(world);
    assert_int_equal(cf_engine_generation(world->engine, 0), 1);
    world_check(world, &rng);
    world_build(world, 0, 0);
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 4);
    world_check(world, &rng);
    world_free(world);
}

static void late_write_after_an_indexed_tombstone_stays_hidden(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(6);
    struct world *world = world_with(10);
    world_store(world, 3, 1, 100, true, 0);
    world_build(world, 0, 0);
    world_build(world, 1, 0);
    world_publish(world, 0);
    world_publish(world, 1);
    world_open(world);
    world_step(world);
    /* A worker whose lease ran out long ago wakes up: version 99, after the tombstone 100 went into the
     * index. */
    world_store(world, 3, 2, 99, false, 0);
    world_step(world);
    world_check(world, &rng);
    world_free(world);
}

static void removal_is_honoured_before_and_forgotten_after_its_tombstone(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(7);
    struct world *world = world_with(10);
    world_open(world);
    world_step(world);
    world_announce(world, 2, 50);
    world_check(world, &rng); /* without a step */
    world_step(world);
    assert_int_equal(cf_engine_removal_count(world->engine), 1);
    world_store(world, 2, 0, 50, true, 0);
    world_step(world);
    assert_int_equal(cf_engine_removal_count(world->engine), 0);
    world_check(world, &rng);
    /* The message may come after the tombstone, and after a newer push. */
    world_announce(world, 2, 50);
    world_step(world);
    assert_int_equal(cf_engine_removal_count(world->engine), 0);
    world_store(world, 2, 1, 60, false, 0);
    world_step(world);
    world_announce(world, 2, 50);
    world_check(world, &rng);
    world_step(world);
    assert_int_equal(cf_engine_removal_count(world->engine), 0);
    world_check(world, &rng);
    world_free(world);
}

static void self_is_left_out_or_comes_first(void **state)
{
    (void)state;
    struct world *world = world_with(12);
    world_build(world, 0, 0);
    world_publish(world, 0);
    assert_true(world_store(world, 12, 0, ++world->seq, false, 0));
    world_open(world);
    world_step(world);
    for (size_t album = 11; album <= 12; album++) { /* one in the index, one in the tail */
        float vector[WORLD_DIM_MAX];
        world_vector(album, world->seen[album].version.seq, 0, vector);
        struct cf_engine_query ask = {
            .space = 0, .vector = vector, .k = 3, .recall = 0.9, .self = world_id(album)};
        struct cf_engine_answer answer;
        assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                         CF_OK);
        assert_int_equal(answer.neighbor_count, 3);
        for (size_t i = 0; i < 3; i++)
            assert_false(cf_str_equal(answer.neighbors[i].album, world_id(album)));
        ask.include_self = true;
        assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                         CF_OK);
        assert_int_equal(answer.neighbor_count, 3);
        assert_true(cf_str_equal(answer.neighbors[0].album, world_id(album)));
        assert_true(answer.neighbors[0].distance == 0);
        assert_int_equal(answer.generation, 1);
    }
    world_free(world);
}

/* The indexer read a shard that this worker cannot: what that index says is newer than what the worker sees.
 */
static void index_that_knows_more_wins(void **state)
{
    (void)state;
    struct world *world = world_new();
    assert_true(world_store(world, 1, 0, 1, false, 0));
    assert_true(world_store(world, 1, 2, 2, false, 0));
    world_build(world, 0, 1u << 0); /* covers shard 2, and leaves shard 0 to the tail */
    world_publish(world, 0);
    char from[CF_HOME_PATH_MAX], to[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&world->home, from, sizeof from, NULL, "data/shards/descriptor-2"), CF_OK);
    assert_int_equal(cf_home_path(&world->home, to, sizeof to, NULL, "elsewhere"), CF_OK);
    assert_int_equal(rename(from, to), 0);
    world_open(world);
    world_step(world);
    float old[WORLD_DIM_MAX], new[WORLD_DIM_MAX], found[WORLD_DIM_MAX];
    world_vector(1, 1, 0, old);
    world_vector(1, 2, 0, new);
    assert_int_equal(cf_engine_vector(world->engine, 0, world_id(1), &world->scratch, found, NULL), CF_OK);
    assert_memory_equal(found, new, cf_spaces[0].dim * sizeof *new);
    struct cf_engine_query ask = {.space = 0, .vector = old, .k = 5, .recall = 1, .exact = true};
    struct cf_engine_answer answer;
    assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                     CF_OK);
    assert_int_equal(answer.neighbor_count, 1); /* once, and not as it was */
    assert_true(answer.neighbors[0].distance > 1);
    assert_int_equal(rename(to, from), 0);
    world_free(world);
}

static void unreadable_shard_costs_only_itself(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(8);
    struct world *world = world_with(9);
    char path[CF_HOME_PATH_MAX], current[CF_HOME_PATH_MAX + 16];
    assert_int_equal(cf_home_path(&world->home, path, sizeof path, NULL, "data/shards/broken"), CF_OK);
    assert_int_equal(cf_home_path(&world->home, current, sizeof current, NULL, "data/shards/broken/CURRENT"),
                     CF_OK);
    struct cf_shard *broken = NULL;
    assert_int_equal(cf_shard_open(path, &broken, NULL), CF_OK);
    cf_shard_free(broken);
    struct cf_buf content;
    cf_buf_init(&content);
    assert_int_equal(cf_file_read(current, 64, &content, NULL), CF_OK);
    assert_int_equal(truncate(current, 3), 0);
    world_open(world);
    world_step(world);
    /* What may be missing is told, as long as it may. */
    float vector[WORLD_DIM_MAX] = {0};
    struct cf_detail detail = {{0}};
    struct cf_engine_query ask = {.space = 0, .vector = vector, .k = 20, .recall = 1, .exact = true};
    struct cf_engine_answer answer;
    assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                     CF_OK);
    assert_false(answer.exact);
    assert_int_equal(answer.neighbor_count, 9); /* all that the others hold */
    assert_int_equal(answer.unreadable_shards, 1);
    assert_int_equal(cf_engine_vector(world->engine, 0, cf_str("unheard"), &world->scratch, vector, &detail),
                     CF_E_IO);
    assert_non_null(strstr(detail.text, "shard broken"));
    assert_int_equal(cf_file_publish(current, cf_buf_bytes(&content), NULL), CF_OK);
    cf_buf_fini(&content);
    for (int i = 0; i < 1000 && cf_engine_unreadable(world->engine); i++) {
        usleep(5000);
        world_step(world);
    }
    assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                     CF_OK);
    assert_true(answer.exact);
    assert_int_equal(answer.unreadable_shards, 0);
    assert_int_equal(cf_engine_vector(world->engine, 0, cf_str("unheard"), &world->scratch, vector, NULL),
                     CF_E_NOT_FOUND);
    world_check(world, &rng);
    world_free(world);
}

/* A generation that covers a shard which is not there, or one that is younger than it. */
static void shards_behind_their_marks_are_told(void **state)
{
    (void)state;
    struct world *world = world_new();
    for (size_t i = 0; i < 6; i++)
        world_store(world, i, 0, ++world->seq, false, 0);
    world_build(world, 0, 0);
    world_publish(world, 0);
    char path[CF_HOME_PATH_MAX], aside[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&world->home, path, sizeof path, NULL, "data/shards/descriptor-0"), CF_OK);
    assert_int_equal(cf_home_path(&world->home, aside, sizeof aside, NULL, "aside"), CF_OK);
    cf_shard_free(world->shards[0]);
    world->shards[0] = NULL;
    assert_int_equal(rename(path, aside), 0);
    world_open(world);
    assert_int_equal(cf_follower_step(world->follower, NULL), CF_OK);
    assert_int_equal(cf_engine_unreadable(world->engine), 1);
    /* What the index keeps does where the shard is missing, and is not called exact. */
    float kept[WORLD_DIM_MAX], given[WORLD_DIM_MAX];
    struct cf_engine_answer answer;
    world_vector(3, 4, 0, given);
    assert_int_equal(cf_engine_vector(world->engine, 0, world_id(3), &world->scratch, kept, NULL), CF_OK);
    assert_true(cf_distance(kept, given, cf_spaces[0].dim) < 0.1);
    struct cf_engine_query ask = {.vector = kept, .k = 20, .recall = 1, .exact = true};
    assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                     CF_OK);
    assert_int_equal(answer.neighbor_count, 6);
    assert_true(cf_str_equal(answer.neighbors[0].album, world_id(3)));
    assert_false(answer.exact);
    world_close(world);
    assert_int_equal(cf_shard_open(path, &world->shards[0], NULL), CF_OK); /* made anew, empty */
    world_open(world);
    assert_int_equal(cf_follower_step(world->follower, NULL), CF_OK);
    assert_int_equal(cf_engine_unreadable(world->engine), 1);
    world_close(world);
    world_free(world);
}

/* ---- pairs ---- */

/* Twenty albums in a whole generation that is served; then one is new, one replaced, one removed, one
 * flagged. */
static struct world *world_with_changes(void)
{
    struct world *world = world_with(20);
    world_build(world, 0, 0);
    assert_true(world_publish(world, 0));
    world_open(world);
    world_step(world);
    world_store(world, 20, 0, ++world->seq, false, 0);
    world_store(world, 3, 1, ++world->seq, false, 0);
    world_store(world, 4, 2, ++world->seq, true, 0);
    world_store(world, 5, 0, ++world->seq, false, CF_FLAG_CONSTANT);
    return world;
}

static struct cf_index_status status_of(struct world *world)
{
    struct cf_index_status status[CF_SPACE_COUNT];
    cf_engine_status(world->engine, status);
    return status[0];
}

/* What an answer that is not exact says of an album's own vector: that album at 0, and no distance off by
 * more than an eighth. */
static void check_rough_distances(struct world *world, size_t album)
{
    float asked[WORLD_DIM_MAX], found[WORLD_DIM_MAX];
    struct cf_engine_answer answer;
    assert_int_equal(cf_engine_vector(world->engine, 0, world_id(album), &world->scratch, asked, NULL),
                     CF_OK);
    struct cf_engine_query ask = {.vector = asked, .k = 30, .recall = 0.9};
    assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                     CF_OK);
    assert_false(answer.exact);
    assert_true(answer.neighbor_count > 15);
    assert_true(cf_str_equal(answer.neighbors[0].album, world_id(album)));
    assert_true(answer.neighbors[0].distance <= 0);
    for (size_t i = 1; i < answer.neighbor_count; i++) {
        assert_int_equal(
            cf_engine_vector(world->engine, 0, answer.neighbors[i].album, &world->scratch, found, NULL),
            CF_OK);
        double distance = cf_distance(asked, found, cf_spaces[0].dim);
        assert_true(fabs(answer.neighbors[i].distance - distance) <= distance / 8 + 1e-6);
    }
}

static void same_cover_is_at_no_distance_without_asking_for_exact(void **state)
{
    (void)state;
    struct world *world = world_with_changes();
    world_step(world);
    check_rough_distances(world, 20); /* in the tail */
    check_rough_distances(world, 3);
    check_rough_distances(world, 7); /* in the whole one */
    assert_true(world_build_small(world, 0));
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 2);
    check_rough_distances(world, 20); /* in the small one */
    check_rough_distances(world, 3);
    world_free(world);
}

static void small_generation_empties_the_tail_without_reading_the_whole(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    struct cf_rng rng = cf_rng(12);
    struct world *world = world_with_changes();
    world_step(world);
    assert_int_equal(status_of(world).tail, 2); /* rows: the new one and the replaced one */
    assert_int_equal(status_of(world).count, 20);
    const struct cf_mapped *whole = cf_engine_served(world->engine, 0)->parts[CF_PART_WHOLE];
    /* Nobody may look at the file again: it is gone. */
    assert_int_equal(cf_generation_path(&world->home, cf_spaces[0].name, 1, path, sizeof path, NULL), CF_OK);
    assert_int_equal(unlink(path), 0);
    for (uint64_t generation = 2; generation <= 4; generation++) {
        assert_true(world_build_small(world, 0));
        assert_true(world_publish(world, 0));
        world_step_until(world, 0, generation);
        assert_ptr_equal(cf_engine_served(world->engine, 0)->parts[CF_PART_WHOLE], whole);
        assert_int_equal(status_of(world).tail, 0);
        assert_int_equal(status_of(world).count, 17 + generation); /* 4 and 5 are hidden */
        world_check(world, &rng);
        world_store(world, 19 + (size_t)generation, 0, ++world->seq, false, 0);
        world_step(world);
        world_check(world, &rng);
    }
    world_free(world);
}

static void damaged_small_generation_leaves_the_pair_serving(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    struct cf_rng rng = cf_rng(13);
    struct world *world = world_with_changes();
    assert_true(world_build_small(world, 0));
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 2);
    world_store(world, 30, 1, ++world->seq, false, 0);
    assert_true(world_build_small(world, 0));
    assert_int_equal(cf_generation_small_path(&world->home, cf_spaces[0].name, 3, 1, path, sizeof path, NULL),
                     CF_OK);
    /* Damaged before it has its name, as nobody can be quick enough afterwards. */
    char aside[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&world->home, aside, sizeof aside, NULL, "built-%s", cf_spaces[0].name),
                     CF_OK);
    flip_byte(aside, 5000);
    assert_true(world_publish(world, 0));
    world_publish_garbage(world, 0, 1);
    world_publish_garbage(world, 0, 3); /* of a base that is not there */
    for (int i = 0; i < 200; i++)
        world_step(world);
    assert_int_equal(cf_engine_generation(world->engine, 0), 2);
    world_check(world, &rng);
    /* A restart finds the same pair, and the next good one is taken. */
    world_close(world);
    world_open(world);
    world_step(world);
    assert_int_equal(cf_engine_generation(world->engine, 0), 2);
    world_check(world, &rng);
    assert_true(world_build_small(world, 0));
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 6);
    world_check(world, &rng);
    world_free(world);
}

/* A new whole generation that is damaged takes the small ones of it along. */
static void damaged_base_leaves_the_pair_serving(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    struct cf_rng rng = cf_rng(14);
    struct world *world = world_with_changes();
    assert_true(world_build_small(world, 0));
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 2);
    world_build(world, 0, 0);
    assert_int_equal(cf_home_path(&world->home, path, sizeof path, NULL, "built-%s", cf_spaces[0].name),
                     CF_OK);
    flip_byte(path, 5000);
    assert_true(world_publish(world, 0));
    world_store(world, 31, 1, ++world->seq, false, 0);
    assert_true(world_build_small(world, 0)); /* of generation 3 */
    assert_true(world_publish(world, 0));
    for (int i = 0; i < 200; i++)
        world_step(world);
    assert_int_equal(cf_engine_generation(world->engine, 0), 2);
    world_check(world, &rng);
    world_build(world, 0, 0);
    assert_true(world_publish(world, 0));
    assert_true(world_build_small(world, 0)); /* empty, and arriving together with its base */
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 6);
    world_check(world, &rng);
    world_free(world);
}

/* Who holds a view sees what it saw, whatever was swapped in the meantime. */
static void held_view_does_not_change(void **state)
{
    (void)state;
    struct world *world = world_with_changes();
    struct cf_nearest nearest;
    bool certain;
    float vector[WORLD_DIM_MAX] = {0};
    struct cf_engine_query ask = {.vector = vector, .k = 50, .recall = 1, .exact = false};
    world_step(world);
    struct cf_grab grab = cf_engine_grab(world->engine, 0);
    world_announce(world, 7, ++world->seq);
    for (size_t album = 8; album < 12; album++)
        world_store(world, album, 0, ++world->seq, true, 0);
    world_build(world, 0, 0);
    assert_true(world_publish(world, 0));
    world_step_until(world, 0, 2);
    world_step(world);
    cf_arena_reset(world->arena);
    assert_int_equal(cf_grab_search(&grab, &ask, &world->scratch, world->arena, &nearest, &certain, NULL),
                     CF_OK);
    assert_int_equal(nearest.count, 19); /* 20, and one new, without the removed and the flagged one */
    assert_int_equal(cf_engine_served(world->engine, 0)->count, 15);
    assert_int_equal(grab.view->refs, 2); /* ours and that of the list of replaced views */
    cf_grab_drop(&grab);
    world_step(world);
    assert_null(world->engine->retired);
    world_free(world);
}

/* ---- recall ---- */

static void answers_are_compared_with_exact_ones(void **state)
{
    (void)state;
    enum { ASKED = 30, ONE_IN = 10 };
    struct world *world = world_with_changes();
    struct cf_engine_answer answer;
    float vector[WORLD_DIM_MAX];
    world_step(world);
    assert_int_equal(cf_engine_check_recall(world->engine, ONE_IN, NULL), CF_OK);
    uint64_t checks = 0;
    for (size_t round = 0; round < 1000 && checks < 3; round++) {
        for (size_t i = 0; i < ASKED; i++) {
            world_vector(i, 1, 0, vector);
            struct cf_engine_query ask = {.vector = vector, .k = 8, .recall = 0.9};
            cf_arena_reset(world->arena);
            assert_int_equal(
                cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL), CF_OK);
        }
        checks = status_of(world).recall_checks;
        assert_true(checks <= (round + 1) * ASKED / ONE_IN);
        usleep(1000);
    }
    assert_true(checks >= 3);
    assert_true(status_of(world).recall > 0.8 && status_of(world).recall <= 1);
    world_free(world);
}

/* Exact questions and filtered ones are not compared. */
static void only_what_can_be_compared_is(void **state)
{
    (void)state;
    struct world *world = world_with_changes();
    struct cf_engine_answer answer;
    float vector[WORLD_DIM_MAX] = {0};
    assert_int_equal(cf_engine_check_recall(world->engine, 1, NULL), CF_OK);
    struct cf_engine_query ask = {.vector = vector, .k = 8, .recall = 1, .exact = true};
    assert_int_equal(cf_engine_search(world->engine, &ask, &world->scratch, world->arena, &answer, NULL),
                     CF_OK);
    cf_engine_end_checks(world->engine);
    assert_int_equal(status_of(world).recall_checks, 0);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_agree_with_the_model),
        cmocka_unit_test(damaged_generation_is_passed_over),
        cmocka_unit_test(late_write_after_an_indexed_tombstone_stays_hidden),
        cmocka_unit_test(removal_is_honoured_before_and_forgotten_after_its_tombstone),
        cmocka_unit_test(self_is_left_out_or_comes_first),
        cmocka_unit_test(index_that_knows_more_wins),
        cmocka_unit_test(unreadable_shard_costs_only_itself),
        cmocka_unit_test(shards_behind_their_marks_are_told),
        cmocka_unit_test(same_cover_is_at_no_distance_without_asking_for_exact),
        cmocka_unit_test(small_generation_empties_the_tail_without_reading_the_whole),
        cmocka_unit_test(damaged_small_generation_leaves_the_pair_serving),
        cmocka_unit_test(damaged_base_leaves_the_pair_serving),
        cmocka_unit_test(held_view_does_not_change),
        cmocka_unit_test(answers_are_compared_with_exact_ones),
        cmocka_unit_test(only_what_can_be_compared_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
