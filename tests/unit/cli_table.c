/* deploy/cli: lines, tables, and where covers to push come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/cli/push.h"
#include "deploy/cli/table.h"

static const char *const required[] = {"album", "cover", NULL};
static struct cf_table table; /* large */
static char folder[] = "/tmp/cf-cli-XXXXXX";

static enum cf_err open_text(const char *text, size_t len, FILE **file, struct cf_detail *detail)
{
    *file = tmpfile();
    assert_int_equal(fwrite(text, 1, len, *file), len);
    rewind(*file);
    return cf_table_init(&table, *file, "t.tsv", required, detail);
}

static void header_fails(const char *text, const char *word)
{
    FILE *file;
    struct cf_detail detail = {""};
    assert_int_equal(open_text(text, strlen(text), &file, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "t.tsv"));
    if (!strstr(detail.text, word))
        fail_msg("\"%s\" is not in: %s", word, detail.text);
    fclose(file);
}

static void headers_that_are_wrong_are_named(void **state)
{
    (void)state;
    header_fails("", "empty");
    header_fails("\n\n", "empty");
    header_fails("album\ttitle\nx\ty\n", "\"cover\"");
    header_fails("id\tfile\n", "\"album\", \"cover\"");
    header_fails("album,cover\n", "\"album\", \"cover\"");
    header_fails("album\tcover\talbum\n", "twice");
    header_fails("album\t\tcover\n", "column 2");
    header_fails("album\tcover\t\xFF\n", "UTF-8");
    char many[400] = "album\tcover";
    for (size_t i = 0; i < 70; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "\t%zu", i);
    header_fails(many, "72 columns");
}

static void rows_are_read_by_name_in_any_order(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBFtitle\tcover\talbum\r\n"
                               "One\ta.jpg\tA\r\n"
                               "\r\n"
                               "\tb.jpg\tB\n"
                               "Three\n"
                               "x\ty\tz\ttoo many\n"
                               "bad \xC3(\tc.jpg\tC\n"
                               "Last\td.jpg\tD";
    FILE *file;
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    struct cf_detail detail = {""};
    bool end = false;
    assert_int_equal(open_text(text, sizeof text - 1, &file, NULL), CF_OK);
    size_t title = cf_table_column(&table, "title"), album = cf_table_column(&table, "album");
    assert_int_equal(title, 0);
    assert_int_equal(album, 2);
    assert_int_equal(cf_table_column(&table, "genre"), table.column_count);
    assert_int_equal(cf_table_next(&table, fields, &end, NULL), CF_OK);
    assert_true(cf_str_is(fields[title], "One") && cf_str_is(fields[album], "A"));
    assert_int_equal(cf_table_next(&table, fields, &end, NULL), CF_OK);
    assert_true(cf_str_is(fields[title], "") && cf_str_is(fields[album], "B"));
    assert_int_equal(table.lines.number, 4);
    assert_int_equal(cf_table_next(&table, fields, &end, NULL), CF_OK);
    assert_true(cf_str_is(fields[title], "Three") && cf_str_is(fields[album], ""));
    assert_int_equal(cf_table_next(&table, fields, &end, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "t.tsv:6: 4 fields"));
    assert_int_equal(cf_table_next(&table, fields, &end, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "t.tsv:7: not valid UTF-8"));
    assert_int_equal(cf_table_next(&table, fields, &end, NULL), CF_OK);
    assert_true(cf_str_is(fields[album], "D"));
    assert_false(end);
    assert_int_equal(cf_table_next(&table, fields, &end, NULL), CF_OK);
    assert_true(end);
    fclose(file);
}

static void ten_thousand_rows(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    fputs("album\tcover\n", file);
    for (int i = 0; i < 10000; i++)
        fprintf(file, "R-%d\tc/%d.jpg\n", i, i);
    rewind(file);
    assert_int_equal(cf_table_init(&table, file, "t.tsv", required, NULL), CF_OK);
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    bool end = false;
    int count = 0;
    char album[16];
    for (;; count++) {
        assert_int_equal(cf_table_next(&table, fields, &end, NULL), CF_OK);
        if (end)
            break;
        snprintf(album, sizeof album, "R-%d", count);
        assert_true(cf_str_is(fields[0], album));
    }
    assert_int_equal(count, 10000);
    assert_int_equal(table.lines.number, 10001);
    fclose(file);
}

