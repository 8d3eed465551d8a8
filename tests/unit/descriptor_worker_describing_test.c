/* Batches of leased covers, decoded by the real child: each gets its own outcome, and the shard what it
 * should. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/descriptor/gist.h"
#include "common/descriptor/gray16.h"
#include "common/descriptor/space.h"
#include "common/store/shard.h"
#include "proto/container.h"
#include "tests/unit/store_folder.h"
#include "workers/descriptor/describing.h"

static struct cf_config config;
static struct cf_home home;
static struct cf_decoder *decoder;

/* The shard's reads: the read_fails_at-th from now on fails once. */
static unsigned read_fails_at;
static enum cf_err read_err;

enum cf_err __real_cf_shard_album(struct cf_shard *shard, struct cf_str id, struct cf_arena *arena,
                                  struct cf_shard_album *album, struct cf_detail *detail);
enum cf_err __wrap_cf_shard_album(struct cf_shard *shard, struct cf_str id, struct cf_arena *arena,
                                  struct cf_shard_album *album, struct cf_detail *detail);

enum cf_err __wrap_cf_shard_album(struct cf_shard *shard, struct cf_str id, struct cf_arena *arena,
                                  struct cf_shard_album *album, struct cf_detail *detail)
{
    if (read_fails_at && --read_fails_at == 0)
        return cf_fail(detail, read_err, "a read that fails");
    return __real_cf_shard_album(shard, id, arena, album, detail);
}

/* A 64x64 PPM: one grey when `step` is 0, otherwise diagonal stripes. */
static struct cf_bytes picture(unsigned step)
{
    static uint8_t file[16 + 64 * 64 * 3];
    int len = snprintf((char *)file, sizeof file, "P6 64 64 255\n");
    for (unsigned i = 0; i < 64 * 64 * 3; i++)
        file[(unsigned)len + i] = step ? (uint8_t)((i / 3 % 64 + i / 192) * step) : 128;
    return (struct cf_bytes){file, (size_t)len + 64 * 64 * 3};
}

