/* `coverfleet map`: trains the mapping from how an album looks to how it is listened to, for the space cf of
 * a fleet. */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/crew.h"
#include "common/base/file.h"
#include "common/descriptor/models.h"
#include "common/vecfile/fresh.h"
#include "deploy/cli/eval_map.h"
#include "deploy/cli/json.h"
#include "deploy/cli/text.h"

struct map {
    struct cf_eval eval;
    const char *out;
    bool publish;
    char path[CF_HOME_PATH_MAX];
    uint32_t version;
    enum cf_mapping_kind kind;
    struct cf_eval_fit_figures figures[CF_MAPPING_KIND_COUNT];
    size_t rows;
    double lambda, blind; /* the cosine that needs no cover */
};

/* ---- its origin ---- */

/* What it was trained on, and how well it does. */
static void put_origin(struct cf_json *json, const struct map *map)
{
    const struct cf_eval *eval = &map->eval;
    const struct cf_eval_choice *choice = &eval->choices[CF_MODEL_KOREN];
    cf_json_word(json, "kind", cf_mapping_kind_name(map->kind));
    cf_json_real(json, "lambda", map->lambda);
    cf_json_uint(json, "albums", map->rows);
    cf_json_word(json, "listens", eval->options.listens);
    cf_json_word(json, "liked", eval->options.liked ? eval->options.liked : "");
    cf_json_uint(json, "listen_count", eval->listens.count);
    cf_json_uint(json, "liked_count", eval->liked.count);
    cf_json_word(json, "koren_from", choice->source == CF_EVAL_LIKES ? "likes" : "listens");
    cf_json_real(json, "koren_alpha", choice->alpha);
    cf_json_real(json, "koren_lambda", choice->lambda);
    cf_json_uint(json, "seed", eval->options.seed);
    cf_json_real(json, "blind_cosine", map->blind);
    cf_json_array(json, "unseen_albums");
    for (enum cf_mapping_kind kind = 0; kind < CF_MAPPING_KIND_COUNT; kind++) {
        cf_json_object(json, NULL);
        cf_json_word(json, "kind", cf_mapping_kind_name(kind));
        cf_json_real(json, "cosine", map->figures[kind].cosine);
        cf_json_uint(json, "albums", map->figures[kind].albums);
        cf_json_end(json);
    }
    cf_json_end(json);
}

/* As the file keeps it; the caller frees it. */
static enum cf_err write_origin(const struct map *map, char **text, struct cf_detail *detail)
{
    size_t size = 0;
    FILE *out = open_memstream(text, &size);
    struct cf_json *json = cf_json_new();
    put_origin(json, map);
    enum cf_err err = out ? cf_json_print(json, out, detail) : cf_fail_errno(detail, "memory");
    cf_json_free(json);
    if (out && fclose(out) != 0 && !err)
        err = cf_fail_errno(detail, "memory");
    if (!err)
        (*text)[strcspn(*text, "\n")] = '\0';
    return err;
}

/* ---- training ---- */

static void fill(const struct cf_eval *eval, const struct cf_mapping *m, uint32_t version,
                 struct cf_cfmap *map)
{
    *map = (struct cf_cfmap){.version = version,
                             .inputs = m->inputs,
                             .hidden = m->hidden,
                             .outputs = m->outputs,
                             .space_count = (uint32_t)eval->look_count,
                             .means = m->means,
                             .scales = m->scales,
                             .first = m->first,
                             .first_shift = m->first_shift,
                             .last = m->last,
                             .last_shift = m->last_shift};
    for (size_t i = 0; i < eval->look_count; i++) {
        const struct cf_space *space = eval->looks[i].space;
        snprintf(map->spaces[i].name, sizeof map->spaces[i].name, "%s", space->name);
        map->spaces[i].version = space->version;
        map->spaces[i].dim = space->dim;
    }
}

/* The version above all that the home ever had; `*lock` is to be closed when its file is there. */
static enum cf_err place(struct map *map, int *lock, struct cf_detail *detail)
{
    struct cf_home home;
    if (!map->publish) {
        map->version = 1;
        snprintf(map->path, sizeof map->path, "%s", map->out);
        return CF_OK;
    }
    enum cf_err err = cf_home_resolve(&home, detail);
    if (!err)
        err = cf_models_lock(&home, lock, detail);
    if (!err)
        err = cf_models_give(&home, &map->version, detail);
    return err ? err : cf_models_path(&home, map->version, map->path, sizeof map->path, detail);
}

/* Of what cannot be written: before anything long begins. */
static enum cf_err check_place(const struct map *map, struct cf_detail *detail)
{
    struct cf_home home;
    struct cf_fresh *probe = NULL;
    char path[CF_HOME_PATH_MAX];
    if (!map->publish)
        snprintf(path, sizeof path, "%s", map->out);
    enum cf_err err = map->publish ? cf_home_resolve(&home, detail) : CF_OK;
    if (!err && map->publish)
        err = cf_home_path(&home, path, sizeof path, detail, "data/models");
    if (!err && map->publish)
        err = cf_file_make_dirs(path, detail);
    if (!err && map->publish)
        err = cf_home_path(&home, path, sizeof path, detail, "data/models/cf-given");
    if (!err)
        err = cf_fresh_new(path, &probe, detail);
    cf_fresh_free(probe);
    return err;
}

