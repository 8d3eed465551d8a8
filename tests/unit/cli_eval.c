/* What an evaluation does with thumbs that a model knows nothing of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "deploy/cli/eval.h"

static void what_is_unknown_gets_the_mean_of_its_group(void **state)
{
    (void)state;
    struct cf_scored scored[] = {{0, 0, 1, true}, {0, 0, NAN, false}, {1, 5, NAN, true},
                                 {0, 0, 4, true}, {2, 9, 7, false},   {1, 5, NAN, false}};
    size_t unknown = 0;
    assert_int_equal(cf_eval_fill_unknown(scored, 6, &unknown, NULL), CF_OK);
    assert_int_equal(unknown, 3);
    assert_true(scored[1].score == 2.5 && scored[2].score == 0 && scored[5].score == 0);
    assert_true(scored[0].score == 1 && scored[3].score == 4 && scored[4].score == 7);
    assert_int_equal(cf_eval_fill_unknown(scored, 0, &unknown, NULL), CF_OK);
    assert_int_equal(unknown, 0);
}

/* Comparing all with all would take minutes. */
static void many_may_be_unknown(void **state)
{
    enum { COUNT = 400000, USERS = 1000 };
    (void)state;
    struct cf_scored *scored = calloc(COUNT, sizeof *scored);
    size_t unknown = 0;
    assert_non_null(scored);
    for (uint32_t i = 0; i < COUNT; i++)
        scored[i] = (struct cf_scored){i % USERS, i % USERS, i < USERS ? (double)i : (double)NAN, false};
    assert_int_equal(cf_eval_fill_unknown(scored, COUNT, &unknown, NULL), CF_OK);
    assert_int_equal(unknown, COUNT - USERS);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true(scored[i].score == i % USERS);
    free(scored);
}

static void thumbs_for_different_seeds_are_compared_apart(void **state)
{
    enum { NONE = CF_NO_NUMBER };
    (void)state;
    struct cf_thumb items[] = {{.user = 1, .seed = 7}, {.user = 0, .seed = 7}, {.user = 1, .seed = NONE},
                               {.user = 1, .seed = 3}, {.user = 1, .seed = 7}, {.user = 0, .seed = NONE}};
    const struct cf_thumbs thumbs = {.items = items, .count = sizeof items / sizeof *items};
    static const uint32_t wanted[] = {4, 2, 1, 3, 4, 0};
    struct cf_eval_groups groups;
    assert_int_equal(cf_eval_groups_init(&thumbs, 2, &groups, NULL), CF_OK);
    assert_int_equal(groups.count, 5);
    assert_int_equal(groups.seeded, 4);
    assert_memory_equal(groups.of, wanted, sizeof wanted);
    cf_eval_groups_fini(&groups);
}

/* Two users who heard all albums, and thumbs of theirs in turn: summing up a history for each would take
 * minutes. */
static void a_history_is_looked_at_once_a_user(void **state)
{
    enum { ALBUMS = 2000, THUMBS = 100000 };
    (void)state;
    struct cf_listens listens = {.items = calloc(2 * ALBUMS, sizeof *listens.items), .count = 2 * ALBUMS};
    struct cf_thumbs thumbs = {.items = calloc(THUMBS, sizeof *thumbs.items), .count = THUMBS};
    struct cf_scored *scored = calloc(THUMBS, sizeof *scored);
    struct cf_matrix by_user, by_album;
    struct cf_model *model = NULL;
    size_t unknown = 9;
    assert_true(listens.items && thumbs.items && scored);
    for (uint32_t i = 0; i < 2 * ALBUMS; i++)
        listens.items[i] = (struct cf_listen){.user = i / ALBUMS, .album = i % ALBUMS, .count = 1};
    for (uint32_t i = 0; i < THUMBS; i++)
        thumbs.items[i] = (struct cf_thumb){.user = i % 2, .album = i % 7};
    assert_int_equal(cf_matrix_of(&listens, 2, ALBUMS, &by_user, NULL), CF_OK);
    assert_int_equal(cf_matrix_transpose(&by_user, &by_album, NULL), CF_OK);
    const struct cf_training training = {&listens, &by_user, &by_album, 2, ALBUMS};
    const struct cf_model_options options = cf_model_options(CF_MODEL_ITEM_ITEM);
    assert_int_equal(cf_model_train(CF_MODEL_ITEM_ITEM, &training, &options, &model, NULL), CF_OK);
    assert_int_equal(cf_eval_score(model, &thumbs, 0, 1, scored, &unknown, NULL), CF_OK);
    assert_int_equal(unknown, 0);
    struct cf_scorer *scorer = cf_scorer_new(model);
    for (size_t i = 0; i < 14; i++) {
        double score;
        cf_score(scorer, thumbs.items[i].user, &thumbs.items[i].album, 1, &score, NULL);
        assert_true(score > 1 && scored[i].score == score &&
                    scored[THUMBS / 14 * 14 - 14 + i].score == score);
    }
    cf_scorer_free(scorer);
    cf_model_free(model);
    cf_matrix_fini(&by_user);
    cf_matrix_fini(&by_album);
    cf_listens_fini(&listens);
    cf_thumbs_fini(&thumbs);
    free(scored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_unknown_gets_the_mean_of_its_group),
        cmocka_unit_test(many_may_be_unknown),
        cmocka_unit_test(a_history_is_looked_at_once_a_user),
        cmocka_unit_test(thumbs_for_different_seeds_are_compared_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
