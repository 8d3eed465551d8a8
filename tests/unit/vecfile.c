/* common/vecfile: what other tools write is read as they mean it, what is damaged is refused by name, what we
 * write reads again and never stays half done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/vecfile/fresh.h"
#include "common/vecfile/npy.h"
#include "common/vecfile/vecfile.h"

static char folder[] = "/tmp/cf-vecfile-XXXXXX";

static const char *place(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t len)
{
    FILE *file = fopen(place(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    fclose(file);
}

/* A .npy file as numpy would write it: `header` is the dictionary. */
static void write_npy(const char *name, int version, const char *header, const void *data, size_t len)
{
    struct cf_buf buf;
    size_t text = strlen(header);
    cf_buf_init(&buf);
    cf_buf_append(&buf, "\x93NUMPY", 6);
    cf_buf_u8(&buf, (uint8_t)version);
    cf_buf_u8(&buf, 0);
    cf_buf_u8(&buf, (uint8_t)text);
    cf_buf_u8(&buf, (uint8_t)(text >> 8));
    if (version > 1) {
        cf_buf_u8(&buf, 0);
        cf_buf_u8(&buf, 0);
    }
    cf_buf_append(&buf, header, text);
    cf_buf_append(&buf, data, len);
    write_file(name, buf.data, buf.len);
    cf_buf_fini(&buf);
}

static void refused(const char *name, enum cf_vecfile_element element, enum cf_err expected, const char *word)
{
    struct cf_vecfile *file = NULL;
    struct cf_detail detail = {""};
    enum cf_err err = cf_vecfile_open(place(name), element, &file, &detail);
    if (err != expected || !strstr(detail.text, word) || !strstr(detail.text, name))
        fail_msg("%s: %s: %s (expected %s, \"%s\")", name, cf_err_name(err), detail.text,
                 cf_err_name(expected), word);
    assert_null(file);
}

static struct cf_vecfile *opened(const char *name, enum cf_vecfile_element element, uint64_t count,
                                 uint32_t dim)
{
    struct cf_vecfile *file = NULL;
    struct cf_detail detail = {""};
    if (cf_vecfile_open(place(name), element, &file, &detail) != CF_OK)
        fail_msg("%s: %s", name, detail.text);
    assert_int_equal(cf_vecfile_count(file), count);
    assert_int_equal(cf_vecfile_dim(file), dim);
    return file;
}

static void holds(const char *name, const float *expected, uint64_t count, uint32_t dim)
{
    struct cf_vecfile *file = opened(name, CF_VECFILE_FLOATS, count, dim);
    float *got = calloc(count * dim + 1, sizeof *got);
    struct cf_detail detail;
    assert_int_equal(cf_vecfile_read(file, 0, count, got, &detail), CF_OK);
    assert_memory_equal(got, expected, count * dim * sizeof *got);
    free(got);
    cf_vecfile_free(file);
}

static const float six[] = {1, -2.5f, 3, 0.25f, 5, -0.0f};

static void every_npy_kind_is_read(void **state)
{
    (void)state;
    static const double doubles[] = {1, -2.5, 3, 0.25, 5, -0.0};
    static const uint16_t halves[] = {0x3C00, 0xC100, 0x4200, 0x3400, 0x4500, 0x8000};
    write_npy("a.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", six, sizeof six);
    holds("a.npy", six, 2, 3);
    write_npy("b.npy", 2, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }\n", doubles,
              sizeof doubles);
    holds("b.npy", six, 3, 2);
    write_npy("c.NPY", 3, "{\"shape\":(6L,1L),\"fortran_order\":False,\"descr\":\"<f2\"}", halves,
              sizeof halves);
    holds("c.NPY", six, 6, 1);
    write_npy("d.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }\n", six, 0);
    holds("d.npy", six, 0, 3);
}

static void small_and_large_halves_are_exact(void **state)
{
    (void)state;
    static const uint16_t halves[] = {0x0001, 0x03FF, 0x0400, 0x7BFF};
    static const float expected[] = {0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, 65504};
    write_npy("h.npy", 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1, 4)}", halves, sizeof halves);
    holds("h.npy", expected, 1, 4);
}

