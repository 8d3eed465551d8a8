#include "common/decoder/sandbox.h"

#ifdef CF_SANITIZE

int cf_sandbox_enter(int fd, size_t memory_bytes_max)
{
    (void)fd;
    (void)memory_bytes_max;
    return 0;
}

#else

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SLACK_BYTES = 64 << 20 }; /* the allocator's own, and what resizing needs beside the pixels */

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm)
        return 0;
    if (fscanf(statm, "%lu", &pages) != 1)
        pages = 0;
    fclose(statm);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int limit(int resource, rlim_t most)
{
    const struct rlimit both = {most, most};
    return setrlimit(resource, &both) == 0 ? 0 : errno;
}

static int limit_resources(size_t memory_bytes_max)
{
    size_t now = address_space();
    int code = now ? limit(RLIMIT_AS, now + memory_bytes_max + SLACK_BYTES) : ENOENT;
    if (code == 0)
        code = limit(RLIMIT_CORE, 0);
    if (code == 0)
        code = limit(RLIMIT_FSIZE, 0);
    if (code == 0)
        code = limit(RLIMIT_NOFILE, 0); /* no new ones; `fd` is open already */
    if (code == 0 && prctl(PR_SET_DUMPABLE, 0) != 0)
        code = errno;
    return code;
}

/* Memory, time and the end; the allocator needs most of it. */
static const int plain_calls[] = {
    SCMP_SYS(brk),          SCMP_SYS(munmap),       SCMP_SYS(mremap),          SCMP_SYS(madvise),
    SCMP_SYS(futex),        SCMP_SYS(getrandom),    SCMP_SYS(sysinfo),         SCMP_SYS(sched_yield),
    SCMP_SYS(setitimer),    SCMP_SYS(gettimeofday), SCMP_SYS(clock_gettime),   SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(exit),         SCMP_SYS(restart_syscall), SCMP_SYS(exit_group),
    SCMP_SYS(getpid),       SCMP_SYS(gettid),
};

static int add_rules(scmp_filter_ctx filter, int fd)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof plain_calls / sizeof plain_calls[0]; i++)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain_calls[i], 0);
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(read), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fd));
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fd));
    /* Memory of its own only, and never code. */
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    /* What is read-only stays so; the allocator knows what to do when it is refused. */
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 0);
    /* abort() ends it by the signal that people know. */
    if (code == 0)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    return code;
}

static int filter_calls(int fd)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!filter)
        return ENOMEM;
    int code = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* errno as the kernel gave it */
    if (code == 0)
        code = add_rules(filter, fd);
    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter);
    return -code;
}

int cf_sandbox_enter(int fd, size_t memory_bytes_max)
{
    int code = limit_resources(memory_bytes_max);
    int filtered = filter_calls(fd);
    return code ? code : filtered;
}

#endif
