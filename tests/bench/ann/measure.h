/* Contestants measured in turn: every index is built, then every setting of every knob is timed once a round,
 * so that what disturbs a round disturbs all, and medians are taken over the rounds. */
#ifndef CF_BENCH_ANN_MEASURE_H
#define CF_BENCH_ANN_MEASURE_H

#include "common/base/crew.h"
#include "tests/bench/ann/names.h"
#include "tests/bench/ann/peers.h"
#include "tests/bench/ann/vecs.h"

enum {
    BENCH_KNOBS_MAX = 16,
    BENCH_ROUNDS_MAX = 15,
    BENCH_CONTESTANTS_MAX = 16,
    BENCH_K = 10,
    BENCH_TEAMS = 2
};

/* How many search at once: one, then as many as were asked for. */
enum { BENCH_ALONE, BENCH_TOGETHER };

/* What is searched for: both kinds of queries, taken in an order that mixes them, with their truths. */
struct bench_task {
    char space[32];
    struct bench_floats base;
    struct bench_floats queries[BENCH_QUERY_KINDS];
    struct bench_ints truths[BENCH_QUERY_KINDS];
    uint32_t *order; /* query_count numbers: kind * BENCH_QUERIES + query */
    size_t query_count;
};

struct bench_limits {
    unsigned threads, rounds;
    double build_seconds, point_seconds;
    uint64_t seed;
    const char *scratch;
    bool processor_time; /* of queries, instead of wall time: for a machine that does other work meanwhile */
};

/* One setting of a knob. */
struct bench_result {
    struct peer_knob knob;
    size_t queries; /* of the first round; what a second allows, at least 100 */
    double recall, recall_of[BENCH_QUERY_KINDS];
    double recall_error;                     /* standard error of the recall, over the queries */
    double qps[BENCH_TEAMS], p50_us, p99_us; /* medians of the rounds; latencies alone */
    double busy; /* processor time by wall time, alone: below 1 something else ran */
    double round_qps[BENCH_TEAMS][BENCH_ROUNDS_MAX], round_p50[BENCH_ROUNDS_MAX], round_p99[BENCH_ROUNDS_MAX],
        round_busy[BENCH_ROUNDS_MAX];
};

struct bench_contestant {
    const struct peer *peer;
    void *index; /* while it is measured */
    bool built;
    char sentence[PEER_SENTENCE_BYTES];
    double build_seconds, build_processor_seconds, bytes_per_vector;
    struct bench_result results[BENCH_KNOBS_MAX];
};

/* Builds it; on failure `sentence` says why. */
void bench_build(struct bench_contestant *contestant, const struct bench_task *task,
                 const struct bench_limits *limits);
/* All rounds of all; closes the indexes afterwards. */
void bench_measure(struct bench_contestant *contestants, size_t count, const struct bench_task *task,
                   const struct bench_limits *limits);

/* An order that mixes the kinds, the same always. */
void bench_task_settle(struct bench_task *task);
void bench_task_fini(struct bench_task *task);

/* The front of a contestant's results and its queries a second there; of one that is asked for a recall, its
 * result at that very asking. NAN when it was not reached. */
double bench_result_at(const struct bench_contestant *contestant, int team, double recall);
/* The result with the least work that reached the recall (of one asked for it: that result); NULL when none
 * did. */
const struct bench_result *bench_result_for(const struct bench_contestant *contestant, double recall);

#endif
