#include "broker/journal.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/journal_tables.h"
#include "common/base/file.h"
#include "common/store/kv.h"

enum family { META, JOBS, PAYLOAD, ALBUMS, DEAD, QUARANTINE, FAMILY_COUNT };
enum { ENTRY_BYTES = 16 }; /* of the batch around a key and a value */
/* Nobody follows a journal, so its log may be longer than a shard's: a picture whose album is described
 * before its buffer is written out never comes to a table. Writing one out must fit
 * broker.disk_reserve_bytes. */
enum { WAL_BYTES_MAX = 24 << 20 };

static const char *const family_names[FAMILY_COUNT] = {"meta",   "jobs", "payload",
                                                       "albums", "dead", "quarantine"};

struct cf_journal {
    struct cf_kv *kv;
    struct cf_buf value;    /* of one record on its way to or from disk */
    struct cf_arena *arena; /* of one record in a walk */
    size_t batch_bytes;
    char path[CF_HOME_PATH_MAX];
    char epoch_path[CF_HOME_PATH_MAX];
};

static const struct cf_bytes meta_key = {(const uint8_t *)"meta", 4};

/* ---- keys and records ---- */

struct seq_key {
    uint8_t bytes[8];
};

static struct seq_key seq_key(uint64_t seq)
{
    struct seq_key key;
    for (int i = 0; i < 8; i++)
        key.bytes[i] = (uint8_t)(seq >> (56 - 8 * i));
    return key;
}

static uint64_t seq_of(struct cf_bytes key)
{
    struct cf_cursor cursor = cf_cursor(key);
    return cf_cursor_u64_be(&cursor);
}

static struct cf_bytes key_bytes(const struct seq_key *key)
{
    return (struct cf_bytes){key->bytes, sizeof key->bytes};
}

static struct cf_bytes str_bytes(struct cf_str text)
{
    return (struct cf_bytes){(const uint8_t *)text.data, text.len};
}

static void batch_put(struct cf_journal *journal, enum family family, struct cf_bytes key,
                      struct cf_bytes value)
{
    cf_kv_put(journal->kv, family, key, value);
    journal->batch_bytes += key.len + value.len + ENTRY_BYTES;
}

static void batch_delete(struct cf_journal *journal, enum family family, struct cf_bytes key)
{
    cf_kv_delete(journal->kv, family, key);
    journal->batch_bytes += key.len + ENTRY_BYTES;
}

static enum cf_err put(struct cf_journal *journal, enum family family, struct cf_bytes key,
                       const struct cf_table *table, const void *record, struct cf_detail *detail)
{
    cf_buf_clear(&journal->value);
    enum cf_err err = cf_record_encode(table, record, &journal->value, detail);
    if (!err)
        batch_put(journal, family, key, cf_buf_bytes(&journal->value));
    return err;
}

/* Damage of a record is damage of the journal, whatever the codec calls it. */
static enum cf_err decode(struct cf_journal *journal, const struct cf_table *table, struct cf_bytes value,
                          struct cf_arena *arena, void *record, struct cf_detail *detail)
{
    struct cf_detail why = {0};
    enum cf_err err = cf_record_decode(table, value, arena, record, &why);
    if (err == CF_E_INVALID)
        return cf_fail(detail, CF_E_CORRUPT, "the journal %.120s is damaged: %.160s", journal->path,
                       why.text);
    if (err && detail)
        *detail = why;
    return err;
}

static enum cf_err get_bytes(struct cf_journal *journal, enum family family, struct cf_bytes key,
                             struct cf_arena *arena, struct cf_bytes *out, struct cf_detail *detail)
{
    cf_buf_clear(&journal->value);
    enum cf_err err = cf_kv_get(journal->kv, family, key, &journal->value, detail);
    if (err)
        return err;
    struct cf_bytes copy = cf_arena_bytes(arena, cf_buf_bytes(&journal->value));
    if (!copy.data)
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    *out = copy;
    return CF_OK;
}

static enum cf_err get(struct cf_journal *journal, enum family family, struct cf_bytes key,
                       const struct cf_table *table, struct cf_arena *arena, void *record,
                       struct cf_detail *detail)
{
    struct cf_bytes value;
    enum cf_err err = get_bytes(journal, family, key, arena, &value, detail);
    return err ? err : decode(journal, table, value, arena, record, detail);
}

