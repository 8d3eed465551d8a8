/* Tables of listens and thumbs: what is right is read as it stands, what is wrong is one sentence with file
 * and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/recommend/matrix.h"

static char path[] = "/tmp/cf-table-XXXXXX";

static void write_text(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

struct run {
    struct cf_names *users, *albums;
    struct cf_detail detail;
};

static struct run begin(const char *text)
{
    struct run run = {cf_names_new(), cf_names_new(), {""}};
    write_text(text);
    return run;
}

static void end(struct run *run)
{
    cf_names_free(run->users);
    cf_names_free(run->albums);
}

/* A table of either kind that must be refused, with `word` in the sentence. */
static void refused(bool thumbs, const char *text, const char *word)
{
    struct run run = begin(text);
    struct cf_listens listens;
    struct cf_thumbs t;
    enum cf_err err = thumbs
                          ? cf_thumbs_read(path, run.users, run.albums, &t, NULL, NULL, &run.detail)
                          : cf_listens_read(path, run.users, run.albums, &listens, NULL, NULL, &run.detail);
    if (err != CF_E_INVALID || !strstr(run.detail.text, word) || !strstr(run.detail.text, path))
        fail_msg("\"%.60s\": %s: %s (expected \"%s\")", text, cf_err_name(err), run.detail.text, word);
    end(&run);
}

static void read_listens(struct run *run, struct cf_listens *listens)
{
    if (cf_listens_read(path, run->users, run->albums, listens, NULL, NULL, &run->detail) != CF_OK)
        fail_msg("%s", run->detail.text);
}

static void columns_are_found_by_name_and_listens_put_in_order(void **state)
{
    (void)state;
    static const struct cf_listen expected[] = {
        {0, 1, 1, 10}, {0, 2, 2.5f, 20}, {0, 0, 1, 30}, {0, 3, 1, 30}, {1, 1, 4, 5}};
    struct run run =
        begin("\xef\xbb\xbftime\tother\talbum\tuser\tcount\r\n30\tx\tA\tu\t1\r\n5\tx\tB\tv\t4\n\n"
              "10\tx\tB\tu\t1\n20\tx\tC\tu\t2.5\n30\t\tD\tu\t1");
    struct cf_listens listens;
    read_listens(&run, &listens);
    assert_int_equal(listens.count, 5);
    assert_true(listens.has_times);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(listens.items[i].user, expected[i].user);
        assert_int_equal(listens.items[i].album, expected[i].album);
        assert_true(listens.items[i].count == expected[i].count);
        assert_int_equal(listens.items[i].time, expected[i].time);
    }
    assert_true(cf_str_is(cf_names_at(run.albums, 3), "D"));
    assert_int_equal(cf_names_number(run.albums, cf_str("E"), false), CF_NO_NUMBER);
    cf_listens_fini(&listens);
    end(&run);
}

static void without_times_the_order_of_the_file_stays(void **state)
{
    (void)state;
    struct run run = begin("user\talbum\nv\tC\nu\tB\nv\tA\nu\tA\nv\tB\n");
    static const uint32_t albums[] = {0, 2, 1, 1, 2};
    struct cf_listens listens;
    read_listens(&run, &listens);
    assert_false(listens.has_times);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(listens.items[i].album, albums[i]);
    cf_listens_fini(&listens);
    end(&run);
}

