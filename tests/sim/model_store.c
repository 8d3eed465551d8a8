#include "tests/sim/model_store.h"

#include <stdlib.h>
#include <uthash.h>

#include "broker/journal_tables.h"

enum family { META, JOBS, PAYLOAD, ALBUMS, DEAD, QUARANTINE, FAMILY_COUNT };

struct entry {
    UT_hash_handle hh;
    uint8_t *value;
    size_t value_len, key_len;
    uint8_t key[];
};

/* How to undo one write: the value before, or none. */
struct undo {
    enum family family;
    uint8_t *key, *value;
    size_t key_len, value_len;
    bool existed;
    uint64_t commit; /* 0 while the batch is open, else the number of its commit */
};

struct model {
    struct entry *families[FAMILY_COUNT];
    struct undo *undo; /* since the last sync */
    size_t undo_count, undo_capacity;
    uint64_t commits;
    enum cf_err fail;
    struct cf_buf buf;
};

static void *copy(const void *data, size_t len)
{
    void *memory = malloc(len ? len : 1);
    CF_CHECK(memory);
    if (len)
        memcpy(memory, data, len);
    return memory;
}

static struct entry *find(struct model *model, enum family family, struct cf_bytes key)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, model->families[family], key.data, (unsigned)key.len, entry);
    return entry;
}

static void set_raw(struct model *model, enum family family, struct cf_bytes key,
                    const struct cf_bytes *value)
{
    struct entry *entry = find(model, family, key);
    if (entry) {
        HASH_DEL(model->families[family], entry);
        free(entry->value);
        free(entry);
    }
    if (!value)
        return;
    entry = calloc(1, sizeof *entry + key.len);
    CF_CHECK(entry);
    memcpy(entry->key, key.data, key.len);
    entry->key_len = key.len;
    entry->value = copy(value->data, value->len);
    entry->value_len = value->len;
    HASH_ADD(hh, model->families[family], key, (unsigned)key.len, entry);
}

static void set(struct model *model, enum family family, struct cf_bytes key, const struct cf_bytes *value)
{
    if (model->undo_count == model->undo_capacity) {
        model->undo_capacity = model->undo_capacity ? model->undo_capacity * 2 : 256;
        model->undo = realloc(model->undo, model->undo_capacity * sizeof *model->undo);
        CF_CHECK(model->undo);
    }
    const struct entry *old = find(model, family, key);
    model->undo[model->undo_count++] = (struct undo){
        .family = family,
        .key = copy(key.data, key.len),
        .key_len = key.len,
        .existed = old != NULL,
        .value = old ? copy(old->value, old->value_len) : NULL,
        .value_len = old ? old->value_len : 0,
    };
    set_raw(model, family, key, value);
}

static void undo_free(struct undo *undo)
{
    free(undo->key);
    free(undo->value);
}

static void undo_last(struct model *model)
{
    struct undo *undo = &model->undo[--model->undo_count];
    struct cf_bytes value = {undo->value, undo->value_len};
    set_raw(model, undo->family, (struct cf_bytes){undo->key, undo->key_len}, undo->existed ? &value : NULL);
    undo_free(undo);
}

void model_commit(struct model *model, bool sync)
{
    model->commits++;
    for (size_t i = model->undo_count; i-- > 0 && model->undo[i].commit == 0;)
        model->undo[i].commit = model->commits;
    if (!sync)
        return;
    for (size_t i = 0; i < model->undo_count; i++)
        undo_free(&model->undo[i]);
    model->undo_count = 0;
}

void model_rollback(struct model *model)
{
    while (model->undo_count && model->undo[model->undo_count - 1].commit == 0)
        undo_last(model);
}

void model_crash(struct model *model, struct cf_rng *rng, bool power_cut)
{
    model_rollback(model);
    if (power_cut && model->undo_count) {
        uint64_t first = model->undo[0].commit;
        uint64_t kept = first + cf_rng_below(rng, model->commits - first + 2) - 1; /* none to all */
        while (model->undo_count && model->undo[model->undo_count - 1].commit > kept)
            undo_last(model);
    }
    model_commit(model, true);
}

void model_fail(struct model *model, enum cf_err err)
{
    model->fail = err;
}

/* ---- the door ---- */

struct key8 {
    uint8_t bytes[8];
};

static struct key8 key_of(uint64_t seq)
{
    struct key8 key;
    for (int i = 0; i < 8; i++)
        key.bytes[i] = (uint8_t)(seq >> (56 - 8 * i));
    return key;
}

