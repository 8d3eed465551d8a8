/* The index measured: recall, queries per second, bytes a vector, seconds of building.
 *
 *     ann_bench [-t THREADS] [-k K] [-n COUNT] [-d DIM] [BASE.fvecs QUERIES.fvecs ...]
 *
 * Without files: COUNT clustered vectors of DIM values from a seed, and 1,000 more as queries. Nothing is
 * tuned on the queries: a recall is asked for, and what was got is printed beside it. One query a call, one
 * thread; times of queries are processor time, so that other load on the machine disturbs less. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/ann/ann.h"
#include "common/base/clock.h"
#include "common/base/cpu.h"
#include "common/base/rng.h"

struct matrix {
    uint32_t dim;
    size_t count;
    float *values;
};

struct feed {
    const struct matrix *base;
    size_t at;
    char id[24];
};

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "ann_bench: %s\n", what);
    exit(1);
}

static void *must_alloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        give_up("out of memory");
    return memory;
}

/* fvecs: every vector is its dimension in 32 bits, then so many floats. */
static struct matrix read_fvecs(const char *path)
{
    struct matrix m = {0};
    FILE *file = fopen(path, "rb");
    long bytes;

    if (!file || fread(&m.dim, sizeof m.dim, 1, file) != 1 || m.dim < 1 || m.dim > CF_ANN_DIM_MAX)
        give_up(path);
    if (fseek(file, 0, SEEK_END) || (bytes = ftell(file)) < 0)
        give_up(path);
    rewind(file);
    m.count = (size_t)bytes / (4 * ((size_t)m.dim + 1));
    m.values = must_alloc(m.count * m.dim, sizeof *m.values);
    for (size_t i = 0; i < m.count; i++) {
        uint32_t dim;
        if (fread(&dim, sizeof dim, 1, file) != 1 || dim != m.dim ||
            fread(m.values + i * m.dim, sizeof(float), m.dim, file) != m.dim)
            give_up(path);
    }
    fclose(file);
    return m;
}

static double normal(struct cf_rng *rng)
{
    return sqrt(-2 * log(1 - cf_rng_unit(rng))) * cos(6.283185307179586 * cf_rng_unit(rng));
}

/* Clusters with a spectrum that falls as that of pictures does. */
static struct matrix synthetic(size_t count, uint32_t dim, uint64_t seed)
{
    struct matrix m = {dim, count, must_alloc(count * dim, sizeof(float))};
    struct cf_rng rng = cf_rng(seed);

    for (size_t i = 0; i < count; i++) {
        struct cf_rng centre = cf_rng(cf_rng_below(&rng, 2000));
        for (uint32_t j = 0; j < dim; j++)
            m.values[i * dim + j] = (float)((normal(&centre) + .6 * normal(&rng)) / sqrt(1 + j / 4.0));
    }
    return m;
}

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
    if (feed->at == feed->base->count)
        return CF_E_NOT_FOUND;
    int len = snprintf(feed->id, sizeof feed->id, "%08zu", feed->at);
    item->id = (struct cf_bytes){(const uint8_t *)feed->id, (size_t)len};
    item->tag = (struct cf_bytes){NULL, 0};
    item->vector = feed->base->values + feed->at++ * feed->base->dim;
    return CF_OK;
}

static struct cf_ann *build(const struct matrix *base, unsigned threads)
{
    struct feed feed = {.base = base};
    struct cf_ann_source source = {feed_rewind, feed_next, &feed};
    struct cf_ann_params params = {.dim = base->dim, .seed = 1, .threads = threads};
    struct cf_detail detail = {""};
    struct cf_ann *ann = NULL;
    char path[64];

