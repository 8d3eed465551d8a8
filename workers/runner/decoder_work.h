/* Inside the decoding child: what the worker, the keeper and the decoder share. Not for roles; the tests use it to put
 * misbehaving work into a decoder.
 *
 * Three processes. The worker asks the keeper for a decoder (one byte); the keeper forks it, hands the worker its own end
 * of a new socket pair, waits for its death and reports that. It reaps only when asked for the next one, so that the worker,
 * which kills by number, never kills a stranger. Pictures and results lie in shared memory, which the decoder may have
 * filled with anything: the worker checks what it takes. */
#ifndef CF_WORKERS_DECODER_WORK_H
#define CF_WORKERS_DECODER_WORK_H

#include <sys/types.h>

#include "workers/runner/decoder.h"

/* From a picture to its thumbnail. Runs in the sandbox. */
typedef enum cf_err cf_decode_work(struct cf_bytes file, const struct cf_image_limits *limits, struct cf_decoded *out,
                                   struct cf_detail *detail);

/* The work of every shipped decoder. */
enum cf_err cf_decode_picture(struct cf_bytes file, const struct cf_image_limits *limits, struct cf_decoded *out,
                              struct cf_detail *detail);

/* As cf_decoder_new, with other work. */
enum cf_err cf_decoder_new_with(const struct cf_config *config, cf_decode_work *work, struct cf_decoder **decoder,
                                struct cf_detail *detail) CF_MUST_CHECK;

struct cf_decode_result {
    uint32_t err; /* enum cf_err */
    struct cf_detail detail;
    struct cf_decoded decoded;
};

/* The shared memory: a result, then the picture. */
struct cf_decode_shared {
    uint64_t taken; /* the number of the order that the decoder has begun: what dies before was not this picture's fault */
    struct cf_decode_result result;
    uint8_t file[];
};

enum cf_keeper_event_kind { CF_KEEPER_STARTED, CF_KEEPER_DIED, CF_KEEPER_FAILED };

/* Keeper to worker. STARTED carries the worker's end of the decoder's socket. */
struct cf_keeper_event {
    enum cf_keeper_event_kind kind;
    pid_t pid;
    int code, status; /* DIED: si_code and si_status of waitid; FAILED: status is errno of fork or socketpair */
};

/* Worker to decoder, and back with the same number when it is done. Number 0, with the errno of a refused filter, comes
 * once from the decoder when it is ready. */
struct cf_decode_order {
    uint64_t number;
    uint64_t bytes; /* of the picture */
    int filter_errno;
};

struct cf_keeper {
    int control; /* the keeper's end */
    pid_t worker;
    struct cf_decode_shared *shared;
    struct cf_image_limits limits;
    uint64_t decode_ms;
    cf_decode_work *work;
};

/* The keeper's life, in a process forked for it. */
_Noreturn void cf_keeper_run(const struct cf_keeper *keeper);

#endif
