/* Small generations: what gets into one, what it hides, when a whole one follows, and what damage costs. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/ann/image.h"
#include "common/base/rng.h"
#include "tests/unit/indexer_rig.h"

/* Small ones come beside 1,024 albums or more, and for 256 entries or more. */
enum { BASE_ALBUMS = 2400, CHANGES = 260, ID_BYTES = 16 };

static const char *id_of(size_t i)
{
    static char ids[4][ID_BYTES];
    static size_t turn;
    char *id = ids[turn++ % 4];
    snprintf(id, ID_BYTES, "R-%05zu", i);
    return id;
}

static void commit(struct cf_shard *shard)
{
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
}

/* Albums from `first` on, each of its own seq. */
static void add_many(struct cf_shard *shard, size_t first, size_t count, uint64_t seq)
{
    for (size_t i = 0; i < count; i++)
        rig_add(shard, id_of(first + i), seq + i, 0.5f, 0, false);
    commit(shard);
}

/* Only the first space has vectors here: the others build nothing that takes time. */
static struct cf_indexing *start(const char *name, struct cf_shard **a, struct cf_shard **b)
{
    rig_use_home(name);
    rig_space_count = 1;
    *a = rig_open_shard("descriptor-0");
    *b = rig_open_shard("descriptor-1");
    add_many(*a, 0, BASE_ALBUMS / 2, 1);
    add_many(*b, BASE_ALBUMS / 2, BASE_ALBUMS / 2, BASE_ALBUMS / 2 + 1);
    struct cf_indexing *indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 1);
    return indexing;
}

static void stop(struct cf_indexing *indexing, struct cf_shard *a, struct cf_shard *b)
{
    cf_indexing_free(indexing);
    cf_shard_free(a);
    cf_shard_free(b);
}

static struct cf_generation attachment_of(const struct cf_ann *ann, struct cf_arena *arena)
{
    struct cf_generation generation;
    assert_int_equal(cf_generation_decode(cf_ann_attachment(ann), arena, &generation, NULL), CF_OK);
    return generation;
}

static bool hides(const struct cf_generation *generation, const char *id)
{
    for (size_t i = 0; i < generation->hidden_count; i++)
        if (cf_str_is(generation->hidden[i], id))
            return true;
    return false;
}

static void a_small_one_holds_what_changed(void **state)
{
    (void)state;
    struct cf_shard *a, *b;
    struct cf_indexing *indexing = start("small", &a, &b);
    uint64_t seq = 10000;
    rig_add(a, id_of(1), seq++, 0.75f, 0, false);            /* again in its shard */
    rig_add(b, id_of(2), seq++, 0.75f, 0, false);            /* moved to the other */
    rig_add(b, id_of(3), seq++, 0, 0, true);                 /* removed in the other */
    rig_add(a, id_of(4), seq++, 0, CF_FLAG_CONSTANT, false); /* flagged */
    rig_add(a, id_of(5), seq++, RIG_NO_VECTORS, 0, false);   /* without a vector now */
    rig_add(a, id_of(6), seq++, NAN, 0, false);              /* with a vector that is none */
    rig_add(b, id_of(7), 8, 0.25f, 0, false);      /* the version that the base has, a second time */
    rig_add(b, "gone at once", seq++, 0, 0, true); /* nothing that the base knows */
    rig_add(a, "twice", seq, 0.75f, 0, false);     /* two leases of one version: the lower shard */
    rig_add(b, "twice", seq++, 0.25f, 0, false);
    rig_add(a, "late", 9999, 0.25f, 0, false); /* overtaken by the other shard */
    rig_add(b, "late", seq++, 0.75f, 0, false);
    commit(b);
    commit(a);
    add_many(a, BASE_ALBUMS, CHANGES, 20000);
    struct cf_publication *published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.generation, 2);
    assert_int_equal(published->msg.count, BASE_ALBUMS - 4 + 2 + CHANGES);
    assert_int_equal(published->msg.watermarks[0].log_seq, BASE_ALBUMS / 2 + 6 + CHANGES);
    assert_int_equal(published->msg.watermarks[1].log_seq, BASE_ALBUMS / 2 + 6);
    cf_publication_free(published);
    assert_true(rig_exists(1, 0) && rig_exists(2, 1));
    assert_false(rig_exists(2, 0));

    struct cf_ann *ann = rig_open_index(2, 1);
    struct cf_arena *arena = cf_arena_new();
    struct cf_generation generation = attachment_of(ann, arena);
    assert_int_equal(generation.base, 1);
    assert_int_equal(cf_generation_mark(&generation, cf_str("descriptor-1")), BASE_ALBUMS / 2 + 6);
    assert_int_equal(generation.hidden_count, 4);
    for (size_t i = 3; i < 7; i++)
        assert_true(hides(&generation, id_of(i)));
    assert_int_equal(cf_ann_info(ann).count, 2 + 2 + CHANGES);
    struct cf_generation_tag tag;
    assert_float_equal(rig_value_of(ann, id_of(1), &tag), 0.75f, 0.01f);
    assert_int_equal(tag.shard, 0);
    assert_int_equal(tag.labels[CF_LABEL_ARTIST], cf_label(cf_str(id_of(1))));
    assert_int_equal(tag.labels[CF_LABEL_GENRE], 0);
    assert_float_equal(rig_value_of(ann, id_of(2), &tag), 0.75f, 0.01f);
    assert_int_equal(tag.shard, 1);
    assert_int_equal(tag.version.seq, 10001);
    assert_true(rig_value_of(ann, id_of(7), &tag) == -1);
    assert_true(rig_value_of(ann, id_of(8), &tag) == -1);
    assert_true(rig_value_of(ann, "gone at once", &tag) == -1);
    assert_float_equal(rig_value_of(ann, "twice", &tag), 0.75f, 0.01f);
    assert_int_equal(tag.shard, 0);
    assert_float_equal(rig_value_of(ann, "late", &tag), 0.75f, 0.01f);
    assert_int_equal(tag.shard, 1);
    cf_arena_free(arena);
    cf_ann_free(ann);
    assert_null(rig_run(indexing, false)); /* nothing new */
    stop(indexing, a, b);
}

