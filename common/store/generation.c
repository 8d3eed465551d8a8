#include "common/store/generation.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"

/* The attachment, format 2, little-endian: u8 format | str space | u32 space version | u64 generation, base,
 * built ms | u32 count | count times (str shard, u64 log sequence) | u32 count | count times str hidden
 * album. To change it: a new format number. One of another format is refused, and the index built anew:
 * format 1 had tags without labels. */
enum { FORMAT = 2, MARK_BYTES_MIN = 12, HIDDEN_BYTES_MIN = 5, NUMBER_BYTES_MAX = 24 };

static enum cf_err check_limits(const struct cf_generation *generation, struct cf_detail *detail)
{
    if (generation->mark_count > CF_GENERATION_MARKS_MAX)
        return cf_fail(detail, CF_E_INVALID, "%zu shards in one index: at most %d are possible",
                       generation->mark_count, CF_GENERATION_MARKS_MAX);
    if (generation->hidden_count > (generation->base ? CF_GENERATION_HIDDEN_MAX : 0))
        return cf_fail(detail, CF_E_INVALID, "%zu albums hidden by an index: at most %d are possible",
                       generation->hidden_count, generation->base ? CF_GENERATION_HIDDEN_MAX : 0);
    return CF_OK;
}

enum cf_err cf_generation_encode(const struct cf_generation *generation, struct cf_buf *out,
                                 struct cf_detail *detail)
{
    enum cf_err err = check_limits(generation, detail);
    if (err != CF_OK)
        return err;
    cf_buf_u8(out, FORMAT);
    cf_buf_str(out, generation->space);
    cf_buf_u32(out, generation->space_version);
    cf_buf_u64(out, generation->generation);
    cf_buf_u64(out, generation->base);
    cf_buf_u64(out, generation->built_ms);
    cf_buf_u32(out, (uint32_t)generation->mark_count);
    for (size_t i = 0; i < generation->mark_count; i++) {
        cf_buf_str(out, generation->marks[i].shard);
        cf_buf_u64(out, generation->marks[i].log_seq);
    }
    cf_buf_u32(out, (uint32_t)generation->hidden_count);
    for (size_t i = 0; i < generation->hidden_count; i++)
        cf_buf_str(out, generation->hidden[i]);
    return cf_buf_ok(out) ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index's attachment");
}

/* The memory of a list: its count is believed only as far as the bytes that are left can hold it. */
static void *read_list(struct cf_cursor *cursor, struct cf_arena *arena, size_t size,
                       size_t element_bytes_min, size_t max, size_t *count, bool *no_memory)
{
    uint32_t claimed = cf_cursor_u32(cursor);
    if (claimed > max || claimed > cf_cursor_left(cursor) / element_bytes_min) {
        cursor->failed = true;
        return NULL;
    }
    void *list = cf_arena_alloc(arena, claimed, size);
    *no_memory = *no_memory || !list;
    *count = list ? claimed : 0;
    return list;
}

