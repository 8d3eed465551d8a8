#include "workers/query/mapped.h"

#include <stdlib.h>

static enum cf_err check(const struct cf_mapped *mapped, const struct cf_space *space, uint64_t generation,
                         const char *path, struct cf_detail *detail)
{
    struct cf_ann_info info = cf_ann_info(mapped->ann);
    const struct cf_generation *found = &mapped->generation;
    if (!cf_str_is(found->space, space->name) || found->generation != generation)
        return cf_fail(detail, CF_E_CORRUPT, "%s: holds generation %llu of space \"%.*s\"", path,
                       (unsigned long long)found->generation, CF_STR_ARG(found->space));
    if (found->space_version != space->version)
        return cf_fail(detail, CF_E_BAD_VERSION,
                       "%s: version %u of space %s, this program computes version %u", path,
                       found->space_version, space->name, space->version);
    if (info.dim != space->dim || info.tag_bytes != CF_GENERATION_TAG_BYTES)
        return cf_fail(detail, CF_E_CORRUPT, "%s: vectors of %u and tags of %u, expected %u and %u", path,
                       info.dim, info.tag_bytes, space->dim, (unsigned)CF_GENERATION_TAG_BYTES);
    return CF_OK;
}

static enum cf_err open_file(struct cf_mapped *mapped, const char *path, struct cf_detail *detail)
{
    enum cf_err err = cf_ann_open(path, &mapped->ann, detail);
    if (err == CF_OK)
        err = cf_ann_verify(mapped->ann, detail);
    if (err != CF_OK)
        return err;
    struct cf_detail why = {{0}};
    err = cf_generation_decode(cf_ann_attachment(mapped->ann), mapped->arena, &mapped->generation, &why);
    return err == CF_OK ? err : cf_fail(detail, err, "%s: %.200s", path, why.text);
}

enum cf_err cf_mapped_open(const struct cf_home *home, const struct cf_space *space, uint64_t generation,
                           struct cf_mapped **mapped, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    enum cf_err err = cf_generation_path(home, space->name, generation, path, sizeof path, detail);
    if (err != CF_OK)
        return err;
    struct cf_mapped *opened = calloc(1, sizeof *opened);
    if (opened)
        opened->arena = cf_arena_new();
    if (!opened || !opened->arena) {
        err = cf_fail(detail, CF_E_NO_MEMORY, "%s: out of memory", path);
        goto out;
    }
    err = open_file(opened, path, detail);
    if (err == CF_OK)
        err = check(opened, space, generation, path, detail);
out:
    if (err == CF_OK)
        *mapped = opened;
    else
        cf_mapped_free(opened);
    return err;
}

void cf_mapped_free(struct cf_mapped *mapped)
{
    if (!mapped)
        return;
    cf_ann_free(mapped->ann);
    cf_arena_free(mapped->arena);
    free(mapped);
}

struct cf_generation_tag cf_mapped_tag(const struct cf_mapped *mapped, uint64_t item)
{
    struct cf_generation_tag tag = {.shard = UINT32_MAX};
    enum cf_err err = cf_generation_tag_decode(cf_ann_tag(mapped->ann, item), &tag, NULL);
    return err == CF_OK ? tag : (struct cf_generation_tag){.shard = UINT32_MAX};
}

int64_t cf_mapped_find(const struct cf_mapped *mapped, struct cf_str id)
{
    return cf_ann_find(mapped->ann, (struct cf_bytes){(const uint8_t *)id.data, id.len});
}
