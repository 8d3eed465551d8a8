/* A fleet's folder with shards that a test writes, and an indexer over them; for the tests of one program. */
#ifndef CF_TESTS_INDEXER_RIG_H
#define CF_TESTS_INDEXER_RIG_H

#include "common/ann/ann.h"
#include "common/store/generation.h"
#include "common/store/shard.h"
#include "workers/indexer/indexing.h"

extern struct cf_config rig_config;
extern struct cf_home rig_home;
extern size_t rig_space_count; /* the albums that are added have vectors of the first so many spaces; all */

int rig_set_up(void **state); /* a temporary folder; whatever is behind is due at once */
int rig_tear_down(void **state);
/* A fleet's folder of its own for every test. */
void rig_use_home(const char *name);

struct cf_shard *rig_open_shard(const char *name);
/* What an album's vectors are: one of `RIG_*`, else all values of gray16 are this one, and the other spaces'
 * too. */
#define RIG_NO_VECTORS (-1.0f)
/* Into the open batch. */
void rig_add(struct cf_shard *shard, const char *id, uint64_t seq, float value, uint32_t flags, bool removed);
void rig_put(struct cf_shard *shard, const char *id, uint64_t seq, float value, uint32_t flags, bool removed);

struct cf_indexing *rig_open_indexing(void);
/* One round; the first space's publication, or NULL. */
struct cf_publication *rig_run(struct cf_indexing *indexing, bool forced);
/* Builds keep a distance to each other, and wait after failures. */
struct cf_publication *rig_run_until_published(struct cf_indexing *indexing, bool forced);
/* Its generation; frees it. */
uint64_t rig_expect_published(struct cf_publication *published);

/* Of the first space; base 0: a whole one. */
void rig_path(uint64_t generation, uint64_t base, char path[CF_HOME_PATH_MAX]);
bool rig_exists(uint64_t generation, uint64_t base);
struct cf_ann *rig_open_index(uint64_t generation, uint64_t base);
/* The first value of an item and its tag; -1 when it is not there. */
float rig_value_of(const struct cf_ann *ann, const char *id, struct cf_generation_tag *tag);

#endif
