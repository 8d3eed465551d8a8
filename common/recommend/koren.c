/* Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008; conjugate
 * gradients as in Takács, Pilászy, Tikk, RecSys 2011.
 *
 *     minimise sum over all users and albums of c (p - x·y)² + lambda (sum |x|² + sum |y|²)
 *     p = 1 where there is a listen, -1 where there is a thumb down, else 0; c = 1 + alpha |r|, r the count
 * of listens or the thumb
 *
 * Users and albums in turn, each row the exact minimum given the others (or some steps of conjugate gradients
 * towards it, from where it was), so that the objective never grows. What all rows share, YᵀY, is made once a
 * sweep; the sum over all pairs in the objective is tr(XᵀX YᵀY). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/recommend/blas.h"
#include "common/recommend/model_inside.h"

enum { SWEEPS = 15, CG_STEPS = 3, ROWS_A_PIECE = 128, GRAM_ROWS = 4096, GATHER = 64 };
#define ALPHA   10.0
#define LAMBDA  30.0
#define SCATTER .1

struct half {
    const struct cf_matrix *listens; /* rows are solved for */
    const float *fixed;              /* factors of the columns */
    float *solved;
    uint32_t factors;
    double alpha, lambda;
    bool exact;
    double *gram;   /* fixedᵀ fixed, both triangles */
    double *losses; /* of each piece: what the listens add to the objective */
    enum cf_err *errors;
};

/* ---- what all rows share ---- */

struct grams {
    const float *rows;
    size_t count;
    uint32_t width;
    double *partial; /* a matrix a piece */
    enum cf_err *errors;
};

static void gram_piece(void *arg, size_t piece)
{
    struct grams *g = arg;
    size_t begin = piece * GRAM_ROWS, count = g->count - begin < GRAM_ROWS ? g->count - begin : GRAM_ROWS;
    double *rows = malloc(count * g->width * sizeof *rows);
    if (!rows) {
        g->errors[piece] = CF_E_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < count * g->width; i++)
        rows[i] = (double)g->rows[begin * g->width + i];
    cf_blas_gram(rows, count, g->width, g->partial + piece * g->width * g->width);
    free(rows);
}

/* rowsᵀ rows, both triangles; added up in the order of the rows whatever the threads. */
static enum cf_err gram_of(const float *rows, size_t count, uint32_t width, const struct cf_crew *crew,
                           double *out)
{
    size_t pieces = (count + GRAM_ROWS - 1) / GRAM_ROWS, size = (size_t)width * width;
    struct grams g = {rows, count, width, calloc(pieces * size + 1, sizeof(double)),
                      calloc(pieces + 1, sizeof(enum cf_err))};
    enum cf_err err = g.partial && g.errors ? cf_crew_run(crew, pieces, gram_piece, &g) : CF_E_NO_MEMORY;
    memset(out, 0, size * sizeof *out);
    for (size_t p = 0; p < pieces && !err; p++) {
        err = g.errors[p];
        for (size_t i = 0; i < size; i++)
            out[i] += g.partial[p * size + i];
    }
    for (uint32_t i = 0; i < width; i++)
        for (uint32_t j = 0; j < i; j++)
            out[(size_t)i * width + j] = out[(size_t)j * width + i];
    free(g.partial);
    free(g.errors);
    return err;
}

/* ---- one row ---- */

struct scratch {
    double *matrix, *right, *rows; /* [f][f], [f], [GATHER][f] */
    double *x, *residual, *direction, *product;
};

static bool scratch_init(struct scratch *s, uint32_t f)
{
    double *memory = calloc((size_t)f * f + (size_t)GATHER * f + 5 * (size_t)f, sizeof *memory);
    s->matrix = memory;
    if (!memory)
        return false;
    s->rows = memory + (size_t)f * f;
    s->right = s->rows + (size_t)GATHER * f;
    s->x = s->right + f;
    s->residual = s->x + f;
    s->direction = s->residual + f;
    s->product = s->direction + f;
    return true;
}

static const float *column_of(const struct half *h, uint64_t at)
{
    return h->fixed + (size_t)h->listens->columns[at] * h->factors;
}

static double confidence_of(const struct half *h, uint64_t at)
{
    return 1 + h->alpha * fabs((double)h->listens->values[at]);
}

static double preference_of(const struct half *h, uint64_t at)
{
    return (h->listens->values[at] > 0) - (h->listens->values[at] < 0);
}

static double dot_of(const double *a, const float *b, uint32_t f)
{
    double sum = 0;
    for (uint32_t j = 0; j < f; j++)
        sum += a[j] * (double)b[j];
    return sum;
}

/* right = sum over listens of c p y */
static void make_right(const struct half *h, uint32_t row, double *right)
{
    memset(right, 0, h->factors * sizeof *right);
    for (uint64_t at = h->listens->first[row]; at < h->listens->first[row + 1]; at++) {
        double weight = confidence_of(h, at) * preference_of(h, at);
        const float *y = column_of(h, at);
        for (uint32_t j = 0; j < h->factors; j++)
            right[j] += weight * (double)y[j];
    }
}