/* Albums of many values around a middle. */
static void add_varied(struct cf_shard *shard, size_t first, size_t count, float middle, uint64_t seq)
{
    for (size_t i = 0; i < count; i++)
        rig_add(shard, id_of(first + i), seq + i, middle + (float)(i % 101) / 1000, 0, false);
    commit(shard);
}

static void a_small_one_takes_the_projection_of_its_base(void **state)
{
    (void)state;
    enum { BASE = 4600, NEW = 1100 }; /* so many have leaves, and are a quarter of the base at most */
    rig_use_home("like");
    rig_space_count = 1;
    struct cf_shard *a = rig_open_shard("descriptor-0"), *b = rig_open_shard("descriptor-1");
    add_varied(a, 0, BASE, 0.5f, 10000);
    struct cf_indexing *indexing = rig_open_indexing();
    uint64_t base = rig_expect_published(rig_run_until_published(indexing, false));
    add_varied(b, BASE, NEW, 0.55f, 20000);
    uint64_t next = rig_expect_published(rig_run_until_published(indexing, false));
    struct cf_ann *whole = rig_open_index(base, 0), *small = rig_open_index(next, base);
    assert_int_equal(cf_ann_info(small).count, NEW);
    assert_true(cf_ann_info(small).leaf_count > 0);
    assert_true(cf_bytes_equal(cf_ann_section(small, CF_ANN_MEAN), cf_ann_section(whole, CF_ANN_MEAN)));
    assert_true(cf_bytes_equal(cf_ann_section(small, CF_ANN_MATRIX), cf_ann_section(whole, CF_ANN_MATRIX)));
    cf_ann_free(whole);
    cf_ann_free(small);
    stop(indexing, a, b);
}

/* ---- against a model ---- */

enum { MODEL_ALBUMS = BASE_ALBUMS + 400, SHARDS = 2 };

struct model {
    struct {
        uint64_t versions[SHARDS]; /* of its records; 0: none there */
        bool findable[SHARDS];
    } albums[MODEL_ALBUMS];
    uint64_t seq;
    struct cf_rng rng;
};

