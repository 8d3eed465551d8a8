/* What holds for every model of listening: the same whatever the threads, another with another seed,
 * stoppable, honest about what it was never trained on; and the controls by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/recommend/model_inside.h"
#include "tests/unit/recommend_world.h"

enum { USERS = 700, ALBUMS = 400 };

static struct cf_model_options options_of(enum cf_model_kind kind, unsigned threads)
{
    struct cf_model_options o = cf_model_options(kind);
    o.threads = threads;
    o.sweeps = 3;
    o.factors = o.factors ? 12 : 0;
    return o;
}

static void same_floats(const float *a, const float *b, size_t count)
{
    assert_true(!a == !b);
    if (a)
        assert_memory_equal(a, b, count * sizeof *a);
}

static void same_matrices(const struct cf_matrix *a, const struct cf_matrix *b)
{
    assert_int_equal(a->row_count, b->row_count);
    if (a->row_count == 0)
        return;
    assert_memory_equal(a->first, b->first, (a->row_count + 1) * sizeof *a->first);
    assert_memory_equal(a->columns, b->columns, cf_matrix_nonzeros(a) * sizeof *a->columns);
    assert_memory_equal(a->values, b->values, cf_matrix_nonzeros(a) * sizeof *a->values);
}

static void threads_make_no_difference(void **state)
{
    (void)state;
    struct world w;
    world_random(&w, USERS, ALBUMS, 20, 2);
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_model_options one = options_of(kind, 1), three = options_of(kind, 3);
        struct cf_model *a = world_train(&w, kind, &one), *b = world_train(&w, kind, &three);
        same_floats(a->user_factors, b->user_factors, (size_t)USERS * a->factors);
        same_floats(a->album_factors, b->album_factors, (size_t)ALBUMS * a->factors);
        same_floats(a->album_biases, b->album_biases, ALBUMS);
        same_matrices(&a->similar, &b->similar);
        cf_model_free(a);
        cf_model_free(b);
    }
    world_fini(&w);
}

static void another_seed_makes_another_model(void **state)
{
    (void)state;
    struct world w;
    world_random(&w, 60, 40, 9, 2);
    for (enum cf_model_kind kind = CF_MODEL_KOREN; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_model_options o = options_of(kind, 1);
        struct cf_model *a = world_train(&w, kind, &o);
        o.seed++;
        struct cf_model *b = world_train(&w, kind, &o);
        assert_memory_not_equal(a->album_factors, b->album_factors, 40 * (size_t)a->factors * sizeof(float));
        cf_model_free(a);
        cf_model_free(b);
    }
    world_fini(&w);
}

static bool end_after_two(void *arg, uint32_t sweep, uint32_t sweeps, double objective)
{
    (void)arg;
    (void)sweeps;
    (void)objective;
    return sweep < 2;
}

static bool end_at_once(void *arg, uint32_t sweep, uint32_t sweeps, double objective)
{
    (void)arg, (void)sweep, (void)sweeps, (void)objective;
    return false;
}

static void training_can_be_ended(void **state)
{
    (void)state;
    struct world w;
    world_random(&w, 60, 40, 9, 2);
    for (enum cf_model_kind kind = CF_MODEL_KOREN; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_model_options o = options_of(kind, 2);
        struct cf_model *model = NULL;
        struct cf_detail detail;
        o.sweep = end_after_two;
        assert_int_equal(cf_model_train(kind, &w.training, &o, &model, &detail), CF_E_SHUTTING_DOWN);
        assert_non_null(strstr(detail.text, "after sweep 2 of 3"));
        assert_null(model);
    }
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KOREN; kind++) {
        struct cf_model_options o = options_of(kind, 2);
        struct cf_model *model = NULL;
        o.sweep = end_at_once;
        assert_int_equal(cf_model_train(kind, &w.training, &o, &model, NULL), CF_E_SHUTTING_DOWN);
        assert_null(model);
    }
    world_fini(&w);
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct cf_model *model = NULL;
    struct cf_detail detail;
    struct cf_model_options o = cf_model_options(CF_MODEL_RNN);
    world_random(&w, 5, 5, 3, 2);
    o.factors = 1025;
    assert_int_equal(cf_model_train(CF_MODEL_RNN, &w.training, &o, &model, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "1025 factors"));
    o.factors = 4;
    o.threads = 0;
    assert_int_equal(cf_model_train(CF_MODEL_RNN, &w.training, &o, &model, &detail), CF_E_INVALID);
    assert_null(model);
    world_fini(&w);
}

/* User 0: albums 0, 1; user 1: 0, 1, 2; user 2: 0; user 3 and album 3: nothing. */
static void make_by_hand(struct world *w)
{
    static const uint32_t pairs[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}, {2, 0}};
    struct cf_listen *items = calloc(6, sizeof *items);
    for (size_t i = 0; i < 6; i++)
        items[i] = (struct cf_listen){.user = pairs[i][0], .album = pairs[i][1], .count = 1 + (float)i};
    world_init(w, items, 6, 4, 4);
}

