#include "common/store/album_record.h"

enum { FORMAT = 1 };

void cf_album_record_encode(const struct cf_album_record *record, struct cf_buf *out)
{
    const struct cf_shard_album *album = &record->album;
    cf_buf_u8(out, FORMAT);
    cf_buf_u64(out, album->version.epoch);
    cf_buf_u64(out, album->version.seq);
    cf_buf_u8(out, album->removed);
    cf_buf_u32(out, album->flags);
    cf_buf_u64(out, album->log_seq);
    cf_buf_u64(out, album->stored_ms);
    cf_buf_u32(out, album->width);
    cf_buf_u32(out, album->height);
    cf_buf_append(out, album->sha256, sizeof album->sha256);
    cf_buf_str(out, album->source);
    cf_buf_u32(out, (uint32_t)album->warning_count);
    for (size_t i = 0; i < album->warning_count; i++)
        cf_buf_str(out, album->warnings[i]);
    cf_buf_u32(out, (uint32_t)album->meta_count);
    for (size_t i = 0; i < album->meta_count; i++) {
        cf_buf_str(out, album->meta[i].key);
        cf_buf_str(out, album->meta[i].value);
    }
    cf_buf_u32(out, (uint32_t)record->vector_count);
    for (size_t i = 0; i < record->vector_count; i++) {
        cf_buf_str(out, record->vectors[i].space);
        cf_buf_u32(out, record->vectors[i].space_version);
    }
}

/* A list's memory: its count is believed only as far as the bytes that are left can hold it. */
static void *read_list(struct cf_cursor *cursor, struct cf_arena *arena, size_t size,
                       size_t element_bytes_min, size_t *count, bool *no_memory)
{
    uint32_t claimed = cf_cursor_u32(cursor);
    if (claimed > cf_cursor_left(cursor) / element_bytes_min) {
        cursor->failed = true;
        return NULL;
    }
    void *list = cf_arena_alloc(arena, claimed, size);
    if (!list)
        *no_memory = true;
    *count = list ? claimed : 0;
    return list;
}

static void read_fixed(struct cf_cursor *cursor, struct cf_shard_album *album)
{
    album->version.epoch = cf_cursor_u64(cursor);
    album->version.seq = cf_cursor_u64(cursor);
    uint8_t removed = cf_cursor_u8(cursor);
    if (removed > 1)
        cursor->failed = true;
    album->removed = removed == 1;
    album->flags = cf_cursor_u32(cursor);
    album->log_seq = cf_cursor_u64(cursor);
    album->stored_ms = cf_cursor_u64(cursor);
    album->width = cf_cursor_u32(cursor);
    album->height = cf_cursor_u32(cursor);
    struct cf_bytes sha256 = cf_cursor_bytes(cursor, sizeof album->sha256);
    if (sha256.len == sizeof album->sha256)
        memcpy(album->sha256, sha256.data, sha256.len);
    album->source = cf_cursor_str(cursor);
}

static void read_lists(struct cf_cursor *cursor, struct cf_arena *arena, struct cf_album_record *record,
                       bool *no_memory)
{
    struct cf_shard_album *album = &record->album;
    album->warnings = read_list(cursor, arena, sizeof *album->warnings, 4, &album->warning_count, no_memory);
    for (size_t i = 0; i < album->warning_count; i++)
        album->warnings[i] = cf_cursor_str(cursor);
    album->meta = read_list(cursor, arena, sizeof *album->meta, 8, &album->meta_count, no_memory);
    for (size_t i = 0; i < album->meta_count; i++) {
        album->meta[i].key = cf_cursor_str(cursor);
        album->meta[i].value = cf_cursor_str(cursor);
    }
    record->vectors = read_list(cursor, arena, sizeof *record->vectors, 8, &record->vector_count, no_memory);
    for (size_t i = 0; i < record->vector_count; i++) {
        record->vectors[i].space = cf_cursor_str(cursor);
        record->vectors[i].space_version = cf_cursor_u32(cursor);
    }
}

enum cf_err cf_album_record_decode(struct cf_bytes bytes, struct cf_arena *arena,
                                   struct cf_album_record *record, struct cf_detail *detail)
{
    struct cf_cursor cursor = cf_cursor(bytes);
    uint8_t format = cf_cursor_u8(&cursor);
    if (cf_cursor_ok(&cursor) && format != FORMAT)
        return cf_fail(detail, CF_E_BAD_VERSION, "an album's record has format %u: this program reads %d",
                       format, FORMAT);
    struct cf_album_record read = {0};
    bool no_memory = false;
    read_fixed(&cursor, &read.album);
    read_lists(&cursor, arena, &read, &no_memory);
    if (no_memory)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an album's record of %zu bytes", bytes.len);
    if (!cf_cursor_ok(&cursor) || cf_cursor_left(&cursor) != 0)
        return cf_fail(detail, CF_E_CORRUPT, "an album's record of %zu bytes is damaged", bytes.len);
    *record = read;
    return CF_OK;
}
