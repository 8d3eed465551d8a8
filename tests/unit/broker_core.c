/* The broker's core: pushes, leases, failures, removals, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "common/base/hash.h"
#include "tests/unit/broker_rig.h"

#define ASSERT_ERROR(result, name)                                                                           \
    do {                                                                                                     \
        struct cf_result result_ = (result);                                                                 \
        assert_int_equal(result_.status, CF_PUSH_REFUSED);                                                   \
        assert_true(cf_str_is(result_.error, name));                                                         \
        assert_true(result_.detail.len > 0);                                                                 \
    } while (0)

static void accepts_then_knows_the_same(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_result first = rig_push(&rig, "a", "one");
    assert_int_equal(first.status, CF_PUSH_ACCEPTED);
    assert_true(rig.out.sync);
    assert_int_equal(first.version.epoch, 77);
    struct cf_result again = rig_push(&rig, "a", "one");
    assert_int_equal(again.status, CF_PUSH_UNCHANGED);
    assert_int_equal(cf_version_compare(again.version, first.version), 0);
    assert_int_equal(model_job_count(rig.model), 1);

    struct cf_result other = rig_push(&rig, "a", "two");
    assert_int_equal(other.status, CF_PUSH_ACCEPTED);
    assert_true(cf_version_compare(other.version, first.version) > 0);
    assert_int_equal(model_job_count(rig.model), 1);
    assert_int_equal(model_payload_count(rig.model), 1);
    assert_int_equal(rig_status(&rig).queued, 1);
    rig_fini(&rig);
}

static void metadata_is_part_of_sameness(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_pair meta[] = {{cf_str("title"), cf_str("T")}, {cf_str("artist"), cf_str("A")}};
    struct cf_pair swapped[] = {meta[1], meta[0]};
    struct cf_push_item item = {.album = cf_str("a"), .bytes = {(const uint8_t *)"x", 1}, .meta = meta};
    item.meta_count = 2;
    assert_int_equal(rig_push_item(&rig, item).status, CF_PUSH_ACCEPTED);
    item.meta = swapped;
    assert_int_equal(rig_push_item(&rig, item).status, CF_PUSH_UNCHANGED);
    item.meta_count = 1;
    assert_int_equal(rig_push_item(&rig, item).status, CF_PUSH_ACCEPTED);
    rig_fini(&rig);
}

static void refuses_by_item(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    static const uint8_t digest[32] = {1};
    struct cf_push_item item = {
        .album = cf_str("a"), .bytes = {(const uint8_t *)"x", 1}, .sha256 = {digest, 32}};
    ASSERT_ERROR(rig_push_item(&rig, item), "invalid");
    ASSERT_ERROR(rig_push(&rig, "", "x"), "bad_album");
    ASSERT_ERROR(rig_push(&rig, "bell\a", "x"), "bad_album");
    ASSERT_ERROR(rig_push(&rig, "a", ""), "not_an_image");
    ASSERT_ERROR(rig_push(&rig, "a", "123456789012345678901234567890123456789012345678901"), "too_large");
    item = (struct cf_push_item){.album = cf_str("a"), .bytes = {(const uint8_t *)"x", 1}};
    item.file = cf_str("/covers/a.jpg");
    ASSERT_ERROR(rig_push_item(&rig, item), "invalid");
    assert_int_equal(rig_status(&rig).pushes_refused, 6);
    assert_int_equal(model_job_count(rig.model), 0);
    rig_fini(&rig);
}

static bool contains(struct cf_str text, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; i + len <= text.len; i++)
        if (memcmp(text.data + i, part, len) == 0)
            return true;
    return false;
}

/* What the adapter says about the limit is what the producer hears. */
static void names_the_limit_of_covers(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    const char *cover = "123456789012345678901234567890123456789012345678901";
    struct cf_result result = rig_push(&rig, "a", cover);
    assert_true(contains(result.detail, "51 bytes") && contains(result.detail, "50 (image.bytes_max)"));
    rig.config.image_limit = cf_str("a message");
    rig_restart(&rig);
    assert_true(contains(rig_push(&rig, "a", cover).detail, "50 (a message)"));
    rig_fini(&rig);
}

static const struct cf_out_item *order_index(struct rig *rig, enum cf_index_op op, const char *space)
{
    const struct cf_msg msg = {.kind = CF_KIND_INDEX, .id = 7, .index = {.op = op, .space = cf_str(space)}};
    rig_client(rig, &msg);
    rig_run(rig, 1);
    return rig_out(rig, CF_KIND_ERROR, 0);
}

