#include "workers/query/arrivals.h"

#include "common/base/log.h"

/* After a failure that may pass: memory, descriptors, an unreadable disk, a file that was just pruned. */
enum { ARRIVALS_RETRY_MS = 5000 };

void cf_arrivals_init(struct cf_arrivals *arrivals, const struct cf_home *home, size_t space,
                      uint64_t jitter_ms, uint64_t seed)
{
    *arrivals = (struct cf_arrivals){.jitter_ms = jitter_ms, .rng = cf_rng(seed)};
    cf_loader_init(&arrivals->loader, home, &cf_spaces[space]);
}

void cf_arrivals_fini(struct cf_arrivals *arrivals)
{
    cf_loader_fini(&arrivals->loader);
    cf_served_free(arrivals->held);
    arrivals->held = NULL;
}

void cf_arrivals_load_now(struct cf_arrivals *arrivals)
{
    if (arrivals->held)
        return;
    enum cf_err err = cf_loader_load(&arrivals->loader, NULL, &arrivals->held);
    if (err != CF_OK) /* logged; what passes is tried again when we look */
        arrivals->held = NULL;
    arrivals->due_ms = 0;
}

static void end_load(struct cf_arrivals *arrivals, uint64_t now_ms)
{
    enum cf_err err;
    struct cf_served *served;
    if (!cf_loader_take(&arrivals->loader, &served, &err))
        return;
    if (err == CF_OK) {
        arrivals->held = served;
        arrivals->due_ms = now_ms + cf_rng_below(&arrivals->rng, arrivals->jitter_ms + 1);
    } else if (err == CF_E_NO_MEMORY || err == CF_E_IO) {
        arrivals->retry_ms = now_ms + ARRIVALS_RETRY_MS;
    }
}

void cf_arrivals_look(struct cf_arrivals *arrivals, struct cf_served *current, uint64_t now_ms)
{
    end_load(arrivals, now_ms);
    if (arrivals->held || arrivals->loader.running || now_ms < arrivals->retry_ms ||
        !cf_loader_sees_newer(&arrivals->loader, current))
        return;
    struct cf_detail detail = {{0}};
    enum cf_err err = cf_loader_start(&arrivals->loader, current, &detail);
    if (err != CF_OK) {
        cf_log(CF_LOG_ERROR, "index_not_loaded", "space=%s error=%s detail=\"%s\"",
               arrivals->loader.space->name, cf_err_name(err), detail.text);
        arrivals->retry_ms = now_ms + ARRIVALS_RETRY_MS;
    }
}

struct cf_served *cf_arrivals_due(struct cf_arrivals *arrivals, uint64_t now_ms)
{
    if (!arrivals->held || now_ms < arrivals->due_ms)
        return NULL;
    struct cf_served *due = arrivals->held;
    arrivals->held = NULL;
    return due;
}
