/* Rounds of the indexer over real shards: what gets into a generation, how it is numbered, kept, reloaded and
 * replaced. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/ann/ann.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/store/generation.h"
#include "common/store/shard.h"
#include "tests/unit/store_folder.h"
#include "workers/indexer/indexing.h"

static struct cf_config config;
static struct cf_home home;

static int set_up(void **state)
{
    if (store_folder_make(state) != 0)
        return -1;
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    snprintf(home.run, sizeof home.run, "%s", store_folder);
    cf_config_default(&config, &home);
    config.indexer_quiet_ms = 0;
    config.indexer_nice = 0;
    return 0;
}

/* A fleet's folder of its own for every test. */
static void use_home(const char *name)
{
    store_folder_path(home.root, name);
    assert_int_equal(cf_file_make_dirs(home.root, NULL), CF_OK);
}

static struct cf_shard *open_shard(const char *name)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/shards/%s", name), CF_OK);
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    return shard;
}

/* gray16's values are all `value`, the other spaces' are the same ones. */
static void put(struct cf_shard *shard, const char *id, uint64_t seq, float value, uint32_t flags,
                bool removed)
{
    static float values[CF_ANN_DIM_MAX];
    for (size_t i = 0; i < CF_ANN_DIM_MAX; i++)
        values[i] = value;
    struct cf_shard_vector vectors[CF_SPACE_COUNT];
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        vectors[i] = (struct cf_shard_vector){cf_str(cf_spaces[i].name), cf_spaces[i].version, values,
                                              cf_spaces[i].dim};
    struct cf_shard_album album = {.version = {1, seq}, .flags = flags, .removed = removed};
    assert_int_equal(cf_shard_put(shard, cf_str(id), &album, vectors, removed ? 0 : CF_SPACE_COUNT,
                                  (struct cf_bytes){0}, NULL),
                     CF_OK);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
}

static struct cf_indexing *open_indexing(void)
{
    struct cf_indexing *indexing = NULL;
    struct cf_detail detail = {""};
    if (cf_indexing_new(&home, &config, "indexer-0", &indexing, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    return indexing;
}

/* One round; the first space's publication, or NULL. */
static struct cf_publication *run(struct cf_indexing *indexing, bool forced)
{
    struct cf_index_round round = {0};
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        round.forced[i] = forced;
    cf_indexing_run(indexing, &round);
    for (size_t i = 1; i < CF_SPACE_COUNT; i++)
        cf_publication_free(round.published[i]);
    return round.published[0];
}

/* Builds keep a distance to each other. */
static struct cf_publication *run_until_published(struct cf_indexing *indexing)
{
    struct cf_publication *published = NULL;
    uint64_t give_up = cf_clock_mono_ms() + 10000;
    while (!published && cf_clock_mono_ms() < give_up)
        published = run(indexing, false);
    return published;
}

static struct cf_ann *open_index(uint64_t generation)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_ann *ann = NULL;
    assert_int_equal(cf_generation_path(&home, cf_spaces[0].name, generation, path, sizeof path, NULL),
                     CF_OK);
    assert_int_equal(cf_ann_open(path, &ann, NULL), CF_OK);
    return ann;
}

static float value_of(const struct cf_ann *ann, const char *id, struct cf_generation_tag *tag)
{
    static float values[CF_ANN_DIM_MAX];
    int64_t item = cf_ann_find(ann, (struct cf_bytes){(const uint8_t *)id, strlen(id)});
    if (item == CF_ANN_NONE)
        return -1;
    cf_ann_vector(ann, (uint64_t)item, values);
    assert_int_equal(cf_generation_tag_decode(cf_ann_tag(ann, (uint64_t)item), tag, NULL), CF_OK);
    return values[0];
}

static void what_gets_into_an_index(void **state)
{
    (void)state;
    use_home("content");
    struct cf_indexing *indexing = open_indexing();
    assert_null(run(indexing, false)); /* no shard, nothing to build */
    struct cf_shard *a = open_shard("descriptor-0"), *b = open_shard("descriptor-1");
    put(a, "moved", 1, 0.25f, 0, false);
    put(a, "removed", 2, 0.5f, 0, false);
    put(a, "flat", 3, 0, CF_FLAG_CONSTANT, false);
    put(a, "kept", 4, 0.75f, CF_FLAG_PARTIAL, false);
    put(a, "damaged", 5, NAN, 0, false);
    put(b, "moved", 6, 1, 0, false);
    put(b, "removed", 7, 0, 0, true);
    struct cf_publication *published = run(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.generation, 1);
    assert_int_equal(published->msg.count, 2);
    assert_true(cf_str_is(published->msg.space, cf_spaces[0].name));
    assert_int_equal(published->msg.watermark_count, 2);
    assert_true(cf_str_is(published->msg.watermarks[0].shard, "descriptor-0"));
    assert_int_equal(published->msg.watermarks[0].log_seq, 5);
    assert_int_equal(published->msg.watermarks[1].log_seq, 2);
    assert_true(published->msg.published_ms + 60000 > cf_clock_wall_ms());
    cf_publication_free(published);

    struct cf_ann *ann = open_index(1);
    struct cf_generation_tag tag = {.shard = 9};
    assert_true(value_of(ann, "moved", &tag) == 1);
    assert_int_equal(tag.version.seq, 6);
    assert_int_equal(tag.shard, 1);
    assert_true(value_of(ann, "kept", &tag) == 0.75f);
    assert_int_equal(tag.shard, 0);
    assert_true(value_of(ann, "removed", &tag) == -1);
    assert_true(value_of(ann, "flat", &tag) == -1);
    assert_true(value_of(ann, "damaged", &tag) == -1);
    struct cf_arena *arena = cf_arena_new();
    struct cf_generation generation;
    assert_int_equal(cf_generation_decode(cf_ann_attachment(ann), arena, &generation, NULL), CF_OK);
    assert_int_equal(cf_generation_mark(&generation, cf_str("descriptor-1")), 2);
    assert_int_equal(generation.space_version, cf_spaces[0].version);
    cf_arena_free(arena);
    cf_ann_free(ann);
    assert_null(run(indexing, false)); /* nothing new */
    put(a, "new", 8, 0.5f, 0, false);
    published = run_until_published(indexing);
    assert_non_null(published);
    assert_int_equal(published->msg.generation, 2);
    assert_int_equal(published->msg.count, 3);
    cf_publication_free(published);
    cf_shard_free(a);
    cf_shard_free(b);
    cf_indexing_free(indexing);
}

static bool exists(uint64_t generation)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    assert_int_equal(cf_generation_path(&home, cf_spaces[0].name, generation, path, sizeof path, NULL),
                     CF_OK);
    return stat(path, &info) == 0;
}

