/* Covers by path: regular files below the configured roots, and nothing else.
 *
 * A path is taken apart by the kernel relative to the root's own descriptor, so that neither "..", nor a
 * symbolic link, nor somebody who renames folders meanwhile leads outside. */
#ifndef CF_WORKERS_DESCRIPTOR_FETCH_H
#define CF_WORKERS_DESCRIPTOR_FETCH_H

#include "common/base/buf.h"
#include "common/base/config.h"

/* Appends the file's bytes to `out`. CF_E_OUTSIDE_ROOTS (also for everything when there are no roots),
 * CF_E_NOT_FOUND, CF_E_UNSUPPORTED (no regular file), CF_E_TOO_LARGE (image.bytes_max), CF_E_IO,
 * CF_E_NO_MEMORY. `*ours` tells whether a failure is the machine's and not the path's: a root that cannot be
 * opened (it is not mounted, say), a disk that does not read, no descriptor or memory left. Any thread. */
enum cf_err cf_fetch_file(const struct cf_config *config, struct cf_str path, struct cf_buf *out, bool *ours,
                          struct cf_detail *detail) CF_MUST_CHECK;

#endif
