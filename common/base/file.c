#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum cf_err cf_file_read_fd(int fd, const char *name, size_t bytes_max, struct cf_buf *out, struct cf_detail *detail)
{
    uint8_t chunk[64 * 1024];
    size_t total = 0;
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cf_fail_errno(detail, name);
        if (got == 0)
            break;
        total += (size_t)got;
        if (total > bytes_max)
            return cf_fail(detail, CF_E_TOO_LARGE, "%s: more than the %zu bytes that are allowed", name, bytes_max);
        cf_buf_append(out, chunk, (size_t)got);
    }
    if (!cf_buf_ok(out))
        return cf_fail(detail, CF_E_NO_MEMORY, "%s: out of memory", name);
    return CF_OK;
}

enum cf_err cf_file_read(const char *path, size_t bytes_max, struct cf_buf *out, struct cf_detail *detail)
{
    /* Opening a pipe that nobody writes to would wait for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return cf_fail_errno(detail, path);
    struct stat info;
    enum cf_err err;
    if (fstat(fd, &info) != 0)
        err = cf_fail_errno(detail, path);
    else if (!S_ISREG(info.st_mode))
        err = cf_fail(detail, CF_E_INVALID, "%s: not a regular file", path);
    else
        err = cf_file_read_fd(fd, path, bytes_max, out, detail);
    close(fd);
    return err;
}

static enum cf_err write_synced(const char *path, struct cf_bytes content, struct cf_detail *detail)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return cf_fail_errno(detail, path);
    for (size_t at = 0; at < content.len;) {
        ssize_t put = write(fd, content.data + at, content.len - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            goto failed;
        at += (size_t)put;
    }
    if (fsync(fd) != 0)
        goto failed;
    if (close(fd) != 0)
        return cf_fail_errno(detail, path);
    return CF_OK;
failed:;
    enum cf_err err = cf_fail_errno(detail, path);
    close(fd);
    return err;
}

static enum cf_err sync_folder_of(const char *path, struct cf_detail *detail)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;
    snprintf(folder, sizeof folder, "%.*s", len, slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cf_fail_errno(detail, folder);
    int failed = fsync(fd);
    enum cf_err err = failed ? cf_fail_errno(detail, folder) : CF_OK;
    close(fd);
    return err;
}

enum cf_err cf_file_rename_synced(const char *temporary, const char *path, struct cf_detail *detail)
{
    if (rename(temporary, path) != 0)
        return cf_fail_errno(detail, path);
    return sync_folder_of(path, detail);
}

enum cf_err cf_file_publish(const char *path, struct cf_bytes content, struct cf_detail *detail)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.tmp.%ld", path, (long)getpid()) >= (int)sizeof temporary)
        return cf_fail(detail, CF_E_INVALID, "%.200s…: the path is too long", path);
    enum cf_err err = write_synced(temporary, content, detail);
    if (err == CF_OK)
        err = cf_file_rename_synced(temporary, path, detail);
    if (err != CF_OK)
        unlink(temporary);
    return err;
}

enum cf_err cf_file_make_dirs(const char *path, struct cf_detail *detail)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return cf_fail(detail, CF_E_INVALID, "a folder's path has %zu bytes: 1 to %zu are allowed", len, sizeof part - 1);
    memcpy(part, path, len + 1);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(part, saved ? 0755 : 0750) != 0 && errno != EEXIST)
            return cf_fail_errno(detail, part);
        if (!saved)
            break;
        *p = saved;
    }
    struct stat info;
    if (stat(path, &info) != 0)
        return cf_fail_errno(detail, path);
    if (!S_ISDIR(info.st_mode))
        return cf_fail(detail, CF_E_IO, "%s: not a folder", path);
    return CF_OK;
}

enum cf_err cf_file_disk_free(const char *path, uint64_t *bytes, struct cf_detail *detail)
{
    struct statvfs info;
    if (statvfs(path, &info) != 0)
        return cf_fail_errno(detail, path);
    *bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return CF_OK;
}

void cf_file_write_behind(int fd, uint64_t offset, uint64_t bytes)
{
    (void)sync_file_range(fd, (off64_t)offset, (off64_t)bytes, SYNC_FILE_RANGE_WRITE);
}
