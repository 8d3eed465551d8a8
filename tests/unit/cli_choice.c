/* Which space a purpose is asked in, by what the fleet has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "deploy/cli/query_choice.h"

/* `has` as "gist copy"; the choice as "style=1,copy=1". */
static void chooses(const char *purpose_name, const char *has, const char *expected, bool best)
{
    struct cf_index_status indexes[8] = {{.generation = 0}};
    struct cf_choice choice = {.count = 99};
    struct cf_query query = {.space = cf_str("before")};
    struct cf_detail detail = {""};
    enum cf_purpose purpose;
    size_t count = 0, len = 0;
    char text[128] = "";
    assert_int_equal(cf_purpose_of(purpose_name, &purpose, &detail), CF_OK);
    assert_string_equal(cf_purpose_name(purpose), purpose_name);
    for (const char *at = has; *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        indexes[count++].space = (struct cf_str){at, word};
        at += word;
    }
    enum cf_err err = cf_choice_make(purpose, indexes, count, &choice, &detail);
    if (!expected) {
        assert_int_equal(err, CF_E_UNKNOWN_SPACE);
        assert_non_null(strstr(detail.text, purpose_name));
        return;
    }
    assert_int_equal(err, CF_OK);
    for (size_t i = 0; i < choice.count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s=%g", i ? "," : "",
                                CF_STR_ARG(choice.weights[i].space), choice.weights[i].weight);
    assert_string_equal(text, expected);
    assert_int_equal(choice.best, best);
    cf_choice_apply(&choice, &query);
    assert_int_equal(query.space_count, choice.count > 1 ? choice.count : 0);
    assert_true(choice.count > 1 ? query.space.len == 0 : cf_str_equal(query.space, choice.weights[0].space));
}

static void each_purpose_has_its_space_and_falls_back(void **state)
{
    (void)state;
    chooses("duplicates", "gray16 gist copy style", "copy=1", true);
    chooses("duplicates", "gray16 gist style", "gist=1", false);
    chooses("duplicates", "gray16", "gray16=1", false);
    chooses("similar", "gray16 gist copy style", "style=1", true);
    chooses("similar", "copy gist", "gist=1", false);
    chooses("listening", "gray16 gist copy style cf", "cf=1", true);
    chooses("listening", "gray16 gist copy style", "style=1,copy=1", false);
    chooses("listening", "gist style", "style=1", false);
    chooses("listening", "gray16", "gray16=1", false);
    chooses("similar", "copy", NULL, false);
}

static void a_fleet_without_an_index_is_taken_to_have_all_but_cf(void **state)
{
    (void)state;
    chooses("duplicates", "", "copy=1", true);
    chooses("listening", "", "style=1,copy=1", false);
    assert_true(cf_choice_has(NULL, 0, "copy"));
    assert_false(cf_choice_has(NULL, 0, "cf"));
}

static void another_purpose_is_refused_with_those_that_there_are(void **state)
{
    enum cf_purpose purpose;
    struct cf_detail detail = {""};
    (void)state;
    assert_int_equal(cf_purpose_of("dancing", &purpose, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "duplicates, similar or listening"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_purpose_has_its_space_and_falls_back),
        cmocka_unit_test(a_fleet_without_an_index_is_taken_to_have_all_but_cf),
        cmocka_unit_test(another_purpose_is_refused_with_those_that_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
