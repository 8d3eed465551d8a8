/* A fleet's folder. COVERFLEET_HOME names it; without it /var/lib/coverfleet for an installed program run by root,
 * else ./var. A program counts as installed when it lies in a folder named bin that is not a build tree's. Everything of a fleet lies below, so that two fleets on one machine never meet:
 *
 *     coverfleet.conf            configuration (optional: the defaults stand in base/config.h)
 *     data/journal               the broker's RocksDB
 *     data/shards/NAME           one RocksDB a descriptor slot, NAME = "descriptor-0", …
 *     data/index/SPACE/GEN.idx   index generations
 *     run/                       sockets; when that path is too long for a socket, a private folder in $TMPDIR or /tmp
 *     secondaries/PROCESS/SHARD  private folders of RocksDB secondaries, safe to delete while nothing runs
 *     logs/, service/            the deploy scripts' */
#ifndef CF_BASE_HOME_H
#define CF_BASE_HOME_H

#include <stdbool.h>

#include "common/base/err.h"

#define CF_HOME_PATH_MAX 1024

struct cf_home {
    char root[CF_HOME_PATH_MAX]; /* absolute */
    char run[CF_HOME_PATH_MAX];  /* absolute, short enough for "/broker-worker.sock" to follow */
};

/* Resolves; creates nothing. CF_E_INVALID when the path is too long. */
enum cf_err cf_home_resolve(struct cf_home *home, struct cf_detail *detail) CF_MUST_CHECK;

/* Creates root and data (mode 0750) and run (mode 0700); what exists keeps its mode. Refuses a run folder in /tmp that belongs to somebody else. */
enum cf_err cf_home_create(const struct cf_home *home, struct cf_detail *detail) CF_MUST_CHECK;

/* Is the program of this absolute path an installed one? PREFIX/bin/NAME is, unless PREFIX is a build tree. */
bool cf_home_is_installed(const char *program);

/* "ROOT/<formatted>" into `path` of `size` bytes; CF_E_INVALID when it does not fit. */
enum cf_err cf_home_path(const struct cf_home *home, char *path, size_t size, struct cf_detail *detail, const char *fmt,
                         ...) CF_PRINTF(5, 6) CF_MUST_CHECK;

#endif
