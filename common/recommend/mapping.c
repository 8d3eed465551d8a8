/* What both kinds share, and the linear one. */
#include "common/recommend/mapping.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/recommend/blas.h"
#include "common/recommend/mapping_inside.h"

enum { ROWS_A_BLOCK = 1024, LADDER = 13 };

enum cf_err cf_mapping_no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a mapping");
}

enum cf_err cf_mapping_init(const struct cf_mapping_rows *rows, uint32_t hidden, struct cf_mapping *m,
                            struct cf_detail *detail)
{
    *m = (struct cf_mapping){.inputs = rows->inputs, .hidden = hidden, .outputs = rows->outputs};
    if (rows->count < CF_MAPPING_ROWS_MIN)
        return cf_fail(detail, CF_E_INVALID, "%zu albums have both a vector and listens: a mapping needs %d",
                       rows->count, CF_MAPPING_ROWS_MIN);
    m->means = calloc(m->inputs + 1, sizeof *m->means);
    m->scales = calloc(m->inputs + 1, sizeof *m->scales);
    m->first = hidden ? calloc((size_t)m->inputs * hidden, sizeof *m->first) : NULL;
    m->first_shift = hidden ? calloc(hidden, sizeof *m->first_shift) : NULL;
    m->last = calloc((size_t)(hidden ? hidden : m->inputs) * m->outputs, sizeof *m->last);
    m->last_shift = calloc(m->outputs, sizeof *m->last_shift);
    return m->means && m->scales && m->last && m->last_shift && (!hidden || (m->first && m->first_shift))
               ? CF_OK
               : cf_mapping_no_memory(detail);
}

void cf_mapping_fini(struct cf_mapping *m)
{
    free(m->means);
    free(m->scales);
    free(m->first);
    free(m->first_shift);
    free(m->last);
    free(m->last_shift);
    *m = (struct cf_mapping){0};
}

/* What never varies has no scale: it counts for nothing. */
void cf_mapping_measure(const struct cf_mapping_rows *rows, struct cf_mapping *m)
{
    for (uint32_t j = 0; j < m->inputs; j++) {
        double sum = 0, squares = 0, n = (double)rows->count;
        for (size_t i = 0; i < rows->count; i++)
            sum += (double)rows->x[i * m->inputs + j];
        for (size_t i = 0; i < rows->count; i++) {
            double off = (double)rows->x[i * m->inputs + j] - sum / n;
            squares += off * off;
        }
        m->means[j] = (float)(sum / n);
        m->scales[j] = squares / n > 1e-12 ? (float)(1 / sqrt(squares / n)) : 0;
    }
}

void cf_mapping_scale(const struct cf_mapping *m, const float *x, size_t count, float *z)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < m->inputs; j++) {
            size_t at = i * m->inputs + j;
            z[at] = (x[at] - m->means[j]) * m->scales[j];
        }
}

static void add_shift(float *rows, const float *shift, size_t count, uint32_t width, bool rectified)
{
    for (size_t at = 0; at < count * width; at++) {
        rows[at] += shift[at % width];
        rows[at] = rectified && rows[at] < 0 ? 0 : rows[at];
    }
}

/* `between`: [count][hidden], what the hidden units say; unused when linear. */
void cf_mapping_forward(const struct cf_mapping *m, const float *z, size_t count, float *between, float *y)
{
    if (m->hidden) {
        cf_blas_mix(z, m->first, count, m->hidden, m->inputs, between);
        add_shift(between, m->first_shift, count, m->hidden, true);
    }
    cf_blas_mix(m->hidden ? between : z, m->last, count, m->outputs, m->hidden ? m->hidden : m->inputs, y);
    add_shift(y, m->last_shift, count, m->outputs, false);
}

enum cf_err cf_mapping_apply(const struct cf_mapping *m, const float *x, size_t count, float *y,
                             struct cf_detail *detail)
{
    float *z = malloc((size_t)ROWS_A_BLOCK * m->inputs * sizeof *z);
    float *between = malloc(((size_t)ROWS_A_BLOCK * m->hidden + 1) * sizeof *between);
    enum cf_err err = z && between ? CF_OK : cf_mapping_no_memory(detail);
    for (size_t begin = 0; begin < count && !err; begin += ROWS_A_BLOCK) {
        size_t block = count - begin < ROWS_A_BLOCK ? count - begin : ROWS_A_BLOCK;
        cf_mapping_scale(m, x + begin * m->inputs, block, z);
        cf_mapping_forward(m, z, block, between, y + begin * m->outputs);
    }
    free(z);
    free(between);
    return err;
}

