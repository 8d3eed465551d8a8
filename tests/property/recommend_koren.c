/* koren against dense solves written out here, by elimination over whole matrices of confidences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/recommend/model_inside.h"
#include "tests/unit/recommend_world.h"

enum { USERS = 40, ALBUMS = 25, FACTORS_MAX = 8 };
static const double alpha = 5, lambda = 2;

/* counts[row][column], either way round. */
static void dense_of(const struct cf_matrix *m, double *counts)
{
    memset(counts, 0, (size_t)m->row_count * m->column_count * sizeof *counts);
    for (uint32_t row = 0; row < m->row_count; row++)
        for (uint64_t i = m->first[row]; i < m->first[row + 1]; i++)
            counts[(size_t)row * m->column_count + m->columns[i]] = (double)m->values[i];
}

/* Gauss and Jordan with pivots: a x = b, x in place of b. */
static void eliminate(double a[FACTORS_MAX][FACTORS_MAX], double *b, uint32_t f)
{
    for (uint32_t k = 0; k < f; k++) {
        uint32_t pivot = k;
        for (uint32_t i = k + 1; i < f; i++)
            pivot = fabs(a[i][k]) > fabs(a[pivot][k]) ? i : pivot;
        for (uint32_t j = 0; j < f; j++) {
            double moved = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = moved;
        }
        double moved = b[k];
        b[k] = b[pivot];
        b[pivot] = moved;
        for (uint32_t i = 0; i < f; i++) {
            double share = i == k ? 0 : a[i][k] / a[k][k];
            for (uint32_t j = 0; j < f; j++)
                a[i][j] -= share * a[k][j];
            b[i] -= share * b[k];
        }
    }
    for (uint32_t k = 0; k < f; k++)
        b[k] /= a[k][k];
}

static double preference_of(double count)
{
    return (count > 0) - (count < 0);
}

/* x_row = (Yᵀ C Y + lambda)⁻¹ Yᵀ C p with all of C. */
static void solve_row(const double *counts, uint32_t columns, const double *fixed, uint32_t f, double *x)
{
    double a[FACTORS_MAX][FACTORS_MAX] = {{0}};
    memset(x, 0, f * sizeof *x);
    for (uint32_t j = 0; j < f; j++)
        a[j][j] = lambda;
    for (uint32_t c = 0; c < columns; c++)
        for (uint32_t j = 0; j < f; j++) {
            double confidence = 1 + alpha * fabs(counts[c]);
            x[j] += preference_of(counts[c]) * confidence * fixed[c * f + j];
            for (uint32_t k = 0; k < f; k++)
                a[j][k] += confidence * fixed[c * f + j] * fixed[c * f + k];
        }
    eliminate(a, x, f);
}

static void solve_all(const struct cf_matrix *m, const double *fixed, uint32_t f, double *solved)
{
    static double counts[USERS * ALBUMS];
    dense_of(m, counts);
    for (uint32_t row = 0; row < m->row_count; row++)
        solve_row(counts + (size_t)row * m->column_count, m->column_count, fixed, f,
                  solved + (size_t)row * f);
}

static double objective_of(const struct world *w, const double *x, const double *y, uint32_t f)
{
    static double counts[USERS * ALBUMS];
    double sum = 0;
    dense_of(&w->by_user, counts);
    for (size_t u = 0; u < USERS; u++)
        for (size_t i = 0; i < ALBUMS; i++) {
            double s = 0, count = counts[u * ALBUMS + i];
            for (uint32_t j = 0; j < f; j++)
                s += x[u * f + j] * y[i * f + j];
            sum += (1 + alpha * fabs(count)) * (preference_of(count) - s) * (preference_of(count) - s);
        }
    for (size_t i = 0; i < USERS * f; i++)
        sum += lambda * x[i] * x[i];
    for (size_t i = 0; i < ALBUMS * f; i++)
        sum += lambda * y[i] * y[i];
    return sum;
}

static void to_doubles(const float *from, size_t count, double *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
}

static double farthest(const float *got, const double *expected, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)got[i] - expected[i]));
    return most;
}

static struct cf_model_options options_of(uint32_t factors, uint32_t sweeps, bool exact,
                                          struct objectives *said)
{
    struct cf_model_options o = cf_model_options(CF_MODEL_KOREN);
    *said = (struct objectives){.count = 0};
    o.factors = factors;
    o.sweeps = sweeps;
    o.alpha = alpha;
    o.lambda = lambda;
    o.exact = exact;
    o.sweep = objectives_note;
    o.sweep_arg = said;
    return o;
}

