/* deploy/cli: numbers and words for people, aligned columns, the progress line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deploy/cli/progress.h"
#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"

static void durations_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},         {"10", 10000},         {"250ms", 250}, {"1500ms", 1500},
                {"1.5s", 1500},   {"0.25s", 250},        {"5m", 300000}, {"2h", 7200000},
                {"1d", 86400000}, {"365d", 31536000000}, {"0.0004s", 0}, {"0.0006s", 1}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ms = 77;
        assert_int_equal(cf_text_duration_parse(good[i].text, &ms, NULL), CF_OK);
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"",     "s",   "-1s", "+1s", "1 s",  "1x",     "10sec",
                                      "0x10", "inf", "nan", "1s ", "366d", "1e300d", "ms"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 77;
        struct cf_detail detail = {""};
        assert_int_equal(cf_text_duration_parse(bad[i], &ms, &detail), CF_E_INVALID);
        assert_int_equal(ms, 77);
        assert_true(detail.text[0]);
    }
}

static void numbers_are_written(void **state)
{
    (void)state;
    char text[CF_TEXT_NUMBER_MAX];
    static const struct {
        uint64_t value;
        const char *text;
    } durations[] = {{0, "0 ms"},
                     {999, "999 ms"},
                     {1000, "1 s"},
                     {4260, "4.2 s"},
                     {9999, "9.9 s"},
                     {10000, "10 s"},
                     {59999, "59 s"},
                     {65000, "1 min 5 s"},
                     {3600000, "1 h 0 min"},
                     {11520000, "3 h 12 min"},
                     {187200000, "2 d 4 h"}},
      sizes[] = {{0, "0 B"},         {999, "999 B"},         {1000, "1.0 KB"},
                 {9940, "9.9 KB"},   {9960, "10 KB"},        {67108864, "67 MB"},
                 {999600, "1.0 MB"}, {5000000000, "5.0 GB"}, {UINT64_MAX, "18 EB"}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        cf_text_duration(durations[i].value, text);
        assert_string_equal(text, durations[i].text);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cf_text_size(sizes[i].value, text);
        assert_string_equal(text, sizes[i].text);
    }
    cf_text_time(1767323045678, text);
    assert_string_equal(text, "2026-01-02 03:04:05 UTC");
    cf_text_time(UINT64_MAX, text); /* any number from the wire */
    cf_text_duration(UINT64_MAX, text);
}

/* What `put` writes to a stream. */
static char *written(struct cf_str text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    cf_text_put(file, text);
    fclose(file);
    return out;
}

static void foreign_text_cannot_command_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *text, *safe;
    } cases[] = {{"Bj\xC3\xB6rk", "Bj\xC3\xB6rk"},
                 {"\x1B[2Jgone\n", "?[2Jgone?"},
                 {"a\xC2\x9B"
                  "b",
                  "a?b"},
                 {"\xFF\xC3", "??"},
                 {"\xE2\x82", "??"},
                 {"\xF0\x9F\x8E\xB5", "\xF0\x9F\x8E\xB5"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *safe = written(cf_str(cases[i].text));
        assert_string_equal(safe, cases[i].safe);
        free(safe);
    }
    char room[8];
    struct cf_str repaired = cf_text_repair(cf_str("a\xFF\xC3\xB6"), room);
    assert_true(cf_str_is(repaired, "a?\xC3\xB6"));
    assert_int_equal(cf_text_width(cf_str("Bj\xC3\xB6rk")), 5);
    assert_int_equal(cf_text_width(cf_str("\xFF\xFF")), 2);
}

