#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/vecfile/npy.h"
#include "common/vecfile/vecfile.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "elements are taken as they lie in the file, which is little-endian"
#endif

enum { MARK_BYTES = 4, CHUNK_BYTES = 8 * CF_VECFILE_DIM_MAX + MARK_BYTES };

struct cf_vecfile {
    int fd;
    char *path;
    enum cf_vecfile_kind kind;
    enum cf_npy_type type;
    uint64_t count;
    uint32_t dim;
    size_t begin;     /* of the first row in the file */
    size_t row_bytes; /* with its mark */
};

/* ---- names ---- */

static const char *const endings[] = {
    [CF_VECFILE_FVECS] = ".fvecs",
    [CF_VECFILE_IVECS] = ".ivecs",
    [CF_VECFILE_NPY] = ".npy",
};
enum { KIND_COUNT = sizeof endings / sizeof endings[0] };

enum cf_err cf_vecfile_kind_of(const char *path, enum cf_vecfile_element element, enum cf_vecfile_kind *kind,
                               struct cf_detail *detail)
{
    size_t len = strlen(path);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        size_t ending = strlen(endings[i]);
        if (len > ending && strcasecmp(path + len - ending, endings[i]) == 0) {
            *kind = (enum cf_vecfile_kind)i;
            return CF_OK;
        }
    }
    return cf_fail(detail, CF_E_INVALID, "%.200s: its name must end in %s or .npy", path,
                   endings[element == CF_VECFILE_INTS ? CF_VECFILE_IVECS : CF_VECFILE_FVECS]);
}

/* ---- opening ---- */

static enum cf_err pread_all(int fd, const char *path, void *data, size_t size, uint64_t offset,
                             struct cf_detail *detail)
{
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cf_fail_errno(detail, path);
        if (got == 0)
            return cf_fail(detail, CF_E_INVALID, "%.200s is truncated: it ends at byte %llu", path,
                           (unsigned long long)offset);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return CF_OK;
}

static enum cf_err open_regular(struct cf_vecfile *file, uint64_t *bytes, struct cf_detail *detail)
{
    struct stat status;
    /* Opening a pipe that nobody writes to would wait for ever. */
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file->fd < 0 || fstat(file->fd, &status) != 0)
        return cf_fail_errno(detail, file->path);
    if (!S_ISREG(status.st_mode))
        return cf_fail(detail, CF_E_INVALID, "%.200s: not a regular file", file->path);
    *bytes = (uint64_t)status.st_size;
    return CF_OK;
}

static enum cf_err check_dim(const struct cf_vecfile *file, uint64_t dim, struct cf_detail *detail)
{
    if (dim >= 1 && dim <= CF_VECFILE_DIM_MAX)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID, "%.200s: a dimension of %lld: it must be 1 to %d", file->path,
                   (long long)dim, CF_VECFILE_DIM_MAX);
}

static enum cf_err measure(struct cf_vecfile *file, uint64_t bytes, struct cf_detail *detail)
{
    uint64_t rest = (bytes - file->begin) % file->row_bytes;
    file->count = (bytes - file->begin) / file->row_bytes;
    if (rest == 0)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID,
                   "%.200s is truncated, or its rows differ in dimension: behind %llu rows of dimension %u "
                   "there are %llu bytes",
                   file->path, (unsigned long long)file->count, file->dim, (unsigned long long)rest);
}

static enum cf_err open_vecs(struct cf_vecfile *file, uint64_t bytes, struct cf_detail *detail)
{
    int32_t dim;
    file->type = file->kind == CF_VECFILE_FVECS ? CF_NPY_F4 : CF_NPY_I4;
    if (bytes == 0)
        return CF_OK;
    enum cf_err err = pread_all(file->fd, file->path, &dim, sizeof dim, 0, detail);
    if (!err)
        err = check_dim(file, (uint64_t)(int64_t)dim, detail);
    if (err)
        return err;
    file->dim = (uint32_t)dim;
    file->row_bytes = MARK_BYTES + 4 * (size_t)dim;
    return measure(file, bytes, detail);
}

/* The sentence of the parser does not name the file. */
static enum cf_err say_file(const struct cf_vecfile *file, enum cf_err err, const struct cf_detail *why,
                            struct cf_detail *detail)
{
    return cf_fail(detail, err, "%.120s: %.180s", file->path, why->text);
}

static enum cf_err parse_npy(struct cf_vecfile *file, uint64_t bytes, struct cf_npy *npy,
                             struct cf_detail *detail)
{
    struct cf_detail why = {""};
    uint8_t begin[CF_NPY_PREFIX_BYTES] = {0};
    size_t first = bytes < sizeof begin ? (size_t)bytes : sizeof begin;
    enum cf_err err = pread_all(file->fd, file->path, begin, first, 0, detail);
    if (err)
        return err;
    err = cf_npy_header_bytes((struct cf_bytes){begin, first}, &file->begin, &why);
    if (err)
        return say_file(file, err, &why, detail);
    uint8_t *header = malloc(file->begin);
    if (!header)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: out of memory", file->path);
    err = pread_all(file->fd, file->path, header, file->begin, 0, detail);
    if (!err) {
        err = cf_npy_parse((struct cf_bytes){header, file->begin}, npy, &why);
        if (err)
            say_file(file, err, &why, detail);
    }
    free(header);
    return err;
}

