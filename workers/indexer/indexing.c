#include "workers/indexer/indexing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "workers/indexer/guard.h"
#include "workers/indexer/plan.h"
#include "workers/indexer/vectors.h"

enum { REOPEN_MS = 1000 };

/* One space: its newest good generation, and when to build the next. */
struct state {
    const struct cf_space *space;
    struct cf_arena *arena;       /* of `current` */
    struct cf_generation current; /* generation 0: none yet */
    uint64_t count, published_ms;
    uint64_t highest; /* of all files, damaged ones too */
    struct cf_plan plan;
    bool told; /* about the failure that lasts */
};

struct cf_indexing {
    const struct cf_home *home;
    const struct cf_config *config;
    const char *slot;
    struct cf_shards *shards; /* NULL: they could not be opened anew yet */
    bool begun;
    atomic_bool cancelled;
    struct state states[CF_SPACE_COUNT];
    /* The last log sequence of every shard, by its position, as of this round. */
    uint64_t *lasts;
    size_t last_count;
    bool parts_checked; /* in this round */
    bool doubtful;      /* the shards did not do for a build: they are opened anew before the next one */
    uint64_t reopen_ms;
};

void cf_publication_free(struct cf_publication *publication)
{
    if (!publication)
        return;
    cf_arena_free(publication->arena);
    free(publication);
}

static void on_problem(void *arg, const char *shard, enum cf_err err, const struct cf_detail *detail)
{
    (void)arg;
    cf_log(CF_LOG_ERROR, "shard_unreadable", "shard=%s error=%s detail=\"%s\"", shard, cf_err_name(err),
           detail->text);
}

static enum cf_err open_shards(struct cf_indexing *indexing, struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX], private_folder[CF_HOME_PATH_MAX];
    enum cf_err err = cf_home_path(indexing->home, folder, sizeof folder, detail, "data/shards");
    if (err == CF_OK)
        err = cf_home_path(indexing->home, private_folder, sizeof private_folder, detail, "secondaries/%s",
                           indexing->slot);
    if (err == CF_OK)
        err = cf_shards_open(folder, private_folder, on_problem, NULL, &indexing->shards, detail);
    return err;
}

enum cf_err cf_indexing_new(const struct cf_home *home, const struct cf_config *config, const char *slot,
                            struct cf_indexing **out, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    struct cf_indexing *indexing = calloc(1, sizeof *indexing);
    if (!indexing)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an indexer");
    indexing->home = home;
    indexing->slot = slot;
    indexing->config = config;
    for (size_t i = 0; i < CF_SPACE_COUNT && err == CF_OK; i++) {
        indexing->states[i].space = &cf_spaces[i];
        indexing->states[i].arena = cf_arena_new();
        if (!indexing->states[i].arena)
            err = cf_fail(detail, CF_E_NO_MEMORY, "no memory for an indexer");
    }
    if (err == CF_OK)
        err = open_shards(indexing, detail);
    if (err != CF_OK) {
        cf_indexing_free(indexing);
        return err;
    }
    *out = indexing;
    return CF_OK;
}

void cf_indexing_free(struct cf_indexing *indexing)
{
    if (!indexing)
        return;
    cf_shards_free(indexing->shards);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        cf_arena_free(indexing->states[i].arena);
    free(indexing->lasts);
    free(indexing);
}

void cf_indexing_cancel(struct cf_indexing *indexing)
{
    atomic_store(&indexing->cancelled, true);
}

static bool is_cancelled(void *arg)
{
    struct cf_indexing *indexing = arg;
    return atomic_load(&indexing->cancelled);
}

/* ---- generations ---- */

static uint64_t modified_ms(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return cf_clock_wall_ms();
    return (uint64_t)info.st_mtim.tv_sec * 1000 + (uint64_t)info.st_mtim.tv_nsec / 1000000;
}

