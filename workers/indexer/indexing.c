#include "workers/indexer/indexing.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "workers/indexer/background.h"
#include "workers/indexer/guard.h"
#include "workers/indexer/plan.h"
#include "workers/indexer/recent.h"
#include "workers/indexer/served.h"

enum { REOPEN_MS = 1000 };

/* One space: its newest good generations, and when to build the next. */
struct state {
    const struct cf_space *space;
    struct cf_served served;
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
    bool told_priority;
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
    struct cf_indexing *indexing = calloc(1, sizeof *indexing);
    if (!indexing)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an indexer");
    indexing->home = home;
    indexing->slot = slot;
    indexing->config = config;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        indexing->states[i].space = &cf_spaces[i];
        indexing->states[i].served = cf_served(home, &cf_spaces[i]);
    }
    enum cf_err err = open_shards(indexing, detail);
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
        cf_served_fini(&indexing->states[i].served);
    free(indexing->lasts);
    free(indexing);
}

void cf_indexing_cancel(struct cf_indexing *indexing)
{
    atomic_store(&indexing->cancelled, true);
}

/* ---- generations ---- */

/* What the broker is told. NULL when memory is short. */
static struct cf_publication *publish(const struct state *state)
{
    struct cf_publication *publication = calloc(1, sizeof *publication);
    struct cf_arena *arena = cf_arena_new();
    const struct cf_part *newest = cf_served_newest(&state->served);
    const struct cf_generation *current = &newest->generation;
    struct cf_watermark *marks = arena ? cf_arena_alloc(arena, current->mark_count, sizeof *marks) : NULL;
    if (!publication || !marks) {
        cf_arena_free(arena);
        free(publication);
        return NULL;
    }
    for (size_t i = 0; i < current->mark_count; i++)
        marks[i] =
            (struct cf_watermark){cf_arena_str(arena, current->marks[i].shard), current->marks[i].log_seq};
    uint64_t build_ms =
        newest->published_ms > current->built_ms ? newest->published_ms - current->built_ms : 0;
    publication->arena = arena;
    publication->msg = (struct cf_published){.space = cf_str(state->space->name),
                                             .generation = current->generation,
                                             .count = state->served.count,
                                             .build_ms = build_ms,
                                             .published_ms = newest->published_ms,
                                             .watermarks = marks,
                                             .watermark_count = current->mark_count};
    return publication;
}

/* ---- building ---- */

/* One try at a generation, on a thread of its own. */
struct attempt {
    struct cf_indexing *indexing;
    struct state *state;
    enum cf_plan_kind kind;
    struct cf_pace pace;
    enum cf_background level;
    bool starved; /* it was given up for want of a processor */
    enum cf_err err;
    struct cf_detail detail;
};

static bool is_cancelled(void *arg)
{
    struct attempt *attempt = arg;
    if (attempt->level == CF_BACKGROUND_IDLE &&
        cf_pace_is_starved(&attempt->pace, cf_clock_mono_ms(), cf_pace_cpu_ms()))
        attempt->starved = true;
    return attempt->starved || atomic_load(&attempt->indexing->cancelled);
}

/* How far every shard is covered. NULL when memory is short. */
static struct cf_generation_mark *make_marks(const struct cf_indexing *indexing)
{
    struct cf_generation_mark *marks = calloc(indexing->last_count + 1, sizeof *marks);
    for (size_t i = 0; marks && i < indexing->last_count; i++)
        marks[i] =
            (struct cf_generation_mark){cf_str(cf_shards_name(indexing->shards, i)), indexing->lasts[i]};
    return marks;
}

