#include "workers/query/tail.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/ann/ann.h"
#include "proto/msg.h"

/* A run is merged with the one before it when that is less than so many times as large, or both together are
 * small: every run costs a search as much as a hundred rows, to put the query in the form that rows are
 * measured by. */
enum { MERGE_RATIO = 4, SMALL_RUN = 128, ROW_ALIGN = 64 };

static void drop_run(struct cf_tail_run *run)
{
    if (!run || atomic_fetch_sub(&run->refs, 1) > 1)
        return;
    cf_idmap_fini(&run->map);
    free(run->entries);
    free(run->ids);
    free(run->rows);
    free(run->owners);
    free(run->codes);
    free(run);
}

struct cf_tail cf_tail_share(const struct cf_tail *tail)
{
    for (size_t i = 0; i < tail->run_count; i++)
        atomic_fetch_add(&tail->runs[i]->refs, 1);
    return *tail;
}

void cf_tail_fini(struct cf_tail *tail)
{
    for (size_t i = 0; i < tail->run_count; i++)
        drop_run(tail->runs[i]);
    *tail = (struct cf_tail){.row_bytes = tail->row_bytes, .sketch = tail->sketch, .dim = tail->dim};
}

/* ---- making a run ---- */

struct sizes {
    size_t id_bytes, row_count;
};

static struct sizes measure(const struct cf_tail_entry *entries, size_t count)
{
    struct sizes sizes = {0, 0};
    for (size_t i = 0; i < count; i++) {
        sizes.id_bytes += entries[i].album.id.len;
        sizes.row_count += entries[i].row != NULL;
    }
    return sizes;
}

static struct cf_tail_run *new_run(struct sizes sizes, size_t count, const struct cf_tail *tail)
{
    struct cf_tail_run *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    atomic_init(&run->refs, 1);
    run->entries = malloc((count + 1) * sizeof *run->entries);
    run->ids = malloc(sizes.id_bytes + 1);
    run->owners = malloc((sizes.row_count + 1) * sizeof *run->owners);
    run->rows = sizes.row_count ? aligned_alloc(ROW_ALIGN, sizes.row_count * tail->row_bytes) : NULL;
    run->codes = tail->sketch ? malloc((sizes.row_count + 1) * sizeof *run->codes) : NULL;
    if (run->entries && run->ids && run->owners && (run->rows || !sizes.row_count) &&
        (run->codes || !tail->sketch) && cf_idmap_reserve(&run->map, count) == CF_OK)
        return run;
    drop_run(run);
    return NULL;
}

static void make_code(const struct cf_tail *tail, const void *row, struct cf_sketch_code *code)
{
    float vector[CF_DIM_MAX];
    float off = cf_ann_row_decode(row, tail->dim, vector);
    cf_sketch_code(tail->sketch, vector, off, code);
}

static void add_row(struct cf_tail_run *run, struct cf_tail_entry *owner, const struct cf_tail_entry *from,
                    const struct cf_tail *tail)
{
    size_t number = run->row_count++;
    uint8_t *copy = run->rows + number * tail->row_bytes;
    memcpy(copy, from->row, tail->row_bytes);
    owner->row = copy;
    run->owners[number] = owner;
    if (!tail->sketch)
        return;
    owner->code = &run->codes[number];
    if (from->code)
        run->codes[number] = *from->code;
    else
        make_code(tail, from->row, &run->codes[number]);
}

/* The entry of the album in a run that is being made; room for it was reserved. */
static struct cf_tail_entry *own_entry(struct cf_tail_run *run, struct cf_str id, size_t *id_bytes)
{
    struct cf_tail_entry *own = (struct cf_tail_entry *)cf_idmap_find(&run->map, id);
    if (own)
        return own;
    own = &run->entries[run->entry_count++];
    own->key.id = (struct cf_str){run->ids + *id_bytes, id.len};
    memcpy(run->ids + *id_bytes, id.data, id.len);
    *id_bytes += id.len;
    enum cf_err err = cf_idmap_add(&run->map, &own->key);
    CF_CHECK(err == CF_OK);
    return own;
}

/* NULL when memory is short. */
static struct cf_tail_run *make_run(const struct cf_tail_entry *entries, size_t count,
                                    const struct cf_tail *tail)
{
    struct cf_tail_run *run = new_run(measure(entries, count), count, tail);
    size_t id_bytes = 0;
    for (size_t i = 0; run && i < count; i++) {
        struct cf_tail_entry *own = own_entry(run, entries[i].album.id, &id_bytes);
        own->album = entries[i].album;
        own->album.id = own->key.id;
        own->forgotten = entries[i].forgotten;
        own->row = NULL;
        own->code = NULL;
        if (entries[i].row)
            add_row(run, own, &entries[i], tail);
    }
    return run;
}

