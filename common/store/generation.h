/* Generations of an index: where their files lie and what the indexer writes into them for the query workers.
 *
 * A generation of a space is a file in HOME/data/index/SPACE; its number has at least eight digits and grows
 * by one, and a published file is never changed. A whole one, GEN.idx, holds every album that can be found. A
 * small one, GEN+BASE.idx, adds to the whole one of number BASE: it holds the newest vector of every album
 * whose newest record lies behind its base's marks, and names those of its base's albums that are no more to
 * be found and that it does not hold. Queries are answered from a pair: the newest whole generation and the
 * newest small one of it, if there is one; the higher of the two numbers is the pair's, and the marks of
 * the small one are the pair's.
 *
 * The attachment of a file (encoded here) says which part of every shard it covers: the log entries up to the
 * mark of that shard; what lies behind is the tail, and so is all of a shard without a mark. The tag of each
 * item says which version of the album was indexed, in which of these shards it lay, and the labels of its
 * metadata.
 *
 * Nothing here opens an index: encode and decode turn structs into bytes and back, the rest is names and
 * folders. */
#ifndef CF_STORE_GENERATION_H
#define CF_STORE_GENERATION_H

#include "common/base/album.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/home.h"

enum { CF_GENERATION_MARKS_MAX = 65536, CF_GENERATION_HIDDEN_MAX = 1 << 24, CF_GENERATION_TAG_BYTES = 28 };

struct cf_generation_mark {
    struct cf_str shard; /* "descriptor-0" */
    uint64_t log_seq;    /* everything up to and including this was seen by the build */
};

struct cf_generation {
    struct cf_str space;
    uint32_t space_version;
    uint64_t generation; /* from 1 */
    uint64_t base;       /* 0: whole; otherwise small, and the number of the whole one that it adds to */
    uint64_t
        built_ms; /* wall clock when its view of the shards was taken; published is the file's own time */
    struct cf_generation_mark *marks;
    size_t mark_count;
    struct cf_str
        *hidden; /* albums of the base that are not to be found: removed, flagged, or without a vector */
    size_t hidden_count;
};

/* Appends the attachment to `out`. CF_E_INVALID for more marks or hidden albums than allowed, or hidden ones
 * in a whole generation; CF_E_NO_MEMORY. Any thread. */
enum cf_err cf_generation_encode(const struct cf_generation *generation, struct cf_buf *out,
                                 struct cf_detail *detail) CF_MUST_CHECK;
/* Strings borrow from `bytes`, lists come from the arena. CF_E_CORRUPT, CF_E_BAD_VERSION, CF_E_NO_MEMORY. Any
 * thread. */
enum cf_err cf_generation_decode(struct cf_bytes bytes, struct cf_arena *arena,
                                 struct cf_generation *generation, struct cf_detail *detail) CF_MUST_CHECK;
/* The mark of a shard; 0 when the generation knows nothing of it. */
uint64_t cf_generation_mark(const struct cf_generation *generation, struct cf_str shard);

struct cf_generation_tag {
    struct cf_version version;
    uint32_t shard; /* position in the generation's marks */
    uint32_t labels[CF_LABEL_COUNT];
};
void cf_generation_tag_encode(const struct cf_generation_tag *tag, uint8_t bytes[CF_GENERATION_TAG_BYTES]);
/* CF_E_CORRUPT for another length. */
enum cf_err cf_generation_tag_decode(struct cf_bytes bytes, struct cf_generation_tag *tag,
                                     struct cf_detail *detail) CF_MUST_CHECK;

/* The file of a whole generation; CF_E_INVALID when it does not fit into `size`. Creates nothing. */
enum cf_err cf_generation_path(const struct cf_home *home, const char *space, uint64_t generation, char *path,
                               size_t size, struct cf_detail *detail) CF_MUST_CHECK;
/* The same of the small one that adds to `base`. */
enum cf_err cf_generation_small_path(const struct cf_home *home, const char *space, uint64_t generation,
                                     uint64_t base, char *path, size_t size,
                                     struct cf_detail *detail) CF_MUST_CHECK;
/* The newest whole generation with a file that is older than `before` (0: the newest of all), so that
 * somebody who finds one damaged can ask for the one before it. CF_E_NOT_FOUND when there is none, or no
 * folder yet. */
enum cf_err cf_generation_newest(const struct cf_home *home, const char *space, uint64_t before,
                                 uint64_t *generation, struct cf_detail *detail) CF_MUST_CHECK;
/* The same among the small ones of `base`. */
enum cf_err cf_generation_newest_small(const struct cf_home *home, const char *space, uint64_t base,
                                       uint64_t before, uint64_t *generation,
                                       struct cf_detail *detail) CF_MUST_CHECK;
/* The newest small one that is older than `before` (0: of all) and whose base has no file; also which base
 * that is. CF_E_NOT_FOUND for none. */
enum cf_err cf_generation_stray(const struct cf_home *home, const char *space, uint64_t before,
                                uint64_t *generation, uint64_t *base, struct cf_detail *detail) CF_MUST_CHECK;
/* Remembers, beside the folder of the space, that this number was given away: it is never given again, also
 * when the files are deleted. On disk when it returns. */
enum cf_err cf_generation_reserve(const struct cf_home *home, const char *space, uint64_t generation,
                                  struct cf_detail *detail) CF_MUST_CHECK;
/* The highest number given away; 0 for none. CF_E_CORRUPT. */
enum cf_err cf_generation_reserved(const struct cf_home *home, const char *space, uint64_t *generation,
                                   struct cf_detail *detail) CF_MUST_CHECK;
enum { CF_GENERATION_KEEP_MAX = 100 };
/* Of the whole generations not newer than `newest`, keeps the newest `keep` (at most CF_GENERATION_KEEP_MAX);
 * of the small ones, the newest `keep` of the newest of these and the newest one of each other. Deletes the
 * rest of both. What is newer than `newest`, or adds to one that is, stays; readers that mapped a file keep
 * their mapping. */
enum cf_err cf_generation_prune(const struct cf_home *home, const char *space, uint64_t newest, size_t keep,
                                struct cf_detail *detail) CF_MUST_CHECK;
/* Deletes what a builder that was killed left unfinished: whatever begins like an index and does not end like
 * one. Only while nobody builds. */
enum cf_err cf_generation_sweep(const struct cf_home *home, const char *space,
                                struct cf_detail *detail) CF_MUST_CHECK;

#endif