/* matrix = YᵀY + lambda + sum over listens of (c - 1) y yᵀ */
static void make_matrix(const struct half *h, uint32_t row, struct scratch *s)
{
    uint32_t f = h->factors;
    size_t gathered = 0;
    memcpy(s->matrix, h->gram, (size_t)f * f * sizeof *s->matrix);
    for (uint32_t j = 0; j < f; j++)
        s->matrix[(size_t)j * f + j] += h->lambda;
    for (uint64_t at = h->listens->first[row]; at < h->listens->first[row + 1]; at++) {
        double weight = sqrt(confidence_of(h, at) - 1);
        const float *y = column_of(h, at);
        for (uint32_t j = 0; j < f; j++)
            s->rows[gathered * f + j] = weight * (double)y[j];
        if (++gathered == GATHER) {
            cf_blas_gram(s->rows, gathered, f, s->matrix);
            gathered = 0;
        }
    }
    cf_blas_gram(s->rows, gathered, f, s->matrix);
}

static bool solve_exactly(const struct half *h, uint32_t row, struct scratch *s)
{
    make_matrix(h, row, s);
    memcpy(s->x, s->right, h->factors * sizeof *s->x);
    return cf_blas_solve(s->matrix, h->factors, s->x, 1);
}

/* out = matrix times v, without making the matrix */
static void apply(const struct half *h, uint32_t row, const double *v, double *out)
{
    uint32_t f = h->factors;
    for (uint32_t j = 0; j < f; j++) {
        out[j] = h->lambda * v[j];
        for (uint32_t k = 0; k < f; k++)
            out[j] += h->gram[(size_t)j * f + k] * v[k];
    }
    for (uint64_t at = h->listens->first[row]; at < h->listens->first[row + 1]; at++) {
        const float *y = column_of(h, at);
        double share = (confidence_of(h, at) - 1) * dot_of(v, y, f);
        for (uint32_t j = 0; j < f; j++)
            out[j] += share * (double)y[j];
    }
}

static double square_of(const double *v, uint32_t f)
{
    double sum = 0;
    for (uint32_t j = 0; j < f; j++)
        sum += v[j] * v[j];
    return sum;
}

static void solve_by_gradients(const struct half *h, uint32_t row, struct scratch *s)
{
    uint32_t f = h->factors;
    for (uint32_t j = 0; j < f; j++)
        s->x[j] = (double)h->solved[(size_t)row * f + j];
    apply(h, row, s->x, s->product);
    for (uint32_t j = 0; j < f; j++)
        s->direction[j] = s->residual[j] = s->right[j] - s->product[j];
    double square = square_of(s->residual, f);
    for (int step = 0; step < CG_STEPS && square > 1e-20; step++) {
        double along = 0;
        apply(h, row, s->direction, s->product);
        for (uint32_t j = 0; j < f; j++)
            along += s->direction[j] * s->product[j];
        for (uint32_t j = 0; j < f; j++) {
            s->x[j] += square / along * s->direction[j];
            s->residual[j] -= square / along * s->product[j];
        }
        double next = square_of(s->residual, f);
        for (uint32_t j = 0; j < f; j++)
            s->direction[j] = s->residual[j] + next / square * s->direction[j];
        square = next;
    }
}

/* What the listens of a row add to the sum over all pairs: c (p - s)² in place of s². */
static double loss_of(const struct half *h, uint32_t row)
{
    double loss = 0;
    const float *x = h->solved + (size_t)row * h->factors;
    for (uint64_t at = h->listens->first[row]; at < h->listens->first[row + 1]; at++) {
        const float *y = column_of(h, at);
        double s = 0, miss = preference_of(h, at);
        for (uint32_t j = 0; j < h->factors; j++)
            s += (double)x[j] * (double)y[j];
        miss -= s;
        loss += confidence_of(h, at) * miss * miss - s * s;
    }
    return loss;
}

static bool solve_row(const struct half *h, uint32_t row, struct scratch *s)
{
    float *x = h->solved + (size_t)row * h->factors;
    if (h->listens->first[row] == h->listens->first[row + 1]) {
        memset(x, 0, h->factors * sizeof *x);
        return true;
    }
    make_right(h, row, s->right);
    if (h->exact && !solve_exactly(h, row, s))
        return false;
    if (!h->exact)
        solve_by_gradients(h, row, s);
    for (uint32_t j = 0; j < h->factors; j++)
        x[j] = (float)s->x[j];
    return true;
}

