#include "common/vecfile/fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"

enum { BUFFER_BYTES = 256 << 10 };

struct cf_fresh {
    int fd;
    bool named; /* `temporary` is there */
    char path[PATH_MAX], temporary[PATH_MAX];
    size_t buffered;
    uint8_t buffer[BUFFER_BYTES];
};

/* A rename would put a file in place of a device or a pipe. */
enum cf_err cf_fresh_check(const char *path, struct cf_detail *detail)
{
    struct stat status;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode))
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID, "%.200s is there and is no regular file: choose another name", path);
}

bool cf_fresh_same(const char *a, const char *b)
{
    struct stat first, second;
    if (!a || !b)
        return false;
    return strcmp(a, b) == 0 || (stat(a, &first) == 0 && stat(b, &second) == 0 &&
                                 first.st_dev == second.st_dev && first.st_ino == second.st_ino);
}

static enum cf_err open_named(struct cf_fresh *fresh, struct cf_detail *detail)
{
    fresh->fd = open(fresh->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    fresh->named = fresh->fd >= 0;
    return fresh->named ? CF_OK : cf_fail_errno(detail, fresh->temporary);
}

static enum cf_err open_unnamed(struct cf_fresh *fresh, struct cf_detail *detail)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(fresh->path, '/');
    size_t len = slash ? (size_t)(slash - fresh->path) + 1 : 0;
    snprintf(folder, sizeof folder, "%.*s.", (int)len, fresh->path);
    fresh->fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0666);
    if (fresh->fd >= 0)
        return CF_OK;
    /* EISDIR: a kernel or file system that does not know such files. */
    if (errno == EOPNOTSUPP || errno == EISDIR)
        return open_named(fresh, detail);
    return cf_fail_errno(detail, fresh->path);
}

enum cf_err cf_fresh_new(const char *path, struct cf_fresh **fresh, struct cf_detail *detail)
{
    struct cf_fresh *made = malloc(sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: out of memory", path);
    made->fd = -1;
    made->named = false;
    made->buffered = 0;
    enum cf_err err = cf_fresh_check(path, detail);
    if (!err && (path[0] == '\0' || strlen(path) >= sizeof made->path - 32))
        err = cf_fail(detail, CF_E_INVALID, "a file's name has %zu bytes: 1 to %zu are allowed", strlen(path),
                      sizeof made->path - 33);
    if (!err) {
        strcpy(made->path, path);
        snprintf(made->temporary, sizeof made->temporary, "%.*s.tmp.%ld", (int)sizeof made->path - 32, path,
                 (long)getpid());
        err = open_unnamed(made, detail);
    }
    if (err) {
        cf_fresh_free(made);
        return err;
    }
    *fresh = made;
    return CF_OK;
}

void cf_fresh_free(struct cf_fresh *fresh)
{
    if (!fresh)
        return;
    if (fresh->fd >= 0)
        close(fresh->fd);
    if (fresh->named)
        unlink(fresh->temporary);
    free(fresh);
}

/* At `offset`, or at the end when it is negative. */
static enum cf_err put(struct cf_fresh *fresh, struct cf_bytes bytes, off_t offset, struct cf_detail *detail)
{
    while (bytes.len > 0) {
        ssize_t done = offset < 0 ? write(fresh->fd, bytes.data, bytes.len)
                                  : pwrite(fresh->fd, bytes.data, bytes.len, offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return cf_fail_errno(detail, fresh->path);
        bytes.data += done;
        bytes.len -= (size_t)done;
        offset += offset < 0 ? 0 : done;
    }
    return CF_OK;
}

static enum cf_err flush(struct cf_fresh *fresh, struct cf_detail *detail)
{
    enum cf_err err = put(fresh, (struct cf_bytes){fresh->buffer, fresh->buffered}, -1, detail);
    fresh->buffered = 0;
    return err;
}

enum cf_err cf_fresh_write(struct cf_fresh *fresh, struct cf_bytes bytes, struct cf_detail *detail)
{
    if (bytes.len > BUFFER_BYTES - fresh->buffered) {
        enum cf_err err = flush(fresh, detail);
        if (err)
            return err;
    }
    if (bytes.len > BUFFER_BYTES)
        return put(fresh, bytes, -1, detail);
    if (bytes.len > 0)
        memcpy(fresh->buffer + fresh->buffered, bytes.data, bytes.len);
    fresh->buffered += bytes.len;
    return CF_OK;
}

enum cf_err cf_fresh_patch(struct cf_fresh *fresh, uint64_t offset, struct cf_bytes bytes,
                           struct cf_detail *detail)
{
    enum cf_err err = flush(fresh, detail);
    return err ? err : put(fresh, bytes, (off_t)offset, detail);
}

/* rename() replaces, linkat() does not: first a name of its own, then the wanted one. */
static enum cf_err name_it(struct cf_fresh *fresh, struct cf_detail *detail)
{
    char self[64];
    if (fresh->named)
        return CF_OK;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fresh->fd);
    unlink(fresh->temporary); /* of a process of our number that was killed */
    if (linkat(AT_FDCWD, self, AT_FDCWD, fresh->temporary, AT_SYMLINK_FOLLOW) != 0)
        return cf_fail_errno(detail, fresh->path);
    fresh->named = true;
    return CF_OK;
}

enum cf_err cf_fresh_sync(struct cf_fresh *fresh, struct cf_detail *detail)
{
    enum cf_err err = flush(fresh, detail);
    return !err && fsync(fresh->fd) != 0 ? cf_fail_errno(detail, fresh->path) : err;
}

enum cf_err cf_fresh_finish(struct cf_fresh *fresh, struct cf_detail *detail)
{
    enum cf_err err = cf_fresh_sync(fresh, detail);
    if (!err)
        err = name_it(fresh, detail);
    if (!err)
        err = cf_file_rename_synced(fresh->temporary, fresh->path, detail);
    if (!err)
        fresh->named = false;
    return err;
}
