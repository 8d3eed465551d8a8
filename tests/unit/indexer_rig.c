#include "tests/unit/indexer_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "tests/unit/store_folder.h"

enum { PATIENCE_MS = 120000, BETWEEN_ROUNDS_US = 5000 };

struct cf_config rig_config;
struct cf_home rig_home;
size_t rig_space_count = CF_SPACE_FIXED_COUNT;

int rig_set_up(void **state)
{
    if (store_folder_make(state) != 0)
        return -1;
    snprintf(rig_home.root, sizeof rig_home.root, "%s", store_folder);
    snprintf(rig_home.run, sizeof rig_home.run, "%s", store_folder);
    cf_config_default(&rig_config, &rig_home);
    rig_config.indexer_quiet_ms = 0;
    return 0;
}

int rig_tear_down(void **state)
{
    return store_folder_remove(state);
}

void rig_use_home(const char *name)
{
    store_folder_path(rig_home.root, name);
    assert_int_equal(cf_file_make_dirs(rig_home.root, NULL), CF_OK);
}

struct cf_shard *rig_open_shard(const char *name)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_home_path(&rig_home, path, sizeof path, NULL, "data/shards/%s", name), CF_OK);
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    return shard;
}

void rig_add(struct cf_shard *shard, const char *id, uint64_t seq, float value, uint32_t flags, bool removed)
{
    static float values[CF_ANN_DIM_MAX];
    for (size_t i = 0; i < CF_ANN_DIM_MAX; i++)
        values[i] = value;
    struct cf_shard_vector vectors[CF_SPACE_FIXED_COUNT];
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        vectors[i] = (struct cf_shard_vector){cf_str(cf_spaces[i].name), cf_spaces[i].version, values,
                                              cf_spaces[i].dim};
    struct cf_pair meta = {cf_str("artist"), cf_str(id)};
    struct cf_shard_album album = {
        .version = {1, seq}, .flags = flags, .removed = removed, .meta = &meta, .meta_count = 1};
    size_t count = removed || value == RIG_NO_VECTORS ? 0 : rig_space_count;
    assert_int_equal(cf_shard_put(shard, cf_str(id), &album, vectors, count, (struct cf_bytes){0}, NULL),
                     CF_OK);
}

void rig_put(struct cf_shard *shard, const char *id, uint64_t seq, float value, uint32_t flags, bool removed)
{
    rig_add(shard, id, seq, value, flags, removed);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
}

struct cf_indexing *rig_open_indexing(void)
{
    struct cf_indexing *indexing = NULL;
    struct cf_detail detail = {""};
    if (cf_indexing_new(&rig_home, &rig_config, "indexer-0", &indexing, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    return indexing;
}

struct cf_publication *rig_run(struct cf_indexing *indexing, bool forced)
{
    struct cf_index_round round = {0};
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        round.forced[i] = forced;
    cf_indexing_run(indexing, &round);
    for (size_t i = 1; i < CF_SPACE_FIXED_COUNT; i++)
        cf_publication_free(round.published[i]);
    return round.published[0];
}

struct cf_publication *rig_run_until_published(struct cf_indexing *indexing, bool forced)
{
    struct cf_publication *published = NULL;
    uint64_t give_up = cf_clock_mono_ms() + PATIENCE_MS;
    while (!(published = rig_run(indexing, forced)) && cf_clock_mono_ms() < give_up)
        usleep(BETWEEN_ROUNDS_US);
    return published;
}

uint64_t rig_expect_published(struct cf_publication *published)
{
    assert_non_null(published);
    uint64_t generation = published->msg.generation;
    cf_publication_free(published);
    return generation;
}

void rig_path(uint64_t generation, uint64_t base, char path[CF_HOME_PATH_MAX])
{
    const char *space = cf_spaces[0].name;
    assert_int_equal(
        base ? cf_generation_small_path(&rig_home, space, generation, base, path, CF_HOME_PATH_MAX, NULL)
             : cf_generation_path(&rig_home, space, generation, path, CF_HOME_PATH_MAX, NULL),
        CF_OK);
}

bool rig_exists(uint64_t generation, uint64_t base)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    rig_path(generation, base, path);
    return stat(path, &info) == 0;
}

struct cf_ann *rig_open_index(uint64_t generation, uint64_t base)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_ann *ann = NULL;
    rig_path(generation, base, path);
    assert_int_equal(cf_ann_open(path, &ann, NULL), CF_OK);
    return ann;
}

float rig_value_of(const struct cf_ann *ann, const char *id, struct cf_generation_tag *tag)
{
    static float values[CF_ANN_DIM_MAX];
    int64_t item = cf_ann_find(ann, (struct cf_bytes){(const uint8_t *)id, strlen(id)});
    if (item == CF_ANN_NONE)
        return -1;
    cf_ann_vector(ann, (uint64_t)item, values);
    assert_int_equal(cf_generation_tag_decode(cf_ann_tag(ann, (uint64_t)item), tag, NULL), CF_OK);
    return values[0];
}
