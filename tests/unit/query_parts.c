/* The parts of the engine against naive models: the table of ids, the tail's rows, the k nearest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/base/rng.h"
#include "workers/query/nearest.h"
#include "workers/query/tail.h"

enum { IDS = 1000, DIM = 3, STEPS = 30000 };

static char ids[IDS][16];

static struct cf_str id_of(size_t i)
{
    snprintf(ids[i], sizeof ids[i], "id-%zu", i);
    return cf_str(ids[i]);
}

/* Adds, replaces and drops; rows come and go with the vectors. */
static void tail_agrees_with_a_list(void **state)
{
    (void)state;
    static struct {
        bool there, row;
        uint64_t seq;
    } model[IDS];
    struct cf_rng rng = cf_rng(3);
    struct cf_tail *tail = cf_tail_new(DIM);
    size_t rows = 0, count = 0;
    for (uint64_t step = 1; step <= STEPS; step++) {
        size_t i = (size_t)cf_rng_below(&rng, step < STEPS / 2 ? IDS : IDS / 20 + 1);
        bool drop = cf_rng_below(&rng, 3) == 0, row = cf_rng_below(&rng, 4) != 0;
        float vector[DIM] = {(float)i, (float)step, 7};
        rows -= model[i].row;
        count -= model[i].there;
        if (drop) {
            cf_tail_drop(tail, id_of(i));
        } else {
            struct cf_tail_album album = {.id = id_of(i), .version = {1, step}, .log_seq = step};
            assert_int_equal(cf_tail_put(tail, &album, row ? vector : NULL), CF_OK);
        }
        model[i].there = !drop;
        model[i].row = !drop && row;
        model[i].seq = step;
        rows += model[i].row;
        count += model[i].there;
        assert_int_equal(tail->row_count, rows);
        assert_int_equal(tail->map.count, count);
    }
    size_t at = 0, walked = 0;
    while (cf_tail_next(tail, &at))
        walked++;
    assert_int_equal(walked, count);
    for (size_t i = 0; i < IDS; i++) {
        const struct cf_tail_entry *entry = cf_tail_find(tail, id_of(i));
        assert_int_equal(entry != NULL, model[i].there);
        if (!entry)
            continue;
        assert_int_equal(entry->album.version.seq, model[i].seq);
        assert_int_equal(entry->vector != NULL, model[i].row);
        if (entry->vector) {
            assert_true(entry->vector[0] == (float)i && entry->vector[1] == (float)model[i].seq);
            assert_ptr_equal(tail->owners[entry->row], entry);
            const float *block = tail->blocks[entry->row / CF_TAIL_BLOCK_ROWS];
            assert_ptr_equal(block + entry->row % CF_TAIL_BLOCK_ROWS * DIM, entry->vector);
        }
    }
    cf_tail_free(tail);
}

static int compare(const void *a, const void *b)
{
    const struct cf_near *left = a, *right = b;
    if (left->distance != right->distance)
        return left->distance < right->distance ? -1 : 1;
    return strcmp(left->id.data, right->id.data);
}

/* Few distances, so that ids decide often. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tail_agrees_with_a_list),
        cmocka_unit_test(nearest_are_the_first_of_a_sorted_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
