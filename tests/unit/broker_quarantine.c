/* Pictures that kill or stall workers, known by content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/hash.h"
#include "tests/unit/broker_rig.h"

static const char *const bad = "stalls";

static void blame(struct rig *rig, struct cf_version version, const char *album, const char *error)
{
    struct cf_failed_item item = {.version = version,
                                  .album = cf_str(album),
                                  .error = cf_str(error),
                                  .detail = cf_str("longer than 10 ms"),
                                  .counted = true};
    const struct cf_msg msg = {.kind = CF_KIND_FAILED, .failed = {&item, 1}};
    rig_worker(rig, "d", &msg);
    rig_run(rig, 1);
}

/* Until the wait before the next attempt is over. */
static void wait_out(struct rig *rig)
{
    for (int i = 0; i < 5; i++) {
        rig_heartbeat(rig, "d");
        rig_run(rig, 90);
    }
}

static void work(struct rig *rig, uint64_t pid)
{
    rig_register(rig, "d", "descriptor-0", CF_ROLE_DESCRIPTOR, pid, 4);
}

static void credit(struct rig *rig, uint64_t jobs)
{
    const struct cf_msg ready = {.kind = CF_KIND_READY, .ready = {jobs}};
    rig_worker(rig, "d", &ready);
    rig_run(rig, 1);
}

/* How many jobs the last wake leased; 0 for none. */
static size_t leased(const struct rig *rig)
{
    const struct cf_out_item *lease = rig_out(rig, CF_KIND_LEASE, 0);
    return lease ? lease->msg.lease.job_count : 0;
}

/* Pushed, and failed until it is dead. */
static void give_up(struct rig *rig, const char *album, const char *error)
{
    struct cf_version version = rig_push(rig, album, bad).version;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_state(rig, album), CF_STATE_LEASED);
        blame(rig, version, album, error);
        wait_out(rig);
    }
    assert_int_equal(rig_state(rig, album), CF_STATE_DEAD);
}

static struct cf_queue_job dead_letter(struct rig *rig, const char *album)
{
    struct cf_str id = cf_str(album);
    struct cf_queue_ok found =
        rig_queue(rig, (struct cf_queue){.op = CF_QUEUE_PEEK, .albums = &id, .album_count = 1});
    assert_int_equal(found.job_count, 1);
    assert_int_equal(found.jobs[0].state, CF_STATE_DEAD);
    return found.jobs[0];
}

static uint64_t retry(struct rig *rig, const char *album)
{
    struct cf_str id = cf_str(album);
    return rig_queue(rig, (struct cf_queue){.op = CF_QUEUE_RETRY, .albums = &id, .album_count = 1}).count;
}

static bool contains(struct cf_str text, const char *part)
{
    size_t len = strlen(part);
    for (size_t i = 0; i + len <= text.len; i++)
        if (memcmp(text.data + i, part, len) == 0)
            return true;
    return false;
}

/* One time-out: its album, and every other one with that picture, is leased alone, also after a restart. */
static void struck_contents_are_alone(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    struct cf_version first = rig_push(&rig, "bad", bad).version;
    struct cf_version good = rig_push(&rig, "good", "fine").version;
    work(&rig, 1);
    assert_int_equal(leased(&rig), 2);
    blame(&rig, first, "bad", "timeout");
    rig_done(&rig, "d", good, "good", 1);
    assert_int_equal(rig_status(&rig).quarantined, 0); /* struck, not given up */

    rig_restart(&rig);
    (void)rig_push(&rig, "twin", bad);
    (void)rig_push(&rig, "other", "fine too");
    rig_run(&rig, 400);
    work(&rig, 2);
    assert_int_equal(leased(&rig), 1);
    rig_heartbeat(&rig, "d");
    rig_run(&rig, 50);
    assert_int_equal(leased(&rig), 0); /* nothing joins it */
    assert_int_equal(rig_status(&rig).leased, 1);
    assert_int_equal(rig_state(&rig, "good"), CF_STATE_DESCRIBED);
    rig_fini(&rig);
}

