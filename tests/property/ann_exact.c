/* Against the naive scan, over odd shapes: where the vectors themselves are given, exact answers are the same
 * items in the same order with the same distances; by rows alone, they are as near as rows tell. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/cpu.h"
#include "tests/unit/ann_fixture.h"

enum { K_MAX = 400 };

struct naive {
    struct cf_ann_hit hits[K_MAX];
    size_t count;
};

static double distance_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

static int compare_hits(const void *a, const void *b)
{
    const struct cf_ann_hit *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return (x->item > y->item) - (x->item < y->item);
}

/* All items that `query` (but for its recall) asks for, nearest first. */
static void search_naively(const struct ann_set *set, const struct cf_ann_query *query, struct naive *out)
{
    out->count = 0;
    for (size_t i = 0; i < set->count; i++) {
        double distance = distance_of(query->vector, set->vectors + i * set->dim, set->dim);
        if ((query->radius > 0 && distance > (double)query->radius) ||
            (query->keep && !query->keep(query->keep_arg, i)))
            continue;
        out->hits[out->count++] = (struct cf_ann_hit){i, (float)fmin(distance, (double)FLT_MAX)};
    }
    qsort(out->hits, out->count, sizeof *out->hits, compare_hits);
    out->count = out->count < query->k ? out->count : query->k;
}

static enum cf_err give_full(void *arg, uint64_t item, float *out, struct cf_detail *detail)
{
    const struct ann_set *set = arg;

    (void)detail;
    memcpy(out, set->vectors + item * set->dim, set->dim * sizeof *out);
    return CF_OK;
}

static void assert_certain(const struct cf_ann *ann, struct ann_set *set, struct cf_ann_query query,
                           struct cf_ann_searcher *searcher)
{
    static struct cf_ann_hit hits[K_MAX];
    static struct naive naive;
    size_t count = 77;
    bool exact = false;

    query.exact = true;
    query.full = give_full;
    query.full_arg = set;
    search_naively(set, &query, &naive);
    assert_int_equal(cf_ann_search(ann, searcher, &query, hits, &count, &exact, NULL), CF_OK);
    assert_true(exact);
    assert_int_equal(count, naive.count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(hits[i].item, naive.hits[i].item);
        assert_true(hits[i].distance == naive.hits[i].distance);
    }
}

/* Distances are those to the vectors that the file keeps, and no farther than a slack beyond the true ones.
 */
static void assert_by_rows(const struct cf_ann *ann, const struct ann_set *set, struct cf_ann_query query,
                           struct cf_ann_searcher *searcher)
{
    static struct cf_ann_hit hits[K_MAX];
    static struct naive naive;
    float *kept = calloc(set->dim, sizeof *kept);
    size_t count = 77;
    bool exact = true;

    assert_non_null(kept);
    search_naively(set, &query, &naive);
    assert_int_equal(cf_ann_search(ann, searcher, &query, hits, &count, &exact, NULL), CF_OK);
    assert_int_equal(count, naive.count);
    assert_true(!exact || count == 0);
    for (size_t i = 0; i < count; i++) {
        double slack = (double)cf_ann_vector(ann, hits[i].item, kept), found = (double)hits[i].distance;
        double rows = distance_of(query.vector, kept, set->dim),
               size = distance_of(query.vector, set->vectors, set->dim);
        assert_true(fabs(found - rows) <= slack / 4 + 1e-3 * (found + size));
        assert_true(i == 0 || hits[i - 1].distance <= hits[i].distance);
    }
    free(kept);
}

static void check_items(const struct cf_ann *ann, const struct ann_set *set)
{
    float *vector = calloc(set->dim, sizeof *vector);

    assert_non_null(vector);
    for (size_t i = 0; i < set->count; i++) {
        assert_int_equal(cf_ann_find(ann, ann_set_id(set, i)), i);
        assert_true(cf_bytes_equal(cf_ann_id(ann, i), ann_set_id(set, i)));
        struct cf_bytes tag = {set->tags + i * set->tag_bytes, set->tag_bytes};
        assert_true(cf_bytes_equal(cf_ann_tag(ann, i), tag));
        double slack = (double)cf_ann_vector(ann, i, vector);
        assert_true(distance_of(vector, set->vectors + i * set->dim, set->dim) <= slack);
    }
    assert_int_equal(cf_ann_find(ann, (struct cf_bytes){(const uint8_t *)"absent", 6}), CF_ANN_NONE);
    assert_int_equal(cf_ann_find(ann, (struct cf_bytes){NULL, 0}), CF_ANN_NONE);
    free(vector);
}

