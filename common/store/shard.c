#include "common/store/shard.h"

#include <stdlib.h>

#include "common/store/album_record.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vectors lie in shards as little-endian floats");

enum family { ALBUMS, VECTORS, THUMBS, LOG, FAMILY_COUNT };
static const char *const family_names[FAMILY_COUNT] = {"albums", "vectors", "thumbs", "log"};
static const struct cf_kv_options kv_options = {.families = family_names, .family_count = FAMILY_COUNT};

struct cf_shard {
    char *path;
    struct cf_kv *kv;
    /* The owner's: */
    struct cf_arena *arena;
    struct cf_buf key, value;
    uint64_t log_last; /* of the open batch */
    uint64_t log_last_committed;
    uint64_t settled; /* of a secondary */
};

struct cf_shard_walk {
    struct cf_shard *shard;
    struct cf_kv_iter *iter;
    struct cf_arena *arena;
    bool started;
    struct cf_kv_iter *vectors; /* NULL: without */
    struct cf_buf key;          /* the vector's; the first `prefix` bytes are the space's */
    size_t prefix;
};

static struct cf_bytes id_key(struct cf_str id)
{
    return (struct cf_bytes){(const uint8_t *)id.data, id.len};
}

/* u8 length of the space, space, u32 big-endian space version, id: a space's vectors lie together, in id
 * order. */
static void append_vector_key(struct cf_buf *key, struct cf_str space, uint32_t space_version,
                              struct cf_str id)
{
    cf_buf_u8(key, (uint8_t)space.len);
    cf_buf_append(key, space.data, space.len);
    for (int shift = 24; shift >= 0; shift -= 8)
        cf_buf_u8(key, (uint8_t)(space_version >> shift));
    cf_buf_append(key, id.data, id.len);
}

static enum cf_err no_memory(const struct cf_shard *shard, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory", shard->path);
}

/* ---- opening ---- */

static enum cf_err open_any(const char *path, const char *private_path, struct cf_shard **out,
                            struct cf_detail *detail)
{
    struct cf_shard *shard = calloc(1, sizeof *shard);
    if (!shard)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to open it", path);
    cf_buf_init(&shard->key);
    cf_buf_init(&shard->value);
    shard->path = strdup(path);
    shard->arena = cf_arena_new();
    enum cf_err err = CF_OK;
    if (!shard->path || !shard->arena)
        err = cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to open it", path);
    else if (private_path)
        err = cf_kv_open_secondary(path, private_path, &kv_options, &shard->kv, detail);
    else
        err = cf_kv_open(path, &kv_options, &shard->kv, detail);
    if (err == CF_OK && private_path)
        err = cf_shard_catch_up(shard, detail);
    else if (err == CF_OK)
        err = cf_shard_log_last(shard, &shard->log_last, detail);
    shard->log_last_committed = shard->log_last;
    if (err != CF_OK) {
        cf_shard_free(shard);
        return err;
    }
    *out = shard;
    return CF_OK;
}

enum cf_err cf_shard_open(const char *path, struct cf_shard **shard, struct cf_detail *detail)
{
    return open_any(path, NULL, shard, detail);
}

enum cf_err cf_shard_open_secondary(const char *path, const char *private_path, struct cf_shard **shard,
                                    struct cf_detail *detail)
{
    return open_any(path, private_path, shard, detail);
}

enum cf_err cf_shard_verify(const char *path, const char *private_path, struct cf_detail *detail)
{
    return cf_kv_verify(path, private_path, &kv_options, detail);
}

void cf_shard_free(struct cf_shard *shard)
{
    if (!shard)
        return;
    cf_kv_free(shard->kv);
    cf_buf_fini(&shard->value);
    cf_buf_fini(&shard->key);
    cf_arena_free(shard->arena);
    free(shard->path);
    free(shard);
}

/* ---- writing ---- */

static enum cf_err put_number(struct cf_shard *shard, uint64_t log_seq, struct cf_str id)
{
    cf_buf_clear(&shard->key);
    cf_buf_u64_be(&shard->key, log_seq);
    if (!cf_buf_ok(&shard->key))
        return CF_E_NO_MEMORY;
    if (id.len)
        cf_kv_put(shard->kv, LOG, cf_buf_bytes(&shard->key), id_key(id));
    else
        cf_kv_delete(shard->kv, LOG, cf_buf_bytes(&shard->key));
    return CF_OK;
}

