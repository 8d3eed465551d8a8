/* The broker's side of describing again: orders, progress and its end, a restart in the middle, workers that
 * come and go, and what indexers hear of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker_rig.h"

static void init(struct rig *rig)
{
    rig_init(rig);
    rig->config.late_space = cf_str("cf");
    rig_restart(rig);
}

static const struct cf_out_item *ask(struct rig *rig, enum cf_redescribe_op op, const char *space)
{
    struct cf_str spaces[] = {cf_str(space)};
    const struct cf_msg msg = {
        .kind = CF_KIND_REDESCRIBE,
        .id = 9,
        .redescribe = {.op = op, .spaces = spaces, .space_count = space[0] ? 1 : 0},
    };
    rig_client(rig, &msg);
    rig_run(rig, 1);
    const struct cf_out_item *item = rig_out(rig, CF_KIND_REDESCRIBE_OK, 0);
    return item ? item : rig_out(rig, CF_KIND_ERROR, 0);
}

static uint64_t order(struct rig *rig, const char *space)
{
    const struct cf_out_item *item = ask(rig, CF_REDESCRIBE_START, space);
    assert_non_null(item);
    assert_int_equal(item->msg.kind, CF_KIND_REDESCRIBE_OK);
    assert_true(item->durable);
    assert_false(item->msg.redescribed.finished);
    return item->msg.redescribed.order;
}

static struct cf_redescribed view(struct rig *rig)
{
    const struct cf_out_item *item = ask(rig, CF_REDESCRIBE_STATUS, "");
    assert_non_null(item);
    assert_int_equal(item->msg.kind, CF_KIND_REDESCRIBE_OK);
    return item->msg.redescribed;
}

static struct cf_redescribe_shard shard(const char *name, uint64_t total, uint64_t done)
{
    return (struct cf_redescribe_shard){
        .shard = cf_str(name), .total = total, .done = done, .finished = done == total};
}

static void say(struct rig *rig, const char *peer, uint64_t number, bool adopts,
                struct cf_redescribe_shard *shards, size_t count)
{
    const struct cf_msg msg = {
        .kind = CF_KIND_HEARTBEAT,
        .heartbeat = {
            .redescribe_order = number, .adopts = adopts, .redescribed = shards, .redescribed_count = count}};
    rig_worker(rig, peer, &msg);
    rig_run(rig, 1);
}

static void say_one(struct rig *rig, const char *peer, uint64_t number, bool adopts,
                    struct cf_redescribe_shard one)
{
    say(rig, peer, number, adopts, &one, 1);
}

/* What that worker was told in the last wake; NULL: nothing. */
static const struct cf_redescribe_order *told(const struct rig *rig, const char *peer)
{
    const struct cf_out_item *item;
    for (size_t i = 0; (item = rig_out(rig, CF_KIND_REDESCRIBE_ORDER, i)); i++)
        if (item->peer.len == strlen(peer) && memcmp(item->peer.data, peer, item->peer.len) == 0)
            return &item->msg.redescribe_order;
    return NULL;
}

static bool is_error(const struct cf_out_item *item, const char *name)
{
    return item && item->msg.kind == CF_KIND_ERROR && cf_str_is(item->msg.error.error, name);
}

static void two_descriptors(struct rig *rig)
{
    rig_register(rig, "d0", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 0);
    rig_register(rig, "d1", "descriptor-1", CF_ROLE_DESCRIPTOR, 2, 0);
}

static void what_cannot_be_done_is_refused(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    assert_int_equal(view(&rig).order, 0);
    assert_true(is_error(ask(&rig, CF_REDESCRIBE_START, ""), "no_worker"));
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 3, 0);
    assert_true(is_error(ask(&rig, CF_REDESCRIBE_START, "gist"), "no_worker"));
    two_descriptors(&rig);
    assert_true(is_error(ask(&rig, CF_REDESCRIBE_START, "smell"), "unknown_space"));
    assert_null(told(&rig, "d0"));
    assert_int_equal(view(&rig).order, 0);
    rig_fini(&rig);
}

static void every_descriptor_is_told_and_one_adopts(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    two_descriptors(&rig);
    rig_register(&rig, "i", "indexer-0", CF_ROLE_INDEXER, 3, 0);
    uint64_t number = order(&rig, "gist");
    const struct cf_redescribe_order *first = told(&rig, "d0"), *second = told(&rig, "d1");
    assert_non_null(first);
    assert_non_null(second);
    assert_null(told(&rig, "i"));
    assert_int_equal(first->order, number);
    assert_int_equal(first->space_count, 1);
    assert_true(cf_str_is(first->spaces[0], "gist"));
    assert_true(first->adopts && !second->adopts);
    /* Without a name: every space, and the one that may come. */
    assert_true(order(&rig, "") > number);
    assert_int_equal(told(&rig, "d1")->space_count, 3);
    assert_true(cf_str_is(told(&rig, "d1")->spaces[2], "cf"));
    rig_fini(&rig);
}

static void ends_when_all_have_said_so(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    two_descriptors(&rig);
    uint64_t number = order(&rig, "gist");
    say_one(&rig, "d0", number - 1, true, shard("descriptor-0", 9, 9)); /* of an order before */
    assert_int_equal(view(&rig).shard_count, 0);
    say_one(&rig, "d0", number, true, shard("descriptor-0", 5, 5));
    assert_false(view(&rig).finished); /* nothing is known of the other one */
    say_one(&rig, "d1", number, false, shard("descriptor-1", 7, 3));
    struct cf_redescribed now = view(&rig);
    assert_false(now.finished);
    assert_int_equal(now.shard_count, 2);
    assert_int_equal(now.shards[0].done + now.shards[1].done, 8);
    say_one(&rig, "d1", number, false, shard("descriptor-1", 7, 7));
    now = view(&rig);
    assert_true(now.finished);
    assert_int_equal(now.shards[0].total + now.shards[1].total, 12);
    /* Who comes later has nothing to do, and a new order begins anew. */
    rig_register(&rig, "d2", "descriptor-2", CF_ROLE_DESCRIPTOR, 4, 0);
    assert_null(told(&rig, "d2"));
    assert_true(order(&rig, "gray16") > number);
    assert_int_equal(view(&rig).shard_count, 0);
    rig_fini(&rig);
}

