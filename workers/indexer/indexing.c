#include "workers/indexer/indexing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "workers/indexer/background.h"
#include "workers/indexer/build.h"
#include "workers/indexer/guard.h"

/* A whole build that found no idle processor runs below all that serves. */
enum { REOPEN_MS = 1000, NICE_STARVED = 17 };

/* One space: its newest good generations, and when to build the next. */
struct state {
    const struct cf_space *space;
    struct cf_served served;
    struct cf_plan plan;
    bool ordered; /* a whole one, whatever the plan says */
    bool told;    /* about the failure that lasts */
};

/* A whole generation of some size, built on a thread of its own while the rounds go on. It has shards of its
 * own too, since it walks through all of them twice and they must not be caught up with meanwhile; and it
 * lies under another name until a small one is there that adds to it all that came in the meantime: queries
 * take both at once, and have no more to search one by one than before. */
struct beside {
    struct cf_indexing *indexing;
    struct state *state; /* NULL: nothing is being built */
    struct cf_background thread;
    struct cf_view view;
    struct cf_build build;
    struct cf_pace pace;
    uint64_t started_ms;
    bool starved;         /* it was given up for want of a processor */
    atomic_bool finished; /* then what follows is the rounds' again */
    struct cf_part part;  /* what was built */
    enum cf_err err;
    struct cf_detail detail;
};

struct cf_indexing {
    const struct cf_home *home;
    const struct cf_config *config;
    const char *slot;
    struct cf_view view; /* as of this round. Without shards: they could not be opened anew yet */
    bool begun;
    atomic_bool cancelled;
    struct state states[CF_SPACE_COUNT];
    struct beside beside;
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

/* `suffix` keeps secondaries apart; `problem` may be NULL. */
static enum cf_err open_shards(const struct cf_indexing *indexing, const char *suffix,
                               cf_shards_problem *problem, struct cf_shards **shards,
                               struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX], private_folder[CF_HOME_PATH_MAX];
    enum cf_err err = cf_home_path(indexing->home, folder, sizeof folder, detail, "data/shards");
    if (err == CF_OK)
        err = cf_home_path(indexing->home, private_folder, sizeof private_folder, detail, "secondaries/%s%s",
                           indexing->slot, suffix);
    if (err == CF_OK)
        err = cf_shards_open(folder, private_folder, problem, NULL, shards, detail);
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
    indexing->beside.indexing = indexing;
    enum cf_err err = open_shards(indexing, "", on_problem, &indexing->view.shards, detail);
    if (err != CF_OK) {
        cf_indexing_free(indexing);
        return err;
    }
    *out = indexing;
    return CF_OK;
}

/* What was built and not published goes. */
static void end_beside(struct beside *beside)
{
    if (beside->build.path[0])
        (void)remove(beside->build.path); /* one that stays is swept by the next indexer */
    beside->build.path[0] = 0;
    cf_part_fini(&beside->part);
    cf_view_fini(&beside->view);
    beside->state = NULL;
}