static uint64_t expect_published(struct cf_publication *published)
{
    assert_non_null(published);
    uint64_t generation = published->msg.generation;
    cf_publication_free(published);
    return generation;
}

static void damage(uint64_t generation)
{
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        char path[CF_HOME_PATH_MAX];
        struct stat info;
        assert_int_equal(cf_generation_path(&home, cf_spaces[i].name, generation, path, sizeof path, NULL),
                         CF_OK);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &info), 0);
        assert_int_equal(pwrite(fd, "damage", 6, info.st_size / 2), 6);
        close(fd);
    }
}

static void generations_are_kept_reloaded_and_replaced(void **state)
{
    (void)state;
    use_home("generations");
    struct cf_shard *shard = open_shard("descriptor-0");
    put(shard, "a", 1, 1, 0, false);
    put(shard, "b", 2, 2, 0, false);
    struct cf_indexing *indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, false)), 1);
    assert_int_equal(expect_published(run(indexing, true)), 2); /* because somebody asked for it */
    assert_int_equal(expect_published(run(indexing, true)), 3);
    assert_true(exists(3) && exists(2));
    assert_false(exists(1));
    cf_indexing_free(indexing);

    /* A restart tells the newest again and builds nothing. */
    indexing = open_indexing();
    struct cf_publication *published = run(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.generation, 3);
    assert_int_equal(published->msg.count, 2);
    assert_int_equal(published->msg.watermarks[0].log_seq, 2);
    cf_publication_free(published);
    assert_null(run(indexing, false));
    cf_indexing_free(indexing);

    /* A damaged newest one is passed over: the one before serves until a new one is built, whose number is
     * its own. */
    damage(3);
    config.indexer_quiet_ms = 3600000;
    config.indexer_interval_ms = 3600000;
    indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, false)), 2);
    assert_int_equal(expect_published(run(indexing, true)), 4);
    assert_true(exists(4) && exists(2));
    assert_false(exists(3));
    cf_indexing_free(indexing);

    /* With none left whole everything is behind. */
    damage(4);
    damage(2);
    config.indexer_quiet_ms = 0;
    indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, false)), 5);
    assert_true(exists(5));
    assert_false(exists(4) || exists(2));
    cf_indexing_free(indexing);
    cf_shard_free(shard);
}