static enum cf_err check_fit(const struct state *state, const struct cf_generation *generation,
                             uint64_t number, const struct cf_ann *ann, struct cf_detail *detail)
{
    if (!cf_str_is(generation->space, state->space->name) || generation->generation != number ||
        cf_ann_info(ann).tag_bytes != CF_GENERATION_TAG_BYTES)
        return cf_fail(detail, CF_E_CORRUPT, "it holds generation %" PRIu64 " of the space %.*s",
                       generation->generation, CF_STR_ARG(generation->space));
    if (generation->space_version != state->space->version || cf_ann_info(ann).dim != state->space->dim)
        return cf_fail(detail, CF_E_BAD_VERSION, "it holds version %u of the space: %u is wanted",
                       generation->space_version, state->space->version);
    return CF_OK;
}

/* Opens, checks and remembers a generation; the state is untouched on failure. */
static enum cf_err adopt(struct cf_indexing *indexing, struct state *state, uint64_t number,
                         struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_ann *ann = NULL;
    struct cf_generation generation = {0};
    struct cf_arena *arena = cf_arena_new();
    enum cf_err err = arena ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    if (err == CF_OK)
        err = cf_generation_path(indexing->home, state->space->name, number, path, sizeof path, detail);
    if (err == CF_OK)
        err = cf_ann_open(path, &ann, detail);
    if (err == CF_OK)
        err = cf_ann_verify(ann, detail);
    if (err == CF_OK) { /* the attachment goes when the file does */
        struct cf_bytes copy = cf_arena_bytes(arena, cf_ann_attachment(ann));
        err = copy.data ? cf_generation_decode(copy, arena, &generation, detail)
                        : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    }
    if (err == CF_OK)
        err = check_fit(state, &generation, number, ann, detail);
    if (err == CF_OK) {
        cf_arena_free(state->arena);
        state->arena = arena;
        state->current = generation;
        state->count = cf_ann_info(ann).count;
        state->published_ms = modified_ms(path);
        arena = NULL;
    }
    cf_ann_free(ann);
    cf_arena_free(arena);
    return err;
}

/* What the broker is told. NULL when memory is short. */
static struct cf_publication *publish(const struct state *state)
{
    struct cf_publication *publication = calloc(1, sizeof *publication);
    struct cf_arena *arena = cf_arena_new();
    const struct cf_generation *current = &state->current;
    struct cf_watermark *marks = arena ? cf_arena_alloc(arena, current->mark_count, sizeof *marks) : NULL;
    if (!publication || !marks) {
        cf_arena_free(arena);
        free(publication);
        return NULL;
    }
    for (size_t i = 0; i < current->mark_count; i++)
        marks[i] =
            (struct cf_watermark){cf_arena_str(arena, current->marks[i].shard), current->marks[i].log_seq};
    uint64_t build_ms = state->published_ms > current->built_ms ? state->published_ms - current->built_ms : 0;
    publication->arena = arena;
    publication->msg = (struct cf_published){.space = cf_str(state->space->name),
                                             .generation = current->generation,
                                             .count = state->count,
                                             .build_ms = build_ms,
                                             .published_ms = state->published_ms,
                                             .watermarks = marks,
                                             .watermark_count = current->mark_count};
    return publication;
}

/* The newest generation that is whole. Damaged ones are named, passed over, and replaced by the next build.
 */
static void load(struct cf_indexing *indexing, struct state *state)
{
    const char *name = state->space->name;
    struct cf_detail detail = {""};
    uint64_t number = 0;
    enum cf_err err = cf_generation_reserved(indexing->home, name, &state->highest, &detail);
    if (err != CF_OK)
        cf_log(CF_LOG_ERROR, "numbers_unreadable", "space=%s error=%s detail=\"%s\"", name, cf_err_name(err),
               detail.text);
    err = cf_generation_sweep(indexing->home, name, &detail);
    while (err == CF_OK) {
        err = cf_generation_newest(indexing->home, name, number, &number, &detail);
        if (err != CF_OK)
            break;
        if (number > state->highest)
            state->highest = number;
        enum cf_err damage = adopt(indexing, state, number, &detail);
        if (damage == CF_OK)
            return;
        cf_log(CF_LOG_ERROR, "index_ignored", "space=%s generation=%" PRIu64 " error=%s detail=\"%s\"", name,
               number, cf_err_name(damage), detail.text);
    }
    if (err != CF_E_NOT_FOUND)
        cf_log(CF_LOG_ERROR, "indexes_unreadable", "space=%s error=%s detail=\"%s\"", name, cf_err_name(err),
               detail.text);
}

