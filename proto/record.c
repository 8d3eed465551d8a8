#include "proto/record.h"

#include <math.h>
#include <msgpack.h>

#include "common/base/album.h"

/* Where we are, for checks and sentences. */
struct place {
    const struct cf_table *table;
    const struct cf_field *field;
    struct cf_detail *detail;
};

static const void *at(const void *record, size_t offset)
{
    return (const char *)record + offset;
}

static size_t count_at(const void *record, const struct cf_field *field)
{
    return *(const size_t *)at(record, field->count_offset);
}

/* ---- checks, the same on both ways ---- */

static enum cf_err check_uint(const struct place *place, uint64_t value)
{
    const struct cf_field *field = place->field;
    if ((double)value >= field->min && (field->max == 0 || (double)value <= field->max))
        return CF_OK;
    if (field->max == 0)
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s is %llu: it must be at least %.0f",
                       place->table->name, field->key, (unsigned long long)value, field->min);
    return cf_fail(place->detail, CF_E_INVALID, "%s.%s is %llu: it must be %.0f to %.0f", place->table->name,
                   field->key, (unsigned long long)value, field->min, field->max);
}

static enum cf_err check_real(const struct place *place, double value)
{
    const struct cf_field *field = place->field;
    if (!isfinite(value))
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s is not a finite number", place->table->name,
                       field->key);
    if (value >= field->min && (field->max == 0 || value <= field->max))
        return CF_OK;
    if (field->max == 0)
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s is %g: it must be at least %g", place->table->name,
                       field->key, value, field->min);
    return cf_fail(place->detail, CF_E_INVALID, "%s.%s is %g: it must be %g to %g", place->table->name,
                   field->key, value, field->min, field->max);
}

static enum cf_err check_span(const struct place *place, const char *what, size_t count, double min,
                              double max)
{
    if ((double)count < min)
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s has %zu %s: at least %.0f", place->table->name,
                       place->field->key, count, what, min);
    if (max > 0 && (double)count > max)
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s has %zu %s: at most %.0f", place->table->name,
                       place->field->key, count, what, max);
    return CF_OK;
}

static enum cf_err check_text(const struct place *place, struct cf_str text, double min, double max)
{
    enum cf_err err = check_span(place, "bytes", text.len, min, max);
    if (!err && !(place->field->flags & CF_FIELD_RAW) && !cf_utf8_valid(text))
        err = cf_fail(place->detail, CF_E_INVALID, "%s.%s is not valid UTF-8", place->table->name,
                      place->field->key);
    return err;
}

static enum cf_err check_pair(const struct place *place, struct cf_pair pair)
{
    enum cf_err err = check_text(place, pair.key, 1, place->field->key_max);
    return err ? err : check_text(place, pair.value, 0, place->field->each_max);
}

static size_t name_count(const struct cf_field *field)
{
    size_t count = 0;
    while (field->names[count])
        count++;
    return count;
}

/* ---- encoding ---- */

struct writer {
    msgpack_packer packer;
    struct cf_buf *out;
};

/* Failure is the buffer's to remember; the packer's own results say nothing more. */
static int write_bytes(void *arg, const char *data, size_t len)
{
    struct cf_buf *out = arg;
    cf_buf_append(out, data, len);
    return 0;
}

static void write_str(struct writer *writer, struct cf_str text)
{
    msgpack_pack_str(&writer->packer, text.len);
    if (text.len)
        msgpack_pack_str_body(&writer->packer, text.data, text.len);
}

