/* The loop's half of the descriptor worker, with a broker and a compute thread that do as they are told: what
 * is reported to whom, when credit is given and taken back, and what a leaving worker does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "workers/descriptor/role.h"

/* ---- the broker's side ---- */

struct cf_runner {
    bool registered, draining, full;
    uint64_t credit;
    char told[2048]; /* "done a;" "failed b not_an_image permanent counted;" … in order */
};

static void note(struct cf_runner *runner, const char *word, struct cf_str album, const char *rest)
{
    size_t len = strlen(runner->told);
    snprintf(runner->told + len, sizeof runner->told - len, "%s %.*s%s", word, CF_STR_ARG(album), rest);
}

static void note_failed(struct cf_runner *runner, const struct cf_failed_item *item)
{
    char rest[128];
    snprintf(rest, sizeof rest, " %.*s%s%s;", CF_STR_ARG(item->error), item->permanent ? " permanent" : "",
             item->counted ? " counted" : "");
    note(runner, "failed", item->album, rest);
}

enum cf_err cf_runner_send(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body,
                           struct cf_detail *detail)
{
    assert_int_equal(body.len, 0);
    if (!runner->registered)
        return cf_fail(detail, CF_E_UNREACHABLE, "not registered");
    if (runner->full)
        return cf_fail(detail, CF_E_BUSY, "full");
    for (size_t i = 0; msg->kind == CF_KIND_DONE && i < msg->done.item_count; i++) {
        assert_true(cf_str_is(msg->done.items[i].shard, "descriptor-7"));
        note(runner, "done", msg->done.items[i].album, ";");
    }
    for (size_t i = 0; msg->kind == CF_KIND_FAILED && i < msg->failed.item_count; i++)
        note_failed(runner, &msg->failed.items[i]);
    return CF_OK;
}

enum cf_err cf_runner_ready(struct cf_runner *runner, uint64_t credit)
{
    if (!runner->registered)
        return CF_E_UNREACHABLE;
    runner->credit = credit;
    return CF_OK;
}

bool cf_runner_is_registered(const struct cf_runner *runner)
{
    return runner->registered;
}

bool cf_runner_is_draining(const struct cf_runner *runner)
{
    return runner->draining;
}

void cf_runner_drain(struct cf_runner *runner)
{
    runner->draining = true;
}

/* ---- the compute thread's side: an album's first letter says what becomes of it ---- */

static _Atomic(enum cf_err) store_err;
static atomic_bool piecemeal, unmounted;

/* A cover whose file this machine does not give now. */
static void give_back(struct cf_cover_batch *batch, struct cf_cover *cover)
{
    batch->files_err = cf_fail(&batch->files_detail, CF_E_IO, "the folder /covers cannot be opened");
    cf_cover_fail(cover, CF_OUTCOME_BACK, CF_E_IO, &batch->files_detail);
}

static void settle(struct cf_cover *cover)
{
    struct cf_detail detail;
    (void)cf_fail(&detail, CF_E_INVALID, "because");
    switch (cover->job.album.data[0]) {
    case 'r':
        cf_cover_fail(cover, CF_OUTCOME_REFUSED, CF_E_NOT_AN_IMAGE, &detail);
        break;
    case 's':
        cf_cover_fail(cover, CF_OUTCOME_REFUSED, CF_E_SUPERSEDED, &detail);
        break;
    case 't':
        cf_cover_fail(cover, CF_OUTCOME_ATTEMPTED, CF_E_TIMEOUT, &detail);
        break;
    default:
        cover->outcome = CF_OUTCOME_DONE;
    }
}

/* Slices, one after another until three were done. */
static atomic_uint slices;

void cf_redescribing_run(struct cf_redescribing *redescribing, struct cf_redescribe_slice *slice)
{
    (void)redescribing;
    unsigned done = atomic_fetch_add(&slices, 1) + 1;
    slice->part_count = 1;
    slice->parts[0] =
        (struct cf_redescribe_part){.shard = "descriptor-0", .total = 3, .done = done < 3 ? done : 3};
    slice->finished = slice->parts[0].finished = done >= 3;
    slice->pause_ms = slice->finished ? 60000 : 0;
}

void cf_describing_run(struct cf_describing *describing, struct cf_cover_batch *batch)
{
    (void)describing;
    batch->store_err = atomic_load(&store_err);
    while (batch->settled < batch->count) {
        struct cf_cover *cover = batch->covers[batch->settled++];
        if (batch->store_err != CF_OK) {
            cf_cover_fail(cover, CF_OUTCOME_BACK, batch->store_err, NULL);
            continue;
        }
        if (cover->job.album.data[0] == 'u' && atomic_load(&unmounted))
            give_back(batch, cover);
        else
            settle(cover);
        batch->committed = batch->committed || cover->outcome == CF_OUTCOME_DONE;
        if (atomic_load(&piecemeal))
            return;
    }
}

