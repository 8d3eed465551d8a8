/* The broker's core: the way of a query; the heap below it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/heap.h"
#include "common/base/rng.h"
#include "tests/unit/broker_rig.h"

static void search_done(struct rig *rig, const char *peer, uint64_t qid, const char *body)
{
    const struct cf_msg msg = {.kind = CF_KIND_SEARCH_DONE, .id = qid};
    rig_worker_body(rig, peer, &msg, body);
    rig_run(rig, 1);
}

static bool error_is(const struct rig *rig, const char *name)
{
    const struct cf_out_item *item = rig_out(rig, CF_KIND_ERROR, 0);
    return item && item->to == CF_OUT_CLIENT && cf_str_is(item->msg.error.error, name) &&
           !rig_out(rig, CF_KIND_ERROR, 1);
}

static bool peer_is(const struct cf_out_item *item, const char *peer)
{
    return cf_str_is((struct cf_str){(const char *)item->peer.data, item->peer.len}, peer);
}

static void passes_frames_through(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_query(&rig, 42, 300, false);
    rig_run(&rig, 1);
    const struct cf_out_item *search = rig_out(&rig, CF_KIND_SEARCH, 0);
    assert_non_null(search);
    assert_false(search->durable);
    assert_int_equal(search->msg.search.deadline_ms, 300);
    assert_true(cf_str_is((struct cf_str){(const char *)search->body.data, search->body.len}, "the query"));
    uint64_t qid = search->msg.id;
    search_done(&rig, "q", qid, "the answer");
    const struct cf_out_item *answer = rig_out(&rig, CF_KIND_QUERY_OK, 0);
    assert_non_null(answer);
    assert_true(answer->raw && peer_is(answer, "client"));
    assert_true(cf_str_is((struct cf_str){(const char *)answer->body.data, answer->body.len}, "the answer"));
    assert_int_equal(rig_status(&rig).queries_answered, 1);
    search_done(&rig, "q", qid, "the answer");
    assert_null(rig_out(&rig, CF_KIND_QUERY_OK, 0));
    assert_int_equal(rig_status(&rig).queries_late, 1);
    rig_fini(&rig);
}

static void vectors_go_the_way_of_queries(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    struct cf_str album = cf_str("a");
    struct cf_msg msg = {.kind = CF_KIND_VECTOR,
                         .id = 43,
                         .wanted = {.space = cf_str("gist"), .deadline_ms = 300, .albums = &album}};
    rig_client(&rig, &msg);
    rig_run(&rig, 1);
    const struct cf_out_item *refused = rig_out(&rig, CF_KIND_ERROR, 0);
    assert_true(refused && cf_str_is(refused->msg.error.error, "invalid")); /* no album is none */
    msg.wanted.album_count = 1;
    rig_client(&rig, &msg);
    rig_run(&rig, 1);
    const struct cf_out_item *search = rig_out(&rig, CF_KIND_SEARCH, 0);
    assert_non_null(search);
    assert_int_equal(search->msg.search.deadline_ms, 300);
    search_done(&rig, "q", search->msg.id, "the vectors");
    const struct cf_out_item *answer = rig_out(&rig, CF_KIND_QUERY_OK, 0);
    assert_true(answer && answer->raw && peer_is(answer, "client"));
    assert_true(cf_str_is((struct cf_str){(const char *)answer->body.data, answer->body.len}, "the vectors"));
    rig_fini(&rig);
}

static void goes_to_the_least_loaded(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q0", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_register(&rig, "q1", "query-1", CF_ROLE_QUERY, 2, 0);
    for (uint64_t id = 1; id <= 4; id++)
        rig_query(&rig, id, 300, false);
    rig_run(&rig, 1);
    size_t to_first = 0;
    for (size_t i = 0; i < 4; i++)
        to_first += peer_is(rig_out(&rig, CF_KIND_SEARCH, i), "q0");
    assert_int_equal(to_first, 2);
    /* Both have their two; two more may wait, the next is refused. */
    for (uint64_t id = 5; id <= 7; id++)
        rig_query(&rig, id, 300, false);
    assert_true(error_is(&rig, "busy"));
    rig_run(&rig, 1);
    assert_int_equal(rig_status(&rig).queries_waiting, 2);
    search_done(&rig, "q0", 1, "answer");
    assert_int_equal(rig_status(&rig).queries_waiting, 1);
    rig_fini(&rig);
}

