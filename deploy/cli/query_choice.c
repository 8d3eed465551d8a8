#include "deploy/cli/query_choice.h"

#include "common/descriptor/space.h"

enum { RECIPES_MAX = 5 };

static const char *const names[CF_PURPOSE_COUNT] = {"duplicates", "similar", "listening"};

/* In the order of preference; a part without a space ends a recipe, a recipe without one the list. */
static const struct part {
    const char *space;
    double weight;
} recipes[CF_PURPOSE_COUNT][RECIPES_MAX][CF_CHOICE_SPACES_MAX] = {
    [CF_PURPOSE_DUPLICATES] = {{{"copy", 1}}, {{"gist", 1}}, {{"gray16", 1}}},
    [CF_PURPOSE_SIMILAR] = {{{"style", 1}}, {{"gist", 1}}, {{"gray16", 1}}},
    [CF_PURPOSE_LISTENING] =
        {{{"cf", 1}}, {{"style", 1}, {"copy", 1}}, {{"style", 1}}, {{"gist", 1}}, {{"gray16", 1}}},
};

enum cf_err cf_purpose_of(const char *name, enum cf_purpose *purpose, struct cf_detail *detail)
{
    for (int i = 0; i < CF_PURPOSE_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *purpose = (enum cf_purpose)i;
            return CF_OK;
        }
    return cf_fail(detail, CF_E_INVALID, "--for is duplicates, similar or listening, not \"%.60s\"", name);
}

const char *cf_purpose_name(enum cf_purpose purpose)
{
    return names[purpose];
}

bool cf_choice_has(const struct cf_index_status *indexes, size_t index_count, const char *space)
{
    size_t number;
    for (size_t i = 0; i < index_count; i++)
        if (cf_str_is(indexes[i].space, space))
            return true;
    return index_count == 0 && cf_space_of_fleet(cf_str(space), &number, NULL) == CF_OK;
}

static bool has_all(const struct cf_index_status *indexes, size_t index_count, const struct part *recipe)
{
    for (size_t i = 0; i < CF_CHOICE_SPACES_MAX && recipe[i].space; i++)
        if (!cf_choice_has(indexes, index_count, recipe[i].space))
            return false;
    return recipe[0].space != NULL;
}

enum cf_err cf_choice_make(enum cf_purpose purpose, const struct cf_index_status *indexes, size_t index_count,
                           struct cf_choice *choice, struct cf_detail *detail)
{
    for (size_t r = 0; r < RECIPES_MAX; r++) {
        const struct part *recipe = recipes[purpose][r];
        if (!has_all(indexes, index_count, recipe))
            continue;
        *choice = (struct cf_choice){.best = r == 0};
        for (; choice->count < CF_CHOICE_SPACES_MAX && recipe[choice->count].space; choice->count++)
            choice->weights[choice->count] =
                (struct cf_weight){cf_str(recipe[choice->count].space), recipe[choice->count].weight};
        return CF_OK;
    }
    return cf_fail(detail, CF_E_UNKNOWN_SPACE, "the fleet has no space that would do for \"%s\"",
                   names[purpose]);
}

void cf_choice_apply(struct cf_choice *choice, struct cf_query *query)
{
    if (choice->count == 1) {
        query->space = choice->weights[0].space;
        return;
    }
    query->space = cf_str("");
    query->spaces = choice->weights;
    query->space_count = choice->count;
}
