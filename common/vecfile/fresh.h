/* A file that appears under its name whole and synced, or not at all: what was written before a failure, a
 * Ctrl-C or a kill -9 is gone (where the file system has no unnamed files, a kill leaves PATH.tmp.PID).
 * One owner, no locking. */
#ifndef CF_VECFILE_FRESH_H
#define CF_VECFILE_FRESH_H

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_fresh;

/* CF_E_INVALID when something that is no regular file has that name, CF_E_NOT_FOUND without the folder,
 * CF_E_IO, CF_E_NO_MEMORY. */
enum cf_err cf_fresh_new(const char *path, struct cf_fresh **fresh, struct cf_detail *detail) CF_MUST_CHECK;
/* Of one that was not finished nothing stays. Takes NULL. */
void cf_fresh_free(struct cf_fresh *fresh);

/* Buffered, at the end. CF_E_DISK_FULL, CF_E_IO. */
enum cf_err cf_fresh_write(struct cf_fresh *fresh, struct cf_bytes bytes,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* Over what was written before. */
enum cf_err cf_fresh_patch(struct cf_fresh *fresh, uint64_t offset, struct cf_bytes bytes,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* Writes and syncs what there is, so that cf_fresh_finish can hardly fail: of files that belong together,
 * first each of them. */
enum cf_err cf_fresh_sync(struct cf_fresh *fresh, struct cf_detail *detail) CF_MUST_CHECK;
/* Syncs it and gives it its name; an older file of that name is replaced. Once; then only cf_fresh_free. */
enum cf_err cf_fresh_finish(struct cf_fresh *fresh, struct cf_detail *detail) CF_MUST_CHECK;

/* What cf_fresh_new would say about the name: CF_E_INVALID when what stands there is no regular file. For
 * those who write a file by other means and rename it. */
enum cf_err cf_fresh_check(const char *path, struct cf_detail *detail) CF_MUST_CHECK;
/* Whether two names mean one file, there already or not: what is read must not be written. Either may be
 * NULL. */
bool cf_fresh_same(const char *a, const char *b);

#endif
