#include "common/descriptor/space.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/descriptor/cfmap.h"
#include "common/descriptor/covernet.h"
#include "common/descriptor/gist.h"
#include "common/descriptor/gray16.h"
#include "common/descriptor/models.h"

#define MODEL_FILE "covernet-fp16.bin"

enum { PIXELS = CF_COVERNET_SIDE * CF_COVERNET_SIDE };

enum { CF_SLOTS = CF_SPACE_COUNT - CF_SPACE_CF };

/* Of the process: set before its threads, read by all of them. */
static char cf_folders[CF_SLOTS][16];
static struct cf_space table[CF_SPACE_COUNT] = {
    {"gray16", 1, CF_GRAY16_DIM, CF_METRIC_L2, 22.5, "gray16"},
    {"gist", 1, CF_GIST_DIM, CF_METRIC_L2, 2, "gist"},
    {"copy", 1, CF_COVERNET_COPY_DIM, CF_METRIC_COSINE, 1.4, "copy"},
    {"style", 1, CF_COVERNET_STYLE_DIM, CF_METRIC_COSINE, 1.1, "style"},
    {"cf", 0, 0, CF_METRIC_COSINE, 1.4, cf_folders[0]},
    {"cf", 0, 0, CF_METRIC_COSINE, 1.4, cf_folders[1]},
};
const struct cf_space *const cf_spaces = table;
static bool disabled[CF_SPACE_COUNT] = {[CF_SPACE_CF] = true, [CF_SPACE_CF_NEXT] = true};
static struct cf_covernet_model *covernet_model;
static struct cf_cfmap maps[CF_SLOTS];
static struct cf_home models_home; /* root "" when there is none */
static uint32_t models_found[CF_SLOTS];

struct cf_describer {
    struct cf_gist *gist; /* of the last size asked for */
    uint32_t width, height;
    struct cf_covernet *net; /* NULL: no model */
    bool has_heads;          /* of these pixels */
    uint8_t pixels[3 * PIXELS];
    float copy[CF_COVERNET_COPY_DIM], style[CF_COVERNET_STYLE_DIM];
    float inputs[CF_CFMAP_INPUTS_MAX]; /* of cf */
};

/* ---- the fleet's choice ---- */

static enum cf_err find_enabled(const struct cf_config *config, bool enabled[CF_SPACE_COUNT],
                                struct cf_detail *detail)
{
    for (size_t i = 0; i < config->space_count; i++) {
        const struct cf_space *space = cf_space_find(cf_str(config->spaces[i]));
        if (!space)
            return cf_fail(detail, CF_E_UNKNOWN_SPACE,
                           "descriptor.spaces: there is no space \"%.60s\": there are %s", config->spaces[i],
                           cf_space_names());
        if (space >= &table[CF_SPACE_CF])
            return cf_fail(
                detail, CF_E_UNKNOWN_SPACE,
                "descriptor.spaces: cf is not for there: a fleet has it when it has a model of it");
        enabled[space - table] = true;
    }
    return CF_OK;
}

/* Its inputs are spaces of this build, in the versions that it was trained on. */
static enum cf_err check_inputs(const char *path, const struct cf_cfmap *map, struct cf_detail *detail)
{
    for (uint32_t i = 0; i < map->space_count; i++) {
        const struct cf_cfmap_space *input = &map->spaces[i];
        const struct cf_space *space = cf_space_find(cf_str(input->name));
        if (!space || space >= &table[CF_SPACE_CF] || space->version != input->version ||
            space->dim != input->dim)
            return cf_fail(detail, CF_E_BAD_VERSION,
                           "%.200s: it maps %.32s version %u, which this program does not compute", path,
                           input->name, input->version);
    }
    return CF_OK;
}