/* ---- the door ---- */

static enum cf_err album_get(void *arg, struct cf_str id, struct cf_arena *arena,
                             struct cf_album_record *album, struct cf_detail *detail)
{
    return get(arg, ALBUMS, str_bytes(id), &cf_journal_album_table, arena, album, detail);
}

static enum cf_err album_put(void *arg, struct cf_str id, const struct cf_album_record *album,
                             struct cf_detail *detail)
{
    return put(arg, ALBUMS, str_bytes(id), &cf_journal_album_table, album, detail);
}

static void album_delete(void *arg, struct cf_str id)
{
    struct cf_journal *journal = arg;
    batch_delete(journal, ALBUMS, str_bytes(id));
}

static enum cf_err job_put(void *arg, uint64_t seq, const struct cf_job_record *job, bool dead,
                           struct cf_detail *detail)
{
    struct seq_key key = seq_key(seq);
    return put(arg, dead ? DEAD : JOBS, key_bytes(&key), &cf_journal_job_table, job, detail);
}

static enum cf_err job_get(void *arg, uint64_t seq, bool dead, struct cf_arena *arena,
                           struct cf_job_record *job, struct cf_detail *detail)
{
    struct seq_key key = seq_key(seq);
    return get(arg, dead ? DEAD : JOBS, key_bytes(&key), &cf_journal_job_table, arena, job, detail);
}

static void job_delete(void *arg, uint64_t seq, bool dead)
{
    struct cf_journal *journal = arg;
    struct seq_key key = seq_key(seq);
    batch_delete(journal, dead ? DEAD : JOBS, key_bytes(&key));
}

static void payload_put(void *arg, uint64_t seq, struct cf_bytes bytes)
{
    struct cf_journal *journal = arg;
    struct seq_key key = seq_key(seq);
    batch_put(journal, PAYLOAD, key_bytes(&key), bytes);
}

static enum cf_err payload_get(void *arg, uint64_t seq, struct cf_arena *arena, struct cf_bytes *bytes,
                               struct cf_detail *detail)
{
    struct seq_key key = seq_key(seq);
    enum cf_err err = get_bytes(arg, PAYLOAD, key_bytes(&key), arena, bytes, detail);
    if (err == CF_E_NOT_FOUND)
        (void)cf_fail(detail, err, "the journal has lost the picture of job %llu", (unsigned long long)seq);
    return err;
}

static void payload_delete(void *arg, uint64_t seq)
{
    struct cf_journal *journal = arg;
    struct seq_key key = seq_key(seq);
    batch_delete(journal, PAYLOAD, key_bytes(&key));
}

static enum cf_err quarantine_put(void *arg, struct cf_bytes sha256,
                                  const struct cf_quarantine_record *record, struct cf_detail *detail)
{
    return put(arg, QUARANTINE, sha256, &cf_journal_quarantine_table, record, detail);
}

static enum cf_err quarantine_get(void *arg, struct cf_bytes sha256, struct cf_arena *arena,
                                  struct cf_quarantine_record *record, struct cf_detail *detail)
{
    return get(arg, QUARANTINE, sha256, &cf_journal_quarantine_table, arena, record, detail);
}

static void quarantine_delete(void *arg, struct cf_bytes sha256)
{
    struct cf_journal *journal = arg;
    batch_delete(journal, QUARANTINE, sha256);
}

static enum cf_err meta_put(void *arg, const struct cf_meta_record *meta, struct cf_detail *detail)
{
    const struct cf_journal_meta record = {.format = CF_JOURNAL_FORMAT, .meta = *meta};
    return put(arg, META, meta_key, &cf_journal_meta_table, &record, detail);
}

static enum cf_err meta_get(void *arg, struct cf_arena *arena, struct cf_meta_record *meta,
                            struct cf_detail *detail)
{
    struct cf_journal *journal = arg;
    struct cf_journal_meta record = {0};
    enum cf_err err = get(journal, META, meta_key, &cf_journal_meta_table, arena, &record, detail);
    if (err)
        return err;
    if (record.format != CF_JOURNAL_FORMAT)
        return cf_fail(detail, CF_E_BAD_VERSION, "the journal %.150s has format %llu: this program reads %d",
                       journal->path, (unsigned long long)record.format, CF_JOURNAL_FORMAT);
    *meta = record.meta;
    return CF_OK;
}

