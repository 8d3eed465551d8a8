#include "deploy/cli/sure.h"
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

void cf_view_result_json(struct cf_json *json, const struct cf_answer_result *result, bool sure)
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
        if (sure) {
            cf_json_real(json, "cosine", cf_sure_cosine(neighbor->distance));
            cf_json_word(json, "sure", cf_sure_word(cf_sure_cosine(neighbor->distance)));
        }
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

static bool any_stands_for_others(const struct cf_neighbor *neighbors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (neighbors[i].same_count > 0)
            return true;
    return false;
}

enum cf_err cf_view_neighbors_text(const struct cf_neighbor *neighbors, size_t count, bool sure, FILE *out)
{
    bool stands = any_stands_for_others(neighbors, count);
    const char *headings[8] = {">", ">DISTANCE"};
    size_t columns = 2;
    if (sure)
        headings[columns++] = "SURE";
    headings[columns++] = "ALBUM";
    if (stands)
        headings[columns++] = ">AND";
    headings[columns++] = "ARTIST";
    headings[columns] = "TITLE";
    struct cf_tabular *tabular = cf_tabular_new(headings);
    for (size_t i = 0; i < count; i++) {
        cf_tabular_cellf(tabular, "%zu", i + 1);
        cf_tabular_cellf(tabular, "%.4f", neighbors[i].distance);
        if (sure)
            cf_tabular_cell(tabular, cf_str(cf_sure_word(cf_sure_cosine(neighbors[i].distance))));
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

static const char *verdict(const struct cf_answer_result *result)
{
    return result->neighbor_count ? cf_sure_word(cf_sure_cosine(result->neighbors[0].distance)) : "no";
}

void cf_view_verdict_text(const struct cf_answer_result *result, FILE *out)
{
    double cosine = result->neighbor_count ? cf_sure_cosine(result->neighbors[0].distance) : -1;
    const char *words = cosine > CF_SURE_SAME       ? "the cover of "
                        : cosine > CF_SURE_PROBABLY ? "probably the cover of "
                        : cosine > CF_SURE_LOOK     ? "perhaps, look yourself, the cover of "
                                                    : "no cover that the fleet knows";
    fputs(words, out);
    if (cosine > CF_SURE_LOOK)
        cf_text_put(out, result->neighbors[0].album);
    if (result->neighbor_count)
        fprintf(out, " (cosine %.2f)", cosine);
    putc('\n', out);
}

void cf_view_verdict_json(struct cf_json *json, const struct cf_answer_result *result)
{
    if (result->error.len == 0)
        cf_json_word(json, "verdict", verdict(result));
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
