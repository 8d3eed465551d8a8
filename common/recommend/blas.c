#include "common/recommend/blas.h"

#include <cblas.h>
#include <lapacke.h>
#include <pthread.h>

static void one_thread(void)
{
    openblas_set_num_threads(1);
}

static void begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, one_thread);
}

void cf_blas_gram(const double *rows, size_t count, size_t width, double *gram)
{
    begin();
    if (count)
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)width, (int)count, 1, rows, (int)width, 1,
                    gram, (int)width);
}

void cf_blas_multiply(const double *a, const double *b, size_t m, size_t n, size_t k, double *out)
{
    begin();
    if (m && n && k)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)k, b,
                    (int)n, 1, out, (int)n);
}

void cf_blas_multiply_turned(const double *a, const double *b, size_t m, size_t n, size_t k, double *out)
{
    begin();
    if (m && n && k)
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)k, (int)n, (int)m, 1, a, (int)k, b, (int)n,
                    1, out, (int)n);
}

void cf_blas_scores(const float *a, const float *b, size_t m, size_t n, size_t k, float *out)
{
    begin();
    if (m && n && k)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1, a, (int)k, b, (int)k,
                    0, out, (int)n);
}

void cf_blas_mix(const float *a, const float *b, size_t m, size_t n, size_t k, float *out)
{
    begin();
    if (m && n && k)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)k, b,
                    (int)n, 0, out, (int)n);
}

void cf_blas_add_turned(const float *a, size_t a_stride, const float *b, size_t m, size_t n, size_t k,
                        float *out)
{
    begin();
    if (m && n && k)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)k, (int)n, (int)m, 1, a, (int)a_stride, b,
                    (int)n, 1, out, (int)n);
}

/* Rows upper is columns lower: LAPACK takes the matrix as it lies, without a copy. */
bool cf_blas_solve(double *a, size_t width, double *b, size_t count)
{
    begin();
    return LAPACKE_dposv_work(LAPACK_COL_MAJOR, 'L', (int)width, (int)count, a, (int)width, b, (int)width) ==
           0;
}

bool cf_blas_eigen(double *a, size_t width, double *values)
{
    begin();
    return LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', (int)width, a, (int)width, values) == 0;
}
