/* The parts of the engine against naive models: the table of ids, the tail's rows, the k nearest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/ann/ann.h"
#include "common/base/rng.h"
#include "workers/query/hidden.h"
#include "workers/query/nearest.h"
#include "workers/query/sketch.h"
#include "workers/query/tail.h"

enum { IDS = 1000, DIM = 3, STEPS = 1501 };

static char ids[IDS][16];

static struct cf_str id_of(size_t i)
{
    snprintf(ids[i], sizeof ids[i], "id-%zu", i);
    return cf_str(ids[i]);
}

struct tail_model {
    bool there, row;
    uint64_t seq;
};

static struct cf_tail_entry entry_of(size_t i, uint64_t seq, const void *row, bool forgotten)
{
    return (struct cf_tail_entry){
        .album = {.id = id_of(i), .version = {1, seq}, .log_seq = seq}, .row = row, .forgotten = forgotten};
}

static void assert_tail_is(const struct cf_tail *tail, const struct tail_model *model)
{
    size_t rows = 0, count = 0, walked = 0;
    for (size_t i = 0; i < IDS; i++) {
        const struct cf_tail_entry *entry = cf_tail_find(tail, id_of(i));
        assert_int_equal(entry != NULL, model[i].there);
        if (!entry)
            continue;
        count++;
        rows += model[i].row;
        assert_int_equal(entry->album.version.seq, model[i].seq);
        assert_int_equal(entry->row != NULL, model[i].row);
        float vector[DIM];
        if (!entry->row)
            continue;
        assert_int_equal((uintptr_t)entry->row % 64, 0);
        cf_ann_row_decode(entry->row, DIM, vector);
        assert_true(fabsf(vector[0] - (float)i) < 0.1f * IDS &&
                    fabsf(vector[1] - (float)(model[i].seq % IDS)) < 0.1f * IDS);
    }
    assert_int_equal(tail->row_count, rows);
    assert_int_equal(tail->entry_count, count);
    struct cf_tail_place place = {0, 0};
    for (const struct cf_tail_entry *entry; (entry = cf_tail_next(tail, &place));)
        walked++;
    assert_int_equal(walked, count);
}

/* Every row of every run belongs to an entry, and each album that the tail speaks of has one word only. */
static void assert_rows_are_owned(const struct cf_tail *tail)
{
    size_t live = 0;
    for (size_t r = 0; r < tail->run_count; r++)
        for (size_t row = 0; row < tail->runs[r]->row_count; row++) {
            const struct cf_tail_entry *owner = tail->runs[r]->owners[row];
            live +=
                owner->row == tail->runs[r]->rows + row * tail->row_bytes && cf_tail_is_newest(tail, owner);
        }
    assert_int_equal(live, tail->row_count);
}

/* One batch: some albums twice, the last word counts. */
static void put_batch(struct cf_tail *tail, struct tail_model *model, struct cf_rng *rng, uint64_t *seq)
{
    enum { BATCH_MAX = 40 };
    static _Alignas(64) uint8_t rows[BATCH_MAX][2 * 64];
    struct cf_tail_entry entries[BATCH_MAX];
    size_t count = (size_t)cf_rng_below(rng, BATCH_MAX + 1), among = cf_rng_below(rng, 4) ? IDS : 15;
    assert_true(cf_ann_row_bytes(DIM) <= sizeof rows[0]);
    for (size_t n = 0; n < count; n++) {
        size_t i = (size_t)cf_rng_below(rng, among);
        bool forget = cf_rng_below(rng, 3) == 0, row = !forget && cf_rng_below(rng, 4) != 0;
        float vector[DIM] = {(float)i, (float)(++*seq % IDS), 7};
        assert_int_equal(cf_ann_row_encode(vector, DIM, rows[n], NULL), CF_OK);
        entries[n] = entry_of(i, *seq, row ? rows[n] : NULL, forget);
        model[i] = (struct tail_model){!forget, row, *seq};
    }
    assert_int_equal(cf_tail_put(tail, entries, count), CF_OK);
}

/* Runs are merged behind the back of whoever shares them: an old list says what it said. */
static void tail_agrees_with_a_list(void **state)
{
    (void)state;
    static struct tail_model model[IDS], older[IDS];
    struct cf_rng rng = cf_rng(3);
    struct cf_tail tail = {.row_bytes = cf_ann_row_bytes(DIM)}, shared = cf_tail_share(&tail);
    uint64_t seq = 0;
    for (size_t step = 0; step < STEPS; step++) {
        put_batch(&tail, model, &rng, &seq);
        if (step % 50)
            continue;
        assert_tail_is(&tail, model);
        assert_rows_are_owned(&tail);
        assert_tail_is(&shared, older);
        cf_tail_fini(&shared);
        shared = cf_tail_share(&tail);
        memcpy(older, model, sizeof model);
        assert_true(tail.run_count <= 12);
    }
    cf_tail_fini(&tail);
    assert_tail_is(&shared, older);
    cf_tail_fini(&shared);
}