static size_t character_bytes(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* A sentence must never keep a reply from being sent: cut and repaired instead of refused. */
static void write_sentence(struct writer *writer, struct cf_str text, double max)
{
    if (max > 0 && (double)text.len > max) {
        text.len = (size_t)max;
        while (text.len && ((unsigned char)text.data[text.len] & 0xc0) == 0x80)
            text.len--;
    }
    if (cf_utf8_valid(text)) {
        write_str(writer, text);
        return;
    }
    msgpack_pack_str(&writer->packer, text.len);
    for (size_t i = 0; i < text.len;) {
        size_t len = character_bytes((unsigned char)text.data[i]);
        if (len <= text.len - i && cf_utf8_valid((struct cf_str){text.data + i, len})) {
            msgpack_pack_str_body(&writer->packer, text.data + i, len);
            i += len;
        } else {
            msgpack_pack_str_body(&writer->packer, "?", 1);
            i++;
        }
    }
}

static enum cf_err write_text(struct writer *writer, const struct place *place, struct cf_str text,
                              double min, double max)
{
    if (place->field->flags & CF_FIELD_SENTENCE) {
        write_sentence(writer, text, max);
        return CF_OK;
    }
    enum cf_err err = check_text(place, text, min, max);
    if (!err)
        write_str(writer, text);
    return err;
}

static enum cf_err write_record(struct writer *writer, const struct cf_record_part *parts, size_t part_count,
                                struct cf_detail *detail);

static enum cf_err write_uint(struct writer *writer, const struct place *place, const void *value)
{
    enum cf_err err = check_uint(place, *(const uint64_t *)value);
    if (!err)
        msgpack_pack_uint64(&writer->packer, *(const uint64_t *)value);
    return err;
}

static enum cf_err write_real(struct writer *writer, const struct place *place, const void *value)
{
    enum cf_err err = check_real(place, *(const double *)value);
    if (!err)
        msgpack_pack_double(&writer->packer, *(const double *)value);
    return err;
}

static enum cf_err write_blob(struct writer *writer, const struct place *place, const struct cf_bytes *value)
{
    enum cf_err err = check_span(place, "bytes", value->len, place->field->min, place->field->max);
    if (err)
        return err;
    msgpack_pack_bin(&writer->packer, value->len);
    if (value->len)
        msgpack_pack_bin_body(&writer->packer, value->data, value->len);
    return CF_OK;
}

static enum cf_err write_enum(struct writer *writer, const struct place *place, int value)
{
    if (value < 0 || (size_t)value >= name_count(place->field))
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s is %d: not one of its words", place->table->name,
                       place->field->key, value);
    write_str(writer, cf_str(place->field->names[value]));
    return CF_OK;
}

static enum cf_err write_pairs(struct writer *writer, const struct place *place, const struct cf_pair *pairs,
                               size_t count)
{
    enum cf_err err = CF_OK;
    msgpack_pack_map(&writer->packer, count);
    for (size_t i = 0; !err && i < count; i++) {
        err = check_pair(place, pairs[i]);
        if (err)
            break;
        write_str(writer, pairs[i].key);
        write_str(writer, pairs[i].value);
    }
    return err;
}

static enum cf_err write_strs(struct writer *writer, const struct place *place, const struct cf_str *strs,
                              size_t count)
{
    enum cf_err err = CF_OK;
    msgpack_pack_array(&writer->packer, count);
    for (size_t i = 0; !err && i < count; i++)
        err = write_text(writer, place, strs[i], 0, place->field->each_max);
    return err;
}

static enum cf_err write_list(struct writer *writer, const struct place *place, const char *elements,
                              size_t count)
{
    enum cf_err err = CF_OK;
    msgpack_pack_array(&writer->packer, count);
    for (size_t i = 0; !err && i < count; i++) {
        struct cf_record_part part = {place->field->table, elements + i * place->field->table->size};
        err = write_record(writer, &part, 1, place->detail);
    }
    return err;
}

static enum cf_err write_value(struct writer *writer, const struct place *place, const void *record);

static enum cf_err write_map(struct writer *writer, const struct place *place, const char *entries,
                             size_t count)
{
    const struct cf_table *table = place->field->table;
    struct place key = {table, &table->fields[0], place->detail};
    struct place value = {table, &table->fields[1], place->detail};
    enum cf_err err = CF_OK;
    msgpack_pack_map(&writer->packer, count);
    for (size_t i = 0; !err && i < count; i++) {
        err = write_value(writer, &key, entries + i * table->size);
        if (!err)
            err = write_value(writer, &value, entries + i * table->size);
    }
    return err;
}

