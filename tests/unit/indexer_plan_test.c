/* When the indexer builds: quiet, interval, rest between builds, and the wait after failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/indexer/plan.h"

static struct cf_config config = {.indexer_quiet_ms = 2000, .indexer_interval_ms = 10000};

static void observe(struct cf_plan *plan, uint64_t now_ms, bool behind, uint64_t position)
{
    const struct cf_plan_view view = {.behind = behind, .position = position, .waiting = 1, .base = 1023};
    cf_plan_observe(plan, now_ms, &view);
}

static void nothing_to_do(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    for (uint64_t now = 0; now < 100000; now += 100) {
        observe(&plan, now, false, 7);
        assert_false(cf_plan_is_due(&plan, &config, now));
    }
}

static void quiet_starts_a_build(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    observe(&plan, 50000, true, 1);
    assert_false(cf_plan_is_due(&plan, &config, 50000));
    observe(&plan, 51000, true, 2);
    observe(&plan, 52999, true, 2);
    assert_false(cf_plan_is_due(&plan, &config, 52999));
    observe(&plan, 53000, true, 2);
    assert_true(cf_plan_is_due(&plan, &config, 53000));
}

static void a_steady_stream_is_built_at_the_interval(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    uint64_t built_at[4] = {0};
    size_t builds = 0;
    for (uint64_t now = 1000; builds < 4; now += 100) {
        observe(&plan, now, true, now);
        if (!cf_plan_is_due(&plan, &config, now))
            continue;
        built_at[builds++] = now;
        cf_plan_built(&plan, CF_PLAN_WHOLE, now, now + 50);
    }
    assert_int_equal(built_at[0], 11000);
    assert_int_equal(built_at[1], 21100); /* behind again since the first look after the build */
    assert_int_equal(built_at[2] - built_at[1], 10100);
}

static void long_builds_leave_time_to_others(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    cf_plan_built(&plan, CF_PLAN_WHOLE, 1000, 21000);
    observe(&plan, 21100, true, 1);
    observe(&plan, 40999, true, 2);
    assert_false(cf_plan_is_due(&plan, &config, 40999));
    assert_true(cf_plan_is_due(&plan, &config, 41000));
    /* A small one does not wait for the rest that a whole one needs. */
    const struct cf_plan_view view = {
        .behind = true, .position = 3, .waiting = 9000, .changed = 9000, .base = 100000};
    cf_plan_built(&plan, CF_PLAN_WHOLE, 50000, 90000);
    cf_plan_observe(&plan, 91000, &view);
    assert_int_equal(plan.kind, CF_PLAN_SMALL);
    assert_true(cf_plan_is_due(&plan, &config, 91000));
    cf_plan_built(&plan, CF_PLAN_SMALL, 91000, 92000);
    cf_plan_observe(&plan, 92100, &view);
    assert_false(cf_plan_is_due(&plan, &config, 92249));
    assert_true(cf_plan_is_due(&plan, &config, 92250));
}

static void failures_wait_ever_longer(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    observe(&plan, 0, true, 1);
    uint64_t now = 10000, last_wait = 0;
    for (int i = 0; i < 10; i++) {
        assert_true(cf_plan_is_due(&plan, &config, now));
        cf_plan_failed(&plan, now);
        uint64_t wait = plan.retry_at_ms - now;
        assert_true(wait >= last_wait && wait >= 1000 && wait <= 30000);
        assert_false(cf_plan_is_due(&plan, &config, plan.retry_at_ms - 1));
        now = plan.retry_at_ms;
        last_wait = wait;
    }
    assert_int_equal(last_wait, 30000);
    cf_plan_built(&plan, CF_PLAN_WHOLE, now, now);
    assert_int_equal(plan.retry_at_ms, 0);
}

/* When a build becomes due that begins to be behind at 1000 and is quiet from then on. */
static uint64_t due_after(uint64_t waiting, uint64_t base, uint64_t small)
{
    const struct cf_plan_view view = {
        .behind = true, .position = 1, .waiting = waiting, .base = base, .small = small};
    struct cf_plan plan = {0};
    for (uint64_t now = 1000; now < 200000; now += 100) {
        cf_plan_observe(&plan, now, &view);
        if (cf_plan_is_due(&plan, &config, now))
            return now - 1000;
    }
    return UINT64_MAX;
}