static void fvecs_and_ivecs_are_read(void **state)
{
    (void)state;
    static const struct {
        int32_t dim;
        float v[3];
    } rows[] = {{3, {1, -2.5f, 3}}, {3, {0.25f, 5, -0.0f}}};
    static const int32_t ints[] = {2, 7, -1, 2, 8, 9};
    int32_t got[4];
    struct cf_detail detail;
    write_file("a.fvecs", rows, sizeof rows);
    holds("a.fvecs", six, 2, 3);
    write_file("a.ivecs", ints, sizeof ints);
    struct cf_vecfile *file = opened("a.ivecs", CF_VECFILE_INTS, 2, 2);
    assert_int_equal(cf_vecfile_read(file, 0, 2, got, &detail), CF_OK);
    assert_true(got[0] == 7 && got[1] == -1 && got[2] == 8 && got[3] == 9);
    cf_vecfile_free(file);
    write_file("empty.fvecs", rows, 0);
    cf_vecfile_free(opened("empty.fvecs", CF_VECFILE_FLOATS, 0, 0));
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const char good[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
    static const int32_t dims[] = {0, -5, CF_VECFILE_DIM_MAX + 1, 2, 7};
    refused("none.npy", CF_VECFILE_FLOATS, CF_E_NOT_FOUND, "No such");
    write_file("x.txt", good, 4);
    refused("x.txt", CF_VECFILE_FLOATS, CF_E_INVALID, ".fvecs");
    mkdir(place("dir.npy"), 0755);
    refused("dir.npy", CF_VECFILE_FLOATS, CF_E_INVALID, "regular");
    mkfifo(place("pipe.fvecs"), 0600);
    refused("pipe.fvecs", CF_VECFILE_FLOATS, CF_E_INVALID, "regular");
    for (size_t i = 0; i < 3; i++) {
        write_file("dim.fvecs", &dims[i], sizeof dims[i]);
        refused("dim.fvecs", CF_VECFILE_FLOATS, CF_E_INVALID, "dimension");
    }
    write_file("short.fvecs", dims + 3, 8);
    refused("short.fvecs", CF_VECFILE_FLOATS, CF_E_INVALID, "truncated");
    write_file("tiny.fvecs", dims, 3);
    refused("tiny.fvecs", CF_VECFILE_FLOATS, CF_E_INVALID, "truncated");
    write_file("text.npy", "some text, not numbers", 22);
    refused("text.npy", CF_VECFILE_FLOATS, CF_E_INVALID, ".npy");
    write_file("none-at-all.npy", good, 0);
    refused("none-at-all.npy", CF_VECFILE_FLOATS, CF_E_INVALID, ".npy");
    write_npy("v9.npy", 9, good, six, sizeof six);
    refused("v9.npy", CF_VECFILE_FLOATS, CF_E_BAD_VERSION, "9.0");
    write_npy("cut.npy", 1, good, six, sizeof six - 1);
    refused("cut.npy", CF_VECFILE_FLOATS, CF_E_INVALID, "truncated");
    write_npy("row.npy", 1, good, six, sizeof six / 2);
    refused("row.npy", CF_VECFILE_FLOATS, CF_E_INVALID, "says 2 rows, it holds 1");
    write_npy("ints.npy", 1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", six, sizeof six);
    refused("ints.npy", CF_VECFILE_FLOATS, CF_E_UNSUPPORTED, "int32");
    write_npy("floats.npy", 1, good, six, sizeof six);
    refused("floats.npy", CF_VECFILE_INTS, CF_E_UNSUPPORTED, "floating-point");
}

static void other_headers_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum cf_err err;
        const char *word;
    } all[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", CF_E_UNSUPPORTED, ">f4"},
        {"{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3)}", CF_E_UNSUPPORTED, "<i8"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}", CF_E_UNSUPPORTED, "|u1"},
        {"{'descr': '', 'fortran_order': False, 'shape': (2, 3)}", CF_E_UNSUPPORTED, "type \"\""},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", CF_E_UNSUPPORTED, "Fortran"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", CF_E_UNSUPPORTED, "record"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", CF_E_INVALID, "1 dimension:"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", CF_E_INVALID, "0 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}", CF_E_INVALID, "3 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0)}", CF_E_INVALID, "dimension of 0"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 99999)}", CF_E_INVALID, "99999"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616, 3)}", CF_E_INVALID,
         "damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3)}", CF_E_INVALID, "says"},
        {"{'descr': '<f4', 'fortran_order': False}", CF_E_INVALID, "damaged"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}", CF_E_INVALID, "damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", CF_E_INVALID, "damaged"},
        {"{'descr': '<f4", CF_E_INVALID, "damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", CF_E_INVALID, "damaged"},
        {"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}", CF_E_INVALID, "damaged"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", CF_E_INVALID, "damaged"},
        {"", CF_E_INVALID, "damaged"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        write_npy("t.npy", 1, all[i].header, six, sizeof six);
        refused("t.npy", CF_VECFILE_FLOATS, all[i].err, all[i].word);
    }
    write_npy("long.npy", 1, "{'descr': '<f4'", six, 0);
    truncate(place("long.npy"), 12);
    refused("long.npy", CF_VECFILE_FLOATS, CF_E_INVALID, "truncated");
}

