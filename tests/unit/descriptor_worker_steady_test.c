/* The whole way of a cover through the worker, from its lease to its report, with the real decoder and a real
 * shard: once it has warmed up, no code of ours allocates. The linker hands the test every call of ours to
 * the allocator; RocksDB's own, and libjpeg's in the child, are theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/descriptor/space.h"
#include "tests/unit/store_folder.h"
#include "workers/descriptor/role.h"

enum { BATCH = 16, WARM_ROUNDS = 4, ROUNDS = 8 };

/* ---- the allocator ---- */

static atomic_uint allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(memory, size);
}

/* ---- the broker's side ---- */

struct cf_runner {
    size_t done, failed;
};

enum cf_err cf_runner_send(struct cf_runner *runner, const struct cf_msg *msg, struct cf_bytes body,
                           struct cf_detail *detail)
{
    (void)body, (void)detail;
    runner->done += msg->kind == CF_KIND_DONE ? msg->done.item_count : 0;
    runner->failed += msg->kind == CF_KIND_FAILED ? msg->failed.item_count : 0;
    return CF_OK;
}

enum cf_err cf_runner_ready(struct cf_runner *runner, uint64_t credit)
{
    (void)runner, (void)credit;
    return CF_OK;
}

bool cf_runner_is_registered(const struct cf_runner *runner)
{
    (void)runner;
    return true;
}

bool cf_runner_is_draining(const struct cf_runner *runner)
{
    (void)runner;
    return false;
}

void cf_runner_drain(struct cf_runner *runner)
{
    (void)runner;
    fail_msg("the worker wants to leave");
}

/* ---- the test ---- */

struct stage {
    struct cf_runner runner;
    struct cf_role_ops ops;
    struct cf_descriptor *descriptor;
    size_t posts;
};

static void on_post(void *arg, void *item)
{
    struct stage *stage = arg;
    stage->posts++;
    stage->ops.posted(stage->descriptor, &stage->runner, item);
}

/* A 64x64 PPM with stripes of its own. */
static struct cf_bytes picture(size_t number)
{
    static uint8_t files[BATCH][16 + 64 * 64 * 3];
    uint8_t *file = files[number % BATCH];
    int len = snprintf((char *)file, sizeof files[0], "P6 64 64 255\n");
    for (size_t i = 0; i < 64 * 64 * 3; i++)
        file[(size_t)len + i] = (uint8_t)((i / 3 % 64 + i / 192) * (number % BATCH + 1));
    return (struct cf_bytes){file, (size_t)len + 64 * 64 * 3};
}

static void lease(struct stage *stage, uint64_t round)
{
    static char ids[BATCH][32];
    struct cf_pair meta[] = {{cf_str("artist"), cf_str("nobody")}};
    struct cf_job jobs[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        uint64_t number = round * BATCH + i;
        snprintf(ids[i], sizeof ids[i], "album-%llu", (unsigned long long)number);
        jobs[i] = (struct cf_job){.album = cf_str(ids[i]),
                                  .version = {1, number + 1},
                                  .bytes = picture(number),
                                  .meta = meta,
                                  .meta_count = 1,
                                  .attempt = 1};
    }
    struct cf_msg msg = {.kind = CF_KIND_LEASE, .lease = {jobs, BATCH}};
    stage->ops.message(stage->descriptor, &stage->runner, &msg, (struct cf_bytes){0});
}

static struct cf_config config;
static struct cf_decoder *decoder;

static void nothing_is_allocated_for_a_cover(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    struct cf_loop *loop = NULL;
    struct cf_describing *describing = NULL;
    struct stage stage = {.posts = 0};
    store_folder_path(path, "shard");
    assert_int_equal(cf_loop_new(&loop, NULL), CF_OK);
    assert_int_equal(cf_describing_new(&config, decoder, path, &describing, NULL), CF_OK);
    assert_int_equal(cf_descriptor_new(loop, &config, describing, "descriptor-0", &stage.descriptor, NULL),
                     CF_OK);
    stage.ops = cf_descriptor_ops(stage.descriptor);
    cf_loop_on_post(loop, on_post, &stage);
    stage.ops.registered(stage.descriptor, &stage.runner);
    assert_true(atomic_load(&allocations) > 0); /* they are counted */
    for (uint64_t round = 0; round < WARM_ROUNDS + ROUNDS; round++) {
        if (round == WARM_ROUNDS)
            atomic_store(&allocations, 0);
        lease(&stage, round);
        uint64_t give_up = cf_clock_mono_ms() + 20000;
        while (stage.runner.done < (round + 1) * BATCH && cf_clock_mono_ms() < give_up)
            assert_int_equal(cf_loop_once(loop, 100, NULL), CF_OK);
        assert_int_equal(stage.runner.done, (round + 1) * BATCH);
    }
    assert_int_equal(atomic_load(&allocations), 0);
    assert_int_equal(stage.runner.failed, 0);
    cf_descriptor_free(stage.descriptor);
    cf_describing_free(describing);
    cf_loop_free(loop, 0);
}

int main(void)
{
    static struct cf_home home;
    struct cf_detail detail = {""};
    if (store_folder_make(NULL) != 0)
        return 1;
    cf_config_default(&config, &home);
    config.descriptor_batch_albums_max = BATCH;
    if (cf_decoder_new(&config, &decoder, &detail) != CF_OK || cf_spaces_load(&config, &detail) != CF_OK) {
        printf("%s\n", detail.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_allocated_for_a_cover)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cf_decoder_free(decoder);
    (void)store_folder_remove(NULL);
    return failed;
}