/* ---- merging ---- */

/* What both say, without what the newer one says better; what is forgotten needs no word when nothing older
 * is left that speaks of it. NULL when memory is short. */
static struct cf_tail_run *merge(const struct cf_tail_run *older, const struct cf_tail_run *newer,
                                 bool oldest, const struct cf_tail *tail)
{
    size_t count = 0;
    struct cf_tail_entry *entries = malloc((older->entry_count + newer->entry_count + 1) * sizeof *entries);
    if (!entries)
        return NULL;
    for (size_t i = 0; i < older->entry_count; i++)
        if (!cf_idmap_find(&newer->map, older->entries[i].key.id))
            entries[count++] = older->entries[i];
    for (size_t i = 0; i < newer->entry_count; i++)
        if (!(oldest && newer->entries[i].forgotten))
            entries[count++] = newer->entries[i];
    struct cf_tail_run *run = make_run(entries, count, tail);
    free(entries);
    return run;
}

static bool are_similar(const struct cf_tail_run *older, const struct cf_tail_run *newer)
{
    size_t both = older->entry_count + newer->entry_count;
    return both <= SMALL_RUN ||
           (older->entry_count < MERGE_RATIO * newer->entry_count && both <= CF_TAIL_RUN_MAX);
}

/* The last two runs into one. False when memory is short: they stay as they are. */
static bool merge_last(struct cf_tail *tail)
{
    struct cf_tail_run **last = &tail->runs[tail->run_count - 2];
    struct cf_tail_run *merged = merge(last[0], last[1], tail->run_count == 2, tail);
    if (!merged)
        return false;
    drop_run(last[0]);
    drop_run(last[1]);
    last[0] = merged;
    tail->run_count--;
    return true;
}

static void count_run(struct cf_tail *tail, const struct cf_tail_run *run)
{
    for (size_t i = 0; i < run->entry_count; i++) {
        const struct cf_tail_entry *entry = &run->entries[i], *old = cf_tail_find(tail, entry->key.id);
        tail->entry_count = tail->entry_count + !entry->forgotten - (old != NULL);
        tail->row_count = tail->row_count + (entry->row != NULL) - (old && old->row);
    }
}

enum cf_err cf_tail_put(struct cf_tail *tail, const struct cf_tail_entry *entries, size_t count)
{
    if (count == 0)
        return CF_OK;
    if (tail->run_count == CF_TAIL_RUNS_MAX && !merge_last(tail))
        return CF_E_NO_MEMORY;
    struct cf_tail_run *run = make_run(entries, count, tail);
    if (!run)
        return CF_E_NO_MEMORY;
    count_run(tail, run);
    tail->runs[tail->run_count++] = run;
    while (tail->run_count > 1 &&
           are_similar(tail->runs[tail->run_count - 2], tail->runs[tail->run_count - 1]) &&
           merge_last(tail)) {
    }
    return CF_OK;
}

/* ---- reading ---- */

static const struct cf_tail_entry *find_any(const struct cf_tail *tail, struct cf_str id)
{
    if (tail->run_count == 0)
        return NULL;
    uint64_t hash = cf_idmap_hash(id);
    const struct cf_keyed *found = NULL;
    for (size_t i = tail->run_count; !found && i-- > 0;)
        found = cf_idmap_find_hashed(&tail->runs[i]->map, hash, id);
    return (const struct cf_tail_entry *)found;
}

const struct cf_tail_entry *cf_tail_find(const struct cf_tail *tail, struct cf_str id)
{
    const struct cf_tail_entry *entry = find_any(tail, id);
    return entry && !entry->forgotten ? entry : NULL;
}

bool cf_tail_is_newest(const struct cf_tail *tail, const struct cf_tail_entry *entry)
{
    return !entry->forgotten && find_any(tail, entry->key.id) == entry;
}

const struct cf_tail_entry *cf_tail_next(const struct cf_tail *tail, struct cf_tail_place *place)
{
    for (; place->run < tail->run_count; place->run++, place->entry = 0)
        while (place->entry < tail->runs[place->run]->entry_count) {
            const struct cf_tail_entry *entry = &tail->runs[place->run]->entries[place->entry++];
            if (cf_tail_is_newest(tail, entry))
                return entry;
        }
    return NULL;
}