static void read_lists(struct cf_cursor *cursor, struct cf_arena *arena, struct cf_generation *read,
                       bool *no_memory)
{
    read->marks = read_list(cursor, arena, sizeof *read->marks, MARK_BYTES_MIN, CF_GENERATION_MARKS_MAX,
                            &read->mark_count, no_memory);
    for (size_t i = 0; i < read->mark_count; i++) {
        read->marks[i].shard = cf_cursor_str(cursor);
        read->marks[i].log_seq = cf_cursor_u64(cursor);
    }
    read->hidden = read_list(cursor, arena, sizeof *read->hidden, HIDDEN_BYTES_MIN,
                             read->base ? CF_GENERATION_HIDDEN_MAX : 0, &read->hidden_count, no_memory);
    for (size_t i = 0; i < read->hidden_count; i++)
        read->hidden[i] = cf_cursor_str(cursor);
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
    bool no_memory = false;
    read.space = cf_cursor_str(&cursor);
    read.space_version = cf_cursor_u32(&cursor);
    read.generation = cf_cursor_u64(&cursor);
    read.base = cf_cursor_u64(&cursor);
    read.built_ms = cf_cursor_u64(&cursor);
    read_lists(&cursor, arena, &read, &no_memory);
    if (no_memory)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index's attachment");
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

/* u64 epoch, u64 sequence, u32 shard, u32 a label; little-endian. */
_Static_assert(CF_GENERATION_TAG_BYTES == 20 + 4 * CF_LABEL_COUNT, "a tag holds every label");

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
    for (size_t i = 0; i < CF_LABEL_COUNT; i++)
        put_le(bytes + 20 + 4 * i, tag->labels[i], 4);
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
    for (size_t i = 0; i < CF_LABEL_COUNT; i++)
        tag->labels[i] = cf_cursor_u32(&cursor);
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

enum cf_err cf_generation_small_path(const struct cf_home *home, const char *space, uint64_t generation,
                                     uint64_t base, char *path, size_t size, struct cf_detail *detail)
{
    return cf_home_path(home, path, size, detail, "data/index/%s/%08" PRIu64 "+%08" PRIu64 ".idx", space,
                        generation, base);
}

/* What the name of a file says; generation 0 for a name that is not one of ours. */
struct name {
    uint64_t generation, base; /* base 0: whole */
};

/* A number as our names have it; NULL for anything else, or the rest of the text. */
static const char *read_digits(const char *text, uint64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits < 8 || digits > 19 || (digits > 8 && text[0] == '0'))
        return NULL;
    *number = strtoull(text, NULL, 10);
    return *number ? text + digits : NULL;
}

static struct name parse(const char *text)
{
    struct name name = {0, 0};
    const char *rest = read_digits(text, &name.generation);
    if (rest && *rest == '+')
        rest = read_digits(rest + 1, &name.base);
    return rest && strcmp(rest, ".idx") == 0 ? name : (struct name){0, 0};
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
    uint64_t base, before, number;
};

static void keep_newest(void *arg, const char *text)
{
    struct newest *newest = arg;
    struct name name = parse(text);
    if (name.base == newest->base && name.generation > newest->number &&
        (newest->before == 0 || name.generation < newest->before))
        newest->number = name.generation;
}

enum cf_err cf_generation_newest_small(const struct cf_home *home, const char *space, uint64_t base,
                                       uint64_t before, uint64_t *generation, struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX];
    struct newest newest = {base, before, 0};
    enum cf_err err = folder_path(home, space, folder, sizeof folder, detail);
    if (err == CF_OK)
        err = each_name(folder, keep_newest, &newest, detail);
    if (err == CF_OK && newest.number == 0)
        err = cf_fail(detail, CF_E_NOT_FOUND, "%s: no %sindex of the space %s", folder, base ? "small " : "",
                      space);
    if (err == CF_OK)
        *generation = newest.number;
    return err;
}

enum cf_err cf_generation_newest(const struct cf_home *home, const char *space, uint64_t before,
                                 uint64_t *generation, struct cf_detail *detail)
{
    return cf_generation_newest_small(home, space, 0, before, generation, detail);
}

struct stray {
    const char *folder;
    uint64_t before;
    struct name name;
};

static void keep_stray(void *arg, const char *text)
{
    struct stray *stray = arg;
    char path[CF_HOME_PATH_MAX];
    struct name name = parse(text);
    if (!name.base || name.generation <= stray->name.generation ||
        (stray->before && name.generation >= stray->before))
        return;
    int len = snprintf(path, sizeof path, "%s/%08" PRIu64 ".idx", stray->folder, name.base);
    if (len < (int)sizeof path && access(path, F_OK) != 0 && errno == ENOENT)
        stray->name = name;
}

enum cf_err cf_generation_stray(const struct cf_home *home, const char *space, uint64_t before,
                                uint64_t *generation, uint64_t *base, struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX];
    struct stray stray = {.folder = folder, .before = before};
    enum cf_err err = folder_path(home, space, folder, sizeof folder, detail);
    if (err == CF_OK)
        err = each_name(folder, keep_stray, &stray, detail);
    if (err == CF_OK && stray.name.generation == 0)
        err = cf_fail(detail, CF_E_NOT_FOUND, "%s: every small index of the space %s has its base", folder,
                      space);
    if (err != CF_OK)
        return err;
    *generation = stray.name.generation;
    *base = stray.name.base;
    return CF_OK;
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