static void model_put(struct model *model, struct cf_shard *const shards[SHARDS], size_t album, size_t shard,
                      uint64_t seq)
{
    uint64_t what = cf_rng_below(&model->rng, 20);
    bool removed = what == 0;
    float value = what == 1 ? RIG_NO_VECTORS : 0.5f;
    if (model->albums[album].versions[shard] >= seq)
        return; /* a shard takes nothing older */
    rig_add(shards[shard], id_of(album), seq, value, what == 2 ? CF_FLAG_CONSTANT : 0, removed);
    model->albums[album].versions[shard] = seq;
    model->albums[album].findable[shard] = what > 2;
}

/* New albums, newer versions anywhere, overtaken ones, and the same version in both shards. */
static void model_change(struct model *model, struct cf_shard *const shards[SHARDS])
{
    size_t album = (size_t)cf_rng_below(&model->rng, MODEL_ALBUMS);
    size_t shard = (size_t)cf_rng_below(&model->rng, SHARDS);
    uint64_t newest = ++model->seq, what = cf_rng_below(&model->rng, 8);
    model_put(model, shards, album, shard, newest);
    if (what == 0)
        model_put(model, shards, album, 1 - shard, newest - 1);
    if (what == 1)
        model_put(model, shards, album, 1 - shard, newest);
    model->seq++;
}

/* The shard whose record is the newest one; SHARDS when the album is not to be found. */
static size_t model_shard(const struct model *model, size_t album)
{
    const uint64_t *versions = model->albums[album].versions;
    size_t newest = versions[1] > versions[0];
    return model->albums[album].findable[newest] ? newest : SHARDS;
}

/* What the pair of a publication answers about an album. */
static size_t pair_shard(const struct cf_ann *whole, const struct cf_ann *small,
                         const struct cf_generation *generation, const char *id, uint64_t *seq)
{
    struct cf_generation_tag tag = {.shard = SHARDS};
    if (small && rig_value_of(small, id, &tag) == -1 && hides(generation, id))
        return SHARDS;
    if (tag.shard == SHARDS && rig_value_of(whole, id, &tag) == -1)
        return SHARDS;
    *seq = tag.version.seq;
    return tag.shard;
}

static void compare_with_model(const struct model *model, uint64_t number, uint64_t base, uint64_t count)
{
    struct cf_ann *whole = rig_open_index(base ? base : number, 0);
    struct cf_ann *small = base ? rig_open_index(number, base) : NULL;
    struct cf_arena *arena = cf_arena_new();
    struct cf_generation generation = attachment_of(small ? small : whole, arena);
    uint64_t findable = 0;
    for (size_t i = 0; i < MODEL_ALBUMS; i++) {
        uint64_t seq = 0;
        size_t wanted = model_shard(model, i), shard = pair_shard(whole, small, &generation, id_of(i), &seq);
        if (wanted != shard || (shard < SHARDS && seq != model->albums[i].versions[shard]))
            fail_msg("%s: shard %zu instead of %zu, version %llu", id_of(i), shard, wanted,
                     (unsigned long long)seq);
        findable += wanted < SHARDS;
    }
    assert_int_equal(count, findable);
    cf_arena_free(arena);
    cf_ann_free(small);
    cf_ann_free(whole);
}

static void any_changes_are_found_again(void **state)
{
    (void)state;
    struct cf_shard *shards[SHARDS];
    struct cf_indexing *indexing = start("model", &shards[0], &shards[1]);
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->rng = cf_rng(11);
    model->seq = 100000;
    for (size_t i = 0; i < BASE_ALBUMS; i++) {
        model->albums[i].versions[i >= BASE_ALBUMS / 2] = i + 1;
        model->albums[i].findable[i >= BASE_ALBUMS / 2] = true;
    }
    uint64_t whole = 1, wholes = 0, smalls = 0;
    for (uint64_t round = 2; round < 9; round++) {
        for (size_t i = 0; i < CHANGES; i++)
            model_change(model, shards);
        commit(shards[0]);
        commit(shards[1]);
        struct cf_publication *published = rig_run_until_published(indexing, false);
        assert_non_null(published);
        uint64_t count = published->msg.count;
        assert_int_equal(rig_expect_published(published), round);
        bool is_whole = rig_exists(round, 0);
        whole = is_whole ? round : whole;
        wholes += is_whole;
        smalls += !is_whole;
        compare_with_model(model, round, is_whole ? 0 : whole, count);
    }
    assert_true(wholes >= 1 && smalls >= 2);
    free(model);
    stop(indexing, shards[0], shards[1]);
}

/* ---- small or whole ---- */

