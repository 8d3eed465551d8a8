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

static bool has_pair(const uint64_t *pairs, size_t count, uint32_t user, uint32_t album)
{
    uint64_t pair = cf_eval_pair(user, album);
    return bsearch(&pair, pairs, count, sizeof pair, cf_eval_compare_numbers);
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
        if (cf_eval_album_fold(l->album) != album_fold && !has_pair(pairs, pair_count, l->user, l->album))
            listens->items[listens->count++] = *l;
    }
    enum cf_err err = pairs && listens->items ? CF_OK : no_memory(detail);
    free(pairs);
    return err;
}

/* A pair that was thumbed for several seeds goes as a whole. */
static enum cf_err take_likes(const struct cf_eval *eval, size_t fold, size_t album_fold,
                              struct cf_matrix *by_user, struct cf_detail *detail)
{
    struct cf_thumbs likes = {.items = calloc(eval->liked.count + 1, sizeof *likes.items)};
    uint64_t *pairs = calloc(eval->liked.count + 1, sizeof *pairs);
    size_t pair_count = pairs ? list_pairs(eval, fold, false, pairs) : 0;
    for (size_t i = 0; pairs && likes.items && i < eval->liked.count; i++) {
        const struct cf_thumb *t = &eval->liked.items[i];
        if (cf_eval_album_fold(t->album) != album_fold && !has_pair(pairs, pair_count, t->user, t->album))
            likes.items[likes.count++] = *t;
    }
    enum cf_err err = pairs && likes.items
                          ? cf_matrix_of_thumbs(&likes, cf_names_count(eval->users),
                                                cf_names_count(eval->albums), by_user, detail)
                          : no_memory(detail);
    free(likes.items);
    free(pairs);
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

bool cf_eval_fold_tells(const struct cf_eval *eval, size_t fold)
{
    bool up = false, down = false;
    for (size_t i = fold; i < eval->liked.count; i += CF_EVAL_FOLDS)
        *(eval->liked.items[i].up ? &up : &down) = true;
    return up && down;
}

void cf_eval_data_fini(struct cf_eval_data *data)
{
    cf_matrix_fini(&data->by_user);
    cf_matrix_fini(&data->by_album);
    cf_listens_fini(&data->listens);
}
