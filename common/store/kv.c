#include "common/store/kv.h"

#include <fcntl.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/home.h"

enum { FAMILIES_MAX = 16 };

/* Measured: with a small limit an idle family does not pin old logs, and a secondary's catch-up stays short.
 */
static const size_t wal_bytes_max_default = 8u << 20;
static const size_t write_buffer_bytes_default = 16u << 20;
static const size_t cache_bytes = 8u << 20;
static const size_t reading_cache_bytes = 64u << 20;
static const size_t readahead_bytes = 1u << 20;
static const int primary_files_max = 512;

struct cf_kv {
    char *path;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *own_cache; /* NULL: the one that secondaries share */
    rocksdb_block_based_table_options_t *table;
    rocksdb_column_family_handle_t *handles[FAMILIES_MAX + 1]; /* ours, then "default" */
    size_t family_count;
    rocksdb_readoptions_t *reading, *scanning;
    rocksdb_writeoptions_t *writing;
    rocksdb_writebatch_wi_t *batch;
    _Atomic(unsigned long) writer; /* the thread with an open batch, 0 for none */
    enum cf_err failed;            /* of the first write that failed */
    struct cf_detail failed_detail;
};

enum mode { PRIMARY, SECONDARY, READ_ONLY };

struct cf_kv_iter {
    struct cf_kv *kv;
    rocksdb_iterator_t *cursor;
};

/* ---- RocksDB's strings ---- */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum cf_err err_of(const char *text)
{
    if (strstr(text, "No space left on device") || strstr(text, "Disk quota exceeded"))
        return CF_E_DISK_FULL;
    if (strstr(text, "While lock file") || strstr(text, "lock hold by current process"))
        return CF_E_LOCKED;
    if (has_prefix(text, "Corruption"))
        return CF_E_CORRUPT;
    if (strstr(text, "No such file or directory"))
        return CF_E_NOT_FOUND;
    if (has_prefix(text, "Invalid argument")) /* families, comparator: not a database of this kind */
        return CF_E_CORRUPT;
    return CF_E_IO;
}

/* Takes the string. */
static enum cf_err fail(struct cf_detail *detail, const char *path, char *text)
{
    enum cf_err err = err_of(text);
    if (err == CF_E_LOCKED)
        (void)cf_fail(detail, err, "%.250s: another process has it open", path);
    else
        (void)cf_fail(detail, err, "%.120s: %.180s", path, text);
    rocksdb_free(text);
    return err;
}

/* Empty spans may have no address; RocksDB wants one. */
static const char *text_of(struct cf_bytes bytes)
{
    return bytes.len ? (const char *)bytes.data : "";
}

/* ---- opening ---- */

static rocksdb_options_t *make_options(const struct cf_kv_options *wanted, enum mode mode,
                                       rocksdb_block_based_table_options_t *table)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, mode == PRIMARY);
    rocksdb_options_set_create_missing_column_families(options, mode == PRIMARY);
    size_t buffer = wanted->write_buffer_bytes ? wanted->write_buffer_bytes : write_buffer_bytes_default;
    rocksdb_options_set_write_buffer_size(options, buffer);
    rocksdb_options_set_max_total_wal_size(options, wanted->wal_bytes_max ? wanted->wal_bytes_max
                                                                          : wal_bytes_max_default);
    rocksdb_options_set_wal_recovery_mode(options, rocksdb_point_in_time_recovery);
    rocksdb_options_set_manifest_preallocation_size(options, 64u << 10);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    /* The disk takes tables as they are written: a whole one at its end would have everybody's reads behind it. */
    rocksdb_options_set_bytes_per_sync(options, 256u << 10);
    rocksdb_options_set_block_based_table_factory(options, table);
    /* A thread a file at every catch-up costs more than it gains. */
    rocksdb_options_set_max_file_opening_threads(options, 1);
    /* A secondary keeps its files open: the primary may delete them under it at any time. Whoever verifies
     * opens them all. */
    rocksdb_options_set_max_open_files(options, mode == PRIMARY ? primary_files_max : -1);
    rocksdb_options_set_info_log_level(options, 2 /* warnings */);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_max_log_file_size(options, 1u << 20);
    return options;
}

/* Secondaries of a process share one, so that its size is no matter of how many shards there are. */
static rocksdb_cache_t *reading_cache;

static void make_reading_cache(void)
{
    reading_cache = rocksdb_cache_create_lru(reading_cache_bytes);
}

