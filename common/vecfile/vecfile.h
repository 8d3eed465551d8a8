/* Files of vectors that other tools read and write, row by row, never a whole one in memory:
 *
 *   .fvecs  each row: its dimension as int32, then so many float32; all little-endian (TEXMEX)
 *   .ivecs  the same with int32: neighbours by number
 *   .npy    NumPy's, versions 1 to 3, a two-dimensional array in C order, a vector a row: float32 (read and
 *           written), float64 and float16 (converted when read), int32; all little-endian
 *
 * The kind is told by the end of the name. Everything is checked: sizes at opening, the dimension and the
 * finiteness of each row when it is read. Rows are numbered from 0. */
#ifndef CF_VECFILE_VECFILE_H
#define CF_VECFILE_VECFILE_H

#include "common/base/err.h"
#include "common/base/span.h"

enum { CF_VECFILE_DIM_MAX = 16384 };

enum cf_vecfile_kind { CF_VECFILE_FVECS, CF_VECFILE_IVECS, CF_VECFILE_NPY };
enum cf_vecfile_element { CF_VECFILE_FLOATS, CF_VECFILE_INTS };

/* CF_E_INVALID for a name that ends otherwise: the sentence says how those with such elements may end. */
enum cf_err cf_vecfile_kind_of(const char *path, enum cf_vecfile_element element, enum cf_vecfile_kind *kind,
                               struct cf_detail *detail) CF_MUST_CHECK;

/* ---- reading ---- */

struct cf_vecfile;

/* CF_E_NOT_FOUND, CF_E_IO; CF_E_INVALID (no regular file, truncated, a dimension of 0 or over
 * CF_VECFILE_DIM_MAX, a header that is none, not two-dimensional), CF_E_UNSUPPORTED (other elements than
 * `element`, Fortran order; the sentence says what they are). */
enum cf_err cf_vecfile_open(const char *path, enum cf_vecfile_element element, struct cf_vecfile **file,
                            struct cf_detail *detail) CF_MUST_CHECK;
void cf_vecfile_free(struct cf_vecfile *file); /* takes NULL */

uint64_t cf_vecfile_count(const struct cf_vecfile *file); /* rows */
uint32_t cf_vecfile_dim(const struct cf_vecfile *file);   /* 0 only of an .fvecs or .ivecs without rows */
const char *cf_vecfile_path(const struct cf_vecfile *file);

/* `count` rows from `first` on, all within the file, into `out`: count * dim floats or int32. CF_E_INVALID
 * for a row of another dimension or a file that has shrunk, CF_E_BAD_VECTOR for a value that is not finite as
 * float32; the sentence names file and row. CF_E_IO. Any number of threads. */
enum cf_err cf_vecfile_read(const struct cf_vecfile *file, uint64_t first, size_t count, void *out,
                            struct cf_detail *detail) CF_MUST_CHECK;

/* All rows one after the other, read in blocks. One owner; borrows the file. */
struct cf_vecstream;
struct cf_vecstream *cf_vecstream_new(const struct cf_vecfile *file); /* NULL when memory is short */
void cf_vecstream_free(struct cf_vecstream *stream);                  /* takes NULL */
void cf_vecstream_rewind(struct cf_vecstream *stream);
/* The next row (dim floats or int32), borrowed until the next call; NULL at the end. Errors of
 * cf_vecfile_read. */
enum cf_err cf_vecstream_next(struct cf_vecstream *stream, const void **row,
                              struct cf_detail *detail) CF_MUST_CHECK;

/* XXH3 over the rows as float32, whatever the file's kind: a vector file by another name or in another format
 * has the same. Taken in as the rows go by, from {0} on. */
struct cf_vecfile_sum {
    uint64_t hash;
};
void cf_vecfile_sum_row(struct cf_vecfile_sum *sum, const float *row, uint32_t dim);

/* ---- writing ---- */

struct cf_vecwriter;

/* The file appears when it is finished (common/vecfile/fresh.h). `dim` 1 to CF_VECFILE_DIM_MAX. CF_E_INVALID
 * also when files of that kind do not hold such elements. */
enum cf_err cf_vecwriter_new(const char *path, enum cf_vecfile_element element, uint32_t dim,
                             struct cf_vecwriter **writer, struct cf_detail *detail) CF_MUST_CHECK;
/* Without cf_vecwriter_finish nothing stays. Takes NULL. */
void cf_vecwriter_free(struct cf_vecwriter *writer);
/* `count` rows of dim floats or int32. CF_E_DISK_FULL, CF_E_IO. */
enum cf_err cf_vecwriter_append(struct cf_vecwriter *writer, const void *rows, size_t count,
                                struct cf_detail *detail) CF_MUST_CHECK;
/* As cf_fresh_sync, when all rows are there. */
enum cf_err cf_vecwriter_sync(struct cf_vecwriter *writer, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_vecwriter_finish(struct cf_vecwriter *writer, struct cf_detail *detail) CF_MUST_CHECK;

#endif
