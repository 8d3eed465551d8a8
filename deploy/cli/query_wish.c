#include "deploy/cli/query_wish.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "deploy/cli/lines.h"

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
}

/* ---- excluded albums ---- */

static enum cf_err add_excluded(struct cf_query *query, struct cf_str album, struct cf_detail *detail)
{
    if (query->exclude_count == CF_EXCLUDE_MAX)
        return cf_fail(detail, CF_E_INVALID, "more than %d albums are excluded", CF_EXCLUDE_MAX);
    enum cf_err err = cf_album_check(album, detail);
    if (err)
        return err;
    query->exclude[query->exclude_count++] = album;
    return CF_OK;
}

static enum cf_err read_excluded(struct cf_wish *wish, struct cf_query *query, struct cf_lines *lines,
                                 struct cf_detail *detail)
{
    for (;;) {
        struct cf_str line;
        bool end = false;
        enum cf_err err = cf_lines_next(lines, &line, &end, detail);
        if (err || end)
            return err;
        struct cf_str album = cf_arena_str(wish->arena, line);
        err = album.data ? add_excluded(query, album, detail) : no_memory(detail);
        if (err)
            return err;
    }
}

static enum cf_err exclude_file(struct cf_wish *wish, struct cf_query *query, struct cf_detail *detail)
{
    FILE *in = fopen(wish->exclude_from, "r");
    if (!in)
        return cf_fail(detail, errno == ENOENT ? CF_E_NOT_FOUND : CF_E_IO, "%.200s: %s", wish->exclude_from,
                       strerror(errno));
    struct cf_lines *lines = malloc(sizeof *lines);
    enum cf_err err = lines ? CF_OK : no_memory(detail);
    if (!err) {
        cf_lines_init(lines, in, wish->exclude_from);
        err = read_excluded(wish, query, lines, detail);
    }
    free(lines);
    fclose(in);
    return err;
}

static enum cf_err exclude(struct cf_wish *wish, struct cf_query *query, struct cf_detail *detail)
{
    if (wish->exclude.count == 0 && !wish->exclude_from)
        return CF_OK;
    query->exclude = cf_arena_alloc(wish->arena, CF_EXCLUDE_MAX, sizeof *query->exclude);
    if (!query->exclude)
        return no_memory(detail);
    enum cf_err err = CF_OK;
    for (size_t i = 0; !err && i < wish->exclude.count; i++)
        err = add_excluded(query, cf_str(wish->exclude.items[i]), detail);
    return err || !wish->exclude_from ? err : exclude_file(wish, query, detail);
}

/* ---- filters ---- */

/* The filter of a key, a new one when there is none yet; NULL when there are too many. */
static struct cf_filter *filter_of(struct cf_query *query, struct cf_str key)
{
    for (size_t i = 0; i < query->filter_count; i++)
        if (cf_str_equal(query->filters[i].key, key))
            return &query->filters[i];
    if (query->filter_count == CF_FILTERS_MAX)
        return NULL;
    query->filters[query->filter_count].key = key;
    return &query->filters[query->filter_count++];
}

static enum cf_err add_filter(struct cf_wish *wish, struct cf_query *query, const char *text,
                              struct cf_detail *detail)
{
    const char *sign = strchr(text, '=');
    if (!sign || sign == text || !sign[1])
        return cf_fail(detail, CF_E_INVALID, "--filter takes KEY=VALUE, not \"%.60s\"", text);
    struct cf_filter *filter = filter_of(query, (struct cf_str){text, (size_t)(sign - text)});
    if (!filter || filter->value_count == CF_FILTER_VALUES_MAX)
        return cf_fail(detail, CF_E_INVALID, "--filter: at most %d keys with %d values each", CF_FILTERS_MAX,
                       CF_FILTER_VALUES_MAX);
    if (!filter->values)
        filter->values = cf_arena_alloc(wish->arena, CF_FILTER_VALUES_MAX, sizeof *filter->values);
    if (!filter->values)
        return no_memory(detail);
    filter->values[filter->value_count++] = cf_str(sign + 1);
    return CF_OK;
}

/* ---- spaces ---- */

static enum cf_err add_weight(struct cf_query *query, struct cf_str part, struct cf_detail *detail)
{
    const char *sign = part.len ? memchr(part.data, '=', part.len) : NULL;
    char *end = NULL;
    double weight = sign ? strtod(sign + 1, &end) : -1;
    if (!sign || sign == part.data || end == sign + 1 || end != part.data + part.len)
        return cf_fail(detail, CF_E_INVALID, "--spaces takes SPACE=WEIGHT,…: \"%.*s\" is not one",
                       (int)(part.len < 60 ? part.len : 60), part.data);
    if (!(weight >= 0 && isfinite(weight)))
        return cf_fail(detail, CF_E_INVALID, "--spaces: the weight %g is not a number from 0", weight);
    if (query->space_count == CF_SPACES_MAX)
        return cf_fail(detail, CF_E_INVALID, "--spaces: at most %d of them", CF_SPACES_MAX);
    struct cf_str space = {part.data, (size_t)(sign - part.data)};
    for (size_t i = 0; i < query->space_count; i++)
        if (cf_str_equal(query->spaces[i].space, space))
            return cf_fail(detail, CF_E_INVALID, "--spaces names %.*s twice", CF_STR_ARG(space));
    query->spaces[query->space_count++] = (struct cf_weight){space, weight};
    return CF_OK;
}

static enum cf_err add_weights(struct cf_query *query, const char *text, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    while (!err && text) {
        const char *comma = strchr(text, ',');
        size_t len = comma ? (size_t)(comma - text) : strlen(text);
        err = add_weight(query, (struct cf_str){text, len}, detail);
        text = comma ? comma + 1 : NULL;
    }
    query->space = cf_str("");
    return err;
}

enum cf_err cf_wish_apply(struct cf_wish *wish, struct cf_query *query, struct cf_detail *detail)
{
    wish->arena = cf_arena_new();
    if (!wish->arena)
        return no_memory(detail);
    query->filters = wish->keys;
    query->spaces = wish->weights;
    enum cf_err err = exclude(wish, query, detail);
    for (size_t i = 0; !err && i < wish->filters.count; i++)
        err = add_filter(wish, query, wish->filters.items[i], detail);
    return err || !wish->spaces ? err : add_weights(query, wish->spaces, detail);
}

void cf_wish_fini(struct cf_wish *wish)
{
    cf_arena_free(wish->arena);
    wish->arena = NULL;
}
