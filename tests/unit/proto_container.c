/* Containers of vectors: what is written is read, every byte that is wrong is named, nothing behind the end
 * is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "proto/container.h"

static const float three[3] = {1.5f, -2, 0}, two[2] = {0, 1e-30f};

static struct cf_container_vector vector(const char *space, uint32_t version, const float *values,
                                         uint32_t dim)
{
    return (struct cf_container_vector){cf_str(space), version, dim, (const uint8_t *)values};
}

static struct cf_container pair(void)
{
    return (struct cf_container){.vectors = {vector("gist", 1, three, 3), vector("gray16", 7, two, 2)},
                                 .count = 2};
}

/* A copy of the exact size, so that a sanitizer sees a read behind the end. */
static enum cf_err decode(const uint8_t *data, size_t len, struct cf_container *container,
                          struct cf_detail *detail)
{
    static uint8_t *copy;
    free(copy);
    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    *detail = (struct cf_detail){""};
    return cf_container_decode((struct cf_bytes){copy, len}, container, detail);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct cf_buf buf = {0};
    struct cf_container written = pair(), read = {.count = 99};
    struct cf_detail detail;
    cf_container_encode(&written, &buf);
    assert_true(cf_container_is(cf_buf_bytes(&buf)));
    assert_int_equal(decode(buf.data, buf.len, &read, &detail), CF_OK);
    assert_int_equal(read.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(cf_str_equal(read.vectors[i].space, written.vectors[i].space));
        assert_int_equal(read.vectors[i].space_version, written.vectors[i].space_version);
        assert_int_equal(read.vectors[i].dim, written.vectors[i].dim);
        assert_memory_equal(read.vectors[i].values, written.vectors[i].values,
                            read.vectors[i].dim * sizeof(float));
    }
    cf_buf_fini(&buf);
}

/* The layout of PROTOCOL.md, byte by byte. */
static void the_layout_is_the_documented_one(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x93, 'C', 'F', 'V',  'E', 'C', '\r', '\n',    /* magic */
        1,    0,   0,   0,    1,   0,   0,    0,       /* format, count */
        4,    'g', 'i', 's',  't', 1,   0,    0,    0, /* space and its version */
        2,    0,   0,   0,                             /* dimensions */
        0,    0,   0,   0xbf, 0,   0,   0x28, 0x42,    /* -0.5, 42 */
    };
    static const float values[2] = {-0.5f, 42};
    struct cf_container one = {.vectors = {vector("gist", 1, values, 2)}, .count = 1};
    struct cf_buf buf = {0};
    cf_container_encode(&one, &buf);
    assert_int_equal(buf.len, sizeof expected);
    assert_memory_equal(buf.data, expected, sizeof expected);
    cf_buf_fini(&buf);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct cf_buf buf = {0};
    struct cf_container written = pair(), read = {.count = 99};
    struct cf_detail detail;
    cf_container_encode(&written, &buf);
    for (size_t len = 0; len < buf.len; len++) {
        assert_int_equal(decode(buf.data, len, &read, &detail), CF_E_INVALID);
        assert_true(detail.text[0] != '\0');
        assert_int_equal(read.count, 99);
    }
    cf_buf_u8(&buf, 0);
    assert_int_equal(decode(buf.data, buf.len, &read, &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "1 bytes follow"));
    cf_buf_fini(&buf);
}

static void expect(const struct cf_container *container, enum cf_err err, const char *words)
{
    struct cf_buf buf = {0};
    struct cf_container read = {.count = 99};
    struct cf_detail detail;
    cf_container_encode(container, &buf);
    assert_int_equal(decode(buf.data, buf.len, &read, &detail), err);
    if (!strstr(detail.text, words))
        fail_msg("\"%s\" does not say \"%s\"", detail.text, words);
    assert_int_equal(read.count, 99);
    cf_buf_fini(&buf);
}

static void what_is_no_vector_is_refused(void **state)
{
    (void)state;
    static const float nan_in[3] = {1, 0.0f / 0.0f, 1}, infinite[3] = {1, 1, -1.0f / 0.0f},
                       zero[3] = {0, -0.0f, 0};
    static float many[CF_CONTAINER_DIM_MAX + 1] = {1};
    struct cf_container c = pair();
    c.vectors[1] = vector("gray16", 1, nan_in, 3);
    expect(&c, CF_E_BAD_VECTOR, "number 1 of the gray16 vector");
    c.vectors[1] = vector("gray16", 1, infinite, 3);
    expect(&c, CF_E_BAD_VECTOR, "number 2 of the gray16 vector is infinite");
    c.vectors[1] = vector("gray16", 1, zero, 3);
    expect(&c, CF_E_BAD_VECTOR, "all zero");
    c.vectors[1] = vector("gist", 2, two, 2);
    expect(&c, CF_E_INVALID, "two vectors of gist");
    c.vectors[1] = vector("", 1, two, 2);
    expect(&c, CF_E_INVALID, "name of 0 bytes");
    c.vectors[1] = vector("a-space-whose-name-is-much-too-long", 1, two, 2);
    expect(&c, CF_E_INVALID, "name of 35 bytes");
    c.vectors[1] = vector("g\xffst", 1, two, 2);
    expect(&c, CF_E_INVALID, "UTF-8");
    c.vectors[1] = vector("gray16", 1, two, 0);
    expect(&c, CF_E_INVALID, "0 dimensions");
    c.vectors[1] = vector("gray16", 1, many, CF_CONTAINER_DIM_MAX + 1);
    expect(&c, CF_E_INVALID, "4097 dimensions");
    c.count = 0;
    expect(&c, CF_E_INVALID, "0 vectors");
}

static void other_versions_and_counts_are_refused(void **state)
{
    (void)state;
    struct cf_buf buf = {0};
    struct cf_container written = pair(), read = {.count = 99};
    struct cf_detail detail;
    cf_container_encode(&written, &buf);
    buf.data[8] = 2;
    assert_int_equal(decode(buf.data, buf.len, &read, &detail), CF_E_BAD_VERSION);
    buf.data[8] = 1;
    buf.data[12] = CF_CONTAINER_VECTORS_MAX + 1;
    assert_int_equal(decode(buf.data, buf.len, &read, &detail), CF_E_INVALID);
    buf.data[12] = 2;
    buf.data[0] ^= 1;
    assert_false(cf_container_is(cf_buf_bytes(&buf)));
    assert_int_equal(decode(buf.data, buf.len, &read, &detail), CF_E_INVALID);
    cf_buf_fini(&buf);
}

/* One byte at a time made into another: read or refused with a sentence, and what is read is sound. */
static void any_other_byte_is_survived(void **state)
{
    (void)state;
    struct cf_buf buf = {0};
    struct cf_container written = pair();
    struct cf_rng rng = cf_rng(1);
    cf_container_encode(&written, &buf);
    for (size_t at = 0; at < buf.len; at++)
        for (int i = 0; i < 40; i++) {
            uint8_t before = buf.data[at];
            buf.data[at] = (uint8_t)cf_rng_u64(&rng);
            struct cf_container read = {.count = 0};
            struct cf_detail detail;
            enum cf_err err = decode(buf.data, buf.len, &read, &detail);
            assert_true(err == CF_OK ? read.count == 2 : detail.text[0] != '\0');
            buf.data[at] = before;
        }
    cf_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(the_layout_is_the_documented_one),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(what_is_no_vector_is_refused),
        cmocka_unit_test(other_versions_and_counts_are_refused),
        cmocka_unit_test(any_other_byte_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
