#include "workers/query/selection.h"

static enum cf_err exclude(struct cf_selection *selection, const struct cf_query *query,
                           struct cf_arena *arena)
{
    struct cf_keyed *entries = cf_arena_alloc(arena, query->exclude_count, sizeof *entries);
    enum cf_err err = entries ? cf_idmap_reserve(&selection->excluded, query->exclude_count) : CF_E_NO_MEMORY;
    for (size_t i = 0; err == CF_OK && i < query->exclude_count; i++) {
        if (cf_idmap_find(&selection->excluded, query->exclude[i]))
            continue;
        entries[i].id = query->exclude[i];
        err = cf_idmap_add(&selection->excluded, &entries[i]);
    }
    return err;
}

static enum cf_err find_key(struct cf_str key, size_t *kind, struct cf_detail *detail)
{
    for (*kind = 0; *kind < CF_LABEL_COUNT; ++*kind)
        if (cf_str_is(key, cf_label_keys[*kind]))
            return CF_OK;
    return cf_fail(detail, CF_E_INVALID, "albums are not filtered by \"%.*s\": by %s and %s only",
                   CF_STR_ARG(key), cf_label_keys[CF_LABEL_ARTIST], cf_label_keys[CF_LABEL_GENRE]);
}

static enum cf_err add_filter(struct cf_selection *selection, const struct cf_filter *filter,
                              struct cf_detail *detail)
{
    size_t kind;
    enum cf_err err = find_key(filter->key, &kind, detail);
    if (err != CF_OK)
        return err;
    for (size_t i = 0; i < filter->value_count; i++) {
        if (filter->values[i].len == 0)
            return cf_fail(detail, CF_E_INVALID, "the filter %s has an empty value", cf_label_keys[kind]);
        selection->labels[kind][i] = cf_label(filter->values[i]);
    }
    selection->filters[kind] = filter;
    return CF_OK;
}

enum cf_err cf_selection_init(struct cf_selection *selection, const struct cf_query *query,
                              struct cf_arena *arena, struct cf_detail *detail)
{
    *selection = (struct cf_selection){.excluded = {NULL, 0, 0}};
    enum cf_err err = exclude(selection, query, arena);
    if (err != CF_OK)
        return cf_fail(detail, err, "no memory for %zu excluded albums", query->exclude_count);
    for (size_t i = 0; err == CF_OK && i < query->filter_count; i++)
        err = add_filter(selection, &query->filters[i], detail);
    return err;
}

void cf_selection_fini(struct cf_selection *selection)
{
    cf_idmap_fini(&selection->excluded);
}

bool cf_selection_filters(const struct cf_selection *selection)
{
    for (size_t kind = 0; kind < CF_LABEL_COUNT; kind++)
        if (selection->filters[kind])
            return true;
    return false;
}

bool cf_selection_chooses(const struct cf_selection *selection)
{
    return selection->excluded.count > 0 || cf_selection_filters(selection);
}

static bool has_label(const struct cf_selection *selection, size_t kind, uint32_t label)
{
    const struct cf_filter *filter = selection->filters[kind];
    for (size_t i = 0; filter && i < filter->value_count; i++)
        if (selection->labels[kind][i] == label)
            return true;
    return !filter;
}

bool cf_selection_keeps(void *arg, struct cf_str id, const uint32_t labels[CF_LABEL_COUNT])
{
    const struct cf_selection *selection = arg;
    for (size_t kind = 0; kind < CF_LABEL_COUNT; kind++)
        if (!has_label(selection, kind, labels[kind]))
            return false;
    return selection->excluded.count == 0 || !cf_idmap_find(&selection->excluded, id);
}

static bool has_value(const struct cf_filter *filter, struct cf_str value)
{
    for (size_t i = 0; filter && i < filter->value_count; i++)
        if (cf_str_equal(filter->values[i], value))
            return true;
    return !filter;
}

bool cf_selection_confirms(const struct cf_selection *selection, const struct cf_neighbor *neighbor)
{
    return has_value(selection->filters[CF_LABEL_ARTIST], neighbor->artist) &&
           has_value(selection->filters[CF_LABEL_GENRE], neighbor->genre);
}
