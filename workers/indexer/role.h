/* The loop's half of the indexer: a round of looking and building again and again, and the broker told of
 * every generation that was published. */
#ifndef CF_WORKERS_INDEXER_ROLE_H
#define CF_WORKERS_INDEXER_ROLE_H

#include "common/io/pool.h"
#include "workers/indexer/indexing.h"
#include "workers/runner/runner.h"

struct cf_indexer;

/* Starts the compute thread. `name` is the slot's. Borrows everything. */
enum cf_err cf_indexer_new(struct cf_loop *loop, const struct cf_config *config, struct cf_indexing *indexing,
                           const char *name, struct cf_indexer **indexer,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* Ends the compute thread; a build under way is given up. Takes NULL. */
void cf_indexer_free(struct cf_indexer *indexer);

/* For cf_runner_new; its arg is the indexer. */
struct cf_role_ops cf_indexer_ops(const struct cf_indexer *indexer);

#endif
