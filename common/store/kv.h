/* RocksDB, and the only user of rocksdb/c.h: a database of named column families with the settings that we
 * measured.
 *
 * A primary may be written by one thread at a time and read by any; a secondary follows a primary of another
 * process (private folder, cf_kv_catch_up) and may be read by any thread. RocksDB's strings become cf_err and
 * a sentence: a full disk is CF_E_DISK_FULL, a held lock CF_E_LOCKED, damage or another's database
 * CF_E_CORRUPT, nothing there (a secondary before its primary) CF_E_NOT_FOUND. After a failed write the
 * database refuses further writes, with the same error, until it is opened again; what that write wrote may
 * then turn out to be there. */
#ifndef CF_STORE_KV_H
#define CF_STORE_KV_H

#include "common/base/buf.h"
#include "common/base/err.h"

struct cf_kv;
struct cf_kv_iter;

struct cf_kv_options {
    const char *const
        *families; /* names, the fixed list of this kind of database; a family is its position */
    size_t family_count;
    size_t write_buffer_bytes; /* a family; 0 is 16 MiB */
    size_t wal_bytes_max;      /* of the write-ahead log, beyond which buffers are written out; 0 is 8 MiB */
};

enum cf_err cf_kv_open(const char *path, const struct cf_kv_options *options, struct cf_kv **kv,
                       struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_kv_open_secondary(const char *path, const char *private_path,
                                 const struct cf_kv_options *options, struct cf_kv **kv,
                                 struct cf_detail *detail) CF_MUST_CHECK;
/* Whether every table that a database is made of is there and sound: a secondary passes over those that are
 * not and silently shows an older state, its owner would refuse to open it. Reads tables' indexes only, not
 * their data. A primary that deletes files meanwhile may make it fail for no reason: try again. */
enum cf_err cf_kv_verify(const char *path, const char *private_path, const struct cf_kv_options *options,
                         struct cf_detail *detail) CF_MUST_CHECK;
void cf_kv_free(struct cf_kv *kv); /* takes NULL; iterators must be gone */

/* Appends the value to `out`; CF_E_NOT_FOUND. Sees puts of the open batch of this handle (writer's thread
 * only; on other threads, and on secondaries, what was committed). */
enum cf_err cf_kv_get(struct cf_kv *kv, size_t family, struct cf_bytes key, struct cf_buf *out,
                      struct cf_detail *detail) CF_MUST_CHECK;

/* The open batch: nothing is visible to others before commit, which is atomic. `sync` waits for the disk. */
void cf_kv_put(struct cf_kv *kv, size_t family, struct cf_bytes key, struct cf_bytes value);
void cf_kv_delete(struct cf_kv *kv, size_t family, struct cf_bytes key);
size_t cf_kv_batch_count(const struct cf_kv *kv);
enum cf_err cf_kv_commit(struct cf_kv *kv, bool sync,
                         struct cf_detail *detail) CF_MUST_CHECK; /* empties the batch */
void cf_kv_rollback(struct cf_kv *kv);
/* Waits until the disk has all that was committed before this call. Any thread, beside the writer's commits.
 */
enum cf_err cf_kv_sync(struct cf_kv *kv, struct cf_detail *detail) CF_MUST_CHECK;

enum cf_err cf_kv_catch_up(struct cf_kv *kv, struct cf_detail *detail) CF_MUST_CHECK; /* secondaries */

/* In key order from the first key >= `from`, over committed data. One thread an iterator. */
enum cf_err cf_kv_iter_new(struct cf_kv *kv, size_t family, struct cf_bytes from, struct cf_kv_iter **iter,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* The same for long walks: reads far ahead of itself, and keeps nothing in the cache. */
enum cf_err cf_kv_scan_new(struct cf_kv *kv, size_t family, struct cf_bytes from, struct cf_kv_iter **iter,
                           struct cf_detail *detail) CF_MUST_CHECK;
bool cf_kv_iter_valid(const struct cf_kv_iter *iter);
void cf_kv_iter_next(struct cf_kv_iter *iter);
void cf_kv_iter_seek(struct cf_kv_iter *iter, struct cf_bytes from);
void cf_kv_iter_seek_last(struct cf_kv_iter *iter);              /* the family's last key */
struct cf_bytes cf_kv_iter_key(const struct cf_kv_iter *iter);   /* borrowed until next */
struct cf_bytes cf_kv_iter_value(const struct cf_kv_iter *iter); /* borrowed until next */
enum cf_err cf_kv_iter_error(const struct cf_kv_iter *iter, struct cf_detail *detail) CF_MUST_CHECK;
void cf_kv_iter_free(struct cf_kv_iter *iter);

#endif
