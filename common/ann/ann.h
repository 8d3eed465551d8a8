/* Approximate nearest neighbours: an immutable index file, built once, mapped by any number of processes.
 *
 * Trees over vectors: partitions with contiguous leaves, compact codes scanned with SIMD, survivors ranked on
 * fuller precision, at last on the vectors in eight bits a dimension (sixteen where there are up to 128
 * dimensions); a search that must be certain asks its caller for the vectors themselves. A query asks for a
 * recall, and the index's own calibration (measured at build time on vectors of its own) says how much work
 * that takes. Everything is deterministic by seed, whatever the number of threads and the
 * SIMD level. An item is an id (1 to 255 bytes, or none), an opaque tag of fixed size for the caller, and
 * dim finite floats. A stranger can use this without the fleet.
 *
 * A build streams its source twice and holds a sample of it; what grows with the source lies in files (the
 * index and an unlinked one beside it), so that memory is bounded.
 *
 * File: the memory image behind a checked header (magic, version, endianness, table of sections, checksums);
 * header and table are verified at open, the body by cf_ann_verify. Written to a temporary name, synced,
 * renamed. */
#ifndef CF_ANN_ANN_H
#define CF_ANN_ANN_H

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_ann;

enum { CF_ANN_ID_BYTES_MAX = 255, CF_ANN_TAG_BYTES_MAX = 64, CF_ANN_DIM_MAX = 4096, CF_ANN_NONE = -1 };
/* Vectors that calibrate an index, where a build is not told otherwise. */
enum { CF_ANN_HELD_MAX = 800 };

/* Cosine: vectors and queries are scaled to unit length first (one without direction stays zero), and
 * distances are Euclidean between those: sqrt(2 - 2 cos). */
enum cf_ann_metric { CF_ANN_L2, CF_ANN_COSINE };

struct cf_ann_params {
    uint32_t dim;       /* 1 to CF_ANN_DIM_MAX */
    uint32_t tag_bytes; /* 0 to CF_ANN_TAG_BYTES_MAX */
    enum cf_ann_metric metric;
    uint64_t seed;
    unsigned threads;  /* at least 1 */
    uint32_t held_max; /* at most so many vectors calibrate it; 0: CF_ANN_HELD_MAX. Fewer make a
                          short build shorter, and searches take more for the same recall */
    /* May be NULL: a verified index of vectors of the same kind, open until the build ends. Where it has a
     * projection for as many dimensions, in the same scale, and no vector of the sample is far from its mean,
     * that and its steps are taken instead of being learned, which is most of the work for few vectors. The
     * file depends on it then as it does on the seed. */
    const struct cf_ann *like;
    struct cf_bytes attachment; /* anything of the caller's, stored in the file as it is */
};

/* Either every item has an id, or none has (length 0): its number in the source then is its only name. */
struct cf_ann_item {
    struct cf_bytes id, tag;
    const float *vector;
};

/* Where vectors come from: `rewind` starts over, `next` fills an item (borrowed until the next call) and
 * returns CF_OK, or CF_E_NOT_FOUND at the end. A build may pass over the source more than once and must see
 * the same items in the same order; ids are distinct. */
struct cf_ann_source {
    enum cf_err (*rewind)(void *arg, struct cf_detail *detail);
    enum cf_err (*next)(void *arg, struct cf_ann_item *item, struct cf_detail *detail);
    void *arg;
};

struct cf_ann_info {
    uint32_t dim, tag_bytes;
    enum cf_ann_metric metric;
    bool has_ids;
    uint64_t count, leaf_count, file_bytes, seed;
    uint64_t build_ms; /* what the build took; 0 for a copy that lost the attribute (image.h) */
};

/* Builds and publishes `path`. CF_E_BAD_VECTOR for a value that is not finite, CF_E_INVALID for a repeated id
 * or bad parameters, CF_E_DISK_FULL, CF_E_NO_MEMORY; on failure nothing is left behind. An empty source makes
 * a valid, empty index. `cancel` (may be NULL) is polled: true ends the build with CF_E_SHUTTING_DOWN. */
enum cf_err cf_ann_build(const char *path, const struct cf_ann_params *params,
                         const struct cf_ann_source *source, bool (*cancel)(void *arg), void *cancel_arg,
                         struct cf_detail *detail) CF_MUST_CHECK;

/* Maps the file read-only. CF_E_CORRUPT (not ours, damaged), CF_E_BAD_VERSION, CF_E_NOT_FOUND; the sentence
 * names the file. */
enum cf_err cf_ann_open(const char *path, struct cf_ann **ann, struct cf_detail *detail) CF_MUST_CHECK;
void cf_ann_free(struct cf_ann *ann); /* takes NULL */
/* The whole body against its checksums and its own structure. */
enum cf_err cf_ann_verify(const struct cf_ann *ann, struct cf_detail *detail) CF_MUST_CHECK;

struct cf_ann_info cf_ann_info(const struct cf_ann *ann);
struct cf_bytes cf_ann_attachment(const struct cf_ann *ann);