static void unknown_spaces_are_named(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    for (int op = CF_INDEX_STATUS; op <= CF_INDEX_REBUILD; op++) {
        const struct cf_out_item *error = order_index(&rig, (enum cf_index_op)op, "smell");
        assert_non_null(error);
        assert_int_equal(error->msg.id, 7);
        assert_true(cf_str_is(error->msg.error.error, "unknown_space"));
        assert_true(contains(error->msg.error.detail, "\"smell\"") &&
                    contains(error->msg.error.detail, "gray16, gist"));
    }
    assert_null(order_index(&rig, CF_INDEX_STATUS, "gist"));
    assert_null(order_index(&rig, CF_INDEX_STATUS, ""));
    assert_true(cf_str_is(order_index(&rig, CF_INDEX_REBUILD, "gist")->msg.error.error, "no_worker"));
    rig_fini(&rig);
}

static void keeps_files_below_the_roots(void **state)
{
    static const char *const outside[] = {
        "/etc/passwd", "covers/a.jpg", "/covers",  "/covers/../etc/passwd", "/covers/x/..",
        "/coversx/a",  "..",           "/covers/", "/covers/../../a.jp"};
    static const char *const inside[] = {"/covers/a.jpg", "/covers/..a/b..c", "/covers/x/...",
                                         "/covers/.hidden"};
    struct rig rig;
    (void)state;
    rig_init(&rig);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        struct cf_push_item item = {.album = cf_str("a"), .file = cf_str(outside[i])};
        ASSERT_ERROR(rig_push_item(&rig, item), "outside_roots");
    }
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        struct cf_push_item item = {.album = cf_str("a"), .file = cf_str(inside[i])};
        assert_int_equal(rig_push_item(&rig, item).status, CF_PUSH_ACCEPTED);
    }
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 4);
    assert_true(cf_str_is(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.jobs[0].file, "/covers/.hidden"));
    rig_fini(&rig);
}

static void full_queues_say_busy(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    static const char *const albums[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rig_push(&rig, albums[i], "x").status, CF_PUSH_ACCEPTED);
    ASSERT_ERROR(rig_push(&rig, "e", "x"), "busy");
    assert_true(cf_str_is(rig_status(&rig).refusing, "busy"));
    assert_int_equal(rig_push(&rig, "a", "y").status,
                     CF_PUSH_ACCEPTED); /* takes the place of its older job */
    assert_int_equal(rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_PURGE}).count, 4);
    assert_int_equal(rig_push(&rig, "f", "1234567890123456789012345678901234567890").status,
                     CF_PUSH_ACCEPTED);
    assert_int_equal(rig_push(&rig, "g", "1234567890123456789012345678901234567890").status,
                     CF_PUSH_ACCEPTED);
    ASSERT_ERROR(rig_push(&rig, "h", "123456789012345678901"), "busy");
    assert_int_equal(rig_push(&rig, "h", "12345678901234567890").status, CF_PUSH_ACCEPTED);
    rig_fini(&rig);
}

static void full_disk_refuses_and_resumes(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    cf_core_disk_free(rig.core, 999);
    ASSERT_ERROR(rig_push(&rig, "a", "x"), "disk_full");
    assert_true(cf_str_is(rig_status(&rig).refusing, "disk_full"));
    cf_core_disk_free(rig.core, 1003);
    ASSERT_ERROR(rig_push(&rig, "a", "four"), "disk_full");
    assert_int_equal(rig_push(&rig, "a", "two").status, CF_PUSH_ACCEPTED);
    ASSERT_ERROR(rig_push(&rig, "b", "x"), "disk_full"); /* what was accepted counts before the next look */
    rig_fini(&rig);
}

