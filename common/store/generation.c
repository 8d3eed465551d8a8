#include "common/store/generation.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"

/* The attachment, format 1, little-endian: u8 format | str space | u32 space version | u64 generation, built
 * ms | u32 count | count times (str shard, u64 log sequence). To change it: a new format number, read both.
 */
enum { FORMAT = 1, MARK_BYTES_MIN = 12, NUMBER_BYTES_MAX = 24 };

enum cf_err cf_generation_encode(const struct cf_generation *generation, struct cf_buf *out,
                                 struct cf_detail *detail)
{
    if (generation->mark_count > CF_GENERATION_MARKS_MAX)
        return cf_fail(detail, CF_E_INVALID, "%zu shards in one index: at most %d are possible",
                       generation->mark_count, CF_GENERATION_MARKS_MAX);
    cf_buf_u8(out, FORMAT);
    cf_buf_str(out, generation->space);
    cf_buf_u32(out, generation->space_version);
    cf_buf_u64(out, generation->generation);
    cf_buf_u64(out, generation->built_ms);
    cf_buf_u32(out, (uint32_t)generation->mark_count);
    for (size_t i = 0; i < generation->mark_count; i++) {
        cf_buf_str(out, generation->marks[i].shard);
        cf_buf_u64(out, generation->marks[i].log_seq);
    }
    return cf_buf_ok(out) ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index's attachment");
}

enum cf_err cf_generation_decode(struct cf_bytes bytes, struct cf_arena *arena,
                                 struct cf_generation *generation, struct cf_detail *detail)
{
    struct cf_cursor cursor = cf_cursor(bytes);
    uint8_t format = cf_cursor_u8(&cursor);
    if (cf_cursor_ok(&cursor) && format != FORMAT)
        return cf_fail(detail, CF_E_BAD_VERSION,
                       "the index's attachment has format %u: this program reads %d", format, FORMAT);
    struct cf_generation read = {0};
    read.space = cf_cursor_str(&cursor);
    read.space_version = cf_cursor_u32(&cursor);
    read.generation = cf_cursor_u64(&cursor);
    read.built_ms = cf_cursor_u64(&cursor);
    uint32_t count = cf_cursor_u32(&cursor);
    if (!cf_cursor_ok(&cursor) || count > CF_GENERATION_MARKS_MAX ||
        count > cf_cursor_left(&cursor) / MARK_BYTES_MIN)
        return cf_fail(detail, CF_E_CORRUPT, "the index's attachment of %zu bytes is damaged", bytes.len);
    read.marks = cf_arena_alloc(arena, count, sizeof *read.marks);
    if (!read.marks)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index's attachment");
    read.mark_count = count;
    for (size_t i = 0; i < count; i++) {
        read.marks[i].shard = cf_cursor_str(&cursor);
        read.marks[i].log_seq = cf_cursor_u64(&cursor);
    }
    if (!cf_cursor_ok(&cursor) || cf_cursor_left(&cursor) != 0)
        return cf_fail(detail, CF_E_CORRUPT, "the index's attachment of %zu bytes is damaged", bytes.len);
    *generation = read;
    return CF_OK;
}

uint64_t cf_generation_mark(const struct cf_generation *generation, struct cf_str shard)
{
    for (size_t i = 0; i < generation->mark_count; i++)
        if (cf_str_equal(generation->marks[i].shard, shard))
            return generation->marks[i].log_seq;
    return 0;
}

/* ---- tags ---- */

/* u64 epoch, u64 sequence, u32 shard, u32 zero; little-endian. */
static void put_le(uint8_t *bytes, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

void cf_generation_tag_encode(const struct cf_generation_tag *tag, uint8_t bytes[CF_GENERATION_TAG_BYTES])
{
    put_le(bytes, tag->version.epoch, 8);
    put_le(bytes + 8, tag->version.seq, 8);
    put_le(bytes + 16, tag->shard, 4);
    put_le(bytes + 20, 0, 4);
}

enum cf_err cf_generation_tag_decode(struct cf_bytes bytes, struct cf_generation_tag *tag,
                                     struct cf_detail *detail)
{
    if (bytes.len != CF_GENERATION_TAG_BYTES)
        return cf_fail(detail, CF_E_CORRUPT, "an item's tag has %zu bytes instead of %d", bytes.len,
                       CF_GENERATION_TAG_BYTES);
    struct cf_cursor cursor = cf_cursor(bytes);
    tag->version.epoch = cf_cursor_u64(&cursor);
    tag->version.seq = cf_cursor_u64(&cursor);
    tag->shard = cf_cursor_u32(&cursor);
    return CF_OK;
}

/* ---- files ---- */

static enum cf_err folder_path(const struct cf_home *home, const char *space, char *path, size_t size,
                               struct cf_detail *detail)
{
    return cf_home_path(home, path, size, detail, "data/index/%s", space);
}

enum cf_err cf_generation_path(const struct cf_home *home, const char *space, uint64_t generation, char *path,
                               size_t size, struct cf_detail *detail)
{
    return cf_home_path(home, path, size, detail, "data/index/%s/%08" PRIu64 ".idx", space, generation);
}

/* The number of a file name as cf_generation_path writes it; 0 for any other name. */
static uint64_t number_of(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < 8 || digits > 19 || strcmp(name + digits, ".idx") != 0)
        return 0;
    if (digits > 8 && name[0] == '0')
        return 0;
    return strtoull(name, NULL, 10);
}