static void an_order_outlives_the_broker(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    two_descriptors(&rig);
    uint64_t number = order(&rig, "gist");
    say_one(&rig, "d0", number, true, shard("descriptor-0", 5, 1));
    rig_restart(&rig);
    struct cf_redescribed now = view(&rig);
    assert_int_equal(now.order, number);
    assert_int_equal(now.space_count, 1);
    assert_true(cf_str_is(now.spaces[0], "gist") && !now.finished);
    rig_register(&rig, "d0", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 0);
    assert_int_equal(told(&rig, "d0")->order, number);
    assert_true(told(&rig, "d0")->adopts);
    say_one(&rig, "d0", number, true, shard("descriptor-0", 4, 4));
    assert_true(view(&rig).finished);
    rig_restart(&rig);
    assert_true(view(&rig).finished);
    rig_register(&rig, "d0", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 0);
    assert_null(told(&rig, "d0"));
    /* Numbers grow, even when the clock does not. */
    rig.now.wall_ms = number - 1000;
    assert_int_equal(order(&rig, "gist"), number + 1);
    rig_fini(&rig);
}

static void another_one_adopts_when_who_did_is_gone(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    two_descriptors(&rig);
    uint64_t number = order(&rig, "gist");
    say_one(&rig, "d1", number, false, shard("descriptor-1", 7, 7));
    const struct cf_msg goodbye = {.kind = CF_KIND_GOODBYE};
    rig_worker(&rig, "d0", &goodbye);
    rig_run(&rig, 1);
    assert_true(told(&rig, "d1")->adopts);
    say_one(&rig, "d1", number, false, shard("descriptor-1", 7, 7)); /* it has not heard of that yet */
    assert_false(view(&rig).finished);
    struct cf_redescribe_shard both[] = {shard("descriptor-1", 7, 7), shard("descriptor-0", 5, 4)};
    say(&rig, "d1", number, true, both, 2);
    assert_false(view(&rig).finished);
    both[1] = shard("descriptor-0", 5, 5);
    say(&rig, "d1", number, true, both, 2);
    assert_true(view(&rig).finished);
    rig_fini(&rig);
}

/* Its shard has an owner that starts, or that has not found the broker again: no end without him. */
static void an_owner_that_is_not_here_yet_is_waited_for(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    rig_register(&rig, "d0", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 0);
    uint64_t number = order(&rig, "gist");
    struct cf_redescribe_shard both[] = {shard("descriptor-0", 5, 5), {.shard = cf_str("descriptor-1")}};
    say(&rig, "d0", number, true, both, 2);
    assert_false(view(&rig).finished);
    rig_register(&rig, "d1", "descriptor-1", CF_ROLE_DESCRIPTOR, 2, 0);
    assert_int_equal(told(&rig, "d1")->order, number);
    say_one(&rig, "d1", number, false, shard("descriptor-1", 7, 7));
    assert_true(view(&rig).finished);
    /* From now on only he is believed. */
    number = order(&rig, "gist");
    say_one(&rig, "d1", number, false, shard("descriptor-1", 7, 7));
    say(&rig, "d0", number, true, both, 2);
    struct cf_redescribed now = view(&rig);
    assert_true(now.finished);
    assert_int_equal(now.shards[0].done + now.shards[1].done, 12);
    rig_fini(&rig);
}

static bool hears_news(const struct rig *rig, uint64_t number)
{
    const struct cf_out_item *item = rig_out(rig, CF_KIND_REBUILD, 0);
    return item && cf_str_is(item->msg.rebuild.space, "cf") && item->msg.rebuild.redescribed == number;
}

static void indexers_hear_of_the_late_space(void **state)
{
    struct rig rig;
    (void)state;
    init(&rig);
    rig_register(&rig, "d0", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 0);
    rig_register(&rig, "i", "indexer-0", CF_ROLE_INDEXER, 3, 0);
    uint64_t number = order(&rig, "gist");
    say_one(&rig, "d0", number, true, shard("descriptor-0", 5, 5));
    assert_null(rig_out(&rig, CF_KIND_REBUILD, 0)); /* it was another space */
    number = order(&rig, "cf");
    say_one(&rig, "d0", number, true, shard("descriptor-0", 5, 4));
    rig_register(&rig, "j", "indexer-1", CF_ROLE_INDEXER, 4, 0);
    assert_null(rig_out(&rig, CF_KIND_REBUILD, 0)); /* it is not done */
    say_one(&rig, "d0", number, true, shard("descriptor-0", 5, 5));
    assert_true(hears_news(&rig, number));
    rig_register(&rig, "k", "indexer-2", CF_ROLE_INDEXER, 5, 0);
    assert_true(hears_news(&rig, number));
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_done_is_refused),
        cmocka_unit_test(every_descriptor_is_told_and_one_adopts),
        cmocka_unit_test(ends_when_all_have_said_so),
        cmocka_unit_test(an_order_outlives_the_broker),
        cmocka_unit_test(another_one_adopts_when_who_did_is_gone),
        cmocka_unit_test(an_owner_that_is_not_here_yet_is_waited_for),
        cmocka_unit_test(indexers_hear_of_the_late_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