static void describes_and_indexes(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_version version = rig_push(&rig, "a", "one").version;
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 4);
    const struct cf_out_item *lease = rig_out(&rig, CF_KIND_LEASE, 0);
    assert_non_null(lease);
    assert_true(lease->durable);
    assert_int_equal(lease->msg.lease.job_count, 1);
    assert_true(cf_bytes_equal(lease->msg.lease.jobs[0].bytes, (struct cf_bytes){(const uint8_t *)"one", 3}));
    assert_int_equal(lease->msg.lease.jobs[0].sha256.len, CF_SHA256_BYTES);
    assert_int_equal(lease->msg.lease.jobs[0].attempt, 1);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_LEASED);

    rig_done(&rig, "d", version, "a", 3);
    assert_int_equal(rig_events(&rig, "stored"), 1);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    assert_int_equal(model_job_count(rig.model) + model_payload_count(rig.model), 0);
    assert_int_equal(rig_push(&rig, "a", "one").status, CF_PUSH_UNCHANGED);

    rig_register(&rig, "i", "indexer-0", CF_ROLE_INDEXER, 2, 0);
    rig_published(&rig, "i", "gist", 3);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED); /* not in every space yet */
    rig_published(&rig, "i", "gray16", 2);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    assert_int_equal(rig_status(&rig).indexes[1].tail, 1);
    rig_published(&rig, "i", "gray16", 3);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_INDEXED);
    assert_int_equal(rig_status(&rig).indexed, 1);
    rig_published(&rig, "i", "gray16", 1); /* somebody deleted the index */
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    assert_int_equal(rig_status(&rig).described, 1);
    assert_int_equal(rig_status(&rig).indexed, 0);
    rig_fini(&rig);
}

static void late_and_foreign_answers(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_version version = rig_push(&rig, "a", "one").version;
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 4);
    rig_done(&rig, "d", version, "other", 3);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_LEASED);
    struct cf_version newer = rig_push(&rig, "a", "two").version;
    rig_done(&rig, "d", version, "a", 3); /* superseded */
    assert_int_not_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    rig_done(&rig, "stranger", newer, "a", 4); /* done is done, whoever says so */
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    assert_non_null(rig_out(&rig, CF_KIND_UNREGISTERED, 0));
    rig_fini(&rig);
}

static void priority_then_age(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    static const char *const albums[] = {"late", "first", "second", "soon"};
    static const uint64_t priorities[] = {9, 0, 0, 5};
    for (size_t i = 0; i < 4; i++)
        (void)rig_push_item(&rig, (struct cf_push_item){.album = cf_str(albums[i]),
                                                        .bytes = {(const uint8_t *)"x", 1},
                                                        .priority = priorities[i]});
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 3);
    const struct cf_lease *lease = &rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease;
    assert_int_equal(lease->job_count, 3); /* its credit */
    assert_true(cf_str_is(lease->jobs[0].album, "first"));
    assert_true(cf_str_is(lease->jobs[1].album, "second"));
    assert_true(cf_str_is(lease->jobs[2].album, "soon"));
    rig_fini(&rig);
}

static void delays_and_pauses(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 4);
    struct cf_push_item item = {.album = cf_str("a"), .bytes = {(const uint8_t *)"x", 1}, .delay_ms = 500};
    assert_int_equal(rig_push_item(&rig, item).status, CF_PUSH_ACCEPTED);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DELAYED);
    rig_restart(&rig);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DELAYED);
    assert_int_equal(rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_PAUSE}).count, 1);
    rig_restart(&rig);
    assert_true(rig_status(&rig).paused);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 4);
    rig_run(&rig, 600);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_QUEUED);
    assert_null(rig_out(&rig, CF_KIND_LEASE, 0));
    (void)rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_RESUME});
    assert_non_null(rig_out(&rig, CF_KIND_LEASE, 0));
    rig_fini(&rig);
}

static void failures_and_dead_letters(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 4);
    struct cf_version version = rig_push(&rig, "a", "x").version;
    rig_failed(&rig, "d", version, "a", false, false); /* handed back */
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DELAYED);
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(rig_state(&rig, "a"), CF_STATE_DEAD);
        rig_heartbeat(&rig, "d");
        rig_run(&rig, 401);
        assert_int_equal(rig_state(&rig, "a"), CF_STATE_LEASED);
        assert_int_equal(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.jobs[0].attempt, i + 1);
        rig_failed(&rig, "d", version, "a", false, true);
    }
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DEAD);
    assert_int_equal(rig_events(&rig, "dead"), 1);
    struct cf_queue_ok list = rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_LIST});
    assert_int_equal(list.job_count, 1);
    assert_true(cf_str_is(list.jobs[0].error, "not_an_image"));
    assert_int_equal(list.jobs[0].attempts, 3);
    assert_int_equal(list.jobs[0].bytes, 1);

    assert_int_equal(rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_RETRY}).count, 1);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_LEASED);
    assert_int_equal(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.jobs[0].bytes.len, 1);
    rig_failed(&rig, "d", version, "a", true, true);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DEAD);
    assert_int_equal(rig_push(&rig, "a", "x").status, CF_PUSH_ACCEPTED); /* dead is not unchanged */
    assert_int_equal(model_dead_count(rig.model), 0);
    rig_fini(&rig);
}