static rocksdb_cache_t *cache_of(struct cf_kv *kv, enum mode mode)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (mode != SECONDARY) {
        kv->own_cache = rocksdb_cache_create_lru(cache_bytes);
        return kv->own_cache;
    }
    int failed = pthread_once(&once, make_reading_cache);
    CF_CHECK(!failed);
    return reading_cache;
}

static void make_settings(struct cf_kv *kv, const struct cf_kv_options *wanted, enum mode mode)
{
    kv->table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(kv->table, cache_of(kv, mode));
    /* The table takes the filter over. */
    rocksdb_block_based_options_set_filter_policy(kv->table, rocksdb_filterpolicy_create_bloom_full(10));
    kv->options = make_options(wanted, mode, kv->table);
    kv->reading = rocksdb_readoptions_create();
    kv->scanning = rocksdb_readoptions_create();
    rocksdb_readoptions_set_readahead_size(kv->scanning, readahead_bytes);
    rocksdb_readoptions_set_fill_cache(kv->scanning, 0);
    kv->writing = rocksdb_writeoptions_create();
    kv->batch = rocksdb_writebatch_wi_create(0, 1);
}

static enum cf_err open_families(struct cf_kv *kv, const struct cf_kv_options *wanted, enum mode mode,
                                 const char *private_path, struct cf_detail *detail)
{
    const char *names[FAMILIES_MAX + 1];
    const rocksdb_options_t *options[FAMILIES_MAX + 1];
    for (size_t i = 0; i <= wanted->family_count; i++) {
        names[i] = i < wanted->family_count ? wanted->families[i] : "default";
        options[i] = kv->options;
    }
    int count = (int)wanted->family_count + 1;
    char *text = NULL;
    if (mode == READ_ONLY)
        kv->db = rocksdb_open_for_read_only_column_families(kv->options, kv->path, count, names, options,
                                                            kv->handles, 0, &text);
    else if (mode == SECONDARY)
        kv->db = rocksdb_open_as_secondary_column_families(kv->options, kv->path, private_path, count, names,
                                                           options, kv->handles, &text);
    else
        kv->db =
            rocksdb_open_column_families(kv->options, kv->path, count, names, options, kv->handles, &text);
    if (text) {
        kv->db = NULL; /* its value means nothing beside an error */
        return fail(detail, kv->path, text);
    }
    kv->family_count = wanted->family_count;
    return CF_OK;
}

