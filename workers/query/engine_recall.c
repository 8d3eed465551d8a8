#include <stdlib.h>

#include "common/base/cpu.h"
#include "workers/query/engine_state.h"

/* Recall is summed up in millionths, so that a number can be added to by one thread and read by another. */
enum { MILLION = 1000000 };

/* One answer at a time: it is the searching thread's to fill while `waiting` is false, the checking thread's
 * afterwards. The lock is never waited for by a searching thread. */
struct cf_recall_checks {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool stop, waiting;
    uint64_t one_in;
    _Atomic uint64_t asked, due;
    struct cf_grab grab;
    struct cf_engine_query query;
    float vector[CF_DIM_MAX];
    struct cf_str *ids; /* of the answer, in the arena */
    size_t id_count;
    struct cf_arena *arena, *found;
    struct cf_engine_scratch scratch;
    struct {
        _Atomic uint64_t count, millionths;
    } spaces[CF_SPACE_COUNT];
};

/* ---- the searching thread ---- */

static bool copy_answer(struct cf_recall_checks *checks, const struct cf_engine_query *query,
                        const struct cf_nearest *nearest)
{
    cf_arena_reset(checks->arena);
    checks->query = *query;
    checks->query.vector = checks->vector;
    checks->query.exact = true;
    checks->query.self = cf_arena_str(checks->arena, query->self);
    memcpy(checks->vector, query->vector, cf_spaces[query->space].dim * sizeof *checks->vector);
    checks->ids = cf_arena_alloc(checks->arena, nearest->count, sizeof *checks->ids);
    checks->id_count = nearest->count;
    if (!checks->ids || !checks->query.self.data)
        return false;
    for (size_t i = 0; i < nearest->count; i++) {
        checks->ids[i] = cf_arena_str(checks->arena, nearest->items[i].id);
        if (!checks->ids[i].data)
            return false;
    }
    return true;
}

void cf_recall_offer(struct cf_recall_checks *checks, const struct cf_grab *grab,
                     const struct cf_engine_query *query, const struct cf_nearest *nearest)
{
    uint64_t asked = atomic_fetch_add(&checks->asked, 1) + 1;
    if (asked < atomic_load(&checks->due) || pthread_mutex_trylock(&checks->lock) != 0)
        return;
    if (!checks->waiting && copy_answer(checks, query, nearest)) {
        checks->grab = cf_grab_share(grab);
        checks->waiting = true;
        atomic_store(&checks->due, asked + checks->one_in);
        pthread_cond_signal(&checks->wake);
    }
    pthread_mutex_unlock(&checks->lock);
}

/* ---- the checking thread ---- */

/* As far away as the last exact neighbour is near enough: which of equals is named is nobody's fault. */
static bool is_near_enough(struct cf_recall_checks *checks, struct cf_str id, double limit)
{
    float vector[CF_DIM_MAX];
    enum cf_err err;
    size_t space = checks->query.space;
    return cf_grab_vector(&checks->grab, space, id, vector, &err, NULL) && err == CF_OK &&
           cf_distance(checks->vector, vector, cf_spaces[space].dim) <= limit;
}

/* False when memory is short. */
static bool count_found(struct cf_recall_checks *checks, const struct cf_nearest *exact, uint64_t *count)
{
    struct cf_idmap map = {0};
    struct cf_keyed *keys = cf_arena_alloc(checks->found, exact->count, sizeof *keys);
    bool ok = keys && cf_idmap_reserve(&map, exact->count) == CF_OK;
    for (size_t i = 0; ok && i < exact->count; i++) {
        keys[i].id = exact->items[i].id;
        ok = cf_idmap_add(&map, &keys[i]) == CF_OK;
    }
    uint64_t found = 0;
    double limit = (double)exact->items[exact->count - 1].distance;
    for (size_t i = 0; ok && i < checks->id_count; i++)
        found += cf_idmap_find(&map, checks->ids[i]) || is_near_enough(checks, checks->ids[i], limit);
    cf_idmap_fini(&map);
    *count = found < exact->count ? found : exact->count;
    return ok;
}

/* What cannot be said for certain counts for nothing. */
static void check(struct cf_recall_checks *checks)
{
    struct cf_nearest exact;
    bool certain = false;
    uint64_t count = 0;
    cf_arena_reset(checks->found);
    cf_arena_reset(checks->scratch.arena);
    enum cf_err err = cf_grab_search(&checks->grab, &checks->query, &checks->scratch, checks->found, &exact,
                                     &certain, NULL);
    if (err == CF_OK && certain && exact.count && count_found(checks, &exact, &count)) {
        atomic_fetch_add(&checks->spaces[checks->query.space].millionths, count * MILLION / exact.count);
        atomic_fetch_add(&checks->spaces[checks->query.space].count, 1);
    }
    cf_grab_drop(&checks->grab);
}

static void *run(void *arg)
{
    struct cf_recall_checks *checks = arg;
    cf_cpu_background();
    pthread_mutex_lock(&checks->lock);
    while (!checks->stop) {
        if (!checks->waiting) {
            pthread_cond_wait(&checks->wake, &checks->lock);
            continue;
        }
        pthread_mutex_unlock(&checks->lock);
        check(checks);
        pthread_mutex_lock(&checks->lock);
        checks->waiting = false;
    }
    pthread_mutex_unlock(&checks->lock);
    return NULL;
}

/* ---- the owner ---- */

static void free_checks(struct cf_recall_checks *checks)
{
    if (checks->waiting)
        cf_grab_drop(&checks->grab);
    cf_arena_free(checks->arena);
    cf_arena_free(checks->found);
    cf_arena_free(checks->scratch.arena);
    cf_ann_searcher_free(checks->scratch.searcher);
    pthread_cond_destroy(&checks->wake);
    pthread_mutex_destroy(&checks->lock);
    free(checks);
}

enum cf_err cf_engine_check_recall(struct cf_engine *engine, uint64_t one_in, struct cf_detail *detail)
{
    struct cf_recall_checks *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to check recall with");
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, NULL);
    made->one_in = one_in;
    atomic_init(&made->due, one_in);
    made->arena = cf_arena_new();
    made->found = cf_arena_new();
    made->scratch = (struct cf_engine_scratch){cf_ann_searcher_new(), cf_arena_new()};
    bool running = made->arena && made->found && made->scratch.searcher && made->scratch.arena &&
                   pthread_create(&made->thread, NULL, run, made) == 0;
    if (!running) {
        free_checks(made);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory or no thread to check recall with");
    }
    engine->checks = made;
    return CF_OK;
}

void cf_engine_end_checks(struct cf_engine *engine)
{
    struct cf_recall_checks *checks = engine->checks;
    if (!checks)
        return;
    pthread_mutex_lock(&checks->lock);
    checks->stop = true;
    pthread_cond_signal(&checks->wake);
    pthread_mutex_unlock(&checks->lock);
    pthread_join(checks->thread, NULL);
    free_checks(checks);
    engine->checks = NULL;
}

void cf_recall_status(const struct cf_recall_checks *checks, size_t space, double *recall, uint64_t *count)
{
    uint64_t all = checks ? atomic_load(&checks->spaces[space].count) : 0;
    uint64_t millionths = all ? atomic_load(&checks->spaces[space].millionths) : 0;
    *recall = all ? (double)millionths / ((double)MILLION * (double)all) : 0;
    *count = all;
}
