/* All shards of a fleet as one read-only catalogue: opens every folder below data/shards as a secondary,
 * notices new ones, and merges them by newest version. A damaged one (cf_shard_verify) is not opened. A shard
 * that cannot be opened is tried again and again, ever more slowly; when that has lasted a second (a primary
 * that is just being created is no problem) it is reported once through `problem`, and so is one that cannot
 * be followed any more. The others go on. A shard keeps its position for ever. One thread, except
 * cf_shards_album and reads of its shards, which any thread may call while no catch-up opens a new shard (the
 * caller holds its own read-write lock for that). */
#ifndef CF_STORE_SHARDS_H
#define CF_STORE_SHARDS_H

#include "common/store/shard.h"

struct cf_shards;

typedef void cf_shards_problem(void *arg, const char *shard, enum cf_err err, const struct cf_detail *detail);

/* `folder` is data/shards (may not exist yet), `private_folder` is this process's own place for secondaries;
 * what an earlier process of the same name left there is deleted. */
enum cf_err cf_shards_open(const char *folder, const char *private_folder, cf_shards_problem *problem,
                           void *arg, struct cf_shards **shards, struct cf_detail *detail) CF_MUST_CHECK;
void cf_shards_free(struct cf_shards *shards); /* takes NULL */

/* Whether that entry of the folder is a shard: a folder with the name of a worker's slot. */
bool cf_shards_is_shard(const char *folder, const char *name);

/* Looks for new shards and catches up with all. Never fails because of one shard. */
void cf_shards_catch_up(struct cf_shards *shards);

/* The i-th shard that is there but cannot be read, or no further than before; NULL when there are no more.
 * One that is just being created is none of them. */
const char *cf_shards_unreadable(const struct cf_shards *shards, size_t i);

size_t cf_shards_count(const struct cf_shards *shards);
const char *cf_shards_name(const struct cf_shards *shards, size_t i); /* "descriptor-0" */
struct cf_shard *cf_shards_get(struct cf_shards *shards, size_t i);

/* Every album once, in id order, its newest version (removed ones too), one at a time: borrowed values, good
 * until the next call; CF_E_NOT_FOUND at the end. Of equal versions the lower shard counts. No catch-up
 * meanwhile; gone before `shards`. */
struct cf_shards_walk;
enum cf_err cf_shards_walk_new(struct cf_shards *shards, struct cf_shards_walk **walk,
                               struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_shards_walk_next(struct cf_shards_walk *walk, size_t *shard, struct cf_str *id,
                                struct cf_shard_album *album, struct cf_detail *detail) CF_MUST_CHECK;
/* As cf_shard_walk_with and cf_shard_walk_vector, over all shards. */
enum cf_err cf_shards_walk_with(struct cf_shards_walk *walk, struct cf_str space, uint32_t space_version,
                                struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_shards_walk_vector(struct cf_shards_walk *walk, float *out, size_t dim,
                                  struct cf_detail *detail) CF_MUST_CHECK;
void cf_shards_walk_free(struct cf_shards_walk *walk); /* takes NULL */

/* The newest record over all shards; of equal versions the lower shard counts. CF_E_NOT_FOUND. `*shard` tells
 * where it lies. */
enum cf_err cf_shards_album(struct cf_shards *shards, struct cf_str id, struct cf_arena *arena,
                            struct cf_shard_album *album, size_t *shard,
                            struct cf_detail *detail) CF_MUST_CHECK;

#endif
