#include "workers/indexer/plan.h"

enum { RETRY_FIRST_MS = 1000, RETRY_LAST_MS = 30000 };
/* How long a build keeps the next one of its kind away, of its own length: it and the rest after it. */
static const uint64_t rest_quarters[CF_PLAN_KIND_COUNT] = {[CF_PLAN_WHOLE] = 8, [CF_PLAN_SMALL] = 5};
/* Smaller indexes are built whole in no time. */
enum { LARGE = 1024, CHANGED_ONE_IN = 4, HIDDEN_ONE_IN = 16 };
/* So many are built whole in a few seconds, as a small one of that size is. */
enum { BRIEF = 4096 };
/* Fewer than FEW, or one in FEW_ONE_IN of the small generation, are few: they do not pay for its build. MANY,
 * and one in PAYS_ONE_IN of it, are many: a tail of 8,192 takes a query of 960 dimensions about 0.2 ms, since
 * most of it is proven far by a sketch; the build of a small generation of so many, a processor for seconds.
 * While more keep coming, fewer than SOME and one in PAYS_ONE_IN wait like few: every build is one of all
 * that the small generation holds, so that in a steady stream what is built in all would grow with the square
 * of it. */
enum { FEW = 256, FEW_ONE_IN = 50, FEW_WAIT_MS = 60000, SOME = 4096, MANY = 8192, PAYS_ONE_IN = 8 };

uint64_t cf_plan_changed_max(uint64_t base)
{
    return base < LARGE ? 0 : base / CHANGED_ONE_IN;
}

enum cf_plan_kind cf_plan_kind(uint64_t base, uint64_t changed, uint64_t hidden)
{
    bool fits = base >= LARGE && changed <= cf_plan_changed_max(base) && hidden <= base / HIDDEN_ONE_IN;
    return fits ? CF_PLAN_SMALL : CF_PLAN_WHOLE;
}

void cf_plan_observe(struct cf_plan *plan, uint64_t now_ms, const struct cf_plan_view *view)
{
    if (!plan->observed || view->position != plan->position)
        plan->changed_ms = now_ms;
    if (view->behind && !plan->behind)
        plan->behind_ms = now_ms;
    plan->observed = true;
    plan->behind = view->behind;
    plan->few = view->base >= LARGE && (view->waiting < FEW || view->waiting < view->small / FEW_ONE_IN);
    plan->some = view->base >= LARGE && view->waiting < SOME + view->small / PAYS_ONE_IN;
    plan->many = view->waiting >= MANY + view->small / PAYS_ONE_IN;
    plan->brief = view->base <= BRIEF && view->changed <= BRIEF - view->base;
    plan->kind = view->building && view->base ? CF_PLAN_SMALL : cf_plan_kind(view->base, view->changed, 0);
    plan->position = view->position;
}

bool cf_plan_is_due(const struct cf_plan *plan, const struct cf_config *config, uint64_t now_ms)
{
    if (!plan->behind || now_ms < plan->retry_at_ms || now_ms < plan->rest_ms[plan->kind])
        return false;
    uint64_t waited_ms = now_ms - plan->behind_ms, interval_ms = (uint64_t)config->indexer_interval_ms;
    if ((plan->few || plan->some) && interval_ms < FEW_WAIT_MS)
        interval_ms = FEW_WAIT_MS;
    bool quiet = !plan->few && now_ms - plan->changed_ms >= (uint64_t)config->indexer_quiet_ms;
    return plan->many || quiet || waited_ms >= interval_ms;
}

void cf_plan_built(struct cf_plan *plan, enum cf_plan_kind kind, uint64_t started_ms, uint64_t now_ms)
{
    plan->behind = false;
    plan->rest_ms[kind] = started_ms + rest_quarters[kind] * (now_ms - started_ms) / 4;
    plan->retry_ms = plan->retry_at_ms = 0;
}

void cf_plan_failed(struct cf_plan *plan, uint64_t now_ms)
{
    plan->retry_ms = plan->retry_ms ? 2 * plan->retry_ms : RETRY_FIRST_MS;
    if (plan->retry_ms > RETRY_LAST_MS)
        plan->retry_ms = RETRY_LAST_MS;
    plan->retry_at_ms = now_ms + plan->retry_ms;
}