static void columns_are_aligned(void **state)
{
    (void)state;
    static const char *const headings[] = {"ALBUM", ">N", "TITLE", NULL};
    struct cf_tabular *tabular = cf_tabular_new(headings);
    cf_tabular_cell(tabular, cf_str("Bj\xC3\xB6rk-1"));
    cf_tabular_cellf(tabular, "%d", 5);
    cf_tabular_cell(tabular, cf_str("a\nb"));
    cf_tabular_cell(tabular, cf_str("x"));
    cf_tabular_cellf(tabular, "%d", 12345);
    cf_tabular_cell(tabular, cf_str(""));
    cf_tabular_cell(tabular, cf_str("a row that is not complete"));
    char *out = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&out, &size);
    assert_int_equal(cf_tabular_print(tabular, "  ", file), CF_OK);
    fclose(file);
    /* The incomplete row widened the first column but is not printed. */
    assert_string_equal(out, "  ALBUM                           N  TITLE\n"
                             "  Bj\xC3\xB6rk-1                         5  a?b\n"
                             "  x                           12345\n");
    free(out);
    cf_tabular_free(tabular);
    cf_tabular_free(NULL);
    cf_tabular_cell(NULL, cf_str("x"));
    assert_int_equal(cf_tabular_print(NULL, "", stdout), CF_E_NO_MEMORY);
}

static void progress_says_how_far_how_fast_and_how_long(void **state)
{
    (void)state;
    char line[CF_PROGRESS_LINE_MAX];
    cf_progress_line(line, 50, 200, 10, "3 dead", false);
    assert_string_equal(line, "50 of 200, 10/s, 15 s left, 3 dead");
    cf_progress_line(line, 50, 200, 10, "", true);
    assert_string_equal(line, "[######..................] 50 of 200, 10/s, 15 s left");
    cf_progress_line(line, 50, 0, 2.4, "", true);
    assert_string_equal(line, "50, 2/s");
    cf_progress_line(line, 250, 200, 0, "", true);
    assert_string_equal(line, "[########################] 200 of 200, 0/s");
    cf_progress_line(line, 1, UINT64_MAX, 1e-9, "", false);
    assert_null(strstr(line, "left"));
}

static size_t lines_shown(bool quiet, uint64_t until_ms)
{
    char *out = NULL;
    size_t size = 0, count = 0;
    FILE *real = tmpfile(), *file = open_memstream(&out, &size);
    struct cf_progress progress;
    cf_progress_init(&progress, real, quiet, 1000);
    progress.out = file;
    for (uint64_t ms = 1000; ms <= 1000 + until_ms; ms += 50)
        cf_progress_show(&progress, ms / 50, 1000, "", ms);
    cf_progress_clear(&progress);
    fclose(file);
    fclose(real);
    for (const char *p = out; *p; p++)
        count += *p == '\n';
    free(out);
    return count;
}

static void progress_is_a_line_a_second_when_it_is_no_terminal(void **state)
{
    (void)state;
    assert_int_equal(lines_shown(false, 950), 0);
    assert_int_equal(lines_shown(false, 1000), 1);
    assert_int_equal(lines_shown(false, 20000), 20);
    assert_int_equal(lines_shown(true, 20000), 0);
}

/* The first pass took no time and was never shown. */
static void progress_of_a_second_pass_knows_nothing_of_the_first(void **state)
{
    (void)state;
    char *out = NULL;
    size_t size = 0;
    FILE *real = tmpfile(), *file = open_memstream(&out, &size);
    struct cf_progress progress;
    cf_progress_init(&progress, real, false, 1000);
    progress.out = file;
    cf_progress_show(&progress, 200000, 200000, "", 1500);
    cf_progress_show(&progress, 1, 200000, "", 2000);
    cf_progress_show(&progress, 50001, 200000, "", 3000);
    fclose(file);
    fclose(real);
    assert_string_equal(out, "1 of 200000, 0/s\n50001 of 200000, 50000/s, 2 s left\n");
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_parsed),
        cmocka_unit_test(numbers_are_written),
        cmocka_unit_test(foreign_text_cannot_command_a_terminal),
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(progress_says_how_far_how_fast_and_how_long),
        cmocka_unit_test(progress_is_a_line_a_second_when_it_is_no_terminal),
        cmocka_unit_test(progress_of_a_second_pass_knows_nothing_of_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