/* Already in the queue when the first of them fails: found when its turn comes. */
static void twins_in_the_queue_are_alone(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    credit(&rig, 1);
    struct cf_version first = rig_push(&rig, "bad", bad).version;
    (void)rig_push(&rig, "twin", bad);
    (void)rig_push(&rig, "a", "fine");
    (void)rig_push(&rig, "b", "fine as well");
    credit(&rig, 0);
    blame(&rig, first, "bad", "decoder_died");
    credit(&rig, 4);
    assert_int_equal(leased(&rig), 2); /* not the twin, though it is the oldest */
    for (size_t i = 0; i < 2; i++)
        assert_false(cf_str_is(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.jobs[i].album, "twin"));
    rig_fini(&rig);
}

static void given_up_contents_are_dead_at_once(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    give_up(&rig, "first", "timeout");
    assert_true(cf_str_is(dead_letter(&rig, "first").error, "timeout"));
    assert_int_equal(rig_status(&rig).quarantined, 1);

    rig_restart(&rig);
    work(&rig, 2);
    assert_int_equal(rig_status(&rig).quarantined, 1);
    struct cf_result result = rig_push(&rig, "second", bad);
    assert_int_equal(result.status, CF_PUSH_ACCEPTED);
    assert_true(rig.out.sync);
    assert_int_equal(rig_events(&rig, "dead"), 1);
    assert_int_equal(leased(&rig), 0);
    const struct cf_queue_job letter = dead_letter(&rig, "second");
    assert_true(cf_str_is(letter.error, "quarantined"));
    assert_int_equal(letter.version.seq, result.version.seq);
    assert_int_equal(letter.attempts, 0);
    assert_true(contains(letter.detail, "\"first\"") && contains(letter.detail, "timeout") &&
                contains(letter.detail, "longer than 10 ms"));
    assert_int_equal(rig_status(&rig).dead, 2);
    assert_int_equal(model_job_count(rig.model), 0);
    assert_int_equal(model_payload_count(rig.model), 2); /* kept for a retry */
    rig_restart(&rig);
    assert_int_equal(rig_status(&rig).dead, 2);
    rig_fini(&rig);
}

/* Files with a hash are known by it as well. */
static void files_are_known_by_their_hash(void **state)
{
    struct rig rig;
    uint8_t digest[CF_SHA256_BYTES];
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    give_up(&rig, "first", "timeout");
    cf_sha256((struct cf_bytes){(const uint8_t *)bad, strlen(bad)}, digest);
    struct cf_push_item item = {
        .album = cf_str("f"), .file = cf_str("/covers/f.jpg"), .sha256 = {digest, 32}};
    assert_int_equal(rig_push_item(&rig, item).status, CF_PUSH_ACCEPTED);
    assert_true(cf_str_is(dead_letter(&rig, "f").error, "quarantined"));
    rig_fini(&rig);
}

/* Without a hash the job itself is remembered. */
static void files_without_a_hash_are_alone(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    struct cf_push_item item = {.album = cf_str("f"), .file = cf_str("/covers/f.jpg")};
    struct cf_version version = rig_push_item(&rig, item).version;
    blame(&rig, version, "f", "timeout");
    rig_restart(&rig);
    (void)rig_push(&rig, "good", "fine");
    rig_run(&rig, 400);
    work(&rig, 2);
    assert_int_equal(leased(&rig), 1);
    assert_int_equal(rig_status(&rig).leased, 1);
    assert_int_equal(rig_status(&rig).quarantined, 0);
    rig_fini(&rig);
}