bool cf_mapping_unit(float *vector, uint32_t count)
{
    double square = 0;
    for (uint32_t j = 0; j < count; j++)
        square += (double)vector[j] * (double)vector[j];
    for (uint32_t j = 0; j < count; j++)
        vector[j] = square > 0 ? (float)((double)vector[j] / sqrt(square)) : 0;
    return square > 0;
}

/* ---- ridge ---- */

/* With Q the eigenvectors of XᵀX and e its eigenvalues, W = Q (e + lambda)⁻¹ QᵀXᵀB, and row i's fit has the
 * leverage h_i = sum_j (x_i·q_j)² / (e_j + lambda): its error when left out is its error over 1 - h_i. */
struct ridge {
    const struct cf_mapping_rows *rows;
    struct cf_mapping *m;
    double *gram;   /* [d][d], then the eigenvectors, a row each */
    double *values; /* [d] */
    double *wanted; /* [d][outputs]: XᵀB, then QᵀXᵀB */
    double *z, *b, *turned, *fitted;
    double errors[LADDER];
    double mean[1024];
};

static double lambda_of(const struct ridge *r, int step)
{
    return (double)r->rows->count * pow(10, -3 + .5 * step);
}

static size_t take_block(struct ridge *r, size_t begin)
{
    size_t left = r->rows->count - begin, count = left < ROWS_A_BLOCK ? left : ROWS_A_BLOCK;
    uint32_t d = r->m->inputs, f = r->m->outputs;
    for (size_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < d; j++)
            r->z[i * d + j] =
                ((double)r->rows->x[(begin + i) * d + j] - (double)r->m->means[j]) * (double)r->m->scales[j];
    for (size_t i = 0; i < count * f; i++)
        r->b[i] = (double)r->rows->b[begin * f + i] - r->mean[i % f];
    return count;
}

static void gather(struct ridge *r)
{
    uint32_t d = r->m->inputs, f = r->m->outputs;
    for (size_t i = 0; i < r->rows->count * f; i++)
        r->mean[i % f] += (double)r->rows->b[i] / (double)r->rows->count;
    for (size_t begin = 0; begin < r->rows->count; begin += ROWS_A_BLOCK) {
        size_t count = take_block(r, begin);
        cf_blas_gram(r->z, count, d, r->gram);
        cf_blas_multiply_turned(r->z, r->b, count, f, d, r->wanted);
    }
}

/* wanted = Q wanted, the rows of `gram` being eigenvectors by now */
static bool turn_wanted(struct ridge *r)
{
    size_t d = r->m->inputs, f = r->m->outputs;
    double *turned = calloc(d * f, sizeof *turned);
    if (!turned)
        return false;
    cf_blas_multiply(r->gram, r->wanted, d, f, d, turned);
    free(r->wanted);
    r->wanted = turned;
    return true;
}

static void weigh(const struct ridge *r, double lambda, double *weighted)
{
    for (size_t j = 0; j < r->m->inputs; j++)
        for (size_t k = 0; k < r->m->outputs; k++)
            weighted[j * r->m->outputs + k] =
                r->wanted[j * r->m->outputs + k] / (fmax(0, r->values[j]) + lambda);
}

/* Adds to the error of a step of the ladder what the block's rows miss by when left out. */
static void measure_block(struct ridge *r, size_t count, int step, double *weighted)
{
    size_t d = r->m->inputs, f = r->m->outputs;
    double lambda = lambda_of(r, step);
    weigh(r, lambda, weighted);
    memset(r->fitted, 0, count * f * sizeof *r->fitted);
    cf_blas_multiply(r->turned, weighted, count, f, d, r->fitted);
    for (size_t i = 0; i < count; i++) {
        double leverage = 1 / (double)r->rows->count, error = 0; /* the mean has one, too */
        for (size_t j = 0; j < d; j++)
            leverage += r->turned[i * d + j] * r->turned[i * d + j] / (fmax(0, r->values[j]) + lambda);
        for (size_t k = 0; k < f; k++) {
            double miss = (r->b[i * f + k] - r->fitted[i * f + k]) / fmax(1e-6, 1 - leverage);
            error += miss * miss;
        }
        r->errors[step] += error / (double)r->rows->count;
    }
}