/* Writes the file of `generation`, which lacks its marks only. */
static enum cf_err write_index(struct attempt *attempt, struct cf_generation *generation,
                               const struct cf_ann_source *source)
{
    struct cf_indexing *indexing = attempt->indexing;
    const struct cf_space *space = attempt->state->space;
    char path[CF_HOME_PATH_MAX];
    struct cf_detail *detail = &attempt->detail;
    struct cf_buf attachment;
    cf_buf_init(&attachment);
    generation->marks = make_marks(indexing);
    generation->mark_count = indexing->last_count;
    enum cf_err err = generation->marks ? cf_generation_encode(generation, &attachment, detail)
                                        : cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    const struct cf_ann_params params = {.dim = space->dim,
                                         .tag_bytes = CF_GENERATION_TAG_BYTES,
                                         .seed = (uint64_t)indexing->config->indexer_seed,
                                         .threads = (unsigned)indexing->config->indexer_threads,
                                         .attachment = cf_buf_bytes(&attachment)};
    if (err == CF_OK)
        err = cf_home_path(indexing->home, path, sizeof path, detail, "data/index/%s", space->name);
    if (err == CF_OK)
        err = cf_file_make_dirs(path, detail);
    if (err == CF_OK)
        err = cf_generation_reserve(indexing->home, space->name, generation->generation, detail);
    if (err == CF_OK)
        err = cf_served_path(&attempt->state->served, generation->generation, generation->base, path,
                             sizeof path, detail);
    if (err == CF_OK)
        err = cf_ann_build(path, &params, source, is_cancelled, attempt, detail);
    free(generation->marks);
    cf_buf_fini(&attachment);
    return err;
}

static void report_damaged(const struct cf_items *items)
{
    if (items->damaged)
        cf_log(CF_LOG_ERROR, "vectors_ignored", "space=%s count=%" PRIu64 " last=\"%s\"", items->space->name,
               items->damaged, items->damage.text);
}

static enum cf_err build_whole(struct attempt *attempt, struct cf_generation *generation)
{
    struct cf_items items;
    enum cf_err err =
        cf_items_init(&items, attempt->indexing->shards, attempt->state->space, &attempt->detail);
    if (err != CF_OK)
        return err;
    const struct cf_ann_source source = cf_items_source(&items);
    err = write_index(attempt, generation, &source);
    if (err == CF_OK)
        report_damaged(&items);
    cf_items_fini(&items);
    return err;
}

/* Without a file when it turns out that too much is hidden: then `kind` is the other one. */
static enum cf_err write_small(struct attempt *attempt, struct cf_generation *generation,
                               struct cf_recent *recent, struct cf_arena *arena)
{
    const struct cf_part *whole = &attempt->state->served.whole;
    enum cf_err err = cf_recent_hidden(recent, whole->ann, arena, &generation->hidden,
                                       &generation->hidden_count, &attempt->detail);
    if (err != CF_OK)
        return err;
    attempt->kind = cf_plan_kind(whole->count, 0, generation->hidden_count);
    if (attempt->kind != CF_PLAN_SMALL)
        return CF_OK;
    const struct cf_ann_source source = cf_recent_source(recent);
    err = write_index(attempt, generation, &source);
    if (err == CF_OK)
        report_damaged(&recent->items);
    return err;
}

static enum cf_err build_small(struct attempt *attempt, struct cf_generation *generation)
{
    struct cf_indexing *indexing = attempt->indexing;
    const struct cf_generation *base = &attempt->state->served.whole.generation;
    struct cf_recent recent;
    struct cf_arena *arena = cf_arena_new();
    if (!arena)
        return cf_fail(&attempt->detail, CF_E_NO_MEMORY, "no memory for an index");
    generation->base = base->generation;
    enum cf_err err = cf_recent_init(&recent, indexing->shards, attempt->state->space, base, indexing->lasts,
                                     &attempt->detail);
    if (err == CF_OK) {
        err = write_small(attempt, generation, &recent, arena);
        cf_recent_fini(&recent);
    }
    cf_arena_free(arena);
    return err;
}