static void much_hidden_makes_a_whole_one(void **state)
{
    (void)state;
    struct cf_shard *a, *b;
    struct cf_indexing *indexing = start("hidden", &a, &b);
    for (size_t i = 0; i < CHANGES; i++)
        rig_add(a, id_of(i), 10000 + i, 0, 0, true);
    commit(a);
    struct cf_publication *published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, BASE_ALBUMS - CHANGES);
    assert_int_equal(rig_expect_published(published), 2);
    assert_true(rig_exists(2, 0));
    stop(indexing, a, b);
}

/* Log numbers grow with every description; what counts is how many albums changed. */
static void the_same_albums_again_stay_small(void **state)
{
    (void)state;
    struct cf_shard *a, *b;
    struct cf_indexing *indexing = start("again", &a, &b);
    for (uint64_t round = 0; round < 4; round++)
        add_many(a, 0, CHANGES, 10000 + 1000 * round);
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 2);
    assert_true(rig_exists(2, 1));
    /* Whoever asks gets a whole one. */
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 3);
    assert_true(rig_exists(3, 0) && rig_exists(2, 1) && rig_exists(1, 0));
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 4);
    assert_false(rig_exists(2, 1) || rig_exists(1, 0)); /* it went with its base */
    stop(indexing, a, b);
}

/* ---- damage ---- */

static void damage(uint64_t generation, uint64_t base)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    rig_path(generation, base, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(pwrite(fd, "damage", 6, info.st_size / 2), 6);
    close(fd);
}

static void damaged_ones_are_passed_over(void **state)
{
    (void)state;
    struct cf_shard *a, *b;
    struct cf_indexing *indexing = start("damaged", &a, &b);
    add_many(a, BASE_ALBUMS, CHANGES, 10000);
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 2);
    add_many(b, BASE_ALBUMS + CHANGES, CHANGES, 20000);
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 3);
    assert_true(rig_exists(2, 1) && rig_exists(3, 1));
    cf_indexing_free(indexing);

    /* A restart tells the pair again and builds nothing. */
    indexing = rig_open_indexing();
    struct cf_publication *published = rig_run(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, BASE_ALBUMS + 2 * CHANGES);
    assert_int_equal(published->msg.watermarks[1].log_seq, BASE_ALBUMS / 2 + CHANGES);
    assert_int_equal(rig_expect_published(published), 3);
    assert_null(rig_run(indexing, false));
    cf_indexing_free(indexing);

    /* A damaged small one: the one before serves, until the next takes its place. */
    damage(3, 1);
    rig_config.indexer_quiet_ms = 3600000;
    indexing = rig_open_indexing();
    published = rig_run(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, BASE_ALBUMS + CHANGES);
    assert_int_equal(rig_expect_published(published), 2);
    cf_indexing_free(indexing);
    rig_config.indexer_quiet_ms = 0;
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 4);
    assert_true(rig_exists(4, 1) && rig_exists(2, 1));
    assert_false(rig_exists(3, 1));

    /* A damaged whole one takes its small ones with it, and is replaced by a whole one. */
    assert_int_equal(rig_expect_published(rig_run(indexing, true)), 5);
    add_many(b, 0, CHANGES, 30000);
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 6);
    assert_true(rig_exists(6, 5));
    cf_indexing_free(indexing);
    damage(5, 0);
    indexing = rig_open_indexing();
    published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, BASE_ALBUMS + 2 * CHANGES);
    assert_int_equal(rig_expect_published(published), 7);
    assert_true(rig_exists(7, 0) && rig_exists(1, 0) && rig_exists(4, 1));
    assert_false(rig_exists(5, 0) || rig_exists(6, 5));

    /* A deleted small one is missed at once. */
    add_many(b, 0, CHANGES, 40000);
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 8);
    char path[CF_HOME_PATH_MAX];
    rig_path(8, 7, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 9);
    assert_true(rig_exists(9, 7));
    stop(indexing, a, b);
}

/* ---- builds that fail ---- */

