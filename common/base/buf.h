/* A growable byte buffer, and little-endian integers in and out of bytes.
 *
 * Appending can fail only for memory: cf_buf_* then sets `failed`, later appends are ignored, and the
 * caller asks cf_buf_ok() once at the end. One owner, no locking. */
#ifndef CF_BASE_BUF_H
#define CF_BASE_BUF_H

#include <stdbool.h>

#include "common/base/span.h"

struct cf_buf {
    uint8_t *data;
    size_t len;
    size_t capacity;
    bool failed;
};

void cf_buf_init(struct cf_buf *buf);
void cf_buf_fini(struct cf_buf *buf); /* frees; the buffer is empty and usable again */
void cf_buf_clear(struct cf_buf *buf); /* keeps the memory */
void cf_buf_append(struct cf_buf *buf, const void *data, size_t len);
void cf_buf_u8(struct cf_buf *buf, uint8_t value);
void cf_buf_u32(struct cf_buf *buf, uint32_t value);
void cf_buf_u64(struct cf_buf *buf, uint64_t value);
void cf_buf_u64_be(struct cf_buf *buf, uint64_t value); /* for keys that must sort by number */
void cf_buf_str(struct cf_buf *buf, struct cf_str text); /* u32 length, then the bytes */
static inline bool cf_buf_ok(const struct cf_buf *buf)
{
    return !buf->failed;
}
static inline struct cf_bytes cf_buf_bytes(const struct cf_buf *buf)
{
    return (struct cf_bytes){buf->data, buf->len};
}

/* Reads what cf_buf_* wrote. A read past the end sets `failed`, returns zero or an empty span, and so do all
 * later reads: check cf_cursor_ok() once at the end. Strings borrow from the bytes. */
struct cf_cursor {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool failed;
};

struct cf_cursor cf_cursor(struct cf_bytes bytes);
uint8_t cf_cursor_u8(struct cf_cursor *cursor);
uint32_t cf_cursor_u32(struct cf_cursor *cursor);
uint64_t cf_cursor_u64(struct cf_cursor *cursor);
uint64_t cf_cursor_u64_be(struct cf_cursor *cursor);
struct cf_str cf_cursor_str(struct cf_cursor *cursor);
struct cf_bytes cf_cursor_bytes(struct cf_cursor *cursor, size_t len);
static inline size_t cf_cursor_left(const struct cf_cursor *cursor)
{
    return cursor->failed ? 0 : cursor->len - cursor->at;
}
static inline bool cf_cursor_ok(const struct cf_cursor *cursor)
{
    return !cursor->failed;
}

#endif
