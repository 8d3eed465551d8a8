/* PROTOCOL.md against the tables: every kind has its section, every field its row with type, range and
 * default, every error its row. With the argument "rows" the rows are printed instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "proto/msg_tables.h"

#define TEXT CF_TESTS_DIR "/../proto/PROTOCOL.md"

enum { ROW_BYTES_MAX = 512, KEY_BYTES_MAX = 128 };

static char *text;

static int read_text(void **state)
{
    (void)state;
    struct cf_buf buf;
    struct cf_detail detail;
    cf_buf_init(&buf);
    if (cf_file_read(TEXT, 1 << 20, &buf, &detail) != CF_OK) {
        fprintf(stderr, "%s\n", detail.text);
        return -1;
    }
    cf_buf_u8(&buf, '\0');
    text = (char *)buf.data;
    return cf_buf_ok(&buf) ? 0 : -1;
}

static int free_text(void **state)
{
    (void)state;
    free(text);
    return 0;
}

/* ---- a field as a row ---- */

static const char *type_name(const struct cf_field *field)
{
    static const char *const names[] = {
        [CF_FIELD_BOOL] = "bool", [CF_FIELD_UINT] = "uint",         [CF_FIELD_REAL] = "real",
        [CF_FIELD_STR] = "str",   [CF_FIELD_BYTES] = "bin",         [CF_FIELD_ENUM] = "word",
        [CF_FIELD_PAIRS] = "map", [CF_FIELD_STRS] = "array of str", [CF_FIELD_LIST] = "array of maps",
        [CF_FIELD_MAP] = "map",
    };
    return names[field->type];
}

static void range_of(const struct cf_field *field, const char *unit, char *out, size_t size)
{
    if (field->max == 0 && field->min == 0 && field->type != CF_FIELD_REAL)
        snprintf(out, size, "any");
    else if (field->max == 0)
        snprintf(out, size, "≥ %.0f%s", field->min, unit);
    else if (field->max == field->min)
        snprintf(out, size, "%.0f%s", field->max, unit);
    else
        snprintf(out, size, "%.0f–%.0f%s", field->min, field->max, unit);
}

static void words_of(const struct cf_field *field, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; field->names[i]; i++)
        len += (size_t)snprintf(out + len, size - len, "%s`%s`", i ? " " : "", field->names[i]);
}

static void range_name(const struct cf_field *field, char *out, size_t size)
{
    switch (field->type) {
    case CF_FIELD_BOOL:
        snprintf(out, size, "any");
        break;
    case CF_FIELD_UINT:
    case CF_FIELD_REAL:
        range_of(field, "", out, size);
        break;
    case CF_FIELD_STR:
    case CF_FIELD_BYTES:
        range_of(field, " bytes", out, size);
        break;
    case CF_FIELD_ENUM:
        words_of(field, out, size);
        break;
    case CF_FIELD_PAIRS:
        snprintf(out, size, "≤ %.0f, keys 1–%.0f bytes, values ≤ %.0f bytes", field->max, field->key_max,
                 field->each_max);
        break;
    case CF_FIELD_STRS:
        snprintf(out, size, "≤ %.0f, each ≤ %.0f bytes", field->max, field->each_max);
        break;
    case CF_FIELD_LIST:
    case CF_FIELD_MAP:
        snprintf(out, size, "≤ %.0f", field->max);
        break;
    }
}

static void absent_name(const struct cf_field *field, char *out, size_t size)
{
    if (field->flags & CF_FIELD_REQUIRED)
        snprintf(out, size, "required");
    else if (field->type == CF_FIELD_BOOL)
        snprintf(out, size, "false");
    else if (field->type == CF_FIELD_ENUM)
        snprintf(out, size, "`%s`", field->names[0]);
    else if (field->type == CF_FIELD_UINT || field->type == CF_FIELD_REAL)
        snprintf(out, size, "%llu", (unsigned long long)field->standard);
    else
        snprintf(out, size, "empty");
}

static void row_of(const struct cf_field *field, const char *prefix, char row[ROW_BYTES_MAX])
{
    char range[256], absent[64];
    range_name(field, range, sizeof range);
    absent_name(field, absent, sizeof absent);
    snprintf(row, ROW_BYTES_MAX, "| `%.80s%.40s` | %s | %.200s | %s |", prefix, field->key, type_name(field),
             range, absent);
}

typedef void on_row(const char *kind, const char *row);