/* A power cut must not take the folder itself away. */
static enum cf_err sync_parent(const char *path, struct cf_detail *detail)
{
    char parent[CF_HOME_PATH_MAX];
    snprintf(parent, sizeof parent, "%s/..", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cf_fail_errno(detail, parent);
    enum cf_err err = fsync(fd) == 0 ? CF_OK : cf_fail_errno(detail, parent);
    close(fd);
    return err;
}

static enum cf_err open_any(const char *path, enum mode mode, const char *private_path,
                            const struct cf_kv_options *options, struct cf_kv **out, struct cf_detail *detail)
{
    CF_CHECK(options->family_count <= FAMILIES_MAX);
    if (strlen(path) > CF_HOME_PATH_MAX - 4)
        return cf_fail(detail, CF_E_INVALID, "%.200s…: the path is too long", path);
    enum cf_err err = cf_file_make_dirs(private_path ? private_path : path, detail);
    if (err != CF_OK)
        return err;
    struct cf_kv *kv = calloc(1, sizeof *kv);
    if (!kv)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to open it", path);
    kv->path = strdup(path);
    make_settings(kv, options, mode);
    if (mode == READ_ONLY) /* its log would push the owner's aside */
        rocksdb_options_set_db_log_dir(kv->options, private_path);
    if (!kv->path)
        err = cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to open it", path);
    if (err == CF_OK)
        err = open_families(kv, options, mode, private_path, detail);
    if (err == CF_OK && mode == PRIMARY)
        err = sync_parent(path, detail);
    if (err != CF_OK) {
        cf_kv_free(kv);
        return err;
    }
    *out = kv;
    return CF_OK;
}

enum cf_err cf_kv_open(const char *path, const struct cf_kv_options *options, struct cf_kv **kv,
                       struct cf_detail *detail)
{
    return open_any(path, PRIMARY, NULL, options, kv, detail);
}

enum cf_err cf_kv_open_secondary(const char *path, const char *private_path,
                                 const struct cf_kv_options *options, struct cf_kv **kv,
                                 struct cf_detail *detail)
{
    return open_any(path, SECONDARY, private_path, options, kv, detail);
}

enum cf_err cf_kv_verify(const char *path, const char *private_path, const struct cf_kv_options *options,
                         struct cf_detail *detail)
{
    struct cf_kv *kv = NULL;
    enum cf_err err = open_any(path, READ_ONLY, private_path, options, &kv, detail);
    if (err == CF_OK)
        cf_kv_free(kv);
    return err;
}

void cf_kv_free(struct cf_kv *kv)
{
    if (!kv)
        return;
    if (kv->db) {
        for (size_t i = 0; i <= kv->family_count; i++)
            rocksdb_column_family_handle_destroy(kv->handles[i]);
        rocksdb_close(kv->db);
    }
    rocksdb_writebatch_wi_destroy(kv->batch);
    rocksdb_writeoptions_destroy(kv->writing);
    rocksdb_readoptions_destroy(kv->reading);
    rocksdb_readoptions_destroy(kv->scanning);
    rocksdb_options_destroy(kv->options);
    rocksdb_block_based_options_destroy(kv->table);
    if (kv->own_cache)
        rocksdb_cache_destroy(kv->own_cache);
    free(kv->path);
    free(kv);
}

/* ---- reading ---- */

static enum cf_err append_value(struct cf_kv *kv, struct cf_buf *out, const char *value, size_t len,
                                struct cf_detail *detail)
{
    cf_buf_append(out, value, len);
    return cf_buf_ok(out) ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to read it", kv->path);
}

static enum cf_err get_with_batch(struct cf_kv *kv, size_t family, struct cf_bytes key, struct cf_buf *out,
                                  struct cf_detail *detail)
{
    char *text = NULL;
    size_t len = 0;
    char *value = rocksdb_writebatch_wi_get_from_batch_and_db_cf(
        kv->batch, kv->db, kv->reading, kv->handles[family], text_of(key), key.len, &len, &text);
    if (text)
        return fail(detail, kv->path, text);
    if (!value)
        return cf_fail(detail, CF_E_NOT_FOUND, "%.200s: no such key", kv->path);
    enum cf_err err = append_value(kv, out, value, len, detail);
    rocksdb_free(value);
    return err;
}

static enum cf_err get_committed(struct cf_kv *kv, size_t family, struct cf_bytes key, struct cf_buf *out,
                                 struct cf_detail *detail)
{
    char *text = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned_cf(kv->db, kv->reading, kv->handles[family], text_of(key), key.len, &text);
    if (text)
        return fail(detail, kv->path, text);
    if (!slice)
        return cf_fail(detail, CF_E_NOT_FOUND, "%.200s: no such key", kv->path);
    size_t len = 0;
    const char *value = rocksdb_pinnableslice_value(slice, &len);
    enum cf_err err = append_value(kv, out, value, len, detail);
    rocksdb_pinnableslice_destroy(slice);
    return err;
}

enum cf_err cf_kv_get(struct cf_kv *kv, size_t family, struct cf_bytes key, struct cf_buf *out,
                      struct cf_detail *detail)
{
    CF_CHECK(family < kv->family_count);
    if (atomic_load_explicit(&kv->writer, memory_order_relaxed) == (unsigned long)pthread_self())
        return get_with_batch(kv, family, key, out, detail);
    return get_committed(kv, family, key, out, detail);
}

/* ---- writing ---- */

void cf_kv_put(struct cf_kv *kv, size_t family, struct cf_bytes key, struct cf_bytes value)
{
    CF_CHECK(family < kv->family_count);
    atomic_store_explicit(&kv->writer, (unsigned long)pthread_self(), memory_order_relaxed);
    rocksdb_writebatch_wi_put_cf(kv->batch, kv->handles[family], text_of(key), key.len, text_of(value),
                                 value.len);
}

void cf_kv_delete(struct cf_kv *kv, size_t family, struct cf_bytes key)
{
    CF_CHECK(family < kv->family_count);
    atomic_store_explicit(&kv->writer, (unsigned long)pthread_self(), memory_order_relaxed);
    rocksdb_writebatch_wi_delete_cf(kv->batch, kv->handles[family], text_of(key), key.len);
}

size_t cf_kv_batch_count(const struct cf_kv *kv)
{
    return (size_t)rocksdb_writebatch_wi_count(kv->batch);
}

void cf_kv_rollback(struct cf_kv *kv)
{
    rocksdb_writebatch_wi_clear(kv->batch);
    atomic_store_explicit(&kv->writer, 0, memory_order_relaxed);
}

enum cf_err cf_kv_commit(struct cf_kv *kv, bool sync, struct cf_detail *detail)
{
    char *text = NULL;
    if (kv->failed == CF_OK && cf_kv_batch_count(kv) > 0) {
        rocksdb_writeoptions_set_sync(kv->writing, sync);
        rocksdb_write_writebatch_wi(kv->db, kv->writing, kv->batch, &text);
        if (text)
            kv->failed = fail(&kv->failed_detail, kv->path, text);
    }
    cf_kv_rollback(kv);
    if (kv->failed != CF_OK && detail)
        *detail = kv->failed_detail;
    return kv->failed;
}

enum cf_err cf_kv_sync(struct cf_kv *kv, struct cf_detail *detail)
{
    char *text = NULL;
    rocksdb_flush_wal(kv->db, 1, &text);
    return text ? fail(detail, kv->path, text) : CF_OK;
}

enum cf_err cf_kv_catch_up(struct cf_kv *kv, struct cf_detail *detail)
{
    char *text = NULL;
    rocksdb_try_catch_up_with_primary(kv->db, &text);
    return text ? fail(detail, kv->path, text) : CF_OK;
}

/* ---- walking ---- */

static enum cf_err new_iter(struct cf_kv *kv, const rocksdb_readoptions_t *how, size_t family,
                            struct cf_bytes from, struct cf_kv_iter **out, struct cf_detail *detail)
{
    CF_CHECK(family < kv->family_count);
    struct cf_kv_iter *iter = calloc(1, sizeof *iter);
    if (!iter)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to read it", kv->path);
    iter->kv = kv;
    iter->cursor = rocksdb_create_iterator_cf(kv->db, how, kv->handles[family]);
    cf_kv_iter_seek(iter, from);
    enum cf_err err = cf_kv_iter_error(iter, detail);
    if (err != CF_OK) {
        cf_kv_iter_free(iter);
        return err;
    }
    *out = iter;
    return CF_OK;
}

enum cf_err cf_kv_iter_new(struct cf_kv *kv, size_t family, struct cf_bytes from, struct cf_kv_iter **out,
                           struct cf_detail *detail)
{
    return new_iter(kv, kv->reading, family, from, out, detail);
}

enum cf_err cf_kv_scan_new(struct cf_kv *kv, size_t family, struct cf_bytes from, struct cf_kv_iter **out,
                           struct cf_detail *detail)
{
    return new_iter(kv, kv->scanning, family, from, out, detail);
}

bool cf_kv_iter_valid(const struct cf_kv_iter *iter)
{
    return rocksdb_iter_valid(iter->cursor);
}

void cf_kv_iter_next(struct cf_kv_iter *iter)
{
    rocksdb_iter_next(iter->cursor);
}

void cf_kv_iter_seek(struct cf_kv_iter *iter, struct cf_bytes from)
{
    if (from.len == 0)
        rocksdb_iter_seek_to_first(iter->cursor);
    else
        rocksdb_iter_seek(iter->cursor, text_of(from), from.len);
}

void cf_kv_iter_seek_last(struct cf_kv_iter *iter)
{
    rocksdb_iter_seek_to_last(iter->cursor);
}

struct cf_bytes cf_kv_iter_key(const struct cf_kv_iter *iter)
{
    size_t len = 0;
    const char *data = rocksdb_iter_key(iter->cursor, &len);
    return (struct cf_bytes){(const uint8_t *)data, len};
}

struct cf_bytes cf_kv_iter_value(const struct cf_kv_iter *iter)
{
    size_t len = 0;
    const char *data = rocksdb_iter_value(iter->cursor, &len);
    return (struct cf_bytes){(const uint8_t *)data, len};
}

enum cf_err cf_kv_iter_error(const struct cf_kv_iter *iter, struct cf_detail *detail)
{
    char *text = NULL;
    rocksdb_iter_get_error(iter->cursor, &text);
    return text ? fail(detail, iter->kv->path, text) : CF_OK;
}

void cf_kv_iter_free(struct cf_kv_iter *iter)
{
    if (!iter)
        return;
    rocksdb_iter_destroy(iter->cursor);
    free(iter);
}