static void long_lines_and_zero_bytes_cost_a_line(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    struct cf_lines *lines = malloc(sizeof *lines);
    for (int i = 0; i < CF_LINE_BYTES_MAX; i++)
        putc('x', file);
    putc('\n', file);
    for (int i = 0; i <= CF_LINE_BYTES_MAX; i++)
        putc('y', file);
    fwrite("\na\0b\nlast", 1, 9, file);
    rewind(file);
    cf_lines_init(lines, file, "l");
    struct cf_str line;
    struct cf_detail detail = {""};
    bool end = false;
    assert_int_equal(cf_lines_next(lines, &line, &end, NULL), CF_OK);
    assert_int_equal(line.len, CF_LINE_BYTES_MAX);
    assert_int_equal(cf_lines_next(lines, &line, &end, &detail), CF_E_TOO_LARGE);
    assert_non_null(strstr(detail.text, "l:2:"));
    assert_int_equal(cf_lines_next(lines, &line, &end, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "l:3:"));
    assert_int_equal(cf_lines_next(lines, &line, &end, NULL), CF_OK);
    assert_true(cf_str_is(line, "last"));
    assert_int_equal(cf_lines_next(lines, &line, &end, NULL), CF_OK);
    assert_true(end);
    free(lines);
    fclose(file);
}

static void targets_are_split(void **state)
{
    (void)state;
    struct cf_str album, path;
    assert_true(cf_source_split(cf_str("R-1=c/x=y.jpg"), &album, &path));
    assert_true(cf_str_is(album, "R-1") && cf_str_is(path, "c/x=y.jpg"));
    assert_true(cf_source_split(cf_str("a=b\tfile"), &album, &path));
    assert_true(cf_str_is(album, "a=b") && cf_str_is(path, "file"));
    assert_true(cf_source_split(cf_str("=file"), &album, &path));
    assert_true(cf_str_is(album, ""));
    assert_false(cf_source_split(cf_str("R-1"), &album, &path));
    assert_false(cf_source_split(cf_str("R-1="), &album, &path));
    assert_false(cf_source_split(cf_str(""), &album, &path));
    assert_true(cf_str_is(cf_source_album_of("covers/R-1.front.jpg"), "R-1.front"));
    assert_true(cf_str_is(cf_source_album_of("a.b/plain"), "plain"));
    assert_true(cf_str_is(cf_source_album_of("x/.hidden"), ".hidden"));
}

/* ---- sources ---- */

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static size_t turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void next_is(struct cf_source *source, struct cf_arena *arena, const char *album, const char *path)
{
    struct cf_cover cover;
    bool end = true;
    assert_int_equal(cf_source_next(source, arena, &cover, &end, NULL), CF_OK);
    assert_false(end);
    assert_int_equal(cover.err, CF_OK);
    assert_int_equal(cover.album.len, strlen(album));
    assert_memory_equal(cover.album.data, album, cover.album.len);
    assert_string_equal(cover.path, path);
}

static void ends(struct cf_source *source, struct cf_arena *arena)
{
    struct cf_cover cover;
    bool end = false;
    assert_int_equal(cf_source_next(source, arena, &cover, &end, NULL), CF_OK);
    assert_true(end);
}