static enum cf_err write_array(struct writer *writer, const struct place *place, const void *record)
{
    const struct cf_field *field = place->field;
    const void *elements = *(const void *const *)at(record, field->offset);
    size_t count = count_at(record, field);
    enum cf_err err = check_span(place, "entries", count, field->min, field->max);
    if (err)
        return err;
    switch (field->type) {
    case CF_FIELD_PAIRS:
        return write_pairs(writer, place, elements, count);
    case CF_FIELD_STRS:
        return write_strs(writer, place, elements, count);
    case CF_FIELD_MAP:
        return write_map(writer, place, elements, count);
    default:
        return write_list(writer, place, elements, count);
    }
}

static enum cf_err write_value(struct writer *writer, const struct place *place, const void *record)
{
    const struct cf_field *field = place->field;
    const void *value = at(record, field->offset);
    switch (field->type) {
    case CF_FIELD_BOOL:
        *(const bool *)value ? msgpack_pack_true(&writer->packer) : msgpack_pack_false(&writer->packer);
        return CF_OK;
    case CF_FIELD_UINT:
        return write_uint(writer, place, value);
    case CF_FIELD_REAL:
        return write_real(writer, place, value);
    case CF_FIELD_STR:
        return write_text(writer, place, *(const struct cf_str *)value, field->min, field->max);
    case CF_FIELD_BYTES:
        return write_blob(writer, place, value);
    case CF_FIELD_ENUM:
        return write_enum(writer, place, *(const int *)value);
    case CF_FIELD_PAIRS:
    case CF_FIELD_STRS:
    case CF_FIELD_LIST:
    case CF_FIELD_MAP:
        return write_array(writer, place, record);
    }
    return cf_fail(place->detail, CF_E_INVALID, "%s.%s has no such type", place->table->name, field->key);
}

static bool is_written(const struct cf_field *field, const void *record)
{
    const void *value = at(record, field->offset);
    if (field->flags & CF_FIELD_REQUIRED)
        return true;
    switch (field->type) {
    case CF_FIELD_BOOL:
        return *(const bool *)value;
    case CF_FIELD_UINT:
        return *(const uint64_t *)value != field->standard;
    case CF_FIELD_REAL:
        return fpclassify(*(const double *)value) != FP_ZERO;
    case CF_FIELD_STR:
        return ((const struct cf_str *)value)->len != 0;
    case CF_FIELD_BYTES:
        return ((const struct cf_bytes *)value)->len != 0;
    case CF_FIELD_ENUM:
        return *(const int *)value != 0;
    default:
        return count_at(record, field) != 0;
    }
}

static size_t written_count(const struct cf_record_part *part)
{
    size_t count = 0;
    for (size_t i = 0; i < part->table->field_count; i++)
        count += is_written(&part->table->fields[i], part->record);
    return count;
}

static enum cf_err write_fields(struct writer *writer, const struct cf_record_part *part,
                                struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < part->table->field_count; i++) {
        struct place place = {part->table, &part->table->fields[i], detail};
        if (!is_written(place.field, part->record))
            continue;
        write_str(writer, cf_str(place.field->key));
        err = write_value(writer, &place, part->record);
    }
    return err;
}

static enum cf_err write_record(struct writer *writer, const struct cf_record_part *parts, size_t part_count,
                                struct cf_detail *detail)
{
    size_t count = 0;
    for (size_t i = 0; i < part_count; i++)
        count += written_count(&parts[i]);
    msgpack_pack_map(&writer->packer, count);
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < part_count; i++)
        err = write_fields(writer, &parts[i], detail);
    return err;
}

enum cf_err cf_record_encode_joined(const struct cf_record_part *parts, size_t part_count, struct cf_buf *out,
                                    struct cf_detail *detail)
{
    struct writer writer = {.out = out};
    msgpack_packer_init(&writer.packer, out, write_bytes);
    size_t start = out->len;
    enum cf_err err = write_record(&writer, parts, part_count, detail);
    if (!err && !cf_buf_ok(out))
        err = cf_fail(detail, CF_E_NO_MEMORY, "no memory for a message of over %zu bytes", out->len);
    if (err)
        out->len = start;
    return err;
}

enum cf_err cf_record_encode(const struct cf_table *table, const void *record, struct cf_buf *out,
                             struct cf_detail *detail)
{
    struct cf_record_part part = {table, record};
    return cf_record_encode_joined(&part, 1, out, detail);
}

