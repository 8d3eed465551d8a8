/* Arguments of a command by a table of options. The one home of popt.
 *
 * Values are checked here: a number that is none, one out of range, an unknown option or a missing value is a
 * sentence that names the option. Strings live as long as the `cf_args`. */
#ifndef CF_CLI_ARGS_H
#define CF_CLI_ARGS_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/base/span.h"

enum cf_opt_kind {
    CF_OPT_FLAG,     /* bool * */
    CF_OPT_UINT,     /* uint64_t *, low to high */
    CF_OPT_REAL,     /* double *, real_low to real_high */
    CF_OPT_TEXT,     /* const char ** */
    CF_OPT_TEXTS,    /* struct cf_texts *, may be given again and again */
    CF_OPT_DURATION, /* uint64_t *: milliseconds, low to high */
};

struct cf_texts {
    const char **items;
    size_t count;
};

struct cf_opt {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* or 0 */
    enum cf_opt_kind kind;
    void *value; /* keeps its default when the option is absent */
    uint64_t low, high;
    double real_low, real_high;
    const char *placeholder, *help;
};

enum { CF_OPTS_MAX = 24 };

struct cf_args {
    const char **rest; /* what is no option, in order; "-" included */
    size_t rest_count;
    bool help; /* --help or -h was given: nothing else was looked at */
    struct cf_args_memory *memory;
};

/* argv[0] is the command's name. CF_E_INVALID, CF_E_NO_MEMORY; free in any case. */
enum cf_err cf_args_parse(struct cf_args *args, int argc, const char *const *argv, const struct cf_opt *opts,
                          struct cf_detail *detail) CF_MUST_CHECK;
void cf_args_free(struct cf_args *args);

/* The options with their explanations, one a line, --help last. */
void cf_args_explain(const struct cf_opt *opts, FILE *out);

#endif
