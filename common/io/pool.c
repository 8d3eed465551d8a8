#include "common/io/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct cf_pool {
    struct cf_loop *loop;
    cf_work *work;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    void **items; /* a ring */
    size_t first, count, capacity;
    size_t running;
    bool stopping;
    unsigned thread_count;
    pthread_t threads[];
};

/* Under the lock: waits for an item; false when there will be none any more. */
static bool take(struct cf_pool *pool, void **item)
{
    while (pool->count == 0 && !pool->stopping)
        pthread_cond_wait(&pool->wanted, &pool->lock);
    if (pool->count == 0)
        return false;
    *item = pool->items[pool->first];
    pool->first = (pool->first + 1) % pool->capacity;
    pool->count--;
    pool->running++;
    return true;
}

static void *thread_main(void *arg)
{
    struct cf_pool *pool = arg;
    void *item;
    pthread_mutex_lock(&pool->lock);
    while (take(pool, &item)) {
        pthread_mutex_unlock(&pool->lock);
        pool->work(pool->arg, item);
        pthread_mutex_lock(&pool->lock);
        pool->running--;
        /* Under the lock, so that whoever sees the item also sees that it is no longer waiting. */
        cf_loop_post_reserved(pool->loop, item);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are for the loop's thread. */
static bool start_threads(struct cf_pool *pool, unsigned threads)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (pool->thread_count < threads &&
           pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool) == 0)
        pool->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool->thread_count == threads;
}

enum cf_err cf_pool_new(struct cf_loop *loop, unsigned threads, size_t capacity, cf_work *work, void *arg,
                        struct cf_pool **out, struct cf_detail *detail)
{
    CF_CHECK(threads > 0 && capacity > 0);
    struct cf_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->threads[0]);
    void **items = calloc(capacity, sizeof *items);
    if (!pool || !items) {
        free(pool);
        free(items);
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for %u compute threads and %zu items", threads,
                       capacity);
    }
    pool->loop = loop;
    pool->work = work;
    pool->arg = arg;
    pool->items = items;
    pool->capacity = capacity;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wanted, NULL);
    if (!start_threads(pool, threads)) {
        cf_pool_free(pool);
        return cf_fail(detail, CF_E_NO_MEMORY, "%u compute threads cannot be started", threads);
    }
    *out = pool;
    return CF_OK;
}

enum cf_err cf_pool_submit(struct cf_pool *pool, void *item)
{
    pthread_mutex_lock(&pool->lock);
    enum cf_err err = pool->count == pool->capacity ? CF_E_BUSY : cf_loop_post_reserve(pool->loop);
    if (err == CF_OK) {
        pool->items[(pool->first + pool->count) % pool->capacity] = item;
        pool->count++;
        pthread_cond_signal(&pool->wanted);
    }
    pthread_mutex_unlock(&pool->lock);
    return err;
}

size_t cf_pool_waiting(const struct cf_pool *pool)
{
    struct cf_pool *locked = (struct cf_pool *)pool;
    pthread_mutex_lock(&locked->lock);
    size_t waiting = pool->count + pool->running;
    pthread_mutex_unlock(&locked->lock);
    return waiting;
}

void cf_pool_free(struct cf_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->wanted);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->wanted);
    pthread_mutex_destroy(&pool->lock);
    free(pool->items);
    free(pool);
}