/* ---- decoding ---- */

struct cf_record_map {
    msgpack_zone zone;
    msgpack_object root;
    struct cf_arena *arena;
};

static enum cf_err wrong_type(const struct place *place, const char *expected)
{
    return cf_fail(place->detail, CF_E_INVALID, "%s.%s is not %s", place->table->name, place->field->key,
                   expected);
}

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory to decode a message");
}

static struct cf_str str_of(const msgpack_object *object)
{
    return (struct cf_str){object->via.str.ptr, object->via.str.size};
}

static enum cf_err read_uint(const struct place *place, const msgpack_object *object, uint64_t *value)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return cf_fail(place->detail, CF_E_INVALID, "%s.%s is negative", place->table->name,
                       place->field->key);
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return wrong_type(place, "an integer");
    *value = object->via.u64;
    return check_uint(place, *value);
}

static enum cf_err read_real(const struct place *place, const msgpack_object *object, double *value)
{
    switch (object->type) {
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        *value = object->via.f64;
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        *value = (double)object->via.u64;
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        *value = (double)object->via.i64;
        break;
    default:
        return wrong_type(place, "a number");
    }
    return check_real(place, *value);
}

static enum cf_err read_text(const struct place *place, const msgpack_object *object, double min, double max,
                             struct cf_str *value)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return wrong_type(place, "a string");
    *value = str_of(object);
    return check_text(place, *value, min, max);
}

static enum cf_err read_blob(const struct place *place, const msgpack_object *object, struct cf_bytes *value)
{
    if (object->type != MSGPACK_OBJECT_BIN)
        return wrong_type(place, "bytes (bin)");
    *value = (struct cf_bytes){(const uint8_t *)object->via.bin.ptr, object->via.bin.size};
    return check_span(place, "bytes", value->len, place->field->min, place->field->max);
}

static enum cf_err read_enum(const struct place *place, const msgpack_object *object, int *value)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return wrong_type(place, "a string");
    struct cf_str word = str_of(object);
    for (int i = 0; place->field->names[i]; i++) {
        if (cf_str_is(word, place->field->names[i])) {
            *value = i;
            return CF_OK;
        }
    }
    if (!cf_utf8_valid(word) || word.len > 64)
        return wrong_type(place, "one of its words");
    return cf_fail(place->detail, CF_E_INVALID, "%s.%s is \"%.*s\": not one of its words", place->table->name,
                   place->field->key, CF_STR_ARG(word));
}

static enum cf_err read_pairs(const struct place *place, const msgpack_object *object, struct cf_pair *pairs)
{
    for (size_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *kv = &object->via.map.ptr[i];
        if (kv->key.type != MSGPACK_OBJECT_STR || kv->val.type != MSGPACK_OBJECT_STR)
            return wrong_type(place, "a map of strings to strings");
        pairs[i] = (struct cf_pair){str_of(&kv->key), str_of(&kv->val)};
        enum cf_err err = check_pair(place, pairs[i]);
        if (err)
            return err;
        for (size_t j = 0; j < i; j++)
            if (cf_str_equal(pairs[j].key, pairs[i].key))
                return cf_fail(place->detail, CF_E_INVALID, "%s.%s has \"%.*s\" twice", place->table->name,
                               place->field->key, CF_STR_ARG(pairs[i].key));
    }
    return CF_OK;
}

static enum cf_err read_strs(const struct place *place, const msgpack_object *object, struct cf_str *strs)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < object->via.array.size; i++)
        err = read_text(place, &object->via.array.ptr[i], 0, place->field->each_max, &strs[i]);
    return err;
}

static enum cf_err read_record(struct cf_arena *arena, const struct cf_table *table,
                               const msgpack_object *object, void *record, struct cf_detail *detail);

static enum cf_err read_list(struct cf_arena *arena, const struct place *place, const msgpack_object *object,
                             char *elements)
{
    const struct cf_table *table = place->field->table;
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < object->via.array.size; i++)
        err = read_record(arena, table, &object->via.array.ptr[i], elements + i * table->size, place->detail);
    return err;
}

static enum cf_err read_value(struct cf_arena *arena, const struct place *place, const msgpack_object *object,
                              void *record);

