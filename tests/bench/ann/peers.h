/* What is compared: each an index kind with a knob that trades recall for speed. This header is C and C++;
 * what lies behind it is one file a library: ours.c, peers_faiss.cpp, peers_hnswlib.cpp, peers_flann.cpp, the
 * latter only where the package is.
 *
 * Searches are called with one query at a time, from as many threads as were announced, each with its own
 * number. A library's own threads are held to one while searching. */
#ifndef CF_BENCH_ANN_PEERS_H
#define CF_BENCH_ANN_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct peer_work {
    const float *base; /* count * dim, row-major; stays where it is while the index lives */
    size_t count;
    uint32_t dim;
    unsigned threads;    /* of the build, and at most so many that search */
    double seconds_max;  /* processor seconds a thread after which a build is given up: other load on the
                            machine  does not count */
    double began;        /* peer_processor_seconds() at its beginning */
    const char *scratch; /* a folder for files */
    uint64_t seed;
};

/* Of all threads of this process together. */
static inline double peer_processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of a build, so far, a thread. */
static inline double peer_build_seconds(const struct peer_work *work)
{
    return (peer_processor_seconds() - work->began) / (double)work->threads;
}

/* What a knob is called lies with the peer; `second` is of use to those that have two. */
struct peer_knob {
    double first;
    int second;
};

enum { PEER_SENTENCE_BYTES = 320 };

struct peer {
    const char *name, *what, *knob_name;
    const struct peer_knob *knobs; /* from little work to much */
    size_t knob_count;
    bool by_recall; /* the knob is the recall asked for */
    bool by_default;
    int variant; /* the peer's own */
    /* NULL when it cannot be built (a sentence says why). */
    void *(*build)(const struct peer *peer, const struct peer_work *work, char sentence[PEER_SENTENCE_BYTES]);
    void (*set)(void *index, const struct peer_knob *knob);
    /* Numbers of the nearest into items[k], in any order; how many there are. */
    size_t (*search)(void *index, unsigned thread, const float *query, uint32_t k, int32_t *items);
    double (*bytes)(void *index); /* everything that a search needs, of all vectors together */
    void (*free)(void *index);
};

/* Tables of so many peers. */
const struct peer *peers_ours(size_t *count);
const struct peer *peers_faiss(size_t *count);
const struct peer *peers_hnswlib(size_t *count);
const struct peer *peers_flann(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
