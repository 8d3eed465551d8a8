#include "workers/indexer/recent.h"

#include <stdlib.h>

enum { BATCH = 256 };

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for what changed since an index");
}

enum cf_err cf_recent_init(struct cf_recent *recent, struct cf_shards *shards, const struct cf_space *space,
                           const struct cf_generation *base, const uint64_t *lasts, struct cf_detail *detail)
{
    *recent = (struct cf_recent){.base = base, .lasts = lasts};
    enum cf_err err = cf_items_init(&recent->items, shards, space, detail);
    if (err != CF_OK)
        return err;
    recent->batch_ids = cf_arena_new();
    recent->records = cf_arena_new();
    recent->batch = calloc(BATCH, sizeof *recent->batch);
    if (recent->batch_ids && recent->records && recent->batch)
        return CF_OK;
    cf_recent_fini(recent);
    return no_memory(detail);
}

void cf_recent_fini(struct cf_recent *recent)
{
    free(recent->batch);
    cf_arena_free(recent->records);
    cf_arena_free(recent->batch_ids);
    cf_items_fini(&recent->items);
}

/* ---- the logs ---- */

static uint64_t mark_of(const struct cf_recent *recent, size_t shard)
{
    if (shard >= cf_shards_count(recent->items.shards))
        return 0;
    return cf_generation_mark(recent->base, cf_str(cf_shards_name(recent->items.shards, shard)));
}

static enum cf_err rewind_recent(void *arg, struct cf_detail *detail)
{
    struct cf_recent *recent = arg;
    (void)detail;
    recent->items.damaged = 0;
    recent->at = recent->count = recent->shard = 0;
    recent->after = mark_of(recent, 0);
    return CF_OK;
}

/* CF_E_BUSY when the batch is full, CF_E_NOT_FOUND behind the part of the log that is whole. */
static enum cf_err keep_entry(void *arg, uint64_t log_seq, struct cf_str id)
{
    struct cf_recent *recent = arg;
    if (log_seq > recent->lasts[recent->shard])
        return CF_E_NOT_FOUND;
    if (recent->count == BATCH)
        return CF_E_BUSY;
    struct cf_str copy = cf_arena_str(recent->batch_ids, id);
    if (!copy.data)
        return CF_E_NO_MEMORY;
    recent->batch[recent->count++] = (struct cf_recent_entry){log_seq, copy};
    recent->after = log_seq;
    return CF_OK;
}

static enum cf_err read_batch(struct cf_recent *recent, struct cf_detail *detail)
{
    cf_arena_reset(recent->batch_ids);
    recent->at = recent->count = 0;
    enum cf_err err = cf_shard_log(cf_shards_get(recent->items.shards, recent->shard), recent->after,
                                   keep_entry, recent, detail);
    if (err == CF_E_NO_MEMORY)
        return no_memory(detail);
    return err == CF_E_BUSY || err == CF_E_NOT_FOUND ? CF_OK : err;
}

/* CF_E_NOT_FOUND behind the last one. */
static enum cf_err next_entry(struct cf_recent *recent, struct cf_recent_entry *entry,
                              struct cf_detail *detail)
{
    size_t shards = cf_shards_count(recent->items.shards);
    while (recent->at == recent->count) {
        if (recent->shard >= shards)
            return CF_E_NOT_FOUND;
        enum cf_err err = read_batch(recent, detail);
        if (err != CF_OK)
            return err;
        if (recent->count == 0)
            recent->after = mark_of(recent, ++recent->shard);
    }
    *entry = recent->batch[recent->at++];
    return CF_OK;
}

/* ---- the albums ---- */

static enum cf_err went_back(const struct cf_recent *recent, const struct cf_recent_entry *entry,
                             struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_CORRUPT, "%s: its log names %.*s at %llu, and its record there is lost",
                   cf_shards_name(recent->items.shards, recent->shard), CF_STR_ARG(entry->id),
                   (unsigned long long)entry->log_seq);
}

/* The record that the entry is about, which its shard must have, and a later one of that shard at most. */
static enum cf_err check_record(struct cf_recent *recent, const struct cf_recent_entry *entry,
                                struct cf_detail *detail)
{
    struct cf_shard_album own;
    enum cf_err err = cf_shard_album(cf_shards_get(recent->items.shards, recent->shard), entry->id,
                                     recent->records, &own, detail);
    return err == CF_E_NOT_FOUND || (err == CF_OK && own.log_seq < entry->log_seq)
               ? went_back(recent, entry, detail)
               : err;
}