static struct cf_describing *open_describing(const char *path)
{
    struct cf_detail detail = {""};
    struct cf_describing *describing = NULL;
    if (cf_describing_new(&config, decoder, path, &describing, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    return describing;
}

static struct cf_cover *add(struct cf_cover_batch *batch, const char *id, uint64_t seq, struct cf_bytes bytes)
{
    struct cf_job job = {.album = cf_str(id), .version = {1, seq}, .bytes = bytes, .attempt = 1};
    assert_true(batch->count < batch->capacity);
    struct cf_cover **cover = &batch->covers[batch->count++];
    assert_int_equal(cf_cover_new(&job, cf_clock_mono_ms(), 1, cover), CF_OK);
    return *cover;
}

static void expect_outcome(const struct cf_cover *cover, enum cf_outcome outcome, enum cf_err err)
{
    assert_int_equal(cover->outcome, outcome);
    assert_int_equal(cover->err, err);
    if (outcome != CF_OUTCOME_DONE)
        assert_true(cover->detail.text[0] != '\0');
}

static struct cf_bytes text(const char *words)
{
    return (struct cf_bytes){(const uint8_t *)words, strlen(words)};
}

static enum cf_err album_in(const char *path, const char *id, struct cf_arena *arena,
                            struct cf_shard_album *album)
{
    char private_path[STORE_PATH_MAX];
    store_folder_path(private_path, "private");
    struct cf_shard *shard = NULL;
    assert_int_equal(cf_shard_open_secondary(path, private_path, &shard, NULL), CF_OK);
    enum cf_err err = cf_shard_album(shard, cf_str(id), arena, album, NULL);
    if (err == CF_OK && !album->removed) {
        static float values[CF_DIM_MAX];
        for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
            assert_int_equal(cf_shard_vector(shard, cf_str(id), cf_str(cf_spaces[i].name),
                                             cf_spaces[i].version, values, cf_spaces[i].dim, NULL),
                             CF_OK);
        struct cf_buf thumb;
        cf_buf_init(&thumb);
        assert_int_equal(cf_shard_thumb(shard, cf_str(id), &thumb, NULL), CF_OK);
        assert_true(thumb.len > 100);
        cf_buf_fini(&thumb);
    }
    cf_shard_free(shard);
    return err;
}

static void each_cover_has_its_own_outcome(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX], outside[STORE_PATH_MAX], inside[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-0");
    store_folder_path(outside, "secret.ppm");
    store_folder_path(inside, "covers/a.ppm");
    assert_int_equal(cf_file_publish(outside, picture(3), NULL), CF_OK);
    assert_int_equal(cf_file_publish(inside, picture(3), NULL), CF_OK);
    struct cf_describing *describing = open_describing(path);
    struct cf_cover_batch *batch = cf_cover_batch_new(16);
    struct cf_cover *good = add(batch, "good", 1, picture(3));
    struct cf_cover *words = add(batch, "words", 2, text("this is not an image at all"));
    struct cf_cover *empty = add(batch, "empty", 3, (struct cf_bytes){0});
    struct cf_cover *flat = add(batch, "flat", 4, picture(0));
    struct cf_cover *file = add(batch, "file", 5, (struct cf_bytes){0});
    file->job.file = cf_str(inside);
    struct cf_cover *forbidden = add(batch, "forbidden", 6, (struct cf_bytes){0});
    forbidden->job.file = cf_str(outside);
    static const uint8_t wrong[CF_SHA256_BYTES];
    struct cf_cover *changed = add(batch, "changed", 7, picture(5));
    changed->job.sha256 = (struct cf_bytes){wrong, sizeof wrong};
    struct cf_cover *gone = add(batch, "gone", 8, (struct cf_bytes){0});
    gone->job.action = CF_ACTION_REMOVE;
    struct cf_cover *again = add(batch, "good", 1, picture(3));
    struct cf_cover *late = add(batch, "late", 9, picture(3));
    late->leased_ms -= (uint64_t)config.broker_lease_ms;
    struct cf_cover *last = add(batch, "last", 10, picture(7));
    static uint8_t right[CF_SHA256_BYTES];
    cf_sha256(last->job.bytes, right);
    last->job.sha256 = (struct cf_bytes){right, sizeof right};

    while (batch->settled < batch->count)
        cf_describing_run(describing, batch);
    assert_int_equal(batch->store_err, CF_OK);
    assert_int_equal(batch->fatal_err, CF_OK);
    assert_true(batch->committed);
    expect_outcome(good, CF_OUTCOME_DONE, CF_OK);
    assert_int_equal(good->log_seq, 1);
    assert_int_equal(good->flags, 0);
    expect_outcome(words, CF_OUTCOME_REFUSED, CF_E_NOT_AN_IMAGE);
    expect_outcome(empty, CF_OUTCOME_REFUSED, CF_E_NOT_AN_IMAGE);
    expect_outcome(flat, CF_OUTCOME_DONE, CF_OK);
    assert_int_equal(flat->flags, CF_FLAG_CONSTANT);
    assert_int_equal(flat->warning_count, 1);
    expect_outcome(file, CF_OUTCOME_DONE, CF_OK);
    expect_outcome(forbidden, CF_OUTCOME_REFUSED, CF_E_OUTSIDE_ROOTS);
    expect_outcome(changed, CF_OUTCOME_REFUSED, CF_E_CONTENT_CHANGED);
    expect_outcome(gone, CF_OUTCOME_DONE, CF_OK);
    expect_outcome(again, CF_OUTCOME_DONE, CF_OK);
    assert_int_equal(again->log_seq, good->log_seq);
    expect_outcome(late, CF_OUTCOME_BACK, CF_E_LEASE_EXPIRED);
    expect_outcome(last, CF_OUTCOME_DONE, CF_OK);
    cf_cover_batch_free(batch);

    struct cf_arena *arena = cf_arena_new();
    struct cf_shard_album album;
    assert_int_equal(album_in(path, "good", arena, &album), CF_OK);
    assert_int_equal(album.version.seq, 1);
    assert_int_equal(album.width, 64);
    assert_true(cf_str_is(album.source, "bytes"));
    assert_int_equal(album_in(path, "file", arena, &album), CF_OK);
    assert_true(cf_str_is(album.source, inside));
    assert_int_equal(album_in(path, "gone", arena, &album), CF_OK);
    assert_true(album.removed);
    assert_int_equal(album_in(path, "last", arena, &album), CF_OK);
    assert_memory_equal(album.sha256, right, sizeof right);
    assert_int_equal(album_in(path, "words", arena, &album), CF_E_NOT_FOUND);
    assert_int_equal(album_in(path, "late", arena, &album), CF_E_NOT_FOUND);
    cf_arena_free(arena);
    cf_describing_free(describing);
}

/* The files of a root that is not there go back, those of another root and pushed bytes are described. */
static void a_missing_root_hands_its_covers_back(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX], away[STORE_PATH_MAX], inside[STORE_PATH_MAX], none[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-3");
    store_folder_path(away, "unmounted/a.ppm");
    store_folder_path(inside, "covers/a.ppm");
    store_folder_path(none, "covers/none.ppm");
    assert_int_equal(cf_file_publish(inside, picture(3), NULL), CF_OK);
    config.root_count = 2;
    snprintf(config.roots[1], sizeof config.roots[1], "%s/unmounted", store_folder);
    struct cf_describing *describing = open_describing(path);
    struct cf_cover_batch *batch = cf_cover_batch_new(4);
    struct cf_cover *covers[4];
    const char *const files[] = {inside, away, none, NULL};
    for (uint64_t i = 0; i < 4; i++) {
        char id[] = {(char)('a' + i), '\0'};
        covers[i] = add(batch, id, i + 1, files[i] ? (struct cf_bytes){0} : picture(5));
        covers[i]->job.file = cf_str(files[i] ? files[i] : "");
    }
    while (batch->settled < batch->count)
        cf_describing_run(describing, batch);
    config.root_count = 1;
    expect_outcome(covers[0], CF_OUTCOME_DONE, CF_OK);
    expect_outcome(covers[1], CF_OUTCOME_BACK, CF_E_IO);
    expect_outcome(covers[2], CF_OUTCOME_REFUSED, CF_E_NOT_FOUND);
    expect_outcome(covers[3], CF_OUTCOME_DONE, CF_OK);
    assert_int_equal(batch->files_err, CF_E_IO);
    assert_non_null(strstr(batch->files_detail.text, "unmounted"));
    assert_int_equal(batch->store_err, CF_OK);
    assert_int_equal(batch->fatal_err, CF_OK);
    cf_cover_batch_free(batch);
    cf_describing_free(describing);
}

/* A shard that cannot be read in the look-ahead: all go back, nobody is blamed, and the worker goes on. */
static void a_read_error_hands_back(void **state)
{
    (void)state;
    static const enum cf_err errs[] = {CF_E_IO, CF_E_BUSY, CF_E_NO_MEMORY};
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-4");
    struct cf_describing *describing = open_describing(path);
    for (unsigned at = 1; at <= 40; at += 3) { /* also with pictures at the decoder */
        struct cf_cover_batch *batch = cf_cover_batch_new(40);
        for (uint64_t i = 0; i < 40; i++) {
            char id[16];
            snprintf(id, sizeof id, "%u-%llu", at, (unsigned long long)i);
            add(batch, id, i + 1, picture(3));
        }
        read_err = errs[at % 3];
        read_fails_at = at;
        cf_describing_run(describing, batch);
        assert_int_equal(read_fails_at, 0); /* it was met */
        assert_int_equal(batch->settled, 40);
        assert_int_equal(batch->store_err, read_err);
        assert_int_equal(batch->fatal_err, CF_OK);
        for (size_t i = 0; i < 40; i++) {
            expect_outcome(batch->covers[i], CF_OUTCOME_BACK, read_err);
            batch->covers[i]->outcome = CF_OUTCOME_NONE;
            batch->covers[i]->err = CF_OK;
            batch->covers[i]->begun = false;
            batch->covers[i]->picture = 0;
        }
        batch->settled = 0;
        batch->store_err = CF_OK;
        while (batch->settled < batch->count) /* leased again */
            cf_describing_run(describing, batch);
        assert_int_equal(batch->store_err, CF_OK);
        for (size_t i = 0; i < 40; i++)
            expect_outcome(batch->covers[i], CF_OUTCOME_DONE, CF_OK);
        cf_cover_batch_free(batch);
    }
    cf_describing_free(describing);
}

/* ---- vectors instead of a picture ---- */

static float numbers[CF_DIM_MAX];

static struct cf_container_vector given(const char *space, uint32_t version, uint32_t dim)
{
    return (struct cf_container_vector){cf_str(space), version, dim, (const uint8_t *)numbers};
}

static struct cf_cover *add_given(struct cf_cover_batch *batch, const char *id, uint64_t seq,
                                  struct cf_container_vector vector, struct cf_buf *file)
{
    struct cf_container container = {.vectors = {vector}, .count = 1};
    cf_buf_clear(file);
    cf_container_encode(&container, file);
    return add(batch, id, seq, cf_buf_bytes(file));
}

static void expect_given(const char *path, const char *id)
{
    char private_path[STORE_PATH_MAX];
    store_folder_path(private_path, "private");
    struct cf_shard *shard = NULL;
    struct cf_shard_album album;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf thumb = {0};
    static float values[CF_DIM_MAX];
    assert_int_equal(cf_shard_open_secondary(path, private_path, &shard, NULL), CF_OK);
    assert_int_equal(cf_shard_album(shard, cf_str(id), arena, &album, NULL), CF_OK);
    assert_true(cf_str_is(album.source, "vectors"));
    assert_int_equal(album.vector_count, 1);
    assert_true(cf_shard_album_has(&album, cf_str("gist"), 1));
    assert_int_equal(cf_shard_vector(shard, cf_str(id), cf_str("gist"), 1, values, CF_GIST_DIM, NULL), CF_OK);
    assert_memory_equal(values, numbers, CF_GIST_DIM * sizeof(float));
    assert_int_equal(cf_shard_vector(shard, cf_str(id), cf_str("gray16"), 1, values, CF_GRAY16_DIM, NULL),
                     CF_E_NOT_FOUND);
    assert_int_equal(cf_shard_thumb(shard, cf_str(id), &thumb, NULL), CF_E_NOT_FOUND);
    cf_shard_free(shard);
    cf_buf_fini(&thumb);
    cf_arena_free(arena);
}

/* Beside pictures in one batch; what is wrong with them is wrong for ever. */
static void given_vectors_are_stored_as_they_are(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX], inside[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-5");
    store_folder_path(inside, "covers/a.vectors");
    for (size_t i = 0; i < CF_DIM_MAX; i++)
        numbers[i] = (float)i / 7 - 3;
    struct cf_describing *describing = open_describing(path);
    struct cf_cover_batch *batch = cf_cover_batch_new(16);
    struct cf_buf file = {0};
    struct cf_cover *before = add(batch, "before", 1, picture(3));
    struct cf_cover *good = add_given(batch, "good", 2, given("gist", 1, CF_GIST_DIM), &file);
    assert_int_equal(cf_file_publish(inside, cf_buf_bytes(&file), NULL), CF_OK);
    struct cf_cover *by_path = add(batch, "by-path", 3, (struct cf_bytes){0});
    by_path->job.file = cf_str(inside);
    struct cf_cover *cut = add(batch, "cut", 4, (struct cf_bytes){file.data, file.len - 1});
    struct cf_cover *space = add_given(batch, "space", 5, given("gits", 1, CF_GIST_DIM), &file);
    struct cf_cover *version = add_given(batch, "version", 6, given("gist", 2, CF_GIST_DIM), &file);
    struct cf_cover *dim = add_given(batch, "dim", 7, given("gist", 1, CF_GRAY16_DIM), &file);
    struct cf_cover *again = add_given(batch, "good", 2, given("gist", 1, CF_GIST_DIM), &file);
    struct cf_cover *behind = add(batch, "behind", 9, picture(5));
    while (batch->settled < batch->count)
        cf_describing_run(describing, batch);
    struct cf_cover *const done[] = {before, good, by_path, again, behind};
    for (size_t i = 0; i < sizeof done / sizeof done[0]; i++)
        expect_outcome(done[i], CF_OUTCOME_DONE, CF_OK);
    assert_int_equal(again->log_seq, good->log_seq);
    expect_outcome(cut, CF_OUTCOME_REFUSED, CF_E_INVALID);
    expect_outcome(space, CF_OUTCOME_REFUSED, CF_E_UNKNOWN_SPACE);
    expect_outcome(version, CF_OUTCOME_REFUSED, CF_E_BAD_VERSION);
    expect_outcome(dim, CF_OUTCOME_REFUSED, CF_E_BAD_VECTOR);
    assert_int_equal(batch->store_err, CF_OK);
    assert_int_equal(batch->files_err, CF_OK);
    expect_given(path, "good");
    expect_given(path, "by-path");
    cf_cover_batch_free(batch);
    cf_buf_fini(&file);
    cf_describing_free(describing);
}

/* A picture takes the place of vectors and the other way round: what the newer one does not bring is gone. */
static void vectors_and_pictures_replace_each_other(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-6");
    struct cf_describing *describing = open_describing(path);
    struct cf_cover_batch *batch = cf_cover_batch_new(4);
    struct cf_arena *arena = cf_arena_new();
    struct cf_shard_album album;
    struct cf_buf file = {0};
    add_given(batch, "a", 1, given("gist", 1, CF_GIST_DIM), &file);
    add(batch, "b", 2, picture(3));
    while (batch->settled < batch->count)
        cf_describing_run(describing, batch);
    cf_cover_batch_free(batch);
    batch = cf_cover_batch_new(4);
    add(batch, "a", 3, picture(3));
    add_given(batch, "b", 4, given("gist", 1, CF_GIST_DIM), &file);
    while (batch->settled < batch->count)
        cf_describing_run(describing, batch);
    assert_int_equal(album_in(path, "a", arena, &album), CF_OK);
    assert_int_equal(album.version.seq, 3);
    expect_given(path, "b");
    cf_cover_batch_free(batch);
    cf_arena_free(arena);
    cf_buf_fini(&file);
    cf_describing_free(describing);
}

static struct cf_cover *run_one(struct cf_describing *describing, struct cf_cover_batch **batch, uint64_t seq,
                                int action)
{
    cf_cover_batch_free(*batch);
    *batch = cf_cover_batch_new(1);
    struct cf_cover *cover = add(*batch, "a", seq, picture(3));
    cover->job.action = action;
    cf_describing_run(describing, *batch);
    assert_int_equal((*batch)->settled, 1);
    return cover;
}

static void the_same_version_again_is_done_an_older_one_refused(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-1");
    struct cf_describing *describing = open_describing(path);
    struct cf_cover_batch *batch = NULL;
    assert_int_equal(run_one(describing, &batch, 5, CF_ACTION_DESCRIBE)->log_seq, 1);
    struct cf_cover *again = run_one(describing, &batch, 5, CF_ACTION_DESCRIBE);
    expect_outcome(again, CF_OUTCOME_DONE, CF_OK);
    assert_int_equal(again->log_seq, 1);
    expect_outcome(run_one(describing, &batch, 4, CF_ACTION_DESCRIBE), CF_OUTCOME_REFUSED, CF_E_SUPERSEDED);
    expect_outcome(run_one(describing, &batch, 4, CF_ACTION_REMOVE), CF_OUTCOME_REFUSED, CF_E_SUPERSEDED);
    assert_int_equal(run_one(describing, &batch, 6, CF_ACTION_REMOVE)->log_seq, 2);
    assert_int_equal(run_one(describing, &batch, 6, CF_ACTION_REMOVE)->log_seq, 2);
    assert_int_equal(run_one(describing, &batch, 7, CF_ACTION_DESCRIBE)->log_seq, 3);
    cf_cover_batch_free(batch);
    cf_describing_free(describing);
}

static void fill(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    static char block[64 << 10];
    while (write(fd, block, sizeof block) > 0)
        continue;
    close(fd);
}

static struct cf_cover_batch *mixed_batch(uint64_t seq)
{
    struct cf_cover_batch *batch = cf_cover_batch_new(65);
    for (uint64_t i = 0; i < 64; i++) {
        char id[32];
        snprintf(id, sizeof id, "%llu", (unsigned long long)(seq + i));
        add(batch, id, seq + i, picture(3));
    }
    add(batch, "words", seq + 64, text("no image"));
    return batch;
}

static void a_full_disk_hands_back(void **state)
{
    (void)state;
    char disk[STORE_PATH_MAX], path[STORE_PATH_MAX + 16], filler[STORE_PATH_MAX + 16];
    store_folder_path(disk, "disk");
    assert_int_equal(cf_file_make_dirs(disk, NULL), CF_OK);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=32m") != 0) {
        printf("skipped: a_full_disk_hands_back may not mount a small file system here\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/shard", disk);
    snprintf(filler, sizeof filler, "%s/filler", disk);
    struct cf_describing *describing = open_describing(path);
    fill(filler);
    struct cf_cover_batch *batch = NULL;
    uint64_t seq = 1;
    for (bool full = false; !full && seq < 100000; seq += 100) { /* what RocksDB had reserved still fits */
        cf_cover_batch_free(batch);
        batch = mixed_batch(seq);
        while (batch->settled < batch->count)
            cf_describing_run(describing, batch);
        full = batch->store_err != CF_OK;
    }
    assert_int_equal(batch->store_err, CF_E_DISK_FULL);
    for (size_t i = 0; i < 64; i++)
        assert_true(batch->covers[i]->outcome == CF_OUTCOME_BACK ||
                    batch->covers[i]->outcome == CF_OUTCOME_DONE);
    expect_outcome(batch->covers[63], CF_OUTCOME_BACK, CF_E_DISK_FULL);
    assert_true(batch->covers[64]->outcome == CF_OUTCOME_REFUSED ||
                batch->covers[64]->outcome == CF_OUTCOME_BACK);
    cf_cover_batch_free(batch);
    unlink(filler);
    batch = mixed_batch(seq);
    while (batch->settled < batch->count)
        cf_describing_run(describing, batch);
    assert_int_equal(batch->store_err, CF_OK);
    for (size_t i = 0; i < 64; i++)
        expect_outcome(batch->covers[i], CF_OUTCOME_DONE, CF_OK);
    expect_outcome(batch->covers[64], CF_OUTCOME_REFUSED, CF_E_NOT_AN_IMAGE);
    cf_cover_batch_free(batch);
    cf_describing_free(describing);
    (void)umount2(disk, MNT_DETACH);
}

static void a_shard_of_somebody_else_is_refused(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-2");
    struct cf_describing *describing = open_describing(path), *other = NULL;
    struct cf_detail detail = {""};
    assert_int_equal(cf_describing_new(&config, decoder, path, &other, &detail), CF_E_LOCKED);
    assert_non_null(strstr(detail.text, path));
    cf_describing_free(describing);
}

int main(void)
{
    if (store_folder_make(NULL) != 0)
        return 1;
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    snprintf(home.run, sizeof home.run, "%s", store_folder);
    cf_config_default(&config, &home);
    config.root_count = 1;
    snprintf(config.roots[0], sizeof config.roots[0], "%s/covers", store_folder);
    struct cf_detail detail = {""};
    if (cf_file_make_dirs(config.roots[0], &detail) != CF_OK ||
        cf_decoder_new(&config, &decoder, &detail) != CF_OK || cf_spaces_load(&config, &detail) != CF_OK) {
        printf("%s\n", detail.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cover_has_its_own_outcome),
        cmocka_unit_test(the_same_version_again_is_done_an_older_one_refused),
        cmocka_unit_test(given_vectors_are_stored_as_they_are),
        cmocka_unit_test(vectors_and_pictures_replace_each_other),
        cmocka_unit_test(a_missing_root_hands_its_covers_back),
        cmocka_unit_test(a_read_error_hands_back),
        cmocka_unit_test(a_full_disk_hands_back),
        cmocka_unit_test(a_shard_of_somebody_else_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cf_decoder_free(decoder);
    (void)store_folder_remove(NULL);
    return failed;
}
