#include "workers/descriptor/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/file.h"

/* O_NONBLOCK: a FIFO must not hang the worker. */
static const int open_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/* What of `path` follows `root` and a slash; NULL when it does not lie below by name. */
static const char *below(const char *root, const char *path)
{
    size_t len = strlen(root);
    while (len > 0 && root[len - 1] == '/')
        len--;
    if (strncmp(path, root, len) != 0 || path[len] != '/')
        return NULL;
    path += len + strspn(path + len, "/");
    return *path ? path : NULL;
}

/* For kernels without openat2: resolved first, then opened without following another link. */
static int open_resolved(const char *root, const char *path)
{
    char real_root[PATH_MAX], real[PATH_MAX];
    if (!realpath(root, real_root) || !realpath(path, real))
        return -1;
    if (!below(real_root, real)) {
        errno = EXDEV;
        return -1;
    }
    return open(real, open_flags | O_NOFOLLOW);
}

/* The way to the file through one root. */
struct way {
    int fd;        /* or -1 and why */
    int why;       /* EXDEV when the way there leaves the root */
    bool bad_root; /* the root itself is what failed */
};

static bool may_search(const char *root)
{
    return faccessat(AT_FDCWD, root, X_OK, AT_EACCESS) == 0;
}

static struct way open_below(const char *root, const char *rest, const char *path)
{
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return (struct way){-1, errno, true};
    struct open_how how = {.flags = (unsigned)open_flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd;
    do /* EAGAIN: something was renamed while the kernel looked */
        fd = (int)syscall(SYS_openat2, folder, rest, &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    if (fd < 0 && errno == ENOSYS)
        fd = open_resolved(root, path);
    int why = errno;
    close(folder);
    return (struct way){fd, why, fd < 0 && why == EACCES && !may_search(root)};
}

static enum cf_err open_error(const char *path, int why, bool *ours, struct cf_detail *detail)
{
    switch (why) {
    case EXDEV:
        return cf_fail(detail, CF_E_OUTSIDE_ROOTS, "%.200s: it leads out of its root", path);
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return cf_fail(detail, CF_E_NOT_FOUND, "%.200s: no such file", path);
    case ENXIO: /* a socket */
        return cf_fail(detail, CF_E_UNSUPPORTED, "%.200s: not a regular file", path);
    default:
        *ours = why != EACCES && why != EPERM;
        errno = why;
        return cf_fail_errno(detail, path);
    }
}

static enum cf_err root_error(const char *root, int why, bool *ours, struct cf_detail *detail)
{
    *ours = true;
    return cf_fail(detail, why == ENOMEM ? CF_E_NO_MEMORY : CF_E_IO,
                   "the folder %.180s of descriptor.roots cannot be opened: %s", root, strerror(why));
}

static enum cf_err read_regular(int fd, const char *path, size_t bytes_max, struct cf_buf *out, bool *ours,
                                struct cf_detail *detail)
{
    struct stat info;
    enum cf_err err;
    if (fstat(fd, &info) != 0)
        err = cf_fail_errno(detail, path);
    else if (!S_ISREG(info.st_mode))
        return cf_fail(detail, CF_E_UNSUPPORTED, "%.200s: not a regular file", path);
    else
        err = cf_file_read_fd(fd, path, bytes_max, out, detail);
    *ours = err != CF_OK && err != CF_E_TOO_LARGE;
    return err;
}

/* Through the first root that has it. A root that failed may have had it: that comes before what the others
 * say. */
static enum cf_err fetch_from_roots(const struct cf_config *config, const char *path, struct cf_buf *out,
                                    bool *ours, struct cf_detail *detail)
{
    bool in_root = false;
    const char *bad_root = NULL;
    int why = EXDEV, root_why = 0;
    for (size_t i = 0; i < config->root_count; i++) {
        const char *rest = below(config->roots[i], path);
        if (!rest)
            continue;
        in_root = true;
        struct way way = open_below(config->roots[i], rest, path);
        if (way.fd >= 0) {
            enum cf_err err = read_regular(way.fd, path, (size_t)config->image_bytes_max, out, ours, detail);
            close(way.fd);
            return err;
        }
        if (way.bad_root) {
            bad_root = config->roots[i];
            root_why = way.why;
        } else if (way.why != EXDEV)
            why = way.why;
    }
    if (!in_root)
        return cf_fail(detail, CF_E_OUTSIDE_ROOTS, "%.200s: not below a folder of descriptor.roots", path);
    return bad_root ? root_error(bad_root, root_why, ours, detail) : open_error(path, why, ours, detail);
}

enum cf_err cf_fetch_file(const struct cf_config *config, struct cf_str path, struct cf_buf *out, bool *ours,
                          struct cf_detail *detail)
{
    char text[PATH_MAX];
    *ours = false;
    if (path.len == 0 || path.len >= sizeof text || memchr(path.data, '\0', path.len))
        return cf_fail(detail, CF_E_NOT_FOUND, "a path of %zu bytes names no file", path.len);
    memcpy(text, path.data, path.len);
    text[path.len] = '\0';
    return fetch_from_roots(config, text, out, ours, detail);
}
