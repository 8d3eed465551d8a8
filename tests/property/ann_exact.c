/* Against the naive scan, over odd shapes: exact answers are the same items in the same order with the same
 * distances. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/cpu.h"
#include "tests/unit/ann_fixture.h"

enum { K_MAX = 400 };

static void check_hits(const struct cf_ann *ann, const struct ann_set *set, const struct cf_ann_hit *hits,
                       size_t count, const size_t *best, const float *squared)
{
    for (size_t i = 0; i < count; i++) {
        assert_float_equal(hits[i].distance, sqrtf(squared[i]), 0);
        struct cf_bytes id = cf_ann_id(ann, hits[i].item), expected = ann_set_id(set, best[i]);
        /* Distances that differ before the root and not after it go by id: then only the distance is
         * compared. */
        bool tie = (i > 0 && hits[i - 1].distance == hits[i].distance) ||
                   (i + 1 < count && hits[i + 1].distance == hits[i].distance);
        if (!tie)
            assert_true(cf_bytes_equal(id, expected));
        else if (i > 0 && hits[i - 1].distance == hits[i].distance)
            assert_true(strncmp((const char *)cf_ann_id(ann, hits[i - 1].item).data, (const char *)id.data,
                                id.len) <= 0);
    }
}

static void check_search(const struct cf_ann *ann, const struct ann_set *set, const float *query, uint32_t k,
                         bool exact_asked, struct cf_ann_searcher *searcher)
{
    static struct cf_ann_hit hits[K_MAX];
    static size_t best[K_MAX];
    static float squared[K_MAX];
    struct cf_ann_query asked = {.vector = query, .k = k, .recall = 1, .exact = exact_asked};
    size_t count = 77, expected = ann_naive(set, query, k, best, squared);
    bool exact = false;

    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_OK);
    assert_int_equal(count, expected);
    assert_true(exact);
    check_hits(ann, set, hits, count, best, squared);
}

static void check_items(const struct cf_ann *ann, const struct ann_set *set)
{
    float *vector = calloc(set->dim, sizeof *vector);

    assert_non_null(vector);
    for (size_t i = 0; i < set->count; i++) {
        int64_t item = cf_ann_find(ann, ann_set_id(set, i));
        assert_in_range(item, 0, set->count - 1);
        assert_true(cf_bytes_equal(cf_ann_id(ann, (uint64_t)item), ann_set_id(set, i)));
        struct cf_bytes tag = {set->tags + i * set->tag_bytes, set->tag_bytes};
        assert_true(cf_bytes_equal(cf_ann_tag(ann, (uint64_t)item), tag));
        cf_ann_vector(ann, (uint64_t)item, vector);
        assert_memory_equal(vector, set->vectors + i * set->dim, set->dim * sizeof *vector);
    }
    assert_int_equal(cf_ann_find(ann, (struct cf_bytes){(const uint8_t *)"absent", 6}), CF_ANN_NONE);
    assert_int_equal(cf_ann_find(ann, (struct cf_bytes){NULL, 0}), CF_ANN_NONE);
    free(vector);
}

static void check_shape(enum ann_kind kind, size_t count, uint32_t dim, double scale, uint64_t seed)
{
    struct ann_set set = ann_set_make(kind, count, dim, (uint32_t)(seed % 9), scale, seed);
    struct ann_set queries = ann_set_make(ANN_RANDOM, 3, dim, 0, scale, seed + 1);
    struct cf_ann *ann = ann_build_open(ann_path("exact"), &set, 1 + (unsigned)(seed % 3), seed);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    const uint32_t ks[] = {1, 10, (uint32_t)count + 5};

    assert_non_null(searcher);
    assert_int_equal(cf_ann_verify(ann, NULL), CF_OK);
    assert_int_equal(cf_ann_info(ann).count, count);
    check_items(ann, &set);
    for (size_t i = 0; i < 3; i++)
        for (size_t q = 0; q < 3; q++)
            check_search(ann, &set, queries.vectors + q * dim, ks[i], q == 0, searcher);
    for (size_t i = 0; i < count; i += 1 + count / 4)
        check_search(ann, &set, set.vectors + i * dim, 10, true, searcher);
    cf_ann_searcher_free(searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
    ann_set_free(&queries);
}

static void odd_counts(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 300; count += count < 12 ? 1 : 1 + count / 6)
        for (int kind = 0; kind < ANN_KINDS; kind++)
            check_shape((enum ann_kind)kind, count, 1 + (uint32_t)(count * 7 + (size_t)kind) % 70, 1,
                        count + 1);
}