/* The first field of an entry is a str (tables_are_consistent holds that). */
static enum cf_err check_key(const struct place *place, const char *entries, size_t i)
{
    const struct cf_table *table = place->field->table;
    struct cf_str key = *(const struct cf_str *)at(entries + i * table->size, table->fields[0].offset);
    for (size_t j = 0; j < i; j++)
        if (cf_str_equal(*(const struct cf_str *)at(entries + j * table->size, table->fields[0].offset), key))
            return cf_fail(place->detail, CF_E_INVALID, "%s.%s has the same key twice", place->table->name,
                           place->field->key);
    return CF_OK;
}

static enum cf_err read_map(struct cf_arena *arena, const struct place *place, const msgpack_object *object,
                            char *entries)
{
    const struct cf_table *table = place->field->table;
    struct place key = {table, &table->fields[0], place->detail};
    struct place value = {table, &table->fields[1], place->detail};
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < object->via.map.size; i++) {
        const msgpack_object_kv *kv = &object->via.map.ptr[i];
        err = read_value(arena, &key, &kv->key, entries + i * table->size);
        if (!err)
            err = check_key(place, entries, i);
        if (!err)
            err = read_value(arena, &value, &kv->val, entries + i * table->size);
    }
    return err;
}

static enum cf_err read_elements(struct cf_arena *arena, const struct place *place,
                                 const msgpack_object *object, void *elements)
{
    switch (place->field->type) {
    case CF_FIELD_PAIRS:
        return read_pairs(place, object, elements);
    case CF_FIELD_STRS:
        return read_strs(place, object, elements);
    case CF_FIELD_MAP:
        return read_map(arena, place, object, elements);
    default:
        return read_list(arena, place, object, elements);
    }
}

static size_t element_size(const struct cf_field *field)
{
    return field->type == CF_FIELD_PAIRS  ? sizeof(struct cf_pair)
           : field->type == CF_FIELD_STRS ? sizeof(struct cf_str)
                                          : field->table->size;
}

static enum cf_err read_array(struct cf_arena *arena, const struct place *place, const msgpack_object *object,
                              void *record)
{
    const struct cf_field *field = place->field;
    bool map = field->type == CF_FIELD_PAIRS || field->type == CF_FIELD_MAP;
    if (object->type != (map ? MSGPACK_OBJECT_MAP : MSGPACK_OBJECT_ARRAY))
        return wrong_type(place, map ? "a map" : "an array");
    size_t count = map ? object->via.map.size : object->via.array.size;
    enum cf_err err = check_span(place, "entries", count, field->min, field->max);
    if (err)
        return err;
    void *elements = cf_arena_alloc(arena, count, element_size(field));
    if (!elements)
        return no_memory(place->detail);
    *(void **)((char *)record + field->offset) = elements;
    *(size_t *)(void *)((char *)record + field->count_offset) = count;
    return read_elements(arena, place, object, elements);
}

static enum cf_err read_value(struct cf_arena *arena, const struct place *place, const msgpack_object *object,
                              void *record)
{
    const struct cf_field *field = place->field;
    void *value = (char *)record + field->offset;
    switch (field->type) {
    case CF_FIELD_BOOL:
        if (object->type != MSGPACK_OBJECT_BOOLEAN)
            return wrong_type(place, "a boolean");
        *(bool *)value = object->via.boolean;
        return CF_OK;
    case CF_FIELD_UINT:
        return read_uint(place, object, value);
    case CF_FIELD_REAL:
        return read_real(place, object, value);
    case CF_FIELD_STR:
        return read_text(place, object, field->min, field->max, value);
    case CF_FIELD_BYTES:
        return read_blob(place, object, value);
    case CF_FIELD_ENUM:
        return read_enum(place, object, value);
    case CF_FIELD_PAIRS:
    case CF_FIELD_STRS:
    case CF_FIELD_LIST:
    case CF_FIELD_MAP:
        return read_array(arena, place, object, record);
    }
    return wrong_type(place, "of a known type");
}

