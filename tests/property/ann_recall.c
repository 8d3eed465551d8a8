/* The recall that is asked for is the recall that is got, on queries that the build has not seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/ann_fixture.h"

/* Splits off the last `query_count` vectors as queries. */
static struct ann_set split(struct ann_set *set, size_t query_count)
{
    struct ann_set queries = *set;

    set->count -= query_count;
    queries.count = query_count;
    queries.vectors += set->count * set->dim;
    return queries;
}

static double mean_recall(const struct cf_ann *ann, const struct ann_set *set, const struct ann_set *queries,
                          uint32_t k, double recall)
{
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    double sum = 0;

    assert_non_null(searcher);
    for (size_t q = 0; q < queries->count; q++)
        sum += ann_recall(ann, set, queries->vectors + q * set->dim, k, recall, searcher);
    cf_ann_searcher_free(searcher);
    return sum / (double)queries->count;
}

static void check_kind(enum ann_kind kind, size_t count, uint32_t dim)
{
    struct ann_set set = ann_set_make(kind, count, dim, 0, 1, 11), queries = split(&set, 200);
    struct cf_ann *ann = ann_build_open(ann_path("recall"), &set, 2, 5);
    const double asked[] = {.8, .95, .99};

    for (size_t i = 0; i < 3; i++) {
        double got = mean_recall(ann, &set, &queries, 10, asked[i]);
        print_message("kind %d dim %u asked %.2f got %.4f\n", (int)kind, dim, asked[i], got);
        assert_true(got >= asked[i] - .01); /* the noise of 200 queries */
    }
    assert_true(mean_recall(ann, &set, &queries, 57, .95) >= .94);
    assert_true(mean_recall(ann, &set, &queries, 1, .95) >= .93);
    cf_ann_free(ann);
    ann_set_free(&set);
}

static void random_vectors(void **state)
{
    (void)state;
    check_kind(ANN_RANDOM, 3200, 48);
}

static void clustered_vectors(void **state)
{
    (void)state;
    check_kind(ANN_CLUSTERED, 4200, 40);
}

static void duplicates(void **state)
{
    (void)state;
    check_kind(ANN_DUPLICATES, 3000, 16);
}

/* An approximate search looks at a part only, or the index would be no index. */
static void spares_work(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 6000, 24, 0, 1, 12);
    struct cf_ann *ann = ann_build_open(ann_path("spares"), &set, 2, 5);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    size_t partial = 0;

    for (size_t q = 0; q < 200; q++) {
        struct cf_ann_query asked = {.vector = set.vectors + q * 24, .k = 10, .recall = .95};
        struct cf_ann_hit hits[10];
        size_t count;
        bool exact;
        assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_OK);
        partial += !exact;
    }
    assert_true(partial > 150);
    cf_ann_searcher_free(searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
}

struct sieve {
    unsigned one_in;
    uint64_t asked;
};

static bool sieve_keeps(void *arg, uint64_t item)
{
    struct sieve *sieve = arg;

    sieve->asked++;
    return item * 0x9E3779B97F4A7C15u % sieve->one_in == 0;
}

/* Filters thin the neighbourhood; the search widens until the kept items have their recall. */
static void filters(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 4200, 32, 0, 1, 13), queries = split(&set, 200);
    struct cf_ann *ann = ann_build_open(ann_path("filters"), &set, 2, 5);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    const unsigned parts[] = {2, 10, 100, 5000};

    for (size_t p = 0; p < 4; p++) {
        double sum = 0;
        struct sieve sieve = {parts[p], 0};
        for (size_t q = 0; q < queries.count; q++) {
            struct cf_ann_query asked = {.vector = queries.vectors + q * 32,
                                         .k = 10,
                                         .recall = .95,
                                         .keep = sieve_keeps,
                                         .keep_arg = &sieve};
            struct cf_ann_hit hits[10], truth[10];
            size_t count, truth_count, right = 0;
            bool exact;
            assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_OK);
            asked.exact = true;
            assert_int_equal(cf_ann_search(ann, searcher, &asked, truth, &truth_count, &exact, NULL), CF_OK);
            assert_true(exact);
            assert_int_equal(count, truth_count);
            for (size_t i = 0; i < count; i++) {
                assert_true(sieve_keeps(&sieve, hits[i].item));
                right += hits[i].distance <= truth[truth_count - 1].distance;
            }
            sum += truth_count ? (double)right / (double)truth_count : 1;
        }
        print_message("kept one in %u: recall %.4f\n", parts[p], sum / (double)queries.count);
        assert_true(sum / (double)queries.count >= .94);
    }
    cf_ann_searcher_free(searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
}

static int teardown(void **state)
{
    (void)state;
    ann_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_vectors), cmocka_unit_test(clustered_vectors), cmocka_unit_test(duplicates),
        cmocka_unit_test(spares_work),    cmocka_unit_test(filters),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
