/* Groups of linked albums, what holds them together, and the words for a cosine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "deploy/cli/duplicates.h"
#include "deploy/cli/sure.h"

static uint32_t album(struct cf_links *links, const char *id)
{
    uint32_t number = 0;
    assert_int_equal(cf_links_album(links, cf_str(id), cf_str(""), cf_str(""), &number), CF_OK);
    return number;
}

static void link(struct cf_links *links, const char *a, const char *b)
{
    assert_int_equal(cf_links_add(links, album(links, a), album(links, b)), CF_OK);
}

/* "a b c | d e": the members of the groups in their order. */
static void groups_are(struct cf_links *links, const char *expected)
{
    const struct cf_link_group *groups;
    size_t count, len = 0;
    char text[512] = "";
    assert_int_equal(cf_links_group(links, &groups, &count), CF_OK);
    for (size_t g = 0; g < count; g++)
        for (size_t i = 0; i < groups[g].member_count; i++) {
            struct cf_str id = cf_links_get(links, groups[g].members[i])->id;
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s",
                                    i   ? " "
                                    : g ? " | "
                                        : "",
                                    CF_STR_ARG(id));
        }
    assert_string_equal(text, expected);
}

static void what_is_linked_hangs_together(void **state)
{
    struct cf_links *links = cf_links_new();
    (void)state;
    assert_non_null(links);
    groups_are(links, "");
    link(links, "d", "e");
    link(links, "b", "c");
    link(links, "b", "a");
    link(links, "a", "b"); /* from the other end */
    link(links, "x", "x"); /* itself: no link */
    album(links, "alone");
    groups_are(links, "b a c | d e");
    link(links, "y", "x"); /* told after a grouping */
    link(links, "e", "c");
    groups_are(links, "b c e a d | x y");
    assert_int_equal(cf_links_get(links, album(links, "b"))->link_count, 2);
    cf_links_free(links);
    cf_links_free(NULL);
}

static void texts_stay_as_first_told(void **state)
{
    struct cf_links *links = cf_links_new();
    uint32_t number = 9;
    (void)state;
    assert_int_equal(cf_links_album(links, cf_str("a"), cf_str(""), cf_str("Title"), &number), CF_OK);
    assert_int_equal(number, 0);
    assert_int_equal(cf_links_album(links, cf_str("a"), cf_str("Artist"), cf_str("Other"), &number), CF_OK);
    assert_int_equal(number, 0);
    assert_true(cf_str_is(cf_links_get(links, 0)->artist, "Artist"));
    assert_true(cf_str_is(cf_links_get(links, 0)->title, "Title"));
    assert_false(cf_links_get(links, 0)->full);
    cf_links_mark_full(links, 0);
    assert_true(cf_links_get(links, 0)->full);
    cf_links_free(links);
}

/* The same links, shuffled and turned round, give the same groups; and they are those of a naive flood. */
static void the_order_of_telling_does_not_matter(void **state)
{
    enum { ALBUMS = 60, LINKS = 45 };
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cf_rng rng = cf_rng(seed);
        char ids[ALBUMS][8], first[2048] = "";
        size_t ends[LINKS][2], flood[ALBUMS];
        for (size_t i = 0; i < ALBUMS; i++) {
            snprintf(ids[i], sizeof ids[i], "%02zu", i);
            flood[i] = i;
        }
        for (size_t i = 0; i < LINKS; i++)
            for (size_t e = 0; e < 2; e++)
                ends[i][e] = (size_t)cf_rng_below(&rng, ALBUMS);
        for (size_t round = 0; round < ALBUMS; round++)
            for (size_t i = 0; i < LINKS; i++) {
                size_t a = ends[i][0], b = ends[i][1];
                flood[a] = flood[b] = flood[a] < flood[b] ? flood[a] : flood[b];
            }
        for (int turn = 0; turn < 2; turn++) {
            struct cf_links *links = cf_links_new();
            const struct cf_link_group *groups;
            size_t count, len = 0, members = 0;
            char text[2048] = "";
            for (size_t i = 0; i < LINKS; i++) {
                size_t at = turn ? LINKS - 1 - i : i;
                link(links, ids[ends[at][turn]], ids[ends[at][1 - turn]]);
            }
            assert_int_equal(cf_links_group(links, &groups, &count), CF_OK);
            for (size_t g = 0; g < count; g++) {
                struct cf_str leader = cf_links_get(links, groups[g].members[0])->id;
                size_t root = flood[(size_t)atoi(leader.data)], size = 0;
                for (size_t i = 0; i < ALBUMS; i++)
                    size += flood[i] == root;
                assert_int_equal(groups[g].member_count, size);
                members += size;
                for (size_t i = 0; i < groups[g].member_count; i++) {
                    struct cf_str id = cf_links_get(links, groups[g].members[i])->id;
                    assert_int_equal(flood[(size_t)atoi(id.data)], root);
                    len += (size_t)snprintf(text + len, sizeof text - len, "%.*s%c", CF_STR_ARG(id),
                                            i ? ' ' : ':');
                }
                for (size_t i = 0; i < groups[g].link_count; i++)
                    assert_true(groups[g].links[i].a < size && groups[g].links[i].b < size);
            }
            assert_true(members > LINKS / 2);
            if (turn)
                assert_string_equal(text, first);
            memcpy(first, text, sizeof first);
            cf_links_free(links);
        }
    }
}

