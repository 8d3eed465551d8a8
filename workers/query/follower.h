/* Keeps the engine up to date: catches up with all shards, reads what their logs say since, opens new index
 * generations and swaps them in. One thread does it every query.poll_ms, or sooner when poked; tests take the
 * steps themselves. */
#ifndef CF_WORKERS_QUERY_FOLLOWER_H
#define CF_WORKERS_QUERY_FOLLOWER_H

#include "common/base/home.h"
#include "workers/query/engine.h"

struct cf_follower;

struct cf_follower_options {
    const struct cf_home *home; /* borrowed for as long as the follower lives */
    const char *name;           /* of this process: its secondaries lie in HOME/secondaries/NAME */
    uint64_t poll_ms;
    uint64_t
        swap_jitter_ms; /* a new generation waits up to this long, so that not all workers swap at once */
};

enum cf_err cf_follower_new(const struct cf_follower_options *options, struct cf_engine *engine,
                            struct cf_follower **follower, struct cf_detail *detail) CF_MUST_CHECK;
/* Stops the thread and closes the shards: nobody may search the engine any more. Takes NULL. */
void cf_follower_free(struct cf_follower *follower);

/* One round. The first one loads the newest index generations before it reads the logs. A shard that cannot
 * be read costs that shard only and is logged once. CF_E_NO_MEMORY, CF_E_SHUTTING_DOWN. */
enum cf_err cf_follower_step(struct cf_follower *follower, struct cf_detail *detail) CF_MUST_CHECK;

/* Starts the thread. `first` is called on it, once, with what the first round came to. */
typedef void cf_follower_first(void *arg, enum cf_err err, const struct cf_detail *detail);
enum cf_err cf_follower_start(struct cf_follower *follower, cf_follower_first *first, void *arg,
                              struct cf_detail *detail) CF_MUST_CHECK;
/* Any thread: there is something new, do not wait for the next round. */
void cf_follower_poke(struct cf_follower *follower);
/* Any other thread: waits until a round that begins from now on has ended, so that everything that came to rest
 * before the call is known; at most until `until_ms` (monotonic). False when that was too short. */
bool cf_follower_refresh(struct cf_follower *follower, uint64_t until_ms);

#endif
