/* The bytes of the wire: tests/golden/proto holds a message of every kind and messages to be refused, listed
 * in INDEX.tsv. A change of any byte of a valid one is a new protocol version. With the argument "write" the
 * valid ones are written. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "tests/unit/proto_samples.h"

#define FOLDER CF_TESTS_DIR "/golden/proto/"

struct vector {
    char file[64], result[16], name[32];
    size_t bytes;
    uint64_t id;
};

enum { VECTORS_MAX = 128 };

static struct vector vectors[VECTORS_MAX];
static size_t vector_count;

static int read_index(void **state)
{
    (void)state;
    FILE *index = fopen(FOLDER "INDEX.tsv", "r");
    if (!index)
        return -1;
    char line[256];
    bool header = true;
    vector_count = 0;
    while (fgets(line, sizeof line, index)) {
        struct vector *vector = &vectors[vector_count];
        if (header || line[0] == '#') {
            header = false;
            continue;
        }
        if (sscanf(line, "%63s %zu %15s %31s %" SCNu64, vector->file, &vector->bytes, vector->result,
                   vector->name, &vector->id) != 5 ||
            ++vector_count == VECTORS_MAX)
            break;
    }
    bool whole = feof(index);
    fclose(index);
    return whole && vector_count >= CF_KIND_COUNT ? 0 : -1;
}

static void load(const char *file, struct cf_buf *bytes)
{
    char path[512];
    struct cf_detail detail;
    int len = snprintf(path, sizeof path, FOLDER "%s", file);
    assert_true(len > 0 && (size_t)len < sizeof path);
    cf_buf_init(bytes);
    if (cf_file_read(path, 1 << 20, bytes, &detail) != CF_OK)
        fail_msg("%s", detail.text);
}

static struct cf_msg decode_file(const char *file, struct cf_buf *bytes, struct cf_arena *arena)
{
    struct cf_msg msg;
    struct cf_detail detail;
    load(file, bytes);
    if (cf_msg_decode(cf_buf_bytes(bytes), arena, &msg, &detail) != CF_OK)
        fail_msg("%s: %s", file, detail.text);
    return msg;
}

static void test_every_vector_is_as_its_index_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < vector_count; i++) {
        const struct vector *vector = &vectors[i];
        struct cf_arena *arena = cf_arena_new();
        struct cf_buf bytes;
        struct cf_msg msg;
        load(vector->file, &bytes);
        assert_int_equal(bytes.len, vector->bytes);
        enum cf_err err = cf_msg_decode(cf_buf_bytes(&bytes), arena, &msg, NULL);
        assert_int_equal(msg.id, vector->id);
        if (strcmp(vector->result, "refused") == 0) {
            assert_string_equal(cf_err_name(err), vector->name);
        } else {
            assert_int_equal(err, CF_OK);
            assert_string_equal(cf_kind_name(msg.kind), vector->name);
        }
        cf_buf_fini(&bytes);
        cf_arena_free(arena);
    }
}

static void test_decode_then_encode_gives_the_same_bytes(void **state)
{
    (void)state;
    bool seen[CF_KIND_COUNT] = {false};
    for (size_t i = 0; i < vector_count; i++) {
        if (strcmp(vectors[i].result, "ok") != 0)
            continue;
        struct cf_arena *arena = cf_arena_new();
        struct cf_buf bytes, again;
        cf_buf_init(&again);
        struct cf_msg msg = decode_file(vectors[i].file, &bytes, arena);
        assert_int_equal(cf_msg_encode(&msg, &again, NULL), CF_OK);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        seen[msg.kind] = true;
        cf_buf_fini(&again);
        cf_buf_fini(&bytes);
        cf_arena_free(arena);
    }
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++)
        if (!seen[kind])
            fail_msg("no golden vector for %s", cf_kind_name(kind));
}

static void test_samples_encode_to_the_golden_bytes(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++) {
        char file[64];
        struct cf_buf bytes, encoded;
        struct cf_msg msg = sample_message(kind);
        snprintf(file, sizeof file, "%s.bin", cf_kind_name(kind));
        load(file, &bytes);
        cf_buf_init(&encoded);
        assert_int_equal(cf_msg_encode(&msg, &encoded, NULL), CF_OK);
        assert_int_equal(encoded.len, bytes.len);
        assert_memory_equal(encoded.data, bytes.data, bytes.len);
        cf_buf_fini(&bytes);
        cf_buf_fini(&encoded);
    }
}

static void test_push_has_its_values(void **state)
{
    (void)state;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf bytes;
    struct cf_msg msg = decode_file("push.bin", &bytes, arena);
    assert_int_equal(msg.id, 1);
    assert_int_equal(msg.push.item_count, 2);
    const struct cf_push_item *first = &msg.push.items[0], *second = &msg.push.items[1];
    assert_true(cf_str_is(first->album, "R-1"));
    assert_int_equal(first->bytes.len, 3);
    assert_memory_equal(first->bytes.data, "\xff\xd8\xff", 3);
    assert_int_equal(first->sha256.len, 32);
    assert_int_equal(first->meta_count, 2);
    assert_true(cf_str_is(first->meta[1].key, "title"));
    assert_true(cf_str_is(first->meta[1].value, "Ph\xc3\xb6n"));
    assert_int_equal(first->priority, 5); /* absent on the wire */
    assert_int_equal(second->priority, 0);
    assert_int_equal(second->delay_ms, 60000);
    assert_true(cf_str_is(second->file, "/srv/covers/2.jpg"));
    assert_int_equal(second->bytes.len, 0);
    cf_buf_fini(&bytes);
    cf_arena_free(arena);
}