static void the_weakest_link_is_what_a_threshold_cuts_first(void **state)
{
    /* A triangle whose long side holds nothing, and a fourth by a thin thread. */
    static const struct cf_link four[] = {{0, 1}, {1, 2}, {0, 2}, {2, 3}};
    static const double cosines[] = {.95, .9, .82, .85};
    const uint32_t members[] = {0, 1, 2, 3};
    struct cf_link_group group = {members, 4, four, 4};
    uint32_t order[4], parents[4];
    (void)state;
    assert_true(cf_links_weakest(&group, cosines, order, parents) == .85);
    group.member_count = 3;
    group.link_count = 3;
    assert_true(cf_links_weakest(&group, cosines, order, parents) == .9);
}

/* b lies between a and c, which are not alike; d is gone. */
static void a_chain_is_called_one(void **state)
{
    static const float vectors[][2] = {{1, 0}, {.8f, .6f}, {.28f, .96f}, {0, 0}};
    const bool known[] = {true, true, true, false};
    struct cf_links *links = cf_links_new();
    struct cf_judge *judge = cf_judge_new();
    const struct cf_link_group *groups;
    struct cf_judged judged;
    float ordered[4][2];
    bool there[4];
    size_t count;
    (void)state;
    link(links, "a", "b");
    link(links, "b", "c");
    link(links, "c", "d");
    assert_int_equal(cf_links_group(links, &groups, &count), CF_OK);
    assert_int_equal(count, 1);
    for (size_t i = 0; i < 4; i++) { /* in the group's order: b c a d */
        struct cf_str id = cf_links_get(links, groups[0].members[i])->id;
        memcpy(ordered[i], vectors[id.data[0] - 'a'], sizeof ordered[i]);
        there[i] = known[id.data[0] - 'a'];
    }
    assert_int_equal(cf_judge_vectors(judge, ordered[0], there, 2, .75, &groups[0], &judged), CF_OK);
    static const char order[] = "bacd"; /* a and c are as near to b: .8 and .8 */
    for (size_t i = 0; i < 4; i++)
        if (i == 0 || i == 3)
            assert_int_equal(cf_links_get(links, judged.members[i])->id.data[0], order[i]);
    assert_true(fabs(judged.cosines[0] - 1) < 1e-6 && fabs(judged.cosines[1] - .8) < 1e-6);
    assert_true(fabs(judged.cosines[2] - .8) < 1e-6 && isnan(judged.cosines[3]));
    assert_true(fabs(judged.weakest - .8) < 1e-6);
    assert_false(judged.chained);
    assert_int_equal(cf_judge_vectors(judge, ordered[0], there, 2, .81, &groups[0], &judged), CF_OK);
    assert_true(judged.chained);
    for (size_t i = 0; i < 4; i++) /* all but one were removed meanwhile */
        there[i] = i == 1;
    assert_int_equal(cf_judge_vectors(judge, ordered[0], there, 2, .75, &groups[0], &judged), CF_OK);
    assert_true(isnan(judged.weakest) && isnan(judged.cosines[0]));
    assert_false(judged.chained);
    cf_judge_free(judge);
    cf_judge_free(NULL);
    cf_links_free(links);
}

static void words_say_how_sure_it_is(void **state)
{
    (void)state;
    assert_string_equal(cf_sure_word(.81), "same");
    assert_string_equal(cf_sure_word(.8), "probably");
    assert_string_equal(cf_sure_word(.71), "probably");
    assert_string_equal(cf_sure_word(.7), "look yourself");
    assert_string_equal(cf_sure_word(.6), "no");
    assert_string_equal(cf_sure_word(-1), "no");
    assert_true(cf_sure_in(cf_str("copy")) && !cf_sure_in(cf_str("style")));
    for (double cosine = -1; cosine <= 1; cosine += .125)
        assert_true(fabs(cf_sure_cosine(cf_sure_distance(cosine)) - cosine) < 1e-12);
    assert_true(fabs(cf_sure_distance(.5) - 1) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_linked_hangs_together),
        cmocka_unit_test(texts_stay_as_first_told),
        cmocka_unit_test(the_order_of_telling_does_not_matter),
        cmocka_unit_test(the_weakest_link_is_what_a_threshold_cuts_first),
        cmocka_unit_test(a_chain_is_called_one),
        cmocka_unit_test(words_say_how_sure_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