static enum cf_err fit_and_write(struct map *map, struct cf_eval_rows *rows, const struct cf_model *koren,
                                 struct cf_detail *detail)
{
    struct cf_mapping mapping;
    struct cf_cfmap file;
    char *origin = NULL;
    int lock = -1;
    enum cf_err err = cf_eval_fit(&map->eval, rows, koren, map->kind, CF_EVAL_NO_FOLD, &mapping, detail);
    map->lambda = mapping.lambda;
    if (!err)
        err = place(map, &lock, detail);
    if (!err)
        err = write_origin(map, &origin, detail);
    if (!err) {
        fill(&map->eval, &mapping, map->version, &file);
        file.origin = origin;
        err = cf_cfmap_write(map->path, &file, detail);
    }
    if (lock >= 0)
        close(lock);
    free(origin);
    cf_mapping_fini(&mapping);
    return err;
}

/* Which kind serves albums better that it never saw. */
static enum cf_err compare_kinds(struct map *map, struct cf_eval_rows *rows, const struct cf_model *koren,
                                 struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (enum cf_mapping_kind kind = 0; kind < CF_MAPPING_KIND_COUNT && !err; kind++) {
        float *mapped = NULL;
        err = cf_eval_map_kind(&map->eval, rows, koren, kind, &mapped, &map->figures[kind], detail);
        free(mapped);
        if (!err && map->figures[kind].cosine > map->figures[map->kind].cosine)
            map->kind = kind;
    }
    return err;
}

static enum cf_err check_rows(size_t count, struct cf_detail *detail)
{
    return count >= CF_EVAL_MAP_ROWS_MIN
               ? CF_OK
               : cf_fail(detail, CF_E_INVALID,
                         "%zu albums have both listens and a vector in every space: a mapping needs %d",
                         count, CF_EVAL_MAP_ROWS_MIN);
}

static enum cf_err train(struct map *map, struct cf_detail *detail)
{
    struct cf_eval *eval = &map->eval;
    struct cf_eval_rows rows = {0};
    struct cf_model *koren = NULL;
    enum cf_err err = check_place(map, detail);
    if (!err)
        err = cf_eval_read(eval, detail);
    if (!err)
        err = cf_eval_describe(eval, detail);
    if (!err)
        err = cf_eval_choose(eval, CF_MODEL_KOREN, &eval->choices[CF_MODEL_KOREN], detail);
    if (!err)
        err = cf_eval_rows_init(eval, &rows, detail);
    if (!err)
        err = check_rows(rows.count, detail);
    if (!err)
        err = cf_eval_train_koren(eval, CF_EVAL_NO_FOLD, &koren, detail);
    map->rows = err ? 0 : cf_eval_known_rows(&rows, koren);
    if (!err)
        err = check_rows(map->rows, detail);
    if (!err)
        err = compare_kinds(map, &rows, koren, detail);
    if (!err)
        err = cf_eval_blind_cosine(&rows, koren, &map->blind, detail);
    if (!err)
        err = fit_and_write(map, &rows, koren, detail);
    cf_eval_rows_fini(&rows);
    cf_model_free(koren);
    return err;
}

/* ---- telling ---- */

static enum cf_err print_json(const struct map *map, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    cf_json_word(json, "model", map->path);
    cf_json_uint(json, "version", map->version);
    put_origin(json, map);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_err tell(const struct map *map, struct cf_detail *detail)
{
    if (map->eval.options.json)
        return print_json(map, detail);
    printf(
        "%zu albums; cosine to the factors of albums that were not seen: ridge %.3f, a hidden layer %.3f;\n"
        "of the albums' mean, for which no cover is looked at: %.3f\n"
        "%s, version %u: %s\n",
        map->rows, map->figures[CF_MAPPING_RIDGE].cosine, map->figures[CF_MAPPING_HIDDEN].cosine, map->blind,
        cf_mapping_kind_name(map->kind), map->version, map->path);
    if (map->publish)
        printf("now \"coverfleet redescribe --space cf\" fills it; an older version serves until then\n");
    return CF_OK;
}

static enum cf_err show_info(const char *path, bool as_json, struct cf_detail *detail)
{
    struct cf_cfmap map;
    enum cf_err err = cf_cfmap_read(path, &map, detail);
    if (err)
        return err;
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "version", map.version);
    cf_json_uint(json, "inputs", map.inputs);
    cf_json_uint(json, "hidden", map.hidden);
    cf_json_uint(json, "outputs", map.outputs);
    cf_json_array(json, "spaces");
    for (uint32_t i = 0; i < map.space_count; i++) {
        cf_json_object(json, NULL);
        cf_json_word(json, "space", map.spaces[i].name);
        cf_json_uint(json, "version", map.spaces[i].version);
        cf_json_uint(json, "dim", map.spaces[i].dim);
        cf_json_end(json);
    }
    cf_json_end(json);
    if (map.origin)
        cf_json_value(json, "origin", map.origin);
    if (as_json)
        err = cf_json_print(json, stdout, detail);
    else
        printf("version %u: %u numbers of %u spaces to %u, %s\n", map.version, map.inputs, map.space_count,
               map.outputs, map.hidden ? "by a hidden layer" : "linear");
    if (!as_json && map.origin) {
        cf_text_put(stdout, cf_str(map.origin));
        putchar('\n');
    }
    cf_json_free(json);
    cf_cfmap_fini(&map);
    return err;
}

