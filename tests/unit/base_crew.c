/* common/base/crew: every piece once, whatever the number of threads; cancelled in the middle; beside other
 * work. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/crew.h"

enum { WORK = 10000, CREW = 7 };

static const size_t counts[] = {0, 1, CREW - 1, CREW, WORK};

struct counted {
    atomic_uint each[WORK];
    atomic_int inside[CREW];
    atomic_bool twice;
    bool beside;
    unsigned polls_left;
    pthread_t caller;
    atomic_bool cancelled;
};

static struct counted *counted_new(void)
{
    struct counted *counted = calloc(1, sizeof *counted);
    assert_non_null(counted);
    return counted;
}

static void everything_once(const struct counted *counted, size_t count)
{
    for (size_t i = 0; i < WORK; i++)
        assert_int_equal(counted->each[i], i < count);
}

static void count(void *arg, size_t i)
{
    struct counted *counted = arg;
    atomic_fetch_add(&counted->each[i], 1);
}

static void count_numbered(void *arg, unsigned thread, size_t i)
{
    struct counted *counted = arg;
    if (thread >= CREW || atomic_fetch_add(&counted->inside[thread], 1) != 0)
        counted->twice = true;
    count(arg, i);
    atomic_fetch_sub(&counted->inside[thread], 1);
}

static void note(void *arg)
{
    struct counted *counted = arg;
    assert_false(counted->beside);
    counted->beside = true;
}

static void a_crew_does_everything_once(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= CREW; threads += 3)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            struct cf_crew crew = {.threads = threads};
            struct counted *counted = counted_new();
            assert_int_equal(cf_crew_run(&crew, counts[c], count, counted), CF_OK);
            everything_once(counted, counts[c]);
            free(counted);
        }
}

static void a_crew_works_beside_its_caller(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= CREW; threads += 3)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            struct cf_crew crew = {.threads = threads};
            struct counted *counted = counted_new();
            assert_int_equal(cf_crew_run_beside(&crew, counts[c], count, counted, note, counted), CF_OK);
            everything_once(counted, counts[c]);
            assert_true(counted->beside);
            free(counted);
        }
}

static void no_two_pieces_have_a_number_at_once(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= CREW; threads += 3)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            struct counted *counted = counted_new();
            cf_crew_run_numbered(threads, counts[c], count_numbered, counted);
            everything_once(counted, counts[c]);
            assert_false(counted->twice);
            free(counted);
        }
}

static void keep_number(void *arg, unsigned thread, size_t i)
{
    (void)i;
    if (thread >= CF_CREW_THREADS_MAX)
        atomic_store((atomic_bool *)arg, true);
}

static void more_threads_than_a_crew_has_are_not_started(void **state)
{
    (void)state;
    atomic_bool beyond = false;
    cf_crew_run_numbered(CF_CREW_THREADS_MAX + 50, WORK, keep_number, &beyond);
    assert_false(beyond);
    struct cf_crew crew = {.threads = CF_CREW_THREADS_MAX + 50};
    struct counted *counted = counted_new();
    assert_int_equal(cf_crew_run(&crew, WORK, count, counted), CF_OK);
    everything_once(counted, WORK);
    free(counted);
}

static bool cancel_later(void *arg)
{
    struct counted *counted = arg;
    counted->cancelled = counted->polls_left == 0 || --counted->polls_left == 0;
    return counted->cancelled;
}

/* The others leave pieces to the calling thread, which alone asks. */
static void wait_for_cancel(void *arg, size_t i)
{
    struct counted *counted = arg;
    while (!pthread_equal(pthread_self(), counted->caller) && !counted->cancelled)
        sched_yield();
    count(arg, i);
}

static void a_cancelled_crew_stops(void **state)
{
    (void)state;
    struct counted *counted = counted_new();
    struct cf_crew crew = {.threads = 1, .cancel = cancel_later, .cancel_arg = counted};
    counted->polls_left = 4; /* once before the first piece, then after each */
    assert_int_equal(cf_crew_run(&crew, WORK, count, counted), CF_E_SHUTTING_DOWN);
    everything_once(counted, 3);
    assert_int_equal(cf_crew_poll(&crew), CF_E_SHUTTING_DOWN);
    assert_int_equal(cf_crew_run_beside(&crew, WORK, count, counted, note, counted), CF_E_SHUTTING_DOWN);
    assert_false(counted->beside);
    everything_once(counted, 3);
    crew.threads = CREW;
    counted->caller = pthread_self();
    counted->polls_left = 2;
    assert_int_equal(cf_crew_run(&crew, WORK, wait_for_cancel, counted), CF_E_SHUTTING_DOWN);
    free(counted);
}

static void there_are_processors(void **state)
{
    (void)state;
    assert_in_range(cf_crew_processors(), 1, CF_CREW_THREADS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crew_does_everything_once),
        cmocka_unit_test(a_crew_works_beside_its_caller),
        cmocka_unit_test(no_two_pieces_have_a_number_at_once),
        cmocka_unit_test(more_threads_than_a_crew_has_are_not_started),
        cmocka_unit_test(a_cancelled_crew_stops),
        cmocka_unit_test(there_are_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