static struct cf_bytes key_bytes(const struct key8 *key)
{
    return (struct cf_bytes){key->bytes, 8};
}

static struct cf_bytes str_bytes(struct cf_str text)
{
    return (struct cf_bytes){(const uint8_t *)text.data, text.len};
}

static enum cf_err put(struct model *model, enum family family, struct cf_bytes key,
                       const struct cf_table *table, const void *record, struct cf_detail *detail)
{
    if (model->fail)
        return cf_fail(detail, model->fail, "the model's disk fails");
    cf_buf_clear(&model->buf);
    enum cf_err err = cf_record_encode(table, record, &model->buf, detail);
    struct cf_bytes value = cf_buf_bytes(&model->buf);
    if (!err)
        set(model, family, key, &value);
    return err;
}

static enum cf_err get(struct model *model, enum family family, struct cf_bytes key,
                       const struct cf_table *table, struct cf_arena *arena, void *record,
                       struct cf_detail *detail)
{
    const struct entry *entry = find(model, family, key);
    if (!entry)
        return cf_fail(detail, CF_E_NOT_FOUND, "no such key");
    struct cf_bytes value = cf_arena_bytes(arena, (struct cf_bytes){entry->value, entry->value_len});
    return cf_record_decode(table, value, arena, record, detail);
}

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
    set(arg, ALBUMS, str_bytes(id), NULL);
}

static enum cf_err job_put(void *arg, uint64_t seq, const struct cf_job_record *job, bool dead,
                           struct cf_detail *detail)
{
    struct key8 key = key_of(seq);
    return put(arg, dead ? DEAD : JOBS, key_bytes(&key), &cf_journal_job_table, job, detail);
}

static enum cf_err job_get(void *arg, uint64_t seq, bool dead, struct cf_arena *arena,
                           struct cf_job_record *job, struct cf_detail *detail)
{
    struct key8 key = key_of(seq);
    return get(arg, dead ? DEAD : JOBS, key_bytes(&key), &cf_journal_job_table, arena, job, detail);
}

static void job_delete(void *arg, uint64_t seq, bool dead)
{
    struct key8 key = key_of(seq);
    set(arg, dead ? DEAD : JOBS, key_bytes(&key), NULL);
}

static void payload_put(void *arg, uint64_t seq, struct cf_bytes bytes)
{
    struct key8 key = key_of(seq);
    set(arg, PAYLOAD, key_bytes(&key), &bytes);
}

static enum cf_err payload_get(void *arg, uint64_t seq, struct cf_arena *arena, struct cf_bytes *bytes,
                               struct cf_detail *detail)
{
    struct key8 key = key_of(seq);
    const struct entry *entry = find(arg, PAYLOAD, key_bytes(&key));
    if (!entry)
        return cf_fail(detail, CF_E_NOT_FOUND, "no such picture");
    *bytes = cf_arena_bytes(arena, (struct cf_bytes){entry->value, entry->value_len});
    return CF_OK;
}

static void payload_delete(void *arg, uint64_t seq)
{
    struct key8 key = key_of(seq);
    set(arg, PAYLOAD, key_bytes(&key), NULL);
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
    set(arg, QUARANTINE, sha256, NULL);
}

static enum cf_err meta_put(void *arg, const struct cf_meta_record *meta, struct cf_detail *detail)
{
    const struct cf_journal_meta record = {.format = CF_JOURNAL_FORMAT, .meta = *meta};
    return put(arg, META, str_bytes(cf_str("meta")), &cf_journal_meta_table, &record, detail);
}

static enum cf_err meta_get(void *arg, struct cf_arena *arena, struct cf_meta_record *meta,
                            struct cf_detail *detail)
{
    struct cf_journal_meta record = {0};
    enum cf_err err =
        get(arg, META, str_bytes(cf_str("meta")), &cf_journal_meta_table, arena, &record, detail);
    if (!err)
        *meta = record.meta;
    return err;
}

static int compare_keys(const void *a, const void *b)
{
    const struct entry *left = *(struct entry *const *)a, *right = *(struct entry *const *)b;
    size_t len = left->key_len < right->key_len ? left->key_len : right->key_len;
    int order = memcmp(left->key, right->key, len);
    return order ? order : (left->key_len > right->key_len) - (left->key_len < right->key_len);
}

struct walk {
    const struct cf_table *table;
    uint64_t after;
    cf_each_album *each_album;
    cf_each_job *each_job;
    cf_each_quarantine *each_quarantine;
    void *arg;
};

