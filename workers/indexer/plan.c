#include "workers/indexer/plan.h"

enum { RETRY_FIRST_MS = 1000, RETRY_LAST_MS = 30000, REST_FACTOR = 3 };
/* Smaller indexes are built in no time. Fewer than FEW, or one in FEW_ONE_IN of the index, are few. */
enum { LARGE = 1024, FEW = 256, FEW_ONE_IN = 50, FEW_WAIT_MS = 60000 };

void cf_plan_observe(struct cf_plan *plan, uint64_t now_ms, const struct cf_plan_view *view)
{
    if (!plan->observed || view->position != plan->position)
        plan->changed_ms = now_ms;
    if (view->behind && !plan->behind)
        plan->behind_ms = now_ms;
    plan->observed = true;
    plan->behind = view->behind;
    plan->few = view->count >= LARGE && (view->waiting < FEW || view->waiting < view->count / FEW_ONE_IN);
    plan->position = view->position;
}

bool cf_plan_is_due(const struct cf_plan *plan, const struct cf_config *config, uint64_t now_ms)
{
    if (!plan->behind || now_ms < plan->retry_at_ms ||
        now_ms < plan->started_ms + REST_FACTOR * plan->took_ms)
        return false;
    uint64_t waited_ms = now_ms - plan->behind_ms;
    if (plan->few)
        return waited_ms >= FEW_WAIT_MS && waited_ms >= (uint64_t)config->indexer_interval_ms;
    return now_ms - plan->changed_ms >= (uint64_t)config->indexer_quiet_ms ||
           waited_ms >= (uint64_t)config->indexer_interval_ms;
}

void cf_plan_built(struct cf_plan *plan, uint64_t started_ms, uint64_t now_ms)
{
    plan->behind = false;
    plan->started_ms = started_ms;
    plan->took_ms = now_ms - started_ms;
    plan->retry_ms = plan->retry_at_ms = 0;
}

void cf_plan_failed(struct cf_plan *plan, uint64_t now_ms)
{
    plan->retry_ms = plan->retry_ms ? 2 * plan->retry_ms : RETRY_FIRST_MS;
    if (plan->retry_ms > RETRY_LAST_MS)
        plan->retry_ms = RETRY_LAST_MS;
    plan->retry_at_ms = now_ms + plan->retry_ms;
}
