#include "tests/bench/ann/measure.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/rng.h"
#include "tests/bench/ann/curve.h"
#include "tests/bench/ann/truth.h"

enum { WARM_UP = 20, QUERIES_MIN = 100 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void bench_task_settle(struct bench_task *task)
{
    struct cf_rng rng = cf_rng(7);
    size_t count = 0;
    task->query_count = task->queries[BENCH_HELD].count + task->queries[BENCH_PERT].count;
    task->order = bench_alloc(task->query_count, sizeof *task->order);
    for (uint32_t kind = 0; kind < BENCH_QUERY_KINDS; kind++)
        for (uint32_t i = 0; i < task->queries[kind].count; i++)
            task->order[count++] = kind * BENCH_QUERIES + i;
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)cf_rng_below(&rng, i);
        uint32_t other = task->order[i - 1];
        task->order[i - 1] = task->order[j];
        task->order[j] = other;
    }
}

void bench_task_fini(struct bench_task *task)
{
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++) {
        bench_floats_fini(&task->queries[kind]);
        bench_ints_fini(&task->truths[kind]);
    }
    bench_floats_fini(&task->base);
    free(task->order);
}

static const float *query_of(const struct bench_task *task, size_t i)
{
    const struct bench_floats *queries = &task->queries[task->order[i] / BENCH_QUERIES];
    return queries->values + (size_t)(task->order[i] % BENCH_QUERIES) * queries->dim;
}

void bench_build(struct bench_contestant *contestant, const struct bench_task *task,
                 const struct bench_limits *limits)
{
    struct peer_work work = {
        .base = task->base.values,
        .count = task->base.count,
        .dim = task->base.dim,
        .threads = limits->threads,
        .seconds_max = limits->build_seconds,
        .scratch = limits->scratch,
        .seed = limits->seed,
        .began = peer_processor_seconds(),
    };
    double start = now(CLOCK_MONOTONIC);
    fprintf(stderr, "ann bench: %s: building %s\n", task->space, contestant->peer->name);
    contestant->index = contestant->peer->build(contestant->peer, &work, contestant->sentence);
    contestant->build_seconds = now(CLOCK_MONOTONIC) - start;
    contestant->build_processor_seconds = peer_processor_seconds() - work.began;
    if (!contestant->index) {
        fprintf(stderr, "ann bench: %s: %s\n", contestant->peer->name, contestant->sentence);
        return;
    }
    contestant->built = true;
    contestant->bytes_per_vector = contestant->peer->bytes(contestant->index) / (double)task->base.count;
    for (size_t i = 0; i < contestant->peer->knob_count; i++)
        contestant->results[i].knob = contestant->peer->knobs[i];
}

/* ---- one setting, one round ---- */

struct timing {
    const struct bench_contestant *contestant;
    const struct bench_task *task;
    clockid_t clock; /* of single queries: the wall's, or the processor's for one thread */
    double deadline;
    double *took;     /* seconds, of each query; below zero for one that was not reached */
    int32_t *answers; /* BENCH_K each, the rest -1 */
    atomic_size_t next;
};

static void ask(struct timing *timing, unsigned thread, size_t i)
{
    const struct peer *peer = timing->contestant->peer;
    int32_t *answer = timing->answers + i * BENCH_K;
    double start = now(timing->clock);
    size_t count =
        peer->search(timing->contestant->index, thread, query_of(timing->task, i), BENCH_K, answer);
    timing->took[i] = now(timing->clock) - start;
    for (size_t j = count; j < BENCH_K; j++)
        answer[j] = -1;
}

/* A member of the crew takes queries until there are no more, or time is up. */
static void ask_on(void *arg, unsigned thread, size_t member)
{
    struct timing *timing = arg;
    (void)member;
    for (size_t i; (i = atomic_fetch_add(&timing->next, 1)) < timing->task->query_count;) {
        if (i >= QUERIES_MIN && now(CLOCK_MONOTONIC) > timing->deadline)
            return;
        ask(timing, thread, i);
    }
}

