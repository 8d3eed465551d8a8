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

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "tests/unit/indexer_rig.h"

static void what_gets_into_an_index(void **state)
{
    (void)state;
    rig_use_home("content");
    struct cf_indexing *indexing = rig_open_indexing();
    assert_null(rig_run(indexing, false)); /* no shard, nothing to build */
    struct cf_shard *a = rig_open_shard("descriptor-0"), *b = rig_open_shard("descriptor-1");
    rig_put(a, "moved", 1, 0.25f, 0, false);
    rig_put(a, "removed", 2, 0.5f, 0, false);
    rig_put(a, "flat", 3, 0, CF_FLAG_CONSTANT, false);
    rig_put(a, "kept", 4, 0.75f, CF_FLAG_PARTIAL, false);
    rig_put(a, "damaged", 5, NAN, 0, false);
    rig_put(b, "moved", 6, 1, 0, false);
    rig_put(b, "removed", 7, 0, 0, true);
    struct cf_publication *published = rig_run(indexing, false);
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

    struct cf_ann *ann = rig_open_index(1, 0);
    struct cf_generation_tag tag = {.shard = 9};
    assert_true(rig_value_of(ann, "moved", &tag) == 1);
    assert_int_equal(tag.version.seq, 6);
    assert_int_equal(tag.shard, 1);
    assert_true(rig_value_of(ann, "kept", &tag) == 0.75f);
    assert_int_equal(tag.shard, 0);
    assert_true(rig_value_of(ann, "removed", &tag) == -1);
    assert_true(rig_value_of(ann, "flat", &tag) == -1);
    assert_true(rig_value_of(ann, "damaged", &tag) == -1);
    struct cf_arena *arena = cf_arena_new();
    struct cf_generation generation;
    assert_int_equal(cf_generation_decode(cf_ann_attachment(ann), arena, &generation, NULL), CF_OK);
    assert_int_equal(cf_generation_mark(&generation, cf_str("descriptor-1")), 2);
    assert_int_equal(generation.space_version, cf_spaces[0].version);
    cf_arena_free(arena);
    cf_ann_free(ann);
    assert_null(rig_run(indexing, false)); /* nothing new */
    rig_put(a, "new", 8, 0.5f, 0, false);
    published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.generation, 2);
    assert_int_equal(published->msg.count, 3);
    cf_publication_free(published);
    cf_shard_free(a);
    cf_shard_free(b);
    cf_indexing_free(indexing);
}

static void damage(uint64_t generation)
{
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++) {
        char path[CF_HOME_PATH_MAX];
        struct stat info;
        assert_int_equal(
            cf_generation_path(&rig_home, cf_spaces[i].name, generation, path, sizeof path, NULL), CF_OK);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &info), 0);
        assert_int_equal(pwrite(fd, "damage", 6, info.st_size / 2), 6);
        close(fd);
    }
}

static void touch(uint64_t generation)
{
    char path[CF_HOME_PATH_MAX];
    rig_path(generation, 0, path);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
}

static void generations_are_kept_reloaded_and_replaced(void **state)
{
    (void)state;
    rig_use_home("generations");
    struct cf_shard *shard = rig_open_shard("descriptor-0");
    rig_put(shard, "a", 1, 1, 0, false);
    rig_put(shard, "b", 2, 2, 0, false);
    struct cf_indexing *indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, false)), 1);
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 2); /* because somebody asked for it */
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 3);
    assert_true(rig_exists(3, 0) && rig_exists(2, 0));
    assert_false(rig_exists(1, 0));
    cf_indexing_free(indexing);

    /* A restart tells the newest again and builds nothing. */
    indexing = rig_open_indexing();
    struct cf_publication *published = rig_run(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.generation, 3);
    assert_int_equal(published->msg.count, 2);
    assert_int_equal(published->msg.watermarks[0].log_seq, 2);
    cf_publication_free(published);
    assert_null(rig_run(indexing, false));
    cf_indexing_free(indexing);

    /* A damaged newest one is passed over, and a new one built at once, whose number is its own. */
    damage(3);
    rig_config.indexer_quiet_ms = 3600000;
    rig_config.indexer_interval_ms = 3600000;
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, false)), 4);
    assert_true(rig_exists(4, 0) && rig_exists(2, 0));
    assert_false(rig_exists(3, 0));

    /* So is one that is damaged while the indexer runs; one that was only touched is not. */
    touch(4);
    assert_null(rig_run(indexing, false));
    damage(4);
    assert_int_equal(rig_expect_published(rig_run(indexing, false)), 5);
    assert_true(rig_exists(5, 0) && rig_exists(2, 0));
    assert_false(rig_exists(4, 0));
    assert_null(rig_run(indexing, false));
    cf_indexing_free(indexing);

    /* With none left whole everything is behind. */
    damage(5);
    damage(2);
    rig_config.indexer_quiet_ms = 0;
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, false)), 6);
    assert_true(rig_exists(6, 0));
    assert_false(rig_exists(5, 0) || rig_exists(2, 0));
    cf_indexing_free(indexing);
    cf_shard_free(shard);
}