/* What a map holds: `KEY{}` stands for the value of each key. */
static void value_row(const char *kind, const struct cf_field *field, const char *prefix, on_row *found)
{
    char row[ROW_BYTES_MAX], key[KEY_BYTES_MAX];
    struct cf_field value = field->table->fields[1];
    snprintf(key, sizeof key, "%.60s{}", field->key);
    value.key = key;
    row_of(&value, prefix, row);
    found(kind, row);
}

static void each_row(const char *kind, const struct cf_table *table, const char *prefix, on_row *found)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct cf_field *field = &table->fields[i];
        char row[ROW_BYTES_MAX], deeper[KEY_BYTES_MAX];
        row_of(field, prefix, row);
        found(kind, row);
        snprintf(deeper, sizeof deeper, "%.60s%.40s[].", prefix, field->key);
        if (field->type == CF_FIELD_LIST)
            each_row(kind, field->table, deeper, found);
        if (field->type == CF_FIELD_MAP)
            value_row(kind, field, prefix, found);
    }
}

/* ---- the text ---- */

/* The section "### … `kind` …" and its length up to the next heading. */
static const char *find_section(const char *kind, size_t *len)
{
    char name[64];
    snprintf(name, sizeof name, "`%s`", kind);
    for (const char *at = text; (at = strstr(at, "\n### ")); at++) {
        const char *line_end = strchr(at + 1, '\n');
        const char *hit = strstr(at, name);
        if (!line_end || !hit || hit > line_end)
            continue;
        const char *end = strstr(line_end, "\n#");
        *len = end ? (size_t)(end - at) : strlen(at);
        return at;
    }
    return NULL;
}

static void check_row(const char *kind, const char *row)
{
    size_t len = 0;
    const char *section = find_section(kind, &len);
    if (!section)
        fail_msg("PROTOCOL.md has no section for %s", kind);
    if (!memmem(section, len, row, strlen(row)))
        fail_msg("PROTOCOL.md lacks a row of %s: %s", kind, row);
}

static void print_row(const char *kind, const char *row)
{
    printf("%s\t%s\n", kind, row);
}

static void test_every_field_is_in_the_text(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++) {
        size_t len = 0;
        assert_non_null(find_section(cf_kind_name(kind), &len));
        each_row(cf_kind_name(kind), cf_msg_table(kind), "", check_row);
    }
}

static size_t rows_in_text, rows_in_tables;
static const char *seen_sections[CF_KIND_COUNT];

/* Sections that several kinds share are counted once. */
static void count_row(const char *kind, const char *row)
{
    (void)kind;
    (void)row;
    rows_in_tables++;
}

static void test_the_text_has_no_field_of_its_own(void **state)
{
    (void)state;
    size_t section_count = 0;
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++) {
        size_t len = 0;
        const char *section = find_section(cf_kind_name(kind), &len);
        bool again = false;
        assert_non_null(section);
        for (size_t i = 0; i < section_count; i++)
            again = again || seen_sections[i] == section;
        if (again)
            continue;
        seen_sections[section_count++] = section;
        each_row(cf_kind_name(kind), cf_msg_table(kind), "", count_row);
        for (const char *at = section; (at = memmem(at, (size_t)(section + len - at), "\n| `", 4)); at++)
            rows_in_text++;
    }
    assert_int_equal(rows_in_text, rows_in_tables);
}

static void test_every_error_is_in_the_text(void **state)
{
    (void)state;
    const char *section = strstr(text, "\n## Errors\n");
    assert_non_null(section);
    const char *end = strstr(section + 1, "\n## ");
    assert_non_null(end);
    size_t rows = 0;
    for (const char *at = section; (at = memmem(at, (size_t)(end - at), "\n| `", 4)); at++)
        rows++;
    assert_int_equal(rows, CF_ERR_COUNT - 1); /* all but "ok" */
    for (unsigned err = 1; err < CF_ERR_COUNT; err++) {
        char row[128];
        snprintf(row, sizeof row, "\n| `%s` |", cf_err_name(err));
        if (!memmem(section, (size_t)(end - section), row, strlen(row)))
            fail_msg("PROTOCOL.md does not explain the error %s", cf_err_name(err));
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "rows") == 0) {
        for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++)
            each_row(cf_kind_name(kind), cf_msg_table(kind), "", print_row);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_is_in_the_text),
        cmocka_unit_test(test_the_text_has_no_field_of_its_own),
        cmocka_unit_test(test_every_error_is_in_the_text),
    };
    return cmocka_run_group_tests(tests, read_text, free_text);
}
