#include <stdlib.h>

#include "common/base/config.h"
#include "common/base/file.h"
#include "common/descriptor/space.h"
#include "common/image/image.h"
#include "deploy/cli/command.h"
#include "deploy/cli/json.h"

struct description {
    const struct cf_space *space;
    float *vector; /* space->dim */
    bool constant;
    struct cf_image image;
};

static enum cf_err load_limits(struct cf_image_limits *limits, struct cf_detail *detail)
{
    struct cf_home home;
    enum cf_err err = cf_home_resolve(&home, detail);
    if (err)
        return err;
    struct cf_config *config = malloc(sizeof *config);
    if (!config)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    err = cf_config_load(config, &home, detail);
    if (!err)
        *limits = (struct cf_image_limits){.bytes_max = (size_t)config->image_bytes_max,
                                           .side_max = (uint32_t)config->image_side_max,
                                           .pixels_max = (uint64_t)config->image_pixels_max,
                                           .scans_max = (uint32_t)config->image_scans_max,
                                           .memory_bytes_max = (size_t)config->image_memory_bytes_max};
    free(config);
    return err;
}

/* Exactly what a fleet does: the spaces are computed from the thumbnail as it decodes again. */
static enum cf_err make_thumbnail(const struct cf_image *image, uint8_t rgb[CF_THUMB_RGB_BYTES],
                                  struct cf_detail *detail)
{
    struct cf_buf jpeg;
    cf_buf_init(&jpeg);
    enum cf_err err =
        cf_image_resize(image->rgb, image->width, image->height, rgb, CF_THUMB_SIDE, CF_THUMB_SIDE, detail);
    if (!err)
        err = cf_thumb_encode(rgb, &jpeg, detail);
    if (!err)
        err = cf_thumb_decode(cf_buf_bytes(&jpeg), rgb, detail);
    cf_buf_fini(&jpeg);
    return err;
}

static enum cf_err compute(struct description *description, bool native_size, struct cf_detail *detail)
{
    const struct cf_image *image = &description->image;
    struct cf_describer *describer = cf_describer_new();
    description->vector = calloc(description->space->dim, sizeof *description->vector);
    uint8_t *thumbnail = malloc(CF_THUMB_RGB_BYTES);
    enum cf_err err;
    if (!describer || !description->vector || !thumbnail) {
        err = cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    } else if (native_size) {
        err = cf_describe(describer, description->space, image->rgb, image->width, image->height,
                          description->vector, &description->constant, detail);
    } else {
        err = make_thumbnail(image, thumbnail, detail);
        if (!err)
            err = cf_describe(describer, description->space, thumbnail, CF_THUMB_SIDE, CF_THUMB_SIDE,
                              description->vector, &description->constant, detail);
    }
    free(thumbnail);
    cf_describer_free(describer);
    return err;
}

static enum cf_err read_and_decode(struct description *description, const char *path, bool native_size,
                                   struct cf_detail *detail)
{
    struct cf_image_limits limits;
    struct cf_buf file;
    cf_buf_init(&file);
    enum cf_err err = load_limits(&limits, detail);
    if (!err)
        err = cf_file_read(path, limits.bytes_max, &file, detail);
    if (!err)
        err = cf_image_decode(cf_buf_bytes(&file), &limits, !native_size, &description->image, detail);
    cf_buf_fini(&file);
    return err;
}

/* float32, little-endian, whatever this machine's order is. */
static void print_raw(const struct description *description, FILE *out)
{
    for (uint32_t i = 0; i < description->space->dim; i++) {
        uint32_t bits;
        memcpy(&bits, &description->vector[i], sizeof bits);
        const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16),
                                  (uint8_t)(bits >> 24)};
        fwrite(bytes, 1, sizeof bytes, out);
    }
}

static enum cf_err print_json(const struct description *description, FILE *out, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    cf_json_word(json, "space", description->space->name);
    cf_json_uint(json, "version", description->space->version);
    cf_json_uint(json, "dim", description->space->dim);
    cf_json_uint(json, "width", description->image.source_width);
    cf_json_uint(json, "height", description->image.source_height);
    cf_json_bool(json, "constant", description->constant);
    cf_json_bool(json, "partial", description->image.partial);
    cf_json_word(json, "warning", description->image.warning);
    cf_json_array(json, "vector");
    for (uint32_t i = 0; i < description->space->dim; i++)
        cf_json_real(json, NULL, (double)description->vector[i]);
    cf_json_end(json);
    enum cf_err err = cf_json_print(json, out, detail);
    cf_json_free(json);
    return err;
}

static enum cf_err print(const struct description *description, const char *format, struct cf_detail *detail)
{
    if (strcmp(format, "json") == 0)
        return print_json(description, stdout, detail);
    if (strcmp(format, "f32") == 0)
        print_raw(description, stdout);
    else
        for (uint32_t i = 0; i < description->space->dim; i++)
            printf("%.9g\n", (double)description->vector[i]);
    return CF_OK;
}

static enum cf_exit describe(const struct cf_command *command, const char *path, const char *space,
                             const char *format, bool native_size)
{
    struct description description = {.space = cf_space_find(cf_str(space))};
    struct cf_detail detail = {""};
    if (!description.space) {
        (void)cf_fail(&detail, CF_E_UNKNOWN_SPACE, "there is no space \"%.40s\": there are %s", space,
                      cf_space_names());
        cf_say(command->name, cf_str(""), CF_E_UNKNOWN_SPACE, &detail);
        return CF_EXIT_USAGE;
    }
    enum cf_err err = read_and_decode(&description, path, native_size, &detail);
    if (!err)
        err = compute(&description, native_size, &detail);
    if (!err && description.image.partial)
        fprintf(stderr, "coverfleet describe: %.200s: partial: %s\n", path, description.image.warning);
    if (!err)
        err = print(&description, format, &detail);
    if (err)
        cf_say(command->name, cf_str(path), err, &detail);
    free(description.vector);
    cf_image_fini(&description.image);
    return cf_exit_of(err);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    const char *space = "gist", *format = "text";
    bool native_size = false, json = false;
    const struct cf_opt opts[] = {
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &space,
         .placeholder = "SPACE",
         .help = "gray16 or gist (default)"},
        {.name = "format",
         .kind = CF_OPT_TEXT,
         .value = &format,
         .placeholder = "FORMAT",
         .help = "text: a number a line (default); f32: raw little-endian; json"},
        {.name = "native-size",
         .kind = CF_OPT_FLAG,
         .value = &native_size,
         .help = "describe the picture as it is, not its 64x64 thumbnail"},
        {.name = "json", .kind = CF_OPT_FLAG, .value = &json, .help = "the same as --format json"},
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        if (json)
            format = "json";
        if (args.rest_count != 1)
            result = cf_command_misuse(command, "name one picture");
        else if (strcmp(format, "text") != 0 && strcmp(format, "f32") != 0 && strcmp(format, "json") != 0)
            result = cf_command_misuse(command, "--format %.40s: it is text, f32 or json", format);
        else
            result = describe(command, args.rest[0], space, format, native_size);
    }
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_describe = {
    .name = "describe",
    .usage = "FILE [--space SPACE] [--format text|f32|json] [--native-size]",
    .summary = "The vector of a picture, computed here, without a fleet",
    .about = "Gives the numbers that a fleet would store: whole cover to 64x64, as a JPEG and back, then the "
             "space.\n"
             "Limits of pictures are those of the configuration. Exits 1 when the picture is refused, and "
             "names the error.",
    .run = run,
};
