#include "workers/query/follower.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/store/shards.h"
#include "workers/query/arrivals.h"
#include "workers/query/changes.h"

enum { REREAD_FIRST_MS = 1000, REREAD_LAST_MS = 60000 };
/* About 380 MB of gist and gray16: from here on the log warns, and again whenever a tail has doubled. */
enum { TAIL_LARGE = 200000 };
/* More than so many unreadable shards are counted as so many. */
enum { UNREADABLE_MAX = 64 };

struct cf_follower {
    struct cf_engine *engine;
    struct cf_shards *shards;
    struct cf_arena *arena; /* of a round */
    struct cf_changes changes;
    struct cf_arrivals arrivals[CF_SPACE_COUNT];
    uint64_t tail_warn[CF_SPACE_COUNT]; /* the size to be told of next */
    struct followed {
        struct cf_shard *shard;
        uint64_t position; /* its log was read up to here */
        bool failing;
        uint64_t retry_ms, retry_at_ms; /* when parts of it are damaged: to read its tail anew */
    } * followed;                       /* by the engine's numbers */
    size_t followed_count;
    bool has_begun;
    uint64_t poll_ms;
    pthread_t thread;
    pthread_mutex_t lock; /* of `poked` and the two counts of rounds */
    pthread_cond_t wake, ended;
    bool poked, running;
    uint64_t rounds_begun, rounds_ended;
    atomic_bool stop;
};

static void on_problem(void *arg, const char *shard, enum cf_err err, const struct cf_detail *detail)
{
    (void)arg;
    cf_log(CF_LOG_ERROR, "shard_unreadable", "shard=%s error=%s detail=\"%s\"", shard, cf_err_name(err),
           detail->text);
}

static enum cf_err open_shards(struct cf_follower *follower, const struct cf_follower_options *options,
                               struct cf_detail *detail)
{
    char folder[CF_HOME_PATH_MAX], private_folder[CF_HOME_PATH_MAX];
    enum cf_err err = cf_home_path(options->home, folder, sizeof folder, detail, "data/shards");
    if (err == CF_OK)
        err = cf_home_path(options->home, private_folder, sizeof private_folder, detail, "secondaries/%s",
                           options->name);
    if (err == CF_OK)
        err = cf_shards_open(folder, private_folder, on_problem, follower, &follower->shards, detail);
    return err;
}

static void init_wake(struct cf_follower *follower)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&follower->wake, &attr);
    pthread_cond_init(&follower->ended, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&follower->lock, NULL);
}

enum cf_err cf_follower_new(const struct cf_follower_options *options, struct cf_engine *engine,
                            struct cf_follower **follower, struct cf_detail *detail)
{
    struct cf_follower *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the follower");
    init_wake(made);
    made->engine = engine;
    made->poll_ms = options->poll_ms;
    struct cf_rng rng = cf_rng(cf_clock_mono_us() ^ (uint64_t)getpid());
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        made->tail_warn[i] = TAIL_LARGE;
        cf_arrivals_init(&made->arrivals[i], options->home, i, options->swap_jitter_ms, cf_rng_u64(&rng));
    }
    made->arena = cf_arena_new();
    enum cf_err err = made->arena ? cf_changes_init(&made->changes, engine, &made->stop)
                                  : cf_fail(detail, CF_E_NO_MEMORY, "no memory for the follower");
    if (err == CF_OK)
        err = open_shards(made, options, detail);
    if (err == CF_OK)
        *follower = made;
    else
        cf_follower_free(made);
    return err;
}

static void stop_thread(struct cf_follower *follower)
{
    if (!follower->running)
        return;
    atomic_store(&follower->stop, true);
    cf_follower_poke(follower);
    pthread_join(follower->thread, NULL);
    follower->running = false;
}

void cf_follower_free(struct cf_follower *follower)
{
    if (!follower)
        return;
    stop_thread(follower);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        cf_arrivals_fini(&follower->arrivals[i]);
    cf_changes_fini(&follower->changes);
    cf_shards_free(follower->shards);
    cf_arena_free(follower->arena);
    free(follower->followed);
    pthread_cond_destroy(&follower->wake);
    pthread_cond_destroy(&follower->ended);
    pthread_mutex_destroy(&follower->lock);
    free(follower);
}

/* ---- one round ---- */