static void test_query_and_answer_have_their_values(void **state)
{
    (void)state;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf bytes, answer_bytes;
    struct cf_msg msg = decode_file("query.bin", &bytes, arena);
    assert_true(cf_str_is(msg.query.space, "gist"));
    assert_int_equal(msg.query.k, 10);
    assert_true(msg.query.recall == 0.95 && msg.query.exact && msg.query.include_self);
    assert_true(msg.query.radius == 1.5 && msg.query.collapse == 0.125);
    assert_true(cf_str_is(msg.query.collapse_space, "copy"));
    assert_int_equal(msg.query.exclude_count, 2);
    assert_true(cf_str_is(msg.query.exclude[1], "R-2"));
    assert_int_equal(msg.query.filter_count, 2);
    assert_true(cf_str_is(msg.query.filters[0].key, "artist"));
    assert_int_equal(msg.query.filters[0].value_count, 2);
    assert_true(cf_str_is(msg.query.filters[0].values[1], "Maurizio"));
    assert_int_equal(msg.query.space_count, 2);
    assert_true(cf_str_is(msg.query.spaces[1].space, "gray16") && msg.query.spaces[1].weight == 0.5);
    assert_int_equal(msg.query.target_count, 4);
    assert_int_equal(msg.query.targets[3].vector_count, 2);
    assert_int_equal(msg.query.targets[3].vectors[1].vector.len, 4);
    float vector[2];
    assert_int_equal(msg.query.targets[2].vector.len, sizeof vector);
    memcpy(vector, msg.query.targets[2].vector.data, sizeof vector);
    assert_true(vector[0] == 1.0f && vector[1] == -0.5f);
    msg = decode_file("query_ok.bin", &answer_bytes, arena);
    assert_int_equal(msg.answer.generation, 12);
    assert_int_equal(msg.answer.stale_ms, 20);
    assert_int_equal(msg.answer.results[0].neighbor_count, 2);
    assert_true(msg.answer.results[0].neighbors[1].distance == 1.5);
    assert_int_equal(msg.answer.results[0].neighbors[0].same_count, 70);
    assert_int_equal(msg.answer.results[0].neighbors[0].same_listed, 2);
    assert_true(cf_str_is(msg.answer.results[0].neighbors[0].genre, "Dub Techno"));
    assert_true(cf_str_is(msg.answer.results[1].error, "bad_vector"));
    cf_buf_fini(&bytes);
    cf_buf_fini(&answer_bytes);
    cf_arena_free(arena);
}

