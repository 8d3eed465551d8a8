/* A shard: where described albums come to rest. One RocksDB a descriptor slot, written by its owner, followed
 * by others as secondaries. Column families: `albums` id -> record, `vectors` (space, space version, id) ->
 * float32, `thumbs` id -> 64x64 JPEG, `log` local sequence -> id. Each album has exactly one log entry a
 * shard, the newest: replacing an album deletes its older entry, so the log is no longer than the shard. A
 * removal is a record without vectors. Last writer wins by version across shards; that merge is the reader's
 * (cf_shards_*). */
#ifndef CF_STORE_SHARD_H
#define CF_STORE_SHARD_H

#include "common/base/album.h"
#include "common/base/arena.h"
#include "common/store/kv.h"

struct cf_shard;

struct cf_vector_name {
    struct cf_str space;
    uint32_t space_version;
};

/* The record of an album at rest. Spans borrow: from the caller when written, from the arena when read. */
struct cf_shard_album {
    struct cf_version version;
    bool removed;
    uint32_t flags;         /* enum cf_flag */
    uint64_t log_seq;       /* set by cf_shard_put */
    uint64_t stored_ms;     /* wall clock */
    uint32_t width, height; /* of the cover as it came */
    uint8_t sha256[32];
    struct cf_str source; /* "bytes" or the path */
    struct cf_str *warnings;
    size_t warning_count;
    struct cf_pair *meta;
    size_t meta_count;
    struct cf_vector_name
        *vectors; /* those that lie beside the record; set when read, by cf_shard_put not looked at */
    size_t vector_count;
};

struct cf_shard_vector {
    struct cf_str space;
    uint32_t space_version;
    const float *values;
    size_t dim;
};

