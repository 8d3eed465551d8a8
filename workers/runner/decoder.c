#include "workers/runner/decoder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "workers/runner/decoder_work.h"

enum {
    START_MS = 10000,          /* for a decoder to be forked and ready: a loaded machine, never a hang */
    GIVE_BACK_BYTES = 1 << 20, /* a longer picture's shared memory goes back to the system */
};

enum state {
    STATE_ABSENT,   /* the keeper waits to be asked */
    STATE_ASKED,    /* the keeper was asked for a decoder */
    STATE_STARTING, /* its socket is here, it is not ready yet */
    STATE_READY,
    STATE_LOST, /* the keeper is gone */
};

struct cf_decoder {
    struct cf_decode_shared *shared;
    size_t shared_bytes;
    size_t file_bytes_max;
    uint64_t decode_ms;
    pid_t keeper;
    int control;
    enum state state;
    int socket; /* the decoder's, or -1 */
    pid_t pid;  /* the decoder's */
    uint64_t number;
    struct cf_keeper_event death;   /* the last one, or how starting failed */
    struct cf_decode_result result; /* out of the decoder's reach */
    char note[160];
};

/* ---- the keeper's events ---- */

/* One event, waited for until end_ms; -1 in `fd` when it carries no socket. False: none came, or the keeper
 * is gone. */
static bool read_event(struct cf_decoder *decoder, struct cf_keeper_event *event, int *fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {event, sizeof *event};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    do
        got = recvmsg(decoder->control, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *event) {
        if (got >= 0 || errno != EAGAIN)
            decoder->state = STATE_LOST;
        return false;
    }
    *fd = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return true;
}

static void hang_up(struct cf_decoder *decoder)
{
    if (decoder->socket >= 0)
        close(decoder->socket);
    decoder->socket = -1;
}

static void take_event(struct cf_decoder *decoder, const struct cf_keeper_event *event, int fd)
{
    hang_up(decoder);
    decoder->pid = 0;
    if (event->kind == CF_KEEPER_STARTED && fd >= 0) {
        decoder->socket = fd;
        decoder->pid = event->pid;
        decoder->state = STATE_STARTING;
        return;
    }
    decoder->death = *event;
    decoder->state = STATE_ABSENT;
}

static void ask_keeper(struct cf_decoder *decoder)
{
    const char byte = 's';
    if (decoder->state != STATE_ABSENT)
        return;
    ssize_t sent = send(decoder->control, &byte, 1, MSG_NOSIGNAL);
    decoder->state = sent == 1 ? STATE_ASKED : STATE_LOST;
}

/* Waits for word from the keeper or the decoder; false at end_ms. Takes the keeper's word itself. */
static bool wait_word(struct cf_decoder *decoder, uint64_t end_ms, bool *from_decoder)
{
    struct pollfd watched[] = {{.fd = decoder->control, .events = POLLIN},
                               {.fd = decoder->socket, .events = POLLIN}};
    uint64_t now = cf_clock_mono_ms();
    int ready;
    do
        ready = poll(watched, 2, now < end_ms ? (int)(end_ms - now) : 0);
    while (ready < 0 && errno == EINTR && (now = cf_clock_mono_ms()) < end_ms);
    if (ready <= 0)
        return false;
    /* A result that came before its decoder died is still a result: the decoder first. */
    *from_decoder = (watched[1].revents & POLLIN) != 0;
    struct cf_keeper_event event;
    int fd;
    if (!*from_decoder && watched[0].revents && read_event(decoder, &event, &fd))
        take_event(decoder, &event, fd);
    else if (!*from_decoder && !watched[0].revents && watched[1].revents)
        hang_up(decoder); /* it is dying: the keeper will say how */
    return true;
}

/* ---- life and death ---- */

static enum cf_err fail_lost(struct cf_decoder *decoder, struct cf_detail *detail)
{
    decoder->state = STATE_LOST;
    return cf_fail(detail, CF_E_IO,
                   "the process that keeps the decoder is gone: the worker must be restarted");
}

