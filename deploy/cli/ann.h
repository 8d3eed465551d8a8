/* `coverfleet ann`: indexes without a fleet. What its operations share. Not for other commands. */
#ifndef CF_CLI_ANN_H
#define CF_CLI_ANN_H

#include "common/ann/ann.h"
#include "common/base/buf.h"
#include "common/vecfile/vecfile.h"
#include "deploy/cli/command.h"
#include "deploy/cli/json.h"

extern const struct cf_command cf_command_ann_build, cf_command_ann_search, cf_command_ann_pairs,
    cf_command_ann_info, cf_command_ann_verify;

enum { CF_ANN_K_MAX = 10000 };

/* Says it on standard error, with --json on standard output too; returns the exit code. */
enum cf_exit cf_ann_refuse(const struct cf_command *command, bool json, enum cf_err err,
                           const struct cf_detail *detail);

/* Members about an index, into the object that is open. */
void cf_ann_info_json(struct cf_json *json, const struct cf_ann *ann);
double cf_ann_bytes_per_vector(const struct cf_ann_info *info); /* 0 without vectors */

/* ---- which vectors an index was built from: its attachment ---- */

struct cf_origin {
    uint64_t count;
    uint32_t dim;
    struct cf_vecfile_sum sum;
};

enum cf_err cf_origin_encode(const struct cf_origin *origin, struct cf_buf *out) CF_MUST_CHECK;
/* CF_E_INVALID for an index that `ann build` did not make. */
enum cf_err cf_origin_of(const struct cf_ann *ann, const char *path, struct cf_origin *origin,
                         struct cf_detail *detail) CF_MUST_CHECK;
/* Opens the vectors that the index at `path` was built from and reads them once, to be sure: `vectors`, or
 * where that is NULL PATH.full.npy (build --full). CF_E_INVALID when they are other ones. */
enum cf_err cf_origin_open(const struct cf_ann *ann, const char *path, const char *vectors, bool quiet,
                           struct cf_vecfile **file, struct cf_detail *detail) CF_MUST_CHECK;
/* "PATH.full.npy" into `out`. CF_E_INVALID when it is too long. */
enum cf_err cf_origin_full_path(const char *path, char *out, size_t size,
                                struct cf_detail *detail) CF_MUST_CHECK;

#endif