static void every_dimension(void **state)
{
    (void)state;
    for (uint32_t dim = 1; dim <= 70; dim++)
        check_shape(ANN_CLUSTERED, 150, dim, 1, dim);
    check_shape(ANN_CLUSTERED, 20, CF_ANN_DIM_MAX, 1, 5);
}

/* The squares of 1e-20 vanish in single precision and those of 1e30 overflow: here the naive scan is in
 * doubles. */
static void extreme_scales(void **state)
{
    (void)state;
    const double scales[] = {1e-40, 1e-30, 1e-20, 1e-9, 1e9, 1e18, 1e30, 1e37};
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        struct ann_set unit = ann_set_make(ANN_RANDOM, 200, 24, 0, 1, 4);
        struct ann_set set = ann_set_make(ANN_RANDOM, 200, 24, 0, scales[s], 4);
        struct cf_ann *ann = ann_build_open(ann_path("scaled"), &set, 1, 1);
        struct cf_ann_searcher *searcher = cf_ann_searcher_new();
        size_t best[5];
        float squared[5];
        for (size_t q = 0; q < 20; q++) {
            struct cf_ann_query asked = {.vector = set.vectors + q * 24, .k = 5, .exact = true};
            struct cf_ann_hit hits[5];
            size_t count;
            bool exact;
            assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_OK);
            assert_int_equal(ann_naive(&unit, unit.vectors + q * 24, 5, best, squared), count);
            for (size_t i = 0; i < count; i++) {
                double truth = sqrt((double)squared[i]) * scales[s], slack = truth * 1e-4 + 2e-44;
                assert_true(fabs((double)hits[i].distance - truth) <= slack);
                if (scales[s] > 1e-38) /* subnormals have few digits left to order by */
                    assert_true(cf_bytes_equal(cf_ann_id(ann, hits[i].item), ann_set_id(&set, best[i])));
            }
        }
        cf_ann_searcher_free(searcher);
        cf_ann_free(ann);
        ann_set_free(&set);
        ann_set_free(&unit);
    }
}

/* A query that no float square can hold still finds the nearest in the right order. */
static void far_query(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 50, 3, 0, 1e20, 9);
    struct cf_ann *ann = ann_build_open(ann_path("far"), &set, 1, 1);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    float query[3] = {3e38f, 0, 0};
    struct cf_ann_query asked = {.vector = query, .k = 50, .recall = .5};
    struct cf_ann_hit hits[50];
    size_t count;
    bool exact;

    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_OK);
    assert_int_equal(count, 50);
    assert_true(exact);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)hits[i].distance / 3e38 - 1) < 1e-6);
    cf_ann_searcher_free(searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
}

static void kernels_agree(void **state)
{
    (void)state;
    enum cf_simd machine = cf_cpu_simd();
    struct ann_set set = ann_set_make(ANN_RANDOM, 300, 140, 0, 1, 3);

    for (uint32_t dim = 1; dim <= 140; dim++)
        for (size_t shift = 0; shift < 3; shift++) {
            const float *query = set.vectors + shift, *rows = set.vectors + 140 + 2 * shift;
            float scalar[9], other[9];
            cf_cpu_simd_limit(CF_SIMD_SCALAR);
            cf_ann_distances(query, rows, 9, dim, scalar);
            for (int level = CF_SIMD_AVX2; level <= (int)machine; level++) {
                cf_cpu_simd_limit((enum cf_simd)level);
                cf_ann_distances(query, rows, 9, dim, other);
                assert_memory_equal(scalar, other, sizeof scalar);
            }
            for (size_t i = 0; i < 9; i++) {
                double truth = 0, d;
                for (uint32_t j = 0; j < dim; j++) {
                    d = (double)query[j] - (double)rows[i * dim + j];
                    truth += d * d;
                }
                assert_true(fabs((double)scalar[i] - truth) <= truth * (dim + 2) * 0x1p-23 + 1e-30);
            }
        }
    cf_cpu_simd_limit(machine);
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
        cmocka_unit_test(kernels_agree),  cmocka_unit_test(odd_counts), cmocka_unit_test(every_dimension),
        cmocka_unit_test(extreme_scales), cmocka_unit_test(far_query),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
