/* The index measured: recall, queries per second, bytes a vector, seconds of building.
 *
 *     ann_bench [-t THREADS] [-k K] [-n COUNT] [-d DIM] [-i INDEX] [-r REPEATS] [-q QUERIES] [BASE.fvecs
 * QUERIES.fvecs
 * ...]
 *
 * Without files: COUNT clustered vectors of DIM values from a seed, and 1,000 more as queries. Nothing is
 * tuned on the queries: a recall is asked for, and what was got (of the true neighbours, by the vectors
 * themselves) is printed beside it. One query a call, one thread; times of queries are processor time, so
 * that other load on the machine disturbs less, and the median of REPEATS runs counts. An INDEX that is there
 * already is not built; only the first QUERIES of a file are asked. */
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/ann/ann.h"
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

    item->id = (struct cf_bytes){NULL, 0};
    item->tag = (struct cf_bytes){NULL, 0};
    item->vector = feed->base->values + feed->at++ * feed->base->dim;
    return CF_OK;
}

static void describe(const struct cf_ann *ann)
{
    struct cf_ann_info info = cf_ann_info(ann);

    printf("%llu vectors of %u, %s: built in %.2f s, %.0f bytes a vector, %llu leaves\n",
           (unsigned long long)info.count, info.dim, cf_simd_name(cf_cpu_simd()),
           (double)info.build_ms / 1000, (double)info.file_bytes / (double)info.count,
           (unsigned long long)info.leaf_count);
}

static struct cf_ann *build(const struct matrix *base, unsigned threads, const char *kept)
{
    struct feed feed = {.base = base};
    struct cf_ann_source source = {feed_rewind, feed_next, &feed};
    struct cf_ann_params params = {.dim = base->dim, .seed = 1, .threads = threads};
    struct cf_detail detail = {""};
    struct cf_ann *ann = NULL;
    char path[PATH_MAX];

    if (kept)
        snprintf(path, sizeof path, "%s", kept);
    else
        snprintf(path, sizeof path, "/tmp/ann-bench.%ld", (long)getpid());
    if (access(path, F_OK) != 0 && cf_ann_build(path, &params, &source, NULL, NULL, &detail))
        give_up(detail.text);
    if (cf_ann_open(path, &ann, &detail))
        give_up(detail.text);
    if (!kept)
        unlink(path);
    describe(ann);
    return ann;
}

static double cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_double);
    return values[count / 2];
}

static double distance_of(const float *a, const float *b, uint32_t dim)
{
    double sum = 0;

    for (uint32_t j = 0; j < dim; j++)
        sum += ((double)a[j] - (double)b[j]) * ((double)a[j] - (double)b[j]);
    return sqrt(sum);
}

struct exam {
    const struct cf_ann *ann;
    const struct matrix *base, *queries;
    uint32_t k;
    unsigned repeats;
    double *kth; /* of each query, the k-th true distance */
    struct cf_ann_searcher *searcher;
    struct cf_ann_hit *hits;
};

static enum cf_err give_full(void *arg, uint64_t item, float *out, struct cf_detail *detail)
{
    const struct matrix *base = arg;

    (void)detail;
    memcpy(out, base->values + item * base->dim, base->dim * sizeof *out);
    return CF_OK;
}

/* Microseconds of one query; `right`: how many of its hits are as near as the k-th. */
static double ask(struct exam *e, size_t q, struct cf_ann_query query, size_t *right, bool *all)
{
    const float *x = e->queries->values + q * e->queries->dim;
    size_t count = 0;

    query.vector = x;
    query.k = e->k;
    double started = cpu_us();
    if (cf_ann_search(e->ann, e->searcher, &query, e->hits, &count, all, NULL))
        give_up("a search failed");
    double took = cpu_us() - started;
    *right = 0;
    if (query.exact && count)
        e->kth[q] = (double)e->hits[count - 1].distance * (1 + 1e-6);
    for (size_t i = 0; i < count; i++)
        *right += distance_of(x, e->base->values + e->hits[i].item * e->base->dim, e->base->dim) <= e->kth[q];
    return took;
}

