#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"

void cf_view_answer_json(struct cf_json *json, const struct cf_answer_whole *whole)
{
    cf_json_text(json, "space", whole->space);
    cf_json_uint(json, "generation", whole->generation);
    cf_json_bool(json, "exact", whole->exact);
    cf_json_uint(json, "stale_ms", whole->stale_ms);
    if (whole->unreadable_shards > 0)
        cf_json_uint(json, "unreadable_shards", whole->unreadable_shards);
}

static void same_json(struct cf_json *json, const struct cf_neighbor *neighbor)
{
    if (neighbor->same_count == 0)
        return;
    cf_json_uint(json, "same_count", neighbor->same_count);
    cf_json_array(json, "same");
    for (size_t i = 0; i < neighbor->same_listed; i++)
        cf_json_text(json, NULL, neighbor->same[i]);
    cf_json_end(json);
}

void cf_view_result_json(struct cf_json *json, const struct cf_answer_result *result)
{
    if (result->error.len > 0) {
        cf_json_text(json, "error", result->error);
        cf_json_text(json, "detail", result->detail);
        return;
    }
    cf_json_array(json, "neighbors");
    for (size_t i = 0; i < result->neighbor_count; i++) {
        const struct cf_neighbor *neighbor = &result->neighbors[i];
        cf_json_object(json, NULL);
        cf_json_text(json, "album", neighbor->album);
        cf_json_real(json, "distance", neighbor->distance);
        cf_json_text(json, "title", neighbor->title);
        if (neighbor->artist.len > 0)
            cf_json_text(json, "artist", neighbor->artist);
        if (neighbor->genre.len > 0)
            cf_json_text(json, "genre", neighbor->genre);
        same_json(json, neighbor);
        cf_json_end(json);
    }
    cf_json_end(json);
}

enum cf_err cf_view_neighbors_text(const struct cf_neighbor *neighbors, size_t count, FILE *out)
{
    static const char *const plain[] = {">", ">DISTANCE", "ALBUM", "ARTIST", "TITLE", NULL};
    static const char *const collapsed[] = {">", ">DISTANCE", "ALBUM", ">AND", "ARTIST", "TITLE", NULL};
    bool stands = false;
    for (size_t i = 0; i < count; i++)
        stands = stands || neighbors[i].same_count > 0;
    struct cf_tabular *tabular = cf_tabular_new(stands ? collapsed : plain);
    for (size_t i = 0; i < count; i++) {
        cf_tabular_cellf(tabular, "%zu", i + 1);
        cf_tabular_cellf(tabular, "%.4f", neighbors[i].distance);
        cf_tabular_cell(tabular, neighbors[i].album);
        if (stands && neighbors[i].same_count > 0)
            cf_tabular_cellf(tabular, "%llu more", (unsigned long long)neighbors[i].same_count);
        else if (stands)
            cf_tabular_cellf(tabular, "%s", "");
        cf_tabular_cell(tabular, neighbors[i].artist);
        cf_tabular_cell(tabular, neighbors[i].title);
    }
    enum cf_err err = cf_tabular_print(tabular, "", out);
    cf_tabular_free(tabular);
    return err;
}

void cf_view_answer_text(const struct cf_answer_whole *whole, FILE *out)
{
    char stale[CF_TEXT_NUMBER_MAX];
    cf_text_duration(whole->stale_ms, stale);
    cf_text_put(out, whole->space);
    if (whole->generation > 0)
        fprintf(out, ", index generation %llu", (unsigned long long)whole->generation);
    else
        fputs(", no index yet", out);
    fprintf(out, ", %s, at most %s old\n", whole->exact ? "exact" : "approximate", stale);
    if (whole->unreadable_shards > 0)
        fprintf(out, "WARNING: %llu shard%s cannot be read now: albums may be missing\n",
                (unsigned long long)whole->unreadable_shards, whole->unreadable_shards == 1 ? "" : "s");
}
