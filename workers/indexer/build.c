#include "workers/indexer/build.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

enum { HELD_MAX_SMALL = 200 };

/* ---- the shards ---- */

/* A shard whose log cannot be read keeps the number of the last look. */
bool cf_view_look(struct cf_view *view)
{
    size_t count = cf_shards_count(view->shards);
    if (count > view->count) {
        uint64_t *grown = realloc(view->lasts, count * sizeof *grown);
        if (!grown)
            return false;
        for (size_t i = view->count; i < count; i++)
            grown[i] = 0;
        view->lasts = grown;
        view->count = count;
    }
    for (size_t i = 0; i < count; i++)
        view->lasts[i] = cf_shard_settled(cf_shards_get(view->shards, i));
    return true;
}

void cf_view_fini(struct cf_view *view)
{
    cf_shards_free(view->shards);
    free(view->lasts);
    *view = (struct cf_view){0};
}

/* ---- the file ---- */

enum cf_err cf_build_begin(struct cf_build *build, uint64_t number, struct cf_detail *detail)
{
    const char *space = build->space->folder;
    uint64_t base = build->whole ? build->whole->generation.generation : 0;
    build->generation = (struct cf_generation){.space = cf_str(build->space->name),
                                               .space_version = build->space->version,
                                               .generation = number,
                                               .base = base,
                                               .built_ms = cf_clock_wall_ms()};
    enum cf_err err =
        cf_home_path(build->home, build->path, sizeof build->path, detail, "data/index/%s", space);
    if (err == CF_OK)
        err = cf_file_make_dirs(build->path, detail);
    if (err == CF_OK)
        err = cf_generation_reserve(build->home, space, number, detail);
    if (err != CF_OK)
        return err;
    return base ? cf_generation_small_path(build->home, space, number, base, build->path, sizeof build->path,
                                           detail)
                : cf_generation_path(build->home, space, number, build->path, sizeof build->path, detail);
}

/* How far every shard is covered. NULL when memory is short. */
static struct cf_generation_mark *make_marks(const struct cf_view *view)
{
    struct cf_generation_mark *marks = calloc(view->count + 1, sizeof *marks);
    for (size_t i = 0; marks && i < view->count; i++)
        marks[i] = (struct cf_generation_mark){cf_str(cf_shards_name(view->shards, i)), view->lasts[i]};
    return marks;
}

/* `generation` lacks its marks only. */
static enum cf_err write_index(const struct cf_build *build, struct cf_generation generation,
                               const struct cf_ann_source *source, struct cf_detail *detail)
{
    struct cf_buf attachment;
    cf_buf_init(&attachment);
    generation.marks = make_marks(build->view);
    generation.mark_count = build->view->count;
    enum cf_err err = generation.marks ? cf_generation_encode(&generation, &attachment, detail)
                                       : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    /* A small one leaves the other processors to the queries, and comes so often that most of its cost would
     * be its calibration; a tenth of all neighbours are in it, so that a little more work for each query is
     * less. */
    const struct cf_ann_params params = {
        .dim = build->space->dim,
        .tag_bytes = CF_GENERATION_TAG_BYTES,
        .metric = build->space->metric == CF_METRIC_COSINE ? CF_ANN_COSINE : CF_ANN_L2,
        .seed = (uint64_t)build->config->indexer_seed,
        .threads = build->whole ? 1 : (unsigned)build->config->indexer_threads,
        .held_max = build->whole ? HELD_MAX_SMALL : 0,
        .like = build->whole ? build->whole->ann : NULL,
        .attachment = cf_buf_bytes(&attachment)};
    if (err == CF_OK)
        err = cf_ann_build(build->path, &params, source, build->cancel, build->cancel_arg, detail);
    free(generation.marks);
    cf_buf_fini(&attachment);
    return err;
}

static void report_damaged(const struct cf_items *items)
{
    if (items->damaged)
        cf_log(CF_LOG_ERROR, "vectors_ignored", "space=%s count=%" PRIu64 " last=\"%s\"", items->space->name,
               items->damaged, items->damage.text);
}

static enum cf_err write_whole(const struct cf_build *build, struct cf_detail *detail)
{
    struct cf_items items;
    enum cf_err err = cf_items_init(&items, build->view->shards, build->space, detail);
    if (err != CF_OK)
        return err;
    const struct cf_ann_source source = cf_items_source(&items);
    err = write_index(build, build->generation, &source, detail);
    if (err == CF_OK)
        report_damaged(&items);
    cf_items_fini(&items);
    return err;
}

static enum cf_err write_recent(const struct cf_build *build, struct cf_recent *recent,
                                struct cf_arena *arena, enum cf_plan_kind *kind, struct cf_detail *detail)
{
    struct cf_generation generation = build->generation;
    enum cf_err err = cf_recent_gather(recent, build->path, build->whole->ann, arena, &generation.hidden,
                                       &generation.hidden_count, detail);
    if (err != CF_OK)
        return err;
    if (!build->anyhow)
        *kind = cf_plan_kind(build->whole->count, 0, generation.hidden_count);
    if (*kind != CF_PLAN_SMALL)
        return CF_OK;
    const struct cf_ann_source source = cf_recent_source(recent);
    err = write_index(build, generation, &source, detail);
    if (err == CF_OK)
        report_damaged(&recent->items);
    return err;
}

static enum cf_err write_small(const struct cf_build *build, enum cf_plan_kind *kind,
                               struct cf_detail *detail)
{
    struct cf_recent recent;
    struct cf_arena *arena = cf_arena_new();
    if (!arena)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    enum cf_err err = cf_recent_init(&recent, build->view->shards, build->space, &build->whole->generation,
                                     build->view->lasts, detail);
    if (err == CF_OK) {
        err = write_recent(build, &recent, arena, kind, detail);
        cf_recent_fini(&recent);
    }
    cf_arena_free(arena);
    return err;
}

enum cf_err cf_build_write(struct cf_build *build, enum cf_plan_kind *kind, struct cf_detail *detail)
{
    *kind = build->whole ? CF_PLAN_SMALL : CF_PLAN_WHOLE;
    return build->whole ? write_small(build, kind, detail) : write_whole(build, detail);
}