void cf_indexing_free(struct cf_indexing *indexing)
{
    if (!indexing)
        return;
    cf_indexing_cancel(indexing);
    if (indexing->beside.state)
        cf_background_join(&indexing->beside.thread);
    end_beside(&indexing->beside);
    cf_view_fini(&indexing->view);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        cf_served_fini(&indexing->states[i].served);
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

/* ---- building in a round ---- */

/* One try at a generation. */
struct attempt {
    struct cf_indexing *indexing;
    struct state *state;
    const struct cf_part *whole; /* what a small one adds to; NULL: a whole one */
    bool anyhow;                 /* small, whatever it hides */
    enum cf_plan_kind kind;      /* what came of it */
    uint64_t number;
    enum cf_err err;
    struct cf_detail detail;
};

static bool is_cancelled(void *arg)
{
    struct cf_indexing *indexing = arg;
    return atomic_load(&indexing->cancelled);
}

static void write_file(void *arg)
{
    struct attempt *attempt = arg;
    struct cf_indexing *indexing = attempt->indexing;
    struct cf_build build = {.home = indexing->home,
                             .config = indexing->config,
                             .space = attempt->state->space,
                             .view = &indexing->view,
                             .whole = attempt->whole,
                             .anyhow = attempt->anyhow,
                             .cancel = is_cancelled,
                             .cancel_arg = indexing};
    attempt->number = attempt->state->served.highest + 1;
    attempt->err = cf_build_begin(&build, attempt->number, &attempt->detail);
    if (attempt->err == CF_OK)
        attempt->err = cf_build_write(&build, &attempt->kind, &attempt->detail);
}

static void run_attempt(struct attempt *attempt)
{
    struct cf_background thread = {.level = CF_BACKGROUND_NICE,
                                   .nice = (int)attempt->indexing->config->indexer_nice,
                                   .work = write_file,
                                   .arg = attempt};
    attempt->err = cf_background_start(&thread, &attempt->detail);
    if (attempt->err == CF_OK)
        cf_background_join(&thread);
}

static void prune(const struct cf_indexing *indexing, const struct state *state, uint64_t previous)
{
    cf_served_prune(&state->served, previous, (size_t)indexing->config->indexer_generations_keep);
}

/* Builds what the attempt says and takes it, or else, when `kind` is another one then, nothing. */
static void build(struct attempt *attempt)
{
    struct cf_served *served = &attempt->state->served;
    const bool small = attempt->whole != NULL;
    const uint64_t previous = (small ? &served->small : &served->whole)->generation.generation;
    const uint64_t base = small ? attempt->whole->generation.generation : 0;
    run_attempt(attempt);
    if (attempt->err != CF_OK || (attempt->kind == CF_PLAN_SMALL) != small)
        return;
    attempt->err = cf_served_adopt(served, attempt->number, base, &attempt->detail);
    if (attempt->err == CF_OK)
        prune(attempt->indexing, attempt->state, previous);
    else if (served->highest < attempt->number)
        served->highest = attempt->number;
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
static enum cf_err check_parts(struct cf_view *view, struct cf_str *shard, struct cf_detail *detail)
{
    enum cf_err err = cf_guard_parts(view->shards, shard, detail);
    if (err != CF_E_CORRUPT)
        return err;
    cf_shards_catch_up(view->shards);
    cf_shards_catch_up(view->shards);
    if (!cf_view_look(view))
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    return cf_guard_parts(view->shards, shard, detail);
}

/* A failure that lasts is told once. */
static void refuse_build(struct cf_indexing *indexing, struct state *state, enum cf_err err,
                         struct cf_str shard, const struct cf_detail *detail)
{
    uint64_t now_ms = cf_clock_mono_ms();
    cf_plan_failed(&state->plan, now_ms);
    doubt(indexing, now_ms);
    if (!state->told)
        cf_log(CF_LOG_ERROR, "shard_unreadable", "shard=%.*s space=%s error=%s detail=\"%s\"",
               CF_STR_ARG(shard), state->space->name, cf_err_name(err), detail->text);
    state->told = true;
}

/* Whether nothing would be lost by a build now. When it would, it is tried again ever more slowly. A small
 * generation looks at each record that it is about: it does without the look at all of them. */
static bool may_build(struct cf_indexing *indexing, struct state *state, enum cf_plan_kind kind)
{
    struct cf_detail detail = {""};
    struct cf_str shard = cf_str("");
    enum cf_err err = cf_guard_marks(indexing->view.shards, indexing->view.lasts,
                                     &cf_served_newest(&state->served)->generation, &shard, &detail);
    if (err == CF_OK && kind == CF_PLAN_WHOLE && !indexing->parts_checked)
        err = check_parts(&indexing->view, &shard, &detail);
    if (err == CF_OK && kind == CF_PLAN_WHOLE)
        indexing->parts_checked = true;
    if (err != CF_OK)
        refuse_build(indexing, state, err, shard, &detail);
    return err == CF_OK;
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

static void tell_built(struct state *state, enum cf_plan_kind kind, uint64_t started_ms,
                       struct cf_publication **published)
{
    uint64_t now_ms = cf_clock_mono_ms();
    const struct cf_part *newest = cf_served_newest(&state->served);
    cf_plan_built(&state->plan, kind, started_ms, now_ms);
    state->told = false;
    cf_publication_free(*published);
    *published = publish(state);
    cf_log(CF_LOG_INFO, "index_published",
           "space=%s generation=%" PRIu64 " base=%" PRIu64 " held=%" PRIu64 " count=%" PRIu64
           " build_ms=%" PRIu64,
           state->space->name, newest->generation.generation, newest->generation.base, newest->count,
           state->served.count, now_ms - started_ms);
}

/* A generation of `kind`, within this round. What it turns out that should be whole is ordered. */
static void build_now(struct cf_indexing *indexing, struct state *state, enum cf_plan_kind kind,
                      struct cf_publication **published)
{
    struct attempt attempt = {.indexing = indexing,
                              .state = state,
                              .whole = kind == CF_PLAN_SMALL ? &state->served.whole : NULL,
                              .anyhow = indexing->beside.state != NULL,
                              .kind = kind};
    uint64_t started_ms = cf_clock_mono_ms();
    if (!may_build(indexing, state, kind))
        return;
    build(&attempt);
    if (attempt.err != CF_OK)
        fail_build(indexing, state, attempt.err, &attempt.detail);
    else if (attempt.kind == kind)
        tell_built(state, kind, started_ms, published);
    else
        state->ordered = true;
}

/* ---- building beside the rounds ---- */

static bool is_given_up(void *arg)
{
    struct beside *beside = arg;
    if (beside->thread.level == CF_BACKGROUND_IDLE &&
        cf_pace_is_starved(&beside->pace, cf_clock_mono_ms(), cf_pace_cpu_ms(&beside->pace)))
        beside->starved = true;
    return beside->starved || is_cancelled(beside->indexing);
}

static void work_beside(void *arg)
{
    struct beside *beside = arg;
    enum cf_plan_kind kind = CF_PLAN_WHOLE;
    struct cf_str shard = cf_str("");
    beside->pace = cf_pace(cf_clock_mono_ms());
    beside->err = check_parts(&beside->view, &shard, &beside->detail);
    if (beside->err == CF_OK)
        beside->err = cf_build_write(&beside->build, &kind, &beside->detail);
    if (beside->err == CF_OK)
        beside->err = cf_part_open(&beside->state->served, beside->build.path,
                                   beside->build.generation.generation, 0, &beside->part, &beside->detail);
    atomic_store(&beside->finished, true);
}

/* Shards of its own, that show no less than those of the rounds did when they were asked whether a build may
 * be. */
static enum cf_err open_beside(struct beside *beside, struct cf_detail *detail)
{
    const struct cf_indexing *indexing = beside->indexing;
    struct cf_str shard = cf_str("");
    enum cf_err err = open_shards(indexing, "-whole", NULL, &beside->view.shards, detail);
    if (err != CF_OK)
        return err;
    cf_shards_catch_up(beside->view.shards);
    cf_shards_catch_up(beside->view.shards);
    if (!cf_view_look(&beside->view))
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for an index");
    return cf_guard_marks(beside->view.shards, beside->view.lasts,
                          &cf_served_newest(&beside->state->served)->generation, &shard, detail);
}

/* The number is given away at once: small ones that come meanwhile have higher ones. */
static enum cf_err begin_beside(struct beside *beside, struct cf_detail *detail)
{
    struct cf_served *served = &beside->state->served;
    beside->build = (struct cf_build){.home = beside->indexing->home,
                                      .config = beside->indexing->config,
                                      .space = beside->state->space,
                                      .view = &beside->view,
                                      .cancel = is_given_up,
                                      .cancel_arg = beside};
    enum cf_err err = cf_build_begin(&beside->build, served->highest + 1, detail);
    if (err != CF_OK) {
        beside->build.path[0] = 0;
        return err;
    }
    served->highest++;
    size_t len = strlen(beside->build.path), left = sizeof beside->build.path - len;
    if (snprintf(beside->build.path + len, left, ".new") < (int)left)
        return CF_OK;
    beside->build.path[0] = 0;
    return cf_fail(detail, CF_E_INVALID, "the path of the home is too long");
}

static void start_beside(struct cf_indexing *indexing, struct state *state, enum cf_background_level level,
                         int nice)
{
    struct beside *beside = &indexing->beside;
    struct cf_detail detail = {""};
    if (!may_build(indexing, state, CF_PLAN_SMALL)) /* the look at all records is the thread's */
        return;
    beside->state = state;
    beside->starved = false;
    beside->started_ms = cf_clock_mono_ms();
    atomic_store(&beside->finished, false);
    beside->thread = (struct cf_background){.level = level, .nice = nice, .work = work_beside, .arg = beside};
    enum cf_err err = open_beside(beside, &detail);
    if (err == CF_OK)
        err = begin_beside(beside, &detail);
    if (err == CF_OK)
        err = cf_background_start(&beside->thread, &detail);
    if (err == CF_OK)
        return;
    fail_build(indexing, state, err, &detail);
    end_beside(beside);
}

static void tell_priority(struct cf_indexing *indexing, const struct cf_background *thread)
{
    if (thread->as_wanted || indexing->told_priority)
        return;
    indexing->told_priority = true;
    cf_log(CF_LOG_WARN, "not_idle", "detail=\"builds run at niceness 19: the system allows nothing lower\"");
}

/* Whether something came since the whole one `part` saw the shards, or small ones with higher numbers are
 * out: the number of what is served only grows. */
static bool needs_small(const struct cf_indexing *indexing, const struct state *state,
                        const struct cf_part *part)
{
    for (size_t i = 0; i < indexing->view.count; i++)
        if (indexing->view.lasts[i] >
            cf_generation_mark(&part->generation, cf_str(cf_shards_name(indexing->view.shards, i))))
            return true;
    return cf_served_newest(&state->served)->generation.generation > part->generation.generation;
}

/* The small one that adds to what was built beside what came meanwhile. Trouble is told: the tail is longer
 * then. */
static bool follow_up(struct beside *beside, struct attempt *attempt)
{
    struct state *state = beside->state;
    *attempt = (struct attempt){.indexing = beside->indexing,
                                .state = state,
                                .whole = &beside->part,
                                .anyhow = true,
                                .kind = CF_PLAN_SMALL};
    if (!needs_small(beside->indexing, state, &beside->part) ||
        !may_build(beside->indexing, state, CF_PLAN_SMALL))
        return false;
    run_attempt(attempt);
    if (attempt->err != CF_OK)
        fail_build(beside->indexing, state, attempt->err, &attempt->detail);
    return attempt->err == CF_OK;
}

/* Under its own name, from now on. */
static enum cf_err publish_beside(struct beside *beside, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_served *served = &beside->state->served;
    const uint64_t previous = served->whole.generation.generation;
    enum cf_err err =
        cf_served_path(served, beside->part.generation.generation, 0, path, sizeof path, detail);
    if (err == CF_OK)
        err = cf_file_rename_synced(beside->build.path, path, detail);
    if (err != CF_OK)
        return err;
    beside->build.path[0] = 0;
    beside->part.published_ms = cf_clock_wall_ms();
    cf_served_take(served, &beside->part);
    prune(beside->indexing, beside->state, previous);
    return CF_OK;
}

/* `small` may be NULL. One that cannot be adopted was damaged between its build and now. */
static void adopt_small(struct beside *beside, struct attempt *small)
{
    struct cf_served *served = &beside->state->served;
    if (!small)
        return;
    small->err = cf_served_adopt(served, small->number, served->whole.generation.generation, &small->detail);
    if (small->err != CF_OK)
        fail_build(beside->indexing, beside->state, small->err, &small->detail);
    if (served->highest < small->number)
        served->highest = small->number;
}

static void take_beside(struct beside *beside, struct cf_publication **published)
{
    struct state *state = beside->state;
    struct attempt small;
    uint64_t follow_ms = cf_clock_mono_ms();
    bool followed = follow_up(beside, &small);
    if (is_cancelled(beside->indexing))
        return;
    beside->err = publish_beside(beside, &beside->detail);
    if (beside->err != CF_OK) {
        fail_build(beside->indexing, state, beside->err, &beside->detail);
        return;
    }
    adopt_small(beside, followed ? &small : NULL);
    tell_built(state, CF_PLAN_WHOLE, beside->started_ms, published);
    if (followed)
        cf_plan_built(&state->plan, CF_PLAN_SMALL, follow_ms, cf_clock_mono_ms());
}

/* Takes what was finished, or begins it again with more of the processor. */
static void finish_beside(struct cf_indexing *indexing, struct cf_index_round *round)
{
    struct beside *beside = &indexing->beside;
    struct state *state = beside->state;
    if (!state || !atomic_load(&beside->finished))
        return;
    cf_background_join(&beside->thread);
    tell_priority(indexing, &beside->thread);
    bool again = beside->starved && !is_cancelled(indexing);
    if (again)
        cf_log(CF_LOG_INFO, "build_starved", "space=%s nice=%d detail=\"begun again at this niceness\"",
               state->space->name, NICE_STARVED);
    else if (beside->err != CF_OK)
        fail_build(indexing, state, beside->err, &beside->detail);
    else
        take_beside(beside, &round->published[state - indexing->states]);
    end_beside(beside);
    if (again)
        start_beside(indexing, state, CF_BACKGROUND_NICE, NICE_STARVED);
}

/* ---- rounds ---- */

/* Whether there are shards to look at. */
static bool reopen_shards(struct cf_indexing *indexing, uint64_t now_ms)
{
    if (!indexing->doubtful || now_ms < indexing->reopen_ms)
        return indexing->view.shards != NULL;
    cf_shards_free(indexing->view.shards);
    indexing->view.shards = NULL;
    indexing->view.count = 0; /* positions are dealt anew */
    indexing->reopen_ms = now_ms + REOPEN_MS;
    struct cf_detail detail = {""};
    enum cf_err err = open_shards(indexing, "", on_problem, &indexing->view.shards, &detail);
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
    while (cf_shards_unreadable(indexing->view.shards, count))
        count++;
    return count;
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
    struct cf_plan_view view = {.base = state->served.whole.count,
                                .small = state->served.small.count,
                                .building = indexing->beside.state != NULL};
    for (size_t i = 0; i < indexing->view.count; i++) {
        struct cf_str shard = cf_str(cf_shards_name(indexing->view.shards, i));
        view.behind = view.behind || indexing->view.lasts[i] != cf_generation_mark(newest, shard);
        view.waiting += entries_behind(newest, shard, indexing->view.lasts[i]);
        view.changed += entries_behind(whole, shard, indexing->view.lasts[i]);
        view.position += indexing->view.lasts[i];
    }
    cf_plan_observe(&state->plan, now_ms, &view);
}

/* The log numbers tell how much changed at most: an album that is described again and again has one entry. So
 * before a whole build they are counted. */
static enum cf_plan_kind choose(struct cf_indexing *indexing, struct state *state)
{
    const struct cf_part *whole = &state->served.whole;
    if (state->ordered || state->served.damaged || whole->generation.generation == 0)
        return CF_PLAN_WHOLE;
    if (state->plan.kind == CF_PLAN_SMALL)
        return CF_PLAN_SMALL;
    uint64_t changed = 0, limit = cf_plan_changed_max(whole->count);
    if (cf_recent_count(indexing->view.shards, &whole->generation, limit, &changed, NULL) != CF_OK)
        return CF_PLAN_WHOLE; /* which will say why */
    return cf_plan_kind(whole->count, changed, 0);
}

/* While a whole one is built beside, only small ones are. Without any index queries search everything one by
 * one: then the first one does not wait for idle processors. */
static void build_due(struct cf_indexing *indexing, struct state *state, bool due,
                      struct cf_publication **published)
{
    const bool building = indexing->beside.state != NULL,
               first = state->served.whole.generation.generation == 0;
    if (building && (first || !due))
        return;
    enum cf_plan_kind kind = building ? CF_PLAN_SMALL : choose(indexing, state);
    state->ordered = state->ordered && kind == CF_PLAN_SMALL;
    if (kind == CF_PLAN_WHOLE && !state->plan.brief)
        start_beside(indexing, state, first ? CF_BACKGROUND_NICE : CF_BACKGROUND_IDLE,
                     (int)indexing->config->indexer_nice);
    else
        build_now(indexing, state, kind, published);
}

static void begin(struct cf_indexing *indexing, struct cf_index_round *round)
{
    indexing->begun = true;
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        struct state *state = &indexing->states[i];
        cf_served_load(&state->served);
        if (state->served.whole.generation.generation)
            round->published[i] = publish(state);
    }
}

/* A damaged one is replaced also when nothing new came. */
static bool mends(const struct state *state, uint64_t now_ms)
{
    return state->served.damaged && now_ms >= state->plan.retry_at_ms;
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
    cf_shards_catch_up(indexing->view.shards);
    if (is_forced(round)) /* what was at rest when it was ordered is settled by a second look */
        cf_shards_catch_up(indexing->view.shards);
    round->unreadable_shards = count_unreadable(indexing);
    indexing->parts_checked = false;
    if (!cf_view_look(&indexing->view))
        return; /* short of memory: the next round tries again */
    finish_beside(indexing, round);
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        struct state *state = &indexing->states[i];
        cf_served_notice_gone(&state->served);
        cf_served_notice_damage(&state->served, now_ms);
        observe(indexing, state, now_ms);
        state->ordered = state->ordered || round->forced[i] || mends(state, now_ms);
        bool due = cf_plan_is_due(&state->plan, indexing->config, now_ms);
        if (due || state->ordered)
            build_due(indexing, state, due, &round->published[i]);
    }
}
