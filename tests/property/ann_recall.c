/* The recall that is asked for is the recall that is got, on queries that the build has not seen, of true
 * neighbours; as far as rows of eight bits can tell them apart. And answers do not depend on how they were
 * computed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/ann/build.h"
#include "common/ann/calibrate.h"
#include "common/ann/scan.h"
#include "common/base/cpu.h"
#include "tests/unit/ann_fixture.h"

enum { QUERIES = 300, K_MAX = 2000 };

/* Splits off the last vectors as queries. */
static struct ann_set split(struct ann_set *set, size_t query_count)
{
    struct ann_set queries = *set;

    set->count -= query_count;
    queries.count = query_count;
    queries.vectors += set->count * set->dim;
    return queries;
}

static double distance_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

static enum cf_err give_full(void *arg, uint64_t item, float *out, struct cf_detail *detail)
{
    const struct ann_set *set = arg;

    (void)detail;
    memcpy(out, set->vectors + item * set->dim, set->dim * sizeof *out);
    return CF_OK;
}

struct rig {
    const struct cf_ann *ann;
    struct ann_set *set;
    const struct ann_set *queries;
    struct cf_ann_searcher *searcher;
    struct cf_ann_hit hits[K_MAX];
};

/* The share of what a certain search finds that this one finds too, or others as near. */
static double recall_of(struct rig *rig, struct cf_ann_query query)
{
    struct cf_ann_query certain = query;
    size_t wanted, found, right = 0;
    bool exact;

    certain.exact = true;
    certain.full = give_full;
    certain.full_arg = rig->set;
    assert_int_equal(cf_ann_search(rig->ann, rig->searcher, &certain, rig->hits, &wanted, &exact, NULL),
                     CF_OK);
    assert_true(exact);
    double farthest = wanted ? (double)rig->hits[wanted - 1].distance * (1 + 1e-6) : 0;
    assert_int_equal(cf_ann_search(rig->ann, rig->searcher, &query, rig->hits, &found, &exact, NULL), CF_OK);
    assert_true(found <= wanted || query.radius > 0); /* a row may be a little nearer than its vector */
    for (size_t i = 0; i < found; i++) {
        const float *x = rig->set->vectors + rig->hits[i].item * rig->set->dim;
        assert_true(!query.keep || query.keep(query.keep_arg, rig->hits[i].item));
        assert_true(i == 0 || rig->hits[i - 1].distance <= rig->hits[i].distance);
        right += distance_of(query.vector, x, rig->set->dim) <= farthest;
    }
    return wanted ? fmin((double)right / (double)wanted, 1) : 1;
}

static double mean_recall(struct rig *rig, struct cf_ann_query query)
{
    double sum = 0;

    for (size_t q = 0; q < rig->queries->count; q++) {
        query.vector = rig->queries->vectors + q * rig->set->dim;
        sum += recall_of(rig, query);
    }
    return sum / (double)rig->queries->count;
}

static struct rig *open_rig(struct ann_set *set, const struct ann_set *queries)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    rig->ann = ann_build_open(ann_path("recall"), set, 2, 5);
    rig->set = set;
    rig->queries = queries;
    rig->searcher = cf_ann_searcher_new();
    assert_non_null(rig->searcher);
    return rig;
}

static void close_rig(struct rig *rig)
{
    cf_ann_searcher_free(rig->searcher);
    cf_ann_free((struct cf_ann *)(uintptr_t)rig->ann);
    free(rig);
}

/* Copies of known vectors, a little changed. */
static void disturb(struct ann_set *queries, const struct ann_set *set)
{
    struct cf_rng rng = cf_rng(99);

    for (size_t q = 0; q < queries->count; q++) {
        const float *x = set->vectors + cf_rng_below(&rng, set->count) * set->dim;
        for (uint32_t j = 0; j < set->dim; j++)
            queries->vectors[q * set->dim + j] = x[j] + (float)(.2 * (cf_rng_unit(&rng) - .5));
    }
}

static void check_recalls(struct rig *rig, const char *name, uint32_t k)
{
    const double asked[] = {.5, .8, .9, .95, .98};
    /* What no search by rows can do better. */
    double rows = mean_recall(rig, (struct cf_ann_query){.k = k, .recall = 1});
    /* Rows of so few dimensions have sixteen bits of each: eight gave .977 to .998 here. */
    assert_true(rows >= .999);

    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        double got = mean_recall(rig, (struct cf_ann_query){.k = k, .recall = asked[i]});
        print_message("%s k %u: asked %.2f got %.4f, by all rows %.4f\n", name, k, asked[i], got, rows);
        assert_true(got >= fmin(asked[i], rows) - .015); /* the noise of so many queries */
    }
}

