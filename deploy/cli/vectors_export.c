#include <stdlib.h>

#include "common/base/clock.h"
#include "common/vecfile/fresh.h"
#include "deploy/cli/catalogue.h"
#include "deploy/cli/json.h"
#include "deploy/cli/vectors.h"

struct export
{
    const struct cf_vectors_options *options;
    struct cf_catalogue catalogue;
    struct cf_shards_walk *walk;
    struct cf_vecwriter *vectors;
    struct cf_fresh *ids;
    float *values;
    struct cf_progress progress;
    uint64_t exported, flagged, not_described;
};

/* ---- albums ---- */

static enum cf_err write_album(struct export *export, size_t shard, struct cf_str id,
                               struct cf_detail *detail)
{
    const struct cf_space *space = export->options->space;
    struct cf_detail why = {""};
    enum cf_err err = cf_shards_walk_vector(export->walk, export->values, space->dim, &why);
    if (err != CF_OK)
        return cf_fail(detail, err == CF_E_NOT_FOUND ? CF_E_CORRUPT : err,
                       "%s: the %s vector of %.*s: %.150s", cf_shards_name(export->catalogue.shards, shard),
                       space->name, CF_STR_ARG(id), why.text);
    err = cf_vecwriter_append(export->vectors, export->values, 1, detail);
    if (err == CF_OK)
        err = cf_fresh_write(export->ids, (struct cf_bytes){(const uint8_t *)id.data, id.len}, detail);
    if (err == CF_OK)
        err = cf_fresh_write(export->ids, (struct cf_bytes){(const uint8_t *)"\n", 1}, detail);
    export->exported += err == CF_OK ? 1 : 0;
    return err;
}

static enum cf_err write_all(struct export *export, struct cf_detail *detail)
{
    const struct cf_space *space = export->options->space;
    for (;;) {
        size_t shard = 0;
        struct cf_str id;
        struct cf_shard_album album;
        enum cf_err err = cf_shards_walk_next(export->walk, &shard, &id, &album, detail);
        if (err == CF_E_NOT_FOUND)
            return CF_OK;
        if (err != CF_OK)
            return err;
        if (album.removed)
            continue;
        if (!cf_shard_album_has(&album, cf_str(space->name), space->version))
            export->not_described++;
        else if (album.flags & CF_FLAG_CONSTANT)
            export->flagged++;
        else
            err = write_album(export, shard, id, detail);
        if (err != CF_OK)
            return err;
        cf_progress_show(&export->progress, export->exported, 0, "", cf_clock_mono_ms());
    }
}

/* ---- the whole ---- */

static enum cf_err open_files(struct export *export, struct cf_detail *detail)
{
    const struct cf_vectors_options *options = export->options;
    static const char header[] = "album\n";
    export->values = calloc(options->space->dim, sizeof *export->values);
    if (!export->values)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    enum cf_err err =
        cf_vecwriter_new(options->file, CF_VECFILE_FLOATS, options->space->dim, &export->vectors, detail);
    if (err == CF_OK)
        err = cf_fresh_new(options->ids, &export->ids, detail);
    if (err == CF_OK)
        err = cf_fresh_write(export->ids, (struct cf_bytes){(const uint8_t *)header, sizeof header - 1},
                             detail);
    return err;
}

static void close_all(struct export *export)
{
    cf_shards_walk_free(export->walk);
    cf_catalogue_close(&export->catalogue);
    cf_vecwriter_free(export->vectors);
    cf_fresh_free(export->ids);
    free(export->values);
}

static enum cf_err export_all(struct export *export, struct cf_detail *detail)
{
    const struct cf_space *space = export->options->space;
    enum cf_err err = open_files(export, detail);
    if (err == CF_OK)
        err = cf_catalogue_open(&export->catalogue, "export", detail);
    if (err == CF_OK)
        err = cf_shards_walk_new(export->catalogue.shards, &export->walk, detail);
    if (err == CF_OK)
        err = cf_shards_walk_with(export->walk, cf_str(space->name), space->version, detail);
    if (err == CF_OK)
        err = write_all(export, detail);
    if (err == CF_OK)
        err = cf_fresh_sync(export->ids, detail);
    if (err == CF_OK)
        err = cf_vecwriter_finish(export->vectors, detail);
    if (err == CF_OK)
        err = cf_fresh_finish(export->ids, detail);
    return err;
}

static enum cf_err print_counts(const struct export *export, bool as_json, struct cf_detail *detail)
{
    if (!as_json) {
        printf("%llu exported, %llu flagged, %llu not described in %s\n",
               (unsigned long long)export->exported, (unsigned long long)export->flagged,
               (unsigned long long)export->not_described, export->options->space->name);
        return CF_OK;
    }
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "exported", export->exported);
    cf_json_uint(json, "flagged", export->flagged);
    cf_json_uint(json, "not_described", export->not_described);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

enum cf_exit cf_vectors_export(const struct cf_vectors_options *options, const char *command, bool json)
{
    struct export export = {.options = options};
    struct cf_detail detail = {""};
    cf_progress_init(&export.progress, stderr, json, cf_clock_mono_ms());
    enum cf_err err = export_all(&export, &detail);
    cf_progress_clear(&export.progress);
    if (err == CF_OK)
        err = print_counts(&export, json, &detail);
    close_all(&export);
    if (err != CF_OK)
        cf_say(command, cf_str(""), err, &detail);
    if (err != CF_OK && json)
        cf_say_json(cf_str(cf_err_name(err)), cf_str(detail.text));
    return cf_exit_of(err);
}