static void deadlines(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_query(&rig, 1, 100, false);
    rig_run(&rig, 99);
    assert_null(rig_out(&rig, CF_KIND_ERROR, 0));
    rig_run(&rig, 1);
    assert_true(error_is(&rig, "no_worker"));
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_query(&rig, 2, 0, false); /* the fleet's default: 500 */
    rig_run(&rig, 499);
    assert_null(rig_out(&rig, CF_KIND_ERROR, 0));
    rig_run(&rig, 1);
    assert_true(error_is(&rig, "deadline_exceeded"));
    assert_int_equal(rig_status(&rig).queries_failed, 2);
    rig_fini(&rig);
}

static void sent_again_once_without_picture(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q0", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_query(&rig, 1, 900, false);
    rig_query(&rig, 2, 900, true);
    rig_run(&rig, 1);
    rig_register(&rig, "q1", "query-0", CF_ROLE_QUERY, 2, 0); /* the first one is dead */
    assert_true(error_is(&rig, "no_worker"));
    assert_int_equal(rig_out(&rig, CF_KIND_ERROR, 0)->msg.id, 2);
    assert_non_null(rig_out(&rig, CF_KIND_SEARCH, 0));
    assert_true(peer_is(rig_out(&rig, CF_KIND_SEARCH, 0), "q1"));
    assert_int_equal(rig_status(&rig).queries_resent, 1);
    rig_register(&rig, "q2", "query-0", CF_ROLE_QUERY, 3, 0);
    assert_true(error_is(&rig, "no_worker"));
    assert_null(rig_out(&rig, CF_KIND_SEARCH, 0));
    rig_fini(&rig);
}

static void waiting_bytes_are_bounded(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    cf_core_free(rig.core);
    rig.config.query_bytes_max = 20;
    struct cf_store store = model_store(rig.model);
    assert_int_equal(cf_core_new(&rig.config, &store, rig.now, &rig.core), CF_OK);
    rig_query(&rig, 1, 100, false); /* nine bytes each */
    rig_query(&rig, 2, 100, false);
    assert_null(rig_out(&rig, CF_KIND_ERROR, 0));
    rig.config.query_waiting_max = 100;
    rig_query(&rig, 3, 100, false);
    assert_true(error_is(&rig, "busy"));
    rig_fini(&rig);
}

/* ---- the heap against a plain search ---- */

struct item {
    struct cf_heap_node node;
    bool in;
};

static const struct item *smallest(const struct item *items, size_t count)
{
    const struct item *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct item *item = &items[i];
        if (item->in && (!best || item->node.major < best->node.major ||
                         (item->node.major == best->node.major && item->node.minor < best->node.minor)))
            best = item;
    }
    return best;
}

static void heap_gives_the_smallest(void **state)
{
    enum { ITEMS = 100 };
    struct item items[ITEMS] = {0};
    struct cf_heap heap = {0};
    struct cf_rng rng = cf_rng(5);
    (void)state;
    assert_int_equal(cf_heap_reserve(&heap, ITEMS), CF_OK);
    for (int round = 0; round < 20000; round++) {
        size_t i = cf_rng_below(&rng, ITEMS);
        if (items[i].in)
            cf_heap_remove(&heap, &items[i].node);
        else
            cf_heap_insert(&heap, &items[i].node, cf_rng_below(&rng, 10), i);
        items[i].in = !items[i].in;
        assert_ptr_equal(cf_heap_top(&heap), smallest(items, ITEMS));
    }
    cf_heap_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_frames_through),           cmocka_unit_test(vectors_go_the_way_of_queries),
        cmocka_unit_test(goes_to_the_least_loaded),        cmocka_unit_test(deadlines),
        cmocka_unit_test(sent_again_once_without_picture), cmocka_unit_test(waiting_bytes_are_bounded),
        cmocka_unit_test(heap_gives_the_smallest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