/* Everything before the lowest mark is in the index of every space. */
static uint64_t first_position(const struct cf_engine *engine, uint32_t shard)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        uint64_t mark = cf_engine_mark(engine, i, shard);
        lowest = mark < lowest ? mark : lowest;
    }
    return lowest;
}

static enum cf_err add_new_shards(struct cf_follower *follower, struct cf_detail *detail)
{
    for (size_t i = 0; i < cf_shards_count(follower->shards); i++) {
        const char *name = cf_shards_name(follower->shards, i);
        if (cf_engine_shard(follower->engine, cf_str(name)) != CF_ENGINE_NO_SHARD)
            continue;
        size_t count = follower->followed_count;
        struct followed *grown = realloc(follower->followed, (count + 1) * sizeof *grown);
        if (!grown)
            return cf_fail(detail, CF_E_NO_MEMORY, "shard %s: out of memory", name);
        follower->followed = grown;
        struct cf_shard *shard = cf_shards_get(follower->shards, i);
        enum cf_err err = cf_engine_add_shard(follower->engine, name, shard, detail);
        if (err != CF_OK)
            return err;
        grown[count] =
            (struct followed){shard, first_position(follower->engine, (uint32_t)count), false, 0, 0};
        follower->followed_count = count + 1;
    }
    return CF_OK;
}

static uint64_t last_position(const struct cf_engine *engine, uint32_t shard)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        uint64_t mark = cf_engine_mark(engine, i, shard);
        highest = mark > highest ? mark : highest;
    }
    return highest;
}

/* Albums that were passed over are looked for again, ever more slowly, and missing until then. */
static void note_damage(struct followed *followed, uint64_t damaged, bool again, uint64_t now_ms)
{
    if (damaged == 0) {
        followed->retry_ms = again ? 0 : followed->retry_ms;
        return;
    }
    followed->retry_ms = followed->retry_ms == 0                        ? REREAD_FIRST_MS
                         : again && followed->retry_ms < REREAD_LAST_MS ? 2 * followed->retry_ms
                                                                        : followed->retry_ms;
    followed->retry_at_ms = now_ms + followed->retry_ms;
}

/* Whether the log could be read to its end. Says so once when not, and once when it can be read again. */
static bool follow_shard(struct cf_follower *follower, struct followed *followed)
{
    struct cf_detail detail = {{0}};
    uint32_t number = (uint32_t)(followed - follower->followed);
    uint64_t now_ms = cf_clock_mono_ms(), last = 0, settled = cf_shard_settled(followed->shard);
    bool again = followed->retry_ms && now_ms >= followed->retry_at_ms;
    if (again) /* what was damaged may have been mended */
        followed->position = first_position(follower->engine, number);
    uint64_t reached = followed->position;
    follower->changes.damaged = 0;
    follower->changes.quiet = followed->retry_ms != 0;
    enum cf_err err = cf_changes_follow(&follower->changes, followed->shard, NULL, &reached, &detail);
    if (err == CF_OK)
        note_damage(followed, follower->changes.damaged, again, now_ms);
    if (err == CF_OK)
        err = cf_shard_log_last(followed->shard, &last, &detail);
    if (err == CF_OK && last < last_position(follower->engine, number))
        err = cf_fail(&detail, CF_E_CORRUPT,
                      "it went back in time: its log ends at %llu, and an index covers more",
                      (unsigned long long)last);
    /* What is not settled is read again in the next round: there may be more of it then. */
    reached = reached < settled ? reached : settled;
    followed->position = reached > followed->position ? reached : followed->position;
    if (err == CF_E_SHUTTING_DOWN)
        return false;
    const char *name = cf_engine_shard_name(follower->engine, number);
    if (err != CF_OK && !followed->failing)
        cf_log(CF_LOG_ERROR, "shard_unreadable", "shard=%s error=%s detail=\"%s\"", name, cf_err_name(err),
               detail.text);
    if (err == CF_OK && followed->failing)
        cf_log(CF_LOG_INFO, "shard_readable", "shard=%s", name);
    followed->failing = err != CF_OK;
    return err == CF_OK;
}

