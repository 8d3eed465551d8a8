#include "tests/bench/ann/curve.h"

#include <math.h>
#include <stdlib.h>

/* A recall of exactly one is as one neighbour in ten thousand missed. */
static double missing(double recall)
{
    return log(fmax(1 - recall, 1e-4));
}

static int by_recall(const void *a, const void *b)
{
    const struct bench_point *x = a, *y = b;
    if (x->recall != y->recall)
        return x->recall < y->recall ? -1 : 1;
    return (x->qps > y->qps) - (x->qps < y->qps);
}

size_t bench_front(struct bench_point *points, size_t count)
{
    size_t kept = 0;
    if (count == 0)
        return 0;
    qsort(points, count, sizeof *points, by_recall);
    for (size_t i = 0; i < count; i++) {
        while (kept > 0 && points[kept - 1].qps <= points[i].qps)
            kept--;
        points[kept++] = points[i];
    }
    return kept;
}

double bench_qps_at(const struct bench_point *front, size_t count, double recall)
{
    for (size_t i = 0; i < count; i++) {
        if (front[i].recall < recall)
            continue;
        if (i == 0)
            return front[0].qps;
        double low = missing(front[i - 1].recall), high = missing(front[i].recall);
        double share = low == high ? 1 : (missing(recall) - low) / (high - low);
        return exp(log(front[i - 1].qps) + share * (log(front[i].qps) - log(front[i - 1].qps)));
    }
    return NAN;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *values, size_t count)
{
    if (count > 0)
        qsort(values, count, sizeof *values, by_value);
}

double bench_median(double *values, size_t count)
{
    if (count == 0)
        return NAN;
    bench_sort(values, count);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double bench_quantile(const double *sorted, size_t count, double share)
{
    if (count == 0)
        return NAN;
    size_t rank = (size_t)ceil(share * (double)count);
    return sorted[rank > 0 ? rank - 1 : 0];
}