static size_t run(struct timing *timing, unsigned threads, double seconds, double *qps, double *busy)
{
    size_t asked = 0;
    for (size_t i = 0; i < WARM_UP && i < timing->task->query_count; i++)
        ask(timing, 0, timing->task->query_count - 1 - i);
    for (size_t i = 0; i < timing->task->query_count; i++)
        timing->took[i] = -1;
    atomic_store(&timing->next, 0);
    double took = 0, cpu = now(CLOCK_PROCESS_CPUTIME_ID), start = now(CLOCK_MONOTONIC);
    timing->deadline = start + seconds;
    cf_crew_run_numbered(threads, threads, ask_on, timing);
    double wall = now(CLOCK_MONOTONIC) - start;
    while (asked < timing->task->query_count && timing->took[asked] >= 0)
        took += timing->took[asked++];
    *qps = timing->clock == CLOCK_MONOTONIC ? (double)asked / wall : threads * (double)asked / took;
    *busy = (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / wall;
    return asked;
}

static double recall_of_query(const struct timing *timing, size_t i)
{
    const struct bench_task *task = timing->task;
    const struct bench_ints *truth = &task->truths[task->order[i] / BENCH_QUERIES];
    const int32_t *neighbours = truth->values + (size_t)(task->order[i] % BENCH_QUERIES) * truth->dim;
    size_t k = truth->dim < BENCH_K ? truth->dim : BENCH_K;
    size_t found =
        bench_found(&task->base, query_of(task, i), neighbours, k, timing->answers + i * BENCH_K, BENCH_K);
    return (double)found / (double)k;
}

static void note_recall(struct bench_result *result, const struct timing *timing, size_t asked)
{
    double sums[BENCH_QUERY_KINDS] = {0}, counts[BENCH_QUERY_KINDS] = {0}, squares = 0, n = (double)asked;
    for (size_t i = 0; i < asked; i++) {
        uint32_t kind = timing->task->order[i] / BENCH_QUERIES;
        double recall = recall_of_query(timing, i);
        sums[kind] += recall;
        squares += recall * recall;
        counts[kind]++;
    }
    result->queries = asked;
    result->recall = (sums[BENCH_HELD] + sums[BENCH_PERT]) / n;
    result->recall_error = sqrt(fmax(squares / n - result->recall * result->recall, 0) / n);
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++)
        result->recall_of[kind] = sums[kind] / counts[kind];
}

static void measure_point(struct bench_contestant *contestant, struct bench_result *result,
                          struct timing *timing, const struct bench_limits *limits, unsigned round)
{
    double both = 0;
    timing->contestant = contestant;
    contestant->peer->set(contestant->index, &result->knob);
    size_t asked = run(timing, 1, limits->point_seconds, &result->round_qps[BENCH_ALONE][round],
                       &result->round_busy[round]);
    if (round == 0)
        note_recall(result, timing, asked);
    bench_sort(timing->took, asked);
    result->round_p50[round] = 1e6 * bench_quantile(timing->took, asked, .5);
    result->round_p99[round] = 1e6 * bench_quantile(timing->took, asked, .99);
    run(timing, limits->threads, limits->point_seconds / 2, &result->round_qps[BENCH_TOGETHER][round], &both);
}

static void take_medians(struct bench_result *result, unsigned rounds)
{
    for (int team = 0; team < BENCH_TEAMS; team++)
        result->qps[team] = bench_median(result->round_qps[team], rounds);
    result->p50_us = bench_median(result->round_p50, rounds);
    result->p99_us = bench_median(result->round_p99, rounds);
    result->busy = bench_median(result->round_busy, rounds);
}

void bench_measure(struct bench_contestant *contestants, size_t count, const struct bench_task *task,
                   const struct bench_limits *limits)
{
    struct timing timing = {
        .task = task,
        .clock = limits->processor_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC,
        .took = bench_alloc(task->query_count, sizeof(double)),
        .answers = bench_alloc(task->query_count * BENCH_K, sizeof(int32_t)),
    };
    for (unsigned round = 0; round < limits->rounds; round++) {
        fprintf(stderr, "ann bench: %s: round %u of %u\n", task->space, round + 1, limits->rounds);
        for (size_t c = 0; c < count; c++)
            for (size_t i = 0; contestants[c].built && i < contestants[c].peer->knob_count; i++)
                measure_point(&contestants[c], &contestants[c].results[i], &timing, limits, round);
    }
    for (size_t c = 0; c < count; c++) {
        if (!contestants[c].built)
            continue;
        for (size_t i = 0; i < contestants[c].peer->knob_count; i++)
            take_medians(&contestants[c].results[i], limits->rounds);
        contestants[c].peer->free(contestants[c].index);
        contestants[c].index = NULL;
    }
    free(timing.took);
    free(timing.answers);
}

/* ---- what came out ---- */

static const struct bench_result *asked_for(const struct bench_contestant *contestant, double recall)
{
    for (size_t i = 0; i < contestant->peer->knob_count; i++)
        if (fabs(contestant->results[i].knob.first - recall) < 1e-9)
            return &contestant->results[i];
    return NULL;
}

double bench_result_at(const struct bench_contestant *contestant, int team, double recall)
{
    struct bench_point points[BENCH_KNOBS_MAX];
    if (!contestant->built)
        return NAN;
    if (contestant->peer->by_recall) {
        const struct bench_result *asked = asked_for(contestant, recall);
        return asked ? asked->qps[team] : NAN;
    }
    for (size_t i = 0; i < contestant->peer->knob_count; i++)
        points[i] = (struct bench_point){contestant->results[i].recall, contestant->results[i].qps[team]};
    return bench_qps_at(points, bench_front(points, contestant->peer->knob_count), recall);
}

const struct bench_result *bench_result_for(const struct bench_contestant *contestant, double recall)
{
    const struct bench_result *best = NULL;
    if (!contestant->built)
        return NULL;
    if (contestant->peer->by_recall)
        return asked_for(contestant, recall);
    for (size_t i = 0; i < contestant->peer->knob_count; i++) {
        const struct bench_result *result = &contestant->results[i];
        if (result->recall >= recall && (!best || result->qps[BENCH_ALONE] > best->qps[BENCH_ALONE]))
            best = result;
    }
    return best;
}
