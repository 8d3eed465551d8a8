#include "common/base/config.h"
#include "common/descriptor/space.h"

#include <stdlib.h>

#include "deploy/cli/command.h"

/* `text` is a line "KEY = VALUE" of cf_config_print: prints the value bare, the items of a list one a line.
 */
static void print_value(const char *text, FILE *out)
{
    if (text[0] != '"' && text[0] != '{') {
        fprintf(out, "%s\n", text);
        return;
    }
    bool inside = false, any = false;
    for (; *text; text++) {
        if (*text == '"') {
            if (inside)
                putc('\n', out);
            inside = !inside;
            any = true;
        } else if (inside) {
            putc(*text, out);
        }
    }
    if (inside && any)
        putc('\n', out);
}

static bool print_key(char *all, const char *key, FILE *out)
{
    size_t len = strlen(key);
    for (char *line = all, *rest = NULL; (line = strtok_r(line, "\n", &rest)); line = NULL) {
        if (strncmp(line, key, len) == 0 && strncmp(line + len, " = ", 3) == 0) {
            print_value(line + len + 3, out);
            return true;
        }
    }
    return false;
}

static enum cf_exit get(const struct cf_command *command, const struct cf_config *config, const char *key)
{
    char *all = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&all, &size);
    if (!memory) {
        cf_say(command->name, cf_str(""), CF_E_NO_MEMORY, NULL);
        return CF_EXIT_REFUSED;
    }
    cf_config_print(config, memory);
    bool written = fclose(memory) == 0;
    enum cf_exit result = CF_EXIT_DONE;
    if (!written) {
        cf_say(command->name, cf_str(""), CF_E_NO_MEMORY, NULL);
        result = CF_EXIT_REFUSED;
    } else if (!print_key(all, key, stdout)) {
        result = cf_command_misuse(command,
                                   "there is no setting \"%.60s\": coverfleet config show lists them", key);
    }
    free(all);
    return result;
}

static enum cf_err load(struct cf_config *config, const struct cf_home *home, const char *file,
                        struct cf_detail *detail)
{
    return file ? cf_config_load_file(config, home, file, detail) : cf_config_load(config, home, detail);
}

/* Whether the spaces exist, and the model that some of them need is there and sound. */
static enum cf_err check_spaces(const struct cf_config *config, const struct cf_home *home,
                                struct cf_detail *detail)
{
    struct cf_detail complaint = {""};
    enum cf_err err = cf_spaces_enable(config, home, &complaint, detail);
    if (!err && complaint.text[0])
        err = cf_fail(detail, CF_E_CORRUPT, "%s", complaint.text);
    if (!err)
        err = cf_spaces_load(config, detail);
    cf_spaces_unload();
    return err;
}

static enum cf_exit operate(const struct cf_command *command, struct cf_config *config, const char *op,
                            const char *value)
{
    struct cf_home home;
    struct cf_detail detail = {""};
    enum cf_err err = cf_home_resolve(&home, &detail);
    if (!err && strcmp(op, "home") == 0) {
        puts(home.root);
        return CF_EXIT_DONE;
    }
    if (!err)
        err = load(config, &home, strcmp(op, "get") == 0 ? NULL : value, &detail);
    if (!err && strcmp(op, "check") == 0)
        err = check_spaces(config, &home, &detail);
    if (err) {
        cf_say(command->name, cf_str(""), err, &detail);
        return err == CF_E_INVALID || err == CF_E_UNKNOWN_SPACE ? CF_EXIT_USAGE : cf_exit_of(err);
    }
    if (strcmp(op, "get") == 0)
        return get(command, config, value);
    if (strcmp(op, "show") == 0)
        cf_config_print(config, stdout);
    else
        printf("%s%s: in order\n", value ? value : home.root, value ? "" : "/coverfleet.conf");
    return CF_EXIT_DONE;
}

static enum cf_exit choose(const struct cf_command *command, const struct cf_args *args)
{
    static const struct {
        const char *name;
        size_t least, most; /* arguments */
    } operations[] = {{"check", 0, 1}, {"show", 0, 1}, {"get", 1, 1}, {"home", 0, 0}};
    const char *op = args->rest_count > 0 ? args->rest[0] : "";
    size_t found = 0, more = args->rest_count > 0 ? args->rest_count - 1 : 0;
    while (found < 4 && strcmp(op, operations[found].name) != 0)
        found++;
    if (found == 4)
        return cf_command_misuse(command, "%s%.60s: the operation is check, show, get or home",
                                 op[0] ? "unknown operation " : "no operation", op);
    if (more < operations[found].least || more > operations[found].most)
        return cf_command_misuse(command, "%s: wrong number of arguments", op);
    struct cf_config *config = calloc(1, sizeof *config);
    if (!config) {
        cf_say(command->name, cf_str(""), CF_E_NO_MEMORY, NULL);
        return CF_EXIT_REFUSED;
    }
    enum cf_exit result = operate(command, config, op, more ? args->rest[1] : NULL);
    free(config);
    return result;
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    const struct cf_opt opts[] = {{.name = NULL}};
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = choose(command, &args);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_config = {
    .name = "config",
    .usage = "check [FILE] | show [FILE] | get KEY | home",
    .summary = "Check the configuration, print what is in force",
    .about = "The configuration is HOME/coverfleet.conf, where HOME is COVERFLEET_HOME. check exits 2 and "
             "names file, line\n"
             "and key when something is wrong with it, 1 when the model of copy and style is missing or "
             "damaged; show prints every value in force; get prints one of "
             "them bare,\n"
             "for scripts (coverfleet config get descriptor.workers); home prints the fleet's folder.",
    .run = run,
};
