/* The file: what a build refuses and leaves behind, and what an open makes of damage. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/ann/build.h"
#include "common/base/cpu.h"
#include "common/base/file.h"
#include "tests/unit/ann_fixture.h"

static struct cf_buf slurp(const char *path)
{
    struct cf_buf content;

    cf_buf_init(&content);
    assert_int_equal(cf_file_read(path, (size_t)1 << 30, &content, NULL), CF_OK);
    return content;
}

static void spill(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

/* Everything a reader may ask of a file that opened, damaged or not. */
static void use(const struct cf_ann *ann)
{
    struct cf_ann_info info = cf_ann_info(ann);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    float *query = calloc(info.dim, sizeof *query);
    struct cf_ann_hit hits[20];
    size_t count, sum = 0;
    bool exact;

    assert_true(searcher && query);
    for (uint64_t i = 0; i < info.count; i++) {
        struct cf_bytes id = cf_ann_id(ann, i), tag = cf_ann_tag(ann, i);
        for (size_t j = 0; j < id.len; j++)
            sum += id.data[j];
        for (size_t j = 0; j < tag.len; j++)
            sum += tag.data[j];
        assert_true(cf_ann_find(ann, id) < (int64_t)info.count);
    }
    for (int turn = 0; turn < 3; turn++) {
        struct cf_ann_query asked = {.vector = query, .k = 20, .recall = .9, .exact = turn == 1};
        if (info.count)
            query[0] = turn == 2 ? 1e30f : 1;
        assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_OK);
        assert_true(count <= 20);
        for (size_t i = 0; i < count; i++)
            assert_true(hits[i].item < info.count);
    }
    struct cf_bytes attachment = cf_ann_attachment(ann);
    for (size_t j = 0; j < attachment.len; j++)
        sum += attachment.data[j];
    assert_true(sum > 0 || info.count == 0);
    free(query);
    cf_ann_searcher_free(searcher);
}

/* Whichever byte is flipped: refused at open or by verify, and searching stays within the file. */
static void flip_every_byte(struct ann_set *set, size_t step)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", ann_path("flipped"));
    cf_ann_free(ann_build_open(path, set, 1, 3));
    struct cf_buf content = slurp(path);
    const uint8_t masks[] = {0x01, 0x80, 0xff};
    size_t refused = 0;
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    for (size_t at = 0; at < content.len; at += step) {
        uint8_t flipped = content.data[at] ^ masks[at % 3];
        struct cf_ann *ann = NULL;
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
        enum cf_err err = cf_ann_open(path, &ann, NULL);
        if (err) {
            assert_true(err == CF_E_CORRUPT || err == CF_E_BAD_VERSION);
            refused++;
        } else {
            assert_int_equal(cf_ann_verify(ann, NULL), CF_E_CORRUPT);
            use(ann);
            cf_ann_free(ann);
        }
        assert_int_equal(pwrite(fd, &content.data[at], 1, (off_t)at), 1);
    }
    assert_true(refused > 100 / step);
    close(fd);
    cf_buf_fini(&content);
}

static void flipped_bytes(void **state)
{
    (void)state;
    struct ann_set small = ann_set_make(ANN_RANDOM, 5, 2, 3, 1, 1),
                   larger = ann_set_make(ANN_CLUSTERED, 1500, 3, 2, 1, 1);
    flip_every_byte(&small, 1);
    flip_every_byte(&larger, 1499);
    ann_set_free(&small);
    ann_set_free(&larger);
}

static void cut_short(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 9, 4, 1, 1, 1);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", ann_path("cut"));
    cf_ann_free(ann_build_open(path, &set, 1, 3));
    struct cf_buf content = slurp(path);
    struct cf_ann *ann = NULL;

    for (size_t len = 0; len < content.len; len += 1 + len / 40) {
        spill(path, content.data, len);
        assert_int_equal(cf_ann_open(path, &ann, NULL), CF_E_CORRUPT);
    }
    uint8_t *longer = calloc(content.len + 1, 1);
    assert_non_null(longer);
    memcpy(longer, content.data, content.len);
    spill(path, longer, content.len + 1);
    assert_int_equal(cf_ann_open(path, &ann, NULL), CF_E_CORRUPT);
    assert_null(ann);
    free(longer);
    cf_buf_fini(&content);
    ann_set_free(&set);
}

