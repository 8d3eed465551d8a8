#include "deploy/cli/args.h"

#include <errno.h>
#include <popt.h>
#include <stdlib.h>

#include "deploy/cli/text.h"

struct cf_args_memory {
    poptContext context;
    const char **argv; /* popt keeps pointing at it */
    char **owned;      /* strings that options point at */
    size_t owned_count;
    struct cf_texts *lists[CF_OPTS_MAX];
    size_t list_count;
};

enum { HELP_VALUE = 1000 };

void cf_args_free(struct cf_args *args)
{
    struct cf_args_memory *memory = args->memory;
    if (memory) {
        poptFreeContext(memory->context);
        for (size_t i = 0; i < memory->owned_count; i++)
            free(memory->owned[i]);
        for (size_t i = 0; i < memory->list_count; i++) {
            free(memory->lists[i]->items);
            *memory->lists[i] = (struct cf_texts){0};
        }
        free(memory->owned);
        free(memory->argv);
        free(memory);
    }
    *args = (struct cf_args){0};
}

/* Takes over `text`; it is freed at once when it cannot be kept. */
static const char *keep(struct cf_args_memory *memory, char *text)
{
    char **grown = text ? realloc(memory->owned, (memory->owned_count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(text);
        return NULL;
    }
    memory->owned = grown;
    return memory->owned[memory->owned_count++] = text;
}

static enum cf_err list_append(struct cf_args_memory *memory, struct cf_texts *list, const char *text,
                               struct cf_detail *detail)
{
    const char **grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (!grown)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (list->count == 0)
        memory->lists[memory->list_count++] = list;
    list->items = grown;
    list->items[list->count++] = text;
    return CF_OK;
}

static enum cf_err parse_uint(const struct cf_opt *opt, const char *text, struct cf_detail *detail)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno)
        return cf_fail(detail, CF_E_INVALID, "--%s takes a whole number, not \"%.40s\"", opt->name, text);
    if (value < opt->low || value > opt->high)
        return cf_fail(detail, CF_E_INVALID, "--%s is %llu: it must be %llu to %llu", opt->name, value,
                       (unsigned long long)opt->low, (unsigned long long)opt->high);
    *(uint64_t *)opt->value = value;
    return CF_OK;
}

static enum cf_err parse_real(const struct cf_opt *opt, const char *text, struct cf_detail *detail)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end)
        return cf_fail(detail, CF_E_INVALID, "--%s takes a number, not \"%.40s\"", opt->name, text);
    if (!(value >= opt->real_low && value <= opt->real_high))
        return cf_fail(detail, CF_E_INVALID, "--%s is %g: it must be %g to %g", opt->name, value,
                       opt->real_low, opt->real_high);
    *(double *)opt->value = value;
    return CF_OK;
}

static enum cf_err parse_duration(const struct cf_opt *opt, const char *text, struct cf_detail *detail)
{
    uint64_t ms;
    struct cf_detail why;
    enum cf_err err = cf_text_duration_parse(text, &ms, &why);
    if (err)
        return cf_fail(detail, err, "--%s: %.250s", opt->name, why.text);
    if (ms < opt->low || ms > opt->high)
        return cf_fail(detail, CF_E_INVALID, "--%s is %llu ms: it must be %llu to %llu ms", opt->name,
                       (unsigned long long)ms, (unsigned long long)opt->low, (unsigned long long)opt->high);
    *(uint64_t *)opt->value = ms;
    return CF_OK;
}

static enum cf_err take(struct cf_args_memory *memory, const struct cf_opt *opt, char *text,
                        struct cf_detail *detail)
{
    if (opt->kind == CF_OPT_FLAG) {
        *(bool *)opt->value = true;
        return CF_OK;
    }
    const char *kept = keep(memory, text);
    if (!kept)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    switch (opt->kind) {
    case CF_OPT_UINT:
        return parse_uint(opt, kept, detail);
    case CF_OPT_REAL:
        return parse_real(opt, kept, detail);
    case CF_OPT_DURATION:
        return parse_duration(opt, kept, detail);
    case CF_OPT_TEXTS:
        return list_append(memory, opt->value, kept, detail);
    default:
        if (!kept[0])
            return cf_fail(detail, CF_E_INVALID, "--%s is empty", opt->name);
        *(const char **)opt->value = kept;
        return CF_OK;
    }
}

static enum cf_err bad_option(poptContext context, int code, struct cf_detail *detail)
{
    const char *option = poptBadOption(context, POPT_BADOPTION_NOALIAS);
    switch (code) {
    case POPT_ERROR_BADOPT:
        return cf_fail(detail, CF_E_INVALID, "unknown option %.60s", option);
    case POPT_ERROR_NOARG:
        return cf_fail(detail, CF_E_INVALID, "%.60s needs a value", option);
    case POPT_ERROR_UNWANTEDARG:
        return cf_fail(detail, CF_E_INVALID, "%.60s takes no value", option);
    default:
        return cf_fail(detail, CF_E_INVALID, "%.60s: %s", option, poptStrerror(code));
    }
}

static enum cf_err parse_all(struct cf_args *args, const struct cf_opt *opts, struct cf_detail *detail)
{
    poptContext context = args->memory->context;
    int code;
    while ((code = poptGetNextOpt(context)) > 0) {
        if (code == HELP_VALUE) {
            args->help = true;
            return CF_OK;
        }
        const struct cf_opt *opt = &opts[code - 1];
        enum cf_err err =
            take(args->memory, opt, opt->kind == CF_OPT_FLAG ? NULL : poptGetOptArg(context), detail);
        if (err)
            return err;
    }
    if (code < -1)
        return bad_option(context, code, detail);
    args->rest = poptGetArgs(context);
    while (args->rest && args->rest[args->rest_count])
        args->rest_count++;
    return CF_OK;
}

enum cf_err cf_args_parse(struct cf_args *args, int argc, const char *const *argv, const struct cf_opt *opts,
                          struct cf_detail *detail)
{
    *args = (struct cf_args){0};
    struct poptOption table[CF_OPTS_MAX + 2] = {0};
    size_t count = 0;
    for (; opts[count].name; count++) {
        CF_CHECK(count < CF_OPTS_MAX);
        table[count].longName = opts[count].name;
        table[count].shortName = opts[count].letter;
        table[count].argInfo = opts[count].kind == CF_OPT_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING;
        table[count].val = (int)count + 1;
    }
    table[count] = (struct poptOption){.longName = "help", .shortName = 'h', .val = HELP_VALUE};
    args->memory = calloc(1, sizeof *args->memory);
    if (!args->memory)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    args->memory->argv = calloc((size_t)argc + 1, sizeof *argv);
    if (!args->memory->argv)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    memcpy(args->memory->argv, argv, (size_t)argc * sizeof *argv);
    args->memory->context = poptGetContext(NULL, argc, args->memory->argv, table, 0);
    if (!args->memory->context)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    enum cf_err err = parse_all(args, opts, detail);
    return err;
}

static void explain_one(char letter, const char *name, const char *placeholder, const char *help, FILE *out)
{
    char left[80];
    int len = snprintf(left, sizeof left, "%c%c%s--%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
                       letter ? ", " : "  ", name, placeholder ? " " : "", placeholder ? placeholder : "");
    fprintf(out, "  %-*s %s\n", len > 27 ? len : 27, left, help);
}

void cf_args_explain(const struct cf_opt *opts, FILE *out)
{
    for (; opts->name; opts++)
        explain_one(opts->letter, opts->name, opts->placeholder, opts->help, out);
    explain_one('h', "help", NULL, "this text", out);
}
