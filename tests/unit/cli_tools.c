/* deploy/cli: tables of ids, and latencies in classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "deploy/cli/idtable.h"
#include "deploy/cli/latency.h"

/* ---- ids ---- */

static char path[] = "/tmp/cf-ids-XXXXXX";

static struct cf_idtable *table_of(const char *text)
{
    struct cf_idtable *table = NULL;
    struct cf_detail detail = {""};
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    if (cf_idtable_open(path, &table, &detail) != CF_OK)
        fail_msg("%s: %s", text, detail.text);
    return table;
}

/* Joined by blanks, twice, for a table is read again and again. */
static void gives(const char *text, const char *expected)
{
    struct cf_idtable *table = table_of(text);
    struct cf_detail detail = {""};
    for (int pass = 0; pass < 2; pass++) {
        char all[256] = "";
        struct cf_str id;
        bool end = false;
        for (;;) {
            if (cf_idtable_next(table, &id, &end, &detail) != CF_OK)
                fail_msg("%s: %s", text, detail.text);
            if (end)
                break;
            size_t len = strlen(all);
            snprintf(all + len, sizeof all - len, "%s%.*s", len ? " " : "", CF_STR_ARG(id));
        }
        assert_string_equal(all, expected);
        assert_int_equal(cf_idtable_rewind(table, &detail), CF_OK);
    }
    cf_idtable_free(table);
}

static void ids_come_from_lines_or_a_column(void **state)
{
    (void)state;
    gives("a\nb\nc\n", "a b c");
    gives("a\nb\r\n\nc", "a b c");
    gives("a\tx\nb\ty\n", "a b");
    gives("album\na\nb\n", "a b");
    gives("title\talbum\nT\ta\nU\tb\n", "a b");
    gives("id\ttitle\na\tT\n", "a");
    gives("id\talbum\n1\ta\n", "a");
    gives("\xEF\xBB\xBF"
          "album\na\n",
          "a");
    gives("albums\na\n", "albums a");
    gives("", "");
    gives("album\n", "");
}

static void fails_with(const char *text, enum cf_err expected, const char *word)
{
    struct cf_idtable *table = table_of(text);
    struct cf_detail detail = {""};
    struct cf_str id;
    bool end = false;
    enum cf_err err = CF_OK;
    while (!err && !end)
        err = cf_idtable_next(table, &id, &end, &detail);
    if (err != expected || !strstr(detail.text, word))
        fail_msg("%s: %s: %s", text, cf_err_name(err), detail.text);
    cf_idtable_free(table);
}

static void bad_ids_are_named_by_line(void **state)
{
    (void)state;
    struct cf_idtable *table = NULL;
    struct cf_detail detail = {""};
    fails_with("a\n\tx\n", CF_E_BAD_ALBUM, ":2:");
    fails_with("album\tt\na\tT\n\tU\n", CF_E_BAD_ALBUM, ":3:");
    fails_with("album\na\tb\n", CF_E_INVALID, ":2:");
    fails_with("a\nb\xFF\n", CF_E_BAD_ALBUM, ":2:");
    assert_int_equal(cf_idtable_open("/tmp/no/such", &table, &detail), CF_E_NOT_FOUND);
    assert_int_equal(cf_idtable_open("/tmp", &table, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "regular"));
}

/* ---- latencies ---- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_are_those_of_the_times(void **state)
{
    (void)state;
    enum { TIMES = 5000 };
    static uint64_t times[TIMES];
    static const double quantiles[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1};
    struct cf_latency *both = calloc(2, sizeof *both);
    struct cf_rng rng = cf_rng(4);
    for (size_t i = 0; i < TIMES; i++) {
        times[i] = cf_rng_u64(&rng) >> (20 + cf_rng_below(&rng, 44));
        cf_latency_add(&both[i % 2], times[i]);
    }
    cf_latency_merge(&both[0], &both[1]);
    qsort(times, TIMES, sizeof times[0], by_size);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        size_t rank = (size_t)(quantiles[i] * TIMES + 0.9999);
        uint64_t exact = times[rank - 1], got = cf_latency_quantile(&both[0], quantiles[i]);
        /* Beyond the last class a time is only known not to exceed the longest. */
        if (exact < UINT64_C(1) << 39 && !(got >= exact && (double)got <= (double)exact * (1 + 1.0 / 64)))
            fail_msg("quantile %g: %llu, exactly %llu", quantiles[i], (unsigned long long)got,
                     (unsigned long long)exact);
        assert_true(got <= both[0].max_ns);
    }
    assert_int_equal(cf_latency_quantile(&both[0], 1), times[TIMES - 1]);
    free(both);
}

static void no_times_no_quantiles(void **state)
{
    (void)state;
    struct cf_latency *none = calloc(1, sizeof *none);
    assert_int_equal(cf_latency_quantile(none, 0.5), 0);
    cf_latency_add(none, 0);
    assert_int_equal(cf_latency_quantile(none, 0.5), 0);
    cf_latency_add(none, UINT64_MAX);
    assert_true(cf_latency_quantile(none, 1) == UINT64_MAX || cf_latency_quantile(none, 1) > UINT64_C(1)
                                                                                                 << 39);
    free(none);
}

static int make_path(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int remove_path(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_come_from_lines_or_a_column),
        cmocka_unit_test(bad_ids_are_named_by_line),
        cmocka_unit_test(quantiles_are_those_of_the_times),
        cmocka_unit_test(no_times_no_quantiles),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
