/* The commands and the table that dispatches to them. */
#ifndef CF_CLI_COMMAND_H
#define CF_CLI_COMMAND_H

#include "deploy/cli/args.h"
#include "deploy/cli/exit.h"

struct cf_command {
    const char *name;
    const char *usage;   /* what follows "coverfleet NAME" */
    const char *summary; /* one line, in the list of commands */
    const char *about;   /* paragraphs below the usage; may be "" */
    /* argv[0] is the command's name. Results go to standard output, complaints to standard error. */
    enum cf_exit (*run)(const struct cf_command *command, int argc, const char *const *argv);
};

extern const struct cf_command cf_command_ann, cf_command_push, cf_command_remove, cf_command_show,
    cf_command_query, cf_command_duplicates, cf_command_status, cf_command_queue, cf_command_index,
    cf_command_describe, cf_command_vectors, cf_command_eval, cf_command_map, cf_command_config,
    cf_command_redescribe;

/* What `main` calls. */
enum cf_exit cf_cli_run(int argc, const char *const *argv);

/* Parses the arguments of a command. False when there is nothing more to do: help was printed or the call was
 * wrong;
 * `*result` is then the exit code. Free `args` in any case. */
bool cf_command_parse(const struct cf_command *command, int argc, const char *const *argv,
                      const struct cf_opt *opts, struct cf_args *args, enum cf_exit *result);

/* "X does not go with Y" and the like: formats and says it. */
enum cf_exit cf_command_misuse(const struct cf_command *command, const char *fmt, ...) CF_PRINTF(2, 3);

#define CF_OPT_JSON(variable)                                                                                \
    {                                                                                                        \
        .name = "json", .kind = CF_OPT_FLAG, .value = (variable), .help = "facts as JSON on standard output" \
    }

#endif
