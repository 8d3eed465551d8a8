/* What the models of an evaluation are trained from: the listens as they are, or the likes with their signs;
 * whole, or without one fold of the likes, to choose by. */
#include <stdlib.h>

#include "deploy/cli/eval.h"

int cf_eval_compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for what is trained from");
}

/* Pairs whose listens must go: those of the fold, and with `downs` those that the user disliked, ascending.
 */
static size_t list_pairs(const struct cf_eval *eval, size_t fold, bool downs, uint64_t *pairs)
{
    size_t count = 0;
    for (size_t i = 0; i < eval->liked.count; i++) {
        const struct cf_thumb *t = &eval->liked.items[i];
        if (i % CF_EVAL_FOLDS == fold || (downs && !t->up))
            pairs[count++] = cf_eval_pair(t->user, t->album);
    }
    qsort(pairs, count, sizeof *pairs, cf_eval_compare_numbers);
    return count;
}

static enum cf_err take_listens(const struct cf_eval *eval, size_t fold, size_t album_fold, bool downs,
                                struct cf_listens *listens, struct cf_detail *detail)
{
    uint64_t *pairs = calloc(eval->liked.count + 1, sizeof *pairs);
    size_t pair_count = pairs ? list_pairs(eval, fold, downs, pairs) : 0;
    *listens = (struct cf_listens){.items = malloc((eval->listens.count + 1) * sizeof *listens->items),
                                   .has_times = eval->listens.has_times};
    for (size_t i = 0; pairs && listens->items && i < eval->listens.count; i++) {
        const struct cf_listen *l = &eval->listens.items[i];
        uint64_t pair = cf_eval_pair(l->user, l->album);
        if (cf_eval_album_fold(l->album) != album_fold &&
            !bsearch(&pair, pairs, pair_count, sizeof pair, cf_eval_compare_numbers))
            listens->items[listens->count++] = *l;
    }
    enum cf_err err = pairs && listens->items ? CF_OK : no_memory(detail);
    free(pairs);
    return err;
}

static enum cf_err take_likes(const struct cf_eval *eval, size_t fold, size_t album_fold,
                              struct cf_matrix *by_user, struct cf_detail *detail)
{
    struct cf_thumbs likes = {.items = calloc(eval->liked.count + 1, sizeof *likes.items)};
    if (!likes.items)
        return no_memory(detail);
    for (size_t i = 0; i < eval->liked.count; i++)
        if (i % CF_EVAL_FOLDS != fold && cf_eval_album_fold(eval->liked.items[i].album) != album_fold)
            likes.items[likes.count++] = eval->liked.items[i];
    enum cf_err err = cf_matrix_of_thumbs(&likes, cf_names_count(eval->users), cf_names_count(eval->albums),
                                          by_user, detail);
    free(likes.items);
    return err;
}

enum cf_err cf_eval_data_init(const struct cf_eval *eval, enum cf_eval_source source, size_t fold,
                              size_t album_fold, struct cf_eval_data *data, struct cf_detail *detail)
{
    uint32_t users = cf_names_count(eval->users), albums = cf_names_count(eval->albums);
    *data = (struct cf_eval_data){0};
    enum cf_err err = take_listens(eval, fold, album_fold, source == CF_EVAL_LIKES, &data->listens, detail);
    if (!err)
        err = source == CF_EVAL_LIKES ? take_likes(eval, fold, album_fold, &data->by_user, detail)
                                      : cf_matrix_of(&data->listens, users, albums, &data->by_user, detail);
    if (!err)
        err = cf_matrix_transpose(&data->by_user, &data->by_album, detail);
    data->training = (struct cf_training){&data->listens, &data->by_user, &data->by_album, users, albums};
    return err;
}

void cf_eval_data_fini(struct cf_eval_data *data)
{
    cf_matrix_fini(&data->by_user);
    cf_matrix_fini(&data->by_album);
    cf_listens_fini(&data->listens);
}
