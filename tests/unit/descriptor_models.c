/* Models of the space cf: what is written is read again and computes; a file that is damaged anywhere, in any
 * way, is refused with a sentence that names it; which versions of a home are served and which come next. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/descriptor/models.h"
#include "tests/unit/store_folder.h"

enum { HEAD_BYTES = 40, HIDDEN_AT = 16, OUTPUTS_AT = 20, SPACES_AT = 24, BYTES_AT = 28, CRC_AT = 32 };
enum { NAME_AT = HEAD_BYTES, DIM_AT = NAME_AT + CF_CFMAP_NAME_BYTES + 4, VALUES_AT = NAME_AT + 2 * 40 };
enum { FILE_BYTES_ENOUGH = 1 << 20 };

static char file_path[STORE_PATH_MAX];

/* 3 inputs of two spaces; hidden 2 or none; 2 outputs. */
static const float means[] = {1, 2, 3}, scales[] = {1, 2, 0.5F};
static const float first[] = {1, -1, 0, 1, 2, 0}, first_shift[] = {0, 1};
static const float last_of_hidden[] = {1, 0, 0, 1}, last_of_inputs[] = {1, 0, 0, 1, 1, 1},
                   last_shift[] = {0, 1};

static struct cf_cfmap sample(bool hidden)
{
    return (struct cf_cfmap){
        .version = 3,
        .inputs = 3,
        .hidden = hidden ? 2 : 0,
        .outputs = 2,
        .spaces = {{.name = "copy", .version = 1, .dim = 2}, {.name = "style", .version = 1, .dim = 1}},
        .space_count = 2,
        .means = means,
        .scales = scales,
        .first = first,
        .first_shift = first_shift,
        .last = hidden ? last_of_hidden : last_of_inputs,
        .last_shift = last_shift,
    };
}

static void write_sample(bool hidden)
{
    const struct cf_cfmap map = sample(hidden);
    assert_int_equal(cf_cfmap_write(file_path, &map, NULL), CF_OK);
}

static struct cf_buf read_bytes(void)
{
    struct cf_buf file = {0};
    assert_int_equal(cf_file_read(file_path, FILE_BYTES_ENOUGH, &file, NULL), CF_OK);
    return file;
}

static void put_u32(struct cf_buf *file, size_t at, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        file->data[at + i] = (uint8_t)(value >> 8 * i);
}

/* As somebody would who means it. */
static void seal(struct cf_buf *file)
{
    put_u32(file, CRC_AT, cf_crc32((struct cf_bytes){file->data + HEAD_BYTES, file->len - HEAD_BYTES}));
}

static void is_refused(struct cf_bytes bytes, enum cf_err wanted)
{
    struct cf_cfmap map = {.version = 99};
    struct cf_detail detail = {""};
    assert_int_equal(cf_file_publish(file_path, bytes, NULL), CF_OK);
    assert_int_equal(cf_cfmap_read(file_path, &map, &detail), wanted);
    assert_non_null(strstr(detail.text, file_path));
    assert_int_equal(map.version, 99);
    assert_null(map.values);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    for (int hidden = 0; hidden <= 1; hidden++) {
        const struct cf_cfmap wanted = sample(hidden);
        struct cf_cfmap map;
        write_sample(hidden);
        assert_int_equal(cf_cfmap_read(file_path, &map, NULL), CF_OK);
        assert_int_equal(map.version, 3);
        assert_int_equal(map.inputs, 3);
        assert_int_equal(map.hidden, wanted.hidden);
        assert_int_equal(map.outputs, 2);
        assert_int_equal(map.space_count, 2);
        assert_memory_equal(map.spaces, wanted.spaces, sizeof map.spaces);
        assert_memory_equal(map.scales, scales, sizeof scales);
        assert_memory_equal(map.last_shift, last_shift, sizeof last_shift);
        cf_cfmap_fini(&map);
        assert_null(map.values);
    }
}

/* z = (1, -4, 1). Linear: (1 + 1, -4 + 1 + 1); hidden: (1 + 2, -1 - 4 + 1) rectified, then + last_shift. */
static void it_computes_what_its_numbers_say(void **state)
{
    (void)state;
    for (int hidden = 0; hidden <= 1; hidden++) {
        const struct cf_cfmap map = sample(hidden);
        const double x = hidden ? 3 : 2, y = hidden ? 1 : -2;
        float values[] = {2, 0, 5}, out[2];
        cf_cfmap_apply(&map, values, out);
        assert_true(fabs((double)out[0] - x / sqrt(x * x + y * y)) < 1e-6);
        assert_true(fabs((double)out[1] - y / sqrt(x * x + y * y)) < 1e-6);
    }
    static const float nothing[6];
    struct cf_cfmap map = sample(false);
    map.last = map.last_shift = nothing;
    float values[] = {2, 0, 5}, out[2] = {7, 7};
    cf_cfmap_apply(&map, values, out);
    assert_true(out[0] == 0 && out[1] == 0);
}

