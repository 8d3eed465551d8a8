/* The client library against a fleet of one thread: every way in which a request can end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "proto/client/client.h"
#include "tests/unit/proto_fleet.h"

enum { PATIENCE_MS = 20000 };

struct fixture {
    char folder[64];
    char endpoint[128];
    struct cf_client *client;
    struct fleet *fleet;
    struct cf_detail detail;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture)
        return -1;
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/cf-client-XXXXXX");
    if (!mkdtemp(fixture->folder))
        return -1;
    snprintf(fixture->endpoint, sizeof fixture->endpoint, "ipc://%s/client.sock", fixture->folder);
    *state = fixture;
    return cf_client_new(fixture->endpoint, &fixture->client, &fixture->detail) == CF_OK ? 0 : -1;
}

static int setup_fleet(void **state)
{
    if (setup(state))
        return -1;
    struct fixture *fixture = *state;
    fixture->fleet = fleet_start(fixture->endpoint, false);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    cf_client_free(fixture->client);
    if (fixture->fleet)
        fleet_stop(fixture->fleet);
    unlink(fixture->endpoint + strlen("ipc://"));
    int left = rmdir(fixture->folder);
    free(fixture);
    return left;
}

static struct cf_msg show(const char *album)
{
    return (struct cf_msg){.kind = CF_KIND_SHOW, .show = {cf_str(album)}};
}

static enum cf_err call(struct fixture *fixture, struct cf_msg request, uint64_t deadline_ms,
                        struct cf_reply **reply)
{
    return cf_client_call(fixture->client, &request, deadline_ms, reply, &fixture->detail);
}

/* ---- synchronous ---- */

static void test_a_call_brings_its_reply(void **state)
{
    struct fixture *fixture = *state;
    struct cf_push_item items[] = {{.album = cf_str("R-1"), .priority = 5},
                                   {.album = cf_str("R-2"), .priority = 5}};
    struct cf_msg push = {.kind = CF_KIND_PUSH, .push = {.items = items, .item_count = 2}};
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, push, PATIENCE_MS, &reply), CF_OK);
    assert_int_equal(reply->msg.kind, CF_KIND_PUSH_OK);
    assert_int_equal(reply->msg.results.result_count, 2);
    assert_int_equal(reply->msg.results.results[1].version.seq, 2);
    struct cf_reply *second = NULL;
    assert_int_equal(call(fixture, show("echo"), PATIENCE_MS, &second), CF_OK);
    assert_true(cf_str_is(second->msg.story.album, "echo"));
    /* The first one's memory is its own. */
    assert_int_equal(reply->msg.results.results[0].version.seq, 1);
    cf_reply_free(reply);
    cf_reply_free(second);
    cf_reply_free(NULL);
    assert_int_equal(cf_client_pending(fixture->client), 0);
}

static void test_an_error_reply_is_its_error(void **state)
{
    struct fixture *fixture = *state;
    struct cf_msg query = {.kind = CF_KIND_QUERY, .query = {.space = cf_str("void"), .k = 1}};
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, query, PATIENCE_MS, &reply), CF_E_UNKNOWN_SPACE);
    assert_string_equal(fixture->detail.text, "there is no space \"void\"");
    assert_null(reply);
}

static void test_nobody_there_is_unreachable(void **state)
{
    struct fixture *fixture = *state;
    struct cf_reply *reply = NULL;
    uint64_t start_ms = cf_clock_mono_ms();
    assert_int_equal(call(fixture, show("echo"), 60, &reply), CF_E_UNREACHABLE);
    assert_true(cf_clock_mono_ms() - start_ms >= 60);
    assert_null(reply);
    assert_int_equal(cf_client_pending(fixture->client), 0);
}

static void test_a_fleet_that_is_there_but_slow_is_a_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, show("echo"), PATIENCE_MS, &reply), CF_OK);
    cf_reply_free(reply);
    assert_int_equal(call(fixture, show("silent"), 60, &reply), CF_E_DEADLINE);
    assert_int_equal(call(fixture, show("silent"), 0, &reply), CF_E_DEADLINE);
    /* A message of two frames is no reply of this protocol. */
    assert_int_equal(call(fixture, show("two_frames"), 60, &reply), CF_E_DEADLINE);
    assert_int_equal(call(fixture, show("garbage"), 60, &reply), CF_E_DEADLINE);
    assert_int_equal(call(fixture, show("echo"), PATIENCE_MS, &reply), CF_OK);
    cf_reply_free(reply);
}