static enum cf_err put_vector(struct cf_shard *shard, struct cf_str id, struct cf_str space,
                              uint32_t space_version, const struct cf_shard_vector *vector)
{
    cf_buf_clear(&shard->key);
    append_vector_key(&shard->key, space, space_version, id);
    if (!cf_buf_ok(&shard->key))
        return CF_E_NO_MEMORY;
    if (vector)
        cf_kv_put(shard->kv, VECTORS, cf_buf_bytes(&shard->key),
                  (struct cf_bytes){(const uint8_t *)vector->values, vector->dim * sizeof *vector->values});
    else
        cf_kv_delete(shard->kv, VECTORS, cf_buf_bytes(&shard->key));
    return CF_OK;
}

/* What the older record leaves behind: its log entry, its thumbnail, vectors that are not written again. */
static enum cf_err delete_older(struct cf_shard *shard, struct cf_str id, const struct cf_album_record *older)
{
    enum cf_err err = put_number(shard, older->album.log_seq, (struct cf_str){0});
    for (size_t i = 0; i < older->vector_count && err == CF_OK; i++)
        err = put_vector(shard, id, older->vectors[i].space, older->vectors[i].space_version, NULL);
    if (err == CF_OK)
        cf_kv_delete(shard->kv, THUMBS, id_key(id));
    return err;
}

static enum cf_err put_record(struct cf_shard *shard, struct cf_str id, const struct cf_shard_album *album,
                              const struct cf_shard_vector *vectors, size_t vector_count)
{
    struct cf_album_record record = {.album = *album, .vector_count = vector_count};
    record.vectors = cf_arena_alloc(shard->arena, vector_count, sizeof *record.vectors);
    if (!record.vectors)
        return CF_E_NO_MEMORY;
    for (size_t i = 0; i < vector_count; i++)
        record.vectors[i] = (struct cf_vector_name){vectors[i].space, vectors[i].space_version};
    cf_buf_clear(&shard->value);
    cf_album_record_encode(&record, &shard->value);
    if (!cf_buf_ok(&shard->value))
        return CF_E_NO_MEMORY;
    cf_kv_put(shard->kv, ALBUMS, id_key(id), cf_buf_bytes(&shard->value));
    return CF_OK;
}

static enum cf_err put_all(struct cf_shard *shard, struct cf_str id, const struct cf_shard_album *album,
                           const struct cf_shard_vector *vectors, size_t vector_count, struct cf_bytes thumb)
{
    enum cf_err err = put_record(shard, id, album, vectors, vector_count);
    for (size_t i = 0; i < vector_count && err == CF_OK; i++)
        err = put_vector(shard, id, vectors[i].space, vectors[i].space_version, &vectors[i]);
    if (err == CF_OK && thumb.len)
        cf_kv_put(shard->kv, THUMBS, id_key(id), thumb);
    return err == CF_OK ? put_number(shard, album->log_seq, id) : err;
}

static enum cf_err read_record(struct cf_shard *shard, struct cf_str id, struct cf_arena *arena,
                               struct cf_album_record *record, struct cf_detail *detail)
{
    struct cf_buf value;
    cf_buf_init(&value);
    enum cf_err err = cf_kv_get(shard->kv, ALBUMS, id_key(id), &value, detail);
    struct cf_bytes copy = {0};
    if (err == CF_OK) {
        copy = cf_arena_bytes(arena, cf_buf_bytes(&value));
        err = copy.data ? CF_OK : no_memory(shard, detail);
    }
    cf_buf_fini(&value);
    if (err == CF_OK)
        err = cf_album_record_decode(copy, arena, record, detail);
    return err;
}

static struct cf_shard_album whole_album(const struct cf_album_record *record)
{
    struct cf_shard_album album = record->album;
    album.vectors = record->vectors;
    album.vector_count = record->vector_count;
    return album;
}

static enum cf_err check_put(const struct cf_shard *shard, struct cf_str id,
                             const struct cf_shard_vector *vectors, size_t vector_count,
                             struct cf_detail *detail)
{
    enum cf_err err = cf_album_check(id, detail);
    for (size_t i = 0; i < vector_count && err == CF_OK; i++)
        if (vectors[i].space.len == 0 || vectors[i].space.len > UINT8_MAX || vectors[i].dim == 0)
            err = cf_fail(detail, CF_E_INVALID, "%.200s: a vector without a name or values", shard->path);
    return err;
}