/* Live jobs of a content that is given up meanwhile end with it, unleased. */
static void twins_die_with_it(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    struct cf_push_item late = {
        .album = cf_str("late"), .bytes = {(const uint8_t *)bad, strlen(bad)}, .delay_ms = 5000};
    (void)rig_push_item(&rig, late);
    give_up(&rig, "first", "decoder_died");
    assert_int_equal(rig_state(&rig, "late"), CF_STATE_DELAYED);
    rig_heartbeat(&rig, "d");
    rig_run(&rig, 900);
    for (int i = 0; i < 60; i++) {
        rig_heartbeat(&rig, "d");
        rig_run(&rig, 90);
        assert_int_equal(leased(&rig), 0);
    }
    assert_true(cf_str_is(dead_letter(&rig, "late").error, "quarantined"));
    rig_fini(&rig);
}

/* The operator's override: tried again, alone; and a success ends it all. */
static void retry_lifts_and_success_clears(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    give_up(&rig, "first", "timeout");
    struct cf_version second = rig_push(&rig, "second", bad).version;
    credit(&rig, 0);
    (void)rig_push(&rig, "good", "fine");
    assert_int_equal(retry(&rig, "second"), 1);
    assert_int_equal(rig_state(&rig, "second"), CF_STATE_QUEUED);
    assert_int_equal(rig_status(&rig).quarantined, 0);
    credit(&rig, 4);
    assert_int_equal(leased(&rig), 1); /* alone */
    assert_true(cf_str_is(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.jobs[0].album, "second"));
    rig_done(&rig, "d", second, "second", 1);
    assert_int_equal(rig_state(&rig, "second"), CF_STATE_DESCRIBED);

    rig_restart(&rig);
    (void)rig_push(&rig, "third", bad);
    work(&rig, 2);
    assert_int_equal(leased(&rig), 2); /* third in company: nothing is held against it */
    rig_fini(&rig);
}

static void retry_in_vain_gives_up_again(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    give_up(&rig, "first", "timeout");
    struct cf_version version = rig_push(&rig, "second", bad).version;
    assert_int_equal(retry(&rig, "second"), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_state(&rig, "second"), CF_STATE_LEASED);
        blame(&rig, version, "second", "timeout");
        wait_out(&rig);
    }
    assert_true(cf_str_is(dead_letter(&rig, "second").error, "timeout"));
    assert_int_equal(rig_status(&rig).quarantined, 1);
    (void)rig_push(&rig, "third", bad);
    assert_true(contains(dead_letter(&rig, "third").detail, "\"first\"")); /* who showed it first */
    rig_fini(&rig);
}

/* Dying workers: known once it was alone. */
static void deaths_quarantine(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    (void)rig_push(&rig, "killer", "kills");
    for (uint64_t pid = 1; pid < 20 && rig_state(&rig, "killer") != CF_STATE_DEAD; pid++) {
        char peer[] = {(char)('a' + pid), 0};
        rig_register(&rig, peer, "descriptor-0", CF_ROLE_DESCRIPTOR, pid, 4);
        for (int i = 0; i < 5; i++) {
            rig_heartbeat(&rig, peer);
            rig_run(&rig, 90);
        }
    }
    assert_true(cf_str_is(dead_letter(&rig, "killer").error, "worker_died"));
    assert_int_equal(rig_status(&rig).quarantined, 1);
    (void)rig_push(&rig, "again", "kills");
    assert_true(cf_str_is(dead_letter(&rig, "again").error, "quarantined"));
    rig_fini(&rig);
}

static void leases_that_run_out_quarantine(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    (void)rig_push(&rig, "stall", "stalls workers");
    for (int i = 0; i < 200 && rig_state(&rig, "stall") != CF_STATE_DEAD; i++) {
        rig_heartbeat(&rig, "d");
        rig_run(&rig, 90);
    }
    assert_true(cf_str_is(dead_letter(&rig, "stall").error, "lease_expired"));
    assert_int_equal(rig_status(&rig).quarantined, 1);
    rig_fini(&rig);
}