static void reads_with(const char *name, enum cf_err expected, const char *word)
{
    struct cf_vecfile *file = NULL;
    struct cf_detail detail = {""};
    float got[16];
    assert_int_equal(cf_vecfile_open(place(name), CF_VECFILE_FLOATS, &file, &detail), CF_OK);
    enum cf_err err = cf_vecfile_read(file, 0, (size_t)cf_vecfile_count(file), got, &detail);
    if (err != expected || !strstr(detail.text, word))
        fail_msg("%s: %s: %s", name, cf_err_name(err), detail.text);
    cf_vecfile_free(file);
}

static void bad_rows_are_named_by_number(void **state)
{
    (void)state;
    static const uint32_t mixed[] = {2, 0, 0, 3, 0, 0}, nan[] = {2, 0, 0, 2, 0, 0x7FC00000};
    static const uint32_t infinite[] = {1, 0xFF800000};
    static const double large[] = {1, 1e39, 0, 0};
    static const uint16_t half[] = {0, 0x7C00};
    write_file("mixed.fvecs", mixed, sizeof mixed);
    reads_with("mixed.fvecs", CF_E_INVALID, "row 1 has dimension 3");
    write_file("nan.fvecs", nan, sizeof nan);
    reads_with("nan.fvecs", CF_E_BAD_VECTOR, "row 1: its value 1");
    write_file("infinite.fvecs", infinite, sizeof infinite);
    reads_with("infinite.fvecs", CF_E_BAD_VECTOR, "row 0: its value 0");
    write_npy("large.npy", 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2)}", large,
              sizeof large);
    reads_with("large.npy", CF_E_BAD_VECTOR, "row 0: its value 1");
    write_npy("half.npy", 1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 1)}", half, sizeof half);
    reads_with("half.npy", CF_E_BAD_VECTOR, "row 1");
}

