/* The codec against hostile and clumsy peers: nothing malformed is taken, nothing well-formed is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/msg_tables.h"
#include "proto/record.h"
#include "tests/unit/proto_samples.h"

struct fixture {
    struct cf_arena *arena;
    struct cf_buf buf;
    struct cf_msg msg;
    struct cf_detail detail;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture)
        return -1;
    fixture->arena = cf_arena_new();
    cf_buf_init(&fixture->buf);
    *state = fixture;
    return fixture->arena ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    cf_arena_free(fixture->arena);
    cf_buf_fini(&fixture->buf);
    free(fixture);
    return 0;
}

/* Decodes a copy of the exact size, so that a sanitizer sees one byte too far. */
static enum cf_err decode(struct fixture *fixture, const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len)
        memcpy(copy, data, len);
    cf_arena_reset(fixture->arena);
    fixture->detail.text[0] = '\0';
    enum cf_err err =
        cf_msg_decode((struct cf_bytes){copy, len}, fixture->arena, &fixture->msg, &fixture->detail);
    free(copy);
    return err;
}

/* ---- messages written by hand ---- */

static void put(struct cf_buf *buf, const char *bytes, size_t len)
{
    cf_buf_append(buf, bytes, len);
}

static void put_map(struct cf_buf *buf, unsigned pairs)
{
    cf_buf_u8(buf, (uint8_t)(0x80 | pairs));
}

static void put_text(struct cf_buf *buf, const char *text)
{
    cf_buf_u8(buf, (uint8_t)(0xa0 | strlen(text)));
    put(buf, text, strlen(text));
}

static void put_envelope(struct cf_buf *buf, unsigned extra_pairs, const char *kind, unsigned id)
{
    cf_buf_clear(buf);
    put_map(buf, 3 + extra_pairs);
    put_text(buf, "v");
    cf_buf_u8(buf, CF_PROTOCOL_VERSION);
    put_text(buf, "kind");
    put_text(buf, kind);
    put_text(buf, "id");
    cf_buf_u8(buf, (uint8_t)id);
}

static enum cf_err decode_buf(struct fixture *fixture)
{
    return decode(fixture, fixture->buf.data, fixture->buf.len);
}

static void assert_sentence_has(const struct fixture *fixture, const char *part)
{
    if (!strstr(fixture->detail.text, part))
        fail_msg("\"%s\" does not name %s", fixture->detail.text, part);
}

/* ---- bytes ---- */

static void test_every_truncation_is_refused(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++) {
        struct cf_msg msg = sample_message(kind);
        assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
        for (size_t len = 0; len < fixture->buf.len; len++) {
            assert_int_equal(decode(fixture, fixture->buf.data, len), CF_E_INVALID);
            assert_int_equal(fixture->msg.id, 0);
        }
        assert_int_equal(decode_buf(fixture), CF_OK);
    }
}

static void test_trailing_bytes_are_refused(void **state)
{
    struct fixture *fixture = *state;
    put_envelope(&fixture->buf, 0, "status", 3);
    assert_int_equal(decode_buf(fixture), CF_OK);
    cf_buf_u8(&fixture->buf, 0xc0);
    assert_int_equal(decode_buf(fixture), CF_E_INVALID);
    assert_sentence_has(fixture, "behind the end");
}

static void test_five_bytes_cannot_ask_for_gigabytes(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bombs[] = {
        "\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff",
        "\xc9\xff\xff\xff\xff", "\xdf\x7f\xff\xff\xff", "\xdd\x00\x00\x00\x05",
    };
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++)
        assert_int_equal(decode(fixture, bombs[i], 5), CF_E_INVALID);
    /* Together they fit nowhere even though each fits by itself. */
    assert_int_equal(decode(fixture, "\x93\x93\x93\xc0\xc0", 5), CF_E_INVALID);
}

