#include "tests/bench/ann/vecs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/ann/ann.h"
#include "common/vecfile/vecfile.h"

void bench_give_up(const char *sentence)
{
    fprintf(stderr, "ann bench: %s\n", sentence);
    exit(1);
}

void bench_must(enum cf_err err, const struct cf_detail *detail)
{
    if (err)
        bench_give_up(detail->text);
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

static enum cf_err read_rows(const char *path, enum cf_vecfile_element element, size_t count_max,
                             uint32_t *dim, size_t *count, void **values, struct cf_detail *detail)
{
    struct cf_vecfile *file = NULL;
    enum cf_err err = cf_vecfile_open(path, element, &file, detail);
    if (err)
        return err;
    size_t rows = cf_vecfile_count(file) < count_max ? (size_t)cf_vecfile_count(file) : count_max;
    void *out = bench_alloc(rows * cf_vecfile_dim(file), 4);
    err = cf_vecfile_read(file, 0, rows, out, detail);
    if (err) {
        free(out);
    } else {
        *dim = cf_vecfile_dim(file);
        *count = rows;
        *values = out;
    }
    cf_vecfile_free(file);
    return err;
}

enum cf_err bench_floats_read(const char *path, size_t count_max, struct bench_floats *floats,
                              struct cf_detail *detail)
{
    void *values = NULL;
    enum cf_err err =
        read_rows(path, CF_VECFILE_FLOATS, count_max, &floats->dim, &floats->count, &values, detail);
    if (!err)
        floats->values = values;
    return err;
}

enum cf_err bench_ints_read(const char *path, size_t count_max, struct bench_ints *ints,
                            struct cf_detail *detail)
{
    void *values = NULL;
    enum cf_err err = read_rows(path, CF_VECFILE_INTS, count_max, &ints->dim, &ints->count, &values, detail);
    if (!err)
        ints->values = values;
    return err;
}

static enum cf_err write_rows(const char *path, enum cf_vecfile_element element, const void *values,
                              size_t count, uint32_t dim, struct cf_detail *detail)
{
    struct cf_vecwriter *writer = NULL;
    enum cf_err err = cf_vecwriter_new(path, element, dim, &writer, detail);
    if (!err)
        err = cf_vecwriter_append(writer, values, count, detail);
    if (!err)
        err = cf_vecwriter_finish(writer, detail);
    cf_vecwriter_free(writer);
    return err;
}

enum cf_err bench_floats_write(const char *path, const struct bench_floats *floats, struct cf_detail *detail)
{
    return write_rows(path, CF_VECFILE_FLOATS, floats->values, floats->count, floats->dim, detail);
}

enum cf_err bench_ints_write(const char *path, const struct bench_ints *ints, struct cf_detail *detail)
{
    return write_rows(path, CF_VECFILE_INTS, ints->values, ints->count, ints->dim, detail);
}

enum cf_err bench_floats_put(int fd, size_t at, const float *values, uint32_t dim, struct cf_detail *detail)
{
    uint32_t row[1 + CF_ANN_DIM_MAX];
    size_t bytes = 4 * ((size_t)dim + 1);
    CF_CHECK(dim <= CF_ANN_DIM_MAX);
    row[0] = dim;
    memcpy(row + 1, values, bytes - 4);
    ssize_t done = pwrite(fd, row, bytes, (off_t)(at * bytes));
    if (done >= 0 && (size_t)done < bytes)
        errno = ENOSPC;
    return done == (ssize_t)bytes ? CF_OK : cf_fail_errno(detail, "the file of vectors");
}