static void a_cancelled_build_leaves_nothing(void **state)
{
    (void)state;
    rig_use_home("cancelled");
    struct cf_shard *shard = rig_open_shard("descriptor-0");
    struct cf_rng rng = cf_rng(3);
    for (uint64_t i = 1; i <= 300; i++) {
        char id[16];
        snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        rig_put(shard, id, i, (float)cf_rng_unit(&rng), 0, false);
    }
    struct cf_indexing *indexing = rig_open_indexing();
    cf_indexing_cancel(indexing);
    assert_null(rig_run(indexing, true));
    assert_false(rig_exists(1, 0));
    cf_indexing_free(indexing);
    cf_shard_free(shard);
}

static void an_unreadable_shard_does_not_stop_the_others(void **state)
{
    (void)state;
    rig_use_home("unreadable");
    char path[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&rig_home, path, sizeof path, NULL, "data/shards/descriptor-0"), CF_OK);
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    assert_int_equal(cf_home_path(&rig_home, path, sizeof path, NULL, "data/shards/descriptor-0/CURRENT"),
                     CF_OK);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)"x", 1}, NULL), CF_OK);
    struct cf_shard *shard = rig_open_shard("descriptor-1");
    rig_put(shard, "a", 1, 1, 0, false);
    struct cf_indexing *indexing = rig_open_indexing();
    struct cf_publication *published = rig_run(indexing, false);
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
    struct cf_shard *shard = rig_open_shard(shard_name);
    for (uint64_t i = 1; i <= DAMAGED_ALBUMS; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s-%02llu", prefix, (unsigned long long)i);
        rig_put(shard, id, i, (float)i, 0, false);
    }
    cf_shard_free(shard);
    cf_shard_free(rig_open_shard(shard_name));
}

/* The tables of a shard by size; the largest is that of the vectors. */
static size_t list_tables(const char *shard_name, char paths[8][CF_HOME_PATH_MAX])
{
    char folder[CF_HOME_PATH_MAX];
    off_t sizes[8];
    size_t count = 0;
    assert_int_equal(cf_home_path(&rig_home, folder, sizeof folder, NULL, "data/shards/%s", shard_name),
                     CF_OK);
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

/* Whichever table of a shard is damaged: no generation is built without its albums, and the next one has
 * them. */
static void a_damaged_table_costs_no_album(void **state)
{
    (void)state;
    rig_use_home("damaged-table");
    rig_config.indexer_quiet_ms = 3600000;
    rig_config.indexer_interval_ms = 3600000;
    fill_tables("descriptor-0", "a");
    fill_tables("descriptor-1", "b");
    struct cf_indexing *indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 1);
    cf_indexing_free(indexing);
    char paths[8][CF_HOME_PATH_MAX];
    size_t count = list_tables("descriptor-0", paths);
    assert_in_range(count, 3, 8);
    for (size_t i = 0; i < count; i++) {
        flip_bytes(paths[i]);
        indexing = rig_open_indexing();
        assert_int_equal(rig_expect_published(rig_run(indexing, false)), i + 1); /* what it found */
        for (int round = 0; round < 3; round++)
            assert_null(rig_run(indexing, true));
        struct cf_index_round look = {{false}, {NULL}, 0};
        cf_indexing_run(indexing, &look);
        assert_int_equal(look.unreadable_shards, 1);
        flip_bytes(paths[i]);
        struct cf_publication *published = rig_run_until_published(indexing, true);
        assert_non_null(published);
        assert_int_equal(published->msg.count, 2 * DAMAGED_ALBUMS);
        assert_int_equal(rig_expect_published(published), i + 2);
        cf_indexing_free(indexing);
    }
    rig_config.indexer_quiet_ms = 0;
}