static void test_nesting_ends_at_its_limit(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned depth = 1; depth <= 64; depth++) {
        cf_buf_clear(&fixture->buf);
        for (unsigned i = 1; i < depth; i++)
            cf_buf_u8(&fixture->buf, 0x91);
        cf_buf_u8(&fixture->buf, 0x90);
        enum cf_err err = cf_record_walk(cf_buf_bytes(&fixture->buf), &fixture->detail);
        assert_int_equal(err, depth <= CF_RECORD_DEPTH_MAX ? CF_OK : CF_E_INVALID);
    }
}

static void test_objects_are_counted(void **state)
{
    struct fixture *fixture = *state;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t count = CF_RECORD_OBJECTS_MAX - 1 + extra; /* and the array itself */
        cf_buf_clear(&fixture->buf);
        cf_buf_u8(&fixture->buf, 0xdd);
        for (int shift = 24; shift >= 0; shift -= 8)
            cf_buf_u8(&fixture->buf, (uint8_t)(count >> shift));
        for (size_t i = 0; i < count; i++)
            cf_buf_u8(&fixture->buf, 0xc0);
        enum cf_err err = cf_record_walk(cf_buf_bytes(&fixture->buf), &fixture->detail);
        assert_int_equal(err, extra ? CF_E_INVALID : CF_OK);
    }
}

/* One of every msgpack type as an unknown field: all are stepped over. */
static void test_unknown_fields_of_every_type_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *bytes;
        size_t len;
    } values[] = {
        {"\x7f", 1},
        {"\xe0", 1},
        {"\xc0", 1},
        {"\xc2", 1},
        {"\xc3", 1},
        {"\x80", 1},
        {"\x90", 1},
        {"\xa0", 1},
        {"\xc4\x01\x01", 3},
        {"\xc5\x00\x01\x01", 4},
        {"\xc6\x00\x00\x00\x01\x01", 6},
        {"\xc7\x01\x05\x01", 4},
        {"\xc8\x00\x01\x05\x01", 5},
        {"\xc9\x00\x00\x00\x01\x05\x01", 7},
        {"\xca\x00\x00\x00\x00", 5},
        {"\xcb\x00\x00\x00\x00\x00\x00\x00\x00", 9},
        {"\xcc\x01", 2},
        {"\xcd\x00\x01", 3},
        {"\xce\x00\x00\x00\x01", 5},
        {"\xcf\x00\x00\x00\x00\x00\x00\x00\x01", 9},
        {"\xd0\xff", 2},
        {"\xd1\xff\xff", 3},
        {"\xd2\xff\xff\xff\xff", 5},
        {"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {"\xd4\x05\x01", 3},
        {"\xd5\x05\x01\x02", 4},
        {"\xd6\x05\x01\x02\x03\x04", 6},
        {"\xd7\x05\x01\x02\x03\x04\x05\x06\x07\x08", 10},
        {"\xd8\x05\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08", 18},
        {"\xd9\x01x", 3},
        {"\xda\x00\x01x", 4},
        {"\xdb\x00\x00\x00\x01x", 6},
        {"\xdc\x00\x01\xc0", 4},
        {"\xdd\x00\x00\x00\x01\xc0", 6},
        {"\xde\x00\x01\x01\x02", 5},
        {"\xdf\x00\x00\x00\x01\x01\x02", 7},
        {"\x81\x92\x01\x02\x03", 5},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        put_envelope(&fixture->buf, 2, "show", 7);
        put_text(&fixture->buf, "colour");
        put(&fixture->buf, values[i].bytes, values[i].len);
        put_text(&fixture->buf, "album");
        put_text(&fixture->buf, "R-1");
        if (decode_buf(fixture) != CF_OK)
            fail_msg("value %zu: %s", i, fixture->detail.text);
        assert_int_equal(fixture->msg.kind, CF_KIND_SHOW);
        assert_int_equal(fixture->msg.id, 7);
        /* The same field cut short by one byte must not be. */
        assert_int_equal(decode(fixture, fixture->buf.data, fixture->buf.len - 1), CF_E_INVALID);
    }
}

