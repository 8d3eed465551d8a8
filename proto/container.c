#include "proto/container.h"

#include <math.h>

#include "common/base/album.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "vectors lie in containers as little-endian floats");

static const uint8_t magic[8] = {0x93, 'C', 'F', 'V', 'E', 'C', '\r', '\n'};

bool cf_container_is(struct cf_bytes file)
{
    return file.len >= sizeof magic && memcmp(file.data, magic, sizeof magic) == 0;
}

static enum cf_err read_vector(struct cf_cursor *cursor, struct cf_container_vector *vector, size_t number,
                               struct cf_detail *detail)
{
    size_t name_len = cf_cursor_u8(cursor);
    struct cf_bytes name = cf_cursor_bytes(cursor, name_len);
    vector->space = (struct cf_str){(const char *)name.data, name.len};
    vector->space_version = cf_cursor_u32(cursor);
    vector->dim = cf_cursor_u32(cursor);
    if (!cf_cursor_ok(cursor))
        return CF_OK; /* told once, of the whole */
    if (name_len == 0 || name_len > CF_CONTAINER_SPACE_BYTES_MAX || !cf_utf8_valid(vector->space))
        return cf_fail(detail, CF_E_INVALID,
                       "vector %zu: its space has a name of %zu bytes: 1 to %d of UTF-8 are allowed", number,
                       name_len, CF_CONTAINER_SPACE_BYTES_MAX);
    if (vector->dim == 0 || vector->dim > CF_CONTAINER_DIM_MAX)
        return cf_fail(detail, CF_E_INVALID, "vector %zu, of %.*s, has %u dimensions: 1 to %d are allowed",
                       number, CF_STR_ARG(vector->space), vector->dim, CF_CONTAINER_DIM_MAX);
    vector->values = cf_cursor_bytes(cursor, vector->dim * sizeof(float)).data;
    return CF_OK;
}

static enum cf_err check_values(const struct cf_container_vector *vector, struct cf_detail *detail)
{
    bool zero = true;
    for (uint32_t i = 0; i < vector->dim; i++) {
        float value;
        memcpy(&value, vector->values + i * sizeof value, sizeof value);
        if (!isfinite(value))
            return cf_fail(detail, CF_E_BAD_VECTOR, "number %u of the %.*s vector is %s", i,
                           CF_STR_ARG(vector->space), isnan(value) ? "no number" : "infinite");
        zero = zero && fpclassify(value) == FP_ZERO;
    }
    if (zero)
        return cf_fail(detail, CF_E_BAD_VECTOR,
                       "the %.*s vector is all zero: it has no direction to search by",
                       CF_STR_ARG(vector->space));
    return CF_OK;
}

static enum cf_err check_unique(const struct cf_container *container, struct cf_detail *detail)
{
    const struct cf_container_vector *last = &container->vectors[container->count - 1];
    for (size_t i = 0; i + 1 < container->count; i++)
        if (cf_str_equal(container->vectors[i].space, last->space))
            return cf_fail(detail, CF_E_INVALID, "two vectors of %.*s", CF_STR_ARG(last->space));
    return CF_OK;
}

static enum cf_err read_vectors(struct cf_cursor *cursor, uint32_t count, struct cf_container *container,
                                struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    while (container->count < count && err == CF_OK) {
        struct cf_container_vector *vector = &container->vectors[container->count++];
        err = read_vector(cursor, vector, container->count, detail);
        if (err == CF_OK && !cf_cursor_ok(cursor))
            err = cf_fail(detail, CF_E_INVALID, "it ends after %zu bytes, within vector %zu of %u",
                          cursor->len, container->count, count);
        if (err == CF_OK)
            err = check_values(vector, detail);
        if (err == CF_OK)
            err = check_unique(container, detail);
    }
    return err;
}

enum cf_err cf_container_decode(struct cf_bytes file, struct cf_container *out, struct cf_detail *detail)
{
    struct cf_container container = {.count = 0};
    struct cf_cursor cursor = cf_cursor(file);
    (void)cf_cursor_bytes(&cursor, sizeof magic);
    uint32_t version = cf_cursor_u32(&cursor), count = cf_cursor_u32(&cursor);
    if (!cf_container_is(file) || !cf_cursor_ok(&cursor))
        return cf_fail(detail, CF_E_INVALID, "%zu bytes are no container of vectors", file.len);
    if (version != CF_CONTAINER_VERSION)
        return cf_fail(detail, CF_E_BAD_VERSION,
                       "a container of vectors of version %u: this program reads %d", version,
                       CF_CONTAINER_VERSION);
    if (count == 0 || count > CF_CONTAINER_VECTORS_MAX)
        return cf_fail(detail, CF_E_INVALID, "a container of %u vectors: 1 to %d are allowed", count,
                       CF_CONTAINER_VECTORS_MAX);
    enum cf_err err = read_vectors(&cursor, count, &container, detail);
    if (err == CF_OK && cf_cursor_left(&cursor) != 0)
        err = cf_fail(detail, CF_E_INVALID, "%zu bytes follow the last vector", cf_cursor_left(&cursor));
    if (err == CF_OK)
        *out = container;
    return err;
}

void cf_container_encode(const struct cf_container *container, struct cf_buf *out)
{
    cf_buf_append(out, magic, sizeof magic);
    cf_buf_u32(out, CF_CONTAINER_VERSION);
    cf_buf_u32(out, (uint32_t)container->count);
    for (size_t i = 0; i < container->count; i++) {
        const struct cf_container_vector *vector = &container->vectors[i];
        cf_buf_u8(out, (uint8_t)vector->space.len);
        cf_buf_append(out, vector->space.data, vector->space.len);
        cf_buf_u32(out, vector->space_version);
        cf_buf_u32(out, vector->dim);
        cf_buf_append(out, vector->values, vector->dim * sizeof(float));
    }
}