static void solve_piece(void *arg, size_t piece)
{
    struct half *h = arg;
    uint32_t begin = (uint32_t)piece * ROWS_A_PIECE, count = h->listens->row_count - begin;
    struct scratch s;
    count = count < ROWS_A_PIECE ? count : ROWS_A_PIECE;
    h->losses[piece] = 0;
    if (!scratch_init(&s, h->factors)) {
        h->errors[piece] = CF_E_NO_MEMORY;
        return;
    }
    for (uint32_t row = begin; row < begin + count && !h->errors[piece]; row++) {
        if (!solve_row(h, row, &s))
            h->errors[piece] = CF_E_INVALID;
        h->losses[piece] += loss_of(h, row);
    }
    free(s.matrix);
}

/* ---- sweeps ---- */

static size_t pieces_of(const struct half *h)
{
    return ((size_t)h->listens->row_count + ROWS_A_PIECE - 1) / ROWS_A_PIECE;
}

/* Solves all rows of one side; `*loss` is what the listens add to the objective then. */
static enum cf_err solve_half(struct half *h, const struct cf_crew *crew, double *loss)
{
    size_t pieces = pieces_of(h);
    enum cf_err err = gram_of(h->fixed, h->listens->column_count, h->factors, crew, h->gram);
    if (!err)
        err = cf_crew_run(crew, pieces, solve_piece, h);
    *loss = 0;
    for (size_t p = 0; p < pieces && !err; p++) {
        err = h->errors[p];
        *loss += h->losses[p];
    }
    return err;
}

static bool half_init(struct half *h)
{
    h->gram = calloc((size_t)h->factors * h->factors, sizeof *h->gram);
    h->losses = calloc(pieces_of(h) + 1, sizeof *h->losses);
    h->errors = calloc(pieces_of(h) + 1, sizeof *h->errors);
    return h->gram && h->losses && h->errors;
}

static void half_fini(struct half *h)
{
    free(h->gram);
    free(h->losses);
    free(h->errors);
}

static double squares_of(const double *gram, uint32_t f)
{
    double sum = 0;
    for (uint32_t j = 0; j < f; j++)
        sum += gram[(size_t)j * f + j];
    return sum;
}

/* `albums` was solved last, with users->... fixed: its gram is that of the users. */
static enum cf_err objective_of(const struct half *albums, double loss, const struct cf_crew *crew,
                                double *gram, double *objective)
{
    uint32_t f = albums->factors;
    enum cf_err err = gram_of(albums->solved, albums->listens->row_count, f, crew, gram);
    double pairs = 0;
    for (size_t i = 0; i < (size_t)f * f; i++)
        pairs += albums->gram[i] * gram[i];
    *objective = pairs + loss + albums->lambda * (squares_of(albums->gram, f) + squares_of(gram, f));
    return err;
}

static enum cf_err sweep_all(struct half *users, struct half *albums, const struct cf_model_options *options,
                             const struct cf_crew *crew, double *gram, struct cf_detail *detail)
{
    uint32_t sweeps = options->sweeps ? options->sweeps : SWEEPS;
    enum cf_err err = CF_OK;
    for (uint32_t sweep = 1; sweep <= sweeps && !err; sweep++) {
        double loss = 0, objective = 0;
        err = solve_half(users, crew, &loss);
        if (!err)
            err = solve_half(albums, crew, &loss);
        if (!err)
            err = objective_of(albums, loss, crew, gram, &objective);
        if (!err)
            err = cf_model_sweep(options, sweep, sweeps, objective, detail);
        else
            cf_fail(detail, err,
                    err == CF_E_NO_MEMORY ? "no memory to train koren"
                                          : "koren cannot be solved: lambda must be above 0");
    }
    return err;
}

enum cf_err cf_train_koren(const struct cf_training *training, const struct cf_model_options *options,
                           struct cf_model **out, struct cf_detail *detail)
{
    struct cf_crew crew = {options->threads, NULL, NULL};
    struct cf_model *model = NULL;
    enum cf_err err = cf_model_new(CF_MODEL_KOREN, training, options->factors, false, &model, detail);
    if (err)
        return err;
    struct half users = {.listens = training->by_user,
                         .fixed = model->album_factors,
                         .solved = model->user_factors,
                         .factors = options->factors,
                         .alpha = options->alpha > 0 ? options->alpha : ALPHA,
                         .lambda = options->lambda > 0 ? options->lambda : LAMBDA,
                         .exact = options->exact};
    struct half albums = users;
    albums.listens = training->by_album;
    albums.fixed = model->user_factors;
    albums.solved = model->album_factors;
    double *gram = calloc((size_t)options->factors * options->factors, sizeof *gram);
    bool complete = half_init(&users) & half_init(&albums) && gram;
    cf_model_scatter(model->album_factors, (size_t)model->album_count * model->factors, SCATTER,
                     options->seed);
    err = complete ? sweep_all(&users, &albums, options, &crew, gram, detail)
                   : cf_fail(detail, CF_E_NO_MEMORY, "no memory to train koren");
    half_fini(&users);
    half_fini(&albums);
    free(gram);
    if (err)
        cf_model_free(model);
    else
        *out = model;
    return err;
}
