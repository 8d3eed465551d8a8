/* A journal in memory for the simulator and the unit tests: the door of broker/core/store.h over ordered
 * maps, with batches, commits that the disk has or has not seen yet, and crashes that lose what it has not.
 */
#ifndef CF_TESTS_MODEL_STORE_H
#define CF_TESTS_MODEL_STORE_H

#include "broker/core/store.h"
#include "common/base/rng.h"

struct model;

struct model *model_new(uint64_t epoch);
void model_free(struct model *model);
struct cf_store model_store(struct model *model);

/* The open batch becomes visible after a crash of the process; with sync, after a power cut as well. */
void model_commit(struct model *model, bool sync);
/* Forgets the open batch. */
void model_rollback(struct model *model);
/* The process dies: the open batch is lost. With a power cut, so are some of the last commits without sync.
 */
void model_crash(struct model *model, struct cf_rng *rng, bool power_cut);
/* Every write fails with this until CF_OK is set again. */
void model_fail(struct model *model, enum cf_err err);

/* Entries of the families, for invariants. */
size_t model_job_count(const struct model *model);
size_t model_dead_count(const struct model *model);
size_t model_payload_count(const struct model *model);
size_t model_album_count(const struct model *model);
size_t model_quarantine_count(const struct model *model);

#endif