/* Damage that comes while the indexer has the tables open shows in what it reads. */
static void a_vector_that_is_lost_ends_the_build(void **state)
{
    (void)state;
    rig_use_home("damaged-vectors");
    fill_tables("descriptor-0", "a");
    struct cf_indexing *indexing = rig_open_indexing();
    char paths[8][CF_HOME_PATH_MAX];
    assert_in_range(list_tables("descriptor-0", paths), 3, 8);
    flip_bytes(paths[0]);
    assert_null(rig_run(indexing, true));
    assert_false(rig_exists(1, 0));
    flip_bytes(paths[0]);
    struct cf_publication *published = rig_run_until_published(indexing, true);
    assert_non_null(published);
    assert_int_equal(published->msg.count, DAMAGED_ALBUMS);
    cf_publication_free(published);
    cf_indexing_free(indexing);
}

/* An older state of a shard in place of the newer, or none at all. */
static void a_shard_that_goes_back_is_waited_for(void **state)
{
    (void)state;
    rig_use_home("backwards");
    fill_tables("descriptor-0", "a");
    struct cf_indexing *indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 1);
    cf_indexing_free(indexing);
    char path[CF_HOME_PATH_MAX], aside[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&rig_home, path, sizeof path, NULL, "data/shards/descriptor-0"), CF_OK);
    assert_int_equal(cf_home_path(&rig_home, aside, sizeof aside, NULL, "aside"), CF_OK);
    assert_int_equal(rename(path, aside), 0);
    struct cf_shard *other = rig_open_shard("descriptor-1");
    rig_put(other, "b", 1, 1, 0, false);
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 1); /* found, none built */
    assert_null(rig_run(indexing, true));
    cf_indexing_free(indexing);
    struct cf_shard *young = rig_open_shard("descriptor-0");
    rig_put(young, "young", 1, 1, 0, false);
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 1);
    assert_null(rig_run(indexing, true));
    cf_indexing_free(indexing);
    cf_shard_free(young);
    char young_aside[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(&rig_home, young_aside, sizeof young_aside, NULL, "young"), CF_OK);
    assert_int_equal(rename(path, young_aside), 0);
    assert_int_equal(rename(aside, path), 0);
    indexing = rig_open_indexing();
    struct cf_publication *published = rig_run(indexing, true);
    assert_non_null(published);
    assert_int_equal(published->msg.count, DAMAGED_ALBUMS + 1);
    assert_int_equal(rig_expect_published(published), 2);
    cf_indexing_free(indexing);
    cf_shard_free(other);
}

/* Deleted files of an index are missed at once, and no number is given twice. */
static void a_deleted_index_is_built_again(void **state)
{
    (void)state;
    rig_use_home("deleted");
    struct cf_shard *shard = rig_open_shard("descriptor-0");
    rig_put(shard, "a", 1, 1, 0, false);
    struct cf_indexing *indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 1);
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 2);
    for (uint64_t i = 1; i <= 2; i++) {
        char path[CF_HOME_PATH_MAX];
        assert_int_equal(cf_generation_path(&rig_home, cf_spaces[0].name, i, path, sizeof path, NULL), CF_OK);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 3);
    cf_indexing_free(indexing);
    char path[CF_HOME_PATH_MAX];
    assert_int_equal(cf_generation_path(&rig_home, cf_spaces[0].name, 3, path, sizeof path, NULL), CF_OK);
    assert_int_equal(unlink(path), 0);
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 4);
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
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
