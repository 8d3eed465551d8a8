/* Our index, through its public header alone: the knob is the recall that is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ann/ann.h"
#include "common/base/crew.h"
#include "tests/bench/ann/peers.h"

enum { K_MAX = 1000 };

struct ours {
    struct cf_ann *ann;
    struct cf_ann_searcher *searchers[CF_CREW_THREADS_MAX];
    unsigned threads;
    double recall;
};

struct feed {
    const struct peer_work *work;
    size_t at;
};

static enum cf_err feed_rewind(void *arg, struct cf_detail *detail)
{
    struct feed *feed = arg;
    (void)detail;
    feed->at = 0;
    return CF_OK;
}

static enum cf_err feed_next(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct feed *feed = arg;
    (void)detail;
    if (feed->at == feed->work->count)
        return CF_E_NOT_FOUND;
    *item = (struct cf_ann_item){.vector = feed->work->base + feed->at++ * feed->work->dim};
    return CF_OK;
}

static void ours_free(void *index)
{
    struct ours *ours = index;
    for (unsigned t = 0; t < ours->threads; t++)
        cf_ann_searcher_free(ours->searchers[t]);
    cf_ann_free(ours->ann);
    free(ours);
}

/* The file has no name after this: it goes when the index is closed. */
static enum cf_err build_file(struct ours *ours, const struct peer_work *work, struct cf_detail *detail)
{
    char path[4096];
    struct feed feed = {.work = work};
    struct cf_ann_source source = {feed_rewind, feed_next, &feed};
    struct cf_ann_params params = {.dim = work->dim, .seed = work->seed, .threads = work->threads};
    snprintf(path, sizeof path, "%s/ours.%ld.idx", work->scratch, (long)getpid());
    enum cf_err err = cf_ann_build(path, &params, &source, NULL, NULL, detail);
    if (!err) {
        err = cf_ann_open(path, &ours->ann, detail);
        unlink(path);
    }
    return err;
}

static void *ours_build(const struct peer *peer, const struct peer_work *work,
                        char sentence[PEER_SENTENCE_BYTES])
{
    struct cf_detail detail = {""};
    struct ours *ours = calloc(1, sizeof *ours);
    (void)peer;
    if (!ours || build_file(ours, work, &detail)) {
        snprintf(sentence, PEER_SENTENCE_BYTES, "%s", detail.text);
        free(ours);
        return NULL;
    }
    ours->threads = work->threads;
    for (unsigned t = 0; t < work->threads; t++)
        if (!(ours->searchers[t] = cf_ann_searcher_new())) {
            snprintf(sentence, PEER_SENTENCE_BYTES, "out of memory");
            ours_free(ours);
            return NULL;
        }
    return ours;
}

static void ours_set(void *index, const struct peer_knob *knob)
{
    struct ours *ours = index;
    ours->recall = knob->first;
}

static size_t ours_search(void *index, unsigned thread, const float *query, uint32_t k, int32_t *items)
{
    struct ours *ours = index;
    struct cf_ann_query wanted = {.vector = query, .k = k, .recall = ours->recall};
    struct cf_ann_hit hits[K_MAX];
    struct cf_detail detail = {""};
    size_t count = 0;
    bool exact = false;
    CF_CHECK(k <= K_MAX);
    if (cf_ann_search(ours->ann, ours->searchers[thread], &wanted, hits, &count, &exact, &detail)) {
        fprintf(stderr, "ann bench: ours: %s\n", detail.text);
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        items[i] = (int32_t)hits[i].item;
    return count;
}

static double ours_bytes(void *index)
{
    const struct ours *ours = index;
    return (double)cf_ann_info(ours->ann).file_bytes;
}

const struct peer *peers_ours(size_t *count)
{
    static const struct peer_knob recalls[] = {{.5, 0},  {.7, 0},  {.8, 0},  {.9, 0},
                                               {.95, 0}, {.98, 0}, {.99, 0}, {.995, 0}};
    static const struct peer peers[] = {{
        .name = "ours",
        .what = "**Coverfleet**, recall as asked",
        .knob_name = "recall asked",
        .knobs = recalls,
        .knob_count = sizeof recalls / sizeof recalls[0],
        .by_recall = true,
        .by_default = true,
        .build = ours_build,
        .set = ours_set,
        .search = ours_search,
        .bytes = ours_bytes,
        .free = ours_free,
    }};
    *count = sizeof peers / sizeof peers[0];
    return peers;
}
