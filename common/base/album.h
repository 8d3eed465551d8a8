/* What an album is to the whole fleet: its id, its version, its state. Plain values. */
#ifndef CF_BASE_ALBUM_H
#define CF_BASE_ALBUM_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/span.h"

#define CF_ALBUM_BYTES_MAX 255

/* The newest push wins: versions compare by epoch, then by sequence. The epoch grows whenever a journal is
 * created or restored; the sequence is the broker's. {0, 0} is "none". */
struct cf_version {
    uint64_t epoch;
    uint64_t seq;
};

static inline int cf_version_compare(struct cf_version a, struct cf_version b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

/* Disjoint: an album is in exactly one. Described means not yet in an index. */
enum cf_state {
    CF_STATE_NONE, /* never heard of */
    CF_STATE_QUEUED,
    CF_STATE_DELAYED,
    CF_STATE_LEASED,
    CF_STATE_DESCRIBED,
    CF_STATE_INDEXED,
    CF_STATE_DEAD,
    CF_STATE_REMOVED,
    CF_STATE_COUNT
};

const char *cf_state_name(enum cf_state state); /* "none", "queued", … */
enum cf_state cf_state_from_name(struct cf_str name); /* CF_STATE_COUNT when unknown */

/* Flags of a described cover, as bits. */
enum cf_flag {
    CF_FLAG_CONSTANT = 1, /* no contrast: no direction, left out of neighbours */
    CF_FLAG_PARTIAL = 2,  /* truncated: what decoded was described */
};

/* One of "artist", "title", "genre" or a name of the producer's. */
struct cf_pair {
    struct cf_str key;
    struct cf_str value;
};

/* What of an album's metadata filters go by: a label is the low half of the XXH3-64 of the key's value; 0 without one,
 * and a hash of 0 becomes 1. Two values may share a label, about once in 2^32. */
enum cf_label_kind { CF_LABEL_ARTIST, CF_LABEL_GENRE, CF_LABEL_COUNT };
extern const char *const cf_label_keys[CF_LABEL_COUNT]; /* "artist", "genre" */
uint32_t cf_label(struct cf_str value);                 /* an empty value is none: 0 */
/* The labels of metadata; of a key that is given twice the first counts. */
void cf_labels_of(const struct cf_pair *meta, size_t count, uint32_t labels[CF_LABEL_COUNT]);

/* 1 to 255 bytes of valid UTF-8 without control characters; otherwise CF_E_BAD_ALBUM and a sentence. */
enum cf_err cf_album_check(struct cf_str album, struct cf_detail *detail) CF_MUST_CHECK;

/* Valid UTF-8 (no surrogates, no overlong forms), any length. */
bool cf_utf8_valid(struct cf_str text);

#endif