static enum cf_err open_npy(struct cf_vecfile *file, uint64_t bytes, struct cf_detail *detail)
{
    struct cf_npy npy;
    enum cf_err err = parse_npy(file, bytes, &npy, detail);
    if (!err)
        err = check_dim(file, npy.columns, detail);
    if (err)
        return err;
    file->type = npy.type;
    file->dim = (uint32_t)npy.columns;
    file->row_bytes = file->dim * cf_npy_element_bytes(npy.type);
    err = measure(file, bytes, detail);
    if (!err && file->count != npy.rows)
        err = cf_fail(detail, CF_E_INVALID,
                      "%.200s is truncated or too long: its header says %llu rows, it holds %llu", file->path,
                      (unsigned long long)npy.rows, (unsigned long long)file->count);
    return err;
}

static enum cf_err check_element(const struct cf_vecfile *file, enum cf_vecfile_element element,
                                 struct cf_detail *detail)
{
    bool ints = file->type == CF_NPY_I4;
    if (ints == (element == CF_VECFILE_INTS))
        return CF_OK;
    return cf_fail(detail, CF_E_UNSUPPORTED, "%.200s holds %s: %s are needed here", file->path,
                   ints ? "whole numbers (int32)" : "floating-point numbers", ints ? "vectors" : "numbers");
}

enum cf_err cf_vecfile_open(const char *path, enum cf_vecfile_element element, struct cf_vecfile **file,
                            struct cf_detail *detail)
{
    uint64_t bytes = 0;
    struct cf_vecfile *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    made->fd = -1;
    made->path = strdup(path);
    enum cf_err err = made->path ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!err)
        err = cf_vecfile_kind_of(path, element, &made->kind, detail);
    if (!err)
        err = open_regular(made, &bytes, detail);
    if (!err)
        err = made->kind == CF_VECFILE_NPY ? open_npy(made, bytes, detail) : open_vecs(made, bytes, detail);
    if (!err)
        err = check_element(made, element, detail);
    if (err) {
        cf_vecfile_free(made);
        return err;
    }
    *file = made;
    return CF_OK;
}

void cf_vecfile_free(struct cf_vecfile *file)
{
    if (!file)
        return;
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    free(file);
}

uint64_t cf_vecfile_count(const struct cf_vecfile *file)
{
    return file->count;
}

uint32_t cf_vecfile_dim(const struct cf_vecfile *file)
{
    return file->dim;
}

const char *cf_vecfile_path(const struct cf_vecfile *file)
{
    return file->path;
}

/* ---- rows ---- */

/* IEEE 754 binary16, exactly. */
static float from_half(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    float size = exponent == 31  ? (fraction ? NAN : INFINITY)
                 : exponent == 0 ? ldexpf((float)fraction, -24)
                                 : ldexpf((float)(fraction + 1024), exponent - 25);
    return half & 0x8000 ? -size : size;
}

/* `from` is not aligned. */
static void convert(enum cf_npy_type type, const uint8_t *from, float *out, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) {
        if (type == CF_NPY_F8) {
            double value;
            memcpy(&value, from + 8 * (size_t)i, sizeof value);
            out[i] = (float)value; /* beyond float32: infinite, and refused below */
        } else {
            uint16_t half;
            memcpy(&half, from + 2 * (size_t)i, sizeof half);
            out[i] = from_half(half);
        }
    }
}

/* The position of the first value that is not finite; dim when all are. */
static uint32_t find_infinite(const float *row, uint32_t dim)
{
    uint32_t infinite = 0;
    for (uint32_t i = 0; i < dim; i++) {
        uint32_t bits;
        memcpy(&bits, row + i, sizeof bits);
        infinite |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    if (!infinite)
        return dim;
    uint32_t i = 0;
    while (i < dim && isfinite(row[i]))
        i++;
    return i;
}

static enum cf_err take_row(const struct cf_vecfile *file, const uint8_t *from, uint64_t number, void *out,
                            struct cf_detail *detail)
{
    size_t width = cf_npy_element_bytes(file->type);
    if (file->kind != CF_VECFILE_NPY) {
        int32_t dim;
        memcpy(&dim, from, sizeof dim);
        if (dim != (int32_t)file->dim)
            return cf_fail(detail, CF_E_INVALID, "%.200s: row %llu has dimension %d, the rows before it %u",
                           file->path, (unsigned long long)number, dim, file->dim);
        from += MARK_BYTES;
    }
    if (width == 4)
        memcpy(out, from, width * file->dim);
    else
        convert(file->type, from, out, file->dim);
    if (file->type == CF_NPY_I4)
        return CF_OK;
    uint32_t bad = find_infinite(out, file->dim);
    if (bad == file->dim)
        return CF_OK;
    return cf_fail(detail, CF_E_BAD_VECTOR, "%.200s: row %llu: its value %u is not a finite float32",
                   file->path, (unsigned long long)number, bad);
}

enum cf_err cf_vecfile_read(const struct cf_vecfile *file, uint64_t first, size_t count, void *out,
                            struct cf_detail *detail)
{
    uint8_t chunk[CHUNK_BYTES], *to = out;
    CF_CHECK(first <= file->count && count <= file->count - first);
    for (size_t step; count > 0; first += step, count -= step) {
        size_t fit = sizeof chunk / file->row_bytes;
        step = fit < count ? fit : count;
        enum cf_err err = pread_all(file->fd, file->path, chunk, step * file->row_bytes,
                                    file->begin + first * file->row_bytes, detail);
        for (size_t i = 0; i < step && !err; i++, to += 4 * (size_t)file->dim)
            err = take_row(file, chunk + i * file->row_bytes, first + i, to, detail);
        if (err)
            return err;
    }
    return CF_OK;
}

void cf_vecfile_sum_row(struct cf_vecfile_sum *sum, const float *row, uint32_t dim)
{
    uint64_t both[2] = {sum->hash, cf_xxh3((struct cf_bytes){(const uint8_t *)row, dim * sizeof *row})};
    sum->hash = cf_xxh3((struct cf_bytes){(const uint8_t *)both, sizeof both});
}