enum cf_err cf_shard_put(struct cf_shard *shard, struct cf_str id, struct cf_shard_album *album,
                         const struct cf_shard_vector *vectors, size_t vector_count, struct cf_bytes thumb,
                         struct cf_detail *detail)
{
    enum cf_err err = check_put(shard, id, vectors, vector_count, detail);
    if (err != CF_OK)
        return err;
    cf_arena_reset(shard->arena);
    struct cf_album_record older;
    err = read_record(shard, id, shard->arena, &older, detail);
    if (err != CF_OK && err != CF_E_NOT_FOUND)
        return err;
    if (err == CF_OK) {
        int order = cf_version_compare(album->version, older.album.version);
        if (order < 0)
            return cf_fail(detail, CF_E_SUPERSEDED, "the shard has version %llu.%llu of the album already",
                           (unsigned long long)older.album.version.epoch,
                           (unsigned long long)older.album.version.seq);
        if (order == 0 && album->removed == older.album.removed) {
            album->log_seq = older.album.log_seq;
            return CF_OK;
        }
        err = delete_older(shard, id, &older);
        if (err != CF_OK)
            return no_memory(shard, detail);
    }
    album->log_seq = ++shard->log_last;
    err = put_all(shard, id, album, vectors, vector_count, thumb);
    return err == CF_OK ? CF_OK : no_memory(shard, detail);
}

static bool is_named(const struct cf_vector_name *name, const struct cf_vector_name *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].space_version == name->space_version && cf_str_equal(names[i].space, name->space))
            return true;
    return false;
}

/* The names of what rests beside the record afterwards. NULL when memory is short. */
static struct cf_vector_name *merge_names(struct cf_shard *shard, const struct cf_album_record *record,
                                          const struct cf_shard_vector *vectors, size_t vector_count,
                                          const struct cf_vector_name *drop, size_t drop_count, size_t *count)
{
    struct cf_vector_name *names =
        cf_arena_alloc(shard->arena, record->vector_count + vector_count, sizeof *names);
    *count = 0;
    for (size_t i = 0; names && i < record->vector_count; i++)
        if (!is_named(&record->vectors[i], drop, drop_count))
            names[(*count)++] = record->vectors[i];
    for (size_t i = 0; names && i < vector_count; i++) {
        const struct cf_vector_name name = {vectors[i].space, vectors[i].space_version};
        if (!is_named(&name, names, *count))
            names[(*count)++] = name;
    }
    return names;
}

static enum cf_err add_all(struct cf_shard *shard, struct cf_str id, struct cf_album_record *record,
                           const struct cf_shard_vector *vectors, size_t vector_count,
                           const struct cf_vector_name *drop, size_t drop_count)
{
    size_t count = 0;
    struct cf_vector_name *names =
        merge_names(shard, record, vectors, vector_count, drop, drop_count, &count);
    enum cf_err err = names ? put_number(shard, record->album.log_seq, (struct cf_str){0}) : CF_E_NO_MEMORY;
    for (size_t i = 0; i < drop_count && err == CF_OK; i++)
        err = put_vector(shard, id, drop[i].space, drop[i].space_version, NULL);
    for (size_t i = 0; i < vector_count && err == CF_OK; i++)
        err = put_vector(shard, id, vectors[i].space, vectors[i].space_version, &vectors[i]);
    if (err != CF_OK)
        return err;
    record->vectors = names;
    record->vector_count = count;
    record->album.log_seq = ++shard->log_last;
    cf_buf_clear(&shard->value);
    cf_album_record_encode(record, &shard->value);
    if (!cf_buf_ok(&shard->value))
        return CF_E_NO_MEMORY;
    cf_kv_put(shard->kv, ALBUMS, id_key(id), cf_buf_bytes(&shard->value));
    return put_number(shard, record->album.log_seq, id);
}

