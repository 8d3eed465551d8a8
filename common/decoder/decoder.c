#include "common/decoder/decoder.h"

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
#include "common/decoder/decoder_work.h"

enum {
    START_MS = 10000,          /* for a decoder to be forked and ready: a loaded machine, never a hang */
    GIVE_BACK_BYTES = 1 << 20, /* a longer picture's shared memory goes back to the system */
    LOOK_MS = 50,              /* how often a sleeping worker looks whether the decoder gets on */
};

enum state {
    STATE_ABSENT,   /* the keeper waits to be asked */
    STATE_ASKED,    /* the keeper was asked for a decoder */
    STATE_STARTING, /* its socket is here, it is not ready yet */
    STATE_READY,
    STATE_DEAD, /* it was ready once; who is to blame is not settled yet */
    STATE_LOST, /* the keeper is gone */
};

struct cf_decoder {
    struct cf_decode_results *results;
    struct cf_decode_orders *orders;
    size_t orders_bytes;
    size_t file_bytes_max;
    uint64_t decode_ms;
    uint32_t side_max;
    pid_t keeper;
    int control;
    enum state state;
    int socket;                /* the decoder's, or -1 */
    pid_t pid;                 /* the decoder's */
    uint64_t ordered, settled; /* the picture put last, and the one taken last */
    uint64_t shown;            /* the picture put last that the decoder may see */
    uint64_t alone;            /* pictures up to here are shown one at a time */
    uint64_t born;             /* the picture settled last when the decoder that lives now was asked for */
    uint64_t large;            /* the picture in the memory for long ones, or 0 */
    uint64_t current, current_since_ms;
    unsigned idle_deaths;         /* in a row */
    struct cf_keeper_event death; /* the last one, or how starting failed */
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
    decoder->state = decoder->state == STATE_READY ? STATE_DEAD : STATE_ABSENT;
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

/* False when the decoder hung up instead. */
static bool read_word(struct cf_decoder *decoder, struct cf_decode_word *word)
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
    while (decoder->state == STATE_ASKED || decoder->state == STATE_STARTING ||
           decoder->state == STATE_READY) {
        bool from_decoder = false;
        if (decoder->pid > 0)
            kill(decoder->pid, SIGKILL);
        if (!wait_word(decoder, end, &from_decoder))
            return fail_lost(decoder, detail);
        hang_up(decoder); /* of one that was only asked for: it may be at work before its word is heard */
    }
    return decoder->state == STATE_LOST ? fail_lost(decoder, detail) : CF_OK;
}