static enum cf_err read_map(size_t slot, uint32_t version, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    enum cf_err err = cf_models_path(&models_home, version, path, sizeof path, detail);
    if (err == CF_OK)
        err = cf_cfmap_read(path, &maps[slot], detail);
    if (err == CF_OK)
        err = check_inputs(path, &maps[slot], detail);
    if (err == CF_OK && maps[slot].version != version)
        err = cf_fail(detail, CF_E_CORRUPT, "%.200s: it holds version %u", path, maps[slot].version);
    if (err != CF_OK)
        return err;
    struct cf_space *space = &table[CF_SPACE_CF + slot];
    space->version = version;
    space->dim = maps[slot].outputs;
    snprintf(cf_folders[slot], sizeof cf_folders[slot], "cf-%u", version);
    disabled[CF_SPACE_CF + slot] = false;
    return CF_OK;
}

static void forget_maps(void)
{
    for (size_t slot = 0; slot < CF_SLOTS; slot++) {
        cf_cfmap_fini(&maps[slot]);
        table[CF_SPACE_CF + slot].version = table[CF_SPACE_CF + slot].dim = 0;
        disabled[CF_SPACE_CF + slot] = true;
        models_found[slot] = 0;
    }
    models_home.root[0] = '\0';
}

static enum cf_err enable_cf(const struct cf_home *home, struct cf_detail *complaint,
                             struct cf_detail *detail)
{
    struct cf_detail why = {""};
    forget_maps();
    if (complaint)
        complaint->text[0] = '\0';
    if (!home)
        return CF_OK;
    models_home = *home;
    enum cf_err err = cf_models_find(home, &models_found[0], &models_found[1], detail);
    if (err == CF_OK && models_found[0])
        err = read_map(0, models_found[0], detail);
    if (err == CF_OK && models_found[1] && read_map(1, models_found[1], &why) != CF_OK && complaint)
        *complaint = why;
    return err;
}

enum cf_err cf_spaces_enable(const struct cf_config *config, const struct cf_home *home,
                             struct cf_detail *complaint, struct cf_detail *detail)
{
    bool enabled[CF_SPACE_COUNT] = {false};
    enum cf_err err = find_enabled(config, enabled, detail);
    if (err != CF_OK)
        return err;
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        disabled[i] = !enabled[i];
    return enable_cf(home, complaint, detail);
}

bool cf_spaces_are_stale(void)
{
    uint32_t found[CF_SLOTS] = {0};
    return models_home.root[0] && cf_models_find(&models_home, &found[0], &found[1], NULL) == CF_OK &&
           memcmp(found, models_found, sizeof found) != 0;
}

uint64_t cf_spaces_next_put_ms(void)
{
    return models_found[1] ? cf_models_put_ms(&models_home, models_found[1]) : 0;
}

enum cf_err cf_spaces_promote(struct cf_detail *detail)
{
    if (!models_found[1])
        return cf_fail(detail, CF_E_NOT_FOUND, "there is no next version of cf");
    return cf_models_serve(&models_home, models_found[1], detail);
}

bool cf_space_is_enabled(size_t space)
{
    return !disabled[space];
}

size_t cf_space_from(size_t space)
{
    while (space < CF_SPACE_COUNT && !cf_space_is_enabled(space))
        space++;
    return space;
}

enum cf_err cf_spaces_model_path(const struct cf_config *config, char *path, size_t size,
                                 struct cf_detail *detail)
{
    if (config && config->descriptor_model[0]) {
        snprintf(path, size, "%s", config->descriptor_model);
        return strlen(config->descriptor_model) < size
                   ? CF_OK
                   : cf_fail(detail, CF_E_INVALID, "the model's path is too long");
    }
    char program[CF_HOME_PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return cf_fail_errno(detail, "/proc/self/exe");
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    int written = snprintf(path, size, "%s/../share/coverfleet/" MODEL_FILE, program);
    return written > 0 && (size_t)written < size
               ? CF_OK
               : cf_fail(detail, CF_E_INVALID, "%.200s: the path of its model is too long", program);
}

static bool needs_covernet(void)
{
    bool needed = !disabled[CF_SPACE_COPY] || !disabled[CF_SPACE_STYLE];
    for (size_t slot = 0; slot < CF_SLOTS; slot++)
        for (uint32_t i = 0; i < maps[slot].space_count; i++)
            needed = needed || strcmp(maps[slot].spaces[i].name, "copy") == 0 ||
                     strcmp(maps[slot].spaces[i].name, "style") == 0;
    return needed;
}

enum cf_err cf_spaces_load(const struct cf_config *config, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    if (covernet_model || !needs_covernet())
        return CF_OK;
    enum cf_err err = cf_spaces_model_path(config, path, sizeof path, detail);
    return err == CF_OK ? cf_covernet_model_open(path, CF_COVERNET_BEST, &covernet_model, detail) : err;
}

void cf_spaces_unload(void)
{
    cf_covernet_model_free(covernet_model);
    covernet_model = NULL;
}

/* ---- names and forms ---- */

const struct cf_space *cf_space_find(struct cf_str name)
{
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        if (cf_str_is(name, cf_spaces[i].name))
            return &cf_spaces[i];
    return NULL;
}

static void list_enabled(char *names, size_t size)
{
    size_t len = 0;
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT && len < size; i = cf_space_from(i + 1))
        len += (size_t)snprintf(names + len, size - len, "%s%s", len ? ", " : "", cf_spaces[i].name);
}