static void say_death(const struct cf_decoder *decoder, char *text, size_t size)
{
    const struct cf_keeper_event *death = &decoder->death;
    if (death->kind == CF_KEEPER_FAILED)
        snprintf(text, size, "could not be started: %s", strerror(death->status));
    else if (death->code == CLD_EXITED)
        snprintf(text, size, "ended with code %d", death->status);
    else
        snprintf(text, size, "was killed by signal %d (%s)", death->status, strsignal(death->status));
}

/* The decoder's word: the number of the order that it answers, 0 for "ready"; false when it hung up instead.
 */
static bool read_word(struct cf_decoder *decoder, struct cf_decode_order *word)
{
    ssize_t got;
    do
        got = recv(decoder->socket, word, sizeof *word, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof *word)
        return true;
    hang_up(decoder);
    return false;
}

/* Ends what may still run and waits until the keeper has reported how it ended; what died by itself is
 * reported so. The number is safe to kill: the keeper reaps when it is asked for the next one. */
static enum cf_err await_death(struct cf_decoder *decoder, struct cf_detail *detail)
{
    uint64_t end = cf_clock_mono_ms() + START_MS;
    hang_up(decoder);
    if (decoder->pid > 0)
        kill(decoder->pid, SIGKILL);
    while (decoder->state == STATE_READY || decoder->state == STATE_STARTING) {
        bool from_decoder;
        if (!wait_word(decoder, end, &from_decoder))
            return fail_lost(decoder, detail);
    }
    return decoder->state == STATE_LOST ? fail_lost(decoder, detail) : CF_OK;
}

static void on_ready(struct cf_decoder *decoder, const struct cf_decode_order *word)
{
    decoder->state = STATE_READY;
    decoder->note[0] = '\0';
    if (word->filter_errno)
        snprintf(decoder->note, sizeof decoder->note,
                 "pictures are decoded in a weaker sandbox: this system refuses the whole of it (%s)",
                 strerror(word->filter_errno));
}

/* Until there is a decoder that waits for work. */
static enum cf_err make_ready(struct cf_decoder *decoder, struct cf_detail *detail)
{
    uint64_t end = cf_clock_mono_ms() + START_MS;
    ask_keeper(decoder);
    while (decoder->state == STATE_ASKED || decoder->state == STATE_STARTING) {
        bool from_decoder;
        struct cf_decode_order word;
        if (!wait_word(decoder, end, &from_decoder))
            return cf_fail(detail, CF_E_IO, "the decoder did not start within %d ms", START_MS);
        if (from_decoder && read_word(decoder, &word))
            on_ready(decoder, &word);
    }
    if (decoder->state == STATE_READY)
        return CF_OK;
    if (decoder->state == STATE_LOST)
        return fail_lost(decoder, detail);
    char death[128];
    say_death(decoder, death, sizeof death);
    return cf_fail(detail, CF_E_IO, "the decoder %s before its first picture", death);
}

/* ---- one picture ---- */

static enum cf_err fail_died(struct cf_decoder *decoder, struct cf_detail *detail)
{
    char death[128];
    enum cf_err err = await_death(decoder, detail);
    if (err != CF_OK)
        return err;
    say_death(decoder, death, sizeof death);
    bool alarm = decoder->death.code != CLD_EXITED && decoder->death.status == SIGALRM;
    ask_keeper(decoder); /* the next one starts while the worker does something else */
    return cf_fail(detail, alarm ? CF_E_TIMEOUT : CF_E_DECODER_DIED, "decoding this picture, the decoder %s",
                   death);
}

/* Ends a decoder that is of no use any more: too slow, or not to be believed. */
static enum cf_err fail_ended(struct cf_decoder *decoder, enum cf_err why, struct cf_detail *detail)
{
    enum cf_err err = await_death(decoder, detail);
    if (err != CF_OK)
        return err;
    ask_keeper(decoder);
    if (why == CF_E_TIMEOUT)
        return cf_fail(detail, why, "decoding took longer than %llu ms",
                       (unsigned long long)decoder->decode_ms);
    return cf_fail(detail, why, "the decoder answered nonsense");
}