/* ---- building ---- */

/* The attachment: how far every shard is covered. */
static enum cf_err attach(const struct cf_indexing *indexing, const struct state *state, uint64_t number,
                          uint64_t built_ms, struct cf_buf *out, struct cf_detail *detail)
{
    struct cf_generation_mark *marks = calloc(indexing->last_count + 1, sizeof *marks);
    if (!marks)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    for (size_t i = 0; i < indexing->last_count; i++)
        marks[i] =
            (struct cf_generation_mark){cf_str(cf_shards_name(indexing->shards, i)), indexing->lasts[i]};
    const struct cf_generation generation = {.space = cf_str(state->space->name),
                                             .space_version = state->space->version,
                                             .generation = number,
                                             .built_ms = built_ms,
                                             .marks = marks,
                                             .mark_count = indexing->last_count};
    enum cf_err err = cf_generation_encode(&generation, out, detail);
    free(marks);
    return err;
}

static enum cf_err write_index(struct cf_indexing *indexing, const struct state *state, uint64_t number,
                               struct cf_bytes attachment, struct cf_detail *detail)
{
    const struct cf_config *config = indexing->config;
    char folder[CF_HOME_PATH_MAX], path[CF_HOME_PATH_MAX];
    struct cf_vectors vectors;
    enum cf_err err = cf_vectors_init(&vectors, indexing->shards, state->space, detail);
    if (err != CF_OK)
        return err;
    const struct cf_ann_params params = {.dim = state->space->dim,
                                         .tag_bytes = CF_GENERATION_TAG_BYTES,
                                         .seed = (uint64_t)config->indexer_seed,
                                         .threads = (unsigned)config->indexer_threads,
                                         .attachment = attachment};
    const struct cf_ann_source source = cf_vectors_source(&vectors);
    err = cf_home_path(indexing->home, folder, sizeof folder, detail, "data/index/%s", state->space->name);
    if (err == CF_OK)
        err = cf_file_make_dirs(folder, detail);
    if (err == CF_OK)
        err = cf_generation_reserve(indexing->home, state->space->name, number, detail);
    if (err == CF_OK)
        err = cf_generation_path(indexing->home, state->space->name, number, path, sizeof path, detail);
    if (err == CF_OK)
        err = cf_ann_build(path, &params, &source, is_cancelled, indexing, detail);
    if (err == CF_OK && vectors.damaged)
        cf_log(CF_LOG_ERROR, "vectors_ignored", "space=%s count=%" PRIu64 " last=\"%s\"", state->space->name,
               vectors.damaged, vectors.damage.text);
    cf_vectors_fini(&vectors);
    return err;
}

/* Damaged ones that were passed over go first: they must not count as kept. */
static void prune(const struct cf_indexing *indexing, const struct state *state, uint64_t previous)
{
    const char *name = state->space->name;
    char path[CF_HOME_PATH_MAX];
    struct cf_detail detail = {""};
    uint64_t number = state->current.generation;
    while (cf_generation_newest(indexing->home, name, number, &number, NULL) == CF_OK && number > previous)
        if (cf_generation_path(indexing->home, name, number, path, sizeof path, NULL) != CF_OK ||
            unlink(path) != 0)
            break;
    if (cf_generation_prune(indexing->home, name, state->current.generation,
                            (size_t)indexing->config->indexer_generations_keep, &detail) != CF_OK)
        cf_log(CF_LOG_WARN, "old_index_kept", "space=%s detail=\"%s\"", name, detail.text);
}

