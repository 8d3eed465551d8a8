#include "deploy/cli/exit.h"

#include <stdio.h>

#include "deploy/cli/json.h"
#include "deploy/cli/text.h"

enum cf_exit cf_exit_of(enum cf_err err)
{
    switch (err) {
    case CF_OK:
        return CF_EXIT_DONE;
    case CF_E_BAD_K:
    case CF_E_BAD_VECTOR:
    case CF_E_UNKNOWN_SPACE:
        return CF_EXIT_USAGE;
    case CF_E_UNREACHABLE:
        return CF_EXIT_UNREACHABLE;
    default:
        return CF_EXIT_REFUSED;
    }
}

enum cf_exit cf_exit_of_many(size_t done, size_t failed, enum cf_err first)
{
    if (failed == 0)
        return CF_EXIT_DONE;
    return done > 0 ? CF_EXIT_PARTLY : cf_exit_of(first);
}

void cf_say_named(const char *command, struct cf_str subject, struct cf_str error, struct cf_str sentence)
{
    fprintf(stderr, "coverfleet %s", command);
    const struct cf_str parts[] = {subject, error, sentence};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len == 0)
            continue;
        fputs(": ", stderr);
        cf_text_put(stderr, parts[i]);
    }
    putc('\n', stderr);
}

void cf_say(const char *command, struct cf_str subject, enum cf_err err, const struct cf_detail *detail)
{
    cf_say_named(command, subject, cf_str(cf_err_name(err)), cf_str(detail ? detail->text : ""));
}

void cf_say_json(struct cf_str error, struct cf_str sentence)
{
    struct cf_detail why = {""};
    struct cf_json *json = cf_json_new();
    cf_json_text(json, "error", error);
    cf_json_text(json, "detail", sentence);
    enum cf_err err = cf_json_print(json, stdout, &why);
    cf_json_free(json);
    if (err)
        fprintf(stderr, "coverfleet: standard output: %s\n", why.text);
}

enum cf_exit cf_say_usage(const char *command, const struct cf_detail *detail)
{
    fprintf(stderr, "coverfleet %s: ", command);
    cf_text_put(stderr, cf_str(detail->text));
    fprintf(stderr, " (coverfleet %s --help explains)\n", command);
    return CF_EXIT_USAGE;
}