/* The owner's side; one thread. Creates the folder when missing; CF_E_LOCKED when another process owns it. */
enum cf_err cf_shard_open(const char *path, struct cf_shard **shard, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_shard_open_secondary(const char *path, const char *private_path, struct cf_shard **shard,
                                    struct cf_detail *detail) CF_MUST_CHECK;
/* As cf_kv_verify: also that a secondary of it shows all that its owner sees. */
enum cf_err cf_shard_verify(const char *path, const char *private_path,
                            struct cf_detail *detail) CF_MUST_CHECK;
void cf_shard_free(struct cf_shard *shard); /* takes NULL */

/* Adds to the open batch and sets album->log_seq. A version that is older than the one in the shard is
 * refused with CF_E_SUPERSEDED; the same version again is written again under a new log entry only if it
 * differs in `removed`, otherwise CF_OK with the log_seq it has (idempotent). After CF_E_NO_MEMORY the batch
 * must be rolled back; after the other failures it is as it was. */
enum cf_err cf_shard_put(struct cf_shard *shard, struct cf_str id, struct cf_shard_album *album,
                         const struct cf_shard_vector *vectors, size_t vector_count, struct cf_bytes thumb,
                         struct cf_detail *detail) CF_MUST_CHECK;
/* Adds to the open batch: more vectors of an album at rest, under a new log entry, so that whoever follows
 * the log sees them. The record, its version, its thumbnail and its other vectors stay, but for those named
 * in `drop`. CF_E_NOT_FOUND; CF_E_SUPERSEDED when the shard has another version of it, or a removal. After
 * CF_E_NO_MEMORY the batch must be rolled back. */
enum cf_err cf_shard_add(struct cf_shard *shard, struct cf_str id, struct cf_version version,
                         const struct cf_shard_vector *vectors, size_t vector_count,
                         const struct cf_vector_name *drop, size_t drop_count,
                         struct cf_detail *detail) CF_MUST_CHECK;
/* One synced write. On failure nothing of the batch is kept, and the shard refuses to be written until it is
 * opened again (as cf_kv_commit says). */
enum cf_err cf_shard_commit(struct cf_shard *shard, struct cf_detail *detail) CF_MUST_CHECK;
/* Empties the open batch. */
void cf_shard_rollback(struct cf_shard *shard);

enum cf_err cf_shard_catch_up(struct cf_shard *shard, struct cf_detail *detail) CF_MUST_CHECK;
/* Of a secondary: the log is whole up to here. What lies behind is visible too, but may have holes: a
 * catch-up that meets the primary retiring a write-ahead log misses the end of that one until the next
 * catch-up. Whoever keeps a position or promises coverage does it by this number. */
uint64_t cf_shard_settled(const struct cf_shard *shard);

/* CF_E_NOT_FOUND when this shard does not know the album. */
enum cf_err cf_shard_album(struct cf_shard *shard, struct cf_str id, struct cf_arena *arena,
                           struct cf_shard_album *album, struct cf_detail *detail) CF_MUST_CHECK;
/* Exactly `dim` floats into `out`; CF_E_NOT_FOUND (also for a removed album), CF_E_CORRUPT for another
 * length. */
enum cf_err cf_shard_vector(struct cf_shard *shard, struct cf_str id, struct cf_str space,
                            uint32_t space_version, float *out, size_t dim,
                            struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_shard_thumb(struct cf_shard *shard, struct cf_str id, struct cf_buf *out,
                           struct cf_detail *detail) CF_MUST_CHECK;

/* Log entries with sequence > `after`, in order; stops when `entry` returns something other than CF_OK and
 * returns that. */
typedef enum cf_err cf_shard_log_entry(void *arg, uint64_t log_seq, struct cf_str id);
enum cf_err cf_shard_log(struct cf_shard *shard, uint64_t after, cf_shard_log_entry *entry, void *arg,
                         struct cf_detail *detail) CF_MUST_CHECK;
/* All albums of this shard in id order, as committed or caught up with when the walk began. One thread a
 * walk; gone before its shard. `next` gives borrowed values, good until the next call, or CF_E_NOT_FOUND at
 * the end. */
struct cf_shard_walk;
enum cf_err cf_shard_walk_new(struct cf_shard *shard, struct cf_shard_walk **walk,
                              struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_shard_walk_next(struct cf_shard_walk *walk, struct cf_str *id, struct cf_shard_album *album,
                               struct cf_detail *detail) CF_MUST_CHECK;
/* The same of the albums behind `after`, which need not be one. */
enum cf_err cf_shard_walk_after(struct cf_shard *shard, struct cf_str after, struct cf_shard_walk **walk,
                                struct cf_detail *detail) CF_MUST_CHECK;
/* From the next album on, also the vectors of this space: both lie in id order, so that one look through them
 * costs far less than a search for each. Once, before the first `next`. CF_E_NO_MEMORY, CF_E_IO,
 * CF_E_CORRUPT. */
enum cf_err cf_shard_walk_with(struct cf_shard_walk *walk, struct cf_str space, uint32_t space_version,
                               struct cf_detail *detail) CF_MUST_CHECK;
/* As cf_shard_vector, of the album that `next` gave last; of a walk with vectors. */
enum cf_err cf_shard_walk_vector(struct cf_shard_walk *walk, float *out, size_t dim,
                                 struct cf_detail *detail) CF_MUST_CHECK;
void cf_shard_walk_free(struct cf_shard_walk *walk); /* takes NULL */

/* Whether the log names as many albums as there are records: CF_E_CORRUPT when parts of the shard went back
 * in time without the others. Reads every key of both. */
enum cf_err cf_shard_check(struct cf_shard *shard, struct cf_detail *detail) CF_MUST_CHECK;
/* Whether the record says that this vector lies beside it. */
bool cf_shard_album_has(const struct cf_shard_album *album, struct cf_str space, uint32_t space_version);

/* The last log sequence; 0 for an empty shard. */
enum cf_err cf_shard_log_last(struct cf_shard *shard, uint64_t *log_seq,
                              struct cf_detail *detail) CF_MUST_CHECK;

#endif