/* The decoder has seen untrusted bytes: its result is checked like a message from outside. */
static enum cf_err take_result(struct cf_decoder *decoder, struct cf_decoded *out, struct cf_detail *detail)
{
    struct cf_decode_result *result = &decoder->result;
    memcpy(result, &decoder->shared->result, sizeof *result);
    result->detail.text[sizeof result->detail.text - 1] = '\0';
    result->decoded.warning[sizeof result->decoded.warning - 1] = '\0';
    uint8_t partial;
    memcpy(&partial, &result->decoded.partial, sizeof partial);
    if (result->err >= CF_ERR_COUNT)
        return fail_ended(decoder, CF_E_DECODER_DIED, detail);
    if (result->err != CF_OK)
        return cf_fail(detail, (enum cf_err)result->err, "%s", result->detail.text);
    if (result->decoded.jpeg_bytes == 0 || result->decoded.jpeg_bytes > CF_THUMB_JPEG_BYTES_MAX ||
        partial > 1)
        return fail_ended(decoder, CF_E_DECODER_DIED, detail);
    *out = result->decoded;
    return CF_OK;
}

static enum cf_err await_result(struct cf_decoder *decoder, struct cf_decoded *out, struct cf_detail *detail)
{
    uint64_t end = cf_clock_mono_ms() + decoder->decode_ms;
    while (decoder->state == STATE_READY && decoder->socket >= 0) {
        bool from_decoder;
        struct cf_decode_order word;
        if (!wait_word(decoder, end, &from_decoder))
            return fail_ended(decoder, CF_E_TIMEOUT, detail);
        if (from_decoder && read_word(decoder, &word))
            return word.number == decoder->number ? take_result(decoder, out, detail)
                                                  : fail_ended(decoder, CF_E_DECODER_DIED, detail);
    }
    return decoder->state == STATE_LOST ? fail_lost(decoder, detail) : fail_died(decoder, detail);
}

/* `*taken`: the decoder had begun with this picture before it ended. */
static enum cf_err try_once(struct cf_decoder *decoder, struct cf_bytes file, struct cf_decoded *out,
                            bool *taken, struct cf_detail *detail)
{
    const struct cf_decode_order order = {.number = ++decoder->number, .bytes = file.len};
    *taken = false;
    enum cf_err err = make_ready(decoder, detail);
    if (err != CF_OK)
        return err;
    decoder->shared->taken = 0;
    memcpy(decoder->shared->file, file.data, file.len);
    if (send(decoder->socket, &order, sizeof order, MSG_NOSIGNAL) != (ssize_t)sizeof order)
        return fail_died(decoder, detail);
    err = await_result(decoder, out, detail);
    *taken = decoder->shared->taken == order.number;
    return err;
}

enum cf_err cf_decoder_decode(struct cf_decoder *decoder, struct cf_bytes file, struct cf_decoded *out,
                              struct cf_detail *detail)
{
    if (decoder->state == STATE_LOST)
        return fail_lost(decoder, detail);
    if (file.len == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the picture is empty");
    if (file.len > decoder->file_bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the picture has %zu bytes: at most %zu are allowed", file.len,
                       decoder->file_bytes_max);
    bool taken;
    struct cf_detail first = {{0}};
    enum cf_err err = try_once(decoder, file, out, &taken, &first);
    if (err == CF_E_DECODER_DIED && !taken)
        err = try_once(decoder, file, out, &taken, detail);
    else if (err != CF_OK)
        cf_fail(detail, err, "%s", first.text);
    if (err == CF_E_DECODER_DIED && !taken)
        err = cf_fail(detail, CF_E_IO, "the decoder dies before it takes a picture");
    if (file.len > GIVE_BACK_BYTES)
        madvise(decoder->shared, decoder->shared_bytes, MADV_REMOVE);
    return err;
}

/* ---- new and free ---- */

static struct cf_image_limits limits_of(const struct cf_config *config)
{
    return (struct cf_image_limits){
        .bytes_max = (size_t)config->image_bytes_max,
        .side_max = (uint32_t)config->image_side_max,
        .pixels_max = (uint64_t)config->image_pixels_max,
        .scans_max = (uint32_t)config->image_scans_max,
        .memory_bytes_max = (size_t)config->image_memory_bytes_max,
    };
}

static enum cf_err fork_keeper(struct cf_decoder *decoder, const struct cf_config *config,
                               cf_decode_work *work, struct cf_detail *detail)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return cf_fail_errno(detail, "socketpair");
    const struct cf_keeper keeper = {.control = ends[1],
                                     .worker = getpid(),
                                     .shared = decoder->shared,
                                     .limits = limits_of(config),
                                     .decode_ms = decoder->decode_ms,
                                     .work = work};
    fflush(NULL);
    decoder->keeper = fork();
    if (decoder->keeper == 0)
        cf_keeper_run(&keeper);
    close(ends[1]);
    decoder->control = ends[0];
    return decoder->keeper > 0 ? CF_OK : cf_fail_errno(detail, "fork");
}

