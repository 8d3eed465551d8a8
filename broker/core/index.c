/* What is in the indexes: generations and watermarks as the indexer publishes them, and per shard the albums
 * that are not in all of them yet. */
#include "broker/core/state.h"

#include <stdio.h>
#include <stdlib.h>

enum { INDEXES_MAX = 64, TAIL_FIRST_CAPACITY = 64 };
#define LOG_SEQ_MAX ((UINT64_C(1) << 62) - 1) /* one bit is ours */

/* ---- tails ---- */

static struct shard *shard_find(struct cf_core *core, struct cf_str name)
{
    struct shard *shard = NULL;
    HASH_FIND(hh, core->shards, name.data, name.len, shard);
    return shard;
}

static uint64_t watermark_of(const struct index *index, struct cf_str shard)
{
    struct watermark *watermark = NULL;
    HASH_FIND(hh, index->watermarks, shard.data, shard.len, watermark);
    return watermark ? watermark->log_seq : 0;
}

static struct index *index_find(const struct cf_core *core, struct cf_str space)
{
    struct index *index;
    DL_FOREACH(core->indexes, index)
    if (cf_str_is(space, index->space))
        return index;
    return NULL;
}

/* Up to where every space has it. */
static uint64_t indexed_to(const struct cf_core *core, struct cf_str shard)
{
    uint64_t least = core->config.space_count ? UINT64_MAX : 0;
    for (size_t i = 0; i < core->config.space_count; i++) {
        const struct index *index = index_find(core, core->config.spaces[i]);
        uint64_t to = index ? watermark_of(index, shard) : 0;
        least = to < least ? to : least;
    }
    return least;
}

static struct shard *shard_get(struct cf_core *core, struct cf_str name)
{
    struct shard *shard = shard_find(core, name);
    if (shard || HASH_COUNT(core->shards) >= CF_CORE_SHARDS_MAX)
        return shard;
    shard = calloc(1, sizeof *shard + name.len);
    if (!shard)
        return NULL;
    memcpy(shard->name, name.data, name.len);
    shard->name_len = name.len;
    shard->indexed_to = indexed_to(core, name);
    HASH_ADD(hh, core->shards, name, (unsigned)name.len, shard);
    if (!shard->hh.tbl) {
        free(shard);
        return NULL;
    }
    return shard;
}

bool tail_has_room(struct cf_core *core, struct cf_str name)
{
    return HASH_COUNT(core->shards) < CF_CORE_SHARDS_MAX || shard_find(core, name);
}

