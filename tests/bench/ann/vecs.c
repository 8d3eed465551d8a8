#include "tests/bench/ann/vecs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ann/ann.h"

_Static_assert(sizeof(float) == 4 && sizeof(int32_t) == 4, "fvecs and ivecs hold 32-bit values");

void bench_give_up(const char *sentence)
{
    fprintf(stderr, "ann bench: %s\n", sentence);
    exit(1);
}

void *bench_alloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        bench_give_up("out of memory: try a smaller --count");
    return memory;
}

struct bench_floats bench_floats_new(size_t count, uint32_t dim)
{
    return (struct bench_floats){dim, count, bench_alloc(count * dim, sizeof(float))};
}

struct bench_ints bench_ints_new(size_t count, uint32_t dim)
{
    return (struct bench_ints){dim, count, bench_alloc(count * dim, sizeof(int32_t))};
}

void bench_floats_fini(struct bench_floats *floats)
{
    free(floats->values);
    *floats = (struct bench_floats){0};
}

void bench_ints_fini(struct bench_ints *ints)
{
    free(ints->values);
    *ints = (struct bench_ints){0};
}

/* The length of the first vector, and how many of that length the file holds. */
static enum cf_err measure(FILE *file, const char *path, uint32_t *dim, size_t *count,
                           struct cf_detail *detail)
{
    if (fread(dim, sizeof *dim, 1, file) != 1)
        return cf_fail(detail, CF_E_INVALID, "%.200s: no vector in it", path);
    if (*dim < 1 || *dim > CF_ANN_DIM_MAX)
        return cf_fail(detail, CF_E_CORRUPT,
                       "%.200s: a vector of %u values: it is not an fvecs or ivecs file", path, *dim);
    if (fseeko(file, 0, SEEK_END))
        return cf_fail_errno(detail, path);
    size_t bytes = (size_t)ftello(file), stride = 4 * ((size_t)*dim + 1);
    rewind(file);
    if (bytes % stride != 0)
        return cf_fail(detail, CF_E_CORRUPT, "%.200s: %zu bytes are no whole number of vectors of %u", path,
                       bytes, *dim);
    *count = bytes / stride;
    return CF_OK;
}

static enum cf_err fill(FILE *file, const char *path, uint32_t dim, size_t count, void *values,
                        struct cf_detail *detail)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t own = 0;
        if (fread(&own, sizeof own, 1, file) != 1 || own != dim ||
            fread((char *)values + i * dim * 4, 4, dim, file) != dim)
            return cf_fail(detail, CF_E_CORRUPT, "%.200s: vector %zu is not of %u values", path, i, dim);
    }
    return CF_OK;
}

static enum cf_err read_file(const char *path, size_t count_max, uint32_t *dim, size_t *count, void **values,
                             struct cf_detail *detail)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return cf_fail_errno(detail, path);
    enum cf_err err = measure(file, path, dim, count, detail);
    if (!err) {
        *count = *count < count_max ? *count : count_max;
        *values = bench_alloc(*count * *dim, 4);
        err = fill(file, path, *dim, *count, *values, detail);
        if (err)
            free(*values);
    }
    fclose(file);
    return err;
}

enum cf_err bench_floats_read(const char *path, size_t count_max, struct bench_floats *floats,
                              struct cf_detail *detail)
{
    struct bench_floats read = {0};
    void *values = NULL;
    enum cf_err err = read_file(path, count_max, &read.dim, &read.count, &values, detail);
    if (err)
        return err;
    read.values = values;
    *floats = read;
    return CF_OK;
}

enum cf_err bench_ints_read(const char *path, size_t count_max, struct bench_ints *ints,
                            struct cf_detail *detail)
{
    struct bench_ints read = {0};
    void *values = NULL;
    enum cf_err err = read_file(path, count_max, &read.dim, &read.count, &values, detail);
    if (err)
        return err;
    read.values = values;
    *ints = read;
    return CF_OK;
}

static enum cf_err write_file(const char *path, const void *values, size_t count, uint32_t dim,
                              struct cf_detail *detail)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return cf_fail_errno(detail, path);
    bool written = true;
    for (size_t i = 0; written && i < count; i++)
        written = fwrite(&dim, sizeof dim, 1, file) == 1 &&
                  fwrite((const char *)values + i * dim * 4, 4, dim, file) == dim;
    if (fclose(file) || !written)
        return cf_fail_errno(detail, path);
    return CF_OK;
}

enum cf_err bench_floats_write(const char *path, const struct bench_floats *floats, struct cf_detail *detail)
{
    return write_file(path, floats->values, floats->count, floats->dim, detail);
}

enum cf_err bench_ints_write(const char *path, const struct bench_ints *ints, struct cf_detail *detail)
{
    return write_file(path, ints->values, ints->count, ints->dim, detail);
}

enum cf_err bench_floats_put(int fd, size_t at, const float *values, uint32_t dim, struct cf_detail *detail)
{
    uint32_t row[1 + CF_ANN_DIM_MAX];
    size_t bytes = 4 * ((size_t)dim + 1);
    row[0] = dim;
    memcpy(row + 1, values, bytes - 4);
    ssize_t done = pwrite(fd, row, bytes, (off_t)(at * bytes));
    if (done >= 0 && (size_t)done < bytes)
        errno = ENOSPC;
    return done == (ssize_t)bytes ? CF_OK : cf_fail_errno(detail, "the file of vectors");
}