static void purge_falls_back(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 1);
    struct cf_version first = rig_push(&rig, "a", "x").version;
    rig_done(&rig, "d", first, "a", 1);
    struct cf_version second = rig_push(&rig, "a", "y").version;
    rig_failed(&rig, "d", second, "a", true, true);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DEAD);
    assert_int_equal(rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_PURGE, .state = CF_STATE_DEAD}).count,
                     1);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_DESCRIBED);
    assert_int_equal(rig_status(&rig).described, 1);
    assert_int_equal(model_payload_count(rig.model), 0);

    const struct cf_msg pause = {.kind = CF_KIND_READY, .ready = {0}};
    rig_worker(&rig, "d", &pause);
    struct cf_version third = rig_push(&rig, "b", "z").version;
    assert_int_equal(rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_PURGE, .state = CF_STATE_QUEUED}).count,
                     1);
    assert_int_equal(rig_state(&rig, "b"), CF_STATE_NONE);
    rig_restart(&rig);
    assert_true(rig_push(&rig, "b", "z").version.seq > third.seq); /* a number is given once */
    rig_fini(&rig);
}

static void deaths_make_suspects(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    static const char *const peers[] = {"p0", "p1", "p2", "p3", "p4"};
    (void)rig_push(&rig, "poison", "x");
    (void)rig_push(&rig, "good", "y");
    for (size_t i = 0; i < 3; i++) {
        rig_register(&rig, peers[i], "descriptor-0", CF_ROLE_DESCRIPTOR, i + 1, 4);
        assert_int_equal(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.job_count, 2);
    }
    /* Each registration is the death of the one before. Both jobs are suspects now: one by one. */
    for (size_t i = 3; i < 5; i++) {
        rig_register(&rig, peers[i], "descriptor-0", CF_ROLE_DESCRIPTOR, i + 1, 4);
        assert_int_equal(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.job_count, 1);
        rig_heartbeat(&rig, peers[i]);
        rig_run(&rig, 1);
        assert_int_equal(rig_status(&rig).leased, 1);
    }
    rig_fini(&rig);
}

/* The first suspect alone, its worker dies thrice: a dead letter of its own; the other one lives. */
static void alone_and_dead(void **state)
{
    struct rig rig;
    char peer[8] = "p0", name[] = "descriptor-0";
    (void)state;
    rig_init(&rig);
    struct cf_version good = {0};
    (void)rig_push(&rig, "poison", "x");
    for (uint64_t pid = 1; pid < 30 && rig_state(&rig, "poison") != CF_STATE_DEAD; pid++) {
        peer[1] = (char)('a' + pid);
        rig_register(&rig, peer, name, CF_ROLE_DESCRIPTOR, pid, 4);
        for (int i = 0; i < 5; i++) {
            rig_heartbeat(&rig, peer);
            rig_run(&rig, 90);
        }
        if (pid == 4)
            good = rig_push(&rig, "good", "y").version;
    }
    assert_int_equal(rig_state(&rig, "poison"), CF_STATE_DEAD);
    assert_int_not_equal(rig_state(&rig, "good"), CF_STATE_DEAD);
    rig_done(&rig, peer, good, "good", 1);
    assert_int_equal(rig_state(&rig, "good"), CF_STATE_DESCRIBED);
    struct cf_queue_ok list = rig_queue(&rig, (struct cf_queue){.op = CF_QUEUE_LIST});
    assert_true(cf_str_is(list.jobs[0].error, "worker_died"));
    rig_fini(&rig);
}