/* ---- the call ---- */

static enum cf_exit misuse_of(const struct cf_command *command, const struct map *map,
                              const struct cf_args *args)
{
    const struct cf_eval_options *o = &map->eval.options;
    const char *verb = args->rest_count ? args->rest[0] : "";
    if (strcmp(verb, "info") == 0)
        return args->rest_count == 2 ? CF_EXIT_DONE : cf_command_misuse(command, "info takes one file");
    if (strcmp(verb, "train") != 0 || args->rest_count != 1)
        return cf_command_misuse(command, "train or info is wanted");
    if (!o->listens || (!o->covers == !o->fleet) || (!map->out == !map->publish))
        return cf_command_misuse(
            command, "--listens, one of --covers and --fleet, one of --out and --publish are needed");
    return CF_EXIT_DONE;
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct map map = {.eval = {.command = command, .options = {.threads = cf_crew_processors(), .seed = 1}}};
    struct cf_eval_options *o = &map.eval.options;
    const struct cf_opt opts[] = {{.name = "listens",
                                   .kind = CF_OPT_TEXT,
                                   .value = &o->listens,
                                   .placeholder = "L.tsv",
                                   .help = "user, album, count, time"},
                                  {.name = "liked",
                                   .kind = CF_OPT_TEXT,
                                   .value = &o->liked,
                                   .placeholder = "U.tsv",
                                   .help = "user, album, thumb (+1 or -1)"},
                                  {.name = "covers",
                                   .kind = CF_OPT_TEXT,
                                   .value = &o->covers,
                                   .placeholder = "C.tsv",
                                   .help = "a table with columns album and cover"},
                                  {.name = "root",
                                   .kind = CF_OPT_TEXT,
                                   .value = &o->root,
                                   .placeholder = "DIR",
                                   .help = "where the table's covers lie (default: beside it)"},
                                  {.name = "fleet",
                                   .kind = CF_OPT_FLAG,
                                   .value = &o->fleet,
                                   .help = "the vectors of the fleet's shards instead"},
                                  {.name = "out",
                                   .kind = CF_OPT_TEXT,
                                   .value = &map.out,
                                   .placeholder = "M.cfmap",
                                   .help = "writes the model there"},
                                  {.name = "publish",
                                   .kind = CF_OPT_FLAG,
                                   .value = &map.publish,
                                   .help = "makes it the next version of the fleet's space cf"},
                                  {.name = "threads",
                                   .kind = CF_OPT_UINT,
                                   .value = &o->threads,
                                   .low = 1,
                                   .high = CF_CREW_THREADS_MAX,
                                   .placeholder = "N",
                                   .help = "for training (default: all processors)"},
                                  {.name = "seed",
                                   .kind = CF_OPT_UINT,
                                   .value = &o->seed,
                                   .low = 0,
                                   .high = UINT32_MAX,
                                   .placeholder = "S",
                                   .help = "of everything random (default 1)"},
                                  CF_OPT_JSON(&o->json),
                                  {.name = NULL}};
    struct cf_args args;
    struct cf_detail detail = {""};
    enum cf_exit result = CF_EXIT_DONE;
    if (cf_command_parse(command, argc, argv, opts, &args, &result) &&
        (result = misuse_of(command, &map, &args)) == CF_EXIT_DONE) {
        enum cf_err err = CF_OK;
        if (args.rest_count == 2)
            err = show_info(args.rest[1], o->json, &detail);
        else
            err = train(&map, &detail);
        if (!err && args.rest_count == 1)
            err = tell(&map, &detail);
        result = cf_eval_say(&map.eval, err, &detail);
    }
    cf_eval_fini(&map.eval);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_map = {
    .name = "map",
    .usage = "train --listens L.tsv (--covers C.tsv | --fleet) (--out M.cfmap | --publish) [OPTION...] | "
             "info M.cfmap",
    .summary = "learn from how albums look how they are listened to",
    .about = "Fits vectors of covers to koren's factors of the albums that were listened to, by ridge and by "
             "one hidden "
             "layer,\nand keeps the better one by albums that it did not see. Served as the space cf: an "
             "album that "
             "nobody has played\nhas neighbours by listening as soon as its cover is pushed.",
    .run = run,
};