/* Behind the back of its shard: of an album of descriptor-0, the record or the vector. */
static void lose(const char *family, const char *id)
{
    static const char *const families[] = {"albums", "vectors", "thumbs", "log"};
    const struct cf_kv_options options = {.families = families, .family_count = 4};
    char path[CF_HOME_PATH_MAX];
    struct cf_kv *kv = NULL;
    struct cf_buf key;
    cf_buf_init(&key);
    if (strcmp(family, "vectors") == 0) {
        cf_buf_u8(&key, (uint8_t)strlen(cf_spaces[0].name));
        cf_buf_append(&key, cf_spaces[0].name, strlen(cf_spaces[0].name));
        for (int shift = 24; shift >= 0; shift -= 8)
            cf_buf_u8(&key, (uint8_t)(cf_spaces[0].version >> shift));
    }
    cf_buf_append(&key, id, strlen(id));
    assert_int_equal(cf_home_path(&rig_home, path, sizeof path, NULL, "data/shards/descriptor-0"), CF_OK);
    assert_int_equal(cf_kv_open(path, &options, &kv, NULL), CF_OK);
    cf_kv_delete(kv, strcmp(family, "vectors") == 0, cf_buf_bytes(&key));
    assert_int_equal(cf_kv_commit(kv, true, NULL), CF_OK);
    cf_kv_free(kv);
    cf_buf_fini(&key);
}

/* What a log promises is there, or there is no generation that says so. */
static void expect_no_build_without(const char *home, const char *family)
{
    struct cf_shard *a, *b;
    struct cf_indexing *indexing = start(home, &a, &b);
    cf_indexing_free(indexing);
    add_many(a, BASE_ALBUMS, CHANGES, 10000);
    cf_shard_free(a);
    lose(family, id_of(BASE_ALBUMS + 7));
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, false)), 1); /* found, none built */
    for (int round = 0; round < 3; round++)
        assert_null(rig_run(indexing, false));
    assert_false(rig_exists(2, 0) || rig_exists(2, 1));
    a = rig_open_shard("descriptor-0");
    rig_put(a, id_of(BASE_ALBUMS + 7), 20000, 0.5f, 0, false); /* described again */
    struct cf_publication *published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, BASE_ALBUMS + CHANGES);
    cf_publication_free(published);
    stop(indexing, a, b);
}

static void a_lost_record_is_no_silence(void **state)
{
    (void)state;
    expect_no_build_without("lost-record", "albums");
}

static void a_lost_vector_is_no_silence(void **state)
{
    (void)state;
    expect_no_build_without("lost-vector", "vectors");
}

static void a_cancelled_small_build_leaves_nothing(void **state)
{
    (void)state;
    struct cf_shard *a, *b;
    struct cf_indexing *indexing = start("cancelled", &a, &b);
    add_many(a, BASE_ALBUMS, CHANGES, 10000);
    cf_indexing_cancel(indexing);
    for (int round = 0; round < 5; round++)
        assert_null(rig_run(indexing, false));
    assert_false(rig_exists(2, 1));
    cf_indexing_free(indexing);
    indexing = rig_open_indexing();
    struct cf_publication *published = rig_run_until_published(indexing, false);
    while (published && published->msg.generation == 1) { /* what it found */
        cf_publication_free(published);
        published = rig_run_until_published(indexing, false);
    }
    assert_non_null(published);
    assert_int_equal(published->msg.count, BASE_ALBUMS + CHANGES);
    cf_publication_free(published);
    stop(indexing, a, b);
}

/* ---- beside a whole build ---- */

/* More than are built within a round. */
enum { MANY_ALBUMS = 4200 };

/* In the place of idle processors, which a busy machine may not have for minutes: what waits for them goes on
 * when the test lets it, and not before. */
static sem_t idle;

bool __wrap_cf_cpu_background(void);
bool __wrap_cf_cpu_background(void)
{
    while (sem_wait(&idle) != 0) {
    }
    return true;
}

static void let_build(void)
{
    assert_int_equal(sem_post(&idle), 0);
}

static size_t unfinished_files(void)
{
    char folder[CF_HOME_PATH_MAX];
    size_t count = 0;
    assert_int_equal(cf_home_path(&rig_home, folder, sizeof folder, NULL, "data/index/%s", cf_spaces[0].name),
                     CF_OK);
    DIR *files = opendir(folder);
    assert_non_null(files);
    for (const struct dirent *file = readdir(files); file; file = readdir(files))
        count += strstr(file->d_name, ".idx.") != NULL;
    closedir(files);
    return count;
}

