/* Whole files, written so that a reader sees the old one or the new one, never a part. */
#ifndef CF_BASE_FILE_H
#define CF_BASE_FILE_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

/* Reads a regular file of at most `bytes_max` bytes, appended to `out`; CF_E_TOO_LARGE beyond that, CF_E_NOT_FOUND, CF_E_IO,
 * CF_E_INVALID for a pipe, a device or a folder, without ever waiting for one. "-" is not special. */
enum cf_err cf_file_read(const char *path, size_t bytes_max, struct cf_buf *out, struct cf_detail *detail) CF_MUST_CHECK;

/* As cf_file_read, from an open descriptor until its end; `name` is for the sentence. Does not close it. */
enum cf_err cf_file_read_fd(int fd, const char *name, size_t bytes_max, struct cf_buf *out,
                            struct cf_detail *detail) CF_MUST_CHECK;

/* Writes to a temporary name in the same folder, syncs, renames, syncs the folder. */
enum cf_err cf_file_publish(const char *path, struct cf_bytes content, struct cf_detail *detail) CF_MUST_CHECK;

/* The last two steps of cf_file_publish for somebody who wrote `temporary` (same folder) by themselves and synced it. */
enum cf_err cf_file_rename_synced(const char *temporary, const char *path, struct cf_detail *detail) CF_MUST_CHECK;

/* Has the disk begin with bytes that are written for good, so that it need not take all of a large file in some later
 * sync, with everybody's reads behind it. Waits for nothing but a place in the disk's queue, and promises nothing. */
void cf_file_write_behind(int fd, uint64_t offset, uint64_t bytes);

/* mkdir -p: what is missing on the way with mode 0755, the folder itself with 0750, less the umask. What exists stays as it
 * is. */
enum cf_err cf_file_make_dirs(const char *path, struct cf_detail *detail) CF_MUST_CHECK;

/* Bytes free for us on the file system that holds `path`. */
enum cf_err cf_file_disk_free(const char *path, uint64_t *bytes, struct cf_detail *detail) CF_MUST_CHECK;

#endif
