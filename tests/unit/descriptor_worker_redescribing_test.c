/* Describing again, without a fleet: what lacks a vector gets it from its thumbnail, once; what cannot is
 * counted; a killed job goes on where it was; a shard without an owner is taken, and let go when its owner
 * comes. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/descriptor/cfmap.h"
#include "common/image/image.h"
#include "tests/unit/store_folder.h"
#include "workers/descriptor/redescribing.h"

enum { ALBUMS = 40, SLICES_MAX = 1000 };

static struct cf_home home;
static struct cf_config config;

static void pixels(unsigned number, uint8_t rgb[CF_THUMB_RGB_BYTES])
{
    for (unsigned i = 0; i < CF_THUMB_RGB_BYTES; i++)
        rgb[i] = (uint8_t)((i / 3 % 64 + i / 192) * (number + 1));
}

static void put(struct cf_shard *shard, const char *id, uint64_t seq, struct cf_bytes thumb)
{
    static const float gray[256];
    const struct cf_shard_vector vector = {cf_str("gray16"), 1, gray, 256};
    struct cf_shard_album album = {.version = {1, seq}, .source = cf_str("bytes")};
    assert_int_equal(cf_shard_put(shard, cf_str(id), &album, &vector, 1, thumb, NULL), CF_OK);
}

/* ALBUMS ordinary ones, one without a thumbnail, one with a damaged one, one removed. */
static void fill(const char *name)
{
    char path[CF_HOME_PATH_MAX], id[32];
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/shards/%s", name), CF_OK);
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    for (unsigned i = 0; i < ALBUMS; i++) {
        uint8_t rgb[CF_THUMB_RGB_BYTES];
        struct cf_buf jpeg = {0};
        pixels(i, rgb);
        assert_int_equal(cf_thumb_encode(rgb, &jpeg, NULL), CF_OK);
        snprintf(id, sizeof id, "album-%02u", i);
        put(shard, id, i + 1, cf_buf_bytes(&jpeg));
        cf_buf_fini(&jpeg);
    }
    put(shard, "given", 100, (struct cf_bytes){0});
    put(shard, "damaged", 101, (struct cf_bytes){(const uint8_t *)"no jpeg", 7});
    struct cf_shard_album removed = {.version = {1, 102}, .removed = true};
    assert_int_equal(cf_shard_put(shard, cf_str("gone"), &removed, NULL, 0, (struct cf_bytes){0}, NULL),
                     CF_OK);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
    cf_shard_free(shard);
}

struct rig {
    struct cf_describing *describing;
    struct cf_redescribing *redescribing;
};

static struct rig open_rig(const char *name)
{
    char path[CF_HOME_PATH_MAX];
    struct rig rig = {NULL, NULL};
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/shards/%s", name), CF_OK);
    assert_int_equal(cf_describing_new(&config, NULL, path, &rig.describing, NULL), CF_OK);
    assert_int_equal(cf_redescribing_new(&home, name, rig.describing, &rig.redescribing, NULL), CF_OK);
    return rig;
}

static void close_rig(struct rig *rig)
{
    cf_redescribing_free(rig->redescribing);
    cf_describing_free(rig->describing);
}

static void start(struct cf_redescribe_slice *slice, uint64_t order)
{
    memset(slice, 0, sizeof *slice);
    slice->order = order;
    slice->spaces[CF_SPACE_GRAY16] = slice->spaces[CF_SPACE_COPY] = slice->spaces[CF_SPACE_STYLE] = true;
}

static void run_to_end(struct rig *rig, struct cf_redescribe_slice *slice)
{
    for (unsigned i = 0; i < SLICES_MAX; i++) {
        cf_redescribing_run(rig->redescribing, slice);
        if (slice->finished)
            return;
        (void)poll(NULL, 0, (int)slice->pause_ms); /* as its worker would */
    }
    fail_msg("it does not end");
}

static void check_album(struct cf_shard *shard, struct cf_describer *describer, unsigned number)
{
    char id[32];
    uint8_t rgb[CF_THUMB_RGB_BYTES];
    struct cf_buf jpeg = {0};
    float expected[128], found[128];
    bool constant;
    snprintf(id, sizeof id, "album-%02u", number);
    assert_int_equal(cf_shard_thumb(shard, cf_str(id), &jpeg, NULL), CF_OK);
    assert_int_equal(cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, NULL), CF_OK);
    for (size_t s = CF_SPACE_COPY; s <= CF_SPACE_STYLE; s++) {
        const struct cf_space *space = &cf_spaces[s];
        assert_int_equal(cf_describe(describer, space, rgb, 64, 64, expected, &constant, NULL), CF_OK);
        assert_int_equal(
            cf_shard_vector(shard, cf_str(id), cf_str(space->name), space->version, found, space->dim, NULL),
            CF_OK);
        assert_memory_equal(found, expected, space->dim * sizeof *found);
    }
    cf_buf_fini(&jpeg);
}

static void check_shard(struct cf_shard *shard)
{
    struct cf_describer *describer = cf_describer_new();
    uint64_t last = 0;
    for (unsigned i = 0; i < ALBUMS; i++)
        check_album(shard, describer, i);
    assert_int_equal(cf_shard_check(shard, NULL), CF_OK);
    assert_int_equal(cf_shard_log_last(shard, &last, NULL), CF_OK);
    assert_int_equal(last, ALBUMS + 3 + ALBUMS); /* each was written twice: at first, and once again */
    cf_describer_free(describer);
}

