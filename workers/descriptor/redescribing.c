#include "workers/descriptor/redescribing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/image/image.h"
#include "common/store/shards.h"

enum { SLICE_ALBUMS = 16, SLICE_LOOKS = 4096, RETRY_MS = 1000, FREE_MS = 5000, DROPS_MAX = 16 };

enum phase { COUNTING, WORKING, FINISHED };

/* A shard of the job. */
struct part {
    struct cf_redescribe_part told;
    enum phase phase;
    char after[CF_ALBUM_BYTES_MAX + 1]; /* the last album looked at */
    size_t after_len;
    struct cf_shard *adopted; /* NULL: not open, or our own */
    uint64_t free_since_ms;   /* nobody holds its slot; 0 unknown */
    bool owned;               /* somebody else does it, or is about to */
    bool complained;
};

struct cf_redescribing {
    const struct cf_home *home;
    const char *name;
    struct cf_describing *describing;
    struct cf_describer *describer;
    struct cf_arena *arena; /* of one album */
    struct cf_buf thumb;
    uint8_t rgb[CF_THUMB_RGB_BYTES];
    float *values[CF_SPACE_COUNT];
    bool spaces[CF_SPACE_COUNT];
    uint64_t order;
    bool adopts;
    struct part parts[CF_REDESCRIBE_SHARDS_MAX]; /* the first is our own */
    size_t part_count;
};

enum cf_err cf_redescribing_new(const struct cf_home *home, const char *name,
                                struct cf_describing *describing, struct cf_redescribing **out,
                                struct cf_detail *detail)
{
    struct cf_redescribing *r = calloc(1, sizeof *r);
    if (!r)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to describe again");
    r->home = home;
    r->name = name;
    r->describing = describing;
    r->arena = cf_arena_new();
    r->describer = cf_describer_new();
    bool complete = r->arena && r->describer;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        r->values[i] = calloc(cf_spaces[i].dim, sizeof(float));
        complete = complete && r->values[i];
    }
    if (!complete) {
        cf_redescribing_free(r);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to describe again");
    }
    *out = r;
    return CF_OK;
}

static void let_go(struct part *part)
{
    cf_shard_free(part->adopted);
    part->adopted = NULL;
}

void cf_redescribing_free(struct cf_redescribing *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->part_count; i++)
        let_go(&r->parts[i]);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        free(r->values[i]);
    cf_describer_free(r->describer);
    cf_buf_fini(&r->thumb);
    cf_arena_free(r->arena);
    free(r);
}

/* ---- which shards ---- */

static bool knows(const struct cf_redescribing *r, const char *name)
{
    for (size_t i = 0; i < r->part_count; i++)
        if (strcmp(r->parts[i].told.shard, name) == 0)
            return true;
    return false;
}

static void add_part(struct cf_redescribing *r, const char *name)
{
    if (r->part_count == CF_REDESCRIBE_SHARDS_MAX || strlen(name) >= CF_REDESCRIBE_NAME_BYTES ||
        knows(r, name))
        return;
    struct part *part = &r->parts[r->part_count++];
    *part = (struct part){.phase = COUNTING};
    snprintf(part->told.shard, sizeof part->told.shard, "%s", name);
}