/* The first position in [head, count) whose sequence is >= log_seq. */
static size_t tail_position(const struct shard *shard, uint64_t log_seq)
{
    size_t low = shard->head, high = shard->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (shard->tail[middle] >> 1 < log_seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Drops what is gone or indexed when that is at least half, else grows. */
static enum cf_err tail_make_room(struct shard *shard)
{
    size_t kept = 0;
    for (size_t i = shard->head; i < shard->count; i++)
        kept += !(shard->tail[i] & 1);
    if (shard->capacity && kept <= shard->capacity / 2) {
        size_t to = 0;
        for (size_t i = shard->head; i < shard->count; i++)
            if (!(shard->tail[i] & 1))
                shard->tail[to++] = shard->tail[i];
        shard->head = 0;
        shard->count = to;
        return CF_OK;
    }
    size_t capacity = shard->capacity ? shard->capacity * 2 : TAIL_FIRST_CAPACITY;
    uint64_t *tail = realloc(shard->tail, capacity * sizeof *tail);
    if (!tail)
        return CF_E_NO_MEMORY;
    shard->tail = tail;
    shard->capacity = capacity;
    return CF_OK;
}

enum cf_err tail_add(struct cf_core *core, struct cf_str name, uint64_t log_seq)
{
    struct shard *shard = shard_get(core, name);
    if (!shard)
        return CF_E_NO_MEMORY;
    if (log_seq <= shard->indexed_to) {
        core->albums[CF_STATE_INDEXED]++;
        return CF_OK;
    }
    if (shard->count == shard->capacity && tail_make_room(shard))
        return CF_E_NO_MEMORY;
    core->albums[CF_STATE_DESCRIBED]++;
    if (core->counting) {
        shard->unsorted = true;
        shard->tail[shard->count++] = log_seq << 1;
        return CF_OK;
    }
    size_t at = tail_position(shard, log_seq);
    core->tail_moves += shard->count - at;
    memmove(shard->tail + at + 1, shard->tail + at, (shard->count - at) * sizeof *shard->tail);
    shard->tail[at] = log_seq << 1;
    shard->count++;
    return CF_OK;
}

static int compare_entries(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

void tails_count_begin(struct cf_core *core)
{
    tails_clear(core);
    core->counting = true;
}

void tails_count_end(struct cf_core *core)
{
    core->counting = false;
    for (struct shard *shard = core->shards; shard; shard = shard->hh.next) {
        if (shard->unsorted)
            qsort(shard->tail + shard->head, shard->count - shard->head, sizeof *shard->tail,
                  compare_entries);
        shard->unsorted = false;
    }
}

void tail_remove(struct cf_core *core, struct cf_str name, uint64_t log_seq)
{
    struct shard *shard = shard_find(core, name);
    if (!shard || log_seq <= shard->indexed_to) {
        core->albums[CF_STATE_INDEXED]--;
        return;
    }
    core->albums[CF_STATE_DESCRIBED]--;
    for (size_t i = tail_position(shard, log_seq); i < shard->count && shard->tail[i] >> 1 == log_seq; i++)
        if (!(shard->tail[i] & 1)) {
            shard->tail[i] |= 1;
            return;
        }
}

bool tail_is_indexed(struct cf_core *core, struct cf_str name, uint64_t log_seq)
{
    const struct shard *shard = shard_find(core, name);
    return log_seq <= (shard ? shard->indexed_to : indexed_to(core, name));
}

static void tail_advance(struct cf_core *core, struct shard *shard, uint64_t to)
{
    for (; shard->head < shard->count && shard->tail[shard->head] >> 1 <= to; shard->head++) {
        if (shard->tail[shard->head] & 1)
            continue;
        core->albums[CF_STATE_DESCRIBED]--;
        core->albums[CF_STATE_INDEXED]++;
    }
    shard->indexed_to = to;
}

void tails_clear(struct cf_core *core)
{
    struct shard *shard, *next;
    HASH_ITER(hh, core->shards, shard, next)
    {
        HASH_DEL(core->shards, shard);
        free(shard->tail);
        free(shard);
    }
    core->albums[CF_STATE_DESCRIBED] = core->albums[CF_STATE_INDEXED] = 0;
}

/* ---- indexes ---- */

/* A space of this build. */
bool has_space(const struct cf_core *core, struct cf_str space)
{
    for (size_t i = 0; i < core->config.space_count; i++)
        if (cf_str_equal(core->config.spaces[i], space))
            return true;
    return core->config.late_space.len && cf_str_equal(core->config.late_space, space);
}

enum cf_err fail_unknown_space(const struct cf_core *core, struct cf_str space, struct cf_detail *detail)
{
    char names[160] = "";
    size_t len = 0;
    for (size_t i = 0; i < core->config.space_count && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%.*s", i ? ", " : "",
                                CF_STR_ARG(core->config.spaces[i]));
    return cf_fail(detail, CF_E_UNKNOWN_SPACE, "there is no space \"%.*s\": there are %s", CF_STR_ARG(space),
                   names);
}

static void watermarks_clear(struct watermark **watermarks)
{
    struct watermark *watermark, *next;
    HASH_ITER(hh, *watermarks, watermark, next)
    {
        HASH_DEL(*watermarks, watermark);
        free(watermark);
    }
}

void indexes_clear(struct cf_core *core)
{
    struct index *index, *next;
    DL_FOREACH_SAFE(core->indexes, index, next)
    {
        watermarks_clear(&index->watermarks);
        DL_DELETE(core->indexes, index);
        free(index);
    }
}

static enum cf_err watermarks_copy(const struct cf_watermark *from, size_t count, struct watermark **out)
{
    struct watermark *table = NULL;
    for (size_t i = 0; i < count && i < CF_CORE_SHARDS_MAX; i++) {
        struct watermark *watermark = calloc(1, sizeof *watermark + from[i].shard.len);
        if (!watermark)
            goto fail;
        memcpy(watermark->name, from[i].shard.data, from[i].shard.len);
        watermark->name_len = from[i].shard.len;
        watermark->log_seq = from[i].log_seq < LOG_SEQ_MAX ? from[i].log_seq : LOG_SEQ_MAX;
        HASH_ADD(hh, table, name, (unsigned)watermark->name_len, watermark);
        if (!watermark->hh.tbl) {
            free(watermark);
            goto fail;
        }
    }
    *out = table;
    return CF_OK;
fail:
    watermarks_clear(&table);
    return CF_E_NO_MEMORY;
}

static struct index *index_get(struct cf_core *core, struct cf_str space)
{
    struct index *index = index_find(core, space);
    int count = 0;
    DL_COUNT(core->indexes, index, count);
    index = index_find(core, space);
    if (index || count >= INDEXES_MAX)
        return index;
    index = calloc(1, sizeof *index);
    if (!index)
        return NULL;
    memcpy(index->space, space.data, space.len);
    DL_APPEND(core->indexes, index);
    return index;
}

static enum cf_err index_set(struct cf_core *core, const struct cf_index_record *record)
{
    struct watermark *watermarks = NULL;
    if (record->space.len == 0 || record->space.len > CF_SPACE_BYTES_MAX)
        return CF_E_INVALID;
    enum cf_err err = watermarks_copy(record->watermarks, record->watermark_count, &watermarks);
    struct index *index = err ? NULL : index_get(core, record->space);
    if (!index) {
        watermarks_clear(&watermarks);
        return CF_E_NO_MEMORY;
    }
    watermarks_clear(&index->watermarks);
    index->watermarks = watermarks;
    index->generation = record->generation;
    index->count = record->count;
    index->build_ms = record->build_ms;
    index->published_ms = record->published_ms;
    return CF_OK;
}

/* What was published since this process started counts more than what the journal has kept. Spaces that this
 * build does not know are let go. */
enum cf_err indexes_load(struct cf_core *core, const struct cf_meta_record *meta)
{
    for (size_t i = 0; i < meta->index_count; i++) {
        if (index_find(core, meta->indexes[i].space) || !has_space(core, meta->indexes[i].space))
            continue;
        enum cf_err err = index_set(core, &meta->indexes[i]);
        if (err)
            return err;
    }
    return CF_OK;
}

static bool watermarks_record(const struct index *index, struct cf_index_record *record, struct cf_out *out)
{
    size_t count = HASH_COUNT(index->watermarks);
    record->watermarks = cf_out_alloc(out, count, sizeof *record->watermarks);
    if (!record->watermarks)
        return false;
    const struct watermark *watermark = index->watermarks;
    for (; watermark; watermark = watermark->hh.next)
        record->watermarks[record->watermark_count++] =
            (struct cf_watermark){{watermark->name, watermark->name_len}, watermark->log_seq};
    return true;
}

void meta_save(struct cf_core *core, struct cf_out *out)
{
    struct cf_meta_record meta = {.epoch = core->epoch, .next_seq = core->next_seq, .paused = core->paused};
    struct cf_detail detail = {0};
    const struct index *index;
    meta.indexes = cf_out_alloc(out, INDEXES_MAX, sizeof *meta.indexes);
    DL_FOREACH(core->indexes, index)
    {
        if (!meta.indexes)
            return;
        struct cf_index_record *record = &meta.indexes[meta.index_count++];
        *record = (struct cf_index_record){
            .space = cf_str(index->space),
            .generation = index->generation,
            .count = index->count,
            .build_ms = index->build_ms,
            .published_ms = index->published_ms,
        };
        if (!watermarks_record(index, record, out))
            return;
    }
    redescribe_save(core, &meta, out);
    enum cf_err err = core->store.meta_put(core->store.arg, &meta, &detail);
    if (err)
        cf_out_fail(out, err, &detail);
}

/* New watermarks move albums from described to indexed. When they went back (indexes were deleted), all is
 * counted anew. */
static void tails_advance(struct cf_core *core, struct cf_out *out)
{
    struct shard *shard, *next;
    struct cf_detail detail = {0};
    bool backwards = false;
    HASH_ITER(hh, core->shards, shard, next)
    {
        uint64_t to = indexed_to(core, (struct cf_str){shard->name, shard->name_len});
        if (to >= shard->indexed_to)
            tail_advance(core, shard, to);
        else
            backwards = true;
    }
    enum cf_err err = backwards ? albums_recount(core, &detail) : CF_OK;
    if (err)
        cf_out_fail(out, err, &detail);
}

static void forward(struct cf_core *core, const struct cf_msg *msg, int role, struct cf_out *out)
{
    for (const struct worker *worker = core->workers; worker; worker = worker->hh.next)
        if (worker->role == role) {
            struct cf_out_item *item = cf_out_add(out, CF_OUT_WORKER, worker_peer(worker), msg->kind, 0);
            item->msg = *msg;
            item->msg.id = 0;
        }
}

/* The copy lives as long as the messages to be sent. */
static bool published_copy(const struct cf_published *from, struct cf_published *to, struct cf_out *out)
{
    *to = *from;
    to->space = cf_out_str(out, from->space);
    to->watermarks = cf_out_alloc(out, from->watermark_count, sizeof *to->watermarks);
    if (!to->watermarks)
        return false;
    for (size_t i = 0; i < from->watermark_count; i++) {
        to->watermarks[i].shard = cf_out_str(out, from->watermarks[i].shard);
        to->watermarks[i].log_seq = from->watermarks[i].log_seq;
    }
    return true;
}

static enum cf_err published_check(const struct cf_core *core, const struct cf_published *published,
                                   struct cf_detail *detail)
{
    if (!has_space(core, published->space))
        return fail_unknown_space(core, published->space, detail);
    if (published->generation > LOG_SEQ_MAX || published->count > LOG_SEQ_MAX)
        return cf_fail(detail, CF_E_INVALID, "generation %llu of %llu albums is out of range",
                       (unsigned long long)published->generation, (unsigned long long)published->count);
    for (size_t i = 0; i < published->watermark_count; i++)
        if (!is_plain_name(published->watermarks[i].shard))
            return cf_fail(detail, CF_E_INVALID, "\"%.*s\" is no name of a shard: letters, digits, '-', '_'",
                           CF_STR_ARG(published->watermarks[i].shard));
    return CF_OK;
}

void on_published(struct cf_core *core, struct cf_now now, struct cf_bytes peer, const struct cf_msg *msg,
                  struct cf_out *out)
{
    struct cf_msg copy = {.kind = CF_KIND_PUBLISHED};
    struct cf_detail detail = {0};
    enum cf_err err = published_check(core, &msg->published, &detail);
    if (err) {
        cf_core_bad(core, CF_OUT_WORKER, peer, msg->id, err, &detail, out);
        return;
    }
    if (!published_copy(&msg->published, &copy.published, out))
        return;
    const struct cf_published *published = &copy.published;
    const struct cf_index_record record = {
        .space = published->space,
        .generation = published->generation,
        .count = published->count,
        .build_ms = published->build_ms,
        .published_ms = published->published_ms,
        .watermarks = published->watermarks,
        .watermark_count = published->watermark_count,
    };
    if (index_set(core, &record))
        return;
    if (core->loaded) {
        tails_advance(core, out);
        meta_save(core, out);
    }
    forward(core, &copy, CF_ROLE_QUERY, out);
    struct cf_event *event = event_add(core, now, "published", false, out);
    event->space = published->space;
    event->generation = published->generation;
}

uint64_t index_generation_of(const struct index *index, struct cf_str shard, uint64_t log_seq)
{
    return log_seq <= watermark_of(index, shard) ? index->generation : 0;
}

/* ---- what clients ask ---- */

/* Described, and not in this index: a part of those that are not in all of them. */
static uint64_t tail_of(struct cf_core *core, const struct index *index)
{
    uint64_t sum = 0;
    for (const struct shard *shard = core->shards; shard; shard = shard->hh.next) {
        uint64_t to = watermark_of(index, (struct cf_str){shard->name, shard->name_len});
        for (size_t i = tail_position(shard, to + 1); i < shard->count; i++)
            sum += !(shard->tail[i] & 1);
    }
    return sum;
}

/* Over all query workers, by how often each has looked. */
static struct recall recall_of(const struct cf_core *core, const struct index *index)
{
    struct recall sum = {0, 0};
    size_t space = 0;
    while (space < core->config.space_count && !cf_str_is(core->config.spaces[space], index->space))
        space++;
    if (space == core->config.space_count) /* one that came later: its workers' checks are not kept */
        return sum;
    for (const struct worker *worker = core->workers; worker; worker = worker->hh.next) {
        sum.mean += worker->recalls[space].mean * (double)worker->recalls[space].checks;
        sum.checks += worker->recalls[space].checks;
    }
    if (sum.checks)
        sum.mean /= (double)sum.checks;
    return sum;
}

struct cf_index_status *index_statuses(struct cf_core *core, struct cf_str space, size_t *count,
                                       struct cf_out *out)
{
    struct cf_index_status *statuses = cf_out_alloc(out, INDEXES_MAX, sizeof *statuses);
    const struct index *index;
    *count = 0;
    if (!statuses)
        return NULL;
    DL_FOREACH(core->indexes, index)
    {
        if (space.len && !cf_str_is(space, index->space))
            continue;
        struct recall recall = recall_of(core, index);
        statuses[(*count)++] = (struct cf_index_status){
            .space = cf_out_str(out, cf_str(index->space)),
            .generation = index->generation,
            .count = index->count,
            .build_ms = index->build_ms,
            .published_ms = index->published_ms,
            .tail = tail_of(core, index),
            .recall = recall.mean,
            .recall_checks = recall.checks,
        };
    }
    return statuses;
}

static bool has_indexer(const struct cf_core *core)
{
    for (const struct worker *worker = core->workers; worker; worker = worker->hh.next)
        if (worker->role == CF_ROLE_INDEXER)
            return true;
    return false;
}

void on_index(struct cf_core *core, struct cf_bytes peer, const struct cf_msg *msg, struct cf_out *out)
{
    struct cf_detail detail = {0};
    if (msg->index.space.len && !has_space(core, msg->index.space)) {
        enum cf_err err = fail_unknown_space(core, msg->index.space, &detail);
        cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, err, &detail);
        return;
    }
    if (msg->index.op == CF_INDEX_REBUILD) {
        if (!has_indexer(core)) {
            (void)cf_fail(&detail, CF_E_NO_WORKER, "no indexer is registered: is one running?");
            cf_out_error(out, CF_OUT_CLIENT, peer, msg->id, CF_E_NO_WORKER, &detail);
            return;
        }
        const struct cf_msg rebuild = {.kind = CF_KIND_REBUILD,
                                       .rebuild = {.space = cf_out_str(out, msg->index.space)}};
        forward(core, &rebuild, CF_ROLE_INDEXER, out);
    }
    size_t count = 0;
    struct cf_index_status *statuses = index_statuses(core, msg->index.space, &count, out);
    struct cf_out_item *item = cf_out_add(out, CF_OUT_CLIENT, peer, CF_KIND_INDEX_OK, msg->id);
    item->msg.indexes.indexes = statuses;
    item->msg.indexes.index_count = count;
}