static enum cf_err build(struct attempt *attempt)
{
    struct cf_served *served = &attempt->state->served;
    const enum cf_plan_kind wanted = attempt->kind;
    struct cf_generation generation = {.space = cf_str(attempt->state->space->name),
                                       .space_version = attempt->state->space->version,
                                       .generation = served->highest + 1,
                                       .built_ms = cf_clock_wall_ms()};
    uint64_t previous = (wanted == CF_PLAN_SMALL ? &served->small : &served->whole)->generation.generation;
    enum cf_err err =
        wanted == CF_PLAN_SMALL ? build_small(attempt, &generation) : build_whole(attempt, &generation);
    if (err != CF_OK || attempt->kind != wanted)
        return err;
    err = cf_served_adopt(served, generation.generation, generation.base, &attempt->detail);
    if (err == CF_OK)
        cf_served_prune(served, previous, (size_t)attempt->indexing->config->indexer_generations_keep);
    else if (served->highest < generation.generation)
        served->highest = generation.generation;
    return err;
}

/* What we follow may show an older state than what lies on disk, or damage that has been mended since. */
static void doubt(struct cf_indexing *indexing, uint64_t now_ms)
{
    if (!indexing->doubtful)
        indexing->reopen_ms = now_ms + REOPEN_MS;
    indexing->doubtful = true;
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
 * slowly. A small generation looks at each record that it is about: it does without the look at all of them.
 */
static bool may_build(struct cf_indexing *indexing, struct state *state, enum cf_plan_kind kind)
{
    struct cf_detail detail = {""};
    struct cf_str shard = cf_str("");
    enum cf_err err = cf_guard_marks(indexing->shards, indexing->lasts,
                                     &cf_served_newest(&state->served)->generation, &shard, &detail);
    if (err == CF_OK && kind == CF_PLAN_WHOLE && !indexing->parts_checked)
        err = check_parts(indexing, &shard, &detail);
    if (err == CF_OK)
        return true;
    uint64_t now_ms = cf_clock_mono_ms();
    cf_plan_failed(&state->plan, now_ms);
    doubt(indexing, now_ms);
    if (!state->told)
        cf_log(CF_LOG_ERROR, "shard_unreadable", "shard=%.*s space=%s error=%s detail=\"%s\"",
               CF_STR_ARG(shard), state->space->name, cf_err_name(err), detail.text);
    state->told = true;
    return false;
}

static void fail_build(struct cf_indexing *indexing, struct state *state, enum cf_err err,
                       const struct cf_detail *detail)
{
    uint64_t now_ms = cf_clock_mono_ms();
    cf_plan_failed(&state->plan, now_ms);
    if (err == CF_E_CORRUPT)
        doubt(indexing, now_ms);
    if (err == CF_E_SHUTTING_DOWN || state->told)
        return;
    state->told = true;
    cf_log(CF_LOG_ERROR, "build_failed", "space=%s error=%s detail=\"%s\"", state->space->name,
           cf_err_name(err), detail->text);
}

/* CF_E_BUSY when nothing may be built now, which has been told. */
static void try_build(void *arg)
{
    struct attempt *attempt = arg;
    enum cf_plan_kind wanted = attempt->kind;
    attempt->err = CF_E_BUSY;
    if (!may_build(attempt->indexing, attempt->state, wanted))
        return;
    attempt->err = build(attempt);
    if (attempt->err != CF_OK || attempt->kind == wanted)
        return;
    attempt->err = CF_E_BUSY;
    if (may_build(attempt->indexing, attempt->state, attempt->kind))
        attempt->err = build(attempt);
}

static void run_attempt(struct cf_indexing *indexing, struct attempt *attempt, enum cf_background level)
{
    bool as_wanted = false;
    attempt->level = level;
    attempt->starved = false;
    attempt->pace = (struct cf_pace){cf_clock_mono_ms(), cf_pace_cpu_ms()};
    enum cf_err err = cf_background_run(level, (int)indexing->config->indexer_nice, try_build, attempt,
                                        &as_wanted, &attempt->detail);
    if (err != CF_OK) {
        attempt->err = err;
    } else if (!as_wanted && !indexing->told_priority) {
        indexing->told_priority = true;
        cf_log(CF_LOG_WARN, "not_idle",
               "detail=\"builds run at niceness 19: the system allows nothing lower\"");
    }
}

static void build_and_tell(struct cf_indexing *indexing, struct state *state, enum cf_plan_kind kind,
                           struct cf_publication **published)
{
    struct attempt attempt = {.indexing = indexing, .state = state, .kind = kind};
    uint64_t started_ms = cf_clock_mono_ms();
    run_attempt(indexing, &attempt, CF_BACKGROUND_IDLE);
    if (attempt.starved) {
        cf_log(CF_LOG_INFO, "build_starved", "space=%s nice=%d detail=\"begun again at this niceness\"",
               state->space->name, (int)indexing->config->indexer_nice);
        attempt.kind = kind;
        run_attempt(indexing, &attempt, CF_BACKGROUND_NICE);
    }
    if (attempt.err == CF_E_BUSY)
        return;
    if (attempt.err != CF_OK) {
        fail_build(indexing, state, attempt.err, &attempt.detail);
        return;
    }
    uint64_t now_ms = cf_clock_mono_ms();
    const struct cf_part *newest = cf_served_newest(&state->served);
    cf_plan_built(&state->plan, attempt.kind, started_ms, now_ms);
    state->told = false;
    *published = publish(state);
    cf_log(CF_LOG_INFO, "index_published",
           "space=%s generation=%" PRIu64 " base=%" PRIu64 " held=%" PRIu64 " count=%" PRIu64
           " build_ms=%" PRIu64,
           state->space->name, newest->generation.generation, newest->generation.base, newest->count,
           state->served.count, now_ms - started_ms);
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

static uint64_t entries_behind(const struct cf_generation *generation, struct cf_str shard, uint64_t last)
{
    uint64_t mark = cf_generation_mark(generation, shard);
    /* A log that is shorter than its mark is for the guard to refuse. */
    return last > mark ? last - mark : 0;
}

static void observe(const struct cf_indexing *indexing, struct state *state, uint64_t now_ms)
{
    const struct cf_generation *whole = &state->served.whole.generation,
                               *newest = &cf_served_newest(&state->served)->generation;
    struct cf_plan_view view = {.base = state->served.whole.count, .small = state->served.small.count};
    for (size_t i = 0; i < indexing->last_count; i++) {
        struct cf_str shard = cf_str(cf_shards_name(indexing->shards, i));
        view.behind = view.behind || indexing->lasts[i] != cf_generation_mark(newest, shard);
        view.waiting += entries_behind(newest, shard, indexing->lasts[i]);
        view.changed += entries_behind(whole, shard, indexing->lasts[i]);
        view.position += indexing->lasts[i];
    }
    cf_plan_observe(&state->plan, now_ms, &view);
}

/* The log numbers tell how much changed at most: an album that is described again and again has one entry. So
 * before a whole build they are counted. */
static enum cf_plan_kind choose(struct cf_indexing *indexing, struct state *state, bool forced)
{
    const struct cf_part *whole = &state->served.whole;
    if (forced || state->served.damaged || whole->generation.generation == 0)
        return CF_PLAN_WHOLE;
    if (state->plan.kind == CF_PLAN_SMALL)
        return CF_PLAN_SMALL;
    uint64_t changed = 0, limit = cf_plan_changed_max(whole->count);
    if (cf_recent_count(indexing->shards, &whole->generation, limit, &changed, NULL) != CF_OK)
        return CF_PLAN_WHOLE; /* which will say why */
    return cf_plan_kind(whole->count, changed, 0);
}

static void begin(struct cf_indexing *indexing, struct cf_index_round *round)
{
    indexing->begun = true;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        struct state *state = &indexing->states[i];
        cf_served_load(&state->served);
        if (state->served.whole.generation.generation)
            round->published[i] = publish(state);
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
        cf_served_notice_gone(&state->served);
        observe(indexing, state, now_ms);
        if (!round->forced[i] && !cf_plan_is_due(&state->plan, indexing->config, now_ms))
            continue;
        struct cf_publication *published = NULL;
        build_and_tell(indexing, state, choose(indexing, state, round->forced[i]), &published);
        if (!published)
            continue;
        cf_publication_free(round->published[i]);
        round->published[i] = published;
    }
}
