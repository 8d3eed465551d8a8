/* The parts of the comparison bench that could flatter somebody: truth, recall, interpolation, the reader of
 * archives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "tests/bench/ann/curve.h"
#include "tests/bench/ann/measure.h"
#include "tests/bench/ann/pictures.h"
#include "tests/bench/ann/truth.h"

static struct bench_floats random_floats(size_t count, uint32_t dim, uint64_t seed)
{
    struct bench_floats floats = bench_floats_new(count, dim);
    struct cf_rng rng = cf_rng(seed);
    for (size_t i = 0; i < count * dim; i++)
        floats.values[i] = (float)(cf_rng_unit(&rng) - .5);
    return floats;
}

/* ---- truth ---- */

/* How many vectors are nearer than `item`, or as near with a smaller number: its rank. */
static size_t rank_of(const struct bench_floats *base, const float *query, int32_t item)
{
    double own = bench_distance2(query, base->values + (size_t)item * base->dim, base->dim);
    size_t rank = 0;
    for (size_t i = 0; i < base->count; i++) {
        double other = bench_distance2(query, base->values + i * base->dim, base->dim);
        rank += other < own || (other <= own && (int32_t)i < item);
    }
    return rank;
}

static void check_truth(const struct bench_floats *base, const struct bench_floats *queries, uint32_t k,
                        unsigned threads)
{
    struct bench_ints truth = bench_truth(base, queries, k, threads);
    assert_int_equal(truth.count, queries->count);
    assert_int_equal(truth.dim, k < base->count ? k : base->count);
    for (size_t q = 0; q < queries->count; q++)
        for (uint32_t i = 0; i < truth.dim; i++)
            assert_int_equal(rank_of(base, queries->values + q * base->dim, truth.values[q * truth.dim + i]),
                             i);
    bench_ints_fini(&truth);
}