/* Calls back with every file name of the folder; a missing folder has none. */
static enum cf_err each_name(const char *folder, void (*each)(void *arg, const char *name), void *arg,
                             struct cf_detail *detail)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return errno == ENOENT ? CF_OK : cf_fail_errno(detail, folder);
    errno = 0;
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        each(arg, entry->d_name);
        errno = 0;
    }
    enum cf_err err = errno ? cf_fail_errno(detail, folder) : CF_OK;
    closedir(entries);
    return err;
}

struct newest {
    uint64_t before, number;
};

static void keep_newest(void *arg, const char *name)
{
    struct newest *newest = arg;
    uint64_t number = number_of(name);
    if (number > newest->number && (newest->before == 0 || number < newest->before))
        newest->number = number;
}

enum cf_err cf_generation_newest(const struct cf_home *home, const char *space, uint64_t before,
                                 uint64_t *generation, struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX];
    struct newest newest = {before, 0};
    enum cf_err err = folder_path(home, space, folder, sizeof folder, detail);
    if (err == CF_OK)
        err = each_name(folder, keep_newest, &newest, detail);
    if (err == CF_OK && newest.number == 0)
        err = cf_fail(detail, CF_E_NOT_FOUND, "%s: no index of the space %s", folder, space);
    if (err == CF_OK)
        *generation = newest.number;
    return err;
}

static enum cf_err reserved_path(const struct cf_home *home, const char *space, char *path, size_t size,
                                 struct cf_detail *detail)
{
    return cf_home_path(home, path, size, detail, "data/index/%s.last", space);
}

enum cf_err cf_generation_reserve(const struct cf_home *home, const char *space, uint64_t generation,
                                  struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX], text[NUMBER_BYTES_MAX];
    enum cf_err err = reserved_path(home, space, path, sizeof path, detail);
    if (err != CF_OK)
        return err;
    int len = snprintf(text, sizeof text, "%" PRIu64 "\n", generation);
    return cf_file_publish(path, (struct cf_bytes){(const uint8_t *)text, (size_t)len}, detail);
}

enum cf_err cf_generation_reserved(const struct cf_home *home, const char *space, uint64_t *generation,
                                   struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    enum cf_err err = reserved_path(home, space, path, sizeof path, detail);
    struct cf_buf text;
    cf_buf_init(&text);
    if (err == CF_OK)
        err = cf_file_read(path, NUMBER_BYTES_MAX, &text, detail);
    if (err == CF_E_NOT_FOUND) {
        *generation = 0;
        err = CF_OK;
    } else if (err == CF_OK) {
        cf_buf_u8(&text, 0);
        size_t digits = cf_buf_ok(&text) ? strspn((const char *)text.data, "0123456789") : 0;
        if (digits == 0 || digits > 19 || digits + 2 != text.len || text.data[digits] != '\n')
            err = cf_fail(detail, CF_E_CORRUPT, "%.250s: it holds no number", path);
        else
            *generation = strtoull((const char *)text.data, NULL, 10);
    }
    cf_buf_fini(&text);
    return err;
}

enum cf_err cf_generation_prune(const struct cf_home *home, const char *space, uint64_t newest, size_t keep,
                                struct cf_detail *detail)
{
    uint64_t before = newest + 1, number = 0;
    for (size_t kept = 0;; kept++) {
        enum cf_err err = cf_generation_newest(home, space, before, &number, detail);
        if (err != CF_OK)
            return err == CF_E_NOT_FOUND ? CF_OK : err;
        before = number;
        if (kept < keep)
            continue;
        char path[CF_HOME_PATH_MAX];
        err = cf_generation_path(home, space, number, path, sizeof path, detail);
        if (err != CF_OK)
            return err;
        if (unlink(path) != 0 && errno != ENOENT)
            return cf_fail_errno(detail, path);
    }
}

static void delete_unfinished(void *arg, const char *name)
{
    const char *folder = arg;
    char path[CF_HOME_PATH_MAX];
    if (strstr(name, ".idx.tmp.") && snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path)
        (void)unlink(path); /* one that stays costs space only */
}

enum cf_err cf_generation_sweep(const struct cf_home *home, const char *space, struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX];
    enum cf_err err = folder_path(home, space, folder, sizeof folder, detail);
    return err == CF_OK ? each_name(folder, delete_unfinished, folder, detail) : err;
}