enum cf_err cf_shard_add(struct cf_shard *shard, struct cf_str id, struct cf_version version,
                         const struct cf_shard_vector *vectors, size_t vector_count,
                         const struct cf_vector_name *drop, size_t drop_count, struct cf_detail *detail)
{
    struct cf_album_record record;
    enum cf_err err = check_put(shard, id, vectors, vector_count, detail);
    if (err != CF_OK)
        return err;
    cf_arena_reset(shard->arena);
    err = read_record(shard, id, shard->arena, &record, detail);
    if (err != CF_OK)
        return err;
    if (record.album.removed || cf_version_compare(version, record.album.version) != 0)
        return cf_fail(detail, CF_E_SUPERSEDED, "the shard has another version of the album");
    err = add_all(shard, id, &record, vectors, vector_count, drop, drop_count);
    return err == CF_OK ? CF_OK : no_memory(shard, detail);
}

enum cf_err cf_shard_commit(struct cf_shard *shard, struct cf_detail *detail)
{
    enum cf_err err = cf_kv_commit(shard->kv, true, detail);
    if (err == CF_OK)
        shard->log_last_committed = shard->log_last;
    else
        shard->log_last = shard->log_last_committed;
    return err;
}

void cf_shard_rollback(struct cf_shard *shard)
{
    cf_kv_rollback(shard->kv);
    shard->log_last = shard->log_last_committed;
}

/* ---- reading ---- */

enum cf_err cf_shard_catch_up(struct cf_shard *shard, struct cf_detail *detail)
{
    uint64_t seen = 0;
    enum cf_err err = cf_shard_log_last(shard, &seen, detail);
    if (err == CF_OK)
        err = cf_kv_catch_up(shard->kv, detail);
    if (err == CF_OK)
        shard->settled = seen;
    return err;
}

uint64_t cf_shard_settled(const struct cf_shard *shard)
{
    return shard->settled;
}

enum cf_err cf_shard_album(struct cf_shard *shard, struct cf_str id, struct cf_arena *arena,
                           struct cf_shard_album *album, struct cf_detail *detail)
{
    struct cf_album_record record;
    enum cf_err err = read_record(shard, id, arena, &record, detail);
    if (err == CF_OK)
        *album = whole_album(&record);
    return err;
}

static enum cf_err copy_values(const struct cf_shard *shard, struct cf_str id, struct cf_str space,
                               struct cf_bytes value, float *out, size_t dim, struct cf_detail *detail)
{
    if (value.len != dim * sizeof *out)
        return cf_fail(detail, CF_E_CORRUPT, "%.160s: the %.*s vector of %.*s has %zu bytes instead of %zu",
                       shard->path, CF_STR_ARG(space), CF_STR_ARG(id), value.len, dim * sizeof *out);
    memcpy(out, value.data, value.len);
    return CF_OK;
}

enum cf_err cf_shard_vector(struct cf_shard *shard, struct cf_str id, struct cf_str space,
                            uint32_t space_version, float *out, size_t dim, struct cf_detail *detail)
{
    struct cf_buf key, value;
    cf_buf_init(&key);
    cf_buf_init(&value);
    append_vector_key(&key, space, space_version, id);
    enum cf_err err = cf_buf_ok(&key) ? CF_OK : no_memory(shard, detail);
    if (err == CF_OK)
        err = cf_kv_get(shard->kv, VECTORS, cf_buf_bytes(&key), &value, detail);
    if (err == CF_OK)
        err = copy_values(shard, id, space, cf_buf_bytes(&value), out, dim, detail);
    cf_buf_fini(&value);
    cf_buf_fini(&key);
    return err;
}

enum cf_err cf_shard_thumb(struct cf_shard *shard, struct cf_str id, struct cf_buf *out,
                           struct cf_detail *detail)
{
    return cf_kv_get(shard->kv, THUMBS, id_key(id), out, detail);
}

/* ---- the log ---- */

static enum cf_err read_number(const struct cf_shard *shard, const struct cf_kv_iter *iter, uint64_t *log_seq,
                               struct cf_detail *detail)
{
    struct cf_cursor cursor = cf_cursor(cf_kv_iter_key(iter));
    uint64_t number = cf_cursor_u64_be(&cursor);
    if (!cf_cursor_ok(&cursor) || cf_cursor_left(&cursor) != 0)
        return cf_fail(detail, CF_E_CORRUPT, "%.200s: a log entry has no number", shard->path);
    *log_seq = number;
    return CF_OK;
}

