#include "workers/indexer/served.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

enum { LOOK_EVERY_MS = 3600000 };

void cf_part_fini(struct cf_part *part)
{
    cf_ann_free(part->ann);
    cf_arena_free(part->arena);
    *part = (struct cf_part){0};
}

struct cf_served cf_served(const struct cf_home *home, const struct cf_space *space)
{
    return (struct cf_served){.home = home, .space = space};
}

void cf_served_fini(struct cf_served *served)
{
    cf_part_fini(&served->small);
    cf_part_fini(&served->whole);
    served->count = 0;
}

const struct cf_part *cf_served_newest(const struct cf_served *served)
{
    return served->small.generation.generation ? &served->small : &served->whole;
}

enum cf_err cf_served_path(const struct cf_served *served, uint64_t number, uint64_t base, char *path,
                           size_t size, struct cf_detail *detail)
{
    const char *space = served->space->folder;
    return base ? cf_generation_small_path(served->home, space, number, base, path, size, detail)
                : cf_generation_path(served->home, space, number, path, size, detail);
}

/* ---- opening ---- */

static uint64_t modified_ns(const struct stat *info)
{
    return (uint64_t)info->st_mtim.tv_sec * 1000000000 + (uint64_t)info->st_mtim.tv_nsec;
}

/* Before it is read, so that no later change goes unnoticed. */
static void note_file(struct cf_part *part, const char *path)
{
    struct stat info;
    bool there = stat(path, &info) == 0;
    part->modified_ns = there ? modified_ns(&info) : 0;
    part->bytes = there ? (uint64_t)info.st_size : 0;
    part->published_ms = there ? part->modified_ns / 1000000 : cf_clock_wall_ms();
}

static enum cf_err check_fit(const struct cf_served *served, const struct cf_part *part, uint64_t number,
                             uint64_t base, struct cf_detail *detail)
{
    const struct cf_generation *generation = &part->generation;
    const struct cf_ann_info info = cf_ann_info(part->ann);
    if (!cf_str_is(generation->space, served->space->name) || generation->generation != number ||
        generation->base != base || info.tag_bytes != CF_GENERATION_TAG_BYTES)
        return cf_fail(detail, CF_E_CORRUPT,
                       "it holds generation %" PRIu64 " (base %" PRIu64 ") of the space %.*s",
                       generation->generation, generation->base, CF_STR_ARG(generation->space));
    if (generation->space_version != served->space->version || info.dim != served->space->dim)
        return cf_fail(detail, CF_E_BAD_VERSION, "it holds version %u of the space: %u is wanted",
                       generation->space_version, served->space->version);
    return CF_OK;
}

/* A small one covers all that its base does. */
static enum cf_err check_base(const struct cf_served *served, const struct cf_part *part,
                              struct cf_detail *detail)
{
    const struct cf_generation *base = &served->whole.generation;
    if (part->generation.base != base->generation)
        return cf_fail(detail, CF_E_NOT_FOUND, "it adds to generation %" PRIu64 ", which is not there",
                       part->generation.base);
    for (size_t i = 0; i < base->mark_count; i++)
        if (cf_generation_mark(&part->generation, base->marks[i].shard) < base->marks[i].log_seq)
            return cf_fail(detail, CF_E_CORRUPT,
                           "it covers less of %.*s than generation %" PRIu64 ", its base",
                           CF_STR_ARG(base->marks[i].shard), base->generation);
    return CF_OK;
}

static enum cf_err read_attachment(struct cf_part *part, struct cf_detail *detail)
{
    struct cf_bytes copy = cf_arena_bytes(part->arena, cf_ann_attachment(part->ann));
    return copy.data ? cf_generation_decode(copy, part->arena, &part->generation, detail)
                     : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
}

