#include "workers/indexer/recent.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 256, SPOOL_BUFFER = 256 << 10 };

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
    if (recent->spool)
        fclose(recent->spool);
    free(recent->buffer);
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

/* ---- the spool ---- */

static enum cf_err spool_failed(const struct cf_recent *recent, struct cf_detail *detail)
{
    char name[CF_HOME_PATH_MAX + 64];
    snprintf(name, sizeof name, "%s: the vectors for it, in a file beside it", recent->path);
    return cf_fail_errno(detail, name);
}

static enum cf_err open_spool(struct cf_recent *recent, const char *path, struct cf_detail *detail)
{
    char name[CF_HOME_PATH_MAX + 8];
    snprintf(name, sizeof name, "%s.recent", path);
    recent->path = path;
    recent->buffer = malloc(SPOOL_BUFFER);
    if (!recent->buffer)
        return no_memory(detail);
    recent->spool = fopen(name, "w+e");
    if (!recent->spool)
        return cf_fail_errno(detail, name);
    (void)unlink(name);
    (void)setvbuf(recent->spool, recent->buffer, _IOFBF, SPOOL_BUFFER);
    return CF_OK;
}

static bool put(FILE *spool, const void *bytes, size_t count)
{
    return fwrite(bytes, 1, count, spool) == count;
}

static bool get(FILE *spool, void *bytes, size_t count)
{
    errno = EIO; /* of a file that ends early */
    return fread(bytes, 1, count, spool) == count;
}

static enum cf_err spool_item(struct cf_recent *recent, const struct cf_ann_item *item,
                              struct cf_detail *detail)
{
    FILE *spool = recent->spool;
    bool all = put(spool, &item->id.len, sizeof item->id.len) && put(spool, item->id.data, item->id.len) &&
               put(spool, item->tag.data, item->tag.len) &&
               put(spool, item->vector, recent->items.space->dim * sizeof(float));
    recent->spooled++;
    return all ? CF_OK : spool_failed(recent, detail);
}

static enum cf_err rewind_spool(void *arg, struct cf_detail *detail)
{
    struct cf_recent *recent = arg;
    recent->unread = recent->spooled;
    return fseek(recent->spool, 0, SEEK_SET) == 0 ? CF_OK : spool_failed(recent, detail);
}

static enum cf_err next_spooled(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct cf_recent *recent = arg;
    struct cf_items *items = &recent->items;
    FILE *spool = recent->spool;
    size_t len = 0;
    if (recent->unread == 0)
        return CF_E_NOT_FOUND;
    recent->unread--;
    if (!get(spool, &len, sizeof len) || len > sizeof recent->id || !get(spool, recent->id, len) ||
        !get(spool, items->tag, sizeof items->tag) ||
        !get(spool, items->values, items->space->dim * sizeof(float)))
        return spool_failed(recent, detail);
    *item = (struct cf_ann_item){.id = {(const uint8_t *)recent->id, len},
                                 .tag = {items->tag, sizeof items->tag},
                                 .vector = items->values};
    return CF_OK;
}

struct cf_ann_source cf_recent_source(struct cf_recent *recent)
{
    return (struct cf_ann_source){rewind_spool, next_spooled, recent};
}

/* ---- gathering ---- */

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

static enum cf_err hide(const struct cf_ann *whole, struct cf_str id, struct cf_arena *arena,
                        struct cf_buf *list, struct cf_detail *detail)
{
    if (cf_ann_find(whole, (struct cf_bytes){(const uint8_t *)id.data, id.len}) == CF_ANN_NONE)
        return CF_OK;
    struct cf_str copy = cf_arena_str(arena, id);
    cf_buf_append(list, &copy, sizeof copy);
    return copy.data ? CF_OK : no_memory(detail);
}

static enum cf_err gather_all(struct cf_recent *recent, const struct cf_ann *whole, struct cf_arena *arena,
                              struct cf_buf *list, struct cf_detail *detail)
{
    recent->after = mark_of(recent, 0);
    for (;;) {
        struct cf_str id;
        struct cf_ann_item item;
        bool taken = false;
        enum cf_err err = next_album(recent, &id, &item, &taken, detail);
        if (err != CF_OK)
            return err == CF_E_NOT_FOUND ? CF_OK : err;
        err = taken ? spool_item(recent, &item, detail) : hide(whole, id, arena, list, detail);
        if (err != CF_OK)
            return err;
    }
}

enum cf_err cf_recent_gather(struct cf_recent *recent, const char *path, const struct cf_ann *whole,
                             struct cf_arena *arena, struct cf_str **hidden, size_t *count,
                             struct cf_detail *detail)
{
    struct cf_buf list;
    cf_buf_init(&list);
    enum cf_err err = open_spool(recent, path, detail);
    if (err == CF_OK)
        err = gather_all(recent, whole, arena, &list, detail);
    if (err == CF_OK && fflush(recent->spool) != 0)
        err = spool_failed(recent, detail);
    if (err == CF_OK)
        err = cf_buf_ok(&list) ? give_out(&list, arena, hidden, count, detail) : no_memory(detail);
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