/* The same sweeps as the model's, from the same beginning. */
static void follow(const struct world *w, uint32_t factors, uint32_t sweeps, bool exact)
{
    double x[USERS * FACTORS_MAX], y[ALBUMS * FACTORS_MAX];
    struct objectives said;
    struct cf_model_options o = options_of(factors, sweeps, exact, &said);
    struct cf_model *model = world_train(w, CF_MODEL_KOREN, &o);
    float first[ALBUMS * FACTORS_MAX];
    cf_model_scatter(first, (size_t)ALBUMS * factors, .1, o.seed);
    to_doubles(first, (size_t)ALBUMS * factors, y);
    for (uint32_t sweep = 0; sweep < sweeps; sweep++) {
        solve_all(&w->by_user, y, factors, x);
        solve_all(&w->by_album, x, factors, y);
        double expected = objective_of(w, x, y, factors);
        if (fabs(said.values[sweep] - expected) > 1e-4 * expected)
            fail_msg("sweep %u: objective %.9g, expected %.9g", sweep + 1, said.values[sweep], expected);
    }
    double away = fmax(farthest(model->user_factors, x, (size_t)USERS * factors),
                       farthest(model->album_factors, y, (size_t)ALBUMS * factors));
    if (!(away < 1e-4))
        fail_msg("%u factors, %u sweeps, %s: %g away", factors, sweeps,
                 exact ? "exact" : "conjugate gradients", away);
    cf_model_free(model);
}

static void exact_factors_are_those_of_dense_solves(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world w;
        world_random(&w, USERS, ALBUMS, 6, seed);
        follow(&w, 8, 1, true);
        follow(&w, 5, 4, true);
        world_dislike(&w);
        follow(&w, 5, 2, true);
        follow(&w, 2, 2, false);
        world_fini(&w);
    }
}

/* As many steps as factors end at the solution. */
static void gradients_end_where_solves_do(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world w;
        world_random(&w, USERS, ALBUMS, 6, seed);
        follow(&w, 3, 1, false);
        follow(&w, 2, 3, false);
        world_fini(&w);
    }
}

/* With more factors than steps each sweep only comes nearer, and what it comes to is a dense solve's. */
static void gradients_come_to_rest_at_a_solution(void **state)
{
    (void)state;
    struct world w;
    struct objectives said;
    double x[USERS * FACTORS_MAX], y[ALBUMS * FACTORS_MAX], solved[USERS * FACTORS_MAX];
    struct cf_model_options o = options_of(8, 400, false, &said);
    world_random(&w, USERS, ALBUMS, 6, 9);
    struct cf_model *model = world_train(&w, CF_MODEL_KOREN, &o);
    to_doubles(model->user_factors, (size_t)USERS * 8, x);
    to_doubles(model->album_factors, (size_t)ALBUMS * 8, y);
    solve_all(&w.by_album, x, 8, solved);
    assert_true(farthest(model->album_factors, solved, (size_t)ALBUMS * 8) < 1e-4);
    solve_all(&w.by_user, y, 8, solved);
    double away = farthest(model->user_factors, solved, (size_t)USERS * 8);
    if (!(away < 1e-3))
        fail_msg("users are %g from their solution", away);
    cf_model_free(model);
    world_fini(&w);
}

static void the_objective_never_grows(void **state)
{
    (void)state;
    for (int exact = 0; exact < 2; exact++) {
        struct world w;
        struct objectives said;
        struct cf_model_options o = options_of(8, 40, exact, &said);
        world_random(&w, 300, 200, 12, 5);
        struct cf_model *model = world_train(&w, CF_MODEL_KOREN, &o);
        assert_int_equal(said.count, 40);
        for (uint32_t i = 1; i < said.count; i++)
            if (said.values[i] > said.values[i - 1] * (1 + 1e-7))
                fail_msg("sweep %u: %.12g after %.12g", i + 1, said.values[i], said.values[i - 1]);
        assert_true(said.values[39] < .95 * said.values[0]);
        cf_model_free(model);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_factors_are_those_of_dense_solves),
        cmocka_unit_test(gradients_end_where_solves_do),
        cmocka_unit_test(gradients_come_to_rest_at_a_solution),
        cmocka_unit_test(the_objective_never_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