enum cf_err cf_part_open(const struct cf_served *served, const char *path, uint64_t number, uint64_t base,
                         struct cf_part *part, struct cf_detail *detail)
{
    *part = (struct cf_part){.arena = cf_arena_new()};
    enum cf_err err = part->arena ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    note_file(part, path);
    if (err == CF_OK)
        err = cf_ann_open(path, &part->ann, detail);
    if (err == CF_OK)
        err = cf_ann_verify(part->ann, detail);
    if (err == CF_OK)
        err = read_attachment(part, detail);
    if (err == CF_OK)
        err = check_fit(served, part, number, base, detail);
    if (err != CF_OK) {
        cf_part_fini(part);
        return err;
    }
    part->count = cf_ann_info(part->ann).count;
    return CF_OK;
}

/* An album counts once: the small one's items and hidden albums take the place of the base's. */
static uint64_t count_findable(const struct cf_served *served)
{
    uint64_t replaced = 0;
    const struct cf_generation *small = &served->small.generation;
    for (uint64_t i = 0; i < served->small.count; i++)
        replaced += cf_ann_find(served->whole.ann, cf_ann_id(served->small.ann, i)) != CF_ANN_NONE;
    for (size_t i = 0; i < small->hidden_count; i++) {
        struct cf_str id = small->hidden[i];
        replaced += cf_ann_find(served->whole.ann, (struct cf_bytes){(const uint8_t *)id.data, id.len}) !=
                    CF_ANN_NONE;
    }
    return served->whole.count + served->small.count - replaced;
}

void cf_served_take(struct cf_served *served, struct cf_part *part)
{
    const struct cf_generation *generation = &part->generation;
    cf_part_fini(&served->small);
    if (!generation->base) {
        cf_part_fini(&served->whole);
        served->damaged = false;
    }
    if (generation->generation > served->highest)
        served->highest = generation->generation;
    *(generation->base ? &served->small : &served->whole) = *part;
    *part = (struct cf_part){0};
    served->count = count_findable(served);
}

enum cf_err cf_served_adopt(struct cf_served *served, uint64_t number, uint64_t base,
                            struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_part part = {0};
    enum cf_err err = cf_served_path(served, number, base, path, sizeof path, detail);
    if (err == CF_OK)
        err = cf_part_open(served, path, number, base, &part, detail);
    if (err == CF_OK && base)
        err = check_base(served, &part, detail);
    if (err == CF_OK)
        cf_served_take(served, &part);
    cf_part_fini(&part);
    return err;
}

/* ---- the disk ---- */

static bool report(const struct cf_served *served, enum cf_err err, const char *event, uint64_t number,
                   const struct cf_detail *detail)
{
    if (err != CF_OK)
        cf_log(CF_LOG_ERROR, event, "space=%s generation=%" PRIu64 " error=%s detail=\"%s\"",
               served->space->name, number, cf_err_name(err), detail->text);
    return err == CF_OK;
}

/* The newest good one of `base` (0: a whole one). Whether there is one. */
static bool load_newest(struct cf_served *served, uint64_t base)
{
    struct cf_detail detail = {""};
    uint64_t number = 0;
    for (;;) {
        enum cf_err err =
            cf_generation_newest_small(served->home, served->space->folder, base, number, &number, &detail);
        if (err == CF_E_NOT_FOUND)
            return false;
        if (!report(served, err, "indexes_unreadable", number, &detail))
            return false;
        if (number > served->highest)
            served->highest = number;
        bool damaged = served->damaged;
        if (report(served, cf_served_adopt(served, number, base, &detail), "index_ignored", number,
                   &detail)) {
            served->damaged = damaged;
            return true;
        }
        served->damaged = served->damaged || base == 0;
    }
}

/* Of no use without it: what a builder that was killed left, or what is left when a whole one was deleted. */
static void name_strays(const struct cf_served *served)
{
    struct cf_detail detail = {""};
    uint64_t number = 0, base = 0;
    while (cf_generation_stray(served->home, served->space->folder, number, &number, &base, NULL) == CF_OK)
        (void)report(
            served,
            cf_fail(&detail, CF_E_NOT_FOUND, "it adds to generation %" PRIu64 ", which is not there", base),
            "index_ignored", number, &detail);
}

