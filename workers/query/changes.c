#include "workers/query/changes.h"

#include "common/base/log.h"

enum cf_err cf_changes_init(struct cf_changes *changes, struct cf_engine *engine, const atomic_bool *stop)
{
    struct cf_arena *arena = cf_arena_new();
    if (!arena)
        return CF_E_NO_MEMORY;
    changes->engine = engine;
    changes->stop = stop;
    changes->arena = arena;
    return CF_OK;
}

void cf_changes_fini(struct cf_changes *changes)
{
    cf_arena_free(changes->arena);
    changes->arena = NULL;
}

/* CF_E_BUSY says that the batch is full and the log is not at its end. */
static enum cf_err take_entry(void *arg, uint64_t log_seq, struct cf_str id)
{
    struct cf_changes *changes = arg;
    if (atomic_load(changes->stop))
        return CF_E_SHUTTING_DOWN;
    if (changes->id_count == CF_CHANGES_BATCH)
        return CF_E_BUSY;
    struct cf_str copy = cf_arena_str(changes->arena, id);
    if (!copy.data)
        return CF_E_NO_MEMORY;
    changes->ids[changes->id_count++] = copy;
    changes->last = log_seq;
    return CF_OK;
}

static void note_damage(struct cf_changes *changes, struct cf_str id, const struct cf_detail *detail)
{
    changes->damaged++;
    if (!changes->quiet)
        cf_log(CF_LOG_ERROR, "album_unreadable", "album=\"%.*s\" detail=\"%s\"", CF_STR_ARG(id),
               detail->text);
}

/* As a row; NULL when the album has no vector in the space. */
static enum cf_err read_row(struct cf_changes *changes, struct cf_shard *shard, struct cf_str id,
                            const struct cf_shard_album *record, const struct cf_space *space,
                            const void **row, struct cf_detail *detail)
{
    if (!cf_shard_album_has(record, cf_str(space->name), space->version))
        return CF_OK; /* described before this space, or this version of it, existed */
    float *values = cf_arena_alloc(changes->arena, space->dim, sizeof *values);
    void *made = cf_arena_alloc(changes->arena, 1, cf_ann_row_bytes(space->dim));
    if (!values || !made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a vector");
    struct cf_detail why = {{0}};
    enum cf_err err =
        cf_shard_vector(shard, id, cf_str(space->name), space->version, values, space->dim, &why);
    if (err == CF_E_NOT_FOUND)
        err = cf_fail(&why, CF_E_CORRUPT, "its %s vector is lost", space->name);
    if (err == CF_OK)
        err = cf_ann_row_encode(values, space->dim, made, &why);
    if (err == CF_E_CORRUPT || err == CF_E_BAD_VECTOR) {
        note_damage(changes, id, &why);
        return CF_OK;
    }
    if (err != CF_OK)
        return cf_fail(detail, err, "%s", why.text);
    *row = made;
    return CF_OK;
}

/* What the index of the space covers needs no vector. */
static bool needs_vector(const struct cf_changes *changes, const struct cf_stage *stage, size_t space,
                         const struct cf_tail_album *album)
{
    if (album->removed || (album->flags & CF_FLAG_CONSTANT))
        return false;
    if (stage)
        return space == cf_stage_space(stage) && album->log_seq > cf_stage_mark(stage, album->shard);
    return album->log_seq > cf_engine_mark(changes->engine, space, album->shard);
}

static enum cf_err read_change(struct cf_changes *changes, struct cf_str id, const struct cf_stage *stage,
                               struct cf_detail *detail)
{
    struct cf_shard_album record;
    uint32_t shard;
    struct cf_detail why = {{0}};
    enum cf_err err = cf_engine_newest(changes->engine, id, changes->arena, &record, &shard, &why);
    if (err == CF_E_NOT_FOUND) /* its log names it */
        err = cf_fail(&why, CF_E_CORRUPT, "its record is lost");
    if (err == CF_E_CORRUPT) {
        note_damage(changes, id, &why);
        return CF_OK;
    }
    if (err != CF_OK)
        return cf_fail(detail, err, "%s", why.text);
    struct cf_engine_change change = {.album = {.id = id,
                                                .version = record.version,
                                                .shard = shard,
                                                .flags = record.flags,
                                                .log_seq = record.log_seq,
                                                .removed = record.removed}};
    cf_labels_of(record.meta, record.meta_count, change.album.labels);
    for (size_t i = cf_space_from(0); err == CF_OK && i < CF_SPACE_COUNT; i = cf_space_from(i + 1))
        if (needs_vector(changes, stage, i, &change.album))
            err = read_row(changes, cf_engine_shard_handle(changes->engine, shard), id, &record,
                           &cf_spaces[i], &change.rows[i], detail);
    if (err == CF_OK)
        changes->changes[changes->change_count++] = change;
    return err;
}

static enum cf_err bring(struct cf_changes *changes, struct cf_stage *stage, struct cf_detail *detail)
{
    if (stage)
        return cf_stage_put(stage, changes->changes, changes->change_count, detail);
    return cf_engine_apply(changes->engine, changes->changes, changes->change_count, detail);
}

enum cf_err cf_changes_follow(struct cf_changes *changes, struct cf_shard *shard, struct cf_stage *stage,
                              uint64_t *position, struct cf_detail *detail)
{
    bool more = true;
    while (more) {
        cf_arena_reset(changes->arena);
        changes->id_count = changes->change_count = 0;
        enum cf_err err = cf_shard_log(shard, *position, take_entry, changes, detail);
        more = err == CF_E_BUSY;
        if (err != CF_OK && !more)
            return err;
        err = CF_OK;
        for (size_t i = 0; err == CF_OK && i < changes->id_count; i++)
            err = read_change(changes, changes->ids[i], stage, detail);
        if (err == CF_OK && changes->change_count)
            err = bring(changes, stage, detail);
        if (err != CF_OK)
            return err;
        if (changes->id_count)
            *position = changes->last;
    }
    return CF_OK;
}