/* Whether somebody holds the lock of a slot (workers/runner). */
static bool is_owned(const struct cf_redescribing *r, const char *name)
{
    char path[CF_HOME_PATH_MAX];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (cf_home_path(r->home, path, sizeof path, NULL, "run/%s.lock", name) != CF_OK)
        return true;
    int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return errno != ENOENT;
    bool owned = fcntl(file, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
    close(file);
    return owned;
}

/* All of the fleet's, whoever serves them. */
static void find_shards(struct cf_redescribing *r)
{
    char path[CF_HOME_PATH_MAX];
    if (cf_home_path(r->home, path, sizeof path, NULL, "data/shards") != CF_OK)
        return;
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        if (cf_shards_is_shard(path, entry->d_name))
            add_part(r, entry->d_name);
    if (folder)
        closedir(folder);
}

static void drop_part(struct cf_redescribing *r, size_t i)
{
    let_go(&r->parts[i]);
    r->part_count--;
    memmove(&r->parts[i], &r->parts[i + 1], (r->part_count - i) * sizeof r->parts[0]);
}

/* Owners that came back do their shards themselves, from the beginning. */
static void give_back_owned(struct cf_redescribing *r)
{
    for (size_t i = r->part_count; i-- > 1;) {
        struct part *part = &r->parts[i];
        if (part->told.finished)
            continue;
        if (!r->adopts) {
            drop_part(r, i);
            continue;
        }
        bool owned = is_owned(r, part->told.shard);
        if (owned && !part->owned) {
            let_go(part);
            struct part anew = {.phase = COUNTING};
            memcpy(anew.told.shard, part->told.shard, sizeof anew.told.shard);
            *part = anew;
        }
        part->owned = owned;
    }
}

static void begin(struct cf_redescribing *r, const struct cf_redescribe_slice *slice)
{
    for (size_t i = 0; i < r->part_count; i++)
        let_go(&r->parts[i]);
    r->part_count = 0;
    r->order = slice->order;
    memcpy(r->spaces, slice->spaces, sizeof r->spaces);
    add_part(r, r->name);
}

/* The shard of a part, NULL when it is not to be had now. */
static struct cf_shard *open_part(struct cf_redescribing *r, struct part *part, uint64_t now_ms)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_detail detail = {""};
    if (part == &r->parts[0])
        return cf_describing_shard(r->describing, &detail);
    if (!part->free_since_ms)
        part->free_since_ms = now_ms;
    if (part->adopted || now_ms < part->free_since_ms + FREE_MS)
        return part->adopted;
    enum cf_err err = cf_home_path(r->home, path, sizeof path, &detail, "data/shards/%s", part->told.shard);
    if (err == CF_OK)
        err = cf_shard_open(path, &part->adopted, &detail);
    if (err == CF_OK)
        cf_log(CF_LOG_INFO, "shard_adopted",
               "shard=%s detail=\"it has no owner: it is described again here\"", part->told.shard);
    else if (!part->complained)
        cf_log(CF_LOG_ERROR, "shard_not_adopted", "shard=%s error=%s detail=\"%s\"", part->told.shard,
               cf_err_name(err), detail.text);
    part->complained = part->complained || err != CF_OK;
    return part->adopted;
}

/* ---- one album ---- */

static size_t list_missing(const struct cf_redescribing *r, const struct cf_shard_album *album,
                           size_t missing[CF_SPACE_COUNT])
{
    size_t count = 0;
    for (size_t i = 0; i < CF_SPACE_COUNT && !album->removed; i++)
        if (r->spaces[i] && !cf_shard_album_has(album, cf_str(cf_spaces[i].name), cf_spaces[i].version))
            missing[count++] = i;
    return count;
}

/* Vectors of versions that the fleet does not have any more. */
static size_t list_stale(const struct cf_shard_album *album, struct cf_vector_name stale[DROPS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < album->vector_count && count < DROPS_MAX; i++) {
        bool known = false, current = false;
        for (size_t s = 0; s < CF_SPACE_COUNT; s++) {
            bool named = cf_str_is(album->vectors[i].space, cf_spaces[s].name);
            known = known || named;
            current = current || (named && album->vectors[i].space_version >= cf_spaces[s].version);
        }
        if (known && !current)
            stale[count++] = album->vectors[i];
    }
    return count;
}

static void complain(const struct part *part, struct cf_str id, enum cf_err err,
                     const struct cf_detail *detail)
{
    cf_log(CF_LOG_WARN, "not_described_again", "shard=%s album=\"%.*s\" error=%s detail=\"%s\"",
           part->told.shard, CF_STR_ARG(id), cf_err_name(err), detail->text);
}

/* From the thumbnail as it decodes, as in the first description. */
static enum cf_err compute(struct cf_redescribing *r, const size_t *missing, size_t count,
                           struct cf_shard_vector *vectors, struct cf_detail *detail)
{
    enum cf_err err = cf_thumb_decode(cf_buf_bytes(&r->thumb), r->rgb, detail);
    for (size_t i = 0; i < count && err == CF_OK; i++) {
        const struct cf_space *space = &cf_spaces[missing[i]];
        bool constant;
        err = cf_describe(r->describer, space, r->rgb, CF_THUMB_SIDE, CF_THUMB_SIDE, r->values[missing[i]],
                          &constant, detail);
        if (err == CF_OK && !cf_vector_is_finite(r->values[missing[i]], space->dim))
            err = cf_fail(detail, CF_E_BAD_VECTOR, "its %s vector is not finite", space->name);
        vectors[i] =
            (struct cf_shard_vector){cf_str(space->name), space->version, r->values[missing[i]], space->dim};
    }
    return err;
}

/* What is the album's own fault is counted; anything else is returned. */
static enum cf_err describe(struct cf_redescribing *r, struct part *part, struct cf_shard *shard,
                            struct cf_str id, const struct cf_shard_album *album, struct cf_detail *detail)
{
    struct cf_shard_vector vectors[CF_SPACE_COUNT];
    struct cf_vector_name stale[DROPS_MAX];
    size_t missing[CF_SPACE_COUNT], count = list_missing(r, album, missing);
    cf_buf_clear(&r->thumb);
    enum cf_err err = cf_shard_thumb(shard, id, &r->thumb, detail);
    if (err == CF_E_NOT_FOUND) {
        part->told.no_thumbnail++;
        return CF_OK;
    }
    if (err != CF_OK)
        return err;
    struct cf_detail why = {""};
    err = compute(r, missing, count, vectors, &why);
    if (err != CF_OK) {
        complain(part, id, err, &why);
        part->told.failed++;
        return CF_OK;
    }
    err = cf_shard_add(shard, id, album->version, vectors, count, stale, list_stale(album, stale), detail);
    if (err == CF_OK || err == CF_E_SUPERSEDED)
        part->told.done++;
    return err == CF_E_SUPERSEDED ? CF_OK : err;
}

