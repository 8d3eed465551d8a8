/* A loop over independent pieces of work, shared among threads. Which thread does which piece is left open,
 * so the pieces must not depend on one another: that is what makes a build the same whatever the number of
 * threads. */
#ifndef CF_ANN_PARALLEL_H
#define CF_ANN_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

struct cf_ann_crew {
    unsigned threads;          /* at least 1, the caller's included */
    bool (*cancel)(void *arg); /* may be NULL; asked by the calling thread only */
    void *cancel_arg;
};

/* CF_E_SHUTTING_DOWN when the build is to end. */
enum cf_err cf_ann_crew_poll(const struct cf_ann_crew *crew) CF_MUST_CHECK;

/* Runs work(arg, i) for every i below count. When a thread cannot be started the others do its share. After a
 * cancel some pieces are not done, and the answer is CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_crew_run(const struct cf_ann_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                            void *arg) CF_MUST_CHECK;

/* The same while the calling thread first does something else, such as reading what comes next. */
enum cf_err cf_ann_crew_run_beside(const struct cf_ann_crew *crew, size_t count, void (*work)(void *arg, size_t i),
                                   void *arg, void (*beside)(void *arg), void *beside_arg) CF_MUST_CHECK;

#endif