enum cf_err cf_space_of_fleet(struct cf_str name, size_t *space, struct cf_detail *detail)
{
    const struct cf_space *found = cf_space_find(name);
    if (found && cf_space_is_enabled((size_t)(found - cf_spaces))) {
        *space = (size_t)(found - cf_spaces);
        return CF_OK;
    }
    char names[200] = "";
    list_enabled(names, sizeof names);
    if (found)
        return cf_fail(detail, CF_E_UNKNOWN_SPACE, "this fleet does not have the space %s: it has %s",
                       found->name, names);
    return cf_fail(detail, CF_E_UNKNOWN_SPACE, "there is no space \"%.*s\": there are %s",
                   (int)(name.len < 64 ? name.len : 64), name.data, names);
}

const char *cf_space_names(void)
{
    return "gray16, gist, copy, style";
}

enum cf_err cf_space_normalize(const struct cf_space *space, float *vector, struct cf_detail *detail)
{
    if (space->metric != CF_METRIC_COSINE)
        return CF_OK;
    double square = 0;
    for (uint32_t i = 0; i < space->dim; i++)
        square += (double)vector[i] * (double)vector[i];
    if (!(square > 0) || !isfinite(square))
        return cf_fail(detail, CF_E_BAD_VECTOR, "the vector has no direction: in %s that is all that counts",
                       space->name);
    for (uint32_t i = 0; i < space->dim; i++)
        vector[i] = (float)((double)vector[i] / sqrt(square));
    return CF_OK;
}

/* ---- describing ---- */

struct cf_describer *cf_describer_new(void)
{
    struct cf_describer *describer = calloc(1, sizeof *describer);
    if (describer && covernet_model && !(describer->net = cf_covernet_new(covernet_model))) {
        free(describer);
        return NULL;
    }
    return describer;
}

void cf_describer_free(struct cf_describer *describer)
{
    if (!describer)
        return;
    cf_covernet_free(describer->net);
    cf_gist_free(describer->gist);
    free(describer);
}

static bool one_colour(const uint8_t *rgb, size_t pixels)
{
    return memcmp(rgb, rgb + 3, (pixels - 1) * 3) == 0;
}

static enum cf_err describe_gist(struct cf_describer *d, const uint8_t *rgb, uint32_t width, uint32_t height,
                                 float *out, bool *constant, struct cf_detail *detail)
{
    if (width < CF_GIST_SIDE_MIN || height < CF_GIST_SIDE_MIN || width > CF_GIST_SIDE_MAX ||
        height > CF_GIST_SIDE_MAX)
        return cf_fail(detail, CF_E_INVALID, "gist takes sides of %d to %d pixels: this picture is %u x %u",
                       CF_GIST_SIDE_MIN, CF_GIST_SIDE_MAX, width, height);
    if (!d->gist || d->width != width || d->height != height) {
        cf_gist_free(d->gist);
        d->gist = cf_gist_new(width, height);
        if (!d->gist)
            return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the gist of %u x %u pixels", width, height);
        d->width = width;
        d->height = height;
    }
    cf_gist(d->gist, rgb, out);
    *constant = one_colour(rgb, (size_t)width * height);
    return CF_OK;
}

