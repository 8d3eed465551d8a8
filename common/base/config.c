#include "common/base/config.h"

#include <confuse.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const default_spaces[] = {"gray16", "gist", "copy", "style"};
#define DEFAULT_SPACES "{gray16, gist, copy, style}"

/* libconfuse reports through a callback without an argument: the sentence waits here, one load a thread. */
static _Thread_local struct cf_detail *parse_detail;
static _Thread_local const char *parse_path;

CF_PRINTF(2, 0) static void on_parse_error(cfg_t *cfg, const char *fmt, va_list args)
{
    char text[200];
    vsnprintf(text, sizeof text, fmt, args);
    if (parse_detail && parse_detail->text[0] == '\0')
        cf_fail(parse_detail, CF_E_INVALID, "%s:%d: %s", parse_path, cfg ? cfg->line : 0, text);
}

static int check_range(cfg_t *cfg, cfg_opt_t *option, double low, double high)
{
    for (unsigned i = 0; i < cfg_opt_size(option); i++) {
        double value = option->type == CFGT_INT ? (double)cfg_opt_getnint(option, i) : cfg_opt_getnfloat(option, i);
        if (!(value >= low && value <= high)) {
            cfg_error(cfg, "%s.%s is %.15g: it must be %.15g to %.15g", cfg->name, option->name, value, low, high);
            return -1;
        }
    }
    return 0;
}

#define VALIDATOR(section, key, type, standard, low, high)                                                             \
    static int check_##section##_##key(cfg_t *cfg, cfg_opt_t *option)                                                  \
    {                                                                                                                  \
        return check_range(cfg, option, (double)(low), (double)(high));                                                \
    }
CF_CONFIG_NUMBERS(VALIDATOR)
#undef VALIDATOR

typedef char text_row[CF_CONFIG_TEXT_MAX];

static enum cf_err take_list(cfg_t *section, const char *key, text_row *rows, size_t *count, const char *path,
                             struct cf_detail *detail)
{
    unsigned size = cfg_size(section, key);
    if (size == 0)
        return CF_OK;
    if (size > CF_CONFIG_LIST_MAX)
        return cf_fail(detail, CF_E_INVALID, "%s: %s has %u entries: at most %d are allowed", path, key, size,
                       CF_CONFIG_LIST_MAX);
    for (unsigned i = 0; i < size; i++) {
        const char *text = cfg_getnstr(section, key, i);
        if (strlen(text) == 0 || strlen(text) >= CF_CONFIG_TEXT_MAX)
            return cf_fail(detail, CF_E_INVALID, "%s: entry %u of %s has %zu bytes: 1 to %d are allowed", path, i + 1,
                           key, strlen(text), CF_CONFIG_TEXT_MAX - 1);
        snprintf(rows[i], CF_CONFIG_TEXT_MAX, "%s", text);
    }
    *count = size;
    return CF_OK;
}

void cf_config_default(struct cf_config *config, const struct cf_home *home)
{
    memset(config, 0, sizeof *config);
    snprintf(config->log_level, sizeof config->log_level, "info");
#define SET_DEFAULT(section, key, type, standard, low, high) config->section##_##key = standard;
    CF_CONFIG_NUMBERS(SET_DEFAULT)
#undef SET_DEFAULT
    snprintf(config->client_endpoints[0], CF_CONFIG_TEXT_MAX, "ipc://%.480s/client.sock", home->run);
    snprintf(config->worker_endpoints[0], CF_CONFIG_TEXT_MAX, "ipc://%.480s/worker.sock", home->run);
    snprintf(config->event_endpoints[0], CF_CONFIG_TEXT_MAX, "ipc://%.480s/event.sock", home->run);
    config->client_endpoint_count = config->worker_endpoint_count = config->event_endpoint_count = 1;
    config->space_count = sizeof default_spaces / sizeof default_spaces[0];
    for (size_t i = 0; i < config->space_count; i++)
        snprintf(config->spaces[i], CF_CONFIG_TEXT_MAX, "%s", default_spaces[i]);
}