static void check_kind(const char *name, enum ann_kind kind, size_t count, uint32_t dim)
{
    struct ann_set set = ann_set_make(kind, count, dim, 0, 1, 11), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);

    check_recalls(rig, name, 10);
    check_recalls(rig, name, 1);
    check_recalls(rig, name, 57);
    disturb(&queries, &set);
    check_recalls(rig, name, 10);
    check_recalls(rig, name, 400);
    close_rig(rig);
    ann_set_free(&set);
}

static void random_vectors(void **state)
{
    (void)state;
    check_kind("random", ANN_RANDOM, 4300, 48);
}

static void clustered_vectors(void **state)
{
    (void)state;
    check_kind("clustered", ANN_CLUSTERED, 6300, 40);
}

/* Twelve hundred leaves in groups, as only a much larger set would have: a query measures the nearest of
 * them. */
static void leaves_in_groups(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 60300, 12, 0, 1, 21), queries = split(&set, QUERIES);
    struct cf_ann_source source = ann_set_source(&set);
    struct cf_ann_params params = {.dim = set.dim, .seed = 5, .threads = 2};
    struct rig rig = {.set = &set, .queries = &queries, .searcher = cf_ann_searcher_new()};
    struct cf_ann *ann = NULL;

    assert_non_null(rig.searcher);
    assert_int_equal(cf_ann_build_grouped(ann_path("groups"), &params, &source, 100, NULL, NULL, NULL),
                     CF_OK);
    assert_int_equal(cf_ann_open(ann_path("groups"), &ann, NULL), CF_OK);
    assert_int_equal(cf_ann_verify(ann, NULL), CF_OK);
    assert_true(ann->header.group_count > 60 && ann->header.leaf_count == 1200);
    rig.ann = ann;
    check_recalls(&rig, "groups", 10);
    cf_ann_searcher_free(rig.searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
}

static void duplicates(void **state)
{
    (void)state;
    check_kind("duplicates", ANN_DUPLICATES, 3300, 16);
}

/* Four thousand copies of one vector, and others. */
static void one_cover_again_and_again(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 7300, 24, 0, 1, 3), queries = split(&set, QUERIES);
    for (size_t i = 0; i < 4000; i++)
        memcpy(set.vectors + i * 24, set.vectors, 24 * sizeof(float));
    for (size_t q = 0; q < QUERIES; q += 2)
        memcpy(queries.vectors + q * 24, set.vectors, 24 * sizeof(float));
    struct rig *rig = open_rig(&set, &queries);

    check_recalls(rig, "copies", 10);
    check_recalls(rig, "copies", 1000);
    close_rig(rig);
    ann_set_free(&set);
}

/* Fewer vectors to calibrate by are less certain: searches look at more, and get what is asked for. */
static void few_calibrate_it(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 7300, 24, 0, 1, 3), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);
    const struct cf_ann *many = rig->ann, *few = ann_build_open_as(ann_path("few"), &set,
                                                                   (struct cf_ann_params){.held_max = 60});
    struct cf_ann_widths usual = cf_ann_widths(many, 0, 10, .9), wide = cf_ann_widths(few, 0, 10, .9);

    print_message("leaves, codes, shorts: %u, %u, %u; with 60: %u, %u, %u\n", usual.leaves, usual.codes,
                  usual.shorts, wide.leaves, wide.codes, wide.shorts);
    assert_true(usual.leaves > 0 &&
                wide.leaves + wide.codes + wide.shorts > usual.leaves + usual.codes + usual.shorts);
    cf_ann_free((struct cf_ann *)(uintptr_t)many);
    rig->ann = few;
    check_recalls(rig, "few calibrate", 10);
    close_rig(rig);
    ann_set_free(&set);
}

static bool same_matrix(const struct cf_ann *a, const struct cf_ann *b)
{
    return cf_bytes_equal(cf_ann_section(a, CF_ANN_MATRIX), cf_ann_section(b, CF_ANN_MATRIX));
}