/* What is merely no picture, or no fault of its own, is not held against the content. */
static void other_reasons_do_not_count(void **state)
{
    static const char *const errors[] = {"not_an_image", "io", "content_changed", "quarantined"};
    static const char *const albums[] = {"a", "b", "c", "d"};
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct cf_version version = rig_push(&rig, albums[i], bad).version;
        for (int n = 0; n < 3; n++) {
            assert_int_equal(rig_state(&rig, albums[i]), CF_STATE_LEASED);
            blame(&rig, version, albums[i], errors[i]);
            wait_out(&rig);
        }
        assert_true(cf_str_is(dead_letter(&rig, albums[i]).error, errors[i]));
    }
    assert_int_equal(rig_status(&rig).quarantined, 0);
    assert_int_equal(model_quarantine_count(rig.model), 0);
    rig_fini(&rig);
}

/* A push of that content under its own name fails once and is purged. */
static void strike_once(struct rig *rig, const char *content)
{
    credit(rig, 4);
    struct cf_version version = rig_push(rig, content, content).version;
    rig_run(rig, 1); /* set aside in one wake, leased in the next */
    assert_int_equal(rig_state(rig, content), CF_STATE_LEASED);
    credit(rig, 0);
    blame(rig, version, content, "timeout");
    assert_int_equal(rig_queue(rig, (struct cf_queue){.op = CF_QUEUE_PURGE}).count, 1);
}

/* Of four contents three are remembered: those struck last. */
static void the_oldest_are_forgotten(void **state)
{
    static const char *const names[] = {"c0", "c1", "c2", "c0"};
    struct rig rig;
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    for (size_t i = 0; i < 4; i++)
        strike_once(&rig, names[i]);
    rig_restart(&rig); /* the order is that of time, not of hashes */
    work(&rig, 2);
    strike_once(&rig, "c3");
    assert_int_equal(model_quarantine_count(rig.model), 3);
    for (size_t i = 0; i < 3; i++)
        (void)rig_push(&rig, names[i], names[i]);
    (void)rig_push(&rig, "good", "fine");
    credit(&rig, 4);
    assert_int_equal(leased(&rig), 2); /* of c1 nothing is known any more */
    assert_true(cf_str_is(rig_out(&rig, CF_KIND_LEASE, 0)->msg.lease.jobs[0].album, "c1"));
    rig_fini(&rig);
}

/* A wake that was not committed has not struck anybody. */
static void an_undone_strike_is_none(void **state)
{
    struct rig rig;
    struct cf_detail detail = {.text = "no space"};
    (void)state;
    rig_init(&rig);
    work(&rig, 1);
    struct cf_version version = rig_push(&rig, "a", bad).version;
    model_fail(rig.model, CF_E_DISK_FULL);
    blame(&rig, version, "a", "timeout");
    assert_int_equal(rig.out.err, CF_E_DISK_FULL);
    model_rollback(rig.model);
    cf_out_reset(&rig.out);
    cf_core_unload(rig.core, rig.now, CF_E_DISK_FULL, &detail, &rig.out);
    model_fail(rig.model, CF_OK);
    assert_int_equal(cf_core_load(rig.core, rig.now, &rig.out, NULL), CF_OK);
    (void)rig_push(&rig, "b", bad);
    work(&rig, 2);
    assert_int_equal(leased(&rig), 2);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(struck_contents_are_alone),
        cmocka_unit_test(twins_in_the_queue_are_alone),
        cmocka_unit_test(given_up_contents_are_dead_at_once),
        cmocka_unit_test(files_are_known_by_their_hash),
        cmocka_unit_test(files_without_a_hash_are_alone),
        cmocka_unit_test(twins_die_with_it),
        cmocka_unit_test(retry_lifts_and_success_clears),
        cmocka_unit_test(retry_in_vain_gives_up_again),
        cmocka_unit_test(deaths_quarantine),
        cmocka_unit_test(leases_that_run_out_quarantine),
        cmocka_unit_test(other_reasons_do_not_count),
        cmocka_unit_test(the_oldest_are_forgotten),
        cmocka_unit_test(an_undone_strike_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