static void test_answers_that_are_none_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, show("wrong_kind"), PATIENCE_MS, &reply), CF_E_INVALID);
    assert_non_null(strstr(fixture->detail.text, "status_ok"));
    assert_int_equal(call(fixture, show("ok_error"), PATIENCE_MS, &reply), CF_E_INVALID);
}

static void test_answers_to_nobody_are_passed_over(void **state)
{
    struct fixture *fixture = *state;
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, show("stray"), PATIENCE_MS, &reply), CF_OK);
    assert_true(cf_str_is(reply->msg.story.album, "stray"));
    cf_reply_free(reply);
}

static void test_requests_are_checked_before_they_go(void **state)
{
    struct fixture *fixture = *state;
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, (struct cf_msg){.kind = CF_KIND_LEASE}, 100, &reply), CF_E_INVALID);
    assert_int_equal(call(fixture, (struct cf_msg){.kind = CF_KIND_COUNT}, 100, &reply), CF_E_INVALID);
    struct cf_msg query = {.kind = CF_KIND_QUERY, .query = {.space = cf_str("gist"), .recall = 2}};
    assert_int_equal(call(fixture, query, 100, &reply), CF_E_INVALID);
    struct cf_push_item item = {.album = cf_str("R-1"), .bytes = {calloc(1, 64 << 20), 64 << 20}};
    assert_non_null(item.bytes.data);
    struct cf_msg push = {.kind = CF_KIND_PUSH, .push = {.items = &item, .item_count = 1}};
    assert_int_equal(call(fixture, push, 100, &reply), CF_E_TOO_LARGE);
    free((void *)(uintptr_t)item.bytes.data);
    assert_int_equal(cf_client_pending(fixture->client), 0);
    struct cf_client *none = NULL;
    assert_int_equal(cf_client_new("carrier-pigeon", &none, &fixture->detail), CF_E_INVALID);
    assert_null(none);
}

static void test_signals_are_left_alone(void **state)
{
    struct fixture *fixture = *state;
    sigset_t mask;
    struct cf_reply *reply = NULL;
    assert_int_equal(call(fixture, show("echo"), PATIENCE_MS, &reply), CF_OK);
    cf_reply_free(reply);
    sigemptyset(&mask);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    assert_false(sigismember(&mask, SIGTERM) || sigismember(&mask, SIGINT) || sigismember(&mask, SIGPIPE));
}

/* ---- asynchronous ---- */

struct seen {
    struct cf_client *client;
    size_t ended, ok;
    enum cf_err last;
    uint64_t ids; /* sum of what the fleet saw as id */
    unsigned again;
};

static void on_reply(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    struct seen *seen = arg;
    assert_non_null(detail);
    assert_true((err == CF_OK) == (msg != NULL));
    seen->ended++;
    seen->last = err;
    seen->ok += err == CF_OK;
    if (msg && msg->kind == CF_KIND_SHOW_OK)
        seen->ids += msg->story.attempts;
    if (seen->again > 0) {
        struct cf_msg next = show("echo");
        seen->again--;
        assert_int_equal(cf_client_send(seen->client, &next, PATIENCE_MS, on_reply, seen, NULL), CF_OK);
    }
}

static void finish(struct fixture *fixture)
{
    uint64_t until_ms = cf_clock_mono_ms() + PATIENCE_MS;
    while (cf_client_pending(fixture->client)) {
        assert_int_equal(cf_client_poll(fixture->client, 100, &fixture->detail), CF_OK);
        assert_true(cf_clock_mono_ms() < until_ms);
    }
}

static void send(struct fixture *fixture, struct cf_msg request, uint64_t deadline_ms, struct seen *seen)
{
    if (cf_client_send(fixture->client, &request, deadline_ms, on_reply, seen, &fixture->detail) != CF_OK)
        fail_msg("%s", fixture->detail.text);
}

static void test_many_in_flight_end_once_each(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.client = fixture->client};
    enum { COUNT = 1000 };
    for (size_t i = 0; i < COUNT; i++)
        send(fixture, show("echo"), PATIENCE_MS, &seen);
    assert_int_equal(cf_client_pending(fixture->client), COUNT);
    finish(fixture);
    assert_int_equal(seen.ok, COUNT);
    assert_int_equal(seen.ended, COUNT);
    assert_int_equal(seen.ids, (uint64_t)COUNT * (COUNT + 1) / 2); /* each by its own number */
}

