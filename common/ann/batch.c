/* Many queries at once: shared among threads in small portions, a searcher each, kept on a stack in between.
 */
#include <pthread.h>
#include <stdlib.h>

#include "common/ann/ann.h"
#include "common/ann/image.h"
#include "common/base/crew.h"

enum { PORTION = 16 };

struct batch {
    const struct cf_ann *ann;
    const struct cf_ann_query *common;
    const float *vectors;
    size_t count;
    struct cf_ann_hit *hits;
    size_t *counts;
    pthread_mutex_t lock; /* of what follows */
    struct cf_ann_searcher **idle;
    size_t idle_count;
    size_t failed_at; /* the least query that failed, or count */
    enum cf_err err;
    struct cf_detail detail;
    bool exact;
};

static struct cf_ann_searcher *borrow(struct batch *b)
{
    struct cf_ann_searcher *searcher = NULL;

    pthread_mutex_lock(&b->lock);
    if (b->idle_count)
        searcher = b->idle[--b->idle_count];
    pthread_mutex_unlock(&b->lock);
    return searcher ? searcher : cf_ann_searcher_new();
}

static void give_back(struct batch *b, struct cf_ann_searcher *searcher, bool exact)
{
    pthread_mutex_lock(&b->lock);
    if (searcher)
        b->idle[b->idle_count++] = searcher;
    b->exact = b->exact && exact;
    pthread_mutex_unlock(&b->lock);
}

static void note_failure(struct batch *b, size_t at, enum cf_err err, const struct cf_detail *detail)
{
    pthread_mutex_lock(&b->lock);
    if (at < b->failed_at) {
        b->failed_at = at;
        b->err = err;
        b->detail = *detail;
    }
    pthread_mutex_unlock(&b->lock);
}

static enum cf_err answer(struct batch *b, struct cf_ann_searcher *searcher, size_t at, bool *exact,
                          struct cf_detail *detail)
{
    struct cf_ann_query query = *b->common;

    if (!searcher)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory for a searcher");
    query.vector = b->vectors + at * b->ann->header.dim;
    return cf_ann_search(b->ann, searcher, &query, b->hits + at * query.k, &b->counts[at], exact, detail);
}

/* A portion ends at its first failure: of those that fail, the first query is told. */
static void answer_portion(void *arg, size_t portion)
{
    struct batch *b = arg;
    struct cf_ann_searcher *searcher = borrow(b);
    size_t begin = portion * PORTION, end = b->count - begin < PORTION ? b->count : begin + PORTION;
    bool all = true;

    for (size_t at = begin; at < end; at++) {
        struct cf_detail detail = {""};
        bool exact = false;
        enum cf_err err = answer(b, searcher, at, &exact, &detail);
        if (err) {
            note_failure(b, at, err, &detail);
            break;
        }
        all = all && exact;
    }
    give_back(b, searcher, all);
}

enum cf_err cf_ann_search_batch(const struct cf_ann *ann, const struct cf_ann_query *common,
                                const float *vectors, size_t count, unsigned threads, struct cf_ann_hit *hits,
                                size_t *counts, bool *exact, struct cf_detail *detail)
{
    struct cf_crew crew = {.threads = threads ? threads : 1};
    size_t portions = (count + PORTION - 1) / PORTION;
    struct batch b = {.ann = ann,
                      .common = common,
                      .vectors = vectors,
                      .count = count,
                      .hits = hits,
                      .counts = counts,
                      .failed_at = count,
                      .exact = true};

    b.idle = calloc(crew.threads, sizeof *b.idle);
    if (!b.idle)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory for a batch of %zu queries", count);
    pthread_mutex_init(&b.lock, NULL);
    enum cf_err err = cf_crew_run(&crew, portions, answer_portion, &b);
    err = b.failed_at < count ? b.err : err;
    while (b.idle_count)
        cf_ann_searcher_free(b.idle[--b.idle_count]);
    free(b.idle);
    pthread_mutex_destroy(&b.lock);
    if (err)
        return cf_fail(detail, err, "%s", b.detail.text);
    *exact = b.exact;
    return CF_OK;
}
