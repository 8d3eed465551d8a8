/* Single fresh covers, from "described" by the broker's clock to being found among the neighbours of a query
 * by id. */
#include <stdio.h>

#include "common/base/clock.h"
#include "load.h"

enum { STATES_EVERY_US = 10000, QUERY_EVERY_US = 4000 };

static bool take_fresh(struct load *load, char *album, size_t size)
{
    pthread_mutex_lock(&load->lock);
    bool found = load->pushed_count > 0;
    if (found)
        snprintf(album, size, "%s", load->pushed[load->pushed_count - 1]);
    load->pushed_count = 0;
    pthread_mutex_unlock(&load->lock);
    return found;
}

/* A cover without contrast is nobody's neighbour: that is no failure. */
static enum cf_err call(struct load_prober *prober, const struct cf_msg *request, struct cf_reply **reply)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_client_call(prober->client, request, CALL_MS, reply, &detail);
    if (err && err != CF_E_FLAGGED && !prober->failure[0])
        snprintf(prober->failure, sizeof prober->failure, "%s: %.100s", cf_err_name(err), detail.text);
    return err;
}

static enum cf_state state_of(struct load_prober *prober, struct cf_str album)
{
    struct cf_reply *reply = NULL;
    struct cf_msg request = {.kind = CF_KIND_STATES, .albums = {.albums = &album, .album_count = 1}};
    enum cf_state state = CF_STATE_COUNT;
    if (!call(prober, &request, &reply) && reply->msg.states.state_count == 1)
        state = (enum cf_state)reply->msg.states.states[0].state;
    cf_reply_free(reply);
    return state;
}

enum finding { NOT_YET, FOUND, NEVER };

static enum finding find(struct load_prober *prober, struct cf_str album)
{
    const struct load_options *options = &prober->load->options;
    struct cf_target target = {.album = album};
    struct cf_msg request = {.kind = CF_KIND_QUERY,
                             .query = {.space = cf_str(options->space),
                                       .k = options->k,
                                       .include_self = true,
                                       .targets = &target,
                                       .target_count = 1}};
    struct cf_reply *reply = NULL;
    enum cf_err err = call(prober, &request, &reply);
    enum finding finding = err == CF_E_FLAGGED ? NEVER : NOT_YET;
    if (!err && reply->msg.answer.result_count == 1) {
        const struct cf_answer_result *result = reply->msg.answer.results;
        for (size_t i = 0; i < result->neighbor_count; i++)
            if (cf_str_equal(result->neighbors[i].album, album))
                finding = FOUND;
    }
    cf_reply_free(reply);
    return finding;
}

/* The broker's wall clock at which it was described; 0 when that cannot be told. */
static uint64_t described_ms(struct load_prober *prober, struct cf_str album)
{
    struct cf_reply *reply = NULL;
    struct cf_msg request = {.kind = CF_KIND_SHOW, .show = {.album = album}};
    uint64_t at_ms = 0;
    if (!call(prober, &request, &reply))
        at_ms = reply->msg.story.settled_ms;
    cf_reply_free(reply);
    return at_ms;
}

static void follow(struct load_prober *prober, struct cf_str album, int phase)
{
    uint64_t until_us = load_now_us() + CALL_MS * 1000;
    enum cf_state state = CF_STATE_NONE;
    enum finding finding = NOT_YET;
    while (state != CF_STATE_DESCRIBED && state != CF_STATE_INDEXED && load_now_us() < until_us) {
        state = state_of(prober, album);
        if (state == CF_STATE_DEAD)
            return;
        if (state != CF_STATE_DESCRIBED && state != CF_STATE_INDEXED)
            load_wait(prober->client, load_now_us() + STATES_EVERY_US);
    }
    while ((finding = find(prober, album)) == NOT_YET && load_now_us() < until_us)
        load_wait(prober->client, load_now_us() + QUERY_EVERY_US);
    uint64_t found_ms = cf_clock_wall_ms();
    uint64_t from_ms = finding == FOUND ? described_ms(prober, album) : 0;
    if (from_ms)
        load_sample(&prober->took[phase], found_ms > from_ms ? (found_ms - from_ms) * 1000 : 0);
    else if (finding != NEVER)
        prober->lost[phase]++;
}

void *load_probe(void *arg)
{
    struct load_prober *prober = arg;
    struct load *load = prober->load;
    prober->client = load_client(load);
    for (uint64_t due_us = load->start_us; due_us < load->end_us; due_us += load->options.probe_ms * 1000) {
        char album[CF_ALBUM_BYTES_MAX + 1];
        if (due_us < load_now_us()) /* behind: the next one, not all of them */
            continue;
        load_wait(prober->client, due_us);
        int phase = load_phase_of(load, due_us);
        if (phase >= 0 && take_fresh(load, album, sizeof album))
            follow(prober, cf_str(album), phase);
    }
    cf_client_free(prober->client);
    return NULL;
}
