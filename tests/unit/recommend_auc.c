/* The AUC against closed forms and against counting pairs; its intervals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/recommend/auc.h"

static const struct cf_auc_options options = {200, 5};

static struct cf_auc pooled(struct cf_scored *scored, size_t count)
{
    struct cf_auc auc;
    struct cf_detail detail;
    assert_int_equal(cf_auc_pooled(scored, count, &options, &auc, &detail), CF_OK);
    return auc;
}

static struct cf_auc per_user(struct cf_scored *scored, size_t count)
{
    struct cf_auc auc;
    struct cf_detail detail;
    assert_int_equal(cf_auc_per_user(scored, count, &options, &auc, &detail), CF_OK);
    return auc;
}

static void closed_forms(void **state)
{
    (void)state;
    struct cf_scored apart[] = {{0, 0, 2, true}, {0, 0, 1, false}, {0, 0, 3, true}};
    struct cf_scored turned[] = {{0, 0, 2, false}, {0, 0, 1, true}, {0, 0, 3, false}};
    struct cf_scored level[] = {{0, 0, 1, true}, {0, 0, 1, false}, {0, 0, 1, true}, {0, 0, 1, false}};
    struct cf_scored tied[] = {{0, 0, 3, true}, {0, 0, 1, true}, {0, 0, 2, false}, {0, 0, 1, false}};
    assert_true(pooled(apart, 3).value == 1);
    assert_true(pooled(turned, 3).value == 0);
    assert_true(pooled(level, 4).value == .5);
    assert_true(pooled(tied, 4).value == 2.5 / 4);
    assert_true(per_user(tied, 4).value == 2.5 / 4);
}

/* One user's resample is that user again: an interval without width would look like certainty. */
static void one_user_has_no_interval(void **state)
{
    (void)state;
    struct cf_scored tied[] = {{7, 0, 3, true}, {7, 0, 1, true}, {7, 0, 2, false}, {7, 0, 1, false}};
    struct cf_scored beside[] = {{7, 0, 3, true}, {7, 0, 1, false}, {8, 0, 1, true}};
    struct cf_auc auc = pooled(tied, 4), difference;
    assert_true(auc.value == 2.5 / 4 && isnan(auc.low) && isnan(auc.high));
    assert_true(auc.ups == 2 && auc.downs == 2);
    auc = per_user(tied, 4);
    assert_true(auc.value == 2.5 / 4 && isnan(auc.low) && isnan(auc.high));
    auc = per_user(beside, 3); /* the other user's thumbs are of one kind */
    assert_true(auc.value == 1 && auc.groups == 1 && isnan(auc.low) && isnan(auc.high));
    assert_int_equal(cf_auc_difference(tied, tied, 4, &options, &difference, NULL), CF_OK);
    assert_true(difference.value == 0 && isnan(difference.low) && isnan(difference.high));
}

static void users_of_one_sign_do_not_count(void **state)
{
    (void)state;
    struct cf_scored scored[] = {{0, 0, 9, true}, {1, 0, 1, true},  {1, 0, 0, false},
                                 {2, 0, 1, true}, {2, 0, 2, false}, {3, 0, 5, false}};
    struct cf_auc auc = per_user(scored, 6);
    assert_true(auc.value == .5);
    assert_int_equal(auc.groups, 2);
    assert_true(auc.low >= 0 && auc.low <= .5 && auc.high >= .5 && auc.high <= 1);
}

static void groups_of_a_user_are_measured_apart(void **state)
{
    (void)state;
    struct cf_scored scored[] = {{0, 1, 10, true}, {0, 1, 9, false}, {0, 2, 2, true},
                                 {0, 2, 1, false}, {1, 1, 0, true},  {1, 1, 1, false}};
    struct cf_auc auc = per_user(scored, 6);
    assert_int_equal(auc.groups, 3);
    assert_true(fabs(auc.value - 2. / 3) < 1e-12);
}

static void one_class_is_refused(void **state)
{
    (void)state;
    struct cf_scored ups[] = {{0, 0, 1, true}, {1, 0, 2, true}}, downs[] = {{0, 0, 1, false}};
    struct cf_auc auc;
    struct cf_detail detail;
    assert_int_equal(cf_auc_pooled(ups, 2, &options, &auc, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "of 2 thumbs all are up"));
    assert_int_equal(cf_auc_per_user(downs, 1, &options, &auc, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "all are down"));
    assert_int_equal(cf_auc_difference(ups, ups, 2, &options, &auc, &detail), CF_E_INVALID);
    assert_int_equal(cf_auc_pooled(ups, 0, &options, &auc, &detail), CF_E_INVALID);
}

