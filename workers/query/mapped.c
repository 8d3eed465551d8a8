#include "workers/query/mapped.h"

#include <stdatomic.h>
#include <stdlib.h>

/* A sketch is made anew when the index is so many times what it was made of; but of enough it stays. */
enum { SKETCHED_ENOUGH = 65536, SKETCHED_ONE_IN = 4 };

static enum cf_err check(const struct cf_mapped *mapped, const struct cf_space *space, uint64_t generation,
                         uint64_t base, const char *path, struct cf_detail *detail)
{
    struct cf_ann_info info = cf_ann_info(mapped->ann);
    const struct cf_generation *found = &mapped->generation;
    if (!cf_str_is(found->space, space->name) || found->generation != generation || found->base != base)
        return cf_fail(detail, CF_E_CORRUPT, "%s: holds generation %llu on %llu of space \"%.*s\"", path,
                       (unsigned long long)found->generation, (unsigned long long)found->base,
                       CF_STR_ARG(found->space));
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

static enum cf_err path_of(const struct cf_home *home, const struct cf_space *space, uint64_t generation,
                           uint64_t base, char path[CF_HOME_PATH_MAX], struct cf_detail *detail)
{
    if (base)
        return cf_generation_small_path(home, space->folder, generation, base, path, CF_HOME_PATH_MAX,
                                        detail);
    return cf_generation_path(home, space->folder, generation, path, CF_HOME_PATH_MAX, detail);
}

enum cf_err cf_mapped_open(const struct cf_home *home, const struct cf_space *space, uint64_t generation,
                           uint64_t base, struct cf_mapped **mapped, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    enum cf_err err = path_of(home, space, generation, base, path, detail);
    if (err != CF_OK)
        return err;
    struct cf_mapped *opened = calloc(1, sizeof *opened);
    if (!opened)
        return cf_fail(detail, CF_E_NO_MEMORY, "%s: out of memory", path);
    atomic_init(&opened->refs, 1);
    opened->arena = cf_arena_new();
    err = opened->arena ? open_file(opened, path, detail)
                        : cf_fail(detail, CF_E_NO_MEMORY, "%s: out of memory", path);
    if (err == CF_OK)
        err = check(opened, space, generation, base, path, detail);
    if (err == CF_OK)
        *mapped = opened;
    else
        cf_mapped_free(opened);
    return err;
}

struct cf_mapped *cf_mapped_share(struct cf_mapped *mapped)
{
    atomic_fetch_add(&mapped->refs, 1);
    return mapped;
}

void cf_mapped_free(struct cf_mapped *mapped)
{
    if (!mapped || atomic_fetch_sub(&mapped->refs, 1) > 1)
        return;
    cf_ann_free(mapped->ann);
    cf_arena_free(mapped->arena);
    free(mapped);
}

struct cf_generation_tag cf_mapped_tag(const struct cf_mapped *mapped, uint64_t item)
{
    struct cf_generation_tag tag;
    enum cf_err err = cf_generation_tag_decode(cf_ann_tag(mapped->ann, item), &tag, NULL);
    return err == CF_OK ? tag : (struct cf_generation_tag){.shard = UINT32_MAX};
}

struct cf_str cf_mapped_id(const struct cf_mapped *mapped, uint64_t item)
{
    struct cf_bytes id = cf_ann_id(mapped->ann, item);
    return (struct cf_str){(const char *)id.data, id.len};
}

int64_t cf_mapped_find(const struct cf_mapped *mapped, struct cf_str id)
{
    return cf_ann_find(mapped->ann, (struct cf_bytes){(const uint8_t *)id.data, id.len});
}

/* ---- a pair ---- */

static void hide(struct cf_served *served, struct cf_str id)
{
    int64_t item = cf_mapped_find(served->parts[CF_PART_WHOLE], id);
    if (item == CF_ANN_NONE || cf_served_hides(served, CF_PART_WHOLE, (uint64_t)item))
        return;
    served->hidden[item / 64] |= 1ull << (item % 64);
    served->count--;
}

static enum cf_err hide_all(struct cf_served *served, struct cf_detail *detail)
{
    const struct cf_mapped *small = served->parts[CF_PART_SMALL];
    uint64_t items = cf_ann_info(small->ann).count;
    served->hidden = calloc((size_t)(served->count / 64 + 1), sizeof *served->hidden);
    if (!served->hidden)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for what a small generation hides");
    for (uint64_t i = 0; i < items; i++)
        hide(served, cf_mapped_id(small, i));
    for (size_t i = 0; i < small->generation.hidden_count; i++)
        hide(served, small->generation.hidden[i]);
    served->count += items;
    return CF_OK;
}

enum cf_err cf_served_new(struct cf_mapped **whole, struct cf_mapped **small, struct cf_served **served,
                          struct cf_detail *detail)
{
    struct cf_served *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a generation");
    atomic_init(&made->refs, 1);
    made->parts[CF_PART_WHOLE] = *whole;
    made->parts[CF_PART_SMALL] = *small;
    made->count = cf_ann_info((*whole)->ann).count;
    enum cf_err err = *small ? hide_all(made, detail) : CF_OK;
    if (err != CF_OK) {
        free(made->hidden);
        free(made);
        return err;
    }
    *whole = *small = NULL;
    *served = made;
    return CF_OK;
}

static struct cf_sketch *make_sketch(const struct cf_ann *ann)
{
    struct cf_ann_info info = cf_ann_info(ann);
    uint64_t count = info.count < CF_SKETCH_SAMPLE ? info.count : CF_SKETCH_SAMPLE;
    if (count == 0 || info.dim <= CF_SKETCH_DIMS)
        return NULL;
    float *sample = malloc(count * info.dim * sizeof *sample);
    for (uint64_t i = 0; sample && i < count; i++)
        (void)cf_ann_vector(ann, i * info.count / count, sample + i * info.dim);
    struct cf_sketch *sketch = sample ? cf_sketch_new(sample, count, info.dim) : NULL;
    free(sample);
    return sketch;
}

void cf_served_sketch(struct cf_served *served, const struct cf_served *before)
{
    const struct cf_ann *ann = served->parts[CF_PART_WHOLE]->ann;
    uint64_t count = cf_ann_info(ann).count, wanted = count < SKETCHED_ENOUGH ? count : SKETCHED_ENOUGH;
    bool good = before && before->sketch && before->sketched >= wanted / SKETCHED_ONE_IN;
    served->sketch = good ? cf_sketch_share(before->sketch) : make_sketch(ann);
    served->sketched = good ? before->sketched : count;
}

struct cf_served *cf_served_share(struct cf_served *served)
{
    atomic_fetch_add(&served->refs, 1);
    return served;
}

void cf_served_free(struct cf_served *served)
{
    if (!served || atomic_fetch_sub(&served->refs, 1) > 1)
        return;
    for (size_t i = 0; i < CF_PART_COUNT; i++)
        cf_mapped_free(served->parts[i]);
    cf_sketch_free(served->sketch);
    free(served->hidden);
    free(served);
}

const struct cf_generation *cf_served_generation(const struct cf_served *served)
{
    const struct cf_mapped *small = served->parts[CF_PART_SMALL];
    return small ? &small->generation : &served->parts[CF_PART_WHOLE]->generation;
}

struct cf_served_item cf_served_find(const struct cf_served *served, struct cf_str id)
{
    struct cf_served_item found = {CF_PART_COUNT, CF_ANN_NONE};
    for (size_t part = CF_PART_COUNT; served && found.item == CF_ANN_NONE && part-- > 0;) {
        int64_t item = served->parts[part] ? cf_mapped_find(served->parts[part], id) : CF_ANN_NONE;
        if (item != CF_ANN_NONE && !cf_served_hides(served, part, (uint64_t)item))
            found = (struct cf_served_item){part, item};
    }
    return found;
}