/* z_i·q_j: rows of z times the eigenvectors, which are rows of `gram`. */
static void turn_block(struct ridge *r, size_t count, const double *vectors)
{
    memset(r->turned, 0, count * r->m->inputs * sizeof *r->turned);
    cf_blas_multiply(r->z, vectors, count, r->m->inputs, r->m->inputs, r->turned);
}

static double *transposed(const double *a, size_t d)
{
    double *out = malloc(d * d * sizeof *out);
    for (size_t i = 0; out && i < d; i++)
        for (size_t j = 0; j < d; j++)
            out[j * d + i] = a[i * d + j];
    return out;
}

static enum cf_err choose_and_solve(struct ridge *r, struct cf_detail *detail)
{
    size_t d = r->m->inputs, f = r->m->outputs;
    double *columns = transposed(r->gram, d), *weighted = calloc(d * f, sizeof *weighted);
    double *solved = calloc(d * f, sizeof *solved);
    enum cf_err err = columns && weighted && solved && turn_wanted(r) ? CF_OK : cf_mapping_no_memory(detail);
    for (size_t begin = 0; begin < r->rows->count && !err; begin += ROWS_A_BLOCK) {
        size_t count = take_block(r, begin);
        turn_block(r, count, columns);
        for (int step = 0; step < LADDER; step++)
            measure_block(r, count, step, weighted);
    }
    int best = 0;
    for (int step = 1; step < LADDER; step++)
        best = r->errors[step] < r->errors[best] ? step : best;
    if (!err) {
        weigh(r, lambda_of(r, best), weighted);
        cf_blas_multiply(columns, weighted, d, f, d, solved);
        for (size_t i = 0; i < d * f; i++)
            r->m->last[i] = (float)solved[i];
        for (size_t k = 0; k < f; k++)
            r->m->last_shift[k] = (float)r->mean[k];
        r->m->lambda = lambda_of(r, best);
        r->m->inner_error = r->errors[best];
    }
    free(columns);
    free(weighted);
    free(solved);
    return err;
}

static enum cf_err solve_ridge(struct ridge *r, struct cf_detail *detail)
{
    size_t d = r->m->inputs, f = r->m->outputs;
    r->gram = calloc(d * d, sizeof *r->gram);
    r->values = calloc(d, sizeof *r->values);
    r->wanted = calloc(d * f, sizeof *r->wanted);
    r->z = calloc(ROWS_A_BLOCK * d, sizeof *r->z);
    r->turned = calloc(ROWS_A_BLOCK * d, sizeof *r->turned);
    r->b = calloc(ROWS_A_BLOCK * f, sizeof *r->b);
    r->fitted = calloc(ROWS_A_BLOCK * f, sizeof *r->fitted);
    if (!r->gram || !r->values || !r->wanted || !r->z || !r->turned || !r->b || !r->fitted)
        return cf_mapping_no_memory(detail);
    gather(r);
    if (!cf_blas_eigen(r->gram, d, r->values))
        return cf_fail(detail, CF_E_INVALID, "the vectors of the covers cannot be decomposed");
    return choose_and_solve(r, detail);
}

enum cf_err cf_mapping_ridge(const struct cf_mapping_rows *rows, struct cf_mapping *m,
                             struct cf_detail *detail)
{
    struct ridge *r = calloc(1, sizeof *r);
    enum cf_err err = cf_mapping_init(rows, 0, m, detail);
    if (!err && (!r || rows->outputs > sizeof r->mean / sizeof *r->mean))
        err = cf_mapping_no_memory(detail);
    if (!err) {
        r->rows = rows;
        r->m = m;
        cf_mapping_measure(rows, m);
        err = solve_ridge(r, detail);
    }
    if (r) {
        void *all[] = {r->gram, r->values, r->wanted, r->z, r->turned, r->b, r->fitted};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
    free(r);
    return err;
}