/* Scores of few values, so that there are ties; `pull` makes ups score higher. */
static void make(struct cf_scored *scored, size_t count, uint32_t users, double pull, uint64_t seed)
{
    struct cf_rng rng = cf_rng(seed);
    for (size_t i = 0; i < count; i++) {
        uint32_t user = (uint32_t)cf_rng_below(&rng, users);
        scored[i] = (struct cf_scored){user, user, 0, cf_rng_below(&rng, 2) == 0};
        scored[i].score = floor(8 * cf_rng_unit(&rng) + (scored[i].up ? pull : 0));
    }
}

static double by_pairs(const struct cf_scored *scored, size_t count, uint32_t user)
{
    double wins = 0, pairs = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            bool counts = scored[i].up && !scored[j].up &&
                          (user == UINT32_MAX || (scored[i].user == user && scored[j].user == user));
            pairs += counts;
            if (counts)
                wins += scored[i].score > scored[j].score ? 1 : scored[i].score == scored[j].score ? .5 : 0;
        }
    return wins / pairs;
}

static void it_is_the_share_of_pairs(void **state)
{
    (void)state;
    struct cf_scored scored[300];
    for (uint64_t seed = 0; seed < 20; seed++) {
        double sum = 0, users = 0;
        make(scored, 300, 30, 1.5, seed);
        for (uint32_t user = 0; user < 30; user++) {
            double one = by_pairs(scored, 300, user);
            sum += isfinite(one) ? one : 0;
            users += isfinite(one);
        }
        assert_true(fabs(per_user(scored, 300).value - sum / users) < 1e-12);
        assert_true(fabs(pooled(scored, 300).value - by_pairs(scored, 300, UINT32_MAX)) < 1e-12);
    }
}

static void the_same_seed_gives_the_same_interval(void **state)
{
    (void)state;
    struct cf_scored scored[300];
    make(scored, 300, 30, 1, 1);
    struct cf_auc first = per_user(scored, 300), second = per_user(scored, 300);
    assert_memory_equal(&first, &second, sizeof first);
    assert_true(first.low < first.value && first.value < first.high);
}

/* Of intervals for scores that mean nothing, about 95 in 100 hold one half. */
static void intervals_hold_the_truth(void **state)
{
    (void)state;
    struct cf_scored scored[1000];
    int held[2] = {0, 0};
    for (uint64_t seed = 100; seed < 200; seed++) {
        make(scored, 1000, 80, 0, seed);
        struct cf_auc a = pooled(scored, 1000), b = per_user(scored, 1000);
        held[0] += a.low <= .5 && .5 <= a.high;
        held[1] += b.low <= .5 && .5 <= b.high;
    }
    for (int i = 0; i < 2; i++)
        if (held[i] < 88)
            fail_msg("of 100 intervals %d hold the truth", held[i]);
}

static void a_difference_is_that_of_the_values(void **state)
{
    (void)state;
    struct cf_scored a[400], b[400];
    struct cf_auc difference;
    struct cf_detail detail;
    struct cf_rng rng = cf_rng(8);
    make(a, 400, 30, 2, 4);
    memcpy(b, a, sizeof b);
    assert_int_equal(cf_auc_difference(a, b, 400, &options, &difference, &detail), CF_OK);
    assert_true(difference.value == 0 && difference.low == 0 && difference.high == 0);
    for (size_t i = 0; i < 400; i++)
        b[i].score = (double)cf_rng_below(&rng, 9);
    assert_int_equal(cf_auc_difference(a, b, 400, &options, &difference, &detail), CF_OK);
    double left = per_user(a, 400).value, right = per_user(b, 400).value;
    assert_true(fabs(difference.value - (left - right)) < 1e-12);
    assert_true(difference.low > 0); /* a knows something, b nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_forms),
        cmocka_unit_test(one_user_has_no_interval),
        cmocka_unit_test(users_of_one_sign_do_not_count),
        cmocka_unit_test(groups_of_a_user_are_measured_apart),
        cmocka_unit_test(one_class_is_refused),
        cmocka_unit_test(it_is_the_share_of_pairs),
        cmocka_unit_test(the_same_seed_gives_the_same_interval),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(a_difference_is_that_of_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