static void bad_listens_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } all[] = {
        {"", "the file is empty"},
        {"user\talbum\n", "no listens"},
        {"user\talbum\n\n\n", "no listens"},
        {"user\tcount\nu\t1\n", "no column \"album\""},
        {"album\tcount\nu\t1\n", "no column \"user\""},
        {"user,album\nu,A\n", "no column \"user\""},
        {"user\talbum\tuser\nu\tA\tv\n", "several columns \"user\""},
        {"user\talbum\nu\tA\nu\n", ":3: the album"},
        {"user\talbum\n\tA\n", ":2: the user"},
        {"user\talbum\tcount\nu\tA\t0\n", ":2: the count"},
        {"user\talbum\tcount\nu\tA\t-1\n", ":2: the count"},
        {"user\talbum\tcount\nu\tA\n", ":2: the count"},
        {"user\talbum\tcount\nu\tA\tnan\n", ":2: the count"},
        {"user\talbum\tcount\nu\tA\tinf\n", ":2: the count"},
        {"user\talbum\tcount\nu\tA\t0x10\n", ":2: the count must be a number above 0: \"0x10\""},
        {"user\talbum\tcount\nu\tA\t 5\n", ":2: the count must be a number above 0: \" 5\""},
        {"user\talbum\tcount\nu\tA\t1e99\n", ":2: the count must be at most 1e12"},
        {"user\talbum\tcount\nu\tA\t1e-99\n", ":2: the count must be a number above 0"},
        {"user\talbum\ttime\nu\tA\t0x10\n", ":2: the time"},
        {"user\talbum\tcount\nu\tA\t1x\n", "1x"},
        {"user\talbum\ttime\nu\tA\t1\nu\tA\tnoon\n", ":3: the time"},
        {"user\talbum\ttime\nu\tA\t-5\n", ":2: the time"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        refused(false, all[i].text, all[i].word);
}

static void a_missing_file_is_said_to_be_missing(void **state)
{
    (void)state;
    struct run run = begin("");
    struct cf_listens listens;
    enum cf_err err =
        cf_listens_read("/tmp/cf-no-such-table", run.users, run.albums, &listens, NULL, NULL, &run.detail);
    assert_int_equal(err, CF_E_NOT_FOUND);
    assert_non_null(strstr(run.detail.text, "/tmp/cf-no-such-table"));
    end(&run);
}

static void zero_bytes_and_long_ids_are_refused(void **state)
{
    (void)state;
    static const char zero[] = "user\talbum\nu\tA\nu\t\0B\n";
    struct run run = begin("");
    struct cf_listens listens;
    char text[600] = "user\talbum\n";
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(zero, 1, sizeof zero - 1, file), sizeof zero - 1);
    fclose(file);
    assert_int_equal(cf_listens_read(path, run.users, run.albums, &listens, NULL, NULL, &run.detail),
                     CF_E_INVALID);
    assert_non_null(strstr(run.detail.text, ":3: a zero byte"));
    end(&run);
    memset(text + strlen(text), 'u', 256);
    strcat(text, "\tA\n");
    refused(false, text, ":2: the user must have 1 to 255 bytes");
}

static void one_bad_line_in_many_is_found_by_its_number(void **state)
{
    (void)state;
    enum { LINES = 300000, BAD = 234567 };
    struct run run = begin("");
    struct cf_listens listens;
    FILE *file = fopen(path, "wb");
    fputs("user\talbum\tcount\n", file);
    for (int line = 2; line <= LINES; line++)
        fprintf(file, "u%d\talbum-%d\t%s\n", line % 5000, line % 7001, line == BAD ? "many" : "1");
    fclose(file);
    assert_int_equal(cf_listens_read(path, run.users, run.albums, &listens, NULL, NULL, &run.detail),
                     CF_E_INVALID);
    assert_non_null(strstr(run.detail.text, ":234567: the count must be a number above 0: \"many\""));
    end(&run);
}

static void thumbs_are_read_with_their_seeds(void **state)
{
    (void)state;
    struct run run = begin("user\talbum\tthumb\tseed\ttime\nu\tA\t+1\t\t7\nu\tB\t-1\tA\t\nv\tA\t1\tC\t9\n");
    struct cf_thumbs thumbs;
    if (cf_thumbs_read(path, run.users, run.albums, &thumbs, NULL, NULL, &run.detail) != CF_OK)
        fail_msg("%s", run.detail.text);
    assert_int_equal(thumbs.count, 3);
    assert_true(thumbs.has_times && thumbs.items[0].up && !thumbs.items[1].up && thumbs.items[2].up);
    assert_int_equal(thumbs.items[0].seed, CF_NO_NUMBER);
    assert_int_equal(thumbs.items[1].seed, 0);
    assert_int_equal(thumbs.items[2].seed, 2);
    assert_int_equal(thumbs.items[0].time, 7);
    cf_thumbs_fini(&thumbs);
    end(&run);
}