static void the_truth_is_the_ranking_by_distance(void **state)
{
    static const struct {
        size_t count, queries;
        uint32_t dim, k;
        unsigned threads;
    } cases[] = {{1, 1, 1, 1, 1},    {5, 3, 3, 10, 1},     {33, 31, 16, 10, 2},  {64, 32, 17, 7, 2},
                 {65, 33, 15, 4, 3}, {200, 70, 31, 20, 2}, {300, 5, 64, 100, 1}, {150, 40, 33, 150, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench_floats base = random_floats(cases[i].count, cases[i].dim, 10 + i);
        struct bench_floats queries = random_floats(cases[i].queries, cases[i].dim, 100 + i);
        check_truth(&base, &queries, cases[i].k, cases[i].threads);
        bench_floats_fini(&base);
        bench_floats_fini(&queries);
    }
}

/* Copies of a vector come by number, up to the margin of the scan. */
static void equal_vectors_come_by_number(void **state)
{
    struct bench_floats base = random_floats(90, 24, 5), queries = random_floats(4, 24, 6);
    (void)state;
    for (size_t i = 0; i < base.count; i++) /* 15 copies of six vectors */
        memmove(base.values + i * 24, base.values + i % 6 * 24, 24 * sizeof(float));
    check_truth(&base, &queries, 12, 2);
    bench_floats_fini(&base);
    bench_floats_fini(&queries);
}

/* Distances that differ by less than single precision tells: the margin and double precision put them right.
 */
static void vectors_nearly_as_far_are_told_apart(void **state)
{
    struct bench_floats base = bench_floats_new(40, 64), queries = bench_floats_new(1, 64);
    (void)state;
    for (size_t i = 0; i < 40; i++)
        for (uint32_t j = 0; j < 64; j++)
            base.values[i * 64 + j] = j > 0 ? 1 : (float)(1e-5 * (double)(i * 7 % 40));
    check_truth(&base, &queries, 12, 1);
    bench_floats_fini(&base);
    bench_floats_fini(&queries);
}

/* ---- recall ---- */

/* Numbers on a line: the query is at 0, vector i at i, but 5 and 6 at the same place, 5. */
static struct bench_floats line(void)
{
    struct bench_floats base = bench_floats_new(20, 1);
    for (size_t i = 0; i < 20; i++)
        base.values[i] = (float)i;
    base.values[6] = 5;
    return base;
}

static void recall_counts_what_was_found(void **state)
{
    static const int32_t truth[] = {0, 1, 2, 3, 4, 5, 6};
    static const struct {
        size_t k, count, found;
        int32_t answer[8];
    } cases[] = {
        {3, 3, 3, {2, 0, 1}},             /* the order does not matter */
        {3, 3, 2, {0, 1, 3}},             /* too far */
        {3, 2, 2, {0, 1}},                /* too few */
        {3, 0, 0, {0}},                   /* none */
        {3, 3, 1, {1, 1, 1}},             /* the same again counts once */
        {3, 3, 1, {-1, 20, 0}},           /* no numbers of the base */
        {6, 6, 6, {0, 1, 2, 3, 4, 6}},    /* as near as the last true one */
        {6, 7, 6, {0, 1, 2, 3, 4, 5, 6}}, /* never more than k */
        {5, 5, 4, {0, 1, 2, 3, 6}},
    };
    struct bench_floats base = line();
    float query = 0;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(bench_found(&base, &query, truth, cases[i].k, cases[i].answer, cases[i].count),
                         cases[i].found);
    bench_floats_fini(&base);
}

/* ---- curves ---- */

static void a_front_leaves_out_what_another_beats(void **state)
{
    struct bench_point points[] = {{.9, 100}, {.5, 900}, {.7, 90}, {.95, 120},
                                   {.99, 10}, {.99, 12}, {.6, 900}};
    (void)state;
    size_t count = bench_front(points, 7);
    assert_int_equal(count, 3);
    assert_true(points[0].recall == .6 && points[1].recall == .95 && points[2].recall == .99);
    assert_true(points[0].qps == 900 && points[1].qps == 120 && points[2].qps == 12);
    assert_int_equal(bench_front(points, 0), 0);
}

static void near(double got, double wanted)
{
    if (!(fabs(got - wanted) <= 1e-6 * fabs(wanted)))
        fail_msg("%.9g, not %.9g", got, wanted);
}

static void queries_a_second_are_interpolated_between_points(void **state)
{
    static const struct bench_point front[] = {{.9, 1000}, {.99, 100}, {1, 10}};
    (void)state;
    near(bench_qps_at(front, 3, .5), 1000);
    near(bench_qps_at(front, 3, .9), 1000);
    near(bench_qps_at(front, 3, .99), 100);
    near(bench_qps_at(front, 3, 1), 10);
    near(bench_qps_at(front, 3, 1 - sqrt(.1 * .01)), sqrt(1000 * 100.)); /* halfway in both logarithms */
    assert_true(isnan(bench_qps_at(front, 2, .991)));
    assert_true(isnan(bench_qps_at(front, 0, .5)));
}

static void middles_and_ranks(void **state)
{
    double odd[] = {5, 1, 3}, even[] = {4, 1, 2, 3}, hundred[100];
    (void)state;
    near(bench_median(odd, 3), 3);
    near(bench_median(even, 4), 2.5);
    assert_true(isnan(bench_median(odd, 0)) && isnan(bench_quantile(odd, 0, .5)));
    for (int i = 0; i < 100; i++)
        hundred[i] = i + 1;
    near(bench_quantile(hundred, 100, .5), 50);
    near(bench_quantile(hundred, 100, .99), 99);
    near(bench_quantile(hundred, 100, 1), 100);
    near(bench_quantile(hundred, 100, 0), 1);
    near(bench_quantile(hundred, 1, .99), 1);
}

/* ---- a contestant whose answers are known ---- */

struct fake {
    size_t right; /* of every answer so many are true neighbours */
};

static struct bench_task *fake_task;

static void *fake_build(const struct peer *peer, const struct peer_work *work,
                        char sentence[PEER_SENTENCE_BYTES])
{
    struct fake *fake = bench_alloc(1, sizeof *fake);
    (void)peer;
    (void)work;
    (void)sentence;
    return fake;
}

static void fake_set(void *index, const struct peer_knob *knob)
{
    ((struct fake *)index)->right = (size_t)knob->first;
}

/* The truth of the query with that vector, all but some of it replaced by what does not exist. */
static size_t fake_search(void *index, unsigned thread, const float *query, uint32_t k, int32_t *items)
{
    const struct fake *fake = index;
    assert_true(thread < 2);
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++)
        for (size_t q = 0; q < fake_task->queries[kind].count; q++)
            if (query == fake_task->queries[kind].values + q * fake_task->queries[kind].dim)
                for (uint32_t i = 0; i < k; i++)
                    items[i] = i < fake->right
                                   ? fake_task->truths[kind].values[q * fake_task->truths[kind].dim + i]
                                   : -1;
    return k;
}