static void foreign_files(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 9, 4, 1, 1, 1);
    struct cf_detail detail = {""};
    struct cf_ann *ann = NULL;
    char path[PATH_MAX];
    uint8_t noise[4096];
    snprintf(path, sizeof path, "%s", ann_path("foreign"));

    assert_int_equal(cf_ann_open(ann_path("absent"), &ann, &detail), CF_E_NOT_FOUND);
    assert_int_equal(cf_ann_open(ann_folder(), &ann, &detail), CF_E_CORRUPT);
    memset(noise, 'x', sizeof noise);
    spill(path, noise, sizeof noise);
    assert_int_equal(cf_ann_open(path, &ann, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, path));
    assert_null(strstr(detail.text, "remove")); /* it may be somebody's vectors */
    cf_ann_free(ann_build_open(path, &set, 1, 3));
    struct cf_buf content = slurp(path);
    content.data[8]++; /* the version follows the magic */
    spill(path, content.data, content.len);
    assert_int_equal(cf_ann_open(path, &ann, &detail), CF_E_BAD_VERSION);
    assert_non_null(strstr(detail.text, path));
    content.data[8]--;
    uint8_t mark[4] = {1, 2, 3, 4};
    memcpy(content.data + 12, mark, 4);
    spill(path, content.data, content.len);
    assert_int_equal(cf_ann_open(path, &ann, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, "byte order"));
    cf_buf_fini(&content);
    ann_set_free(&set);
}

static void same_bytes(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 1200, 20, 4, 1, 6);
    enum cf_simd machine = cf_cpu_simd();
    struct cf_buf first, other;

    assert_int_equal(ann_build(ann_path("one"), &set, 1, 7, NULL), CF_OK);
    first = slurp(ann_path("one"));
    assert_int_equal(ann_build(ann_path("three"), &set, 3, 7, NULL), CF_OK);
    other = slurp(ann_path("three"));
    assert_int_equal(first.len, other.len);
    assert_memory_equal(first.data, other.data, first.len);
    cf_buf_fini(&other);
    for (int level = CF_SIMD_SCALAR; level < (int)machine; level++) {
        cf_cpu_simd_limit((enum cf_simd)level);
        assert_int_equal(ann_build(ann_path("level"), &set, 2, 7, NULL), CF_OK);
        other = slurp(ann_path("level"));
        assert_int_equal(first.len, other.len);
        assert_memory_equal(first.data, other.data, first.len);
        cf_buf_fini(&other);
    }
    cf_cpu_simd_limit(machine);
    assert_int_equal(ann_build(ann_path("seed"), &set, 1, 8, NULL), CF_OK);
    other = slurp(ann_path("seed"));
    assert_true(first.len != other.len || memcmp(first.data, other.data, first.len) != 0);
    cf_buf_fini(&other);
    cf_buf_fini(&first);
    ann_set_free(&set);
}

static struct cf_buf build_grouped(const char *name, struct ann_set *set, unsigned threads)
{
    struct cf_ann_source source = ann_set_source(set);
    struct cf_ann_params params = {
        .dim = set->dim, .tag_bytes = set->tag_bytes, .seed = 7, .threads = threads};
    struct cf_ann *ann = NULL;

    assert_int_equal(cf_ann_build_grouped(ann_path(name), &params, &source, 20, NULL, NULL, NULL), CF_OK);
    assert_int_equal(cf_ann_open(ann_path(name), &ann, NULL), CF_OK);
    assert_int_equal(ann->header.group_count, 5);
    assert_int_equal(cf_ann_verify(ann, NULL), CF_OK);
    use(ann);
    cf_ann_free(ann);
    return slurp(ann_path(name));
}

static void same_bytes_of_groups(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 4000, 6, 4, 1, 6);
    struct cf_buf one = build_grouped("one", &set, 1), three = build_grouped("three", &set, 3);

    assert_int_equal(one.len, three.len);
    assert_memory_equal(one.data, three.data, one.len);
    cf_buf_fini(&one);
    cf_buf_fini(&three);
    ann_set_free(&set);
}

static void what_is_stored(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 0, 8, 5, 1, 6);
    struct cf_ann *ann = ann_build_open(ann_path("empty"), &set, 1, 99);
    struct cf_ann_info info = cf_ann_info(ann);
    struct cf_bytes attachment = cf_ann_attachment(ann);

    assert_int_equal(attachment.len, 8);
    assert_memory_equal(attachment.data, "attached", 8);
    assert_int_equal(info.dim, 8);
    assert_int_equal(info.tag_bytes, 5);
    assert_int_equal(info.count, 0);
    assert_int_equal(info.leaf_count, 0);
    assert_int_equal(info.seed, 99);
    assert_int_equal(cf_ann_id(ann, 0).len, 0);
    assert_int_equal(cf_ann_tag(ann, 0).len, 0);
    use(ann);
    cf_ann_free(ann);
    cf_ann_free(NULL);
    ann_set_free(&set);
}

static void refused(struct ann_set *set, enum cf_err expected, const char *word)
{
    struct cf_detail detail = {""};
    size_t before = ann_folder_entries();

    assert_int_equal(ann_build(ann_path("refused"), set, 1, 1, &detail), expected);
    assert_non_null(strstr(detail.text, word));
    assert_int_equal(ann_folder_entries(), before);
}

