#include "deploy/cli/apart.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int ending[CF_APART_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

static atomic_int signalled, child; /* 0: none */

/* On any thread. The child's death is what wakes who waits for it. */
static void on_signal(int number)
{
    int kept = errno;
    atomic_store(&signalled, number);
    pid_t pid = atomic_load(&child);
    if (pid > 0)
        kill(pid, SIGKILL);
    errno = kept;
}

/* What is ignored stays so: of nohup, say. */
static void watch_signals(struct cf_apart *apart)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    atomic_store(&signalled, 0);
    for (size_t i = 0; i < CF_APART_SIGNALS; i++) {
        sigaction(ending[i], NULL, &apart->before[i]);
        if (apart->before[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &action, NULL);
    }
}

static void restore_signals(const struct cf_apart *apart)
{
    for (size_t i = 0; i < CF_APART_SIGNALS; i++)
        sigaction(ending[i], &apart->before[i], NULL);
}

enum cf_err cf_apart_begin(struct cf_apart *apart, struct cf_detail *detail)
{
    const char *temporary = getenv("TMPDIR");
    int len = snprintf(apart->folder, sizeof apart->folder, "%s/coverfleet-XXXXXX",
                       temporary && *temporary ? temporary : "/tmp");
    if (len >= (int)sizeof apart->folder - NAME_MAX)
        return cf_fail(detail, CF_E_INVALID, "TMPDIR is too long: %.60s…", apart->folder);
    watch_signals(apart);
    if (mkdtemp(apart->folder))
        return CF_OK;
    enum cf_err err = cf_fail_errno(detail, apart->folder);
    restore_signals(apart);
    return err;
}

static void end_with_parent(pid_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it was gone before */
        _exit(1);
}

enum cf_err cf_apart_run(struct cf_apart *apart, int (*work)(void *arg), void *arg, int *code,
                         struct cf_detail *detail)
{
    int status = 0;
    pid_t parent = getpid(), waited;
    fflush(NULL);
    pid_t forked = fork();
    if (forked == 0) {
        restore_signals(apart);
        end_with_parent(parent);
        int done = work(arg);
        fflush(NULL);
        _exit(done);
    }
    if (forked < 0)
        return cf_fail_errno(detail, "a process of its own");
    atomic_store(&child, forked);
    if (atomic_load(&signalled)) /* before the handler knew of it */
        kill(forked, SIGKILL);
    do
        waited = waitpid(forked, &status, 0);
    while (waited < 0 && errno == EINTR);
    atomic_store(&child, 0);
    if (waited != forked)
        return cf_fail_errno(detail, "a process of its own");
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return atomic_load(&signalled) ? cf_fail(detail, CF_E_SHUTTING_DOWN, "it was ended by a signal") : CF_OK;
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        (void)unlinkat(dirfd(folder), entry->d_name, 0); /* never a folder: "." and ".." stay */
    if (folder)
        closedir(folder);
    (void)rmdir(path);
}

void cf_apart_end(struct cf_apart *apart)
{
    remove_folder(apart->folder);
    restore_signals(apart);
    int number = atomic_load(&signalled);
    if (number)
        (void)raise(number);
}