static void a_few_beside_a_large_index_wait(void **state)
{
    (void)state;
    assert_int_equal(due_after(5, 0, 0), 2000); /* no index yet */
    assert_int_equal(due_after(5, 1000, 0), 2000);
    assert_int_equal(due_after(5, 5000, 0), 60000);
    assert_int_equal(due_after(255, 5000, 0), 60000);
    assert_int_equal(due_after(256, 5000, 0), 2000);
    assert_int_equal(due_after(256, 1000000, 0), 2000); /* a small one costs the same beside any base */
    assert_int_equal(due_after(1999, 1000000, 100000), 60000);
    assert_int_equal(due_after(2000, 1000000, 100000), 2000);
    config.indexer_interval_ms = 90000; /* whoever wants fewer builds gets fewer */
    assert_int_equal(due_after(5, 5000, 0), 90000);
    config.indexer_interval_ms = 10000;
}

/* When one becomes due while one album comes every 100 ms beside `before` that waited already. */
static uint64_t due_in_a_stream(uint64_t before, uint64_t base)
{
    struct cf_plan plan = {0};
    for (uint64_t now = 1000; now < 200000; now += 100) {
        const struct cf_plan_view view = {
            .behind = true, .position = now, .waiting = before + now / 100, .base = base};
        cf_plan_observe(&plan, now, &view);
        if (cf_plan_is_due(&plan, &config, now))
            return now - 1000;
    }
    return UINT64_MAX;
}

static void a_stream_beside_a_large_index_is_let_grow(void **state)
{
    (void)state;
    assert_int_equal(due_in_a_stream(500, 1000), 10000);
    assert_int_equal(due_in_a_stream(500, 5000), 60000);
    assert_int_equal(due_in_a_stream(4096 - 300, 5000), 29000); /* then there are 4,096 */
    assert_int_equal(due_in_a_stream(4096, 5000), 10000);
}

static void many_are_built_at_once(void **state)
{
    (void)state;
    assert_int_equal(due_after(8191, 100000, 0), 2000);
    assert_int_equal(due_after(8192, 100000, 0), 0);
    assert_int_equal(due_after(8192, 0, 0), 0);
    assert_int_equal(due_after(8192, 100000, 16000), 2000); /* the small one has to pay for itself */
    assert_int_equal(due_after(10191, 100000, 16000), 2000);
    assert_int_equal(due_after(10192, 100000, 16000), 0);
}

