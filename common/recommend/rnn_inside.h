/* The network of rnn: the loss of a batch of windows, and its gradients. Inside of common/recommend and its
 * tests only. */
#ifndef CF_RECOMMEND_RNN_INSIDE_H
#define CF_RECOMMEND_RNN_INSIDE_H

#include "common/base/crew.h"
#include "common/recommend/table.h"

enum { CF_RNN_WINDOW = 64, CF_RNN_BATCH = 16 };

/* Parameters, or their moments: one block of floats. */
struct cf_rnn_params {
    uint32_t albums, factors;
    size_t count;
    float *all;
    float *in, *out, *biases; /* [albums][factors], [albums][factors], [albums] */
    float *loop, *shift;      /* [factors][factors], [factors] */
};
/* All zero; false when memory is short. */
bool cf_rnn_params_init(struct cf_rnn_params *params, uint32_t albums, uint32_t factors);
void cf_rnn_params_fini(struct cf_rnn_params *params);

/* h_t from h_{t-1} and the album listened to. */
void cf_rnn_step(const struct cf_rnn_params *params, const float *before, uint32_t album, float *after);

/* A part of a user's sequence: `steps` albums, each followed by the next. */
struct cf_rnn_window {
    uint64_t begin; /* in the sequences */
    uint32_t steps; /* 1 to CF_RNN_WINDOW */
    uint32_t at;    /* its first step among all of the batch */
    uint64_t seed;  /* of what is dropped */
    double loss;    /* sum over its steps, once learned */
};

struct cf_rnn_net {
    const struct cf_rnn_params *now;
    const uint32_t *sequences; /* albums */
    double dropped;            /* the share of a state that is dropped while training */
    struct cf_crew crew;
    /* The batch: its windows, and the albums that stand for all in its sums. */
    struct cf_rnn_window windows[CF_RNN_BATCH];
    uint32_t window_count, step_count;
    uint32_t drawn_count, drawn_max;
    double stands_for;    /* albums for each that was drawn */
    uint32_t row_count;   /* drawn, then targets that were not */
    uint32_t *rows;       /* [row_count]: albums */
    uint32_t *places;     /* [albums]: in rows, or CF_NO_NUMBER */
    float *out, *biases;  /* [row_count][factors], [row_count]: copies */
    float *hidden;        /* [CF_RNN_BATCH][CF_RNN_WINDOW + 1][factors]: h_0 … of each window */
    float *kept, *factor; /* [steps][factors]: d_t, and what made it of h_t */
    float *pull;          /* [steps][factors]: of the loss on h_t */
    float *shares;        /* [steps][row_count]: of the loss on the scores */
    /* Gradients of the summed loss: by row, by step, by window. */
    float *out_gradient, *bias_gradient; /* [row_count][factors], [row_count] */
    float *in_gradient;                  /* [steps][factors] */
    float *loop_gradient;                /* [CF_RNN_BATCH][factors][factors] */
    float *shift_gradient;               /* [CF_RNN_BATCH][factors] */
};
/* False when memory is short; cf_rnn_net_fini either way. */
bool cf_rnn_net_init(struct cf_rnn_net *net, const struct cf_rnn_params *now, uint32_t drawn_max);
void cf_rnn_net_fini(struct cf_rnn_net *net);

/* Takes the windows (begin, steps, seed) and the first drawn_count of `rows` as the batch, and learns it:
 * losses and all gradients but those of rows. */
enum cf_err cf_rnn_learn(struct cf_rnn_net *net) CF_MUST_CHECK;
/* Then the gradients of rows begin … begin + count - 1; different rows by any thread. */
void cf_rnn_learn_rows(struct cf_rnn_net *net, uint32_t begin, uint32_t count);
/* Forgets the rows, before the next batch. */
void cf_rnn_clear(struct cf_rnn_net *net);

#endif