/* ---- walks ---- */

struct walk {
    struct cf_journal *journal;
    cf_each_album *each_album; /* one of the three */
    cf_each_job *each_job;
    cf_each_quarantine *each_quarantine;
    void *arg;
};

static enum cf_err walk_one(struct walk *walk, struct cf_bytes key, struct cf_bytes value,
                            struct cf_detail *detail)
{
    struct cf_journal *journal = walk->journal;
    union {
        struct cf_album_record album;
        struct cf_job_record job;
        struct cf_quarantine_record quarantine;
    } record;
    const struct cf_table *table = walk->each_album ? &cf_journal_album_table
                                   : walk->each_job ? &cf_journal_job_table
                                                    : &cf_journal_quarantine_table;
    memset(&record, 0, sizeof record);
    cf_arena_reset(journal->arena);
    enum cf_err err = decode(journal, table, value, journal->arena, &record, detail);
    if (err)
        return err;
    if (walk->each_album)
        return walk->each_album(walk->arg, (struct cf_str){(const char *)key.data, key.len}, &record.album);
    return walk->each_job ? walk->each_job(walk->arg, seq_of(key), &record.job)
                          : walk->each_quarantine(walk->arg, key, &record.quarantine);
}

static enum cf_err walk_family(struct walk *walk, enum family family, struct cf_bytes from,
                               struct cf_detail *detail)
{
    struct cf_kv_iter *iter = NULL;
    /* Iterators see what is committed; what this batch promises is told when the wake's own sync is done.
     */
    enum cf_err err = cf_journal_commit(walk->journal, false, detail);
    if (!err)
        err = cf_kv_iter_new(walk->journal->kv, family, from, &iter, detail);
    if (err)
        return err;
    for (; !err && cf_kv_iter_valid(iter); cf_kv_iter_next(iter))
        err = walk_one(walk, cf_kv_iter_key(iter), cf_kv_iter_value(iter), detail);
    if (!err)
        err = cf_kv_iter_error(iter, detail);
    cf_kv_iter_free(iter);
    return err;
}

static enum cf_err each_album(void *arg, cf_each_album *each, void *each_arg, struct cf_detail *detail)
{
    struct walk walk = {.journal = arg, .each_album = each, .arg = each_arg};
    return walk_family(&walk, ALBUMS, (struct cf_bytes){0}, detail);
}

static enum cf_err each_job(void *arg, bool dead, uint64_t after, cf_each_job *each, void *each_arg,
                            struct cf_detail *detail)
{
    struct walk walk = {.journal = arg, .each_job = each, .arg = each_arg};
    if (after == UINT64_MAX)
        return CF_OK;
    struct seq_key from = seq_key(after + 1);
    return walk_family(&walk, dead ? DEAD : JOBS, key_bytes(&from), detail);
}

static enum cf_err each_quarantine(void *arg, cf_each_quarantine *each, void *each_arg,
                                   struct cf_detail *detail)
{
    struct walk walk = {.journal = arg, .each_quarantine = each, .arg = each_arg};
    return walk_family(&walk, QUARANTINE, (struct cf_bytes){0}, detail);
}

struct cf_store cf_journal_store(struct cf_journal *journal)
{
    return (struct cf_store){
        .arg = journal,
        .album_get = album_get,
        .album_put = album_put,
        .album_delete = album_delete,
        .job_put = job_put,
        .job_get = job_get,
        .job_delete = job_delete,
        .payload_put = payload_put,
        .payload_get = payload_get,
        .payload_delete = payload_delete,
        .meta_put = meta_put,
        .meta_get = meta_get,
        .quarantine_put = quarantine_put,
        .quarantine_get = quarantine_get,
        .quarantine_delete = quarantine_delete,
        .each_album = each_album,
        .each_job = each_job,
        .each_quarantine = each_quarantine,
    };
}

/* ---- life ---- */

