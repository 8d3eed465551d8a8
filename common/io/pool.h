/* Compute threads behind a bounded queue; results come back to the loop's thread through cf_loop_post. */
#ifndef CF_IO_POOL_H
#define CF_IO_POOL_H

#include "common/io/loop.h"

struct cf_pool;

/* Runs on a compute thread. What becomes of `item` afterwards: it is posted to the loop (cf_on_post). */
typedef void cf_work(void *arg, void *item);

enum cf_err cf_pool_new(struct cf_loop *loop, unsigned threads, size_t capacity, cf_work *work, void *arg,
                        struct cf_pool **pool, struct cf_detail *detail) CF_MUST_CHECK;
/* CF_E_BUSY when `capacity` items wait already. Loop's thread. */
enum cf_err cf_pool_submit(struct cf_pool *pool, void *item) CF_MUST_CHECK;
size_t cf_pool_waiting(const struct cf_pool *pool); /* submitted and not yet finished */
/* Finishes what was submitted, then joins. Takes NULL. */
void cf_pool_free(struct cf_pool *pool);

#endif
