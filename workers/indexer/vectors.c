#include "workers/indexer/vectors.h"

#include <math.h>
#include <stdlib.h>

enum cf_err cf_vectors_init(struct cf_vectors *vectors, struct cf_shards *shards,
                            const struct cf_space *space, struct cf_detail *detail)
{
    float *values = calloc(space->dim, sizeof *values);
    if (!values)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a vector of %s", space->name);
    *vectors = (struct cf_vectors){.shards = shards, .space = space, .values = values};
    return CF_OK;
}

void cf_vectors_fini(struct cf_vectors *vectors)
{
    cf_shards_walk_free(vectors->walk);
    free(vectors->values);
}

static enum cf_err rewind_source(void *arg, struct cf_detail *detail)
{
    struct cf_vectors *vectors = arg;
    cf_shards_walk_free(vectors->walk);
    vectors->walk = NULL;
    vectors->damaged = 0;
    return cf_shards_walk_new(vectors->shards, &vectors->walk, detail);
}

static enum cf_err read_vector(struct cf_vectors *vectors, size_t shard, struct cf_str id,
                               struct cf_detail *detail)
{
    const struct cf_space *space = vectors->space;
    struct cf_detail why = {""};
    enum cf_err err = cf_shard_vector(cf_shards_get(vectors->shards, shard), id, cf_str(space->name),
                                      space->version, vectors->values, space->dim, &why);
    if (err == CF_E_NOT_FOUND)
        return cf_fail(detail, CF_E_CORRUPT, "%s: the %s vector of %.*s is lost",
                       cf_shards_name(vectors->shards, shard), space->name, CF_STR_ARG(id));
    if (err != CF_OK)
        return cf_fail(detail, err, "%s: the %s vector of %.*s: %.160s",
                       cf_shards_name(vectors->shards, shard), space->name, CF_STR_ARG(id), why.text);
    for (size_t i = 0; i < space->dim; i++)
        if (!isfinite(vectors->values[i]))
            return cf_fail(detail, CF_E_BAD_VECTOR, "%s: the %s vector of %.*s is not finite",
                           cf_shards_name(vectors->shards, shard), space->name, CF_STR_ARG(id));
    return CF_OK;
}

static enum cf_err read_usable(struct cf_vectors *vectors, size_t shard, struct cf_str id,
                               const struct cf_shard_album *album, bool *usable, struct cf_detail *detail)
{
    if (!cf_shard_album_has(album, cf_str(vectors->space->name), vectors->space->version))
        return CF_OK; /* described before this space, or this version of it, existed */
    struct cf_detail why = {""};
    enum cf_err err = read_vector(vectors, shard, id, &why);
    if (err == CF_E_BAD_VECTOR) { /* as it was written: nothing that could heal */
        vectors->damaged++;
        vectors->damage = why;
        return CF_OK;
    }
    if (err != CF_OK)
        return cf_fail(detail, err, "%s", why.text);
    *usable = true;
    return CF_OK;
}

static enum cf_err next_item(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct cf_vectors *vectors = arg;
    enum cf_err err = vectors->walk ? CF_OK : rewind_source(vectors, detail);
    while (err == CF_OK) {
        size_t shard = 0;
        struct cf_str id;
        struct cf_shard_album album;
        err = cf_shards_walk_next(vectors->walk, &shard, &id, &album, detail);
        if (err != CF_OK)
            break;
        if (album.removed || (album.flags & CF_FLAG_CONSTANT))
            continue;
        bool usable = false;
        err = read_usable(vectors, shard, id, &album, &usable, detail);
        if (err != CF_OK || !usable)
            continue;
        struct cf_generation_tag tag = {.version = album.version, .shard = (uint32_t)shard};
        cf_labels_of(album.meta, album.meta_count, tag.labels);
        cf_generation_tag_encode(&tag, vectors->tag);
        item->id = (struct cf_bytes){(const uint8_t *)id.data, id.len};
        item->tag = (struct cf_bytes){vectors->tag, sizeof vectors->tag};
        item->vector = vectors->values;
        return CF_OK;
    }
    return err;
}

struct cf_ann_source cf_vectors_source(struct cf_vectors *vectors)
{
    return (struct cf_ann_source){rewind_source, next_item, vectors};
}
