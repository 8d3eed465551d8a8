/* Pictures from folders (with what lies below them) and tar files, each distinct content once. */
#ifndef CF_BENCH_ANN_PICTURES_H
#define CF_BENCH_ANN_PICTURES_H

#include "common/base/err.h"
#include "common/base/hash.h"
#include "common/base/span.h"

struct bench_picture {
    struct cf_bytes file; /* owned by the list */
    uint8_t digest[CF_SHA256_BYTES];
};

struct bench_pictures {
    struct bench_picture *items;
    size_t count, capacity;
    void **blocks; /* what the bytes lie in */
    size_t block_count;
};

/* Adds every regular file of `path`, a folder or a tar file (ustar, with GNU long names and pax headers
 * passed over). Hidden files are left out. CF_E_NOT_FOUND, CF_E_IO, CF_E_CORRUPT for a damaged archive. */
enum cf_err bench_pictures_add(struct bench_pictures *pictures, const char *path,
                               struct cf_detail *detail) CF_MUST_CHECK;

/* Each file of an archive in memory, in its order; stops at the first failure of `visit`. `name` is for
 * sentences. */
enum cf_err bench_tar_walk(struct cf_bytes tar, const char *name,
                           enum cf_err (*visit)(void *arg, struct cf_bytes file, struct cf_detail *detail),
                           void *arg, struct cf_detail *detail) CF_MUST_CHECK;

/* Drops repeated contents and puts the rest into an order that depends on the contents and the seed only. */
void bench_pictures_settle(struct bench_pictures *pictures, uint64_t seed);
void bench_pictures_fini(struct bench_pictures *pictures);

#endif