/* Whether the newest record of the album is the one that the entry is about. A newer one has an entry of its
 * own: behind a mark, where it is found, or before it, where the base has it. */
static enum cf_err is_newest(struct cf_recent *recent, const struct cf_recent_entry *entry,
                             struct cf_shard_album *album, bool *newest, struct cf_detail *detail)
{
    size_t shard = 0;
    cf_arena_reset(recent->records);
    enum cf_err err = check_record(recent, entry, detail);
    if (err == CF_OK)
        err = cf_shards_album(recent->items.shards, entry->id, recent->records, album, &shard, detail);
    *newest = err == CF_OK && shard == recent->shard && album->log_seq == entry->log_seq;
    return err;
}

/* The next album that changed, and its item when it is to be found. */
static enum cf_err next_album(struct cf_recent *recent, struct cf_str *id, struct cf_ann_item *item,
                              bool *taken, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    bool newest = false;
    struct cf_recent_entry entry;
    struct cf_shard_album album;
    while (err == CF_OK && !newest) {
        err = next_entry(recent, &entry, detail);
        if (err == CF_OK)
            err = is_newest(recent, &entry, &album, &newest, detail);
    }
    if (err == CF_OK)
        err = cf_items_take(&recent->items, recent->shard, entry.id, &album, item, taken, detail);
    if (err == CF_OK)
        *id = entry.id;
    return err;
}

static enum cf_err next_found(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct cf_str id;
    bool taken = false;
    enum cf_err err = CF_OK;
    while (err == CF_OK && !taken)
        err = next_album(arg, &id, item, &taken, detail);
    return err;
}

struct cf_ann_source cf_recent_source(struct cf_recent *recent)
{
    return (struct cf_ann_source){rewind_recent, next_found, recent};
}

static enum cf_err give_out(const struct cf_buf *list, struct cf_arena *arena, struct cf_str **hidden,
                            size_t *count, struct cf_detail *detail)
{
    size_t listed = list->len / sizeof(struct cf_str);
    struct cf_str *all = cf_arena_alloc(arena, listed, sizeof *all);
    if (!all)
        return no_memory(detail);
    if (listed)
        memcpy(all, list->data, list->len);
    *hidden = all;
    *count = listed;
    return CF_OK;
}

enum cf_err cf_recent_hidden(struct cf_recent *recent, const struct cf_ann *whole, struct cf_arena *arena,
                             struct cf_str **hidden, size_t *count, struct cf_detail *detail)
{
    struct cf_buf list;
    cf_buf_init(&list);
    enum cf_err err = rewind_recent(recent, detail);
    while (err == CF_OK) {
        struct cf_str id;
        struct cf_ann_item item;
        bool taken = false;
        err = next_album(recent, &id, &item, &taken, detail);
        if (err != CF_OK || taken ||
            cf_ann_find(whole, (struct cf_bytes){(const uint8_t *)id.data, id.len}) == CF_ANN_NONE)
            continue;
        struct cf_str copy = cf_arena_str(arena, id);
        if (!copy.data)
            err = no_memory(detail);
        cf_buf_append(&list, &copy, sizeof copy);
    }
    if (err == CF_E_NOT_FOUND)
        err = cf_buf_ok(&list) ? CF_OK : no_memory(detail);
    if (err == CF_OK)
        err = give_out(&list, arena, hidden, count, detail);
    cf_buf_fini(&list);
    return err;
}

/* ---- counting ---- */

struct counting {
    uint64_t limit, count;
};

static enum cf_err count_entry(void *arg, uint64_t log_seq, struct cf_str id)
{
    (void)log_seq, (void)id;
    struct counting *counting = arg;
    return ++counting->count > counting->limit ? CF_E_BUSY : CF_OK;
}

enum cf_err cf_recent_count(struct cf_shards *shards, const struct cf_generation *base, uint64_t limit,
                            uint64_t *count, struct cf_detail *detail)
{
    struct counting counting = {limit, 0};
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < cf_shards_count(shards) && err == CF_OK; i++)
        err = cf_shard_log(cf_shards_get(shards, i),
                           cf_generation_mark(base, cf_str(cf_shards_name(shards, i))), count_entry,
                           &counting, detail);
    if (err != CF_OK && err != CF_E_BUSY)
        return err;
    *count = counting.count;
    return CF_OK;
}
