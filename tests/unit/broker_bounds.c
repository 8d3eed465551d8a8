/* The broker's core: what is sent twice, wrongly or too much, and what the journal has lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/state.h"
#include "tests/unit/broker_rig.h"

static struct cf_result push_named(struct rig *rig, uint64_t nonce, uint64_t id, const char *bytes)
{
    struct cf_push_item item = {.album = cf_str("a"), .bytes = {(const uint8_t *)bytes, strlen(bytes)}};
    const struct cf_msg msg = {
        .kind = CF_KIND_PUSH, .id = id, .push = {.nonce = nonce, .items = &item, .item_count = 1}};
    rig_client(rig, &msg);
    rig_run(rig, 1);
    const struct cf_out_item *reply = rig_out(rig, CF_KIND_PUSH_OK, 0);
    assert_non_null(reply);
    assert_int_equal(reply->msg.results.result_count, 1);
    return reply->msg.results.results[0];
}

static void a_push_sent_again_does_nothing(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_version first = push_named(&rig, 11, 1, "one").version;
    struct cf_version newer = push_named(&rig, 22, 1, "two").version;
    struct cf_result again = push_named(&rig, 11, 1, "one");
    assert_int_equal(again.status, CF_PUSH_ACCEPTED);
    assert_int_equal(cf_version_compare(again.version, first), 0);
    const struct cf_queue peek = {.op = CF_QUEUE_LIST};
    struct cf_queue_ok left = rig_queue(&rig, peek);
    assert_int_equal(left.job_count, 1);
    assert_int_equal(cf_version_compare(left.jobs[0].version, newer), 0);
    /* Another request of the same client is a request of its own; so is one without a nonce. */
    assert_true(cf_version_compare(push_named(&rig, 11, 2, "one").version, newer) > 0);
    assert_int_equal(push_named(&rig, 0, 1, "two").status, CF_PUSH_ACCEPTED);
    assert_int_equal(push_named(&rig, 0, 1, "one").status, CF_PUSH_ACCEPTED);
    rig_fini(&rig);
}

static void a_removal_sent_again_gets_its_result(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_str album = cf_str("a");
    const struct cf_msg msg = {
        .kind = CF_KIND_REMOVE, .id = 5, .albums = {.albums = &album, .album_count = 1, .nonce = 9}};
    (void)push_named(&rig, 1, 1, "one");
    for (int i = 0; i < 2; i++) {
        rig_client(&rig, &msg);
        rig_run(&rig, 1);
        assert_int_equal(rig_out(&rig, CF_KIND_REMOVE_OK, 0)->msg.results.results[0].status,
                         CF_PUSH_ACCEPTED);
        assert_int_equal(rig_events(&rig, "removed"), i == 0);
    }
    rig_fini(&rig);
}

static void what_was_undone_is_not_remembered(void **state)
{
    struct rig rig;
    struct cf_detail detail = {"broken"};
    (void)state;
    rig_init(&rig);
    (void)push_named(&rig, 1, 1, "one");
    struct cf_push_item item = {.album = cf_str("b"), .bytes = {(const uint8_t *)"x", 1}};
    const struct cf_msg msg = {
        .kind = CF_KIND_PUSH, .id = 2, .push = {.nonce = 1, .items = &item, .item_count = 1}};
    cf_out_reset(&rig.out);
    cf_core_client(rig.core, rig.now, (struct cf_bytes){(const uint8_t *)"c", 1}, &msg, (struct cf_bytes){0},
                   &rig.out);
    (void)cf_core_run(rig.core, rig.now, &rig.out);
    model_rollback(rig.model);
    cf_core_unload(rig.core, rig.now, CF_E_IO, &detail, &rig.out);
    cf_out_reset(&rig.out);
    assert_int_equal(cf_core_load(rig.core, rig.now, &rig.out, NULL), CF_OK);
    assert_int_equal(HASH_COUNT(rig.core->repeats), 1);
    rig_client(&rig, &msg);
    rig_run(&rig, 1);
    assert_int_equal(rig_state(&rig, "b"), CF_STATE_QUEUED);
    rig_fini(&rig);
}

static void the_memory_of_requests_is_bounded(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    for (uint64_t i = 1; i <= 4200; i++)
        (void)push_named(&rig, 3, i, i % 2 ? "one" : "two");
    assert_int_equal(HASH_COUNT(rig.core->repeats), 4096);
    rig_run(&rig, 600000);
    (void)push_named(&rig, 3, 9999, "three");
    assert_int_equal(HASH_COUNT(rig.core->repeats), 1);
    rig_fini(&rig);
}

