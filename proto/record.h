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
};

enum cf_field_flag {
    CF_FIELD_REQUIRED = 1, /* absent is an error; the others keep zero and, on encoding, zero or empty is left out */
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
    const struct cf_table *table; /* LIST: of the elements */
};

struct cf_table {
    const char *name; /* for sentences */
    size_t size;      /* of the struct */
    const struct cf_field *fields;
    size_t field_count;
};

enum { CF_RECORD_DEPTH_MAX = 8 };

/* Appends the map to `out`. CF_E_INVALID when a value breaks its own table, CF_E_NO_MEMORY. */
enum cf_err cf_record_encode(const struct cf_table *table, const void *record, struct cf_buf *out,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* Fills `record` (of table->size bytes), untouched on failure. */
enum cf_err cf_record_decode(const struct cf_table *table, struct cf_bytes bytes, struct cf_arena *arena, void *record,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* The bounds walk alone: exactly one msgpack object, no deeper than CF_RECORD_DEPTH_MAX, counts that fit. */
enum cf_err cf_record_walk(struct cf_bytes bytes, struct cf_detail *detail) CF_MUST_CHECK;

#endif