static void test_answers_may_come_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    struct seen late = {.client = fixture->client}, early = {.client = fixture->client};
    send(fixture, show("late"), PATIENCE_MS, &late);
    send(fixture, show("echo"), PATIENCE_MS, &early);
    while (!early.ended)
        assert_int_equal(cf_client_poll(fixture->client, PATIENCE_MS, NULL), CF_OK);
    assert_int_equal(late.ended, 0);
    send(fixture, (struct cf_msg){.kind = CF_KIND_STATUS}, PATIENCE_MS, &early);
    finish(fixture);
    assert_int_equal(late.ok, 1);
    assert_int_equal(early.ok, 2);
}

static void test_a_callback_may_send_anew(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.client = fixture->client, .again = 5};
    send(fixture, show("echo"), PATIENCE_MS, &seen);
    finish(fixture);
    assert_int_equal(seen.ok, 6);
    /* From the callback of a deadline too. */
    seen = (struct seen){.client = fixture->client, .again = 1};
    send(fixture, show("silent"), 20, &seen);
    send(fixture, show("silent"), 20, &seen);
    finish(fixture);
    assert_int_equal(seen.ended, 3);
    assert_int_equal(seen.ok, 1);
}

static void test_a_call_lets_others_in_flight_end(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.client = fixture->client};
    struct cf_reply *reply = NULL;
    send(fixture, show("late"), PATIENCE_MS, &seen);
    assert_int_equal(call(fixture, (struct cf_msg){.kind = CF_KIND_STATUS}, PATIENCE_MS, &reply), CF_OK);
    assert_int_equal(reply->msg.status.queued, 2);
    cf_reply_free(reply);
    finish(fixture);
    assert_int_equal(seen.ok, 1);
}

static void test_requests_in_flight_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.client = fixture->client};
    struct cf_msg request = show("silent");
    size_t sent = 0;
    enum cf_err err;
    while ((err = cf_client_send(fixture->client, &request, PATIENCE_MS, on_reply, &seen, NULL)) == CF_OK)
        sent++;
    assert_int_equal(err, CF_E_BUSY);
    assert_true(sent <= CF_CLIENT_PENDING_MAX && sent >= CF_CLIENT_PENDING_MAX / 2);
    assert_int_equal(cf_client_pending(fixture->client), sent);
    /* Closing ends them all, and takes no new ones from their callbacks. */
    cf_client_free(fixture->client);
    fixture->client = NULL;
    assert_int_equal(seen.ended, sent);
    assert_int_equal(seen.last, CF_E_SHUTTING_DOWN);
}

static void test_bytes_in_flight_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.client = fixture->client};
    enum { PICTURE = 50 << 20 };
    uint8_t *picture = calloc(1, PICTURE);
    assert_non_null(picture);
    struct cf_push_item item = {.album = cf_str("R-1"), .bytes = {picture, PICTURE}};
    struct cf_msg push = {.kind = CF_KIND_PUSH, .push = {.items = &item, .item_count = 1}};
    for (int i = 0; i < CF_CLIENT_PENDING_BYTES_MAX / PICTURE; i++)
        send(fixture, push, 50, &seen);
    assert_int_equal(cf_client_send(fixture->client, &push, 50, on_reply, &seen, NULL), CF_E_BUSY);
    finish(fixture);
    assert_int_equal(seen.last, CF_E_UNREACHABLE);
    send(fixture, push, 50, &seen); /* there is room again */
    finish(fixture);
    free(picture);
}

static void test_a_poll_without_requests_returns_at_once(void **state)
{
    struct fixture *fixture = *state;
    uint64_t start_ms = cf_clock_mono_ms();
    assert_int_equal(cf_client_poll(fixture->client, 60000, NULL), CF_OK);
    assert_true(cf_clock_mono_ms() - start_ms < 30000);
}

/* ---- the broker goes and comes ---- */

static void test_requests_wait_for_a_fleet_that_comes_late(void **state)
{
    struct fixture *fixture = *state;
    struct seen seen = {.client = fixture->client};
    send(fixture, show("echo"), PATIENCE_MS, &seen);
    assert_int_equal(cf_client_poll(fixture->client, 20, NULL), CF_OK);
    assert_int_equal(seen.ended, 0);
    fixture->fleet = fleet_start(fixture->endpoint, false);
    finish(fixture);
    assert_int_equal(seen.ok, 1);
}