static void a_cancelled_build_leaves_nothing(void **state)
{
    (void)state;
    use_home("cancelled");
    struct cf_shard *shard = open_shard("descriptor-0");
    struct cf_rng rng = cf_rng(3);
    for (uint64_t i = 1; i <= 300; i++) {
        char id[16];
        snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        put(shard, id, i, (float)cf_rng_unit(&rng), 0, false);
    }
    struct cf_indexing *indexing = open_indexing();
    cf_indexing_cancel(indexing);
    assert_null(run(indexing, true));
    assert_false(exists(1));
    cf_indexing_free(indexing);
    cf_shard_free(shard);
}

static void an_unreadable_shard_does_not_stop_the_others(void **state)
{
    (void)state;
    use_home("unreadable");
    char path[STORE_PATH_MAX];
    store_folder_path(path, "unreadable/data/shards/descriptor-0");
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    store_folder_path(path, "unreadable/data/shards/descriptor-0/CURRENT");
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)"x", 1}, NULL), CF_OK);
    struct cf_shard *shard = open_shard("descriptor-1");
    put(shard, "a", 1, 1, 0, false);
    struct cf_indexing *indexing = open_indexing();
    struct cf_publication *published = run(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.watermark_count, 1);
    assert_true(cf_str_is(published->msg.watermarks[0].shard, "descriptor-1"));
    cf_publication_free(published);
    cf_indexing_free(indexing);
    cf_shard_free(shard);
}

/* ---- damaged shards ---- */

enum { DAMAGED_ALBUMS = 40 };

/* Albums at rest in tables: a shard that is closed and opened again moves its log into one of each family. */
static void fill_tables(const char *shard_name, const char *prefix)
{
    struct cf_shard *shard = open_shard(shard_name);
    for (uint64_t i = 1; i <= DAMAGED_ALBUMS; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s-%02llu", prefix, (unsigned long long)i);
        put(shard, id, i, (float)i, 0, false);
    }
    cf_shard_free(shard);
    cf_shard_free(open_shard(shard_name));
}

/* The tables of a shard by size; the largest is that of the vectors. */
static size_t list_tables(const char *shard_name, char paths[8][CF_HOME_PATH_MAX])
{
    char folder[CF_HOME_PATH_MAX];
    off_t sizes[8];
    size_t count = 0;
    assert_int_equal(cf_home_path(&home, folder, sizeof folder, NULL, "data/shards/%s", shard_name), CF_OK);
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) && count < 8;) {
        if (!strstr(entry->d_name, ".sst"))
            continue;
        char path[CF_HOME_PATH_MAX];
        struct stat info;
        assert_true(snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path);
        assert_int_equal(stat(path, &info), 0);
        size_t at = count++;
        for (; at > 0 && sizes[at - 1] < info.st_size; at--) {
            sizes[at] = sizes[at - 1];
            memcpy(paths[at], paths[at - 1], CF_HOME_PATH_MAX);
        }
        sizes[at] = info.st_size;
        memcpy(paths[at], path, CF_HOME_PATH_MAX);
    }
    closedir(entries);
    return count;
}

/* The same again takes it back. */
static void flip_bytes(const char *path)
{
    struct stat info;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    for (off_t at = info.st_size - 1; at >= 0; at -= 512) {
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x55;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

static struct cf_publication *run_forced_until_published(struct cf_indexing *indexing)
{
    struct cf_publication *published = NULL;
    uint64_t give_up = cf_clock_mono_ms() + 20000;
    while (!published && cf_clock_mono_ms() < give_up) {
        published = run(indexing, true);
        usleep(20000);
    }
    return published;
}

/* Whichever table of a shard is damaged: no generation is built without its albums, and the next one has
 * them. */
static void a_damaged_table_costs_no_album(void **state)
{
    (void)state;
    use_home("damaged-table");
    config.indexer_quiet_ms = 3600000;
    config.indexer_interval_ms = 3600000;
    fill_tables("descriptor-0", "a");
    fill_tables("descriptor-1", "b");
    struct cf_indexing *indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, true)), 1);
    cf_indexing_free(indexing);
    char paths[8][CF_HOME_PATH_MAX];
    size_t count = list_tables("descriptor-0", paths);
    assert_in_range(count, 3, 8);
    for (size_t i = 0; i < count; i++) {
        flip_bytes(paths[i]);
        indexing = open_indexing();
        assert_int_equal(expect_published(run(indexing, false)), i + 1); /* what it found */
        for (int round = 0; round < 3; round++)
            assert_null(run(indexing, true));
        struct cf_index_round look = {{false}, {NULL}, 0};
        cf_indexing_run(indexing, &look);
        assert_int_equal(look.unreadable_shards, 1);
        flip_bytes(paths[i]);
        struct cf_publication *published = run_forced_until_published(indexing);
        assert_non_null(published);
        assert_int_equal(published->msg.count, 2 * DAMAGED_ALBUMS);
        assert_int_equal(expect_published(published), i + 2);
        cf_indexing_free(indexing);
    }
    config.indexer_quiet_ms = 0;
}

