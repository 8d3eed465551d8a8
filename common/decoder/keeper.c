#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/decoder/decoder_work.h"
#include "common/decoder/sandbox.h"

enum {
    ALARM_SLACK_MS = 2000, /* the worker's own limit comes first, unless the worker is stopped */
    KEEP_BYTES = 8 << 20,
};

/* ---- both children ---- */

static void close_range_or_each(unsigned first, unsigned last)
{
    if (first > last || close_range(first, last, 0) == 0)
        return;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    for (unsigned fd = first; fd <= last && fd < files.rlim_cur; fd++)
        close((int)fd);
}

/* Keeps standard error and `fd`; a pipe held open here would make its reader wait for us. */
static void keep_only(int fd)
{
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    close_range_or_each(STDERR_FILENO + 1, (unsigned)fd - 1);
    close_range_or_each((unsigned)fd + 1, ~0u);
}

/* The children end with their parent. A Ctrl-C or a stop of the whole group is the worker's business: it
 * still needs them to finish what it holds. */
static void become_child(const char *name, pid_t parent)
{
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    static const int left_to_the_worker[] = {SIGTERM, SIGINT, SIGHUP};
    static const int ours[] = {SIGCHLD, SIGPIPE, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof left_to_the_worker / sizeof left_to_the_worker[0]; i++)
        signal(left_to_the_worker[i], SIG_IGN);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        signal(ours[i], SIG_DFL); /* not the worker's handlers, which may write or open */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool read_whole(int fd, void *data, size_t size)
{
    ssize_t got;
    do
        got = read(fd, data, size);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)size;
}

static bool write_whole(int fd, const void *data, size_t size)
{
    ssize_t put;
    do
        put = write(fd, data, size);
    while (put < 0 && errno == EINTR);
    return put == (ssize_t)size;
}

/* ---- the decoder ---- */

/* A guard beside the worker's clock: SIGALRM ends a decoder whose worker cannot. */
static void set_alarm(uint64_t ms)
{
    const struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void serve(const struct cf_keeper *keeper, uint64_t number)
{
    size_t slot = cf_decode_slot(number);
    struct cf_decode_result *result = &keeper->results->slots[slot];
    struct cf_bytes file = {keeper->orders->small[slot], keeper->orders->bytes[slot]};
    struct cf_detail detail = {{0}};
    if (file.len > CF_DECODE_SMALL_BYTES)
        file.data = keeper->orders->large;
    atomic_store(&keeper->results->taken, number);
    set_alarm(keeper->decode_ms + ALARM_SLACK_MS);
    result->err = keeper->work(file, &keeper->limits, &result->decoded, &detail);
    result->detail = detail;
}

/* Sleeps until something is ordered after all; false when the worker is gone. */
static bool sleep_until_ordered(const struct cf_keeper *keeper, int fd, uint64_t number)
{
    struct cf_decode_word word;
    set_alarm(0);
    atomic_store(&keeper->results->sleeping, 1);
    if (atomic_load(&keeper->orders->ordered) >= number &&
        atomic_exchange(&keeper->results->sleeping, 0) == 1)
        return true;
    return read_whole(fd, &word, sizeof word);
}

/* The worker sleeps until a certain picture is done. */
static bool wake_worker(const struct cf_keeper *keeper, int fd, uint64_t done)
{
    const struct cf_decode_word word = {0};
    uint64_t awaited = atomic_load(&keeper->results->awaited);
    if (awaited == 0 || awaited > done || atomic_exchange(&keeper->results->awaited, 0) == 0)
        return true;
    return write_whole(fd, &word, sizeof word);
}

/* Freed memory stays for the next picture, as long as it is not much: no page is faulted in again. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
    mallopt(M_TRIM_THRESHOLD, 2 * KEEP_BYTES);
    mallopt(M_ARENA_MAX, 1);
}

static _Noreturn void decoder_run(const struct cf_keeper *keeper, int fd, pid_t parent)
{
    become_child("cf-decoder", parent);
    keep_only(fd);
    keep_memory();
    struct cf_decode_word word = {0};
    word.filter_errno = cf_sandbox_enter(fd, keeper->limits.memory_bytes_max);
    if (!write_whole(fd, &word, sizeof word))
        _exit(1);
    uint64_t number = atomic_load(&keeper->results->done) + 1;
    for (;;) {
        if (atomic_load(&keeper->orders->ordered) < number) {
            if (!sleep_until_ordered(keeper, fd, number))
                _exit(0);
            continue;
        }
        serve(keeper, number);
        atomic_store(&keeper->results->done, number);
        if (!wake_worker(keeper, fd, number))
            _exit(1);
        number++;
    }
}

/* ---- the keeper ---- */

/* Sends the event, with `fd` when it is not -1. The worker's absence shows at the next read. */
static void report(const struct cf_keeper *keeper, const struct cf_keeper_event *event, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)event, sizeof *event};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    while (sendmsg(keeper->control, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
        continue;
}

/* Reports the death and leaves the dead unreaped. */
static void wait_for_death(const struct cf_keeper *keeper, pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
        if (errno != EINTR)
            _exit(1);
    report(keeper, &(struct cf_keeper_event){CF_KEEPER_DIED, pid, info.si_code, info.si_status}, -1);
}

/* Returns the number of a decoder that lived and died, or 0. */
static pid_t keep_one(const struct cf_keeper *keeper)
{
    int ends[2];
    pid_t self = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        report(keeper, &(struct cf_keeper_event){.kind = CF_KEEPER_FAILED, .status = errno}, -1);
        return 0;
    }
    pid_t pid = fork();
    if (pid == 0)
        decoder_run(keeper, ends[1], self);
    close(ends[1]);
    if (pid < 0)
        report(keeper, &(struct cf_keeper_event){.kind = CF_KEEPER_FAILED, .status = errno}, -1);
    else
        report(keeper, &(struct cf_keeper_event){.kind = CF_KEEPER_STARTED, .pid = pid}, ends[0]);
    close(ends[0]);
    if (pid < 0)
        return 0;
    wait_for_death(keeper, pid);
    return pid;
}

static void reap(pid_t pid)
{
    while (pid && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* In place of the worker's writable mapping, one of the same memory opened for reading: the decoders inherit
 * it, and mprotect cannot widen it. Where /proc is missing, the filter alone forbids that. */
static bool orders_for_reading(const struct cf_keeper *keeper)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", keeper->orders_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mprotect(keeper->orders, keeper->orders_bytes, PROT_READ) == 0;
    void *orders =
        mmap(keeper->orders, keeper->orders_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
    close(fd);
    return orders == (void *)keeper->orders;
}

_Noreturn void cf_keeper_run(const struct cf_keeper *keeper)
{
    char byte;
    pid_t dead = 0;
    become_child("cf-keeper", keeper->worker);
    if (!orders_for_reading(keeper))
        _exit(1);
    keep_only(keeper->control);
    while (read_whole(keeper->control, &byte, sizeof byte)) {
        reap(dead);
        dead = keep_one(keeper);
    }
    reap(dead);
    _exit(0);
}