static enum cf_err read_epoch(struct cf_journal *journal, uint64_t *epoch, struct cf_detail *detail)
{
    char *end = NULL;
    cf_buf_clear(&journal->value);
    enum cf_err err = cf_file_read(journal->epoch_path, 64, &journal->value, detail);
    if (err == CF_E_NOT_FOUND) {
        *epoch = 0;
        return CF_OK;
    }
    if (err)
        return err;
    cf_buf_u8(&journal->value, 0);
    if (!cf_buf_ok(&journal->value))
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    *epoch = strtoull((const char *)journal->value.data, &end, 10);
    if (end == (const char *)journal->value.data || *end != '\n')
        return cf_fail(detail, CF_E_CORRUPT, "%.200s does not hold a number", journal->epoch_path);
    return CF_OK;
}

static enum cf_err write_epoch(struct cf_journal *journal, uint64_t epoch, struct cf_detail *detail)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%llu\n", (unsigned long long)epoch);
    return cf_file_publish(journal->epoch_path, (struct cf_bytes){(const uint8_t *)text, (size_t)len},
                           detail);
}

/* New, or older than what lay here before: then its numbers could have been given out already, and a new
 * epoch makes new versions newer than all. The file first: an epoch that was chosen is never chosen again. */
static enum cf_err settle_epoch(struct cf_journal *journal, uint64_t wall_ms, struct cf_detail *detail)
{
    struct cf_meta_record meta = {0};
    uint64_t remembered = 0;
    enum cf_err err = read_epoch(journal, &remembered, detail);
    if (err)
        return err;
    err = meta_get(journal, journal->arena, &meta, detail);
    if (err && err != CF_E_NOT_FOUND)
        return err;
    if (!err && meta.epoch >= remembered)
        return meta.epoch == remembered ? CF_OK : write_epoch(journal, meta.epoch, detail);
    meta.epoch = wall_ms / 1000 > remembered ? wall_ms / 1000 : remembered + 1;
    err = write_epoch(journal, meta.epoch, detail);
    if (!err)
        err = meta_put(journal, &meta, detail);
    return err ? err : cf_journal_commit(journal, true, detail);
}

static enum cf_err open_at(struct cf_journal *journal, const struct cf_home *home, uint64_t wall_ms,
                           struct cf_detail *detail)
{
    const struct cf_kv_options options = {
        .families = family_names, .family_count = FAMILY_COUNT, .wal_bytes_max = WAL_BYTES_MAX};
    cf_buf_init(&journal->value);
    journal->arena = cf_arena_new();
    if (!journal->arena)
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    enum cf_err err = cf_home_path(home, journal->path, sizeof journal->path, detail, "data/journal");
    if (!err)
        err = cf_home_path(home, journal->epoch_path, sizeof journal->epoch_path, detail, "data/epoch");
    if (!err)
        err = cf_kv_open(journal->path, &options, &journal->kv, detail);
    if (err == CF_E_LOCKED)
        return cf_fail(detail, err, "another broker runs on this home: it holds %.200s", journal->path);
    return err ? err : settle_epoch(journal, wall_ms, detail);
}

enum cf_err cf_journal_open(const struct cf_home *home, uint64_t wall_ms, struct cf_journal **out,
                            struct cf_detail *detail)
{
    struct cf_journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return cf_fail(detail, CF_E_NO_MEMORY, "memory is short");
    enum cf_err err = open_at(journal, home, wall_ms, detail);
    if (err) {
        cf_journal_free(journal);
        return err;
    }
    *out = journal;
    return CF_OK;
}

void cf_journal_free(struct cf_journal *journal)
{
    if (!journal)
        return;
    cf_kv_free(journal->kv);
    cf_buf_fini(&journal->value);
    cf_arena_free(journal->arena);
    free(journal);
}

enum cf_err cf_journal_commit(struct cf_journal *journal, bool sync, struct cf_detail *detail)
{
    journal->batch_bytes = 0;
    return cf_kv_batch_count(journal->kv) ? cf_kv_commit(journal->kv, sync, detail) : CF_OK;
}

enum cf_err cf_journal_sync(struct cf_journal *journal, struct cf_detail *detail)
{
    return cf_kv_sync(journal->kv, detail);
}

size_t cf_journal_batch_bytes(const struct cf_journal *journal)
{
    return journal->batch_bytes;
}