static void counting_in_any_order_is_not_quadratic(void **state)
{
    enum { COUNT = 300000 };
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_core *core = rig.core;
    struct cf_rng rng = cf_rng(4);
    tails_count_begin(core);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(tail_add(core, cf_str("s"), 1 + cf_rng_below(&rng, UINT64_C(1) << 40)), CF_OK);
    tails_count_end(core);
    assert_int_equal(core->tail_moves, 0);
    assert_int_equal(core->albums[CF_STATE_DESCRIBED], COUNT);
    for (size_t i = 1; i < core->shards->count; i++)
        assert_true(core->shards->tail[i - 1] <= core->shards->tail[i]);
    tails_clear(core);
    rig_fini(&rig);
}

static size_t refusals(struct rig *rig)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->out.count; i++)
        count += rig->out.items[i].to == CF_OUT_WORKER && rig->out.items[i].msg.kind == CF_KIND_ERROR;
    return count;
}

static void refuses_bad_names_of_workers(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "w", "a/../b", CF_ROLE_DESCRIPTOR, 1, 1);
    assert_int_equal(HASH_COUNT(rig.core->workers), 0);
    rig_register(&rig, "w", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 1);
    assert_int_equal(HASH_COUNT(rig.core->workers), 1);
    struct cf_result pushed = rig_push(&rig, "a", "x");
    struct cf_done_item item = {
        .version = pushed.version, .album = cf_str("a"), .shard = cf_str("../../etc"), .log_seq = 1};
    const struct cf_msg done = {.kind = CF_KIND_DONE, .done = {.items = &item, .item_count = 1}};
    rig_worker(&rig, "w", &done);
    rig_run(&rig, 1);
    assert_int_equal(refusals(&rig), 1);
    assert_int_not_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    rig_fini(&rig);
}

static void one_shard_too_many_is_refused(void **state)
{
    struct rig rig;
    char name[32];
    (void)state;
    rig_init(&rig);
    for (int i = 0; i < CF_CORE_SHARDS_MAX; i++) {
        snprintf(name, sizeof name, "s%d", i);
        assert_int_equal(tail_add(rig.core, cf_str(name), 1), CF_OK);
    }
    rig_register(&rig, "w", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 1);
    struct cf_result pushed = rig_push(&rig, "a", "x");
    rig_done(&rig, "w", pushed.version, "a", 9);
    assert_int_equal(rig.out.err, CF_OK);
    assert_int_equal(refusals(&rig), 1);
    rig_fini(&rig);
}

static void only_indexers_publish_known_spaces(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_register(&rig, "i", "indexer-0", CF_ROLE_INDEXER, 2, 0);
    rig_published(&rig, "q", "gray16", 5);
    assert_null(rig.core->indexes);
    rig_published(&rig, "i",
                  "\x01"
                  "bogus",
                  5);
    assert_null(rig.core->indexes);
    rig_published(&rig, "i", "gray16", 5);
    assert_non_null(rig.core->indexes);
    rig_fini(&rig);
}

static void an_unknown_space_in_the_journal_is_let_go(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_index_record records[] = {{.space = cf_str("bogus")}, {.space = cf_str("gist")}};
    const struct cf_meta_record meta = {.epoch = 77, .next_seq = 1, .indexes = records, .index_count = 2};
    struct cf_store store = model_store(rig.model);
    assert_int_equal(store.meta_put(store.arg, &meta, NULL), CF_OK);
    model_commit(rig.model, true);
    rig_restart(&rig);
    assert_int_equal(rig_status(&rig).index_count, 1);
    rig_fini(&rig);
}

/* One lost picture costs its album, not the queue. */
static void a_lost_picture_is_a_dead_letter(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_result lost = rig_push(&rig, "a", "x");
    struct cf_result orphan = rig_push(&rig, "b", "y");
    assert_int_equal(rig_push(&rig, "c", "z").status, CF_PUSH_ACCEPTED);
    struct cf_store store = model_store(rig.model);
    store.payload_delete(store.arg, lost.version.seq);
    store.album_delete(store.arg, cf_str("b"));
    assert_int_equal(orphan.status, CF_PUSH_ACCEPTED);
    rig_register(&rig, "w", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 1);
    rig_run(&rig, 1);
    rig_run(&rig, 1);
    assert_int_equal(rig.out.err, CF_OK);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DEAD);
    assert_int_equal(rig_state(&rig, "c"), CF_STATE_LEASED);
    assert_int_equal(rig_status(&rig).leased, 1);
    assert_int_equal(rig_status(&rig).queued, 0);
    rig_fini(&rig);
}

