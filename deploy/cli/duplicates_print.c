#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "deploy/cli/duplicates.h"
#include "deploy/cli/progress.h"
#include "deploy/cli/sure.h"
#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"

struct output {
    struct cf_duplicates *call;
    struct cf_json *json; /* with --json */
    size_t number;        /* of the group at hand, from 1 */
};

/* ---- JSON ---- */

static void group_json(struct output *output, const struct cf_judged *judged)
{
    struct cf_json *json = output->json;
    cf_json_object(json, NULL);
    cf_json_uint(json, "size", judged->group->member_count);
    cf_json_real(json, "weakest", judged->weakest);
    if (cf_sure_in(cf_str(output->call->space->name)) && !isnan(judged->weakest))
        cf_json_word(json, "sure", cf_sure_word(judged->weakest));
    cf_json_bool(json, "chained", judged->chained);
    cf_json_array(json, "albums");
    for (size_t i = 0; i < judged->group->member_count; i++) {
        const struct cf_linked *album = cf_links_get(output->call->links, judged->members[i]);
        cf_json_object(json, NULL);
        cf_json_text(json, "album", album->id);
        cf_json_real(json, "cosine", judged->cosines[i]);
        if (album->artist.len > 0)
            cf_json_text(json, "artist", album->artist);
        if (album->title.len > 0)
            cf_json_text(json, "title", album->title);
        cf_json_end(json);
    }
    cf_json_end(json);
    cf_json_end(json);
}

/* ---- text ---- */

static void group_head(const struct output *output, const struct cf_judged *judged)
{
    printf("%sgroup %zu: %zu albums, ", output->number > 1 ? "\n" : "", output->number,
           judged->group->member_count);
    if (isnan(judged->weakest)) {
        printf("no link is left: they were removed meanwhile\n");
        return;
    }
    printf("weakest link %.3f", judged->weakest);
    if (cf_sure_in(cf_str(output->call->space->name)))
        printf(", %s", cf_sure_word(judged->weakest));
    printf("%s\n", judged->chained ? "; a chain: look at those that are far from the first" : "");
}

static enum cf_err group_text(const struct output *output, const struct cf_judged *judged)
{
    static const char *const headings[] = {">COSINE", "ALBUM", "ARTIST", "TITLE", NULL};
    struct cf_tabular *tabular = cf_tabular_new(headings);
    group_head(output, judged);
    for (size_t i = 0; i < judged->group->member_count; i++) {
        const struct cf_linked *album = cf_links_get(output->call->links, judged->members[i]);
        if (isnan(judged->cosines[i]))
            cf_tabular_cellf(tabular, "%s", "gone");
        else
            cf_tabular_cellf(tabular, "%.3f", judged->cosines[i]);
        cf_tabular_cell(tabular, album->id);
        cf_tabular_cell(tabular, album->artist);
        cf_tabular_cell(tabular, album->title);
    }
    enum cf_err err = cf_tabular_print(tabular, "  ", stdout);
    cf_tabular_free(tabular);
    return err;
}

/* ---- a table ---- */

static enum cf_err write_text(struct cf_fresh *table, const char *text, struct cf_detail *detail)
{
    return cf_fresh_write(table, (struct cf_bytes){(const uint8_t *)text, strlen(text)}, detail);
}

/* What would break a row or a terminal becomes "?". */
static enum cf_err write_field(struct cf_fresh *table, struct cf_str text, const char *behind,
                               struct cf_detail *detail)
{
    char *room = malloc(text.len + 1);
    if (!room)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (text.len > 0)
        memcpy(room, text.data, text.len);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)room[i] < ' ' || room[i] == 0x7f)
            room[i] = '?';
    enum cf_err err = cf_fresh_write(table, (struct cf_bytes){(const uint8_t *)room, text.len}, detail);
    free(room);
    return err ? err : write_text(table, behind, detail);
}