enum cf_err cf_shard_log(struct cf_shard *shard, uint64_t after, cf_shard_log_entry *entry, void *arg,
                         struct cf_detail *detail)
{
    if (after == UINT64_MAX)
        return CF_OK;
    struct cf_buf from;
    cf_buf_init(&from);
    cf_buf_u64_be(&from, after + 1);
    struct cf_kv_iter *iter = NULL;
    enum cf_err err = cf_buf_ok(&from) ? CF_OK : no_memory(shard, detail);
    if (err == CF_OK)
        err = cf_kv_iter_new(shard->kv, LOG, cf_buf_bytes(&from), &iter, detail);
    for (; err == CF_OK && cf_kv_iter_valid(iter); cf_kv_iter_next(iter)) {
        uint64_t log_seq = 0;
        err = read_number(shard, iter, &log_seq, detail);
        struct cf_bytes id = cf_kv_iter_value(iter);
        if (err == CF_OK)
            err = entry(arg, log_seq, (struct cf_str){(const char *)id.data, id.len});
    }
    if (err == CF_OK)
        err = cf_kv_iter_error(iter, detail);
    cf_kv_iter_free(iter);
    cf_buf_fini(&from);
    return err;
}

enum cf_err cf_shard_log_last(struct cf_shard *shard, uint64_t *log_seq, struct cf_detail *detail)
{
    struct cf_kv_iter *iter = NULL;
    enum cf_err err = cf_kv_iter_new(shard->kv, LOG, (struct cf_bytes){0}, &iter, detail);
    if (err != CF_OK)
        return err;
    cf_kv_iter_seek_last(iter);
    uint64_t last = 0;
    if (cf_kv_iter_valid(iter))
        err = read_number(shard, iter, &last, detail);
    else
        err = cf_kv_iter_error(iter, detail);
    cf_kv_iter_free(iter);
    if (err == CF_OK)
        *log_seq = last;
    return err;
}

static enum cf_err count_keys(struct cf_shard *shard, enum family family, uint64_t *count,
                              struct cf_detail *detail)
{
    struct cf_kv_iter *iter = NULL;
    uint64_t counted = 0;
    enum cf_err err = cf_kv_iter_new(shard->kv, family, (struct cf_bytes){0}, &iter, detail);
    if (err != CF_OK)
        return err;
    for (; cf_kv_iter_valid(iter); cf_kv_iter_next(iter))
        counted++;
    err = cf_kv_iter_error(iter, detail);
    cf_kv_iter_free(iter);
    if (err == CF_OK)
        *count = counted;
    return err;
}

enum cf_err cf_shard_check(struct cf_shard *shard, struct cf_detail *detail)
{
    uint64_t albums = 0, entries = 0;
    enum cf_err err = count_keys(shard, ALBUMS, &albums, detail);
    if (err == CF_OK)
        err = count_keys(shard, LOG, &entries, detail);
    if (err == CF_OK && albums != entries)
        err = cf_fail(detail, CF_E_CORRUPT,
                      "%.160s: %llu albums, but %llu entries of its log: parts of it are lost", shard->path,
                      (unsigned long long)albums, (unsigned long long)entries);
    return err;
}

bool cf_shard_album_has(const struct cf_shard_album *album, struct cf_str space, uint32_t space_version)
{
    for (size_t i = 0; i < album->vector_count; i++)
        if (album->vectors[i].space_version == space_version && cf_str_equal(album->vectors[i].space, space))
            return true;
    return false;
}

/* ---- walking ---- */

static enum cf_err walk_from(struct cf_shard *shard, struct cf_bytes from, struct cf_shard_walk **out,
                             struct cf_detail *detail)
{
    struct cf_shard_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return no_memory(shard, detail);
    walk->shard = shard;
    cf_buf_init(&walk->key);
    walk->arena = cf_arena_new();
    enum cf_err err = walk->arena ? CF_OK : no_memory(shard, detail);
    if (err == CF_OK)
        err = cf_kv_iter_new(shard->kv, ALBUMS, from, &walk->iter, detail);
    if (err != CF_OK) {
        cf_shard_walk_free(walk);
        return err;
    }
    *out = walk;
    return CF_OK;
}