static void of_contradictory_thumbs_the_last_counts(void **state)
{
    (void)state;
    struct run run =
        begin("user\talbum\tthumb\tseed\nu\tA\t+1\t\nu\tA\t-1\tS\nv\tA\t+1\t\nu\tA\t-1\t\nw\tB\t-1\t\n");
    struct cf_thumbs thumbs;
    assert_int_equal(cf_thumbs_read(path, run.users, run.albums, &thumbs, NULL, NULL, &run.detail), CF_OK);
    assert_int_equal(thumbs.count, 4);
    assert_int_equal(thumbs.replaced, 1);
    assert_true(!thumbs.items[0].up && thumbs.items[1].up && !thumbs.items[2].up);
    assert_int_equal(thumbs.items[1].user, 1);
    assert_int_equal(thumbs.items[2].user, 0);
    assert_int_equal(thumbs.items[2].seed, CF_NO_NUMBER);
    cf_thumbs_fini(&thumbs);
    end(&run);
}

static void bad_thumbs_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } all[] = {
        {"user\talbum\nu\tA\n", "no column \"thumb\""},
        {"user\talbum\tthumb\n", "no thumbs"},
        {"user\talbum\tthumb\nu\tA\t+1\nu\tB\t3\n", ":3: the thumb must be +1 or -1: \"3\""},
        {"user\talbum\tthumb\nu\tA\t0\n", ":2: the thumb"},
        {"user\talbum\tthumb\nu\tA\n", "\"nothing\""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        refused(true, all[i].text, all[i].word);
}

static void a_matrix_adds_up_pairs_and_turns(void **state)
{
    (void)state;
    struct run run = begin("user\talbum\tcount\nu\tB\t1\nu\tA\t2\nw\tB\t1\nu\tB\t3\n");
    struct cf_listens listens;
    struct cf_matrix m, turned;
    read_listens(&run, &listens);
    assert_int_equal(cf_matrix_of(&listens, 4, 3, &m, &run.detail), CF_OK);
    assert_int_equal(cf_matrix_transpose(&m, &turned, &run.detail), CF_OK);
    assert_int_equal(cf_matrix_nonzeros(&m), 3);
    assert_true(m.first[1] == 2 && m.first[2] == 3 && m.first[4] == 3);
    assert_true(m.columns[0] == 0 && m.values[0] == 4 && m.columns[1] == 1 && m.values[1] == 2);
    assert_true(turned.first[1] == 2 && turned.first[2] == 3 && turned.first[3] == 3);
    assert_true(turned.columns[0] == 0 && turned.columns[1] == 1 && turned.values[0] == 4 &&
                turned.values[2] == 2);
    cf_matrix_fini(&m);
    cf_matrix_fini(&turned);
    cf_listens_fini(&listens);
    end(&run);
}

static void thumbs_become_a_signed_matrix(void **state)
{
    (void)state;
    struct run run =
        begin("user\talbum\tthumb\tseed\nw\tB\t-1\t\nu\tA\t1\t\nu\tB\t-1\t\nu\tC\t1\tA\nu\tC\t-1\tB\n");
    struct cf_thumbs thumbs;
    struct cf_matrix m;
    assert_int_equal(cf_thumbs_read(path, run.users, run.albums, &thumbs, NULL, NULL, &run.detail), CF_OK);
    assert_int_equal(cf_matrix_of_thumbs(&thumbs, 3, 3, &m, &run.detail), CF_OK);
    assert_true(cf_matrix_nonzeros(&m) == 4 && m.first[1] == 1 && m.first[2] == 4 && m.first[3] == 4);
    assert_true(m.columns[0] == 0 && m.values[0] == -1); /* w: B */
    assert_true(m.columns[1] == 0 && m.values[1] == -1 && m.columns[2] == 1 && m.values[2] == 1);
    assert_true(m.columns[3] == 2 && m.values[3] == 0); /* for one seed up, for another down */
    cf_matrix_fini(&m);
    cf_thumbs_fini(&thumbs);
    end(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_found_by_name_and_listens_put_in_order),
        cmocka_unit_test(without_times_the_order_of_the_file_stays),
        cmocka_unit_test(bad_listens_are_refused_with_their_line),
        cmocka_unit_test(a_missing_file_is_said_to_be_missing),
        cmocka_unit_test(zero_bytes_and_long_ids_are_refused),
        cmocka_unit_test(one_bad_line_in_many_is_found_by_its_number),
        cmocka_unit_test(thumbs_are_read_with_their_seeds),
        cmocka_unit_test(of_contradictory_thumbs_the_last_counts),
        cmocka_unit_test(bad_thumbs_are_refused_with_their_line),
        cmocka_unit_test(a_matrix_adds_up_pairs_and_turns),
        cmocka_unit_test(thumbs_become_a_signed_matrix),
    };
    int fd = mkstemp(path);
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