/* Far more runs than there is room for, none of which may be merged by the rules. */
static void tail_never_runs_out_of_runs(void **state)
{
    (void)state;
    struct cf_tail tail = {.row_bytes = 0};
    for (size_t i = 0; i < IDS; i++) {
        struct cf_tail_entry entry = entry_of(i, i + 1, NULL, false);
        assert_int_equal(cf_tail_put(&tail, &entry, 1), CF_OK);
        assert_true(tail.run_count <= CF_TAIL_RUNS_MAX);
    }
    assert_int_equal(tail.entry_count, IDS);
    cf_tail_fini(&tail);
}

static int compare(const void *a, const void *b)
{
    const struct cf_near *left = a, *right = b;
    if (left->distance != right->distance)
        return left->distance < right->distance ? -1 : 1;
    return strcmp(left->id.data, right->id.data);
}

/* Few distances, so that ids decide often. */
enum { SKETCHED = 300, OTHERS = 400, SKETCH_DIM_MAX = 960, LATENT = 12 };

/* Alike in most of what they are, as covers are; every seventh is the one before again. */
static void draw_alike(struct cf_rng *rng, size_t count, uint32_t dim, float size, float *out)
{
    static float base[LATENT][SKETCH_DIM_MAX];
    struct cf_rng fixed = cf_rng(dim);
    for (size_t i = 0; i < LATENT; i++)
        for (uint32_t j = 0; j < dim; j++)
            base[i][j] = (float)cf_rng_unit(&fixed) - 0.3f;
    for (size_t i = 0; i < count; i++, out += dim) {
        if (i % 7 == 6) {
            memcpy(out, out - dim, dim * sizeof *out);
            continue;
        }
        for (uint32_t j = 0; j < dim; j++)
            out[j] = size * 0.02f * (float)cf_rng_unit(rng);
        for (size_t l = 0; l < LATENT; l++) {
            float times = size * (float)cf_rng_unit(rng);
            for (uint32_t j = 0; j < dim; j++)
                out[j] += times * base[l][j];
        }
    }
}

