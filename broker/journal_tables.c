#include "broker/journal_tables.h"

#include <stddef.h>

#include "common/base/hash.h"

/* One line a field. Limits are the protocol's: what came in through it goes out through it. */
#define UINT(S, member)                                                                                      \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_UINT, .offset = offsetof(S, member)                                 \
    }
#define BOOL(S, member)                                                                                      \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_BOOL, .offset = offsetof(S, member)                                 \
    }
#define WORD(S, member, words)                                                                               \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_ENUM, .offset = offsetof(S, member), .names = words                 \
    }
#define TEXT(S, member)                                                                                      \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_STR, .flags = CF_FIELD_SENTENCE, .offset = offsetof(S, member),     \
        .max = CF_TEXT_BYTES_MAX                                                                             \
    }
#define LIST(S, member, counter, high, elements)                                                             \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_LIST, .offset = offsetof(S, member),                                \
        .count_offset = offsetof(S, counter), .max = high, .table = &elements                                \
    }
#define TABLE(variable, words, S, list)                                                                      \
    const struct cf_table variable = {                                                                       \
        .name = words, .size = sizeof(S), .fields = list, .field_count = sizeof list / sizeof list[0]}

static const char *const state_words[] = {"none",    "queued", "delayed", "leased", "described",
                                          "indexed", "dead",   "removed", NULL};
static const char *const action_words[] = {"describe", "remove", NULL};

#define A struct cf_album_record
static const struct cf_field album_fields[] = {
    UINT(A, epoch),
    UINT(A, seq),
    WORD(A, state, state_words),
    {.key = "sha256",
     .type = CF_FIELD_BYTES,
     .offset = offsetof(A, sha256),
     .min = CF_SHA256_BYTES,
     .max = CF_SHA256_BYTES},
    {.key = "meta",
     .type = CF_FIELD_PAIRS,
     .offset = offsetof(A, meta),
     .count_offset = offsetof(A, meta_count),
     .max = CF_META_MAX,
     .each_max = CF_META_VALUE_BYTES_MAX,
     .key_max = CF_META_KEY_BYTES_MAX},
    {.key = "source",
     .type = CF_FIELD_STR,
     .flags = CF_FIELD_RAW,
     .offset = offsetof(A, source),
     .max = CF_PATH_BYTES_MAX},
    UINT(A, priority),
    UINT(A, attempts),
    UINT(A, pushed_ms),
    UINT(A, settled_ms),
    TEXT(A, worker),
    TEXT(A, shard),
    UINT(A, log_seq),
    BOOL(A, constant),
    BOOL(A, partial),
    {.key = "warnings",
     .type = CF_FIELD_STRS,
     .flags = CF_FIELD_SENTENCE,
     .offset = offsetof(A, warnings),
     .count_offset = offsetof(A, warning_count),
     .max = CF_BATCH_MAX,
     .each_max = CF_TEXT_BYTES_MAX},
    TEXT(A, error),
    TEXT(A, detail),
    LIST(A, prev, prev_count, 1, cf_journal_album_table),
};
TABLE(cf_journal_album_table, "album", A, album_fields);
#undef A

#define J struct cf_job_record
static const struct cf_field job_fields[] = {
    {.key = "album",
     .type = CF_FIELD_STR,
     .flags = CF_FIELD_REQUIRED,
     .offset = offsetof(J, album),
     .min = 1,
     .max = CF_ALBUM_BYTES_MAX},
    UINT(J, epoch),
    WORD(J, action, action_words),
    UINT(J, priority),
    UINT(J, attempts),
    UINT(J, deaths),
    UINT(J, due_ms),
    UINT(J, pushed_ms),
    UINT(J, bytes),
};
TABLE(cf_journal_job_table, "job", J, job_fields);
#undef J

#define Q struct cf_quarantine_record
static const struct cf_field quarantine_fields[] = {
    {.key = "album",
     .type = CF_FIELD_STR,
     .flags = CF_FIELD_REQUIRED,
     .offset = offsetof(Q, album),
     .min = 1,
     .max = CF_ALBUM_BYTES_MAX},
    TEXT(Q, error),
    TEXT(Q, detail),
    UINT(Q, strikes),
    UINT(Q, at_ms),
    BOOL(Q, given_up),
};
TABLE(cf_journal_quarantine_table, "quarantine", Q, quarantine_fields);
#undef Q

static const struct cf_field watermark_fields[] = {
    TEXT(struct cf_watermark, shard),
    UINT(struct cf_watermark, log_seq),
};
static TABLE(watermark_table, "watermark", struct cf_watermark, watermark_fields);

#define I struct cf_index_record
static const struct cf_field index_fields[] = {
    TEXT(I, space),        UINT(I, generation),
    UINT(I, count),        UINT(I, build_ms),
    UINT(I, published_ms), LIST(I, watermarks, watermark_count, CF_FLEET_MAX, watermark_table),
};
static TABLE(index_table, "index", I, index_fields);
#undef I

#define M struct cf_journal_meta
#define META_UINT(member)                                                                                    \
    {                                                                                                        \
        .key = #member, .type = CF_FIELD_UINT, .offset = offsetof(M, meta.member)                            \
    }
static const struct cf_field meta_fields[] = {
    UINT(M, format),
    META_UINT(epoch),
    META_UINT(next_seq),
    {.key = "paused", .type = CF_FIELD_BOOL, .offset = offsetof(M, meta.paused)},
    {.key = "indexes",
     .type = CF_FIELD_LIST,
     .offset = offsetof(M, meta.indexes),
     .count_offset = offsetof(M, meta.index_count),
     .max = CF_FLEET_MAX,
     .table = &index_table},
    META_UINT(redescribe_order),
    {.key = "redescribe_finished", .type = CF_FIELD_BOOL, .offset = offsetof(M, meta.redescribe_finished)},
    {.key = "redescribe_spaces",
     .type = CF_FIELD_STRS,
     .offset = offsetof(M, meta.redescribe_spaces),
     .count_offset = offsetof(M, meta.redescribe_space_count),
     .max = CF_SPACES_MAX,
     .each_max = CF_SPACE_BYTES_MAX},
};
TABLE(cf_journal_meta_table, "meta", M, meta_fields);