static void test_what_was_unreachable_is_not_delivered_later(void **state)
{
    struct fixture *fixture = *state;
    struct cf_push_item item = {.album = cf_str("R-1"), .priority = 5};
    struct cf_reply *reply = NULL;
    struct cf_msg push = {.kind = CF_KIND_PUSH, .push = {.items = &item, .item_count = 1}};
    assert_int_equal(call(fixture, push, 50, &reply), CF_E_UNREACHABLE);
    fixture->fleet = fleet_start(fixture->endpoint, false);
    assert_int_equal(call(fixture, show("echo"), PATIENCE_MS, &reply), CF_OK);
    cf_reply_free(reply);
    assert_int_equal(fleet_heard(fixture->fleet, "push"), 0);
}

static void test_a_lost_push_is_sent_again_and_a_lost_query_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct seen pushed = {.client = fixture->client}, asked = {.client = fixture->client};
    struct cf_push_item item = {.album = cf_str("R-1"), .priority = 5};
    fixture->fleet = fleet_start(fixture->endpoint, true);
    send(fixture, (struct cf_msg){.kind = CF_KIND_PUSH, .push = {.items = &item, .item_count = 1}}, PATIENCE_MS, &pushed);
    send(fixture, (struct cf_msg){.kind = CF_KIND_QUERY, .query = {.space = cf_str("void"), .k = 1}},
         CF_CLIENT_RESEND_MS + 2000, &asked);
    fleet_await(fixture->fleet, "push", 1);
    fleet_await(fixture->fleet, "query", 1);
    fleet_stop(fixture->fleet);
    fixture->fleet = fleet_start(fixture->endpoint, false);
    finish(fixture);
    assert_int_equal(pushed.ok, 1);
    assert_int_equal(fleet_heard(fixture->fleet, "push"), 1);
    assert_int_equal(asked.ended, 1);
    assert_int_equal(asked.last, CF_E_DEADLINE); /* the push was answered meanwhile: the fleet is up */
    assert_int_equal(fleet_heard(fixture->fleet, "query"), 0);
}

static void test_the_fleet_of_the_home_is_found(void **state)
{
    struct fixture *fixture = *state;
    char run[80], endpoint[160];
    struct cf_client *client = NULL;
    struct cf_reply *reply = NULL;
    struct cf_msg request = show("echo");
    snprintf(run, sizeof run, "%s/run", fixture->folder);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/client.sock", run);
    assert_int_equal(mkdir(run, 0700), 0);
    assert_int_equal(setenv("COVERFLEET_HOME", fixture->folder, 1), 0);
    struct fleet *fleet = fleet_start(endpoint, false);
    assert_int_equal(cf_client_new(NULL, &client, &fixture->detail), CF_OK);
    assert_int_equal(cf_client_call(client, &request, PATIENCE_MS, &reply, &fixture->detail), CF_OK);
    cf_reply_free(reply);
    cf_client_free(client);
    fleet_stop(fleet);
    unsetenv("COVERFLEET_HOME");
    unlink(endpoint + strlen("ipc://"));
    assert_int_equal(rmdir(run), 0);
}

int main(void)
{
#define ALONE(name)      cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITH_FLEET(name) cmocka_unit_test_setup_teardown(name, setup_fleet, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FLEET(test_a_call_brings_its_reply),
        WITH_FLEET(test_an_error_reply_is_its_error),
        ALONE(test_nobody_there_is_unreachable),
        WITH_FLEET(test_a_fleet_that_is_there_but_slow_is_a_deadline),
        WITH_FLEET(test_answers_that_are_none_are_refused),
        WITH_FLEET(test_answers_to_nobody_are_passed_over),
        ALONE(test_requests_are_checked_before_they_go),
        WITH_FLEET(test_signals_are_left_alone),
        WITH_FLEET(test_many_in_flight_end_once_each),
        WITH_FLEET(test_answers_may_come_in_any_order),
        WITH_FLEET(test_a_callback_may_send_anew),
        WITH_FLEET(test_a_call_lets_others_in_flight_end),
        WITH_FLEET(test_requests_in_flight_are_bounded),
        ALONE(test_bytes_in_flight_are_bounded),
        ALONE(test_a_poll_without_requests_returns_at_once),
        ALONE(test_requests_wait_for_a_fleet_that_comes_late),
        ALONE(test_what_was_unreachable_is_not_delivered_later),
        ALONE(test_a_lost_push_is_sent_again_and_a_lost_query_is_not),
        ALONE(test_the_fleet_of_the_home_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