static void test_the_byte_without_meaning_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(decode(fixture, "\xc1", 1), CF_E_INVALID);
    assert_int_equal(decode(fixture, "", 0), CF_E_INVALID);
    assert_int_equal(decode(fixture, "\x90", 1), CF_E_INVALID);         /* not a map */
    assert_int_equal(decode(fixture, "\x81\x01\x01", 3), CF_E_INVALID); /* a key that is not a string */
}

/* ---- the envelope ---- */

static void test_versions_and_kinds_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    put_envelope(&fixture->buf, 0, "status", 9);
    fixture->buf.data[3] = 2; /* v */
    assert_int_equal(decode_buf(fixture), CF_E_BAD_VERSION);
    assert_int_equal(fixture->msg.id, 9);
    assert_sentence_has(fixture, "version 2");
    put_envelope(&fixture->buf, 0, "stats", 9);
    assert_int_equal(decode_buf(fixture), CF_E_UNKNOWN_KIND);
    assert_int_equal(fixture->msg.id, 9);
    assert_sentence_has(fixture, "\"stats\"");
}

static void test_the_id_survives_a_bad_body(void **state)
{
    struct fixture *fixture = *state;
    put_envelope(&fixture->buf, 0, "show", 11);
    assert_int_equal(decode_buf(fixture), CF_E_INVALID);
    assert_int_equal(fixture->msg.id, 11);
    assert_sentence_has(fixture, "show.album is missing");
}

static void test_an_envelope_needs_its_parts(void **state)
{
    struct fixture *fixture = *state;
    static const char *const keys[] = {"v", "kind"};
    for (size_t missing = 0; missing < 2; missing++) {
        cf_buf_clear(&fixture->buf);
        put_map(&fixture->buf, 2);
        put_text(&fixture->buf, "id");
        cf_buf_u8(&fixture->buf, 4);
        put_text(&fixture->buf, keys[1 - missing]);
        missing == 0 ? put_text(&fixture->buf, "status") : cf_buf_u8(&fixture->buf, 1);
        assert_int_equal(decode_buf(fixture), CF_E_INVALID);
        assert_int_equal(fixture->msg.id, 4);
        assert_sentence_has(fixture, "is missing");
        assert_sentence_has(fixture, keys[missing]);
    }
}

static void test_an_envelope_field_given_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;
    put_envelope(&fixture->buf, 1, "status", 4);
    put_text(&fixture->buf, "kind");
    put_text(&fixture->buf, "goodbye");
    assert_int_equal(decode_buf(fixture), CF_E_INVALID);
    assert_sentence_has(fixture, "twice");
}

/* No field of a kind may hide behind a key of the envelope, nor a table have a key twice. */
static void check_keys(const struct cf_table *table, bool top)
{
    assert_true(table->field_count <= 64);
    for (size_t i = 0; i < table->field_count; i++) {
        const struct cf_field *field = &table->fields[i];
        if (top)
            assert_false(strcmp(field->key, "v") == 0 || strcmp(field->key, "kind") == 0 ||
                         strcmp(field->key, "id") == 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(field->key, table->fields[j].key);
        if (field->type == CF_FIELD_LIST) {
            assert_true(field->max > 0);
            check_keys(field->table, false);
        }
        if (field->type == CF_FIELD_MAP) {
            assert_true(field->max > 0 && field->table->field_count == 2);
            assert_int_equal(field->table->fields[0].type, CF_FIELD_STR);
            check_keys(field->table, false);
        }
        if (field->type == CF_FIELD_STRS || field->type == CF_FIELD_PAIRS)
            assert_true(field->max > 0 && field->each_max > 0);
    }
}

static void test_tables_are_consistent(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++)
        check_keys(cf_msg_table(kind), true);
}