static void what_is_missing_is_added_once(void **state)
{
    (void)state;
    struct cf_redescribe_slice slice;
    fill("descriptor-0");
    struct rig rig = open_rig("descriptor-0");
    start(&slice, 1);
    cf_redescribing_run(rig.redescribing, &slice);
    assert_int_equal(slice.parts[0].total, ALBUMS + 2);
    cf_redescribing_run(rig.redescribing, &slice);
    assert_true(slice.parts[0].done > 0 && slice.parts[0].done < ALBUMS && !slice.finished);
    uint64_t before = slice.parts[0].done;
    /* As after a kill: another process begins with the same order, and finds what was done. */
    close_rig(&rig);
    rig = open_rig("descriptor-0");
    start(&slice, 1);
    run_to_end(&rig, &slice);
    assert_int_equal(slice.parts[0].done + before, ALBUMS);
    assert_int_equal(slice.parts[0].no_thumbnail, 1);
    assert_int_equal(slice.parts[0].failed, 1);
    assert_true(slice.pause_ms > 0 || slice.finished);
    check_shard(cf_describing_shard(rig.describing, NULL));
    /* A new order finds nothing that it could do. */
    start(&slice, 2);
    run_to_end(&rig, &slice);
    assert_int_equal(slice.parts[0].done, 0);
    check_shard(cf_describing_shard(rig.describing, NULL));
    close_rig(&rig);
}

/* The lock that a worker of that slot holds; its process is a child. */
static pid_t own(const char *name)
{
    char path[CF_HOME_PATH_MAX], byte = 0;
    int ready[2];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "run/%s.lock", name), CF_OK);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a check fails */
        int file = open(path, O_RDWR | O_CREAT, 0600);
        if (file < 0 || fcntl(file, F_SETLK, &lock) != 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static const struct cf_redescribe_part *part_of(const struct cf_redescribe_slice *slice, const char *shard)
{
    for (size_t i = 0; i < slice->part_count; i++)
        if (strcmp(slice->parts[i].shard, shard) == 0)
            return &slice->parts[i];
    fail_msg("%s is not among them", shard);
    return NULL;
}

/* A model whose numbers are finite, and whose vectors are not. */
static void what_is_not_finite_is_counted_and_not_kept(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    static float means[256], scales[256], last[256], shift[1];
    for (size_t i = 0; i < 256; i++) {
        means[i] = -3e38F;
        scales[i] = 3e38F;
        last[i] = 1;
    }
    const struct cf_cfmap map = {.version = 1,
                                 .inputs = 256,
                                 .outputs = 1,
                                 .spaces = {{"gray16", 1, 256}},
                                 .space_count = 1,
                                 .means = means,
                                 .scales = scales,
                                 .last = last,
                                 .last_shift = shift};
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/models"), CF_OK);
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/models/cf-1.cfmap"), CF_OK);
    assert_int_equal(cf_cfmap_write(path, &map, NULL), CF_OK);
    assert_int_equal(cf_spaces_enable(&config, &home, NULL, NULL), CF_OK);
    struct cf_redescribe_slice slice = {.order = 7, .spaces = {[CF_SPACE_CF] = true}};
    fill("descriptor-3");
    struct rig rig = open_rig("descriptor-3");
    run_to_end(&rig, &slice);
    assert_int_equal(slice.parts[0].done, 0);
    assert_int_equal(slice.parts[0].no_thumbnail, 1);
    assert_int_equal(slice.parts[0].failed, ALBUMS + 1);
    float found[1];
    assert_int_equal(cf_shard_vector(cf_describing_shard(rig.describing, NULL), cf_str("album-00"),
                                     cf_str("cf"), 1, found, 1, NULL),
                     CF_E_NOT_FOUND);
    close_rig(&rig);
}

static void an_orphan_is_adopted_and_an_owned_shard_is_not(void **state)
{
    (void)state;
    struct cf_redescribe_slice slice;
    char path[CF_HOME_PATH_MAX];
    fill("descriptor-1");
    fill("descriptor-2");
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "run"), CF_OK);
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    static const char *const strays[] = {"data/shards/notes", "data/shards/descriptor-2.bak"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "%s", strays[i]), CF_OK);
        assert_int_equal(
            i ? cf_file_make_dirs(path, NULL) : cf_file_publish(path, (struct cf_bytes){0}, NULL), CF_OK);
    }
    pid_t owner = own("descriptor-1");
    struct rig rig = open_rig("descriptor-0");
    start(&slice, 3);
    slice.adopts = true;
    run_to_end(&rig, &slice);
    /* Of the owned one it is told that it is unfinished; what else lies there is no shard. */
    assert_int_equal(slice.part_count, 3);
    assert_true(part_of(&slice, "descriptor-2")->finished);
    assert_int_equal(part_of(&slice, "descriptor-2")->done, ALBUMS);
    assert_false(part_of(&slice, "descriptor-1")->finished);
    assert_int_equal(part_of(&slice, "descriptor-1")->total, 0);
    /* It was let go. */
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/shards/descriptor-2"), CF_OK);
    assert_int_equal(cf_shard_open(path, &shard, NULL), CF_OK);
    check_shard(shard);
    cf_shard_free(shard);
    kill(owner, SIGKILL);
    close_rig(&rig);
}

int main(void)
{
    struct cf_detail detail = {""};
    if (store_folder_make(NULL) != 0)
        return 1;
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    snprintf(home.run, sizeof home.run, "%s/run", store_folder);
    cf_config_default(&config, &home);
    if (cf_spaces_load(&config, &detail) != CF_OK) {
        printf("%s\n", detail.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_missing_is_added_once),
        cmocka_unit_test(an_orphan_is_adopted_and_an_owned_shard_is_not),
        cmocka_unit_test(what_is_not_finite_is_counted_and_not_kept),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cf_spaces_unload();
    (void)store_folder_remove(NULL);
    return failed;
}
