/* Model files: what is saved scores the same when it is loaded, under other numbers too; what is damaged is
 * refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/recommend/model_inside.h"
#include "tests/unit/recommend_world.h"

enum { USERS = 6, ALBUMS = 5, HEADER = 8, IDS = HEADER + 24, ID_BYTES = 4 + 2 };
static char path[] = "/tmp/cf-model-XXXXXX";

struct names {
    struct cf_names *users, *albums;
};

static void add_name(struct cf_names *names, char kind, uint32_t number)
{
    char text[8];
    snprintf(text, sizeof text, "%c%u", kind, number);
    assert_true(cf_names_number(names, cf_str(text), true) != CF_NO_NUMBER);
}

/* Ids u0, u1, …, a0, a1, … beginning anywhere. */
static struct names names_from(uint32_t first)
{
    struct names names = {cf_names_new(), cf_names_new()};
    for (uint32_t i = 0; i < USERS; i++)
        add_name(names.users, 'u', (i + first) % USERS);
    for (uint32_t i = 0; i < ALBUMS; i++)
        add_name(names.albums, 'a', (i + first) % ALBUMS);
    return names;
}

static void names_free(struct names *names)
{
    cf_names_free(names->users);
    cf_names_free(names->albums);
}

static struct cf_model *save_one(enum cf_model_kind kind)
{
    struct world w;
    struct names names = names_from(0);
    struct cf_detail detail = {""};
    struct cf_model_options o = cf_model_options(kind);
    o.factors = o.factors ? 3 : 0;
    world_random(&w, USERS, ALBUMS, 3, 4);
    struct cf_model *model = world_train(&w, kind, &o);
    if (cf_model_save(model, names.users, names.albums, path, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    names_free(&names);
    world_fini(&w);
    return model;
}

static enum cf_err load(struct names *names, struct cf_model **model, struct cf_detail *detail)
{
    *model = NULL;
    detail->text[0] = '\0';
    return cf_model_load(path, names->users, names->albums, model, detail);
}

static void same_scores(const struct cf_model *a, const struct cf_model *b, uint32_t shift)
{
    struct cf_scorer *left = cf_scorer_new(a), *right = cf_scorer_new(b);
    for (uint32_t user = 0; user < USERS; user++)
        for (uint32_t album = 0; album < ALBUMS; album++) {
            uint32_t other = (album + ALBUMS - shift) % ALBUMS;
            double x, y;
            bool known_x, known_y;
            cf_score(left, user, &album, 1, &x, &known_x);
            cf_score(right, (user + USERS - shift) % USERS, &other, 1, &y, &known_y);
            assert_true(known_x == known_y && fabs(x - y) < 1e-6);
        }
    cf_scorer_free(left);
    cf_scorer_free(right);
}

static void a_loaded_model_scores_the_same(void **state)
{
    (void)state;
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KIND_COUNT; kind++)
        for (uint32_t shift = 0; shift < 3; shift++) {
            struct cf_model *saved = save_one(kind), *loaded;
            struct names names = names_from(shift);
            struct cf_detail detail;
            if (load(&names, &loaded, &detail) != CF_OK)
                fail_msg("%s", detail.text);
            assert_int_equal(cf_model_kind(loaded), kind);
            assert_int_equal(cf_names_count(names.users), USERS);
            same_scores(saved, loaded, shift);
            cf_model_free(saved);
            cf_model_free(loaded);
            names_free(&names);
        }
}

/* The file as it was saved. */
static struct cf_buf contents(enum cf_model_kind kind)
{
    struct cf_buf file;
    struct cf_detail detail;
    cf_model_free(save_one(kind));
    cf_buf_init(&file);
    assert_int_equal(cf_file_read(path, 1 << 20, &file, &detail), CF_OK);
    return file;
}

/* Writes what was changed, with a checksum that is right again if `sealed`. */
static void write_file(const uint8_t *bytes, size_t len, bool sealed)
{
    FILE *file = fopen(path, "r+b"); /* a file emptied first would be flushed each time */
    uint64_t sum = len >= 8 ? cf_xxh3((struct cf_bytes){bytes, len - 8}) : 0;
    size_t kept = sealed && len >= 8 ? len - 8 : len;
    assert_int_equal(fwrite(bytes, 1, kept, file), kept);
    if (kept < len)
        assert_int_equal(fwrite(&sum, 1, 8, file), 8);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)len), 0);
    fclose(file);
}

static enum cf_err try_load(struct cf_detail *detail)
{
    struct names names = {cf_names_new(), cf_names_new()};
    struct cf_model *model;
    enum cf_err err = load(&names, &model, detail);
    assert_true(!err == !!model);
    if (err)
        assert_non_null(strstr(detail->text, path));
    cf_model_free(model);
    names_free(&names);
    return err;
}

static void a_changed_byte_anywhere_is_noticed(void **state)
{
    (void)state;
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_buf file = contents(kind);
        struct cf_detail detail;
        for (size_t i = 0; i < file.len; i++) {
            file.data[i] ^= 0x40;
            write_file(file.data, file.len, false);
            assert_int_equal(try_load(&detail), CF_E_CORRUPT);
            file.data[i] ^= 0x40;
        }
        for (size_t len = 0; len < file.len; len++) {
            write_file(file.data, len, false);
            assert_int_equal(try_load(&detail), CF_E_CORRUPT);
        }
        cf_buf_fini(&file);
    }
}