static void the_cheaper_kind_is_built(void **state)
{
    (void)state;
    static const struct {
        uint64_t base, changed, hidden;
        enum cf_plan_kind kind;
    } cases[] = {
        {0, 1, 0, CF_PLAN_WHOLE},
        {1023, 1, 0, CF_PLAN_WHOLE},
        {1024, 1, 0, CF_PLAN_SMALL},
        {100000, 3000, 0, CF_PLAN_SMALL},
        {100000, 25000, 0, CF_PLAN_SMALL},
        {100000, 25001, 0, CF_PLAN_WHOLE},
        {100000, 7000, 6250, CF_PLAN_SMALL},
        {100000, 7000, 6251, CF_PLAN_WHOLE},
        {UINT64_MAX, UINT64_MAX / 4, 0, CF_PLAN_SMALL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(cf_plan_kind(cases[i].base, cases[i].changed, cases[i].hidden), cases[i].kind);
    assert_int_equal(cf_plan_changed_max(1023), 0);
    assert_int_equal(cf_plan_changed_max(100000), 25000);
}

/* A catalogue that doubles, at a steady 300 a second: how much is built for it in all. */
static void growth_costs_little(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    uint64_t base = 100000, covered = 0, held = 0, longest_tail = 0, wholes = 0;
    for (uint64_t now = 1000, came = 0; base + covered < 200000; now += 100, came += 30) {
        const struct cf_plan_view view = {.behind = came > covered,
                                          .position = came,
                                          .waiting = came - covered,
                                          .changed = came,
                                          .base = base,
                                          .small = covered};
        cf_plan_observe(&plan, now, &view);
        longest_tail = came - covered > longest_tail ? came - covered : longest_tail;
        if (!cf_plan_is_due(&plan, &config, now))
            continue;
        cf_plan_built(&plan, plan.kind, now, now + 50);
        covered = came;
        held += plan.kind == CF_PLAN_SMALL ? came : base + came;
        if (plan.kind == CF_PLAN_WHOLE) {
            base += came;
            came = covered = 0;
            wholes++;
        }
    }
    assert_in_range(wholes, 3, 4);
    assert_in_range(longest_tail, 4000, 8400);
    assert_in_range(held, 100000, 1200000); /* whole ones alone, at the interval, would be 5,000,000 */
}

/* A whole build that takes a minute: beside it small ones of the old base come as ever. */
static void small_ones_come_beside_a_whole_build(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    uint64_t covered = 25000, longest_tail = 0, smalls = 0;
    for (uint64_t now = 1000, came = 25000; now < 61000; now += 100, came += 30) {
        const struct cf_plan_view view = {.behind = came > covered,
                                          .position = came,
                                          .waiting = came - covered,
                                          .changed = came,
                                          .base = 100000,
                                          .small = covered,
                                          .building = true};
        cf_plan_observe(&plan, now, &view);
        assert_int_equal(plan.kind, CF_PLAN_SMALL);
        longest_tail = came - covered > longest_tail ? came - covered : longest_tail;
        if (!cf_plan_is_due(&plan, &config, now))
            continue;
        cf_plan_built(&plan, plan.kind, now, now + 3000);
        covered = came;
        smalls++;
    }
    assert_in_range(smalls, 2, 3);
    assert_in_range(longest_tail, 4000, 10500);
    /* Nothing to add to, nothing but a whole one. */
    const struct cf_plan_view first = {.behind = true, .waiting = 5, .changed = 5, .building = true};
    cf_plan_observe(&plan, 70000, &first);
    assert_int_equal(plan.kind, CF_PLAN_WHOLE);
}

static void little_is_built_within_a_round(void **state)
{
    (void)state;
    static const struct {
        uint64_t base, changed;
        bool brief;
    } cases[] = {{0, 0, true},     {0, 4096, true},    {0, 4097, false},       {4096, 0, true},
                 {4096, 1, false}, {1000, 3096, true}, {UINT64_MAX, 1, false}, {1, UINT64_MAX, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cf_plan plan = {0};
        const struct cf_plan_view view = {.base = cases[i].base, .changed = cases[i].changed};
        cf_plan_observe(&plan, 1000, &view);
        assert_int_equal(plan.brief, cases[i].brief);
    }
}

/* New albums that never stop coming do not put it off. */
static void a_trickle_is_built_once_a_minute(void **state)
{
    (void)state;
    struct cf_plan plan = {0};
    uint64_t builds = 0;
    for (uint64_t now = 1000; now < 601000; now += 100) {
        const struct cf_plan_view view = {.behind = true, .position = now, .waiting = 3, .base = 5000};
        cf_plan_observe(&plan, now, &view);
        if (!cf_plan_is_due(&plan, &config, now))
            continue;
        builds++;
        cf_plan_built(&plan, CF_PLAN_SMALL, now, now + 50);
    }
    assert_in_range(builds, 9, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(quiet_starts_a_build),
        cmocka_unit_test(a_steady_stream_is_built_at_the_interval),
        cmocka_unit_test(long_builds_leave_time_to_others),
        cmocka_unit_test(failures_wait_ever_longer),
        cmocka_unit_test(a_few_beside_a_large_index_wait),
        cmocka_unit_test(a_stream_beside_a_large_index_is_let_grow),
        cmocka_unit_test(many_are_built_at_once),
        cmocka_unit_test(the_cheaper_kind_is_built),
        cmocka_unit_test(growth_costs_little),
        cmocka_unit_test(small_ones_come_beside_a_whole_build),
        cmocka_unit_test(little_is_built_within_a_round),
        cmocka_unit_test(a_trickle_is_built_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
