/* Which thumbs are compared with each other: a user's, but those for different seeds apart. How near albums
 * are to one seed is another scale than how near they are to another, or to all that the user liked. */
#include <stdlib.h>

#include "deploy/cli/eval.h"

/* The pairs of users and seeds, ascending, each once. */
static size_t list_seeds(const struct cf_thumbs *thumbs, uint64_t *pairs)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < thumbs->count; i++)
        if (thumbs->items[i].seed != CF_NO_NUMBER)
            pairs[count++] = cf_eval_pair(thumbs->items[i].user, thumbs->items[i].seed);
    qsort(pairs, count, sizeof *pairs, cf_eval_compare_numbers);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || pairs[i] != pairs[i - 1])
            pairs[kept++] = pairs[i];
    return kept;
}

static uint32_t group_of(const struct cf_thumb *thumb, uint32_t user_count, const uint64_t *pairs,
                         size_t pair_count)
{
    uint64_t pair = cf_eval_pair(thumb->user, thumb->seed);
    if (thumb->seed == CF_NO_NUMBER)
        return thumb->user;
    const uint64_t *found = bsearch(&pair, pairs, pair_count, sizeof pair, cf_eval_compare_numbers);
    return user_count + (uint32_t)(found - pairs);
}

enum cf_err cf_eval_groups_init(const struct cf_thumbs *thumbs, uint32_t user_count,
                                struct cf_eval_groups *groups, struct cf_detail *detail)
{
    uint64_t *pairs = calloc(thumbs->count + 1, sizeof *pairs);
    *groups = (struct cf_eval_groups){.of = calloc(thumbs->count + 1, sizeof *groups->of)};
    if (!pairs || !groups->of) {
        free(pairs);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the seeds of %zu thumbs", thumbs->count);
    }
    size_t pair_count = list_seeds(thumbs, pairs);
    groups->count = user_count + (uint32_t)pair_count;
    for (size_t i = 0; i < thumbs->count; i++) {
        groups->of[i] = group_of(&thumbs->items[i], user_count, pairs, pair_count);
        groups->seeded += groups->of[i] >= user_count;
    }
    free(pairs);
    return CF_OK;
}

void cf_eval_groups_fini(struct cf_eval_groups *groups)
{
    free(groups->of);
    *groups = (struct cf_eval_groups){0};
}