static double apart(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;
    for (uint32_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

/* Whoever is within the distance is among those that may be; how many those are. */
static size_t assert_none_is_lost(const struct cf_sketch *sketch, const struct cf_sketch_code *query,
                                  const struct cf_sketch_code *codes, const double *distances, float distance)
{
    uint32_t near[OTHERS];
    bool may[OTHERS] = {false};
    size_t count = cf_sketch_near(sketch, query, codes, OTHERS, distance, near);
    for (size_t i = 0; i < count; i++) {
        assert_true(near[i] < OTHERS && (i == 0 || near[i] > near[i - 1]));
        may[near[i]] = true;
    }
    for (size_t i = 0; i < OTHERS; i++)
        assert_true(may[i] || distances[i] > (double)distance);
    return count;
}

static void check_sketch(uint32_t dim, size_t sampled, float size)
{
    static float sample[SKETCHED * SKETCH_DIM_MAX], others[OTHERS * SKETCH_DIM_MAX];
    static struct cf_sketch_code codes[OTHERS];
    double distances[OTHERS];
    struct cf_rng rng = cf_rng(dim + sampled);
    draw_alike(&rng, sampled, dim, 1, sample);
    draw_alike(&rng, OTHERS, dim, size, others);
    struct cf_sketch *sketch = cf_sketch_new(sample, sampled, dim);
    assert_non_null(sketch);
    size_t kept = 0;
    for (size_t i = 0; i < OTHERS; i++)
        cf_sketch_code(sketch, others + i * dim, 0, &codes[i]);
    for (size_t q = 0; q < 40; q++) {
        for (size_t i = 0; i < OTHERS; i++)
            distances[i] = apart(others + q * dim, others + i * dim, dim);
        float edge = (float)distances[OTHERS - 1 - q]; /* as far as that one is, to the last digit */
        assert_none_is_lost(sketch, &codes[q], codes, distances, edge);
        assert_int_equal(assert_none_is_lost(sketch, &codes[q], codes, distances, INFINITY), OTHERS);
        kept += assert_none_is_lost(sketch, &codes[q], codes, distances, edge / 4);
    }
    if (sampled == SKETCHED && size <= 1)
        assert_true(kept < 40 * OTHERS / 10);
    cf_sketch_free(sketch);
}

static void a_sketch_loses_none(void **state)
{
    (void)state;
    static const uint32_t dims[] = {65, 256, SKETCH_DIM_MAX};
    for (size_t i = 0; i < 3; i++) {
        check_sketch(dims[i], SKETCHED, 1);
        check_sketch(dims[i], SKETCHED, 1e6f); /* nothing like the sample */
        check_sketch(dims[i], 1, 1);
        check_sketch(dims[i], 7, 1e-6f);
    }
}

/* Codes are those of the rows, whichever runs these went through. */
static void a_tail_with_a_sketch_has_a_code_a_row(void **state)
{
    (void)state;
    enum { SKETCH_DIM = 80, BATCHES = 40, BATCH = 16 };
    static float sample[SKETCHED * SKETCH_DIM], vectors[BATCH * SKETCH_DIM];
    static _Alignas(64) uint8_t rows[BATCH][1024];
    struct cf_rng rng = cf_rng(5);
    draw_alike(&rng, SKETCHED, SKETCH_DIM, 1, sample);
    struct cf_sketch *sketch = cf_sketch_new(sample, SKETCHED, SKETCH_DIM);
    struct cf_tail tail = {.row_bytes = cf_ann_row_bytes(SKETCH_DIM), .sketch = sketch, .dim = SKETCH_DIM};
    assert_true(sketch && tail.row_bytes <= sizeof rows[0]);
    for (uint64_t seq = 1; seq <= BATCHES; seq++) {
        struct cf_tail_entry entries[BATCH];
        draw_alike(&rng, BATCH, SKETCH_DIM, 1, vectors);
        for (size_t i = 0; i < BATCH; i++) {
            assert_int_equal(cf_ann_row_encode(vectors + i * SKETCH_DIM, SKETCH_DIM, rows[i], NULL), CF_OK);
            entries[i] = entry_of(cf_rng_below(&rng, IDS), seq, i % 5 ? rows[i] : NULL, i % 11 == 3);
        }
        assert_int_equal(cf_tail_put(&tail, entries, BATCH), CF_OK);
    }
    for (size_t r = 0; r < tail.run_count; r++)
        for (size_t i = 0; i < tail.runs[r]->row_count; i++) {
            float vector[SKETCH_DIM];
            struct cf_sketch_code code;
            const uint8_t *row = tail.runs[r]->rows + i * tail.row_bytes;
            float off = cf_ann_row_decode(row, SKETCH_DIM, vector);
            cf_sketch_code(sketch, vector, off, &code);
            assert_memory_equal(&code, &tail.runs[r]->codes[i], sizeof code);
        }
    cf_tail_fini(&tail);
    cf_sketch_free(sketch);
}

static void nearest_are_the_first_of_a_sorted_list(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(4);
    struct cf_near all[200], kept[250];
    for (size_t k = 1; k <= 250; k += k < 10 ? 1 : 40) {
        struct cf_nearest nearest = {kept, k, 0};
        for (size_t i = 0; i < 200; i++) {
            all[i] = (struct cf_near){(float)cf_rng_below(&rng, 20), NULL, id_of((i * 7) % 200)};
            assert_true(all[i].distance <= cf_nearest_bound(&nearest) || nearest.count == k);
            cf_nearest_offer(&nearest, all[i]);
        }
        qsort(all, 200, sizeof all[0], compare);
        cf_nearest_sort(&nearest);
        assert_int_equal(nearest.count, k < 200 ? k : 200);
        for (size_t i = 0; i < nearest.count; i++)
            assert_true(cf_str_equal(nearest.items[i].id, all[i].id));
    }
}

static void assert_hidden_is(const struct cf_hidden *hidden, const bool *model)
{
    for (size_t i = 0; i < IDS; i++)
        assert_int_equal(cf_hidden_has(hidden, i), model[i]);
}

/* What another holds stays as it was. */
static void hidden_items_agree_with_a_list(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(3);
    struct cf_hidden *hidden = NULL;
    bool model[IDS] = {false}, held[IDS];
    for (int round = 0; round < 20; round++) {
        struct cf_hidden *shared = cf_hidden_share(hidden);
        memcpy(held, model, sizeof held);
        for (int i = 0; i < round * round; i++) {
            size_t item = (size_t)cf_rng_below(&rng, IDS);
            model[item] = cf_rng_below(&rng, 3) > 0;
            assert_int_equal(cf_hidden_put(&hidden, IDS, item, model[item]), CF_OK);
        }
        assert_hidden_is(hidden, model);
        assert_hidden_is(shared, held);
        cf_hidden_free(shared);
    }
    cf_hidden_free(hidden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_agrees_with_a_list),
        cmocka_unit_test(tail_never_runs_out_of_runs),
        cmocka_unit_test(a_sketch_loses_none),
        cmocka_unit_test(a_tail_with_a_sketch_has_a_code_a_row),
        cmocka_unit_test(nearest_are_the_first_of_a_sorted_list),
        cmocka_unit_test(hidden_items_agree_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