static void load_both(struct cf_served *served)
{
    if (load_newest(served, 0))
        (void)load_newest(served, served->whole.generation.generation);
}

void cf_served_load(struct cf_served *served)
{
    struct cf_detail detail = {""};
    name_strays(served);
    (void)report(served,
                 cf_generation_reserved(served->home, served->space->folder, &served->highest, &detail),
                 "numbers_unreadable", 0, &detail);
    if (report(served, cf_generation_sweep(served->home, served->space->folder, &detail), "indexes_unreadable",
               0, &detail))
        load_both(served);
}

static bool is_gone(const struct cf_served *served, const struct cf_part *part)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    const struct cf_generation *generation = &part->generation;
    return generation->generation != 0 &&
           cf_served_path(served, generation->generation, generation->base, path, sizeof path, NULL) ==
               CF_OK &&
           stat(path, &info) != 0 && errno == ENOENT;
}

void cf_served_notice_gone(struct cf_served *served)
{
    bool whole = is_gone(served, &served->whole);
    if (!whole && !is_gone(served, &served->small))
        return;
    cf_log(CF_LOG_WARN, "index_gone", "space=%s generation=%" PRIu64 " detail=\"its file was deleted\"",
           served->space->name, (whole ? &served->whole : &served->small)->generation.generation);
    cf_part_fini(&served->small);
    if (whole)
        cf_part_fini(&served->whole);
    served->count = served->whole.count;
}

static bool is_damaged(const struct cf_served *served, struct cf_part *part, bool look)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    struct cf_detail detail = {""};
    const struct cf_generation *generation = &part->generation;
    if (generation->generation == 0 ||
        cf_served_path(served, generation->generation, generation->base, path, sizeof path, NULL) != CF_OK ||
        stat(path, &info) != 0)
        return false;
    if (!look && modified_ns(&info) == part->modified_ns && (uint64_t)info.st_size == part->bytes)
        return false;
    struct cf_part again = {0};
    enum cf_err err = cf_part_open(served, path, generation->generation, generation->base, &again, &detail);
    part->modified_ns = again.modified_ns;
    part->bytes = again.bytes;
    cf_part_fini(&again);
    return err == CF_E_CORRUPT || err == CF_E_BAD_VERSION;
}

void cf_served_notice_damage(struct cf_served *served, uint64_t now_ms)
{
    bool look = served->look_at_ms && now_ms >= served->look_at_ms;
    if (look || served->look_at_ms == 0)
        served->look_at_ms = now_ms + LOOK_EVERY_MS;
    if (!is_damaged(served, &served->whole, look) && !is_damaged(served, &served->small, look))
        return;
    cf_served_fini(served);
    load_both(served);
}

static void delete_between(const struct cf_served *served, uint64_t base, uint64_t previous, uint64_t number)
{
    char path[CF_HOME_PATH_MAX];
    while (cf_generation_newest_small(served->home, served->space->folder, base, number, &number, NULL) ==
               CF_OK &&
           number > previous)
        if (cf_served_path(served, number, base, path, sizeof path, NULL) != CF_OK || unlink(path) != 0)
            return;
}

void cf_served_prune(const struct cf_served *served, uint64_t previous, size_t keep)
{
    const char *name = served->space->folder;
    struct cf_detail detail = {""};
    const struct cf_generation *newest = &cf_served_newest(served)->generation;
    delete_between(served, newest->base, previous, newest->generation);
    if (cf_generation_prune(served->home, name, served->whole.generation.generation, keep, &detail) != CF_OK)
        cf_log(CF_LOG_WARN, "old_index_kept", "space=%s detail=\"%s\"", name, detail.text);
}