static void pairs_and_folders_follow_each_other(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("c"), 0755), 0);
    assert_int_equal(mkdir(in_folder("c/sub"), 0755), 0);
    write_file("c/b.jpg", "b");
    write_file("c/a.ppm", "a");
    write_file("c/.hidden", "no");
    write_file("c/samples.tsv", "no");
    write_file("c/README.MD", "no");
    assert_int_equal(symlink("b.jpg", in_folder("c/link.jpg")), 0);
    assert_int_equal(symlink("sub", in_folder("c/loop")), 0);
    char covers[256], a[300], b[300], l[300];
    snprintf(covers, sizeof covers, "%s", in_folder("c"));
    snprintf(a, sizeof a, "%s/a.ppm", covers);
    snprintf(b, sizeof b, "%s/b.jpg", covers);
    snprintf(l, sizeof l, "%s/link.jpg", covers);
    const char *const names[] = {"R-1=x.jpg", covers, "R-2=/y.jpg"};
    struct cf_source *source = NULL;
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(cf_source_new(&source, names, 3, NULL, NULL, NULL), CF_OK);
    assert_in_range(cf_source_total(source), 5, 6);
    assert_int_equal(cf_source_passed_over(source), 2);
    next_is(source, arena, "R-1", "x.jpg");
    next_is(source, arena, "a", a);
    next_is(source, arena, "b", b);
    next_is(source, arena, "link", l);
    assert_int_equal(cf_source_passed_over(source), 2); /* not counted again */
    next_is(source, arena, "R-2", "/y.jpg");
    ends(source, arena);
    cf_source_free(source);
    cf_arena_free(arena);
}

static void is_one_album(struct cf_source *source, struct cf_arena *arena, const char *first,
                         const char *second)
{
    struct cf_cover cover;
    bool end;
    assert_int_equal(cf_source_next(source, arena, &cover, &end, NULL), CF_OK);
    assert_false(end);
    assert_int_equal(cover.err, CF_E_INVALID);
    assert_non_null(strstr(cover.detail.text, first));
    assert_non_null(strstr(cover.detail.text, second));
}

static void files_of_one_album_are_both_named(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_folder("d"), 0755), 0);
    write_file("d/dup.jpeg", "one");
    write_file("d/dup.jpf.jpg", "between the two");
    write_file("d/dup.jpg", "two");
    char covers[256], dup[300], jpf[300];
    snprintf(covers, sizeof covers, "%s", in_folder("d"));
    snprintf(dup, sizeof dup, "%s/dup.jpeg", covers);
    snprintf(jpf, sizeof jpf, "%s/dup.jpf.jpg", covers);
    const char *const names[] = {"dup=x.jpg", covers, "dup=y.jpg"};
    struct cf_arena *arena = cf_arena_new();
    for (int once = 0; once < 2; once++) {
        struct cf_source *source = NULL;
        assert_int_equal(cf_source_new(&source, names, 3, NULL, NULL, NULL), CF_OK);
        if (once)
            cf_source_once(source);
        next_is(source, arena, "dup", "x.jpg");
        if (once)
            is_one_album(source, arena, "x.jpg and ", "d/dup.jpeg");
        else
            next_is(source, arena, "dup", dup);
        next_is(source, arena, "dup.jpf", jpf);
        is_one_album(source, arena, once ? "x.jpg" : "d/dup.jpeg", "d/dup.jpg");
        if (once)
            is_one_album(source, arena, "x.jpg", "y.jpg");
        else
            next_is(source, arena, "dup", "y.jpg");
        ends(source, arena);
        cf_source_free(source);
    }
    cf_arena_free(arena);
}

static void what_is_no_source_is_named(void **state)
{
    (void)state;
    struct cf_source *source = NULL;
    struct cf_detail detail = {""};
    const char *const nothing[] = {"neither"};
    assert_int_equal(cf_source_new(&source, nothing, 1, NULL, NULL, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "neither"));
    const char *const twice[] = {"-", "-"};
    assert_int_equal(cf_source_new(&source, twice, 2, NULL, NULL, &detail), CF_E_INVALID);
    assert_int_equal(cf_source_new(&source, NULL, 0, in_folder("missing.tsv"), NULL, &detail),
                     CF_E_NOT_FOUND);
    assert_non_null(strstr(detail.text, "missing.tsv"));
    assert_null(source);
    cf_source_free(NULL);
}