static void goodbye_and_unreachable_cost_nothing(void **state)
{
    struct rig rig;
    const struct cf_msg goodbye = {.kind = CF_KIND_GOODBYE};
    (void)state;
    rig_init(&rig);
    (void)rig_push(&rig, "a", "x");
    for (uint64_t i = 0; i < 10; i++) {
        rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, i, 4);
        assert_int_equal(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.job_count, 1);
        if (i % 2) {
            rig_worker(&rig, "d", &goodbye);
        } else {
            rig_run(&rig, 1);
            cf_core_unreachable(rig.core, rig.now, (struct cf_bytes){(const uint8_t *)"d", 1}, &rig.out);
        }
        rig_run(&rig, 1);
        assert_int_equal(rig_state(&rig, "a"), CF_STATE_QUEUED);
    }
    (void)rig_push(&rig, "b", "x");
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 50, 4);
    assert_int_equal(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.job_count, 2); /* no suspect among them */
    rig_fini(&rig);
}

static void leases_run_out_and_silence_evicts(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    (void)rig_push(&rig, "a", "x");
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 1);
    for (int i = 0; i < 11; i++) {
        rig_heartbeat(&rig, "d");
        rig_run(&rig, 90);
        assert_int_equal(rig_state(&rig, "a"), CF_STATE_LEASED);
    }
    rig_heartbeat(&rig, "d");
    rig_run(&rig, 20);
    assert_non_null(rig_out(&rig, CF_KIND_LEASE, 0)); /* leased anew */
    for (int i = 0; i < 12; i++)
        rig_run(&rig, 90);
    assert_int_equal(rig_status(&rig).worker_count, 0);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_QUEUED);
    rig_heartbeat(&rig, "d");
    rig_run(&rig, 1);
    assert_non_null(rig_out(&rig, CF_KIND_UNREGISTERED, 0));
    rig_fini(&rig);
}

/* A broker that slept (or loaded a big journal) does not take the others for silent. */
static void a_deaf_broker_evicts_nobody(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 1, 1);
    rig_run(&rig, 60000);
    assert_int_equal(rig_status(&rig).worker_count, 1);
    rig_fini(&rig);
}

static void removes_at_once_and_after_a_restart(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    ASSERT_ERROR(rig_remove(&rig, "a"), "not_found");
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 2, 1);
    struct cf_version version = rig_push(&rig, "a", "x").version;
    rig_done(&rig, "d", version, "a", 1);
    const struct cf_msg drain = {.kind = CF_KIND_READY, .ready = {0}};
    rig_worker(&rig, "d", &drain);
    struct cf_version removal = rig_remove(&rig, "a").version;
    const struct cf_out_item *removed = rig_out(&rig, CF_KIND_REMOVED, 0);
    assert_non_null(removed);
    assert_true(removed->durable);
    assert_true(cf_str_is(removed->msg.removed.items[0].album, "a"));
    assert_int_equal(removed->msg.removed.items[0].version.seq, removal.seq);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_REMOVED);
    ASSERT_ERROR(rig_remove(&rig, "a"), "not_found");

    rig_restart(&rig);
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    assert_non_null(rig_out(&rig, CF_KIND_REMOVED, 0));
    /* A newer push does not end the removal: the old vectors would be back. */
    assert_int_equal(rig_push(&rig, "a", "x").status, CF_PUSH_ACCEPTED);
    rig_register(&rig, "q2", "query-1", CF_ROLE_QUERY, 3, 0);
    assert_non_null(rig_out(&rig, CF_KIND_REMOVED, 0));
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 2, 2);
    const struct cf_lease *lease = &rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease;
    assert_int_equal(lease->jobs[0].action, CF_ACTION_REMOVE);
    rig_done(&rig, "d", removal, "a", 2);
    rig_register(&rig, "q3", "query-2", CF_ROLE_QUERY, 4, 0);
    assert_null(rig_out(&rig, CF_KIND_REMOVED, 0));
    rig_fini(&rig);
}

static void a_removal_is_never_given_up(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, 2, 1);
    struct cf_version version = rig_push(&rig, "a", "x").version;
    rig_done(&rig, "d", version, "a", 1);
    struct cf_version removal = rig_remove(&rig, "a").version;
    for (int i = 0; i < 20; i++) {
        rig_failed(&rig, "d", removal, "a", i % 2, true);
        rig_heartbeat(&rig, "d");
        rig_run(&rig, 401);
        assert_non_null(rig_out(&rig, CF_KIND_LEASE, 0));
    }
    assert_int_equal(model_job_count(rig.model), 1);
    assert_int_equal(rig_status(&rig).dead, 0);
    rig_fini(&rig);
}

