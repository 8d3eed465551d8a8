/* Inside the decoding child: what the worker, the keeper and the decoder share. Not for roles; the tests use
 * it to put misbehaving work into a decoder.
 *
 * Three processes. The worker asks the keeper for a decoder (one byte); the keeper forks it, hands the worker
 * its own end of a new socket pair, waits for its death and reports that. It reaps only when asked for the
 * next one, so that the worker, which kills by number, never kills a stranger.
 *
 * Pictures and results lie in shared memory, a ring of slots: the worker orders pictures 1, 2, 3, ... and the
 * decoder decodes them in that order, ahead of the worker. Nobody makes a system call for a picture while the
 * other is awake: a word goes over the socket only to one who said that he sleeps. The decoder may have
 * filled all that it can write with anything: the worker keeps its own counters, reads once and checks what
 * it takes. A picture is blamed for a death only when a fresh decoder saw no other one. */
#ifndef CF_DECODER_WORK_H
#define CF_DECODER_WORK_H

#include <stdatomic.h>
#include <sys/types.h>

#include "common/decoder/decoder.h"

/* From a picture to its thumbnail. Runs in the sandbox. */
typedef enum cf_err cf_decode_work(struct cf_bytes file, const struct cf_image_limits *limits,
                                   struct cf_decoded *out, struct cf_detail *detail);

/* The work of every shipped decoder. */
enum cf_err cf_decode_picture(struct cf_bytes file, const struct cf_image_limits *limits,
                              struct cf_decoded *out, struct cf_detail *detail);

/* As cf_decoder_new, with other work. */
enum cf_err cf_decoder_new_with(const struct cf_config *config, cf_decode_work *work,
                                struct cf_decoder **decoder, struct cf_detail *detail) CF_MUST_CHECK;

/* Of the decoder that is alive, or 0. For measurements. */
pid_t cf_decoder_pid(const struct cf_decoder *decoder);

enum {
    CF_DECODE_SMALL_BYTES = 256 << 10, /* a picture up to here lies in its slot, a longer one in `large` */
    CF_DECODE_PAGE = 4096
};

struct cf_decode_result {
    uint32_t err; /* enum cf_err */
    struct cf_detail detail;
    struct cf_decoded decoded;
};

/* The decoder writes here (and the worker, where it says so). */
struct cf_decode_results {
    atomic_uint_least64_t taken; /* the picture begun last */
    atomic_uint_least64_t done;  /* the picture finished last */
    atomic_uint_least64_t
        awaited; /* the worker sleeps until this one is done: send a word; either sets it to 0 */
    atomic_uint_least32_t sleeping; /* the decoder sleeps until a word comes; either sets it to 0 */
    struct cf_decode_result slots[CF_DECODER_AHEAD];
};

/* The decoder only reads here: what a wild write damages is never a picture that waits for its turn. */
struct cf_decode_orders {
    _Alignas(CF_DECODE_PAGE) atomic_uint_least64_t ordered; /* the last picture that the decoder may begin */
    uint64_t bytes[CF_DECODER_AHEAD];
    _Alignas(CF_DECODE_PAGE) uint8_t small[CF_DECODER_AHEAD][CF_DECODE_SMALL_BYTES];
    uint8_t large[];
};

static inline size_t cf_decode_slot(uint64_t number)
{
    return (size_t)(number % CF_DECODER_AHEAD);
}

enum cf_keeper_event_kind { CF_KEEPER_STARTED, CF_KEEPER_DIED, CF_KEEPER_FAILED };

/* Keeper to worker. STARTED carries the worker's end of the decoder's socket. */
struct cf_keeper_event {
    enum cf_keeper_event_kind kind;
    pid_t pid;
    int code,
        status; /* DIED: si_code and si_status of waitid; FAILED: status is errno of fork or socketpair */
};

/* What crosses the decoder's socket, both ways. The decoder's first one says that it is ready; the others
 * only wake. */
struct cf_decode_word {
    int filter_errno; /* the first one: the errno of a refused filter, or 0 */
};

struct cf_keeper {
    int control; /* the keeper's end */
    pid_t worker;
    struct cf_decode_results *results;
    struct cf_decode_orders *orders;
    size_t orders_bytes;
    int orders_fd;
    struct cf_image_limits limits;
    uint64_t decode_ms;
    cf_decode_work *work;
};

/* The keeper's life, in a process forked for it. */
_Noreturn void cf_keeper_run(const struct cf_keeper *keeper);

#endif