static void a_file_that_shrinks_is_refused(void **state)
{
    (void)state;
    struct cf_vecfile *file = NULL;
    struct cf_detail detail = {""};
    float got[6];
    write_npy("shrink.npy", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", six, sizeof six);
    assert_int_equal(cf_vecfile_open(place("shrink.npy"), CF_VECFILE_FLOATS, &file, &detail), CF_OK);
    assert_int_equal(truncate(place("shrink.npy"), 80), 0);
    assert_int_equal(cf_vecfile_read(file, 0, 2, got, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "truncated"));
    cf_vecfile_free(file);
}

/* Row i of a file of any length and shape. */
static void make_row(float *row, uint32_t dim, uint64_t i)
{
    for (uint32_t d = 0; d < dim; d++)
        row[d] = (float)(i * 31 + d) / 7.0f;
}

static void write_rows(const char *name, uint32_t dim, uint64_t count)
{
    struct cf_vecwriter *writer = NULL;
    struct cf_detail detail = {""};
    float *row = calloc(dim, sizeof *row);
    assert_int_equal(cf_vecwriter_new(place(name), CF_VECFILE_FLOATS, dim, &writer, &detail), CF_OK);
    for (uint64_t i = 0; i < count; i++) {
        make_row(row, dim, i);
        assert_int_equal(cf_vecwriter_append(writer, row, 1, &detail), CF_OK);
    }
    assert_int_equal(access(place(name), F_OK), -1);
    assert_int_equal(cf_vecwriter_finish(writer, &detail), CF_OK);
    cf_vecwriter_free(writer);
    free(row);
}

static uint64_t check_stream(const char *name, uint32_t dim, uint64_t count)
{
    struct cf_vecfile *file =
        opened(name, CF_VECFILE_FLOATS, count, count || !strstr(name, "vecs") ? dim : 0);
    struct cf_vecstream *stream = cf_vecstream_new(file);
    struct cf_vecfile_sum sum = {0};
    struct cf_detail detail = {""};
    float *expected = calloc(dim, sizeof *expected);
    const void *row = NULL;
    for (int pass = 0; pass < 2; pass++, cf_vecstream_rewind(stream))
        for (uint64_t i = 0;; i++) {
            assert_int_equal(cf_vecstream_next(stream, &row, &detail), CF_OK);
            if (!row) {
                assert_int_equal(i, count);
                break;
            }
            make_row(expected, dim, i);
            assert_memory_equal(row, expected, dim * sizeof *expected);
            if (pass == 0)
                cf_vecfile_sum_row(&sum, row, dim);
        }
    free(expected);
    cf_vecstream_free(stream);
    cf_vecfile_free(file);
    unlink(place(name));
    return sum.hash;
}

static void what_is_written_reads_again(void **state)
{
    (void)state;
    static const struct {
        uint32_t dim;
        uint64_t count;
    } shapes[] = {{1, 0}, {1, 1}, {3, 7}, {64, 5000}, {4096, 70}, {CF_VECFILE_DIM_MAX, 3}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        write_rows("w.npy", shapes[i].dim, shapes[i].count);
        write_rows("w.fvecs", shapes[i].dim, shapes[i].count);
        uint64_t npy = check_stream("w.npy", shapes[i].dim, shapes[i].count);
        uint64_t fvecs = check_stream("w.fvecs", shapes[i].dim, shapes[i].count);
        assert_true(npy == fvecs && (npy != 0) == (shapes[i].count > 0));
    }
}

static void headers_are_as_numpy_wants_them(void **state)
{
    (void)state;
    struct cf_buf bytes;
    struct cf_detail detail;
    static const char expected[] =
        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    write_rows("n.npy", 3, 2);
    cf_buf_init(&bytes);
    assert_int_equal(cf_file_read(place("n.npy"), 4096, &bytes, &detail), CF_OK);
    assert_int_equal(bytes.len, CF_NPY_HEADER_BYTES + 24);
    assert_memory_equal(bytes.data, expected, sizeof expected - 1);
    for (size_t i = sizeof expected - 1; i < CF_NPY_HEADER_BYTES - 1; i++)
        assert_int_equal(bytes.data[i], ' ');
    assert_int_equal(bytes.data[CF_NPY_HEADER_BYTES - 1], '\n');
    cf_buf_fini(&bytes);
}

static void neighbours_are_written_as_numbers(void **state)
{
    (void)state;
    static const int32_t rows[] = {5, 4, -1, 3, 2, 1};
    static const char *const names[] = {"r.ivecs", "r.npy"};
    struct cf_detail detail = {""};
    int32_t got[6];
    for (size_t i = 0; i < 2; i++) {
        struct cf_vecwriter *writer = NULL;
        assert_int_equal(cf_vecwriter_new(place(names[i]), CF_VECFILE_INTS, 3, &writer, &detail), CF_OK);
        assert_int_equal(cf_vecwriter_append(writer, rows, 2, &detail), CF_OK);
        assert_int_equal(cf_vecwriter_finish(writer, &detail), CF_OK);
        cf_vecwriter_free(writer);
        struct cf_vecfile *file = opened(names[i], CF_VECFILE_INTS, 2, 3);
        assert_int_equal(cf_vecfile_read(file, 0, 2, got, &detail), CF_OK);
        assert_memory_equal(got, rows, sizeof rows);
        cf_vecfile_free(file);
    }
}

static void writers_refuse_what_they_cannot_hold(void **state)
{
    (void)state;
    struct cf_vecwriter *writer = NULL;
    struct cf_detail detail = {""};
    assert_int_equal(cf_vecwriter_new(place("a.fvecs"), CF_VECFILE_INTS, 3, &writer, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, ".ivecs"));
    assert_int_equal(cf_vecwriter_new(place("a.ivecs"), CF_VECFILE_FLOATS, 3, &writer, &detail),
                     CF_E_INVALID);
    assert_int_equal(cf_vecwriter_new(place("a.doc"), CF_VECFILE_FLOATS, 3, &writer, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "must end in .fvecs or .npy"));
    assert_int_equal(cf_vecwriter_new(place("a.doc"), CF_VECFILE_INTS, 3, &writer, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "must end in .ivecs or .npy"));
    assert_int_equal(cf_vecwriter_new(place("z.npy"), CF_VECFILE_FLOATS, 0, &writer, &detail), CF_E_INVALID);
    assert_int_equal(cf_vecwriter_new(place("no/z.npy"), CF_VECFILE_FLOATS, 1, &writer, &detail),
                     CF_E_NOT_FOUND);
    assert_int_equal(cf_vecwriter_new(place("pipe.fvecs"), CF_VECFILE_FLOATS, 1, &writer, &detail),
                     CF_E_INVALID);
    assert_non_null(strstr(detail.text, "no regular file"));
    assert_null(writer);
}

static void nothing_half_done_stays(void **state)
{
    (void)state;
    struct cf_fresh *fresh = NULL;
    struct cf_detail detail = {""};
    struct cf_buf bytes;
    const struct cf_bytes old = {(const uint8_t *)"old", 3}, new = {(const uint8_t *)"newer", 5};
    char inside[64];
    snprintf(inside, sizeof inside, "%s/only", folder);
    mkdir(inside, 0755);
    assert_int_equal(cf_file_publish(place("only/f"), old, &detail), CF_OK);
    cf_buf_init(&bytes);
    for (int finish = 0; finish < 2; finish++) {
        assert_int_equal(cf_fresh_new(place("only/f"), &fresh, &detail), CF_OK);
        assert_int_equal(cf_fresh_write(fresh, new, &detail), CF_OK);
        assert_int_equal(cf_fresh_patch(fresh, 1, (struct cf_bytes){(const uint8_t *)"E", 1}, &detail),
                         CF_OK);
        if (finish)
            assert_int_equal(cf_fresh_finish(fresh, &detail), CF_OK);
        cf_fresh_free(fresh);
        cf_buf_clear(&bytes);
        assert_int_equal(cf_file_read(place("only/f"), 100, &bytes, &detail), CF_OK);
        assert_int_equal(bytes.len, finish ? 5 : 3);
        assert_memory_equal(bytes.data, finish ? "nEwer" : "old", bytes.len);
    }
    cf_buf_fini(&bytes);
    assert_int_equal(unlink(place("only/f")), 0);
    assert_int_equal(rmdir(inside), 0); /* nothing else is in it */
}

static void one_file_has_many_names(void **state)
{
    (void)state;
    char other[128];
    write_file("one", "1", 1);
    snprintf(other, sizeof other, "%s/../%s/one", folder, folder + strlen("/tmp/"));
    assert_true(cf_fresh_same(place("one"), other));
    assert_true(cf_fresh_same("not/there", "not/there"));
    assert_false(cf_fresh_same("not/there", "nor/there"));
    assert_false(cf_fresh_same(NULL, NULL));
    write_file("two", "2", 1);
    assert_false(cf_fresh_same(place("two"), other));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char line[64];
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_npy_kind_is_read),
        cmocka_unit_test(small_and_large_halves_are_exact),
        cmocka_unit_test(fvecs_and_ivecs_are_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(other_headers_are_refused_by_name),
        cmocka_unit_test(bad_rows_are_named_by_number),
        cmocka_unit_test(a_file_that_shrinks_is_refused),
        cmocka_unit_test(what_is_written_reads_again),
        cmocka_unit_test(headers_are_as_numpy_wants_them),
        cmocka_unit_test(neighbours_are_written_as_numbers),
        cmocka_unit_test(writers_refuse_what_they_cannot_hold),
        cmocka_unit_test(nothing_half_done_stays),
        cmocka_unit_test(one_file_has_many_names),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