static void bad_input(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 100, 6, 2, 1, 6);
    float saved = set.vectors[50];

    set.vectors[50] = NAN;
    refused(&set, CF_E_BAD_VECTOR, set.ids[8]);
    set.vectors[50] = -INFINITY;
    refused(&set, CF_E_BAD_VECTOR, set.ids[8]);
    set.vectors[50] = saved;
    memcpy(set.ids[70], set.ids[3], sizeof set.ids[3]);
    refused(&set, CF_E_INVALID, set.ids[3]);
    set.ids[70][0] = '\0';
    refused(&set, CF_E_INVALID, "id of 0 bytes");
    set.count = 60;
    set.tag_bytes = CF_ANN_TAG_BYTES_MAX + 1;
    refused(&set, CF_E_INVALID, "tags of 65 bytes");
    set.tag_bytes = 2;
    set.dim = 0;
    refused(&set, CF_E_INVALID, "0 values");
    set.dim = CF_ANN_DIM_MAX + 1;
    refused(&set, CF_E_INVALID, "4097 values");
    ann_set_free(&set);
}

static void bad_queries(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 30, 2, 0, 1, 6);
    struct cf_ann *ann = ann_build_open(ann_path("queries"), &set, 1, 1);
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    float vector[2] = {0, NAN};
    struct cf_ann_query asked = {.vector = vector, .k = 3, .recall = .9};
    struct cf_ann_hit hits[3];
    size_t count = 42;
    bool exact = false;

    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_E_BAD_VECTOR);
    vector[1] = INFINITY;
    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_E_BAD_VECTOR);
    vector[1] = 0;
    asked.k = 0;
    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_E_BAD_K);
    asked.k = 3;
    asked.recall = 1.5;
    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_E_INVALID);
    asked.recall = (double)NAN;
    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &count, &exact, NULL), CF_E_INVALID);
    assert_int_equal(count, 42);
    cf_ann_searcher_free(searcher);
    cf_ann_free(ann);
    ann_set_free(&set);
}

static bool cancel_at_zero(void *arg)
{
    int *left = arg;

    return (*left)-- <= 0;
}

/* Cancelled at the first question, the second, and so on until a build gets through. */
static void cancelled(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_CLUSTERED, 1100, 3, 0, 1, 6);
    struct cf_ann_source source = ann_set_source(&set);
    struct cf_ann_params params = {.dim = 3, .threads = 2, .seed = 1};
    size_t before = ann_folder_entries();
    enum cf_err err = CF_E_SHUTTING_DOWN;
    int questions = 0;

    for (; err == CF_E_SHUTTING_DOWN; questions += 23) {
        int left = questions;
        assert_int_equal(ann_folder_entries(), before);
        err = cf_ann_build(ann_path("cancelled"), &params, &source, cancel_at_zero, &left, NULL);
    }
    assert_int_equal(err, CF_OK);
    assert_true(questions > 20);
    ann_set_free(&set);
}

/* The file that was there stays when a build fails half way. */
static void previous_survives(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 40, 4, 0, 1, 6);
    struct cf_ann *ann = ann_build_open(ann_path("previous"), &set, 1, 1);
    float saved = set.vectors[150];

    cf_ann_free(ann);
    set.vectors[150] = NAN;
    assert_int_equal(ann_build(ann_path("previous"), &set, 1, 1, NULL), CF_E_BAD_VECTOR);
    assert_int_equal(cf_ann_open(ann_path("previous"), &ann, NULL), CF_OK);
    set.vectors[150] = saved;
    assert_int_equal(ann_build(ann_path("previous"), &set, 1, 2, NULL), CF_OK);
    assert_int_equal(cf_ann_info(ann).seed, 1); /* a map outlives the name */
    use(ann);
    cf_ann_free(ann);
    assert_int_equal(cf_ann_open(ann_path("previous"), &ann, NULL), CF_OK);
    assert_int_equal(cf_ann_info(ann).seed, 2);
    cf_ann_free(ann);
    ann_set_free(&set);
}

static void no_such_folder(void **state)
{
    (void)state;
    struct ann_set set = ann_set_make(ANN_RANDOM, 3, 4, 0, 1, 6);

    assert_int_equal(ann_build("/nonexistent/folder/index", &set, 1, 1, NULL), CF_E_NOT_FOUND);
    ann_set_free(&set);
}

static int teardown(void **state)
{
    (void)state;
    ann_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored), cmocka_unit_test(flipped_bytes),
        cmocka_unit_test(cut_short),      cmocka_unit_test(foreign_files),
        cmocka_unit_test(same_bytes),     cmocka_unit_test(same_bytes_of_groups),
        cmocka_unit_test(bad_input),      cmocka_unit_test(bad_queries),
        cmocka_unit_test(cancelled),      cmocka_unit_test(previous_survives),
        cmocka_unit_test(no_such_folder),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
