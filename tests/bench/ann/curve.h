/* The curve of one index: recall against queries a second, from a sweep of its knob. */
#ifndef CF_BENCH_ANN_CURVE_H
#define CF_BENCH_ANN_CURVE_H

#include <stddef.h>

struct bench_point {
    double recall, qps;
};

/* Keeps the points that no other beats in both, by recall from low to high (so that the queries a second
 * fall); returns how many. */
size_t bench_front(struct bench_point *points, size_t count);

/* Queries a second at that recall, on a front: between two points the logarithm of the queries a second is
 * taken as linear in the logarithm of what is missing to a recall of one; below the first point that of the
 * first, NAN beyond the last. */
double bench_qps_at(const struct bench_point *front, size_t count, double recall);

/* The middle one of so many (of an even number the mean of the two), which are sorted. NAN of none. */
double bench_median(double *values, size_t count);
/* The value below which a share of them lies (0 to 1), of sorted ones: the nearest rank. */
double bench_quantile(const double *sorted, size_t count, double share);
void bench_sort(double *values, size_t count);

#endif