/* ---- one slice ---- */

/* Looks at some albums; `*end` when there are no more. `*written`: something is in the batch. */
static enum cf_err look(struct cf_redescribing *r, struct part *part, struct cf_shard *shard, bool *end,
                        bool *written, struct cf_detail *detail)
{
    struct cf_shard_walk *walk = NULL;
    size_t missing[CF_SPACE_COUNT], described = 0;
    enum cf_err err =
        cf_shard_walk_after(shard, (struct cf_str){part->after, part->after_len}, &walk, detail);
    for (size_t looks = 0; err == CF_OK && looks < SLICE_LOOKS && described < SLICE_ALBUMS; looks++) {
        struct cf_str id;
        struct cf_shard_album album;
        err = cf_shard_walk_next(walk, &id, &album, detail);
        if (err != CF_OK)
            break;
        if (list_missing(r, &album, missing) && part->phase == COUNTING) {
            part->told.total++;
        } else if (list_missing(r, &album, missing)) {
            err = describe(r, part, shard, id, &album, detail);
            described++;
        }
        part->after_len = id.len;
        memcpy(part->after, id.data, id.len);
    }
    cf_shard_walk_free(walk);
    *end = err == CF_E_NOT_FOUND;
    *written = described > 0;
    return *end ? CF_OK : err;
}

static void advance(struct part *part)
{
    part->after_len = 0;
    part->phase = part->phase == COUNTING && part->told.total ? WORKING : FINISHED;
    if (part->phase != FINISHED)
        return;
    part->told.finished = true;
    let_go(part);
    cf_log(CF_LOG_INFO, "described_again", "shard=%s albums=%llu no_thumbnail=%llu failed=%llu",
           part->told.shard, (unsigned long long)part->told.done, (unsigned long long)part->told.no_thumbnail,
           (unsigned long long)part->told.failed);
}

/* Nothing of the slice is in the shard: it is done again. */
static void fail(struct cf_redescribing *r, struct part *part, const struct part *before, enum cf_err err,
                 const struct cf_detail *detail)
{
    bool complained = part->complained;
    if (part == &r->parts[0])
        cf_describing_lose_shard(r->describing);
    else
        let_go(part);
    *part = *before;
    part->adopted = NULL;
    part->complained = true;
    if (!complained)
        cf_log(CF_LOG_ERROR, "describing_again_failed", "shard=%s error=%s detail=\"%s\"", part->told.shard,
               cf_err_name(err), detail->text);
}

/* Whether there may be more to do at once. */
static bool work_on(struct cf_redescribing *r, struct part *part, uint64_t now_ms)
{
    struct cf_shard *shard = open_part(r, part, now_ms);
    if (!shard)
        return false;
    const struct part before = *part;
    struct cf_detail detail = {""};
    bool end = false, written = false;
    enum cf_err err = look(r, part, shard, &end, &written, &detail);
    if (err == CF_OK && written)
        err = cf_shard_commit(shard, &detail);
    if (err != CF_OK) {
        fail(r, part, &before, err, &detail);
        return false;
    }
    part->complained = false;
    if (end)
        advance(part);
    return true;
}

static void report(const struct cf_redescribing *r, struct cf_redescribe_slice *slice)
{
    slice->part_count = r->part_count;
    slice->finished = true;
    for (size_t i = 0; i < r->part_count; i++) {
        slice->parts[i] = r->parts[i].told;
        slice->finished = slice->finished && (r->parts[i].told.finished || r->parts[i].owned);
    }
}

void cf_redescribing_run(struct cf_redescribing *r, struct cf_redescribe_slice *slice)
{
    uint64_t now_ms = cf_clock_mono_ms();
    if (slice->order != r->order)
        begin(r, slice);
    r->adopts = slice->adopts;
    if (r->adopts)
        find_shards(r);
    give_back_owned(r);
    bool busy = false;
    for (size_t i = 0; i < r->part_count && !busy; i++)
        if (r->parts[i].phase != FINISHED && !r->parts[i].owned)
            busy = work_on(r, &r->parts[i], now_ms);
    slice->pause_ms = busy ? 0 : RETRY_MS;
    report(r, slice);
}
