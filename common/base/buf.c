#include "common/base/buf.h"

#include <stdlib.h>

void cf_buf_init(struct cf_buf *buf)
{
    *buf = (struct cf_buf){0};
}

void cf_buf_fini(struct cf_buf *buf)
{
    free(buf->data);
    cf_buf_init(buf);
}

void cf_buf_clear(struct cf_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

static bool reserve(struct cf_buf *buf, size_t more)
{
    if (buf->failed || more > SIZE_MAX / 2 - buf->len) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + more;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity ? buf->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    uint8_t *data = realloc(buf->data, capacity);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void cf_buf_append(struct cf_buf *buf, const void *data, size_t len)
{
    if (len == 0 || !reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void cf_buf_u8(struct cf_buf *buf, uint8_t value)
{
    cf_buf_append(buf, &value, 1);
}

static void append_le(struct cf_buf *buf, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    cf_buf_append(buf, bytes, size);
}

void cf_buf_u32(struct cf_buf *buf, uint32_t value)
{
    append_le(buf, value, 4);
}

void cf_buf_u64(struct cf_buf *buf, uint64_t value)
{
    append_le(buf, value, 8);
}

void cf_buf_u64_be(struct cf_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    cf_buf_append(buf, bytes, 8);
}

void cf_buf_str(struct cf_buf *buf, struct cf_str text)
{
    if (text.len > UINT32_MAX) {
        buf->failed = true;
        return;
    }
    cf_buf_u32(buf, (uint32_t)text.len);
    cf_buf_append(buf, text.data, text.len);
}

struct cf_cursor cf_cursor(struct cf_bytes bytes)
{
    return (struct cf_cursor){bytes.data, bytes.len, 0, false};
}

struct cf_bytes cf_cursor_bytes(struct cf_cursor *cursor, size_t len)
{
    if (cursor->failed || len > cursor->len - cursor->at) {
        cursor->failed = true;
        return (struct cf_bytes){0};
    }
    struct cf_bytes bytes = {cursor->data + cursor->at, len};
    cursor->at += len;
    return bytes;
}

static uint64_t read_le(struct cf_cursor *cursor, size_t size)
{
    struct cf_bytes bytes = cf_cursor_bytes(cursor, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value |= (uint64_t)bytes.data[i] << (8 * i);
    return value;
}

uint8_t cf_cursor_u8(struct cf_cursor *cursor)
{
    return (uint8_t)read_le(cursor, 1);
}

uint32_t cf_cursor_u32(struct cf_cursor *cursor)
{
    return (uint32_t)read_le(cursor, 4);
}

uint64_t cf_cursor_u64(struct cf_cursor *cursor)
{
    return read_le(cursor, 8);
}

uint64_t cf_cursor_u64_be(struct cf_cursor *cursor)
{
    struct cf_bytes bytes = cf_cursor_bytes(cursor, 8);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | bytes.data[i];
    return value;
}

struct cf_str cf_cursor_str(struct cf_cursor *cursor)
{
    uint32_t len = cf_cursor_u32(cursor);
    struct cf_bytes bytes = cf_cursor_bytes(cursor, len);
    return (struct cf_str){(const char *)bytes.data, bytes.len};
}
