/* A short form of vectors that proves of most of them that they are not near: their coordinates along the few
 * directions in which a sample differs most (orthogonal iteration on its covariance: Golub and Van Loan,
 * "Matrix Computations", 8.2), in twelve bits each. A projection makes no distance longer, so what is far
 * apart by its coordinates is farther apart in truth; as in Faloutsos, Ranganathan and Manolopoulos, "Fast
 * subsequence matching in time-series databases", 1994. Nothing is ever lost by it: where the sample was
 * unlike what comes, it only saves less.
 *
 * A sketch is immutable and counted; any thread reads it. */
#ifndef CF_WORKERS_QUERY_SKETCH_H
#define CF_WORKERS_QUERY_SKETCH_H

#include <stddef.h>
#include <stdint.h>

enum { CF_SKETCH_DIMS = 64, CF_SKETCH_SAMPLE = 1024 };

struct cf_sketch;

struct cf_sketch_code {
    float slack; /* how far off the coordinates may be, all together */
    int16_t at[CF_SKETCH_DIMS];
};

/* Of `count` (1 to CF_SKETCH_SAMPLE) vectors, one after the other; they are overwritten. `dim` is more than
 * CF_SKETCH_DIMS. The same for the same ones. NULL when memory is short. */
struct cf_sketch *cf_sketch_new(float *sample, size_t count, uint32_t dim);
struct cf_sketch *cf_sketch_share(struct cf_sketch *sketch); /* takes and gives NULL */
void cf_sketch_free(struct cf_sketch *sketch);               /* takes NULL */

/* Of a vector of finite values that may be `off` so far from the one that is meant. */
void cf_sketch_code(const struct cf_sketch *sketch, const float *vector, float off,
                    struct cf_sketch_code *code);

/* The numbers of those that may be within `distance` of the query, in order, into near[count]; how many. */
size_t cf_sketch_near(const struct cf_sketch *sketch, const struct cf_sketch_code *query,
                      const struct cf_sketch_code *codes, size_t count, float distance, uint32_t *near);

#endif