static enum cf_err walk_one(const struct walk *walk, struct cf_bytes key, struct cf_bytes value,
                            struct cf_arena *arena, struct cf_detail *detail)
{
    union {
        struct cf_album_record album;
        struct cf_job_record job;
        struct cf_quarantine_record quarantine;
    } record;
    memset(&record, 0, sizeof record);
    struct cf_cursor cursor = cf_cursor(key);
    enum cf_err err = cf_record_decode(walk->table, value, arena, &record, detail);
    if (err)
        return err;
    if (walk->each_album)
        return walk->each_album(walk->arg, (struct cf_str){(const char *)key.data, key.len}, &record.album);
    if (walk->each_quarantine)
        return walk->each_quarantine(walk->arg, key, &record.quarantine);
    uint64_t seq = cf_cursor_u64_be(&cursor);
    return seq > walk->after ? walk->each_job(walk->arg, seq, &record.job) : CF_OK;
}

/* The callback must not write to this family. */
static enum cf_err walk_family(struct model *model, enum family family, const struct walk *walk,
                               struct cf_detail *detail)
{
    size_t count = HASH_COUNT(model->families[family]), n = 0;
    struct entry **entries = calloc(count + 1, sizeof *entries);
    struct cf_arena *arena = cf_arena_new();
    enum cf_err err = CF_OK;
    CF_CHECK(entries && arena);
    for (struct entry *entry = model->families[family]; entry; entry = entry->hh.next)
        entries[n++] = entry;
    qsort(entries, count, sizeof(struct entry *), compare_keys);
    for (size_t i = 0; i < count && !err; i++) {
        cf_arena_reset(arena);
        struct cf_bytes key = cf_arena_bytes(arena, (struct cf_bytes){entries[i]->key, entries[i]->key_len});
        struct cf_bytes value =
            cf_arena_bytes(arena, (struct cf_bytes){entries[i]->value, entries[i]->value_len});
        err = walk_one(walk, key, value, arena, detail);
    }
    cf_arena_free(arena);
    free(entries);
    return err;
}

static enum cf_err each_album(void *arg, cf_each_album *each, void *each_arg, struct cf_detail *detail)
{
    const struct walk walk = {.table = &cf_journal_album_table, .each_album = each, .arg = each_arg};
    return walk_family(arg, ALBUMS, &walk, detail);
}

static enum cf_err each_job(void *arg, bool dead, uint64_t after, cf_each_job *each, void *each_arg,
                            struct cf_detail *detail)
{
    const struct walk walk = {
        .table = &cf_journal_job_table, .after = after, .each_job = each, .arg = each_arg};
    return walk_family(arg, dead ? DEAD : JOBS, &walk, detail);
}

static enum cf_err each_quarantine(void *arg, cf_each_quarantine *each, void *each_arg,
                                   struct cf_detail *detail)
{
    const struct walk walk = {
        .table = &cf_journal_quarantine_table, .each_quarantine = each, .arg = each_arg};
    return walk_family(arg, QUARANTINE, &walk, detail);
}

struct cf_store model_store(struct model *model)
{
    return (struct cf_store){
        .arg = model,
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

struct model *model_new(uint64_t epoch)
{
    struct model *model = calloc(1, sizeof *model);
    CF_CHECK(model);
    cf_buf_init(&model->buf);
    const struct cf_meta_record meta = {.epoch = epoch};
    CF_CHECK(meta_put(model, &meta, NULL) == CF_OK);
    model_commit(model, true);
    return model;
}

void model_free(struct model *model)
{
    model_commit(model, true);
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        struct entry *entry, *next;
        HASH_ITER(hh, model->families[i], entry, next)
        {
            HASH_DEL(model->families[i], entry);
            free(entry->value);
            free(entry);
        }
    }
    free(model->undo);
    cf_buf_fini(&model->buf);
    free(model);
}

size_t model_job_count(const struct model *model)
{
    return HASH_COUNT(model->families[JOBS]);
}

size_t model_dead_count(const struct model *model)
{
    return HASH_COUNT(model->families[DEAD]);
}

size_t model_payload_count(const struct model *model)
{
    return HASH_COUNT(model->families[PAYLOAD]);
}

size_t model_album_count(const struct model *model)
{
    return HASH_COUNT(model->families[ALBUMS]);
}

size_t model_quarantine_count(const struct model *model)
{
    return HASH_COUNT(model->families[QUARANTINE]);
}