static void run(struct exam *e, struct cf_ann_query query)
{
    size_t n = e->queries->count;
    double *took = must_alloc(n, sizeof *took), *totals = must_alloc(e->repeats, sizeof *totals), found = 0;
    unsigned repeats = query.exact ? 1 : e->repeats;

    for (unsigned r = 0; r < repeats; r++) {
        found = 0;
        for (size_t q = 0; q < n; q++) {
            bool all;
            size_t right;
            took[q] = ask(e, q, query, &right, &all);
            totals[r] += took[q];
            found += (double)right / e->k;
        }
    }
    double total = median(totals, repeats);
    qsort(took, n, sizeof *took, compare_double);
    printf("  %-5s %.3f  recall %.4f  %8.0f queries/s  p50 %7.1f us  p99 %7.1f us\n",
           query.exact ? "exact" : "asked", query.recall, found / (double)n, (double)n * 1e6 / total,
           took[n / 2], took[n * 99 / 100]);
    free(took);
    free(totals);
}

static void measure(const struct cf_ann *ann, const char *name, const struct matrix *base,
                    const struct matrix *queries, uint32_t k, unsigned repeats)
{
    const double recalls[] = {.8, .9, .95, .97, .99, .995};
    struct exam e = {.ann = ann, .base = base, .queries = queries, .k = k, .repeats = repeats};

    if (queries->dim != cf_ann_info(ann).dim || queries->count == 0)
        give_up("queries of another dimension, or none");
    e.kth = must_alloc(queries->count, sizeof *e.kth);
    e.hits = must_alloc(k, sizeof *e.hits);
    e.searcher = cf_ann_searcher_new();
    if (!e.searcher)
        give_up("out of memory");
    printf("%s: %zu queries, k %u\n", name, queries->count, k);
    run(&e, (struct cf_ann_query){
                .recall = 1, .exact = true, .full = give_full, .full_arg = (void *)(uintptr_t)base});
    for (size_t i = 0; i < sizeof recalls / sizeof *recalls; i++)
        run(&e, (struct cf_ann_query){.recall = recalls[i]});
    cf_ann_searcher_free(e.searcher);
    free(e.hits);
    free(e.kth);
}

int main(int argc, char **argv)
{
    unsigned threads = 2, repeats = 3, most = UINT_MAX;
    uint32_t k = 10, dim = 96;
    size_t count = 100000;
    const char *kept = NULL;
    struct matrix base, queries;
    int option;

    while ((option = getopt(argc, argv, "t:k:n:d:i:r:q:")) != -1) {
        unsigned long value = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (option == 't')
            threads = (unsigned)value;
        else if (option == 'k')
            k = (uint32_t)value;
        else if (option == 'n')
            count = value;
        else if (option == 'd')
            dim = (uint32_t)value;
        else if (option == 'r' && value)
            repeats = (unsigned)value;
        else if (option == 'q' && value)
            most = (unsigned)value;
        else if (option == 'i')
            kept = optarg;
        else
            return 2;
    }
    base = optind < argc ? read_fvecs(argv[optind]) : synthetic(count, dim, 1);
    struct cf_ann *ann = build(&base, threads, kept);
    for (int i = optind + 1; i < argc; i++) {
        queries = read_fvecs(argv[i]);
        queries.count = queries.count < most ? queries.count : most;
        measure(ann, argv[i], &base, &queries, k, repeats);
        free(queries.values);
    }
    if (optind >= argc) {
        queries = synthetic(most < 1000 ? most : 1000, dim, 2);
        measure(ann, "synthetic", &base, &queries, k, repeats);
        free(queries.values);
    }
    cf_ann_free(ann);
    free(base.values);
    return 0;
}