/* What another index learned of other vectors does too, where it fits; where not, it is learned anew. */
static void learned_by_another(void **state)
{
    (void)state;
    struct ann_set others = ann_set_make(ANN_CLUSTERED, 3000, 48, 0, 1, 4),
                   narrow = ann_set_make(ANN_CLUSTERED, 3000, 24, 0, 1, 4),
                   set = ann_set_make(ANN_CLUSTERED, 5300, 48, 0, 1, 9), queries = split(&set, QUERIES);
    struct cf_ann *like = ann_build_open(ann_path("others"), &others, 1, 1),
                  *unfit = ann_build_open(ann_path("narrow"), &narrow, 1, 1);
    struct rig *rig = open_rig(&set, &queries);
    struct cf_ann *own = (struct cf_ann *)(uintptr_t)rig->ann,
                  *taken = ann_build_open_as(ann_path("taken"), &set, (struct cf_ann_params){.like = like}),
                  *learned = ann_build_open_as(ann_path("own"), &set, (struct cf_ann_params){.like = unfit});

    assert_true(same_matrix(taken, like) && !same_matrix(taken, own) && same_matrix(learned, own));
    rig->ann = taken;
    check_recalls(rig, "learned by another", 10);
    cf_ann_free(own);
    cf_ann_free(learned);
    cf_ann_free(like);
    cf_ann_free(unfit);
    close_rig(rig);
    ann_set_free(&set);
    ann_set_free(&others);
    ann_set_free(&narrow);
}

/* Nearly one cover, far from all of another index by its own measure: no leaf has nearly everything. */
static void learned_by_another_far_away(void **state)
{
    (void)state;
    enum { COUNT = 3000, DIM = 48 };
    struct ann_set others = ann_set_make(ANN_CLUSTERED, 3000, DIM, 0, 1, 4),
                   set = ann_set_make(ANN_RANDOM, COUNT, DIM, 0, 1, 9);
    struct cf_ann *like = ann_build_open(ann_path("others"), &others, 1, 1);

    for (size_t i = 0; i < COUNT * DIM; i++)
        set.vectors[i] = 40 + 1e-3f * set.vectors[i];
    struct cf_ann *own = ann_build_open_as(ann_path("own"), &set, (struct cf_ann_params){0}),
                  *ann = ann_build_open_as(ann_path("away"), &set, (struct cf_ann_params){.like = like});
    assert_true(same_matrix(ann, own));
    uint32_t most = 0;
    for (uint64_t l = 0; l < ann->header.leaf_count; l++)
        most = ann->block_first[l + 1] - ann->block_first[l] > most
                   ? ann->block_first[l + 1] - ann->block_first[l]
                   : most;
    assert_true(ann->header.leaf_count > 10 && most < ann->header.block_count / 4);
    cf_ann_free(own);
    cf_ann_free(ann);
    cf_ann_free(like);
    ann_set_free(&set);
    ann_set_free(&others);
}

/* What is like nothing in the collection is searched for no less. */
static void far_off(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 4300, 32, 0, 1, 8), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);

    for (size_t i = 0; i < QUERIES * 32; i++)
        queries.vectors[i] *= 30;
    double got = mean_recall(rig, (struct cf_ann_query){.k = 10, .recall = .95});
    print_message("far off: %.4f\n", got);
    assert_true(got >= .94);
    close_rig(rig);
    ann_set_free(&set);
}

/* One vector a million times as far as the rest spoils nothing for the rest, and is found. */
static void one_far_from_all(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 3300, 32, 0, 1, 31), queries = split(&set, QUERIES);
    for (uint32_t j = 0; j < 32; j++)
        set.vectors[1234 * 32 + j] *= 1e6f;
    struct rig *rig = open_rig(&set, &queries);

    assert_true(cf_ann_widths(rig->ann, 0, 10, .95).leaves > 0);
    check_recalls(rig, "one far from all", 10);
    memcpy(queries.vectors, set.vectors + 1234 * 32, 32 * sizeof(float));
    size_t count;
    bool exact;
    struct cf_ann_query query = {.vector = queries.vectors, .k = 1, .recall = .95};
    assert_int_equal(cf_ann_search(rig->ann, rig->searcher, &query, rig->hits, &count, &exact, NULL), CF_OK);
    assert_true(count == 1 && rig->hits[0].item == 1234);
    close_rig(rig);
    ann_set_free(&set);
}