static void test_words_are_those_of_base(void **state)
{
    struct fixture *fixture = *state;
    for (int s = 0; s < CF_STATE_COUNT; s++) {
        struct cf_album_state one = {.state = s};
        struct cf_msg msg = {.kind = CF_KIND_STATES_OK, .states = {&one, 1}};
        assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
        const char *name = cf_state_name((enum cf_state)s);
        assert_memory_equal(fixture->buf.data + fixture->buf.len - strlen(name), name, strlen(name));
    }
    for (int r = 0; r < CF_ROLE_COUNT; r++) {
        struct cf_msg msg = {.kind = CF_KIND_REGISTER, .registration = {.role = r, .name = cf_str("x")}};
        assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
        assert_non_null(memmem(fixture->buf.data, fixture->buf.len, cf_role_name((enum cf_role)r),
                               strlen(cf_role_name((enum cf_role)r))));
    }
}

/* ---- fields ---- */

static void put_field(struct fixture *fixture, const char *kind, const char *key, const char *value,
                      size_t len)
{
    put_envelope(&fixture->buf, 1, kind, 5);
    put_text(&fixture->buf, key);
    put(&fixture->buf, value, len);
}

static void assert_refused(struct fixture *fixture, const char *kind, const char *key, const char *value,
                           size_t len, const char *named)
{
    put_field(fixture, kind, key, value, len);
    assert_int_equal(decode_buf(fixture), CF_E_INVALID);
    assert_sentence_has(fixture, named);
}

static void test_wrong_types_are_refused_by_key(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "show", "album", "\x05", 1, "show.album");
    assert_refused(fixture, "show", "album", "\xc4\x01x", 3, "show.album");
    assert_refused(fixture, "show", "album", "\xc0", 1, "show.album");
    assert_refused(fixture, "ready", "credit", "\xff", 1, "ready.credit is negative");
    assert_refused(fixture, "ready", "credit", "\xca\x3f\x80\x00\x00", 5, "ready.credit");
    assert_refused(fixture, "ready", "credit",
                   "\xa1"
                   "1",
                   2, "ready.credit");
    assert_refused(fixture, "push", "items", "\x80", 1, "push.items");
    assert_refused(fixture, "push", "items", "\x91\x01", 2, "push.items is not a map");
    assert_refused(fixture, "remove", "albums", "\x91\x01", 2, "remove.albums");
    assert_refused(fixture, "queue", "op",
                   "\xa4"
                   "jump",
                   5, "\"jump\"");
    assert_refused(fixture, "queue", "op", "\xa1\xff", 2, "queue.op");
    assert_refused(fixture, "queue", "op", "\x01", 1, "queue.op");
    assert_refused(fixture, "rebuild", "space", "\xa0", 1, "rebuild.space");
    assert_refused(fixture, "event", "event", "\xa1\xff", 2, "UTF-8");
}

static void test_ranges_are_kept_on_both_ways(void **state)
{
    struct fixture *fixture = *state;
    put_field(fixture, "ready", "credit", "\xce\x00\x0f\x42\x40", 5); /* 1,000,000 */
    assert_int_equal(decode_buf(fixture), CF_OK);
    assert_int_equal(fixture->msg.ready.credit, CF_CREDIT_MAX);
    assert_refused(fixture, "ready", "credit", "\xce\x00\x0f\x42\x41", 5, "1000001");
    struct cf_msg msg = {.kind = CF_KIND_READY, .ready = {CF_CREDIT_MAX + 1}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, &fixture->detail), CF_E_INVALID);
    assert_int_equal(fixture->buf.len, 0);
    msg.ready.credit = CF_CREDIT_MAX;
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, &fixture->detail), CF_OK);
}

