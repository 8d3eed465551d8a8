/* What a query is about: albums, pictures, or the rows of a file of vectors. Bytes are read when their turn
 * comes. */
#ifndef CF_CLI_QUERY_TARGETS_H
#define CF_CLI_QUERY_TARGETS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "proto/msg.h"

enum { CF_QUERY_BATCH_TARGETS = 64, CF_QUERY_BATCH_BYTES = 8 << 20, CF_QUERY_FILE_BYTES_MAX = 64 << 20 };

enum cf_target_kind { CF_TARGET_ALBUM, CF_TARGET_IMAGE, CF_TARGET_VECTOR };

/* Vectors of one space, row after row. */
struct cf_vector_file {
    const char *path;
    struct cf_str space;
    struct cf_buf bytes;
    size_t row_bytes;
};

struct cf_targets {
    enum cf_target_kind kind;
    const char *const *names; /* albums or pictures; borrowed */
    struct cf_vector_file files[CF_SPACES_MAX];
    size_t file_count;
    bool several; /* spaces in the query: a target is a row of each file */
    size_t count;
};

/* Adds a file; what it is given is borrowed. CF_E_BAD_VECTOR for one that is not whole rows of the space, or
 * of other many rows than the one before; a space that we do not know is one row, for the fleet to judge.
 * CF_E_INVALID for too many files, CF_E_NOT_FOUND, CF_E_TOO_LARGE, CF_E_IO. */
enum cf_err cf_targets_read_vectors(struct cf_targets *targets, const char *path, struct cf_str space,
                                    struct cf_detail *detail) CF_MUST_CHECK;
void cf_targets_fini(struct cf_targets *targets);

/* The name of a target, for people: the album, the picture's path, or the file of vectors. */
struct cf_str cf_targets_name(const struct cf_targets *targets, size_t index);

/* Fills `target`; a picture's bytes are read into `file`, the rows of several spaces named in `vectors`,
 * which must both live as long. CF_E_BAD_ALBUM, errors of the file. */
enum cf_err cf_targets_get(const struct cf_targets *targets, size_t index, struct cf_buf *file,
                           struct cf_space_vector vectors[CF_SPACES_MAX], struct cf_target *target,
                           struct cf_detail *detail) CF_MUST_CHECK;

#endif
