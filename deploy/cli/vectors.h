/* Inside the vectors command: what its files share. vectors.c takes the arguments apart, vectors_import.c
 * pushes the rows of a file as containers, vectors_export.c reads the shards of the home, vectors_meta.c
 * keeps a table of metadata. */
#ifndef CF_CLI_VECTORS_H
#define CF_CLI_VECTORS_H

#include "common/descriptor/space.h"
#include "common/vecfile/vecfile.h"
#include "deploy/cli/push.h"

struct cf_vectors_options {
    const struct cf_space *space;
    const char *file; /* of vectors */
    const char *ids;
    const char *meta; /* or NULL */
};

/* Pushes and waits; `pusher` has its fleet and options. What went wrong has been said. */
enum cf_exit cf_vectors_import(const struct cf_vectors_options *options, struct cf_pusher *pusher);

/* Writes both files, or neither. What went wrong has been said. */
enum cf_exit cf_vectors_export(const struct cf_vectors_options *options, const char *command, bool json);

/* A table of metadata, whole in memory: a row an album, every other column a key. */
struct cf_vectors_meta;
/* CF_E_INVALID names the file, and the line of a row that is wrong; CF_E_NOT_FOUND, CF_E_IO, CF_E_NO_MEMORY.
 */
enum cf_err cf_vectors_meta_read(const char *path, struct cf_vectors_meta **meta,
                                 struct cf_detail *detail) CF_MUST_CHECK;
void cf_vectors_meta_free(struct cf_vectors_meta *meta); /* takes NULL */
/* Of an album; none of one that the table does not name. Borrowed from `meta`, which may be NULL. */
void cf_vectors_meta_of(struct cf_vectors_meta *meta, struct cf_str album, struct cf_pair **pairs,
                        size_t *count);

#endif