static void say_recall(struct rig *rig, const char *peer, double recall, uint64_t checks)
{
    struct cf_index_status own[] = {{.space = cf_str("gist"), .recall = recall, .recall_checks = checks},
                                    {.space = cf_str("unheard"), .recall = 0.1, .recall_checks = 1000}};
    const struct cf_msg msg = {.kind = CF_KIND_HEARTBEAT, .heartbeat = {own, 2}};
    rig_worker(rig, peer, &msg);
    rig_run(rig, 1);
}

/* Each worker's mean counts as often as it has looked, by its latest word. */
static void tells_the_recall_of_all_query_workers(void **state)
{
    (void)state;
    struct rig world, *rig = &world;
    rig_init(rig);
    rig_register(rig, "i", "indexer-0", CF_ROLE_INDEXER, 1, 1);
    rig_register(rig, "q0", "query-0", CF_ROLE_QUERY, 2, 1);
    rig_register(rig, "q1", "query-1", CF_ROLE_QUERY, 3, 1);
    rig_published(rig, "i", "gist", 1);
    assert_int_equal(rig_status(rig).indexes[0].recall_checks, 0);
    say_recall(rig, "q0", 1.0, 1);
    say_recall(rig, "q1", 0.9, 3);
    struct cf_status status = rig_status(rig);
    assert_int_equal(status.index_count, 1);
    assert_int_equal(status.indexes[0].recall_checks, 4);
    assert_true(fabs(status.indexes[0].recall - 0.925) < 1e-9);
    say_recall(rig, "q1", 0.8, 5);
    assert_int_equal(rig_status(rig).indexes[0].recall_checks, 6);
    rig_fini(rig);
}

static void a_failed_commit_is_undone(void **state)
{
    struct rig rig;
    struct cf_detail detail = {.text = "no space"};
    (void)state;
    rig_init(&rig);
    rig_register(&rig, "q", "query-0", CF_ROLE_QUERY, 1, 0);
    struct cf_result kept = rig_push(&rig, "a", "x");
    model_fail(rig.model, CF_E_DISK_FULL);
    (void)rig_push(&rig, "b", "x");
    assert_int_equal(rig.out.err, CF_E_DISK_FULL);
    model_rollback(rig.model);
    cf_out_reset(&rig.out);
    cf_core_unload(rig.core, rig.now, CF_E_DISK_FULL, &detail, &rig.out);
    ASSERT_ERROR(rig_push(&rig, "c", "x"), "disk_full");
    assert_true(cf_str_is(rig_status(&rig).refusing, "disk_full"));
    rig_query(&rig, 9, 100, false);
    rig_run(&rig, 1);
    assert_non_null(rig_out(&rig, CF_KIND_SEARCH, 0)); /* queries go on */
    model_fail(rig.model, CF_OK);
    assert_int_equal(cf_core_load(rig.core, rig.now, &rig.out, NULL), CF_OK);
    assert_int_equal(rig_state(&rig, "a"), CF_STATE_QUEUED);
    assert_int_equal(rig_state(&rig, "b"), CF_STATE_NONE);
    assert_true(rig_push(&rig, "b", "x").version.seq > kept.version.seq);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_then_knows_the_same),
        cmocka_unit_test(metadata_is_part_of_sameness),
        cmocka_unit_test(refuses_by_item),
        cmocka_unit_test(names_the_limit_of_covers),
        cmocka_unit_test(unknown_spaces_are_named),
        cmocka_unit_test(keeps_files_below_the_roots),
        cmocka_unit_test(full_queues_say_busy),
        cmocka_unit_test(full_disk_refuses_and_resumes),
        cmocka_unit_test(describes_and_indexes),
        cmocka_unit_test(late_and_foreign_answers),
        cmocka_unit_test(priority_then_age),
        cmocka_unit_test(delays_and_pauses),
        cmocka_unit_test(failures_and_dead_letters),
        cmocka_unit_test(purge_falls_back),
        cmocka_unit_test(deaths_make_suspects),
        cmocka_unit_test(alone_and_dead),
        cmocka_unit_test(goodbye_and_unreachable_cost_nothing),
        cmocka_unit_test(leases_run_out_and_silence_evicts),
        cmocka_unit_test(a_deaf_broker_evicts_nobody),
        cmocka_unit_test(removes_at_once_and_after_a_restart),
        cmocka_unit_test(a_removal_is_never_given_up),
        cmocka_unit_test(tells_the_recall_of_all_query_workers),
        cmocka_unit_test(a_failed_commit_is_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