static enum cf_err take_descriptor(cfg_t *section, struct cf_config *config, const char *path,
                                   struct cf_detail *detail)
{
    const char *model = cfg_getstr(section, "model");
    enum cf_err err = take_list(section, "roots", config->roots, &config->root_count, path, detail);
    for (size_t i = 0; err == CF_OK && i < config->root_count; i++)
        if (config->roots[i][0] != '/')
            err = cf_fail(detail, CF_E_INVALID, "%s: descriptor.roots: \"%s\" is not an absolute path", path,
                          config->roots[i]);
    if (err == CF_OK && cfg_size(section, "spaces") == 0)
        err = cf_fail(detail, CF_E_INVALID, "%s: descriptor.spaces is empty: name at least one space", path);
    if (err == CF_OK)
        err = take_list(section, "spaces", config->spaces, &config->space_count, path, detail);
    if (err == CF_OK && strlen(model) >= CF_CONFIG_TEXT_MAX)
        err = cf_fail(detail, CF_E_INVALID, "%s: descriptor.model is longer than %d bytes", path,
                      CF_CONFIG_TEXT_MAX - 1);
    if (err == CF_OK && model[0] && model[0] != '/')
        err = cf_fail(detail, CF_E_INVALID, "%s: descriptor.model: \"%s\" is not an absolute path", path,
                      model);
    if (err == CF_OK)
        snprintf(config->descriptor_model, CF_CONFIG_TEXT_MAX, "%s", model);
    return err;
}

static enum cf_err take_values(cfg_t *cfg, struct cf_config *config, const char *path, struct cf_detail *detail)
{
#define TAKE_INT(section, key) cfg_getint(section, key)
#define TAKE_REAL(section, key) cfg_getfloat(section, key)
#define TAKE(section, key, type, standard, low, high)                                                                  \
    config->section##_##key = TAKE_##type(cfg_getsec(cfg, #section), #key);
    CF_CONFIG_NUMBERS(TAKE)
#undef TAKE
    snprintf(config->log_level, sizeof config->log_level, "%s", cfg_getstr(cfg_getsec(cfg, "log"), "level"));
    cfg_t *broker = cfg_getsec(cfg, "broker");
    enum cf_err err = take_list(broker, "client_endpoints", config->client_endpoints, &config->client_endpoint_count, path,
                                detail);
    if (err == CF_OK)
        err = take_list(broker, "worker_endpoints", config->worker_endpoints, &config->worker_endpoint_count, path, detail);
    if (err == CF_OK)
        err = take_list(broker, "event_endpoints", config->event_endpoints, &config->event_endpoint_count, path, detail);
    if (err == CF_OK)
        err = take_descriptor(cfg_getsec(cfg, "descriptor"), config, path, detail);
    return err;
}

/* libconfuse wants an array of options a section; a number belongs to the section that it names. */
enum { OPTIONS_MAX = 32 };

struct section_options {
    const char *name;
    cfg_opt_t options[OPTIONS_MAX];
    size_t count;
};

static void add_option(struct section_options *sections, size_t count, const char *section, cfg_opt_t option)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(sections[i].name, section) == 0) {
            CF_CHECK(sections[i].count + 1 < OPTIONS_MAX);
            sections[i].options[sections[i].count++] = option;
        }
}

static void fill_sections(struct section_options *sections, size_t count)
{
#define ADD_INT(key, standard) (cfg_opt_t) CFG_INT(#key, standard, CFGF_NONE)
#define ADD_REAL(key, standard) (cfg_opt_t) CFG_FLOAT(#key, standard, CFGF_NONE)
#define ADD(section, key, type, standard, low, high) add_option(sections, count, #section, ADD_##type(key, standard));
    CF_CONFIG_NUMBERS(ADD)
#undef ADD
    add_option(sections, count, "log", (cfg_opt_t)CFG_STR("level", "info", CFGF_NONE));
    static const char *const endpoint_keys[] = {"client_endpoints", "worker_endpoints", "event_endpoints"};
    for (size_t i = 0; i < 3; i++)
        add_option(sections, count, "broker", (cfg_opt_t)CFG_STR_LIST(endpoint_keys[i], "{}", CFGF_NONE));
    add_option(sections, count, "descriptor", (cfg_opt_t)CFG_STR_LIST("roots", "{}", CFGF_NONE));
    add_option(sections, count, "descriptor", (cfg_opt_t)CFG_STR_LIST("spaces", DEFAULT_SPACES, CFGF_NONE));
    add_option(sections, count, "descriptor", (cfg_opt_t)CFG_STR("model", "", CFGF_NONE));
    for (size_t i = 0; i < count; i++)
        sections[i].options[sections[i].count] = (cfg_opt_t)CFG_END();
}

