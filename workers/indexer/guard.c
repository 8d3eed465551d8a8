#include "workers/indexer/guard.h"

#include <inttypes.h>

static const char *find_unreadable(const struct cf_shards *shards, struct cf_str name)
{
    const char *unreadable = NULL;
    for (size_t i = 0; (unreadable = cf_shards_unreadable(shards, i)); i++)
        if (cf_str_is(name, unreadable))
            break;
    return unreadable;
}

static enum cf_err check_mark(const struct cf_shards *shards, const uint64_t *lasts,
                              const struct cf_generation *current, const struct cf_generation_mark *mark,
                              struct cf_detail *detail)
{
    size_t count = cf_shards_count(shards), at = 0;
    while (at < count && !cf_str_is(mark->shard, cf_shards_name(shards, at)))
        at++;
    if (at == count || find_unreadable(shards, mark->shard))
        return cf_fail(detail, CF_E_IO,
                       "it cannot be read, and generation %" PRIu64 " covers its log up to %" PRIu64
                       ": none is built without it",
                       current->generation, mark->log_seq);
    if (lasts[at] < mark->log_seq)
        return cf_fail(detail, CF_E_CORRUPT,
                       "it went back in time: its log ends at %" PRIu64 ", and generation %" PRIu64
                       " covers it up to %" PRIu64,
                       lasts[at], current->generation, mark->log_seq);
    return CF_OK;
}

enum cf_err cf_guard_marks(const struct cf_shards *shards, const uint64_t *lasts,
                           const struct cf_generation *current, struct cf_str *shard,
                           struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < current->mark_count && err == CF_OK; i++) {
        const struct cf_generation_mark *mark = &current->marks[i];
        if (mark->log_seq == 0)
            continue;
        err = check_mark(shards, lasts, current, mark, detail);
        if (err != CF_OK)
            *shard = mark->shard;
    }
    return err;
}

enum cf_err cf_guard_parts(struct cf_shards *shards, struct cf_str *shard, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < cf_shards_count(shards) && err == CF_OK; i++) {
        err = cf_shard_check(cf_shards_get(shards, i), detail);
        if (err != CF_OK)
            *shard = cf_str(cf_shards_name(shards, i));
    }
    return err;
}