static enum cf_err group_rows(const struct output *output, const struct cf_judged *judged,
                              struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < judged->group->member_count; i++) {
        const struct cf_linked *album = cf_links_get(output->call->links, judged->members[i]);
        char numbers[128], cosine[32] = "", weakest[32] = "";
        if (!isnan(judged->cosines[i]))
            snprintf(cosine, sizeof cosine, "%.6f", judged->cosines[i]);
        if (!isnan(judged->weakest))
            snprintf(weakest, sizeof weakest, "%.6f", judged->weakest);
        snprintf(numbers, sizeof numbers, "%zu\t%zu\t%s\t%s\t%s\t", output->number,
                 judged->group->member_count, weakest, judged->chained ? "yes" : "no", cosine);
        err = write_text(output->call->table, numbers, detail);
        if (!err)
            err = write_field(output->call->table, album->id, "\t", detail);
        if (!err)
            err = write_field(output->call->table, album->artist, "\t", detail);
        if (!err)
            err = write_field(output->call->table, album->title, "\n", detail);
    }
    return err;
}

/* ---- all of them ---- */

static enum cf_err show_group(struct output *output, const struct cf_judged *judged, struct cf_detail *detail)
{
    output->number++;
    output->call->group_count++;
    output->call->grouped_count += judged->group->member_count;
    if (output->call->table)
        return group_rows(output, judged, detail);
    if (!output->json)
        return group_text(output, judged);
    group_json(output, judged);
    return CF_OK;
}

static enum cf_err begin(struct output *output, struct cf_detail *detail)
{
    const struct cf_duplicates *call = output->call;
    if (call->fleet.json) {
        output->json = cf_json_new();
        cf_json_word(output->json, "space", call->space->name);
        cf_json_real(output->json, "threshold", call->threshold);
        if (!call->out)
            cf_json_array(output->json, "groups");
    }
    return call->out ? write_text(call->table,
                                  "group\tsize\tweakest\tchained\tcosine\talbum\tartist\ttitle\n", detail)
                     : CF_OK;
}

static enum cf_err finish(struct output *output, struct cf_detail *detail)
{
    const struct cf_duplicates *call = output->call;
    enum cf_err err = call->out ? cf_fresh_finish(call->table, detail) : CF_OK;
    if (err)
        return err;
    if (!call->fleet.json) {
        printf("%s%llu groups of %llu albums, of %llu asked in %s above %g; %llu skipped, %llu not described "
               "in it\n",
               output->number && !call->out ? "\n" : "", (unsigned long long)call->group_count,
               (unsigned long long)call->grouped_count, (unsigned long long)call->asked, call->space->name,
               call->threshold, (unsigned long long)call->skipped, (unsigned long long)call->not_described);
        return CF_OK;
    }
    if (!call->out)
        cf_json_end(output->json);
    cf_json_uint(output->json, "group_count", call->group_count);
    cf_json_uint(output->json, "grouped", call->grouped_count);
    cf_json_uint(output->json, "asked", call->asked);
    cf_json_uint(output->json, "skipped", call->skipped);
    cf_json_uint(output->json, "not_described", call->not_described);
    return cf_json_print(output->json, stdout, detail);
}

enum cf_exit cf_duplicates_print(struct cf_duplicates *call, const struct cf_link_group *groups, size_t count)
{
    struct output output = {.call = call};
    struct cf_judge *judge = cf_judge_new();
    struct cf_detail detail = {""};
    struct cf_progress progress;
    cf_progress_init(&progress, stderr, call->fleet.json || !call->out, cf_clock_mono_ms());
    enum cf_err err = judge ? begin(&output, &detail) : CF_E_NO_MEMORY;
    enum cf_exit result = CF_EXIT_DONE;
    for (size_t i = 0; !err && !result && i < count; i++) {
        struct cf_judged judged;
        result = cf_judge_group(judge, call, &groups[i], &judged);
        if (!result)
            err = show_group(&output, &judged, &detail);
        cf_progress_show(&progress, i, count, "groups", cf_clock_mono_ms());
    }
    cf_progress_clear(&progress);
    if (!err && !result)
        err = finish(&output, &detail);
    if (err)
        result = cf_fleet_tell(&call->fleet, cf_str(call->out ? call->out : ""), err, &detail);
    cf_json_free(output.json);
    cf_judge_free(judge);
    return result;
}
