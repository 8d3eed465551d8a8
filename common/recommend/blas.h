/* The dense arithmetic that the models need, by BLAS and LAPACK; one thread a call, since the models have
 * threads of their own. Matrices are row after row; of symmetric ones only the upper triangle counts. Any
 * thread. */
#ifndef CF_RECOMMEND_BLAS_H
#define CF_RECOMMEND_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* gram[width][width] += rowsᵀ rows */
void cf_blas_gram(const double *rows, size_t count, size_t width, double *gram);
/* out[m][n] += a[m][k] b[k][n] */
void cf_blas_multiply(const double *a, const double *b, size_t m, size_t n, size_t k, double *out);
/* out[k][n] += a[m][k]ᵀ b[m][n] */
void cf_blas_multiply_turned(const double *a, const double *b, size_t m, size_t n, size_t k, double *out);
/* The same with single precision. out[m][n] = a[m][k] b[n][k]ᵀ */
void cf_blas_scores(const float *a, const float *b, size_t m, size_t n, size_t k, float *out);
/* out[m][n] = a[m][k] b[k][n] */
void cf_blas_mix(const float *a, const float *b, size_t m, size_t n, size_t k, float *out);
/* out[k][n] += a[m][k]ᵀ b[m][n]; the rows of a are `a_stride` apart */
void cf_blas_add_turned(const float *a, size_t a_stride, const float *b, size_t m, size_t n, size_t k,
                        float *out);
/* Solves a x = b in place for `count` right-hand sides (rows of b[count][width]) by Cholesky; `a` is
 * destroyed. False when `a` is not positive definite. */
bool cf_blas_solve(double *a, size_t width, double *b, size_t count);
/* Eigenvalues, ascending, and vectors (row i of `a` afterwards) of a symmetric matrix. False when LAPACK
 * gives up. */
bool cf_blas_eigen(double *a, size_t width, double *values);

#endif
