#include "workers/query/arrivals.h"

#include "common/base/log.h"

/* After a failure that may pass: memory, descriptors, an unreadable disk. */
enum { ARRIVALS_RETRY_MS = 5000 };

void cf_arrivals_init(struct cf_arrivals *arrivals, const struct cf_home *home, size_t space,
                      uint64_t jitter_ms, uint64_t seed)
{
    *arrivals = (struct cf_arrivals){
        .home = home, .space = &cf_spaces[space], .jitter_ms = jitter_ms, .rng = cf_rng(seed)};
    cf_loader_init(&arrivals->loader, home, &cf_spaces[space]);
}

void cf_arrivals_fini(struct cf_arrivals *arrivals)
{
    cf_loader_fini(&arrivals->loader);
    cf_mapped_free(arrivals->held);
    arrivals->held = NULL;
}

static bool is_refused(const struct cf_arrivals *arrivals, uint64_t generation)
{
    size_t count = arrivals->refused_count;
    for (size_t i = 0; i < CF_ARRIVALS_REFUSED_MAX && i < count; i++)
        if (arrivals->refused[i] == generation)
            return true;
    return false;
}

/* Whether to look at the generation never again. */
static bool is_final(enum cf_err err)
{
    return err == CF_E_CORRUPT || err == CF_E_BAD_VERSION || err == CF_E_INVALID;
}

static void refuse(struct cf_arrivals *arrivals, uint64_t generation, enum cf_err err,
                   const struct cf_detail *detail)
{
    if (is_final(err))
        arrivals->refused[arrivals->refused_count++ % CF_ARRIVALS_REFUSED_MAX] = generation;
    if (err != CF_E_NOT_FOUND) /* pruned while we looked: there is a newer one */
        cf_log(CF_LOG_ERROR, "index_refused", "space=%s generation=%llu error=%s detail=\"%s\"",
               arrivals->space->name, (unsigned long long)generation, cf_err_name(err), detail->text);
}

/* The newest generation on disk above `current` and below `before` (0: any) that was not refused; 0 for none.
 */
static uint64_t find_newer(const struct cf_arrivals *arrivals, uint64_t current, uint64_t before)
{
    uint64_t generation = 0;
    while (cf_generation_newest(arrivals->home, arrivals->space->name, before, &generation, NULL) == CF_OK &&
           generation > current) {
        if (!is_refused(arrivals, generation))
            return generation;
        before = generation;
    }
    return 0;
}

void cf_arrivals_load_now(struct cf_arrivals *arrivals)
{
    if (arrivals->held)
        return;
    uint64_t generation = find_newer(arrivals, 0, 0);
    while (generation) {
        struct cf_detail detail = {{0}};
        enum cf_err err =
            cf_mapped_open(arrivals->home, arrivals->space, generation, &arrivals->held, &detail);
        if (err == CF_OK)
            break;
        refuse(arrivals, generation, err, &detail);
        generation = find_newer(arrivals, 0, generation);
    }
    arrivals->due_ms = 0;
}

static void end_load(struct cf_arrivals *arrivals, uint64_t now_ms)
{
    uint64_t generation;
    struct cf_mapped *mapped;
    enum cf_err err;
    struct cf_detail detail;
    if (!cf_loader_take(&arrivals->loader, &generation, &mapped, &err, &detail))
        return;
    if (err == CF_OK) {
        arrivals->held = mapped;
        arrivals->due_ms = now_ms + cf_rng_below(&arrivals->rng, arrivals->jitter_ms + 1);
        return;
    }
    refuse(arrivals, generation, err, &detail);
    if (!is_final(err) && err != CF_E_NOT_FOUND)
        arrivals->retry_ms = now_ms + ARRIVALS_RETRY_MS;
}

void cf_arrivals_look(struct cf_arrivals *arrivals, uint64_t current, uint64_t now_ms)
{
    end_load(arrivals, now_ms);
    if (arrivals->held || arrivals->loader.generation || now_ms < arrivals->retry_ms)
        return;
    uint64_t generation = find_newer(arrivals, current, 0);
    if (!generation)
        return;
    struct cf_detail detail = {{0}};
    enum cf_err err = cf_loader_start(&arrivals->loader, generation, &detail);
    if (err != CF_OK) {
        refuse(arrivals, generation, err, &detail);
        arrivals->retry_ms = now_ms + ARRIVALS_RETRY_MS;
    }
}

struct cf_mapped *cf_arrivals_due(struct cf_arrivals *arrivals, uint64_t now_ms)
{
    if (!arrivals->held || now_ms < arrivals->due_ms)
        return NULL;
    struct cf_mapped *due = arrivals->held;
    arrivals->held = NULL;
    return due;
}