static void tables_give_metadata_and_paths_below_their_root(void **state)
{
    (void)state;
    write_file("t.tsv", "album\tcover\tgenre\ttitle\n"
                        "A\ta.jpg\ttechno\t\n"
                        "B\t/abs/b.jpg\t\tTwo\n"
                        "\tc.jpg\n"
                        "D\n");
    struct cf_source *source = NULL;
    struct cf_cover cover;
    bool end;
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(cf_source_new(&source, NULL, 0, in_folder("t.tsv"), NULL, NULL), CF_OK);
    assert_int_equal(cf_source_total(source), 4);
    assert_int_equal(cf_source_next(source, arena, &cover, &end, NULL), CF_OK);
    assert_string_equal(cover.path, in_folder("a.jpg"));
    assert_int_equal(cover.meta_count, 1);
    assert_true(cf_str_is(cover.meta[0].key, "genre") && cf_str_is(cover.meta[0].value, "techno"));
    next_is(source, arena, "B", "/abs/b.jpg");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cf_source_next(source, arena, &cover, &end, NULL), CF_OK);
        assert_false(end);
        assert_int_equal(cover.err, CF_E_INVALID);
        assert_non_null(strstr(cover.detail.text,
                               i ? "t.tsv:5: the row names no cover" : "t.tsv:4: the row names no album"));
    }
    ends(source, arena);
    cf_source_free(source);
    assert_int_equal(cf_source_new(&source, NULL, 0, in_folder("t.tsv"), "/root", NULL), CF_OK);
    next_is(source, arena, "A", "/root/a.jpg");
    cf_source_free(source);
    cf_arena_free(arena);
}

static void covers_are_checked_before_they_travel(void **state)
{
    (void)state;
    static char value[CF_META_VALUE_BYTES_MAX + 2];
    memset(value, 'v', sizeof value - 1);
    struct cf_pair pairs[CF_META_MAX + 1];
    for (size_t i = 0; i <= CF_META_MAX; i++)
        pairs[i] = (struct cf_pair){cf_str("k"), cf_str("v")};
    struct cf_detail detail = {""};
    struct cf_cover cover = {.album = cf_str("A"), .path = "x", .meta = pairs, .meta_count = CF_META_MAX};
    assert_int_equal(cf_push_check(&cover, &detail), CF_OK);
    cover.meta_count++;
    assert_int_equal(cf_push_check(&cover, &detail), CF_E_INVALID);
    cover.meta_count = 1;
    pairs[0].value = cf_str(value);
    assert_int_equal(cf_push_check(&cover, &detail), CF_E_INVALID);
    pairs[0].value.len--;
    assert_int_equal(cf_push_check(&cover, &detail), CF_OK);
    pairs[0].key = (struct cf_str){value, CF_META_KEY_BYTES_MAX + 1};
    assert_int_equal(cf_push_check(&cover, &detail), CF_E_INVALID);
    cover.meta_count = 0;
    cover.album = cf_str("a\tb\x01");
    assert_int_equal(cf_push_check(&cover, &detail), CF_E_BAD_ALBUM);
    cover.album = (struct cf_str){value, 300};
    assert_int_equal(cf_push_check(&cover, &detail), CF_E_BAD_ALBUM);
    cover.err = CF_E_TOO_LARGE;
    assert_int_equal(cf_push_check(&cover, &detail), CF_E_TOO_LARGE);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_that_are_wrong_are_named),
        cmocka_unit_test(rows_are_read_by_name_in_any_order),
        cmocka_unit_test(ten_thousand_rows),
        cmocka_unit_test(long_lines_and_zero_bytes_cost_a_line),
        cmocka_unit_test(targets_are_split),
        cmocka_unit_test(pairs_and_folders_follow_each_other),
        cmocka_unit_test(files_of_one_album_are_both_named),
        cmocka_unit_test(what_is_no_source_is_named),
        cmocka_unit_test(tables_give_metadata_and_paths_below_their_root),
        cmocka_unit_test(covers_are_checked_before_they_travel),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