static void test_reals_are_finite_and_in_range(void **state)
{
    struct fixture *fixture = *state;
    static const double bad[] = {-0.01, 1.01, NAN, INFINITY};
    struct cf_msg msg = {.kind = CF_KIND_QUERY, .query = {.space = cf_str("gist"), .k = 1}};
    for (size_t i = 0; i < 4; i++) {
        msg.query.recall = 0.5;
        assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
        uint8_t *at = memmem(fixture->buf.data, fixture->buf.len, "recall", 6);
        assert_non_null(at);
        uint64_t bits;
        memcpy(&bits, &bad[i], sizeof bits);
        for (int b = 0; b < 8; b++)
            at[7 + b] = (uint8_t)(bits >> (56 - 8 * b));
        assert_int_equal(decode_buf(fixture), CF_E_INVALID);
        assert_sentence_has(fixture, "query.recall");
        msg.query.recall = bad[i];
        assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_E_INVALID);
    }
}

static void test_integers_are_taken_for_reals(void **state)
{
    struct fixture *fixture = *state;
    put_envelope(&fixture->buf, 4, "query", 5);
    put_text(&fixture->buf, "space");
    put_text(&fixture->buf, "gist");
    put_text(&fixture->buf, "k");
    cf_buf_u8(&fixture->buf, 10);
    put_text(&fixture->buf, "targets");
    cf_buf_u8(&fixture->buf, 0x90);
    put_text(&fixture->buf, "recall");
    cf_buf_u8(&fixture->buf, 1);
    assert_int_equal(decode_buf(fixture), CF_OK);
    assert_true(fixture->msg.query.recall == 1.0);
}

static void test_a_pushed_album_is_judged_by_the_broker(void **state)
{
    struct fixture *fixture = *state;
    char long_id[300];
    memset(long_id, 'x', sizeof long_id);
    struct cf_push_item items[] = {
        {.album = {long_id, sizeof long_id}}, {.album = cf_str("\xff\x01")}, {.album = cf_str("")}};
    struct cf_msg msg = {.kind = CF_KIND_PUSH, .push = {.items = items, .item_count = 3}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
    assert_int_equal(decode_buf(fixture), CF_OK);
    assert_int_equal(fixture->msg.push.items[0].album.len, 300);
    assert_int_equal(fixture->msg.push.items[2].album.len, 0);
    assert_int_equal(fixture->msg.push.items[1].priority, 0);
    char *huge = malloc(CF_ALBUM_WIRE_BYTES_MAX + 1);
    assert_non_null(huge);
    memset(huge, 'x', CF_ALBUM_WIRE_BYTES_MAX + 1);
    items[0].album = (struct cf_str){huge, CF_ALBUM_WIRE_BYTES_MAX + 1};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_E_INVALID);
    free(huge);
}

static void test_batches_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct cf_str *albums = calloc(CF_BATCH_MAX + 1, sizeof *albums);
    assert_non_null(albums);
    for (size_t i = 0; i <= CF_BATCH_MAX; i++)
        albums[i] = cf_str("a");
    struct cf_msg msg = {.kind = CF_KIND_STATES, .albums = {.albums = albums, .album_count = CF_BATCH_MAX}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
    assert_int_equal(decode_buf(fixture), CF_OK);
    assert_int_equal(fixture->msg.albums.album_count, CF_BATCH_MAX);
    msg.albums.album_count++;
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_E_INVALID);
    /* The same count from a peer: array 16 of CF_BATCH_MAX + 1. */
    put_field(fixture, "states", "albums", "\xdc\x04\x01", 3);
    for (size_t i = 0; i <= CF_BATCH_MAX; i++)
        cf_buf_u8(&fixture->buf, 0xa0);
    assert_int_equal(decode_buf(fixture), CF_E_INVALID);
    assert_sentence_has(fixture, "at most 1024");
    free(albums);
}