static enum cf_err build(struct cf_indexing *indexing, struct state *state, struct cf_detail *detail)
{
    uint64_t previous = state->current.generation, number = state->highest + 1;
    struct cf_buf attachment;
    cf_buf_init(&attachment);
    enum cf_err err = attach(indexing, state, number, cf_clock_wall_ms(), &attachment, detail);
    if (err == CF_OK)
        err = write_index(indexing, state, number, cf_buf_bytes(&attachment), detail);
    if (err == CF_OK) {
        state->highest = number;
        err = adopt(indexing, state, number, detail);
    }
    if (err == CF_OK)
        prune(indexing, state, previous);
    cf_buf_fini(&attachment);
    return err;
}

/* What we follow may show an older state than what lies on disk, or damage that has been mended since. */
static void doubt(struct cf_indexing *indexing, uint64_t now_ms)
{
    if (!indexing->doubtful)
        indexing->reopen_ms = now_ms + REOPEN_MS;
    indexing->doubtful = true;
}

static void build_and_tell(struct cf_indexing *indexing, struct state *state,
                           struct cf_publication **published)
{
    struct cf_detail detail = {""};
    uint64_t started_ms = cf_clock_mono_ms();
    enum cf_err err = build(indexing, state, &detail);
    uint64_t now_ms = cf_clock_mono_ms();
    if (err == CF_OK) {
        cf_plan_built(&state->plan, started_ms, now_ms);
        state->told = false;
        *published = publish(state);
        cf_log(CF_LOG_INFO, "index_published",
               "space=%s generation=%" PRIu64 " count=%" PRIu64 " build_ms=%" PRIu64, state->space->name,
               state->current.generation, state->count, now_ms - started_ms);
        return;
    }
    cf_plan_failed(&state->plan, now_ms);
    if (err == CF_E_CORRUPT)
        doubt(indexing, now_ms);
    if (err == CF_E_SHUTTING_DOWN || state->told)
        return;
    state->told = true;
    cf_log(CF_LOG_ERROR, "build_failed", "space=%s error=%s detail=\"%s\"", state->space->name,
           cf_err_name(err), detail.text);
}

/* A catch-up beside a primary that retires a write-ahead log may show some parts of it earlier than others:
 * only what a second one does not mend is damage. */
static enum cf_err check_parts(struct cf_indexing *indexing, struct cf_str *shard, struct cf_detail *detail)
{
    enum cf_err err = cf_guard_parts(indexing->shards, shard, detail);
    if (err == CF_E_CORRUPT) {
        cf_shards_catch_up(indexing->shards);
        cf_shards_catch_up(indexing->shards);
        err = cf_guard_parts(indexing->shards, shard, detail);
    }
    indexing->parts_checked = err == CF_OK;
    return err;
}

/* Whether nothing would be lost by a build now. When it would, that is told once, and tried again ever more
 * slowly. */
static bool may_build(struct cf_indexing *indexing, struct state *state, uint64_t now_ms)
{
    struct cf_detail detail = {""};
    struct cf_str shard = cf_str("");
    enum cf_err err = cf_guard_marks(indexing->shards, indexing->lasts, &state->current, &shard, &detail);
    if (err == CF_OK && !indexing->parts_checked)
        err = check_parts(indexing, &shard, &detail);
    if (err == CF_OK)
        return true;
    cf_plan_failed(&state->plan, now_ms);
    doubt(indexing, now_ms);
    if (!state->told)
        cf_log(CF_LOG_ERROR, "shard_unreadable", "shard=%.*s space=%s error=%s detail=\"%s\"",
               CF_STR_ARG(shard), state->space->name, cf_err_name(err), detail.text);
    state->told = true;
    return false;
}

/* ---- rounds ---- */

