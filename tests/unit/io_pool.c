/* The compute pool: results come back, a full queue says so, nothing submitted is lost at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/io/pool.h"

enum { ITEMS = 5000 };

struct job {
    int input, output;
};

struct bench {
    struct cf_loop *loop;
    struct cf_pool *pool;
    pthread_t loop_thread;
    size_t delivered;
    size_t wanted;
    pthread_mutex_t gate;
};

static void square(void *arg, void *item)
{
    struct bench *bench = arg;
    struct job *job = item;
    if (pthread_equal(pthread_self(), bench->loop_thread))
        abort();
    job->output = job->input * job->input;
}

static void wait_at_gate(void *arg, void *item)
{
    struct bench *bench = arg;
    pthread_mutex_lock(&bench->gate);
    pthread_mutex_unlock(&bench->gate);
    square(arg, item);
}

static void on_post(void *arg, void *item)
{
    struct bench *bench = arg;
    struct job *job = item;
    assert_true(pthread_equal(pthread_self(), bench->loop_thread));
    assert_int_equal(job->output, job->input * job->input);
    if (++bench->delivered == bench->wanted)
        cf_loop_stop(bench->loop);
}

static void start(struct bench *bench, unsigned threads, size_t capacity, cf_work *work)
{
    *bench = (struct bench){.loop_thread = pthread_self(), .gate = PTHREAD_MUTEX_INITIALIZER};
    assert_int_equal(cf_loop_new(&bench->loop, NULL), CF_OK);
    cf_loop_on_post(bench->loop, on_post, bench);
    assert_int_equal(cf_pool_new(bench->loop, threads, capacity, work, bench, &bench->pool, NULL), CF_OK);
}

static void test_everything_comes_back(void **state)
{
    (void)state;
    struct bench bench;
    start(&bench, 3, ITEMS, square);
    static struct job jobs[ITEMS];
    bench.wanted = ITEMS;
    for (int i = 0; i < ITEMS; i++) {
        jobs[i] = (struct job){.input = i, .output = -1};
        assert_int_equal(cf_pool_submit(bench.pool, &jobs[i]), CF_OK);
    }
    assert_int_equal(cf_loop_run(bench.loop, NULL), CF_OK);
    assert_int_equal(bench.delivered, ITEMS);
    assert_int_equal(cf_pool_waiting(bench.pool), 0);
    cf_pool_free(bench.pool);
    cf_loop_free(bench.loop, 0);
}

static void test_full_queue_is_busy(void **state)
{
    (void)state;
    struct bench bench;
    start(&bench, 1, 2, wait_at_gate);
    struct job jobs[16] = {{0}};
    size_t taken = 0;
    pthread_mutex_lock(&bench.gate);
    while (taken < 16 && cf_pool_submit(bench.pool, &jobs[taken]) == CF_OK)
        taken++;
    assert_in_range(taken, 2, 3); /* two wait, one may be at the gate already */
    assert_int_equal(cf_pool_submit(bench.pool, &jobs[15]), CF_E_BUSY);
    assert_int_equal(cf_pool_waiting(bench.pool), taken);
    pthread_mutex_unlock(&bench.gate);
    bench.wanted = taken;
    assert_int_equal(cf_loop_run(bench.loop, NULL), CF_OK);
    assert_int_equal(cf_pool_submit(bench.pool, &jobs[15]), CF_OK);
    cf_pool_free(bench.pool); /* finishes it first */
    assert_int_equal(cf_loop_once(bench.loop, 0, NULL), CF_OK);
    assert_int_equal(bench.delivered, taken + 1);
    cf_loop_free(bench.loop, 0);
}

static void test_free_finishes_what_waits(void **state)
{
    (void)state;
    struct bench bench;
    start(&bench, 2, 100, square);
    struct job jobs[100];
    for (int i = 0; i < 100; i++) {
        jobs[i] = (struct job){.input = i, .output = -1};
        assert_int_equal(cf_pool_submit(bench.pool, &jobs[i]), CF_OK);
    }
    cf_pool_free(bench.pool);
    for (int i = 0; i < 100; i++)
        assert_int_equal(jobs[i].output, i * i);
    assert_int_equal(cf_loop_once(bench.loop, 0, NULL), CF_OK);
    assert_int_equal(bench.delivered, 100);
    cf_loop_free(bench.loop, 0);
    cf_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_comes_back),
        cmocka_unit_test(test_full_queue_is_busy),
        cmocka_unit_test(test_free_finishes_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
