/* Random messages of every kind, drawn by their own tables: what is encoded decodes and encodes to the same
 * bytes. And random damage: a message with a few bytes changed is refused or decodes to something that
 * encodes again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "proto/msg_tables.h"
#include "tests/unit/proto_samples.h"

enum { ROUNDS = 60, DAMAGES = 3000, SOME = 4 };

static const struct cf_str words[] = {
    {"a", 1}, {"R-1", 3}, {"Ph\xc3\xb6n", 5}, {"x y", 3}, {"\xf0\x9f\x8e\xb5", 4}};

static void draw_record(struct cf_rng *rng, struct cf_arena *arena, const struct cf_table *table,
                        void *record);

static uint64_t draw_uint(struct cf_rng *rng, const struct cf_field *field)
{
    uint64_t low = (uint64_t)field->min;
    uint64_t wide = cf_rng_u64(rng) >> cf_rng_below(rng, 64);
    if (field->max == 0)
        return wide < low ? low : wide;
    return low + wide % ((uint64_t)field->max - low + 1);
}

static struct cf_bytes draw_bytes(struct cf_rng *rng, struct cf_arena *arena, const struct cf_field *field)
{
    size_t low = (size_t)field->min, high = field->max > 0 ? (size_t)field->max : 300;
    size_t len = low + (size_t)cf_rng_below(rng, high - low + 1);
    uint8_t *data = cf_arena_alloc(arena, len, 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)cf_rng_u64(rng);
    return (struct cf_bytes){data, len};
}

static int draw_word(struct cf_rng *rng, const struct cf_field *field)
{
    int count = 0;
    while (field->names[count])
        count++;
    return (int)cf_rng_below(rng, (uint64_t)count);
}

static void draw_array(struct cf_rng *rng, struct cf_arena *arena, const struct cf_field *field, char *record)
{
    size_t count = (size_t)cf_rng_below(rng, SOME);
    struct cf_pair *pairs = cf_arena_alloc(arena, SOME, sizeof *pairs);
    struct cf_str *strs = cf_arena_alloc(arena, SOME, sizeof *strs);
    void *elements = pairs;
    for (size_t i = 0; i < SOME; i++) {
        pairs[i] = (struct cf_pair){words[i], words[cf_rng_below(rng, 5)]};
        strs[i] = words[cf_rng_below(rng, 5)];
    }
    if (field->type == CF_FIELD_STRS)
        elements = strs;
    if (count < (size_t)field->min)
        count = (size_t)field->min;
    if (field->type == CF_FIELD_LIST || field->type == CF_FIELD_MAP) {
        elements = cf_arena_alloc(arena, count, field->table->size);
        for (size_t i = 0; i < count; i++) {
            char *element = (char *)elements + i * field->table->size;
            draw_record(rng, arena, field->table, element);
            if (field->type == CF_FIELD_MAP) /* keys are distinct */
                memcpy(element + field->table->fields[0].offset, &words[i], sizeof words[i]);
        }
    }
    memcpy(record + field->offset, &elements, sizeof elements);
    memcpy(record + field->count_offset, &count, sizeof count);
}

static void draw_field(struct cf_rng *rng, struct cf_arena *arena, const struct cf_field *field, char *record)
{
    void *value = record + field->offset;
    switch (field->type) {
    case CF_FIELD_BOOL:
        *(bool *)value = cf_rng_below(rng, 2);
        break;
    case CF_FIELD_UINT:
        *(uint64_t *)value = draw_uint(rng, field);
        break;
    case CF_FIELD_REAL:
        *(double *)value = field->min + cf_rng_unit(rng) * (field->max > 0 ? field->max - field->min : 1e6);
        break;
    case CF_FIELD_STR:
        *(struct cf_str *)value = words[cf_rng_below(rng, 5)];
        break;
    case CF_FIELD_BYTES:
        *(struct cf_bytes *)value = draw_bytes(rng, arena, field);
        break;
    case CF_FIELD_ENUM:
        *(int *)value = draw_word(rng, field);
        break;
    default:
        draw_array(rng, arena, field, record);
    }
}

static void draw_record(struct cf_rng *rng, struct cf_arena *arena, const struct cf_table *table,
                        void *record)
{
    for (size_t i = 0; i < table->field_count; i++) {
        const struct cf_field *field = &table->fields[i];
        if ((field->flags & CF_FIELD_REQUIRED) || cf_rng_below(rng, 3))
            draw_field(rng, arena, field, record);
        else if (field->standard)
            *(uint64_t *)(void *)((char *)record + field->offset) = field->standard;
    }
}

static void check_round_trip(const struct cf_msg *msg, uint64_t seed)
{
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf first, second;
    struct cf_detail detail;
    struct cf_msg decoded;
    cf_buf_init(&first);
    cf_buf_init(&second);
    if (cf_msg_encode(msg, &first, &detail) ||
        cf_msg_decode(cf_buf_bytes(&first), arena, &decoded, &detail) ||
        cf_msg_encode(&decoded, &second, &detail))
        fail_msg("%s, seed %llu: %s", cf_kind_name(msg->kind), (unsigned long long)seed, detail.text);
    assert_int_equal(decoded.kind, msg->kind);
    assert_int_equal(decoded.id, msg->id);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    cf_buf_fini(&first);
    cf_buf_fini(&second);
    cf_arena_free(arena);
}

static void test_random_messages_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct cf_rng rng = cf_rng(seed);
        for (unsigned kind = 0; kind < CF_KIND_COUNT; kind++) {
            struct cf_arena *arena = cf_arena_new();
            struct cf_msg msg = {.kind = kind, .id = cf_rng_u64(&rng) >> cf_rng_below(&rng, 64)};
            draw_record(&rng, arena, cf_msg_table(kind), (char *)&msg + cf_msg_offset(kind));
            check_round_trip(&msg, seed);
            cf_arena_free(arena);
        }
    }
}

static void test_damage_is_refused_or_harmless(void **state)
{
    (void)state;
    struct cf_rng rng = cf_rng(7);
    struct cf_buf bytes;
    size_t refused = 0, taken = 0;
    cf_buf_init(&bytes);
    for (unsigned round = 0; round < DAMAGES; round++) {
        struct cf_msg msg = sample_message((enum cf_kind)(round % CF_KIND_COUNT)), decoded;
        assert_int_equal(cf_msg_encode(&msg, &bytes, NULL), CF_OK);
        for (uint64_t n = 1 + cf_rng_below(&rng, 3); n > 0; n--)
            bytes.data[cf_rng_below(&rng, bytes.len)] = (uint8_t)cf_rng_u64(&rng);
        struct cf_arena *arena = cf_arena_new();
        if (cf_msg_decode(cf_buf_bytes(&bytes), arena, &decoded, NULL) == CF_OK) {
            check_round_trip(&decoded, round);
            taken++;
        } else {
            refused++;
        }
        cf_arena_free(arena);
    }
    assert_true(refused > DAMAGES / 10 && taken > DAMAGES / 100); /* both happen, so both were tested */
    cf_buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_messages_come_back),
        cmocka_unit_test(test_damage_is_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
