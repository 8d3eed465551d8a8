#include "common/base/home.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/hash.h"

/* sun_path holds 108 bytes; the longest name that follows the folder is "/broker-worker.sock". */
enum { CF_RUN_PATH_MAX = 108 - 1 - 20 };

bool cf_home_is_installed(const char *program)
{
    char path[PATH_MAX];
    const char *slash = strrchr(program, '/');
    int folder_len = slash ? (int)(slash - program) : 0;
    if (folder_len < 4 || memcmp(slash - 4, "/bin", 4) != 0)
        return false;
    int len = snprintf(path, sizeof path, "%.*s/CMakeCache.txt", folder_len - 4, program);
    return len < (int)sizeof path && access(path, F_OK) != 0;
}

static bool is_installed(void)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len <= 0)
        return false;
    self[len] = '\0';
    return cf_home_is_installed(self);
}

static enum cf_err resolve_root(struct cf_home *home, struct cf_detail *detail)
{
    const char *wanted = getenv("COVERFLEET_HOME");
    if (!wanted || !*wanted)
        wanted = geteuid() == 0 && is_installed() ? "/var/lib/coverfleet" : "var";
    int len;
    if (wanted[0] == '/') {
        len = snprintf(home->root, sizeof home->root, "%s", wanted);
    } else {
        char here[PATH_MAX];
        if (!getcwd(here, sizeof here))
            return cf_fail_errno(detail, "the current folder");
        len = snprintf(home->root, sizeof home->root, "%s/%s", here, wanted);
    }
    if (len >= (int)sizeof home->root - 256)
        return cf_fail(detail, CF_E_INVALID, "COVERFLEET_HOME has %d bytes: at most %d are allowed", len,
                       (int)sizeof home->root - 257);
    char real[PATH_MAX];
    if (realpath(home->root, real) && strlen(real) < sizeof home->root - 256)
        memcpy(home->root, real, strlen(real) + 1);
    return CF_OK;
}

static void resolve_run(struct cf_home *home)
{
    if (strlen(home->root) + strlen("/run") <= CF_RUN_PATH_MAX) {
        snprintf(home->run, sizeof home->run, "%.*s/run", CF_RUN_PATH_MAX, home->root);
        return;
    }
    const char *base = getenv("TMPDIR");
    if (!base || base[0] != '/' || strlen(base) > 40)
        base = "/tmp";
    struct cf_bytes name = {(const uint8_t *)home->root, strlen(home->root)};
    snprintf(home->run, sizeof home->run, "%s/coverfleet-%u-%016llx", base, (unsigned)geteuid(),
             (unsigned long long)cf_xxh3(name));
}

enum cf_err cf_home_resolve(struct cf_home *home, struct cf_detail *detail)
{
    struct cf_home found;
    enum cf_err err = resolve_root(&found, detail);
    if (err != CF_OK)
        return err;
    resolve_run(&found);
    *home = found;
    return CF_OK;
}

enum cf_err cf_home_create(const struct cf_home *home, struct cf_detail *detail)
{
    char data[CF_HOME_PATH_MAX];
    enum cf_err err = cf_file_make_dirs(home->root, detail);
    if (err == CF_OK)
        err = cf_home_path(home, data, sizeof data, detail, "data");
    if (err == CF_OK)
        err = cf_file_make_dirs(data, detail);
    if (err != CF_OK)
        return err;
    if (mkdir(home->run, 0700) != 0 && errno != EEXIST)
        return cf_fail_errno(detail, home->run);
    struct stat info;
    if (lstat(home->run, &info) != 0)
        return cf_fail_errno(detail, home->run);
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid())
        return cf_fail(detail, CF_E_IO, "%s: the folder for sockets belongs to somebody else", home->run);
    return CF_OK;
}

enum cf_err cf_home_path(const struct cf_home *home, char *path, size_t size, struct cf_detail *detail, const char *fmt,
                         ...)
{
    char tail[CF_HOME_PATH_MAX];
    va_list args;
    va_start(args, fmt);
    int tail_len = vsnprintf(tail, sizeof tail, fmt, args);
    va_end(args);
    if (tail_len >= (int)sizeof tail || strlen(home->root) + 1 + (size_t)tail_len >= size)
        return cf_fail(detail, CF_E_INVALID, "%.200s…/%.80s: the path is too long", home->root, tail);
    snprintf(path, size, "%s/%s", home->root, tail);
    return CF_OK;
}