/* Cut short or longer, with a checksum to match: never a model. */
static void a_wrong_length_is_refused_though_sealed(void **state)
{
    (void)state;
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_buf file = contents(kind);
        struct cf_detail detail;
        size_t len = file.len;
        for (size_t cut = 0; cut < len; cut++) {
            write_file(file.data, cut, true);
            assert_int_equal(try_load(&detail), CF_E_CORRUPT);
        }
        cf_buf_append(&file, "....", 4);
        write_file(file.data, file.len, true);
        assert_int_equal(try_load(&detail), CF_E_CORRUPT);
        assert_non_null(strstr(detail.text, "follows its end"));
        cf_buf_fini(&file);
    }
}

/* Any byte at its extremes, sealed: a model or a sentence, never a fault. What is wrong for certain is
 * refused. */
static void extremes_though_sealed_do_no_harm(void **state)
{
    (void)state;
    static const uint8_t extremes[] = {0x00, 0x7F, 0x80, 0xFF};
    for (enum cf_model_kind kind = 0; kind < CF_MODEL_KIND_COUNT; kind++) {
        struct cf_buf file = contents(kind);
        struct cf_detail detail;
        for (size_t i = 0; i < file.len - 8; i++)
            for (size_t e = 0; e < sizeof extremes; e++) {
                uint8_t kept = file.data[i];
                file.data[i] = extremes[e];
                write_file(file.data, file.len, true);
                enum cf_err err = try_load(&detail);
                bool header = i < IDS && extremes[e] != kept;
                if (header ? err != CF_E_CORRUPT && err != CF_E_BAD_VERSION
                           : err != CF_OK && err != CF_E_CORRUPT)
                    fail_msg("byte %zu of %s as %u: %s: %s", i, cf_model_name(kind), extremes[e],
                             cf_err_name(err), detail.text);
                file.data[i] = kept;
            }
        cf_buf_fini(&file);
    }
}

/* Changes `len` bytes at `at`, seals, and expects the word. */
static void changed(enum cf_model_kind kind, size_t at, const void *bytes, size_t len, enum cf_err expected,
                    const char *word)
{
    struct cf_buf file = contents(kind);
    struct cf_detail detail;
    memcpy(file.data + at, bytes, len);
    write_file(file.data, file.len, true);
    enum cf_err err = try_load(&detail);
    if (err != expected || !strstr(detail.text, word))
        fail_msg("%s, %zu: %s: %s (expected \"%s\")", cf_model_name(kind), at, cf_err_name(err), detail.text,
                 word);
    cf_buf_fini(&file);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const float nan_value = NAN;
    static const uint32_t many = 60000, koren = CF_MODEL_KOREN, three = 3;
    static const uint64_t far = 1 << 20, one = 1;
    const size_t known = IDS + (USERS + ALBUMS) * ID_BYTES, parts = known + USERS + ALBUMS;
    const size_t first = parts, columns = first + (ALBUMS + 1) * sizeof(uint64_t);
    changed(CF_MODEL_KOREN, 0, "X", 1, CF_E_CORRUPT, "no model of coverfleet");
    changed(CF_MODEL_KOREN, HEADER, &three, 4, CF_E_BAD_VERSION, "version 3");
    changed(CF_MODEL_RNN, HEADER + 4, &koren, 4, CF_E_CORRUPT, "header");
    changed(CF_MODEL_KOREN, HEADER + 8, &many, 4, CF_E_CORRUPT, "header");
    changed(CF_MODEL_KOREN, HEADER + 12, &many, 4, CF_E_CORRUPT, "header");
    changed(CF_MODEL_KOREN, IDS, &many, 4, CF_E_CORRUPT, "cut short");
    changed(CF_MODEL_KOREN, IDS + 4, "u1", 2, CF_E_CORRUPT, "twice");
    changed(CF_MODEL_KOREN, parts, &nan_value, 4, CF_E_CORRUPT, "not finite");
    changed(CF_MODEL_RNN, parts + (USERS + ALBUMS) * 3 * sizeof(float), &nan_value, 4, CF_E_CORRUPT,
            "not finite");
    changed(CF_MODEL_POPULARITY, parts, &nan_value, 4, CF_E_CORRUPT, "not finite");
    changed(CF_MODEL_ITEM_ITEM, first, &one, 8, CF_E_CORRUPT, "no sense");
    changed(CF_MODEL_ITEM_ITEM, first + 8, &far, 8, CF_E_CORRUPT, "no sense");
    changed(CF_MODEL_ITEM_ITEM, columns, &many, 4, CF_E_CORRUPT, "no sense");
}

static void a_missing_file_and_folder_are_named(void **state)
{
    (void)state;
    struct names names = names_from(0);
    struct cf_detail detail;
    struct cf_model *model = save_one(CF_MODEL_KOREN), *loaded = NULL;
    assert_int_equal(cf_model_load("/tmp/cf-no-model", names.users, names.albums, &loaded, &detail),
                     CF_E_NOT_FOUND);
    assert_non_null(strstr(detail.text, "/tmp/cf-no-model"));
    assert_true(cf_model_save(model, names.users, names.albums, "/tmp/cf-no-folder/model", &detail) != CF_OK);
    assert_non_null(strstr(detail.text, "/tmp/cf-no-folder"));
    cf_model_free(model);
    names_free(&names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loaded_model_scores_the_same),
        cmocka_unit_test(a_changed_byte_anywhere_is_noticed),
        cmocka_unit_test(a_wrong_length_is_refused_though_sealed),
        cmocka_unit_test(extremes_though_sealed_do_no_harm),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_missing_file_and_folder_are_named),
    };
    int fd = mkstemp(path);
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
