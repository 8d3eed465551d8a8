/* vector_exp against its objective written out here: gradients by differences, ascent, planted clusters. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/recommend/vector_exp_inside.h"
#include "tests/unit/recommend_world.h"

enum { USERS = 90, ALBUMS = 30, FACTORS = 5 };
static const double lambda = .7;

static double dot(const float *a, const float *b, uint32_t f)
{
    double sum = 0;
    for (uint32_t j = 0; j < f; j++)
        sum += (double)a[j] * (double)b[j];
    return sum;
}

/* Pair by pair, with a sum over the albums from 0 in steps of `every` that stand for all. */
static double objective_of(const struct world *w, const struct cf_model *m, const float *bases,
                           uint32_t every)
{
    uint32_t f = m->factors;
    double sum = 0;
    for (uint32_t u = 0; u < w->by_user.row_count; u++) {
        const float *a = m->user_factors + (size_t)u * f;
        double z = 0, listens = 0;
        for (uint32_t i = 0; i < m->album_count; i += every)
            z += every * exp(dot(a, m->album_factors + (size_t)i * f, f) + (bases ? (double)bases[i] : 0));
        for (uint64_t i = w->by_user.first[u]; i < w->by_user.first[u + 1]; i++) {
            listens += fmax(0, (double)w->by_user.values[i]);
            sum += fmax(0, (double)w->by_user.values[i]) *
                   dot(a, m->album_factors + (size_t)w->by_user.columns[i] * f, f);
        }
        sum -= listens * log(z) + .5 * lambda * dot(a, a, f);
    }
    for (uint32_t i = 0; i < m->album_count; i++)
        sum -= .5 * lambda * dot(m->album_factors + (size_t)i * f, m->album_factors + (size_t)i * f, f);
    return sum;
}

static double slope_of(const struct world *w, struct cf_model *m, const float *bases, float *at,
                       uint32_t every)
{
    const float kept = *at, step = 1e-2f;
    *at = kept + step;
    double above = objective_of(w, m, bases, every);
    *at = kept - step;
    double below = objective_of(w, m, bases, every);
    *at = kept;
    return (above - below) / (2 * (double)step);
}

static void near(double got, double expected, const char *what, uint32_t i)
{
    if (!(fabs(got - expected) < 2e-3 * (1 + fabs(expected))))
        fail_msg("%s %u: %.6f, by differences %.6f", what, i, got, expected);
}

static void check_gradients(uint32_t every, bool dislike)
{
    struct world w;
    struct cf_vexp t;
    struct cf_model *model = NULL;
    struct cf_detail detail;
    double gradient[FACTORS], objective = 0;
    world_random(&w, USERS, ALBUMS, 8, 11 + every);
    if (dislike)
        world_dislike(&w);
    assert_int_equal(cf_model_new(CF_MODEL_VECTOR_EXP, &w.training, FACTORS, true, &model, &detail), CF_OK);
    cf_model_scatter(model->album_factors, ALBUMS * FACTORS, .8, 1);
    cf_model_scatter(model->user_factors, USERS * FACTORS, .8, 2);
    assert_int_equal(cf_vexp_init(&t, &w.training, model, lambda, 2, &detail), CF_OK);
    t.sample_count = ALBUMS / every;
    t.stands_for = every;
    for (uint32_t s = 0; s < t.sample_count; s++)
        t.sample[s] = s * every;
    cf_vexp_take_sample(&t);
    for (uint32_t u = 0; u < USERS; u += 17) {
        assert_int_equal(cf_vexp_user_gradient(&t, u, gradient), CF_OK);
        for (uint32_t j = 0; j < FACTORS; j++)
            near(gradient[j], slope_of(&w, model, t.bases, &model->user_factors[u * FACTORS + j], every),
                 "user", u);
    }
    assert_int_equal(cf_vexp_album_gradients(&t, &objective), CF_OK);
    near(objective, objective_of(&w, model, t.bases, every), "objective", 0);
    for (uint32_t s = 0; s < t.sample_count; s++)
        for (uint32_t j = 0; j < FACTORS; j++)
            near(t.gradient[s * FACTORS + j],
                 slope_of(&w, model, t.bases, &model->album_factors[s * every * FACTORS + j], every), "album",
                 s * every);
    cf_vexp_fini(&t);
    cf_model_free(model);
    world_fini(&w);
}

static void gradients_are_those_of_the_objective(void **state)
{
    (void)state;
    check_gradients(1, false);
    check_gradients(3, false);
    check_gradients(1, true);
    check_gradients(3, true);
}

static void the_objective_never_falls(void **state)
{
    (void)state;
    struct world w;
    struct objectives said = {.count = 0};
    struct cf_model_options o = cf_model_options(CF_MODEL_VECTOR_EXP);
    o.factors = 8;
    o.sweeps = 200;
    o.lambda = lambda;
    o.sweep = objectives_note;
    o.sweep_arg = &said;
    world_random(&w, 200, 120, 15, 4);
    struct cf_model *model = world_train(&w, CF_MODEL_VECTOR_EXP, &o);
    double listens = 0;
    for (size_t i = 0; i < w.listens.count; i++)
        listens += (double)w.listens.items[i].count;
    for (uint32_t i = 1; i < said.count; i++)
        if (said.values[i] < said.values[i - 1] - 1e-6 * fabs(said.values[i - 1]))
            fail_msg("sweep %u: %.9f after %.9f", i + 1, said.values[i], said.values[i - 1]);
    assert_true(said.values[199] > said.values[0] + .1);
    assert_true(fabs(said.values[199] - objective_of(&w, model, NULL, 1) / listens) <
                1e-5 * fabs(said.values[199]));
    cf_model_free(model);
    world_fini(&w);
}

static double cosine(const struct cf_model *m, uint32_t a, uint32_t b)
{
    const float *x = cf_model_album_factors(m, a), *y = cf_model_album_factors(m, b);
    return dot(x, y, m->factors) / sqrt(dot(x, x, m->factors) * dot(y, y, m->factors));
}

/* The ten albums most like each: nearly all must be of its own cluster. */
static void planted_clusters_are_found(void **state)
{
    (void)state;
    enum { CLUSTERS = 5, COUNT = 100 };
    struct world w;
    struct cf_model_options o = cf_model_options(CF_MODEL_VECTOR_EXP);
    uint32_t right = 0;
    world_clusters(&w, 300, COUNT, 20, CLUSTERS);
    struct cf_model *model = world_train(&w, CF_MODEL_VECTOR_EXP, &o);
    for (uint32_t a = 0; a < COUNT; a++) {
        bool taken[COUNT] = {false};
        taken[a] = true;
        for (int n = 0; n < 10; n++) {
            uint32_t best = COUNT;
            for (uint32_t b = 0; b < COUNT; b++)
                if (!taken[b] && (best == COUNT || cosine(model, a, b) > cosine(model, a, best)))
                    best = b;
            taken[best] = true;
            right += best % CLUSTERS == a % CLUSTERS;
        }
    }
    if (right < 980)
        fail_msg("of 1000 neighbours %u are of the album's cluster", right);
    cf_model_free(model);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_objective),
        cmocka_unit_test(the_objective_never_falls),
        cmocka_unit_test(planted_clusters_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
