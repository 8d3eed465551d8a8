/* A client of a service: asks at its times whether answers came or not. */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

struct question {
    struct load_asker *asker;
    uint64_t due_us;
};

static void note(struct load_asker *asker, int phase, struct cf_str error, struct cf_str detail)
{
    asker->failed[phase]++;
    if (!asker->failure[0])
        snprintf(asker->failure, sizeof asker->failure, "%.*s: %.*s", CF_STR_ARG(error), CF_STR_ARG(detail));
}

static void on_answer(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    struct question *question = arg;
    struct load_asker *asker = question->asker;
    int phase = load_phase_of(asker->load, question->due_us);
    uint64_t due_us = question->due_us;
    free(question);
    if (phase < 0)
        return;
    const struct cf_answer_result *result = err || msg->answer.result_count != 1 ? NULL : msg->answer.results;
    if (err)
        note(asker, phase, cf_str(cf_err_name(err)), cf_str(detail ? detail->text : ""));
    else if (!result || result->error.len)
        note(asker, phase, result ? result->error : cf_str("no result"),
             result ? result->detail : cf_str(""));
    else if (result->neighbor_count == 0)
        note(asker, phase, cf_str("no neighbours"), cf_str(""));
    else
        load_sample(&asker->took[phase], load_now_us() - due_us);
}

/* A row of the file with a little of everything else: near to an album, but none. */
static struct cf_target by_vector(struct load_asker *asker)
{
    struct load *load = asker->load;
    const float *row = load->rows + cf_rng_below(&asker->rng, load->row_count) * load->dim;
    for (uint32_t i = 0; i < load->dim; i++)
        asker->vector[i] = row[i] * (0.97f + 0.06f * (float)cf_rng_unit(&asker->rng));
    return (struct cf_target){.vector = {(const uint8_t *)asker->vector, load->dim * sizeof(float)}};
}

static void ask(struct load_asker *asker, uint64_t due_us)
{
    const struct load_options *options = &asker->load->options;
    bool vector = asker->load->row_count && cf_rng_unit(&asker->rng) < options->by_vector;
    struct cf_target target = {
        .album = cf_str(asker->load->ids[cf_rng_below(&asker->rng, asker->load->id_count)])};
    if (vector)
        target = by_vector(asker);
    struct cf_msg request = {.kind = CF_KIND_QUERY,
                             .query = {.space = cf_str(options->space),
                                       .k = options->k,
                                       .recall = options->recall,
                                       .targets = &target,
                                       .target_count = 1}};
    struct cf_detail detail = {""};
    struct question *question = malloc(sizeof *question);
    enum cf_err err = CF_E_NO_MEMORY;
    if (question) {
        *question = (struct question){asker, due_us};
        load_sample(&asker->late, load_now_us() - due_us);
        err = cf_client_send(asker->client, &request, CALL_MS, on_answer, question, &detail);
    }
    if (err) {
        free(question);
        int phase = load_phase_of(asker->load, due_us);
        if (phase >= 0)
            note(asker, phase, cf_str(cf_err_name(err)), cf_str(detail.text));
    }
}

void *load_ask(void *arg)
{
    struct load_asker *asker = arg;
    struct load *load = asker->load;
    double gap_us = 1e6 * (double)load->options.clients / load->options.rate;
    double first_us = 1e6 * (double)asker->number / load->options.rate;
    asker->client = load_client(load);
    asker->rng = cf_rng(load->options.seed * 1000 + asker->number);
    asker->vector = calloc(load->dim ? load->dim : 1, sizeof *asker->vector);
    CF_CHECK(asker->vector);
    for (uint64_t i = 0;; i++) {
        uint64_t due_us = load->start_us + (uint64_t)(first_us + gap_us * (double)i);
        if (due_us >= load->end_us)
            break;
        load_wait(asker->client, due_us);
        ask(asker, due_us);
    }
    while (cf_client_pending(asker->client))
        load_wait(asker->client, load_now_us() + 1000);
    cf_client_free(asker->client);
    free(asker->vector);
    return NULL;
}
