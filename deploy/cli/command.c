#include "deploy/cli/command.h"

#include <errno.h>
#include <stdarg.h>

#include "common/base/cpu.h"

static const struct cf_command *const commands[] = {
    &cf_command_push,       &cf_command_remove,   &cf_command_show,    &cf_command_query,
    &cf_command_duplicates, &cf_command_status,   &cf_command_queue,   &cf_command_index,
    &cf_command_redescribe, &cf_command_describe, &cf_command_vectors, &cf_command_eval,
    &cf_command_map,        &cf_command_config,   &cf_command_ann,
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const struct cf_command *find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("usage: coverfleet COMMAND [ARGUMENT...]\n\nWhich albums look like this one?\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  version    print the version\n"
          "  help       this text, or help COMMAND\n\n"
          "The fleet is the one of COVERFLEET_HOME, or --endpoint. Exit codes: 0 done; 1 refused, not found "
          "or too\n"
          "late, the error is named; 2 wrong call or configuration; 3 no fleet answered; 4 partly done.\n",
          out);
}

static void print_help(const struct cf_command *command, const struct cf_opt *opts, FILE *out)
{
    fprintf(out, "usage: coverfleet %s %s\n\n%s\n", command->name, command->usage, command->summary);
    if (command->about[0])
        fprintf(out, "\n%s\n", command->about);
    fputc('\n', out);
    cf_args_explain(opts, out);
}

bool cf_command_parse(const struct cf_command *command, int argc, const char *const *argv,
                      const struct cf_opt *opts, struct cf_args *args, enum cf_exit *result)
{
    struct cf_detail detail;
    enum cf_err err = cf_args_parse(args, argc, argv, opts, &detail);
    if (err) {
        *result = cf_say_usage(command->name, &detail);
        return false;
    }
    if (args->help) {
        print_help(command, opts, stdout);
        *result = CF_EXIT_DONE;
        return false;
    }
    return true;
}

enum cf_exit cf_command_misuse(const struct cf_command *command, const char *fmt, ...)
{
    struct cf_detail detail;
    va_list list;
    va_start(list, fmt);
    vsnprintf(detail.text, sizeof detail.text, fmt, list);
    va_end(list);
    return cf_say_usage(command->name, &detail);
}

static bool is_word(const char *text, const char *word, const char *option)
{
    return strcmp(text, word) == 0 || strcmp(text, option) == 0;
}

static enum cf_exit help(int argc, const char *const *argv)
{
    if (argc < 3) {
        print_overview(stdout);
        return CF_EXIT_DONE;
    }
    const struct cf_command *command = find(argv[2]);
    const char *const asked[] = {argv[2], "--help", NULL};
    if (command)
        return command->run(command, 2, asked);
    fprintf(stderr, "coverfleet: there is no command %.60s (coverfleet help lists them)\n", argv[2]);
    return CF_EXIT_USAGE;
}

static enum cf_exit dispatch(int argc, const char *const *argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return CF_EXIT_USAGE;
    }
    if (is_word(argv[1], "help", "--help") || strcmp(argv[1], "-h") == 0)
        return help(argc, argv);
    if (is_word(argv[1], "version", "--version")) {
        puts("coverfleet " CF_VERSION);
        return CF_EXIT_DONE;
    }
    const struct cf_command *command = find(argv[1]);
    if (!command) {
        fprintf(stderr, "coverfleet: there is no command %.60s (coverfleet help lists them)\n", argv[1]);
        return CF_EXIT_USAGE;
    }
    struct cf_detail detail;
    enum cf_err err = cf_cpu_init(&detail);
    if (err) {
        cf_say(command->name, cf_str(""), err, &detail);
        return CF_EXIT_USAGE;
    }
    return command->run(command, argc - 1, argv + 1);
}

enum cf_exit cf_cli_run(int argc, const char *const *argv)
{
    enum cf_exit result = dispatch(argc, argv);
    /* An answer that did not reach the disk or the pipe is no answer. */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return result;
    fprintf(stderr, "coverfleet: standard output: %s\n", strerror(errno));
    return result == CF_EXIT_DONE ? CF_EXIT_REFUSED : result;
}