/* A third a thousand times as large as the rest; queries of both kinds. */
static void scales_mixed(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 4300, 32, 0, 1, 32), queries = split(&set, QUERIES);
    for (size_t i = 0; i < set.count + QUERIES; i++)
        for (uint32_t j = 0; j < 32 && i % 3 == 0; j++)
            set.vectors[i * 32 + j] *= 1000;
    struct rig *rig = open_rig(&set, &queries);

    check_recalls(rig, "scales mixed", 10);
    close_rig(rig);
    ann_set_free(&set);
}

/* A collection where every picture has copies, asked for pictures that have none in it. */
static void new_among_copies(void **state)
{
    (void)state;
    enum { COPIES = 6 };
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 12000 + QUERIES, 64, 0, 1, 33),
                   queries = split(&set, QUERIES);
    struct cf_rng rng = cf_rng(34);
    for (size_t i = 0; i < set.count; i++)
        for (uint32_t j = 0; j < 64; j++)
            set.vectors[i * 64 + j] = set.vectors[i / COPIES * COPIES * 64 + j] +
                                      (i % COPIES ? (float)(.3 * (cf_rng_unit(&rng) - .5)) : 0);
    struct rig *rig = open_rig(&set, &queries);

    check_recalls(rig, "new among copies", 10);
    close_rig(rig);
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
static double reach_of(const struct cf_ann *ann, struct cf_ann_scratch *scratch, const float *vector)
{
    struct cf_ann_target target;

    assert_int_equal(cf_ann_target_init(&target, ann, scratch, vector), CF_OK);
    assert_int_equal(cf_ann_front_measure(&target), CF_OK);
    return cf_ann_reach(&target);
}

/* Away from zero until it is farther from the leaves than all that was measured, by half of its square. */
static void move_beyond(const struct cf_ann *ann, struct cf_ann_scratch *scratch, float *vector, uint32_t dim)
{
    double limit = 1.5 * (double)ann->calibration->reach[CF_ANN_CLASS_COUNT - 1];

    while (reach_of(ann, scratch, vector) < limit)
        for (uint32_t j = 0; j < dim; j++)
            vector[j] *= 1.02f;
}

/* Queries somewhat farther than those that calibrated it are searched for widely, without looking at all. */
static void a_little_beyond(void **state)
{
    (void)state;
    enum { DIM = 40 };
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 30300, DIM, 0, 1, 8), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);
    struct cf_ann_scratch scratch = {0};

    for (size_t i = 0; i < QUERIES; i++)
        move_beyond(rig->ann, &scratch, queries.vectors + i * DIM, DIM);
    struct cf_ann_widths within = cf_ann_widths(rig->ann, rig->ann->calibration->reach[1], 10, .9);
    for (size_t i = 0; i < QUERIES; i++) {
        double reach = reach_of(rig->ann, &scratch, queries.vectors + i * DIM);
        struct cf_ann_widths beyond = cf_ann_widths(rig->ann, reach, 10, .9);
        assert_true(within.leaves > 0 && beyond.leaves == 4 * within.leaves &&
                    beyond.leaves <= cf_ann_info(rig->ann).leaf_count / 2);
        assert_int_equal(cf_ann_widths(rig->ann, 2 * reach, 10, .9).leaves, 0);
    }
    struct sieve sieve = {10, 0};
    double got = mean_recall(rig, (struct cf_ann_query){.k = 10, .recall = .9}),
           many = mean_recall(rig, (struct cf_ann_query){.k = 100, .recall = .9}),
           kept = mean_recall(
               rig, (struct cf_ann_query){.k = 10, .recall = .9, .keep = sieve_keeps, .keep_arg = &sieve});
    print_message("a little beyond: k 10 got %.4f, k 100 %.4f, one in 10 %.4f\n", got, many, kept);
    assert_true(got >= .9 - .015 && many >= .9 - .015 && kept >= .9 - .015);
    cf_ann_scratch_fini(&scratch);
    close_rig(rig);
    ann_set_free(&set);
}

static void filters(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 6300, 32, 0, 1, 13), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);
    const unsigned parts[] = {2, 10, 100, 5000, 1000000};

    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        struct sieve sieve = {parts[p], 0};
        struct cf_ann_query query = {.k = 10, .recall = .95, .keep = sieve_keeps, .keep_arg = &sieve};
        double got = mean_recall(rig, query);
        print_message("kept one in %u: recall %.4f\n", parts[p], got);
        assert_true(got >= .935);
    }
    close_rig(rig);
    ann_set_free(&set);
}

