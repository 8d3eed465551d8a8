/* Small made-up histories of listening, for the tests of models. */
#ifndef CF_TESTS_RECOMMEND_WORLD_H
#define CF_TESTS_RECOMMEND_WORLD_H

#include "common/recommend/model.h"

struct world {
    struct cf_listens listens;
    struct cf_matrix by_user, by_album;
    struct cf_training training;
};

/* Takes `items`, in order of users. */
void world_init(struct world *world, struct cf_listen *items, size_t count, uint32_t users, uint32_t albums);
void world_fini(struct world *world);

/* Every user listens `each` times to any album, up to three times at once. */
void world_random(struct world *world, uint32_t users, uint32_t albums, uint32_t each, uint64_t seed);
/* User u and album i belong to cluster u or i modulo `clusters`; nine listens in ten are within it. */
void world_clusters(struct world *world, uint32_t users, uint32_t albums, uint32_t each, uint32_t clusters);
/* Every user begins anywhere; after album i always comes album (step i + 1) modulo albums. */
void world_order(struct world *world, uint32_t users, uint32_t albums, uint32_t each, uint32_t step);

/* Turns about a third of the pairs into thumbs down, the others into thumbs up. */
void world_dislike(struct world *world);

/* What the sweeps of a training said. */
struct objectives {
    double values[512];
    uint32_t count;
};
bool objectives_note(void *objectives, uint32_t sweep, uint32_t sweeps, double objective);

/* Fails the test when training does. */
struct cf_model *world_train(const struct world *world, enum cf_model_kind kind,
                             const struct cf_model_options *options);

#endif