/* A whole one of the first space, which is under way then. */
static void order(struct cf_indexing *indexing)
{
    struct cf_index_round round = {.forced = {true}};
    cf_indexing_run(indexing, &round);
    assert_null(round.published[0]);
    for (size_t i = 1; i < CF_SPACE_FIXED_COUNT; i++)
        cf_publication_free(round.published[i]);
}

/* Those without vectors have an index too, one after the other. */
static void wait_for_other_spaces(struct cf_indexing *indexing)
{
    for (size_t i = 1; i < CF_SPACE_FIXED_COUNT; i++) {
        uint64_t newest = 0;
        while (cf_generation_newest(&rig_home, cf_spaces[i].name, 0, &newest, NULL) == CF_E_NOT_FOUND) {
            cf_publication_free(rig_run(indexing, false));
            usleep(1000);
        }
    }
    cf_publication_free(rig_run(indexing, false));
}

/* A whole one that takes seconds does not hold up the small ones of the one before, and comes with a small
 * one that adds what came meanwhile: from one publication to the next nothing is searched one by one again,
 * and numbers grow. */
static void small_ones_come_beside_a_whole_build(void **state)
{
    (void)state;
    rig_use_home("beside");
    rig_space_count = 1;
    struct cf_shard *a = rig_open_shard("descriptor-0");
    add_many(a, 0, MANY_ALBUMS, 1);
    struct cf_indexing *indexing = rig_open_indexing();
    assert_null(rig_run(indexing, false)); /* under way */
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 1);
    assert_true(rig_exists(1, 0));
    wait_for_other_spaces(indexing);

    order(indexing);
    rig_add(a, id_of(3), 20000, 0, 0, true);
    add_many(a, MANY_ALBUMS, CHANGES, 30000);
    struct cf_publication *published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, MANY_ALBUMS - 1 + CHANGES);
    assert_int_equal(rig_expect_published(published), 3);
    assert_true(rig_exists(3, 1));
    assert_false(rig_exists(2, 0));
    order(indexing); /* another one, after that which is under way */
    let_build();

    published = rig_run_until_published(indexing, false);
    assert_non_null(published);
    assert_int_equal(published->msg.count, MANY_ALBUMS - 1 + CHANGES);
    assert_int_equal(published->msg.watermarks[0].log_seq, MANY_ALBUMS + 1 + CHANGES);
    assert_int_equal(rig_expect_published(published), 4);
    assert_true(rig_exists(2, 0) && rig_exists(4, 2));
    struct cf_ann *ann = rig_open_index(4, 2);
    struct cf_arena *arena = cf_arena_new();
    struct cf_generation generation = attachment_of(ann, arena);
    assert_int_equal(generation.hidden_count, 1);
    assert_true(hides(&generation, id_of(3)));
    assert_int_equal(cf_ann_info(ann).count, CHANGES);
    cf_arena_free(arena);
    cf_ann_free(ann);
    let_build();
    assert_int_equal(rig_expect_published(rig_run_until_published(indexing, false)), 5);
    assert_true(rig_exists(5, 0));
    assert_null(rig_run(indexing, false)); /* nothing new */
    assert_int_equal(unfinished_files(), 0);

    /* One that is given up leaves nothing, and the pair as it was. */
    order(indexing);
    let_build();
    cf_indexing_free(indexing);
    assert_int_equal(unfinished_files(), 0);
    indexing = rig_open_indexing();
    assert_int_equal(rig_expect_published(rig_run(indexing, false)), 5);
    assert_false(rig_exists(6, 0));
    cf_indexing_free(indexing);
    cf_shard_free(a);
}

int main(void)
{
    if (sem_init(&idle, 0, 0) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_one_holds_what_changed),
        cmocka_unit_test(a_small_one_takes_the_projection_of_its_base),
        cmocka_unit_test(any_changes_are_found_again),
        cmocka_unit_test(much_hidden_makes_a_whole_one),
        cmocka_unit_test(the_same_albums_again_stay_small),
        cmocka_unit_test(damaged_ones_are_passed_over),
        cmocka_unit_test(a_lost_record_is_no_silence),
        cmocka_unit_test(a_lost_vector_is_no_silence),
        cmocka_unit_test(a_cancelled_small_build_leaves_nothing),
        cmocka_unit_test(small_ones_come_beside_a_whole_build),
    };
    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