/* It sleeps only after it has said so, and looks once more then. */
static void wake_decoder(struct cf_decoder *decoder)
{
    const struct cf_decode_word word = {0};
    if (decoder->state == STATE_READY && decoder->socket >= 0 &&
        atomic_exchange(&decoder->results->sleeping, 0) == 1 &&
        send(decoder->socket, &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof word &&
        errno != EAGAIN)  /* EAGAIN: it has words that it did not read, and need not sleep */
        hang_up(decoder); /* it is dying: the keeper will say how */
}

/* Lets the decoder see what it may see now. */
static void show(struct cf_decoder *decoder)
{
    bool alone = decoder->settled < decoder->alone;
    uint64_t shown = alone ? decoder->settled + 1 : decoder->ordered;
    if (shown == decoder->shown)
        return;
    decoder->shown = shown;
    atomic_store(&decoder->orders->ordered, shown);
    wake_decoder(decoder);
}

static void on_ready(struct cf_decoder *decoder, const struct cf_decode_word *word)
{
    decoder->state = STATE_READY;
    decoder->current = 0;
    decoder->note[0] = '\0';
    if (word->filter_errno)
        snprintf(decoder->note, sizeof decoder->note,
                 "pictures are decoded in a weaker sandbox: this system refuses the whole of it (%s)",
                 strerror(word->filter_errno));
    if (decoder->shown > decoder->settled)
        wake_decoder(decoder); /* put before it could be told */
}

/* Until there is a decoder that waits for work. */
static enum cf_err make_ready(struct cf_decoder *decoder, struct cf_detail *detail)
{
    uint64_t end = cf_clock_mono_ms() + START_MS;
    ask_keeper(decoder);
    while (decoder->state == STATE_ASKED || decoder->state == STATE_STARTING) {
        bool from_decoder;
        struct cf_decode_word word;
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

/* ---- the oldest picture ---- */

static uint64_t done_of(struct cf_decoder *decoder)
{
    return atomic_load(&decoder->results->done);
}

/* With no decoder alive: the next one goes on behind `done`, whatever the last one left in its memory. */
static void restart_behind(struct cf_decoder *decoder, uint64_t done)
{
    atomic_store(&decoder->results->taken, done);
    atomic_store(&decoder->results->done, done);
    atomic_store(&decoder->results->awaited, 0);
    atomic_store(&decoder->results->sleeping, 0);
    decoder->current = 0;
    decoder->born = done;
    decoder->state = STATE_ABSENT;
    ask_keeper(decoder); /* it starts while the worker does something else */
}

static void settle(struct cf_decoder *decoder)
{
    decoder->settled++;
    if (decoder->large == decoder->settled) {
        decoder->large = 0;
        if (decoder->orders->bytes[cf_decode_slot(decoder->settled)] > GIVE_BACK_BYTES)
            madvise(decoder->orders->large, decoder->file_bytes_max, MADV_REMOVE);
    }
    if (decoder->settled < decoder->ordered)
        show(decoder);
}

/* Whether what went wrong can only be the oldest picture's doing: the decoder never saw another one. Whatever
 * it wrote about what it was at is no evidence, because a picture may have made it write that. */
static bool is_certain(const struct cf_decoder *decoder)
{
    return decoder->born == decoder->settled && decoder->shown == decoder->settled + 1;
}

/* With no decoder alive and the culprit unknown: all that are in hand are decoded again, one at a time. */
static void restart_alone(struct cf_decoder *decoder)
{
    decoder->alone = decoder->ordered;
    show(decoder); /* before there is a decoder that could see more */
    restart_behind(decoder, decoder->settled);
}

/* Ends a decoder that is too slow, and the oldest picture with it. */
static enum cf_err fail_slow(struct cf_decoder *decoder, struct cf_detail *detail)
{
    enum cf_err err = await_death(decoder, detail);
    if (err != CF_OK)
        return err;
    restart_behind(decoder, decoder->settled + 1);
    return cf_fail(detail, CF_E_TIMEOUT, "decoding took longer than %llu ms",
                   (unsigned long long)decoder->decode_ms);
}

/* Ends a decoder that is not to be believed. CF_OK: who made it so is found out by another try. */
static enum cf_err fail_nonsense(struct cf_decoder *decoder, struct cf_detail *detail)
{
    bool certain = is_certain(decoder);
    enum cf_err err = await_death(decoder, detail);
    if (err != CF_OK)
        return err;
    if (!certain) {
        restart_alone(decoder);
        return CF_OK;
    }
    restart_behind(decoder, decoder->settled + 1);
    return cf_fail(detail, CF_E_DECODER_DIED, "the decoder answered nonsense");
}

/* The decoder is dead and the oldest picture not done. CF_OK: it is tried again, because another picture may
 * have been the cause or, once, because it does not seem to have been begun. */
static enum cf_err fail_died(struct cf_decoder *decoder, struct cf_detail *detail)
{
    char death[128];
    bool begun = atomic_load(&decoder->results->taken) == decoder->settled + 1;
    say_death(decoder, death, sizeof death);
    if (!is_certain(decoder) || (!begun && decoder->idle_deaths++ == 0)) {
        restart_alone(decoder);
        return CF_OK;
    }
    restart_behind(decoder, decoder->settled + 1);
    bool alarm = decoder->death.code != CLD_EXITED && decoder->death.status == SIGALRM;
    return cf_fail(detail, alarm ? CF_E_TIMEOUT : CF_E_DECODER_DIED, "decoding this picture, the decoder %s",
                   death);
}

/* What the decoder wrote and is decided upon, each read once: it may change between two looks. */
struct claim {
    uint32_t err, width, height;
    size_t jpeg_bytes;
    uint8_t partial;
};

static struct claim read_claim(const struct cf_decode_result *result)
{
    _Static_assert(sizeof result->decoded.partial == sizeof(uint8_t), "a bool of one byte");
    return (struct claim){
        .err = *(const volatile uint32_t *)&result->err,
        .width = *(const volatile uint32_t *)&result->decoded.source_width,
        .height = *(const volatile uint32_t *)&result->decoded.source_height,
        .jpeg_bytes = *(const volatile size_t *)&result->decoded.jpeg_bytes,
        .partial = *(const volatile uint8_t *)&result->decoded.partial, /* perhaps neither true nor false */
    };
}

static bool is_sane(const struct cf_decoder *decoder, const struct claim *claim)
{
    return claim->err == CF_OK && claim->jpeg_bytes > 0 && claim->jpeg_bytes <= CF_THUMB_JPEG_BYTES_MAX &&
           claim->width <= decoder->side_max && claim->height <= decoder->side_max && claim->partial <= 1;
}

/* The decoder has seen untrusted bytes: its result is checked like a message from outside. CF_OK with
 * `*again`: there is no result yet. */
static enum cf_err take_result(struct cf_decoder *decoder, struct cf_decoded *out, bool *again,
                               struct cf_detail *detail)
{
    const struct cf_decode_result *result = &decoder->results->slots[cf_decode_slot(decoder->settled + 1)];
    const struct claim claim = read_claim(result);
    if (claim.err != CF_OK && claim.err < CF_ERR_COUNT && claim.err != CF_E_IO) {
        char text[sizeof result->detail.text];
        memcpy(text, result->detail.text, sizeof text);
        text[sizeof text - 1] = '\0';
        return cf_fail(detail, (enum cf_err)claim.err, "%s", text);
    }
    if (!is_sane(decoder, &claim)) {
        *again = true;
        return fail_nonsense(decoder, detail);
    }
    memcpy(out->rgb, result->decoded.rgb, sizeof out->rgb);
    memcpy(out->jpeg, result->decoded.jpeg, claim.jpeg_bytes);
    out->jpeg_bytes = claim.jpeg_bytes;
    out->source_width = claim.width;
    out->source_height = claim.height;
    out->partial = claim.partial == 1;
    memcpy(out->warning, result->decoded.warning, sizeof out->warning);
    out->warning[sizeof out->warning - 1] = '\0';
    return CF_OK;
}

/* When the wait has to end, for a look or because the picture being decoded has had its time; 0 when that is
 * over. A picture's time begins when the one before it was seen done. */
static uint64_t patience(struct cf_decoder *decoder, uint64_t done)
{
    uint64_t now = cf_clock_mono_ms();
    if (done < decoder->settled)
        done = decoder->settled;
    if (done >= decoder->shown)
        done = decoder->shown - 1;
    if (decoder->current < done + 1) { /* forwards only: no claim buys more time */
        decoder->current = done + 1;
        decoder->current_since_ms = now;
    }
    uint64_t end = decoder->current_since_ms + decoder->decode_ms;
    if (now >= end)
        return 0;
    return end - now < LOOK_MS ? end : now + LOOK_MS;
}

/* Sleeps until `enough` pictures are done, something happened or it is time for a look. False when the
 * picture being decoded took too long. */
static bool sleep_until_done(struct cf_decoder *decoder, uint64_t enough)
{
    uint64_t done = done_of(decoder);
    uint64_t end = patience(decoder, done);
    if (end == 0)
        return false;
    bool from_decoder;
    struct cf_decode_word word;
    atomic_store(&decoder->results->awaited, enough);
    if (done_of(decoder) >= enough && atomic_exchange(&decoder->results->awaited, 0) == enough)
        return true;
    if (wait_word(decoder, end, &from_decoder) && from_decoder)
        read_word(decoder, &word);
    else
        atomic_store(&decoder->results->awaited, 0);
    return true;
}

/* One wake-up of the worker for several pictures, as long as the decoder has others left to go on with. */
static uint64_t worth_waking_for(const struct cf_decoder *decoder)
{
    uint64_t half = decoder->settled + CF_DECODER_AHEAD / 2;
    return half < decoder->shown ? half : decoder->shown;
}

/* CF_OK when the oldest is done or there is news. */
static enum cf_err await_oldest(struct cf_decoder *decoder, struct cf_detail *detail)
{
    if (decoder->state == STATE_DEAD)
        return fail_died(decoder, detail);
    enum cf_err err = make_ready(decoder, detail);
    if (err != CF_OK)
        return err;
    if (!sleep_until_done(decoder, worth_waking_for(decoder)))
        return fail_slow(decoder, detail);
    if (decoder->state == STATE_LOST)
        return fail_lost(decoder, detail);
    return decoder->state == STATE_READY && decoder->socket < 0 ? await_death(decoder, detail) : CF_OK;
}

/* One try. CF_OK with `*again`: another one is needed, which the decoder can make only so often. */
static enum cf_err try_take(struct cf_decoder *decoder, struct cf_decoded *out, bool *again,
                            struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    *again = false;
    uint64_t done;
    while (err == CF_OK && (done = done_of(decoder)) <= decoder->settled)
        err = await_oldest(decoder, detail);
    if (err != CF_OK)
        return err;
    if (done <= decoder->shown)
        return take_result(decoder, out, again, detail);
    *again = true;
    return fail_nonsense(decoder, detail);
}

enum cf_err cf_decoder_take(struct cf_decoder *decoder, struct cf_decoded *out, struct cf_detail *detail)
{
    CF_CHECK(decoder->settled < decoder->ordered);
    bool again = false;
    enum cf_err err = decoder->state == STATE_LOST ? fail_lost(decoder, detail) : CF_OK;
    if (err == CF_OK)
        do
            err = try_take(decoder, out, &again, detail);
        while (err == CF_OK && again);
    decoder->idle_deaths = 0;
    settle(decoder);
    return err;
}

/* ---- putting ---- */

enum cf_err cf_decoder_put(struct cf_decoder *decoder, struct cf_bytes file, struct cf_detail *detail)
{
    if (file.len == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the picture is empty");
    if (file.len > decoder->file_bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the picture has %zu bytes: at most %zu are allowed", file.len,
                       decoder->file_bytes_max);
    bool is_large = file.len > CF_DECODE_SMALL_BYTES;
    if (cf_decoder_in_hand(decoder) == CF_DECODER_AHEAD || (is_large && decoder->large))
        return cf_fail(detail, CF_E_BUSY, "the decoder has no room for another picture now");
    uint64_t number = ++decoder->ordered;
    size_t slot = cf_decode_slot(number);
    if (is_large)
        decoder->large = number;
    memcpy(is_large ? decoder->orders->large : decoder->orders->small[slot], file.data, file.len);
    decoder->orders->bytes[slot] = file.len;
    if (cf_decoder_in_hand(decoder) == 1) { /* its time begins now */
        decoder->current = number;
        decoder->current_since_ms = cf_clock_mono_ms();
    }
    ask_keeper(decoder);
    show(decoder);
    return CF_OK;
}

size_t cf_decoder_in_hand(const struct cf_decoder *decoder)
{
    return (size_t)(decoder->ordered - decoder->settled);
}

void cf_decoder_drop(struct cf_decoder *decoder)
{
    if (cf_decoder_in_hand(decoder) == 0)
        return;
    bool idle = decoder->shown == decoder->ordered && done_of(decoder) == decoder->ordered;
    decoder->settled = decoder->ordered;
    decoder->shown = decoder->ordered;
    atomic_store(&decoder->orders->ordered, decoder->ordered);
    decoder->large = 0;
    if (!idle && decoder->state != STATE_LOST && await_death(decoder, NULL) == CF_OK)
        restart_behind(decoder, decoder->settled);
}

enum cf_err cf_decoder_decode(struct cf_decoder *decoder, struct cf_bytes file, struct cf_decoded *out,
                              struct cf_detail *detail)
{
    CF_CHECK(cf_decoder_in_hand(decoder) == 0);
    enum cf_err err = cf_decoder_put(decoder, file, detail);
    return err == CF_OK ? cf_decoder_take(decoder, out, detail) : err;
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
                               cf_decode_work *work, int orders_fd, struct cf_detail *detail)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return cf_fail_errno(detail, "socketpair");
    const struct cf_keeper keeper = {.control = ends[1],
                                     .worker = getpid(),
                                     .results = decoder->results,
                                     .orders = decoder->orders,
                                     .orders_bytes = decoder->orders_bytes,
                                     .orders_fd = orders_fd,
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

static void *map(size_t bytes, int flags, int fd)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Address space only: pages come when a picture needs them. The orders are a file, so that the children can
 * open it for reading only: no later call of theirs makes such a mapping writable again. */
static enum cf_err map_shared(struct cf_decoder *decoder, int orders_fd, struct cf_detail *detail)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = sizeof *decoder->orders + decoder->file_bytes_max;
    decoder->orders_bytes = (bytes + page - 1) / page * page;
    if (orders_fd < 0 || ftruncate(orders_fd, (off_t)decoder->orders_bytes) != 0)
        return cf_fail_errno(detail, "memory shared with the decoder");
    decoder->results = map(sizeof *decoder->results, MAP_ANONYMOUS, -1);
    decoder->orders = map(decoder->orders_bytes, 0, orders_fd);
    return decoder->results && decoder->orders ? CF_OK
                                               : cf_fail_errno(detail, "memory shared with the decoder");
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
    decoder->side_max = (uint32_t)config->image_side_max;
    int orders_fd = memfd_create("cf-orders", MFD_CLOEXEC);
    enum cf_err err = map_shared(decoder, orders_fd, detail);
    if (err == CF_OK)
        err = fork_keeper(decoder, config, work, orders_fd, detail);
    if (orders_fd >= 0)
        close(orders_fd);
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
    if (decoder->results)
        munmap(decoder->results, sizeof *decoder->results);
    if (decoder->orders)
        munmap(decoder->orders, decoder->orders_bytes);
    free(decoder);
}

const char *cf_decoder_note(const struct cf_decoder *decoder)
{
    return decoder->note;
}

pid_t cf_decoder_pid(const struct cf_decoder *decoder)
{
    return decoder->pid;
}
