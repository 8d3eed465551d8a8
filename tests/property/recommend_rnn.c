/* rnn: gradients by differences, a softmax written out, and an order that can be learned for certain. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cpu.h"
#include "common/recommend/model_inside.h"
#include "common/recommend/rnn_inside.h"
#include "common/recommend/softmax.h"
#include "tests/unit/recommend_world.h"

enum { ALBUMS = 9, FACTORS = 6, SEQUENCE = 40 };

struct rig {
    struct cf_rnn_params params;
    struct cf_rnn_net net;
    uint32_t sequence[SEQUENCE];
};

/* Two windows, one shorter; `drawn` of the albums stand for all. */
static void rig_init(struct rig *rig, uint32_t drawn)
{
    memset(rig, 0, sizeof *rig);
    assert_true(cf_rnn_params_init(&rig->params, ALBUMS, FACTORS));
    assert_true(cf_rnn_net_init(&rig->net, &rig->params, drawn));
    cf_model_scatter(rig->params.all, rig->params.count, .6, 3);
    for (uint32_t i = 0; i < SEQUENCE; i++)
        rig->sequence[i] = i * i % ALBUMS;
    rig->net.sequences = rig->sequence;
    rig->net.dropped = .3;
    rig->net.crew = (struct cf_crew){2, NULL, NULL};
    rig->net.stands_for = (double)ALBUMS / drawn;
}

static void rig_fini(struct rig *rig)
{
    cf_rnn_net_fini(&rig->net);
    cf_rnn_params_fini(&rig->params);
}

/* Learns the batch anew from where the parameters are; returns its loss. */
static double learn(struct rig *rig, uint32_t drawn)
{
    struct cf_rnn_net *net = &rig->net;
    cf_rnn_clear(net);
    for (uint32_t i = 0; i < drawn; i++)
        net->rows[i] = ALBUMS - drawn + i;
    net->drawn_count = drawn;
    net->window_count = 2;
    net->windows[0] = (struct cf_rnn_window){.begin = 0, .steps = 17, .seed = 5};
    net->windows[1] = (struct cf_rnn_window){.begin = 20, .steps = 4, .seed = 6};
    assert_int_equal(cf_rnn_learn(net), CF_OK);
    return net->windows[0].loss + net->windows[1].loss;
}

/* The gradient of every parameter, from where the net keeps it. */
static void gather(const struct rig *rig, struct cf_rnn_params *gradient)
{
    const struct cf_rnn_net *net = &rig->net;
    for (uint32_t i = 0; i < net->row_count; i++) {
        gradient->biases[net->rows[i]] += net->bias_gradient[i];
        for (uint32_t j = 0; j < FACTORS; j++)
            gradient->out[net->rows[i] * FACTORS + j] += net->out_gradient[i * FACTORS + j];
    }
    for (uint32_t w = 0; w < 2; w++) {
        const struct cf_rnn_window *window = &net->windows[w];
        for (uint32_t i = 0; i < window->steps * FACTORS; i++)
            gradient->in[rig->sequence[window->begin + i / FACTORS] * FACTORS + i % FACTORS] +=
                net->in_gradient[window->at * FACTORS + i];
        for (uint32_t i = 0; i < FACTORS * FACTORS; i++)
            gradient->loop[i] += net->loop_gradient[w * FACTORS * FACTORS + i];
        for (uint32_t j = 0; j < FACTORS; j++)
            gradient->shift[j] += net->shift_gradient[w * FACTORS + j];
    }
}

