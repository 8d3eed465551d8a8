/* Vectors, ids and tags for the tests of the index, made from a seed; and a folder of its own for the files.
 */
#ifndef CF_TESTS_ANN_FIXTURE_H
#define CF_TESTS_ANN_FIXTURE_H

#include <limits.h>

#include "common/ann/ann.h"
#include "common/base/rng.h"

struct ann_set {
    uint32_t dim, tag_bytes;
    size_t count, at;
    float *vectors;
    char (*ids)[24];
    uint8_t *tags;
};

enum ann_kind { ANN_RANDOM, ANN_CLUSTERED, ANN_DUPLICATES, ANN_CONSTANT, ANN_ZERO, ANN_KINDS };

struct ann_set ann_set_make(enum ann_kind kind, size_t count, uint32_t dim, uint32_t tag_bytes, double scale,
                            uint64_t seed);
void ann_set_free(struct ann_set *set);
struct cf_bytes ann_set_id(const struct ann_set *set, size_t i);
/* Borrows the set, which keeps the place of reading. */
struct cf_ann_source ann_set_source(struct ann_set *set);
/* Builds at `path` and opens; fails the test when either fails. */
struct cf_ann *ann_build_open(const char *path, struct ann_set *set, unsigned threads, uint64_t seed);
/* With what else `params` say: those of the set, seed and threads are filled in. */
struct cf_ann *ann_build_open_as(const char *path, struct ann_set *set, struct cf_ann_params params);
enum cf_err ann_build(const char *path, struct ann_set *set, unsigned threads, uint64_t seed,
                      struct cf_detail *detail);

/* A folder under TMPDIR or /tmp, made once a process and removed by ann_folder_remove. */
const char *ann_folder(void);
void ann_folder_remove(void);
/* A path in the folder; static storage, two calls may be live. */
const char *ann_path(const char *name);
size_t ann_folder_entries(void);

/* The naive answer: positions in the set by (squared distance, id). */
size_t ann_naive(const struct ann_set *set, const float *query, size_t k, size_t *best, float *squared);
/* The share of the naive k that the search found (or others exactly as near). */
double ann_recall(const struct cf_ann *ann, const struct ann_set *set, const float *query, uint32_t k,
                  double recall, struct cf_ann_searcher *searcher);

#endif
