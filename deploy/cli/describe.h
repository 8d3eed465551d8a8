/* `coverfleet describe` for many pictures at once. */
#ifndef CF_CLI_DESCRIBE_H
#define CF_CLI_DESCRIBE_H

#include "common/base/config.h"
#include "common/descriptor/space.h"
#include "deploy/cli/command.h"

struct cf_describe_options {
    const char *const *names; /* folders or ALBUM=FILE, see cf_source_new */
    size_t name_count;
    const char *table, *root; /* may be NULL */
    const struct cf_space *space;
    const char *out, *ids; /* `ids` may be NULL */
    unsigned threads;
    bool json;
};

/* The configuration whose limits hold for pictures; free it with free(). */
enum cf_err cf_describe_config(struct cf_config **config, struct cf_detail *detail) CF_MUST_CHECK;

/* Describes them all, in sandboxed children, a row of `out` each in their order; those that are refused are
 * named on standard error and have no row. Forks: before any other thread of the process is started. */
enum cf_exit cf_describe_many(const struct cf_command *command, const struct cf_describe_options *options);

#endif
