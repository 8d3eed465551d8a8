/* Borrowed text and bytes: a pointer and a length, never terminated, owned by somebody else. */
#ifndef CF_BASE_SPAN_H
#define CF_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cf_str {
    const char *data;
    size_t len;
};

struct cf_bytes {
    const uint8_t *data;
    size_t len;
};

/* For printf: printf("%.*s", CF_STR_ARG(s)) */
#define CF_STR_ARG(s) (int)(s).len, (s).len ? (s).data : ""

static inline struct cf_str cf_str(const char *text)
{
    return (struct cf_str){text, text ? strlen(text) : 0};
}

static inline bool cf_str_equal(struct cf_str a, struct cf_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool cf_str_is(struct cf_str a, const char *text)
{
    return cf_str_equal(a, cf_str(text));
}

static inline bool cf_bytes_equal(struct cf_bytes a, struct cf_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
