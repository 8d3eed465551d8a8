/* The slow half of the descriptor worker, on its one compute thread: from a leased cover to a record in the
 * shard.
 *
 * A batch is fetched, decoded (in the decoding child), described in every space from the thumbnail, and
 * written with one synced commit. A cover's failure is its own; a shard that refuses writes costs nobody an
 * attempt: its covers are handed back, and the shard is opened again by the next batch. */
#ifndef CF_WORKERS_DESCRIPTOR_DESCRIBING_H
#define CF_WORKERS_DESCRIPTOR_DESCRIBING_H

#include "common/base/config.h"
#include "common/decoder/decoder.h"
#include "common/store/shard.h"
#include "workers/descriptor/cover.h"

struct cf_describing;

/* Opens the shard at `path` (CF_E_LOCKED, CF_E_CORRUPT, …). Borrows `config` and `decoder`. */
enum cf_err cf_describing_new(const struct cf_config *config, struct cf_decoder *decoder, const char *path,
                              struct cf_describing **describing, struct cf_detail *detail) CF_MUST_CHECK;
void cf_describing_free(struct cf_describing *describing); /* takes NULL */

/* Its shard; NULL while it refuses to be opened again after a failed write. On the compute thread, between
 * batches. */
struct cf_shard *cf_describing_shard(struct cf_describing *describing, struct cf_detail *detail);
/* After a failed write of somebody who borrowed it. */
void cf_describing_lose_shard(struct cf_describing *describing);

/* Gives outcomes to batch->covers from batch->settled on, and stops early after about a second, so that a
 * batch of slow covers is reported piece by piece: what is not settled then is for another call. An empty
 * batch only opens the shard. */
void cf_describing_run(struct cf_describing *describing, struct cf_cover_batch *batch);

bool cf_vector_is_finite(const float *values, size_t dim);

#endif