    snprintf(path, sizeof path, "/tmp/ann-bench.%ld", (long)getpid());
    uint64_t started = cf_clock_mono_us();
    if (cf_ann_build(path, &params, &source, NULL, NULL, &detail))
        give_up(detail.text);
    double seconds = (double)(cf_clock_mono_us() - started) / 1e6;
    if (cf_ann_open(path, &ann, &detail))
        give_up(detail.text);
    unlink(path);
    struct cf_ann_info info = cf_ann_info(ann);
    printf("%llu vectors of %u, %s: built in %.2f s by %u threads, %.0f bytes a "
           "vector, %llu leaves\n",
           (unsigned long long)info.count, info.dim, cf_simd_name(cf_cpu_simd()), seconds, threads,
           (double)info.file_bytes / (double)info.count, (unsigned long long)info.leaf_count);
    return ann;
}

static uint64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Answers every query; the k-th true distance decides what counts as found. */
static void run(const struct cf_ann *ann, const struct matrix *queries, uint32_t k, double recall, bool exact,
                float *kth)
{
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    struct cf_ann_hit *hits = must_alloc(k, sizeof *hits);
    double *took = must_alloc(queries->count, sizeof *took), found = 0, total = 0;
    size_t scans = 0;

    for (size_t q = 0; q < queries->count; q++) {
        struct cf_ann_query query = {
            .vector = queries->values + q * queries->dim, .k = k, .recall = recall, .exact = exact};
        size_t count = 0, right = 0;
        bool all = false;
        uint64_t started = cpu_us();
        if (!searcher || cf_ann_search(ann, searcher, &query, hits, &count, &all, NULL))
            give_up("a search failed");
        took[q] = (double)(cpu_us() - started);
        total += took[q];
        scans += all;
        if (exact && count)
            kth[q] = hits[count - 1].distance;
        for (size_t i = 0; i < count; i++)
            right += hits[i].distance <= kth[q];
        found += count ? (double)right / (double)count : 1;
    }
    qsort(took, queries->count, sizeof *took, compare_double);
    double n = (double)queries->count;
    printf("  %-6s %.3f  recall %.4f  %9.0f queries/s  p50 %7.0f us  p99 %7.0f "
           "us  all leaves %4.1f %%\n",
           exact ? "exact" : "asked", recall, found / n, n * 1e6 / total, took[queries->count / 2],
           took[queries->count * 99 / 100], 100 * (double)scans / n);
    free(took);
    free(hits);
    cf_ann_searcher_free(searcher);
}

static void measure(const struct cf_ann *ann, const char *name, const struct matrix *queries, uint32_t k)
{
    const double recalls[] = {.8, .9, .95, .99, .999};
    float *kth = must_alloc(queries->count, sizeof *kth);

    if (queries->dim != cf_ann_info(ann).dim || queries->count == 0)
        give_up("queries of another dimension, or none");
    printf("%s: %zu queries, k %u\n", name, queries->count, k);
    run(ann, queries, k, 1, true, kth);
    for (size_t i = 0; i < sizeof recalls / sizeof *recalls; i++)
        run(ann, queries, k, recalls[i], false, kth);
    free(kth);
}

int main(int argc, char **argv)
{
    unsigned threads = 2;
    uint32_t k = 10, dim = 96;
    size_t count = 100000;
    struct matrix base, queries;
    int option;

    while ((option = getopt(argc, argv, "t:k:n:d:")) != -1) {
        unsigned long value = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (option == 't')
            threads = (unsigned)value;
        else if (option == 'k')
            k = (uint32_t)value;
        else if (option == 'n')
            count = value;
        else if (option == 'd')
            dim = (uint32_t)value;
        else
            return 2;
    }
    base = optind < argc ? read_fvecs(argv[optind]) : synthetic(count, dim, 1);
    struct cf_ann *ann = build(&base, threads);
    for (int i = optind + 1; i < argc; i++) {
        queries = read_fvecs(argv[i]);
        measure(ann, argv[i], &queries, k);
        free(queries.values);
    }
    if (optind >= argc) {
        queries = synthetic(1000, dim, 2);
        measure(ann, "synthetic", &queries, k);
        free(queries.values);
    }
    cf_ann_free(ann);
    free(base.values);
    return 0;
}