/* In a container the worker that came after the dead one has its pid. */
static void another_instance_of_a_pid_is_a_death(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    for (uint64_t instance = 1; instance <= 2; instance++) {
        const struct cf_msg msg = {
            .kind = CF_KIND_REGISTER,
            .registration = {
                .role = CF_ROLE_DESCRIPTOR, .name = cf_str("descriptor-0"), .pid = 1, .instance = instance}};
        const struct cf_msg ready = {.kind = CF_KIND_READY, .ready = {.credit = 1}};
        rig_worker(&rig, instance == 1 ? "one" : "two", &msg);
        if (instance == 1) {
            rig_worker(&rig, "one", &ready);
            assert_int_equal(rig_push(&rig, "a", "x").status, CF_PUSH_ACCEPTED);
        }
        rig_run(&rig, 1);
    }
    assert_non_null(rig.core->jobs);
    assert_int_equal(rig.core->jobs->deaths, 1);
    rig_fini(&rig);
}

static void leases_fit_the_message_limit(void **state)
{
    struct rig rig;
    char big[2000];
    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    rig_init(&rig);
    rig.core->config.lease_bytes_max = 6000;
    rig.core->config.image_bytes_max = rig.core->config.queue_bytes_max = 100000;
    for (int i = 0; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%d", i);
        big[0] = (char)('a' + i);
        assert_int_equal(rig_push(&rig, name, big).status, CF_PUSH_ACCEPTED);
    }
    rig_register(&rig, "w", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 8);
    const struct cf_out_item *item = NULL;
    size_t count = 0;
    for (size_t i = 0; (item = rig_out(&rig, CF_KIND_LEASE, i)); i++) {
        struct cf_buf bytes;
        cf_buf_init(&bytes);
        assert_int_equal(cf_msg_encode(&item->msg, &bytes, NULL), CF_OK);
        assert_true(bytes.len <= 6000);
        count += item->msg.lease.job_count;
        cf_buf_fini(&bytes);
    }
    assert_int_equal(count, 4);
    rig_fini(&rig);
}

/* A worker that lets queries expire does not get more than its share of them. */
static void an_expired_query_keeps_its_place(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_query(&rig, 1, 100, true);
    rig_query(&rig, 2, 100, true);
    rig_run(&rig, 1);
    assert_true(rig.core->query_bytes > 0); /* with the worker, not answered yet */
    rig_heartbeat(&rig, "q");
    rig_run(&rig, 150);
    assert_non_null(rig_out(&rig, CF_KIND_ERROR, 1));
    rig_query(&rig, 3, 400, false);
    rig_run(&rig, 1);
    assert_null(rig_out(&rig, CF_KIND_SEARCH, 0));
    const struct cf_msg late = {.kind = CF_KIND_SEARCH_DONE, .id = 1};
    rig_worker_body(&rig, "q", &late, "late");
    rig_run(&rig, 1);
    assert_non_null(rig_out(&rig, CF_KIND_SEARCH, 0));
    assert_null(rig_out(&rig, CF_KIND_QUERY_OK, 0));
    rig_fini(&rig);
}

/* Page by page, in order, whatever the order of their coming and their state. */
static void the_queue_is_listed_in_pages(void **state)
{
    struct rig rig;
    char name[8];
    (void)state;
    rig_init(&rig);
    rig.core->config.queue_jobs_max = 100;
    struct cf_version versions[9];
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "a%d", i);
        versions[i] = rig_push(&rig, name, "x").version;
    }
    rig_register(&rig, "w", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 3);
    rig_failed(&rig, "w", versions[0], "a0", true, true);
    rig_failed(&rig, "w", versions[1], "a1", true, true);
    struct cf_str first = cf_str("a0");
    (void)rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_RETRY, .albums = &first, .album_count = 1});
    uint64_t after = 0;
    for (size_t seen = 0; seen < 9;) {
        struct cf_queue_ok page =
            rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_LIST, .limit = 4, .after_seq = after});
        assert_int_equal(page.job_count, seen < 8 ? 4 : 1);
        for (size_t i = 0; i < page.job_count; i++, seen++)
            assert_int_equal(page.jobs[i].version.seq, versions[seen].seq);
        after = page.jobs[page.job_count - 1].version.seq;
        assert_int_equal(page.count, 9);
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_sent_again_does_nothing),
        cmocka_unit_test(a_removal_sent_again_gets_its_result),
        cmocka_unit_test(what_was_undone_is_not_remembered),
        cmocka_unit_test(the_memory_of_requests_is_bounded),
        cmocka_unit_test(counting_in_any_order_is_not_quadratic),
        cmocka_unit_test(refuses_bad_names_of_workers),
        cmocka_unit_test(one_shard_too_many_is_refused),
        cmocka_unit_test(only_indexers_publish_known_spaces),
        cmocka_unit_test(an_unknown_space_in_the_journal_is_let_go),
        cmocka_unit_test(a_lost_picture_is_a_dead_letter),
        cmocka_unit_test(another_instance_of_a_pid_is_a_death),
        cmocka_unit_test(leases_fit_the_message_limit),
        cmocka_unit_test(the_queue_is_listed_in_pages),
        cmocka_unit_test(an_expired_query_keeps_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