/* Encoders write in table order, so the search starts behind the last hit and mostly ends at once. */
static size_t find_field(const struct cf_table *table, struct cf_str key, size_t start)
{
    for (size_t n = 0; n < table->field_count; n++) {
        size_t i = (start + n) % table->field_count;
        if (cf_str_is(key, table->fields[i].key))
            return i;
    }
    return table->field_count;
}

static enum cf_err check_complete(const struct cf_table *table, uint64_t seen, struct cf_detail *detail)
{
    for (size_t i = 0; i < table->field_count; i++)
        if ((table->fields[i].flags & CF_FIELD_REQUIRED) && !(seen >> i & 1))
            return cf_fail(detail, CF_E_INVALID, "%s.%s is missing", table->name, table->fields[i].key);
    return CF_OK;
}

static void set_standards(const struct cf_table *table, void *record)
{
    memset(record, 0, table->size);
    for (size_t i = 0; i < table->field_count; i++)
        if (table->fields[i].standard)
            *(uint64_t *)(void *)((char *)record + table->fields[i].offset) = table->fields[i].standard;
}

static enum cf_err read_record(struct cf_arena *arena, const struct cf_table *table,
                               const msgpack_object *object, void *record, struct cf_detail *detail)
{
    CF_CHECK(table->field_count <= 64);
    if (object->type != MSGPACK_OBJECT_MAP)
        return cf_fail(detail, CF_E_INVALID, "%s is not a map", table->name);
    set_standards(table, record);
    uint64_t seen = 0;
    size_t next = 0;
    for (size_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *kv = &object->via.map.ptr[i];
        if (kv->key.type != MSGPACK_OBJECT_STR)
            return cf_fail(detail, CF_E_INVALID, "a key of %s is not a string", table->name);
        size_t found = find_field(table, str_of(&kv->key), next);
        if (found == table->field_count)
            continue;
        struct place place = {table, &table->fields[found], detail};
        if (seen >> found & 1)
            return cf_fail(detail, CF_E_INVALID, "%s.%s is given twice", table->name, place.field->key);
        seen |= (uint64_t)1 << found;
        next = found + 1;
        enum cf_err err = read_value(arena, &place, &kv->val, record);
        if (err)
            return err;
    }
    return check_complete(table, seen, detail);
}

enum cf_err cf_record_open(struct cf_bytes bytes, struct cf_arena *arena, struct cf_record_map **map,
                           struct cf_detail *detail)
{
    enum cf_err err = cf_record_walk(bytes, detail);
    if (err)
        return err;
    struct cf_record_map *opened = cf_arena_alloc(arena, 1, sizeof *opened);
    if (!opened || !msgpack_zone_init(&opened->zone, MSGPACK_ZONE_CHUNK_SIZE))
        return no_memory(detail);
    opened->arena = arena;
    size_t offset = 0;
    msgpack_unpack_return result =
        msgpack_unpack((const char *)bytes.data, bytes.len, &offset, &opened->zone, &opened->root);
    if (result == MSGPACK_UNPACK_SUCCESS && offset == bytes.len) {
        *map = opened;
        return CF_OK;
    }
    cf_record_close(opened);
    return result == MSGPACK_UNPACK_NOMEM_ERROR ? no_memory(detail)
                                                : cf_fail(detail, CF_E_INVALID, "the message is not msgpack");
}

void cf_record_close(struct cf_record_map *map)
{
    if (map)
        msgpack_zone_destroy(&map->zone);
}

enum cf_err cf_record_read(const struct cf_record_map *map, const struct cf_table *table, void *record,
                           struct cf_detail *detail)
{
    void *draft = cf_arena_alloc(map->arena, 1, table->size);
    if (!draft)
        return no_memory(detail);
    enum cf_err err = read_record(map->arena, table, &map->root, draft, detail);
    if (!err)
        memcpy(record, draft, table->size);
    return err;
}

enum cf_err cf_record_decode(const struct cf_table *table, struct cf_bytes bytes, struct cf_arena *arena,
                             void *record, struct cf_detail *detail)
{
    struct cf_record_map *map = NULL;
    enum cf_err err = cf_record_open(bytes, arena, &map, detail);
    if (!err)
        err = cf_record_read(map, table, record, detail);
    cf_record_close(map);
    return err;
}