/* Removals that came before this catch-up and that the shards know of by now are the tail's business. */
static void settle(struct cf_follower *follower, const struct cf_removed *unsettled)
{
    for (size_t i = 0; i < unsettled->item_count; i++) {
        struct cf_shard_album record = {0};
        uint32_t shard;
        enum cf_err err = cf_engine_newest(follower->engine, unsettled->items[i].album, follower->arena,
                                           &record, &shard, NULL);
        if (err == CF_OK || err == CF_E_NOT_FOUND)
            cf_engine_settle(follower->engine, &unsettled->items[i], record.version);
    }
}

static enum cf_err adopt_arrivals(struct cf_follower *follower, uint64_t now_ms, struct cf_detail *detail)
{
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        struct cf_served *served = cf_arrivals_due(&follower->arrivals[i], now_ms);
        if (!served)
            continue;
        struct cf_stage *stage = NULL;
        enum cf_err err = cf_engine_stage(follower->engine, i, &served, &stage, detail);
        /* Marks may lie before the old ones, when the indexer could not read a shard: the tail takes those
         * back. */
        for (uint32_t s = 0; err == CF_OK && s < follower->followed_count; s++) {
            uint64_t position = cf_stage_mark(stage, s);
            if (position < cf_engine_mark(follower->engine, i, s))
                err = cf_changes_follow(&follower->changes, follower->followed[s].shard, stage, &position,
                                        detail);
        }
        if (err != CF_OK) {
            cf_served_free(served);
            cf_stage_free(stage);
            return err;
        }
        cf_engine_adopt(follower->engine, &stage);
        struct cf_index_status status[CF_SPACE_COUNT];
        cf_engine_status(follower->engine, status);
        cf_log(CF_LOG_INFO, "index_swapped", "space=%s generation=%llu albums=%llu tail=%llu",
               cf_spaces[i].name, (unsigned long long)status[i].generation,
               (unsigned long long)status[i].count, (unsigned long long)status[i].tail);
    }
    return CF_OK;
}

static enum cf_err begin(struct cf_follower *follower, struct cf_detail *detail)
{
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1))
        cf_arrivals_load_now(&follower->arrivals[i]);
    enum cf_err err = adopt_arrivals(follower, cf_clock_mono_ms(), detail);
    follower->has_begun = err == CF_OK;
    return err;
}

struct names {
    struct cf_str items[UNREADABLE_MAX];
    size_t count;
};

static void add_name(struct names *names, struct cf_str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (cf_str_equal(names->items[i], name))
            return;
    if (names->count < UNREADABLE_MAX)
        names->items[names->count++] = name;
}

static void count_unreadable(struct cf_follower *follower)
{
    struct names names = {.count = 0};
    const char *name = NULL;
    for (size_t i = 0; (name = cf_shards_unreadable(follower->shards, i)); i++)
        add_name(&names, cf_str(name));
    for (uint32_t i = 0; i < follower->followed_count; i++)
        if (follower->followed[i].failing || follower->followed[i].retry_ms)
            add_name(&names, cf_str(cf_engine_shard_name(follower->engine, i)));
    struct cf_str missing;
    for (size_t i = 0; (missing = cf_engine_missing(follower->engine, i)).len; i++)
        add_name(&names, missing);
    char text[CF_TEXT_BYTES_MAX] = "";
    if (names.count)
        snprintf(text, sizeof text, "%.*s", CF_STR_ARG(names.items[0]));
    cf_engine_set_unreadable(follower->engine, names.count, text);
}

/* A tail has no bound: what is described must be found. It grows for as long as nothing is indexed. */
static void warn_of_tails(struct cf_follower *follower)
{
    struct cf_index_status status[CF_SPACE_COUNT];
    cf_engine_status(follower->engine, status);
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        uint64_t *warn = &follower->tail_warn[i];
        if (status[i].tail < TAIL_LARGE)
            *warn = TAIL_LARGE;
        if (status[i].tail < *warn)
            continue;
        cf_log(
            CF_LOG_WARN, "tail_large",
            "space=%s albums=%llu bytes=%llu detail=\"they are searched one by one: is an indexer running?\"",
            cf_spaces[i].name, (unsigned long long)status[i].tail,
            (unsigned long long)status[i].tail * cf_ann_row_bytes(cf_spaces[i].dim));
        *warn = 2 * status[i].tail;
    }
}