static enum cf_err load_file(struct cf_config *config, const struct cf_home *home, const char *path,
                             struct cf_detail *detail)
{
    struct section_options sections[] = {{.name = "log"},     {.name = "broker"},  {.name = "descriptor"},
                                         {.name = "image"},   {.name = "indexer"}, {.name = "query"}};
    enum { SECTION_COUNT = sizeof sections / sizeof sections[0] };
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) /* the scanner would end the process */
        return cf_fail(detail, CF_E_INVALID, "%s: a folder, not a file", path);
    fill_sections(sections, SECTION_COUNT);
    cfg_opt_t top[SECTION_COUNT + 1];
    for (size_t i = 0; i < SECTION_COUNT; i++)
        top[i] = (cfg_opt_t)CFG_SEC(sections[i].name, sections[i].options, CFGF_NONE);
    top[SECTION_COUNT] = (cfg_opt_t)CFG_END();

    struct cf_detail own = {{0}};
    cfg_t *cfg = cfg_init(top, CFGF_NONE);
    if (!cfg)
        return cf_fail(detail, CF_E_NO_MEMORY, "%s: out of memory", path);
    cfg_set_error_function(cfg, on_parse_error);
#define VALIDATE(section, key, type, standard, low, high)                                                              \
    cfg_set_validate_func(cfg, #section "|" #key, check_##section##_##key);
    CF_CONFIG_NUMBERS(VALIDATE)
#undef VALIDATE
    parse_detail = &own;
    parse_path = path;
    errno = 0;
    int result = cfg_parse(cfg, path);
    parse_detail = NULL;
    enum cf_err err;
    struct cf_config found;
    cf_config_default(&found, home);
    if (result == CFG_FILE_ERROR)
        err = cf_fail_errno(detail, path);
    else if (result != CFG_SUCCESS)
        err = cf_fail(detail, CF_E_INVALID, "%s", own.text[0] ? own.text : path);
    else
        err = take_values(cfg, &found, path, detail);
    cfg_free(cfg);
    if (err == CF_OK)
        *config = found;
    return err;
}

/* libconfuse has one scanner for the whole process, and ends it when two threads meet there. */
enum cf_err cf_config_load_file(struct cf_config *config, const struct cf_home *home, const char *path,
                                struct cf_detail *detail)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&one_at_a_time);
    enum cf_err err = load_file(config, home, path, detail);
    pthread_mutex_unlock(&one_at_a_time);
    return err;
}

enum cf_err cf_config_load(struct cf_config *config, const struct cf_home *home, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "coverfleet.conf");
    if (err != CF_OK)
        return err;
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        cf_config_default(config, home);
        return CF_OK;
    }
    return cf_config_load_file(config, home, path, detail);
}

static void print_list(FILE *out, const char *name, text_row const *rows, size_t count)
{
    fprintf(out, "%s = {", name);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s\"%s\"", i ? ", " : "", rows[i]);
    fprintf(out, "}\n");
}

void cf_config_print(const struct cf_config *config, FILE *out)
{
    fprintf(out, "log.level = \"%s\"\n", config->log_level);
    print_list(out, "broker.client_endpoints", config->client_endpoints, config->client_endpoint_count);
    print_list(out, "broker.worker_endpoints", config->worker_endpoints, config->worker_endpoint_count);
    print_list(out, "broker.event_endpoints", config->event_endpoints, config->event_endpoint_count);
    print_list(out, "descriptor.spaces", config->spaces, config->space_count);
    fprintf(out, "descriptor.model = \"%s\"\n", config->descriptor_model);
    print_list(out, "descriptor.roots", config->roots, config->root_count);
#define FORMAT_INT "%" PRId64
#define FORMAT_REAL "%g"
#define PRINT(section, key, type, standard, low, high)                                                                 \
    fprintf(out, #section "." #key " = " FORMAT_##type "\n", config->section##_##key);
    CF_CONFIG_NUMBERS(PRINT)
#undef PRINT
}