/* ---- the stage ---- */

struct stage {
    struct cf_loop *loop;
    struct cf_config config;
    struct cf_descriptor *descriptor;
    struct cf_role_ops ops;
    struct cf_runner runner;
    int posts;
};

static void on_post(void *arg, void *item)
{
    struct stage *stage = arg;
    stage->posts++;
    stage->ops.posted(stage->descriptor, &stage->runner, item);
}

static struct stage *open_stage(void)
{
    static struct stage stage;
    static struct cf_home home;
    struct cf_detail detail = {""};
    memset(&stage, 0, sizeof stage);
    cf_config_default(&stage.config, &home);
    stage.config.descriptor_credit = 8;
    stage.config.descriptor_batch_albums_max = 4;
    atomic_store(&store_err, CF_OK);
    atomic_store(&piecemeal, false);
    atomic_store(&unmounted, false);
    if (cf_loop_new(&stage.loop, &detail) != CF_OK ||
        cf_descriptor_new(stage.loop, &stage.config, NULL, "descriptor-7", &stage.descriptor, &detail) !=
            CF_OK)
        fail_msg("%s", detail.text);
    stage.ops = cf_descriptor_ops(stage.descriptor);
    cf_loop_on_post(stage.loop, on_post, &stage);
    stage.runner.registered = true;
    stage.ops.registered(stage.descriptor, &stage.runner);
    return &stage;
}

static void close_stage(struct stage *stage)
{
    cf_descriptor_free(stage->descriptor);
    cf_loop_free(stage->loop, 0);
}

/* "a b c": one lease of these albums. */
static void lease(struct stage *stage, const char *albums)
{
    struct cf_job jobs[32];
    struct cf_msg msg = {.kind = CF_KIND_LEASE, .lease = {jobs, 0}};
    for (const char *at = albums; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        jobs[msg.lease.job_count] =
            (struct cf_job){.album = {at, len}, .version = {1, msg.lease.job_count + 1}, .attempt = 1};
        msg.lease.job_count++;
        at += len;
    }
    stage->ops.message(stage->descriptor, &stage->runner, &msg, (struct cf_bytes){0});
}

static void wait_posts(struct stage *stage, int posts)
{
    uint64_t give_up = cf_clock_mono_ms() + 10000;
    while (stage->posts < posts && cf_clock_mono_ms() < give_up)
        assert_int_equal(cf_loop_once(stage->loop, 100, NULL), CF_OK);
    assert_int_equal(stage->posts, posts);
}

static void tick_until_posts(struct stage *stage, int posts)
{
    uint64_t give_up = cf_clock_mono_ms() + 10000;
    while (stage->posts < posts && cf_clock_mono_ms() < give_up) {
        stage->ops.tick(stage->descriptor, &stage->runner, cf_clock_mono_ms());
        assert_int_equal(cf_loop_once(stage->loop, 10, NULL), CF_OK);
    }
    assert_int_equal(stage->posts, posts);
}

/* ---- the plays ---- */

static void outcomes_are_told_as_they_are(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    assert_int_equal(stage->runner.credit, 8);
    lease(stage, "a r t s b");
    wait_posts(stage, 2); /* four and one */
    assert_string_equal(stage->runner.told,
                        "done a;failed r not_an_image permanent counted;failed t timeout counted;"
                        "failed s superseded permanent;done b;");
    close_stage(stage);
}

static void slow_batches_are_told_piece_by_piece(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    atomic_store(&piecemeal, true);
    lease(stage, "a r b");
    wait_posts(stage, 1);
    assert_string_equal(stage->runner.told, "done a;");
    wait_posts(stage, 3);
    assert_string_equal(stage->runner.told, "done a;failed r not_an_image permanent counted;done b;");
    close_stage(stage);
}

static void a_full_shard_takes_the_credit_back(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    atomic_store(&store_err, CF_E_DISK_FULL);
    lease(stage, "a b c d e"); /* e waits while the others fail */
    wait_posts(stage, 1);
    assert_int_equal(stage->runner.credit, 0);
    assert_string_equal(stage->runner.told, "failed e disk_full;failed a disk_full;failed b disk_full;"
                                            "failed c disk_full;failed d disk_full;");
    stage->runner.told[0] = '\0';
    lease(stage, "f"); /* was under way already */
    assert_string_equal(stage->runner.told, "failed f busy;");
    tick_until_posts(stage, 2); /* tried again, in vain */
    assert_int_equal(stage->runner.credit, 0);
    atomic_store(&store_err, CF_OK);
    tick_until_posts(stage, 3);
    assert_int_equal(stage->runner.credit, 1); /* one to try it with */
    stage->runner.told[0] = '\0';
    lease(stage, "g");
    wait_posts(stage, 4);
    assert_string_equal(stage->runner.told, "done g;");
    assert_int_equal(stage->runner.credit, 8);
    close_stage(stage);
}