static void check_gradients(uint32_t drawn)
{
    struct rig rig;
    struct cf_rnn_params gradient;
    rig_init(&rig, drawn);
    assert_true(cf_rnn_params_init(&gradient, ALBUMS, FACTORS));
    learn(&rig, drawn);
    cf_rnn_learn_rows(&rig.net, 0, 4); /* in two pieces, as threads would */
    cf_rnn_learn_rows(&rig.net, 4, rig.net.row_count - 4);
    gather(&rig, &gradient);
    for (size_t i = 0; i < rig.params.count; i++) {
        const float kept = rig.params.all[i], step = 1e-2f;
        rig.params.all[i] = kept + step;
        double above = learn(&rig, drawn);
        rig.params.all[i] = kept - step;
        double below = learn(&rig, drawn), expected = (above - below) / (2 * (double)step);
        rig.params.all[i] = kept;
        if (!(fabs((double)gradient.all[i] - expected) < 3e-3 * (1 + fabs(expected))))
            fail_msg("%u drawn, parameter %zu: %.6f, by differences %.6f", drawn, i, (double)gradient.all[i],
                     expected);
    }
    cf_rnn_params_fini(&gradient);
    rig_fini(&rig);
}

static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    check_gradients(ALBUMS);
    check_gradients(4);
}

/* With every album drawn and nothing dropped, the loss is that of a softmax over all. */
static void the_loss_is_that_of_a_softmax(void **state)
{
    (void)state;
    struct rig rig;
    float before[FACTORS] = {0}, after[FACTORS];
    double expected = 0;
    rig_init(&rig, ALBUMS);
    rig.net.dropped = 0;
    double loss = learn(&rig, ALBUMS);
    for (uint32_t i = 0; i < 21; i++) {
        uint32_t at = i < 17 ? i : i + 3;
        double z = 0, score[ALBUMS];
        if (i == 17)
            memset(before, 0, sizeof before);
        cf_rnn_step(&rig.params, before, rig.sequence[at], after);
        for (uint32_t a = 0; a < ALBUMS; a++) {
            score[a] = (double)rig.params.biases[a];
            for (uint32_t j = 0; j < FACTORS; j++)
                score[a] += (double)rig.params.out[a * FACTORS + j] * (double)after[j];
            z += exp(score[a]);
        }
        expected += log(z) - score[rig.sequence[at + 1]];
        memcpy(before, after, sizeof before);
    }
    assert_true(fabs(loss - expected) < 1e-5 * expected);
    rig_fini(&rig);
}

static void a_planted_order_is_learned(void **state)
{
    (void)state;
    struct world w;
    struct objectives said = {.count = 0};
    struct cf_model_options o = cf_model_options(CF_MODEL_RNN);
    o.sweeps = 60;
    o.sweep = objectives_note;
    o.sweep_arg = &said;
    world_order(&w, 200, 24, 40, 5);
    struct cf_model *model = world_train(&w, CF_MODEL_RNN, &o);
    assert_true(said.values[0] > 2 && said.values[0] < log(24) + .1);
    if (!(said.values[59] < .02))
        fail_msg("the loss is %.4f still", said.values[59]);
    cf_model_free(model);
    world_fini(&w);
}

/* Lengths around those of vectors, at every level that the machine has. */
static void check_exponentials(size_t count)
{
    float x[300] = {0}, y[300];
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)(y[i] = x[i] = 3 - (float)(i % 251) * .34f) - 3);
    assert_true(count == 0 ? cf_softmax_most(x, 0) < -1e38f : cf_softmax_most(x, count) == 3);
    assert_true(fabs(cf_softmax_exp(x, count, 3) - sum) <= 1e-6 * sum);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)x[i] / exp((double)(y[i] - 3)) - 1) < 3e-7);
}

static void exponentials_are_near_enough(void **state)
{
    (void)state;
    enum cf_simd most = cf_cpu_simd();
    float far[] = {0, -100, -1e30f, -INFINITY};
    for (int level = CF_SIMD_SCALAR; level <= (int)most; level++) {
        cf_cpu_simd_limit((enum cf_simd)level);
        for (size_t count = 0; count < 70; count++)
            check_exponentials(count);
        for (size_t count = 250; count <= 300; count++)
            check_exponentials(count);
    }
    cf_cpu_simd_limit(most);
    assert_true(fabs(cf_softmax_exp(far, 4, 0) - 1) < 1e-6);
    for (int i = 1; i < 4; i++)
        assert_true(far[i] > 0 && far[i] < 1e-37f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(the_loss_is_that_of_a_softmax),
        cmocka_unit_test(a_planted_order_is_learned),
        cmocka_unit_test(exponentials_are_near_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