/* A whole generation that stays, and the oldest of its small ones that does. */
struct kept {
    uint64_t whole, small;
};

struct pruning {
    const char *folder;
    uint64_t newest;
    struct kept kept[CF_GENERATION_KEEP_MAX];
    size_t count;
    struct cf_detail *detail;
    enum cf_err err;
};

/* The `nth` newest from 1, or the oldest when there are fewer; 0 for none. */
static enum cf_err nth_newest(const struct cf_home *home, const char *space, uint64_t base, size_t nth,
                              uint64_t *number, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    uint64_t before = 0;
    for (*number = 0; nth > 0 && err == CF_OK; nth--) {
        err = cf_generation_newest_small(home, space, base, before, number, detail);
        before = *number;
    }
    return err == CF_E_NOT_FOUND ? CF_OK : err;
}

static enum cf_err list_kept(const struct cf_home *home, const char *space, size_t keep,
                             struct pruning *pruning)
{
    uint64_t before = pruning->newest + 1;
    enum cf_err err = CF_OK;
    while (pruning->count < keep && err == CF_OK) {
        struct kept *kept = &pruning->kept[pruning->count];
        err = cf_generation_newest(home, space, before, &kept->whole, pruning->detail);
        if (err == CF_OK)
            err = nth_newest(home, space, kept->whole, pruning->count == 0 ? keep : 1, &kept->small,
                             pruning->detail);
        if (err == CF_OK)
            before = pruning->kept[pruning->count++].whole;
    }
    return err == CF_E_NOT_FOUND ? CF_OK : err;
}

static bool is_kept(const struct pruning *pruning, struct name name)
{
    uint64_t whole = name.base ? name.base : name.generation;
    if (name.generation == 0 || whole > pruning->newest)
        return true;
    for (size_t i = 0; i < pruning->count; i++)
        if (pruning->kept[i].whole == whole)
            return name.base == 0 || name.generation >= pruning->kept[i].small;
    return false;
}

static void delete_old(void *arg, const char *text)
{
    struct pruning *pruning = arg;
    char path[CF_HOME_PATH_MAX];
    if (pruning->err != CF_OK || is_kept(pruning, parse(text)) ||
        snprintf(path, sizeof path, "%s/%s", pruning->folder, text) >= (int)sizeof path)
        return;
    if (unlink(path) != 0 && errno != ENOENT)
        pruning->err = cf_fail_errno(pruning->detail, path);
}

enum cf_err cf_generation_prune(const struct cf_home *home, const char *space, uint64_t newest, size_t keep,
                                struct cf_detail *detail)
{
    CF_CHECK(keep >= 1 && keep <= CF_GENERATION_KEEP_MAX);
    char folder[CF_HOME_PATH_MAX];
    struct pruning pruning = {.folder = folder, .newest = newest, .detail = detail};
    enum cf_err err = folder_path(home, space, folder, sizeof folder, detail);
    if (err == CF_OK)
        err = list_kept(home, space, keep, &pruning);
    if (err == CF_OK && pruning.count > 0)
        err = each_name(folder, delete_old, &pruning, detail);
    return err == CF_OK ? pruning.err : err;
}

/* "00000007.idx.tmp.123", and whatever else a build may lay beside its file. */
static void delete_unfinished(void *arg, const char *name)
{
    const char *folder = arg;
    char path[CF_HOME_PATH_MAX];
    size_t digits = strspn(name, "0123456789+");
    if (digits >= 8 && strncmp(name + digits, ".idx.", 5) == 0 &&
        snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path)
        (void)unlink(path); /* one that stays costs space only */
}

enum cf_err cf_generation_sweep(const struct cf_home *home, const char *space, struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX];
    enum cf_err err = folder_path(home, space, folder, sizeof folder, detail);
    return err == CF_OK ? each_name(folder, delete_unfinished, folder, detail) : err;
}
