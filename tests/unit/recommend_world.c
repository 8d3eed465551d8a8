#include "tests/unit/recommend_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"

void world_init(struct world *w, struct cf_listen *items, size_t count, uint32_t users, uint32_t albums)
{
    struct cf_detail detail;
    w->listens = (struct cf_listens){.items = items, .count = count};
    assert_int_equal(cf_matrix_of(&w->listens, users, albums, &w->by_user, &detail), CF_OK);
    assert_int_equal(cf_matrix_transpose(&w->by_user, &w->by_album, &detail), CF_OK);
    w->training = (struct cf_training){&w->listens, &w->by_user, &w->by_album, users, albums};
}

void world_fini(struct world *w)
{
    cf_matrix_fini(&w->by_user);
    cf_matrix_fini(&w->by_album);
    cf_listens_fini(&w->listens);
}

static struct cf_listen *items_of(uint32_t users, uint32_t each)
{
    struct cf_listen *items = calloc((size_t)users * each, sizeof *items);
    assert_non_null(items);
    for (uint32_t i = 0; i < users * each; i++)
        items[i] = (struct cf_listen){.user = i / each, .count = 1};
    return items;
}

void world_random(struct world *w, uint32_t users, uint32_t albums, uint32_t each, uint64_t seed)
{
    struct cf_rng rng = cf_rng(seed);
    struct cf_listen *items = items_of(users, each);
    for (uint32_t i = 0; i < users * each; i++) {
        items[i].album = (uint32_t)cf_rng_below(&rng, albums);
        items[i].count = (float)(1 + cf_rng_below(&rng, 3));
    }
    world_init(w, items, (size_t)users * each, users, albums);
}

void world_dislike(struct world *w)
{
    struct cf_rng rng = cf_rng(13);
    struct cf_detail detail;
    for (uint64_t i = 0; i < cf_matrix_nonzeros(&w->by_user); i++)
        w->by_user.values[i] = cf_rng_below(&rng, 3) ? 1 : -1;
    cf_matrix_fini(&w->by_album);
    assert_int_equal(cf_matrix_transpose(&w->by_user, &w->by_album, &detail), CF_OK);
}

void world_clusters(struct world *w, uint32_t users, uint32_t albums, uint32_t each, uint32_t clusters)
{
    struct cf_rng rng = cf_rng(7);
    struct cf_listen *items = items_of(users, each);
    for (uint32_t i = 0; i < users * each; i++) {
        bool stray = cf_rng_below(&rng, 10) == 0;
        uint32_t cluster = stray ? (uint32_t)cf_rng_below(&rng, clusters) : items[i].user % clusters;
        items[i].album = cluster + clusters * (uint32_t)cf_rng_below(&rng, albums / clusters);
    }
    world_init(w, items, (size_t)users * each, users, albums);
}

void world_order(struct world *w, uint32_t users, uint32_t albums, uint32_t each, uint32_t step)
{
    struct cf_rng rng = cf_rng(3);
    struct cf_listen *items = items_of(users, each);
    for (uint32_t i = 0; i < users * each; i++)
        items[i].album =
            i % each ? (step * items[i - 1].album + 1) % albums : (uint32_t)cf_rng_below(&rng, albums);
    world_init(w, items, (size_t)users * each, users, albums);
}

bool objectives_note(void *arg, uint32_t sweep, uint32_t sweeps, double objective)
{
    struct objectives *o = arg;
    assert_int_equal(sweep, o->count + 1);
    assert_true(sweep <= sweeps && sweeps <= 512);
    o->values[o->count++] = objective;
    return true;
}

struct cf_model *world_train(const struct world *w, enum cf_model_kind kind,
                             const struct cf_model_options *options)
{
    struct cf_model *model = NULL;
    struct cf_detail detail = {""};
    if (cf_model_train(kind, &w->training, options, &model, &detail) != CF_OK)
        fail_msg("%s: %s", cf_model_name(kind), detail.text);
    return model;
}