enum cf_err cf_shard_walk_new(struct cf_shard *shard, struct cf_shard_walk **walk, struct cf_detail *detail)
{
    return walk_from(shard, (struct cf_bytes){0}, walk, detail);
}

enum cf_err cf_shard_walk_after(struct cf_shard *shard, struct cf_str after, struct cf_shard_walk **walk,
                                struct cf_detail *detail)
{
    struct cf_buf from;
    cf_buf_init(&from);
    cf_buf_append(&from, after.data, after.len);
    if (after.len)
        cf_buf_u8(&from, 0); /* the next key there can be */
    enum cf_err err =
        cf_buf_ok(&from) ? walk_from(shard, cf_buf_bytes(&from), walk, detail) : no_memory(shard, detail);
    cf_buf_fini(&from);
    return err;
}

enum cf_err cf_shard_walk_next(struct cf_shard_walk *walk, struct cf_str *id, struct cf_shard_album *album,
                               struct cf_detail *detail)
{
    if (walk->started && cf_kv_iter_valid(walk->iter))
        cf_kv_iter_next(walk->iter);
    walk->started = true;
    if (!cf_kv_iter_valid(walk->iter)) {
        enum cf_err err = cf_kv_iter_error(walk->iter, detail);
        return err == CF_OK ? CF_E_NOT_FOUND : err;
    }
    cf_arena_reset(walk->arena);
    struct cf_bytes key = cf_kv_iter_key(walk->iter);
    struct cf_album_record record;
    struct cf_detail why = {""};
    enum cf_err err = cf_album_record_decode(cf_kv_iter_value(walk->iter), walk->arena, &record, &why);
    if (err != CF_OK)
        return cf_fail(detail, err, "%.160s: %.150s", walk->shard->path, why.text);
    *id = (struct cf_str){(const char *)key.data, key.len};
    *album = whole_album(&record);
    return CF_OK;
}

enum cf_err cf_shard_walk_with(struct cf_shard_walk *walk, struct cf_str space, uint32_t space_version,
                               struct cf_detail *detail)
{
    CF_CHECK(!walk->vectors && !walk->started);
    append_vector_key(&walk->key, space, space_version, cf_str(""));
    if (!cf_buf_ok(&walk->key))
        return no_memory(walk->shard, detail);
    walk->prefix = walk->key.len;
    return cf_kv_scan_new(walk->shard->kv, VECTORS, cf_buf_bytes(&walk->key), &walk->vectors, detail);
}

static int compare_keys(struct cf_bytes a, struct cf_bytes b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Past those whose albums were not asked for; whether the wanted one is there. */
static bool find_vector(struct cf_shard_walk *walk)
{
    struct cf_bytes wanted = cf_buf_bytes(&walk->key);
    int order = 1;
    while (cf_kv_iter_valid(walk->vectors) &&
           (order = compare_keys(cf_kv_iter_key(walk->vectors), wanted)) < 0)
        cf_kv_iter_next(walk->vectors);
    return cf_kv_iter_valid(walk->vectors) && order == 0;
}

enum cf_err cf_shard_walk_vector(struct cf_shard_walk *walk, float *out, size_t dim, struct cf_detail *detail)
{
    CF_CHECK(walk->vectors && cf_kv_iter_valid(walk->iter));
    struct cf_bytes id = cf_kv_iter_key(walk->iter);
    walk->key.len = walk->prefix;
    cf_buf_append(&walk->key, id.data, id.len);
    if (!cf_buf_ok(&walk->key))
        return no_memory(walk->shard, detail);
    if (!find_vector(walk)) {
        enum cf_err err = cf_kv_iter_error(walk->vectors, detail);
        return err == CF_OK ? CF_E_NOT_FOUND : err;
    }
    const struct cf_str album = {(const char *)id.data, id.len};
    const struct cf_str space = {(const char *)walk->key.data + 1, walk->key.data[0]};
    return copy_values(walk->shard, album, space, cf_kv_iter_value(walk->vectors), out, dim, detail);
}

void cf_shard_walk_free(struct cf_shard_walk *walk)
{
    if (!walk)
        return;
    cf_kv_iter_free(walk->vectors);
    cf_buf_fini(&walk->key);
    cf_kv_iter_free(walk->iter);
    cf_arena_free(walk->arena);
    free(walk);
}