static void test_lease_and_failed_have_their_values(void **state)
{
    (void)state;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf bytes, failed_bytes;
    struct cf_msg msg = decode_file("lease.bin", &bytes, arena);
    assert_int_equal(msg.lease.job_count, 3);
    assert_int_equal(msg.lease.jobs[0].action, CF_ACTION_DESCRIBE);
    assert_int_equal(msg.lease.jobs[2].action, CF_ACTION_REMOVE);
    assert_int_equal(msg.lease.jobs[1].version.seq, 301);
    assert_int_equal(msg.lease.jobs[1].attempt, 2);
    msg = decode_file("failed.bin", &failed_bytes, arena);
    assert_true(msg.failed.items[0].permanent && msg.failed.items[0].counted);
    assert_false(msg.failed.items[1].permanent || msg.failed.items[1].counted);
    assert_true(cf_str_is(msg.failed.items[1].error, "shutting_down"));
    cf_buf_fini(&bytes);
    cf_buf_fini(&failed_bytes);
    cf_arena_free(arena);
}

/* What was sent before there were radius, collapse, filters and the like means what it meant. */
static void test_plain_queries_want_nothing_more(void **state)
{
    (void)state;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf bytes, answer_bytes;
    struct cf_msg msg = decode_file("query_plain.bin", &bytes, arena);
    assert_int_equal(msg.query.target_count, 3);
    assert_true(msg.query.radius == 0 && msg.query.collapse == 0 && msg.query.collapse_space.len == 0);
    assert_true(!msg.query.exclude_count && !msg.query.filter_count && !msg.query.space_count);
    assert_int_equal(msg.query.targets[0].vector_count, 0);
    msg = decode_file("query_ok_plain.bin", &answer_bytes, arena);
    assert_int_equal(msg.answer.results[0].neighbors[0].same_count, 0);
    assert_int_equal(msg.answer.results[0].neighbors[0].genre.len, 0);
    cf_buf_fini(&bytes);
    cf_buf_fini(&answer_bytes);
    cf_arena_free(arena);
}

/* The example of PROTOCOL.md, byte by byte. */
static void test_the_worked_example(void **state)
{
    (void)state;
    static const uint8_t example[] = {0x84, 0xa1, 'v', 0x01, 0xa4, 'k', 'i', 'n',  'd',  0xa4,
                                      's',  'h',  'o', 'w',  0xa2, 'i', 'd', 0x05, 0xa5, 'a',
                                      'l',  'b',  'u', 'm',  0xa3, 'R', '-', '1'};
    struct cf_msg msg = {.kind = CF_KIND_SHOW, .id = 5, .show = {cf_str("R-1")}};
    struct cf_buf bytes;
    cf_buf_init(&bytes);
    assert_int_equal(cf_msg_encode(&msg, &bytes, NULL), CF_OK);
    assert_int_equal(bytes.len, sizeof example);
    assert_memory_equal(bytes.data, example, sizeof example);
    cf_buf_fini(&bytes);
}

static int write_samples(void)
{
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++) {
        char path[512];
        struct cf_buf bytes;
        struct cf_detail detail;
        struct cf_msg msg = sample_message(kind);
        cf_buf_init(&bytes);
        snprintf(path, sizeof path, FOLDER "%s.bin", cf_kind_name(kind));
        if (cf_msg_encode(&msg, &bytes, &detail) || cf_file_publish(path, cf_buf_bytes(&bytes), &detail)) {
            fprintf(stderr, "%s: %s\n", path, detail.text);
            return 1;
        }
        printf("%s.bin\t%zu\tok\t%s\t%" PRIu64 "\n", cf_kind_name(kind), bytes.len, cf_kind_name(kind),
               msg.id);
        cf_buf_fini(&bytes);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "write") == 0)
        return write_samples();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_vector_is_as_its_index_says),
        cmocka_unit_test(test_decode_then_encode_gives_the_same_bytes),
        cmocka_unit_test(test_samples_encode_to_the_golden_bytes),
        cmocka_unit_test(test_push_has_its_values),
        cmocka_unit_test(test_query_and_answer_have_their_values),
        cmocka_unit_test(test_lease_and_failed_have_their_values),
        cmocka_unit_test(test_plain_queries_want_nothing_more),
        cmocka_unit_test(test_the_worked_example),
    };
    return cmocka_run_group_tests(tests, read_index, NULL);
}
