/* Approximate nearest neighbours: an immutable index file, built once, mapped by any number of processes.
 *
 * Trees over vectors: partitions with contiguous leaves, compact codes scanned with SIMD, survivors ranked on
 * fuller precision and at last on the vectors themselves, so that the distances of an answer are exact. A
 * query asks for a recall, and the index's own calibration (measured at build time on vectors of its own)
 * says how much work that takes. Everything is deterministic by seed, whatever the number of threads and the
 * SIMD level. An item is an id (1 to 255 bytes), an opaque tag of fixed size for the caller, and dim finite
 * floats. Euclidean distances. A stranger can use this without the fleet.
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

struct cf_ann_params {
    uint32_t dim;       /* 1 to CF_ANN_DIM_MAX */
    uint32_t tag_bytes; /* 0 to CF_ANN_TAG_BYTES_MAX */
    uint64_t seed;
    unsigned threads;           /* at least 1 */
    struct cf_bytes attachment; /* anything of the caller's, stored in the file as it is */
};

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
    uint64_t count, leaf_count, file_bytes, seed;
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

/* Items by position 0 … count-1 (the order of the file, not of the source). Borrowed while the index is open.
 */
struct cf_bytes cf_ann_id(const struct cf_ann *ann, uint64_t item);
struct cf_bytes cf_ann_tag(const struct cf_ann *ann, uint64_t item);
void cf_ann_vector(const struct cf_ann *ann, uint64_t item, float *out); /* copies dim floats; item < count */
/* The position of an id, or CF_ANN_NONE. */
int64_t cf_ann_find(const struct cf_ann *ann, struct cf_bytes id);

struct cf_ann_hit {
    uint64_t item;
    float distance; /* Euclidean, not squared; FLT_MAX when it is larger than that */
};

/* Scratch of one thread, for any index. */
struct cf_ann_searcher;
struct cf_ann_searcher *cf_ann_searcher_new(void);           /* NULL when memory is short */
void cf_ann_searcher_free(struct cf_ann_searcher *searcher); /* takes NULL */

struct cf_ann_query {
    const float *vector; /* dim finite floats */
    uint32_t k;          /* at least 1 */
    double recall;       /* wanted, 0 to 1; 1 is exact */
    bool exact;
    /* Items for which this returns false are passed over (may be NULL). Asked rarely: for candidates only. */
    bool (*keep)(void *arg, uint64_t item);
    void *keep_arg;
};

/* The nearest items, by distance then by id, into hits[k]; `*count` of them. `*exact` tells whether every
 * vector was measured, so that the answer is certain: because it was asked for, or because nothing less
 * reaches the recall. CF_E_BAD_VECTOR, CF_E_BAD_K, CF_E_INVALID (recall), CF_E_NO_MEMORY. Threads: any
 * number, a searcher each. */
enum cf_err cf_ann_search(const struct cf_ann *ann, struct cf_ann_searcher *searcher,
                          const struct cf_ann_query *query, struct cf_ann_hit *hits, size_t *count,
                          bool *exact, struct cf_detail *detail) CF_MUST_CHECK;

/* Squared Euclidean distances from `query` to `count` rows of `dim` floats, by the SIMD level in force;
 * relative error at most (dim + 2) * 2^-23. For scans of a tail; the same bits at every level. */
void cf_ann_distances(const float *query, const float *rows, size_t count, uint32_t dim, float *out);

#endif
