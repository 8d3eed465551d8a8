/* The loop's half of the indexer, with a broker and a compute thread that do as they are told: every
 * registration hears of the newest generations, and a rebuild that was asked for is not forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "workers/indexer/role.h"

/* ---- the broker's side ---- */

struct cf_runner {
    bool registered, draining, full;
    size_t told_count;
    uint64_t told[CF_SPACE_FIXED_COUNT]; /* the last generation told of each space */
};

enum cf_err cf_runner_send(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body,
                           struct cf_detail *detail)
{
    assert_int_equal(body.len, 0);
    assert_int_equal(msg->kind, CF_KIND_PUBLISHED);
    if (runner->full)
        return cf_fail(detail, CF_E_BUSY, "full");
    runner->told_count++;
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        if (cf_str_is(msg->published.space, cf_spaces[i].name))
            runner->told[i] = msg->published.generation;
    return CF_OK;
}

bool cf_runner_is_registered(const struct cf_runner *runner)
{
    return runner->registered;
}

void cf_runner_drain(struct cf_runner *runner)
{
    (void)runner;
    fail_msg("the worker wants to leave");
}

bool cf_runner_is_draining(const struct cf_runner *runner)
{
    return runner->draining;
}

/* ---- the compute thread's side: builds what is forced, one number after the other ---- */

static _Atomic(uint64_t) built[CF_SPACE_FIXED_COUNT];
static atomic_bool cancelled;

void cf_indexing_run(struct cf_indexing *indexing, struct cf_index_round *round)
{
    (void)indexing;
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++) {
        if (!round->forced[i])
            continue;
        round->published[i] = calloc(1, sizeof *round->published[i]);
        round->published[i]->msg =
            (struct cf_published){.space = cf_str(cf_spaces[i].name), .generation = ++built[i]};
    }
}

void cf_indexing_cancel(struct cf_indexing *indexing)
{
    (void)indexing;
    atomic_store(&cancelled, true);
}

void cf_publication_free(struct cf_publication *publication)
{
    free(publication);
}

/* ---- the stage ---- */

struct stage {
    struct cf_loop *loop;
    struct cf_config config;
    struct cf_indexer *indexer;
    struct cf_role_ops ops;
    struct cf_runner runner;
    int posts;
};

static void on_post(void *arg, void *item)
{
    struct stage *stage = arg;
    stage->posts++;
    stage->ops.posted(stage->indexer, &stage->runner, item);
}

static struct stage *open_stage(void)
{
    static struct stage stage;
    static struct cf_home home;
    struct cf_detail detail = {""};
    memset(&stage, 0, sizeof stage);
    cf_config_default(&stage.config, &home);
    stage.config.indexer_poll_ms = 60000; /* rounds when they are asked for */
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        atomic_store(&built[i], 0);
    atomic_store(&cancelled, false);
    if (cf_loop_new(&stage.loop, &detail) != CF_OK ||
        cf_indexer_new(stage.loop, &stage.config, NULL, "indexer-0", &stage.indexer, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    stage.ops = cf_indexer_ops(stage.indexer);
    cf_loop_on_post(stage.loop, on_post, &stage);
    stage.runner.registered = true;
    stage.ops.registered(stage.indexer, &stage.runner);
    return &stage;
}

static void close_stage(struct stage *stage)
{
    cf_indexer_free(stage->indexer);
    cf_loop_free(stage->loop, 0);
}

static void wait_posts(struct stage *stage, int posts)
{
    uint64_t give_up = cf_clock_mono_ms() + 10000;
    while (stage->posts < posts && cf_clock_mono_ms() < give_up)
        assert_int_equal(cf_loop_once(stage->loop, 100, NULL), CF_OK);
    assert_int_equal(stage->posts, posts);
}

static void rebuild(struct stage *stage, const char *space)
{
    const struct cf_msg msg = {.kind = CF_KIND_REBUILD, .rebuild = {cf_str(space)}};
    stage->ops.message(stage->indexer, &stage->runner, &msg, (struct cf_bytes){0});
}

static void tick(struct stage *stage)
{
    uint64_t next_ms = stage->ops.tick(stage->indexer, &stage->runner, cf_clock_mono_ms());
    assert_true(next_ms >= 1 && next_ms <= 60000);
}

/* ---- the plays ---- */

static void every_registration_hears_of_the_newest(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    assert_int_equal(stage->runner.told_count, 0); /* nothing yet */
    rebuild(stage, "");
    wait_posts(stage, 1);
    assert_int_equal(stage->runner.told_count, CF_SPACE_FIXED_COUNT);
    tick(stage); /* the first round that nobody asked for: nothing new */
    wait_posts(stage, 2);
    tick(stage);
    assert_int_equal(stage->runner.told_count, CF_SPACE_FIXED_COUNT);
    stage->ops.registered(stage->indexer, &stage->runner);
    assert_int_equal(stage->runner.told_count, 2 * CF_SPACE_FIXED_COUNT);
    assert_int_equal(stage->runner.told[0], 1);
    close_stage(stage);
}

static void one_space_alone(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    rebuild(stage, cf_spaces[1].name);
    wait_posts(stage, 1);
    assert_int_equal(stage->runner.told_count, 1);
    assert_int_equal(stage->runner.told[0], 0);
    assert_int_equal(stage->runner.told[1], 1);
    close_stage(stage);
}

static void a_rebuild_during_a_round_is_not_forgotten(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    rebuild(stage, "");
    rebuild(stage, cf_spaces[0].name); /* the round before is still under way for the loop */
    wait_posts(stage, 1);
    assert_int_equal(stage->runner.told[0], 1);
    tick(stage);
    wait_posts(stage, 2);
    assert_int_equal(stage->runner.told[0], 2);
    assert_int_equal(stage->runner.told[1], 1);
    close_stage(stage);
}

static void what_cannot_be_told_now_is_told_later(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    stage->runner.full = true;
    rebuild(stage, "");
    wait_posts(stage, 1);
    assert_int_equal(stage->runner.told_count, 0);
    stage->runner.full = false;
    stage->runner.registered = false;
    tick(stage);
    assert_int_equal(stage->runner.told_count, 0);
    stage->runner.registered = true;
    tick(stage);
    assert_int_equal(stage->runner.told_count, CF_SPACE_FIXED_COUNT);
    close_stage(stage);
}

static void a_leaving_indexer_gives_its_build_up(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    rebuild(stage, "");
    stage->runner.draining = true;
    assert_false(stage->ops.drained(stage->indexer, &stage->runner));
    assert_true(atomic_load(&cancelled));
    wait_posts(stage, 1);
    tick(stage); /* starts nothing any more */
    assert_true(stage->ops.drained(stage->indexer, &stage->runner));
    close_stage(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_registration_hears_of_the_newest),
        cmocka_unit_test(one_space_alone),
        cmocka_unit_test(a_rebuild_during_a_round_is_not_forgotten),
        cmocka_unit_test(what_cannot_be_told_now_is_told_later),
        cmocka_unit_test(a_leaving_indexer_gives_its_build_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