/* Whether there are shards to look at. */
static bool reopen_shards(struct cf_indexing *indexing, uint64_t now_ms)
{
    if (!indexing->doubtful || now_ms < indexing->reopen_ms)
        return indexing->shards != NULL;
    cf_shards_free(indexing->shards);
    indexing->shards = NULL;
    indexing->last_count = 0; /* positions are dealt anew */
    indexing->reopen_ms = now_ms + REOPEN_MS;
    struct cf_detail detail = {""};
    enum cf_err err = open_shards(indexing, &detail);
    if (err != CF_OK) {
        cf_log(CF_LOG_ERROR, "shards_unreadable", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
        return false;
    }
    indexing->doubtful = false;
    return true;
}

/* Somebody deleted the files of an index: it is built anew from what the shards hold. */
static void notice_gone(const struct cf_indexing *indexing, struct state *state)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    uint64_t number = state->current.generation;
    if (number == 0 ||
        cf_generation_path(indexing->home, state->space->name, number, path, sizeof path, NULL) != CF_OK ||
        stat(path, &info) == 0 || errno != ENOENT)
        return;
    cf_log(CF_LOG_WARN, "index_gone", "space=%s generation=%" PRIu64 " detail=\"its file was deleted\"",
           state->space->name, number);
    state->current = (struct cf_generation){.generation = 0};
    state->count = 0;
}

static uint64_t count_unreadable(const struct cf_indexing *indexing)
{
    uint64_t count = 0;
    while (cf_shards_unreadable(indexing->shards, count))
        count++;
    return count;
}

/* The last entry of every shard. A shard whose log cannot be read keeps the number of the last round. */
static bool look(struct cf_indexing *indexing)
{
    size_t count = cf_shards_count(indexing->shards);
    if (count > indexing->last_count) {
        uint64_t *grown = realloc(indexing->lasts, count * sizeof *grown);
        if (!grown)
            return false;
        for (size_t i = indexing->last_count; i < count; i++)
            grown[i] = 0;
        indexing->lasts = grown;
        indexing->last_count = count;
    }
    for (size_t i = 0; i < count; i++)
        indexing->lasts[i] = cf_shard_settled(cf_shards_get(indexing->shards, i));
    return true;
}

static void observe(const struct cf_indexing *indexing, struct state *state, uint64_t now_ms)
{
    struct cf_plan_view view = {.count = state->count};
    for (size_t i = 0; i < indexing->last_count; i++) {
        uint64_t mark = cf_generation_mark(&state->current, cf_str(cf_shards_name(indexing->shards, i)));
        /* A log that is shorter than its mark is for the guard to refuse. */
        view.behind = view.behind || indexing->lasts[i] != mark;
        view.waiting += indexing->lasts[i] > mark ? indexing->lasts[i] - mark : 0;
        view.position += indexing->lasts[i];
    }
    cf_plan_observe(&state->plan, now_ms, &view);
}

static void begin(struct cf_indexing *indexing, struct cf_index_round *round)
{
    indexing->begun = true;
    /* On Linux a process id of a thread is that thread's, and so is its niceness; threads that it starts
     * inherit it. */
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), (int)indexing->config->indexer_nice) != 0)
        cf_log(CF_LOG_WARN, "not_nice", "nice=%d", (int)indexing->config->indexer_nice);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        load(indexing, &indexing->states[i]);
        if (indexing->states[i].current.generation)
            round->published[i] = publish(&indexing->states[i]);
    }
}

static bool is_forced(const struct cf_index_round *round)
{
    bool forced = false;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        forced = forced || round->forced[i];
    return forced;
}

void cf_indexing_run(struct cf_indexing *indexing, struct cf_index_round *round)
{
    if (!indexing->begun)
        begin(indexing, round);
    uint64_t now_ms = cf_clock_mono_ms();
    if (!reopen_shards(indexing, now_ms))
        return;
    cf_shards_catch_up(indexing->shards);
    if (is_forced(round)) /* what was at rest when it was ordered is settled by a second look */
        cf_shards_catch_up(indexing->shards);
    round->unreadable_shards = count_unreadable(indexing);
    indexing->parts_checked = false;
    if (!look(indexing))
        return; /* short of memory: the next round tries again */
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        struct state *state = &indexing->states[i];
        notice_gone(indexing, state);
        observe(indexing, state, now_ms);
        if (!round->forced[i] && !cf_plan_is_due(&state->plan, indexing->config, now_ms))
            continue;
        if (!may_build(indexing, state, now_ms))
            continue;
        cf_publication_free(round->published[i]);
        round->published[i] = NULL;
        build_and_tell(indexing, state, &round->published[i]);
    }
}
