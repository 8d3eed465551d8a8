#include "common/vecfile/npy.h"

#include <stdio.h>

static const char magic[] = "\x93NUMPY";
enum { MAGIC_BYTES = 6, DIMENSIONS_MAX = 8 };

static const struct type {
    const char *descr, *name;
    size_t bytes;
} types[] = {
    [CF_NPY_F2] = {"<f2", "float16", 2},
    [CF_NPY_F4] = {"<f4", "float32", 4},
    [CF_NPY_F8] = {"<f8", "float64", 8},
    [CF_NPY_I4] = {"<i4", "int32", 4},
};
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

size_t cf_npy_element_bytes(enum cf_npy_type type)
{
    return types[type].bytes;
}

/* Version 1 counts the header in two bytes, later ones in four. */
static size_t prefix_bytes(const uint8_t *begin)
{
    return begin[MAGIC_BYTES] == 1 ? 10 : 12;
}

enum cf_err cf_npy_header_bytes(struct cf_bytes begin, size_t *bytes, struct cf_detail *detail)
{
    const uint8_t *p = begin.data;
    if (begin.len < CF_NPY_PREFIX_BYTES || memcmp(p, magic, MAGIC_BYTES) != 0)
        return cf_fail(detail, CF_E_INVALID, "it does not begin as a .npy file does");
    if (p[6] < 1 || p[6] > 3 || p[7] != 0)
        return cf_fail(detail, CF_E_BAD_VERSION, ".npy version %u.%u: 1.0, 2.0 and 3.0 are read", p[6], p[7]);
    size_t length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1)
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (length > CF_NPY_HEADER_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "a .npy header of %zu bytes: at most %d are allowed", length,
                       CF_NPY_HEADER_BYTES_MAX);
    *bytes = prefix_bytes(p) + length;
    return CF_OK;
}

/* ---- the dictionary: a literal of Python with three members ---- */

struct text {
    const char *at, *end;
};

static void skip_blanks(struct text *text)
{
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n' || *text->at == '\t'))
        text->at++;
}

static bool take(struct text *text, char c)
{
    skip_blanks(text);
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool take_string(struct text *text, struct cf_str *out)
{
    skip_blanks(text);
    if (text->at == text->end || (*text->at != '\'' && *text->at != '"'))
        return false;
    char quote = *text->at++;
    const char *close = memchr(text->at, quote, (size_t)(text->end - text->at));
    if (!close)
        return false;
    *out = (struct cf_str){text->at, (size_t)(close - text->at)};
    text->at = close + 1;
    return true;
}

static bool take_word(struct text *text, const char *word)
{
    size_t len = strlen(word);
    skip_blanks(text);
    if ((size_t)(text->end - text->at) < len || memcmp(text->at, word, len) != 0)
        return false;
    text->at += len;
    return true;
}

static bool take_number(struct text *text, uint64_t *value)
{
    skip_blanks(text);
    const char *begin = text->at;
    for (*value = 0; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        if (*value > UINT64_MAX / 10 - 1)
            return false;
        *value = *value * 10 + (uint64_t)(*text->at - '0');
    }
    if (text->at > begin && text->at < text->end && *text->at == 'L') /* Python 2 */
        text->at++;
    return text->at > begin;
}

struct header {
    struct cf_str descr;
    bool fields; /* descr is a list: a record array */
    bool has_descr, has_order, has_shape;
    bool fortran;
    uint64_t shape[DIMENSIONS_MAX];
    size_t dimensions;
};

static bool take_shape(struct text *text, struct header *header)
{
    if (!take(text, '('))
        return false;
    header->dimensions = 0;
    while (!take(text, ')')) {
        if (header->dimensions == DIMENSIONS_MAX || !take_number(text, &header->shape[header->dimensions]))
            return false;
        header->dimensions++;
        if (!take(text, ',') && (skip_blanks(text), text->at == text->end || *text->at != ')'))
            return false;
    }
    return header->has_shape = true;
}

static bool take_member(struct text *text, struct header *header)
{
    struct cf_str key;
    if (!take_string(text, &key) || !take(text, ':'))
        return false;
    if (cf_str_is(key, "descr")) {
        skip_blanks(text);
        header->fields = text->at < text->end && *text->at == '[';
        return header->has_descr = !header->fields && take_string(text, &header->descr);
    }
    if (cf_str_is(key, "fortran_order")) {
        header->fortran = take_word(text, "True");
        return header->has_order = header->fortran || take_word(text, "False");
    }
    return cf_str_is(key, "shape") && take_shape(text, header);
}

static bool take_all(struct text *text, struct header *header)
{
    if (!take(text, '{'))
        return false;
    while (!take(text, '}')) {
        if (!take_member(text, header))
            return false;
        if (!take(text, ',') && (skip_blanks(text), text->at == text->end || *text->at != '}'))
            return false;
    }
    skip_blanks(text);
    return text->at == text->end && header->has_descr && header->has_order && header->has_shape;
}

static enum cf_err take_type(const struct header *header, struct cf_npy *npy, struct cf_detail *detail)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (cf_str_is(header->descr, types[i].descr)) {
            npy->type = (enum cf_npy_type)i;
            return CF_OK;
        }
    return cf_fail(detail, CF_E_UNSUPPORTED,
                   "elements of type \"%.*s\": float32, float64, float16 and int32, little-endian, are read "
                   "(numpy: a.astype('<f4'))",
                   (int)(header->descr.len < 32 ? header->descr.len : 32), header->descr.data);
}

enum cf_err cf_npy_parse(struct cf_bytes bytes, struct cf_npy *npy, struct cf_detail *detail)
{
    struct header header = {.fields = false};
    const char *begin = (const char *)bytes.data;
    struct text text = {begin + prefix_bytes(bytes.data), begin + bytes.len};
    bool whole = take_all(&text, &header);
    if (!whole && header.fields)
        return cf_fail(detail, CF_E_UNSUPPORTED, "a record array: an array of plain numbers is read");
    if (!whole)
        return cf_fail(detail, CF_E_INVALID, "its .npy header is damaged");
    if (header.dimensions != 2)
        return cf_fail(
            detail, CF_E_INVALID,
            "an array of %zu dimension%s: two are needed, a vector a row (numpy: a.reshape(-1, dim))",
            header.dimensions, header.dimensions == 1 ? "" : "s");
    if (header.fortran)
        return cf_fail(detail, CF_E_UNSUPPORTED,
                       "an array in Fortran order: C order is read (numpy: numpy.ascontiguousarray(a))");
    struct cf_npy found = {.rows = header.shape[0], .columns = header.shape[1]};
    enum cf_err err = take_type(&header, &found, detail);
    if (!err)
        *npy = found;
    return err;
}

void cf_npy_format(const struct cf_npy *npy, uint8_t header[CF_NPY_HEADER_BYTES])
{
    char text[CF_NPY_HEADER_BYTES];
    enum { PREFIX = 10, LENGTH = CF_NPY_HEADER_BYTES - PREFIX };
    int len =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%llu, %llu), }",
                 types[npy->type].descr, (unsigned long long)npy->rows, (unsigned long long)npy->columns);
    CF_CHECK(len > 0 && len < LENGTH);
    memset(header, ' ', CF_NPY_HEADER_BYTES);
    memcpy(header, magic, MAGIC_BYTES);
    header[6] = 1;
    header[7] = 0;
    header[8] = LENGTH;
    header[9] = 0;
    memcpy(header + PREFIX, text, (size_t)len);
    header[CF_NPY_HEADER_BYTES - 1] = '\n';
}