static void any_byte_of_it_counts(void **state)
{
    (void)state;
    write_sample(true);
    struct cf_buf file = read_bytes();
    for (size_t i = 0; i < file.len; i++) {
        bool is_version = i >= 12 && i < 16; /* its name says that, too (cf_spaces_enable) */
        file.data[i] ^= 1;
        if (!is_version)
            is_refused(cf_buf_bytes(&file), i >= 8 && i < 12 ? CF_E_BAD_VERSION : CF_E_CORRUPT);
        file.data[i] ^= 1;
    }
    cf_buf_fini(&file);
}

static void what_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    write_sample(true);
    struct cf_buf file = read_bytes();
    size_t len = file.len;
    for (size_t i = 0; i < len; i++) {
        file.len = i;
        if (i >= HEAD_BYTES)
            seal(&file);
        is_refused(cf_buf_bytes(&file), CF_E_CORRUPT);
    }
    file.len = len;
    cf_buf_u8(&file, 0);
    seal(&file);
    is_refused(cf_buf_bytes(&file), CF_E_CORRUPT);
    cf_buf_fini(&file);
}

static void forged_sizes_and_numbers_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
    } forgeries[] = {
        {12, 0},
        {HIDDEN_AT, UINT32_MAX},
        {HIDDEN_AT, CF_CFMAP_HIDDEN_MAX + 1},
        {OUTPUTS_AT, 0},
        {OUTPUTS_AT, UINT32_MAX},
        {SPACES_AT, 0},
        {SPACES_AT, 9},
        {SPACES_AT, UINT32_MAX},
        {BYTES_AT, 0},
        {BYTES_AT, UINT32_MAX},
        {DIM_AT, 0},
        {DIM_AT, UINT32_MAX},
        {DIM_AT, CF_CFMAP_INPUTS_MAX + 1},
        {NAME_AT, 0},
        {VALUES_AT, 0x7f800000},
        {VALUES_AT, 0x7fc00000},
    };
    write_sample(true);
    struct cf_buf original = read_bytes();
    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        struct cf_buf file = {0};
        cf_buf_append(&file, original.data, original.len);
        put_u32(&file, forgeries[i].at, forgeries[i].value);
        seal(&file);
        is_refused(cf_buf_bytes(&file), CF_E_CORRUPT);
        cf_buf_fini(&file);
    }
    memset(original.data + NAME_AT, 'x', CF_CFMAP_NAME_BYTES); /* a name without an end */
    seal(&original);
    is_refused(cf_buf_bytes(&original), CF_E_CORRUPT);
    cf_buf_fini(&original);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    struct cf_cfmap map;
    struct cf_detail detail = {""};
    (void)unlink(file_path);
    assert_int_equal(cf_cfmap_read(file_path, &map, &detail), CF_E_NOT_FOUND);
    assert_non_null(strstr(detail.text, file_path));
    assert_int_equal(cf_cfmap_read(store_folder, &map, &detail), CF_E_INVALID);
    FILE *huge = fopen(file_path, "w"); /* with a hole for all of it */
    assert_non_null(huge);
    assert_int_equal(ftruncate(fileno(huge), 65L << 20), 0);
    assert_int_equal(fclose(huge), 0);
    assert_int_equal(cf_cfmap_read(file_path, &map, &detail), CF_E_TOO_LARGE);
    (void)unlink(file_path);
}

static void what_could_not_be_read_is_not_written(void **state)
{
    (void)state;
    struct cf_cfmap maps[] = {sample(true), sample(true), sample(true), sample(true)};
    maps[0].version = 0;
    maps[1].inputs = 4; /* its spaces have 3 */
    maps[2].outputs = CF_CFMAP_OUTPUTS_MAX + 1;
    maps[3].spaces[1].name[0] = '\0';
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        assert_int_equal(cf_cfmap_write(file_path, &maps[i], NULL), CF_E_INVALID);
        assert_int_not_equal(access(file_path, F_OK), 0);
    }
}

/* ---- the models of a home ---- */

