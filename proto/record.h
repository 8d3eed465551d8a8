/* Table-driven msgpack: a C struct and a table of its fields become a checked map and back.
 *
 * This is the only user of msgpack.h. A field is named on the wire by its key; unknown keys are skipped, a missing
 * required key, a wrong type or a value out of range is CF_E_INVALID with a sentence that names the key. Decoding first
 * walks the bytes (depth, declared counts against what remains, nothing after the end), so five bytes cannot ask for
 * gigabytes. Spans in a decoded struct borrow from the input; arrays come from the arena. Pure: any thread. */
#ifndef CF_PROTO_RECORD_H
#define CF_PROTO_RECORD_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"

enum cf_field_type {
    CF_FIELD_BOOL,   /* bool */
    CF_FIELD_UINT,   /* uint64_t in [min, max] */
    CF_FIELD_REAL,   /* double, finite, in [min, max]; integers are accepted */
    CF_FIELD_STR,    /* struct cf_str, valid UTF-8, length in [min, max] */
    CF_FIELD_BYTES,  /* struct cf_bytes, length in [min, max] */
    CF_FIELD_ENUM,   /* int, written as one of `names` */
    CF_FIELD_PAIRS,  /* struct cf_pair * and count: a map of str to str, at most max entries */
    CF_FIELD_STRS,   /* struct cf_str * and count: an array of str, at most max entries */
    CF_FIELD_LIST,   /* array of the struct of `table`, and count: at most max entries */
    CF_FIELD_MAP,    /* the same as a map: of each struct the first field (STR) is the key, the second the value */
};

enum cf_field_flag {
    CF_FIELD_REQUIRED = 1, /* absent is an error; the others keep `standard` and are left out when equal to it or empty */
    CF_FIELD_RAW = 2,      /* STR, STRS: UTF-8 is not demanded, the reader checks by itself and answers by item */
    CF_FIELD_SENTENCE = 4, /* STR, STRS for people: encoding cuts to the limit and puts '?' for what is not UTF-8 */
};

struct cf_table;

struct cf_field {
    const char *key;
    enum cf_field_type type;
    unsigned flags;
    size_t offset;       /* of the value, or of the pointer of an array */
    size_t count_offset; /* of the size_t beside an array */
    double min, max;     /* value or length; max 0 means no limit of its own */
    const char *const *names; /* ENUM: the words, NULL at the end */
    const struct cf_table *table; /* LIST: of the elements; MAP: of the entries, exactly two fields */
    double each_max;              /* STRS: bytes of one string, PAIRS: of one value; 0 means no limit of its own */
    double key_max;               /* PAIRS: bytes of one key */
    uint64_t standard;            /* UINT: what absent means */
};

struct cf_table {
    const char *name; /* for sentences */
    size_t size;      /* of the struct */
    const struct cf_field *fields;
    size_t field_count; /* at most 64 */
};

enum {
    CF_RECORD_DEPTH_MAX = 8,
    CF_RECORD_OBJECTS_MAX = 1 << 22, /* msgpack objects of one message: bounds what unpacking allocates */
};

/* Appends the map to `out`. CF_E_INVALID when a value breaks its own table, CF_E_NO_MEMORY. */
enum cf_err cf_record_encode(const struct cf_table *table, const void *record, struct cf_buf *out,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* As cf_record_encode, the fields of several records in one map, in order. */
struct cf_record_part {
    const struct cf_table *table;
    const void *record;
};
enum cf_err cf_record_encode_joined(const struct cf_record_part *parts, size_t part_count, struct cf_buf *out,
                                    struct cf_detail *detail) CF_MUST_CHECK;

/* Fills `record` (of table->size bytes), untouched on failure. */
enum cf_err cf_record_decode(const struct cf_table *table, struct cf_bytes bytes, struct cf_arena *arena, void *record,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* The same in steps, for a map that several tables share: walk and unpack once, then read table by table. The map lives in
 * the arena; close gives back what msgpack-c allocated. */
struct cf_record_map;
enum cf_err cf_record_open(struct cf_bytes bytes, struct cf_arena *arena, struct cf_record_map **map,
                           struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_record_read(const struct cf_record_map *map, const struct cf_table *table, void *record,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_record_close(struct cf_record_map *map); /* takes NULL */

/* The bounds walk alone: exactly one msgpack object, containers no deeper than CF_RECORD_DEPTH_MAX, at most
 * CF_RECORD_OBJECTS_MAX objects, counts that fit. */
enum cf_err cf_record_walk(struct cf_bytes bytes, struct cf_detail *detail) CF_MUST_CHECK;

#endif
