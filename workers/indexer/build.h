/* One file of an index, whole or small, written from one view of the shards. */
#ifndef CF_WORKERS_INDEXER_BUILD_H
#define CF_WORKERS_INDEXER_BUILD_H

#include "common/base/config.h"
#include "workers/indexer/plan.h"
#include "workers/indexer/recent.h"
#include "workers/indexer/served.h"

/* Shards, and the last log sequence of each, by its position. Nobody catches up while a file is written. */
struct cf_view {
    struct cf_shards *shards; /* NULL: none */
    uint64_t *lasts;
    size_t count;
};
/* Sees what was caught up with. False when memory is short. */
bool cf_view_look(struct cf_view *view);
void cf_view_fini(struct cf_view *view); /* and the shards */

/* The caller fills the first half; all of it is borrowed. */
struct cf_build {
    const struct cf_home *home;
    const struct cf_config *config;
    const struct cf_space *space;
    const struct cf_view *view;
    const struct cf_part *whole; /* what a small one adds to; NULL: a whole one is built */
    bool anyhow;                 /* a small one, also where a whole one would be the cheaper */
    bool (*cancel)(void *arg);   /* polled by any thread of the build */
    void *cancel_arg;

    struct cf_generation generation; /* without lists */
    char path[CF_HOME_PATH_MAX];     /* of the file */
};

/* Gives the build a number, for good, and its file a name: published it is called so. */
enum cf_err cf_build_begin(struct cf_build *build, uint64_t number, struct cf_detail *detail) CF_MUST_CHECK;
/* Writes it. `*kind`: what was written, or, without a file, that it should be whole since too much would be
 * hidden by a small one. As cf_ann_build and the sources of items fail. */
enum cf_err cf_build_write(struct cf_build *build, enum cf_plan_kind *kind,
                           struct cf_detail *detail) CF_MUST_CHECK;

#endif