static void test_meta_names_are_unique(void **state)
{
    struct fixture *fixture = *state;
    struct cf_pair meta[] = {{cf_str("title"), cf_str("a")}, {cf_str("title"), cf_str("b")}};
    struct cf_push_item item = {.album = cf_str("R-1"), .meta = meta, .meta_count = 2};
    struct cf_msg msg = {.kind = CF_KIND_PUSH, .push = {.items = &item, .item_count = 1}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
    assert_int_equal(decode_buf(fixture), CF_E_INVALID);
    assert_sentence_has(fixture, "\"title\" twice");
}

static void test_sentences_are_cut_and_repaired(void **state)
{
    struct fixture *fixture = *state;
    char text[CF_TEXT_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[0] = '\xff';
    text[CF_TEXT_BYTES_MAX - 1] = '\xc3'; /* an o umlaut that the limit would cut in half */
    text[CF_TEXT_BYTES_MAX] = '\xb6';
    struct cf_msg msg = {.kind = CF_KIND_ERROR, .error = {cf_str("busy"), {text, sizeof text}}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
    uint8_t *copy = malloc(fixture->buf.len);
    assert_non_null(copy);
    memcpy(copy, fixture->buf.data, fixture->buf.len);
    assert_int_equal(
        cf_msg_decode((struct cf_bytes){copy, fixture->buf.len}, fixture->arena, &fixture->msg, NULL), CF_OK);
    assert_int_equal(fixture->msg.error.detail.len, CF_TEXT_BYTES_MAX - 1);
    assert_int_equal(fixture->msg.error.detail.data[0], '?');
    assert_int_equal(fixture->msg.error.detail.data[CF_TEXT_BYTES_MAX - 2], 'x');
    free(copy);
}

static void test_an_error_message_carries_name_and_sentence(void **state)
{
    struct fixture *fixture = *state;
    struct cf_detail detail;
    (void)cf_fail(&detail, CF_E_BUSY, "the queue is full");
    struct cf_msg msg = cf_msg_error(12, CF_E_BUSY, &detail);
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
    assert_int_equal(decode_buf(fixture), CF_OK);
    assert_int_equal(fixture->msg.id, 12);
    msg = cf_msg_error(12, CF_E_BUSY, NULL);
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_OK);
}

static void test_bad_structs_are_not_encoded(void **state)
{
    struct fixture *fixture = *state;
    struct cf_msg msg = {.kind = CF_KIND_COUNT};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_E_INVALID);
    struct cf_result result = {.status = 3};
    msg = (struct cf_msg){.kind = CF_KIND_PUSH_OK, .results = {&result, 1}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_E_INVALID);
    struct cf_done_item item = {.album = cf_str("R-1")}; /* no version */
    msg = (struct cf_msg){.kind = CF_KIND_DONE, .done = {&item, 1}};
    assert_int_equal(cf_msg_encode(&msg, &fixture->buf, NULL), CF_E_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_truncation_is_refused),
        TEST(test_trailing_bytes_are_refused),
        TEST(test_five_bytes_cannot_ask_for_gigabytes),
        TEST(test_nesting_ends_at_its_limit),
        TEST(test_objects_are_counted),
        TEST(test_unknown_fields_of_every_type_are_ignored),
        TEST(test_the_byte_without_meaning_is_refused),
        TEST(test_versions_and_kinds_are_refused_by_name),
        TEST(test_the_id_survives_a_bad_body),
        TEST(test_an_envelope_needs_its_parts),
        TEST(test_an_envelope_field_given_twice_is_refused),
        TEST(test_tables_are_consistent),
        TEST(test_words_are_those_of_base),
        TEST(test_wrong_types_are_refused_by_key),
        TEST(test_ranges_are_kept_on_both_ways),
        TEST(test_reals_are_finite_and_in_range),
        TEST(test_integers_are_taken_for_reals),
        TEST(test_a_pushed_album_is_judged_by_the_broker),
        TEST(test_batches_are_bounded),
        TEST(test_meta_names_are_unique),
        TEST(test_sentences_are_cut_and_repaired),
        TEST(test_an_error_message_carries_name_and_sentence),
        TEST(test_bad_structs_are_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