static void a_missing_root_makes_the_worker_pause(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    atomic_store(&unmounted, true);
    lease(stage, "u1 a u2 b c");
    wait_posts(stage, 1);
    assert_int_equal(stage->runner.credit, 0);
    assert_string_equal(stage->runner.told, "failed c io;done a;done b;failed u1 io;failed u2 io;");
    stage->runner.told[0] = '\0';
    uint64_t since = cf_clock_mono_ms();
    tick_until_posts(stage, 2);
    assert_true(cf_clock_mono_ms() - since >= 100); /* not at once */
    assert_int_equal(stage->runner.credit, 1);
    lease(stage, "u1");
    wait_posts(stage, 3);
    assert_int_equal(stage->runner.credit, 0);
    assert_string_equal(stage->runner.told, "failed u1 io;");
    stage->runner.told[0] = '\0';
    atomic_store(&unmounted, false);
    tick_until_posts(stage, 4);
    lease(stage, "u1");
    wait_posts(stage, 5);
    assert_string_equal(stage->runner.told, "done u1;");
    assert_int_equal(stage->runner.credit, 8);
    close_stage(stage);
}

static void reports_wait_for_the_broker(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    stage->runner.full = true;
    lease(stage, "a");
    wait_posts(stage, 1);
    assert_string_equal(stage->runner.told, "");
    stage->runner.full = false;
    stage->ops.tick(stage->descriptor, &stage->runner, cf_clock_mono_ms());
    assert_string_equal(stage->runner.told, "done a;");
    close_stage(stage);
}

static void a_new_registration_hears_no_old_failures(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    stage->runner.registered = false;
    lease(stage, "a r");
    wait_posts(stage, 1);
    lease(stage, "b c d e f g"); /* the last two are still waiting when the broker is back */
    stage->runner.registered = true;
    stage->ops.registered(stage->descriptor, &stage->runner);
    wait_posts(stage, 2);
    stage->ops.tick(stage->descriptor, &stage->runner, cf_clock_mono_ms());
    assert_string_equal(stage->runner.told, "done a;done b;done c;done d;done e;");
    assert_int_equal(stage->posts, 2);
    close_stage(stage);
}

static void more_than_the_credit_goes_back(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    lease(stage, "0 1 2 3 4 5 6 7 8 9 A B C D E F G H I J");
    assert_string_equal(stage->runner.told,
                        "failed 0 busy;failed 1 busy;failed 2 busy;failed 3 busy;failed 4 busy;"
                        "failed 5 busy;failed 6 busy;failed 7 busy;failed 8 busy;failed 9 busy;"
                        "failed A busy;failed B busy;failed C busy;failed D busy;failed E busy;"
                        "failed F busy;");
    stage->runner.told[0] = '\0';
    wait_posts(stage, 1);
    assert_string_equal(stage->runner.told, "done G;done H;done I;done J;");
    close_stage(stage);
}

static void a_leaving_worker_hands_back(void **state)
{
    (void)state;
    struct stage *stage = open_stage();
    atomic_store(&piecemeal, true);
    lease(stage, "a b c d e f");
    stage->runner.draining = true;
    assert_false(stage->ops.drained(stage->descriptor, &stage->runner));
    assert_string_equal(stage->runner.told, "failed e shutting_down;failed f shutting_down;");
    stage->runner.told[0] = '\0';
    wait_posts(stage, 1);
    assert_string_equal(stage->runner.told,
                        "done a;failed b shutting_down;failed c shutting_down;failed d shutting_down;");
    assert_true(stage->ops.drained(stage->descriptor, &stage->runner));
    close_stage(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_are_told_as_they_are),
        cmocka_unit_test(slow_batches_are_told_piece_by_piece),
        cmocka_unit_test(a_full_shard_takes_the_credit_back),
        cmocka_unit_test(a_missing_root_makes_the_worker_pause),
        cmocka_unit_test(reports_wait_for_the_broker),
        cmocka_unit_test(a_new_registration_hears_no_old_failures),
        cmocka_unit_test(more_than_the_credit_goes_back),
        cmocka_unit_test(a_leaving_worker_hands_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