enum cf_err cf_follower_step(struct cf_follower *follower, struct cf_detail *detail)
{
    uint64_t began_ms = cf_clock_mono_ms();
    struct cf_removed unsettled = {NULL, 0};
    cf_arena_reset(follower->arena);
    enum cf_err err = follower->has_begun ? CF_OK : begin(follower, detail);
    for (size_t i = cf_space_from(0); err == CF_OK && i < CF_SPACE_COUNT; i = cf_space_from(i + 1))
        cf_arrivals_look(&follower->arrivals[i], cf_engine_served(follower->engine, i), began_ms);
    if (err == CF_OK)
        err = cf_engine_unsettled(follower->engine, follower->arena, &unsettled);
    if (err != CF_OK)
        return err;
    /* What arrived until here was made from logs that this catch-up sees, so marks never lie ahead of what we
     * know. */
    cf_shards_catch_up(follower->shards);
    err = add_new_shards(follower, detail);
    if (err != CF_OK)
        return err;
    bool complete = true;
    for (size_t i = 0; i < follower->followed_count; i++)
        complete = follow_shard(follower, &follower->followed[i]) && complete;
    if (atomic_load(&follower->stop))
        return cf_fail(detail, CF_E_SHUTTING_DOWN, "the worker is ending");
    cf_engine_caught_up(follower->engine, began_ms);
    count_unreadable(follower);
    warn_of_tails(follower);
    if (complete)
        settle(follower, &unsettled);
    return adopt_arrivals(follower, cf_clock_mono_ms(), detail);
}

/* ---- the thread ---- */

static struct timespec mono_timespec(uint64_t ms)
{
    return (struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

static void wait_for_next(struct cf_follower *follower)
{
    struct timespec until = mono_timespec(cf_clock_mono_ms() + follower->poll_ms);
    pthread_mutex_lock(&follower->lock);
    while (!follower->poked)
        if (pthread_cond_timedwait(&follower->wake, &follower->lock, &until) == ETIMEDOUT)
            break;
    follower->poked = false;
    follower->rounds_begun++;
    pthread_mutex_unlock(&follower->lock);
}

static void round_ended(struct cf_follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    follower->rounds_ended = follower->rounds_begun;
    pthread_cond_broadcast(&follower->ended);
    pthread_mutex_unlock(&follower->lock);
}

struct thread_start {
    struct cf_follower *follower;
    cf_follower_first *first;
    void *arg;
};

static void *run(void *arg)
{
    struct thread_start start = *(struct thread_start *)arg;
    free(arg);
    struct cf_detail detail = {{0}};
    enum cf_err err = cf_follower_step(start.follower, &detail);
    start.first(start.arg, err, &detail);
    bool failing = false;
    while (!atomic_load(&start.follower->stop)) {
        wait_for_next(start.follower);
        err = cf_follower_step(start.follower, &detail);
        if (err != CF_OK && err != CF_E_SHUTTING_DOWN && !failing)
            cf_log(CF_LOG_ERROR, "follow_failed", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
        failing = err != CF_OK;
        round_ended(start.follower);
    }
    return NULL;
}

enum cf_err cf_follower_start(struct cf_follower *follower, cf_follower_first *first, void *arg,
                              struct cf_detail *detail)
{
    struct thread_start *start = malloc(sizeof *start);
    if (!start)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the follower's thread");
    *start = (struct thread_start){follower, first, arg};
    if (pthread_create(&follower->thread, NULL, run, start) != 0) {
        free(start);
        return cf_fail(detail, CF_E_NO_MEMORY, "no thread to follow the shards with");
    }
    follower->running = true;
    return CF_OK;
}

void cf_follower_poke(struct cf_follower *follower)
{
    pthread_mutex_lock(&follower->lock);
    follower->poked = true;
    pthread_cond_signal(&follower->wake);
    pthread_mutex_unlock(&follower->lock);
}

bool cf_follower_refresh(struct cf_follower *follower, uint64_t until_ms)
{
    struct timespec until = mono_timespec(until_ms);
    pthread_mutex_lock(&follower->lock);
    uint64_t wanted = follower->rounds_begun + 1;
    follower->poked = true;
    pthread_cond_signal(&follower->wake);
    while (follower->rounds_ended < wanted)
        if (pthread_cond_timedwait(&follower->ended, &follower->lock, &until) == ETIMEDOUT)
            break;
    bool fresh = follower->rounds_ended >= wanted;
    pthread_mutex_unlock(&follower->lock);
    return fresh;
}