static double fake_bytes(void *index)
{
    (void)index;
    return 400;
}

static void check_sweep(const struct peer *peer, const struct bench_limits *limits)
{
    struct bench_contestant *contestant = bench_alloc(1, sizeof *contestant);
    contestant->peer = peer;
    bench_build(contestant, fake_task, limits);
    assert_true(contestant->built);
    near(contestant->bytes_per_vector, 4);
    bench_measure(contestant, 1, fake_task, limits);
    for (size_t i = 0; i < peer->knob_count; i++) {
        const struct bench_result *result = &contestant->results[i];
        assert_int_equal(result->queries, 120);
        near(result->recall, peer->knobs[i].first / 10);
        near(result->recall_of[BENCH_HELD], peer->knobs[i].first / 10);
        near(result->recall_of[BENCH_PERT], peer->knobs[i].first / 10);
        assert_true(result->qps[BENCH_ALONE] > 0 && result->qps[BENCH_TOGETHER] > 0);
        assert_true(result->p50_us >= 0 && result->p50_us <= result->p99_us);
    }
    assert_ptr_equal(bench_result_for(contestant, .95), &contestant->results[2]);
    assert_true(bench_result_at(contestant, BENCH_ALONE, .95) > 0);
    free(contestant);
}

static void a_sweep_finds_the_recall_of_each_setting(void **state)
{
    static const struct peer_knob knobs[] = {{5, 0}, {9, 0}, {10, 0}};
    static const struct peer peer = {.name = "fake",
                                     .knobs = knobs,
                                     .knob_count = 3,
                                     .build = fake_build,
                                     .set = fake_set,
                                     .search = fake_search,
                                     .bytes = fake_bytes,
                                     .free = free};
    struct bench_limits limits = {.threads = 2, .rounds = 3, .point_seconds = 5, .build_seconds = 5};
    struct bench_task task = {.space = "fake", .base = random_floats(100, 8, 1)};
    (void)state;
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++) {
        task.queries[kind] = random_floats(60, 8, 2 + (uint64_t)kind);
        task.truths[kind] = bench_truth(&task.base, &task.queries[kind], 20, 2);
    }
    bench_task_settle(&task);
    fake_task = &task;
    check_sweep(&peer, &limits);
    limits.processor_time = true;
    check_sweep(&peer, &limits);
    bench_task_fini(&task);
}

/* ---- archives ---- */

struct tar {
    uint8_t bytes[16 * 512];
    size_t len;
};

static void add_entry(struct tar *tar, const char *name, char type, const char *content)
{
    char *header = (char *)tar->bytes + tar->len;
    unsigned sum = 0;
    size_t size = strlen(content);
    snprintf(header, 100, "%s", name);
    snprintf(header + 124, 12, "%011o", (unsigned)size % 4096);
    memcpy(header + 257, "ustar", 6);
    memset(header + 148, ' ', 8);
    header[156] = type;
    for (int i = 0; i < 512; i++)
        sum += (uint8_t)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    memcpy(header + 512, content, size);
    tar->len += 512 + (size + 511) / 512 * 512;
}