static bool keeps_thirds(void *arg, uint64_t item)
{
    (void)arg;
    return item % 3 == 1;
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
        for (size_t q = 0; q < 3; q++) {
            struct cf_ann_query query = {.vector = queries.vectors + q * dim, .k = ks[i], .recall = 1};
            assert_certain(ann, &set, query, searcher);
            assert_by_rows(ann, &set, query, searcher);
            query.keep = keeps_thirds;
            assert_certain(ann, &set, query, searcher);
        }
    for (size_t i = 0; i < count; i += 1 + count / 4) {
        struct cf_ann_query query = {.vector = set.vectors + i * dim, .k = 10, .recall = 1};
        assert_certain(ann, &set, query, searcher);
        query.radius = (float)(scale * sqrt(dim));
        assert_certain(ann, &set, query, searcher);
    }
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

/* The squares of 1e-20 vanish in single precision and those of 1e30 overflow. */
static void extreme_scales(void **state)
{
    (void)state;
    const double scales[] = {1e-40, 1e-30, 1e-20, 1e-9, 1e9, 1e18, 1e30, 1e37};

    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
        check_shape(ANN_RANDOM, 200, 24, scales[s], 4);
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

    assert_certain(ann, &set, asked, searcher);
    assert_by_rows(ann, &set, asked, searcher);
    cf_ann_searcher_free(searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
}

/* Sixteen bits a dimension tell more than the integers of a query: what is near is measured again. */
static void a_vector_lies_on_its_own_row(void **state)
{
    (void)state;
    const uint32_t dims[] = {40, 128, 256};

    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++) {
        struct ann_set set = ann_set_make(ANN_CLUSTERED, 3000, dims[d], 0, 1, 21);
        struct cf_ann *ann = ann_build_open(ann_path("own"), &set, 1, 1);
        struct cf_ann_searcher *searcher = cf_ann_searcher_new();
        float kept[256];
        for (size_t i = 0; i < set.count; i += 97) {
            struct cf_ann_query query = {
                .vector = set.vectors + i * set.dim, .k = 1, .recall = i % 2 ? .95 : 1};
            struct cf_ann_hit hit;
            size_t count;
            bool exact;
            assert_int_equal(cf_ann_search(ann, searcher, &query, &hit, &count, &exact, NULL), CF_OK);
            if (hit.item == i)
                assert_true((double)hit.distance <= (double)cf_ann_vector(ann, i, kept) * (1 + 1e-6));
        }
        cf_ann_searcher_free(searcher);
        cf_ann_free(ann);
        ann_set_free(&set);
    }
}

static enum cf_err fail_full(void *arg, uint64_t item, float *out, struct cf_detail *detail)
{
    (void)arg;
    (void)out;
    return cf_fail(detail, CF_E_IO, "item %llu cannot be read", (unsigned long long)item);
}

static void refusals(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 50, 8, 0, 1, 9);
    struct cf_ann *ann = ann_build_open(ann_path("refusals"), &set, 1, 1);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    float bad[8] = {0, 0, 0, NAN};
    const struct {
        struct cf_ann_query query;
        enum cf_err err;
    } cases[] = {
        {{.vector = set.vectors, .k = 0, .recall = .9}, CF_E_BAD_K},
        {{.vector = set.vectors, .k = 1, .recall = 1.1}, CF_E_INVALID},
        {{.vector = set.vectors, .k = 1, .recall = (double)NAN}, CF_E_INVALID},
        {{.vector = set.vectors, .k = 1, .radius = -1}, CF_E_INVALID},
        {{.vector = set.vectors, .k = 1, .radius = NAN}, CF_E_INVALID},
        {{.vector = bad, .k = 1}, CF_E_BAD_VECTOR},
        {{.vector = set.vectors, .k = 1, .exact = true, .full = fail_full}, CF_E_IO},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cf_ann_hit hit;
        size_t count = 77;
        bool exact;
        struct cf_detail detail = {""};
        assert_int_equal(cf_ann_search(ann, searcher, &cases[i].query, &hit, &count, &exact, &detail),
                         cases[i].err);
        assert_int_equal(count, 77);
        assert_true(detail.text[0] != 0);
    }
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
        cmocka_unit_test(kernels_agree),   cmocka_unit_test(odd_counts),
        cmocka_unit_test(every_dimension), cmocka_unit_test(extreme_scales),
        cmocka_unit_test(far_query),       cmocka_unit_test(a_vector_lies_on_its_own_row),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