static void touch(const struct cf_home *home, const char *name, const char *text)
{
    char path[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(home, path, sizeof path, NULL, "data/models/%s", name), CF_OK);
    assert_int_equal(cf_file_publish(path, (struct cf_bytes){(const uint8_t *)text, strlen(text)}, NULL),
                     CF_OK);
}

static void finds(const struct cf_home *home, uint32_t served, uint32_t next)
{
    uint32_t found[2] = {77, 77};
    assert_int_equal(cf_models_find(home, &found[0], &found[1], NULL), CF_OK);
    assert_int_equal(found[0], served);
    assert_int_equal(found[1], next);
}

static void the_served_one_and_the_next_are_found(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    struct cf_home home = {.root = ""};
    snprintf(home.root, sizeof home.root, "%s", store_folder);
    finds(&home, 0, 0); /* no folder */
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/models"), CF_OK);
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    finds(&home, 0, 0);
    static const char *const others[] = {"cf-0.cfmap",          "cf-01.cfmap",    "cf--1.cfmap",
                                         "cf-4294967296.cfmap", "cf-2.cfmap.tmp", "cf-.cfmap",
                                         "ff-3.cfmap",          "cf-served.cfmap"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        touch(&home, others[i], "");
    finds(&home, 0, 0);
    assert_int_equal(cf_models_put_ms(&home, 2), 0);
    touch(&home, "cf-2.cfmap", "");
    assert_true(cf_models_put_ms(&home, 2) > 0);
    finds(&home, 2, 0);
    touch(&home, "cf-10.cfmap", "");
    touch(&home, "cf-7.cfmap", "");
    finds(&home, 2, 10);
    assert_int_equal(cf_models_serve(&home, 7, NULL), CF_OK);
    finds(&home, 7, 10);
    assert_int_equal(cf_models_serve(&home, 10, NULL), CF_OK);
    finds(&home, 10, 0);
    /* What names none that is there counts for nothing. */
    static const char *const wrong[] = {"9\n", "", "ten", "-1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        touch(&home, "cf-served", wrong[i]);
        finds(&home, 2, 10);
    }
}

static void gives(const struct cf_home *home, uint32_t wanted)
{
    uint32_t version = 0;
    assert_int_equal(cf_models_give(home, &version, NULL), CF_OK);
    assert_int_equal(version, wanted);
}

static void forget(const struct cf_home *home, const char *name)
{
    char path[CF_HOME_PATH_MAX];
    assert_int_equal(cf_home_path(home, path, sizeof path, NULL, "data/models/%s", name), CF_OK);
    assert_int_equal(unlink(path), 0);
}

/* Albums may have vectors of a model that is gone: its number is not for another. */
static void a_version_is_given_once_for_ever(void **state)
{
    (void)state;
    char path[CF_HOME_PATH_MAX];
    struct cf_home home = {.root = ""};
    struct cf_detail detail = {""};
    uint32_t version = 77;
    snprintf(home.root, sizeof home.root, "%s/other", store_folder);
    assert_int_equal(cf_home_path(&home, path, sizeof path, NULL, "data/models"), CF_OK);
    assert_int_equal(cf_file_make_dirs(path, NULL), CF_OK);
    gives(&home, 1);
    gives(&home, 2); /* the first wrote nothing */
    touch(&home, "cf-2.cfmap", "");
    forget(&home, "cf-2.cfmap");
    gives(&home, 3);
    touch(&home, "cf-8.cfmap", ""); /* put there by hand */
    gives(&home, 9);
    forget(&home, "cf-8.cfmap");
    forget(&home, "cf-given"); /* a home of before: what was served counts, too */
    assert_int_equal(cf_models_serve(&home, 20, NULL), CF_OK);
    gives(&home, 21);
    touch(&home, "cf-given", "many");
    assert_int_equal(cf_models_give(&home, &version, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, "cf-given: this is no number"));
    touch(&home, "cf-given", "4294967295\n");
    assert_int_equal(cf_models_give(&home, &version, &detail), CF_E_INVALID);
    assert_int_equal(version, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(it_computes_what_its_numbers_say),
        cmocka_unit_test(any_byte_of_it_counts),
        cmocka_unit_test(what_is_cut_or_longer_is_refused),
        cmocka_unit_test(forged_sizes_and_numbers_are_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(what_could_not_be_read_is_not_written),
        cmocka_unit_test(the_served_one_and_the_next_are_found),
        cmocka_unit_test(a_version_is_given_once_for_ever),
    };
    if (store_folder_make(NULL) != 0)
        return 1;
    store_folder_path(file_path, "cf-3.cfmap");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)store_folder_remove(NULL);
    return failed;
}