static void the_controls_by_hand(void **state)
{
    (void)state;
    static const uint32_t albums[] = {0, 1, 2, 3, 9};
    struct world w;
    double scores[5];
    bool known[5];
    struct cf_model_options o = cf_model_options(CF_MODEL_POPULARITY);
    make_by_hand(&w);
    struct cf_model *popularity = world_train(&w, CF_MODEL_POPULARITY, &o);
    struct cf_model *item_item = world_train(&w, CF_MODEL_ITEM_ITEM, &o);
    struct cf_scorer *scorer = cf_scorer_new(popularity);
    cf_score(scorer, 3, albums, 5, scores, known);
    assert_true(scores[0] == 3 && scores[1] == 2 && scores[2] == 1 && scores[3] == 0 && scores[4] == 0);
    assert_true(known[0] && known[2] && !known[3] && !known[4]);
    cf_scorer_free(scorer);
    scorer = cf_scorer_new(item_item);
    for (int again = 0; again < 2; again++) { /* a scorer forgets between calls */
        cf_score(scorer, 0, albums, 5, scores, known);
        assert_true(fabs(scores[2] - (1 / sqrt(3) + 1 / sqrt(2))) < 1e-6);
        assert_true(fabs(scores[0] - 2 / sqrt(6)) < 1e-6);
        assert_true(scores[3] == 0 && known[2] && !known[3] && !known[4]);
    }
    cf_score(scorer, 3, albums, 5, scores, known);
    assert_true(scores[0] == 0 && !known[0]);
    cf_scorer_free(scorer);
    cf_model_free(popularity);
    cf_model_free(item_item);
    world_fini(&w);
}

/* The same, but user 1 dislikes album 1, and user 2 album 0. */
static void the_controls_of_thumbs_by_hand(void **state)
{
    (void)state;
    static const uint32_t albums[] = {0, 1, 2, 3};
    struct world w;
    struct cf_detail detail;
    double scores[4];
    struct cf_model_options o = cf_model_options(CF_MODEL_POPULARITY);
    o.lambda = 2;
    make_by_hand(&w);
    w.by_user.values[3] = w.by_user.values[5] = -1;
    cf_matrix_fini(&w.by_album);
    assert_int_equal(cf_matrix_transpose(&w.by_user, &w.by_album, &detail), CF_OK);
    struct cf_model *popularity = world_train(&w, CF_MODEL_POPULARITY, &o);
    struct cf_model *item_item = world_train(&w, CF_MODEL_ITEM_ITEM, &o);
    struct cf_scorer *scorer = cf_scorer_new(popularity);
    cf_score(scorer, 0, albums, 4, scores, NULL);
    const double average = 4. / 6,
                 expected[] = {(2 + 2 * average) / 5, (1 + 2 * average) / 4, (1 + 2 * average) / 3, average};
    for (int i = 0; i < 4; i++)
        assert_true(fabs(scores[i] - expected[i]) < 1e-6);
    cf_scorer_free(scorer);
    scorer = cf_scorer_new(item_item);
    /* 0 and 1: agreed once, disagreed once; 0 and 2: agreed once; 1 and 2: disagreed once */
    cf_score(scorer, 1, albums, 4, scores, NULL);
    assert_true(fabs(scores[0] - 1 / sqrt(3)) < 1e-6);
    assert_true(fabs(scores[1] + 1 / sqrt(2)) < 1e-6);
    assert_true(fabs(scores[2] - (1 / sqrt(3) + 1 / sqrt(2))) < 1e-6);
    cf_score(scorer, 2, albums, 4, scores, NULL);
    assert_true(fabs(scores[2] + 1 / sqrt(3)) < 1e-6); /* like what was disliked */
    cf_scorer_free(scorer);
    cf_model_free(popularity);
    cf_model_free(item_item);
    world_fini(&w);
}

