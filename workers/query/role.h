/* The query worker as the runner sees it: takes searches and removals from the broker's messages, sends
 * answers back. */
#ifndef CF_WORKERS_QUERY_ROLE_H
#define CF_WORKERS_QUERY_ROLE_H

#include "common/decoder/decoder.h"
#include "workers/query/follower.h"
#include "workers/query/search.h"
#include "workers/runner/runner.h"

struct cf_query_role;

/* Starts the searching threads on the loop. Everything is borrowed and must outlive the role. The loop's
 * thread. */
enum cf_err cf_query_role_new(struct cf_loop *loop, const struct cf_config *config, struct cf_engine *engine,
                              struct cf_follower *follower, struct cf_decoder *decoder,
                              struct cf_query_role **role, struct cf_detail *detail) CF_MUST_CHECK;
/* After the runner ended. Finishes the searches at hand without sending them. Takes NULL. */
void cf_query_role_free(struct cf_query_role *role);

/* The functions of the role, to be called with the role as their argument. `name` is the worker's. */
struct cf_role_ops cf_query_role_ops(const char *name);

#endif