static enum cf_err join(void *arg, struct cf_bytes file, struct cf_detail *detail)
{
    char *text = arg;
    (void)detail;
    strncat(text, (const char *)file.data, file.len);
    strcat(text, ";");
    return CF_OK;
}

static enum cf_err walk(const struct tar *tar, size_t len, char text[256])
{
    struct cf_detail detail;
    text[0] = '\0';
    return bench_tar_walk((struct cf_bytes){tar->bytes, len}, "some.tar", join, text, &detail);
}

static void an_archive_gives_its_regular_files(void **state)
{
    struct tar tar = {.len = 0};
    char text[256];
    (void)state;
    add_entry(&tar, "a/", '5', "");
    add_entry(&tar, "a/one", '0', "first");
    add_entry(&tar, "a/.hidden", '0', "no");
    add_entry(&tar, "long name", 'L', "not a file");
    add_entry(&tar, "two", '\0', "second");
    add_entry(&tar, "empty", '0', "");
    assert_int_equal(walk(&tar, tar.len + 1024, text), CF_OK);
    assert_string_equal(text, "first;second;");
    assert_int_equal(walk(&tar, tar.len, text), CF_OK); /* no blocks of zeros at its end */
    assert_int_equal(walk(&tar, 0, text), CF_OK);
}

static void a_damaged_archive_is_refused(void **state)
{
    struct tar tar = {.len = 0};
    char text[256];
    (void)state;
    add_entry(&tar, "one", '0', "first");
    assert_int_equal(walk(&tar, 512, text), CF_E_CORRUPT); /* ends within the file */
    tar.bytes[0] ^= 1;
    assert_int_equal(walk(&tar, tar.len, text), CF_E_CORRUPT);
}

static struct bench_pictures list_of(const char *const *contents, size_t count, uint64_t seed)
{
    struct bench_pictures pictures = {0};
    struct tar tar = {.len = 0};
    char path[] = "/tmp/ann-bench-XXXXXX", name[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%zu", i);
        add_entry(&tar, name, '0', contents[i]);
    }
    FILE *file = fdopen(mkstemp(path), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(tar.bytes, 1, tar.len, file), tar.len);
    fclose(file);
    assert_int_equal(bench_pictures_add(&pictures, path, NULL), CF_OK);
    remove(path);
    bench_pictures_settle(&pictures, seed);
    return pictures;
}

static void contents_are_kept_once_in_an_order_of_their_own(void **state)
{
    static const char *const one[] = {"x", "y", "x", "z"}, *const other[] = {"z", "y", "y", "x"};
    struct bench_pictures a = list_of(one, 4, 1), b = list_of(other, 4, 1);
    (void)state;
    assert_int_equal(a.count, 3);
    assert_int_equal(b.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(a.items[i].file.data, b.items[i].file.data, 1);
    bench_pictures_fini(&a);
    bench_pictures_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_truth_is_the_ranking_by_distance),
        cmocka_unit_test(equal_vectors_come_by_number),
        cmocka_unit_test(vectors_nearly_as_far_are_told_apart),
        cmocka_unit_test(recall_counts_what_was_found),
        cmocka_unit_test(a_front_leaves_out_what_another_beats),
        cmocka_unit_test(queries_a_second_are_interpolated_between_points),
        cmocka_unit_test(middles_and_ranks),
        cmocka_unit_test(a_sweep_finds_the_recall_of_each_setting),
        cmocka_unit_test(an_archive_gives_its_regular_files),
        cmocka_unit_test(a_damaged_archive_is_refused),
        cmocka_unit_test(contents_are_kept_once_in_an_order_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
