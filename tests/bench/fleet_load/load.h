/* Inside fleet_load: what its files share. main.c knows the times and reports, asking.c asks, pushing.c
 * pushes, probing.c follows single covers from described to findable. Each runs threads of its own with
 * clients of their own. */
#ifndef CF_BENCH_FLEET_LOAD_H
#define CF_BENCH_FLEET_LOAD_H

#include <pthread.h>

#include "common/base/rng.h"
#include "common/vecfile/vecfile.h"
#include "proto/client/client.h"

enum {
    PHASE_COUNT = 2, /* without and with full rebuilds */
    CLIENTS_MAX = 256,
    CALL_MS = 10000,  /* how long a request may take before it counts as failed; far over any aim */
    PUSHED_KEEP = 64, /* pushed albums that wait to be followed */
    ROWS_MAX = 16384, /* vectors to ask by, of all parts of the file */
};

struct load_options {
    const char *endpoint, *space, *ids, *vectors, *covers;
    uint64_t clients, k, seconds, warm_ms, rebuild_ms, probe_ms, seed;
    double rate, push_rate, by_vector, recall;
    bool json;
};

/* Times of one phase, in microseconds; grown by one thread. */
struct load_samples {
    uint64_t *values;
    size_t count, capacity;
};
void load_sample(struct load_samples *samples, uint64_t value);
/* The value that a share of them does not exceed; 0 of none. Sorts. */
uint64_t load_percentile(struct load_samples *samples, double share);
/* Moves them; `from` is empty then. */
void load_merge(struct load_samples *into, struct load_samples *from);

struct load_phase {
    uint64_t from_us, until_us; /* monotonic */
};

struct load {
    struct load_options options;
    struct load_phase phases[PHASE_COUNT];
    size_t phase_count;
    uint64_t start_us, end_us;

    char **ids;
    size_t id_count;
    float *rows; /* [row_count][dim], of the file of vectors, in memory: the generator waits for no disk */
    size_t row_count;
    uint32_t dim;

    /* Pushed and acknowledged, for the prober. */
    pthread_mutex_t lock;
    char pushed[PUSHED_KEEP][CF_ALBUM_BYTES_MAX + 1];
    size_t pushed_count;
};

/* The phase that a moment belongs to; -1 for none. */
int load_phase_of(const struct load *load, uint64_t at_us);
uint64_t load_now_us(void);
/* A client, or the end of the program with a sentence. */
struct cf_client *load_client(const struct load *load);
/* Until that moment, taking in what comes for the client meanwhile. */
void load_wait(struct cf_client *client, uint64_t until_us);

/* asking.c: one client. */
struct load_asker {
    struct load *load;
    size_t number;
    pthread_t thread;
    struct cf_client *client;
    struct cf_rng rng;
    float *vector;
    struct load_samples took[PHASE_COUNT];
    uint64_t failed[PHASE_COUNT];
    struct load_samples late; /* of the generator itself: how long after its time a query was sent */
    char failure[160];        /* the first one */
};
void *load_ask(void *asker);

/* pushing.c */
struct load_pusher {
    struct load *load;
    pthread_t thread;
    struct cf_client *client;
    struct cf_rng rng;
    struct cf_buf *pictures;
    size_t picture_count;
    uint64_t pushed[PHASE_COUNT], failed[PHASE_COUNT];
    char failure[160];
};
/* Reads the pictures of options.covers; false with a sentence on standard error. */
bool load_pictures(struct load_pusher *pusher);
void *load_push(void *pusher);
void load_pusher_fini(struct load_pusher *pusher);

/* probing.c */
struct load_prober {
    struct load *load;
    pthread_t thread;
    struct cf_client *client;
    struct load_samples took[PHASE_COUNT];
    uint64_t lost[PHASE_COUNT]; /* not described, or described and not found, within CALL_MS */
    char failure[160];
};
void *load_probe(void *prober);

#endif