static void radii(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 6300, 32, 0, 1, 14), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);

    for (float radius = .5f; radius < 9; radius += 1.7f) {
        double got = mean_recall(rig, (struct cf_ann_query){.k = 500, .recall = .95, .radius = radius});
        print_message("radius %.1f: recall %.4f\n", (double)radius, got);
        assert_true(got >= .935);
    }
    close_rig(rig);
    ann_set_free(&set);
}

static void answer_all(const struct rig *rig, struct cf_ann_query query, unsigned threads,
                       struct cf_ann_hit *hits, size_t *counts)
{
    bool exact;

    memset(hits, 0, rig->queries->count * query.k * sizeof *hits);
    assert_int_equal(cf_ann_search_batch(rig->ann, &query, rig->queries->vectors, rig->queries->count,
                                         threads, hits, counts, &exact, NULL),
                     CF_OK);
}

/* One by one, in a batch by any number of threads, at every SIMD level: the same. */
static void all_ways_agree(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 6300, 70, 0, 1, 15), queries = split(&set, QUERIES);
    struct rig *rig = open_rig(&set, &queries);
    enum cf_simd machine = cf_cpu_simd();
    enum { K = 20 };
    struct cf_ann_query query = {.k = K, .recall = .9};
    struct cf_ann_hit *expected = calloc(QUERIES * K, sizeof *expected),
                      *got = calloc(QUERIES * K, sizeof *got);
    size_t *expected_counts = calloc(QUERIES, sizeof *expected_counts),
           *counts = calloc(QUERIES, sizeof *counts);

    assert_true(expected && got && expected_counts && counts);
    for (size_t q = 0; q < QUERIES; q++) {
        bool exact;
        query.vector = queries.vectors + q * 70;
        assert_int_equal(cf_ann_search(rig->ann, rig->searcher, &query, expected + q * K, &expected_counts[q],
                                       &exact, NULL),
                         CF_OK);
        assert_false(exact);
    }
    for (unsigned threads = 1; threads <= 3; threads++)
        for (int simd = CF_SIMD_SCALAR; simd <= (int)machine; simd++) {
            cf_cpu_simd_limit((enum cf_simd)simd);
            answer_all(rig, query, threads, got, counts);
            cf_cpu_simd_limit(machine);
            assert_memory_equal(expected, got, QUERIES * K * sizeof *got);
            assert_memory_equal(expected_counts, counts, QUERIES * sizeof *counts);
        }
    free(expected);
    free(got);
    free(expected_counts);
    free(counts);
    close_rig(rig);
    ann_set_free(&set);
}

static void a_batch_tells_its_first_failure(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 200, 4, 0, 1, 15), queries = split(&set, 100);
    struct rig *rig = open_rig(&set, &queries);
    struct cf_ann_hit hits[100];
    struct cf_detail detail = {""};
    size_t counts[100];
    bool exact;

    queries.vectors[70 * 4 + 3] = NAN;
    queries.vectors[40 * 4 + 1] = INFINITY;
    assert_int_equal(cf_ann_search_batch(rig->ann, &(struct cf_ann_query){.k = 1, .recall = .9},
                                         queries.vectors, 100, 3, hits, counts, &exact, &detail),
                     CF_E_BAD_VECTOR);
    assert_non_null(strstr(detail.text, "value 1 "));
    close_rig(rig);
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
        cmocka_unit_test(random_vectors),
        cmocka_unit_test(clustered_vectors),
        cmocka_unit_test(leaves_in_groups),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(one_cover_again_and_again),
        cmocka_unit_test(few_calibrate_it),
        cmocka_unit_test(learned_by_another),
        cmocka_unit_test(learned_by_another_far_away),
        cmocka_unit_test(a_little_beyond),
        cmocka_unit_test(far_off),
        cmocka_unit_test(one_far_from_all),
        cmocka_unit_test(scales_mixed),
        cmocka_unit_test(new_among_copies),
        cmocka_unit_test(filters),
        cmocka_unit_test(radii),
        cmocka_unit_test(all_ways_agree),
        cmocka_unit_test(a_batch_tells_its_first_failure),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