/* Address space only: pages come when a picture needs them. */
static enum cf_err map_shared(struct cf_decoder *decoder, struct cf_detail *detail)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = sizeof *decoder->shared + decoder->file_bytes_max;
    bytes = (bytes + page - 1) / page * page;
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return cf_fail_errno(detail, "memory shared with the decoder");
    decoder->shared = memory;
    decoder->shared_bytes = bytes;
    return CF_OK;
}

enum cf_err cf_decoder_new_with(const struct cf_config *config, cf_decode_work *work, struct cf_decoder **out,
                                struct cf_detail *detail)
{
    struct cf_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a decoder");
    decoder->control = decoder->socket = -1;
    decoder->file_bytes_max = (size_t)config->image_bytes_max;
    decoder->decode_ms = (uint64_t)config->image_decode_ms;
    enum cf_err err = map_shared(decoder, detail);
    if (err == CF_OK)
        err = fork_keeper(decoder, config, work, detail);
    if (err == CF_OK)
        err = make_ready(decoder, detail);
    if (err != CF_OK) {
        cf_decoder_free(decoder);
        return err;
    }
    *out = decoder;
    return CF_OK;
}

/* Once before the fork, so that what the library looks up on first use (the CPU's features, on some machines
 * from a file) is known inside the sandbox. */
static enum cf_err warm_up(struct cf_detail *detail)
{
    static uint8_t rgb[CF_THUMB_RGB_BYTES];
    struct cf_buf jpeg;
    cf_buf_init(&jpeg);
    enum cf_err err = cf_thumb_encode(rgb, &jpeg, detail);
    if (err == CF_OK)
        err = cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, detail);
    cf_buf_fini(&jpeg);
    return err;
}

enum cf_err cf_decoder_new(const struct cf_config *config, struct cf_decoder **decoder,
                           struct cf_detail *detail)
{
    enum cf_err err = warm_up(detail);
    return err == CF_OK ? cf_decoder_new_with(config, cf_decode_picture, decoder, detail) : err;
}

/* The decoder is killed, the keeper sees the end of its line, reaps and ends: nothing is left for others to
 * reap. */
static void end_keeper(struct cf_decoder *decoder)
{
    hang_up(decoder);
    if (decoder->pid > 0)
        kill(decoder->pid, SIGKILL);
    if (decoder->control >= 0)
        close(decoder->control);
    if (decoder->keeper <= 0)
        return;
    if (decoder->state == STATE_LOST)
        kill(decoder->keeper, SIGKILL); /* it does not answer: its decoder goes by its death signal */
    while (waitpid(decoder->keeper, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void cf_decoder_free(struct cf_decoder *decoder)
{
    if (!decoder)
        return;
    end_keeper(decoder);
    if (decoder->shared)
        munmap(decoder->shared, decoder->shared_bytes);
    free(decoder);
}

const char *cf_decoder_note(const struct cf_decoder *decoder)
{
    return decoder->note;
}