/* Albums that only somebody has in common who heard them all are not alike by that; a real listener's are. */
static void who_hears_everything_compares_nothing(void **state)
{
    enum { MANY = CF_MODEL_LISTENER_ALBUMS_MAX + 1 };
    (void)state;
    static const uint32_t albums[] = {1, 2};
    struct world w;
    double scores[2];
    struct cf_model_options o = cf_model_options(CF_MODEL_ITEM_ITEM);
    struct cf_listen *items = calloc(MANY + 3, sizeof *items);
    for (uint32_t i = 0; i < MANY; i++)
        items[i] = (struct cf_listen){.user = 0, .album = i, .count = 1};
    items[MANY] = (struct cf_listen){.user = 1, .album = 0, .count = 1};
    items[MANY + 1] = (struct cf_listen){.user = 1, .album = 1, .count = 1};
    items[MANY + 2] = (struct cf_listen){.user = 2, .album = 0, .count = 1};
    world_init(&w, items, MANY + 3, 3, MANY);
    struct cf_model *model = world_train(&w, CF_MODEL_ITEM_ITEM, &o);
    struct cf_scorer *scorer = cf_scorer_new(model);
    cf_score(scorer, 2, albums, 2, scores, NULL);
    assert_true(fabs(scores[0] - 1 / sqrt(6)) < 1e-6 && scores[1] == 0);
    cf_scorer_free(scorer);
    cf_model_free(model);
    world_fini(&w);
}

static void what_was_never_trained_is_unknown(void **state)
{
    (void)state;
    static const uint32_t albums[] = {0, 3};
    struct world w;
    make_by_hand(&w);
    for (enum cf_model_kind kind = CF_MODEL_KOREN; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_model_options o = options_of(kind, 1);
        struct cf_model *model = world_train(&w, kind, &o);
        struct cf_scorer *scorer = cf_scorer_new(model);
        double scores[2];
        bool known[2];
        cf_score(scorer, 1, albums, 2, scores, known);
        assert_true(known[0] && !known[1] && scores[1] == 0 && scores[0] != 0);
        assert_null(cf_model_album_factors(model, 3));
        assert_null(cf_model_user_factors(model, 3));
        assert_non_null(cf_model_user_factors(model, 1));
        cf_score(scorer, 3, albums, 2, scores, known);
        assert_true(!known[0] && isfinite(scores[0]));
        cf_scorer_free(scorer);
        cf_model_free(model);
    }
    world_fini(&w);
}

/* A listener of one album only, an album of one listener only. */
static void the_smallest_world_is_trained(void **state)
{
    (void)state;
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct world w;
        struct cf_model_options o = options_of(kind, 2);
        world_random(&w, 1, 1, 1, 1);
        struct cf_model *model = world_train(&w, kind, &o);
        struct cf_scorer *scorer = cf_scorer_new(model);
        double score;
        cf_score(scorer, 0, (const uint32_t[]){0}, 1, &score, NULL);
        assert_true(isfinite(score));
        cf_scorer_free(scorer);
        cf_model_free(model);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_make_no_difference),
        cmocka_unit_test(another_seed_makes_another_model),
        cmocka_unit_test(training_can_be_ended),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(the_controls_of_thumbs_by_hand),
        cmocka_unit_test(the_controls_by_hand),
        cmocka_unit_test(who_hears_everything_compares_nothing),
        cmocka_unit_test(what_was_never_trained_is_unknown),
        cmocka_unit_test(the_smallest_world_is_trained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
