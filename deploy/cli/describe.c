#include <stdlib.h>

#include <sys/stat.h>

#include "common/base/crew.h"
#include "common/base/file.h"
#include "common/image/image.h"
#include "common/vecfile/fresh.h"
#include "deploy/cli/describe.h"
#include "deploy/cli/json.h"
#include "deploy/cli/space.h"

struct description {
    const struct cf_space *space;
    float *vector; /* space->dim */
    bool constant;
    struct cf_image image;
};

static enum cf_err load_limits(struct cf_image_limits *limits, struct cf_detail *detail)
{
    struct cf_config *config = NULL;
    enum cf_err err = cf_describe_config(&config, detail);
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

/* The model of the space, if it has one. */
static enum cf_err load_model(const struct cf_space *space, struct cf_detail *detail)
{
    struct cf_config *config = NULL;
    if (space->metric != CF_METRIC_COSINE)
        return CF_OK;
    enum cf_err err = cf_describe_config(&config, detail);
    if (!err)
        err = cf_spaces_load(config, detail);
    free(config);
    return err;
}

static enum cf_exit describe_one(const struct cf_command *command, const char *path,
                                 const struct cf_space *space, const char *format, bool native_size)
{
    struct description description = {.space = space};
    struct cf_detail detail = {""};
    enum cf_err err = load_model(space, &detail);
    if (err) {
        cf_say(command->name, cf_str(""), err, &detail);
        return cf_exit_of(err);
    }
    err = read_and_decode(&description, path, native_size, &detail);
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

/* ---- the call ---- */

struct call {
    const char *space, *format;
    bool native_size;
    uint64_t threads;
    struct cf_describe_options many;
};

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static enum cf_exit check_one(const struct cf_command *command, const struct cf_args *args,
                              const struct call *call)
{
    const char *format = call->format ? call->format : call->many.json ? "json" : "text";
    if (args->rest_count != 1)
        return cf_command_misuse(command, "name one picture (or, for many, --out)");
    if (is_folder(args->rest[0]))
        return cf_command_misuse(command, "%.120s is a folder: --out is missing", args->rest[0]);
    if (call->many.ids)
        return cf_command_misuse(command, "--ids goes with --out");
    if (strcmp(format, "text") != 0 && strcmp(format, "f32") != 0 && strcmp(format, "json") != 0)
        return cf_command_misuse(command, "--format %.40s: it is text, f32 or json", format);
    return describe_one(command, args->rest[0], call->many.space, format, call->native_size);
}

static enum cf_exit check_many(const struct cf_command *command, const struct cf_args *args,
                               struct call *call)
{
    if (!call->many.out)
        return cf_command_misuse(command, "--table goes with --out");
    if (call->format || call->native_size)
        return cf_command_misuse(command, "--%s goes with one picture, not with --out",
                                 call->format ? "format" : "native-size");
    if (!call->many.table && args->rest_count == 0)
        return cf_command_misuse(command, "name a folder, or --table");
    if (cf_fresh_same(call->many.out, call->many.ids) || cf_fresh_same(call->many.out, call->many.table) ||
        cf_fresh_same(call->many.ids, call->many.table))
        return cf_command_misuse(command, "--out, --ids and --table must be different files");
    call->many.names = args->rest;
    call->many.name_count = args->rest_count;
    call->many.threads = (unsigned)call->threads;
    return cf_describe_many(command, &call->many);
}

static enum cf_exit check(const struct cf_command *command, const struct cf_args *args, struct call *call)
{
    struct cf_detail detail;
    if (call->many.root && !call->many.table)
        return cf_command_misuse(command, "--root goes with --table");
    enum cf_err err = cf_cli_space(call->space, &call->many.space, &detail);
    if (err) {
        cf_say(command->name, cf_str(""), err, &detail);
        return cf_exit_of(err);
    }
    return call->many.out || call->many.table ? check_many(command, args, call)
                                              : check_one(command, args, call);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct call call = {.space = "gist", .threads = cf_crew_processors()};
    const struct cf_opt opts[] = {
        {.name = "space",
         .kind = CF_OPT_TEXT,
         .value = &call.space,
         .placeholder = "SPACE",
         .help = "gray16, gist (default), copy, style, or the fleet's cf"},
        {.name = "format",
         .kind = CF_OPT_TEXT,
         .value = &call.format,
         .placeholder = "FORMAT",
         .help = "text: a number a line (default); f32: raw little-endian; json"},
        {.name = "native-size",
         .kind = CF_OPT_FLAG,
         .value = &call.native_size,
         .help = "describe the picture as it is, not its 64x64 thumbnail"},
        {.name = "out",
         .kind = CF_OPT_TEXT,
         .value = &call.many.out,
         .placeholder = "FILE",
         .help = "many pictures: a vector a row, .npy or .fvecs"},
        {.name = "ids",
         .kind = CF_OPT_TEXT,
         .value = &call.many.ids,
         .placeholder = "T.tsv",
         .help = "with --out: album, cover and flags of each row"},
        {.name = "table",
         .kind = CF_OPT_TEXT,
         .value = &call.many.table,
         .placeholder = "T.tsv",
         .help = "with --out: pictures by a table with columns album and cover"},
        {.name = "root",
         .kind = CF_OPT_TEXT,
         .value = &call.many.root,
         .placeholder = "DIR",
         .help = "where covers of --table are (default: the table's own folder)"},
        {.name = "threads",
         .kind = CF_OPT_UINT,
         .value = &call.threads,
         .low = 1,
         .high = CF_CREW_THREADS_MAX,
         .placeholder = "N",
         .help = "with --out, a decoding process each; default: as many as processors"},
        CF_OPT_JSON(&call.many.json),
        {.name = NULL},
    };
    struct cf_args args;
    enum cf_exit result;
    if (cf_command_parse(command, argc, argv, opts, &args, &result))
        result = check(command, &args, &call);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_describe = {
    .name = "describe",
    .usage = "FILE [--space SPACE] [--format text|f32|json] [--native-size]\n"
             "       coverfleet describe DIR | ALBUM=FILE ... | --table T.tsv [--root DIR]\n"
             "                --out X.npy|X.fvecs [--ids T.tsv] [--space SPACE] [--threads N] [--json]",
    .summary = "Vectors of pictures, computed here, without a fleet",
    .about = "Gives the numbers that a fleet would store: whole cover to 64x64, as a JPEG and back, then the "
             "space.\n"
             "Limits of pictures are those of the configuration. Many pictures are decoded in sandboxed "
             "processes;\n"
             "their rows are in the order of the table, or of the folder by name (its own files, no "
             "subfolders; an\n"
             "album's id is its file's name without extension). One that is refused is named on standard "
             "error and has\n"
             "no row. Flags are constant (no contrast) and partial (truncated). Exits 1 when the picture or "
             "all of them\n"
             "are refused, and names the error, 4 when some are.",
    .run = run,
};
