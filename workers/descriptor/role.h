/* The loop's half of the descriptor worker: takes leases, keeps the compute thread busy with batches,
 * reports, and stops taking leases while the shard refuses writes. */
#ifndef CF_WORKERS_DESCRIPTOR_ROLE_H
#define CF_WORKERS_DESCRIPTOR_ROLE_H

#include "common/io/pool.h"
#include "workers/descriptor/redescribing.h"
#include "workers/runner/runner.h"

struct cf_descriptor;

/* Starts the compute thread. `name` is the slot's and the shard's. Borrows everything. */
enum cf_err cf_descriptor_new(struct cf_loop *loop, const struct cf_config *config,
                              struct cf_describing *describing, const char *name,
                              struct cf_descriptor **descriptor, struct cf_detail *detail) CF_MUST_CHECK;
/* From then on it obeys orders to describe again. Borrows. */
void cf_descriptor_redescribes(struct cf_descriptor *descriptor, struct cf_redescribing *redescribing);
/* Ends the compute thread. Takes NULL. */
void cf_descriptor_free(struct cf_descriptor *descriptor);

/* For cf_runner_new; its arg is the descriptor. */
struct cf_role_ops cf_descriptor_ops(const struct cf_descriptor *descriptor);
/* CF_OK, or why this worker could not go on. */
enum cf_err cf_descriptor_fatal(const struct cf_descriptor *descriptor);

#endif
