#include "workers/indexer/items.h"

#include <math.h>
#include <stdlib.h>

enum cf_err cf_items_init(struct cf_items *items, struct cf_shards *shards, const struct cf_space *space,
                          struct cf_detail *detail)
{
    float *values = calloc(space->dim, sizeof *values);
    if (!values)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a vector of %s", space->name);
    *items = (struct cf_items){.shards = shards, .space = space, .values = values};
    return CF_OK;
}

void cf_items_fini(struct cf_items *items)
{
    cf_shards_walk_free(items->walk);
    free(items->values);
}

static enum cf_err rewind_source(void *arg, struct cf_detail *detail)
{
    struct cf_items *items = arg;
    cf_shards_walk_free(items->walk);
    items->walk = NULL;
    items->damaged = 0;
    enum cf_err err = cf_shards_walk_new(items->shards, &items->walk, detail);
    if (err == CF_OK)
        err = cf_shards_walk_with(items->walk, cf_str(items->space->name), items->space->version, detail);
    return err;
}

static enum cf_err find_vector(struct cf_items *items, size_t shard, struct cf_str id,
                               struct cf_detail *detail)
{
    const struct cf_space *space = items->space;
    if (items->walk)
        return cf_shards_walk_vector(items->walk, items->values, space->dim, detail);
    return cf_shard_vector(cf_shards_get(items->shards, shard), id, cf_str(space->name), space->version,
                           items->values, space->dim, detail);
}

static enum cf_err read_vector(struct cf_items *items, size_t shard, struct cf_str id,
                               struct cf_detail *detail)
{
    const struct cf_space *space = items->space;
    struct cf_detail why = {""};
    enum cf_err err = find_vector(items, shard, id, &why);
    if (err == CF_E_NOT_FOUND)
        return cf_fail(detail, CF_E_CORRUPT, "%s: the %s vector of %.*s is lost",
                       cf_shards_name(items->shards, shard), space->name, CF_STR_ARG(id));
    if (err != CF_OK)
        return cf_fail(detail, err, "%s: the %s vector of %.*s: %.160s", cf_shards_name(items->shards, shard),
                       space->name, CF_STR_ARG(id), why.text);
    for (size_t i = 0; i < space->dim; i++)
        if (!isfinite(items->values[i]))
            return cf_fail(detail, CF_E_BAD_VECTOR, "%s: the %s vector of %.*s is not finite",
                           cf_shards_name(items->shards, shard), space->name, CF_STR_ARG(id));
    return CF_OK;
}

static enum cf_err read_usable(struct cf_items *items, size_t shard, struct cf_str id,
                               const struct cf_shard_album *album, bool *usable, struct cf_detail *detail)
{
    if (!cf_shard_album_has(album, cf_str(items->space->name), items->space->version))
        return CF_OK; /* described before this space, or this version of it, existed */
    struct cf_detail why = {""};
    enum cf_err err = read_vector(items, shard, id, &why);
    if (err == CF_E_BAD_VECTOR) { /* as it was written: nothing that could heal */
        items->damaged++;
        items->damage = why;
        return CF_OK;
    }
    if (err != CF_OK)
        return cf_fail(detail, err, "%s", why.text);
    *usable = true;
    return CF_OK;
}

enum cf_err cf_items_take(struct cf_items *items, size_t shard, struct cf_str id,
                          const struct cf_shard_album *album, struct cf_ann_item *item, bool *taken,
                          struct cf_detail *detail)
{
    bool usable = false;
    if (!album->removed && !(album->flags & CF_FLAG_CONSTANT)) {
        enum cf_err err = read_usable(items, shard, id, album, &usable, detail);
        if (err != CF_OK)
            return err;
    }
    *taken = usable;
    if (!usable)
        return CF_OK;
    struct cf_generation_tag tag = {.version = album->version, .shard = (uint32_t)shard};
    cf_labels_of(album->meta, album->meta_count, tag.labels);
    cf_generation_tag_encode(&tag, items->tag);
    item->id = (struct cf_bytes){(const uint8_t *)id.data, id.len};
    item->tag = (struct cf_bytes){items->tag, sizeof items->tag};
    item->vector = items->values;
    return CF_OK;
}

static enum cf_err next_item(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct cf_items *items = arg;
    enum cf_err err = items->walk ? CF_OK : rewind_source(items, detail);
    bool taken = false;
    while (err == CF_OK && !taken) {
        size_t shard = 0;
        struct cf_str id;
        struct cf_shard_album album;
        err = cf_shards_walk_next(items->walk, &shard, &id, &album, detail);
        if (err == CF_OK)
            err = cf_items_take(items, shard, id, &album, item, &taken, detail);
    }
    return err;
}

struct cf_ann_source cf_items_source(struct cf_items *items)
{
    return (struct cf_ann_source){rewind_source, next_item, items};
}