static enum cf_err describe_gray16(const uint8_t *rgb, uint32_t width, uint32_t height, float *out,
                                   bool *constant, struct cf_detail *detail)
{
    if (width == 0 || height == 0 || width > CF_GRAY16_PICTURE_SIDE_MAX ||
        height > CF_GRAY16_PICTURE_SIDE_MAX)
        return cf_fail(detail, CF_E_INVALID, "gray16 takes sides of 1 to %d pixels: this picture is %u x %u",
                       CF_GRAY16_PICTURE_SIDE_MAX, width, height);
    *constant = !cf_gray16(rgb, width, height, out);
    return CF_OK;
}

/* Both heads, kept with the pixels that they are of. */
static enum cf_err run_covernet(struct cf_describer *d, const struct cf_space *space, const uint8_t *rgb,
                                struct cf_detail *detail)
{
    if (!d->net)
        return cf_fail(detail, CF_E_UNSUPPORTED, "the model of %s is not loaded", space->name);
    if (d->has_heads && memcmp(d->pixels, rgb, sizeof d->pixels) == 0)
        return CF_OK;
    d->has_heads = false;
    enum cf_err err = cf_covernet(d->net, rgb, d->copy, d->style, detail);
    if (err != CF_OK)
        return err;
    memcpy(d->pixels, rgb, sizeof d->pixels);
    d->has_heads = true;
    return CF_OK;
}

static enum cf_err describe_learned(struct cf_describer *d, const struct cf_space *space, const uint8_t *rgb,
                                    uint32_t width, uint32_t height, float *out, bool *constant,
                                    struct cf_detail *detail)
{
    if (width != CF_COVERNET_SIDE || height != CF_COVERNET_SIDE)
        return cf_fail(detail, CF_E_INVALID, "%s takes %d x %d pixels: this picture is %u x %u", space->name,
                       CF_COVERNET_SIDE, CF_COVERNET_SIDE, width, height);
    enum cf_err err = run_covernet(d, space, rgb, detail);
    if (err != CF_OK)
        return err;
    memcpy(out, space == &cf_spaces[CF_SPACE_COPY] ? d->copy : d->style, space->dim * sizeof *out);
    *constant = one_colour(rgb, PIXELS);
    return CF_OK;
}

static enum cf_err describe_cf(struct cf_describer *d, const struct cf_space *space, const uint8_t *rgb,
                               uint32_t width, uint32_t height, float *out, bool *constant,
                               struct cf_detail *detail)
{
    const struct cf_cfmap *map = &maps[space - &table[CF_SPACE_CF]];
    float *to = d->inputs;
    bool any;
    enum cf_err err = map->outputs ? CF_OK : cf_fail(detail, CF_E_UNSUPPORTED, "there is no model of cf");
    for (uint32_t i = 0; i < map->space_count && err == CF_OK; i++) {
        const struct cf_space *input = cf_space_find(cf_str(map->spaces[i].name));
        err = cf_describe(d, input, rgb, width, height, to, &any, detail);
        to += input->dim;
    }
    if (err != CF_OK)
        return err;
    cf_cfmap_apply(map, d->inputs, out);
    *constant = one_colour(rgb, (size_t)width * height);
    return CF_OK;
}

enum cf_err cf_describe(struct cf_describer *describer, const struct cf_space *space, const uint8_t *rgb,
                        uint32_t width, uint32_t height, float *out, bool *constant, struct cf_detail *detail)
{
    switch (space - table) {
    case CF_SPACE_GRAY16:
        return describe_gray16(rgb, width, height, out, constant, detail);
    case CF_SPACE_GIST:
        return describe_gist(describer, rgb, width, height, out, constant, detail);
    case CF_SPACE_CF:
    case CF_SPACE_CF_NEXT:
        return describe_cf(describer, space, rgb, width, height, out, constant, detail);
    default:
        return describe_learned(describer, space, rgb, width, height, out, constant, detail);
    }
}