/* Damage that comes while the indexer has the tables open shows in what it reads. */
static void a_vector_that_is_lost_ends_the_build(void **state)
{
    (void)state;
    use_home("damaged-vectors");
    fill_tables("descriptor-0", "a");
    struct cf_indexing *indexing = open_indexing();
    char paths[8][CF_HOME_PATH_MAX];
    assert_in_range(list_tables("descriptor-0", paths), 3, 8);
    flip_bytes(paths[0]);
    assert_null(run(indexing, true));
    assert_false(exists(1));
    flip_bytes(paths[0]);
    struct cf_publication *published = run_forced_until_published(indexing);
    assert_non_null(published);
    assert_int_equal(published->msg.count, DAMAGED_ALBUMS);
    cf_publication_free(published);
    cf_indexing_free(indexing);
}

/* An older state of a shard in place of the newer, or none at all. */
static void a_shard_that_goes_back_is_waited_for(void **state)
{
    (void)state;
    use_home("backwards");
    fill_tables("descriptor-0", "a");
    struct cf_indexing *indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, true)), 1);
    cf_indexing_free(indexing);
    char path[CF_HOME_PATH_MAX], aside[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/shards/descriptor-0"), CF_OK);
    assert_int_equal(cf_home_path(&home, aside, sizeof aside, NULL, "aside"), CF_OK);
    assert_int_equal(rename(path, aside), 0);
    struct cf_shard *other = open_shard("descriptor-1");
    put(other, "b", 1, 1, 0, false);
    indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, true)), 1); /* found, none built */
    assert_null(run(indexing, true));
    cf_indexing_free(indexing);
    struct cf_shard *young = open_shard("descriptor-0");
    put(young, "young", 1, 1, 0, false);
    indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, true)), 1);
    assert_null(run(indexing, true));
    cf_indexing_free(indexing);
    cf_shard_free(young);
    char young_aside[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&home, young_aside, sizeof young_aside, NULL, "young"), CF_OK);
    assert_int_equal(rename(path, young_aside), 0);
    assert_int_equal(rename(aside, path), 0);
    indexing = open_indexing();
    struct cf_publication *published = run(indexing, true);
    assert_non_null(published);
    assert_int_equal(published->msg.count, DAMAGED_ALBUMS + 1);
    assert_int_equal(expect_published(published), 2);
    cf_indexing_free(indexing);
    cf_shard_free(other);
}

/* Deleted files of an index are missed at once, and no number is given twice. */
static void a_deleted_index_is_built_again(void **state)
{
    (void)state;
    use_home("deleted");
    struct cf_shard *shard = open_shard("descriptor-0");
    put(shard, "a", 1, 1, 0, false);
    struct cf_indexing *indexing = open_indexing();
    assert_int_equal(expect_published(run(indexing, true)), 1);
    assert_int_equal(expect_published(run(indexing, true)), 2);
    for (uint64_t i = 1; i <= 2; i++) {
        char path[CF_HOME_PATH_MAX];
        assert_int_equal(cf_generation_path(&home, cf_spaces[0].name, i, path, sizeof path, NULL), CF_OK);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(expect_published(run_until_published(indexing)), 3);
    cf_indexing_free(indexing);
    char path[CF_HOME_PATH_MAX];
    assert_int_equal(cf_generation_path(&home, cf_spaces[0].name, 3, path, sizeof path, NULL), CF_OK);
    assert_int_equal(unlink(path), 0);
    indexing = open_indexing();
    assert_int_equal(expect_published(run_until_published(indexing)), 4);
    cf_indexing_free(indexing);
    cf_shard_free(shard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_gets_into_an_index),
        cmocka_unit_test(generations_are_kept_reloaded_and_replaced),
        cmocka_unit_test(a_cancelled_build_leaves_nothing),
        cmocka_unit_test(an_unreadable_shard_does_not_stop_the_others),
        cmocka_unit_test(a_damaged_table_costs_no_album),
        cmocka_unit_test(a_vector_that_is_lost_ends_the_build),
        cmocka_unit_test(a_shard_that_goes_back_is_waited_for),
        cmocka_unit_test(a_deleted_index_is_built_again),
    };
    return cmocka_run_group_tests(tests, set_up, store_folder_remove);
}