/* Items by number, 0 … count-1, in the order of the source. Borrowed while the index is open. */
struct cf_bytes cf_ann_id(const struct cf_ann *ann, uint64_t item); /* empty without ids */
struct cf_bytes cf_ann_tag(const struct cf_ann *ann, uint64_t item);
/* The vector as the file keeps it, in eight or sixteen bits a dimension: dim floats into `out`. Returns how
 * far it may be from the one that was given (of a cosine index: from that one at unit length). */
float cf_ann_vector(const struct cf_ann *ann, uint64_t item, float *out);
/* The number of an id, or CF_ANN_NONE. */
int64_t cf_ann_find(const struct cf_ann *ann, struct cf_bytes id);

struct cf_ann_hit {
    uint64_t item;
    float distance; /* not squared; FLT_MAX when it is larger than that. To the vector as the file keeps it,
                       except where `full` gave the vector itself */
};

/* Scratch of one thread, for any index. */
struct cf_ann_searcher;
struct cf_ann_searcher *cf_ann_searcher_new(void);           /* NULL when memory is short */
void cf_ann_searcher_free(struct cf_ann_searcher *searcher); /* takes NULL */

/* The vector of an item as it was given to the build: dim floats into `out`. */
typedef enum cf_err cf_ann_full(void *arg, uint64_t item, float *out, struct cf_detail *detail);

struct cf_ann_query {
    const float *vector; /* dim finite floats */
    uint32_t k;          /* at least 1 */
    float radius;        /* above 0: only what is within this distance */
    /* Wanted, 0 to 1. Vectors in eight bits, of more than 128 dimensions, lose a little of the order (of ten
     * neighbours among pictures about four in a thousand): more recall than they give, .999 say, is answered
     * by measuring all of them. A query that is a little farther from everything than all that was measured
     * when the index was built is searched for several times as widely, without its recall having been
     * measured; one that is much farther by measuring all. What must be certain is asked for by `exact` and
     * `full`. */
    double recall;
    /* Everything is measured, under a bound that proves what cannot be among the nearest; what remains is
     * ranked by `full`. Without `full` (NULL), by the vectors as the file keeps them. */
    bool exact;
    cf_ann_full *full;
    void *full_arg;
    /* Items for which this returns false are passed over (may be NULL). Asked rarely: for candidates only. */
    bool (*keep)(void *arg, uint64_t item);
    void *keep_arg;
};

/* The nearest items, by distance then by number, into hits[k]; `*count` of them. `*exact` tells whether the
 * answer is certain: every vector was measured, and ranked by `full`. CF_E_BAD_VECTOR, CF_E_BAD_K,
 * CF_E_INVALID (recall, radius), CF_E_NO_MEMORY, or what `full` failed with. Threads: any number, a searcher
 * each. */
enum cf_err cf_ann_search(const struct cf_ann *ann, struct cf_ann_searcher *searcher,
                          const struct cf_ann_query *query, struct cf_ann_hit *hits, size_t *count,
                          bool *exact, struct cf_detail *detail) CF_MUST_CHECK;

/* The same for `count` vectors, one after the other in memory, shared among threads: the hits of query i
 * begin at hits[i * common->k], counts[i] of them. `common` says the rest (its vector is not looked at); its
 * callbacks must allow several threads. `*exact`: all of them are. */
enum cf_err cf_ann_search_batch(const struct cf_ann *ann, const struct cf_ann_query *common,
                                const float *vectors, size_t count, unsigned threads, struct cf_ann_hit *hits,
                                size_t *counts, bool *exact, struct cf_detail *detail) CF_MUST_CHECK;

/* ---- rows: vectors in eight bits outside of any index, for what is too new to be in one ---- */

/* Of a row for `dim` values; a multiple of 64, and rows are aligned to 64. */
size_t cf_ann_row_bytes(uint32_t dim);
/* CF_E_BAD_VECTOR for what is not finite or beyond 2^40. Cosine: normalize first (cf_ann_normalize). */
enum cf_err cf_ann_row_encode(const float *vector, uint32_t dim, void *row,
                              struct cf_detail *detail) CF_MUST_CHECK;
/* Returns how far it may be from what was encoded. */
float cf_ann_row_decode(const void *row, uint32_t dim, float *out);
/* Distances (not squared) from `query` (dim floats) to `count` rows, and, where `slack` is not NULL, how far
 * each may be from the distance to the vector that was encoded. The same at every SIMD level. CF_E_NO_MEMORY,
 * CF_E_BAD_VECTOR for a query that is not finite. */
enum cf_err cf_ann_rows_measure(struct cf_ann_searcher *searcher, const float *query, uint32_t dim,
                                const void *rows, size_t count, float *distances, float *slack,
                                struct cf_detail *detail) CF_MUST_CHECK;

/* To unit length; a vector without direction becomes zero. In place. */
void cf_ann_normalize(float *vector, uint32_t dim);

/* Squared Euclidean distances from `query` to `count` rows of `dim` floats, by the SIMD level in force;
 * relative error at most (dim + 2) * 2^-23. For scans of a tail; the same bits at every level. */
void cf_ann_distances(const float *query, const float *rows, size_t count, uint32_t dim, float *out);

#endif
